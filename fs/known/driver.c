/* The drivers of what is only recognised. */
#include "fs/known/known.h"

typedef bool coroutine_fn Recogniser(KnownVolume *v, FsIdent *ident);

static bool coroutine_fn co_probe(BlockBackend *blk, Recogniser *const *recognisers,
                                  size_t n, FsIdent *ident)
{
    KnownVolume v;
    bool found = false;

    if (known_co_start(&v, blk)) {
        for (size_t i = 0; i < n && !found; i++) {
            found = recognisers[i](&v, ident);
        }
    }
    known_clear(&v);
    return found;
}

static bool coroutine_fn container_co_probe(BlockBackend *blk, FsIdent *ident)
{
    static Recogniser *const recognisers[] = {
        known_co_raid,
        known_co_container,
        known_co_swap,
    };

    return co_probe(blk, recognisers, G_N_ELEMENTS(recognisers), ident);
}

static bool coroutine_fn filesystem_co_probe(BlockBackend *blk, FsIdent *ident)
{
    static Recogniser *const recognisers[] = {
        known_co_filesystem, known_co_udf, known_co_zfs,
        known_co_hfs,        known_co_ntfs, known_co_unix,
    };

    return co_probe(blk, recognisers, G_N_ELEMENTS(recognisers), ident);
}

static const FsDriver fs_known_container = {
    .name = "known-container",
    .priority = 100,
    .is_container = true,
    .fs_co_probe = container_co_probe,
};

/* Behind the drivers that can read what they find, in front of those that go by copies,
 * which may be left of an older filesystem. */
static const FsDriver fs_known_filesystem = {
    .name = "known-filesystem",
    .priority = -50,
    .fs_co_probe = filesystem_co_probe,
};

fs_init(fs_known_container);
fs_init(fs_known_filesystem);
