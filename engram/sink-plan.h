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

/* A directory or file of a volume: the paths of what is below it begin there. */
typedef struct SinkStart {
    const char *volume;       /* its path: "/p3", "/vg/root" */
    FsIno ino;
} SinkStart;

typedef struct SinkPlanOptions {
    BlockBackend *disk;
    const ProfileSet *profiles;
    const Chunker *chunker;
    bool drop_free_space;
    bool files_only;          /* what is in no file is left out */
    const SinkStart *start;   /* files_only: where to begin; NULL: all volumes */
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

/* Bytes that the units have: of the disk those that are not known to be zero, or those
 * of files alone. */
uint64_t sink_plan_bytes(const SinkPlan *p);
/* How much was warned of that is missing in the manifest, or is in it without its content. */
uint64_t sink_plan_damages(const SinkPlan *p);

/* 1 and the next unit, with extents (of SinkExtent; cleared before) in order of offset;
 * 0 at the end; -1 and an error. */
int coroutine_fn sink_plan_co_next(SinkPlan *p, SinkUnit *unit, GArray *extents,
                                   GError **errp);

#endif
