#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "embr-config.h"
#include "util/aio.h"
#include "util/units.h"

static const AioBackend backends[] = { AIO_BACKEND_IO_URING, AIO_BACKEND_THREADS };

enum { FILE_BYTES = 4 * 1024 * 1024 };

/* NULL if this system has no io_uring. */
static AioContext *context_or_skip(AioBackend backend)
{
    g_autoptr(GError) error = NULL;
    AioContext *ctx = aio_context_new(backend, &error);

    if (!ctx) {
        ck_assert(backend == AIO_BACKEND_IO_URING);
        printf("not tested: %s\n", error->message);
    } else {
        ck_assert(aio_context_backend(ctx) == backend);
        ck_assert_ptr_eq(aio_context_current(), ctx);
    }
    return ctx;
}

static int temp_file(size_t size)
{
    g_autofree char *name = NULL;
    g_autofree uint8_t *data = g_malloc(size + 1);
    int fd = g_file_open_tmp("embr-test-aio-XXXXXX", &name, NULL);

    ck_assert_int_ge(fd, 0);
    unlink(name);
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    }
    ck_assert_int_eq(pwrite(fd, data, size, 0), (ssize_t)size);
    return fd;
}

static uint8_t expected_byte(size_t i)
{
    return (uint8_t)(i ^ i >> 8 ^ i >> 16);
}

static void check_bytes(const uint8_t *bytes, int64_t offset, size_t len)
{
    size_t wrong = 0;

    for (size_t i = 0; i < len; i++) {
        wrong += bytes[i] != expected_byte(offset + i);
    }
    ck_assert_uint_eq(wrong, 0);
}

typedef struct Reader {
    int fd;
    int64_t offset;
    size_t len;
    int *left;
} Reader;

static void coroutine_fn read_co(void *opaque)
{
    Reader *r = opaque;
    g_autofree uint8_t *buf = g_malloc(r->len);
    struct iovec iov[2] = { { buf, r->len / 3 },
                            { buf + r->len / 3, r->len - r->len / 3 } };
    struct iovec whole = { buf, r->len };
    bool split = r->offset & 1;

    ck_assert_int_eq(aio_co_preadv(r->fd, split ? iov : &whole, split ? 2 : 1, r->offset),
                     (ssize_t)r->len);
    check_bytes(buf, r->offset, r->len);
    --*r->left;
}

/* More requests at once than any ring has entries. */
START_TEST(many_reads)
{
#ifdef CONFIG_TSAN
    enum { MANY = 600 };
#else
    enum { MANY = 3000 };
#endif
    g_autoptr(AioContext) ctx = context_or_skip(backends[_i]);
    int fd = temp_file(FILE_BYTES);
    g_autofree Reader *readers = g_new0(Reader, MANY);
    int left = MANY;

    if (!ctx) {
        return;
    }
    for (int i = 0; i < MANY; i++) {
        readers[i] = (Reader){
            .fd = fd,
            .offset = (int64_t)i * 7919 % (FILE_BYTES - 5000),
            .len = 1 + i % 4999,
            .left = &left,
        };
        coroutine_enter(coroutine_create(read_co, &readers[i]));
    }
    while (left > 0) {
        aio_poll(ctx, true);
    }
    ck_assert(!aio_poll(ctx, false));
    close(fd);
}
END_TEST

static void coroutine_fn requests_co(void *opaque)
{
    int fd = *(int *)opaque;
    uint8_t a[1000], b[3000], back[5000];
    struct iovec out[] = { { a, sizeof(a) }, { b, sizeof(b) } };
    struct iovec in = { back, sizeof(back) };
    struct stat st;

    memset(a, 'a', sizeof(a));
    memset(b, 'b', sizeof(b));
    ck_assert_int_eq(aio_co_pwritev(fd, out, 2, 100), 4000);
    ck_assert_int_eq(aio_co_pwritev(fd, out, 1, 10), 1000);
    ck_assert_int_eq(aio_co_fdatasync(fd), 0);
    /* The end of the file cuts the read short. */
    ck_assert_int_eq(aio_co_preadv(fd, &in, 1, 0), 4100);
    ck_assert_mem_eq(back + 10, a, 1000);
    ck_assert_mem_eq(back + 1100, b, 3000);
    ck_assert_int_eq(aio_co_preadv(fd, &in, 1, 4100), 0);
    ck_assert_int_eq(aio_co_preadv(fd, &in, 1, 1 << 20), 0);

    int ret = aio_co_fallocate(fd, 0, 0, 100000);
    if (ret != -EOPNOTSUPP) {
        ck_assert_int_eq(ret, 0);
        ck_assert_int_eq(fstat(fd, &st), 0);
        ck_assert_int_eq(st.st_size, 100000);
    }

    ck_assert_int_eq(aio_co_preadv(-1, &in, 1, 0), -EBADF);
    ck_assert_int_eq(aio_co_pwritev(-1, out, 2, 0), -EBADF);
    ck_assert_int_eq(aio_co_fdatasync(-1), -EBADF);
    ck_assert_int_eq(aio_co_fallocate(-1, 0, 0, 1), -EBADF);
    ck_assert_int_eq(aio_co_preadv(fd, &in, 1, -1), -EINVAL);
    ck_assert_int_eq(aio_co_fallocate(fd, 0, 0, 0), -EINVAL);
}

START_TEST(every_request)
{
    g_autoptr(AioContext) ctx = context_or_skip(backends[_i]);
    int fd = temp_file(0);

    if (ctx) {
        aio_run(ctx, requests_co, &fd);
    }
    close(fd);
}
END_TEST

static void coroutine_fn too_many_buffers_co(void *opaque)
{
    enum { BUFFERS = 3000 };
    int fd = *(int *)opaque;
    g_autofree uint8_t *bytes = g_malloc(BUFFERS);
    g_autofree struct iovec *iov = g_new(struct iovec, BUFFERS);
    ssize_t done;

    for (int i = 0; i < BUFFERS; i++) {
        iov[i] = (struct iovec){ bytes + i, 1 };
    }
    done = aio_co_preadv(fd, iov, BUFFERS, 0);
    ck_assert_int_gt(done, 0);
    ck_assert_int_le(done, BUFFERS);
    check_bytes(bytes, 0, done);
}

START_TEST(more_buffers_than_the_kernel_takes)
{
    g_autoptr(AioContext) ctx = context_or_skip(backends[_i]);
    int fd = temp_file(8192);

    if (ctx) {
        aio_run(ctx, too_many_buffers_co, &fd);
    }
    close(fd);
}
END_TEST

typedef struct Order {
    GString *log;
    char name;
} Order;

static void coroutine_fn order_co(void *opaque)
{
    Order *o = opaque;

    for (int i = 0; i < 3; i++) {
        g_string_append_c(o->log, o->name);
        aio_co_reschedule_self();
    }
}

START_TEST(scheduled_in_order)
{
    g_autoptr(AioContext) ctx = context_or_skip(backends[_i]);
    Order orders[3];
    GString *log;

    if (!ctx) {
        return;
    }
    log = g_string_new(NULL);
    for (int i = 0; i < 3; i++) {
        orders[i] = (Order){ .log = log, .name = (char)('a' + i) };
        aio_co_schedule(ctx, coroutine_create(order_co, &orders[i]));
    }
    ck_assert_str_eq(log->str, "");
    while (aio_poll(ctx, false)) {
    }
    ck_assert_str_eq(log->str, "abcabcabc");
    g_string_free(log, TRUE);
}
END_TEST

typedef struct Remote {
    AioContext *ctx;
    Coroutine *co;
    int value;
} Remote;

static void *schedule_from_thread(void *opaque)
{
    Remote *r = opaque;

    r->value++;
    aio_co_schedule(r->ctx, r->co);
    return NULL;
}

static void coroutine_fn await_threads_co(void *opaque)
{
    Remote *r = opaque;

    for (int i = 0; i < 200; i++) {
        pthread_t thread;

        ck_assert_int_eq(pthread_create(&thread, NULL, schedule_from_thread, r), 0);
        coroutine_yield();
        ck_assert_int_eq(r->value, i + 1);
        pthread_join(thread, NULL);
    }
}

static void coroutine_fn await_threads_start_co(void *opaque)
{
    Remote *r = opaque;

    r->co = coroutine_self();
    await_threads_co(r);
}

START_TEST(scheduled_from_threads)
{
    g_autoptr(AioContext) ctx = context_or_skip(backends[_i]);
    Remote remote = { .ctx = ctx };

    if (ctx) {
        aio_run(ctx, await_threads_start_co, &remote);
        ck_assert_int_eq(remote.value, 200);
    }
}
END_TEST

static void *schedule_late(void *opaque)
{
    g_usleep(300000);
    return schedule_from_thread(opaque);
}

static void coroutine_fn wait_long_co(void *opaque)
{
    Remote *r = opaque;
    pthread_t thread;

    r->co = coroutine_self();
    ck_assert_int_eq(pthread_create(&thread, NULL, schedule_late, r), 0);
    coroutine_yield();
    pthread_join(thread, NULL);
}

static int64_t cpu_time_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

START_TEST(waiting_does_not_spin)
{
    g_autoptr(AioContext) ctx = context_or_skip(backends[_i]);
    Remote remote = { .ctx = ctx };
    int64_t before = cpu_time_us();

    if (ctx) {
        aio_run(ctx, wait_long_co, &remote);
        ck_assert_int_lt(cpu_time_us() - before, 150000);
    }
}
END_TEST

static gboolean quit_when_read(gpointer data)
{
    Reader *r = ((gpointer *)data)[0];
    GMainLoop *loop = ((gpointer *)data)[1];

    if (*r->left > 0) {
        return G_SOURCE_CONTINUE;
    }
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

/* Works as a source among others, without aio_poll(). */
START_TEST(in_a_main_loop)
{
    g_autoptr(AioContext) ctx = context_or_skip(backends[_i]);
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    int fd = temp_file(100000);
    int left = 1;
    Reader reader = { .fd = fd, .offset = 17, .len = 50000, .left = &left };
    gpointer data[] = { &reader, loop };

    if (!ctx) {
        return;
    }
    g_timeout_add(5, quit_when_read, data);
    aio_co_schedule(ctx, coroutine_create(read_co, &reader));
    g_main_loop_run(loop);
    ck_assert_int_eq(left, 0);
    close(fd);
}
END_TEST

static gboolean count_timeouts(gpointer data)
{
    ++*(int *)data;
    return G_SOURCE_CONTINUE;
}

static void coroutine_fn busy_until_timeouts_co(void *opaque)
{
    int *timeouts = opaque;

    while (*timeouts < 3) {
        aio_co_reschedule_self();
    }
}

/* Coroutines that always have something to do leave room for other sources. */
START_TEST(other_sources_have_their_turn)
{
    g_autoptr(AioContext) ctx = context_or_skip(backends[_i]);
    int timeouts = 0;
    guint id;

    if (!ctx) {
        return;
    }
    id = g_timeout_add(1, count_timeouts, &timeouts);
    aio_run(ctx, busy_until_timeouts_co, &timeouts);
    g_source_remove(id);
}
END_TEST

static void *context_of_a_thread(void *opaque)
{
    g_autoptr(GMainContext) main_context = g_main_context_new();
    int fd = temp_file(200000);

    g_main_context_push_thread_default(main_context);
    g_autoptr(AioContext) ctx = context_or_skip(*(const AioBackend *)opaque);
    for (int i = 0; ctx && i < 20; i++) {
        int left = 1;
        Reader r = { .fd = fd, .offset = i * 100, .len = 100000, .left = &left };

        aio_run(ctx, read_co, &r);
        ck_assert_int_eq(left, 0);
    }
    g_clear_pointer(&ctx, aio_context_free);
    ck_assert_ptr_null(aio_context_current());
    g_main_context_pop_thread_default(main_context);
    close(fd);
    return NULL;
}

START_TEST(one_per_thread)
{
    pthread_t threads[3];

    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, context_of_a_thread,
                                        (void *)&backends[_i]),
                         0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
}
END_TEST

START_TEST(environment_chooses)
{
    g_autoptr(GError) error = NULL;
    AioContext *ctx;

    g_setenv("EMBR_AIO", "threads", TRUE);
    ctx = aio_context_new(AIO_BACKEND_AUTO, &error);
    ck_assert_ptr_nonnull(ctx);
    ck_assert(aio_context_backend(ctx) == AIO_BACKEND_THREADS);
    aio_context_free(ctx);

    g_setenv("EMBR_AIO", "smoke", TRUE);
    ck_assert_ptr_null(aio_context_new(AIO_BACKEND_AUTO, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "smoke"));
    g_unsetenv("EMBR_AIO");
}
END_TEST

/* As the seccomp profiles of containers do. */
static bool forbid_io_uring(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { G_N_ELEMENTS(filter), filter };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

START_TEST(falls_back_where_io_uring_is_forbidden)
{
    g_autoptr(GError) error = NULL;
    int fd = temp_file(0);
    AioContext *ctx;

    if (!forbid_io_uring()) {
        printf("not tested: no seccomp filters here\n");
        return;
    }
    g_unsetenv("EMBR_AIO");
    ck_assert_ptr_null(aio_context_new(AIO_BACKEND_IO_URING, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "io_uring"));
    ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);
    ck_assert_ptr_nonnull(ctx);
    ck_assert(aio_context_backend(ctx) == AIO_BACKEND_THREADS);
    aio_run(ctx, requests_co, &fd);
    aio_context_free(ctx);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("aio");
    TCase *both = tcase_create("both backends");
    TCase *tc = tcase_create("choice");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(both, many_reads, 0, 2);
    tcase_add_loop_test(both, every_request, 0, 2);
    tcase_add_loop_test(both, more_buffers_than_the_kernel_takes, 0, 2);
    tcase_add_loop_test(both, scheduled_in_order, 0, 2);
    tcase_add_loop_test(both, scheduled_from_threads, 0, 2);
    tcase_add_loop_test(both, waiting_does_not_spin, 0, 2);
    tcase_add_loop_test(both, in_a_main_loop, 0, 2);
    tcase_add_loop_test(both, other_sources_have_their_turn, 0, 2);
    tcase_add_loop_test(both, one_per_thread, 0, 2);
    suite_add_tcase(suite, both);
    tcase_add_test(tc, environment_chooses);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    /* The filter stays for good, so only in a process of its own. */
    if (srunner_fork_status(runner) == CK_FORK) {
        tcase_add_test(tc, falls_back_where_io_uring_is_forbidden);
    }
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
