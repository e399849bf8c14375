/*
 * Tests that are coroutines.
 */
#ifndef EMBR_TESTS_LIB_RUN_IN_COROUTINE_H
#define EMBR_TESTS_LIB_RUN_IN_COROUTINE_H

#include "util/aio.h"

typedef void coroutine_fn TestFunc(void);

static inline void coroutine_fn run_in_coroutine_entry(void *opaque)
{
    TestFunc *const *func = opaque;
    (*func)();
}

/* Runs func in a coroutine, with an event loop of its own. */
static inline void run_in_coroutine(TestFunc *func)
{
    g_autoptr(AioContext) ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);

    aio_run(ctx, run_in_coroutine_entry, &func);
}

#endif
