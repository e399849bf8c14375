/* GUID Partition Table (UEFI specification, chapter 5). */
#include "fs/gpt.h"

#include <zlib.h>

enum {
    GPT_ENTRY_MAX_BYTES = 4096,
    GPT_ARRAY_MAX_BYTES = 4 << 20,
    GPT_REVISION_1_0 = 0x00010000,
};

void gpt_clear(Gpt *gpt)
{
    g_clear_pointer(&gpt->entries, g_free);
}

static bool has_signature(const void *sector)
{
    return !memcmp(sector, "EFI PART", 8);
}

uint64_t gpt_last_lba(BlockBackend *disk, uint32_t sector_size)
{
    uint64_t sectors = (uint64_t)blk_length(disk) / sector_size;

    return sectors ? sectors - 1 : 0;
}

static bool check_header(BlockBackend *disk, uint32_t sector_size, uint64_t lba,
                         uint8_t *sector, GError **errp)
{
    const GptHeader *h = (const GptHeader *)sector;
    const char *name = blk_name(disk);
    uint64_t offset = lba * sector_size;

    if (!has_signature(sector)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: no GPT header at offset 0x%" PRIx64 ": no 'EFI PART' there", name,
                    offset);
        return false;
    }

    uint32_t size = le32_get(h->header_size);
    if (size < GPT_HEADER_MIN_BYTES || size > sector_size) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: GPT header at offset 0x%" PRIx64
                    ": header size is %u, expected %d to %u",
                    name, offset, size, GPT_HEADER_MIN_BYTES, sector_size);
        return false;
    }

    uint32_t stored = le32_get(h->header_crc32);
    le32_store(sector + offsetof(GptHeader, header_crc32), 0);
    uint32_t actual = crc32(0, sector, size);
    le32_store(sector + offsetof(GptHeader, header_crc32), stored);
    if (stored != actual) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: GPT header at offset 0x%" PRIx64
                    ": checksum is 0x%08x, computed 0x%08x",
                    name, offset, stored, actual);
        return false;
    }
    if (le32_get(h->revision) != GPT_REVISION_1_0) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: GPT header at offset 0x%" PRIx64
                    ": revision is 0x%08x, expected 0x%08x",
                    name, offset, le32_get(h->revision), GPT_REVISION_1_0);
        return false;
    }
    if (le64_get(h->my_lba) != lba) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: GPT header at offset 0x%" PRIx64 " says it is at LBA %" PRIu64
                    ", expected %" PRIu64,
                    name, offset, le64_get(h->my_lba), lba);
        return false;
    }
    return true;
}

static bool coroutine_fn read_entries(BlockBackend *disk, uint32_t sector_size, Gpt *gpt,
                                      GError **errp)
{
    const char *name = blk_name(disk);
    uint32_t count = le32_get(gpt->header.entry_count);
    uint32_t size = le32_get(gpt->header.entry_size);
    uint64_t lba = le64_get(gpt->header.entries_lba);
    uint64_t offset;

    if (size < GPT_ENTRY_MIN_BYTES || size > GPT_ENTRY_MAX_BYTES || size % 8) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: GPT entry size is %u, expected a multiple of 8 from %d to %d", name,
                    size, GPT_ENTRY_MIN_BYTES, GPT_ENTRY_MAX_BYTES);
        return false;
    }
    if (!count || count > GPT_ARRAY_MAX_BYTES / size) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: GPT has %u entries of %u bytes, expected 1 to %u", name, count, size,
                    GPT_ARRAY_MAX_BYTES / size);
        return false;
    }

    gpt->entries_bytes = (size_t)count * size;
    if (lba < 2 || !g_uint64_checked_mul(&offset, lba, sector_size) ||
        !range_fits(offset, gpt->entries_bytes, blk_length(disk))) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: GPT entries at LBA %" PRIu64 " (%zu bytes) are not within the disk "
                    "(%" PRIi64 " bytes)",
                    name, lba, gpt->entries_bytes, blk_length(disk));
        return false;
    }

    gpt->entries = g_malloc(gpt->entries_bytes);
    if (!blk_co_read(disk, offset, gpt->entries_bytes, gpt->entries, "GPT entries", errp)) {
        return false;
    }

    uint32_t stored = le32_get(gpt->header.entries_crc32);
    uint32_t actual = crc32(0, gpt->entries, gpt->entries_bytes);
    if (stored != actual) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: GPT entries at offset 0x%" PRIx64
                    ": checksum is 0x%08x, computed 0x%08x",
                    name, offset, stored, actual);
        return false;
    }
    return true;
}

bool coroutine_fn gpt_co_load(BlockBackend *disk, uint32_t sector_size, uint64_t lba,
                              Gpt *gpt, GError **errp)
{
    g_autofree uint8_t *sector = g_malloc0(sector_size);
    uint64_t offset;

    gpt_clear(gpt);
    if (!g_uint64_checked_mul(&offset, lba, sector_size) ||
        !range_fits(offset, sector_size, blk_length(disk))) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: GPT header at LBA %" PRIu64 " is past the end of the disk (%" PRIi64
                    " bytes)",
                    blk_name(disk), lba, blk_length(disk));
        return false;
    }
    if (!blk_co_read(disk, offset, sector_size, sector, "GPT header", errp) ||
        !check_header(disk, sector_size, lba, sector, errp)) {
        return false;
    }
    memcpy(&gpt->header, sector, sizeof(gpt->header));
    return read_entries(disk, sector_size, gpt, errp);
}

static bool coroutine_fn sector_has_gpt(BlockBackend *disk, uint32_t sector_size,
                                        uint64_t lba)
{
    uint8_t signature[8];

    return range_fits(lba * sector_size, sector_size, blk_length(disk)) &&
           blk_co_pread(disk, lba * sector_size, sizeof(signature), signature) >= 0 &&
           has_signature(signature);
}

/* A GPT is announced by a protective (or hybrid) MBR.  Where the MBR is gone
 * altogether, a faultless primary table is believed, too; but not where there
 * is another MBR: then the GPT is what an earlier use of the disk left. */
static bool coroutine_fn gpt_co_probe(BlockBackend *disk, uint32_t sector_size)
{
    MbrSector mbr;

    if (blk_length(disk) < 3 * (int64_t)sector_size ||
        blk_co_pread(disk, 0, sizeof(mbr), &mbr) < 0) {
        return false;
    }
    if (!mbr_has_signature(&mbr)) {
        g_auto(Gpt) gpt = {0};

        return sector_has_gpt(disk, sector_size, 1) &&
               gpt_co_load(disk, sector_size, 1, &gpt, NULL);
    }
    for (int i = 0; i < MBR_ENTRIES; i++) {
        if (mbr.entries[i].type == MBR_TYPE_GPT) {
            return sector_has_gpt(disk, sector_size, 1) ||
                   sector_has_gpt(disk, sector_size, gpt_last_lba(disk, sector_size));
        }
    }
    return false;
}

static void coroutine_fn check_mbr(BlockBackend *disk, VolumeTable *table)
{
    MbrSector mbr;
    unsigned others = 0;

    if (blk_co_pread(disk, 0, sizeof(mbr), &mbr) < 0) {
        return;
    }
    if (!mbr_has_signature(&mbr)) {
        volume_table_warn(table, "%s: GPT without a protective MBR", blk_name(disk));
        return;
    }
    for (int i = 0; i < MBR_ENTRIES; i++) {
        others += mbr_entry_used(&mbr.entries[i]) && mbr.entries[i].type != MBR_TYPE_GPT;
    }
    if (others) {
        volume_table_warn(table,
                          "%s: hybrid MBR: its %u partitions are left aside, those of the "
                          "GPT are used",
                          blk_name(disk), others);
    }
}

bool coroutine_fn gpt_co_load_backup(BlockBackend *disk, uint32_t sector_size, Gpt *gpt,
                                     const GError *reason, GError **errp)
{
    g_autoptr(GError) backup_error = NULL;
    uint64_t last = gpt_last_lba(disk, sector_size);
    uint8_t primary[sizeof(GptHeader)];
    uint64_t lba = last;

    if (!gpt_co_load(disk, sector_size, lba, gpt, &backup_error)) {
        /* A disk that was made larger: the damaged primary may still know. */
        if (blk_co_pread(disk, sector_size, sizeof(primary), primary) >= 0 &&
            has_signature(primary)) {
            lba = le64_load(primary + offsetof(GptHeader, alternate_lba));
        }
        if (lba <= 1 || lba >= last || !gpt_co_load(disk, sector_size, lba, gpt, NULL)) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                        "%s; and its backup is no better: %s", reason->message,
                        backup_error->message);
            return false;
        }
    }
    return true;
}

static void coroutine_fn check_backup(BlockBackend *disk, uint32_t sector_size,
                                      const Gpt *primary, VolumeTable *table)
{
    g_autoptr(GError) error = NULL;
    g_auto(Gpt) backup = {0};
    uint64_t lba = le64_get(primary->header.alternate_lba);
    const char *name = blk_name(disk);

    if (!gpt_co_load(disk, sector_size, lba, &backup, &error)) {
        volume_table_warn(table, "%s (the backup; the primary table is good)",
                          error->message);
        return;
    }
    if (memcmp(backup.header.disk_guid, primary->header.disk_guid, 16) ||
        backup.entries_bytes != primary->entries_bytes ||
        memcmp(backup.entries, primary->entries, primary->entries_bytes)) {
        volume_table_warn(table,
                          "%s: the backup GPT at LBA %" PRIu64
                          " differs from the primary, which is used",
                          name, lba);
    } else if (lba != gpt_last_lba(disk, sector_size)) {
        volume_table_warn(table,
                          "%s: the backup GPT is at LBA %" PRIu64
                          ", not at the end of the disk (%" PRIu64 ")",
                          name, lba, gpt_last_lba(disk, sector_size));
    }
}

static char *entry_name(const GptEntry *entry)
{
    g_autoptr(GString) name = g_string_new(NULL);

    for (int i = 0; i < GPT_NAME_UNITS; i++) {
        gunichar unit = le16_get(entry->name[i]);

        if (!unit) {
            break;
        }
        if (unit >= 0xd800 && unit < 0xdc00 && i + 1 < GPT_NAME_UNITS) {
            gunichar low = le16_get(entry->name[i + 1]);

            if (low >= 0xdc00 && low < 0xe000) {
                unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                i++;
            }
        }
        g_string_append_unichar(name, g_unichar_validate(unit) ? unit : 0xfffd);
    }
    return name->len ? g_string_free(g_steal_pointer(&name), FALSE) : NULL;
}

static void add_entry(BlockBackend *disk, uint32_t sector_size, unsigned number,
                      const GptEntry *entry, VolumeTable *table, GArray *entries)
{
    uint64_t first = le64_get(entry->first_lba);
    uint64_t last = le64_get(entry->last_lba);
    uint64_t end;

    if (first > last || last == UINT64_MAX ||
        !g_uint64_checked_mul(&end, last + 1, sector_size) || end > INT64_MAX) {
        volume_table_warn(table,
                          "%s: GPT entry %u spans LBA %" PRIu64 " to %" PRIu64
                          ", which is no range; it is left out",
                          blk_name(disk), number, first, last);
        return;
    }

    PartitionEntry part = {
        .number = number,
        .offset = first * sector_size,
        .size = end - first * sector_size,
        .type = guid_to_string(entry->type_guid),
        .name = entry_name(entry),
        .uuid = guid_to_string(entry->unique_guid),
        .attributes = le64_get(entry->attributes),
        .bootable = le64_get(entry->attributes) & GPT_ATTR_LEGACY_BOOT,
    };
    part.type_name = g_strdup(gpt_type_name(part.type));
    g_array_append_val(entries, part);
}

static bool coroutine_fn gpt_co_read(BlockBackend *disk, uint32_t sector_size,
                                     VolumeTable *table, GArray *entries, GError **errp)
{
    g_autoptr(GError) error = NULL;
    g_auto(Gpt) gpt = {0};

    if (gpt_co_load(disk, sector_size, 1, &gpt, &error)) {
        check_backup(disk, sector_size, &gpt, table);
    } else if (gpt_co_load_backup(disk, sector_size, &gpt, error, errp)) {
        volume_table_warn(table, "%s; the backup table at LBA %" PRIu64 " is used",
                          error->message, le64_get(gpt.header.my_lba));
    } else {
        return false;
    }
    check_mbr(disk, table);

    table->disk_id = guid_to_string(gpt.header.disk_guid);
    table->first_usable = le64_get(gpt.header.first_usable_lba);
    table->last_usable = le64_get(gpt.header.last_usable_lba);
    table->max_entries = le32_get(gpt.header.entry_count);
    uint32_t size = le32_get(gpt.header.entry_size);
    for (size_t at = 0; at < gpt.entries_bytes; at += size) {
        const GptEntry *entry = (const GptEntry *)(gpt.entries + at);

        if (!buffer_is_zero(entry->type_guid, sizeof(entry->type_guid))) {
            add_entry(disk, sector_size, at / size + 1, entry, table, entries);
        }
    }
    return true;
}

static const PartitionDriver part_gpt = {
    .name = "gpt",
    .part_co_probe = gpt_co_probe,
    .part_co_read = gpt_co_read,
    .priority = 20,
};
partition_init(part_gpt)
