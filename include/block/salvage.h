/*
 * Salvage: reading on where an image cannot be read.
 */
#ifndef EMBR_BLOCK_SALVAGE_H
#define EMBR_BLOCK_SALVAGE_H

#include "block/block.h"

/* Which ranges of a disk were lost, and why.  One thread at a time. */
typedef struct SalvageLog SalvageLog;

enum {
    SALVAGE_MAX_RANGES = 65536,     /* kept; what is lost beyond them is only counted */
    SALVAGE_GRAIN_BYTES = 512,      /* what drivers that cannot tell are asked for at a time */
};

/* For drivers that know exactly what is lost.  Takes error. */
void salvage_log_add(SalvageLog *log, uint64_t offset, uint64_t bytes, GError *error);

/*
 * A filter over bs (of which it takes a reference): what cannot be read reads as zeroes
 * and is noted.  Drivers with bdrv_set_salvage find out themselves what that is; others
 * are asked for ever smaller parts.  Read-only.
 */
BlockDriverState *bdrv_new_salvage(BlockDriverState *bs);

typedef struct SalvageRange {
    uint64_t offset, bytes;
    const char *why;                /* valid during the call */
} SalvageRange;

/* Calls func for each range that was lost so far, in order; neighbours are one if they are
 * lost for one reason.  Returns how many bytes were lost in all. */
uint64_t bdrv_salvage_foreach(BlockDriverState *filter,
                              void (*func)(const SalvageRange *range, void *opaque),
                              void *opaque);

#endif
