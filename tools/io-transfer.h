/*
 * Reads and writes as commands of embr-io ask for them.
 */
#ifndef EMBR_TOOLS_IO_TRANSFER_H
#define EMBR_TOOLS_IO_TRANSFER_H

#include "io.h"

typedef struct IoTransfer {
    bool quiet, machine, dump, vm_state, compressed, zeroes, has_pattern, invalid;
    int pattern;
    int flags;                      /* BDRV_REQ_* */
    const char *source;             /* -s of write */
    const char *verify_start;       /* -s, -l of read */
    const char *verify_length;
    int64_t offset;
    int64_t bytes;
    GArray *lengths;                /* of buffers; of int64_t */
} IoTransfer;

void io_transfer_clear(IoTransfer *t);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(IoTransfer, io_transfer_clear)

/* What getopt() found, of the options that all commands have. False: said. */
bool io_transfer_option(IoTransfer *t, int c);
/* "off len [len..]"; many: more than one length. False: said. */
bool io_transfer_range(IoTransfer *t, char **words, int n, bool many);
/* One piece of memory (for free()), as a vector of the buffers asked for, filled with what
 * is to be written. NULL: said. */
uint8_t *io_transfer_buffers(const IoTransfer *t, IOVector *iov);
int coroutine_fn io_transfer_co_write(Io *io, const IoTransfer *t, const IOVector *iov);
void io_transfer_print(const IoTransfer *t, const char *what, gint64 started);

#endif
