/*
 * SinkGaps: what of a disk is in no file, in order, without what is known to be zero.
 */
#ifndef EMBR_ENGRAM_SINK_GAPS_H
#define EMBR_ENGRAM_SINK_GAPS_H

#include "engram/profile.h"
#include "engram/sink-unit.h"
#include "fs/volume.h"
#include "util/record-sorter.h"

typedef struct SinkGaps SinkGaps;

/* disk and profiles stay the caller's. */
SinkGaps *sink_gaps_new(BlockBackend *disk, const ProfileSet *profiles,
                        bool drop_free_space, const char *spool_dir);
void sink_gaps_free(SinkGaps *g);

/* What is known of a volume, where it lies on the disk: fs (may be NULL: not known what
 * is there) says what its blocks are for.  fs stays the caller's, until the end. */
void sink_gaps_add_volume(SinkGaps *g, const Volume *volume, Filesystem *fs);
/* Nothing is known of the disk. */
void sink_gaps_add_unknown(SinkGaps *g);
/* These bytes are some file's. Ranges may overlap. */
bool sink_gaps_cover(SinkGaps *g, uint64_t offset, uint64_t length, GError **errp);
/* Nothing more is covered. */
bool sink_gaps_start(SinkGaps *g, GError **errp);
/* 1 and the next gap, at most to the next multiple of SINK_SEGMENT_BYTES; 0 at the end;
 * -1 and an error. */
int coroutine_fn sink_gaps_co_next(SinkGaps *g, SinkUnit *unit, GError **errp);

#endif
