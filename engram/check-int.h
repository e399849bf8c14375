/*
 * What the files of the check share.
 *
 *   check.c         slots, commit record, problems
 *   check-frames.c  frames, chunk lists, the frame directory
 *   check-image.c   device maps, digests, manifests
 *   check-lost.c    what damage costs
 */
#ifndef EMBR_ENGRAM_CHECK_INT_H
#define EMBR_ENGRAM_CHECK_INT_H

#include "engram/check.h"
#include "engram/chunk-list.h"
#include "engram/object-cache.h"

/* A frame that recalls another one. */
typedef struct CheckCorrection {
    EngramRef frame, recalled;
} CheckCorrection;

typedef struct Check {
    EngramFile *file;
    EngramCheckOptions options;
    EngramCheckReport *report;
    void *opaque;
    EngramCheckResult *result;
    GHashTable *damaged;            /* offsets of objects that were reported */
    GHashTable *bad_frames;         /* offsets of frames that cannot be decoded, or not to
                                       the chunks they should hold */
    GArray *lost;                   /* of the image being checked: see check_lose() */
    /* The frame directory. */
    GArray *page_starts;            /* uint64_t: offset of the first frame of each page */
    GArray *page_numbers;           /* uint64_t: its number */
    GByteArray *referred;           /* of each known frame: whether an image refers to it */
    bool directory_damaged;
    ObjectCache *pages;
    ObjectCache *lists;             /* of ChunkList */
    ObjectCache *recalled;          /* frames that corrections recall */
    GArray *corrections;            /* of CheckCorrection */
    /* Work going on. */
    unsigned running, max_running;
    CoQueue changed;
    CoSemaphore memory;
} Check;

/* Takes error; counts it as corruption, or as check error if it is the system's. */
void check_problem(Check *check, GError *error);
void check_corrupt(Check *check, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* A problem with one object: the first time true, and it is reported. Takes error. */
bool check_object_problem(Check *check, const EngramRef *ref, GError *error);

/* Loads an object and looks at its padding, too. NULL: reported. */
uint8_t *coroutine_fn check_co_load(Check *check, const EngramRef *ref, EngramObjectType type);

/* For objects that were loaded by other means. */
void coroutine_fn check_co_padding(Check *check, const EngramRef *ref,
                                   EngramObjectType type);

/* Runs entry(arg) beside the caller, as soon as there is room; it has to end with
 * check_work_done(). */
void coroutine_fn check_co_spawn(Check *check, CoroutineEntry *entry, void *arg);
void check_work_done(Check *check);
void coroutine_fn check_co_wait_all(Check *check);
/* For memory that work takes. */
uint64_t coroutine_fn check_co_reserve(Check *check, uint64_t bytes);
void check_release(Check *check, uint64_t units);

/* All frames that are not known: checksums, identities, totals. */
void coroutine_fn check_co_frames(Check *check);
/* The frames that corrections recall. */
void coroutine_fn check_co_corrections(Check *check);
/* The known ones that the images that were checked refer to. */
void coroutine_fn check_co_referred_frames(Check *check);
/* The chunk list of a frame of the directory, pinned in check->lists; NULL: reported. */
CachedObject *coroutine_fn check_co_chunk_list(Check *check, const EngramRef *frame);

void coroutine_fn check_co_images(Check *check);

GArray *check_lost_new(void);
/* A range of the disk of the image being checked is damaged. */
void check_lose(Check *check, uint64_t offset, uint64_t bytes);
/* Reports these ranges and the files that are in them. */
void coroutine_fn check_co_report_lost(Check *check, const EngramImage *image);
/* The manifest of an image, if it has one. */
void coroutine_fn check_co_manifest(Check *check, const EngramImage *image);

#endif
