/*
 * Events, for a blkdebug node below.
 */
#include <errno.h>
#include "block/block-int.h"

void coroutine_fn bdrv_co_debug_event(BlockDriverState *bs, BlkdebugEvent event)
{
    if (bs && bs->drv->bdrv_co_debug_event) {
        bs->drv->bdrv_co_debug_event(bs, event);
    }
}

/* The first node from bs down that can stop requests; NULL: none. */
static BlockDriverState *find_debugger(BlockDriverState *bs)
{
    while (bs && !bs->drv->bdrv_debug_break) {
        bs = bs->file;
    }
    return bs;
}

int bdrv_debug_break(BlockDriverState *bs, const char *event, const char *tag)
{
    BlockDriverState *node = find_debugger(bs);
    return node ? node->drv->bdrv_debug_break(node, event, tag) : -ENOTSUP;
}

int bdrv_debug_remove_break(BlockDriverState *bs, const char *tag)
{
    BlockDriverState *node = find_debugger(bs);
    return node ? node->drv->bdrv_debug_remove_break(node, tag) : -ENOTSUP;
}

int bdrv_debug_resume(BlockDriverState *bs, const char *tag)
{
    BlockDriverState *node = find_debugger(bs);
    return node ? node->drv->bdrv_debug_resume(node, tag) : -ENOTSUP;
}

int coroutine_fn bdrv_debug_co_wait_for_break(BlockDriverState *bs, const char *tag)
{
    BlockDriverState *node = find_debugger(bs);

    if (!node) {
        return -ENOTSUP;
    }
    while (!node->drv->bdrv_debug_is_stopped(node, tag)) {
        node->drv->bdrv_debug_co_wait_for_stop(node);
    }
    return 0;
}
