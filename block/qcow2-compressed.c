/*
 * Compressed clusters: decompressed on the CPU pool, several at once.
 *
 * Whole clusters go straight into the reader's memory.  Parts of clusters come
 * from a cache of decompressed ones, as small sequential reads ask for the same
 * cluster again and again; those who ask for a cluster while it is being
 * decompressed wait for that.
 */
#include "qcow2.h"

#include "util/thread-pool.h"

enum {
    CACHE_BYTES = 4 << 20,
    CACHE_MIN_CLUSTERS = 4,
    RUN_OUTPUT_BYTES = 128 << 10,   /* a run is one job of one thread */
    JOBS_PER_THREAD = 3,            /* one works, the next has been read, one is being read */
};

typedef struct CachedCluster {
    uint64_t host_offset;
    unsigned pins;
    bool loading;
    bool dropped;                   /* no longer in the cache */
    int ret;
    CoQueue waiters;
    GList lru_link;
    uint8_t data[];
} CachedCluster;

struct Qcow2CompressedCache {
    uint32_t cluster_bytes;
    unsigned max_clusters;
    GHashTable *clusters;           /* &host_offset -> CachedCluster */
    GQueue lru;
    CoSemaphore jobs;               /* bounds memory for compressed data */
};

Qcow2CompressedCache *qcow2_compressed_cache_new(uint32_t cluster_bytes)
{
    Qcow2CompressedCache *cache = g_new0(Qcow2CompressedCache, 1);
    cache->cluster_bytes = cluster_bytes;
    cache->max_clusters = MAX(CACHE_MIN_CLUSTERS, CACHE_BYTES / cluster_bytes);
    cache->clusters = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&cache->lru);
    co_semaphore_init(&cache->jobs,
                      JOBS_PER_THREAD * thread_pool_max_threads(thread_pool_cpu()));
    return cache;
}

static void drop(Qcow2CompressedCache *cache, CachedCluster *cluster)
{
    g_hash_table_remove(cache->clusters, &cluster->host_offset);
    g_queue_unlink(&cache->lru, &cluster->lru_link);
}

void qcow2_compressed_cache_free(Qcow2CompressedCache *cache)
{
    if (!cache) {
        return;
    }
    while (!g_queue_is_empty(&cache->lru)) {
        CachedCluster *cluster = g_queue_peek_head(&cache->lru);
        drop(cache, cluster);
        g_free(cluster);
    }
    g_hash_table_unref(cache->clusters);
    g_free(cache);
}

static void release(CachedCluster *cluster)
{
    if (cluster->dropped && cluster->pins == 0) {
        g_free(cluster);
    }
}

void qcow2_compressed_cache_drop(Qcow2CompressedCache *cache, uint64_t offset,
                                 uint64_t bytes)
{
    GList *next;

    for (GList *link = cache->lru.head; link; link = next) {
        CachedCluster *cluster = link->data;
        next = link->next;
        if (cluster->host_offset >= offset && cluster->host_offset - offset < bytes) {
            drop(cache, cluster);
            cluster->dropped = true;
            release(cluster);
        }
    }
}

/* A run that is decompressed into flat memory by one thread. */
typedef struct InflateJob {
    const Qcow2CompressedRun *run;
    Qcow2Compression compression;
    uint32_t cluster_bytes;
    const uint8_t *in;
    uint64_t in_offset;             /* in the file */
    size_t in_bytes;
    uint8_t *out;
    unsigned failed;                /* index of the cluster that is damaged */
} InflateJob;

static int inflate_job(void *opaque)
{
    InflateJob *job = opaque;

    for (unsigned i = 0; i < job->run->count; i++) {
        size_t skip = job->run->clusters[i].host_offset - job->in_offset;
        size_t len = MIN(job->run->clusters[i].bytes, job->in_bytes - skip);
        if (!qcow2_inflate(job->compression, job->in + skip, len,
                           job->out + (size_t)i * job->cluster_bytes, job->cluster_bytes)) {
            job->failed = i;
            return -EIO;
        }
    }
    return 0;
}

static void note_damaged(BlockDriverState *bs, const Qcow2CompressedRun *run, unsigned i)
{
    Qcow2State *s = bs->opaque;
    bdrv_note_error(
        bs, g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT,
                        "%s: compressed cluster of guest offset 0x%" PRIx64
                        ", at most %" PRIu32 " bytes at host offset 0x%" PRIx64
                        ": %s data is damaged or does not yield %" PRIu32 " bytes",
                        bdrv_filename(bs), run->guest_offset + (uint64_t)i * s->cluster_bytes,
                        run->clusters[i].bytes, run->clusters[i].host_offset,
                        s->header.compression == QCOW2_COMPRESSION_ZSTD ? "zstd" : "deflate",
                        s->cluster_bytes));
}

/* Decompresses the run into out. */
static int coroutine_fn inflate_run(BlockDriverState *bs, const Qcow2CompressedRun *run,
                                    uint8_t *out)
{
    Qcow2State *s = bs->opaque;
    uint64_t begin = run->clusters[0].host_offset;
    uint64_t end = begin;

    for (unsigned i = 0; i < run->count; i++) {
        end = MAX(end, run->clusters[i].host_offset + run->clusters[i].bytes);
    }
    end = MIN(end, (uint64_t)bdrv_length(bs->file));

    co_semaphore_acquire(&s->compressed->jobs, 1);
    g_autofree uint8_t *in = g_malloc(end - begin);
    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_READ_COMPRESSED);
    int ret = bdrv_co_pread(bs->file, begin, end - begin, in, BDRV_REQ_NONE);
    if (ret >= 0) {
        InflateJob job = {
            .run = run,
            .compression = s->header.compression,
            .cluster_bytes = s->cluster_bytes,
            .in = in,
            .in_offset = begin,
            .in_bytes = end - begin,
            .out = out,
        };
        ret = thread_pool_co_run(thread_pool_cpu(), inflate_job, &job);
        if (ret < 0) {
            note_damaged(bs, run, job.failed);
        }
    }
    co_semaphore_release(&s->compressed->jobs, 1);
    return ret;
}

bool qcow2_compressed_run_add(Qcow2CompressedRun *run, uint32_t cluster_bytes,
                              uint64_t guest_offset, const Qcow2Extent *extent)
{
    if (run->count) {
        uint64_t prev = run->clusters[run->count - 1].host_offset;
        uint64_t prev_end = prev + run->clusters[run->count - 1].bytes;
        if (run->count == QCOW2_COMPRESSED_RUN_MAX ||
            (uint64_t)(run->count + 1) * cluster_bytes > RUN_OUTPUT_BYTES ||
            extent->host_offset < prev || extent->host_offset > prev_end) {
            return false;
        }
    } else {
        run->guest_offset = guest_offset;
    }
    run->clusters[run->count].host_offset = extent->host_offset;
    run->clusters[run->count].bytes = extent->compressed_bytes;
    run->count++;
    return true;
}

int coroutine_fn qcow2_co_read_compressed_run(BlockDriverState *bs,
                                              const Qcow2CompressedRun *run,
                                              const IOVector *iov, size_t iov_offset)
{
    Qcow2State *s = bs->opaque;
    size_t bytes = (size_t)run->count * s->cluster_bytes;
    uint8_t *flat = iovector_contiguous(iov, iov_offset, bytes);
    if (flat) {
        return inflate_run(bs, run, flat);
    }

    g_autofree uint8_t *bounce = g_malloc(bytes);
    int ret = inflate_run(bs, run, bounce);
    if (ret >= 0) {
        iovector_from_buf(iov, iov_offset, bounce, bytes);
    }
    return ret;
}

/* Memory for one more cluster; see make_room() of the L2 cache. */
static CachedCluster *make_room(Qcow2CompressedCache *cache)
{
    CachedCluster *spare = NULL;
    GList *link = cache->lru.tail;

    while (link && cache->lru.length >= cache->max_clusters) {
        CachedCluster *cluster = link->data;
        link = link->prev;
        if (cluster->pins == 0) {
            drop(cache, cluster);
            g_free(spare);
            spare = cluster;
        }
    }
    return spare ? spare : g_malloc(sizeof(*spare) + cache->cluster_bytes);
}

static void unpin(CachedCluster *cluster)
{
    cluster->pins--;
    release(cluster);
}

/* The decompressed cluster, pinned. */
static CachedCluster *coroutine_fn get_cluster(BlockDriverState *bs, uint64_t guest_offset,
                                               const Qcow2Extent *extent)
{
    Qcow2State *s = bs->opaque;
    Qcow2CompressedCache *cache = s->compressed;
    CachedCluster *cluster = g_hash_table_lookup(cache->clusters, &extent->host_offset);

    if (cluster) {
        cluster->pins++;
        g_queue_unlink(&cache->lru, &cluster->lru_link);
        g_queue_push_head_link(&cache->lru, &cluster->lru_link);
        while (cluster->loading) {
            co_queue_wait(&cluster->waiters);
        }
        return cluster;
    }

    cluster = make_room(cache);
    *cluster = (CachedCluster){ .host_offset = extent->host_offset,
                                .pins = 1,
                                .loading = true };
    cluster->lru_link.data = cluster;
    co_queue_init(&cluster->waiters);
    g_hash_table_insert(cache->clusters, &cluster->host_offset, cluster);
    g_queue_push_head_link(&cache->lru, &cluster->lru_link);

    Qcow2CompressedRun run = { 0 };
    qcow2_compressed_run_add(&run, s->cluster_bytes,
                             round_down_pow2(guest_offset, s->cluster_bytes), extent);
    cluster->ret = inflate_run(bs, &run, cluster->data);
    cluster->loading = false;
    if (cluster->ret < 0 && !cluster->dropped) {
        drop(cache, cluster);
        cluster->dropped = true;
    }
    co_queue_all(&cluster->waiters);
    return cluster;
}

int coroutine_fn qcow2_co_read_compressed_part(BlockDriverState *bs, uint64_t guest_offset,
                                               const Qcow2Extent *extent,
                                               const IOVector *iov, size_t iov_offset)
{
    Qcow2State *s = bs->opaque;
    CachedCluster *cluster = get_cluster(bs, guest_offset, extent);
    int ret = cluster->ret;

    if (ret >= 0) {
        iovector_from_buf(iov, iov_offset,
                          cluster->data + (guest_offset & (s->cluster_bytes - 1)),
                          extent->bytes);
    }
    unpin(cluster);
    return ret;
}
