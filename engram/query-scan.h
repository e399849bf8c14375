/*
 * One image of an engram, searched for a query: all of it, or by its index.
 */
#ifndef EMBR_ENGRAM_QUERY_SCAN_H
#define EMBR_ENGRAM_QUERY_SCAN_H

#include "engram/manifest.h"
#include "engram/path-matcher.h"
#include "engram/query-hits.h"
#include "engram/vector.h"

/* What is looked for, and where. */
typedef struct QueryScan {
    const uint64_t *vector;
    bool has_digest;
    uint8_t digest[ENGRAM_DIGEST_BYTES];    /* with the chunker of this engram */
    bool directories;                       /* is looked for, not files */
    unsigned n_hits;
    double min_similarity;
    const PathMatcher *paths;               /* NULL: any */
    EngramFile *file;
    unsigned engram_index;
    const EngramImage *image;
    uint32_t image_index;
} QueryScan;

/* Adds what the image has to hits.  m: its manifest, with vectors that compare. */
bool coroutine_fn query_co_scan(const QueryScan *scan, EngramManifestReader *m,
                                QueryHits *hits, GError **errp);
/* The same by the index, which is there: may miss some.  Paths are not looked at. */
bool coroutine_fn query_co_search_index(const QueryScan *scan, EngramManifestReader *m,
                                        QueryHits *hits, GError **errp);

/* What both have in common: whether similar enough, or of the kind that is looked for;
 * the path of a file from the root; whether its digest is the one that is looked for. */
static inline bool query_is_similar(const QueryScan *scan, double similarity)
{
    return similarity > 0 && similarity >= scan->min_similarity;
}
bool query_is_kind(const QueryScan *scan, uint32_t mode);
void query_set_path(GString *path, const EngramManifestReader *m,
                    const EngramFileInfo *file);
/* A hit without similarity and path. */
EngramQueryHit query_make_hit(const QueryScan *scan, const EngramFileInfo *file);

#endif
