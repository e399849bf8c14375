/*
 * Copying a whole disk into another image, and comparing two.
 */
#ifndef EMBR_BLOCK_CONVERT_H
#define EMBR_BLOCK_CONVERT_H

#include "block/block-backend.h"
#include "util/progress.h"
#include "util/rate-limit.h"

enum { CONVERT_MAX_COROUTINES = 16, CONVERT_DEFAULT_COROUTINES = 8 };

typedef struct ConvertOptions {
    unsigned coroutines;        /* requests in flight, 1 to CONVERT_MAX_COROUTINES */
    bool target_is_zero;        /* a new target: zeroes need not be written */
    int64_t sparse_bytes;       /* runs of zeroes in data this long (a multiple of 512) are not
                                   written; 0: all data is written.  qemu-img's -S, default 4096.
                                   Targets with clusters: whole ones at least */
    bool compressed;            /* clusters are compressed: the target's driver can do that */
    bool over_backing;          /* the target reads as what is below the source's top layers:
                                   only what those have is copied */
    BlockDriverState *below;    /* then: the layer below them, no reference; NULL: all are */
    int64_t backing_end;        /* then: from there on the target reads as zeroes; G_MAXINT64
                                   if it is not known to */
    RateLimit *rate;            /* of data; NULL: none */
} ConvertOptions;

/* Pushes src's blocks into target (same length or longer, the rest stays as it is).
 * Pieces are written in any order.  Nothing is flushed.  sparse_bytes 0: what is
 * known to be zero is written, too. */
bool coroutine_fn convert_co_copy(BlockBackend *src, BlockBackend *target,
                                  const ConvertOptions *options, Progress *progress,
                                  GError **errp);

typedef struct CompareResult {
    bool identical;             /* strict: the sizes and what is allocated, too */
    bool size_differs;
    bool status_failed;         /* on failure: block status, not data, could not be read */
    int64_t mismatch_offset;    /* of the first sector of 512 bytes that differs; -1 if none */
    bool status_differs;        /* strict: not the content there, but its block status */
    bool mismatch_in_tail;      /* beyond the shorter image's end, where only zeroes are equal */
} CompareResult;

/* Images that record equal digests of their content (bdrv_content_digest) are equal
 * without being read. Else stops at the first difference.  A shorter image is equal to a longer one that
 * has only zeroes beyond; not so if strict.  False: the images could not be read. */
bool coroutine_fn compare_co_images(BlockBackend *a, BlockBackend *b, bool strict,
                                    Progress *progress, CompareResult *result, GError **errp);

#endif
