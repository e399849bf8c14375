/* Opens an ext2/3/4 image and looks at everything in it, up to a bound. */
#include <stdlib.h>
#include "fs/ext4/ext4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

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
} Input;

static void coroutine_fn try_directory(Filesystem *fs, FsIno ino)
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
            FsIno found;

            fs_co_lookup(fs, ino, entry->name, entry->name_len, &found, NULL);
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

static void coroutine_fn try_inode(Filesystem *fs, FsIno ino)
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
        try_directory(fs, ino);
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

    if (!drv || !g_str_has_prefix(drv->name, "ext4")) {
        return;
    }

    GError *error = NULL;
    g_autoptr(Filesystem) fs = fs_co_open(drv, blk, &error);

    if (!fs) {
        g_assert_nonnull(error);
        g_error_free(error);
        return;
    }
    for (FsIno ino = 1; ino <= MAX_INODES; ino++) {
        try_inode(fs, ino);
    }
    try_block_use(fs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static AioContext *ctx;
    Input input = {data, size};

    if (!ctx) {
        ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);
        g_assert_nonnull(ctx);
    }
    aio_run(ctx, try_image, &input);
    return 0;
}

/* The records of fast commits in a block count only with the right checksum behind
 * them. Returns the checksum of what the block leaves open. */
static uint32_t mend_fast_commits(uint8_t *block, size_t bytes, uint32_t crc)
{
    enum { TAG_TAIL = 8, HEAD_BYTES = 4 };

    for (size_t pos = 0; range_fits(pos, 2 * HEAD_BYTES + 4, bytes);) {
        uint16_t tag = le16_load(block + pos);
        uint16_t len = le16_load(block + pos + 2);

        if (!range_fits(pos + HEAD_BYTES, len, bytes)) {
            break;
        }
        if (tag == TAG_TAIL) {
            crc = ext4_crc32c(crc, block + pos, HEAD_BYTES + 4);
            le32_store(block + pos + HEAD_BYTES + 4, crc);
            crc = 0;
        } else {
            crc = ext4_crc32c(crc, block + pos, HEAD_BYTES + len);
        }
        pos += HEAD_BYTES + len;
    }
    return crc;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed)
{
    enum { BLOCK_BYTES = 1024 };
    static const uint8_t head[] = {9, 0, 8, 0};
    bool inside = false;
    uint32_t crc = 0;

    size = LLVMFuzzerMutate(data, size, max_size);
    for (size_t pos = 0; pos + BLOCK_BYTES <= size; pos += BLOCK_BYTES) {
        inside =
            inside ? !buffer_is_zero(data + pos, 64) : !memcmp(data + pos, head, 4);
        if (inside) {
            crc = mend_fast_commits(data + pos, BLOCK_BYTES, crc);
        }
    }
    if (size >= EXT4_SUPER_OFFSET_BYTES + EXT4_SUPER_BYTES && seed % 4) {
        Ext4Super *super = (Ext4Super *)(data + EXT4_SUPER_OFFSET_BYTES);

        super->checksum = le32_make(ext4_super_checksum(super));
    }
    return size;
}
