/* A set of inode numbers. */
#ifndef EMBR_FS_INO_SET_H
#define EMBR_FS_INO_SET_H

#include "fs/fs.h"

typedef struct InoSet {
    uint8_t *bits;              /* of inodes 0 to max_ino; memory comes as it is touched */
    uint64_t max_ino;
    GHashTable *hash;           /* what bits does not reach; NULL if nothing */
} InoSet;

/* max_ino 0: not known. */
void ino_set_init(InoSet *set, uint64_t max_ino);
void ino_set_clear(InoSet *set);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(InoSet, ino_set_clear)

/* False if it was there before. */
bool ino_set_add(InoSet *set, FsIno ino);

#endif
