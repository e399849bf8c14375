/* The boot region, and the root's entries that are no files. */
#include "exfat.h"

enum {
    LABEL_BYTES = 256 * 1024, /* of the root, in which the label is looked for */
    LABEL_CLUSTERS = 256,
    REVISION_MAJOR = 1,
};

typedef struct Boot {
    ExfatBootSector sector;
    FatLayout geo;
    uint32_t root_cluster;
} Boot;

uint32_t exfat_boot_checksum(uint32_t sum, const uint8_t *sector, uint32_t bytes,
                             bool is_first)
{
    for (uint32_t i = 0; i < bytes; i++) {
        bool changes = i == offsetof(ExfatBootSector, volume_flags) ||
                       i == offsetof(ExfatBootSector, volume_flags) + 1 ||
                       i == offsetof(ExfatBootSector, percent_in_use);

        if (!is_first || !changes) {
            sum = (sum >> 1 | sum << 31) + sector[i];
        }
    }
    return sum;
}

bool exfat_parse_boot_sector(const uint8_t *sector, FatLayout *geo,
                             uint32_t *root_cluster)
{
    const ExfatBootSector *b = (const ExfatBootSector *)sector;

    if (!exfat_is_boot_sector(sector) || le16_get(b->revision) >> 8 != REVISION_MAJOR) {
        return false;
    }

    uint64_t sectors = le64_get(b->volume_sectors);
    uint64_t fat = le32_get(b->fat_sector), fat_sectors = le32_get(b->fat_sectors);
    uint64_t heap = le32_get(b->heap_sector), clusters = le32_get(b->clusters);
    uint64_t fat_bytes = fat_sectors << b->sector_shift;
    uint32_t root = le32_get(b->root_cluster);

    if (sectors > (uint64_t)INT64_MAX >> b->sector_shift ||
        fat < EXFAT_FAT_SECTOR_MIN || !b->fat_count || b->fat_count > 2 ||
        heap < fat + fat_sectors * b->fat_count || heap > sectors || !clusters ||
        clusters > EXFAT_CLUSTERS_MAX ||
        clusters > (sectors - heap) >> b->cluster_shift ||
        (clusters + FAT_FIRST_CLUSTER) * 4 > fat_bytes || root < FAT_FIRST_CLUSTER ||
        root - FAT_FIRST_CLUSTER >= clusters) {
        return false;
    }
    *geo = (FatLayout){
        .bits = 32,
        .is_exfat = true,
        .sector_bytes = UINT32_C(1) << b->sector_shift,
        .cluster_bytes = UINT32_C(1) << (b->sector_shift + b->cluster_shift),
        .fat_offset = fat << b->sector_shift,
        .fat_bytes = fat_bytes,
        .fat_count = b->fat_count,
        .data_offset = heap << b->sector_shift,
        .clusters = clusters,
        .total_bytes = sectors << b->sector_shift,
    };
    *root_cluster = root;
    return true;
}

static bool coroutine_fn co_read_boot(BlockBackend *blk, uint64_t at, Boot *boot)
{
    return range_fits(at, sizeof(boot->sector), blk_length(blk)) &&
           blk_co_pread(blk, at, sizeof(boot->sector), &boot->sector) >= 0 &&
           exfat_parse_boot_sector((const uint8_t *)&boot->sector, &boot->geo,
                                   &boot->root_cluster);
}

/* Whether the region at offset at, of sectors of that size, has the right checksum. */
static bool coroutine_fn co_is_region_whole(BlockBackend *blk, uint64_t at,
                                            uint32_t sector_bytes)
{
    uint32_t bytes = EXFAT_BOOT_SECTORS * sector_bytes;
    uint32_t summed = bytes - sector_bytes;
    g_autofree uint8_t *region = g_malloc(bytes);

    if (!range_fits(at, bytes, blk_length(blk)) ||
        blk_co_pread(blk, at, bytes, region) < 0) {
        return false;
    }

    uint32_t sum = exfat_boot_checksum(0, region, sector_bytes, true);

    sum = exfat_boot_checksum(sum, region + sector_bytes, summed - sector_bytes, false);
    for (uint32_t i = summed; i < bytes; i += 4) {
        if (le32_load(region + i) != sum) {
            return false;
        }
    }
    return true;
}

static bool coroutine_fn co_find_backup(BlockBackend *blk, Boot *boot)
{
    for (unsigned shift = EXFAT_SECTOR_SHIFT_MIN; shift <= EXFAT_SECTOR_SHIFT_MAX;
         shift++) {
        uint64_t at = (uint64_t)EXFAT_BOOT_SECTORS << shift;

        if (co_read_boot(blk, at, boot) && boot->sector.sector_shift == shift &&
            co_is_region_whole(blk, at, UINT32_C(1) << shift)) {
            return true;
        }
    }
    return false;
}

static char *label_of(const ExfatLabelEntry *entry)
{
    GString *text = g_string_new(NULL);
    gunichar2 units[EXFAT_LABEL_UNITS_MAX];
    unsigned count = MIN(entry->units_count, EXFAT_LABEL_UNITS_MAX);

    for (unsigned i = 0; i < count; i++) {
        units[i] = le16_get(entry->units[i]);
    }
    fat_append_units(units, count, text);
    return g_string_free(text, !text->len);
}

/* The label is an entry of the root, usually the first. */
static char *coroutine_fn co_label(BlockBackend *blk, const Boot *boot)
{
    const FatLayout *geo = &boot->geo;
    uint32_t bytes = MIN(geo->cluster_bytes, LABEL_BYTES);
    g_autofree uint8_t *data = g_malloc(bytes);
    uint32_t cluster = boot->root_cluster;

    for (unsigned i = 0; i < LABEL_CLUSTERS && (uint64_t)i * bytes < LABEL_BYTES; i++) {
        uint64_t index = cluster - FAT_FIRST_CLUSTER;
        le32_t next;

        if (cluster < FAT_FIRST_CLUSTER || index >= geo->clusters ||
            blk_co_pread(blk, geo->data_offset + index * geo->cluster_bytes, bytes,
                         data) < 0) {
            return NULL;
        }
        for (uint32_t at = 0; at < bytes; at += EXFAT_ENTRY_BYTES) {
            if (!data[at]) {
                return NULL;
            }
            if (data[at] == EXFAT_ENTRY_LABEL) {
                return label_of((const ExfatLabelEntry *)(data + at));
            }
        }
        if (blk_co_pread(blk, geo->fat_offset + cluster * UINT64_C(4), sizeof(next),
                         &next) < 0) {
            return NULL;
        }
        cluster = le32_get(next);
    }
    return NULL;
}

static void coroutine_fn co_identify(BlockBackend *blk, const Boot *boot,
                                     FsIdent *ident)
{
    uint32_t serial = le32_get(boot->sector.serial);

    ident->type = "exfat";
    ident->size = boot->geo.total_bytes;
    ident->uuid =
        serial ? g_strdup_printf("%04X-%04X", serial >> 16, serial & 0xffff) : NULL;
    ident->label = co_label(blk, boot);
}

bool coroutine_fn exfat_co_probe(BlockBackend *blk, FsIdent *ident)
{
    Boot boot;

    if (!co_read_boot(blk, 0, &boot)) {
        return false;
    }
    co_identify(blk, &boot, ident);
    return true;
}

bool coroutine_fn exfat_co_probe_backup(BlockBackend *blk, FsIdent *ident)
{
    Boot boot;

    if (!co_find_backup(blk, &boot)) {
        return false;
    }
    co_identify(blk, &boot, ident);
    return true;
}

/* The boot sector to go by: the first, unless its copy is better. */
static bool coroutine_fn co_choose_boot(ExfatState *s, bool from_backup, Boot *boot)
{
    BlockBackend *blk = s->fat.fs->blk;
    Boot copy;

    if (from_backup) {
        fat_warn(&s->fat, 0, "the boot sector is damaged; its copy is used");
        return co_find_backup(blk, boot);
    }
    if (!co_read_boot(blk, 0, boot)) {
        return false;
    }
    if (co_is_region_whole(blk, 0, boot->geo.sector_bytes)) {
        return true;
    }
    if (co_find_backup(blk, &copy)) {
        fat_warn(&s->fat, 0, "the boot region's checksum is wrong; its copy is used");
        *boot = copy;
        return true;
    }
    fat_warn(&s->fat, 0,
             "the checksums of the boot region and of its copy are wrong; it is used "
             "as it is");
    return true;
}

static void warn_of_flags(ExfatState *s, uint16_t flags)
{
    if (flags & EXFAT_VOLUME_DIRTY) {
        fat_warn(&s->fat, 0,
                 "the filesystem was not unmounted; what was being written may be "
                 "incomplete");
    }
    if (flags & EXFAT_MEDIA_FAILURE) {
        fat_warn(&s->fat, 0, "the filesystem is marked as having had media failures");
    }
}

/* What is looked for in the root. */
typedef struct RootEntries {
    uint8_t bitmap_flags;                  /* of the one wanted */
    uint64_t bitmap_offset, upcase_offset; /* 0: not found */
    ExfatTableEntry bitmap, upcase;
} RootEntries;

static FatScanNext look_for_tables(const uint8_t *entry, uint64_t offset, void *opaque)
{
    const ExfatTableEntry *table = (const ExfatTableEntry *)entry;
    RootEntries *r = opaque;

    if (table->type == EXFAT_ENTRY_BITMAP && !r->bitmap_offset &&
        (table->flags & EXFAT_BITMAP_SECOND) == r->bitmap_flags) {
        r->bitmap = *table;
        r->bitmap_offset = offset;
    } else if (table->type == EXFAT_ENTRY_UPCASE && !r->upcase_offset) {
        r->upcase = *table;
        r->upcase_offset = offset;
    }
    return r->bitmap_offset && r->upcase_offset ? FAT_SCAN_STOP_BEFORE : FAT_SCAN_GO_ON;
}

static void coroutine_fn co_load_tables(ExfatState *s)
{
    g_autoptr(FatNode) root = fat_node_co_get(&s->fat, FAT_ROOT_INO, NULL);
    RootEntries entries = {.bitmap_flags = s->fat.fat_first ? EXFAT_BITMAP_SECOND : 0};
    g_auto(FatScan) scan = {
        .s = &s->fat, .dir = root, .found = look_for_tables, .opaque = &entries};

    while (!scan.ended && !scan.stopped) {
        uint64_t from = scan.pos;

        if (!fat_scan_co_part(&scan, NULL) && scan.pos == from) {
            break;
        }
    }
    if (entries.bitmap_offset) {
        exfat_bitmap_set_up(s, &entries.bitmap, entries.bitmap_offset);
    } else {
        fat_warn(&s->fat, 0,
                 "the root has no allocation bitmap; what is free is not known");
    }
    if (entries.upcase_offset) {
        exfat_upcase_co_load(s, &entries.upcase, entries.upcase_offset);
    } else {
        fat_warn(&s->fat, 0,
                 "the root has no up-case table; hashes of names are not verified");
    }
}

bool coroutine_fn exfat_super_co_load(ExfatState *s, bool from_backup, GError **errp)
{
    Boot boot;

    if (!co_choose_boot(s, from_backup, &boot)) {
        fat_error(&s->fat, errp, EMBR_ERROR_CORRUPT, 0,
                  "the boot sector cannot be read");
        return false;
    }

    uint16_t flags = le16_get(boot.sector.volume_flags);

    s->fat.geo = boot.geo;
    s->fat.root_cluster = boot.root_cluster;
    s->fat.fat_mirrored = false;
    s->fat.fat_first = boot.geo.fat_count == 2 && (flags & EXFAT_ACTIVE_FAT);
    fat_state_init(&s->fat);
    warn_of_flags(s, flags);
    co_load_tables(s);
    return true;
}
