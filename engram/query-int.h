/*
 * What the files of the query share.
 *
 *   query.c          engrams, and the search
 *   query-content.c  what is looked for
 */
#ifndef EMBR_ENGRAM_QUERY_INT_H
#define EMBR_ENGRAM_QUERY_INT_H

#include "engram/content-sum.h"
#include "engram/path-matcher.h"
#include "engram/query.h"
#include "engram/tree-vectors.h"

/* Digests depend on where chunks are cut, vectors do not. */
typedef struct QuerySum {
    Chunker chunker;
    ContentSum *content;
} QuerySum;

typedef struct Searched {
    EngramFile *file;
    const QuerySum *sum;
} Searched;

struct EngramQuery {
    unsigned n_hits;
    double min_similarity;
    char *image;
    PathMatcher *paths;             /* NULL: any */
    GPtrArray *sums;                /* of QuerySum: one for each way to cut */
    GArray *engrams;                /* of Searched */
    bool exact, all;
    uint64_t size;                  /* of the content so far */
    /* Of a directory that is looked for. */
    TreeVectors *tree;              /* NULL: it is none, or known */
    char *entry;                    /* whose content comes now; NULL: none */
    uint64_t n_entries;
    bool known;                     /* what it is like is, from a manifest */
    bool has_digest;
    uint8_t digest[ENGRAM_DIGEST_BYTES];
    /* What is looked for, once all of it has come. */
    uint64_t vector[HYPERVEC_WORDS(VECTOR_DIMENSION)];
};

static inline QuerySum *query_sum(const EngramQuery *q, guint i)
{
    return g_ptr_array_index(q->sums, i);
}
static inline bool query_is_directory(const EngramQuery *q)
{
    return q->tree || q->known;
}
void query_sum_free(gpointer sum);

/* Makes q->vector.  EMBR_ERROR_INVALID if there is none. */
bool coroutine_fn query_co_finish_content(EngramQuery *q, GError **errp);
/* After that: the digest that what is looked for has where it was cut so; false: it is
 * not known. */
bool query_digest(const EngramQuery *q, const QuerySum *sum,
                  uint8_t digest[ENGRAM_DIGEST_BYTES]);

#endif
