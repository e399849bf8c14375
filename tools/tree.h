/*
 * The files in images, for the commands that show and take them.
 */
#ifndef EMBR_TOOLS_TREE_H
#define EMBR_TOOLS_TREE_H

#include "fs/tree.h"
#include "image.h"

/* For the GOptionEntry array of a command that has char **snapshot; letter is 0 where
 * -l means something else. */
#define SNAPSHOT_OPTION_ENTRY(letter, snapshot)                                        \
    {                                                                                  \
        "snapshot", letter, 0, G_OPTION_ARG_STRING, (snapshot),                        \
            "The disk as it was in that internal snapshot", "ID_OR_NAME"               \
    }

/* The name space of the disk in the image.  NULL: reported. */
FsTree *coroutine_fn tree_co_open(const char *name, const ImageOptions *options,
                                  const char *snapshot);
/* Reports what was odd about the volumes and the filesystems opened so far. */
void tree_report_warnings(const FsTree *tree);

/* Where path leads, which has to be a regular file. */
bool coroutine_fn tree_co_resolve_regular(FsTree *tree, const char *path, FsNode *node,
                                          GError **errp);

/* How a path is shown: from the root, with one '/' before each part and none at the
 * end; the root itself is "". */
char *tree_show_path(const char *path);

/* A file on the way of a walk. */
typedef struct TreeEntry {
    Filesystem *fs;   /* NULL: a folder of volumes, or a volume that cannot be read */
    const char *path; /* as shown; valid during the call */
    unsigned depth;   /* parts of path below the start */
    FsStat stat;
} TreeEntry;

typedef struct TreeWalkOps {
    /* For the start and everything below, in byte order, parents before children.
     * False, with the error set, ends the walk. */
    bool coroutine_fn (*entry)(const TreeEntry *entry, void *opaque, GError **errp);
    /* What is at or below path could not be read, in full or at all; the walk goes on.
     */
    void coroutine_fn (*problem)(const char *path, const GError *error, void *opaque);
    bool stay; /* visit the start and what is in it, but nothing below */
} TreeWalkOps;

/* From node on, which path (as shown) leads to.  Volumes without files (not
 * recognised, swap) are empty folders; others that cannot be read are, too, with a
 * problem: EMBR_ERROR_UNSUPPORTED if this version has no driver for what is there. */
bool coroutine_fn tree_co_walk(FsTree *tree, const FsNode *node, const char *path,
                               const TreeWalkOps *ops, void *opaque, GError **errp);

#endif
