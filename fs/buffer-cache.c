#include "fs/buffer-cache.h"

enum { CACHE_LIMIT_BYTES = 24 * 1024 * 1024 };

struct FsCache {
    FsCacheRead read;
    void *opaque;
    GHashTable *buffers; /* key -> FsBuffer, which the table holds a reference to */
    GQueue lru;          /* oldest first */
    uint64_t bytes;
};

FsCache *fs_cache_new(FsCacheRead read, void *opaque)
{
    FsCache *cache = g_new0(FsCache, 1);

    cache->read = read;
    cache->opaque = opaque;
    cache->buffers = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&cache->lru);
    return cache;
}

void fs_buffer_release(FsBuffer *buffer)
{
    if (buffer && --buffer->refcount == 0) {
        g_clear_error(&buffer->error);
        g_free(buffer->data);
        g_free(buffer);
    }
}

static void forget(FsCache *cache, FsBuffer *buffer)
{
    g_hash_table_remove(cache->buffers, &buffer->key);
    g_queue_unlink(&cache->lru, &buffer->lru);
    cache->bytes -= buffer->bytes;
    fs_buffer_release(buffer);
}

void fs_cache_drop(FsCache *cache)
{
    while (cache->lru.head) {
        forget(cache, cache->lru.head->data);
    }
}

void fs_cache_free(FsCache *cache)
{
    if (!cache) {
        return;
    }
    fs_cache_drop(cache);
    g_hash_table_unref(cache->buffers);
    g_free(cache);
}

static FsBuffer *remember(FsCache *cache, uint64_t key, uint64_t offset, uint32_t bytes)
{
    FsBuffer *buffer = g_new0(FsBuffer, 1);

    buffer->offset = offset;
    buffer->bytes = bytes;
    buffer->data = g_malloc(bytes);
    buffer->key = key;
    buffer->refcount = 1;
    buffer->loading = true;
    co_queue_init(&buffer->waiters);
    buffer->lru.data = buffer;
    g_hash_table_insert(cache->buffers, &buffer->key, buffer);
    g_queue_push_tail_link(&cache->lru, &buffer->lru);
    cache->bytes += bytes;
    while (cache->bytes > CACHE_LIMIT_BYTES && cache->lru.head->data != buffer) {
        forget(cache, cache->lru.head->data);
    }
    return buffer;
}

static bool is_remembered(const FsCache *cache, const FsBuffer *buffer)
{
    return g_hash_table_lookup(cache->buffers, &buffer->key) == buffer;
}

FsBuffer *coroutine_fn fs_cache_co_get(FsCache *cache, unsigned kind, uint64_t offset,
                                       uint32_t bytes, const char *what, GError **errp)
{
    uint64_t key = offset | kind;
    FsBuffer *buffer = g_hash_table_lookup(cache->buffers, &key);

    if (buffer && buffer->bytes == bytes) {
        buffer->refcount++;
        g_queue_unlink(&cache->lru, &buffer->lru);
        g_queue_push_tail_link(&cache->lru, &buffer->lru);
        while (buffer->loading) {
            co_queue_wait(&buffer->waiters);
        }
    } else {
        if (buffer) {
            forget(cache, buffer);
        }
        buffer = remember(cache, key, offset, bytes);
        buffer->refcount++;
        cache->read(cache->opaque, offset, bytes, buffer->data, what, &buffer->error);
        buffer->loading = false;
        co_queue_all(&buffer->waiters);
        if (buffer->error && is_remembered(cache, buffer)) {
            forget(cache, buffer);
        }
    }
    if (buffer->error) {
        if (errp) {
            *errp = g_error_copy(buffer->error);
        }
        fs_buffer_release(buffer);
        return NULL;
    }
    return buffer;
}
