/*
 * AioContext: the event loop of one thread, as a GSource.
 *
 * It owns an io_uring.  Requests made during one turn of the loop are handed to
 * the kernel together, with one system call.  Where io_uring is missing or
 * forbidden (at build time with -Dio_uring=disabled; at run time, or with
 * EMBR_AIO=threads in the environment) a pool of threads does the same work.
 */
#ifndef EMBR_UTIL_AIO_H
#define EMBR_UTIL_AIO_H

#include <sys/uio.h>
#include "util/coroutine.h"

typedef struct AioContext AioContext;

typedef enum AioBackend {
    AIO_BACKEND_AUTO,       /* EMBR_AIO if set ("io_uring", "threads"), else the best that works */
    AIO_BACKEND_IO_URING,
    AIO_BACKEND_THREADS,
} AioBackend;

/* A context for the calling thread, attached to its thread-default
 * GMainContext.  NULL and an error if the backend asked for by name is not to
 * be had.  A thread has one context at most. */
AioContext *aio_context_new(AioBackend backend, GError **errp);
/* Waits for nothing: all requests must have completed. */
void aio_context_free(AioContext *ctx);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AioContext, aio_context_free)

/* The calling thread's context; NULL if it has none. */
AioContext *aio_context_current(void);
AioBackend aio_context_backend(const AioContext *ctx);

/* One turn of the loop: waits for an event if may_block. True if anything was
 * dispatched. Not from a coroutine. */
bool aio_poll(AioContext *ctx, bool may_block);

/* Creates a coroutine for entry, and polls until it has ended.  This is how
 * main() and tests get into the asynchronous world. Not from a coroutine. */
void aio_run(AioContext *ctx, CoroutineEntry *entry, void *opaque);

/* Has co entered at the next turn of ctx's loop. From any thread. */
void aio_co_schedule(AioContext *ctx, Coroutine *co);

/* The calling coroutine goes to the back of the queue: other coroutines and
 * completed requests run first. */
void coroutine_fn aio_co_reschedule_self(void);

/* Others go on for at least that many microseconds. */
void coroutine_fn aio_co_sleep(int64_t us);

/* File requests.  They return the bytes done, which may be fewer than asked, as
 * of preadv(2) and pwritev(2), or -errno.  iov and what it points to must stay
 * until the call returns. EINTR and EAGAIN are handled inside. */
ssize_t coroutine_fn aio_co_preadv(int fd, const struct iovec *iov, int niov, int64_t offset);
ssize_t coroutine_fn aio_co_pwritev(int fd, const struct iovec *iov, int niov, int64_t offset);
int coroutine_fn aio_co_fdatasync(int fd);
int coroutine_fn aio_co_fallocate(int fd, int mode, int64_t offset, int64_t len);

#endif
