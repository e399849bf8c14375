/*
 * Entries of a walk on their way to where they are extracted: what the device holds encoded
 * of small files is decoded, on all processors, while those before them are written.
 */
#ifndef EMBR_TOOLS_EXTRACT_AHEAD_H
#define EMBR_TOOLS_EXTRACT_AHEAD_H

#include "tree.h"

typedef struct ExtractAhead ExtractAhead;

/* In the order in which entries were added.  content: all of the file's; NULL if it was not
 * read, or could not be. */
typedef bool coroutine_fn ExtractAheadNext(const TreeEntry *entry,
                                           const uint8_t *content, void *opaque,
                                           GError **errp);

ExtractAhead *extract_ahead_new(ExtractAheadNext *next, void *opaque);
/* False, with the error set, if next returned false: for this entry or one before. */
bool coroutine_fn extract_ahead_co_add(ExtractAhead *a, const TreeEntry *entry,
                                       GError **errp);
/* Those that are still on their way. */
bool coroutine_fn extract_ahead_co_finish(ExtractAhead *a, GError **errp);
/* Drops those that are left. */
void coroutine_fn extract_ahead_co_free(ExtractAhead *a);

#endif
