/*
 * Compressed writes: clusters are compressed on all cores, and what comes out of them is
 * written at once.
 */
#include "qcow2-writer.h"

#include "util/thread-pool.h"

enum {
    BATCH_CLUSTERS_MAX = 64,
    BATCH_BYTES = 2 << 20,          /* at most, of what is compressed together */
    JOB_BYTES = 128 << 10,          /* of what a thread does at once */
};

/* Clusters on their way. */
typedef struct Batch {
    BlockDriverState *bs;
    uint64_t guest_offset;
    unsigned count;
    const uint8_t *in;              /* whole clusters */
    uint8_t *out;                   /* a cluster's room for each */
    uint32_t sizes[BATCH_CLUSTERS_MAX];     /* 0: it does not become shorter */
    uint64_t offsets[BATCH_CLUSTERS_MAX];
    unsigned next;                  /* to be compressed */
    unsigned per_job;
    unsigned running;
    Coroutine *waiter;
} Batch;

typedef struct DeflateJob {
    const Batch *batch;
    Qcow2Compression compression;
    uint32_t cluster_bytes;
    unsigned first, count;
    uint32_t *sizes;
} DeflateJob;

static int deflate_job(void *opaque)
{
    DeflateJob *job = opaque;
    const Batch *b = job->batch;

    for (unsigned i = job->first; i < job->first + job->count; i++) {
        size_t at = (size_t)i * job->cluster_bytes;
        job->sizes[i] = qcow2_deflate(job->compression, b->in + at, job->cluster_bytes,
                                      b->out + at, job->cluster_bytes - 1);
    }
    return 0;
}

static void coroutine_fn co_deflate_worker(void *opaque)
{
    Batch *b = opaque;
    Qcow2State *s = b->bs->opaque;

    while (b->next < b->count) {
        DeflateJob job = { .batch = b,
                           .compression = s->header.compression,
                           .cluster_bytes = s->cluster_bytes,
                           .first = b->next,
                           .count = MIN(b->per_job, b->count - b->next),
                           .sizes = b->sizes };
        b->next += job.count;
        thread_pool_co_run(thread_pool_cpu(), deflate_job, &job);
    }
    if (--b->running == 0 && b->waiter) {
        aio_co_schedule(aio_context_current(), b->waiter);
    }
}

static void coroutine_fn co_deflate(Batch *b)
{
    Qcow2State *s = b->bs->opaque;
    unsigned jobs;

    b->per_job = MAX(1, JOB_BYTES / s->cluster_bytes);
    jobs = div_round_up(b->count, b->per_job);
    b->running = MIN(jobs, thread_pool_max_threads(thread_pool_cpu()));
    for (unsigned i = b->running; i > 0; i--) {
        coroutine_enter(coroutine_create(co_deflate_worker, b));
    }
    if (b->running) {
        b->waiter = coroutine_self();
        coroutine_yield();
    }
}

/* Neighbours in the file with one write. */
static int coroutine_fn co_write_pieces(const Batch *b, unsigned first, unsigned n)
{
    Qcow2State *s = b->bs->opaque;
    int ret = 0;

    for (unsigned i = first; i < first + n && ret >= 0;) {
        g_auto(IOVector) iov = { 0 };
        uint64_t start = b->offsets[i], next = start;

        iovector_init(&iov, n);
        for (; i < first + n && b->offsets[i] == next; i++) {
            iovector_add(&iov, b->out + (size_t)i * s->cluster_bytes, b->sizes[i]);
            next += b->sizes[i];
        }
        bdrv_co_debug_event(b->bs->file, BLKDEBUG_EVENT_WRITE_COMPRESSED);
        ret = bdrv_co_pwritev(b->bs->file, start, iov.size, &iov, 0, 0);
    }
    s->writer->unflushed = true;
    return ret;
}

static uint64_t make_entry(const Qcow2State *s, uint64_t offset, uint32_t bytes)
{
    unsigned offset_bits = 62 - (s->header.cluster_bits - 8);
    uint64_t sectors = ((offset + bytes - 1) >> 9) - (offset >> 9);
    return QCOW2_L2_COMPRESSED | sectors << offset_bits | offset;
}

static int coroutine_fn co_link_pieces(const Batch *b, unsigned first, unsigned n)
{
    Qcow2State *s = b->bs->opaque;

    for (unsigned i = first; i < first + n;) {
        Qcow2Entries entries;
        uint64_t guest = b->guest_offset + (uint64_t)i * s->cluster_bytes;
        int ret = qcow2_co_get_entries(b->bs, guest, &entries);
        if (ret < 0) {
            return ret;
        }
        for (unsigned j = 0; j < entries.count && i < first + n; j++, i++) {
            uint64_t bitmap;
            uint64_t old = qcow2_entry(s, &entries, j, &bitmap);
            qcow2_set_entry(s, &entries, j, make_entry(s, b->offsets[i], b->sizes[i]), 0);
            qcow2_free_entry(b->bs, old);
        }
        qcow2_put_entries(&entries);
    }
    return 0;
}

static int coroutine_fn co_own_tables(const Batch *b, unsigned first, unsigned n)
{
    Qcow2State *s = b->bs->opaque;
    int ret = 0;

    for (unsigned i = first; i < first + n && ret >= 0; i++) {
        ret = qcow2_co_own_table(b->bs, b->guest_offset + (uint64_t)i * s->cluster_bytes);
    }
    return ret;
}

/* Clusters that have become shorter. */
static int coroutine_fn co_store_pieces(Batch *b, unsigned first, unsigned n)
{
    Qcow2State *s = b->bs->opaque;
    Qcow2Range range;
    uint64_t guest = b->guest_offset + (uint64_t)first * s->cluster_bytes;

    int ret = co_own_tables(b, first, n);
    if (ret < 0) {
        return ret;
    }
    while (!qcow2_co_range_begin(s->writer, &range, guest,
                                 guest + (uint64_t)n * s->cluster_bytes, true)) {
    }
    ret = qcow2_co_alloc_bytes(b->bs, b->sizes + first, n, b->offsets + first);
    if (ret >= 0) {
        ret = co_write_pieces(b, first, n);
        if (ret >= 0) {
            ret = co_link_pieces(b, first, n);
        }
        for (unsigned i = first; ret < 0 && i < first + n; i++) {
            qcow2_free_later(b->bs, b->offsets[i], b->sizes[i]);
        }
    }
    qcow2_range_end(s->writer, &range);
    return ret;
}

/* Clusters that have not. */
static int coroutine_fn co_store_plain(const Batch *b, unsigned first, unsigned n)
{
    Qcow2State *s = b->bs->opaque;
    uint64_t guest = b->guest_offset + (uint64_t)first * s->cluster_bytes;
    uint64_t bytes = MIN((uint64_t)n * s->cluster_bytes, (uint64_t)b->bs->total_bytes - guest);
    IOVector iov;

    iovector_init_buf(&iov, (void *)(b->in + (size_t)first * s->cluster_bytes), bytes);
    return qcow2_co_pwritev(b->bs, guest, bytes, &iov, 0, BDRV_REQ_NONE);
}

static int coroutine_fn co_store(Batch *b)
{
    int ret = 0;

    for (unsigned i = 0; i < b->count && ret >= 0;) {
        unsigned n = 1;
        while (i + n < b->count && !b->sizes[i + n] == !b->sizes[i]) {
            n++;
        }
        ret = b->sizes[i] ? co_store_pieces(b, i, n) : co_store_plain(b, i, n);
        i += n;
    }
    return ret;
}

/* The clusters' bytes in one piece, filled up with zeroes: as they are, or in *copy. */
static const uint8_t *flatten(const IOVector *iov, size_t iov_offset, size_t bytes,
                              size_t whole, uint8_t **copy)
{
    const uint8_t *flat = bytes == whole ? iovector_contiguous(iov, iov_offset, bytes) : NULL;

    if (!flat) {
        *copy = g_malloc(whole);
        iovector_to_buf(iov, iov_offset, *copy, bytes);
        memset(*copy + bytes, 0, whole - bytes);
        flat = *copy;
    }
    return flat;
}

static int coroutine_fn co_write_batch(BlockDriverState *bs, uint64_t offset, size_t bytes,
                                       const IOVector *iov, size_t iov_offset)
{
    Qcow2State *s = bs->opaque;
    g_autofree uint8_t *copy = NULL;
    g_autofree Batch *b = g_new0(Batch, 1);

    b->bs = bs;
    b->guest_offset = offset;
    b->count = qcow2_clusters(s, bytes);
    size_t whole = (size_t)b->count * s->cluster_bytes;
    g_autofree uint8_t *out = g_malloc(whole);
    b->in = flatten(iov, iov_offset, bytes, whole, &copy);
    b->out = out;
    co_deflate(b);
    return co_store(b);
}

int coroutine_fn qcow2_co_pwritev_compressed(BlockDriverState *bs, int64_t offset,
                                             int64_t bytes, const IOVector *iov,
                                             size_t iov_offset,
                                             BdrvRequestFlags flags G_GNUC_UNUSED)
{
    Qcow2State *s = bs->opaque;
    int64_t most = MAX(1, MIN(BATCH_CLUSTERS_MAX, BATCH_BYTES / s->cluster_bytes)) *
                   (int64_t)s->cluster_bytes;

    if (qcow2_has_data_file(s)) {
        return -ENOTSUP;
    }
    for (int64_t done = 0; done < bytes;) {
        int64_t n = MIN(bytes - done, most);
        int ret = qcow2_co_begin_change(bs);
        if (ret >= 0) {
            ret = co_write_batch(bs, offset + done, n, iov, iov_offset + done);
        }
        if (ret < 0) {
            qcow2_co_mark_corrupt(bs);
            return ret;
        }
        done += n;
    }
    return 0;
}
