/*
 * BlockBackend: how everybody above the graph uses a disk.
 *
 * A backend holds a reference to a root node.  Requests outside [0, length)
 * are refused with -EIO.
 */
#ifndef EMBR_BLOCK_BLOCK_BACKEND_H
#define EMBR_BLOCK_BLOCK_BACKEND_H

#include "block/block.h"

typedef struct BlockBackend BlockBackend;

/* Takes a reference of its own on root. */
BlockBackend *blk_new(BlockDriverState *root);
/* A backend on the part [offset, offset + length) of another's disk, as a
 * filesystem sees its volume.  The part may reach beyond the disk's end; reads
 * there are -EIO. */
BlockBackend *blk_new_slice(BlockBackend *blk, int64_t offset, int64_t length);
BlockBackend *blk_ref(BlockBackend *blk);
void blk_unref(BlockBackend *blk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockBackend, blk_unref)

BlockDriverState *blk_bs(const BlockBackend *blk);
/* Where byte 0 of this backend is on the root node. */
int64_t blk_offset(const BlockBackend *blk);
int64_t blk_length(const BlockBackend *blk);
const char *blk_name(const BlockBackend *blk);      /* for messages */

/* From now on every write is on stable storage when it is answered. */
void blk_set_writethrough(BlockBackend *blk);

int coroutine_fn blk_co_pread(BlockBackend *blk, int64_t offset, int64_t bytes, void *buf);
int coroutine_fn blk_co_preadv(BlockBackend *blk, int64_t offset, int64_t bytes,
                               const IOVector *iov);
/* As bdrv_co_pin(); bdrv_unpin() ends it. */
int coroutine_fn blk_co_pin(BlockBackend *blk, int64_t offset, int64_t bytes, BdrvPin *pin);
int coroutine_fn blk_co_pwritev(BlockBackend *blk, int64_t offset, int64_t bytes,
                                const IOVector *iov, size_t iov_offset,
                                BdrvRequestFlags flags);
int coroutine_fn blk_co_pwrite(BlockBackend *blk, int64_t offset, int64_t bytes,
                               const void *buf, BdrvRequestFlags flags);
int coroutine_fn blk_co_pwrite_zeroes(BlockBackend *blk, int64_t offset, int64_t bytes,
                                      BdrvRequestFlags flags);
int coroutine_fn blk_co_flush(BlockBackend *blk);
/* Over the whole chain; BDRV_BLOCK_* bits or -errno. */
int coroutine_fn blk_co_block_status(BlockBackend *blk, int64_t offset, int64_t bytes,
                                     int64_t *pnum);

/* blk_co_pread() with a GError that names the disk, the offset, what for
 * ("inode table of group 3"), and the reason the layers below gave. */
bool coroutine_fn blk_co_read(BlockBackend *blk, int64_t offset, int64_t bytes, void *buf,
                              const char *what, GError **errp);

#endif
