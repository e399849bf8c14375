/*
 * EngramSimilar: how alike images are, and which of their directories are not.
 *
 * Images are catalogs, of which the hypervectors are compared: that of each image with
 * all others, and those of the directories that two or more images have.  Memory does not
 * grow with the number of files.
 */
#ifndef EMBR_ENGRAM_SIMILAR_H
#define EMBR_ENGRAM_SIMILAR_H

#include "engram/catalog.h"

enum {
    ENGRAM_SIMILAR_IMAGES_MAX = 256,
    ENGRAM_SIMILAR_DIRECTORIES_MAX = 10000,
};

/* A directory that is not as alike as what it is in.  Means are over all pairs of images
 * that have it and what it is in. */
typedef struct EngramSimilarDirectory {
    char *path;                     /* as shown: "/p3/etc"; bytes */
    double drift;                   /* mean of parent_similarity * (1 - similarity), 0 to 1 */
    double similarity, parent_similarity;
    unsigned images;                /* that have it */
    unsigned first, second;         /* the pair that is least alike there: indexes */
} EngramSimilarDirectory;

typedef struct EngramSimilarResult {
    unsigned n_images;
    double *similarities;           /* n_images rows of n_images, 0 to 1 */
    GPtrArray *directories;         /* of EngramSimilarDirectory, most drift first */
} EngramSimilarResult;

void engram_similar_result_clear(EngramSimilarResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(EngramSimilarResult, engram_similar_result_clear)

/* How alike images i and j are. */
double engram_similar_pair(const EngramSimilarResult *result, unsigned i, unsigned j);

/*
 * catalogs: 1 to ENGRAM_SIMILAR_IMAGES_MAX EngramCatalogs of whole images.  directories:
 * how many are wanted.  An image in which no file has content is like none, not even
 * itself.  EMBR_ERROR_UNSUPPORTED if hypervectors do not compare.
 */
bool coroutine_fn engram_similar_co_run(const GPtrArray *catalogs, unsigned directories,
                                        EngramSimilarResult *result, GError **errp);

#endif
