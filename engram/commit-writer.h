/*
 * CommitWriter: makes what was written real: frame directory, commit record, slot.
 */
#ifndef EMBR_ENGRAM_COMMIT_WRITER_H
#define EMBR_ENGRAM_COMMIT_WRITER_H

#include "engram/check.h"
#include "engram/chunker.h"
#include "engram/file.h"
#include "engram/object-writer.h"
#include "engram/recall-index.h"

/* What a commit is to say. */
typedef struct CommitPlan {
    const EngramFile *base;         /* the commit before it; NULL: it is the first */
    EngramRef profiles;
    ChunkerParams chunker;
    uint64_t frames, chunks;        /* in all */
    GArray *images;                 /* of EngramCommitImage, all of them */
    GArray *frame_pages;            /* of EngramRef, all of them */
    EngramRef recall;               /* recall index; none */
    bool has_corrections;           /* among the frames */
} CommitPlan;

/* Everything that base has. */
void commit_plan_init(CommitPlan *plan, const EngramFile *base);
void commit_plan_clear(CommitPlan *plan);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CommitPlan, commit_plan_clear)

/* Before the first object is written over what a block device had: that is no engram any
 * more. */
bool coroutine_fn commit_co_clear_slots(OutFile *file, GError **errp);
/* Appends the commit record, and makes the slot that would lead to it. */
bool coroutine_fn commit_co_write_record(ObjectWriter *out, const CommitPlan *plan,
                                         EngramSlot *slot, GError **errp);
/* Reads back what was written and checks it; options->slot is that of the commit. */
bool coroutine_fn commit_co_verify(OutFile *file, const EngramCheckOptions *options,
                                   GError **errp);
/* The point of no return: what was written goes to stable storage, then the slot, then
 * that as well.  Of a first commit, both slots are written. */
bool coroutine_fn commit_co_write_slot(OutFile *file, const EngramSlot *slot,
                                       GError **errp);

#endif
