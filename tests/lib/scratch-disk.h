/*
 * A disk in memory that can be written, and that fails when a test wants it to.
 */
#ifndef EMBR_TESTS_LIB_SCRATCH_DISK_H
#define EMBR_TESTS_LIB_SCRATCH_DISK_H

#include "block/block-backend.h"

typedef struct ScratchDisk {
    uint8_t *data;          /* the caller's */
    size_t size;
    unsigned writes_left;   /* that succeed; half of the one after them is done */
    unsigned flushes;
} ScratchDisk;

/* disk must stay as long as the backend. */
BlockBackend *scratch_disk_open(ScratchDisk *disk);

#endif
