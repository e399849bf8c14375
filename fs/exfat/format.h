/* exFAT as it is on the disk. */
#ifndef EMBR_FS_EXFAT_FORMAT_H
#define EMBR_FS_EXFAT_FORMAT_H

#include "util/endian.h"

enum {
    EXFAT_BOOT_BYTES = 512,    /* of a sector that may be larger */
    EXFAT_BOOT_SECTORS = 12,   /* of a boot region; the last has the checksum */
    EXFAT_FAT_SECTOR_MIN = 24, /* two boot regions come first */
    EXFAT_SECTOR_SHIFT_MIN = 9,
    EXFAT_SECTOR_SHIFT_MAX = 12,
    EXFAT_CLUSTER_SHIFT_MAX = 25,
    EXFAT_ENTRY_BYTES = 32,
};

#define EXFAT_DIR_BYTES_MAX (UINT64_C(256) << 20)
#define EXFAT_CLUSTERS_MAX UINT64_C(0xfffffff5)

/* In volume_flags. */
enum {
    EXFAT_ACTIVE_FAT = 1,
    EXFAT_VOLUME_DIRTY = 2,
    EXFAT_MEDIA_FAILURE = 4,
};

typedef struct __attribute__((packed)) ExfatBootSector {
    uint8_t jump[3];
    uint8_t name[8];
    uint8_t zeroes[53];
    le64_t partition_offset;
    le64_t volume_sectors;
    le32_t fat_sector;
    le32_t fat_sectors;
    le32_t heap_sector;
    le32_t clusters;
    le32_t root_cluster;
    le32_t serial;
    le16_t revision;
    le16_t volume_flags;
    uint8_t sector_shift;
    uint8_t cluster_shift; /* sectors in a cluster */
    uint8_t fat_count;
    uint8_t drive;
    uint8_t percent_in_use;
    uint8_t reserved[7];
    uint8_t code[390];
    le16_t signature;
} ExfatBootSector;
G_STATIC_ASSERT(sizeof(ExfatBootSector) == EXFAT_BOOT_BYTES);

/* Types of directory entries.  Those without the highest bit are not in use. */
enum {
    EXFAT_IN_USE = 0x80,
    EXFAT_SECONDARY = 0x40,
    EXFAT_BENIGN = 0x20,
    EXFAT_ENTRY_BITMAP = 0x81,
    EXFAT_ENTRY_UPCASE = 0x82,
    EXFAT_ENTRY_LABEL = 0x83,
    EXFAT_ENTRY_FILE = 0x85,
    EXFAT_ENTRY_STREAM = 0xc0,
    EXFAT_ENTRY_NAME = 0xc1,
};

enum {
    EXFAT_ATTR_READ_ONLY = 0x01,
    EXFAT_ATTR_DIRECTORY = 0x10,
    EXFAT_SECONDARIES_MIN = 2,
    EXFAT_SECONDARIES_MAX = 255, /* more than names need: others may follow them */
    EXFAT_NAME_UNITS = 15,       /* in each entry of a name */
    EXFAT_NAME_UNITS_MAX = 255,
    EXFAT_LABEL_UNITS_MAX = 11,
    EXFAT_STREAM_NO_CHAIN = 2, /* in flags: the FAT says nothing of the clusters */
    EXFAT_BITMAP_SECOND = 1,   /* in flags: that of the second FAT */
    EXFAT_UTC_OFFSET_VALID = 0x80,
};

typedef struct __attribute__((packed)) ExfatFileEntry {
    uint8_t type;
    uint8_t secondaries;
    le16_t checksum; /* of all entries of the set, but itself */
    le16_t attributes;
    le16_t reserved;
    le32_t created;
    le32_t modified;
    le32_t accessed;
    uint8_t created_10ms;
    uint8_t modified_10ms;
    uint8_t created_offset;
    uint8_t modified_offset;
    uint8_t accessed_offset;
    uint8_t reserved1[7];
} ExfatFileEntry;
G_STATIC_ASSERT(sizeof(ExfatFileEntry) == EXFAT_ENTRY_BYTES);

typedef struct __attribute__((packed)) ExfatStreamEntry {
    uint8_t type;
    uint8_t flags;
    uint8_t reserved;
    uint8_t name_units;
    le16_t name_hash;
    le16_t reserved1;
    le64_t written;
    le32_t reserved2;
    le32_t cluster;
    le64_t size;
} ExfatStreamEntry;
G_STATIC_ASSERT(sizeof(ExfatStreamEntry) == EXFAT_ENTRY_BYTES);

typedef struct __attribute__((packed)) ExfatNameEntry {
    uint8_t type;
    uint8_t flags;
    le16_t units[EXFAT_NAME_UNITS];
} ExfatNameEntry;
G_STATIC_ASSERT(sizeof(ExfatNameEntry) == EXFAT_ENTRY_BYTES);

typedef struct __attribute__((packed)) ExfatLabelEntry {
    uint8_t type;
    uint8_t units_count;
    le16_t units[EXFAT_LABEL_UNITS_MAX];
    uint8_t reserved[8];
} ExfatLabelEntry;
G_STATIC_ASSERT(sizeof(ExfatLabelEntry) == EXFAT_ENTRY_BYTES);

/* Of the allocation bitmap and of the up-case table. */
typedef struct __attribute__((packed)) ExfatTableEntry {
    uint8_t type;
    uint8_t flags; /* bitmap only */
    uint8_t reserved[2];
    le32_t checksum; /* up-case table only */
    uint8_t reserved1[12];
    le32_t cluster;
    le64_t size;
} ExfatTableEntry;
G_STATIC_ASSERT(sizeof(ExfatTableEntry) == EXFAT_ENTRY_BYTES);

#endif
