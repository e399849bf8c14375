#include "tests/lib/scratch-disk.h"

#include <errno.h>

#include "block/block-int.h"

typedef struct ScratchState {
    ScratchDisk *disk;
} ScratchState;

static int coroutine_fn scratch_co_preadv(BlockDriverState *bs, int64_t offset,
                                          int64_t bytes, const IOVector *iov,
                                          size_t iov_offset, BdrvRequestFlags flags)
{
    ScratchState *s = bs->opaque;

    iovector_from_buf(iov, iov_offset, s->disk->data + offset, bytes);
    return 0;
}

static int coroutine_fn scratch_co_pwritev(BlockDriverState *bs, int64_t offset,
                                           int64_t bytes, const IOVector *iov,
                                           size_t iov_offset, BdrvRequestFlags flags)
{
    ScratchState *s = bs->opaque;
    ScratchDisk *disk = s->disk;

    if (!range_fits(offset, bytes, disk->size)) {
        return -ENOSPC;
    }
    if (!disk->writes_left) {
        /* Sectors are written in full or not at all. */
        iovector_to_buf(iov, iov_offset, disk->data + offset,
                        round_down_pow2(bytes / 2, 512));
        return -EIO;
    }
    disk->writes_left--;
    iovector_to_buf(iov, iov_offset, disk->data + offset, bytes);
    return 0;
}

static int coroutine_fn scratch_co_flush(BlockDriverState *bs)
{
    ScratchState *s = bs->opaque;

    s->disk->flushes++;
    return 0;
}

static BlockDriver bdrv_scratch = {
    .format_name = "scratch",
    .is_protocol = true,
    .instance_size = sizeof(ScratchState),
    .bdrv_co_preadv = scratch_co_preadv,
    .bdrv_co_pwritev = scratch_co_pwritev,
    .bdrv_co_flush = scratch_co_flush,
};

BlockBackend *scratch_disk_open(ScratchDisk *disk)
{
    g_autoptr(BlockDriverState) bs =
        bdrv_new_node(&bdrv_scratch, "scratch", BDRV_O_RDWR, NULL);
    ScratchState *s = bs->opaque;

    s->disk = disk;
    bs->total_bytes = disk->size;
    return blk_new(bs);
}
