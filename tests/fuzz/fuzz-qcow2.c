/*
 * Opens a qcow2 image and looks at all of it, up to a bound: information, block status,
 * reads, internal snapshots, check; then writes to it.
 *
 * The names of files that an image holds are the fuzzer's, so none is opened: pieces of
 * memory stand in for the backing image and for the external data file.
 */
#include <stdlib.h>
#include "block/block-int.h"
#include "qapi/qapi-types.h"
#include "record-node.h"
#include "util/endian.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    MAX_INPUT_BYTES = 4 << 20,
    READ_BYTES = 64 << 10,
    READS = 12,
    MAX_STATUS = 200,
    MAX_SNAPSHOTS = 4,
    BACKING_BYTES = 96 << 10,
    WRITES = 8,
    WRITE_BYTES = 40 << 10,
    MAX_FILE_BYTES = 12 << 20,
};

typedef struct Input {
    const uint8_t *data;
    size_t size;
} Input;

static void drop(GError *error)
{
    g_assert_nonnull(error);
    g_assert_true(g_utf8_validate(error->message, -1, NULL));
    g_error_free(error);
}

static void coroutine_fn try_read(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    g_autofree uint8_t *buf = g_malloc(READ_BYTES);

    if (bdrv_co_pread(bs, offset, bytes, buf, BDRV_REQ_NONE) < 0) {
        g_clear_pointer(&bs->error, g_error_free);
    }
}

/* Spread over the disk, and not aligned to anything. */
static void coroutine_fn try_reads(BlockDriverState *bs)
{
    int64_t length = bdrv_length(bs);

    g_assert_cmpint(length, >=, 0);
    for (int i = 0; i < READS && length; i++) {
        int64_t offset = i % 2 ? length / READS * i : i * (int64_t)READ_BYTES - i;

        if (offset >= 0 && offset < length) {
            try_read(bs, offset, MIN(length - offset, READ_BYTES));
        }
    }
    if (length) {
        try_read(bs, length - MIN(length, 1000), MIN(length, 1000));
    }
}

static void coroutine_fn try_status(BlockDriverState *bs)
{
    int64_t length = bdrv_length(bs), offset = 0;

    for (int i = 0; i < MAX_STATUS && offset < length; i++) {
        BlockDriverState *file = NULL;
        int64_t n = 0, map = 0;
        int depth = 0;
        int ret = bdrv_co_block_status_above(bs, NULL, offset, length - offset, &n,
                                             &map, &file, &depth);

        if (ret < 0) {
            g_clear_pointer(&bs->error, g_error_free);
            n = MIN(65536, length - offset);
        } else if (ret & BDRV_BLOCK_OFFSET_VALID) {
            g_assert_nonnull(file);
            g_assert_cmpint(map, >=, 0);
        }
        g_assert_cmpint(n, >, 0);
        g_assert_cmpint(n, <=, length - offset);
        offset += n;
    }
}

static void coroutine_fn try_snapshots(BlockDriverState *bs, const ImageInfo *info)
{
    for (guint i = 0; info->snapshots && i < MIN(info->snapshots->len, MAX_SNAPSHOTS);
         i++) {
        const SnapshotInfo *snapshot = g_ptr_array_index(info->snapshots, i);
        GError *error = NULL;

        if (bdrv_co_load_snapshot(bs, snapshot->id, &error) < 0) {
            drop(error);
            continue;
        }
        try_reads(bs);
        try_status(bs);
    }
}

static void coroutine_fn try_check(BlockDriverState *bs)
{
    GError *error = NULL;
    g_autoptr(ImageCheck) check = bdrv_co_check(bs, 0, &error);

    if (!check) {
        drop(error);
    }
    g_autoptr(GPtrArray) findings = bdrv_take_findings(bs);
    for (guint i = 0; findings && i < findings->len; i++) {
        g_assert_true(g_utf8_validate(findings->pdata[i], -1, NULL));
    }
}

/* What does not change from run to run, and is not all zeroes. */
static BlockDriverState *new_backing(void)
{
    uint8_t *data = g_malloc0(BACKING_BYTES);

    for (size_t i = 0; i < BACKING_BYTES; i += 1000) {
        data[i] = i / 1000;
    }
    g_autoptr(GBytes) bytes = g_bytes_new_take(data, BACKING_BYTES);
    return bdrv_new_memory(bytes, "backing");
}

static BlockDriverState *coroutine_fn open_image(BlockDriverState *file, GError **errp)
{
    BlockDriverState *bs =
        bdrv_co_open_over(file, "qcow2", BDRV_O_NO_BACKING | BDRV_O_NO_IO, errp);

    if (bs && bs->backing_filename) {
        bs->backing = new_backing();
    }
    return bs;
}

static void coroutine_fn try_image(void *opaque)
{
    const Input *input = opaque;
    g_autoptr(GBytes) bytes = g_bytes_new_static(input->data, input->size);
    g_autoptr(BlockDriverState) file = bdrv_new_memory(bytes, "fuzz");
    GError *error = NULL;
    g_autoptr(BlockDriverState) bs = open_image(file, &error);

    if (!bs) {
        drop(error);
        return;
    }

    g_autoptr(ImageInfo) info = bdrv_co_image_info(bs, &error);
    if (!info) {
        drop(error);
    } else {
        const ImageInfoSpecificQCow2 *own = info->format_specific->u.qcow2.data;
        g_autofree char *text =
            qapi_object_to_json_text(&qapi_type_image_info, info, true);

        g_assert_true(g_utf8_validate(text, -1, NULL));
        /* Only images with an external data file tell whether it is raw. */
        if (own->has_data_file_raw) {
            try_reads(bs);
            bs->data_file = bdrv_ref(file);
        }
    }
    try_status(bs);
    try_reads(bs);
    try_check(bs);
    if (info) {
        try_snapshots(bs, info);
    }
}

/* Spread over the disk as reads are; what fails may do so. */
static void coroutine_fn try_writes(BlockDriverState *bs)
{
    int64_t length = bdrv_length(bs);
    g_autofree uint8_t *buf = g_malloc(WRITE_BYTES);

    memset(buf, 0x5a, WRITE_BYTES);
    for (int i = 0; i < WRITES && length; i++) {
        int64_t offset = i % 2 ? length / WRITES * i : i * (int64_t)WRITE_BYTES - i;
        int64_t bytes = MIN(length - offset, WRITE_BYTES);

        if (offset < 0 || bytes <= 0) {
            continue;
        }
        switch (i % 4) {
        case 0:
            bdrv_co_pwrite_zeroes(bs, offset, bytes, BDRV_REQ_MAY_UNMAP);
            break;
        case 1:
            bdrv_co_pdiscard(bs, offset, bytes);
            break;
        default:
            bdrv_co_pwrite(bs, offset, bytes, buf, BDRV_REQ_NONE);
        }
        if (i == WRITES / 2) {
            bdrv_co_flush(bs);
        }
        g_clear_error(&bs->error);
    }
}

static void coroutine_fn try_snapshot_changes(BlockDriverState *bs)
{
    g_autoptr(ImageInfo) info = bdrv_co_image_info(bs, NULL);

    bdrv_co_snapshot_create(bs, "fuzz", NULL);
    for (guint i = 0; info && info->snapshots && i < MIN(info->snapshots->len, MAX_SNAPSHOTS);
         i++) {
        const SnapshotInfo *snapshot = g_ptr_array_index(info->snapshots, i);
        bdrv_co_snapshot_goto(bs, snapshot->id, NULL);
        if (i % 2) {
            bdrv_co_snapshot_delete(bs, snapshot->id, NULL);
        }
        g_clear_error(&bs->error);
    }
    bdrv_co_snapshot_goto(bs, "fuzz", NULL);
    bdrv_co_snapshot_delete(bs, "fuzz", NULL);
    g_clear_error(&bs->error);
}

static void coroutine_fn try_bitmap_changes(BlockDriverState *bs)
{
    static const BdrvBitmapAction actions[] = { BDRV_BITMAP_ADD, BDRV_BITMAP_MERGE,
                                                BDRV_BITMAP_DISABLE, BDRV_BITMAP_REMOVE };
    g_autoptr(ImageInfo) info = bdrv_co_image_info(bs, NULL);
    const ImageInfoSpecificQCow2 *own = info ? info->format_specific->u.qcow2.data : NULL;

    for (guint i = 0; own && own->bitmaps && i < MIN(own->bitmaps->len, G_N_ELEMENTS(actions));
         i++) {
        const Qcow2BitmapInfo *bitmap = g_ptr_array_index(own->bitmaps, i);
        g_autoptr(DirtyBitmap) bits = bdrv_co_get_bitmap(bs, bitmap->name, NULL);
        BdrvBitmapChange change = { actions[i], bitmap->name, 0, bits, bdrv_length(bs) };
        if (bits || change.action != BDRV_BITMAP_MERGE) {
            bdrv_co_change_bitmap(bs, &change, NULL);
        }
    }
    bdrv_co_truncate(bs, bdrv_length(bs) / 2, PREALLOC_MODE_OFF, NULL);
    g_clear_error(&bs->error);
}

/* The same image, open for writing: what is marked corrupt must stay as it is. */
static void coroutine_fn try_image_writable(void *opaque)
{
    const Input *input = opaque;
    g_autoptr(BlockDriverState) file =
        record_node_new(input->data, input->size, MAX_FILE_BYTES, false);
    g_autoptr(BlockDriverState) data_file = record_node_new("", 0, MAX_FILE_BYTES, false);
    bool corrupt = input->size > 80 && be32_load(input->data + 4) >= 3 &&
                   (input->data[79] & 2);
    GError *error = NULL;
    BlockDriverState *bs = bdrv_co_open_over(
        file, "qcow2", BDRV_O_RDWR | BDRV_O_NO_BACKING | BDRV_O_NO_IO, &error);

    if (!bs) {
        drop(error);
        return;
    }
    g_assert_false(corrupt);
    if (bs->backing_filename) {
        bs->backing = new_backing();
    }
    if (be32_load(input->data + 4) >= 3 && (input->data[79] & 4)) {
        bs->data_file = g_steal_pointer(&data_file);
    }
    try_writes(bs);
    try_reads(bs);
    try_snapshot_changes(bs);
    try_writes(bs);
    try_bitmap_changes(bs);
    bdrv_co_finish(bs, NULL);
    bdrv_unref(bs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static AioContext *ctx;
    Input input = {data, size};

    if (size > MAX_INPUT_BYTES) {
        return 0;
    }
    if (!ctx) {
        ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);
        g_assert_nonnull(ctx);
    }
    aio_run(ctx, try_image, &input);
    aio_run(ctx, try_image_writable, &input);
    return 0;
}
