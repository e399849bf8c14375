/*
 * Waiting for one another: queue, mutex, reader/writer lock, semaphore.
 *
 * These are for coroutines of one thread (see coroutine.h): nothing here is
 * atomic.  All waiters are served first come, first served.
 */
#ifndef EMBR_UTIL_CO_LOCK_H
#define EMBR_UTIL_CO_LOCK_H

#include "util/coroutine.h"

/* A list of coroutines that wait for something. */
typedef struct CoQueue {
    GQueue waiters;
} CoQueue;

void co_queue_init(CoQueue *queue);
/* Waits until woken by one of the two below. */
void coroutine_fn co_queue_wait(CoQueue *queue);
/* Wakes the coroutine that waits longest; false if none does.  It runs at the
 * next turn of the AioContext, not inside this call. */
bool co_queue_next(CoQueue *queue);
void co_queue_all(CoQueue *queue);
bool co_queue_empty(const CoQueue *queue);

typedef struct CoMutex {
    Coroutine *holder;
    CoQueue waiters;
} CoMutex;

void co_mutex_init(CoMutex *mutex);
void coroutine_fn co_mutex_lock(CoMutex *mutex);
void coroutine_fn co_mutex_unlock(CoMutex *mutex);

/* Many readers or one writer; a waiting writer holds back later readers. */
typedef struct CoRwlock {
    unsigned readers;
    bool writer;
    GQueue tickets;
} CoRwlock;

void co_rwlock_init(CoRwlock *lock);
void coroutine_fn co_rwlock_rdlock(CoRwlock *lock);
void coroutine_fn co_rwlock_wrlock(CoRwlock *lock);
void coroutine_fn co_rwlock_unlock(CoRwlock *lock);

/* Bounds something countable: requests in flight, bytes in buffers. */
typedef struct CoSemaphore {
    uint64_t available;
    GQueue tickets;
} CoSemaphore;

void co_semaphore_init(CoSemaphore *sem, uint64_t units);
/* Takes units, waiting until that many are free.  Never asks for more than the
 * semaphore was initialised with. */
void coroutine_fn co_semaphore_acquire(CoSemaphore *sem, uint64_t units);
void co_semaphore_release(CoSemaphore *sem, uint64_t units);

#endif
