#include "try-filesystem.h"
#include "fs/fs.h"

enum {
    MAX_INODES = 80,
    MAX_BATCHES = 16,
    MAX_EXTENTS = 64,
    MAX_USE_STEPS = 400,
    READ_BYTES = 16 * 1024,
    LOOKUPS = 8,
};

typedef struct Input {
    const uint8_t *data;
    size_t size;
    const char *driver;
} Input;

/* found: files that directories lead to. */
static void coroutine_fn try_directory(Filesystem *fs, FsIno ino, GArray *found)
{
    g_auto(FsDirBatch) batch = {0};

    fs_dir_batch_init(&batch);
    for (int i = 0; i < MAX_BATCHES && !batch.eof; i++) {
        uint64_t cursor = batch.cursor;

        fs_dir_batch_drop_entries(&batch);
        if (!fs_co_readdir(fs, ino, &batch, NULL) && batch.cursor == cursor) {
            return;
        }
        for (guint k = 0; k < MIN(batch.entries->len, LOOKUPS); k++) {
            const FsDirEntry *entry = &g_array_index(batch.entries, FsDirEntry, k);
            FsIno same;

            fs_co_lookup(fs, ino, entry->name, entry->name_len, &same, NULL);
            if (found->len < MAX_INODES) {
                g_array_append_val(found, entry->ino);
            }
        }
    }
}

static void coroutine_fn try_content(Filesystem *fs, const FsStat *st)
{
    const uint64_t places[] = {0, st->size / 2, st->size - MIN(st->size, READ_BYTES)};
    g_autofree uint8_t *buf = g_malloc(READ_BYTES);
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(FsExtent));

    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        uint64_t bytes = MIN(st->size - places[i], READ_BYTES);

        if (bytes) {
            fs_co_read(fs, st->ino, places[i], bytes, buf, NULL);
        }
    }
    if (fs_co_extents(fs, st->ino, 0, MAX_EXTENTS, extents, NULL)) {
        g_assert_cmpuint(extents->len, <=, MAX_EXTENTS);
    }
}

static void coroutine_fn try_inode(Filesystem *fs, FsIno ino, GArray *found)
{
    GError *error = NULL;
    FsStat st;

    if (!fs_co_stat(fs, ino, &st, &error)) {
        g_assert_nonnull(error);
        g_error_free(error);
        return;
    }

    GPtrArray *xattrs = fs_co_xattrs(fs, ino, NULL);

    g_clear_pointer(&xattrs, g_ptr_array_unref);
    if (S_ISDIR(st.mode)) {
        try_directory(fs, ino, found);
    } else if (S_ISLNK(st.mode)) {
        g_free(fs_co_readlink(fs, ino, NULL));
    }
    try_content(fs, &st);
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
    }
}

static void coroutine_fn try_image(void *opaque)
{
    const Input *input = opaque;
    g_autoptr(GBytes) bytes = g_bytes_new_static(input->data, input->size);
    g_autoptr(BlockDriverState) bs = bdrv_new_memory(bytes, "fuzz");
    g_autoptr(BlockBackend) blk = blk_new(bs);
    g_auto(FsIdent) ident = {0};
    const FsDriver *drv = fs_co_probe(blk, &ident);

    if (!drv || !g_str_has_prefix(drv->name, input->driver)) {
        return;
    }

    GError *error = NULL;
    g_autoptr(Filesystem) fs = fs_co_open(drv, blk, &error);

    if (!fs) {
        g_assert_nonnull(error);
        g_error_free(error);
        return;
    }

    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(FsIno));

    for (FsIno i = 0; i < MAX_INODES; i++) {
        try_inode(fs, fs->root - 1 + i, found);
    }
    for (guint i = 0; i < found->len; i++) {
        try_inode(fs, g_array_index(found, FsIno, i), found);
    }
    try_block_use(fs);
}

void try_filesystem(const uint8_t *data, size_t size, const char *driver)
{
    static AioContext *ctx;
    Input input = {data, size, driver};

    if (!ctx) {
        ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);
        g_assert_nonnull(ctx);
    }
    aio_run(ctx, try_image, &input);
}
