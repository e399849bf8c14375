/*
 * The qcow2 format driver.
 */
#include "qcow2-writer.h"

enum {
    L2_SLICE_BYTES = 16 << 10,
    L2_CACHE_DEFAULT_BYTES = 32 << 20,
};

static int qcow2_probe(const uint8_t *buf, size_t len)
{
    if (len < 8 || be32_load(buf) != QCOW2_MAGIC) {
        return 0;
    }
    return be32_load(buf + 4) >= 2 ? 100 : 0;
}

uint64_t *coroutine_fn qcow2_co_read_table(BlockDriverState *bs, uint64_t offset,
                                           uint64_t entries, const char *what,
                                           GError **errp)
{
    uint64_t file_bytes = bdrv_length(bs->file);

    if (entries > G_MAXINT64 / 8 || !range_fits(offset, entries * 8, file_bytes)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: %s of %" PRIu64 " entries at offset 0x%" PRIx64
                    " reaches past the end of the file (0x%" PRIx64 ")",
                    bdrv_filename(bs), what, entries, offset, file_bytes);
        return NULL;
    }
    g_autofree uint64_t *table = g_new(uint64_t, MAX(entries, 1));
    int ret = bdrv_co_pread(bs->file, offset, entries * 8, table, BDRV_REQ_NONE);
    if (ret < 0) {
        error_set_errno(errp, -ret, "%s: cannot read %s at offset 0x%" PRIx64,
                        bdrv_filename(bs), what, offset);
        return NULL;
    }
    for (uint64_t i = 0; i < entries; i++) {
        table[i] = GUINT64_FROM_BE(table[i]);
    }
    return g_steal_pointer(&table);
}

static int coroutine_fn co_read_header(BlockDriverState *bs, GError **errp)
{
    Qcow2State *s = bs->opaque;
    uint64_t file_bytes = bdrv_length(bs->file);
    uint8_t start[QCOW2_V2_HEADER_BYTES];
    size_t len = MIN(sizeof(start), file_bytes);

    int ret = bdrv_co_pread(bs->file, 0, len, start, BDRV_REQ_NONE);
    size_t wanted = ret < 0 ? 0 : qcow2_header_bytes_wanted(start, len);
    g_autofree uint8_t *buf = g_malloc(MAX(wanted, sizeof(start)));
    memcpy(buf, start, len);
    if (wanted) {
        len = MIN(wanted, file_bytes);
        ret = bdrv_co_pread(bs->file, 0, len, buf, BDRV_REQ_NONE);
    }
    if (ret < 0) {
        error_set_errno(errp, -ret, "%s: cannot read the qcow2 header", bdrv_filename(bs));
        return ret;
    }
    return qcow2_header_parse(&s->header, buf, len, file_bytes, bdrv_filename(bs), errp)
               ? 0
               : -EINVAL;
}

static void set_geometry(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    bool extended = qcow2_has_extended_l2(s);

    s->cluster_bytes = UINT32_C(1) << s->header.cluster_bits;
    s->l2_entry_bytes = extended ? 16 : 8;
    s->l2_bits = s->header.cluster_bits - (extended ? 4 : 3);
    s->subclusters = extended ? QCOW2_SUBCLUSTERS : 1;
    s->subcluster_bits = s->header.cluster_bits - (extended ? 5 : 0);

    bs->total_bytes = s->header.size;
    bs->limits.opt_transfer = s->cluster_bytes;
    bs->backing_filename = g_strdup(s->header.backing_file);
    bs->backing_format = g_strdup(s->header.backing_format);
}

static bool coroutine_fn co_open_data_file(BlockDriverState *bs,
                                           const BlockdevOptionsQcow2 *options, GError **errp)
{
    Qcow2State *s = bs->opaque;
    BlockdevOptions *given = options ? options->data_file : NULL;

    if (!qcow2_has_data_file(s)) {
        if (given) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                        "%s: 'data-file' can only be given for images with an external data "
                        "file", bdrv_filename(bs));
        }
        return !given;
    }
    if (bs->open_flags & BDRV_O_NO_IO) {
        return true;
    }
    if (given) {
        bs->data_file = bdrv_co_open(given, bs->open_flags, errp);
    } else if (s->header.data_file) {
        bs->data_file = bdrv_co_open_child(bs, s->header.data_file, bs->open_flags, errp);
    } else {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: the image does not name its external data file: 'data-file' is "
                    "required", bdrv_filename(bs));
        return false;
    }
    if (!bs->data_file) {
        g_prefix_error(errp, "%s: cannot open the external data file: ", bdrv_filename(bs));
    }
    return bs->data_file != NULL;
}

static void make_caches(BlockDriverState *bs, const BlockdevOptionsQcow2 *options)
{
    Qcow2State *s = bs->opaque;
    uint64_t whole_disk = (uint64_t)s->l1_size << s->header.cluster_bits;
    uint64_t bytes = options && options->has_l2_cache_size ? options->l2_cache_size
                                                           : L2_CACHE_DEFAULT_BYTES;

    s->l2_cache = qcow2_cache_new(MIN(s->cluster_bytes, L2_SLICE_BYTES),
                                     MIN(bytes, whole_disk), BLKDEBUG_EVENT_L2_LOAD,
                                     BLKDEBUG_EVENT_L2_UPDATE);
    s->compressed = qcow2_compressed_cache_new(s->cluster_bytes);
}

static int coroutine_fn qcow2_co_open(BlockDriverState *bs, const BlockdevOptions *options,
                                      int flags G_GNUC_UNUSED, GError **errp)
{
    Qcow2State *s = bs->opaque;
    const BlockdevOptionsQcow2 *own =
        options && options->driver == BLOCKDEV_DRIVER_QCOW2 ? &options->u.qcow2 : NULL;

    int ret = co_read_header(bs, errp);
    if (ret < 0) {
        return ret;
    }
    set_geometry(bs);
    s->l1_size = s->header.l1_size;
    s->l1_table =
        qcow2_co_read_table(bs, s->header.l1_table_offset, s->l1_size, "L1 table", errp);
    if (!s->l1_table || !co_open_data_file(bs, own, errp)) {
        return -EINVAL;
    }
    if (own && own->has_lazy_refcounts && own->lazy_refcounts && s->header.version < 3) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: Lazy refcounts require a qcow2 image with at least qemu 1.1 "
                    "compatibility level", bdrv_filename(bs));
        return -EINVAL;
    }
    make_caches(bs, own);
    ret = bdrv_is_read_only(bs) ? 0 : qcow2_co_writer_open(bs, errp);
    if (s->writer && own && own->has_lazy_refcounts) {
        s->writer->lazy = own->lazy_refcounts;
    }
    return ret;
}

static bool qcow2_has_zero_init(BlockDriverState *bs)
{
    return bdrv_has_zero_init(qcow2_data_node(bs));
}

static void qcow2_close(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;

    qcow2_header_clear(&s->header);
    g_clear_pointer(&s->l1_table, g_free);
    g_clear_pointer(&s->l2_cache, qcow2_cache_free);
    g_clear_pointer(&s->compressed, qcow2_compressed_cache_free);
    g_clear_pointer(&s->writer, qcow2_writer_free);
}

/* --- Writes of the guest, which bitmaps record --- */

static int coroutine_fn co_guest_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                         const IOVector *iov, size_t iov_offset,
                                         BdrvRequestFlags flags)
{
    qcow2_record_dirty(bs, offset, bytes);
    return qcow2_co_pwritev(bs, offset, bytes, iov, iov_offset, flags);
}

static int coroutine_fn co_guest_pwritev_compressed(BlockDriverState *bs, int64_t offset,
                                                    int64_t bytes, const IOVector *iov,
                                                    size_t iov_offset, BdrvRequestFlags flags)
{
    qcow2_record_dirty(bs, offset, bytes);
    return qcow2_co_pwritev_compressed(bs, offset, bytes, iov, iov_offset, flags);
}

static int coroutine_fn co_guest_pwrite_zeroes(BlockDriverState *bs, int64_t offset,
                                               int64_t bytes, BdrvRequestFlags flags)
{
    qcow2_record_dirty(bs, offset, bytes);
    return qcow2_co_pwrite_zeroes(bs, offset, bytes, flags);
}

static int coroutine_fn co_guest_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    qcow2_record_dirty(bs, offset, bytes);
    return qcow2_co_pdiscard(bs, offset, bytes);
}

static BlockDriver bdrv_qcow2 = {
    .format_name = "qcow2",
    .instance_size = sizeof(Qcow2State),
    .owns_file = true,
    .has_backing = true,
    .bdrv_probe = qcow2_probe,
    .bdrv_co_open = qcow2_co_open,
    .bdrv_close = qcow2_close,
    .bdrv_co_preadv = qcow2_co_preadv,
    .bdrv_co_pwritev = co_guest_pwritev,
    .bdrv_co_pwritev_compressed = co_guest_pwritev_compressed,
    .bdrv_co_pwrite_zeroes = co_guest_pwrite_zeroes,
    .bdrv_co_pdiscard = co_guest_pdiscard,
    .bdrv_co_flush = qcow2_co_flush,
    .bdrv_co_truncate = qcow2_co_truncate,
    .bdrv_co_finish = qcow2_co_finish,
    .bdrv_co_block_status = qcow2_co_block_status,
    .bdrv_has_zero_init = qcow2_has_zero_init,
    .bdrv_co_get_info = qcow2_co_get_info,
    .bdrv_co_check = qcow2_co_check,
    .bdrv_co_snapshot_create = qcow2_co_snapshot_create,
    .bdrv_co_snapshot_goto = qcow2_co_snapshot_goto,
    .bdrv_co_snapshot_delete = qcow2_co_snapshot_delete,
    .bdrv_co_load_snapshot = qcow2_co_load_snapshot,
    .bdrv_co_amend = qcow2_co_amend,
    .bdrv_co_change_bitmap = qcow2_co_change_bitmap,
    .bdrv_co_get_bitmap = qcow2_co_get_bitmap,
    .bdrv_co_change_backing = qcow2_co_change_backing,
    .bdrv_co_make_empty = qcow2_co_make_empty,
    .bdrv_co_create = qcow2_co_create,
    .bdrv_co_measure = qcow2_co_measure,
};
block_init(bdrv_qcow2);
