#include "util/co-lock.h"

#include "util/aio.h"

/* Waiters are list nodes on the stacks of those who wait. */

static void wake(Coroutine *co)
{
    aio_co_schedule(aio_context_current(), co);
}

void co_queue_init(CoQueue *queue)
{
    g_queue_init(&queue->waiters);
}

void coroutine_fn co_queue_wait(CoQueue *queue)
{
    GList node = { .data = coroutine_self() };

    g_assert(node.data);
    g_queue_push_tail_link(&queue->waiters, &node);
    coroutine_yield();
}

static Coroutine *co_queue_pop(CoQueue *queue)
{
    GList *node = g_queue_pop_head_link(&queue->waiters);

    return node ? node->data : NULL;
}

bool co_queue_next(CoQueue *queue)
{
    Coroutine *co = co_queue_pop(queue);

    if (co) {
        wake(co);
    }
    return co != NULL;
}

void co_queue_all(CoQueue *queue)
{
    while (co_queue_next(queue)) {
    }
}

bool co_queue_empty(const CoQueue *queue)
{
    return queue->waiters.length == 0;
}

void co_mutex_init(CoMutex *mutex)
{
    mutex->holder = NULL;
    co_queue_init(&mutex->waiters);
}

void coroutine_fn co_mutex_lock(CoMutex *mutex)
{
    Coroutine *self = coroutine_self();

    g_assert(self && mutex->holder != self);
    if (!mutex->holder) {
        mutex->holder = self;
        return;
    }
    co_queue_wait(&mutex->waiters);
    g_assert(mutex->holder == self);
}

void coroutine_fn co_mutex_unlock(CoMutex *mutex)
{
    g_assert(mutex->holder && mutex->holder == coroutine_self());
    mutex->holder = co_queue_pop(&mutex->waiters);
    if (mutex->holder) {
        wake(mutex->holder);
    }
}

typedef struct RwlockTicket {
    GList node;
    Coroutine *co;
    bool writer;
} RwlockTicket;

void co_rwlock_init(CoRwlock *lock)
{
    lock->readers = 0;
    lock->writer = false;
    g_queue_init(&lock->tickets);
}

static bool rwlock_take(CoRwlock *lock, bool writer)
{
    if (lock->writer || (writer && lock->readers > 0)) {
        return false;
    }
    if (writer) {
        lock->writer = true;
    } else {
        lock->readers++;
    }
    return true;
}

static void coroutine_fn rwlock_co_lock(CoRwlock *lock, bool writer)
{
    RwlockTicket ticket = { .co = coroutine_self(), .writer = writer };

    g_assert(ticket.co);
    if (lock->tickets.length == 0 && rwlock_take(lock, writer)) {
        return;
    }
    ticket.node.data = &ticket;
    g_queue_push_tail_link(&lock->tickets, &ticket.node);
    coroutine_yield();
}

void coroutine_fn co_rwlock_rdlock(CoRwlock *lock)
{
    rwlock_co_lock(lock, false);
}

void coroutine_fn co_rwlock_wrlock(CoRwlock *lock)
{
    rwlock_co_lock(lock, true);
}

void coroutine_fn co_rwlock_unlock(CoRwlock *lock)
{
    g_assert(lock->writer || lock->readers > 0);
    if (lock->writer) {
        lock->writer = false;
    } else {
        lock->readers--;
    }
    while (lock->tickets.length > 0) {
        RwlockTicket *ticket = lock->tickets.head->data;

        if (!rwlock_take(lock, ticket->writer)) {
            return;
        }
        g_queue_pop_head_link(&lock->tickets);
        wake(ticket->co);
    }
}

typedef struct SemaphoreTicket {
    GList node;
    Coroutine *co;
    uint64_t units;
} SemaphoreTicket;

void co_semaphore_init(CoSemaphore *sem, uint64_t units)
{
    sem->available = units;
    g_queue_init(&sem->tickets);
}

void coroutine_fn co_semaphore_acquire(CoSemaphore *sem, uint64_t units)
{
    SemaphoreTicket ticket = { .co = coroutine_self(), .units = units };

    g_assert(ticket.co);
    if (sem->tickets.length == 0 && units <= sem->available) {
        sem->available -= units;
        return;
    }
    ticket.node.data = &ticket;
    g_queue_push_tail_link(&sem->tickets, &ticket.node);
    coroutine_yield();
}

void co_semaphore_release(CoSemaphore *sem, uint64_t units)
{
    sem->available += units;
    while (sem->tickets.length > 0) {
        SemaphoreTicket *ticket = sem->tickets.head->data;

        if (ticket->units > sem->available) {
            return;
        }
        sem->available -= ticket->units;
        g_queue_pop_head_link(&sem->tickets);
        wake(ticket->co);
    }
}
