/*
 * EngramReader: an image of an engram, as bytes of a disk.
 *
 * Memory is bounded by the cache of decoded frames plus the frames of requests
 * in flight plus a few MiB of index, whatever the size of the disk.  Frames a
 * request needs are read and decoded side by side; who reads in sequence gets
 * them decoded ahead.  Errors name the file.
 */
#ifndef EMBR_ENGRAM_READER_H
#define EMBR_ENGRAM_READER_H

#include "block/salvage.h"
#include "engram/map.h"

typedef struct EngramReader EngramReader;

enum { ENGRAM_DEFAULT_CACHE_BYTES = 64 << 20 };

/* image NULL: the first. cache_bytes 0: the default. */
EngramReader *coroutine_fn engram_reader_co_open(BlockDriverState *file, const char *image,
                                                 uint64_t cache_bytes, GError **errp);
/* Waits for read-ahead to end. In or out of a coroutine. */
void engram_reader_free(EngramReader *r);
/* That of a node of format engram, which owns it; NULL if it is of another. */
EngramReader *engram_reader_of_node(BlockDriverState *bs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EngramReader, engram_reader_free)

/* From now on reads show that image. Not while requests are in flight. */
bool coroutine_fn engram_reader_co_select(EngramReader *r, const char *image, GError **errp);

EngramFile *engram_reader_file(EngramReader *r);
const EngramImage *engram_reader_image(const EngramReader *r);

/* offset + bytes is within the image's virtual size. */
bool coroutine_fn engram_reader_co_read(EngramReader *r, uint64_t offset, uint64_t bytes,
                                        const IOVector *iov, size_t iov_offset,
                                        GError **errp);

/*
 * The same without copying: adds memory that holds the bytes to iov, and what keeps it
 * there to held (of private kind; for engram_reader_unpin()).  1: done.  0: it would
 * take too much memory at a time; the bytes have to be read.  -1 and an error.  Some may
 * have been added in any case.
 */
int coroutine_fn engram_reader_co_pin(EngramReader *r, uint64_t offset, uint64_t bytes,
                                      IOVector *iov, GPtrArray *held, GError **errp);
/* Lets go of all that is held. */
void engram_reader_unpin(EngramReader *r, GPtrArray *held);

/* What is damaged reads as zeroes from now on and is noted in log; NULL: it is an error
 * again. Not for engram_reader_co_pin(). */
void engram_reader_set_salvage(EngramReader *r, SalvageLog *log);

typedef enum EngramContent {
    ENGRAM_CONTENT_DATA,
    ENGRAM_CONTENT_ZERO,        /* it is zeroes; nothing is stored */
    ENGRAM_CONTENT_DROPPED,     /* it was not kept; reads as zeroes */
} EngramContent;

/* Sets *content and *pnum, 1 to bytes, for which it holds.  Runs are merged as far as
 * that is cheap. */
bool coroutine_fn engram_reader_co_status(EngramReader *r, uint64_t offset, uint64_t bytes,
                                          EngramContent *content, uint64_t *pnum,
                                          GError **errp);

typedef struct EngramReaderStats {
    uint64_t frames_decoded;
    uint64_t index_pages_loaded;        /* segments and maps */
} EngramReaderStats;
void engram_reader_stats(const EngramReader *r, EngramReaderStats *stats);

#endif
