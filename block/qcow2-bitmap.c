/*
 * The directory of persistent bitmaps.
 */
#include "qcow2.h"

#include "util/byte-reader.h"

void qcow2_bitmap_free(Qcow2Bitmap *bitmap)
{
    if (bitmap) {
        g_free(bitmap->name);
        g_free(bitmap);
    }
}

static const char *check_entry(const Qcow2DiskBitmap *disk)
{
    uint16_t name_bytes = be16_get(disk->name_size);

    if (be32_get(disk->flags) & ~(uint32_t)QCOW2_BITMAP_KNOWN_FLAGS) {
        return "reserved flags are set";
    }
    if (disk->type != QCOW2_BITMAP_TYPE_DIRTY) {
        return "its type is not that of a dirty tracking bitmap";
    }
    if (disk->granularity_bits < QCOW2_BITMAP_MIN_GRANULARITY_BITS ||
        disk->granularity_bits > QCOW2_BITMAP_MAX_GRANULARITY_BITS) {
        return "its granularity is not 512 bytes to 2 GiB";
    }
    if (name_bytes == 0 || name_bytes > QCOW2_MAX_BITMAP_NAME) {
        return "its name is not 1 to 1023 bytes long";
    }
    return NULL;
}

static bool parse_entry(BlockDriverState *bs, ByteReader *r, GPtrArray *bitmaps,
                        GError **errp)
{
    const void *p = byte_reader_take(r, sizeof(Qcow2DiskBitmap));
    Qcow2DiskBitmap disk;
    const char *reason = "it reaches past the end of the directory";

    if (p) {
        memcpy(&disk, p, sizeof(disk));
        reason = check_entry(&disk);
    }
    if (!reason) {
        byte_reader_take(r, be32_get(disk.extra_data_size));
        const char *name = byte_reader_take(r, be16_get(disk.name_size));
        if (name) {
            Qcow2Bitmap *bitmap = g_new0(Qcow2Bitmap, 1);
            bitmap->name = g_strndup(name, be16_get(disk.name_size));
            bitmap->table_offset = be64_get(disk.table_offset);
            bitmap->table_size = be32_get(disk.table_size);
            bitmap->flags = be32_get(disk.flags);
            bitmap->granularity_bits = disk.granularity_bits;
            g_ptr_array_add(bitmaps, bitmap);
            return byte_reader_seek(r, MIN(round_up_pow2(r->pos, 8), r->size));
        }
        reason = "it reaches past the end of the directory";
    }
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT, "%s: bitmap directory entry %u: %s",
                bdrv_filename(bs), bitmaps->len, reason);
    return false;
}

GPtrArray *coroutine_fn qcow2_co_read_bitmaps(BlockDriverState *bs, GError **errp)
{
    Qcow2State *s = bs->opaque;
    g_autoptr(GPtrArray) bitmaps =
        g_ptr_array_new_with_free_func((GDestroyNotify)qcow2_bitmap_free);

    if (s->header.nb_bitmaps == 0) {
        return g_steal_pointer(&bitmaps);
    }
    g_autofree uint8_t *buf = g_malloc(s->header.bitmap_directory_bytes);
    int ret = bdrv_co_pread(bs->file, s->header.bitmap_directory_offset,
                            s->header.bitmap_directory_bytes, buf, BDRV_REQ_NONE);
    if (ret < 0) {
        error_set_errno(errp, -ret, "%s: cannot read the bitmap directory",
                        bdrv_filename(bs));
        return NULL;
    }
    ByteReader r;
    byte_reader_init(&r, buf, s->header.bitmap_directory_bytes);
    while (bitmaps->len < s->header.nb_bitmaps) {
        if (!parse_entry(bs, &r, bitmaps, errp)) {
            return NULL;
        }
    }
    return g_steal_pointer(&bitmaps);
}
