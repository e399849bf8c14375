#include "util/coroutine.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/coroutine-int.h"
#include "util/units.h"

#ifdef CONFIG_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef CONFIG_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#ifdef CONFIG_VALGRIND_H
#include <valgrind/valgrind.h>
#endif

#if defined(CONFIG_ASAN) || defined(CONFIG_TSAN)
#define STACK_BYTES ((size_t)MiB)
#else
#define STACK_BYTES ((size_t)(256 * KiB))
#endif

enum {
    POOL_MAX = 128,
    /* Stacks lie at like addresses modulo large powers of two; starting them at
     * different distances keeps their hot ends from sharing cache sets. */
    STACK_COLOURS = 16,
    STACK_COLOUR_BYTES = 192,
};

typedef struct CoroutinePool {
    Coroutine *head;
    unsigned count;
    unsigned colour;
    bool registered;
} CoroutinePool;

#define THREAD_LOCAL __thread __attribute__((tls_model("initial-exec")))

static THREAD_LOCAL Coroutine thread_self;
static THREAD_LOCAL Coroutine *current;
static THREAD_LOCAL CoroutinePool pool;
#ifdef CONFIG_ASAN
static THREAD_LOCAL Coroutine *switched_from;
#endif

static void pool_drain(gpointer data);
static GPrivate pool_at_exit = G_PRIVATE_INIT(pool_drain);

static Coroutine *running(void)
{
    if (G_UNLIKELY(!current)) {
        current = &thread_self;
#ifdef CONFIG_TSAN
        thread_self.tsan_fiber = __tsan_get_current_fiber();
#endif
    }
    return current;
}

static void switch_arrived(void *fake_stack)
{
#ifdef CONFIG_ASAN
    const void *bottom;
    size_t size;

    __sanitizer_finish_switch_fiber(fake_stack, &bottom, &size);
    if (switched_from == &thread_self) {
        thread_self.stack = (uint8_t *)bottom;
        thread_self.stack_size = size;
    }
#else
    (void)fake_stack;
#endif
}

static void coroutine_switch(Coroutine *from, Coroutine *to)
{
    void *fake_stack = NULL;

    current = to;
#ifdef CONFIG_ASAN
    switched_from = from;
    __sanitizer_start_switch_fiber(from->ended ? NULL : &fake_stack, to->stack,
                                   to->stack_size);
#endif
#ifdef CONFIG_TSAN
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
    coroutine_context_switch(&from->context, &to->context);
    switch_arrived(fake_stack);
}

/* The bottom frame of every coroutine's stack.  A pooled coroutine waits in here
 * to be given its next entry. */
static void coroutine_start(void *opaque)
{
    Coroutine *co = opaque;

    switch_arrived(NULL);
    for (;;) {
        Coroutine *caller;

        co->entry(co->opaque);
        co->ended = true;
        caller = co->caller;
        co->caller = NULL;
        coroutine_switch(co, caller);
    }
}

static void stack_map(Coroutine *co, unsigned colour)
{
    size_t guard = getpagesize();
    uint8_t *map = mmap(NULL, guard + STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

    if (map == MAP_FAILED || mprotect(map, guard, PROT_NONE) < 0) {
        g_error("no memory for a coroutine's stack: %s", g_strerror(errno));
    }
    co->stack = map + guard;
    co->stack_size = STACK_BYTES;
#ifdef CONFIG_VALGRIND_H
    co->valgrind_id = VALGRIND_STACK_REGISTER(co->stack, co->stack + co->stack_size);
#endif
    coroutine_context_init(&co->context, co->stack,
                           STACK_BYTES - colour * STACK_COLOUR_BYTES, coroutine_start, co);
}

static void stack_unmap(Coroutine *co)
{
    size_t guard = getpagesize();

#ifdef CONFIG_VALGRIND_H
    VALGRIND_STACK_DEREGISTER(co->valgrind_id);
#endif
#ifdef CONFIG_ASAN
    __asan_unpoison_memory_region(co->stack, co->stack_size);
#endif
    munmap(co->stack - guard, guard + co->stack_size);
}

static void coroutine_destroy(Coroutine *co)
{
    stack_unmap(co);
#ifdef CONFIG_TSAN
    __tsan_destroy_fiber(co->tsan_fiber);
#endif
    g_free(co);
}

static void pool_drain(gpointer data)
{
    CoroutinePool *p = data;

    while (p->head) {
        Coroutine *co = p->head;

        p->head = co->next;
        coroutine_destroy(co);
    }
    p->count = 0;
    p->registered = false;
}

static void pool_put(Coroutine *co)
{
    if (pool.count == POOL_MAX) {
        coroutine_destroy(co);
        return;
    }
    if (!pool.registered) {
        g_private_set(&pool_at_exit, &pool);
        pool.registered = true;
    }
    co->next = pool.head;
    pool.head = co;
    pool.count++;
}

static Coroutine *pool_get(void)
{
    Coroutine *co = pool.head;

    if (co) {
        pool.head = co->next;
        pool.count--;
        co->next = NULL;
        co->ended = false;
        return co;
    }
    co = g_new0(Coroutine, 1);
    stack_map(co, pool.colour++ % STACK_COLOURS);
#ifdef CONFIG_TSAN
    co->tsan_fiber = __tsan_create_fiber(0);
#endif
    return co;
}

Coroutine *coroutine_create(CoroutineEntry *entry, void *opaque)
{
    Coroutine *co = pool_get();

    co->entry = entry;
    co->opaque = opaque;
    return co;
}

void coroutine_enter(Coroutine *co)
{
    Coroutine *self = running();

    if (G_UNLIKELY(co == self || co->caller)) {
        g_error("a coroutine that is already running was entered");
    }
    if (G_UNLIKELY(__atomic_load_n(&co->scheduled, __ATOMIC_RELAXED))) {
        g_error("a coroutine that is scheduled to run was entered");
    }
    co->caller = self;
    coroutine_switch(self, co);
    if (co->ended) {
        pool_put(co);
    }
}

void coroutine_fn coroutine_yield(void)
{
    Coroutine *self = running();
    Coroutine *caller = self->caller;

    if (G_UNLIKELY(!caller)) {
        g_error("yield outside of a coroutine");
    }
    self->caller = NULL;
    coroutine_switch(self, caller);
}

Coroutine *coroutine_self(void)
{
    return in_coroutine() ? current : NULL;
}

bool in_coroutine(void)
{
    return current && current != &thread_self;
}

size_t coroutine_stack_size(void)
{
    return STACK_BYTES - (STACK_COLOURS - 1) * STACK_COLOUR_BYTES;
}
