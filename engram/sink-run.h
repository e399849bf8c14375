/*
 * Sending all units of a plan through jobs, many at once.
 */
#ifndef EMBR_ENGRAM_SINK_RUN_H
#define EMBR_ENGRAM_SINK_RUN_H

#include "engram/sink-job.h"

typedef struct SinkRun {
    SinkEncoder *e;
    SinkPlan *plan;
    ManifestWriter *manifest;       /* of the plan */
    Progress *progress;
    uint64_t dropped_ranges;        /* found so far */
} SinkRun;

/* To the end of the plan; everything has come to rest when it returns. */
bool coroutine_fn sink_run_co_all(SinkRun *run, GError **errp);

#endif
