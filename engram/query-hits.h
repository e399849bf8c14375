/*
 * QueryHits: the best of any number of hits, whatever order they come in.
 */
#ifndef EMBR_ENGRAM_QUERY_HITS_H
#define EMBR_ENGRAM_QUERY_HITS_H

#include "engram/query.h"

typedef struct QueryHits QueryHits;

/* max: how many are kept, at least 1.  fold: of hits with the same content, known by
 * its digest, the one that comes first in the engrams; it counts the others. */
QueryHits *query_hits_new(unsigned max, bool fold);
void query_hits_free(QueryHits *h);

/* Adds a copy of hit if it is among the best so far. */
void query_hits_add(QueryHits *h, const EngramQueryHit *hit);
/* All that were kept, best first; the array owns them.  h is empty then. */
GPtrArray *query_hits_take(QueryHits *h);

#endif
