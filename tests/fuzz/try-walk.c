#include "try-walk.h"
#include "fs/walk.h"
#include "util/error.h"
#include "util/units.h"

enum {
    MAX_FILES = 300,
    MAX_EXTENTS = 64,
    MAX_USE_STEPS = 400,
    READ_BYTES = 16 * 1024,
};

typedef struct Input {
    const uint8_t *data;
    size_t size;
    const char *driver;
} Input;

typedef struct Look {
    Filesystem *fs;
    unsigned files;
    unsigned damages;
} Look;

/* What a list of extents says is in order, apart, and inside of the filesystem. */
static void check_extents(const Filesystem *fs, const GArray *extents)
{
    uint64_t end = 0;

    g_assert_cmpuint(extents->len, <=, MAX_EXTENTS);
    for (guint i = 0; i < extents->len; i++) {
        const FsExtent *extent = &g_array_index(extents, FsExtent, i);

        g_assert_cmpuint(extent->length, >, 0);
        g_assert_cmpuint(extent->file_offset, >=, end);
        g_assert_true(
            range_fits(extent->device_offset, extent->length, fs->ident.size));
        end = extent->file_offset + extent->length;
    }
}

static void coroutine_fn try_content(Look *look, const FsStat *st)
{
    const uint64_t places[] = {0, st->size - MIN(st->size, READ_BYTES), st->size / 2};
    g_autofree uint8_t *buf = g_malloc(READ_BYTES);
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(FsExtent));
    GError *error = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(places) && S_ISREG(st->mode); i++) {
        uint64_t bytes = MIN(st->size - places[i], READ_BYTES);

        if (bytes && !fs_co_read(look->fs, st->ino, places[i], bytes, buf, &error)) {
            g_assert_nonnull(error);
            g_clear_error(&error);
        }
    }
    if (!fs_co_extents(look->fs, st->ino, 0, MAX_EXTENTS, extents, &error)) {
        g_assert_nonnull(error);
        g_clear_error(&error);
    }
    check_extents(look->fs, extents);
}

static bool coroutine_fn try_entry(const FsWalkEntry *entry, void *opaque,
                                   GError **errp)
{
    Look *look = opaque;

    try_content(look, &entry->stat);
    if (++look->files > MAX_FILES) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT, "enough was seen");
        return false;
    }
    return true;
}

static bool coroutine_fn note_damage(const char *path G_GNUC_UNUSED,
                                     const GError *error, void *opaque)
{
    Look *look = opaque;

    g_assert_nonnull(error->message);
    return ++look->damages <= MAX_FILES;
}

static void coroutine_fn try_block_use(Filesystem *fs)
{
    uint64_t offset = 0, length = blk_length(fs->blk);

    for (int i = 0; i < MAX_USE_STEPS && offset < length; i++) {
        uint64_t bytes = 0;

        fs_co_block_use(fs, offset, &bytes);
        g_assert_cmpuint(bytes, >, 0);
        g_assert_cmpuint(bytes, <=, length - offset);
        offset += bytes;
        g_assert_true(offset == length || offset == fs->ident.size ||
                      offset % fs->block_size == 0);
    }
}

static void coroutine_fn try_image(void *opaque)
{
    static const FsWalkOps ops = {.entry = try_entry, .damaged = note_damage};
    const Input *input = opaque;
    g_autoptr(GBytes) bytes = g_bytes_new_static(input->data, input->size);
    g_autoptr(BlockDriverState) bs = bdrv_new_memory(bytes, "fuzz");
    g_autoptr(BlockBackend) blk = blk_new(bs);
    g_auto(FsIdent) ident = {0};
    const FsDriver *drv = fs_co_probe(blk, &ident);
    GError *error = NULL;

    if (!drv || !g_str_has_prefix(drv->name, input->driver)) {
        return;
    }

    g_autoptr(Filesystem) fs = fs_co_open(drv, blk, &error);

    if (!fs) {
        g_assert_nonnull(error);
        g_error_free(error);
        return;
    }

    Look look = {.fs = fs};

    if (!fs_co_walk(fs, fs->root, FS_WALK_SORTED, &ops, &look, &error)) {
        g_assert_nonnull(error);
        g_clear_error(&error);
    }
    try_block_use(fs);
}

void try_walk(const uint8_t *data, size_t size, const char *driver)
{
    static AioContext *ctx;
    Input input = {data, size, driver};

    if (!ctx) {
        ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);
        g_assert_nonnull(ctx);
    }
    aio_run(ctx, try_image, &input);
}
