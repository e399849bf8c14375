/*
 * Metadata in memory, for filesystem drivers: bounded, the least recently used go
 * first.  Whoever asks for what is being read waits for that read.
 */
#ifndef EMBR_FS_BUFFER_CACHE_H
#define EMBR_FS_BUFFER_CACHE_H

#include "fs/fs.h"
#include "util/co-lock.h"

typedef struct FsCache FsCache;

typedef struct FsBuffer {
    uint64_t offset;                    /* on the volume */
    uint32_t bytes;
    uint8_t *data;
    uint64_t checked;                   /* 0 when read; then its user's own mark */
    /* private */
    uint64_t key;
    unsigned refcount;
    bool loading;
    GError *error;
    CoQueue waiters;
    GList lru;
} FsBuffer;

/* Reads all bytes, or sets the error. */
typedef bool coroutine_fn (*FsCacheRead)(void *opaque, uint64_t offset, uint64_t bytes,
                                         void *buf, const char *what, GError **errp);

FsCache *fs_cache_new(FsCacheRead read, void *opaque);
/* Buffers that are held stay. */
void fs_cache_free(FsCache *cache);
/* Forgets everything. */
void fs_cache_drop(FsCache *cache);

/* The bytes at offset, a multiple of 128; kind (0 to 127) tells buffers of different
 * use at one offset apart.  The result is held until released. NULL on error. */
FsBuffer *coroutine_fn fs_cache_co_get(FsCache *cache, unsigned kind, uint64_t offset,
                                       uint32_t bytes, const char *what, GError **errp);
void fs_buffer_release(FsBuffer *buffer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsBuffer, fs_buffer_release)

#endif
