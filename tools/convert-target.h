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

/* False, and reported, if the file that name is of, or will be, is one that src reads. */
bool target_is_no_source(const char *name, BlockDriverState *src);

#endif
