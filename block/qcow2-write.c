/*
 * Writing data: where it may stay where it is, and where clusters are allocated first.
 */
#include "qcow2-writer.h"

#include <stdlib.h>

enum {
    MAX_ALLOC_BYTES = 64 << 20,     /* at once */
    BUFFER_ALIGNMENT = 4096,
};

typedef struct Write {
    BlockDriverState *bs;
    const IOVector *iov;
    uint64_t offset;                /* of the request */
    size_t iov_offset;              /* of its first byte */
    BdrvRequestFlags flags;
} Write;

static size_t iov_at(const Write *r, uint64_t pos)
{
    return r->iov_offset + (pos - r->offset);
}

/* --- In place --- */

static int coroutine_fn co_write_in_place(const Write *r, uint64_t pos,
                                          const Qcow2Extent *extent)
{
    BlockDriverState *bs = r->bs;
    Qcow2State *s = bs->opaque;
    const char *what = qcow2_has_data_file(s)
                           ? NULL
                           : qcow2_metadata_at(bs, extent->host_offset, extent->bytes);

    if (what) {
        return qcow2_refuse(bs, "data of guest offset 0x%" PRIx64 " is at host offset 0x%"
                            PRIx64 ", where the %s is", pos, extent->host_offset, what);
    }
    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_WRITE_AIO);
    int ret = bdrv_co_pwritev(qcow2_data_node(bs), extent->host_offset, extent->bytes, r->iov,
                              iov_at(r, pos), r->flags & ~BDRV_REQ_FIRST_WRITE);
    s->writer->unflushed = true;
    return ret;
}

/* --- With allocation --- */

/* Clusters in a row that are written together. */
typedef struct Alloc {
    uint64_t cluster;               /* guest offset of the first */
    unsigned count;
    uint64_t host;                  /* of the first; the others follow */
    bool has_host;                  /* space was set aside before */
    uint64_t start, end;            /* of the request in them */
    uint64_t cow_start, cow_end;    /* of all that is written */
    bool *whole;                    /* by cluster: old content moves, all of it */
} Alloc;

/* Whether the entry's content has to move with what is written of it. */
static bool has_content(uint64_t entry, uint64_t bitmap, bool extended)
{
    if (entry & QCOW2_L2_COMPRESSED) {
        return true;
    }
    if (!(entry & QCOW2_OFFSET_MASK)) {
        return false;
    }
    return extended ? (uint32_t)bitmap != 0 : !(entry & QCOW2_L2_ZERO);
}

/* Whether the entry's cluster can be written to, for it is this disk's alone. */
static bool owns_host(const Qcow2State *s, uint64_t entry)
{
    return !(entry & QCOW2_L2_COMPRESSED) && (entry & QCOW2_COPIED) &&
           ((entry & QCOW2_OFFSET_MASK) || qcow2_has_data_file(s));
}

/* Which of the entries from pos on are alike, as far as end. */
static void plan(BlockDriverState *bs, const Qcow2Entries *entries, uint64_t pos,
                 uint64_t end, Alloc *a)
{
    Qcow2State *s = bs->opaque;
    uint64_t bitmap;
    uint64_t entry = qcow2_entry(s, entries, 0, &bitmap);
    uint64_t wanted = qcow2_clusters(s, end - entries->guest_offset);

    *a = (Alloc){ .cluster = entries->guest_offset, .start = pos };
    a->has_host = owns_host(s, entry);
    a->host = a->has_host ? entry & QCOW2_OFFSET_MASK : 0;
    wanted = MIN(wanted, MAX(UINT64_C(1),
                             (uint64_t)MAX_ALLOC_BYTES >> s->header.cluster_bits));
    wanted = a->has_host ? 1 : MIN(wanted, entries->count);
    a->whole = g_new0(bool, wanted);
    for (; a->count < wanted; a->count++) {
        entry = qcow2_entry(s, entries, a->count, &bitmap);
        if (a->count && owns_host(s, entry)) {
            break;
        }
        a->whole[a->count] = !a->has_host && has_content(entry, bitmap,
                                                         qcow2_has_extended_l2(s));
    }
    uint64_t clusters_end = a->cluster + (uint64_t)a->count * s->cluster_bytes;
    a->end = MIN(end, clusters_end);
    uint64_t unit = UINT64_C(1) << s->subcluster_bits;
    a->cow_start = a->whole[0] ? a->cluster : round_down_pow2(a->start, unit);
    a->cow_end = a->whole[a->count - 1] ? clusters_end : round_up_pow2(a->end, unit);
}

/* What a write leaves of clusters that are new; past the disk's end are zeroes. */
static int coroutine_fn co_read_around(BlockDriverState *bs, uint64_t start, uint64_t end,
                                       uint8_t *buf)
{
    uint64_t disk_end = MIN(end, (uint64_t)bs->total_bytes);
    IOVector iov;

    memset(buf, 0, end - start);
    if (start >= disk_end) {
        return 0;
    }
    iovector_init_buf(&iov, buf, disk_end - start);
    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_COW_READ);
    return qcow2_co_preadv(bs, start, disk_end - start, &iov, 0, BDRV_REQ_NONE);
}

static int coroutine_fn co_write_to_host(const Write *r, const Alloc *a, const IOVector *iov,
                                         size_t iov_offset, uint64_t bytes)
{
    BlockDriverState *node = qcow2_data_node(r->bs);
    Qcow2State *s = r->bs->opaque;
    uint64_t host = a->host + (a->cow_start - a->cluster);
    BdrvRequestFlags flags = r->flags & ~BDRV_REQ_FIRST_WRITE;

    if (host >= (uint64_t)bdrv_length(node)) {
        flags |= BDRV_REQ_FIRST_WRITE;
    }
    if (a->cow_start < a->start || a->end < a->cow_end) {
        bdrv_co_debug_event(r->bs->file, BLKDEBUG_EVENT_COW_WRITE);
    }
    bdrv_co_debug_event(r->bs->file, BLKDEBUG_EVENT_WRITE_AIO);
    int ret = bdrv_co_pwritev(node, host, bytes, iov, iov_offset, flags);
    s->writer->unflushed = true;
    return ret;
}

static int coroutine_fn co_write_with_cow(const Write *r, const Alloc *a)
{
    size_t head = a->start - a->cow_start, tail = a->cow_end - a->end;
    size_t tail_at = round_up_pow2(head, BUFFER_ALIGNMENT);
    g_auto(IOVector) all = { 0 };
    g_auto(IOVector) middle = { 0 };

    if (head == 0 && tail == 0) {
        return co_write_to_host(r, a, r->iov, iov_at(r, a->start), a->end - a->start);
    }
    uint8_t *buf = aligned_alloc(BUFFER_ALIGNMENT,
                                 round_up_pow2(tail_at + tail, BUFFER_ALIGNMENT));
    if (!buf) {
        return -ENOMEM;
    }
    int ret = co_read_around(r->bs, a->cow_start, a->start, buf);
    if (ret >= 0) {
        ret = co_read_around(r->bs, a->end, a->cow_end, buf + tail_at);
    }
    if (ret >= 0) {
        iovector_init_slice(&middle, r->iov, iov_at(r, a->start), a->end - a->start);
        iovector_init(&all, middle.niov + 2);
        if (head) {
            iovector_add(&all, buf, head);
        }
        for (int i = 0; i < middle.niov; i++) {
            iovector_add(&all, middle.iov[i].iov_base, middle.iov[i].iov_len);
        }
        if (tail) {
            iovector_add(&all, buf + tail_at, tail);
        }
        ret = co_write_to_host(r, a, &all, 0, all.size);
    }
    free(buf);
    return ret;
}

/* Bits of the subclusters of the i-th cluster that have been written. */
static uint32_t written_bits(const Qcow2State *s, const Alloc *a, unsigned i)
{
    uint64_t cluster = a->cluster + (uint64_t)i * s->cluster_bytes;
    uint64_t start = MAX(a->cow_start, cluster) - cluster;
    uint64_t end = MIN(a->cow_end, cluster + s->cluster_bytes) - cluster;
    unsigned first = start >> s->subcluster_bits, last = (end - 1) >> s->subcluster_bits;

    return (uint32_t)((UINT64_C(2) << last) - (UINT64_C(1) << first));
}

/* From now on reads find what has been written. */
static int coroutine_fn co_link(BlockDriverState *bs, const Alloc *a)
{
    Qcow2State *s = bs->opaque;
    Qcow2Entries entries;

    int ret = qcow2_co_get_entries(bs, a->cluster, &entries);
    if (ret < 0) {
        return ret;
    }
    for (unsigned i = 0; i < a->count; i++) {
        uint64_t bitmap;
        uint64_t old = qcow2_entry(s, &entries, i, &bitmap);
        uint32_t written = written_bits(s, a, i);
        uint64_t host = a->host + (uint64_t)i * s->cluster_bytes;

        if (a->whole[i]) {
            bitmap = UINT32_MAX;
        } else {
            bitmap = (bitmap | written) & ~((uint64_t)written << 32);
        }
        qcow2_set_entry(s, &entries, i, host | QCOW2_COPIED, bitmap);
        if (!a->has_host) {
            qcow2_free_entry(bs, old);
        }
    }
    qcow2_put_entries(&entries);
    return 0;
}

static int coroutine_fn co_allocate_and_write(const Write *r, Alloc *a)
{
    BlockDriverState *bs = r->bs;
    Qcow2State *s = bs->opaque;
    bool takes = !a->has_host && !qcow2_has_data_file(s);

    if (takes) {
        int64_t host = qcow2_co_alloc(bs, a->count);
        if (host < 0) {
            return host;
        }
        a->host = host;
    } else if (!a->has_host) {
        a->host = a->cluster;
    } else if (!qcow2_has_data_file(s)) {
        const char *what = qcow2_metadata_at(bs, a->host, s->cluster_bytes);
        if (what || (a->host & (s->cluster_bytes - 1))) {
            return qcow2_refuse(bs, "space for guest offset 0x%" PRIx64 " is at host offset 0x%"
                                PRIx64 ", %s", a->cluster, a->host,
                                what ? what : "not aligned to clusters");
        }
    }
    int ret = co_write_with_cow(r, a);
    if (ret >= 0) {
        ret = co_link(bs, a);
    }
    if (ret < 0 && takes) {
        qcow2_free_later(bs, a->host, (uint64_t)a->count * s->cluster_bytes);
    }
    return ret;
}

/* Writes what can be written at pos at once. The bytes, 0 to try again, or -errno. */
static int64_t coroutine_fn co_write_some(const Write *r, uint64_t pos, uint64_t end)
{
    BlockDriverState *bs = r->bs;
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    Qcow2Extent extent;
    Qcow2Entries entries;
    Qcow2Range range;

    int ret = qcow2_co_own_table(bs, pos);
    if (ret >= 0) {
        ret = qcow2_co_get_extent(bs, pos, end - pos, &extent);
    }
    if (ret < 0) {
        return ret;
    }
    if (extent.type == QCOW2_EXTENT_DATA && extent.copied) {
        if (!qcow2_co_range_begin(w, &range, pos, pos + extent.bytes, false)) {
            return 0;
        }
        ret = co_write_in_place(r, pos, &extent);
        qcow2_range_end(w, &range);
        return ret < 0 ? ret : (int64_t)extent.bytes;
    }
    ret = qcow2_co_get_entries(bs, pos, &entries);
    if (ret < 0) {
        return ret;
    }
    Alloc a;
    plan(bs, &entries, pos, end, &a);
    qcow2_put_entries(&entries);
    int64_t done = 0;
    if (qcow2_co_range_begin(w, &range, a.cluster,
                             a.cluster + (uint64_t)a.count * s->cluster_bytes, true)) {
        ret = co_allocate_and_write(r, &a);
        qcow2_range_end(w, &range);
        done = ret < 0 ? ret : (int64_t)(a.end - a.start);
    }
    g_free(a.whole);
    return done;
}

int coroutine_fn qcow2_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                  const IOVector *iov, size_t iov_offset,
                                  BdrvRequestFlags flags)
{
    Write r = { .bs = bs, .iov = iov, .offset = offset, .iov_offset = iov_offset,
                .flags = flags };
    uint64_t pos = offset, end = offset + bytes;
    int ret = qcow2_co_begin_change(bs);

    while (ret >= 0 && pos < end) {
        int64_t n = co_write_some(&r, pos, end);
        if (n < 0) {
            ret = n;
        } else {
            pos += n;
        }
    }
    if (ret < 0) {
        qcow2_co_mark_corrupt(bs);
    }
    return ret;
}
