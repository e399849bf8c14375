#include <check.h>
#include <stdlib.h>

#include "util/aio.h"
#include "util/co-lock.h"

static AioContext *ctx;
static GString *trace;

static void set_up(void)
{
    ctx = aio_context_new(AIO_BACKEND_THREADS, NULL);
    trace = g_string_new(NULL);
}

static void tear_down(void)
{
    g_clear_pointer(&ctx, aio_context_free);
    g_string_free(trace, TRUE);
}

static void start(CoroutineEntry *entry, const void *opaque)
{
    coroutine_enter(coroutine_create(entry, (void *)opaque));
}

static void run_until_idle(void)
{
    while (aio_poll(ctx, false)) {
    }
}

static CoQueue queue;

static void coroutine_fn wait_co(void *opaque)
{
    co_queue_wait(&queue);
    g_string_append(trace, opaque);
}

START_TEST(queue_serves_in_order)
{
    co_queue_init(&queue);
    ck_assert(co_queue_empty(&queue));
    ck_assert(!co_queue_next(&queue));
    start(wait_co, "a");
    start(wait_co, "b");
    start(wait_co, "c");
    ck_assert(!co_queue_empty(&queue));
    ck_assert(co_queue_next(&queue));
    ck_assert_str_eq(trace->str, "");
    run_until_idle();
    ck_assert_str_eq(trace->str, "a");
    co_queue_all(&queue);
    ck_assert(co_queue_empty(&queue));
    run_until_idle();
    ck_assert_str_eq(trace->str, "abc");
}
END_TEST

static CoMutex mutex;
static int inside;

static void coroutine_fn critical_co(void *opaque)
{
    for (int i = 0; i < 3; i++) {
        co_mutex_lock(&mutex);
        ck_assert_int_eq(inside++, 0);
        aio_co_reschedule_self();
        g_string_append(trace, opaque);
        aio_co_reschedule_self();
        ck_assert_int_eq(--inside, 0);
        co_mutex_unlock(&mutex);
    }
}

START_TEST(mutex_excludes_and_is_fair)
{
    co_mutex_init(&mutex);
    inside = 0;
    start(critical_co, "a");
    start(critical_co, "b");
    start(critical_co, "c");
    run_until_idle();
    /* One that comes back at once waits behind those already there. */
    ck_assert_str_eq(trace->str, "abcabcabc");
    ck_assert_ptr_null(mutex.holder);
}
END_TEST

static CoRwlock rwlock;
static int readers, writers, most_readers;

static void coroutine_fn read_co(void *opaque)
{
    co_rwlock_rdlock(&rwlock);
    readers++;
    most_readers = MAX(most_readers, readers);
    ck_assert_int_eq(writers, 0);
    aio_co_reschedule_self();
    g_string_append(trace, opaque);
    readers--;
    co_rwlock_unlock(&rwlock);
}

static void coroutine_fn write_co(void *opaque)
{
    co_rwlock_wrlock(&rwlock);
    ck_assert_int_eq(readers, 0);
    ck_assert_int_eq(writers++, 0);
    aio_co_reschedule_self();
    g_string_append(trace, opaque);
    writers--;
    co_rwlock_unlock(&rwlock);
}

START_TEST(rwlock_shares_among_readers)
{
    co_rwlock_init(&rwlock);
    readers = writers = most_readers = 0;
    start(read_co, "a");
    start(read_co, "b");
    start(write_co, "W");
    /* Behind the writer, though a reader holds the lock. */
    start(read_co, "c");
    start(read_co, "d");
    start(write_co, "X");
    start(write_co, "Y");
    start(read_co, "e");
    ck_assert_int_eq(readers, 2);
    run_until_idle();
    ck_assert_str_eq(trace->str, "abWcdXYe");
    ck_assert_int_eq(most_readers, 2);
    ck_assert_uint_eq(rwlock.readers, 0);
    ck_assert(!rwlock.writer);
}
END_TEST

static CoSemaphore sem;
static uint64_t used, most_used;

typedef struct Taker {
    const char *name;
    uint64_t units;
} Taker;

static void coroutine_fn take_co(void *opaque)
{
    Taker *taker = opaque;

    co_semaphore_acquire(&sem, taker->units);
    used += taker->units;
    most_used = MAX(most_used, used);
    g_string_append(trace, taker->name);
    aio_co_reschedule_self();
    aio_co_reschedule_self();
    used -= taker->units;
    co_semaphore_release(&sem, taker->units);
}

START_TEST(semaphore_bounds)
{
    static Taker takers[] = { { "a", 4 }, { "b", 5 }, { "C", 10 }, { "d", 1 },
                              { "e", 0 }, { "f", 9 }, { "g", 1 },  { "h", 1 } };

    co_semaphore_init(&sem, 10);
    used = most_used = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(takers); i++) {
        start(take_co, &takers[i]);
    }
    /* d would fit, but C was first. */
    ck_assert_str_eq(trace->str, "ab");
    run_until_idle();
    ck_assert_str_eq(trace->str, "abCdefgh");
    ck_assert_uint_eq(most_used, 10);
    ck_assert_uint_eq(sem.available, 10);
}
END_TEST

static void coroutine_fn unlock_not_held_co(void *opaque)
{
    (void)opaque;
    co_mutex_unlock(&mutex);
}

START_TEST(unlocking_what_is_not_held_aborts)
{
    co_mutex_init(&mutex);
    start(unlock_not_held_co, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("co-lock");
    TCase *tc = tcase_create("co-lock");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, queue_serves_in_order);
    tcase_add_test(tc, mutex_excludes_and_is_fair);
    tcase_add_test(tc, rwlock_shares_among_readers);
    tcase_add_test(tc, semaphore_bounds);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    if (srunner_fork_status(runner) == CK_FORK) {
        tcase_add_test_raise_signal(tc, unlocking_what_is_not_held_aborts, SIGABRT);
    }
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
