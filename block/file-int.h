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

/* BDRV_PERM_* bits; locks taken before are let go.  A filesystem without locks is none to
 * refuse.  On failure no lock is held. */
bool file_lock(int fd, const char *path, unsigned used, unsigned unshared, GError **errp);

/* Allocates [offset, offset + bytes) as preallocation says: falloc, or zeroes with full. */
bool coroutine_fn file_co_preallocate(int fd, const char *path, int64_t offset,
                                      int64_t bytes, PreallocMode preallocation,
                                      GError **errp);

/* The driver's bdrv_co_create */
int coroutine_fn file_co_create(const char *filename, int64_t length, const char *keyval,
                                GError **errp);

#endif
