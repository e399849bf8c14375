/*
 * EngramVectorIndex: the vectors of an image in clusters of like ones, so that a search
 * need not look at all of them.
 *
 * Opening loads the centroids; members are loaded page by page.  The first
 * n_file_clusters are of files, the others of directories.  Errors name the file and
 * the offset.
 */
#ifndef EMBR_ENGRAM_VECTOR_INDEX_H
#define EMBR_ENGRAM_VECTOR_INDEX_H

#include <hypervec/hypervec.h>

#include "engram/manifest.h"

typedef struct EngramVectorIndex {
    EngramFile *file;
    uint64_t offset;                    /* of the index object */
    HypervecSpace space;                /* of the centroids */
    uint64_t n_members;                 /* in all clusters */
    uint32_t n_clusters, n_file_clusters;
    uint64_t *starts;                   /* n_clusters + 1: number of the first member of
                                           each cluster */
    uint64_t *centroids;
    uint32_t n_pages;
    const EngramManifestPage *pages;    /* of members */
    uint8_t *raw;
} EngramVectorIndex;

/* Whether the image has an index that its engram says is up to date. */
bool engram_vector_index_is_there(const EngramFile *f, const EngramImage *image);

/* m: the image's manifest, which has to fit the index.  Such an index is there. */
EngramVectorIndex *coroutine_fn engram_vector_index_co_open(EngramManifestReader *m,
                                                            const EngramImage *image,
                                                            GError **errp);
void engram_vector_index_free(EngramVectorIndex *index);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EngramVectorIndex, engram_vector_index_free)

/* Pages that hold members [first, end), of which there are some: *page to the last. */
void engram_vector_index_find_pages(const EngramVectorIndex *index, uint64_t first,
                                    uint64_t end, uint32_t *page, uint32_t *last);

/* Goes over the members of one page. */
typedef struct EngramMemberIter {
    const EngramVectorIndex *index;
    uint32_t page;
    const uint8_t *data;
    size_t size, pos;
    uint64_t next, end;                 /* numbers of members */
} EngramMemberIter;

typedef struct EngramMemberInfo {
    uint64_t number;                    /* of the member, over all clusters */
    uint64_t vector;                    /* which one of the manifest it is */
    const uint8_t *packed;              /* its first ENGRAM_SHORT_DIMENSION trits */
    uint8_t bytes;
} EngramMemberInfo;

/* data: the page, as engram_file_co_load() gave it; it has to stay.  Needs no coroutine. */
void engram_member_iter_init(EngramMemberIter *it, const EngramVectorIndex *index,
                             uint32_t page, const uint8_t *data);
/* 1 and *info, 0 at the end, -1 and an error. */
int engram_member_iter_next(EngramMemberIter *it, EngramMemberInfo *info,
                            GError **errp);

#endif
