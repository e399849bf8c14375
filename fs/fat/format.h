/* FAT as it is on the disk, behind its boot sector (fs/fat-boot.h). */
#ifndef EMBR_FS_FAT_FORMAT_H
#define EMBR_FS_FAT_FORMAT_H

#include "util/endian.h"

enum {
    FAT_ENTRY_BYTES = 32,
    FAT_ENTRIES_MAX = 65536, /* in a directory */
    FAT_FIRST_CLUSTER = 2,
    FAT_INFO_BYTES = 512,
    FAT_MIRROR_OFF = 0x80,  /* in the flags of FAT32: only one FAT is current ... */
    FAT_ACTIVE_MASK = 0x0f, /* ... and it is this one */
    FAT_STATE_DIRTY = 1,    /* in the byte behind the drive's number */
};

/* Values of FAT entries, those that are no clusters extended to 32 bits. */
#define FAT_VALUE_FREE UINT32_C(0)
#define FAT_VALUE_BAD UINT32_C(0xfffffff7)
#define FAT_VALUE_END UINT32_C(0xfffffff8) /* and more */

/* Attributes. */
enum {
    FAT_ATTR_READ_ONLY = 0x01,
    FAT_ATTR_VOLUME_LABEL = 0x08,
    FAT_ATTR_DIRECTORY = 0x10,
    FAT_ATTR_LONG_NAME = 0x0f, /* all of FAT_ATTR_LONG_NAME_MASK */
    FAT_ATTR_LONG_NAME_MASK = 0x3f,
};

enum {
    FAT_NAME_FREE = 0xe5,    /* first byte: no entry */
    FAT_NAME_END = 0,        /* first byte: no entry, and none behind it */
    FAT_NAME_E5 = 0x05,      /* first byte: stands for 0xe5 */
    FAT_CASE_LOWER_BASE = 8, /* in name_case */
    FAT_CASE_LOWER_EXT = 16,
};

typedef struct __attribute__((packed)) FatDirEntry {
    uint8_t name[11];
    uint8_t attributes;
    uint8_t name_case;
    uint8_t created_10ms;
    le16_t created_time;
    le16_t created_date;
    le16_t accessed_date;
    le16_t cluster_high; /* FAT32 only */
    le16_t modified_time;
    le16_t modified_date;
    le16_t cluster_low;
    le32_t size;
} FatDirEntry;
G_STATIC_ASSERT(sizeof(FatDirEntry) == FAT_ENTRY_BYTES);

/* A piece of a long name; the pieces come last to first, then the entry itself. */
enum {
    FAT_LONG_LAST =
        0x40,            /* in sequence: of the first entry, which has the name's end */
    FAT_LONG_UNITS = 13, /* of UTF-16, in each */
    FAT_LONG_PIECES_MAX = 20,
};

typedef struct __attribute__((packed)) FatLongEntry {
    uint8_t sequence;
    uint8_t units_0[10];
    uint8_t attributes;
    uint8_t type;
    uint8_t checksum; /* of the short name that follows */
    uint8_t units_5[12];
    le16_t cluster;
    uint8_t units_11[4];
} FatLongEntry;
G_STATIC_ASSERT(sizeof(FatLongEntry) == FAT_ENTRY_BYTES);

/* FAT32: what a writer would know without looking. */
typedef struct __attribute__((packed)) FatInfoSector {
    le32_t lead_signature; /* 0x41615252 */
    uint8_t reserved[480];
    le32_t info_signature; /* 0x61417272 */
    le32_t free_clusters;
    le32_t next_free;
    uint8_t reserved1[12];
    le32_t trail_signature; /* 0xaa550000 */
} FatInfoSector;
G_STATIC_ASSERT(sizeof(FatInfoSector) == FAT_INFO_BYTES);

#endif
