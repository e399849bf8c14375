/*
 * What the event loop and its backends share.
 */
#ifndef EMBR_UTIL_AIO_INT_H
#define EMBR_UTIL_AIO_INT_H

#include <pthread.h>

#include "util/aio.h"

typedef enum AioOp {
    AIO_OP_READ,
    AIO_OP_WRITE,
    AIO_OP_FDATASYNC,
    AIO_OP_FALLOCATE,
} AioOp;

/* A request; lies on the stack of the coroutine that waits for it. */
typedef struct AioRequest {
    AioOp op;
    int fd;
    int mode;                   /* of fallocate */
    int niov;
    const struct iovec *iov;
    int64_t offset;
    int64_t len;                /* of fallocate */
    Coroutine *co;
    int64_t result;             /* bytes, 0, or -errno */
    struct AioRequest *next;
} AioRequest;

typedef struct AioBackendOps {
    AioBackend backend;
    void (*destroy)(void *state);
    /* Does the request once and leaves its result in it. */
    void coroutine_fn (*co_request)(void *state, AioRequest *request);
    /* The rest may be NULL. Hands what is queued to the kernel. */
    void (*submit)(void *state);
    /* True if reap() has something to do. */
    bool (*pending)(void *state);
    /* Enters the coroutines of completed requests; true if there were any. */
    bool (*reap)(void *state);
    /* What to poll for G_IO_IN. */
    int (*fd)(void *state);
} AioBackendOps;

typedef struct CoroutineList {
    Coroutine *head;
    Coroutine **tail;
} CoroutineList;

/* NULL and an error if the backend cannot be had on this system. */
void *aio_uring_new(GError **errp);
extern const AioBackendOps aio_uring_ops;

void *aio_threads_new(void);
extern const AioBackendOps aio_threads_ops;

#endif
