/* Apple's partition map. */
#include "fs/partition.h"

enum {
    APM_DRIVER_SIGNATURE = 0x4552, /* "ER": of block 0 */
    APM_SIGNATURE = 0x504d,        /* "PM": of each entry */
    APM_MAX_ENTRIES = 256,         /* as many as Linux reads */
    APM_BLOCK_MIN_BYTES = 512,
    APM_BLOCK_MAX_BYTES = 4096,
    APM_TEXT_BYTES = 32,
};

typedef struct __attribute__((packed)) ApmDriver {
    be16_t signature;
    be16_t block_bytes; /* of the map and of what it counts */
    be32_t blocks;
} ApmDriver;
G_STATIC_ASSERT(sizeof(ApmDriver) == 8);

typedef struct __attribute__((packed)) ApmEntry {
    be16_t signature;
    be16_t reserved;
    be32_t entries; /* of the map */
    be32_t first, blocks;
    char name[APM_TEXT_BYTES], type[APM_TEXT_BYTES];
} ApmEntry;
G_STATIC_ASSERT(sizeof(ApmEntry) == 80);

static bool coroutine_fn co_read_entry(BlockBackend *disk, uint32_t block_bytes,
                                       unsigned number, ApmEntry *entry)
{
    uint64_t offset = (uint64_t)number * block_bytes;

    return range_fits(offset, sizeof(*entry), blk_length(disk)) &&
           blk_co_pread(disk, offset, sizeof(*entry), entry) >= 0 &&
           be16_get(entry->signature) == APM_SIGNATURE;
}

/* 0: there is no map. */
static uint32_t coroutine_fn co_find_map(BlockBackend *disk)
{
    ApmDriver driver;
    ApmEntry entry;

    if (blk_length(disk) < APM_BLOCK_MIN_BYTES ||
        blk_co_pread(disk, 0, sizeof(driver), &driver) < 0 ||
        be16_get(driver.signature) != APM_DRIVER_SIGNATURE) {
        return 0;
    }
    uint32_t block_bytes = be16_get(driver.block_bytes);
    return is_pow2(block_bytes) && block_bytes >= APM_BLOCK_MIN_BYTES &&
                   block_bytes <= APM_BLOCK_MAX_BYTES &&
                   co_read_entry(disk, block_bytes, 1, &entry)
               ? block_bytes
               : 0;
}

/* CDs have a map beside the filesystem that is all of them. */
static bool coroutine_fn apm_co_probe(BlockBackend *disk, uint32_t sector_size)
{
    g_auto(FsIdent) ident = {0};

    if (sector_size != 512 || !co_find_map(disk)) {
        return false;
    }
    const FsDriver *drv = fs_co_probe(disk, &ident);
    return !drv || drv->priority <= FS_PRIORITY_BY_COPIES;
}

/* Text in MacRoman; what is not ASCII is not told. */
static char *take_text(const char text[APM_TEXT_BYTES])
{
    char *copy = g_strndup(text, APM_TEXT_BYTES);

    g_strdelimit(copy, "\t\n\r", ' ');
    for (char *c = copy; *c; c++) {
        *c = g_ascii_isprint(*c) ? *c : '?';
    }
    return copy;
}

static bool coroutine_fn apm_co_read(BlockBackend *disk, uint32_t sector_size,
                                     VolumeTable *table, GArray *entries, GError **errp)
{
    uint32_t block_bytes = co_find_map(disk);
    ApmEntry entry = {0};
    unsigned n = 1;

    table->sector_size = block_bytes;
    for (unsigned i = 1; i <= n; i++) {
        if (!co_read_entry(disk, block_bytes, i, &entry)) {
            volume_table_warn(
                table,
                "%s: no entry of an Apple partition map at offset 0x%" PRIx64
                ", where number %u of %u has to be; the rest is left out",
                blk_name(disk), (uint64_t)i * block_bytes, i, n);
            break;
        }
        if (i == 1) {
            n = be32_get(entry.entries);
        }
        if (n > APM_MAX_ENTRIES) {
            volume_table_warn(
                table,
                "%s: an Apple partition map of %u entries, of which %d are "
                "read",
                blk_name(disk), n, APM_MAX_ENTRIES);
            n = APM_MAX_ENTRIES;
        }
        g_autofree char *name = take_text(entry.name);
        PartitionEntry part = {
            .number = i,
            .offset = (uint64_t)be32_get(entry.first) * block_bytes,
            .size = (uint64_t)be32_get(entry.blocks) * block_bytes,
            .type = take_text(entry.type),
            .name = *name ? g_steal_pointer(&name) : NULL,
        };
        g_array_append_val(entries, part);
    }
    return true;
}

static const PartitionDriver part_apple = {
    .name = "mac",
    .part_co_probe = apm_co_probe,
    .part_co_read = apm_co_read,
    .priority = 5,
};
partition_init(part_apple)
