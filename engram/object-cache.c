/*
 * Decoded objects within a bound on memory.
 */
#include "engram/object-cache.h"

#include "util/error.h"
#include "util/units.h"

/* Bytes of objects that are being read and decoded at a time, per cache. */
enum { LOADING_BYTES = 96 << 20 };

struct ObjectCache {
    EngramFile *file;
    EngramObjectType type;
    uint64_t max_bytes;
    ObjectParse *parse;
    GDestroyNotify destroy;
    void *opaque;
    GHashTable *objects;        /* offset -> CachedObject */
    GQueue lru;                 /* of objects without pins, next to go first */
    uint64_t bytes;
    uint64_t loads;
    CoSemaphore loading;
};

ObjectCache *object_cache_new(EngramFile *file, EngramObjectType type, uint64_t max_bytes,
                              ObjectParse *parse, GDestroyNotify destroy, void *opaque)
{
    ObjectCache *cache = g_new0(ObjectCache, 1);

    cache->file = file;
    cache->type = type;
    cache->max_bytes = max_bytes;
    cache->parse = parse;
    cache->destroy = destroy;
    cache->opaque = opaque;
    cache->objects = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&cache->lru);
    co_semaphore_init(&cache->loading, LOADING_BYTES);
    return cache;
}

static void object_free(ObjectCache *cache, CachedObject *object)
{
    if (object->value) {
        cache->destroy(object->value);
    }
    g_clear_error(&object->error);
    g_free(object);
}

static void drop(ObjectCache *cache, CachedObject *object)
{
    g_hash_table_remove(cache->objects, &object->key);
    cache->bytes -= object->cost;
}

static void evict(ObjectCache *cache)
{
    while (cache->bytes > cache->max_bytes && cache->lru.head) {
        CachedObject *object = g_queue_pop_head_link(&cache->lru)->data;

        drop(cache, object);
        object_free(cache, object);
    }
}

void object_cache_free(ObjectCache *cache)
{
    if (!cache) {
        return;
    }
    cache->max_bytes = 0;
    evict(cache);
    while (cache->lru.head) {
        CachedObject *object = g_queue_pop_head_link(&cache->lru)->data;

        drop(cache, object);
        object_free(cache, object);
    }
    g_assert(g_hash_table_size(cache->objects) == 0);
    g_hash_table_destroy(cache->objects);
    g_free(cache);
}

static void pin(ObjectCache *cache, CachedObject *object)
{
    if (object->pins++ == 0) {
        g_queue_unlink(&cache->lru, &object->lru);
    }
}

void object_cache_put(ObjectCache *cache, CachedObject *object)
{
    g_assert(object->pins > 0);
    if (--object->pins > 0) {
        return;
    }
    if (object->error) {
        object_free(cache, object);
        return;
    }
    g_queue_push_tail_link(&cache->lru, &object->lru);
    evict(cache);
}

static CachedObject *coroutine_fn co_get(ObjectCache *cache, const EngramRef *ref,
                                         bool is_recalled, GError **errp);

/* The load of a correction: what it recalls is loaded meanwhile. */
typedef struct Load {
    ObjectCache *cache;
    uint64_t units;
} Load;

/* Nobody waits for what is recalled while holding room that its load may need. */
static const uint8_t *coroutine_fn co_get_recalled(const EngramRef *frame, void **handle,
                                                   void *opaque, GError **errp)
{
    Load *load = opaque;
    CachedObject *object;

    co_semaphore_release(&load->cache->loading, load->units);
    object = co_get(load->cache, frame, true, errp);
    co_semaphore_acquire(&load->cache->loading, load->units);
    if (object && object->is_correction) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: frame at offset 0x%" PRIx64 " is a correction, expected none here",
                    bdrv_filename(load->cache->file->file), le64_get(frame->offset));
        object_cache_put(load->cache, object);
        return NULL;
    }
    *handle = object;
    return object ? object->value : NULL;
}

static void put_recalled(void *handle, void *opaque)
{
    Load *load = opaque;

    object_cache_put(load->cache, handle);
}

static uint8_t *coroutine_fn co_load_bytes(ObjectCache *cache, CachedObject *object)
{
    uint64_t bytes = (uint64_t)le32_get(object->ref.stored) + le32_get(object->ref.raw);
    Load load = { cache, MIN(bytes, LOADING_BYTES) };
    const EngramRecall recall = { co_get_recalled, put_recalled, &load };
    uint8_t *raw;

    co_semaphore_acquire(&cache->loading, load.units);
    if (cache->type == ENGRAM_OBJECT_FRAME) {
        raw = engram_file_co_load_frame(cache->file, &object->ref, &recall,
                                        object->is_recalled, &object->is_correction, NULL,
                                        &object->error);
    } else {
        raw = engram_file_co_load(cache->file, &object->ref, cache->type, NULL,
                                  &object->error);
    }
    co_semaphore_release(&cache->loading, load.units);
    return raw;
}

static void coroutine_fn load(ObjectCache *cache, CachedObject *object)
{
    uint32_t raw_bytes = le32_get(object->ref.raw);
    uint8_t *raw = co_load_bytes(cache, object);

    cache->loads++;
    object->cost = sizeof(*object) + raw_bytes;
    if (raw && cache->parse) {
        object->value =
            cache->parse(raw, &object->ref, cache->opaque, &object->cost, &object->error);
        g_prefix_error(&object->error, "%s: ", bdrv_filename(cache->file->file));
    } else {
        object->value = raw;
    }
    object->loading = false;
    cache->bytes += object->cost;
    if (object->error) {
        drop(cache, object);
    }
    co_queue_all(&object->waiters);
}

static CachedObject *find(const ObjectCache *cache, const EngramRef *ref)
{
    gint64 key = le64_get(ref->offset);

    return g_hash_table_lookup(cache->objects, &key);
}

static CachedObject *coroutine_fn co_get(ObjectCache *cache, const EngramRef *ref,
                                         bool is_recalled, GError **errp)
{
    CachedObject *object = find(cache, ref);

    if (object && !engram_ref_equal(&object->ref, ref)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: two references to the %s at offset 0x%" PRIx64
                    " do not agree on its size",
                    bdrv_filename(cache->file->file), engram_object_type_name(cache->type),
                    le64_get(ref->offset));
        return NULL;
    }
    if (object) {
        pin(cache, object);
        while (object->loading) {
            co_queue_wait(&object->waiters);
        }
    } else {
        object = g_new0(CachedObject, 1);
        object->ref = *ref;
        object->lru.data = object;
        object->pins = 1;
        object->loading = true;
        object->is_recalled = is_recalled;
        co_queue_init(&object->waiters);
        object->key = le64_get(ref->offset);
        g_hash_table_insert(cache->objects, &object->key, object);
        load(cache, object);
    }
    if (object->error) {
        g_propagate_error(errp, g_error_copy(object->error));
        object_cache_put(cache, object);
        return NULL;
    }
    return object;
}

CachedObject *coroutine_fn object_cache_co_get(ObjectCache *cache, const EngramRef *ref,
                                               GError **errp)
{
    return co_get(cache, ref, false, errp);
}

CachedObject *object_cache_try_get(ObjectCache *cache, const EngramRef *ref)
{
    CachedObject *object = find(cache, ref);

    if (!object || object->loading || !engram_ref_equal(&object->ref, ref)) {
        return NULL;
    }
    pin(cache, object);
    return object;
}

bool object_cache_has(const ObjectCache *cache, const EngramRef *ref)
{
    return find(cache, ref) != NULL;
}

uint64_t object_cache_max_bytes(const ObjectCache *cache)
{
    return cache->max_bytes;
}

uint64_t object_cache_loads(const ObjectCache *cache)
{
    return cache->loads;
}
