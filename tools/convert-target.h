/*
 * The file that convert makes, and what becomes of it if it is not completed.
 */
#ifndef EMBR_TOOLS_CONVERT_TARGET_H
#define EMBR_TOOLS_CONVERT_TARGET_H

#include "image.h"

/* A new, empty image open for writing.  From now on an end of the process by a signal
 * removes its file, until target_done().  NULL: reported, and nothing is left. */
BlockDriverState *coroutine_fn target_co_create(const char *name, const char *format,
                                                int64_t length, const char *keyval,
                                                int flags);

/* The target is complete, or else its file is removed. */
void target_done(bool complete);

/* The target that is there already, open for writing.  NULL: reported; so it is if the
 * target is a file that one of sources (of BlockDriverState) reads. */
BlockDriverState *coroutine_fn target_co_open(const char *name,
                                              const ImageOptions *options, int flags,
                                              const GPtrArray *sources);

/* False, and reported, if a new target of that name would overwrite a file that src
 * reads. */
bool target_is_no_source(const char *name, BlockDriverState *src);

#endif
