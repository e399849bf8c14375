/*
 * Other sizes of the disk, and clusters set aside beforehand.
 */
#include "qcow2-writer.h"

enum { SECTOR_BYTES = 512 };

static uint64_t l1_entries_for(const Qcow2State *s, uint64_t size)
{
    return div_round_up(size, UINT64_C(1) << (s->l2_bits + s->header.cluster_bits));
}

/* Fails with an error unless it has one. */
static int G_GNUC_PRINTF(3, 4) explain(BlockDriverState *bs, GError **errp,
                                       const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "%s: %s", bdrv_filename(bs), text);
    return -EINVAL;
}

static int coroutine_fn co_write_new_l1(BlockDriverState *bs, uint64_t offset,
                                        uint64_t entries)
{
    Qcow2State *s = bs->opaque;
    g_autofree uint8_t *buf = g_malloc0(entries * 8);

    for (uint64_t i = 0; i < MIN(entries, s->l1_size); i++) {
        be64_store(buf + i * 8, s->l1_table[i]);
    }
    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_L1_GROW_WRITE_TABLE);
    int ret = bdrv_co_pwrite(bs->file, offset, entries * 8, buf, BDRV_REQ_NONE);
    s->writer->unflushed = true;
    return ret < 0 ? ret : qcow2_co_write_refcounts(bs);
}

/* A new L1 table takes the place of the old one. */
static int coroutine_fn co_move_l1(BlockDriverState *bs, uint64_t entries)
{
    Qcow2State *s = bs->opaque;
    Qcow2Header *h = &s->header;
    uint64_t bytes = entries * 8;

    int ret = qcow2_co_write_all(bs);
    if (ret < 0) {
        return ret;
    }
    int64_t offset = qcow2_co_alloc(bs, qcow2_clusters(s, bytes));
    if (offset < 0) {
        return offset;
    }
    struct {
        be32_t size;
        be64_t offset;
    } __attribute__((packed)) fields = { be32_make(entries), be64_make(offset) };
    ret = co_write_new_l1(bs, offset, entries);
    if (ret >= 0) {
        ret = qcow2_co_write_header(bs, offsetof(Qcow2DiskHeader, l1_size), &fields,
                                    sizeof(fields));
    }
    if (ret < 0) {
        qcow2_free_later(bs, offset, bytes);
        return ret;
    }
    if (h->l1_size) {
        qcow2_free_later(bs, h->l1_table_offset, (uint64_t)h->l1_size * 8);
    }
    s->l1_table = g_renew(uint64_t, s->l1_table, MAX(entries, 1));
    for (uint64_t i = s->l1_size; i < entries; i++) {
        s->l1_table[i] = 0;
    }
    g_free(s->writer->l1_dirty);
    s->writer->l1_dirty = g_new0(bool, div_round_up(bytes, SECTOR_BYTES) + 1);
    s->l1_size = h->l1_size = entries;
    h->l1_table_offset = offset;
    return 0;
}

static int coroutine_fn co_write_size(BlockDriverState *bs, uint64_t size)
{
    Qcow2State *s = bs->opaque;
    be64_t field = be64_make(size);

    int ret = qcow2_co_write_header(bs, offsetof(Qcow2DiskHeader, size), &field, sizeof(field));
    if (ret >= 0) {
        s->header.size = size;
    }
    return ret;
}

/* --- Preallocation --- */

/* Space behind all that is there, so that it is sure to hold zeroes. */
static int64_t coroutine_fn co_alloc_fresh(BlockDriverState *bs, uint64_t clusters)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    w->free_hint = MAX(w->free_hint, w->alloc_end >> s->header.cluster_bits);
    return qcow2_co_alloc(bs, clusters);
}

static int coroutine_fn co_preallocate_some(BlockDriverState *bs, uint64_t pos, uint64_t end,
                                            uint64_t *next, uint64_t *host_end)
{
    Qcow2State *s = bs->opaque;
    Qcow2Entries entries;
    int ret = qcow2_co_begin_change(bs);

    ret = ret < 0 ? ret : qcow2_co_own_table(bs, pos);
    ret = ret < 0 ? ret : qcow2_co_get_entries(bs, pos, &entries);
    if (ret < 0) {
        return ret;
    }
    uint64_t n = MIN(qcow2_clusters(s, end - pos), entries.count);
    int64_t host = qcow2_has_data_file(s) ? (int64_t)pos : co_alloc_fresh(bs, n);
    for (uint64_t i = 0; i < n && host >= 0; i++) {
        qcow2_set_entry(s, &entries, i, (host + i * s->cluster_bytes) | QCOW2_COPIED, 0);
    }
    qcow2_put_entries(&entries);
    *next = pos + n * s->cluster_bytes;
    *host_end = host + n * s->cluster_bytes;
    return MIN(host, 0);
}

/* Sets space aside for [start, end), where nothing is allocated yet. */
static int coroutine_fn co_preallocate(BlockDriverState *bs, uint64_t start, uint64_t end,
                                       PreallocMode mode, GError **errp)
{
    Qcow2State *s = bs->opaque;
    uint64_t host_end = 0;
    uint64_t pos = round_up_pow2(start, s->cluster_bytes);
    uint64_t file_bytes = bdrv_length(bs->file);

    s->writer->free_hint = file_bytes >> s->header.cluster_bits;
    while (pos < end) {
        int ret = co_preallocate_some(bs, pos, end, &pos, &host_end);
        if (ret < 0) {
            return qcow2_fail(bs, ret, "cannot allocate clusters", errp);
        }
    }
    s->writer->free_hint = 0;
    if (qcow2_has_data_file(s)) {
        return 0;
    }
    mode = mode == PREALLOC_MODE_METADATA ? PREALLOC_MODE_OFF : mode;
    host_end = MAX(host_end, s->writer->alloc_end);
    return host_end > (uint64_t)bdrv_length(bs->file)
               ? bdrv_co_truncate(bs->file, host_end, mode, errp)
               : 0;
}

/* --- Giving back --- */

/* L2 tables of which nothing is left. */
static void drop_tables(BlockDriverState *bs, uint64_t first)
{
    Qcow2State *s = bs->opaque;

    for (uint64_t i = first; i < s->l1_size; i++) {
        uint64_t offset = s->l1_table[i] & QCOW2_OFFSET_MASK;
        if (s->l1_table[i]) {
            qcow2_l1_set(s, i, 0);
            qcow2_free_later(bs, offset, s->cluster_bytes);
        }
    }
}

/* Beyond size nothing is stored any more, wherever it came from. */
static int coroutine_fn co_forget_beyond(BlockDriverState *bs, uint64_t size)
{
    Qcow2State *s = bs->opaque;
    uint64_t first = round_up_pow2(size, s->cluster_bytes);
    uint64_t end = (uint64_t)s->l1_size << (s->l2_bits + s->header.cluster_bits);
    int ret = first < end ? qcow2_co_forget(bs, first, end - first) : 0;

    if (ret >= 0) {
        drop_tables(bs, l1_entries_for(s, size));
    }
    return ret;
}

/* The file ends with what is in use. */
static int coroutine_fn co_cut_file(BlockDriverState *bs, GError **errp)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t end = qcow2_clusters(s, bdrv_length(bs->file));
    uint64_t refcount = 0;
    int ret = 0;

    co_mutex_lock(&w->alloc_lock);
    while (end > 0 && ret >= 0) {
        ret = qcow2_co_get_refcount(bs, end - 1, &refcount);
        if (refcount) {
            break;
        }
        end--;
    }
    co_mutex_unlock(&w->alloc_lock);
    if (ret < 0 || end << s->header.cluster_bits >= (uint64_t)bdrv_length(bs->file)) {
        return ret;
    }
    w->alloc_end = end << s->header.cluster_bits;
    return bdrv_co_truncate(bs->file, w->alloc_end, PREALLOC_MODE_OFF, errp);
}

/* --- Growing --- */

static int coroutine_fn co_grow_data_file(BlockDriverState *bs, uint64_t size,
                                          PreallocMode mode, GError **errp)
{
    if (!bs->data_file || bdrv_length(bs->data_file) >= (int64_t)size) {
        return 0;
    }
    return bdrv_co_truncate(bs->data_file, size,
                            mode == PREALLOC_MODE_METADATA ? PREALLOC_MODE_OFF : mode, errp);
}

/* What is added must not show the backing image, nor what is left in the last cluster. */
static int coroutine_fn co_zero_added(BlockDriverState *bs, uint64_t old_size, uint64_t size)
{
    Qcow2State *s = bs->opaque;
    uint64_t end = MIN(size, round_up_pow2(old_size, s->cluster_bytes));
    uint64_t below = bs->backing ? bdrv_length(bs->backing) : 0;

    end = MAX(end, MIN(below, size));
    return end > old_size ? qcow2_co_pwrite_zeroes(bs, old_size, end - old_size, 0) : 0;
}

/* What was set aside beyond the old end is given back.  If that fails, too, the file is as
 * it was but for leaks: the size was not written. */
static void coroutine_fn co_undo_growth(BlockDriverState *bs, uint64_t old_size,
                                        uint64_t old_data_bytes)
{
    bs->total_bytes = old_size;
    int ret = co_forget_beyond(bs, old_size);
    ret = ret < 0 ? ret : qcow2_co_write_all(bs);
    if (ret >= 0) {
        co_cut_file(bs, NULL);
    }
    if (bs->data_file && bdrv_length(bs->data_file) > (int64_t)old_data_bytes) {
        bdrv_co_truncate(bs->data_file, old_data_bytes, PREALLOC_MODE_OFF, NULL);
    }
    g_clear_error(&bs->error);
}

static int coroutine_fn co_grow(BlockDriverState *bs, uint64_t size, PreallocMode mode,
                                GError **errp)
{
    Qcow2State *s = bs->opaque;
    uint64_t old_size = bs->total_bytes;
    uint64_t entries = l1_entries_for(s, size);

    if (entries > QCOW2_MAX_L1_BYTES / 8) {
        explain(bs, errp, "The image size is too large for file format 'qcow2' (try using a "
                "larger cluster size)");
        return -EFBIG;
    }
    uint64_t old_data_bytes = bs->data_file ? bdrv_length(bs->data_file) : 0;
    /* Nor may what a resize has left that was not completed. */
    int ret = co_forget_beyond(bs, old_size);
    ret = ret >= 0 && entries > s->l1_size ? co_move_l1(bs, entries) : ret;
    if (ret < 0) {
        return qcow2_fail(bs, ret, "cannot make the L1 table larger", errp);
    }
    ret = co_grow_data_file(bs, size, mode, errp);
    if (ret < 0) {
        return ret;
    }
    bs->total_bytes = size;
    ret = co_zero_added(bs, old_size, size);
    if (ret == -ENOTSUP) {
        ret = explain(bs, errp, "images of version 2 cannot grow in front of a longer "
                      "backing image");
    } else if (ret < 0) {
        qcow2_fail(bs, ret, "cannot write zeroes", errp);
    } else if (mode != PREALLOC_MODE_OFF) {
        ret = co_preallocate(bs, old_size, size, mode, errp);
    }
    if (ret >= 0) {
        ret = qcow2_co_write_all(bs);
        ret = ret < 0 ? ret : co_write_size(bs, size);
        if (ret < 0) {
            qcow2_fail(bs, ret, "cannot write the new size", errp);
        }
    }
    if (ret < 0) {
        co_undo_growth(bs, old_size, old_data_bytes);
    }
    return ret;
}

/* --- Shrinking --- */

static int coroutine_fn co_shrink(BlockDriverState *bs, uint64_t size, GError **errp)
{
    /* First of all it must not be seen any more; then it can go. */
    int ret = co_write_size(bs, size);
    if (ret < 0) {
        return qcow2_fail(bs, ret, "cannot write the new size", errp);
    }
    bs->total_bytes = size;
    ret = co_forget_beyond(bs, size);
    ret = ret < 0 ? ret : qcow2_co_write_all(bs);
    if (ret < 0) {
        return qcow2_fail(bs, ret, "cannot give back clusters", errp);
    }
    if (bs->data_file) {
        ret = bdrv_co_truncate(bs->data_file, size, PREALLOC_MODE_OFF, errp);
    }
    return ret < 0 ? ret : co_cut_file(bs, errp);
}

int coroutine_fn qcow2_co_make_empty(BlockDriverState *bs, GError **errp)
{
    int ret = qcow2_co_begin_change(bs);

    ret = ret < 0 ? ret : co_forget_beyond(bs, 0);
    ret = ret < 0 ? ret : qcow2_co_write_all(bs);
    return ret < 0 ? qcow2_fail(bs, ret, "cannot be made empty", errp) : co_cut_file(bs, errp);
}

int coroutine_fn qcow2_co_truncate(BlockDriverState *bs, int64_t length,
                                   PreallocMode preallocation, GError **errp)
{
    Qcow2State *s = bs->opaque;

    if (length % SECTOR_BYTES) {
        return explain(bs, errp, "The new size must be a multiple of %d", SECTOR_BYTES);
    }
    if (s->header.nb_snapshots && s->header.version < 3) {
        return explain(bs, errp, "Can't resize a v2 image which has snapshots");
    }
    if (length == bs->total_bytes) {
        return 0;
    }
    int ret = qcow2_co_prepare_bitmap_resize(bs, length, errp);
    if (ret < 0) {
        return ret;
    }
    ret = qcow2_co_begin_change(bs);
    if (ret < 0) {
        return qcow2_fail(bs, ret, "cannot be resized", errp);
    }
    if (length < bs->total_bytes && preallocation != PREALLOC_MODE_OFF) {
        return explain(bs, errp, "Preallocation can't be used for shrinking an image");
    }
    ret = length > bs->total_bytes ? co_grow(bs, length, preallocation, errp)
                                   : co_shrink(bs, length, errp);
    qcow2_resize_bitmaps(bs);
    return ret;
}
