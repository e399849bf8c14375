/*
 * One image of an engram, gone through for a query.
 */
#ifndef EMBR_ENGRAM_QUERY_SCAN_H
#define EMBR_ENGRAM_QUERY_SCAN_H

#include "engram/path-matcher.h"
#include "engram/query-hits.h"
#include "engram/vector.h"

/* What is looked for, and where. */
typedef struct QueryScan {
    const uint64_t *vector;
    uint8_t digest[ENGRAM_DIGEST_BYTES];    /* with the chunker of this engram */
    double min_similarity;
    const PathMatcher *paths;               /* NULL: any */
    EngramFile *file;
    unsigned engram_index;
    const EngramImage *image;
    uint32_t image_index;
} QueryScan;

/* Adds the files of the image to hits. */
bool coroutine_fn query_co_scan(const QueryScan *scan, QueryHits *hits, GError **errp);

#endif
