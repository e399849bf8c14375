/*
 * Visiting every file of a filesystem.
 *
 * Memory is bounded by the depth of the tree and, when sorted, by the largest
 * directory; never by the number of files.
 */
#ifndef EMBR_FS_WALK_H
#define EMBR_FS_WALK_H

#include "fs/fs.h"

enum { FS_WALK_MAX_DEPTH = 4096 };

typedef struct FsWalkEntry {
    const char *path;           /* from the start of the walk: "" for the start itself, then
                                   "etc", "etc/passwd"; NUL-terminated, valid during the call */
    const char *name;           /* the last part of path */
    FsIno parent;
    FsStat stat;
} FsWalkEntry;

typedef enum FsWalkOrder {
    FS_WALK_SORTED,             /* names of a directory in byte order, subdirectories right after
                                   their own entry; directories of more than a million names come
                                   as stored */
    FS_WALK_STORED,             /* as the directory holds them: least memory */
} FsWalkOrder;

typedef struct FsWalkOps {
    /* For the start and everything below, parents before children. False (with
     * the error set) ends the walk. */
    bool coroutine_fn (*entry)(const FsWalkEntry *entry, void *opaque, GError **errp);
    /* Before the entries of a directory are visited; may be NULL.  *descend
     * (true before) says whether to. */
    bool coroutine_fn (*enter)(const FsWalkEntry *dir, bool *descend, void *opaque, GError **errp);
    /* Something below path could not be read; the walk goes on with the rest if
     * this returns true.  NULL: the first such error ends the walk.  error
     * belongs to the walk. */
    bool coroutine_fn (*damaged)(const char *path, const GError *error, void *opaque);
} FsWalkOps;

/* Directory loops and directories with two parents are damage, reported once. */
bool coroutine_fn fs_co_walk(Filesystem *fs, FsIno start, FsWalkOrder order,
                             const FsWalkOps *ops, void *opaque, GError **errp);

#endif
