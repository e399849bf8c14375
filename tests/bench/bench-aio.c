/*
 * What the event loop costs: reads of a file in the page cache by many
 * coroutines, in both backends, beside plain pread(2); and work in threads.
 *
 *   bench-aio [FILE]       FILE of at least 64 MiB; else one is made in $TMPDIR
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/aio.h"
#include "util/thread-pool.h"
#include "util/units.h"

enum { ROUNDS = 5, FILE_BYTES = 64 << 20, MAX_DEPTH = 64 };

typedef struct Work {
    int fd;
    size_t block;
    long next;                  /* block to read */
    long end;
    int running;
} Work;

static void coroutine_fn reader_co(void *opaque)
{
    Work *work = opaque;
    g_autofree char *buf = g_malloc(work->block);
    long blocks = FILE_BYTES / work->block;

    while (work->next < work->end) {
        /* Odd, so every block has its turn, out of order. */
        int64_t offset = work->next++ * 7919 % blocks * work->block;
        struct iovec iov = { buf, work->block };

        if (aio_co_preadv(work->fd, &iov, 1, offset) != (ssize_t)work->block) {
            g_error("short read");
        }
    }
    work->running--;
}

static double read_all(AioContext *ctx, int fd, size_t block, int depth)
{
    double best = 1e300;

    for (int i = 0; i < ROUNDS; i++) {
        Work work = { .fd = fd, .block = block, .end = FILE_BYTES / block,
                      .running = depth };
        int64_t start_us = g_get_monotonic_time();

        for (int k = 0; k < depth; k++) {
            coroutine_enter(coroutine_create(reader_co, &work));
        }
        while (work.running > 0) {
            aio_poll(ctx, true);
        }
        best = MIN(best, (g_get_monotonic_time() - start_us) * 1e3 / work.end);
    }
    return best;
}

static double pread_all(int fd, size_t block)
{
    g_autofree char *buf = g_malloc(block);
    double best = 1e300;
    long blocks = FILE_BYTES / block;

    for (int i = 0; i < ROUNDS; i++) {
        int64_t start_us = g_get_monotonic_time();

        for (long k = 0; k < blocks; k++) {
            if (pread(fd, buf, block, k * 7919 % blocks * block) != (ssize_t)block) {
                g_error("short read");
            }
        }
        best = MIN(best, (g_get_monotonic_time() - start_us) * 1e3 / blocks);
    }
    return best;
}

static int work_function(void *opaque)
{
    (void)opaque;
    return 0;
}

typedef struct Jobs {
    int left;
    int running;
} Jobs;

static void coroutine_fn jobs_co(void *opaque)
{
    Jobs *jobs = opaque;

    while (jobs->left-- > 0) {
        thread_pool_co_run(thread_pool_cpu(), work_function, NULL);
    }
    jobs->running--;
}

static void bench_thread_pool(AioContext *ctx)
{
    static const int depths[] = { 1, 16, 64 };

    for (size_t i = 0; i < G_N_ELEMENTS(depths); i++) {
        enum { JOBS = 100000 };
        Jobs jobs = { .left = JOBS, .running = depths[i] };
        int64_t start_us = g_get_monotonic_time();

        for (int k = 0; k < depths[i]; k++) {
            coroutine_enter(coroutine_create(jobs_co, &jobs));
        }
        while (jobs.running > 0) {
            aio_poll(ctx, true);
        }
        printf("empty job in a thread, %2d at once %37.0f ns\n", depths[i],
               (g_get_monotonic_time() - start_us) * 1e3 / JOBS);
    }
}

static void bench_backend(AioBackend backend, const char *name, int fd)
{
    static const size_t blocks[] = { 4096, 65536 };
    static const int depths[] = { 1, 16, MAX_DEPTH };
    g_autoptr(GError) error = NULL;
    g_autoptr(AioContext) ctx = aio_context_new(backend, &error);

    if (!ctx) {
        printf("%s: %s\n", name, error->message);
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(blocks); i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(depths); k++) {
            printf("read of %2zu KiB, %-8s %2d at once %32.0f ns\n", blocks[i] / 1024, name,
                   depths[k], read_all(ctx, fd, blocks[i], depths[k]));
        }
    }
    if (backend == AIO_BACKEND_THREADS) {
        bench_thread_pool(ctx);
    }
}

static int make_file(void)
{
    g_autofree char *name = NULL;
    g_autofree char *data = g_malloc(FILE_BYTES);
    int fd = g_file_open_tmp("bench-aio-XXXXXX", &name, NULL);

    memset(data, 'x', FILE_BYTES);
    if (fd < 0 || unlink(name) < 0 || write(fd, data, FILE_BYTES) != FILE_BYTES) {
        g_error("cannot write a temporary file of 64 MiB");
    }
    return fd;
}

int main(int argc, char **argv)
{
    int fd = argc > 1 ? open(argv[1], O_RDONLY | O_CLOEXEC) : make_file();

    if (fd < 0) {
        g_error("cannot open %s", argv[1]);
    }
    printf("read of  4 KiB, pread(2) %41.0f ns\n", pread_all(fd, 4096));
    printf("read of 64 KiB, pread(2) %41.0f ns\n", pread_all(fd, 65536));
    bench_backend(AIO_BACKEND_IO_URING, "io_uring", fd);
    bench_backend(AIO_BACKEND_THREADS, "threads", fd);
    return EXIT_SUCCESS;
}
