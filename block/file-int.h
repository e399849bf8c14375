/* What the parts of the file driver share. */
#ifndef EMBR_BLOCK_FILE_INT_H
#define EMBR_BLOCK_FILE_INT_H

#include <sys/stat.h>
#include "block/block-int.h"

/* Opens a regular file or block device, whatever else path leads to is refused.  The
 * caller closes *fd, -1 if it could not be opened, also on failure. */
bool file_open_descriptor(const char *path, int open_flags, int *fd, struct stat *st,
                          GError **errp);
bool file_device_length(int fd, const char *path, int64_t *length, GError **errp);

/* The driver's bdrv_co_create */
int coroutine_fn file_co_create(const char *filename, int64_t length, const char *keyval,
                                GError **errp);

#endif
