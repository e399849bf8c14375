/*
 * blkdebug: a node over a file that fails and stops requests on purpose.
 *
 *   blkdebug.c           the driver
 *   blkdebug-rules.c     what an event does
 *   blkdebug-config.c    rules in a file
 */
#ifndef EMBR_BLOCK_BLKDEBUG_H
#define EMBR_BLOCK_BLKDEBUG_H

#include "block/block-int.h"

typedef struct BlkdebugState {
    int64_t state;                  /* 1 at first */
    GPtrArray *injects;             /* of BlkdebugInjectErrorOptions; owned */
    GPtrArray *changes;             /* of BlkdebugSetStateOptions; owned */
    GPtrArray *active;              /* of those of injects that hold now */
    GArray *breaks;                 /* of BlkdebugBreak */
    GPtrArray *stopped;             /* of BlkdebugStopped */
    CoQueue arrivals;               /* woken when something stops */
} BlkdebugState;

/* Takes rules over; NULL is none. */
void blkdebug_add_rules(BlkdebugState *s, BlkdebugRules *rules);
void blkdebug_rules_init(BlkdebugState *s);
void blkdebug_rules_clear(BlkdebugState *s);
void coroutine_fn blkdebug_co_event(BlockDriverState *bs, BlkdebugEvent event);
/* 0, or -errno that a rule wants for this request. bytes 0: it has no place. */
int coroutine_fn blkdebug_co_check(BlockDriverState *bs, BlkdebugIOType type, int64_t offset,
                                   int64_t bytes);

int blkdebug_break(BlockDriverState *bs, const char *event, const char *tag);
int blkdebug_remove_break(BlockDriverState *bs, const char *tag);
int blkdebug_resume(BlockDriverState *bs, const char *tag);
bool blkdebug_is_stopped(BlockDriverState *bs, const char *tag);
void coroutine_fn blkdebug_co_wait_for_stop(BlockDriverState *bs);

/* path is for messages. */
BlkdebugRules *blkdebug_parse_config(const char *text, size_t len, const char *path,
                                     GError **errp);
BlkdebugRules *blkdebug_read_config(const char *path, GError **errp);

#endif
