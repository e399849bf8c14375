/*
 * Zeroes and discards: what changes in L2 entries alone.
 */
#include "qcow2-writer.h"

enum { ZEROES_BYTES = 64 << 10 };

#define ALL_ZEROES (UINT64_C(0xffffffff) << 32)

typedef enum ChangeKind {
    CHANGE_ZERO,                    /* reads as zeroes; space that is there is kept */
    CHANGE_ZERO_UNMAP,              /* the same without the space */
    CHANGE_DISCARD,                 /* zeroes or, where there was nothing, still nothing */
    CHANGE_FORGET,                  /* nothing */
} ChangeKind;

static bool has_space(uint64_t entry)
{
    return (entry & QCOW2_L2_COMPRESSED) || (entry & QCOW2_OFFSET_MASK);
}

/* What an entry becomes if that happens to the subclusters of mask. */
static void change_entry(BlockDriverState *bs, ChangeKind kind, uint32_t mask,
                         uint64_t *entry, uint64_t *bitmap)
{
    Qcow2State *s = bs->opaque;
    bool extended = qcow2_has_extended_l2(s);
    bool allocated = has_space(*entry) || (extended ? *bitmap != 0 : *entry & QCOW2_L2_ZERO) ||
                     (qcow2_has_data_file(s) && (*entry & QCOW2_COPIED));

    if (mask != UINT32_MAX) {
        /* Some subclusters; those that are compressed are never in parts. */
        *bitmap = (*bitmap & ~(uint64_t)mask) | (uint64_t)mask << 32;
        return;
    }
    if (kind == CHANGE_FORGET || (kind == CHANGE_DISCARD && !bs->backing && !allocated)) {
        *entry = *bitmap = 0;
        return;
    }
    bool keep = kind == CHANGE_ZERO && !(*entry & QCOW2_L2_COMPRESSED) &&
                (*entry & QCOW2_COPIED);
    *entry = keep ? *entry : 0;
    if (extended) {
        *bitmap = ALL_ZEROES;
    } else {
        *entry |= s->header.version >= 3 ? QCOW2_L2_ZERO : 0;
    }
}

/* Of the i-th entry, which subclusters are in [pos, end). */
static uint32_t mask_of(const Qcow2State *s, uint64_t cluster, uint64_t pos, uint64_t end)
{
    uint64_t from = MAX(pos, cluster) - cluster;
    uint64_t to = MIN(end, cluster + s->cluster_bytes) - cluster;

    if (from == 0 && to == s->cluster_bytes) {
        return UINT32_MAX;
    }
    return (uint32_t)((UINT64_C(1) << (to >> s->subcluster_bits)) -
                      (UINT64_C(1) << (from >> s->subcluster_bits)));
}

/* Where guest data is a file of its own, that one has to read the same, if it is raw. */
static int coroutine_fn co_change_data_file(BlockDriverState *bs, ChangeKind kind,
                                            uint64_t pos, uint64_t end)
{
    Qcow2State *s = bs->opaque;
    uint64_t bytes = MIN(end, (uint64_t)bs->total_bytes) - pos;

    if (!qcow2_has_data_file(s) || pos >= (uint64_t)bs->total_bytes) {
        return 0;
    }
    int ret = 0;
    if (qcow2_data_file_is_raw(s)) {
        ret = bdrv_co_pwrite_zeroes(bs->data_file, pos, bytes,
                                    kind == CHANGE_ZERO ? 0 : BDRV_REQ_MAY_UNMAP);
    } else if (kind != CHANGE_ZERO && (bs->open_flags & BDRV_O_UNMAP)) {
        ret = bdrv_co_pdiscard(bs->data_file, pos, bytes);
    }
    s->writer->unflushed = true;
    return ret;
}

/* Changes entries from pos on, within one slice.  The bytes, 0 to try again, or -errno. */
static int64_t coroutine_fn co_change_some(BlockDriverState *bs, ChangeKind kind,
                                           uint64_t pos, uint64_t end)
{
    Qcow2State *s = bs->opaque;
    Qcow2Entries entries;
    Qcow2Range range;

    int ret = qcow2_co_own_table(bs, pos);
    if (ret >= 0) {
        ret = qcow2_co_get_entries(bs, pos, &entries);
    }
    if (ret < 0) {
        return ret;
    }
    uint64_t first = entries.guest_offset;
    uint64_t n = MIN(qcow2_clusters(s, end - first), entries.count);
    end = MIN(end, first + n * s->cluster_bytes);
    if (!qcow2_co_range_begin(s->writer, &range, first, first + n * s->cluster_bytes, true)) {
        qcow2_put_entries(&entries);
        return 0;
    }
    ret = co_change_data_file(bs, kind, pos, end);
    for (uint64_t i = 0; i < n && ret >= 0; i++) {
        uint64_t bitmap, new_bitmap;
        uint64_t entry = qcow2_entry(s, &entries, i, &bitmap), new_entry = entry;
        new_bitmap = bitmap;
        change_entry(bs, kind, mask_of(s, first + i * s->cluster_bytes, pos, end), &new_entry,
                     &new_bitmap);
        if (new_entry == entry && new_bitmap == bitmap) {
            continue;
        }
        qcow2_set_entry(s, &entries, i, new_entry, new_bitmap);
        if (has_space(entry) && !has_space(new_entry)) {
            qcow2_free_entry(bs, entry);
        }
    }
    qcow2_range_end(s->writer, &range);
    qcow2_put_entries(&entries);
    return ret < 0 ? ret : (int64_t)(end - pos);
}

/* Nothing has to be done where no table is, and what is not there need not become zero. */
static bool is_untouched(BlockDriverState *bs, ChangeKind kind, uint64_t pos, uint64_t *next)
{
    Qcow2State *s = bs->opaque;
    unsigned shift = s->l2_bits + s->header.cluster_bits;

    *next = ((pos >> shift) + 1) << shift;
    return s->l1_table[pos >> shift] == 0 &&
           (kind == CHANGE_FORGET ||
            (kind == CHANGE_DISCARD && !bs->backing && !qcow2_has_data_file(s)));
}

static int coroutine_fn co_change_range(BlockDriverState *bs, ChangeKind kind, uint64_t pos,
                                        uint64_t end)
{
    while (pos < end) {
        uint64_t next;
        if (is_untouched(bs, kind, pos, &next)) {
            pos = MIN(next, end);
            continue;
        }
        int ret = qcow2_co_begin_change(bs);
        if (ret < 0) {
            return ret;
        }
        int64_t n = co_change_some(bs, kind, pos, end);
        if (n < 0) {
            qcow2_co_mark_corrupt(bs);
            return n;
        }
        pos += n;
    }
    return 0;
}

/* Part of a cluster: zeroes are written unless it reads as such. */
static int coroutine_fn co_zero_part(BlockDriverState *bs, uint64_t pos, uint64_t end)
{
    g_autofree uint8_t *zeroes = NULL;
    IOVector iov;

    while (pos < end) {
        Qcow2Extent extent;
        int ret = qcow2_co_get_extent(bs, pos, end - pos, &extent);
        if (ret < 0) {
            return ret;
        }
        bool below = bs->backing && pos < (uint64_t)bdrv_length(bs->backing);
        if (extent.type == QCOW2_EXTENT_ZERO ||
            (extent.type == QCOW2_EXTENT_UNALLOCATED && !below)) {
            pos += extent.bytes;
            continue;
        }
        uint64_t n = MIN(MIN(extent.bytes, ZEROES_BYTES), end - pos);
        zeroes = zeroes ? zeroes : g_malloc0(ZEROES_BYTES);
        iovector_init_buf(&iov, zeroes, n);
        ret = qcow2_co_pwritev(bs, pos, n, &iov, 0, BDRV_REQ_NONE);
        if (ret < 0) {
            return ret;
        }
        pos += n;
    }
    return 0;
}

/* Whether the cluster at pos may be changed in parts of its subclusters. */
static int coroutine_fn co_is_compressed(BlockDriverState *bs, uint64_t pos)
{
    Qcow2Extent extent;
    int ret = qcow2_co_get_extent(bs, pos, 1, &extent);
    return ret < 0 ? ret : extent.type == QCOW2_EXTENT_COMPRESSED;
}

/* [pos, end), of one cluster, not all of it. */
static int coroutine_fn co_zero_in_cluster(BlockDriverState *bs, uint64_t pos, uint64_t end)
{
    Qcow2State *s = bs->opaque;
    uint64_t unit = UINT64_C(1) << s->subcluster_bits;
    uint64_t first = MIN(round_up_pow2(pos, unit), end);
    uint64_t last = MAX(round_down_pow2(end, unit), first);
    int compressed = co_is_compressed(bs, pos);

    if (compressed < 0) {
        return compressed;
    }
    if (first == last || compressed || !qcow2_has_extended_l2(s)) {
        return co_zero_part(bs, pos, end);
    }
    int ret = co_zero_part(bs, pos, first);
    if (ret >= 0) {
        ret = co_change_range(bs, CHANGE_ZERO, first, last);
    }
    return ret < 0 ? ret : co_zero_part(bs, last, end);
}

int coroutine_fn qcow2_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                        BdrvRequestFlags flags)
{
    Qcow2State *s = bs->opaque;
    uint64_t pos = offset, end = offset + bytes;
    /* Past the disk's end the last cluster is nobody's. */
    uint64_t whole_end = end == (uint64_t)bs->total_bytes ? round_up_pow2(end, s->cluster_bytes)
                                                          : end;
    uint64_t first = round_up_pow2(pos, s->cluster_bytes);
    uint64_t last = round_down_pow2(whole_end, s->cluster_bytes);
    ChangeKind kind = flags & BDRV_REQ_MAY_UNMAP ? CHANGE_ZERO_UNMAP : CHANGE_ZERO;

    if (s->header.version < 3) {
        if (bs->backing) {
            return -ENOTSUP;
        }
        kind = CHANGE_FORGET;
    }
    if (first > last) {
        return co_zero_in_cluster(bs, pos, end);
    }
    int ret = pos < first ? co_zero_in_cluster(bs, pos, MIN(first, end)) : 0;
    if (ret >= 0 && first < last) {
        ret = co_change_range(bs, kind, first, last);
    }
    if (ret >= 0 && last < end) {
        ret = co_zero_in_cluster(bs, last, end);
    }
    return ret;
}

int coroutine_fn qcow2_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    Qcow2State *s = bs->opaque;
    uint64_t end = offset + bytes;
    uint64_t first = round_up_pow2(offset, s->cluster_bytes);
    uint64_t last = end == (uint64_t)bs->total_bytes ? round_up_pow2(end, s->cluster_bytes)
                                                     : round_down_pow2(end, s->cluster_bytes);

    if (s->header.version < 3 && bs->backing) {
        return -ENOTSUP;
    }
    return first < last ? co_change_range(bs, CHANGE_DISCARD, first, last) : 0;
}

int coroutine_fn qcow2_co_forget(BlockDriverState *bs, uint64_t offset, uint64_t bytes)
{
    return co_change_range(bs, CHANGE_FORGET, offset, offset + bytes);
}
