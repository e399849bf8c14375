#include "util/aio.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "embr-config.h"
#include "util/aio-int.h"
#include "util/coroutine-int.h"
#include "util/error.h"

/* aio_poll() turns in a row before other sources of the main context, which
 * need a poll() to be seen, get theirs. */
enum { TURNS_PER_ITERATION = 64 };

typedef struct AioSource {
    GSource source;
    AioContext *ctx;
} AioSource;

struct AioContext {
    AioSource *source;
    GMainContext *main_context;
    const AioBackendOps *ops;
    void *backend;
    unsigned turns;
    CoroutineList ready;        /* scheduled by this thread */

    /* Scheduled by other threads.  Pushed, and the loop woken, with the lock
     * held: the context may be freed as soon as what was pushed has run. */
    pthread_mutex_t lock;
    CoroutineList remote;
    bool remote_any;            /* relaxed hint, so that the lock is rarely taken */
    bool sleeping;              /* the loop is in poll(), or about to be */
};

static __thread __attribute__((tls_model("initial-exec"))) AioContext *current_ctx;

static void list_init(CoroutineList *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

static void list_append(CoroutineList *list, Coroutine *co)
{
    co->next = NULL;
    *list->tail = co;
    list->tail = &co->next;
}

/* Moves all of from to the end of to. */
static void list_splice(CoroutineList *to, CoroutineList *from)
{
    if (from->head) {
        *to->tail = from->head;
        to->tail = from->tail;
        list_init(from);
    }
}

static void take_remote(AioContext *ctx)
{
    if (!__atomic_load_n(&ctx->remote_any, __ATOMIC_SEQ_CST)) {
        return;
    }
    pthread_mutex_lock(&ctx->lock);
    list_splice(&ctx->ready, &ctx->remote);
    __atomic_store_n(&ctx->remote_any, false, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&ctx->lock);
}

/* Enters what is scheduled now; what these schedule has its turn later. */
static bool run_ready(AioContext *ctx)
{
    Coroutine *co;

    take_remote(ctx);
    co = ctx->ready.head;
    list_init(&ctx->ready);
    if (!co) {
        return false;
    }
    while (co) {
        Coroutine *next = co->next;

        co->next = NULL;
        __atomic_store_n(&co->scheduled, false, __ATOMIC_RELAXED);
        coroutine_enter(co);
        co = next;
    }
    return true;
}

static void submit(AioContext *ctx)
{
    if (ctx->ops->submit) {
        ctx->ops->submit(ctx->backend);
    }
}

static bool turn(AioContext *ctx)
{
    bool progress = false;

    submit(ctx);
    if (ctx->ops->reap) {
        progress = ctx->ops->reap(ctx->backend);
    }
    return run_ready(ctx) || progress;
}

static bool anything_ready(AioContext *ctx)
{
    return ctx->ready.head || __atomic_load_n(&ctx->remote_any, __ATOMIC_SEQ_CST) ||
           (ctx->ops->pending && ctx->ops->pending(ctx->backend));
}

static gboolean aio_source_prepare(GSource *source, int *timeout)
{
    AioContext *ctx = ((AioSource *)source)->ctx;

    *timeout = -1;
    submit(ctx);
    /* Before the last look at the list: whoever adds to it later sees this. */
    __atomic_store_n(&ctx->sleeping, true, __ATOMIC_SEQ_CST);
    if (!anything_ready(ctx)) {
        return FALSE;
    }
    __atomic_store_n(&ctx->sleeping, false, __ATOMIC_SEQ_CST);
    return TRUE;
}

static gboolean aio_source_check(GSource *source)
{
    AioContext *ctx = ((AioSource *)source)->ctx;

    __atomic_store_n(&ctx->sleeping, false, __ATOMIC_SEQ_CST);
    return anything_ready(ctx);
}

static gboolean aio_source_dispatch(GSource *source, GSourceFunc func, gpointer data)
{
    (void)func;
    (void)data;
    turn(((AioSource *)source)->ctx);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs aio_source_funcs = {
    .prepare = aio_source_prepare,
    .check = aio_source_check,
    .dispatch = aio_source_dispatch,
};

static void use_threads(AioContext *ctx)
{
    ctx->ops = &aio_threads_ops;
    ctx->backend = aio_threads_new();
}

static bool use_io_uring(AioContext *ctx, GError **errp)
{
#ifdef CONFIG_IO_URING
    ctx->backend = aio_uring_new(errp);
    ctx->ops = &aio_uring_ops;
    return ctx->backend != NULL;
#else
    (void)ctx;
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                "io_uring: embr was built without it");
    return false;
#endif
}

/* What EMBR_AIO asks for. */
static bool backend_from_environment(AioBackend *backend, GError **errp)
{
    const char *name = g_getenv("EMBR_AIO");

    if (!name || !*name || g_str_equal(name, "auto")) {
        return true;
    }
    if (g_str_equal(name, "io_uring")) {
        *backend = AIO_BACKEND_IO_URING;
        return true;
    }
    if (g_str_equal(name, "threads")) {
        *backend = AIO_BACKEND_THREADS;
        return true;
    }
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                "EMBR_AIO: '%s' is none of auto, io_uring, threads", name);
    return false;
}

static bool backend_start(AioContext *ctx, AioBackend backend, GError **errp)
{
    if (backend == AIO_BACKEND_AUTO && !backend_from_environment(&backend, errp)) {
        return false;
    }
    if (backend == AIO_BACKEND_IO_URING) {
        return use_io_uring(ctx, errp);
    }
    if (backend == AIO_BACKEND_THREADS || !use_io_uring(ctx, NULL)) {
        use_threads(ctx);
    }
    return true;
}

AioContext *aio_context_new(AioBackend backend, GError **errp)
{
    AioContext *ctx;

    g_assert(!current_ctx);
    ctx = g_new0(AioContext, 1);
    if (!backend_start(ctx, backend, errp)) {
        g_free(ctx);
        return NULL;
    }
    pthread_mutex_init(&ctx->lock, NULL);
    list_init(&ctx->ready);
    list_init(&ctx->remote);
    ctx->main_context = g_main_context_ref_thread_default();
    ctx->source = (AioSource *)g_source_new(&aio_source_funcs, sizeof(AioSource));
    ctx->source->ctx = ctx;
    g_source_set_name(&ctx->source->source, "embr-aio");
    g_source_set_can_recurse(&ctx->source->source, TRUE);
    if (ctx->ops->fd) {
        g_source_add_unix_fd(&ctx->source->source, ctx->ops->fd(ctx->backend), G_IO_IN);
    }
    g_source_attach(&ctx->source->source, ctx->main_context);
    current_ctx = ctx;
    return ctx;
}

void aio_context_free(AioContext *ctx)
{
    if (!ctx) {
        return;
    }
    g_assert(ctx == current_ctx && !in_coroutine());
    /* The backend's threads may still be leaving aio_co_schedule(). */
    ctx->ops->destroy(ctx->backend);
    pthread_mutex_lock(&ctx->lock);
    g_assert(!ctx->ready.head && !ctx->remote.head);
    pthread_mutex_unlock(&ctx->lock);
    pthread_mutex_destroy(&ctx->lock);
    g_source_destroy(&ctx->source->source);
    g_source_unref(&ctx->source->source);
    g_main_context_unref(ctx->main_context);
    current_ctx = NULL;
    g_free(ctx);
}

AioContext *aio_context_current(void)
{
    return current_ctx;
}

AioBackend aio_context_backend(const AioContext *ctx)
{
    return ctx->ops->backend;
}

bool aio_poll(AioContext *ctx, bool may_block)
{
    g_assert(ctx == current_ctx && !in_coroutine());
    if (turn(ctx)) {
        if (++ctx->turns % TURNS_PER_ITERATION == 0) {
            g_main_context_iteration(ctx->main_context, FALSE);
        }
        return true;
    }
    return g_main_context_iteration(ctx->main_context, may_block);
}

typedef struct AioRun {
    CoroutineEntry *entry;
    void *opaque;
    bool done;
} AioRun;

static void coroutine_fn aio_co_run_entry(void *opaque)
{
    AioRun *run = opaque;

    run->entry(run->opaque);
    run->done = true;
}

void aio_run(AioContext *ctx, CoroutineEntry *entry, void *opaque)
{
    AioRun run = { .entry = entry, .opaque = opaque };

    g_assert(ctx == current_ctx && !in_coroutine());
    coroutine_enter(coroutine_create(aio_co_run_entry, &run));
    while (!run.done) {
        aio_poll(ctx, true);
    }
}

static void schedule_remote(AioContext *ctx, Coroutine *co)
{
    pthread_mutex_lock(&ctx->lock);
    list_append(&ctx->remote, co);
    __atomic_store_n(&ctx->remote_any, true, __ATOMIC_SEQ_CST);
    if (__atomic_exchange_n(&ctx->sleeping, false, __ATOMIC_SEQ_CST)) {
        g_main_context_wakeup(ctx->main_context);
    }
    pthread_mutex_unlock(&ctx->lock);
}

void aio_co_schedule(AioContext *ctx, Coroutine *co)
{
    if (__atomic_load_n(&co->scheduled, __ATOMIC_RELAXED)) {
        g_error("a coroutine was scheduled twice");
    }
    __atomic_store_n(&co->scheduled, true, __ATOMIC_RELAXED);
    if (ctx == current_ctx) {
        list_append(&ctx->ready, co);
    } else {
        schedule_remote(ctx, co);
    }
}

void coroutine_fn aio_co_reschedule_self(void)
{
    aio_co_schedule(current_ctx, coroutine_self());
    coroutine_yield();
}

static gboolean wake_sleeper(gpointer co)
{
    aio_co_schedule(current_ctx, co);
    return G_SOURCE_REMOVE;
}

void coroutine_fn aio_co_sleep(int64_t us)
{
    g_autoptr(GSource) timer = NULL;

    if (us <= 0) {
        return;
    }
    timer = g_timeout_source_new(MIN((us - 1) / 1000 + 1, G_MAXUINT));
    g_source_set_callback(timer, wake_sleeper, coroutine_self(), NULL);
    g_source_attach(timer, current_ctx->main_context);
    coroutine_yield();
}

static int64_t coroutine_fn aio_co_request(AioRequest *request)
{
    AioContext *ctx = current_ctx;

    g_assert(ctx);
    request->co = coroutine_self();
    g_assert(request->co);
    for (;;) {
        ctx->ops->co_request(ctx->backend, request);
        if (request->result != -EINTR && request->result != -EAGAIN) {
            return request->result;
        }
        aio_co_reschedule_self();
    }
}

ssize_t coroutine_fn aio_co_preadv(int fd, const struct iovec *iov, int niov, int64_t offset)
{
    AioRequest request = {
        .op = AIO_OP_READ,
        .fd = fd,
        .iov = iov,
        .niov = MIN(niov, IOV_MAX),
        .offset = offset,
    };

    return aio_co_request(&request);
}

ssize_t coroutine_fn aio_co_pwritev(int fd, const struct iovec *iov, int niov, int64_t offset)
{
    AioRequest request = {
        .op = AIO_OP_WRITE,
        .fd = fd,
        .iov = iov,
        .niov = MIN(niov, IOV_MAX),
        .offset = offset,
    };

    return aio_co_request(&request);
}

int coroutine_fn aio_co_fdatasync(int fd)
{
    AioRequest request = { .op = AIO_OP_FDATASYNC, .fd = fd };

    return aio_co_request(&request);
}

int coroutine_fn aio_co_fallocate(int fd, int mode, int64_t offset, int64_t len)
{
    AioRequest request = {
        .op = AIO_OP_FALLOCATE,
        .fd = fd,
        .mode = mode,
        .offset = offset,
        .len = len,
    };

    return aio_co_request(&request);
}
