/* bench-walk IMAGE [OFFSET LENGTH]: how long a walk over every file of a filesystem
 * takes. */
#include <stdio.h>
#include "fs/walk.h"

enum { ROUNDS = 10 };

typedef struct Bench {
    const char *image;
    int64_t offset, length;
    uint64_t files;
} Bench;

static bool coroutine_fn count(const FsWalkEntry *entry, void *opaque, GError **errp)
{
    ((Bench *)opaque)->files++;
    return true;
}

static bool coroutine_fn complain(const char *path, const GError *error, void *opaque)
{
    fprintf(stderr, "%s: %s\n", path, error->message);
    return true;
}

static bool coroutine_fn walk(Bench *b, BlockBackend *blk, FsWalkOrder order,
                              GError **errp)
{
    static const FsWalkOps ops = {.entry = count, .damaged = complain};
    g_auto(FsIdent) ident = {0};
    const FsDriver *drv = fs_co_probe(blk, &ident);
    g_autoptr(Filesystem) fs = drv ? fs_co_open(drv, blk, errp) : NULL;

    b->files = 0;
    return fs && fs_co_walk(fs, fs->root, order, &ops, b, errp);
}

static void coroutine_fn run(void *opaque)
{
    static const char *const names[] = {
        [FS_WALK_SORTED] = "sorted",
        [FS_WALK_STORED] = "stored",
    };
    Bench *b = opaque;
    g_autoptr(GError) error = NULL;
    g_autoptr(BlockDriverState) bs = bdrv_co_open_image(b->image, NULL, 0, &error);
    g_autoptr(BlockBackend) disk = bs ? blk_new(bs) : NULL;

    if (!disk) {
        fprintf(stderr, "%s\n", error->message);
        return;
    }

    g_autoptr(BlockBackend) blk = blk_new_slice(
        disk, b->offset, b->length ? b->length : blk_length(disk) - b->offset);

    for (unsigned order = 0; order < G_N_ELEMENTS(names); order++) {
        int64_t best = INT64_MAX;

        for (unsigned i = 0; i < ROUNDS; i++) {
            int64_t start = g_get_monotonic_time();

            if (!walk(b, blk, order, &error)) {
                fprintf(stderr, "%s\n", error ? error->message : "no filesystem");
                return;
            }
            best = MIN(best, g_get_monotonic_time() - start);
        }
        printf("%s: %" PRIu64 " files in %.1f ms at best\n", names[order], b->files,
               best / 1000.0);
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(AioContext) ctx = aio_context_new(AIO_BACKEND_AUTO, &error);
    Bench b = {0};

    if (!ctx || argc < 2) {
        fprintf(stderr, "%s\n",
                error ? error->message : "usage: bench-walk IMAGE [OFFSET LENGTH]");
        return 2;
    }
    b.image = argv[1];
    b.offset = argc > 2 ? g_ascii_strtoll(argv[2], NULL, 0) : 0;
    b.length = argc > 3 ? g_ascii_strtoll(argv[3], NULL, 0) : 0;
    aio_run(ctx, run, &b);
    return 0;
}
