/*
 * Persistent bitmaps that go with the disk into another image.
 */
#ifndef EMBR_TOOLS_CONVERT_BITMAPS_H
#define EMBR_TOOLS_CONVERT_BITMAPS_H

#include "block/block.h"

/* Before there is a target: whether src has bitmaps that can be copied into images of that
 * format.  skip_broken: those that are inconsistent are left out.  False: reported. */
bool coroutine_fn convert_co_check_bitmaps(BlockDriverState *src, const char *format,
                                           bool skip_broken);
/* After the disk was copied.  False: reported. */
bool coroutine_fn convert_co_copy_bitmaps(BlockDriverState *src, BlockDriverState *target);

#endif
