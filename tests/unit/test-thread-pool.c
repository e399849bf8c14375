#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "util/aio.h"
#include "util/thread-pool.h"

static AioContext *ctx;

static void set_up(void)
{
    ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);
}

static void tear_down(void)
{
    g_clear_pointer(&ctx, aio_context_free);
}

typedef struct Job {
    ThreadPool *pool;
    pthread_t loop_thread;
    int n;
    int *left;
} Job;

static int running, most_running;

static int square(void *opaque)
{
    Job *job = opaque;
    int now = __atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
    int most = __atomic_load_n(&most_running, __ATOMIC_SEQ_CST);

    while (now > most && !__atomic_compare_exchange_n(&most_running, &most, now, false,
                                                      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    ck_assert(!pthread_equal(pthread_self(), job->loop_thread));
    g_usleep(job->n % 7 == 0 ? 1000 : 0);
    __atomic_sub_fetch(&running, 1, __ATOMIC_SEQ_CST);
    return job->n * job->n;
}

static void coroutine_fn square_co(void *opaque)
{
    Job *job = opaque;

    ck_assert_int_eq(thread_pool_co_run(job->pool, square, job), job->n * job->n);
    ck_assert(pthread_equal(pthread_self(), job->loop_thread));
    --*job->left;
}

static void run_squares(ThreadPool *pool, int n)
{
    g_autofree Job *jobs = g_new0(Job, n);
    int left = n;

    for (int i = 0; i < n; i++) {
        jobs[i] = (Job){ pool, pthread_self(), i, &left };
        coroutine_enter(coroutine_create(square_co, &jobs[i]));
    }
    while (left > 0) {
        aio_poll(ctx, true);
    }
}

START_TEST(results_come_back)
{
    ThreadPool *pool = thread_pool_new("test", 3);

    ck_assert_uint_eq(thread_pool_max_threads(pool), 3);
    running = most_running = 0;
    run_squares(pool, 1000);
    ck_assert_int_gt(most_running, 1);
    ck_assert_int_le(most_running, 3);
    thread_pool_free(pool);
}
END_TEST

typedef struct Sequence {
    ThreadPool *pool;
    GString *log;
    char name;
    int *left;
} Sequence;

static int append_name(void *opaque)
{
    Sequence *s = opaque;

    g_string_append_c(s->log, s->name);
    return 0;
}

static void coroutine_fn sequence_co(void *opaque)
{
    Sequence *s = opaque;

    thread_pool_co_run(s->pool, append_name, s);
    --*s->left;
}

START_TEST(work_starts_in_order)
{
    ThreadPool *pool = thread_pool_new("test", 1);
    GString *log = g_string_new(NULL);
    Sequence sequences[26];
    int left = G_N_ELEMENTS(sequences);

    for (size_t i = 0; i < G_N_ELEMENTS(sequences); i++) {
        sequences[i] = (Sequence){ pool, log, (char)('a' + i), &left };
        coroutine_enter(coroutine_create(sequence_co, &sequences[i]));
    }
    while (left > 0) {
        aio_poll(ctx, true);
    }
    ck_assert_str_eq(log->str, "abcdefghijklmnopqrstuvwxyz");
    g_string_free(log, TRUE);
    thread_pool_free(pool);
}
END_TEST

START_TEST(unused_pool)
{
    thread_pool_free(thread_pool_new("test", 0));
    thread_pool_free(NULL);
}
END_TEST

START_TEST(cpu_pool)
{
    cpu_set_t cpus;

    ck_assert_int_eq(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
    ck_assert_uint_eq(thread_pool_max_threads(thread_pool_cpu()), CPU_COUNT(&cpus));
    ck_assert_ptr_eq(thread_pool_cpu(), thread_pool_cpu());
    run_squares(thread_pool_cpu(), 100);
}
END_TEST

START_TEST(cpu_pool_keeps_to_allowed_cpus)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    ck_assert_uint_eq(thread_pool_max_threads(thread_pool_cpu()), 1);
    run_squares(thread_pool_cpu(), 100);
}
END_TEST

static void *loop_in_thread(void *opaque)
{
    g_autoptr(GMainContext) main_context = g_main_context_new();

    g_main_context_push_thread_default(main_context);
    g_autoptr(AioContext) own = aio_context_new(AIO_BACKEND_AUTO, NULL);
    for (int round = 0; round < 20; round++) {
        int left = 1;
        Job job = { opaque, pthread_self(), round, &left };

        aio_run(own, square_co, &job);
        ck_assert_int_eq(left, 0);
    }
    g_clear_pointer(&own, aio_context_free);
    g_main_context_pop_thread_default(main_context);
    return NULL;
}

/* Contexts go away while the pool's threads are still leaving them. */
START_TEST(shared_by_loops)
{
    ThreadPool *pool = thread_pool_new("test", 4);
    pthread_t threads[4];

    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
            ck_assert_int_eq(pthread_create(&threads[i], NULL, loop_in_thread, pool), 0);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
            pthread_join(threads[i], NULL);
        }
    }
    thread_pool_free(pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("thread-pool");
    TCase *tc = tcase_create("thread-pool");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, results_come_back);
    tcase_add_test(tc, work_starts_in_order);
    tcase_add_test(tc, unused_pool);
    tcase_add_test(tc, cpu_pool);
    tcase_add_test(tc, shared_by_loops);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    /* The process has one pool, made once. */
    if (srunner_fork_status(runner) == CK_FORK) {
        tcase_add_test(tc, cpu_pool_keeps_to_allowed_cpus);
    }
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
