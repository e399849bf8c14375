/* The log of a subvolume, while it is put into the overlay. */
#ifndef EMBR_FS_BTRFS_LOG_H
#define EMBR_FS_BTRFS_LOG_H

#include "btrfs.h"

typedef struct BtrfsReplay {
    BtrfsState *s;
    const BtrfsTree *tree;      /* as it was committed: it has no overlay yet */
    BtrfsOverlay *log;          /* what the log says: for looking up only */
    BtrfsOverlay *out;
    GHashTable *counted;        /* objectid: inodes whose names are to be counted */
    GHashTable *resized;        /* objectid: directories whose names are to be added up */
} BtrfsReplay;

/* log.c */

/* Has all items of an inode in the overlay, if it is there, or said to be new. */
bool coroutine_fn btrfs_replay_co_claim(BtrfsReplay *r, uint64_t objectid, GError **errp);
/* Its inode item; NULL without an error: there is no such inode. */
BtrfsOverlayItem *coroutine_fn btrfs_replay_co_inode(BtrfsReplay *r, uint64_t objectid,
                                                     GError **errp);
void btrfs_replay_count_names(BtrfsReplay *r, uint64_t objectid);
void btrfs_replay_resize(BtrfsReplay *r, uint64_t dir);

/* log-names.c */

/* Removes the names of a directory that the log says are gone. */
bool coroutine_fn btrfs_replay_co_dir_deletes(BtrfsReplay *r, uint64_t dir, GError **errp);
/* Entries of a directory. */
bool coroutine_fn btrfs_replay_co_dir_index(BtrfsReplay *r, const BtrfsOverlayItem *item,
                                            GError **errp);
/* Names of an inode: INODE_REF and INODE_EXTREF. */
bool coroutine_fn btrfs_replay_co_refs(BtrfsReplay *r, const BtrfsOverlayItem *item,
                                       GError **errp);
void btrfs_replay_xattr_deletes(BtrfsReplay *r, uint64_t objectid);
/* How many names the inode has by now. */
uint32_t btrfs_replay_names(const BtrfsReplay *r, uint64_t objectid);
/* What the entries of a directory add up to. */
uint64_t btrfs_replay_dir_size(const BtrfsReplay *r, uint64_t objectid);

/* log-content.c */
bool btrfs_replay_extent(BtrfsReplay *r, const BtrfsOverlayItem *item, GError **errp);
/* Removes what is in a file from start to end (sectors). */
void btrfs_replay_drop(BtrfsReplay *r, uint64_t objectid, uint64_t start, uint64_t end);
/* What a file's extents add up to. */
uint64_t btrfs_replay_used_bytes(const BtrfsReplay *r, uint64_t objectid);

#endif
