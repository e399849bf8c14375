/*
 * CompactPlan: which frames of an engram stay as they are when it is compacted.
 */
#ifndef EMBR_ENGRAM_COMPACT_PLAN_H
#define EMBR_ENGRAM_COMPACT_PLAN_H

#include "engram/file.h"

typedef struct CompactPlan CompactPlan;

/*
 * Looks at what all images use.  A frame stays if most of it is used; or if copying what is
 * used, of it and of the corrections that recall it, would take more than all of them do.
 * A correction stays if most of it is used, and the frame it recalls does.
 */
CompactPlan *coroutine_fn compact_plan_co_new(EngramFile *f, const char *spool_dir,
                                              GError **errp);
void compact_plan_free(CompactPlan *plan);      /* NULL is fine */

/* By number in the directory. */
bool compact_plan_keeps(const CompactPlan *plan, uint64_t frame);
/* The frame that this one is a correction of; FRAME_WRITER_NONE if it is none, or that is
 * not kept. */
uint32_t compact_plan_source(const CompactPlan *plan, uint64_t frame);

#endif
