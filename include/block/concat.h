/*
 * Several disks as one.
 */
#ifndef EMBR_BLOCK_CONCAT_H
#define EMBR_BLOCK_CONCAT_H

#include "block/block.h"

/* A read-only node that shows the disks of parts (at least one, of BlockDriverState) one
 * behind the other; takes references of its own.  Messages name the first one, or the part
 * they are about.  NULL: they are too long together. */
BlockDriverState *bdrv_new_concat(const GPtrArray *parts, GError **errp);

#endif
