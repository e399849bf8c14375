/*
 * How large new images get.
 */
#include <errno.h>
#include "qcow2-writer.h"

#include "qapi/qapi-visit.h"

/* Clusters that count n others, and themselves: refcount blocks and table. */
static uint64_t refcount_clusters(const Qcow2NewImage *image, uint64_t n)
{
    uint64_t cluster = UINT64_C(1) << image->cluster_bits;
    uint64_t counts = cluster * 8 >> image->refcount_order;
    uint64_t clusters = 0, before;

    do {
        uint64_t blocks = div_round_up(n + clusters, counts);
        before = clusters;
        clusters = blocks + div_round_up(blocks * 8, cluster);
    } while (clusters != before);
    return clusters;
}

/* Bytes of an image of which all is allocated; 0: it is too large. */
static uint64_t full_bytes(const Qcow2NewImage *image)
{
    bool extended = image->o->has_extended_l2 && image->o->extended_l2;
    uint64_t cluster = UINT64_C(1) << image->cluster_bits;
    uint64_t data = div_round_up(image->size, cluster);
    uint64_t l2_tables = div_round_up(data, cluster / (extended ? 16 : 8));
    uint64_t l1_clusters = div_round_up(l2_tables * 8, cluster);

    if (l1_clusters * cluster > QCOW2_MAX_L1_BYTES) {
        return 0;
    }
    uint64_t clusters = 1 + l1_clusters + l2_tables + data;
    return (clusters + refcount_clusters(image, clusters)) * cluster;
}

/* Bytes of the clusters that hold data of src. */
static int64_t coroutine_fn co_data_bytes(BlockDriverState *src, uint64_t cluster)
{
    int64_t end = bdrv_length(src), sum = 0, counted = 0, n;

    for (int64_t offset = 0; offset < end; offset += n) {
        int ret = bdrv_co_block_status_above(src, NULL, offset, end - offset, &n, NULL, NULL,
                                             NULL);
        if (ret < 0 || n <= 0) {
            return ret < 0 ? ret : -EIO;
        }
        if ((ret & BDRV_BLOCK_ZERO) || !(ret & BDRV_BLOCK_DATA)) {
            continue;
        }
        int64_t first = MAX(counted, (int64_t)round_down_pow2(offset, cluster));
        counted = round_up_pow2(offset + n, cluster);
        sum += counted - first;
    }
    return sum;
}

/* What copies of the bitmaps of src take, in clusters of the new image; those that were not
 * saved are not copied. */
static int64_t bitmap_bytes(const ImageInfo *info, uint64_t cluster)
{
    const GPtrArray *bitmaps = info->format_specific->u.qcow2.data->bitmaps;
    uint64_t bytes = 0, directory = 0;

    for (guint i = 0; bitmaps && i < bitmaps->len; i++) {
        const Qcow2BitmapInfo *bitmap = g_ptr_array_index(bitmaps, i);
        bool in_use = false;
        for (guint j = 0; j < bitmap->flags->len; j++) {
            in_use = in_use || g_array_index(bitmap->flags, Qcow2BitmapInfoFlags, j) ==
                                   QCOW2_BITMAP_INFO_FLAGS_IN_USE;
        }
        if (in_use) {
            continue;
        }
        uint64_t bits = div_round_up(info->virtual_size, bitmap->granularity);
        uint64_t clusters = div_round_up(div_round_up(bits, 8), cluster);
        bytes += clusters * cluster + round_up_pow2(clusters * 8, cluster);
        directory += round_up_pow2(sizeof(Qcow2DiskBitmap) + strlen(bitmap->name), 8);
    }
    return bytes + round_up_pow2(directory, cluster);
}

static bool coroutine_fn co_measure_bitmaps(const Qcow2NewImage *image, BlockDriverState *src,
                                            BlockMeasureInfo *info, GError **errp)
{
    g_autoptr(ImageInfo) src_info = src ? bdrv_co_image_info(src, errp) : NULL;

    if (src && !src_info) {
        return false;
    }
    info->has_bitmaps = src && image->version >= 3 && src_info->format_specific &&
                        src_info->format_specific->type == IMAGE_INFO_SPECIFIC_KIND_QCOW2;
    if (info->has_bitmaps) {
        info->bitmaps = bitmap_bytes(src_info, UINT64_C(1) << image->cluster_bits);
    }
    return true;
}

int coroutine_fn qcow2_co_measure(BlockDriverState *src, int64_t length, const char *keyval,
                                  BlockMeasureInfo *info, GError **errp)
{
    g_autoptr(BlockdevCreateOptionsQcow2) options =
        blockdev_create_options_qcow2_from_keyval(keyval ? keyval : "", NULL, errp);
    Qcow2NewImage image = { .o = options };

    if (!options || !qcow2_new_image_parse(&image, length, errp)) {
        return -EINVAL;
    }
    uint64_t cluster = UINT64_C(1) << image.cluster_bits;
    uint64_t full = full_bytes(&image);
    if (full == 0) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "The image size is too large (try using a larger cluster size)");
        return -EFBIG;
    }
    int64_t data = src ? co_data_bytes(src, cluster) : 0;
    if (data < 0) {
        GError *error = bdrv_take_error(src);
        if (error) {
            g_propagate_error(errp, error);
        } else {
            error_set_errno(errp, -data, "%s: Unable to get block status", bdrv_filename(src));
        }
        return data;
    }
    uint64_t all = round_up_pow2(image.size, cluster);
    bool whole = image.preallocation == PREALLOC_MODE_FALLOC ||
                 image.preallocation == PREALLOC_MODE_FULL ||
                 (src && options->backing_file);    /* how much of it is in both is not known */
    info->fully_allocated = full;
    info->required = whole ? full : full - all + data;
    return co_measure_bitmaps(&image, src, info, errp) ? 0 : -EIO;
}
