/*
 * A qcow2 image open for writing: from its first change to its last.
 */
#include "qcow2-writer.h"

enum {
    SECTOR_BYTES = 512,
    REFCOUNT_SLICE_BYTES = 16 << 10,
    REFCOUNT_CACHE_BYTES = 8 << 20,
    MAX_WAITING_FREES = 1 << 14,
};
#define MAX_WAITING_FREE_BYTES (256 * MiB)

uint64_t qcow2_file_end(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    uint64_t length = bdrv_length(bs->file);
    return s->writer ? MAX(length, s->writer->alloc_end) : length;
}

/* What a write of the header that failed may have left there is taken back. */
static int coroutine_fn co_settle(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    if (!w->header_before) {
        return 0;
    }
    int ret = bdrv_co_pwrite(bs->file, w->header_before_offset, w->header_before->len,
                             w->header_before->data, BDRV_REQ_NONE);
    w->unflushed = true;
    ret = ret < 0 ? ret : qcow2_co_barrier(bs);
    if (ret >= 0) {
        g_clear_pointer(&w->header_before, g_byte_array_unref);
    }
    return ret;
}

int coroutine_fn qcow2_co_settle_header(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    if (!w->header_before) {
        return 0;
    }
    co_mutex_lock(&w->header_lock);
    int ret = co_settle(bs);
    co_mutex_unlock(&w->header_lock);
    return ret;
}

/* With the lock.  If it fails, nobody knows which of the two is in the file. */
static int coroutine_fn co_write_header(BlockDriverState *bs, size_t offset, const void *data,
                                        size_t bytes)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    g_autoptr(GByteArray) before = g_byte_array_sized_new(bytes);

    g_byte_array_set_size(before, bytes);
    int ret = co_settle(bs);
    ret = ret < 0 ? ret : qcow2_co_barrier(bs);
    ret = ret < 0 ? ret : bdrv_co_pread(bs->file, offset, bytes, before->data, BDRV_REQ_NONE);
    if (ret < 0) {
        return ret;
    }
    ret = bdrv_co_pwrite(bs->file, offset, bytes, data, BDRV_REQ_NONE);
    w->unflushed = true;
    ret = ret < 0 ? ret : qcow2_co_barrier(bs);
    if (ret < 0) {
        w->header_before = g_steal_pointer(&before);
        w->header_before_offset = offset;
    }
    return ret;
}

int coroutine_fn qcow2_co_write_header(BlockDriverState *bs, size_t offset, const void *data,
                                       size_t bytes)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    co_mutex_lock(&w->header_lock);
    int ret = co_write_header(bs, offset, data, bytes);
    co_mutex_unlock(&w->header_lock);
    return ret;
}

int coroutine_fn qcow2_co_write_features(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    be64_t features[] = {
        be64_make(s->header.incompatible_features),
        be64_make(s->header.compatible_features),
        be64_make(s->header.autoclear_features),
    };

    if (s->header.version < 3) {
        return 0;
    }
    return qcow2_co_write_header(bs, offsetof(Qcow2DiskHeader, incompatible_features),
                                 features, sizeof(features));
}

int coroutine_fn qcow2_co_set_dirty_bit(BlockDriverState *bs, bool dirty)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t before = s->header.incompatible_features;

    if (s->header.version < 3 || dirty == w->dirty) {
        return 0;
    }
    if (dirty) {
        s->header.incompatible_features |= QCOW2_INCOMPAT_DIRTY;
    } else {
        s->header.incompatible_features &= ~(uint64_t)QCOW2_INCOMPAT_DIRTY;
    }
    int ret = qcow2_co_write_features(bs);
    if (ret < 0) {
        s->header.incompatible_features = before;
        return ret;
    }
    w->dirty = dirty;
    return 0;
}

void qcow2_found_corrupt(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;

    if (s->writer) {
        s->writer->corrupt = true;
    }
}

int qcow2_refuse(BlockDriverState *bs, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    qcow2_found_corrupt(bs);
    bdrv_note_error(bs, g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT,
                                    "%s: %s; the image is not written to any more",
                                    bdrv_filename(bs), text));
    return -EIO;
}

void coroutine_fn qcow2_co_mark_corrupt(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    if (!w || !w->corrupt || w->corrupt_marked) {
        return;
    }
    w->corrupt_marked = true;
    if (s->header.version >= 3) {
        s->header.incompatible_features |= QCOW2_INCOMPAT_CORRUPT;
        qcow2_co_write_features(bs);
    }
}

int qcow2_fail(BlockDriverState *bs, int ret, const char *what, GError **errp)
{
    GError *error = bdrv_take_error(bs);

    if (error) {
        g_propagate_prefixed_error(errp, error, "%s: ", what);
    } else {
        error_set_errno(errp, -ret, "%s: %s", bdrv_filename(bs), what);
    }
    return ret;
}

static bool touches(uint64_t offset, uint64_t bytes, uint64_t start, uint64_t length)
{
    return length && offset < start + length && offset + bytes > start;
}

const char *qcow2_metadata_at(BlockDriverState *bs, uint64_t offset, uint64_t bytes)
{
    Qcow2State *s = bs->opaque;
    const Qcow2Header *h = &s->header;

    if (offset < s->cluster_bytes) {
        return "header";
    }
    if (touches(offset, bytes, h->l1_table_offset, (uint64_t)h->l1_size * 8)) {
        return "L1 table";
    }
    if (touches(offset, bytes, h->refcount_table_offset,
                (uint64_t)h->refcount_table_clusters << h->cluster_bits)) {
        return "refcount table";
    }
    if (h->nb_snapshots && touches(offset, bytes, h->snapshots_offset, 1)) {
        return "snapshot table";
    }
    if (h->nb_bitmaps &&
        touches(offset, bytes, h->bitmap_directory_offset, h->bitmap_directory_bytes)) {
        return "bitmap directory";
    }
    for (uint64_t c = offset >> h->cluster_bits; c <= (offset + bytes - 1) >> h->cluster_bits;
         c++) {
        if (g_hash_table_contains(s->writer->tables, GSIZE_TO_POINTER(c))) {
            return "L2 table or refcount block";
        }
    }
    return NULL;
}

void qcow2_note_tables(Qcow2State *s)
{
    Qcow2Writer *w = s->writer;

    g_hash_table_remove_all(w->tables);
    for (uint64_t i = 0; i < s->l1_size; i++) {
        uint64_t cluster = (s->l1_table[i] & QCOW2_OFFSET_MASK) >> s->header.cluster_bits;
        if (cluster) {
            g_hash_table_add(w->tables, GSIZE_TO_POINTER(cluster));
        }
    }
    for (uint64_t i = 0; i < w->refcount_entries; i++) {
        uint64_t cluster = w->refcount_table[i] >> s->header.cluster_bits;
        if (cluster) {
            g_hash_table_add(w->tables, GSIZE_TO_POINTER(cluster));
        }
    }
}

static Qcow2Writer *new_writer(const Qcow2State *s)
{
    Qcow2Writer *w = g_new0(Qcow2Writer, 1);
    size_t slice = MIN(s->cluster_bytes, REFCOUNT_SLICE_BYTES);

    co_mutex_init(&w->alloc_lock);
    co_mutex_init(&w->refcount_write_lock);
    co_mutex_init(&w->checkpoint_lock);
    co_mutex_init(&w->barrier_lock);
    co_mutex_init(&w->table_lock);
    co_mutex_init(&w->header_lock);
    g_queue_init(&w->ranges);
    co_queue_init(&w->range_waiters);
    co_queue_init(&w->reader_waiters);
    w->block_bits = s->header.cluster_bits + 3 - s->header.refcount_order;
    w->refcounts = qcow2_cache_new(slice, REFCOUNT_CACHE_BYTES, BLKDEBUG_EVENT_REFBLOCK_LOAD,
                                   BLKDEBUG_EVENT_REFBLOCK_UPDATE_PART);
    w->tables = g_hash_table_new(NULL, NULL);
    w->frees = g_array_new(FALSE, FALSE, sizeof(Qcow2Free));
    w->l1_dirty = g_new0(bool, div_round_up((uint64_t)s->l1_size * 8, SECTOR_BYTES) + 1);
    w->lazy = s->header.compatible_features & QCOW2_COMPAT_LAZY_REFCOUNTS;
    w->dirty = s->header.incompatible_features & QCOW2_INCOMPAT_DIRTY;
    return w;
}

void qcow2_writer_free(Qcow2Writer *w)
{
    if (!w) {
        return;
    }
    qcow2_cache_free(w->refcounts);
    g_hash_table_unref(w->tables);
    g_clear_pointer(&w->header_before, g_byte_array_unref);
    g_clear_pointer(&w->bitmaps, g_ptr_array_unref);
    g_clear_pointer(&w->removed_bitmaps, g_ptr_array_unref);
    g_array_unref(w->frees);
    g_free(w->refcount_table);
    g_free(w->refcount_table_dirty);
    g_free(w->l1_dirty);
    g_free(w);
}

/* What others keep in the image, and this program does not know to keep right. */
static int coroutine_fn co_clear_unknown(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    uint64_t known = s->header.autoclear_features &
                     (QCOW2_AUTOCLEAR_BITMAPS | QCOW2_AUTOCLEAR_DATA_FILE_RAW);

    if (known == s->header.autoclear_features) {
        return 0;
    }
    s->header.autoclear_features = known;
    return qcow2_co_write_features(bs);
}

static int coroutine_fn co_repair_dirty(BlockDriverState *bs, GError **errp)
{
    Qcow2State *s = bs->opaque;
    g_autoptr(ImageCheck) check = image_check_new0();

    if (!s->writer->dirty || (bs->open_flags & BDRV_O_CHECK)) {
        return 0;
    }
    int ret = qcow2_co_check(bs, check, BDRV_CHECK_FIX_LEAKS | BDRV_CHECK_FIX_ERRORS, errp);
    g_clear_pointer(&bs->findings, g_ptr_array_unref);
    if (ret >= 0 && (check->corruptions || check->check_errors)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: the image was not closed properly, and cannot be repaired on opening",
                    bdrv_filename(bs));
        ret = -EIO;
    }
    return ret;
}

int coroutine_fn qcow2_co_reload_refcounts(BlockDriverState *bs, GError **errp)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t bytes = (uint64_t)s->header.refcount_table_clusters << s->header.cluster_bits;
    uint64_t *table = qcow2_co_read_table(bs, s->header.refcount_table_offset, bytes / 8,
                                          "refcount table", errp);

    if (!table) {
        return -EINVAL;
    }
    qcow2_cache_clear(w->refcounts);
    g_free(w->refcount_table);
    g_free(w->refcount_table_dirty);
    w->refcount_entries = bytes / 8;
    w->refcount_table = table;
    w->refcount_table_dirty = g_new0(bool, bytes / SECTOR_BYTES);
    w->alloc_end = round_up_pow2(bdrv_length(bs->file), s->cluster_bytes);
    w->free_hint = w->compressed_at = 0;
    qcow2_note_tables(s);
    return 0;
}

int coroutine_fn qcow2_co_writer_open(BlockDriverState *bs, GError **errp)
{
    Qcow2State *s = bs->opaque;

    if ((s->header.incompatible_features & QCOW2_INCOMPAT_CORRUPT) &&
        !(bs->open_flags & BDRV_O_CHECK)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: qcow2: Image is corrupt; cannot be opened read/write",
                    bdrv_filename(bs));
        return -EACCES;
    }
    s->writer = new_writer(s);
    int ret = bs->open_flags & BDRV_O_CHECK ? 0 : qcow2_co_open_bitmaps(bs, errp);
    ret = ret < 0 ? ret : qcow2_co_reload_refcounts(bs, errp);
    if (ret < 0) {
        return ret;
    }
    ret = co_clear_unknown(bs);
    if (ret < 0) {
        error_set_errno(errp, -ret, "%s: cannot write the header", bdrv_filename(bs));
        return ret;
    }
    return co_repair_dirty(bs, errp);
}

int coroutine_fn qcow2_co_begin_change(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    int ret = 0;

    if (w->corrupt) {
        qcow2_co_mark_corrupt(bs);
        return -EIO;
    }
    ret = qcow2_co_settle_header(bs);
    if (ret >= 0 && w->lazy && !w->dirty) {
        ret = qcow2_co_set_dirty_bit(bs, true);
    }
    if (ret >= 0 && w->bitmaps_to_mark) {
        ret = qcow2_co_mark_bitmaps(bs, false);
    }
    if (ret >= 0 && qcow2_cache_is_crowded(w->refcounts)) {
        ret = qcow2_co_write_refcounts(bs);
    }
    if (ret >= 0 && (qcow2_cache_is_crowded(s->l2_cache) ||
                     w->frees->len > MAX_WAITING_FREES ||
                     w->free_clusters << s->header.cluster_bits > MAX_WAITING_FREE_BYTES)) {
        ret = qcow2_co_checkpoint(bs);
    }
    return ret;
}

int coroutine_fn qcow2_co_finish(BlockDriverState *bs, GError **errp)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    if (!w) {
        return 0;
    }
    if (w->corrupt) {
        qcow2_co_mark_corrupt(bs);
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: the image is corrupt, nothing more was written", bdrv_filename(bs));
        return -EIO;
    }
    int bitmaps_ret = 0;
    int ret = qcow2_co_write_all(bs);
    if (ret >= 0) {
        bitmaps_ret = qcow2_co_store_bitmaps(bs, errp);
        ret = qcow2_co_write_all(bs);
    }
    if (ret >= 0) {
        ret = qcow2_co_set_dirty_bit(bs, false);
    }
    if (bitmaps_ret < 0) {
        return bitmaps_ret;
    }
    if (ret < 0) {
        GError *error = bdrv_take_error(bs);
        if (error) {
            g_propagate_error(errp, error);
        } else {
            error_set_errno(errp, -ret, "%s: cannot write what is still in memory",
                            bdrv_filename(bs));
        }
    }
    return ret;
}
