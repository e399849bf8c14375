/* The partition table of the PC's master boot record, with extended partitions. */
#include "fs/bsd-label.h"
#include "fs/fat-boot.h"
#include "fs/partition.h"

enum {
    MBR_MAX_EBRS = 1024,
    MBR_FIRST_LOGICAL = 5,
    MBR_ACTIVE = 0x80,
};

typedef struct MbrReader {
    BlockBackend *disk;
    uint32_t sector_size;
    uint32_t disk_signature;
    unsigned next_logical;
    VolumeTable *table;
    GArray *entries;
} MbrReader;

static bool coroutine_fn co_read_mbr(BlockBackend *disk, uint64_t offset, MbrSector *mbr)
{
    return range_fits(offset, sizeof(*mbr), blk_length(disk)) &&
           blk_co_pread(disk, offset, sizeof(*mbr), mbr) >= 0;
}

static bool looks_like_table(const MbrSector *mbr)
{
    if (!mbr_has_signature(mbr)) {
        return false;
    }
    for (int i = 0; i < MBR_ENTRIES; i++) {
        if (mbr->entries[i].boot_indicator & ~MBR_ACTIVE) {
            return false;
        }
    }
    return true;
}

static bool is_empty(const MbrSector *mbr)
{
    for (int i = 0; i < MBR_ENTRIES; i++) {
        if (mbr_entry_used(&mbr->entries[i])) {
            return false;
        }
    }
    return true;
}

static bool fits_with_sector_size(const MbrSector *mbr, uint32_t sector_size,
                                  uint64_t disk_bytes)
{
    for (int i = 0; i < MBR_ENTRIES; i++) {
        const MbrEntry *entry = &mbr->entries[i];

        if (mbr_entry_used(entry) &&
            !range_fits((uint64_t)le32_get(entry->first_lba) * sector_size,
                        (uint64_t)le32_get(entry->sectors) * sector_size, disk_bytes)) {
            return false;
        }
    }
    return true;
}

/* In how many partitions there is something to be recognised. */
static unsigned coroutine_fn count_recognised(BlockBackend *disk, const MbrSector *mbr,
                                              uint32_t sector_size)
{
    unsigned found = 0;

    for (int i = 0; i < MBR_ENTRIES; i++) {
        const MbrEntry *entry = &mbr->entries[i];
        uint64_t offset = (uint64_t)le32_get(entry->first_lba) * sector_size;
        uint64_t size = (uint64_t)le32_get(entry->sectors) * sector_size;
        g_auto(FsIdent) ident = {0};
        MbrSector ebr;

        if (!mbr_entry_used(entry) || !range_fits(offset, size, blk_length(disk))) {
            continue;
        }
        if (mbr_is_extended(entry->type)) {
            found += co_read_mbr(disk, offset, &ebr) && looks_like_table(&ebr);
        } else {
            g_autoptr(BlockBackend) slice = blk_new_slice(disk, offset, size);

            found += fs_co_probe(slice, &ident) != NULL;
        }
    }
    return found;
}

/* An MBR does not say how big its sectors are.  512 bytes are taken unless
 * everything fits on the disk with 4096, too, and that finds more content. */
static bool coroutine_fn has_big_sectors(BlockBackend *disk, const MbrSector *mbr)
{
    return !is_empty(mbr) && fits_with_sector_size(mbr, 4096, blk_length(disk)) &&
           count_recognised(disk, mbr, 4096) > count_recognised(disk, mbr, 512);
}

/* A filesystem that begins at the start of the disk. */
static bool coroutine_fn holds_filesystem(BlockBackend *disk)
{
    g_auto(FsIdent) ident = {0};
    const FsDriver *drv = fs_co_probe(disk, &ident);

    return drv && drv->priority > FS_PRIORITY_BY_COPIES;
}

/* The boot sector of a bare FAT, exFAT or NTFS filesystem and that of any
 * filesystem with a boot loader in it end like an MBR, too. */
static bool coroutine_fn mbr_co_probe(BlockBackend *disk, uint32_t sector_size)
{
    MbrSector mbr;

    if (!co_read_mbr(disk, 0, &mbr) || !looks_like_table(&mbr) ||
        is_volume_boot_sector((const uint8_t *)&mbr)) {
        return false;
    }
    if (is_empty(&mbr)) {
        return sector_size == 512 && !holds_filesystem(disk);
    }
    return has_big_sectors(disk, &mbr) == (sector_size == 4096);
}

static void add_entry(MbrReader *r, unsigned number, uint64_t first_lba,
                      const MbrEntry *entry)
{
    PartitionEntry part = {
        .number = number,
        .offset = first_lba * r->sector_size,
        .size = (uint64_t)le32_get(entry->sectors) * r->sector_size,
        .type = g_strdup_printf("0x%02x", entry->type),
        .type_name = g_strdup(mbr_type_name(entry->type)),
        .bootable = entry->boot_indicator == MBR_ACTIVE,
        .holds_others = mbr_is_extended(entry->type),
    };

    if (r->disk_signature) {
        part.uuid = g_strdup_printf("%08x-%02x", r->disk_signature, number);
    }
    g_array_append_val(r->entries, part);
}

/* The last two entries of an extended boot record should be empty.  Like Linux, which
 * the numbers are to agree with, take them for partitions if they are within the part
 * that holds them, and within the extended partition. */
static bool is_plausible(const MbrEntry *entry, uint64_t lba, uint64_t part_sectors,
                         const MbrEntry *extended)
{
    uint64_t first = lba + le32_get(entry->first_lba);
    uint64_t sectors = le32_get(entry->sectors);
    uint64_t base = le32_get(extended->first_lba);

    return range_fits(le32_get(entry->first_lba), sectors, part_sectors) &&
           first >= base && range_fits(first - base, sectors, le32_get(extended->sectors));
}

/*
 * An extended partition is a chain of sectors like the MBR.  Each describes
 * partitions relative to itself, and the next of the chain relative to the start of
 * the whole extended partition.
 */
static void coroutine_fn read_extended(MbrReader *r, const MbrEntry *extended)
{
    g_autoptr(GHashTable) seen =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    const char *name = blk_name(r->disk);
    uint64_t base = le32_get(extended->first_lba);
    uint64_t lba = base;
    uint64_t part_sectors = le32_get(extended->sectors);

    for (;;) {
        const MbrEntry *next = NULL;
        MbrSector ebr;

        if (!g_hash_table_add(seen, g_memdup2(&lba, sizeof(lba)))) {
            volume_table_warn(r->table,
                              "%s: extended partition at LBA %" PRIu64
                              " goes in a loop at LBA %" PRIu64 "; the rest is left out",
                              name, base, lba);
            return;
        }
        if (g_hash_table_size(seen) > MBR_MAX_EBRS) {
            volume_table_warn(r->table,
                              "%s: extended partition at LBA %" PRIu64
                              " has more than %d parts; the rest is left out",
                              name, base, MBR_MAX_EBRS);
            return;
        }
        if (!co_read_mbr(r->disk, lba * r->sector_size, &ebr)) {
            volume_table_warn(r->table,
                              "%s: extended partition at LBA %" PRIu64
                              " goes on at LBA %" PRIu64
                              ", which cannot be read; the rest is left out",
                              name, base, lba);
            return;
        }
        if (!mbr_has_signature(&ebr)) {
            volume_table_warn(r->table,
                              "%s: extended partition at LBA %" PRIu64
                              ": no boot record signature 55 aa at LBA %" PRIu64
                              "; the rest is left out",
                              name, base, lba);
            return;
        }

        for (int i = 0; i < MBR_ENTRIES; i++) {
            const MbrEntry *entry = &ebr.entries[i];

            if (!mbr_entry_used(entry)) {
                continue;
            }
            if (mbr_is_extended(entry->type)) {
                next = next ?: entry;
            } else if (i < 2 || is_plausible(entry, lba, part_sectors, extended)) {
                add_entry(r, r->next_logical++, lba + le32_get(entry->first_lba), entry);
            }
        }
        if (!next) {
            return;
        }
        lba = base + le32_get(next->first_lba);
        part_sectors = le32_get(next->sectors);
    }
}

/* Slices of BSD are tables, too; their partitions have the numbers behind all others. */
static void coroutine_fn co_read_slices(MbrReader *r, const MbrSector *mbr)
{
    for (guint i = 0, n = r->entries->len; i < n; i++) {
        PartitionEntry slice = g_array_index(r->entries, PartitionEntry, i);

        if (slice.number <= MBR_ENTRIES &&
            bsd_is_slice(mbr->entries[slice.number - 1].type)) {
            bool found = bsd_co_read_label(r->disk, &slice,
                                           mbr->entries[slice.number - 1].type,
                                           &r->next_logical, r->table, r->entries);

            g_array_index(r->entries, PartitionEntry, i).holds_others = found;
        }
    }
}

static bool coroutine_fn mbr_co_read(BlockBackend *disk, uint32_t sector_size,
                                     VolumeTable *table, GArray *entries, GError **errp)
{
    MbrSector mbr;

    if (!blk_co_read(disk, 0, sizeof(mbr), &mbr, "master boot record", errp)) {
        return false;
    }

    MbrReader r = {
        .disk = disk,
        .sector_size = sector_size,
        .disk_signature = le32_get(mbr.disk_signature),
        .next_logical = MBR_FIRST_LOGICAL,
        .table = table,
        .entries = entries,
    };
    if (r.disk_signature) {
        table->disk_id = g_strdup_printf("%08x", r.disk_signature);
    }

    for (int i = 0; i < MBR_ENTRIES; i++) {
        const MbrEntry *entry = &mbr.entries[i];

        if (!mbr_entry_used(entry)) {
            continue;
        }
        if (entry->type == MBR_TYPE_GPT) {
            volume_table_warn(table,
                              "%s: MBR entry %d protects a GPT, but there is none, neither "
                              "at the start nor at the end of the disk",
                              blk_name(disk), i + 1);
        }
        add_entry(&r, i + 1, le32_get(entry->first_lba), entry);
    }
    for (int i = 0; i < MBR_ENTRIES; i++) {
        if (mbr_entry_used(&mbr.entries[i]) && mbr_is_extended(mbr.entries[i].type)) {
            read_extended(&r, &mbr.entries[i]);
        }
    }
    co_read_slices(&r, &mbr);
    return true;
}

static const PartitionDriver part_mbr = {
    .name = "dos",
    .part_co_probe = mbr_co_probe,
    .part_co_read = mbr_co_read,
    .priority = 10,
};
partition_init(part_mbr)
