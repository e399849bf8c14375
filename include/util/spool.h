/*
 * Spool: a temporary file for what does not fit in memory.
 *
 * The file has no name from the start, so nothing is left of it however the program
 * ends.  Calls block; they are meant for the page cache, not for a disk that is waited
 * for.  A Spool is used by one thread at a time.
 *
 * Errors name the directory.  After one in writing, the content is undefined and the
 * spool good for nothing but to be freed.
 */
#ifndef EMBR_UTIL_SPOOL_H
#define EMBR_UTIL_SPOOL_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Spool Spool;

/* In the directory dir; NULL: in g_get_tmp_dir(). */
Spool *spool_new(const char *dir, GError **errp);
void spool_free(Spool *s);                      /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Spool, spool_free)

/* Adds len bytes at the end; *offset (may be NULL) is where they are.  Collected, and
 * written to the file in large pieces. */
bool spool_append(Spool *s, const void *data, size_t len, uint64_t *offset,
                  GError **errp);

/* Writes anywhere.  What lies between the end and offset reads as zeroes; no bytes
 * there add nothing. */
bool spool_write(Spool *s, uint64_t offset, const void *data, size_t len,
                 GError **errp);

/* Sees all that was appended and written before.  Bytes past the end are an error. */
bool spool_read(Spool *s, uint64_t offset, void *data, size_t len, GError **errp);

uint64_t spool_size(const Spool *s);            /* in bytes */

#endif
