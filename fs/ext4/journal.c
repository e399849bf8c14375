/*
 * The journal of an interrupted filesystem.  Nothing is written: the blocks that a
 * replay would put in place are remembered, and read from the journal instead.
 */
#include "journal.h"

enum {
    MIN_LOG_BLOCKS = 1024, /* a smaller log gives nothing to fast commits */
    BACKUP_SIZE_HIGH = 15, /* Ext4Super.jnl_blocks: what follows i_block */
    BACKUP_SIZE_LOW = 16,
};

struct Ext4Journal {
    Ext4JournalLog log;
    GArray *blocks; /* of Ext4JournalBlock, in order of block, each once */
};

uint64_t coroutine_fn ext4_journal_co_locate(Ext4State *s, const Ext4JournalLog *log,
                                             uint64_t number, uint64_t *count,
                                             GError **errp)
{
    Ext4Run run;

    if (!ext4_map_co(s, log->inode, number, *count, &run, errp)) {
        g_prefix_error(errp, "the journal: ");
        return 0;
    }
    if (!run.physical) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, log->inode->offset,
                   "block %" PRIu64 " of the journal is a hole", number);
        return 0;
    }
    *count = run.count;
    return run.physical;
}

/* The inode, or the copy of its map and size in the superblock. */
static Ext4Inode *coroutine_fn open_inode(Ext4State *s, GError **errp)
{
    GError *error = NULL;
    FsIno ino = s->geo.journal_ino;
    g_autoptr(Ext4Inode) inode = ext4_inode_co_get(s, ino, &error);

    if (inode && S_ISREG(inode->stat.mode) && inode->stat.nlink) {
        return g_steal_pointer(&inode);
    }
    if (!error) {
        ext4_error(s, &error, EMBR_ERROR_CORRUPT, inode->offset,
                   "inode %" PRIu64
                   " should be the journal, but has mode 0%o and %u links",
                   ino, inode->stat.mode, inode->stat.nlink);
    }
    if (s->geo.jnl_backup_type > 1 || !s->geo.jnl_blocks[BACKUP_SIZE_LOW]) {
        g_propagate_error(errp, error);
        return NULL;
    }

    g_autofree uint8_t *raw = g_malloc0(s->geo.inode_bytes);
    Ext4InodeDisk *disk = (Ext4InodeDisk *)raw;

    disk->mode = le16_make(S_IFREG | 0600);
    disk->links_count = le16_make(1);
    for (unsigned i = 0; i < EXT4_N_BLOCKS; i++) {
        le32_store(disk->block + i * 4, s->geo.jnl_blocks[i]);
    }
    disk->size_high = le32_make(s->geo.jnl_blocks[BACKUP_SIZE_HIGH]);
    disk->size_lo = le32_make(s->geo.jnl_blocks[BACKUP_SIZE_LOW]);
    if (le16_load(disk->block) == EXT4_EXTENT_MAGIC) {
        disk->flags = le32_make(EXT4_EXTENTS_FL);
    }
    fs_warn(s->fs, "%s; the superblock's copy of the journal's map is used",
            error->message);
    g_clear_error(&error);
    return ext4_inode_parse(s, ino, EXT4_SUPER_OFFSET_BYTES, raw, false, errp);
}

static uint32_t super_checksum(const Jbd2Super *super)
{
    Jbd2Super copy = *super;

    copy.checksum = be32_make(0);
    return ext4_crc32c(UINT32_MAX, &copy, sizeof(copy));
}

static bool check_super(const Ext4State *s, const Jbd2Super *super, uint64_t offset,
                        Ext4JournalLog *log, GError **errp)
{
    uint32_t type = be32_get(super->header.blocktype);

    if (be32_get(super->header.magic) != JBD2_MAGIC ||
        (type != JBD2_SUPER_V1 && type != JBD2_SUPER_V2)) {
        ext4_error(
            s, errp, EMBR_ERROR_CORRUPT, offset,
            "the journal's magic is 0x%08x, type %u, expected 0x%08x, type 3 or 4",
            be32_get(super->header.magic), type, JBD2_MAGIC);
        return false;
    }
    if (be32_get(super->blocksize) != s->geo.block_bytes) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                   "the journal's block size is %u, expected %u",
                   be32_get(super->blocksize), s->geo.block_bytes);
        return false;
    }
    if (type == JBD2_SUPER_V2) {
        log->compat = be32_get(super->feature_compat);
        log->incompat = be32_get(super->feature_incompat);
    }
    if (log->incompat & ~(uint32_t)JBD2_INCOMPAT_KNOWN) {
        ext4_error(
            s, errp, EMBR_ERROR_UNSUPPORTED, offset,
            "the journal has incompatible features 0x%x, of which 0x%x are not known",
            log->incompat, log->incompat & ~(uint32_t)JBD2_INCOMPAT_KNOWN);
        return false;
    }
    if (ext4_journal_has_checksums(log) &&
        (super->checksum_type != JBD2_CRC32C_TYPE ||
         super_checksum(super) != be32_get(super->checksum))) {
        ext4_error(
            s, errp, EMBR_ERROR_CORRUPT, offset,
            "the journal's superblock has checksum 0x%08x of type %u, expected 0x%08x "
            "of type %d",
            be32_get(super->checksum), super->checksum_type, super_checksum(super),
            JBD2_CRC32C_TYPE);
        return false;
    }
    return true;
}

static bool parse_super(const Ext4State *s, const Jbd2Super *super, uint64_t offset,
                        Ext4JournalLog *log, GError **errp)
{
    uint64_t blocks = log->inode->stat.size >> s->geo.block_bits;

    if (!check_super(s, super, offset, log, errp)) {
        return false;
    }
    log->maxlen = be32_get(super->maxlen);
    log->first = be32_get(super->first);
    log->last = log->maxlen;
    log->start = be32_get(super->start);
    log->sequence = be32_get(super->sequence);
    log->seed = ext4_crc32c(UINT32_MAX, super->uuid, sizeof(super->uuid));
    if (log->incompat & JBD2_INCOMPAT_FAST_COMMIT) {
        uint32_t count = be32_get(super->num_fc_blocks);

        count = count ? count : JBD2_DEFAULT_FAST_COMMIT_BLOCKS;
        if (count <= log->maxlen && log->maxlen - count >= MIN_LOG_BLOCKS) {
            log->last = log->maxlen - count;
            log->fast_first = log->last + 1;
            log->fast_count = count - 1;
        }
    }
    if (log->maxlen > blocks || !log->first || log->first >= log->last ||
        (log->start && (log->start < log->first || log->start >= log->last))) {
        ext4_error(
            s, errp, EMBR_ERROR_CORRUPT, offset,
            "the journal of %u blocks begins at %u and is to be replayed from %u, "
            "expected places within the %" PRIu64 " blocks of its file",
            log->maxlen, log->first, log->start, blocks);
        return false;
    }
    return true;
}

/* The first entry at block or behind it. */
static guint find_from(const Ext4Journal *journal, uint64_t block)
{
    guint low = 0, high = journal->blocks->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(journal->blocks, Ext4JournalBlock, middle).block < block) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool ext4_journal_find(const Ext4Journal *journal, uint64_t block, uint64_t *count,
                       guint *index)
{
    guint at = find_from(journal, block);

    if (at < journal->blocks->len) {
        uint64_t next = g_array_index(journal->blocks, Ext4JournalBlock, at).block;

        if (next == block) {
            *index = at;
            return true;
        }
        *count = MIN(*count, next - block);
    }
    return false;
}

void ext4_journal_forget(Ext4Journal *journal, uint64_t block, uint64_t count)
{
    if (journal) {
        guint from = find_from(journal, block);
        guint to = find_from(journal, block + count);

        g_array_remove_range(journal->blocks, from, to - from);
    }
}

static bool check_block(const Ext4State *s, const Ext4JournalLog *log,
                        const Ext4JournalBlock *block, const uint8_t *data,
                        GError **errp)
{
    be32_t sequence = be32_make(block->sequence);
    uint32_t crc;

    if (!ext4_journal_has_checksums(log)) {
        return true;
    }
    crc = ext4_crc32c(log->seed, &sequence, sizeof(sequence));
    crc = ext4_crc32c(crc, data, s->geo.block_bytes);
    if (!(log->incompat & JBD2_INCOMPAT_CSUM_V3)) {
        crc &= 0xffff;
    }
    if (crc != block->checksum) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, ext4_block_offset(s, block->at),
                   "the journal's copy of block %" PRIu64
                   " has checksum 0x%08x, expected "
                   "0x%08x",
                   block->block, crc, block->checksum);
        return false;
    }
    return true;
}

bool coroutine_fn ext4_journal_co_read(Ext4State *s, guint index, uint32_t offset,
                                       uint32_t bytes, void *buf, GError **errp)
{
    const Ext4Journal *journal = s->journal;
    const Ext4JournalBlock *block =
        &g_array_index(journal->blocks, Ext4JournalBlock, index);
    g_autofree uint8_t *data = g_malloc(s->geo.block_bytes);

    if (!blk_co_read(s->fs->blk, ext4_block_offset(s, block->at), s->geo.block_bytes,
                     data, "block in the journal", errp) ||
        !check_block(s, &journal->log, block, data, errp)) {
        return false;
    }
    if (block->escaped) {
        be32_store(data, JBD2_MAGIC);
    }
    memcpy(buf, data + offset, bytes);
    return true;
}

void ext4_journal_free(Ext4Journal *journal)
{
    if (journal) {
        ext4_inode_unref(journal->log.inode);
        g_array_unref(journal->blocks);
        g_free(journal);
    }
}

/* From now on reads see the journal; what was read until now may be what it replaces.
 */
static void switch_to(Ext4State *s, Ext4Journal *journal)
{
    g_clear_pointer(&s->journal, ext4_journal_free);
    s->journal = journal;
    fs_cache_drop(s->cache);
    ext4_inodes_drop(s);
    memset(s->group_slot_used, 0, sizeof(s->group_slot_used));
}

static bool coroutine_fn load(Ext4State *s, GError **errp)
{
    g_autoptr(Ext4Inode) inode = open_inode(s, errp);
    Ext4JournalLog log = {.inode = inode};
    GError *error = NULL;
    uint64_t count = 1;
    Jbd2Super super;
    uint32_t end;

    if (!inode) {
        return false;
    }

    uint64_t at = ext4_journal_co_locate(s, &log, 0, &count, errp);
    uint64_t offset = ext4_block_offset(s, at);

    if (!at ||
        !ext4_device_co_read(s, offset, sizeof(super), &super, "journal superblock",
                             errp) ||
        !parse_super(s, &super, offset, &log, errp)) {
        return false;
    }
    if (!log.start) {
        return true;
    }

    g_autoptr(GArray) blocks = ext4_journal_co_scan(s, &log, &end, errp);

    if (!blocks) {
        return false;
    }
    if (blocks->len) {
        Ext4Journal *journal = g_new0(Ext4Journal, 1);

        journal->log = log;
        journal->log.inode->refcount++;
        journal->blocks = g_steal_pointer(&blocks);
        switch_to(s, journal);
        if (!ext4_super_co_reload(s, errp)) {
            switch_to(s, NULL);
            return false;
        }
    }
    if (log.fast_count && !ext4_fast_commit_co_load(s, &log, end, &error)) {
        fs_warn(s->fs, "%s; fast commits are not replayed", error->message);
        g_error_free(error);
    }
    return true;
}

void coroutine_fn ext4_journal_co_load(Ext4State *s)
{
    const Ext4Geometry *geo = &s->geo;
    bool in_use = geo->incompat & EXT4_INCOMPAT_RECOVER;
    g_autoptr(GError) error = NULL;

    /* A copy of the superblock does not know whether the journal is in use. */
    if (!in_use && !(s->super_group && geo->journal_ino &&
                     (geo->compat & EXT4_COMPAT_HAS_JOURNAL))) {
        return;
    }
    if (!geo->journal_ino) {
        fs_warn(s->fs,
                "%s: ext4: the journal is on another device (%u:%u) and not replayed: "
                "what was changed last may be missing or torn",
                blk_name(s->fs->blk), geo->journal_dev >> 8 & 0xff,
                geo->journal_dev & 0xff);
        return;
    }
    if (!load(s, &error)) {
        fs_warn(
            s->fs,
            "%s; the journal is not replayed: what was changed last may be missing or "
            "torn",
            error->message);
    }
}
