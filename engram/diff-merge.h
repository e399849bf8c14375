/*
 * DiffMerge: goes through two catalogs side by side, and records what differs.
 */
#ifndef EMBR_ENGRAM_DIFF_MERGE_H
#define EMBR_ENGRAM_DIFF_MERGE_H

#include "engram/diff-records.h"


/* Everything but similarities and renames. */
bool coroutine_fn diff_merge_co_run(EngramCatalog *a, EngramCatalog *b,
                                    DiffRecords *records, GError **errp);

#endif
