#include "fs/fat-boot.h"
#include "util/units.h"

enum {
    FAT12_MAX_CLUSTERS = 4084,
    FAT16_MAX_CLUSTERS = 65524,
    FAT32_MAX_CLUSTERS = 0x0ffffff5,
    FAT_DIR_ENTRY_BYTES = 32,
    FAT_FIRST_CLUSTER = 2,
};

bool ntfs_is_boot_sector(const uint8_t *sector)
{
    const FatBootSector *b = (const FatBootSector *)sector;
    uint16_t sector_bytes = le16_get(b->sector_bytes);

    /* cluster_sectors from 0xe1 on: 2^(256 - n) sectors */
    return !memcmp(b->oem_name, "NTFS    ", 8) && is_pow2(sector_bytes) &&
           sector_bytes >= 256 && sector_bytes <= 4096 &&
           (is_pow2(b->cluster_sectors) || b->cluster_sectors > 0xe0) &&
           !le16_get(b->reserved_sectors) && !b->fat_count && !le16_get(b->root_entries) &&
           !le16_get(b->sectors_16) && !le16_get(b->fat_sectors_16);
}

bool exfat_is_boot_sector(const uint8_t *sector)
{
    /* Where FAT has its parameters, exFAT has 53 zero bytes. */
    return !memcmp(sector + 3, "EXFAT   ", 8) && sector[510] == 0x55 &&
           sector[511] == 0xaa && buffer_is_zero(sector + 11, 53) && sector[108] >= 9 &&
           sector[108] <= 12 && sector[108] + sector[109] <= 25;
}

bool fat_parse_boot_sector(const uint8_t *sector, FatLayout *layout)
{
    const FatBootSector *b = (const FatBootSector *)sector;
    uint32_t sector_bytes = le16_get(b->sector_bytes);
    uint64_t fat_sectors = le16_get(b->fat_sectors_16);
    uint64_t sectors = le16_get(b->sectors_16);
    uint64_t reserved = le16_get(b->reserved_sectors);

    if (!is_pow2(sector_bytes) || sector_bytes < 512 || sector_bytes > 4096 ||
        !is_pow2(b->cluster_sectors) || !reserved || !b->fat_count || b->fat_count > 4 ||
        (b->media != 0xf0 && b->media < 0xf8)) {
        return false;
    }
    fat_sectors = fat_sectors ?: le32_get(b->fat32.fat_sectors);
    sectors = sectors ?: le32_get(b->sectors_32);

    uint64_t root_bytes = (uint64_t)le16_get(b->root_entries) * FAT_DIR_ENTRY_BYTES;
    uint64_t root_sector = reserved + b->fat_count * fat_sectors;
    uint64_t data_sector = root_sector + div_round_up(root_bytes, sector_bytes);
    if (!fat_sectors || sectors <= data_sector) {
        return false;
    }

    uint64_t clusters = (sectors - data_sector) / b->cluster_sectors;
    bool is_fat32 = !le16_get(b->fat_sectors_16);
    if (clusters > FAT32_MAX_CLUSTERS || is_fat32 != !root_bytes ||
        (!is_fat32 && clusters > FAT16_MAX_CLUSTERS)) {
        return false;
    }

    *layout = (FatLayout){
        .bits = is_fat32 ? 32 : clusters <= FAT12_MAX_CLUSTERS ? 12 : 16,
        .sector_bytes = sector_bytes,
        .cluster_bytes = sector_bytes * b->cluster_sectors,
        .root_offset = root_bytes ? root_sector * sector_bytes : 0,
        .root_bytes = root_bytes,
        .fat_offset = reserved * sector_bytes,
        .fat_bytes = fat_sectors * sector_bytes,
        .fat_count = b->fat_count,
        .data_offset = data_sector * sector_bytes,
        .clusters = clusters,
        .total_bytes = sectors * sector_bytes,
    };
    /* A FAT has to have an entry for each cluster, behind the two that are for itself:
     * if these were forgotten, the last clusters cannot be used. */
    uint64_t entries = layout->fat_bytes * 8 / layout->bits;
    layout->clusters = MIN(clusters, entries - MIN(entries, FAT_FIRST_CLUSTER));
    return layout->clusters && entries >= clusters;
}

bool is_volume_boot_sector(const uint8_t *sector)
{
    FatLayout layout;

    return ntfs_is_boot_sector(sector) || exfat_is_boot_sector(sector) ||
           fat_parse_boot_sector(sector, &layout);
}
