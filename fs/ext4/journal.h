/* The journal's parts, shared by journal.c, journal-scan.c and fast-commit.c. */
#ifndef EMBR_FS_EXT4_JOURNAL_H
#define EMBR_FS_EXT4_JOURNAL_H

#include "ext4.h"

/* The journal's superblock, checked. Block numbers are the journal's own. */
typedef struct Ext4JournalLog {
    Ext4Inode *inode;
    uint32_t compat, incompat;
    uint32_t maxlen;            /* blocks of all of it */
    uint32_t first, last;       /* the log is [first, last) and wraps around */
    uint32_t fast_first, fast_count;
    uint32_t start;             /* 0: nothing to replay */
    uint32_t sequence;          /* of the transaction at start */
    uint32_t seed;              /* of checksums */
} Ext4JournalLog;

/* A block to be replayed. */
typedef struct Ext4JournalBlock {
    uint64_t block;             /* of the filesystem: where it belongs */
    uint64_t at;                /* of the filesystem: where in the journal it lies */
    uint32_t sequence;
    uint32_t checksum;          /* as far as the tag holds it */
    guint order;
    bool escaped;
} Ext4JournalBlock;

/* Where block number of the journal lies, and that it and *count behind it are in one
 * piece. 0 with errp set. */
uint64_t coroutine_fn ext4_journal_co_locate(Ext4State *s, const Ext4JournalLog *log,
                                             uint64_t number, uint64_t *count,
                                             GError **errp);
/* The blocks that complete transactions put in place, in order of block, each once;
 * *end is the sequence behind the last such transaction. */
GArray *coroutine_fn ext4_journal_co_scan(Ext4State *s, const Ext4JournalLog *log,
                                          uint32_t *end, GError **errp);
static inline bool ext4_journal_has_checksums(const Ext4JournalLog *log)
{
    return log->incompat & (JBD2_INCOMPAT_CSUM_V2 | JBD2_INCOMPAT_CSUM_V3);
}

#endif
