#include "convert-bitmaps.h"

#include "block/block-int.h"
#include "report.h"

/* Of Qcow2BitmapInfo; NULL: there are none. */
static GPtrArray *bitmaps_of(const ImageInfo *info)
{
    return info->format_specific &&
                   info->format_specific->type == IMAGE_INFO_SPECIFIC_KIND_QCOW2
               ? info->format_specific->u.qcow2.data->bitmaps
               : NULL;
}

static bool has_flag(const Qcow2BitmapInfo *bitmap, Qcow2BitmapInfoFlags flag)
{
    for (guint i = 0; i < bitmap->flags->len; i++) {
        if (g_array_index(bitmap->flags, Qcow2BitmapInfoFlags, i) == flag) {
            return true;
        }
    }
    return false;
}

static bool is_broken(const Qcow2BitmapInfo *bitmap)
{
    return has_flag(bitmap, QCOW2_BITMAP_INFO_FLAGS_IN_USE);
}

static bool coroutine_fn co_info(BlockDriverState *bs, ImageInfo **info)
{
    GError *error = NULL;

    *info = bdrv_co_image_info(bs, &error);
    if (!*info) {
        report_gerror(error);
    }
    return *info != NULL;
}

bool coroutine_fn convert_co_check_bitmaps(BlockDriverState *src, const char *format,
                                           bool skip_broken)
{
    const BlockDriver *drv = format ? bdrv_find_driver(format) : NULL;
    g_autoptr(ImageInfo) info = NULL;

    if (!src->drv->bdrv_co_get_bitmap) {
        report_error("Source lacks bitmap support");
        return false;
    }
    if (drv && !drv->bdrv_co_change_bitmap) {
        report_error("Format driver '%s' does not support bitmaps", format);
        return false;
    }
    if (!co_info(src, &info)) {
        return false;
    }
    const GPtrArray *bitmaps = bitmaps_of(info);
    for (guint i = 0; bitmaps && i < bitmaps->len; i++) {
        const Qcow2BitmapInfo *bitmap = g_ptr_array_index(bitmaps, i);
        if (!is_broken(bitmap)) {
            continue;
        }
        if (!skip_broken) {
            report_gerror(g_error_new(EMBR_ERROR, EMBR_ERROR_ADVICE,
                                      "Cannot copy inconsistent bitmap '%s'\n"
                                      "Try --skip-broken-bitmaps, or use '%s bitmap --remove' "
                                      "to delete it", bitmap->name, report_program()));
            return false;
        }
        report_warning("Skipping inconsistent bitmap '%s'", bitmap->name);
    }
    return true;
}

static bool coroutine_fn co_copy_bitmap(BlockDriverState *src, BlockDriverState *target,
                                        const Qcow2BitmapInfo *bitmap, GError **errp)
{
    g_autoptr(DirtyBitmap) bits = bdrv_co_get_bitmap(src, bitmap->name, errp);
    BdrvBitmapChange change = {
        .action = BDRV_BITMAP_ADD,
        .name = bitmap->name,
        .granularity = bitmap->granularity,
        .source = bits,
        .source_bytes = bdrv_length(src),
    };

    if (!bits || bdrv_co_change_bitmap(target, &change, errp) < 0) {
        return false;
    }
    change.action = BDRV_BITMAP_MERGE;
    if (bdrv_co_change_bitmap(target, &change, errp) < 0) {
        return false;
    }
    change.action = BDRV_BITMAP_DISABLE;
    return has_flag(bitmap, QCOW2_BITMAP_INFO_FLAGS_AUTO) ||
           bdrv_co_change_bitmap(target, &change, errp) >= 0;
}

bool coroutine_fn convert_co_copy_bitmaps(BlockDriverState *src, BlockDriverState *target)
{
    g_autoptr(ImageInfo) info = NULL;
    GError *error = NULL;

    if (!co_info(src, &info)) {
        return false;
    }
    const GPtrArray *bitmaps = bitmaps_of(info);
    for (guint i = 0; bitmaps && i < bitmaps->len; i++) {
        const Qcow2BitmapInfo *bitmap = g_ptr_array_index(bitmaps, i);
        if (!is_broken(bitmap) && !co_copy_bitmap(src, target, bitmap, &error)) {
            g_prefix_error(&error, "Failed to populate bitmap %s: ", bitmap->name);
            report_gerror(error);
            return false;
        }
    }
    return true;
}
