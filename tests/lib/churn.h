/*
 * Random work on a disk, by several coroutines at once, with a model of what must be read
 * from it then, and after a crash.
 */
#ifndef EMBR_TESTS_LIB_CHURN_H
#define EMBR_TESTS_LIB_CHURN_H

#include "record-node.h"

enum { CHURN_SECTOR_BYTES = 512 };

typedef struct Churn Churn;

/* log: the node that records what reaches the file; NULL if none does. */
Churn *churn_new(BlockDriverState *disk, BlockDriverState *log, GRand *rand);
void churn_free(Churn *churn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Churn, churn_free)
void churn_set_compressed(Churn *churn, bool compressed);
/* Reads what is there now: the model begins with it. */
void coroutine_fn churn_co_begin(Churn *churn);
/* Does so many operations.  errors_ok: they may fail. */
void coroutine_fn churn_co_run(Churn *churn, unsigned operations, bool errors_ok);
/* The disk must hold exactly what the model does. */
void coroutine_fn churn_co_verify(Churn *churn, BlockDriverState *disk);
/* The disk must hold what was flushed before that event, or what was written later. */
void coroutine_fn churn_co_verify_crash(Churn *churn, BlockDriverState *disk, unsigned event);
/* What the model has; of the disk's length. */
const uint8_t *churn_data(const Churn *churn);

#endif
