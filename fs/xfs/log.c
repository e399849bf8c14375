/*
 * Whether the log is clean: whether the last of its records is that of an unmount.  The
 * log is a ring; every block of 512 bytes begins with the number of the round in which
 * it was written (in a record's first block, its second word is that).
 */
#include "xfs.h"

typedef struct Log {
    XfsState *s;
    uint64_t offset; /* on the volume */
    uint64_t blocks; /* of 512 bytes */
} Log;

static bool coroutine_fn read_blocks(const Log *log, uint64_t block, uint64_t count,
                                     uint8_t *buf, GError **errp)
{
    return xfs_device_co_read(log->s, log->offset + block * XFS_LOG_BLOCK_BYTES,
                              count * XFS_LOG_BLOCK_BYTES, buf, "log", errp);
}

static uint32_t cycle_of(const uint8_t *block)
{
    uint32_t first = be32_load(block);

    return first == XFS_LOG_RECORD_MAGIC ? be32_load(block + 4) : first;
}

static bool coroutine_fn read_cycle(const Log *log, uint64_t block, uint32_t *cycle,
                                    GError **errp)
{
    uint8_t data[XFS_LOG_BLOCK_BYTES];

    if (!read_blocks(log, block, 1, data, errp)) {
        return false;
    }
    *cycle = cycle_of(data);
    return true;
}

/* Where the next record would be written: the first block that is not of the first
 * block's round, first; the log's end if all are. */
static bool coroutine_fn find_head(const Log *log, uint32_t first, uint64_t *head,
                                   GError **errp)
{
    uint64_t low = 0, high = log->blocks;

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        uint32_t cycle;

        if (!read_cycle(log, middle, &cycle, errp)) {
            return false;
        }
        if (cycle == first) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *head = high;
    return true;
}

/* Whether the last record that starts in the blocks is that of an unmount. *found
 * false: none does. */
static bool last_is_unmount(const uint8_t *blocks, uint64_t count, bool *found)
{
    for (uint64_t i = count; i-- > 0;) {
        const uint8_t *block = blocks + i * XFS_LOG_BLOCK_BYTES;
        const XfsLogRecord *record = (const XfsLogRecord *)block;

        if (be32_get(record->magicno) != XFS_LOG_RECORD_MAGIC) {
            continue;
        }

        /* One operation, in a block of its own right behind a head of one block; or of
         * more, as its size says. */
        uint32_t size = be32_get(record->size);
        uint64_t head_blocks = (be32_get(record->version) & 2) && size > 32 * 1024
                                   ? div_round_up(size, 32 * 1024)
                                   : 1;

        *found = true;
        if (be32_get(record->num_logops) != 1 ||
            !range_fits(i, head_blocks + 1, count)) {
            return false;
        }

        const XfsLogOp *op =
            (const XfsLogOp *)(block + head_blocks * XFS_LOG_BLOCK_BYTES);

        return op->flags & XFS_LOG_OP_UNMOUNT;
    }
    *found = false;
    return false;
}

static bool coroutine_fn is_clean(const Log *log, bool *clean, GError **errp)
{
    uint32_t first;
    uint64_t head;

    if (!read_cycle(log, 0, &first, errp)) {
        return false;
    }
    if (!first) { /* Nothing was ever written, or it was zeroed. */
        *clean = true;
        return true;
    }
    if (!find_head(log, first, &head, errp)) {
        return false;
    }

    uint64_t count = MIN(head, XFS_LOG_RECORD_MAX_BLOCKS);
    g_autofree uint8_t *data =
        g_malloc(XFS_LOG_RECORD_MAX_BLOCKS * XFS_LOG_BLOCK_BYTES);
    bool found;

    if (!read_blocks(log, head - count, count, data, errp)) {
        return false;
    }
    *clean = last_is_unmount(data, count, &found);
    if (found || head == log->blocks) {
        return true;
    }

    /* The last record began before the ring's end. */
    count = MIN(log->blocks - head, XFS_LOG_RECORD_MAX_BLOCKS);
    if (!read_blocks(log, log->blocks - count, count, data, errp)) {
        return false;
    }
    *clean = last_is_unmount(data, count, &found);
    return true;
}

bool coroutine_fn xfs_log_co_check(XfsState *s)
{
    const XfsGeometry *geo = &s->geo;
    g_autoptr(GError) error = NULL;
    Log log = {
        .s = s,
        .blocks = (uint64_t)geo->log_blocks << (geo->block_bits - XFS_DADDR_BITS),
    };
    uint64_t block;
    bool clean;

    if (!geo->log_start) {
        xfs_warn(s, 0,
                 "the log is on another device: what is only in the log is not shown");
        return false;
    }
    if (!geo->log_blocks ||
        !xfs_block_locate(geo, geo->log_start, geo->log_blocks, &block)) {
        xfs_warn(s, 0,
                 "the log of %u blocks at 0x%" PRIx64 " is in no allocation group: "
                 "what is only in the log is not shown",
                 geo->log_blocks, geo->log_start);
        return false;
    }
    log.offset = block << geo->block_bits;
    if (!is_clean(&log, &clean, &error)) {
        xfs_warn(s, log.offset,
                 "the log cannot be read (%s): what is only in the log is not shown",
                 error->message);
        return false;
    }
    if (!clean) {
        xfs_warn(
            s, log.offset,
            "the log is not clean, and is not replayed: changes of the last seconds "
            "before the filesystem was cut off, which are only in the log, are not "
            "shown");
    }
    return clean;
}
