/* aio_read, aio_write, aio_flush */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "block/block-int.h"
#include "io-transfer.h"

typedef struct Request {
    Io *io;
    IoTransfer t;
    uint8_t *buf;
    IOVector iov;
    gint64 started;
} Request;

static void end_request(Request *r)
{
    if (--r->io->in_flight == 0) {
        co_queue_all(&r->io->waiters);
    }
    free(r->buf);
    iovector_destroy(&r->iov);
    io_transfer_clear(&r->t);
    g_free(r);
}

static void coroutine_fn co_read_entry(void *opaque)
{
    Request *r = opaque;
    const IoTransfer *t = &r->t;
    int ret = io_check_range(r->io, t->offset, t->bytes);

    ret = ret < 0 ? ret : bdrv_co_preadv(r->io->bs, t->offset, t->bytes, &r->iov, 0, 0);
    if (ret < 0) {
        printf("readv failed: %s\n", g_strerror(-ret));
        end_request(r);
        return;
    }
    if (t->has_pattern) {
        io_verify(r->buf, t->bytes, t->pattern, t->offset);
    }
    if (!t->quiet && t->dump) {
        io_dump(r->buf, t->bytes, t->offset);
    }
    if (!t->quiet) {
        io_transfer_print(t, "read", r->started);
    }
    end_request(r);
}

static void coroutine_fn co_write_entry(void *opaque)
{
    Request *r = opaque;
    int ret = io_transfer_co_write(r->io, &r->t, &r->iov);

    if (ret < 0) {
        printf("aio_write failed: %s\n", g_strerror(-ret));
    } else if (!r->t.quiet) {
        io_transfer_print(&r->t, "wrote", r->started);
    }
    end_request(r);
}

/* Takes t. */
static int start(Io *io, IoTransfer *t, CoroutineEntry *entry)
{
    Request *r = g_new0(Request, 1);

    r->io = io;
    r->t = *t;
    *t = (IoTransfer){0};
    io->in_flight++;
    r->buf = r->t.zeroes ? NULL : io_transfer_buffers(&r->t, &r->iov);
    if (!r->buf && !r->t.zeroes) {
        end_request(r);
        return -ENOMEM;
    }
    r->started = g_get_monotonic_time();
    coroutine_enter(coroutine_create(entry, r));
    return 0;
}

int coroutine_fn io_co_cmd_aio_read(Io *io, int argc, char **argv)
{
    g_auto(IoTransfer) t = {0};
    int c;

    while ((c = getopt(argc, argv, "CP:iqv")) != -1) {
        if (c == '?') {
            return io_misuse(argv[0]);
        }
        if (!io_transfer_option(&t, c)) {
            return -EINVAL;
        }
    }
    if (t.invalid) {
        puts("injecting invalid read request");
        return 0;
    }
    if (argc - optind < 2) {
        return io_misuse(argv[0]);
    }
    if (!io_transfer_range(&t, argv + optind, argc - optind, true)) {
        return -EINVAL;
    }
    return start(io, &t, co_read_entry);
}

int coroutine_fn io_co_cmd_aio_write(Io *io, int argc, char **argv)
{
    g_auto(IoTransfer) t = {0};
    int c;

    while ((c = getopt(argc, argv, "CfiP:quz")) != -1) {
        if (c == '?') {
            return io_misuse(argv[0]);
        }
        if (!io_transfer_option(&t, c)) {
            return -EINVAL;
        }
    }
    if (t.invalid) {
        puts("injecting invalid write request");
        return 0;
    }
    if (argc - optind < 2) {
        return io_misuse(argv[0]);
    }
    if (t.zeroes && argc - optind != 2) {
        puts("-z supports only a single length parameter");
        return -EINVAL;
    }
    if ((t.flags & BDRV_REQ_MAY_UNMAP) && !t.zeroes) {
        puts("-u requires -z to be specified");
        return -EINVAL;
    }
    if (t.zeroes && t.has_pattern) {
        puts("-z and -P cannot be specified at the same time");
        return -EINVAL;
    }
    if (!io_transfer_range(&t, argv + optind, argc - optind, true)) {
        return -EINVAL;
    }
    return start(io, &t, co_write_entry);
}

void coroutine_fn io_co_wait_for_all(Io *io)
{
    while (io->in_flight) {
        co_queue_wait(&io->waiters);
    }
}

int coroutine_fn io_co_cmd_aio_flush(Io *io, int argc, char **argv)
{
    io_co_wait_for_all(io);
    return 0;
}
