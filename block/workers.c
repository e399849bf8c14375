#include "block/workers.h"
#include "util/aio.h"

typedef struct Workers {
    CoroutineEntry *entry;
    void *opaque;
    unsigned running;
    Coroutine *waiter;
} Workers;

static void coroutine_fn co_worker(void *opaque)
{
    Workers *w = opaque;

    w->entry(w->opaque);
    if (--w->running == 0 && w->waiter) {
        aio_co_schedule(aio_context_current(), w->waiter);
    }
}

void coroutine_fn co_run_workers(unsigned n, CoroutineEntry *entry, void *opaque)
{
    Workers w = { .entry = entry, .opaque = opaque, .running = n };

    for (unsigned i = 0; i < n; i++) {
        coroutine_enter(coroutine_create(co_worker, &w));
    }
    if (w.running > 0) {
        w.waiter = coroutine_self();
        coroutine_yield();
    }
}
