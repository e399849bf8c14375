/* Files that are not images. */
#ifndef EMBR_TOOLS_FD_H
#define EMBR_TOOLS_FD_H

#include "util/error.h"

/* All of data, or an error that names the file.  Blocks. */
bool fd_write_all(int fd, const void *data, size_t len, const char *name,
                  GError **errp);
/* Up to len bytes, fewer only at the end of the file; *got says how many.  Blocks. */
bool fd_read_some(int fd, void *data, size_t len, const char *name, size_t *got,
                  GError **errp);
/* Before much is written: if it is a pipe, lets it hold 1 MiB, or what the system allows, so
 * that writer and reader take turns less often. */
void fd_enlarge_pipe(int fd);

#endif
