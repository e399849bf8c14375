/*
 * SinkBase: an engram that an image is added to: what it has, for the codebook.
 */
#ifndef EMBR_ENGRAM_SINK_BASE_H
#define EMBR_ENGRAM_SINK_BASE_H

#include "engram/codebook.h"
#include "engram/commit-writer.h"
#include "engram/frame-writer.h"

/* Opens an engram.  Says if it is none that images can be added to. */
EngramFile *coroutine_fn sink_base_co_open(BlockDriverState *file, GError **errp);
/* The engram that out is, which is locked. */
EngramFile *coroutine_fn sink_base_co_open_locked(OutFile *out, GError **errp);

/* EMBR_ERROR_INVALID if it has an image of that name, or too many already. */
bool coroutine_fn sink_base_co_check_name(EngramFile *base, const char *name,
                                          GError **errp);

/* The profiles its frames have numbers of. */
ProfileSet *coroutine_fn sink_base_co_profiles(EngramFile *base, GError **errp);

/*
 * Makes all its chunks known to codebook, and its frames to frames.  Of the directory,
 * the pages that stay are left in plan; *first is the number of the first frame that is
 * not in one of these.
 */
bool coroutine_fn sink_base_co_recall(EngramFile *base, Codebook *codebook,
                                      FrameWriter *frames, CommitPlan *plan,
                                      uint32_t *first, GError **errp);

#endif
