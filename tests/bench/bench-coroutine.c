/*
 * What coroutines cost: prints nanoseconds, the least of several rounds.
 */
#include <stdio.h>
#include <stdlib.h>

#include "util/aio.h"

enum { ROUNDS = 7 };

typedef void BenchFunc(long n);

static void measure(const char *what, BenchFunc *func, long n, double per_call)
{
    double best = 1e300;

    for (int i = 0; i < ROUNDS; i++) {
        int64_t start_us = g_get_monotonic_time();

        func(n);
        best = MIN(best, (g_get_monotonic_time() - start_us) * 1e3 / n / per_call);
    }
    printf("%-52s %8.1f ns\n", what, best);
}

static void coroutine_fn nothing(void *opaque)
{
    (void)opaque;
}

static void create_enter_end(long n)
{
    for (long i = 0; i < n; i++) {
        coroutine_enter(coroutine_create(nothing, NULL));
    }
}

/* Holds more alive than the pool keeps, so that stacks are mapped anew. */
static void create_cold(long n)
{
    enum { ALIVE = 4000 };
    static Coroutine *cos[ALIVE];

    for (long done = 0; done < n; done += ALIVE) {
        for (int i = 0; i < ALIVE; i++) {
            cos[i] = coroutine_create(nothing, NULL);
        }
        for (int i = 0; i < ALIVE; i++) {
            coroutine_enter(cos[i]);
        }
    }
}

static void coroutine_fn yield_forever(void *opaque)
{
    bool *stop = opaque;

    while (!*stop) {
        coroutine_yield();
    }
}

static void enter_and_yield(long n)
{
    bool stop = false;
    Coroutine *co = coroutine_create(yield_forever, &stop);

    for (long i = 0; i < n; i++) {
        coroutine_enter(co);
    }
    stop = true;
    coroutine_enter(co);
}

static void enter_and_yield_many(long n)
{
    enum { MANY = 64 };
    bool stop = false;
    Coroutine *cos[MANY];

    for (int i = 0; i < MANY; i++) {
        cos[i] = coroutine_create(yield_forever, &stop);
    }
    for (long i = 0; i < n; i++) {
        coroutine_enter(cos[i % MANY]);
    }
    stop = true;
    for (int i = 0; i < MANY; i++) {
        coroutine_enter(cos[i]);
    }
}

static AioContext *ctx;

static void coroutine_fn reschedule_co(void *opaque)
{
    for (long i = *(long *)opaque; i > 0; i--) {
        aio_co_reschedule_self();
    }
}

static void reschedule(long n)
{
    aio_run(ctx, reschedule_co, &n);
}

int main(void)
{
    g_autoptr(AioContext) context = aio_context_new(AIO_BACKEND_AUTO, NULL);

    ctx = context;
    measure("switch (enter and yield are two), one coroutine", enter_and_yield, 5000000, 2);
    measure("switch, 64 coroutines in turn", enter_and_yield_many, 5000000, 2);
    measure("create, enter, end; stack from the pool", create_enter_end, 5000000, 1);
    measure("create, enter, end; 4000 alive, most stacks mapped", create_cold, 40000, 1);
    measure("go to the back of the loop's queue", reschedule, 2000000, 1);
    return EXIT_SUCCESS;
}
