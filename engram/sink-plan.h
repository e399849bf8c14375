/*
 * SinkPlan: takes a disk apart into units, in the order in which they lie on it.
 *
 * All of the filesystems' metadata is read first; what is remembered of it is sorted in
 * bounded memory.  Each byte of the disk that may not be zero is in at least one unit.
 */
#ifndef EMBR_ENGRAM_SINK_PLAN_H
#define EMBR_ENGRAM_SINK_PLAN_H

#include "engram/chunker.h"
#include "engram/sink-content.h"
#include "engram/sink-gaps.h"
#include "util/progress.h"

typedef struct SinkPlan SinkPlan;

typedef struct SinkPlanOptions {
    BlockBackend *disk;
    const ProfileSet *profiles;
    const Chunker *chunker;
    bool drop_free_space;
    ManifestWriter *manifest; /* gets all files, with the content of those that are
                                 not read from the device */
    SinkContents *contents;
    const char *spool_dir;
    Progress *progress;
} SinkPlanOptions;

/* Walks the volumes.  What is damaged in them is warned of, and left to the gaps.  What
 * options point to stays the caller's. */
SinkPlan *coroutine_fn sink_plan_co_new(const SinkPlanOptions *options, GError **errp);
void sink_plan_free(SinkPlan *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SinkPlan, sink_plan_free)

/* Bytes of the disk that are not known to be zero. */
uint64_t sink_plan_bytes(const SinkPlan *p);

/* 1 and the next unit, with extents (of SinkExtent; cleared before) in order of offset;
 * 0 at the end; -1 and an error. */
int coroutine_fn sink_plan_co_next(SinkPlan *p, SinkUnit *unit, GArray *extents,
                                   GError **errp);

#endif
