/*
 * Output that is written by a thread while more of it is being made.
 */
#ifndef EMBR_TOOLS_FD_WRITER_H
#define EMBR_TOOLS_FD_WRITER_H

#include "util/coroutine.h"
#include "util/error.h"

typedef struct FdWriter FdWriter;

/* name is for messages; fd stays the caller's, who does not use it before the end. */
FdWriter *fd_writer_new(int fd, const char *name);
/* Waits for what is being written; what is only buffered is dropped. */
void coroutine_fn fd_writer_co_free(FdWriter *w);

/* An error may be about what was put before. After one, nothing more is written. */
bool coroutine_fn fd_writer_co_put(FdWriter *w, const void *data, size_t len,
                                   GError **errp);
/* Returns when everything is written. */
bool coroutine_fn fd_writer_co_flush(FdWriter *w, GError **errp);

#endif
