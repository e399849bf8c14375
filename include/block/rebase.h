/*
 * What an overlay has to store before its backing image can be another one.
 */
#ifndef EMBR_BLOCK_REBASE_H
#define EMBR_BLOCK_REBASE_H

#include "block/block.h"
#include "util/progress.h"

/* Where bs does not decide and its backing image and new_backing (NULL: zeroes) read
 * differently, what is read now is written to bs.  Nothing is flushed, and the backing image
 * stays what it is: if this ends in the middle, bs reads as before. */
bool coroutine_fn rebase_co_copy(BlockDriverState *bs, BlockDriverState *new_backing,
                                 Progress *progress, GError **errp);

#endif
