/*
 * Context switch for machines without one in assembly. Each switch is a system
 * call or two (the signal mask).
 */
#include <errno.h>

#include "util/coroutine-int.h"

/* makecontext() passes ints only. */
static void start_from_ints(unsigned start_lo, unsigned start_hi, unsigned opaque_lo,
                            unsigned opaque_hi)
{
    uintptr_t start = (uintptr_t)((uint64_t)start_hi << 32 | start_lo);
    uintptr_t opaque = (uintptr_t)((uint64_t)opaque_hi << 32 | opaque_lo);

    ((CoroutineStart *)start)((void *)opaque);
}

void coroutine_context_init(CoroutineContext *context, void *stack, size_t stack_size,
                            CoroutineStart *start, void *opaque)
{
    uint64_t start_bits = (uintptr_t)start;
    uint64_t opaque_bits = (uintptr_t)opaque;

    if (getcontext(&context->uc) < 0) {
        g_error("getcontext: %s", g_strerror(errno));
    }
    context->uc.uc_stack.ss_sp = stack;
    context->uc.uc_stack.ss_size = stack_size;
    context->uc.uc_link = NULL;
    makecontext(&context->uc, (void (*)(void))start_from_ints, 4, (unsigned)start_bits,
                (unsigned)(start_bits >> 32), (unsigned)opaque_bits,
                (unsigned)(opaque_bits >> 32));
}

void coroutine_context_switch(CoroutineContext *from, CoroutineContext *to)
{
    if (swapcontext(&from->uc, &to->uc) < 0) {
        g_error("swapcontext: %s", g_strerror(errno));
    }
}
