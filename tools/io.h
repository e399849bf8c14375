/*
 * embr-io: the open image and the commands on it.
 *
 *   embr-io.c         the program: its options, where commands come from
 *   io-commands.c     the table of commands, help, what runs a line
 *   io-open.c         open, close, reopen
 *   io-image.c        alloc, map, length, truncate, info, flush
 *   io-transfer.c     read, readv, write, writev, discard
 *   io-async.c        aio_read, aio_write, aio_flush
 *   io-debug.c        break, resume, ...; sleep, sigraise, abort
 *   io-text.c         numbers in, sizes and reports out
 */
#ifndef EMBR_TOOLS_IO_H
#define EMBR_TOOLS_IO_H

#include <getopt.h>

#include "image.h"
#include "util/co-lock.h"

/* How an image is opened. */
typedef struct IoOpen {
    char *name;             /* NULL: options have it */
    char *format;           /* NULL: found from content */
    char *options;          /* "driver=...,..." or NULL */
    CacheMode cache;
    bool read_only;
    bool snapshot;          /* writes go to a temporary file */
    bool copy_on_read;
    bool force_share;
    bool unmap;             /* discards are passed on */
} IoOpen;

void io_open_clear(IoOpen *open);

typedef struct Io {
    BlockDriverState *bs;   /* NULL: none is open */
    IoOpen how;             /* it was opened */
    unsigned in_flight;     /* of aio_read and aio_write */
    CoQueue waiters;        /* for in_flight to be 0 */
    bool quit;
} Io;

/* Messages that are a program's answer go to stdout, as do qemu-io's. */
typedef struct IoCommand {
    const char *name;
    const char *short_name;         /* NULL: none */
    int min_arguments;
    int max_arguments;              /* -1: any number */
    bool without_file;              /* works without an open image */
    bool writes;
    const char *arguments;          /* for help */
    const char *summary;
    const char *help;               /* NULL: there is no more to say */
    int coroutine_fn (*co_run)(Io *io, int argc, char **argv);
} IoCommand;

/* Runs a line: 0 or -errno of the command; what is wrong has been said. */
int io_run_line(Io *io, AioContext *ctx, const char *line);
/* Shows how a command is used, after wrong options; -EINVAL. */
int io_misuse(const char *name);

/* 0 or -errno, reported. Opens what io->how says. */
int coroutine_fn io_co_open(Io *io);
/* Waits for requests in flight, and closes. 0 or -errno, reported. */
int coroutine_fn io_co_close(Io *io);
bool io_parse_cache(const char *text, CacheMode *mode);
bool io_parse_discard(const char *text, bool *unmap);
void coroutine_fn io_co_wait_for_all(Io *io);
/* 0 or -errno; requests beyond the disk's end are -EIO. */
int io_check_range(const Io *io, int64_t offset, int64_t bytes);

/* --- io-text.c --- */

/* A number with a suffix. False, and said on stdout, if it is none, or negative. */
bool io_parse_number(const char *text, int64_t *value);
/* A number of bytes that one request may have. */
bool io_parse_length(const char *text, int64_t *value);
/* Of a pattern: 0 to 255. */
bool io_parse_byte(const char *text, int *value);
/* "512 bytes", "1.500 KiB". The caller frees it. */
char *io_size(double bytes);
typedef struct IoStatistics {
    const char *what;           /* "read" */
    int64_t offset;
    int64_t asked;
    int64_t done;
    gint64 started;             /* g_get_monotonic_time() */
    bool machine;               /* -C */
} IoStatistics;
void io_print_statistics(const IoStatistics *statistics);
void io_dump(const uint8_t *buf, int64_t bytes, int64_t offset);
/* False, and said, if not all bytes are the pattern. */
bool io_verify(const uint8_t *buf, int64_t bytes, int pattern, int64_t offset);

/* --- commands, see help --- */

int coroutine_fn io_co_cmd_open(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_close(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_reopen(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_read(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_readv(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_write(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_writev(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_discard(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_aio_read(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_aio_write(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_aio_flush(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_flush(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_alloc(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_map(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_length(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_truncate(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_info(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_break(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_resume(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_remove_break(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_wait_break(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_sleep(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_sigraise(Io *io, int argc, char **argv);
int coroutine_fn io_co_cmd_abort(Io *io, int argc, char **argv);

#endif
