/*
 * Proving an engram: every byte of its commit, and that it says what it claims.
 *
 * Slots, all objects that the commit leads to, the identity of every chunk, maps
 * against chunk lists, digests of segments and images, manifests.  Frames are
 * decoded and hashed on all cores; memory is bounded.
 */
#ifndef EMBR_ENGRAM_CHECK_H
#define EMBR_ENGRAM_CHECK_H

#include "block/block.h"
#include "engram/format.h"
#include "util/progress.h"

typedef struct EngramCheckResult {
    uint64_t corruptions;
    uint64_t check_errors;          /* what could not be looked at, by an error of the system */
    uint64_t end;                   /* of the commit in the file */
    uint64_t images, frames, chunks;
    /* Of all images' disks, in bytes. */
    uint64_t disk_bytes;
    uint64_t data_bytes;            /* stored, dedup notwithstanding */
    uint64_t compressed_bytes;      /* of these, in frames that are compressed */
    uint64_t scattered_bytes;       /* in chunks that do not follow the one before in its frame */
} EngramCheckResult;

/* How to check; all zero is fine. */
typedef struct EngramCheckOptions {
    Progress *progress;             /* gets a phase "checking" */
    /* For who is about to make a commit real.  The slot it will have; the file's own slots
     * and the commits before are not looked at. */
    const EngramSlot *slot;
    /* How much of it the commit before had: these images are not looked at, and of these
     * frames only those that other images refer to. */
    uint64_t known_frames, known_chunks;
    uint32_t known_images;
    /* Of each frame behind those that are known, in order of offset, the checksum
     * (engram_checksum()) of the bytes whose chunks were hashed.  Chunks of frames that
     * decode to these bytes are not hashed again. */
    const uint64_t *frame_sums;
    uint64_t n_frame_sums;
} EngramCheckOptions;

/* text: what is wrong and at which offset, without the file's name; then, for each image,
 * which ranges of its disk and which files are lost by that. */
typedef void EngramCheckReport(const char *text, void *opaque);

/* Calls report for each problem, in no special order. options may be NULL. False only if the file is not
 * an engram that this version knows, or has no slot to start from. */
bool coroutine_fn engram_co_check(BlockDriverState *file, const EngramCheckOptions *options,
                                  EngramCheckReport *report, void *opaque,
                                  EngramCheckResult *result, GError **errp);

#endif
