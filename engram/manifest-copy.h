/*
 * Copying the manifest of an image into another engram.
 */
#ifndef EMBR_ENGRAM_MANIFEST_COPY_H
#define EMBR_ENGRAM_MANIFEST_COPY_H

#include "engram/file.h"
#include "engram/object-writer.h"

/* Its pages as they are, in the same order, and the index of its vectors, or none.
 * image has a manifest. */
bool coroutine_fn engram_manifest_co_copy(EngramFile *from, const EngramImage *image,
                                          ObjectWriter *out, EngramRef *manifest,
                                          EngramRef *vector_index, GError **errp);

#endif
