/*
 * Taking files out of a disk: what is the same for archives and directories.
 */
#ifndef EMBR_TOOLS_EXTRACT_H
#define EMBR_TOOLS_EXTRACT_H

#include "fs/fs.h"

/* A run of a file's content that is not a hole. */
typedef struct DataRange {
    uint64_t offset, length;
} DataRange;

typedef struct ExtractFile {
    Filesystem *fs;     /* NULL: a directory that only holds volumes or is one */
    const char *path;   /* without '/' at either end, "." for the start; no part
                           of it is ".." */
    const char *link;   /* the path of the same file, extracted before; NULL */
    const char *target; /* of symbolic links */
    FsStat stat;
    GPtrArray *xattrs; /* of FsXattr *: none for a link to what is there */
    GArray *ranges;    /* of DataRange: of regular files, in order, up to size */
    const uint8_t *content; /* all of it, if it was read before; NULL */
} ExtractFile;

typedef struct ExtractTarget ExtractTarget;
typedef struct ExtractOps {
    /* Parents come before their children.  False, with the error set: nothing more
     * can be extracted.  What is about this file alone is reported with
     * extract_problem(). */
    bool coroutine_fn (*co_add)(ExtractTarget *target, const ExtractFile *file,
                                GError **errp);
    bool coroutine_fn (*co_finish)(ExtractTarget *target, GError **errp);
    /* complete: co_finish() was successful; otherwise what was made is of no use. */
    void coroutine_fn (*co_free)(ExtractTarget *target, bool complete);
} ExtractOps;

struct ExtractTarget {
    const ExtractOps *ops;
    bool incomplete; /* a file could not be extracted as it is */
};

/* A pax archive at that name; NULL: on standard output. */
ExtractTarget *extract_tar_new(const char *name, GError **errp);
/* Files below an existing directory or one to be made. */
ExtractTarget *extract_dir_new(const char *name, GError **errp);

/* Reports what is wrong with a file: the exit status will not be 0. */
void extract_problem(ExtractTarget *target, const char *path, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* Reports what was done otherwise than people may expect. */
void extract_note(const char *path, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Where content is, from the filesystem's extents. */
GArray *coroutine_fn extract_co_ranges(Filesystem *fs, const FsStat *stat,
                                       GError **errp);

/* Whether all of the ranges can be read. */
bool coroutine_fn extract_co_try_content(const ExtractFile *file, GError **errp);

/* Hands the file's ranges to write, in order and in pieces.  What cannot be read is
 * reported, and handed over as zeroes.  False if write returned false. */
typedef bool coroutine_fn ExtractWrite(uint64_t offset, const uint8_t *data, size_t len,
                                       void *opaque, GError **errp);
bool coroutine_fn extract_co_content(ExtractTarget *target, const ExtractFile *file,
                                     ExtractWrite *write, void *opaque, GError **errp);

#endif
