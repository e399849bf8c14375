/*
 * Compacting an engram: a new one of what its images refer to.
 */
#ifndef EMBR_ENGRAM_COMPACT_H
#define EMBR_ENGRAM_COMPACT_H

#include "util/coroutine.h"
#include "util/progress.h"

typedef struct EngramCompactResult {
    uint64_t bytes_before, bytes_after;         /* of the files */
    uint64_t frames, kept, rewritten;           /* before; as they are, in part */
} EngramCompactResult;

/*
 * Writes all images of the engram at path, and nothing else, to an engram at target;
 * NULL: in its place, which has to be a file.  Frames that are used in large part are
 * copied as they are, of the others what is used is compressed anew.  The new engram is
 * read back and checked, and has a UUID of its own; until it is complete, what was at
 * path or target stays as it is.  In its place, EMBR_ERROR_BUSY if somebody else is
 * changing it.
 */
bool coroutine_fn engram_co_compact(const char *path, const char *target,
                                    Progress *progress, EngramCompactResult *result,
                                    GError **errp);

#endif
