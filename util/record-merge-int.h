/*
 * Merging of sorted rows of records: the inside of RecordSorter.
 */
#ifndef EMBR_UTIL_RECORD_MERGE_INT_H
#define EMBR_UTIL_RECORD_MERGE_INT_H

#include "util/record-sorter.h"
#include "util/spool.h"

/* A sorted row: records in memory, then those in the file. */
typedef struct RecordRow {
    const uint8_t *at, *end;    /* in memory; equal: none left */
    uint64_t offset, left;      /* bytes in the file, not read yet */
    uint8_t *buffer;            /* for them, not owned; NULL: there are none */
} RecordRow;

typedef struct RecordMerge RecordMerge;

/* Takes a copy of the rows; equal records come in order of their rows.  buffer_bytes
 * is a multiple of record_bytes. */
RecordMerge *record_merge_new(size_t record_bytes, RecordCompare *compare, Spool *spool,
                              size_t buffer_bytes, const RecordRow *rows, size_t n_rows,
                              GError **errp);
void record_merge_free(RecordMerge *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RecordMerge, record_merge_free)

/* The first record that is left; NULL at the end. */
const void *record_merge_peek(const RecordMerge *m);
/* Goes on to the next one. */
bool record_merge_advance(RecordMerge *m, GError **errp);

#endif
