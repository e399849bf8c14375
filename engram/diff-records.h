/*
 * DiffRecords: what was found to differ, in temporary files.
 */
#ifndef EMBR_ENGRAM_DIFF_RECORDS_H
#define EMBR_ENGRAM_DIFF_RECORDS_H

#include "engram/diff.h"
#include "engram/vector.h"

enum { DIFF_SIDES = 2 };            /* before, after */

/* A file on one side. */
typedef struct DiffFile {
    uint64_t path;                  /* for diff_records_path() */
    uint32_t volume;                /* index in the manifest */
    uint32_t mode, uid, gid;
    uint64_t number;                /* of its entry, or of the one that has its vector */
    uint64_t ino, size;
    uint64_t name_sum;              /* of the last part of its path */
    uint64_t first_name;            /* sum of the path of the name before it; 0: it is the first */
    int64_t mtime_sec;
    uint32_t mtime_nsec;
    bool is_link;
    bool has_digest, has_attributes;
    uint8_t digest[ENGRAM_DIGEST_BYTES];
    uint8_t attributes[ENGRAM_DIGEST_BYTES];
    uint8_t filesystem[20];         /* of a volume's root */
} DiffFile;

typedef struct DiffRecord {
    EngramDiffKind kind;
    bool gone;                      /* no difference after all, or told by another record */
    bool pending;                   /* a hard link, whose content is to be found */
    unsigned aspects;
    bool has_similarity;
    double similarity;
    bool has[DIFF_SIDES];
    DiffFile file[DIFF_SIDES];
} DiffRecord;

/* Files of the same path on both sides: sets kind and aspects, and gone if nothing
 * differs. */
void diff_compare_files(DiffRecord *record);
/* Files that were paired: the kind is ENGRAM_DIFF_RENAMED. */
void diff_compare_pair(DiffRecord *record);

typedef uint64_t DiffVector[HYPERVEC_WORDS(VECTOR_DIMENSION)];

typedef struct DiffRecords DiffRecords;

DiffRecords *diff_records_new(GError **errp);
void diff_records_free(DiffRecords *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DiffRecords, diff_records_free)

bool diff_records_add_path(DiffRecords *r, const char *path, uint64_t *place,
                           GError **errp);
/* g_free'd by the caller. */
char *diff_records_path(DiffRecords *r, uint64_t place, GError **errp);

uint64_t diff_records_count(const DiffRecords *r);
bool diff_records_add(DiffRecords *r, const DiffRecord *record, GError **errp);
bool diff_records_load(DiffRecords *r, uint64_t i, DiffRecord *record, GError **errp);
bool diff_records_store(DiffRecords *r, uint64_t i, const DiffRecord *record,
                        GError **errp);

/* Of the file on that side; all zero if none was set. */
bool diff_records_set_vector(DiffRecords *r, uint64_t i, unsigned side,
                             const DiffVector vector, GError **errp);
bool diff_records_vector(DiffRecords *r, uint64_t i, unsigned side, DiffVector vector,
                         GError **errp);

#endif
