/*
 * The engram sink: makes an engram of a whole disk.
 *
 * The disk's volumes and files are walked; content is cut into chunks along the files
 * and between them, chunks that are known are recalled, the others gathered in frames
 * and compressed.  Reading, hashing, compression and writing go on at the same time;
 * the finished engram is read back and checked.
 *
 * Memory is bounded, but for at most 32 bytes for each different chunk.
 */
#ifndef EMBR_ENGRAM_SINK_H
#define EMBR_ENGRAM_SINK_H

#include "block/block-backend.h"
#include "util/progress.h"

typedef struct BlockdevCreateOptionsEngram BlockdevCreateOptionsEngram;

/*
 * Makes the engram at path, a file or a block device.  A file appears there, in place
 * of what was there, when it is complete; on failure what was there stays.  Filesystems
 * and partition tables that are damaged are stored as the bytes they are, with a
 * warning (g_warning) each.  Block devices are overwritten from the start on.
 */
bool coroutine_fn engram_sink_co_encode(BlockDriverState *src, const char *path,
                                        const BlockdevCreateOptionsEngram *options,
                                        Progress *progress, GError **errp);

#endif
