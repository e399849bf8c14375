/*
 * SinkJob: some MiB of units on their way from the disk into frames.
 *
 * A job is filled with units, its content is read, cut in the thread pool, and encoded
 * when its turn has come.  Many are under way at once; one is encoded at a time, in
 * order.
 */
#ifndef EMBR_ENGRAM_SINK_JOB_H
#define EMBR_ENGRAM_SINK_JOB_H

#include "engram/map-writer.h"
#include "engram/sink-cut.h"
#include "engram/sink-plan.h"

/* What is common to all jobs of an encode.  frames NULL: nothing is stored, and only
 * what files contain is found out. */
typedef struct SinkEncoder {
    BlockBackend *disk;
    const ProfileSet *profiles;
    const Chunker *chunker;
    SinkContents *contents;
    Codebook *codebook;
    FrameWriter *frames;
    MapWriter *map;
    RecallIndex *recall;            /* NULL: nothing is recalled */
    uint32_t recall_frames;         /* that earlier commits have */
    bool recall_most;               /* from this one as from these */
    struct SinkProfileCounts *counts;   /* by profile */
    uint64_t same_chunks, same_bytes;
} SinkEncoder;

/* What units of a profile had, in bytes. */
typedef struct SinkProfileCounts {
    uint64_t bytes;
    uint64_t chunks;                /* of these, in chunks */
    uint64_t same;                  /* of these, in chunks that were known */
} SinkProfileCounts;

typedef struct SinkJob SinkJob;

/* Empty, to be used again and again.  e stays the caller's. */
SinkJob *sink_job_new(SinkEncoder *e);
void sink_job_free(SinkJob *job);

void sink_job_clear(SinkJob *job);
/* False: there is no room left.  An empty job has room for any unit. */
bool sink_job_add(SinkJob *job, const SinkUnit *unit, const GArray *extents);
bool sink_job_is_empty(const SinkJob *job);
/* The first file in it; SINK_NO_FILE if there is none. */
uint32_t sink_job_file(const SinkJob *job);
/* Bytes of the disk it is about. */
uint64_t sink_job_bytes(const SinkJob *job);

bool coroutine_fn sink_job_co_read(SinkJob *job, GError **errp);
void coroutine_fn sink_job_co_cut(SinkJob *job);
bool coroutine_fn sink_job_co_encode(SinkJob *job, GError **errp);

#endif
