/*
 * Uses: which chunks the images of an engram refer to.
 */
#ifndef EMBR_ENGRAM_USES_H
#define EMBR_ENGRAM_USES_H

#include "engram/map.h"
#include "util/record-sorter.h"

/* A range of an image's disk that is in one chunk. */
typedef struct EngramUse {
    uint64_t frame;                     /* offset in the file */
    uint32_t position;                  /* of the chunk in the decoded frame */
    uint32_t image;                     /* its index */
    uint64_t bytes;                     /* of the disk */
} EngramUse;

/* By frame and position. */
int engram_use_compare(const void *a, const void *b);

/* All uses of all images: by frame and position, those of one chunk by image.  Memory is
 * bounded: what does not fit is sorted in a temporary file in spool_dir (NULL:
 * g_get_tmp_dir()). */
RecordSorter *coroutine_fn engram_co_uses(EngramFile *f, const char *spool_dir,
                                          GError **errp);

typedef bool coroutine_fn EngramMapVisit(const EngramMap *map, uint64_t segment,
                                         void *opaque, GError **errp);
/* Calls visit for the map of each segment of an image that has one, in order. */
bool coroutine_fn engram_co_visit_maps(EngramFile *f, const EngramMapTop *top,
                                       EngramMapVisit *visit, void *opaque, GError **errp);

#endif
