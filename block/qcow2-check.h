/*
 * The check of a qcow2 image: what its files share.
 *
 *   qcow2-check.c        the walk over all that refers to clusters
 *   qcow2-check-refs.c   counts of references, and comparing them with the stored ones
 *   qcow2-repair.c       what is wrong with the stored ones made right
 */
#ifndef EMBR_BLOCK_QCOW2_CHECK_H
#define EMBR_BLOCK_QCOW2_CHECK_H

#include "qcow2.h"
#include "qapi/qapi-types.h"

/* References per cluster of the file.  Memory is taken for what is referred to. */
typedef struct Qcow2RefCounts Qcow2RefCounts;

/* Loads the stored counts, too, as far as it must be known which are 1. */
Qcow2RefCounts *coroutine_fn qcow2_ref_counts_co_new(BlockDriverState *bs, ImageCheck *result,
                                                     GError **errp);
void qcow2_ref_counts_free(Qcow2RefCounts *counts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Qcow2RefCounts, qcow2_ref_counts_free)

/* times more references to all clusters that [offset, offset + bytes) touches.
 * A range that ends more than a cluster past the file's end is a corruption (times
 * of them), and not counted. */
void qcow2_ref_counts_add(Qcow2RefCounts *counts, uint64_t offset, uint64_t bytes,
                          uint64_t times, const char *what);
/* Whether the stored count of the cluster at offset is 1. */
bool qcow2_ref_counts_stored_is_one(const Qcow2RefCounts *counts, uint64_t offset);

/* The refcount blocks refer to themselves, too. */
void qcow2_ref_counts_add_blocks(Qcow2RefCounts *counts);
/* Leaks and corruptions are added to the result, and where the image ends. */
void coroutine_fn qcow2_ref_counts_co_compare(Qcow2RefCounts *counts);

/* Of what was counted: how many clusters there are, and references to one of them. */
uint64_t qcow2_ref_counts_clusters(const Qcow2RefCounts *counts);
uint64_t qcow2_ref_counts_get(const Qcow2RefCounts *counts, uint64_t cluster);
/* Refcount table and blocks count no more. */
void qcow2_ref_counts_forget_refcounts(Qcow2RefCounts *counts);

/* One check, nothing repaired.  NULL: it could not be made. */
Qcow2RefCounts *coroutine_fn qcow2_co_check_once(BlockDriverState *bs, ImageCheck *result,
                                                 GError **errp);

/* --- qcow2-repair.c --- */

/* Makes what is stored what was counted, as far as fix says; corrupt: something other than
 * leaks was found. counts are of no use afterwards. */
int coroutine_fn qcow2_co_repair(BlockDriverState *bs, Qcow2RefCounts *counts, unsigned fix,
                                 bool corrupt, GError **errp);
/* Nothing is wrong with the image: the header need not say so any more. */
int coroutine_fn qcow2_co_mark_sound(BlockDriverState *bs, GError **errp);

/* A corruption found `times` times over. */
void qcow2_check_corrupt(BlockDriverState *bs, ImageCheck *result, uint64_t times,
                         const char *format, ...) G_GNUC_PRINTF(4, 5);

#endif
