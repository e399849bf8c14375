/*
 * VectorIndexWriter: puts vectors into clusters of like ones.
 *
 * Clusters are found among a sample of the vectors, all others go to the one they are
 * nearest to.  The outcome depends on nothing but the vectors and their order.  They
 * wait in temporary files; memory does not grow with their number, once the sample is
 * as large as it gets.
 */
#ifndef EMBR_ENGRAM_VECTOR_INDEX_WRITER_H
#define EMBR_ENGRAM_VECTOR_INDEX_WRITER_H

#include "engram/object-writer.h"

typedef struct VectorIndexWriter VectorIndexWriter;

VectorIndexWriter *vector_index_writer_new(const char *spool_dir, GError **errp);
void vector_index_writer_free(VectorIndexWriter *w);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VectorIndexWriter, vector_index_writer_free)

/* The next vector of the manifest, packed. */
bool vector_index_writer_add(VectorIndexWriter *w, bool is_directory,
                             const uint8_t *packed, size_t bytes, GError **errp);

/* Writes all of it; *ref is none if there are so few vectors that it would save
 * nothing. */
bool coroutine_fn vector_index_writer_co_finish(VectorIndexWriter *w, ObjectWriter *out,
                                                EngramRef *ref, GError **errp);

#endif
