/*
 * Stackful coroutines.
 *
 * A coroutine is a function with a stack of its own that can give up the CPU in
 * the middle (yield) and be continued later (enter).  Everything in embr that
 * does I/O is a coroutine and reads as straight code.
 *
 * Coroutines are confined to the thread that created them: they are entered,
 * yield and end there.  Creation takes stacks from a per-thread pool.
 */
#ifndef EMBR_UTIL_COROUTINE_H
#define EMBR_UTIL_COROUTINE_H

#include <inttypes.h>
#include <stdbool.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Marks a function that may yield and so must run in a coroutine.  Such a
 * function has _co_ in its name. */
#define coroutine_fn

typedef struct Coroutine Coroutine;
typedef void coroutine_fn CoroutineEntry(void *opaque);

/* A coroutine that will run entry(opaque) when first entered.  It frees itself
 * when entry returns.  Never NULL. */
Coroutine *coroutine_create(CoroutineEntry *entry, void *opaque);

/* Runs co until it yields or ends.  May be called from inside another
 * coroutine (which then waits).  Entering a coroutine that is running or
 * waiting for one it entered is a programming error and aborts. */
void coroutine_enter(Coroutine *co);

/* Gives control back to whoever entered this coroutine. */
void coroutine_fn coroutine_yield(void);

/* The running coroutine; NULL outside of any. */
Coroutine *coroutine_self(void);

bool in_coroutine(void);

/* Usable bytes of a coroutine's stack.  There is a guard page below it. */
size_t coroutine_stack_size(void);

#endif
