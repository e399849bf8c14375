/*
 * Volumes: the partitions of a disk, found by partition drivers, and the logical volumes
 * that LVM makes up of them.
 */
#ifndef EMBR_FS_VOLUME_H
#define EMBR_FS_VOLUME_H

#include "block/disk-map.h"
#include "fs/fs.h"

typedef struct VolumeInfo VolumeInfo;       /* qapi/volume.json: number, type, offset, ... */

typedef struct Volume {
    VolumeInfo *info;
    BlockBackend *blk;                      /* a slice of the disk, or pieces of it; of no
                                               bytes if the volume cannot be read */
    DiskMap *map;                           /* where on the disk the pieces are; NULL: it is
                                               one piece at info->offset */
    const FsDriver *fs_driver;              /* what its content was recognised as; NULL */
    uint64_t attributes;                    /* of a GPT's partition */
    uint64_t idle_offset, idle_bytes;       /* on it: what nobody needs (FsIdent) */
    bool holds_others;                      /* only holds others, which are listed, too */
    bool has_dependents;                    /* others that cannot be read rest on what is
                                               in its blocks, whether used or free */
} Volume;

typedef struct VolumeTable {
    const char *type;                       /* "gpt", "dos", "mac", "none" */
    uint32_t sector_size;                   /* bytes */
    char *disk_id;                          /* GUID or 32-bit signature in hex; NULL if none */
    uint64_t first_usable, last_usable;     /* sectors for partitions; 0: not told */
    uint32_t max_entries;                   /* partitions that there may be; 0: not told */
    GPtrArray *volumes;                     /* of Volume*: partitions in order of number,
                                               then "/disk" if a filesystem spans them all,
                                               then logical volumes in order of path */
    GPtrArray *warnings;                    /* of char* */
} VolumeTable;

/* What partition drivers fill in: one partition. Strings are owned. */
typedef struct PartitionEntry {
    unsigned number;                        /* as Linux numbers them: pN */
    uint64_t offset, size;                  /* bytes on the disk */
    char *type;                             /* GUID in lower case or "0x83" */
    char *type_name;                        /* "Linux filesystem"; NULL if not known */
    char *name;                             /* GPT's partition name in UTF-8; NULL */
    char *uuid;                             /* partition's own; NULL */
    uint64_t attributes;                    /* GPT's */
    bool bootable;
    bool holds_others;                      /* only holds others, which are listed, too */
} PartitionEntry;

typedef struct PartitionDriver {
    const char *name;
    /* True: the disk has such a table. A damaged one counts if it can be told
     * for one; opening it then gives the error.  sector_size is a candidate:
     * drivers are asked for 512 and then 4096. */
    bool coroutine_fn (*part_co_probe)(BlockBackend *disk, uint32_t sector_size);
    bool coroutine_fn (*part_co_read)(BlockBackend *disk, uint32_t sector_size,
                                      VolumeTable *table, GArray *entries /* PartitionEntry */,
                                      GError **errp);
    int priority;                           /* higher is asked first: gpt before mbr */
} PartitionDriver;

void partition_register(const PartitionDriver *drv);
#define partition_init(driver)                                                        \
    static void __attribute__((constructor)) register_##driver(void)                  \
    {                                                                                 \
        partition_register(&driver);                                                  \
    }

/* A disk without a table is one volume, number 0, of type "none", whether a
 * filesystem is recognised on it or not. */
VolumeTable *coroutine_fn volume_table_co_open(BlockBackend *disk, GError **errp);
/* The volume with that path ("/p3", "/vg/root"), or the len bytes of one; NULL if there
 * is none. */
Volume *volume_table_find(const VolumeTable *table, const char *path, size_t len);
/* How many of the bytes [offset, offset + bytes) of the volume lie in one piece on the
 * disk, and where, whether the disk is long enough or not; 0: the first one does not. */
uint64_t volume_find(const Volume *volume, uint64_t offset, uint64_t bytes,
                     uint64_t *disk_offset);
void volume_table_free(VolumeTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeTable, volume_table_free)

#endif
