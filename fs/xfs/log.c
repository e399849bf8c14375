/*
 * The log of an interrupted filesystem.  Nothing is written: the sectors that a replay
 * would change are made in memory, and read instead of the volume's.
 *
 * The log is a ring of records; every block of 512 bytes begins with the number of the
 * round in which it was written (in a record's first block, its second word is that),
 * and what belongs there is in the record's head.
 */
#include <isa-l/crc.h>
#include "log.h"

enum {
    IN_FLIGHT_BLOCKS = 8 * 256 * 1024 / XFS_LOG_BLOCK_BYTES, /* written in any order */
    HEADS_MAX = 256 * 1024 / XFS_LOG_SIZE_PER_HEAD,
    BODY_BYTES_MAX = 256 * 1024,
};

/* A record, read and checked. */
typedef struct Record {
    uint64_t block;
    uint64_t blocks; /* of heads and body */
    uint32_t body_bytes;
    unsigned heads;
    uint8_t
        *data; /* XFS_LOG_RECORD_MAX_BLOCKS: heads, then the body, as it was logged */
} Record;

static void record_clear(Record *record)
{
    g_clear_pointer(&record->data, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Record, record_clear)

static bool coroutine_fn read_blocks(const XfsLog *log, uint64_t block, uint64_t count,
                                     uint8_t *buf, GError **errp)
{
    while (count) {
        uint64_t part = MIN(count, log->blocks - block);

        if (!xfs_device_co_read(log->s, log->offset + block * XFS_LOG_BLOCK_BYTES,
                                part * XFS_LOG_BLOCK_BYTES, buf, "log", errp)) {
            return false;
        }
        buf += part * XFS_LOG_BLOCK_BYTES;
        count -= part;
        block = 0;
    }
    return true;
}

static uint32_t cycle_of(const uint8_t *block)
{
    uint32_t first = be32_load(block);

    return first == XFS_LOG_RECORD_MAGIC ? be32_load(block + 4) : first;
}

static bool coroutine_fn read_cycle(const XfsLog *log, uint64_t block, uint32_t *cycle,
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
static bool coroutine_fn find_head(const XfsLog *log, uint32_t first, uint64_t *head,
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

static uint64_t distance(const XfsLog *log, uint64_t from, uint64_t to)
{
    return to >= from ? to - from : to + log->blocks - from;
}

/* Blocks are written in any order: what lies behind one that is missing was not all
 * written. */
static uint64_t find_gap(const uint8_t *blocks, uint64_t count, uint32_t cycle)
{
    for (uint64_t i = 0; i < count; i++) {
        if (cycle_of(blocks + i * XFS_LOG_BLOCK_BYTES) != cycle) {
            return i;
        }
    }
    return count;
}

static unsigned heads_of(const XfsLogRecord *head)
{
    uint32_t size = be32_get(head->size);

    return (be32_get(head->version) & 2) && size > XFS_LOG_SIZE_PER_HEAD
               ? div_round_up(size, XFS_LOG_SIZE_PER_HEAD)
               : 1;
}

static bool is_record(const uint8_t *block)
{
    const XfsLogRecord *head = (const XfsLogRecord *)block;

    return be32_get(head->magicno) == XFS_LOG_RECORD_MAGIC;
}

/* The block of the last record that starts in front of head and is of the round. */
static bool coroutine_fn find_last(const XfsLog *log, uint64_t head, uint32_t cycle,
                                   uint64_t *last, GError **errp)
{
    uint64_t count = MIN(log->blocks, IN_FLIGHT_BLOCKS + XFS_LOG_RECORD_MAX_BLOCKS);
    uint64_t start = head >= count ? head - count : head + log->blocks - count;
    g_autofree uint8_t *data = g_malloc(count * XFS_LOG_BLOCK_BYTES);

    if (!read_blocks(log, start, count, data, errp)) {
        return false;
    }

    /* Of this round are only those from the log's start on. */
    uint64_t this_round = MIN(head, count);
    uint64_t before = count - this_round;
    uint64_t before_end = find_gap(data, before, cycle - 1);
    uint64_t end =
        before_end < before
            ? before_end
            : before + find_gap(data + before * XFS_LOG_BLOCK_BYTES, this_round, cycle);

    for (uint64_t i = end; i-- > 0;) {
        const uint8_t *block = data + i * XFS_LOG_BLOCK_BYTES;

        if (is_record(block)) {
            const XfsLogRecord *found = (const XfsLogRecord *)block;
            uint64_t blocks = heads_of(found) +
                              div_round_up(be32_get(found->len), XFS_LOG_BLOCK_BYTES);

            if (blocks <= end - i) {
                *last = (start + i) % log->blocks;
                return true;
            }
            end = i; /* cut off: the one in front of it is the last */
        }
    }
    xfs_error(log->s, errp, EMBR_ERROR_CORRUPT,
              log->offset + head * XFS_LOG_BLOCK_BYTES,
              "log: no record ends in front of its head");
    return false;
}

/* The checksum is over the head, with zeroes for itself, its padding on some machines,
 * further heads, and the body as it is written. */
static uint32_t record_crc(const Record *record, size_t head_bytes)
{
    const uint8_t *body = record->data + record->heads * XFS_LOG_BLOCK_BYTES;
    const size_t at = offsetof(XfsLogRecord, crc);
    uint8_t head[XFS_LOG_BLOCK_BYTES];
    uint32_t crc;

    memcpy(head, record->data, sizeof(head));
    memset(head + at, 0, 4);
    crc = crc32_iscsi(head, head_bytes, UINT32_MAX);
    for (unsigned i = 1; i < record->heads; i++) {
        crc = crc32_iscsi(record->data + i * XFS_LOG_BLOCK_BYTES, sizeof(XfsLogMore),
                          crc);
    }
    return ~crc32_iscsi((unsigned char *)body, record->body_bytes, crc);
}

static bool check_crc(const Record *record)
{
    uint32_t found = le32_get(((const XfsLogRecord *)record->data)->crc);

    return !found || found == record_crc(record, 328) ||
           found == record_crc(record, sizeof(XfsLogRecord));
}

/* Puts the words back that the rounds' numbers have replaced. */
static void restore_words(Record *record)
{
    uint8_t *body = record->data + record->heads * XFS_LOG_BLOCK_BYTES;
    uint64_t count = record->blocks - record->heads;

    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *head = record->data + i / XFS_LOG_CYCLES * XFS_LOG_BLOCK_BYTES;
        const be32_t *words = i < XFS_LOG_CYCLES
                                  ? ((const XfsLogRecord *)head)->cycle_data
                                  : ((const XfsLogMore *)head)->cycle_data;

        memcpy(body + i * XFS_LOG_BLOCK_BYTES, &words[i % XFS_LOG_CYCLES], 4);
    }
}

static bool coroutine_fn read_record(const XfsLog *log, uint64_t block, Record *record,
                                     GError **errp)
{
    uint8_t first[XFS_LOG_BLOCK_BYTES];
    const XfsLogRecord *head = (const XfsLogRecord *)first;

    if (!read_blocks(log, block, 1, first, errp)) {
        return false;
    }

    uint32_t bytes = be32_get(head->len);

    record->block = block;
    record->heads = heads_of(head);
    record->body_bytes = bytes;
    record->blocks = record->heads + div_round_up(bytes, XFS_LOG_BLOCK_BYTES);
    if (!is_record(first) || record->heads > HEADS_MAX || bytes > BODY_BYTES_MAX ||
        record->blocks > log->blocks ||
        record->blocks - record->heads > record->heads * UINT64_C(64) ||
        (be64_get(head->lsn) & UINT32_MAX) != block ||
        memcmp(head->fs_uuid, log->s->geo.uuid, XFS_UUID_BYTES)) {
        xfs_error(log->s, errp, EMBR_ERROR_CORRUPT,
                  log->offset + block * XFS_LOG_BLOCK_BYTES,
                  "log: record 0x%" PRIx64 " of %u bytes (magic 0x%08x) is none of "
                  "this filesystem's here",
                  be64_get(head->lsn), bytes, be32_get(head->magicno));
        return false;
    }
    if (be32_get(head->fmt) != XFS_LOG_FORMAT_LITTLE) {
        xfs_error(log->s, errp, EMBR_ERROR_UNSUPPORTED, log->offset,
                  "log: it was written by a machine of another byte order (format %u)",
                  be32_get(head->fmt));
        return false;
    }
    if (!record->data) {
        record->data = g_malloc(XFS_LOG_RECORD_MAX_BLOCKS * XFS_LOG_BLOCK_BYTES);
    }
    if (!read_blocks(log, block, record->blocks, record->data, errp)) {
        return false;
    }
    if (!check_crc(record)) {
        xfs_error(log->s, errp, EMBR_ERROR_CORRUPT,
                  log->offset + block * XFS_LOG_BLOCK_BYTES,
                  "log: the checksum of a record is 0x%08x, expected 0x%08x",
                  le32_get(head->crc), record_crc(record, 328));
        return false;
    }
    restore_words(record);
    return true;
}

static bool is_unmount(const Record *record)
{
    const XfsLogRecord *head = (const XfsLogRecord *)record->data;
    const XfsLogOp *op =
        (const XfsLogOp *)(record->data + record->heads * XFS_LOG_BLOCK_BYTES);

    return be32_get(head->num_logops) == 1 && record->body_bytes >= sizeof(*op) &&
           (op->flags & XFS_LOG_OP_UNMOUNT);
}

static uint64_t tail_of(const XfsLog *log, const Record *record)
{
    const XfsLogRecord *head = (const XfsLogRecord *)record->data;

    return (be64_get(head->tail_lsn) & UINT32_MAX) % log->blocks;
}

/* From tail on, up to the last record at block last.  What was in flight need not have
 * arrived: *last is set to the last good one.  False: a record is damaged in front of
 * what can have been in flight. */
static bool coroutine_fn each_record(const XfsLog *log, uint64_t tail, uint64_t *last,
                                     XfsLogRecordFunc *func, void *opaque,
                                     GError **errp)
{
    g_auto(Record) record = {0};
    uint64_t block = tail, good = tail;
    uint64_t left = log->blocks;

    for (;;) {
        GError *error = NULL;

        if (!read_record(log, block, &record, &error)) {
            if (block != tail && distance(log, block, *last) < IN_FLIGHT_BLOCKS &&
                !func) {
                g_error_free(error);
                *last = good;
                return true;
            }
            g_propagate_error(errp, error);
            return false;
        }
        if (func && !func((const XfsLogRecord *)record.data,
                          record.data + record.heads * XFS_LOG_BLOCK_BYTES,
                          record.body_bytes, opaque, errp)) {
            return false;
        }
        if (block == *last) {
            return true;
        }
        good = block;
        if (record.blocks > left) {
            xfs_error(log->s, errp, EMBR_ERROR_CORRUPT, log->offset,
                      "log: its records do not end");
            return false;
        }
        left -= record.blocks;
        block = (block + record.blocks) % log->blocks;
    }
}

/* The records that are to be replayed.  *clean: there are none. */
static bool coroutine_fn find_range(const XfsLog *log, uint64_t *tail, uint64_t *last,
                                    bool *clean, GError **errp)
{
    g_auto(Record) record = {0};
    uint32_t first;
    uint64_t head;

    *clean = true;
    if (!read_cycle(log, 0, &first, errp)) {
        return false;
    }
    if (!first) { /* Nothing was ever written, or it was zeroed. */
        return true;
    }
    if (!find_head(log, first, &head, errp) ||
        !find_last(log, head, first, last, errp)) {
        return false;
    }
    if (!read_record(log, *last, &record, NULL)) {
        /* It may not have been written in full: those in front of it say where to
         * begin. */
        const XfsLogRecord *torn = (const XfsLogRecord *)record.data;
        uint64_t before = torn ? be32_get(torn->prev_block) : log->blocks;

        if (before >= log->blocks || distance(log, before, *last) > IN_FLIGHT_BLOCKS) {
            return read_record(log, *last, &record, errp);
        }
        *last = before;
        if (!read_record(log, *last, &record, errp)) {
            return false;
        }
    }
    *clean = is_unmount(&record);
    if (*clean) {
        return true;
    }
    *tail = tail_of(log, &record);

    uint64_t end = *last;

    if (!each_record(log, *tail, last, NULL, NULL, errp)) {
        return false;
    }
    if (*last == end) {
        return true;
    }
    /* The one that is the last now may need more from before. */
    if (!read_record(log, *last, &record, errp)) {
        return false;
    }
    *tail = tail_of(log, &record);
    *clean = is_unmount(&record);
    return *clean || each_record(log, *tail, last, NULL, NULL, errp);
}

static bool coroutine_fn co_go_through(const XfsLog *log, uint64_t tail, uint64_t last,
                                       XfsLogReplay *replay, XfsLogItemFunc *co_item,
                                       GError **errp)
{
    g_auto(XfsLogItems) items = {0};

    xfs_log_items_init(&items, log->s, co_item, replay);
    return each_record(log, tail, &last, xfs_log_items_co_record, &items, errp);
}

static void warn_of_unfinished(const XfsLog *log, XfsLogReplay *replay)
{
    GHashTableIter iter;
    gpointer text;

    g_hash_table_iter_init(&iter, replay->unfinished);
    while (g_hash_table_iter_next(&iter, NULL, &text)) {
        xfs_warn(log->s, log->offset, "log: %s: it is shown as it was then",
                 (const char *)text);
    }
}

static bool coroutine_fn replay_range(const XfsLog *log, uint64_t tail, uint64_t last,
                                      GError **errp)
{
    XfsState *s = log->s;
    g_auto(XfsLogReplay) replay = {0};

    xfs_log_replay_init(&replay, s);
    if (!co_go_through(log, tail, last, &replay, xfs_log_replay_co_note, errp) ||
        !co_go_through(log, tail, last, &replay, xfs_log_replay_co_apply, errp)) {
        return false;
    }
    warn_of_unfinished(log, &replay);
    xfs_overlay_complete(replay.overlay);
    s->overlay = g_steal_pointer(&replay.overlay);
    fs_cache_drop(s->cache);
    if (!s->super_is_copy && !xfs_super_co_load(s, errp)) {
        g_clear_pointer(&s->overlay, xfs_overlay_free);
        fs_cache_drop(s->cache);
        return false;
    }
    return true;
}

static bool coroutine_fn load(const XfsLog *log, GError **errp)
{
    const XfsGeometry geo = log->s->geo;
    uint64_t tail = 0, last = 0;
    bool clean;

    if (!find_range(log, &tail, &last, &clean, errp)) {
        return false;
    }
    if (clean) {
        return true;
    }
    if (geo.log_incompat & ~(uint32_t)XFS_LOG_INCOMPAT_KNOWN) {
        xfs_error(log->s, errp, EMBR_ERROR_UNSUPPORTED, 0,
                  "log: it has incompatible features 0x%x, of which 0x%x are not known",
                  geo.log_incompat,
                  geo.log_incompat & ~(uint32_t)XFS_LOG_INCOMPAT_KNOWN);
        return false;
    }
    if (!replay_range(log, tail, last, errp)) {
        log->s->geo = geo;
        return false;
    }
    return true;
}

bool coroutine_fn xfs_log_co_load(XfsState *s)
{
    const XfsGeometry *geo = &s->geo;
    g_autoptr(GError) error = NULL;
    XfsLog log = {
        .s = s,
        .blocks = (uint64_t)geo->log_blocks << (geo->block_bits - XFS_DADDR_BITS),
    };
    uint64_t block;

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
    if (!load(&log, &error)) {
        fs_warn(s->fs,
                "%s; the log is not replayed: what was changed last may be missing or "
                "torn",
                error->message);
        return false;
    }
    return true;
}
