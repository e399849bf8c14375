/*
 * The C side of the context switches written in assembly: lays out the stack of
 * a coroutine as the switch (coroutine-switch-*.S) leaves that of a suspended one.
 */
#include <string.h>

#include "util/coroutine-int.h"

void embr_coroutine_switch(void **save_sp, void *sp);
/* Where a new coroutine begins: calls the start function found in a callee-saved
 * register. */
void embr_coroutine_begin(void);

#if defined(__x86_64__)
typedef struct SavedFrame {
    uint32_t mxcsr;
    uint32_t x87_control;
    uint64_t r15;
    uint64_t r14;
    uint64_t r13;
    uint64_t r12;
    uint64_t rbx;
    uint64_t rbp;
    uint64_t rip;
    uint64_t end[2];            /* zero: a backtrace stops here */
} SavedFrame;
G_STATIC_ASSERT(sizeof(SavedFrame) == 80);

static void frame_fill(SavedFrame *frame, CoroutineStart *start, void *opaque)
{
    uint16_t control;

    __asm__ volatile("stmxcsr %0" : "=m"(frame->mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(control));
    frame->x87_control = control;
    frame->rbx = (uintptr_t)start;
    frame->r12 = (uintptr_t)opaque;
    frame->rip = (uintptr_t)embr_coroutine_begin;
}
#elif defined(__aarch64__)
typedef struct SavedFrame {
    uint64_t x19_to_x28[10];
    uint64_t fp;
    uint64_t lr;
    uint64_t d8_to_d15[8];
    uint64_t fpcr;
    uint64_t padding;
} SavedFrame;
G_STATIC_ASSERT(sizeof(SavedFrame) == 176);

static void frame_fill(SavedFrame *frame, CoroutineStart *start, void *opaque)
{
    __asm__ volatile("mrs %0, fpcr" : "=r"(frame->fpcr));
    frame->x19_to_x28[0] = (uintptr_t)start;
    frame->x19_to_x28[1] = (uintptr_t)opaque;
    frame->lr = (uintptr_t)embr_coroutine_begin;
}
#endif

void coroutine_context_init(CoroutineContext *context, void *stack, size_t stack_size,
                            CoroutineStart *start, void *opaque)
{
    uintptr_t top = ((uintptr_t)stack + stack_size) & ~(uintptr_t)15;
    SavedFrame *frame = (SavedFrame *)(top - sizeof(SavedFrame));

    memset(frame, 0, sizeof(*frame));
    frame_fill(frame, start, opaque);
    context->sp = frame;
}

void coroutine_context_switch(CoroutineContext *from, CoroutineContext *to)
{
    embr_coroutine_switch(&from->sp, to->sp);
}
