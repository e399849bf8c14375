/* The log's parts, shared by log.c, log-items.c and log-replay.c. */
#ifndef EMBR_FS_XFS_LOG_H
#define EMBR_FS_XFS_LOG_H

#include "xfs.h"

typedef struct XfsLog {
    XfsState *s;
    uint64_t offset; /* on the volume */
    uint64_t blocks; /* of 512 bytes */
} XfsLog;

/* A record's operations, of body_bytes; false ends it all. */
typedef bool coroutine_fn XfsLogRecordFunc(const XfsLogRecord *record,
                                           const uint8_t *body, uint32_t body_bytes,
                                           void *opaque, GError **errp);

enum { XFS_LOG_RANKS = 4 };

/* log-items.c */

/* A part of the filesystem that was logged: in the form that its type has. */
typedef struct XfsLogItem {
    uint16_t type;
    unsigned total;     /* regions that it should have */
    GPtrArray *regions; /* of GByteArray */
} XfsLogItem;

/* What is to be done with the items of a transaction that was committed, in order. */
typedef bool coroutine_fn XfsLogItemFunc(const XfsLogItem *item, uint64_t lsn,
                                         void *opaque, GError **errp);

typedef struct XfsLogItems {
    XfsState *s;
    GHashTable *transactions; /* tid -> those that are not committed */
    uint64_t bytes;           /* in these */
    XfsLogItemFunc *co_item;
    void *opaque;
} XfsLogItems;

void xfs_log_items_init(XfsLogItems *items, XfsState *s, XfsLogItemFunc *co_item,
                        void *opaque);
void xfs_log_items_clear(XfsLogItems *items);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(XfsLogItems, xfs_log_items_clear)
/* An XfsLogRecordFunc; opaque: XfsLogItems. */
bool coroutine_fn xfs_log_items_co_record(const XfsLogRecord *record,
                                          const uint8_t *body, uint32_t body_bytes,
                                          void *opaque, GError **errp);

/* log-replay.c */

typedef struct XfsLogReplay {
    XfsState *s;
    XfsOverlay *overlay;
    GHashTable *cancelled;  /* buffers that are not to be replayed -> how often yet */
    GHashTable *unfinished; /* intents -> what is to be said of them */
} XfsLogReplay;

void xfs_log_replay_init(XfsLogReplay *replay, XfsState *s);
void xfs_log_replay_clear(XfsLogReplay *replay);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(XfsLogReplay, xfs_log_replay_clear)
/* XfsLogItemFuncs, for a first and for a second go through the log; opaque:
 * XfsLogReplay. */
bool coroutine_fn xfs_log_replay_co_note(const XfsLogItem *item, uint64_t lsn,
                                         void *opaque, GError **errp);
bool coroutine_fn xfs_log_replay_co_apply(const XfsLogItem *item, uint64_t lsn,
                                          void *opaque, GError **errp);
/* Items are applied in order of this. */
unsigned xfs_log_replay_rank(const XfsLogItem *item);

#endif
