/*
 * Files that have gone, found among those that have come.
 */
#ifndef EMBR_ENGRAM_DIFF_RENAMES_H
#define EMBR_ENGRAM_DIFF_RENAMES_H

#include "engram/diff-records.h"

typedef struct DiffRenames {
    DiffRecords *records;
    bool by_likeness;               /* vectors are there */
    double min_similarity;
    char **shortened;               /* set to the reason if some were not looked for */
} DiffRenames;

/* Each added record that is a removed one with another path becomes a renamed one, and
 * the removed one goes.  No file is paired twice. */
bool coroutine_fn diff_renames_co_find(const DiffRenames *opt, GError **errp);

#endif
