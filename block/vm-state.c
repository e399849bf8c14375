/*
 * The VM's state: what lies behind the end of a disk.
 */
#include <errno.h>
#include "block/block-int.h"

int64_t bdrv_vm_state_offset(BlockDriverState *bs)
{
    return bs->drv->bdrv_vm_state_offset ? bs->drv->bdrv_vm_state_offset(bs) : 0;
}

/* The place on the disk; or -errno. */
static int64_t find_place(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    if (!bs->drv->bdrv_vm_state_offset) {
        return -ENOTSUP;
    }
    int64_t start = bs->drv->bdrv_vm_state_offset(bs);
    if (offset < 0 || bytes < 0 || offset > G_MAXINT64 - start ||
        bytes > G_MAXINT64 - start - offset) {
        return -EFBIG;
    }
    return start + offset;
}

int coroutine_fn bdrv_co_read_vm_state(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       const IOVector *iov)
{
    int64_t place = find_place(bs, offset, bytes);

    if (place < 0) {
        return place;
    }
    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_VMSTATE_LOAD);
    bdrv_co_begin_request(bs);
    int ret = bs->drv->bdrv_co_preadv(bs, place, bytes, iov, 0, BDRV_REQ_NONE);
    bdrv_co_end_request(bs);
    return ret;
}

int coroutine_fn bdrv_co_write_vm_state(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                        const IOVector *iov)
{
    int64_t place = find_place(bs, offset, bytes);

    if (place < 0) {
        return place;
    }
    if (bdrv_is_read_only(bs)) {
        return -EROFS;
    }
    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_VMSTATE_SAVE);
    bdrv_co_begin_alone(bs);
    int ret = bs->drv->bdrv_co_prepare_vm_state(bs, place, bytes);
    bdrv_co_end_alone(bs);
    if (ret < 0) {
        return ret;
    }
    bdrv_co_begin_request(bs);
    ret = bs->drv->bdrv_co_pwritev(bs, place, bytes, iov, 0, BDRV_REQ_NONE);
    bdrv_co_end_request(bs);
    return ret;
}
