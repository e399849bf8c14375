#include "fd-writer.h"

#include "fd.h"
#include "util/co-lock.h"
#include "util/thread-pool.h"

enum { BUFFER_BYTES = 512 * 1024 };

struct FdWriter {
    int fd;
    char *name;
    ThreadPool *pool;
    GString *filling, *writing;
    bool busy;     /* the thread has what is in writing */
    GError *error; /* of the thread: looked at when it is not busy */
    CoQueue written;
};

FdWriter *fd_writer_new(int fd, const char *name)
{
    FdWriter *w = g_new0(FdWriter, 1);

    w->fd = fd;
    w->name = g_strdup(name);
    w->pool = thread_pool_new("embr-write", 1);
    w->filling = g_string_sized_new(BUFFER_BYTES);
    w->writing = g_string_sized_new(BUFFER_BYTES);
    co_queue_init(&w->written);
    return w;
}

static int write_buffer(void *opaque)
{
    FdWriter *w = opaque;

    return fd_write_all(w->fd, w->writing->str, w->writing->len, w->name, &w->error)
               ? 0
               : -1;
}

static void coroutine_fn co_write(void *opaque)
{
    FdWriter *w = opaque;

    thread_pool_co_run(w->pool, write_buffer, w);
    w->busy = false;
    co_queue_all(&w->written);
}

static void coroutine_fn wait_written(FdWriter *w)
{
    while (w->busy) {
        co_queue_wait(&w->written);
    }
}

void coroutine_fn fd_writer_co_free(FdWriter *w)
{
    if (!w) {
        return;
    }
    wait_written(w);
    thread_pool_free(w->pool);
    g_string_free(w->filling, TRUE);
    g_string_free(w->writing, TRUE);
    g_clear_error(&w->error);
    g_free(w->name);
    g_free(w);
}

/* Gives the thread what was put so far. */
static bool coroutine_fn start_writing(FdWriter *w, GError **errp)
{
    wait_written(w);
    if (w->error) {
        g_propagate_error(errp, g_error_copy(w->error));
        return false;
    }

    GString *empty = w->writing;

    w->writing = w->filling;
    w->filling = g_string_truncate(empty, 0);
    w->busy = true;
    coroutine_enter(coroutine_create(co_write, w));
    return true;
}

bool coroutine_fn fd_writer_co_put(FdWriter *w, const void *data, size_t len,
                                   GError **errp)
{
    const char *p = data;

    while (len) {
        size_t n = MIN(len, BUFFER_BYTES - w->filling->len);

        g_string_append_len(w->filling, p, n);
        p += n;
        len -= n;
        if (w->filling->len == BUFFER_BYTES && !start_writing(w, errp)) {
            return false;
        }
    }
    return true;
}

bool coroutine_fn fd_writer_co_flush(FdWriter *w, GError **errp)
{
    if (!start_writing(w, errp)) {
        return false;
    }
    wait_written(w);
    if (w->error) {
        g_propagate_error(errp, g_error_copy(w->error));
        return false;
    }
    return true;
}
