/*
 * Changing partition tables: GPT and MBR, on any disk that can be written.
 *
 * A change is checked in full before anything is written.  What is written, and in which
 * order, leaves a table that can be read at any instant: of a GPT the backup comes first,
 * then the primary; of an MBR's chain the link to what is new comes last.
 *
 * Offsets and sizes are bytes.  Functions return false with *errp set.
 */
#ifndef EMBR_FS_TABLE_H
#define EMBR_FS_TABLE_H

#include "fs/volume.h"

/* The partitions of a disk, without a look at what is on them.  type is "none" where
 * there is no table. */
VolumeTable *coroutine_fn part_table_co_read(BlockBackend *disk, GError **errp);

typedef struct PartCreate {
    const char *type;               /* "gpt" or "dos" */
    uint32_t sector_size;           /* 512 or 4096 */
    const char *disk_id;            /* GUID, or 32 bits in hex; NULL: random */
    unsigned entries;               /* of a GPT; 0: 128 */
    bool force;                     /* also where there is a table or a filesystem */
} PartCreate;

/* Makes an empty table.  With force, what is in the first MiB is lost, but boot code in
 * front of a table. */
bool coroutine_fn part_table_co_create(BlockBackend *disk, const PartCreate *create,
                                       GError **errp);

typedef enum PartKind {
    PART_PRIMARY,
    PART_EXTENDED,                  /* of an MBR */
    PART_LOGICAL,                   /* of an MBR, within its extended partition */
} PartKind;

typedef struct PartAdd {
    PartKind kind;
    unsigned number;                /* 0: the first that is free */
    bool has_start, has_size;
    uint64_t start;                 /* else: in the first free space where size fits */
    uint64_t size;                  /* rounded up to sectors; else: as large as there */
    uint64_t align;                 /* of a start that is not given; 0: 1 MiB */
    const char *type;               /* see part_type_parse(); NULL: Linux */
    const char *name;               /* of a GPT's partition, UTF-8; NULL: none */
    const char *uuid;               /* of a GPT's partition; NULL: random */
    uint64_t attributes;            /* of a GPT's partition */
    bool bootable;
} PartAdd;

bool coroutine_fn part_table_co_add(BlockBackend *disk, const PartAdd *add,
                                    unsigned *number, GError **errp);
/* All of the n partitions, or none.  Of an MBR's logical partitions, those behind get
 * other numbers. */
bool coroutine_fn part_table_co_delete(BlockBackend *disk, const unsigned *numbers,
                                       unsigned n, GError **errp);

/* Adds what is wrong to findings, of char *; none: nothing is.  *type is the kind of
 * table.  False: there is no table, or the disk cannot be read. */
bool coroutine_fn part_table_co_verify(BlockBackend *disk, GPtrArray *findings,
                                       const char **type, GError **errp);
/* Makes both copies of a GPT good from the one that is, at the end of the disk as it is
 * now, and its protective MBR.  Partitions are not changed. */
bool coroutine_fn part_table_co_repair(BlockBackend *disk, GError **errp);

/* The type of a partition by a name ("linux", "efi", "swap", "lvm", ...) or in the
 * table's own form: a GUID, or one byte in hex. */
bool part_type_parse_gpt(const char *text, uint8_t guid[16], GError **errp);
bool part_type_parse_mbr(const char *text, uint8_t *type, GError **errp);
/* Calls func for all names of types, in order; mbr is NULL where an MBR has no such type. */
void part_type_foreach(void (*func)(const char *name, const char *gpt, const char *mbr,
                                    void *opaque), void *opaque);

#endif
