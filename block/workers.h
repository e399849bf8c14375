/*
 * Several coroutines at one job.
 */
#ifndef EMBR_BLOCK_WORKERS_H
#define EMBR_BLOCK_WORKERS_H

#include "util/coroutine.h"

/* Runs entry(opaque) in n coroutines at once; returns when all have ended. */
void coroutine_fn co_run_workers(unsigned n, CoroutineEntry *entry, void *opaque);

#endif
