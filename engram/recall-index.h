/*
 * RecallIndex: which frame has a chunk with a feature.
 *
 * Memory is bounded: of very many features, old ones are forgotten.  What is found is a
 * guess, and need only be good.
 *
 * One thread at a time.
 */
#ifndef EMBR_ENGRAM_RECALL_INDEX_H
#define EMBR_ENGRAM_RECALL_INDEX_H

#include "engram/file.h"
#include "engram/object-writer.h"
#include "engram/sketch.h"

enum { RECALL_INDEX_BYTES_MAX = 64 << 20 };

typedef struct RecallIndex RecallIndex;

RecallIndex *recall_index_new(void);
void recall_index_free(RecallIndex *index);     /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RecallIndex, recall_index_free)

/* The frame of that number has a chunk with the feature, which is not 0. */
void recall_index_add(RecallIndex *index, uint32_t feature, uint32_t frame);
/* The frame that has most of the features; returns how many, 0 if there is none. */
unsigned recall_index_find(const RecallIndex *index, const Sketch *sketch, uint32_t *frame);
size_t recall_index_memory(const RecallIndex *index);

/* Calls visit for each page of the stored index, with its frames in order, in order. */
typedef void RecallVisit(uint32_t frame, const le32_t *features, uint32_t n, void *opaque);
/* Visits all that is stored in the index of f, which has one.  pages (may be NULL) gets
 * its pages' references.  False, with an error: it is damaged, from there on. */
bool coroutine_fn recall_index_co_visit(EngramFile *f, RecallVisit *visit, void *opaque,
                                        GArray *pages, GError **errp);
bool recall_index_is_there(const EngramFile *f);
/* Adds it to index. */
bool coroutine_fn recall_index_co_load(RecallIndex *index, EngramFile *f, GArray *pages,
                                       GError **errp);
/* Appends the index's root; pages, of EngramRef, are in the file. */
bool coroutine_fn recall_index_co_write_root(ObjectWriter *out, const GArray *pages,
                                             EngramRef *root, GError **errp);

#endif
