/*
 * Metadata in memory: pieces of inode tables and single blocks, the least recently
 * used of which go first.  Whoever asks for what is being read waits for that read.
 */
#include "ext4.h"

enum { CACHE_LIMIT_BYTES = 24 * 1024 * 1024 };

struct Ext4Cache {
    GHashTable *buffers; /* key -> Ext4Buffer, which the table holds a reference to */
    GQueue lru;          /* oldest first */
    uint64_t bytes;
};

/* Offsets are multiples of 128 at least, which leaves room for the kind. */
typedef enum BufferKind {
    BUFFER_BLOCK,
    BUFFER_PIECE,
} BufferKind;

Ext4Cache *ext4_cache_new(void)
{
    Ext4Cache *cache = g_new0(Ext4Cache, 1);

    cache->buffers = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&cache->lru);
    return cache;
}

void ext4_buffer_release(Ext4Buffer *buffer)
{
    if (buffer && --buffer->refcount == 0) {
        g_clear_error(&buffer->error);
        g_free(buffer->data);
        g_free(buffer);
    }
}

static void forget(Ext4Cache *cache, Ext4Buffer *buffer)
{
    g_hash_table_remove(cache->buffers, &buffer->key);
    g_queue_unlink(&cache->lru, &buffer->lru);
    cache->bytes -= buffer->bytes;
    ext4_buffer_release(buffer);
}

void ext4_cache_drop(Ext4State *s)
{
    while (s->cache->lru.head) {
        forget(s->cache, s->cache->lru.head->data);
    }
}

void ext4_cache_free(Ext4Cache *cache)
{
    if (!cache) {
        return;
    }
    while (cache->lru.head) {
        forget(cache, cache->lru.head->data);
    }
    g_hash_table_unref(cache->buffers);
    g_free(cache);
}

static Ext4Buffer *remember(Ext4Cache *cache, uint64_t key, uint64_t offset,
                            uint32_t bytes)
{
    Ext4Buffer *buffer = g_new0(Ext4Buffer, 1);

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

static bool is_remembered(const Ext4Cache *cache, const Ext4Buffer *buffer)
{
    return g_hash_table_lookup(cache->buffers, &buffer->key) == buffer;
}

static Ext4Buffer *coroutine_fn get(Ext4State *s, BufferKind kind, uint64_t offset,
                                    uint32_t bytes, const char *what, GError **errp)
{
    Ext4Cache *cache = s->cache;
    uint64_t key = offset | kind;
    Ext4Buffer *buffer = g_hash_table_lookup(cache->buffers, &key);

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
        ext4_device_co_read(s, offset, bytes, buffer->data, what, &buffer->error);
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
        ext4_buffer_release(buffer);
        return NULL;
    }
    return buffer;
}

Ext4Buffer *coroutine_fn ext4_cache_co_block(Ext4State *s, uint64_t block,
                                             const char *what, GError **errp)
{
    return get(s, BUFFER_BLOCK, ext4_block_offset(s, block), s->geo.block_bytes, what,
               errp);
}

Ext4Buffer *coroutine_fn ext4_cache_co_piece(Ext4State *s, uint64_t offset,
                                             uint32_t bytes, const char *what,
                                             GError **errp)
{
    return get(s, BUFFER_PIECE, offset, bytes, what, errp);
}
