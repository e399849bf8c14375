/*
 * What `info` says of a qcow2 image.
 */
#include "qcow2.h"

#include "qapi/qapi-types.h"

#define NSEC_PER_SEC UINT64_C(1000000000)

static GPtrArray *coroutine_fn co_snapshot_list(BlockDriverState *bs, GError **errp)
{
    g_autoptr(GPtrArray) snapshots = qcow2_co_read_snapshots(bs, NULL, errp);
    if (!snapshots) {
        return NULL;
    }
    GPtrArray *list = snapshot_info_list_new();
    for (unsigned i = 0; i < snapshots->len; i++) {
        const Qcow2Snapshot *snapshot = snapshots->pdata[i];
        SnapshotInfo *info = snapshot_info_new0();
        info->id = g_strdup(snapshot->id);
        info->name = g_strdup(snapshot->name);
        info->vm_state_size = snapshot->vm_state_size;
        info->date_sec = snapshot->date_sec;
        info->date_nsec = snapshot->date_nsec;
        info->vm_clock_sec = snapshot->vm_clock_nsec / NSEC_PER_SEC;
        info->vm_clock_nsec = snapshot->vm_clock_nsec % NSEC_PER_SEC;
        info->has_icount = snapshot->has_icount;
        info->icount = snapshot->icount;
        g_ptr_array_add(list, info);
    }
    return list;
}

static void add_flag(GArray *flags, Qcow2BitmapInfoFlags flag)
{
    g_array_append_val(flags, flag);
}

static GPtrArray *coroutine_fn co_bitmap_list(BlockDriverState *bs, GError **errp)
{
    g_autoptr(GPtrArray) bitmaps = qcow2_co_read_bitmaps(bs, errp);
    if (!bitmaps) {
        return NULL;
    }
    GPtrArray *list = qcow2_bitmap_info_list_new();
    for (unsigned i = 0; i < bitmaps->len; i++) {
        const Qcow2Bitmap *bitmap = bitmaps->pdata[i];
        Qcow2BitmapInfo *info = qcow2_bitmap_info_new0();
        info->name = g_strdup(bitmap->name);
        info->granularity = UINT32_C(1) << bitmap->granularity_bits;
        info->flags = g_array_new(FALSE, FALSE, sizeof(Qcow2BitmapInfoFlags));
        if (bitmap->flags & QCOW2_BITMAP_IN_USE) {
            add_flag(info->flags, QCOW2_BITMAP_INFO_FLAGS_IN_USE);
        }
        if (bitmap->flags & QCOW2_BITMAP_AUTO) {
            add_flag(info->flags, QCOW2_BITMAP_INFO_FLAGS_AUTO);
        }
        g_ptr_array_add(list, info);
    }
    return list;
}

/* What only version 3 has. */
static bool coroutine_fn co_add_v3_info(BlockDriverState *bs, ImageInfoSpecificQCow2 *info,
                                        GError **errp)
{
    Qcow2State *s = bs->opaque;
    const Qcow2Header *h = &s->header;

    info->has_lazy_refcounts = true;
    info->lazy_refcounts = h->compatible_features & QCOW2_COMPAT_LAZY_REFCOUNTS;
    info->has_corrupt = true;
    info->corrupt = h->incompatible_features & QCOW2_INCOMPAT_CORRUPT;
    info->has_extended_l2 = true;
    info->extended_l2 = qcow2_has_extended_l2(s);
    if (qcow2_has_data_file(s)) {
        info->data_file = g_strdup(h->data_file);
        info->has_data_file_raw = true;
        info->data_file_raw = h->autoclear_features & QCOW2_AUTOCLEAR_DATA_FILE_RAW;
    }
    if (h->nb_bitmaps) {
        info->bitmaps = co_bitmap_list(bs, errp);
        return info->bitmaps != NULL;
    }
    return true;
}

int coroutine_fn qcow2_co_get_info(BlockDriverState *bs, ImageInfo *info, GError **errp)
{
    Qcow2State *s = bs->opaque;
    const Qcow2Header *h = &s->header;

    info->has_cluster_size = true;
    info->cluster_size = s->cluster_bytes;
    info->has_dirty_flag = true;
    info->dirty_flag = h->incompatible_features & QCOW2_INCOMPAT_DIRTY;
    if (h->nb_snapshots) {
        info->snapshots = co_snapshot_list(bs, errp);
        if (!info->snapshots) {
            return -EINVAL;
        }
    }

    ImageInfoSpecificQCow2 *own = image_info_specific_qcow2_new0();
    info->format_specific = image_info_specific_new0();
    info->format_specific->type = IMAGE_INFO_SPECIFIC_KIND_QCOW2;
    info->format_specific->u.qcow2.data = own;
    own->compat = g_strdup(h->version >= 3 ? "1.1" : "0.10");
    own->refcount_bits = INT64_C(1) << h->refcount_order;
    own->compression_type = h->compression == QCOW2_COMPRESSION_ZSTD
                                ? QCOW2_COMPRESSION_TYPE_ZSTD
                                : QCOW2_COMPRESSION_TYPE_ZLIB;
    return h->version < 3 || co_add_v3_info(bs, own, errp) ? 0 : -EINVAL;
}
