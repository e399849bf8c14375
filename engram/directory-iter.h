/*
 * DirectoryIter: the directories of a catalog that have a vector, in the order of paths,
 * and at the end the vector of the image.
 */
#ifndef EMBR_ENGRAM_DIRECTORY_ITER_H
#define EMBR_ENGRAM_DIRECTORY_ITER_H

#include "engram/catalog.h"
#include "engram/vector.h"

typedef struct DirectoryIter {
    EngramCatalog *catalog;
    EngramFileIter files;
    EngramVectorIter vectors;
    EngramFileInfo file;            /* the one that files came to last */
    bool has_file;
    bool has;                       /* the following are of a directory */
    const char *folder;             /* of its volume */
    GString *path;                  /* in its volume */
    uint64_t vector[HYPERVEC_WORDS(VECTOR_DIMENSION)];  /* its own; at the end the image's,
                                                           zeroes if that has none */
} DirectoryIter;

/* The catalog is of a whole image.  co_next comes to the first one. */
bool coroutine_fn directory_iter_co_init(DirectoryIter *it, EngramCatalog *catalog,
                                         GError **errp);
void directory_iter_clear(DirectoryIter *it);
bool coroutine_fn directory_iter_co_next(DirectoryIter *it, GError **errp);
/* Below, equal to or above 0: which one comes first. */
int directory_iter_compare(const DirectoryIter *a, const DirectoryIter *b);

#endif
