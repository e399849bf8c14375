/* Writing GUID partition tables. */
#include <zlib.h>

#include "fs/gpt.h"
#include "fs/table-int.h"

enum {
    DEFAULT_ENTRIES = 128,
    MAX_ENTRIES = 16384,
};

/* A table with both its copies. */
typedef struct GptPair {
    Gpt primary;
    uint64_t backup_lba, backup_entries_lba;
} GptPair;

static void gpt_pair_clear(GptPair *pair)
{
    gpt_clear(&pair->primary);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GptPair, gpt_pair_clear)

static uint64_t entry_sectors(const Gpt *gpt, uint32_t sector_size)
{
    return div_round_up(gpt->entries_bytes, sector_size);
}

static GptEntry *entry_at(const Gpt *gpt, unsigned index)
{
    return (GptEntry *)(gpt->entries +
                        (size_t)index * le32_get(gpt->header.entry_size));
}

static bool is_used(const GptEntry *entry)
{
    return !buffer_is_zero(entry->type_guid, sizeof(entry->type_guid));
}

static void random_guid(uint8_t guid[16])
{
    g_autofree char *text = g_uuid_string_random();

    guid_from_string(text, guid);
}

/* text NULL: random */
static bool take_guid(const char *text, uint8_t guid[16], GError **errp)
{
    if (!text) {
        random_guid(guid);
        return true;
    }
    if (!guid_from_string(text, guid)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "'%s' is no GUID", text);
        return false;
    }
    return true;
}

bool coroutine_fn gpt_co_store(BlockBackend *disk, uint32_t sector_size, const Gpt *gpt,
                               uint64_t lba, uint64_t entries_lba, uint64_t other_lba,
                               GError **errp)
{
    size_t bytes = entry_sectors(gpt, sector_size) * sector_size;
    g_autofree uint8_t *entries = g_malloc0(bytes);
    g_autofree uint8_t *sector = g_malloc0(sector_size);
    GptHeader header = gpt->header;

    memcpy(entries, gpt->entries, gpt->entries_bytes);
    header.header_size = le32_make(sizeof(header));
    header.header_crc32 = le32_make(0);
    header.my_lba = le64_make(lba);
    header.alternate_lba = le64_make(other_lba);
    header.entries_lba = le64_make(entries_lba);
    header.entries_crc32 = le32_make(crc32(0, entries, gpt->entries_bytes));
    header.header_crc32 = le32_make(crc32(0, (const uint8_t *)&header, sizeof(header)));
    memcpy(sector, &header, sizeof(header));
    return part_co_write(disk, entries_lba * sector_size, entries, bytes, "GPT entries",
                         errp) &&
           part_co_write(disk, lba * sector_size, sector, sector_size, "GPT header",
                         errp) &&
           part_co_flush(disk, errp);
}

static bool coroutine_fn co_store_backup(BlockBackend *disk, uint32_t sector_size,
                                         const GptPair *pair, GError **errp)
{
    return gpt_co_store(disk, sector_size, &pair->primary, pair->backup_lba,
                        pair->backup_entries_lba, 1, errp);
}

static bool coroutine_fn co_store_primary(BlockBackend *disk, uint32_t sector_size,
                                          const GptPair *pair, GError **errp)
{
    return gpt_co_store(disk, sector_size, &pair->primary, 1,
                        le64_get(pair->primary.header.entries_lba), pair->backup_lba,
                        errp);
}

/* The MBR that keeps others from taking the disk for empty; boot code in it stays. */
static bool coroutine_fn co_store_mbr(BlockBackend *disk, uint32_t sector_size,
                                      GError **errp)
{
    uint64_t last = gpt_last_lba(disk, sector_size);
    MbrSector mbr;

    if (!blk_co_read(disk, 0, sizeof(mbr), &mbr, "master boot record", errp)) {
        return false;
    }
    memset(mbr.reserved, 0, sizeof(mbr) - offsetof(MbrSector, reserved));
    mbr.entries[0] = (MbrEntry){
        .first_chs = {0, 2, 0},
        .type = MBR_TYPE_GPT,
        .last_chs = {0xff, 0xff, 0xff},
        .first_lba = le32_make(1),
        .sectors = le32_make(MIN(last, UINT32_MAX)),
    };
    mbr.signature[0] = 0x55;
    mbr.signature[1] = 0xaa;
    return part_co_write(disk, 0, &mbr, sizeof(mbr), "master boot record", errp) &&
           part_co_flush(disk, errp);
}

static bool coroutine_fn gpt_co_create(BlockBackend *disk, const PartCreate *create,
                                       GError **errp)
{
    g_auto(GptPair) pair = {0};
    Gpt *gpt = &pair.primary;
    unsigned entries = create->entries ?: DEFAULT_ENTRIES;
    uint64_t last = gpt_last_lba(disk, create->sector_size);

    if (entries > MAX_ENTRIES) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "a table of %u entries: expected 1 to %d", entries, MAX_ENTRIES);
        return false;
    }
    gpt->entries_bytes = (size_t)entries * sizeof(GptEntry);
    gpt->entries = g_malloc0(gpt->entries_bytes);
    uint64_t around = entry_sectors(gpt, create->sector_size);
    if (last < 2 * around + 3) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: %" PRIi64 " bytes are too few for a GPT of %u entries",
                    blk_name(disk), blk_length(disk), entries);
        return false;
    }
    memcpy(gpt->header.signature, "EFI PART", 8);
    gpt->header.revision = le32_make(0x00010000);
    gpt->header.first_usable_lba = le64_make(2 + around);
    gpt->header.last_usable_lba = le64_make(last - around - 1);
    gpt->header.entries_lba = le64_make(2);
    gpt->header.entry_count = le32_make(entries);
    gpt->header.entry_size = le32_make(sizeof(GptEntry));
    pair.backup_lba = last;
    pair.backup_entries_lba = last - around;
    return take_guid(create->disk_id, gpt->header.disk_guid, errp) &&
           (!create->force || part_co_wipe(disk, errp)) &&
           co_store_backup(disk, create->sector_size, &pair, errp) &&
           co_store_primary(disk, create->sector_size, &pair, errp) &&
           co_store_mbr(disk, create->sector_size, errp);
}

static bool is_same(const Gpt *a, const Gpt *b)
{
    return !memcmp(a->header.disk_guid, b->header.disk_guid, 16) &&
           a->entries_bytes == b->entries_bytes &&
           le32_get(a->header.entry_size) == le32_get(b->header.entry_size) &&
           !memcmp(a->entries, b->entries, a->entries_bytes);
}

enum { TABLE_SPANS = 4 };

/* What the table itself takes. */
static void find_table_spans(const GptPair *pair, uint32_t sector_size,
                             PartSpan spans[TABLE_SPANS])
{
    uint64_t n = entry_sectors(&pair->primary, sector_size);
    uint64_t entries = le64_get(pair->primary.header.entries_lba);

    spans[0] = (PartSpan){0, 2, 0}; /* the MBR and the primary header */
    spans[1] = (PartSpan){entries, entries + n, 0};
    spans[2] = (PartSpan){pair->backup_entries_lba, pair->backup_entries_lba + n, 0};
    spans[3] = (PartSpan){pair->backup_lba, pair->backup_lba + 1, 0};
}

/* Whether one copy can be written without harm to the other. */
static bool are_apart(const GptPair *pair, uint32_t sector_size)
{
    PartSpan spans[TABLE_SPANS];

    find_table_spans(pair, sector_size, spans);
    for (unsigned i = 0; i < TABLE_SPANS; i++) {
        for (unsigned k = 0; k < i; k++) {
            if (spans[i].start < spans[k].end && spans[k].start < spans[i].end) {
                return false;
            }
        }
    }
    return true;
}

/* Where only one copy is good, no byte of the other is written before that is seen to:
 * by a repair. */
static bool coroutine_fn co_load_pair(BlockBackend *disk, uint32_t sector_size,
                                      GptPair *pair, GError **errp)
{
    g_auto(Gpt) backup = {0};
    GError *error = NULL;

    if (!gpt_co_load(disk, sector_size, 1, &pair->primary, &error) ||
        !gpt_co_load(disk, sector_size, le64_get(pair->primary.header.alternate_lba),
                     &backup, &error)) {
        g_propagate_error(errp, error);
        g_prefix_error(errp,
                       "a damaged table is not changed (part verify -r repairs it): ");
        return false;
    }
    if (!is_same(&pair->primary, &backup)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: the two copies of the GPT differ: they are not changed (part "
                    "verify -r makes the backup like the primary)",
                    blk_name(disk));
        return false;
    }
    pair->backup_lba = le64_get(backup.header.my_lba);
    pair->backup_entries_lba = le64_get(backup.header.entries_lba);
    if (!are_apart(pair, sector_size)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: the two copies of the GPT overlap: they are not changed",
                    blk_name(disk));
        return false;
    }
    return true;
}

static bool coroutine_fn co_store_pair(BlockBackend *disk, uint32_t sector_size,
                                       const GptPair *pair, GError **errp)
{
    return co_store_backup(disk, sector_size, pair, errp) &&
           co_store_primary(disk, sector_size, pair, errp);
}

/* The index of the entry that add is to fill. */
static bool choose_entry(BlockBackend *disk, const Gpt *gpt, const PartAdd *add,
                         unsigned *index, GError **errp)
{
    unsigned count = le32_get(gpt->header.entry_count);

    if (add->number) {
        *index = add->number - 1;
        if (*index >= count) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                        "%s: no partition %u: the table has room for %u",
                        blk_name(disk), add->number, count);
            return false;
        }
        if (is_used(entry_at(gpt, *index))) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                        "%s: there is a partition %u", blk_name(disk), add->number);
            return false;
        }
        return true;
    }
    for (*index = 0; *index < count; ++*index) {
        if (!is_used(entry_at(gpt, *index))) {
            return true;
        }
    }
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                "%s: all %u entries of the table are in use", blk_name(disk), count);
    return false;
}

static bool set_name(GptEntry *entry, const char *name, GError **errp)
{
    glong units = 0;
    g_autofree gunichar2 *text =
        name ? g_utf8_to_utf16(name, -1, NULL, &units, NULL) : NULL;

    if (name && (!text || units > GPT_NAME_UNITS)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s' is no name of at most %d UTF-16 units", name, GPT_NAME_UNITS);
        return false;
    }
    for (glong i = 0; i < units; i++) {
        entry->name[i] = le16_make(text[i]);
    }
    return true;
}

static bool is_guid_free(const Gpt *gpt, const uint8_t guid[16])
{
    for (unsigned i = 0; i < le32_get(gpt->header.entry_count); i++) {
        const GptEntry *entry = entry_at(gpt, i);

        if (is_used(entry) && !memcmp(entry->unique_guid, guid, 16)) {
            return false;
        }
    }
    return true;
}

/* All of an entry but its place. */
static bool fill_entry(const Gpt *gpt, const PartAdd *add, GptEntry *entry,
                       GError **errp)
{
    uint64_t attributes = add->attributes | (add->bootable ? GPT_ATTR_LEGACY_BOOT : 0);

    if (add->kind != PART_PRIMARY) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "a GPT has no extended and no logical partitions");
        return false;
    }
    entry->attributes = le64_make(attributes);
    if (!part_type_parse_gpt(add->type ?: "linux", entry->type_guid, errp) ||
        !set_name(entry, add->name, errp) ||
        !take_guid(add->uuid, entry->unique_guid, errp)) {
        return false;
    }
    if (!is_guid_free(gpt, entry->unique_guid)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "there is a partition of GUID '%s'", add->uuid);
        return false;
    }
    return true;
}

static GArray *find_used(const GptPair *pair, uint32_t sector_size)
{
    const Gpt *gpt = &pair->primary;
    GArray *used = g_array_new(FALSE, FALSE, sizeof(PartSpan));
    PartSpan spans[TABLE_SPANS];

    find_table_spans(pair, sector_size, spans);
    g_array_append_vals(used, spans, TABLE_SPANS);
    for (unsigned i = 0; i < le32_get(gpt->header.entry_count); i++) {
        const GptEntry *entry = entry_at(gpt, i);
        uint64_t first = le64_get(entry->first_lba), last = le64_get(entry->last_lba);
        PartSpan span = {first, last + 1, i + 1};

        if (is_used(entry) && first <= last && last < UINT64_MAX) {
            g_array_append_val(used, span);
        }
    }
    return used;
}

static bool coroutine_fn gpt_co_add(BlockBackend *disk, uint32_t sector_size,
                                    const PartAdd *add, unsigned *number, GError **errp)
{
    g_auto(GptPair) pair = {0};
    GptEntry entry = {0};
    unsigned index;
    PartSpan span;

    if (!co_load_pair(disk, sector_size, &pair, errp) ||
        !choose_entry(disk, &pair.primary, add, &index, errp) ||
        !fill_entry(&pair.primary, add, &entry, errp)) {
        return false;
    }

    const GptHeader *header = &pair.primary.header;
    g_autoptr(GArray) used = find_used(&pair, sector_size);
    uint64_t end =
        MIN(le64_get(header->last_usable_lba), gpt_last_lba(disk, sector_size));
    if (!part_place(disk, sector_size, add, used, le64_get(header->first_usable_lba),
                    end + 1, 0, &span, errp)) {
        return false;
    }
    entry.first_lba = le64_make(span.start);
    entry.last_lba = le64_make(span.end - 1);
    memcpy(entry_at(&pair.primary, index), &entry, sizeof(entry));
    *number = index + 1;
    return co_store_pair(disk, sector_size, &pair, errp);
}

static bool coroutine_fn gpt_co_delete(BlockBackend *disk, uint32_t sector_size,
                                       const unsigned *numbers, unsigned n,
                                       GError **errp)
{
    g_auto(GptPair) pair = {0};

    if (!co_load_pair(disk, sector_size, &pair, errp)) {
        return false;
    }

    const GptHeader *header = &pair.primary.header;
    for (unsigned i = 0; i < n; i++) {
        if (!numbers[i] || numbers[i] > le32_get(header->entry_count) ||
            !is_used(entry_at(&pair.primary, numbers[i] - 1))) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND,
                        "%s: no partition %u; nothing was deleted", blk_name(disk),
                        numbers[i]);
            return false;
        }
    }
    for (unsigned i = 0; i < n; i++) {
        memset(entry_at(&pair.primary, numbers[i] - 1), 0,
               le32_get(header->entry_size));
    }
    return co_store_pair(disk, sector_size, &pair, errp);
}

static void coroutine_fn co_verify_mbr(BlockBackend *disk, uint32_t sector_size,
                                       GPtrArray *findings)
{
    uint32_t expected = MIN(gpt_last_lba(disk, sector_size), UINT32_MAX);
    MbrSector mbr;

    if (blk_co_pread(disk, 0, sizeof(mbr), &mbr) < 0 || !mbr_has_signature(&mbr)) {
        return; /* told by who read the table */
    }
    for (unsigned i = 0; i < MBR_ENTRIES; i++) {
        const MbrEntry *entry = &mbr.entries[i];
        bool is_hybrid = false;

        for (unsigned k = 0; k < MBR_ENTRIES; k++) {
            is_hybrid |= k != i && mbr_entry_used(&mbr.entries[k]);
        }
        if (entry->type != MBR_TYPE_GPT || is_hybrid) {
            continue;
        }
        if (le32_get(entry->first_lba) != 1 || le32_get(entry->sectors) != expected) {
            part_find(findings,
                      "%s: the protective MBR covers %u sectors from sector %u on, "
                      "expected %u from sector 1 on",
                      blk_name(disk), le32_get(entry->sectors),
                      le32_get(entry->first_lba), expected);
        }
    }
}

static void verify_header(BlockBackend *disk, uint32_t sector_size, const Gpt *gpt,
                          GPtrArray *findings)
{
    uint64_t first = le64_get(gpt->header.first_usable_lba);
    uint64_t last = le64_get(gpt->header.last_usable_lba);
    uint64_t entries = entry_sectors(gpt, sector_size);
    uint64_t end = gpt_last_lba(disk, sector_size);

    if (first > last || first < le64_get(gpt->header.entries_lba) + entries ||
        last >= end || end - last <= entries) {
        part_find(findings,
                  "%s: sectors that may be used are %" PRIu64 " to %" PRIu64
                  ", which is not between the two copies of the GPT",
                  blk_name(disk), first, last);
    }
}

static void verify_entries(BlockBackend *disk, const Gpt *gpt, GPtrArray *findings)
{
    g_autoptr(GHashTable) guids =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    uint64_t first = le64_get(gpt->header.first_usable_lba);
    uint64_t last = le64_get(gpt->header.last_usable_lba);

    for (unsigned i = 0; i < le32_get(gpt->header.entry_count); i++) {
        const GptEntry *entry = entry_at(gpt, i);

        if (!is_used(entry)) {
            continue;
        }
        if (le64_get(entry->first_lba) < first || le64_get(entry->last_lba) > last) {
            part_find(findings,
                      "%s: partition %u has sectors %" PRIu64 " to %" PRIu64
                      ", which is not within those that may be used, %" PRIu64
                      " to %" PRIu64,
                      blk_name(disk), i + 1, le64_get(entry->first_lba),
                      le64_get(entry->last_lba), first, last);
        }
        char *guid = guid_to_string(entry->unique_guid);
        if (!g_hash_table_add(guids, guid)) {
            part_find(findings, "%s: partition %u has the GUID of another, %s",
                      blk_name(disk), i + 1, guid);
        }
    }
}

static void coroutine_fn gpt_co_verify(BlockBackend *disk, uint32_t sector_size,
                                       GPtrArray *findings)
{
    g_auto(Gpt) gpt = {0};
    g_autoptr(GError) error = NULL;

    co_verify_mbr(disk, sector_size, findings);
    if (gpt_co_load(disk, sector_size, 1, &gpt, &error) ||
        gpt_co_load_backup(disk, sector_size, &gpt, error, NULL)) {
        verify_header(disk, sector_size, &gpt, findings);
        verify_entries(disk, &gpt, findings);
    }
}

/* Whether all partitions are in sectors from first on, before end. */
static bool has_room(const Gpt *gpt, uint64_t first, uint64_t end)
{
    for (unsigned i = 0; i < le32_get(gpt->header.entry_count); i++) {
        const GptEntry *entry = entry_at(gpt, i);

        if (is_used(entry) &&
            (le64_get(entry->first_lba) < first || le64_get(entry->last_lba) >= end)) {
            return false;
        }
    }
    return true;
}

/* What the MBR says apart from the GPT is its owner's. */
static bool coroutine_fn co_repair_mbr(BlockBackend *disk, uint32_t sector_size,
                                       GError **errp)
{
    g_autoptr(GPtrArray) findings = g_ptr_array_new_with_free_func(g_free);
    MbrSector mbr;

    if (!blk_co_read(disk, 0, sizeof(mbr), &mbr, "master boot record", errp)) {
        return false;
    }
    co_verify_mbr(disk, sector_size, findings);
    return (mbr_has_signature(&mbr) && !findings->len) ||
           co_store_mbr(disk, sector_size, errp);
}

static bool coroutine_fn gpt_co_repair(BlockBackend *disk, uint32_t sector_size,
                                       GError **errp)
{
    g_auto(GptPair) pair = {0};
    g_autoptr(GError) primary_error = NULL;
    uint64_t last = gpt_last_lba(disk, sector_size);
    Gpt *gpt = &pair.primary;
    bool has_primary = gpt_co_load(disk, sector_size, 1, gpt, &primary_error);

    if (!has_primary &&
        !gpt_co_load_backup(disk, sector_size, gpt, primary_error, errp)) {
        return false;
    }
    uint64_t around = entry_sectors(gpt, sector_size);
    pair.backup_lba = last;
    pair.backup_entries_lba = last - around;
    if (last < 2 * around + 3 ||
        !has_room(gpt, has_primary ? 0 : 2 + around, pair.backup_entries_lba)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: partitions reach into the first %" PRIu64 " or last %" PRIu64
                    " sectors of the disk, where the copies of the GPT have to be",
                    blk_name(disk), 2 + around, around + 1);
        return false;
    }
    gpt->header.last_usable_lba = le64_make(pair.backup_entries_lba - 1);
    if (has_primary && !are_apart(&pair, sector_size)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: the primary GPT's entries, at LBA %" PRIu64
                    ", are where its backup has to be",
                    blk_name(disk), le64_get(gpt->header.entries_lba));
        return false;
    }
    if (!has_primary) {
        gpt->header.entries_lba = le64_make(2);
        if (le64_get(gpt->header.first_usable_lba) < 2 + around) {
            gpt->header.first_usable_lba = le64_make(2 + around);
        }
        /* The good copy is the backup: the other one comes first. */
        return co_store_primary(disk, sector_size, &pair, errp) &&
               co_store_backup(disk, sector_size, &pair, errp) &&
               co_repair_mbr(disk, sector_size, errp);
    }
    return co_store_pair(disk, sector_size, &pair, errp) &&
           co_repair_mbr(disk, sector_size, errp);
}

const PartWriter gpt_writer = {
    .type = "gpt",
    .create = gpt_co_create,
    .add = gpt_co_add,
    .del = gpt_co_delete,
    .verify = gpt_co_verify,
    .repair = gpt_co_repair,
};
