/*
 * One name space over all volumes of a disk: "/p3/etc/os-release".
 *
 * Each partition is a top-level folder named pN after its number, each logical volume a
 * folder in that of its volume group ("/vg/root"); a filesystem that spans the partitions of
 * a hybrid disk is "/disk"; a disk that is one bare filesystem has its root at "/".
 */
#ifndef EMBR_FS_TREE_H
#define EMBR_FS_TREE_H

#include "fs/volume.h"

typedef struct FsTree FsTree;

/* Where a path leads. volume and fs belong to the tree; both are NULL for the top
 * folder of a disk with several volumes, and for a volume group's folder in it. */
typedef struct FsNode {
    const char *group;                      /* name of the volume group, the tree's; NULL */
    Volume *volume;
    Filesystem *fs;
    FsIno ino;
    FsStat stat;
} FsNode;

enum {
    FS_TREE_MAX_SYMLINKS = 40,
};

enum {
    FS_RESOLVE_NOFOLLOW = 1 << 0,       /* do not follow a symlink in the last part */
};

FsTree *coroutine_fn fs_tree_co_open(BlockBackend *disk, GError **errp);
void fs_tree_free(FsTree *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsTree, fs_tree_free)

BlockBackend *fs_tree_disk(const FsTree *tree);
const VolumeTable *fs_tree_volumes(const FsTree *tree);
bool fs_tree_is_bare(const FsTree *tree);
/* The name of the volume group whose folder the volume is in, of *len bytes; NULL: it is
 * in none. */
const char *volume_group(const Volume *volume, size_t *len);
/* What was odd so far about the table and about the filesystems opened. */
void fs_tree_foreach_warning(const FsTree *tree,
                             void (*func)(const char *text, void *opaque), void *opaque);

/* Opens the volume's filesystem when first asked; errors name the volume and say
 * what is on it. */
Filesystem *coroutine_fn fs_tree_co_filesystem(FsTree *tree, Volume *volume, GError **errp);

/* Symlinks are followed as the guest would: absolute ones start at their
 * volume's root; ".." at a volume's root stays there; more than 40 of them are too
 * many.  A path that ends in '/' names a directory, also through a symlink. */
bool coroutine_fn fs_tree_co_resolve(FsTree *tree, const char *path, unsigned flags,
                                     FsNode *node, GError **errp);

#endif
