#include <check.h>
#include <fenv.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "embr-config.h"
#include "util/coroutine.h"
#include "util/units.h"

static void nothing(void *opaque)
{
    (void)opaque;
}

static void coroutine_fn count_co_steps(void *opaque)
{
    int *steps = opaque;

    for (int i = 0; i < 3; i++) {
        ++*steps;
        coroutine_yield();
    }
    ++*steps;
}

START_TEST(runs_when_entered)
{
    int steps = 0;
    Coroutine *co = coroutine_create(count_co_steps, &steps);

    ck_assert_int_eq(steps, 0);
    for (int i = 1; i <= 4; i++) {
        coroutine_enter(co);
        ck_assert_int_eq(steps, i);
    }
}
END_TEST

static void coroutine_fn check_co_self(void *opaque)
{
    Coroutine **self = opaque;

    ck_assert(in_coroutine());
    *self = coroutine_self();
    coroutine_yield();
    ck_assert_ptr_eq(coroutine_self(), *self);
}

START_TEST(knows_itself)
{
    Coroutine *self = NULL;
    Coroutine *co = coroutine_create(check_co_self, &self);

    ck_assert(!in_coroutine());
    ck_assert_ptr_null(coroutine_self());
    coroutine_enter(co);
    ck_assert_ptr_eq(self, co);
    ck_assert(!in_coroutine());
    ck_assert_ptr_null(coroutine_self());
    coroutine_enter(co);
}
END_TEST

typedef struct Nest {
    int depth;
    GString *log;
} Nest;

static void coroutine_fn nest_co(void *opaque)
{
    Nest *nest = opaque;
    int depth = nest->depth++;

    g_string_append_printf(nest->log, "(%d", depth);
    if (depth < 3) {
        Coroutine *inner = coroutine_create(nest_co, nest);

        coroutine_enter(inner);
        g_string_append_printf(nest->log, "[%d", depth);
        coroutine_enter(inner);
    }
    coroutine_yield();
    g_string_append_printf(nest->log, "%d)", depth);
}

START_TEST(nested)
{
    Nest nest = { .log = g_string_new(NULL) };
    Coroutine *co = coroutine_create(nest_co, &nest);

    coroutine_enter(co);
    g_string_append_c(nest.log, '|');
    coroutine_enter(co);
    ck_assert_str_eq(nest.log->str, "(0(1(2(3[23)[12)[01)|0)");
    g_string_free(nest.log, TRUE);
}
END_TEST

static void coroutine_fn fill_co_stack(void *opaque)
{
    volatile char buf[200 * 1024];
    int *sum = opaque;

    for (size_t i = 0; i < sizeof(buf); i++) {
        buf[i] = (char)i;
    }
    coroutine_yield();
    for (size_t i = 0; i < sizeof(buf); i++) {
        *sum += buf[i] == (char)i;
    }
}

START_TEST(stacks_are_large_and_separate)
{
    int sums[40] = { 0 };
    Coroutine *cos[G_N_ELEMENTS(sums)];

    ck_assert_uint_ge(coroutine_stack_size(), 252 * KiB);
    for (size_t i = 0; i < G_N_ELEMENTS(cos); i++) {
        cos[i] = coroutine_create(fill_co_stack, &sums[i]);
        coroutine_enter(cos[i]);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(cos); i++) {
        coroutine_enter(cos[i]);
        ck_assert_int_eq(sums[i], 200 * 1024);
    }
}
END_TEST

/* More at once than the pool holds, several times over. */
START_TEST(many)
{
#ifdef CONFIG_TSAN
    enum { MANY = 300 };        /* its fibers are dear */
#else
    enum { MANY = 1000 };
#endif
    static int steps[MANY];
    static Coroutine *cos[MANY];

    memset(steps, 0, sizeof(steps));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            cos[i] = coroutine_create(count_co_steps, &steps[i]);
        }
        for (int step = 0; step < 4; step++) {
            for (int i = 0; i < MANY; i++) {
                coroutine_enter(cos[i]);
            }
        }
    }
    for (int i = 0; i < MANY; i++) {
        ck_assert_int_eq(steps[i], 12);
    }
}
END_TEST

START_TEST(ended_ones_are_reused)
{
    Coroutine *first = coroutine_create(nothing, NULL);
    Coroutine *second;

    coroutine_enter(first);
    second = coroutine_create(nothing, NULL);
    ck_assert_ptr_eq(first, second);
    coroutine_enter(second);
}
END_TEST

static void coroutine_fn round_up_co(void *opaque)
{
    (void)opaque;
    fesetround(FE_UPWARD);
    coroutine_yield();
    ck_assert_int_eq(fegetround(), FE_UPWARD);
    fesetround(FE_TONEAREST);
}

START_TEST(rounding_mode_is_kept)
{
    Coroutine *co = coroutine_create(round_up_co, NULL);

    fesetround(FE_DOWNWARD);
    coroutine_enter(co);
    ck_assert_int_eq(fegetround(), FE_DOWNWARD);
    coroutine_enter(co);
    ck_assert_int_eq(fegetround(), FE_DOWNWARD);
    fesetround(FE_TONEAREST);
}
END_TEST

static void coroutine_fn compute_co(void *opaque)
{
    double *x = opaque;
    double a = 1.5, b = 2.25, c = -3.125;
    long p = 11, q = 12, r = 13, s = 14, t = 15, u = 16, v = 17;

    for (int i = 0; i < 1000; i++) {
        coroutine_yield();
        a += b;
        b += c;
        c += 0.5;
        p += q, q += r, r += s, s += t, t += u, u += v, v += 1;
    }
    *x = a + b + c + (double)p;
}

START_TEST(registers_are_kept)
{
    double x[4] = { 0 };
    Coroutine *cos[4];

    for (int i = 0; i < 4; i++) {
        cos[i] = coroutine_create(compute_co, &x[i]);
    }
    for (int step = 0; step <= 1000; step++) {
        for (int i = 0; i < 4; i++) {
            coroutine_enter(cos[i]);
        }
    }
    for (int i = 1; i < 4; i++) {
        ck_assert(x[i] == x[0]);
    }
    ck_assert(x[0] != 0);
}
END_TEST

static void *run_in_thread(void *opaque)
{
    (void)opaque;
    for (int i = 0; i < 50; i++) {
        int steps[8] = { 0 };
        Coroutine *cos[8];

        for (int k = 0; k < 8; k++) {
            cos[k] = coroutine_create(count_co_steps, &steps[k]);
        }
        for (int n = 0; n < 4; n++) {
            for (int k = 0; k < 8; k++) {
                coroutine_enter(cos[k]);
            }
        }
        for (int k = 0; k < 8; k++) {
            ck_assert_int_eq(steps[k], 4);
        }
    }
    return NULL;
}

START_TEST(threads_have_their_own)
{
    pthread_t threads[4];

    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_in_thread, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
}
END_TEST

static volatile int depth_limit = INT_MAX;

static int __attribute__((noinline)) recurse(int depth)
{
    volatile char frame[512];

    frame[0] = (char)depth;
    return depth < depth_limit ? recurse(depth + 1) + frame[0] : 0;
}

static void coroutine_fn overflow_co(void *opaque)
{
    (void)opaque;
    recurse(0);
}

START_TEST(overflow_hits_the_guard)
{
    coroutine_enter(coroutine_create(overflow_co, NULL));
}
END_TEST

/* A sanitizer exits with a report instead of dying by the signal. */
static void add_overflow_test(TCase *tc)
{
#if defined(CONFIG_ASAN)
    tcase_add_exit_test(tc, overflow_hits_the_guard, 1);
#elif defined(CONFIG_TSAN)
    tcase_add_exit_test(tc, overflow_hits_the_guard, 66);
#else
    tcase_add_test_raise_signal(tc, overflow_hits_the_guard, SIGSEGV);
#endif
}

static void coroutine_fn enter_co_self(void *opaque)
{
    (void)opaque;
    coroutine_enter(coroutine_self());
}

START_TEST(entering_itself_aborts)
{
    coroutine_enter(coroutine_create(enter_co_self, NULL));
}
END_TEST

static void coroutine_fn enter_co_caller(void *opaque)
{
    coroutine_enter(*(Coroutine **)opaque);
}

static void coroutine_fn enter_co_caller_outer(void *opaque)
{
    Coroutine *self = coroutine_self();

    (void)opaque;
    coroutine_enter(coroutine_create(enter_co_caller, &self));
}

START_TEST(entering_the_caller_aborts)
{
    coroutine_enter(coroutine_create(enter_co_caller_outer, NULL));
}
END_TEST

START_TEST(yield_outside_aborts)
{
    coroutine_yield();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("coroutine");
    TCase *tc = tcase_create("coroutine");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, runs_when_entered);
    tcase_add_test(tc, knows_itself);
    tcase_add_test(tc, nested);
    tcase_add_test(tc, stacks_are_large_and_separate);
    tcase_add_test(tc, many);
    tcase_add_test(tc, ended_ones_are_reused);
    tcase_add_test(tc, rounding_mode_is_kept);
    tcase_add_test(tc, registers_are_kept);
    tcase_add_test(tc, threads_have_their_own);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    if (srunner_fork_status(runner) == CK_FORK) {
        TCase *fatal = tcase_create("fatal");

        add_overflow_test(fatal);
        tcase_add_test_raise_signal(fatal, entering_itself_aborts, SIGTRAP);
        tcase_add_test_raise_signal(fatal, entering_the_caller_aborts, SIGTRAP);
        tcase_add_test_raise_signal(fatal, yield_outside_aborts, SIGTRAP);
        suite_add_tcase(suite, fatal);
    }
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
