/* Writing to files that are not images. */
#ifndef EMBR_TOOLS_FD_H
#define EMBR_TOOLS_FD_H

#include "util/error.h"

/* All of data, or an error that names the file.  Blocks. */
bool fd_write_all(int fd, const void *data, size_t len, const char *name,
                  GError **errp);

#endif
