/*
 * Zeroes that need not be read.
 */
#include "engram/sink-status.h"

#include <errno.h>
#include <inttypes.h>

#include "util/error.h"

bool coroutine_fn sink_status_co_find(SinkStatus *s, uint64_t pos, GError **errp)
{
    int64_t n = 0;

    if (s->start <= pos && pos < s->end) {
        return true;
    }
    int ret = blk_co_block_status(s->disk, pos, blk_length(s->disk) - pos, &n);
    if (ret < 0 || n <= 0) {
        GError *error = bdrv_take_error(blk_bs(s->disk));
        if (error) {
            g_propagate_error(errp, error);
        } else {
            error_set_errno(
                errp, ret < 0 ? -ret : EIO,
                "%s: error while asking for block status at offset 0x%" PRIx64,
                blk_name(s->disk), pos);
        }
        return false;
    }
    s->zero = ret & BDRV_BLOCK_ZERO;
    s->start = pos;
    s->end = pos + n;
    return true;
}
