/* What the partition drivers share. */
#ifndef EMBR_FS_PARTITION_H
#define EMBR_FS_PARTITION_H

#include "fs/volume.h"
#include "util/endian.h"

enum {
    MBR_SECTOR_BYTES = 512,         /* what is used of sector 0, however big it is */
    MBR_ENTRIES = 4,
    MBR_TYPE_GPT = 0xee,
};

typedef struct __attribute__((packed)) MbrEntry {
    uint8_t boot_indicator;         /* 0x80: active */
    uint8_t first_chs[3];
    uint8_t type;
    uint8_t last_chs[3];
    le32_t first_lba;
    le32_t sectors;                 /* 0: unused, whatever the type */
} MbrEntry;
G_STATIC_ASSERT(sizeof(MbrEntry) == 16);

typedef struct __attribute__((packed)) MbrSector {
    uint8_t boot_code[440];
    le32_t disk_signature;
    uint8_t reserved[2];
    MbrEntry entries[MBR_ENTRIES];
    uint8_t signature[2];           /* 0x55 0xaa */
} MbrSector;
G_STATIC_ASSERT(sizeof(MbrSector) == MBR_SECTOR_BYTES);

static inline bool mbr_has_signature(const MbrSector *mbr)
{
    return mbr->signature[0] == 0x55 && mbr->signature[1] == 0xaa;
}

static inline bool mbr_entry_used(const MbrEntry *entry)
{
    return le32_get(entry->sectors) != 0;
}

/* Finds out what is on the volume. */
void coroutine_fn volume_co_recognise(Volume *volume);
/* Adds, before the volume of that index, what is in tables within the volumes from the index
 * first on. */
void coroutine_fn volume_table_co_add_nested(BlockBackend *disk, VolumeTable *table,
                                             guint first, guint before);
/* A volume whose bytes are where map says; NULL: it cannot be read.  Takes info, not the
 * reference on map. */
Volume *coroutine_fn volume_co_new_mapped(BlockBackend *disk, VolumeInfo *info,
                                          DiskMap *map);
static inline bool mbr_is_extended(uint8_t type)
{
    return type == 0x05 || type == 0x0f || type == 0x85;
}

/* Adds a warning; after a hundred they are left out. */
void volume_table_warn(VolumeTable *table, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The driver of the disk's table; NULL if it has none. */
const PartitionDriver *coroutine_fn partition_co_find(BlockBackend *disk,
                                                      uint32_t *sector_size);

/* What people call a type; NULL if it is not known.  guid is in lower case. */
const char *gpt_type_name(const char *guid);
const char *mbr_type_name(uint8_t type);

/* A GUID as stored on disk: three little-endian fields, then bytes. */
char *guid_to_string(const uint8_t guid[16]);
/* False: text is no GUID. */
bool guid_from_string(const char *text, uint8_t guid[16]);

#endif
