/*
 * The AIO backend on io_uring.
 *
 * Requests fill submission entries, which reach the kernel when the loop is
 * about to poll, or when the ring is full.  Those beyond what the completion
 * ring can hold wait in a list.
 */
#include <errno.h>
#include <liburing.h>
#include <string.h>

#include "embr-config.h"
#include "util/aio-int.h"
#include "util/error.h"

#ifdef CONFIG_VALGRIND_H
#include <valgrind/memcheck.h>
#endif

enum {
    RING_ENTRIES = 128,
    REAP_BATCH = 32,
};

/* The kernel moves no more than this in one read or write. */
#define MAX_TRANSFER_BYTES 0x7ffff000u


typedef struct AioUring {
    struct io_uring ring;
    unsigned in_flight;         /* in the submission ring, or the kernel's */
    unsigned max_in_flight;
    AioRequest *waiting;
    AioRequest **waiting_tail;
} AioUring;

static bool has_needed_opcodes(struct io_uring *ring, GError **errp)
{
    static const struct {
        int op;
        const char *name;
    } needed[] = {
        { IORING_OP_READ, "READ" },           { IORING_OP_WRITE, "WRITE" },
        { IORING_OP_READV, "READV" },         { IORING_OP_WRITEV, "WRITEV" },
        { IORING_OP_FSYNC, "FSYNC" },         { IORING_OP_FALLOCATE, "FALLOCATE" },
    };
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);

    if (!probe) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "io_uring: the kernel does not say what it can do");
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
        if (!io_uring_opcode_supported(probe, needed[i].op)) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                        "io_uring: the kernel lacks operation %s", needed[i].name);
            io_uring_free_probe(probe);
            return false;
        }
    }
    io_uring_free_probe(probe);
    return true;
}

static int ring_init(struct io_uring *ring)
{
#if defined(IORING_SETUP_COOP_TASKRUN) && defined(IORING_SETUP_SINGLE_ISSUER)
    int ret = io_uring_queue_init(RING_ENTRIES, ring,
                                  IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER);

    if (ret != -EINVAL) {
        return ret;
    }
#endif
    return io_uring_queue_init(RING_ENTRIES, ring, 0);
}

void *aio_uring_new(GError **errp)
{
    g_autofree AioUring *u = g_new0(AioUring, 1);
    int ret = ring_init(&u->ring);

    if (ret < 0) {
        error_set_errno(errp, -ret, "io_uring");
        return NULL;
    }
    if (!has_needed_opcodes(&u->ring, errp)) {
        io_uring_queue_exit(&u->ring);
        return NULL;
    }
    u->max_in_flight = *u->ring.cq.kring_entries;
    u->waiting_tail = &u->waiting;
    return g_steal_pointer(&u);
}

static void aio_uring_destroy(void *state)
{
    AioUring *u = state;

    g_assert(u->in_flight == 0 && !u->waiting);
    io_uring_queue_exit(&u->ring);
    g_free(u);
}

static void fill_sqe(struct io_uring_sqe *sqe, const AioRequest *request)
{
    const struct iovec *iov = request->iov;

    switch (request->op) {
    case AIO_OP_READ:
        if (request->niov == 1) {
            io_uring_prep_read(sqe, request->fd, iov->iov_base,
                               MIN(iov->iov_len, MAX_TRANSFER_BYTES), request->offset);
        } else {
            io_uring_prep_readv(sqe, request->fd, iov, request->niov, request->offset);
        }
        break;
    case AIO_OP_WRITE:
        if (request->niov == 1) {
            io_uring_prep_write(sqe, request->fd, iov->iov_base,
                                MIN(iov->iov_len, MAX_TRANSFER_BYTES), request->offset);
        } else {
            io_uring_prep_writev(sqe, request->fd, iov, request->niov, request->offset);
        }
        break;
    case AIO_OP_FDATASYNC:
        io_uring_prep_fsync(sqe, request->fd, IORING_FSYNC_DATASYNC);
        break;
    case AIO_OP_FALLOCATE:
        io_uring_prep_fallocate(sqe, request->fd, request->mode, request->offset,
                                request->len);
        break;
    }
    io_uring_sqe_set_data(sqe, (void *)request);
}

static void aio_uring_submit(void *state);

/* False if there is no room for it now. */
static bool try_queue(AioUring *u, AioRequest *request)
{
    struct io_uring_sqe *sqe;

    if (u->in_flight == u->max_in_flight) {
        return false;
    }
    sqe = io_uring_get_sqe(&u->ring);
    if (!sqe) {
        aio_uring_submit(u);
        sqe = io_uring_get_sqe(&u->ring);
    }
    if (!sqe) {
        return false;
    }
    fill_sqe(sqe, request);
    u->in_flight++;
    return true;
}

static void coroutine_fn aio_uring_co_request(void *state, AioRequest *request)
{
    AioUring *u = state;

    if (request->offset < 0 && request->op != AIO_OP_FDATASYNC) {
        /* -1 would mean the current position. */
        request->result = -EINVAL;
        return;
    }
    request->next = NULL;
    if (u->waiting || !try_queue(u, request)) {
        *u->waiting_tail = request;
        u->waiting_tail = &request->next;
    }
    coroutine_yield();
}

/* The kernel refuses for the moment (EAGAIN, EBUSY: out of memory, completions
 * to be reaped) or was interrupted: what was not taken stays in the ring and is
 * handed over again at the next turn. */
static void aio_uring_submit(void *state)
{
    AioUring *u = state;
    int ret;

    if (io_uring_sq_ready(&u->ring) == 0) {
        return;
    }
    ret = io_uring_submit(&u->ring);
    if (ret < 0 && ret != -EAGAIN && ret != -EBUSY && ret != -EINTR) {
        g_error("io_uring_enter: %s", g_strerror(-ret));
    }
}

static void queue_waiting(AioUring *u)
{
    while (u->waiting && try_queue(u, u->waiting)) {
        u->waiting = u->waiting->next;
    }
    if (!u->waiting) {
        u->waiting_tail = &u->waiting;
    }
}

static bool aio_uring_pending(void *state)
{
    AioUring *u = state;

    return io_uring_cq_ready(&u->ring) > 0 || io_uring_sq_ready(&u->ring) > 0;
}

/* Valgrind does not see the kernel write. */
static void mark_read(const AioRequest *request)
{
#ifdef CONFIG_VALGRIND_H
    int64_t left = request->op == AIO_OP_READ ? request->result : 0;

    for (const struct iovec *iov = request->iov; left > 0; iov++) {
        VALGRIND_MAKE_MEM_DEFINED(iov->iov_base, MIN((size_t)left, iov->iov_len));
        left -= iov->iov_len;
    }
#else
    (void)request;
#endif
}

static bool aio_uring_reap(void *state)
{
    AioUring *u = state;
    unsigned left = io_uring_cq_ready(&u->ring);
    bool any = false;

    while (left > 0) {
        struct io_uring_cqe *cqes[REAP_BATCH];
        unsigned n = io_uring_peek_batch_cqe(&u->ring, cqes, MIN(left, REAP_BATCH));
        Coroutine *done[REAP_BATCH];

        if (n == 0) {
            break;
        }
        for (unsigned i = 0; i < n; i++) {
            AioRequest *request = io_uring_cqe_get_data(cqes[i]);

            request->result = cqes[i]->res;
            mark_read(request);
            done[i] = request->co;
        }
        io_uring_cq_advance(&u->ring, n);
        u->in_flight -= n;
        queue_waiting(u);
        for (unsigned i = 0; i < n; i++) {
            coroutine_enter(done[i]);
        }
        left -= n;
        any = true;
    }
    return any;
}

static int aio_uring_fd(void *state)
{
    return ((AioUring *)state)->ring.ring_fd;
}

const AioBackendOps aio_uring_ops = {
    .backend = AIO_BACKEND_IO_URING,
    .destroy = aio_uring_destroy,
    .co_request = aio_uring_co_request,
    .submit = aio_uring_submit,
    .pending = aio_uring_pending,
    .reap = aio_uring_reap,
    .fd = aio_uring_fd,
};
