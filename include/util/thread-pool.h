/*
 * Threads for work that would hold up the event loop: hashing, compression,
 * encoding, and system calls that block.
 */
#ifndef EMBR_UTIL_THREAD_POOL_H
#define EMBR_UTIL_THREAD_POOL_H

#include "util/coroutine.h"

typedef struct ThreadPool ThreadPool;

/* Runs in a thread of the pool: no coroutine calls, no block layer. */
typedef int ThreadPoolFunc(void *opaque);

/* max_threads 0: one per online CPU.  Threads start when first needed. */
ThreadPool *thread_pool_new(const char *name, unsigned max_threads);
void thread_pool_free(ThreadPool *pool);        /* waits for running work */
unsigned thread_pool_max_threads(const ThreadPool *pool);

/* The process's pool for CPU work, one thread per online CPU (those the process
 * may run on). */
ThreadPool *thread_pool_cpu(void);

/* Runs func(opaque) in a thread and returns what it returns; the calling
 * coroutine waits, others go on.  Work starts in the order it was handed in. */
int coroutine_fn thread_pool_co_run(ThreadPool *pool, ThreadPoolFunc *func, void *opaque);

#endif
