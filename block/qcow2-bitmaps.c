/*
 * Persistent bitmaps of an image that is written to.
 *
 * Those that record writes are in memory while the image is open.  Before the first change
 * they are marked in the directory as being in use: a crash leaves them so, and nobody takes
 * them as true.  At the end new tables and a new directory are written, and one write of the
 * header puts them in the place of the old ones.
 */
#include "qcow2-writer.h"

#include <errno.h>

#include "util/text.h"

enum {
    GRANULARITY_DEFAULT_MIN = 4096,
    GRANULARITY_DEFAULT_MAX = 65536,
};

static bool records(const Qcow2Bitmap *bitmap)
{
    return bitmap->flags & QCOW2_BITMAP_AUTO;
}

int coroutine_fn qcow2_co_open_bitmaps(BlockDriverState *bs, GError **errp)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t bits = 0;

    w->bitmaps = qcow2_co_read_bitmaps(bs, errp);
    w->removed_bitmaps = g_ptr_array_new_with_free_func((GDestroyNotify)qcow2_bitmap_free);
    for (unsigned i = 0; w->bitmaps && i < w->bitmaps->len; i++) {
        Qcow2Bitmap *bitmap = w->bitmaps->pdata[i];
        if (!records(bitmap) || (bitmap->flags & QCOW2_BITMAP_IN_USE)) {
            continue;
        }
        w->bitmaps_to_mark = true;
        if (!qcow2_bitmap_is_usable(bitmap)) {
            continue;
        }
        bits += s->header.size >> bitmap->granularity_bits;
        if (bits > DIRTY_BITMAP_MAX_BITS) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                        "%s: bitmaps of more than %" PRIu64 " bits in all that record writes "
                        "are not supported", bdrv_filename(bs), DIRTY_BITMAP_MAX_BITS);
            return -EFBIG;
        }
        if (!qcow2_co_load_bits(bs, bitmap, errp)) {
            return -EINVAL;
        }
    }
    return w->bitmaps ? 0 : -EINVAL;
}

static int coroutine_fn co_mark(BlockDriverState *bs, Qcow2Bitmap *bitmap)
{
    Qcow2State *s = bs->opaque;
    be32_t flags = be32_make(bitmap->flags | QCOW2_BITMAP_IN_USE);

    int ret = bdrv_co_pwrite(bs->file, bitmap->flags_offset, sizeof(flags), &flags, 0);
    s->writer->unflushed = true;
    bitmap->marked = ret >= 0;
    return ret;
}

int coroutine_fn qcow2_co_mark_bitmaps(BlockDriverState *bs, bool all)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    int ret = 0;

    co_mutex_lock(&w->header_lock);
    for (unsigned i = 0; i < w->bitmaps->len && ret >= 0; i++) {
        Qcow2Bitmap *bitmap = w->bitmaps->pdata[i];
        if (bitmap->flags_offset && !bitmap->marked && (all || records(bitmap)) &&
            !(bitmap->flags & QCOW2_BITMAP_IN_USE)) {
            ret = co_mark(bs, bitmap);
            w->bitmaps_to_store = true;
        }
    }
    ret = ret < 0 ? ret : qcow2_co_barrier(bs);
    w->bitmaps_to_mark = w->bitmaps_to_mark && ret < 0;
    co_mutex_unlock(&w->header_lock);
    return ret;
}

void qcow2_record_dirty(BlockDriverState *bs, uint64_t offset, uint64_t bytes)
{
    Qcow2State *s = bs->opaque;
    GPtrArray *bitmaps = s->writer->bitmaps;

    for (unsigned i = 0; bitmaps && i < bitmaps->len; i++) {
        Qcow2Bitmap *bitmap = bitmaps->pdata[i];
        if (records(bitmap) && bitmap->bits) {
            dirty_bitmap_set(bitmap->bits, offset, bytes);
            bitmap->changed = true;
        }
    }
}

/* --- Storing --- */

/* What has been taken for the new ones, and what goes with the old ones. */
typedef struct Store {
    BlockDriverState *bs;
    GArray *taken, *old;            /* of Qcow2Free */
} Store;

static void add_range(GArray *ranges, const Qcow2State *s, uint64_t offset, uint64_t bytes)
{
    Qcow2Free f = { .offset = offset, .clusters = qcow2_clusters(s, bytes) };
    g_array_append_val(ranges, f);
}

static void free_ranges(BlockDriverState *bs, const GArray *ranges)
{
    Qcow2State *s = bs->opaque;

    for (unsigned i = 0; i < ranges->len; i++) {
        const Qcow2Free *f = &g_array_index(ranges, Qcow2Free, i);
        qcow2_free_later(bs, f->offset, f->clusters << s->header.cluster_bits);
    }
}

static int64_t coroutine_fn co_put(Store *store, const void *data, uint64_t bytes)
{
    BlockDriverState *bs = store->bs;
    Qcow2State *s = bs->opaque;
    int64_t offset = qcow2_co_alloc(bs, qcow2_clusters(s, bytes));

    if (offset < 0) {
        return offset;
    }
    add_range(store->taken, s, offset, bytes);
    int ret = bdrv_co_pwrite(bs->file, offset, bytes, data, BDRV_REQ_NONE);
    s->writer->unflushed = true;
    return ret < 0 ? ret : offset;
}

static bool is_all_ones(const uint8_t *buf, size_t bytes)
{
    return buf[0] == 0xff && memcmp(buf, buf + 1, bytes - 1) == 0;
}

static int coroutine_fn co_put_bits(Store *store, const DirtyBitmap *bits, uint64_t *table_offset,
                                    uint32_t *table_size)
{
    Qcow2State *s = store->bs->opaque;
    uint64_t n = qcow2_bitmap_table_size(s, bits);
    g_autofree be64_t *table = g_new0(be64_t, MAX(n, 1));
    g_autofree uint8_t *buf = g_malloc(s->cluster_bytes);

    for (uint64_t i = 0; i < n; i++) {
        int64_t entry = 0;
        dirty_bitmap_get_bytes(bits, i * s->cluster_bytes, s->cluster_bytes, buf);
        if (is_all_ones(buf, s->cluster_bytes)) {
            entry = 1;
        } else if (!buffer_is_zero(buf, s->cluster_bytes)) {
            entry = co_put(store, buf, s->cluster_bytes);
        }
        if (entry < 0) {
            return entry;
        }
        table[i] = be64_make(entry);
    }
    int64_t offset = co_put(store, table, n * sizeof(*table));
    *table_offset = MAX(offset, 0);
    *table_size = n;
    return MIN(offset, 0);
}

/* The clusters of a bitmap as it is in the file.  What cannot be read there is left to
 * `check`. */
static void coroutine_fn co_note_old(Store *store, const Qcow2Bitmap *bitmap)
{
    BlockDriverState *bs = store->bs;
    Qcow2State *s = bs->opaque;

    if (!bitmap->table_size || !bitmap->flags_offset) {
        return;
    }
    g_autofree uint64_t *table = qcow2_co_read_table(bs, bitmap->table_offset,
                                                     bitmap->table_size, "bitmap table", NULL);
    for (uint32_t i = 0; table && i < bitmap->table_size; i++) {
        uint64_t offset = table[i] & QCOW2_OFFSET_MASK;
        if (offset && !(offset & (s->cluster_bytes - 1))) {
            add_range(store->old, s, offset, s->cluster_bytes);
        }
    }
    if (table) {
        add_range(store->old, s, bitmap->table_offset, (uint64_t)bitmap->table_size * 8);
    }
}

static int coroutine_fn co_add_entry(Store *store, const Qcow2Bitmap *bitmap, GByteArray *out)
{
    static const uint8_t zeroes[8];
    gsize extra_bytes = 0;
    const uint8_t *extra = bitmap->extra ? g_bytes_get_data(bitmap->extra, &extra_bytes) : NULL;
    bool true_now = qcow2_bitmap_is_usable(bitmap);
    uint64_t table_offset = bitmap->table_offset;
    uint32_t table_size = bitmap->table_size;

    if (bitmap->changed) {
        co_note_old(store, bitmap);
        int ret = co_put_bits(store, bitmap->bits, &table_offset, &table_size);
        if (ret < 0) {
            return ret;
        }
    }
    Qcow2DiskBitmap disk = {
        .table_offset = be64_make(table_offset),
        .table_size = be32_make(table_size),
        .flags = be32_make(bitmap->flags |
                           (bitmap->marked && !true_now ? QCOW2_BITMAP_IN_USE : 0)),
        .type = QCOW2_BITMAP_TYPE_DIRTY,
        .granularity_bits = bitmap->granularity_bits,
        .name_size = be16_make(strlen(bitmap->name)),
        .extra_data_size = be32_make(extra_bytes),
    };
    g_byte_array_append(out, (const uint8_t *)&disk, sizeof(disk));
    if (extra_bytes) {
        g_byte_array_append(out, extra, extra_bytes);
    }
    g_byte_array_append(out, (const uint8_t *)bitmap->name, strlen(bitmap->name));
    g_byte_array_append(out, zeroes, round_up_pow2(out->len, 8) - out->len);
    return 0;
}

static int coroutine_fn co_put_directory(Store *store, GByteArray *directory, int64_t *offset)
{
    Qcow2State *s = store->bs->opaque;
    Qcow2Writer *w = s->writer;
    int ret = 0;

    for (unsigned i = 0; i < w->bitmaps->len && ret >= 0; i++) {
        ret = co_add_entry(store, w->bitmaps->pdata[i], directory);
        if (directory->len > QCOW2_MAX_BITMAP_DIRECTORY_BYTES) {
            ret = -EFBIG;
        }
    }
    *offset = ret >= 0 && directory->len ? co_put(store, directory->data, directory->len) : 0;
    return ret < 0 ? ret : MIN(*offset, 0);
}

static int coroutine_fn co_store(Store *store)
{
    BlockDriverState *bs = store->bs;
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    const Qcow2Header *old = &s->header;
    g_autoptr(GByteArray) directory = g_byte_array_new();
    g_auto(Qcow2Header) header = { 0 };
    int64_t offset;

    for (unsigned i = 0; i < w->removed_bitmaps->len; i++) {
        co_note_old(store, w->removed_bitmaps->pdata[i]);
    }
    if (old->nb_bitmaps) {
        add_range(store->old, s, old->bitmap_directory_offset, old->bitmap_directory_bytes);
    }
    int ret = co_put_directory(store, directory, &offset);
    ret = ret < 0 ? ret : qcow2_co_write_all(bs);
    if (ret < 0) {
        return ret;
    }
    qcow2_header_copy(&header, old);
    header.nb_bitmaps = w->bitmaps->len;
    header.bitmap_directory_offset = offset;
    header.bitmap_directory_bytes = directory->len;
    header.autoclear_features &= ~(uint64_t)QCOW2_AUTOCLEAR_BITMAPS;
    header.autoclear_features |= header.nb_bitmaps ? QCOW2_AUTOCLEAR_BITMAPS : 0;
    return qcow2_co_replace_header(bs, &header);
}

int coroutine_fn qcow2_co_store_bitmaps(BlockDriverState *bs, GError **errp)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    g_autoptr(GArray) taken = g_array_new(FALSE, FALSE, sizeof(Qcow2Free));
    g_autoptr(GArray) old = g_array_new(FALSE, FALSE, sizeof(Qcow2Free));
    Store store = { bs, taken, old };
    uint64_t directory = s->header.bitmap_directory_offset;
    bool to_store = w->bitmaps_to_store;

    for (unsigned i = 0; w->bitmaps && i < w->bitmaps->len; i++) {
        to_store = to_store || ((Qcow2Bitmap *)w->bitmaps->pdata[i])->changed;
    }
    if (!to_store) {
        return 0;
    }
    int ret = co_store(&store);
    bool in_force = ret >= 0 || s->header.bitmap_directory_offset != directory;
    free_ranges(bs, in_force ? old : taken);
    if (ret < 0) {
        qcow2_fail(bs, ret, "the bitmaps cannot be stored", errp);
    }
    return ret;
}

/* --- Other sizes --- */

int coroutine_fn qcow2_co_prepare_bitmap_resize(BlockDriverState *bs, uint64_t size,
                                                GError **errp)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    for (unsigned i = 0; w->bitmaps && i < w->bitmaps->len; i++) {
        Qcow2Bitmap *bitmap = w->bitmaps->pdata[i];
        if (!qcow2_require_bitmap(w->bitmaps, bitmap->name, errp) ||
            !qcow2_co_load_bits(bs, bitmap, errp)) {
            return -ENOTSUP;
        }
        if (!size || size >> bitmap->granularity_bits >= DIRTY_BITMAP_MAX_BITS) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                        "%s: the bitmap '%s' cannot be that of a disk of %" PRIu64 " bytes",
                        bdrv_filename(bs), bitmap->name, size);
            return -ENOTSUP;
        }
    }
    int ret = w->bitmaps && w->bitmaps->len ? qcow2_co_mark_bitmaps(bs, true) : 0;
    return ret < 0 ? qcow2_fail(bs, ret, "cannot write the bitmap directory", errp) : 0;
}

void qcow2_resize_bitmaps(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    GPtrArray *bitmaps = s->writer->bitmaps;

    for (unsigned i = 0; bitmaps && i < bitmaps->len; i++) {
        Qcow2Bitmap *bitmap = bitmaps->pdata[i];
        dirty_bitmap_resize(bitmap->bits, s->header.size);
        bitmap->changed = true;
    }
}

/* --- Changes --- */

static int G_GNUC_PRINTF(2, 3) refuse(GError **errp, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "%s", text);
    return -EINVAL;
}

static uint64_t default_granularity(const Qcow2State *s)
{
    return CLAMP(s->cluster_bytes, GRANULARITY_DEFAULT_MIN, GRANULARITY_DEFAULT_MAX);
}

static int add_bitmap(BlockDriverState *bs, const BdrvBitmapChange *change, GError **errp)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t granularity = change->granularity ? change->granularity : default_granularity(s);
    size_t name_bytes = strlen(change->name);

    if (!name_bytes) {
        return refuse(errp, "Bitmap name cannot be empty");
    }
    if (s->header.version < 3) {
        return refuse(errp, "Can't make bitmap '%s' persistent in '%s': Cannot store dirty "
                      "bitmaps in qcow2 v2 files", change->name, bdrv_filename(bs));
    }
    if (name_bytes > QCOW2_MAX_BITMAP_NAME) {
        return refuse(errp, "Can't make bitmap '%s' persistent in '%s': Name length exceeds "
                      "maximum (%d characters)", change->name, bdrv_filename(bs),
                      QCOW2_MAX_BITMAP_NAME);
    }
    if (qcow2_find_bitmap(w->bitmaps, change->name)) {
        return refuse(errp, "Bitmap already exists: %s", change->name);
    }
    if (!is_pow2(granularity) || granularity < 1 << QCOW2_BITMAP_MIN_GRANULARITY_BITS ||
        granularity > UINT64_C(1) << QCOW2_BITMAP_MAX_GRANULARITY_BITS) {
        return refuse(errp, "Granularity must be power of 2 and at least 512");
    }
    if (w->bitmaps->len >= QCOW2_MAX_BITMAPS) {
        return refuse(errp, "there cannot be more than %d bitmaps", QCOW2_MAX_BITMAPS);
    }
    DirtyBitmap *bits = dirty_bitmap_new(s->header.size, __builtin_ctzll(granularity));
    if (!bits || !s->header.size) {
        dirty_bitmap_free(bits);
        return refuse(errp, "a bitmap of that granularity cannot be that of a disk of %" PRIu64
                      " bytes", s->header.size);
    }
    Qcow2Bitmap *bitmap = g_new0(Qcow2Bitmap, 1);
    bitmap->name = g_strdup(change->name);
    bitmap->flags = QCOW2_BITMAP_AUTO;
    bitmap->granularity_bits = __builtin_ctzll(granularity);
    bitmap->bits = bits;
    bitmap->changed = true;
    g_ptr_array_add(w->bitmaps, bitmap);
    return 0;
}

static int remove_bitmap(BlockDriverState *bs, const char *name, GError **errp)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    unsigned index;
    Qcow2Bitmap *bitmap = qcow2_find_bitmap(w->bitmaps, name);

    if (!bitmap || !g_ptr_array_find(w->bitmaps, bitmap, &index)) {
        return refuse(errp, "Dirty bitmap '%s' not found", name);
    }
    g_ptr_array_add(w->removed_bitmaps, g_ptr_array_steal_index(w->bitmaps, index));
    return 0;
}

static int merge_bitmap(BlockDriverState *bs, Qcow2Bitmap *bitmap,
                        const BdrvBitmapChange *change, GError **errp)
{
    if (change->source_bytes != bs->total_bytes) {
        return refuse(errp, "Bitmaps are of different sizes (destination size is %" PRId64
                      ", source size is %" PRId64 ") and can't be merged", bs->total_bytes,
                      change->source_bytes);
    }
    dirty_bitmap_merge(bitmap->bits, change->source);
    bitmap->changed = true;
    return 0;
}

static int coroutine_fn co_change_existing(BlockDriverState *bs, const BdrvBitmapChange *change,
                                           GError **errp)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    Qcow2Bitmap *bitmap = qcow2_require_bitmap(w->bitmaps, change->name, errp);

    if (!bitmap || !qcow2_co_load_bits(bs, bitmap, errp)) {
        return -EINVAL;
    }
    switch (change->action) {
    case BDRV_BITMAP_CLEAR:
        dirty_bitmap_clear(bitmap->bits);
        bitmap->changed = true;
        return 0;
    case BDRV_BITMAP_ENABLE:
        bitmap->flags |= QCOW2_BITMAP_AUTO;
        w->bitmaps_to_mark = true;
        return 0;
    case BDRV_BITMAP_DISABLE:
        bitmap->flags &= ~(uint32_t)QCOW2_BITMAP_AUTO;
        return 0;
    case BDRV_BITMAP_MERGE:
        return merge_bitmap(bs, bitmap, change, errp);
    default:
        return refuse(errp, "no such action");
    }
}

int coroutine_fn qcow2_co_change_bitmap(BlockDriverState *bs, const BdrvBitmapChange *change,
                                        GError **errp)
{
    Qcow2State *s = bs->opaque;
    int ret;

    if (!s->writer->bitmaps) {
        return refuse(errp, "bitmaps cannot be changed while an image is repaired");
    }
    switch (change->action) {
    case BDRV_BITMAP_ADD:
        ret = add_bitmap(bs, change, errp);
        break;
    case BDRV_BITMAP_REMOVE:
        ret = remove_bitmap(bs, change->name, errp);
        break;
    default:
        ret = co_change_existing(bs, change, errp);
    }
    s->writer->bitmaps_to_store = s->writer->bitmaps_to_store || ret >= 0;
    return ret;
}
