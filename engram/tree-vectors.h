/*
 * TreeVectors: hypervectors of directories, volumes and the image, from those of files
 * that pass in the order of a walk.
 *
 * A directory is the bundle of what is in it, each bound to its name; the image that of
 * its volumes, each bound to the name of its folder ("p3", "vg/root").  A disk that is one bare
 * filesystem is like its root.  What has no vector of its own adds nothing.
 */
#ifndef EMBR_ENGRAM_TREE_VECTORS_H
#define EMBR_ENGRAM_TREE_VECTORS_H

#include "engram/vector.h"

typedef struct TreeVectors TreeVectors;

/* A directory is complete: its entry's number, and its vector, packed. */
typedef bool TreeVectorsDone(uint64_t number, const uint8_t *packed, size_t bytes,
                             void *opaque, GError **errp);

TreeVectors *tree_vectors_new(TreeVectorsDone *done, void *opaque);
void tree_vectors_free(TreeVectors *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TreeVectors, tree_vectors_free)

/* The entries of the volume in that folder ("": of a bare filesystem) come now. */
bool tree_vectors_begin_volume(TreeVectors *t, const char *folder, GError **errp);
/* The next entry in the order of a walk: its path in the volume; packed: its vector, of
 * bytes (0: none), if it is no directory. */
bool tree_vectors_add(TreeVectors *t, uint64_t number, const char *path,
                      bool is_directory, const uint8_t *packed, size_t bytes,
                      GError **errp);
/* After the last entry: the image's vector into packed (VECTOR_PACKED_BYTES_MAX bytes).
 * *bytes 0: it has none. */
bool tree_vectors_finish(TreeVectors *t, uint8_t *packed, size_t *bytes, GError **errp);

#endif
