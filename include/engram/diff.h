/*
 * EngramDiff: what differs between the files of two images.
 *
 * Both are catalogs, so no content is read here.  Files of the same path are compared by
 * digest and metadata; files that have gone are looked for among those that have come, by
 * digest first and then by likeness.  Directories of equal digest are not looked into.
 *
 * Not compared: times of access and of change of the inode, inode numbers, sizes of
 * directories, and what is in no file.
 *
 * What is found waits in temporary files.  Memory grows by some 100 bytes for each file
 * that has gone or come and each hard link, and by 512 for each that is looked for by
 * likeness; beyond ENGRAM_DIFF_RENAMES_MAX and ENGRAM_DIFF_PAIRS_MAX none is looked for.
 */
#ifndef EMBR_ENGRAM_DIFF_H
#define EMBR_ENGRAM_DIFF_H

#include "engram/catalog.h"

typedef enum EngramDiffKind {
    ENGRAM_DIFF_ADDED,              /* only in the second image */
    ENGRAM_DIFF_REMOVED,            /* only in the first */
    ENGRAM_DIFF_MODIFIED,           /* content, target or device number differ */
    ENGRAM_DIFF_METADATA,           /* nothing else than metadata differs */
    ENGRAM_DIFF_TYPE,               /* the path stands for another type of file */
    ENGRAM_DIFF_RENAMED,            /* it has another path; and may differ, too */
    ENGRAM_DIFF_UNKNOWN,            /* cannot be compared: something could not be read */
    ENGRAM_DIFF_KINDS,
} EngramDiffKind;

enum {
    ENGRAM_DIFF_CONTENT    = 1 << 0,
    ENGRAM_DIFF_TARGET     = 1 << 1,    /* of a symbolic link */
    ENGRAM_DIFF_DEVICE     = 1 << 2,
    ENGRAM_DIFF_MODE       = 1 << 3,
    ENGRAM_DIFF_OWNER      = 1 << 4,
    ENGRAM_DIFF_GROUP      = 1 << 5,
    ENGRAM_DIFF_MTIME      = 1 << 6,
    ENGRAM_DIFF_ATTRIBUTES = 1 << 7,    /* extended ones */
    ENGRAM_DIFF_LINKS      = 1 << 8,    /* it is a further name of another file */
    ENGRAM_DIFF_FILESYSTEM = 1 << 9,    /* of a volume's root: the type of filesystem */
};

enum {
    ENGRAM_DIFF_RENAMES_MAX = 1000 * 1000,      /* files that have gone, or have come */
    ENGRAM_DIFF_LIKENESS_MAX = 250 * 1000,      /* the same, of those compared by likeness */
};
#define ENGRAM_DIFF_PAIRS_MAX (UINT64_C(4) << 30)   /* compared by likeness */

typedef struct EngramDiffFile {
    char *path;                     /* as shown: "/p3/etc/passwd" */
    uint32_t mode, uid, gid;
    uint64_t size;
    int64_t mtime_sec;
    uint32_t mtime_nsec;
} EngramDiffFile;

typedef struct EngramDiffChange {
    EngramDiffKind kind;
    unsigned aspects;               /* what differs; of UNKNOWN: what is not known, too */
    const EngramDiffFile *before, *after;   /* NULL: there is none */
    bool has_similarity;
    double similarity;              /* of content: the cosine; 1 if it is the same */
} EngramDiffChange;

typedef struct EngramDiffOptions {
    bool no_renames;                /* what has another path is removed and added */
    double min_similarity;          /* of what is renamed, times the smaller size by the
                                       larger; 0 to 1 */
} EngramDiffOptions;

/* Measured: docs/diff.md. */
#define ENGRAM_DIFF_SIMILARITY_DEFAULT 0.7

typedef struct EngramDiffResult {
    uint64_t files[ENGRAM_DIFF_KINDS];
    char *no_likeness;              /* why similarities are not known; NULL: they are */
    char *no_renames;               /* why renames were not looked for in full; NULL */
} EngramDiffResult;
void engram_diff_result_clear(EngramDiffResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(EngramDiffResult, engram_diff_result_clear)

/* False, with the error set, ends it all. */
typedef bool EngramDiffFunc(const EngramDiffChange *change, void *opaque, GError **errp);

/* Hands all changes to func: in the order of paths, what is renamed at its new one.  a
 * and b have equal chunkers, and are both of a part or both not, unless what is not has a
 * bare filesystem. */
bool coroutine_fn engram_diff_co_run(EngramCatalog *a, EngramCatalog *b,
                                     const EngramDiffOptions *options,
                                     EngramDiffFunc *func, void *opaque,
                                     EngramDiffResult *result, GError **errp);

#endif
