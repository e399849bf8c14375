/* Writing the partition table of a master boot record, with extended partitions. */
#include "fs/table-int.h"

enum {
    MBR_FIRST_LOGICAL = 5,
    MBR_MAX_LOGICAL = 256,
    MBR_ACTIVE = 0x80,
    MBR_TYPE_EXTENDED = 0x05,
    CHS_HEADS = 255,
    CHS_SECTORS = 63,
    CHS_CYLINDERS = 1024,
};

/* A logical partition, and the boot record that tells of it. */
typedef struct Logical {
    uint64_t ebr;
    uint64_t first, sectors;
    MbrEntry entry; /* type and boot indicator */
} Logical;

typedef struct Mbr {
    BlockBackend *disk;
    uint32_t sector_size;
    MbrSector sector;
    MbrEntry *extended; /* of sector; NULL */
    GArray *logicals;   /* of Logical, in the order of the chain */
} Mbr;

static void mbr_clear(Mbr *mbr)
{
    g_clear_pointer(&mbr->logicals, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Mbr, mbr_clear)

static uint64_t extended_first(const Mbr *mbr)
{
    return le32_get(mbr->extended->first_lba);
}

static uint64_t extended_end(const Mbr *mbr)
{
    return extended_first(mbr) + le32_get(mbr->extended->sectors);
}

static bool refuse_chain(const Mbr *mbr, uint64_t lba, GError **errp)
{
    g_set_error(
        errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
        "%s: the extended boot record at sector %" PRIu64
        " has not at most one partition, behind it and within the extended one, "
        "and one link; such a chain is not changed",
        blk_name(mbr->disk), lba);
    return false;
}

/* The chain of boot records, each with one partition, or none, and a link. */
static bool coroutine_fn co_load_chain(Mbr *mbr, GError **errp)
{
    uint64_t base = extended_first(mbr), lba = base;

    for (unsigned i = 0;; i++) {
        MbrSector ebr;

        if (i >= MBR_MAX_LOGICAL || lba < base || lba >= extended_end(mbr)) {
            return refuse_chain(mbr, lba, errp);
        }
        if (!blk_co_read(mbr->disk, lba * mbr->sector_size, sizeof(ebr), &ebr,
                         "extended boot record", errp)) {
            return false;
        }
        const MbrEntry *part = &ebr.entries[0], *link = &ebr.entries[1];
        if (!mbr_has_signature(&ebr) || mbr_entry_used(&ebr.entries[2]) ||
            mbr_entry_used(&ebr.entries[3]) ||
            (mbr_entry_used(part) && mbr_is_extended(part->type)) ||
            (mbr_entry_used(link) && !mbr_is_extended(link->type))) {
            return refuse_chain(mbr, lba, errp);
        }
        if (mbr_entry_used(part)) {
            Logical logical = {lba, lba + le32_get(part->first_lba),
                               le32_get(part->sectors), *part};

            if (logical.first <= lba ||
                logical.first + logical.sectors > extended_end(mbr)) {
                return refuse_chain(mbr, lba, errp);
            }
            g_array_append_val(mbr->logicals, logical);
        }
        if (!mbr_entry_used(link)) {
            return true;
        }
        lba = base + le32_get(link->first_lba);
    }
}

static bool coroutine_fn co_load(BlockBackend *disk, uint32_t sector_size, Mbr *mbr,
                                 GError **errp)
{
    *mbr = (Mbr){
        .disk = disk,
        .sector_size = sector_size,
        .logicals = g_array_new(FALSE, FALSE, sizeof(Logical)),
    };
    if (!blk_co_read(disk, 0, sizeof(mbr->sector), &mbr->sector, "master boot record",
                     errp)) {
        return false;
    }
    for (unsigned i = 0; i < MBR_ENTRIES; i++) {
        MbrEntry *entry = &mbr->sector.entries[i];

        if (!mbr_entry_used(entry) || !mbr_is_extended(entry->type)) {
            continue;
        }
        if (mbr->extended) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                        "%s: there are several extended partitions: the table is not "
                        "changed",
                        blk_name(disk));
            return false;
        }
        mbr->extended = entry;
    }
    return !mbr->extended || co_load_chain(mbr, errp);
}

/* As cylinders, heads and sectors of a disk that never was. */
static void set_chs(uint8_t chs[3], uint64_t lba)
{
    uint64_t track = lba / CHS_SECTORS, cylinder = track / CHS_HEADS;

    if (cylinder >= CHS_CYLINDERS) {
        memcpy(chs, "\xfe\xff\xff", 3);
        return;
    }
    chs[0] = track % CHS_HEADS;
    chs[1] = (lba % CHS_SECTORS + 1) | (cylinder >> 8) << 6;
    chs[2] = cylinder & 0xff;
}

/* An entry for sectors of the disk; base is what its first counts from. */
static MbrEntry make_entry(const MbrEntry *like, uint64_t first, uint64_t sectors,
                           uint64_t base)
{
    MbrEntry entry = {
        .boot_indicator = like->boot_indicator,
        .type = like->type,
        .first_lba = le32_make(first - base),
        .sectors = le32_make(sectors),
    };

    set_chs(entry.first_chs, first);
    set_chs(entry.last_chs, first + sectors - 1);
    return entry;
}

/* Writes a boot record if it is not there as it should be. */
static bool coroutine_fn co_store_ebr(const Mbr *mbr, uint64_t lba,
                                      const MbrEntry entries[2], GError **errp)
{
    MbrSector old, ebr = {.signature = {0x55, 0xaa}};

    if (!blk_co_read(mbr->disk, lba * mbr->sector_size, sizeof(old), &old,
                     "extended boot record", errp)) {
        return false;
    }
    memcpy(ebr.entries, entries, 2 * sizeof(MbrEntry));
    if (!memcmp(old.entries, ebr.entries, sizeof(ebr.entries)) &&
        mbr_has_signature(&old)) {
        return true;
    }
    return part_co_write(mbr->disk, lba * mbr->sector_size, &ebr, sizeof(ebr),
                         "extended boot record", errp) &&
           part_co_flush(mbr->disk, errp);
}

/* The chain's first boot record is where the extended partition begins, whatever its
 * partition is; those behind stay where they are.  From the last to the first, so that
 * what is linked to is there. */
static bool coroutine_fn co_store_chain(const Mbr *mbr, GError **errp)
{
    static const MbrEntry link_type = {.type = MBR_TYPE_EXTENDED};
    uint64_t base = extended_first(mbr);
    guint n = mbr->logicals->len;

    for (guint i = MAX(n, 1); i-- > 0;) {
        MbrEntry entries[2] = {0};
        uint64_t ebr = base;

        if (i < n) {
            const Logical *l = &g_array_index(mbr->logicals, Logical, i);

            ebr = i ? l->ebr : base;
            entries[0] = make_entry(&l->entry, l->first, l->sectors, ebr);
        }
        if (i + 1 < n) {
            const Logical *next = &g_array_index(mbr->logicals, Logical, i + 1);

            entries[1] = make_entry(&link_type, next->ebr,
                                    next->first + next->sectors - next->ebr, base);
        }
        if (!co_store_ebr(mbr, ebr, entries, errp)) {
            return false;
        }
    }
    return true;
}

static bool coroutine_fn co_store_mbr(const Mbr *mbr, GError **errp)
{
    return part_co_write(mbr->disk, 0, &mbr->sector, sizeof(mbr->sector),
                         "master boot record", errp) &&
           part_co_flush(mbr->disk, errp);
}

static bool coroutine_fn co_store(const Mbr *mbr, GError **errp)
{
    return (!mbr->extended || co_store_chain(mbr, errp)) && co_store_mbr(mbr, errp);
}

static bool read_signature(const char *text, uint32_t *signature, GError **errp)
{
    guint64 value;

    if (!text) {
        *signature = g_random_int_range(1, G_MAXINT32);
        return true;
    }
    const char *digits = g_str_has_prefix(text, "0x") ? text + 2 : text;
    if (!g_ascii_string_to_unsigned(digits, 16, 0, UINT32_MAX, &value, NULL)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s' is no disk ID of 32 bits in hex", text);
        return false;
    }
    *signature = value;
    return true;
}

static bool coroutine_fn mbr_co_create(BlockBackend *disk, const PartCreate *create,
                                       GError **errp)
{
    Mbr mbr = {.disk = disk, .sector_size = create->sector_size};
    uint32_t signature;

    if (create->entries) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "an MBR has %d entries, not %u", MBR_ENTRIES, create->entries);
        return false;
    }
    if (blk_length(disk) < 2 * (int64_t)create->sector_size) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: %" PRIi64 " bytes are too few for a partition table",
                    blk_name(disk), blk_length(disk));
        return false;
    }
    if (!read_signature(create->disk_id, &signature, errp) ||
        (create->force && !part_co_wipe(disk, errp)) ||
        !blk_co_read(disk, 0, sizeof(mbr.sector), &mbr.sector, "master boot record",
                     errp)) {
        return false;
    }
    memset(&mbr.sector.disk_signature, 0,
           sizeof(mbr.sector) - offsetof(MbrSector, disk_signature));
    mbr.sector.disk_signature = le32_make(signature);
    mbr.sector.signature[0] = 0x55;
    mbr.sector.signature[1] = 0xaa;
    return co_store_mbr(&mbr, errp);
}

static bool set_invalid(const Mbr *mbr, GError **errp, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static bool set_invalid(const Mbr *mbr, GError **errp, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *reason = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "%s: %s", blk_name(mbr->disk),
                reason);
    return false;
}

/* What sectors an MBR can tell of. */
static uint64_t last_sector(const Mbr *mbr)
{
    return MIN((uint64_t)blk_length(mbr->disk) / mbr->sector_size,
               (uint64_t)UINT32_MAX + 1);
}

static GArray *find_used(const Mbr *mbr)
{
    GArray *used = g_array_new(FALSE, FALSE, sizeof(PartSpan));

    for (unsigned i = 0; i < MBR_ENTRIES; i++) {
        const MbrEntry *entry = &mbr->sector.entries[i];
        uint64_t first = le32_get(entry->first_lba);
        PartSpan span = {first, first + le32_get(entry->sectors), i + 1};

        if (mbr_entry_used(entry)) {
            g_array_append_val(used, span);
        }
    }
    return used;
}

static bool coroutine_fn add_primary(Mbr *mbr, const PartAdd *add, const MbrEntry *like,
                                     unsigned *number, GError **errp)
{
    g_autoptr(GArray) used = find_used(mbr);
    unsigned slot = 0;
    PartSpan span;

    if (add->number > MBR_ENTRIES) {
        return set_invalid(mbr, errp,
                           "partition %u of an MBR is a logical one (--logical)",
                           add->number);
    }
    if (add->number) {
        slot = add->number - 1;
    } else {
        while (slot < MBR_ENTRIES && mbr_entry_used(&mbr->sector.entries[slot])) {
            slot++;
        }
    }
    if (slot == MBR_ENTRIES) {
        return set_invalid(
            mbr, errp,
            "all %d entries of the MBR are in use; further partitions can "
            "be logical ones in an extended partition",
            MBR_ENTRIES);
    }
    if (mbr_entry_used(&mbr->sector.entries[slot])) {
        return set_invalid(mbr, errp, "there is a partition %u", slot + 1);
    }
    if (mbr_is_extended(like->type) && mbr->extended) {
        return set_invalid(mbr, errp, "there is an extended partition");
    }
    if (!part_place(mbr->disk, mbr->sector_size, add, used, 1, last_sector(mbr), 0,
                    &span, errp)) {
        return false;
    }
    mbr->sector.entries[slot] = make_entry(like, span.start, span.end - span.start, 0);
    if (mbr_is_extended(like->type)) {
        mbr->extended = &mbr->sector.entries[slot];
    }
    *number = slot + 1;
    return true;
}

static bool coroutine_fn add_logical(Mbr *mbr, const PartAdd *add, const MbrEntry *like,
                                     unsigned *number, GError **errp)
{
    g_autoptr(GArray) used = g_array_new(FALSE, FALSE, sizeof(PartSpan));
    guint n = mbr->logicals->len;
    PartSpan span;

    *number = MBR_FIRST_LOGICAL + n;
    if (!mbr->extended) {
        return set_invalid(mbr, errp,
                           "there is no extended partition for a logical one");
    }
    if (add->number && add->number != *number) {
        return set_invalid(mbr, errp, "the next logical partition is number %u, not %u",
                           *number, add->number);
    }
    if (n >= MBR_MAX_LOGICAL || mbr_is_extended(like->type)) {
        return set_invalid(mbr, errp,
                           "no more than %d logical partitions, none of them "
                           "extended",
                           MBR_MAX_LOGICAL);
    }
    uint64_t base = extended_first(mbr);
    PartSpan head = {base, base + 1, 0};
    g_array_append_val(used, head);
    for (guint i = 0; i < n; i++) {
        const Logical *l = &g_array_index(mbr->logicals, Logical, i);
        PartSpan data = {l->first, l->first + l->sectors, MBR_FIRST_LOGICAL + i};
        PartSpan ebr = {l->ebr, l->ebr + 1, 0};

        g_array_append_val(used, data);
        g_array_append_val(used, ebr);
    }
    /* The first one's boot record is there; others need a sector in front of them. */
    if (!part_place(mbr->disk, mbr->sector_size, add, used, base,
                    MIN(extended_end(mbr), last_sector(mbr)), n ? 1 : 0, &span, errp)) {
        return false;
    }
    Logical logical = {n ? span.start - 1 : base, span.start, span.end - span.start,
                       *like};
    g_array_append_val(mbr->logicals, logical);
    return true;
}

/* The type and whether it is to be booted from. */
static bool read_like(const Mbr *mbr, const PartAdd *add, MbrEntry *like, GError **errp)
{
    const char *type = add->type ?: add->kind == PART_EXTENDED ? "extended" : "linux";

    if (add->name || add->uuid || add->attributes) {
        return set_invalid(mbr, errp,
                           "partitions of an MBR have no names, UUIDs and attributes");
    }
    *like = (MbrEntry){.boot_indicator = add->bootable ? MBR_ACTIVE : 0};
    if (!part_type_parse_mbr(type, &like->type, errp)) {
        return false;
    }
    if (add->kind == PART_EXTENDED && !mbr_is_extended(like->type)) {
        return set_invalid(mbr, errp,
                           "an extended partition is of type 0x05, 0x0f or 0x85, "
                           "not 0x%02x",
                           like->type);
    }
    if (!like->type) {
        return set_invalid(mbr, errp, "type 0x00 means that there is no partition");
    }
    return true;
}

static bool coroutine_fn mbr_co_add(BlockBackend *disk, uint32_t sector_size,
                                    const PartAdd *add, unsigned *number, GError **errp)
{
    g_auto(Mbr) mbr = {0};
    MbrEntry like;

    return co_load(disk, sector_size, &mbr, errp) &&
           read_like(&mbr, add, &like, errp) &&
           (add->kind == PART_LOGICAL ? add_logical(&mbr, add, &like, number, errp)
                                      : add_primary(&mbr, add, &like, number, errp)) &&
           co_store(&mbr, errp);
}

static bool has_partition(const Mbr *mbr, unsigned number)
{
    if (number >= MBR_FIRST_LOGICAL) {
        return number - MBR_FIRST_LOGICAL < mbr->logicals->len;
    }
    return number && mbr_entry_used(&mbr->sector.entries[number - 1]);
}

/* Logical partitions go with the extended one only if that is said. */
static bool check_delete(const Mbr *mbr, const unsigned *numbers, unsigned n,
                         GError **errp)
{
    unsigned extended =
        mbr->extended ? (unsigned)(mbr->extended - mbr->sector.entries) + 1 : 0;

    for (unsigned i = 0; i < n; i++) {
        if (!has_partition(mbr, numbers[i])) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND,
                        "%s: no partition %u; nothing was deleted", blk_name(mbr->disk),
                        numbers[i]);
            return false;
        }
    }
    if (!extended || !part_is_listed(extended, numbers, n)) {
        return true;
    }
    for (guint i = 0; i < mbr->logicals->len; i++) {
        if (!part_is_listed(MBR_FIRST_LOGICAL + i, numbers, n)) {
            return set_invalid(mbr, errp,
                               "partition %u holds partition %u, which is not to be "
                               "deleted; nothing was deleted",
                               extended, MBR_FIRST_LOGICAL + i);
        }
    }
    return true;
}

static bool coroutine_fn mbr_co_delete(BlockBackend *disk, uint32_t sector_size,
                                       const unsigned *numbers, unsigned n,
                                       GError **errp)
{
    g_auto(Mbr) mbr = {0};

    if (!co_load(disk, sector_size, &mbr, errp) ||
        !check_delete(&mbr, numbers, n, errp)) {
        return false;
    }
    for (guint i = mbr.logicals->len; i-- > 0;) {
        if (part_is_listed(MBR_FIRST_LOGICAL + i, numbers, n)) {
            g_array_remove_index(mbr.logicals, i);
        }
    }
    for (unsigned i = 0; i < MBR_ENTRIES; i++) {
        MbrEntry *entry = &mbr.sector.entries[i];

        if (part_is_listed(i + 1, numbers, n)) {
            mbr.extended = entry == mbr.extended ? NULL : mbr.extended;
            *entry = (MbrEntry){0};
        }
    }
    return co_store(&mbr, errp);
}

static void coroutine_fn mbr_co_verify(BlockBackend *disk, uint32_t sector_size,
                                       GPtrArray *findings)
{
    g_auto(Mbr) mbr = {0};
    g_autoptr(GError) error = NULL;
    unsigned active = 0;

    if (!co_load(disk, sector_size, &mbr, &error)) {
        part_find(findings, "%s", error->message);
        return;
    }
    for (unsigned i = 0; i < MBR_ENTRIES; i++) {
        const MbrEntry *entry = &mbr.sector.entries[i];

        active += entry->boot_indicator == MBR_ACTIVE;
        if (mbr_entry_used(entry) && !le32_get(entry->first_lba)) {
            part_find(findings,
                      "%s: partition %u begins in sector 0, which has the table",
                      blk_name(disk), i + 1);
        }
        if (mbr.extended && entry != mbr.extended && mbr_entry_used(entry) &&
            le32_get(entry->first_lba) < extended_end(&mbr) &&
            (uint64_t)le32_get(entry->first_lba) + le32_get(entry->sectors) >
                extended_first(&mbr)) {
            part_find(findings, "%s: partition %u overlaps with the extended partition",
                      blk_name(disk), i + 1);
        }
    }
    if (active > 1) {
        part_find(findings,
                  "%s: %u partitions are marked to be booted from, expected one",
                  blk_name(disk), active);
    }
}

const PartWriter mbr_writer = {
    .type = "dos",
    .create = mbr_co_create,
    .add = mbr_co_add,
    .del = mbr_co_delete,
    .verify = mbr_co_verify,
};
