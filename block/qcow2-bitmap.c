/*
 * Persistent bitmaps: the directory, and loading one.
 */
#include "qcow2-writer.h"

#include <errno.h>

#include "util/byte-reader.h"
#include "util/text.h"

void qcow2_bitmap_free(Qcow2Bitmap *bitmap)
{
    if (bitmap) {
        g_free(bitmap->name);
        g_clear_pointer(&bitmap->extra, g_bytes_unref);
        dirty_bitmap_free(bitmap->bits);
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
    Qcow2State *s = bs->opaque;
    uint64_t at = s->header.bitmap_directory_offset + r->pos;
    const void *p = byte_reader_take(r, sizeof(Qcow2DiskBitmap));
    Qcow2DiskBitmap disk;
    const char *reason = "it reaches past the end of the directory";

    if (p) {
        memcpy(&disk, p, sizeof(disk));
        reason = check_entry(&disk);
    }
    if (!reason) {
        uint32_t extra_bytes = be32_get(disk.extra_data_size);
        const void *extra = byte_reader_take(r, extra_bytes);
        const char *name = byte_reader_take(r, be16_get(disk.name_size));
        if (name) {
            Qcow2Bitmap *bitmap = g_new0(Qcow2Bitmap, 1);
            bitmap->name = g_strndup(name, be16_get(disk.name_size));
            bitmap->table_offset = be64_get(disk.table_offset);
            bitmap->table_size = be32_get(disk.table_size);
            bitmap->flags = be32_get(disk.flags);
            bitmap->granularity_bits = disk.granularity_bits;
            bitmap->extra = extra_bytes ? g_bytes_new(extra, extra_bytes) : NULL;
            bitmap->flags_offset = at + offsetof(Qcow2DiskBitmap, flags);
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

Qcow2Bitmap *qcow2_find_bitmap(const GPtrArray *bitmaps, const char *name)
{
    for (unsigned i = 0; i < bitmaps->len; i++) {
        Qcow2Bitmap *bitmap = bitmaps->pdata[i];
        if (g_str_equal(bitmap->name, name)) {
            return bitmap;
        }
    }
    return NULL;
}

bool qcow2_bitmap_is_usable(const Qcow2Bitmap *bitmap)
{
    return !(bitmap->flags & QCOW2_BITMAP_IN_USE) &&
           (!bitmap->extra || (bitmap->flags & QCOW2_BITMAP_EXTRA_COMPATIBLE));
}

Qcow2Bitmap *qcow2_require_bitmap(const GPtrArray *bitmaps, const char *name, GError **errp)
{
    Qcow2Bitmap *bitmap = qcow2_find_bitmap(bitmaps, name);

    if (!bitmap) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND, "Dirty bitmap '%s' not found", name);
    } else if (!qcow2_bitmap_is_usable(bitmap)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_ADVICE,
                    "Bitmap '%s' is inconsistent and cannot be used\n"
                    "Try block-dirty-bitmap-remove to delete this bitmap from disk", name);
        return NULL;
    }
    return bitmap;
}

uint64_t qcow2_bitmap_table_size(const Qcow2State *s, const DirtyBitmap *bits)
{
    return div_round_up(div_round_up(dirty_bitmap_bits(bits), 8), s->cluster_bytes);
}

static bool G_GNUC_PRINTF(4, 5) refuse(BlockDriverState *bs, const Qcow2Bitmap *bitmap,
                                       GError **errp, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_autofree char *name = text_printable(bitmap->name, TEXT_ESCAPED);
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT, "%s: bitmap '%s': %s", bdrv_filename(bs),
                name, text);
    return false;
}

/* The part of the bitmap that an entry of the table is for. */
static bool coroutine_fn co_load_part(BlockDriverState *bs, const Qcow2Bitmap *bitmap,
                                      DirtyBitmap *bits, uint32_t index, uint64_t entry,
                                      uint8_t *buf, GError **errp)
{
    Qcow2State *s = bs->opaque;
    uint64_t offset = entry & QCOW2_OFFSET_MASK;

    if ((entry & QCOW2_BITMAP_TABLE_RESERVED) || (offset & (s->cluster_bytes - 1)) ||
        (offset && (entry & 1)) || !range_fits(offset, s->cluster_bytes,
                                               bdrv_length(bs->file) + s->cluster_bytes - 1)) {
        return refuse(bs, bitmap, errp, "table entry %" PRIu32 " (0x%016" PRIx64 ") is no place "
                      "of a cluster", index, entry);
    }
    if (!entry) {
        return true;
    }
    if (!offset) {
        memset(buf, 0xff, s->cluster_bytes);
    } else {
        int ret = bdrv_co_pread(bs->file, offset, s->cluster_bytes, buf, BDRV_REQ_NONE);
        if (ret < 0) {
            error_set_errno(errp, -ret, "%s: bitmap '%s': cannot read the cluster at offset 0x%"
                            PRIx64, bdrv_filename(bs), bitmap->name, offset);
            return false;
        }
    }
    dirty_bitmap_add_bytes(bits, (uint64_t)index * s->cluster_bytes, s->cluster_bytes, buf);
    return true;
}

bool coroutine_fn qcow2_co_load_bits(BlockDriverState *bs, Qcow2Bitmap *bitmap, GError **errp)
{
    Qcow2State *s = bs->opaque;

    if (bitmap->bits) {
        return true;
    }
    g_autoptr(DirtyBitmap) bits = dirty_bitmap_new(s->header.size, bitmap->granularity_bits);
    if (!bits) {
        return refuse(bs, bitmap, errp, "more than %" PRIu64 " bits are not supported",
                      DIRTY_BITMAP_MAX_BITS);
    }
    uint64_t needed = qcow2_bitmap_table_size(s, bits);
    if (bitmap->table_size != needed) {
        return refuse(bs, bitmap, errp, "its table has %" PRIu32 " entries, expected %" PRIu64,
                      bitmap->table_size, needed);
    }
    g_autofree uint64_t *table =
        qcow2_co_read_table(bs, bitmap->table_offset, needed, "bitmap table", errp);
    g_autofree uint8_t *buf = g_malloc(s->cluster_bytes);
    for (uint32_t i = 0; table && i < needed; i++) {
        if (!co_load_part(bs, bitmap, bits, i, table[i], buf, errp)) {
            return false;
        }
    }
    bitmap->bits = table ? g_steal_pointer(&bits) : NULL;
    return bitmap->bits != NULL;
}

int coroutine_fn qcow2_co_get_bitmap(BlockDriverState *bs, const char *name,
                                     DirtyBitmap **bits, GError **errp)
{
    Qcow2State *s = bs->opaque;
    g_autoptr(GPtrArray) read = s->writer ? NULL : qcow2_co_read_bitmaps(bs, errp);
    GPtrArray *bitmaps = s->writer ? qcow2_writer_bitmaps(s) : read;

    if (!bitmaps) {
        return -EINVAL;
    }
    Qcow2Bitmap *bitmap = qcow2_require_bitmap(bitmaps, name, errp);
    if (!bitmap || !qcow2_co_load_bits(bs, bitmap, errp)) {
        return -EINVAL;
    }
    *bits = dirty_bitmap_new(s->header.size, bitmap->granularity_bits);
    dirty_bitmap_merge(*bits, bitmap->bits);
    return 0;
}
