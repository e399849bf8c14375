/* Boot sectors of the FAT family, which can be taken for an MBR. */
#ifndef EMBR_FS_FAT_BOOT_H
#define EMBR_FS_FAT_BOOT_H

#include <glib.h>
#include <inttypes.h>
#include <stdbool.h>
#include "util/endian.h"

/* The BIOS parameter block at the start of FAT and NTFS boot sectors. */
typedef struct __attribute__((packed)) FatBootSector {
    uint8_t jump[3];
    uint8_t oem_name[8];
    le16_t sector_bytes;
    uint8_t cluster_sectors;
    le16_t reserved_sectors;
    uint8_t fat_count;
    le16_t root_entries;
    le16_t sectors_16;
    uint8_t media;
    le16_t fat_sectors_16;
    le16_t track_sectors;
    le16_t heads;
    le32_t hidden_sectors;
    le32_t sectors_32;
    union {
        struct __attribute__((packed)) {
            uint8_t drive;
            uint8_t reserved;
            uint8_t ext_signature;
            le32_t serial;
            uint8_t label[11];
            uint8_t type[8];
        } fat16;
        struct __attribute__((packed)) {
            le32_t fat_sectors;
            le16_t flags;
            le16_t version;
            le32_t root_cluster;
            le16_t info_sector;
            le16_t backup_sector;
            uint8_t reserved[12];
            uint8_t drive;
            uint8_t reserved1;
            uint8_t ext_signature;
            le32_t serial;
            uint8_t label[11];
            uint8_t type[8];
        } fat32;
        struct __attribute__((packed)) {
            le32_t unused;
            le64_t sectors;
            le64_t mft_cluster;
            le64_t mft_mirror_cluster;
            int8_t record_clusters;     /* negative: 2^-n bytes */
            uint8_t reserved[3];
            int8_t index_clusters;
            uint8_t reserved1[3];
            le64_t serial;
        } ntfs;
    };
} FatBootSector;
G_STATIC_ASSERT(sizeof(FatBootSector) == 90);

/* What a FAT boot sector amounts to. */
typedef struct FatLayout {
    unsigned bits;                  /* of a FAT's entry: 12, 16 or 32 */
    bool is_exfat;                  /* all of the 32 count; in FAT32, 28 do */
    uint32_t sector_bytes;
    uint32_t cluster_bytes;
    uint64_t root_offset;           /* of the root directory: FAT12/16; else 0 */
    uint32_t root_bytes;
    uint64_t fat_offset;            /* of the first FAT */
    uint64_t fat_bytes;             /* of each FAT */
    unsigned fat_count;
    uint64_t data_offset;           /* where cluster 2 starts */
    uint64_t clusters;              /* that the FAT has entries for */
    uint64_t total_bytes;
} FatLayout;

/* sector: 512 bytes.  True if it describes a FAT filesystem. */
bool fat_parse_boot_sector(const uint8_t *sector, FatLayout *layout);
bool ntfs_is_boot_sector(const uint8_t *sector);
bool exfat_is_boot_sector(const uint8_t *sector);

/* FAT, exFAT or NTFS. */
bool is_volume_boot_sector(const uint8_t *sector);

#endif
