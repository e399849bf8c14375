/* Stopped requests; sleep, sigraise, abort */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "block/block-int.h"
#include "io.h"

int coroutine_fn io_co_cmd_break(Io *io, int argc, char **argv)
{
    int ret = bdrv_debug_break(io->bs, argv[1], argv[2]);

    if (ret < 0) {
        printf("Could not set breakpoint: %s\n", g_strerror(-ret));
    }
    return ret;
}

int coroutine_fn io_co_cmd_resume(Io *io, int argc, char **argv)
{
    int ret = bdrv_debug_resume(io->bs, argv[1]);

    if (ret < 0) {
        printf("Could not resume request: %s\n", g_strerror(-ret));
    }
    return ret;
}

int coroutine_fn io_co_cmd_remove_break(Io *io, int argc, char **argv)
{
    int ret = bdrv_debug_remove_break(io->bs, argv[1]);

    if (ret < 0) {
        printf("Could not remove breakpoint %s: %s\n", argv[1], g_strerror(-ret));
    }
    return ret;
}

int coroutine_fn io_co_cmd_wait_break(Io *io, int argc, char **argv)
{
    int ret = bdrv_debug_co_wait_for_break(io->bs, argv[1]);

    if (ret < 0) {
        printf("Could not wait for breakpoint %s: %s\n", argv[1], g_strerror(-ret));
    }
    return ret;
}

static gboolean wake(gpointer opaque)
{
    aio_co_schedule(aio_context_current(), opaque);
    return G_SOURCE_REMOVE;
}

int coroutine_fn io_co_cmd_sleep(Io *io, int argc, char **argv)
{
    char *end;

    errno = 0;
    long ms = strtol(argv[1], &end, 0);
    if (errno || *end || ms < 0 || ms > G_MAXINT) {
        printf("%s is not a valid number\n", argv[1]);
        return -EINVAL;
    }
    g_timeout_add(ms, wake, coroutine_self());
    coroutine_yield();
    return 0;
}

int coroutine_fn io_co_cmd_sigraise(Io *io, int argc, char **argv)
{
    int64_t number;

    if (!io_parse_number(argv[1], &number)) {
        return -EINVAL;
    }
    if (number > NSIG) {
        printf("signal argument '%s' is too large to be a valid signal\n", argv[1]);
        return -EINVAL;
    }
    fflush(stdout);
    return raise(number) == 0 ? 0 : -EINVAL;
}

int coroutine_fn io_co_cmd_abort(Io *io, int argc, char **argv)
{
    abort();
}
