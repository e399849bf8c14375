/*
 * What is told of a node: info, check, snapshots.
 */
#include <errno.h>
#include "block/block-int.h"
#include "qapi/qapi-types.h"
#include "util/text.h"

enum { MAX_FINDINGS = 1000 };

/* What the node's files take on the host; -1 if that is not known. */
static int64_t coroutine_fn co_allocated_size(BlockDriverState *bs)
{
    int64_t sum = 0;

    if (bs->drv->bdrv_co_allocated_size) {
        return bs->drv->bdrv_co_allocated_size(bs);
    }
    if (!bs->file) {
        return -1;
    }
    BlockDriverState *files[] = { bs->file, bs->data_file };
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        int64_t size = files[i] ? co_allocated_size(files[i]) : 0;
        if (size < 0) {
            return -1;
        }
        sum += size;
    }
    return sum;
}

ImageInfo *coroutine_fn bdrv_co_image_info(BlockDriverState *bs, GError **errp)
{
    g_autoptr(ImageInfo) info = image_info_new0();
    int64_t allocated = co_allocated_size(bs);

    info->filename = g_strdup(bs->filename);
    info->format = g_strdup(bs->drv->format_name);
    info->virtual_size = bs->total_bytes;
    info->has_actual_size = allocated >= 0;
    info->actual_size = MAX(allocated, 0);
    info->has_dirty_flag = true;
    info->backing_filename = g_strdup(bs->backing_filename);
    info->full_backing_filename = bdrv_full_backing_filename(bs);
    info->backing_filename_format = g_strdup(bs->backing_format);
    if (bs->drv->bdrv_co_get_info && bs->drv->bdrv_co_get_info(bs, info, errp) < 0) {
        return NULL;
    }
    return g_steal_pointer(&info);
}

void bdrv_add_finding(BlockDriverState *bs, const char *format, ...)
{
    if (!bs->findings) {
        bs->findings = g_ptr_array_new_with_free_func(g_free);
    }
    if (bs->findings->len > MAX_FINDINGS) {
        return;
    }
    if (bs->findings->len == MAX_FINDINGS) {
        g_ptr_array_add(bs->findings, g_strdup("(more of these are not shown)"));
        return;
    }
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_ptr_array_add(bs->findings, text_printable(text, TEXT_ESCAPED));
}

GPtrArray *bdrv_take_findings(BlockDriverState *bs)
{
    return g_steal_pointer(&bs->findings);
}

ImageCheck *coroutine_fn bdrv_co_check(BlockDriverState *bs, unsigned fix, GError **errp)
{
    g_autoptr(ImageCheck) check = image_check_new0();

    if (!bs->drv->bdrv_co_check) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "This image format does not support checks");
        return NULL;
    }
    if (fix && !bdrv_check_writable(bs, "cannot be repaired", errp)) {
        return NULL;
    }
    g_clear_pointer(&bs->findings, g_ptr_array_unref);
    check->filename = g_strdup(bs->filename);
    check->format = g_strdup(bs->drv->format_name);
    bdrv_co_begin_alone(bs);
    int ret = bs->drv->bdrv_co_check(bs, check, fix, errp);
    bdrv_co_end_alone(bs);
    return ret < 0 ? NULL : g_steal_pointer(&check);
}

BlockMeasureInfo *coroutine_fn bdrv_co_measure(const char *format, BlockDriverState *src,
                                               int64_t length, const char *keyval,
                                               GError **errp)
{
    const BlockDriver *drv = bdrv_find_driver(format);
    g_autoptr(BlockMeasureInfo) info = block_measure_info_new0();

    if (!drv || drv->is_protocol) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED, "Unknown file format '%s'", format);
        return NULL;
    }
    if (!drv->bdrv_co_measure) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "Block driver '%s' does not support size measurement%s", format,
                    drv->bdrv_co_ingest ? ": how well data compresses, and what is the same as "
                                          "other data, is known when the image is made"
                                        : "");
        return NULL;
    }
    length = src ? bdrv_length(src) : length;
    return drv->bdrv_co_measure(src, length, keyval, info, errp) < 0 ? NULL
                                                                     : g_steal_pointer(&info);
}

typedef int coroutine_fn SnapshotFunc(BlockDriverState *bs, const char *name, GError **errp);

static int coroutine_fn co_change_snapshots(BlockDriverState *bs, SnapshotFunc *func,
                                            const char *name, GError **errp)
{
    if (!func) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: internal snapshots of format %s cannot be changed", bs->filename,
                    bs->drv->format_name);
        return -ENOTSUP;
    }
    if (!bdrv_check_writable(bs, "snapshots cannot be changed", errp)) {
        return -EROFS;
    }
    bdrv_co_begin_alone(bs);
    int ret = func(bs, name, errp);
    bdrv_co_end_alone(bs);
    return ret;
}

int coroutine_fn bdrv_co_snapshot_create(BlockDriverState *bs, const char *name,
                                         GError **errp)
{
    return co_change_snapshots(bs, bs->drv->bdrv_co_snapshot_create, name, errp);
}

int coroutine_fn bdrv_co_snapshot_goto(BlockDriverState *bs, const char *id_or_name,
                                       GError **errp)
{
    return co_change_snapshots(bs, bs->drv->bdrv_co_snapshot_goto, id_or_name, errp);
}

int coroutine_fn bdrv_co_snapshot_delete(BlockDriverState *bs, const char *id_or_name,
                                         GError **errp)
{
    return co_change_snapshots(bs, bs->drv->bdrv_co_snapshot_delete, id_or_name, errp);
}

int coroutine_fn bdrv_co_change_backing(BlockDriverState *bs, const char *filename,
                                        const char *format, GError **errp)
{
    if (!bs->drv->bdrv_co_change_backing) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: the backing file of images of format %s cannot be changed",
                    bs->filename, bs->drv->format_name);
        return -ENOTSUP;
    }
    if (!bdrv_check_writable(bs, "the backing file cannot be changed", errp)) {
        return -EROFS;
    }
    bdrv_co_begin_alone(bs);
    int ret = bs->drv->bdrv_co_change_backing(bs, filename, format, errp);
    bdrv_co_end_alone(bs);
    return ret;
}

int coroutine_fn bdrv_co_amend(BlockDriverState *bs, const char *keyval, Progress *progress,
                               GError **errp)
{
    if (!bs->drv->bdrv_co_amend) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "Format driver '%s' does not support option amendment",
                    bs->drv->format_name);
        return -ENOTSUP;
    }
    if (!bdrv_check_writable(bs, "options cannot be changed", errp)) {
        return -EROFS;
    }
    bdrv_co_begin_alone(bs);
    int ret = bs->drv->bdrv_co_amend(bs, keyval, progress, errp);
    bdrv_co_end_alone(bs);
    return ret;
}

static bool has_bitmaps(BlockDriverState *bs, GError **errp)
{
    if (!bs->drv->bdrv_co_change_bitmap) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: images of format %s have no persistent bitmaps", bs->filename,
                    bs->drv->format_name);
        return false;
    }
    return true;
}

int coroutine_fn bdrv_co_change_bitmap(BlockDriverState *bs, const BdrvBitmapChange *change,
                                       GError **errp)
{
    if (!has_bitmaps(bs, errp)) {
        return -ENOTSUP;
    }
    if (!bdrv_check_writable(bs, "bitmaps cannot be changed", errp)) {
        return -EROFS;
    }
    bdrv_co_begin_alone(bs);
    int ret = bs->drv->bdrv_co_change_bitmap(bs, change, errp);
    bdrv_co_end_alone(bs);
    return ret;
}

DirtyBitmap *coroutine_fn bdrv_co_get_bitmap(BlockDriverState *bs, const char *name,
                                             GError **errp)
{
    DirtyBitmap *bits = NULL;

    if (has_bitmaps(bs, errp)) {
        bs->drv->bdrv_co_get_bitmap(bs, name, &bits, errp);
    }
    return bits;
}

int coroutine_fn bdrv_co_make_empty(BlockDriverState *bs, GError **errp)
{
    if (!bs->drv->bdrv_co_make_empty) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: images of format %s cannot be made empty", bs->filename,
                    bs->drv->format_name);
        return -ENOTSUP;
    }
    if (!bdrv_check_writable(bs, "cannot be made empty", errp)) {
        return -EROFS;
    }
    bdrv_co_begin_alone(bs);
    int ret = bs->drv->bdrv_co_make_empty(bs, errp);
    bdrv_co_end_alone(bs);
    return ret;
}

int coroutine_fn bdrv_co_load_snapshot(BlockDriverState *bs, const char *id_or_name,
                                       GError **errp)
{
    if (!bs->drv->bdrv_co_load_snapshot) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: images of format %s have no internal snapshots", bs->filename,
                    bs->drv->format_name);
        return -ENOTSUP;
    }
    return bs->drv->bdrv_co_load_snapshot(bs, id_or_name, errp);
}

bool bdrv_content_digest(BlockDriverState *bs, uint8_t digest[BDRV_DIGEST_BYTES])
{
    return bs->drv->bdrv_content_digest && bs->drv->bdrv_content_digest(bs, digest);
}
