/* The boot sector, and whether what it describes is there. */
#include "fat.h"

enum {
    BOOT_BYTES = 512,
    BACKUP_SECTOR = 6, /* where everybody puts the copy of FAT32's boot sector */
    LABEL_ROOT_BYTES = 64 * 1024,
    INFO_LEAD = 0x41615252,
    INFO_SIGNATURE = 0x61417272,
};

static const FatBootSector *as_boot(const uint8_t *sector)
{
    return (const FatBootSector *)sector;
}

/* The first entry of a FAT has the media byte, all other bits are set. */
static bool is_fat_head(const FatLayout *geo, uint8_t media, const uint8_t head[4])
{
    return head[0] == media && head[1] == 0xff && (head[2] & 0xf) == 0xf &&
           (geo->bits == 12 ||
            (head[2] == 0xff && (geo->bits == 16 || (head[3] & 0xf) == 0xf)));
}

static bool coroutine_fn co_has_fat_head(BlockBackend *blk, const FatLayout *geo,
                                         uint8_t media, unsigned copy)
{
    uint64_t at = geo->fat_offset + copy * geo->fat_bytes;
    uint8_t head[4];

    return range_fits(at, sizeof(head), blk_length(blk)) &&
           blk_co_pread(blk, at, sizeof(head), head) >= 0 &&
           is_fat_head(geo, media, head);
}

/* Nothing in a boot sector is certain but its numbers, which others may have by chance:
 * a signature, a jump at the start, or a FAT where it says is wanted as well. */
static bool coroutine_fn co_is_fat(BlockBackend *blk, const uint8_t *sector,
                                   FatLayout *geo)
{
    return !ntfs_is_boot_sector(sector) && !exfat_is_boot_sector(sector) &&
           fat_parse_boot_sector(sector, geo) &&
           ((sector[510] == 0x55 && sector[511] == 0xaa) || sector[0] == 0xeb ||
            sector[0] == 0xe9 || co_has_fat_head(blk, geo, as_boot(sector)->media, 0));
}

static bool coroutine_fn co_find_main(BlockBackend *blk, uint8_t *sector,
                                      FatLayout *geo)
{
    return blk_length(blk) >= BOOT_BYTES &&
           blk_co_pread(blk, 0, BOOT_BYTES, sector) >= 0 && co_is_fat(blk, sector, geo);
}

static bool coroutine_fn co_find_backup(BlockBackend *blk, uint8_t *sector,
                                        FatLayout *geo)
{
    for (uint32_t bytes = 512; bytes <= 4096; bytes *= 2) {
        uint64_t at = bytes * BACKUP_SECTOR;

        if (range_fits(at, BOOT_BYTES, blk_length(blk)) &&
            blk_co_pread(blk, at, BOOT_BYTES, sector) >= 0 &&
            co_is_fat(blk, sector, geo) && geo->bits == 32 &&
            geo->sector_bytes == bytes &&
            le16_get(as_boot(sector)->fat32.backup_sector) == BACKUP_SECTOR &&
            co_has_fat_head(blk, geo, as_boot(sector)->media, 0)) {
            return true;
        }
    }
    return false;
}

/* The label is a file of that kind in the root directory; else that of the boot
 * sector. */
static char *coroutine_fn co_label(BlockBackend *blk, const FatLayout *geo,
                                   const FatBootSector *boot)
{
    const uint8_t *label = geo->bits == 32 ? boot->fat32.label : boot->fat16.label;
    const uint8_t signature =
        geo->bits == 32 ? boot->fat32.ext_signature : boot->fat16.ext_signature;
    const uint32_t root_cluster = le32_get(boot->fat32.root_cluster);
    uint64_t at = geo->root_offset;
    uint64_t bytes = geo->root_bytes;

    if (geo->bits == 32) {
        at = geo->data_offset +
             (MAX(root_cluster, FAT_FIRST_CLUSTER) - FAT_FIRST_CLUSTER) *
                 (uint64_t)geo->cluster_bytes;
        bytes = geo->cluster_bytes;
    }
    bytes = MIN(bytes, LABEL_ROOT_BYTES);

    g_autofree uint8_t *root = g_malloc(bytes);

    if (!range_fits(at, bytes, blk_length(blk)) ||
        blk_co_pread(blk, at, bytes, root) < 0) {
        bytes = 0;
    }
    for (uint64_t i = 0; i + FAT_ENTRY_BYTES <= bytes && root[i];
         i += FAT_ENTRY_BYTES) {
        const FatDirEntry *entry = (const FatDirEntry *)(root + i);

        if (entry->name[0] != FAT_NAME_FREE &&
            (entry->attributes & FAT_ATTR_VOLUME_LABEL) &&
            !fat_entry_is_long_name(entry)) {
            return fat_label(fat_codepage_current(), entry->name);
        }
    }
    return (signature == 0x28 || signature == 0x29) && memcmp(label, "NO NAME    ", 11)
               ? fat_label(fat_codepage_current(), label)
               : NULL;
}

static void coroutine_fn co_identify(BlockBackend *blk, const uint8_t *sector,
                                     const FatLayout *geo, FsIdent *ident)
{
    const FatBootSector *boot = as_boot(sector);
    uint32_t serial =
        le32_get(geo->bits == 32 ? boot->fat32.serial : boot->fat16.serial);

    ident->type = "vfat";
    ident->size = geo->total_bytes;
    ident->uuid =
        serial ? g_strdup_printf("%04X-%04X", serial >> 16, serial & 0xffff) : NULL;
    ident->label = co_label(blk, geo, boot);
}

typedef bool coroutine_fn FindFunc(BlockBackend *blk, uint8_t *sector, FatLayout *geo);

static bool coroutine_fn co_probe(BlockBackend *blk, FindFunc *co_find, FsIdent *ident)
{
    uint8_t sector[BOOT_BYTES];
    FatLayout geo;

    if (!co_find(blk, sector, &geo)) {
        return false;
    }
    co_identify(blk, sector, &geo, ident);
    return true;
}

bool coroutine_fn fat_co_probe(BlockBackend *blk, FsIdent *ident)
{
    return co_probe(blk, co_find_main, ident);
}

bool coroutine_fn fat_co_probe_backup(BlockBackend *blk, FsIdent *ident)
{
    return co_probe(blk, co_find_backup, ident);
}

/* Which FAT to read. */
static void coroutine_fn co_choose_fat(FatState *s, const FatBootSector *boot)
{
    const FatLayout *geo = &s->geo;
    uint16_t flags = geo->bits == 32 ? le16_get(boot->fat32.flags) : 0;

    s->fat_mirrored = !(flags & FAT_MIRROR_OFF);
    if (!s->fat_mirrored) {
        s->fat_first = flags & FAT_ACTIVE_MASK;
        if (s->fat_first >= geo->fat_count) {
            fat_warn(s, 0,
                     "FAT %u is said to be current, but there are only %u; "
                     "the first is used",
                     s->fat_first, geo->fat_count);
            s->fat_first = 0;
        }
        return;
    }
    for (unsigned i = 0; i < geo->fat_count; i++) {
        if (co_has_fat_head(s->fs->blk, geo, boot->media, i)) {
            s->fat_first = i;
            if (i) {
                fat_warn(s, geo->fat_offset,
                         "the FAT does not begin with the media byte 0x%02x; "
                         "copy %u of it is used",
                         boot->media, i);
            }
            return;
        }
    }
    fat_warn(s, geo->fat_offset, "no FAT begins with the media byte 0x%02x",
             boot->media);
}

static void coroutine_fn co_check_info(FatState *s, const FatBootSector *boot)
{
    uint16_t sector = le16_get(boot->fat32.info_sector);
    uint64_t at = (uint64_t)sector * s->geo.sector_bytes;
    FatInfoSector info;

    if (s->geo.bits != 32 || !sector || sector == 0xffff) {
        return;
    }
    if (at >= s->geo.fat_offset ||
        blk_co_pread(s->fs->blk, at, sizeof(info), &info) < 0) {
        fat_warn(s, at, "the FSInfo sector cannot be read");
        return;
    }
    if (le32_get(info.lead_signature) != INFO_LEAD ||
        le32_get(info.info_signature) != INFO_SIGNATURE) {
        fat_warn(s, at,
                 "the FSInfo sector has signatures 0x%08x and 0x%08x, expected "
                 "0x%08x and 0x%08x",
                 le32_get(info.lead_signature), le32_get(info.info_signature),
                 INFO_LEAD, INFO_SIGNATURE);
        return;
    }

    uint32_t free_clusters = le32_get(info.free_clusters);

    if (free_clusters != UINT32_MAX && free_clusters > s->geo.clusters) {
        fat_warn(s, at,
                 "the FSInfo sector tells of %u free clusters, but there are only "
                 "%" PRIu64,
                 free_clusters, s->geo.clusters);
    }
}

/* Two bits of the FAT's second entry, which are set if all was well, and a byte of the
 * boot sector, which is not. */
static void coroutine_fn co_check_state(FatState *s, const FatBootSector *boot)
{
    uint32_t clean = s->geo.bits == 32 ? 1 << 27 : 1 << 15;
    uint32_t intact = s->geo.bits == 32 ? 1 << 26 : 1 << 14;
    uint8_t state = s->geo.bits == 32 ? boot->fat32.reserved1 : boot->fat16.reserved;
    uint32_t value = clean | intact;

    if (s->geo.bits != 12 && !fat_table_co_get(s, 1, &value, NULL)) {
        value = clean | intact;
    }
    if (!(value & clean) || (state & FAT_STATE_DIRTY)) {
        fat_warn(s, s->geo.fat_offset,
                 "the filesystem was not unmounted; what was being written may be "
                 "incomplete");
    }
    if (!(value & intact)) {
        fat_warn(s, s->geo.fat_offset,
                 "the filesystem is marked as having read errors");
    }
}

bool coroutine_fn fat_super_co_load(FatState *s, bool from_backup, GError **errp)
{
    BlockBackend *blk = s->fs->blk;
    uint8_t sector[BOOT_BYTES];
    const FatBootSector *boot = as_boot(sector);

    if (from_backup ? !co_find_backup(blk, sector, &s->geo)
                    : !co_find_main(blk, sector, &s->geo)) {
        fat_error(s, errp, EMBR_ERROR_CORRUPT, 0, "the boot sector cannot be read");
        return false;
    }
    if (from_backup) {
        fat_warn(s, 0, "the boot sector is damaged; its copy is used");
    }
    s->root_cluster = s->geo.bits == 32 ? le32_get(boot->fat32.root_cluster) : 0;
    if (s->geo.bits == 32 && !fat_is_cluster(s, s->root_cluster)) {
        fat_error(s, errp, EMBR_ERROR_CORRUPT, 0,
                  "the root directory is at cluster 0x%x, expected 2 to 0x%" PRIx64,
                  s->root_cluster, s->geo.clusters + 1);
        return false;
    }
    if (!fat_codepage_current()->is_known) {
        fat_warn(s, 0,
                 "code page %u is not known here; short names are shown without what is "
                 "not ASCII",
                 fat_codepage_current()->number);
    }

    co_choose_fat(s, boot);
    fat_state_init(s);
    co_check_info(s, boot);
    co_check_state(s, boot);
    return true;
}
