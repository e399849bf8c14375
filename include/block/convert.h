/*
 * Copying a whole disk into another image, and comparing two.
 */
#ifndef EMBR_BLOCK_CONVERT_H
#define EMBR_BLOCK_CONVERT_H

#include "block/block-backend.h"
#include "util/progress.h"

enum { CONVERT_MAX_COROUTINES = 16, CONVERT_DEFAULT_COROUTINES = 8 };

typedef struct ConvertOptions {
    unsigned coroutines;        /* requests in flight, 1 to CONVERT_MAX_COROUTINES */
    bool target_is_zero;        /* a new target: zeroes need not be written */
    int64_t sparse_bytes;       /* runs of zeroes in data this long (a multiple of 512) are not
                                   written; 0: all data is written.  qemu-img's -S, default 4096 */
} ConvertOptions;

/* Pushes src's blocks into target (same length or longer, the rest is zeroed). */
bool coroutine_fn convert_co_copy(BlockBackend *src, BlockBackend *target,
                                  const ConvertOptions *options, Progress *progress,
                                  GError **errp);

typedef struct CompareResult {
    bool identical;
    bool size_differs;
    int64_t mismatch_offset;    /* the first; -1 if none */
    bool mismatch_in_tail;      /* beyond the shorter image's end, where only zeroes are equal */
} CompareResult;

bool coroutine_fn compare_co_images(BlockBackend *a, BlockBackend *b, bool strict,
                                    Progress *progress, CompareResult *result, GError **errp);

#endif
