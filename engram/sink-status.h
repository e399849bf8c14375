/*
 * SinkStatus: where a disk is known to be zero, asked for once for each range.
 */
#ifndef EMBR_ENGRAM_SINK_STATUS_H
#define EMBR_ENGRAM_SINK_STATUS_H

#include "block/block-backend.h"

typedef struct SinkStatus {
    BlockBackend *disk;             /* the caller's */
    uint64_t start, end;            /* all of this has one status */
    bool zero;
} SinkStatus;

/* Makes it the range that pos, on the disk, is in. */
bool coroutine_fn sink_status_co_find(SinkStatus *s, uint64_t pos, GError **errp);

#endif
