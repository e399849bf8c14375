/*
 * What coroutine.c, the context switches and the event loop share.
 */
#ifndef EMBR_UTIL_COROUTINE_INT_H
#define EMBR_UTIL_COROUTINE_INT_H

#include "embr-config.h"
#include "util/coroutine.h"

#ifdef CONFIG_COROUTINE_UCONTEXT
#include <ucontext.h>
#endif

/* A suspended flow of execution. */
typedef struct CoroutineContext {
#ifdef CONFIG_COROUTINE_UCONTEXT
    ucontext_t uc;
#else
    void *sp;
#endif
} CoroutineContext;

typedef void CoroutineStart(void *opaque);

/* Prepares context so that the first switch to it calls start(opaque) on the
 * stack. start does not return. */
void coroutine_context_init(CoroutineContext *context, void *stack, size_t stack_size,
                            CoroutineStart *start, void *opaque);

/* Suspends the caller in from and continues to. */
void coroutine_context_switch(CoroutineContext *from, CoroutineContext *to);

struct Coroutine {
    CoroutineContext context;
    Coroutine *caller;          /* who entered it; NULL while it is suspended */
    CoroutineEntry *entry;
    void *opaque;
    Coroutine *next;            /* in a list of scheduled ones, or in the pool */
    bool scheduled;             /* accessed with relaxed atomics */
    bool ended;
    uint8_t *stack;             /* lowest usable byte; NULL for a thread's own */
    size_t stack_size;
    void *tsan_fiber;
    unsigned valgrind_id;
};

#endif
