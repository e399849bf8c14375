/*
 * A protocol node in memory that can be written to, and remembers how: for tests of what
 * a crash leaves behind.
 */
#ifndef EMBR_TESTS_LIB_RECORD_NODE_H
#define EMBR_TESTS_LIB_RECORD_NODE_H

#include "block/block-int.h"

/* It grows to at most max_bytes: -ENOSPC beyond.  record: events are kept. */
BlockDriverState *record_node_new(const void *data, size_t bytes, size_t max_bytes,
                                  bool record);
/* Events so far: writes, truncations and flushes. */
unsigned record_node_events(BlockDriverState *bs);
/* What is there now; of bdrv_length(bs) bytes. */
const uint8_t *record_node_data(BlockDriverState *bs);
/* From now on the n-th write fails, and all after it (n 0: none). */
void record_node_fail_after(BlockDriverState *bs, unsigned n, int err);
/* Requests let others run first, now and then. */
void record_node_set_random(BlockDriverState *bs, GRand *rand);

/*
 * What a crash after the first n events may leave: everything up to the last flush among
 * them, and of the rest what rand picks, in any order, with writes torn between sectors; all
 * of it if rand is NULL.
 */
BlockDriverState *record_node_crash(BlockDriverState *bs, unsigned n, GRand *rand);

#endif
