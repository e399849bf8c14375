/*
 * The AIO backend that needs nothing of the kernel: blocking calls in threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "util/aio-int.h"
#include "util/thread-pool.h"

enum { AIO_MAX_THREADS = 16 };

void *aio_threads_new(void)
{
    return thread_pool_new("embr-aio", AIO_MAX_THREADS);
}

static void aio_threads_destroy(void *state)
{
    thread_pool_free(state);
}

static int64_t request_call(const AioRequest *request)
{
    switch (request->op) {
    case AIO_OP_READ:
        return preadv(request->fd, request->iov, request->niov, request->offset);
    case AIO_OP_WRITE:
        return pwritev(request->fd, request->iov, request->niov, request->offset);
    case AIO_OP_FDATASYNC:
        return fdatasync(request->fd);
    case AIO_OP_FALLOCATE:
        return fallocate(request->fd, request->mode, request->offset, request->len);
    }
    return -1;
}

static int request_run(void *opaque)
{
    AioRequest *request = opaque;
    int64_t result = request_call(request);

    request->result = result < 0 ? -errno : result;
    return 0;
}

static void coroutine_fn aio_threads_co_request(void *state, AioRequest *request)
{
    thread_pool_co_run(state, request_run, request);
}

const AioBackendOps aio_threads_ops = {
    .backend = AIO_BACKEND_THREADS,
    .destroy = aio_threads_destroy,
    .co_request = aio_threads_co_request,
};
