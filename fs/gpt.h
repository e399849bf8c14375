/* What reading and writing GUID partition tables share (UEFI specification, chapter 5). */
#ifndef EMBR_FS_GPT_H
#define EMBR_FS_GPT_H

#include "fs/partition.h"

enum {
    GPT_HEADER_MIN_BYTES = 92,
    GPT_ENTRY_MIN_BYTES = 128,
    GPT_NAME_UNITS = 36,
};

static const uint64_t GPT_ATTR_LEGACY_BOOT = UINT64_C(1) << 2;

typedef struct __attribute__((packed)) GptHeader {
    uint8_t signature[8];           /* "EFI PART" */
    le32_t revision;
    le32_t header_size;
    le32_t header_crc32;            /* with this field as zero */
    le32_t reserved;
    le64_t my_lba;
    le64_t alternate_lba;
    le64_t first_usable_lba;
    le64_t last_usable_lba;
    uint8_t disk_guid[16];
    le64_t entries_lba;
    le32_t entry_count;
    le32_t entry_size;
    le32_t entries_crc32;
} GptHeader;
G_STATIC_ASSERT(sizeof(GptHeader) == GPT_HEADER_MIN_BYTES);

typedef struct __attribute__((packed)) GptEntry {
    uint8_t type_guid[16];          /* all zero: unused */
    uint8_t unique_guid[16];
    le64_t first_lba;
    le64_t last_lba;                /* inclusive */
    le64_t attributes;
    le16_t name[GPT_NAME_UNITS];    /* UTF-16, NUL-padded */
} GptEntry;
G_STATIC_ASSERT(sizeof(GptEntry) == GPT_ENTRY_MIN_BYTES);

/* One of the two copies, checked. */
typedef struct Gpt {
    GptHeader header;
    uint8_t *entries;
    size_t entries_bytes;
} Gpt;

void gpt_clear(Gpt *gpt);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Gpt, gpt_clear)

/* The disk's last sector: 0 if it has none. */
uint64_t gpt_last_lba(BlockBackend *disk, uint32_t sector_size);
/* Reads and checks the copy whose header is at lba. */
bool coroutine_fn gpt_co_load(BlockBackend *disk, uint32_t sector_size, uint64_t lba,
                              Gpt *gpt, GError **errp);
/* Loads the backup because of what is wrong with the primary. */
bool coroutine_fn gpt_co_load_backup(BlockBackend *disk, uint32_t sector_size, Gpt *gpt,
                                     const GError *reason, GError **errp);
/* Writes a copy whose header goes to lba, its entries to entries_lba, and flushes. What
 * the header says of places (other_lba: of the other copy) and checksums is seen to. */
bool coroutine_fn gpt_co_store(BlockBackend *disk, uint32_t sector_size, const Gpt *gpt,
                               uint64_t lba, uint64_t entries_lba, uint64_t other_lba,
                               GError **errp);

#endif
