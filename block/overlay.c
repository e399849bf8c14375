/*
 * Overlays in temporary files.
 */
#include <unistd.h>
#include "block/block-int.h"

BlockDriverState *coroutine_fn bdrv_co_open_temporary(BlockDriverState *bs, int flags,
                                                      GError **errp)
{
    g_autofree char *name = NULL;
    int fd = g_file_open_tmp("embr-XXXXXX", &name, errp);

    if (fd < 0) {
        return NULL;
    }
    close(fd);
    BlockDriverState *overlay = NULL;
    if (bdrv_co_create_image(name, "qcow2", bdrv_length(bs), NULL, errp)) {
        overlay = bdrv_co_open_image(name, "qcow2", flags | BDRV_O_RDWR | BDRV_O_NO_FLUSH,
                                     errp);
    }
    /* The open file is enough: it is gone with its node. */
    unlink(name);
    if (overlay) {
        overlay->backing = bdrv_ref(bs);
    }
    return overlay;
}
