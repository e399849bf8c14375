/*
 * Reading the log of a journal: which blocks would a replay put in place?
 *
 * A transaction is a run of descriptor blocks, each followed by the blocks it
 * describes, and of revoke blocks, closed by a commit block; all bear its sequence
 * number.  Where that order ends, the log ends.  A revoked block is not replayed from
 * that transaction or an earlier one.
 */
#include "journal.h"

enum {
    MAX_BLOCKS = 4 * 1024 * 1024, /* that are replayed, and that are revoked */
    WINDOW_BYTES = 64 * 1024,
    UUID_BYTES = 16,
    TAIL_BYTES = 4,
    REVOKE_HEADER_BYTES = 16,
};

static const uint8_t zeroes[TAIL_BYTES];

typedef struct Scan {
    Ext4State *s;
    const Ext4JournalLog *log;
    uint32_t block_bytes;
    uint64_t number; /* of the journal: the next block */
    uint64_t left;   /* blocks until the log would bite its tail */
    uint64_t window_first, window_count;
    uint8_t *window;
    uint8_t *block;
    uint32_t sequence; /* of the current transaction */
    uint32_t v1_crc;   /* over its blocks, if the journal has such checksums */
    GArray *blocks;    /* of Ext4JournalBlock: committed, then the current ones */
    guint committed;
    GArray *revoking; /* of uint64_t, by the current transaction */
    GArray *revoked;  /* of Revoke, by committed ones */
} Scan;

typedef struct Revoke {
    uint64_t block;
    uint32_t sequence;
} Revoke;

static bool sequence_after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

/* Block number of the journal, read together with those behind it. */
static const uint8_t *coroutine_fn read_block(Scan *scan, uint64_t number,
                                              GError **errp)
{
    if (number < scan->window_first ||
        number >= scan->window_first + scan->window_count) {
        uint64_t count =
            MIN(MAX(WINDOW_BYTES / scan->block_bytes, 1), scan->log->maxlen - number);
        uint64_t at = ext4_journal_co_locate(scan->s, scan->log, number, &count, errp);

        scan->window_count = 0;
        if (!at || !ext4_device_co_read(scan->s, ext4_block_offset(scan->s, at),
                                        count * scan->block_bytes, scan->window,
                                        "journal", errp)) {
            return NULL;
        }
        scan->window_first = number;
        scan->window_count = count;
    }
    return scan->window + (number - scan->window_first) * scan->block_bytes;
}

/* Past a block of the log; false if that was the last there can be. */
static bool advance(Scan *scan)
{
    scan->number =
        scan->number + 1 < scan->log->last ? scan->number + 1 : scan->log->first;
    return scan->left && --scan->left;
}

static bool check_tail(const Scan *scan)
{
    uint32_t at = scan->block_bytes - TAIL_BYTES;
    uint32_t crc;

    if (!ext4_journal_has_checksums(scan->log)) {
        return true;
    }
    crc = ext4_crc32c(scan->log->seed, scan->block, at);
    return ext4_crc32c(crc, zeroes, TAIL_BYTES) == be32_load(scan->block + at);
}

typedef struct Tag {
    uint64_t block;
    uint32_t flags;
    uint32_t checksum;
} Tag;

static uint32_t tag_bytes(const Ext4JournalLog *log)
{
    if (log->incompat & JBD2_INCOMPAT_CSUM_V3) {
        return 16;
    }
    return 8 + (log->incompat & JBD2_INCOMPAT_CSUM_V2 ? 2 : 0) +
           (log->incompat & JBD2_INCOMPAT_64BIT ? 4 : 0);
}

/* The tag at *pos of the descriptor, which moves on; false if there is no room for one.
 */
static bool next_tag(const Scan *scan, uint32_t *pos, Tag *tag)
{
    const Ext4JournalLog *log = scan->log;
    uint32_t end =
        scan->block_bytes - (ext4_journal_has_checksums(log) ? TAIL_BYTES : 0);
    uint32_t bytes = tag_bytes(log);
    const uint8_t *p = scan->block + *pos;

    if (!range_fits(*pos, bytes, end)) {
        return false;
    }
    tag->block = be32_load(p);
    if (log->incompat & JBD2_INCOMPAT_CSUM_V3) {
        tag->flags = be32_load(p + 4);
        tag->checksum = be32_load(p + 12);
    } else {
        tag->checksum = be16_load(p + 4);
        tag->flags = be16_load(p + 6);
    }
    if (log->incompat & JBD2_INCOMPAT_64BIT) {
        tag->block |= (uint64_t)be32_load(p + 8) << 32;
    }
    *pos += bytes + (tag->flags & JBD2_TAG_SAME_UUID ? 0 : UUID_BYTES);
    return true;
}

static bool coroutine_fn add_to_v1_sum(Scan *scan, GError **errp)
{
    const uint8_t *data;

    if (!(scan->log->compat & JBD2_COMPAT_CHECKSUM)) {
        return true;
    }
    data = read_block(scan, scan->number, errp);
    if (data) {
        scan->v1_crc = ext4_crc32_be(scan->v1_crc, data, scan->block_bytes);
    }
    return data;
}

/* The descriptor in scan->block and the blocks it describes. */
static bool coroutine_fn take_descriptor(Scan *scan, GError **errp)
{
    uint32_t pos = sizeof(Jbd2Header);
    Tag tag = {0};

    if (!add_to_v1_sum(scan, errp)) {
        return false;
    }
    while (!(tag.flags & JBD2_TAG_LAST) && next_tag(scan, &pos, &tag) &&
           advance(scan)) {
        uint64_t count = 1;
        Ext4JournalBlock block = {
            .block = tag.block,
            .at =
                ext4_journal_co_locate(scan->s, scan->log, scan->number, &count, errp),
            .sequence = scan->sequence,
            .checksum = tag.checksum,
            .order = scan->blocks->len,
            .escaped = tag.flags & JBD2_TAG_ESCAPED,
        };

        if (!block.at || !add_to_v1_sum(scan, errp)) {
            return false;
        }
        if (scan->blocks->len >= MAX_BLOCKS) {
            ext4_error(scan->s, errp, EMBR_ERROR_LIMIT,
                       ext4_block_offset(scan->s, block.at),
                       "the journal holds more than %d blocks to replay", MAX_BLOCKS);
            return false;
        }
        g_array_append_val(scan->blocks, block);
    }
    return true;
}

static bool take_revokes(Scan *scan, GError **errp)
{
    bool wide = scan->log->incompat & JBD2_INCOMPAT_64BIT;
    uint32_t step = wide ? 8 : 4;
    uint32_t room =
        scan->block_bytes - (ext4_journal_has_checksums(scan->log) ? TAIL_BYTES : 0);
    uint32_t end = MIN(be32_load(scan->block + sizeof(Jbd2Header)), room);

    for (uint32_t pos = REVOKE_HEADER_BYTES; range_fits(pos, step, end); pos += step) {
        uint64_t block =
            wide ? be64_load(scan->block + pos) : be32_load(scan->block + pos);

        g_array_append_val(scan->revoking, block);
    }
    if (scan->revoking->len + scan->revoked->len > MAX_BLOCKS) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: ext4: the journal revokes more than %d blocks",
                    blk_name(scan->s->fs->blk), MAX_BLOCKS);
        return false;
    }
    return true;
}

static bool check_commit(const Scan *scan)
{
    const size_t at = offsetof(Jbd2Commit, chksum);
    const Jbd2Commit *commit = (const Jbd2Commit *)scan->block;
    uint32_t found = be32_get(commit->chksum[0]);

    if (ext4_journal_has_checksums(scan->log)) {
        uint32_t crc = ext4_crc32c(scan->log->seed, scan->block, at);

        crc = ext4_crc32c(crc, zeroes, sizeof(zeroes));
        return ext4_crc32c(crc, scan->block + at + 4, scan->block_bytes - at - 4) ==
               found;
    }
    if (scan->log->compat & JBD2_COMPAT_CHECKSUM) {
        bool none = !commit->chksum_type && !commit->chksum_size && !found;

        return none || (commit->chksum_type == JBD2_CRC32_TYPE &&
                        commit->chksum_size == 4 && found == scan->v1_crc);
    }
    return true;
}

static void take_commit(Scan *scan)
{
    for (guint i = 0; i < scan->revoking->len; i++) {
        Revoke revoke = {g_array_index(scan->revoking, uint64_t, i), scan->sequence};

        g_array_append_val(scan->revoked, revoke);
    }
    g_array_set_size(scan->revoking, 0);
    scan->committed = scan->blocks->len;
    scan->v1_crc = UINT32_MAX;
    scan->sequence++;
}

/* One block of the log; false at its end or, with errp set, if it cannot be read. */
static bool coroutine_fn step(Scan *scan, GError **errp)
{
    const uint8_t *data = read_block(scan, scan->number, errp);
    const Jbd2Header *header = (const Jbd2Header *)scan->block;
    const char *bad = NULL;

    if (!data) {
        return false;
    }
    memcpy(scan->block, data, scan->block_bytes);
    if (be32_get(header->magic) != JBD2_MAGIC ||
        be32_get(header->sequence) != scan->sequence) {
        return false;
    }
    switch (be32_get(header->blocktype)) {
    case JBD2_DESCRIPTOR_BLOCK:
        bad = check_tail(scan) ? NULL : "descriptor";
        if (!bad && !take_descriptor(scan, errp)) {
            return false;
        }
        break;
    case JBD2_REVOKE_BLOCK:
        bad = check_tail(scan) ? NULL : "revoke";
        if (!bad && !take_revokes(scan, errp)) {
            return false;
        }
        break;
    case JBD2_COMMIT_BLOCK:
        bad = check_commit(scan) ? NULL : "commit";
        if (!bad) {
            take_commit(scan);
        }
        break;
    default:
        return false;
    }
    if (bad) {
        fs_warn(
            scan->s->fs,
            "%s: ext4: the checksum of a %s block of the journal (its block %" PRIu64
            ") is wrong; transactions from %u on are left out",
            blk_name(scan->s->fs->blk), bad, scan->number, scan->sequence);
        return false;
    }
    return advance(scan);
}

static gint compare_blocks(gconstpointer a, gconstpointer b)
{
    const Ext4JournalBlock *x = a, *y = b;

    if (x->block != y->block) {
        return x->block < y->block ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

/* By block, the latest first. */
static gint compare_revokes(gconstpointer a, gconstpointer b)
{
    const Revoke *x = a, *y = b;

    if (x->block != y->block) {
        return x->block < y->block ? -1 : 1;
    }
    return x->sequence == y->sequence                 ? 0
           : sequence_after(x->sequence, y->sequence) ? -1
                                                      : 1;
}

/* Keeps of each block the last one that was not revoked. */
static void choose_blocks(Scan *scan)
{
    GArray *blocks = scan->blocks;
    guint kept = 0, at = 0;

    g_array_set_size(blocks, scan->committed);
    g_array_sort(blocks, compare_blocks);
    g_array_sort(scan->revoked, compare_revokes);
    for (guint i = 0; i < blocks->len; i++) {
        Ext4JournalBlock block = g_array_index(blocks, Ext4JournalBlock, i);
        Ext4JournalBlock *last =
            kept ? &g_array_index(blocks, Ext4JournalBlock, kept - 1) : NULL;
        const Revoke *revoke = NULL;

        while (at < scan->revoked->len &&
               g_array_index(scan->revoked, Revoke, at).block < block.block) {
            at++;
        }
        if (at < scan->revoked->len) {
            revoke = &g_array_index(scan->revoked, Revoke, at);
        }
        if (revoke && revoke->block == block.block &&
            !sequence_after(block.sequence, revoke->sequence)) {
            continue;
        }
        if (block.block >= scan->s->geo.blocks_count) {
            fs_warn(scan->s->fs,
                    "%s: ext4: the journal holds block %" PRIu64
                    " of a filesystem of %" PRIu64,
                    blk_name(scan->s->fs->blk), block.block, scan->s->geo.blocks_count);
            continue;
        }
        if (last && last->block == block.block) {
            *last = block;
        } else {
            g_array_index(blocks, Ext4JournalBlock, kept++) = block;
        }
    }
    g_array_set_size(blocks, kept);
}

GArray *coroutine_fn ext4_journal_co_scan(Ext4State *s, const Ext4JournalLog *log,
                                          uint32_t *end, GError **errp)
{
    g_autofree uint8_t *window = g_malloc(MAX(WINDOW_BYTES, s->geo.block_bytes));
    g_autofree uint8_t *block = g_malloc(s->geo.block_bytes);
    g_autoptr(GArray) blocks = g_array_new(FALSE, FALSE, sizeof(Ext4JournalBlock));
    g_autoptr(GArray) revoking = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_autoptr(GArray) revoked = g_array_new(FALSE, FALSE, sizeof(Revoke));
    GError *error = NULL;
    Scan scan = {
        .s = s,
        .log = log,
        .block_bytes = s->geo.block_bytes,
        .number = log->start,
        .left = log->last - log->first,
        .window = window,
        .block = block,
        .sequence = log->sequence,
        .v1_crc = UINT32_MAX,
        .blocks = blocks,
        .revoking = revoking,
        .revoked = revoked,
    };

    while (step(&scan, &error)) {
    }
    if (error) {
        g_propagate_error(errp, error);
        return NULL;
    }
    *end = scan.sequence;
    choose_blocks(&scan);
    return g_steal_pointer(&blocks);
}
