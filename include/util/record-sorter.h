/*
 * RecordSorter: sorts any number of records of one size in bounded memory.
 *
 * Records are collected in memory; when max_bytes of them are there, they are sorted
 * and written to a temporary file, and what was written is merged at the end.  Few
 * records take little memory and no file.  Records that compare equal keep the order
 * in which they were added.
 *
 * A sorter is used by one thread at a time.  After an error it can only be freed.
 */
#ifndef EMBR_UTIL_RECORD_SORTER_H
#define EMBR_UTIL_RECORD_SORTER_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct RecordSorter RecordSorter;

/* Below, equal to or above zero, as for qsort().  Records lie at multiples of
 * record_bytes from an address that is aligned for any type. */
typedef int RecordCompare(const void *a, const void *b);

enum { RECORD_SORTER_MIN_BYTES = 256 << 10 };

/*
 * max_bytes bounds the memory for records, of which there must be room for 64, and is
 * at least RECORD_SORTER_MIN_BYTES; a MiB beside it is in use at most.
 * spool_dir is where a file is made if one is needed; NULL: g_get_tmp_dir().
 */
RecordSorter *record_sorter_new(size_t record_bytes, RecordCompare *compare,
                                size_t max_bytes, const char *spool_dir);
void record_sorter_free(RecordSorter *s);       /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RecordSorter, record_sorter_free)

/* Copies record. */
bool record_sorter_add(RecordSorter *s, const void *record, GError **errp);

/* Once, after the last record was added. */
bool record_sorter_finish(RecordSorter *s, GError **errp);

/* After record_sorter_finish(): 1 and the next record, 0 at the end (record is
 * untouched), -1 and an error. */
int record_sorter_next(RecordSorter *s, void *record, GError **errp);

uint64_t record_sorter_count(const RecordSorter *s);    /* of records added */

#endif
