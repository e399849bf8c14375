/*
 * ObjectCache: decoded objects of one type, kept within a bound on memory.
 *
 * Least recently used ones go first.  Coroutines that want an object that is
 * being loaded wait for that one load.
 */
#ifndef EMBR_ENGRAM_OBJECT_CACHE_H
#define EMBR_ENGRAM_OBJECT_CACHE_H

#include "engram/file.h"
#include "util/co-lock.h"

typedef struct ObjectCache ObjectCache;

typedef struct CachedObject {
    EngramRef ref;
    void *value;                /* what parse made of it */
    /* Private. */
    gint64 key;                 /* its offset */
    size_t cost;
    unsigned pins;
    bool loading;
    bool is_correction;         /* of frames */
    bool is_recalled;           /* a correction wants it: it must be none */
    GError *error;
    CoQueue waiters;
    GList lru;                  /* linked in while pins is 0 */
} CachedObject;

/*
 * What makes an object's bytes usable.  It owns raw (ref->raw bytes and a NUL) and
 * returns what the cache is to hold, adding to *cost what that takes beyond the
 * bytes; or NULL with an error that does not name the file.
 */
typedef void *ObjectParse(uint8_t *raw, const EngramRef *ref, void *opaque, size_t *cost,
                          GError **errp);

/* Frames that corrections recall come from the cache, too.
 *
 * parse NULL: the bytes as they are; destroy frees what parse returned. */
ObjectCache *object_cache_new(EngramFile *file, EngramObjectType type, uint64_t max_bytes,
                              ObjectParse *parse, GDestroyNotify destroy, void *opaque);
/* No object may be pinned or loading. */
void object_cache_free(ObjectCache *cache);

/* The object, pinned: it stays until object_cache_put(). */
CachedObject *coroutine_fn object_cache_co_get(ObjectCache *cache, const EngramRef *ref,
                                               GError **errp);
void object_cache_put(ObjectCache *cache, CachedObject *object);
/* The same if that takes no wait; else NULL. */
CachedObject *object_cache_try_get(ObjectCache *cache, const EngramRef *ref);
/* It is there or on its way. */
bool object_cache_has(const ObjectCache *cache, const EngramRef *ref);
uint64_t object_cache_max_bytes(const ObjectCache *cache);
/* How many objects were loaded so far. */
uint64_t object_cache_loads(const ObjectCache *cache);

#endif
