/* The partition drivers' registry, and the table of a disk's volumes. */
#include "fs/lvm/lvm.h"
#include "fs/partition.h"
#include "fs/table.h"
#include "qapi-types.h"

enum { VOLUME_WARNINGS_MAX = 100 };

static GPtrArray *drivers;      /* of const PartitionDriver *, first to be asked first */

static gint compare_drivers(gconstpointer a, gconstpointer b)
{
    const PartitionDriver *da = *(const PartitionDriver *const *)a;
    const PartitionDriver *db = *(const PartitionDriver *const *)b;

    if (da->priority != db->priority) {
        return da->priority > db->priority ? -1 : 1;
    }
    return strcmp(da->name, db->name);
}

void partition_register(const PartitionDriver *drv)
{
    if (!drivers) {
        drivers = g_ptr_array_new();
    }
    g_ptr_array_add(drivers, (gpointer)drv);
    g_ptr_array_sort(drivers, compare_drivers);
}

const PartitionDriver *coroutine_fn partition_co_find(BlockBackend *disk,
                                                      uint32_t *sector_size)
{
    static const uint32_t candidates[] = { 512, 4096 };

    for (guint i = 0; drivers && i < drivers->len; i++) {
        const PartitionDriver *drv = g_ptr_array_index(drivers, i);

        for (guint k = 0; k < G_N_ELEMENTS(candidates); k++) {
            if (drv->part_co_probe(disk, candidates[k])) {
                *sector_size = candidates[k];
                return drv;
            }
        }
    }
    return NULL;
}

char *guid_to_string(const uint8_t guid[16])
{
    return g_strdup_printf("%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                           le32_load(guid), le16_load(guid + 4), le16_load(guid + 6),
                           guid[8], guid[9], guid[10], guid[11], guid[12], guid[13],
                           guid[14], guid[15]);
}

bool guid_from_string(const char *text, uint8_t guid[16])
{
    uint8_t bytes[16];

    if (!g_uuid_string_is_valid(text)) {
        return false;
    }
    for (unsigned i = 0; i < 16; i++) {
        text += *text == '-';
        bytes[i] = g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]);
        text += 2;
    }
    le32_store(guid, be32_load(bytes));
    le16_store(guid + 4, be16_load(bytes + 4));
    le16_store(guid + 6, be16_load(bytes + 6));
    memcpy(guid + 8, bytes + 8, 8);
    return true;
}

void volume_table_warn(VolumeTable *table, const char *format, ...)
{
    if (table->warnings->len > VOLUME_WARNINGS_MAX) {
        return;
    }
    if (table->warnings->len == VOLUME_WARNINGS_MAX) {
        g_ptr_array_add(table->warnings,
                        g_strdup_printf("more than %d warnings; the rest are left out",
                                        VOLUME_WARNINGS_MAX));
        return;
    }

    va_list args;
    va_start(args, format);
    g_ptr_array_add(table->warnings, g_strdup_vprintf(format, args));
    va_end(args);
}

static void partition_entry_clear(gpointer data)
{
    PartitionEntry *entry = data;

    g_free(entry->type);
    g_free(entry->type_name);
    g_free(entry->name);
    g_free(entry->uuid);
}

static gint compare_numbers(gconstpointer a, gconstpointer b)
{
    const PartitionEntry *ea = a, *eb = b;

    return (ea->number > eb->number) - (ea->number < eb->number);
}

static gint compare_offsets(gconstpointer a, gconstpointer b)
{
    const PartitionEntry *ea = *(const PartitionEntry *const *)a;
    const PartitionEntry *eb = *(const PartitionEntry *const *)b;

    return (ea->offset > eb->offset) - (ea->offset < eb->offset);
}

/* An extended partition is expected to lie over its logical ones, and one that begins with the
 * table itself, as of hybrid CDs, over all others. */
static void warn_of_overlaps(BlockBackend *disk, VolumeTable *table, const GArray *entries)
{
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();
    const PartitionEntry *widest = NULL;

    for (guint i = 0; i < entries->len; i++) {
        PartitionEntry *entry = &g_array_index(entries, PartitionEntry, i);

        if (!entry->holds_others && entry->offset) {
            g_ptr_array_add(sorted, entry);
        }
    }
    g_ptr_array_sort(sorted, compare_offsets);
    for (guint i = 0; i < sorted->len; i++) {
        const PartitionEntry *entry = g_ptr_array_index(sorted, i);

        if (widest && entry->offset < widest->offset + widest->size) {
            volume_table_warn(table, "%s: partitions %u and %u overlap at offset 0x%" PRIx64,
                              blk_name(disk), widest->number, entry->number,
                              entry->offset);
        }
        if (!widest || entry->offset + entry->size > widest->offset + widest->size) {
            widest = entry;
        }
    }
}

static void warn_if_outside(BlockBackend *disk, VolumeTable *table,
                            const PartitionEntry *entry)
{
    if (!range_fits(entry->offset, entry->size, blk_length(disk))) {
        volume_table_warn(table,
                          "%s: partition %u (offset 0x%" PRIx64 ", %" PRIu64
                          " bytes) reaches past the end of the disk (0x%" PRIx64 ")",
                          blk_name(disk), entry->number, entry->offset, entry->size,
                          blk_length(disk));
    }
}

static void volume_free(gpointer data)
{
    Volume *volume = data;

    volume_info_free(volume->info);
    disk_map_unref(volume->map);
    blk_unref(volume->blk);
    g_free(volume);
}

void coroutine_fn volume_co_recognise(Volume *volume)
{
    g_auto(FsIdent) ident = {0};

    volume->fs_driver = fs_co_probe(volume->blk, &ident);
    if (volume->fs_driver) {
        volume->info->filesystem = g_strdup(ident.type);
        volume->info->label = g_steal_pointer(&ident.label);
        volume->info->uuid = g_steal_pointer(&ident.uuid);
        volume->info->details = g_steal_pointer(&ident.details);
        volume->idle_offset = ident.idle_offset;
        volume->idle_bytes = ident.idle_bytes;
    }
}

static Volume *volume_new(BlockBackend *disk, const PartitionEntry *entry)
{
    Volume *volume = g_new0(Volume, 1);

    volume->info = g_new0(VolumeInfo, 1);
    *volume->info = (VolumeInfo){
        .number = entry->number,
        .path = entry->number ? g_strdup_printf("/p%u", entry->number) : g_strdup("/"),
        .type = g_strdup(entry->type),
        .type_name = g_strdup(entry->type_name),
        .partition_name = g_strdup(entry->name),
        .partition_uuid = g_strdup(entry->uuid),
        .bootable = entry->bootable,
        .offset = entry->offset,
        .size = entry->size,
    };
    volume->blk = blk_new_slice(disk, entry->offset, entry->size);
    volume->attributes = entry->attributes;
    volume->holds_others = entry->holds_others;
    return volume;
}

Volume *coroutine_fn volume_co_new_mapped(BlockBackend *disk, VolumeInfo *info,
                                          DiskMap *map)
{
    g_autofree char *name = g_strdup_printf("%s: %s", blk_name(disk), info->path);
    g_autoptr(DiskMap) pieces = map ? disk_map_ref(map) : disk_map_new();
    g_autoptr(BlockDriverState) bs =
        bdrv_new_mapped(blk_bs(disk), blk_offset(disk), pieces, name);
    Volume *volume = g_new0(Volume, 1);

    volume->info = info;
    volume->blk = blk_new(bs);
    volume->map = g_steal_pointer(&pieces);
    if (map) {
        volume_co_recognise(volume);
    }
    return volume;
}

static VolumeTable *volume_table_new(const char *type, uint32_t sector_size)
{
    VolumeTable *table = g_new0(VolumeTable, 1);

    table->type = type;
    table->sector_size = sector_size;
    table->volumes = g_ptr_array_new_with_free_func(volume_free);
    table->warnings = g_ptr_array_new_with_free_func(g_free);
    return table;
}

VolumeTable *coroutine_fn part_table_co_read(BlockBackend *disk, GError **errp)
{
    uint32_t sector_size;
    const PartitionDriver *drv = partition_co_find(disk, &sector_size);

    if (!drv) {
        return volume_table_new("none", 512);
    }

    g_autoptr(VolumeTable) table = volume_table_new(drv->name, sector_size);
    g_autoptr(GArray) entries = g_array_new(FALSE, FALSE, sizeof(PartitionEntry));
    g_array_set_clear_func(entries, partition_entry_clear);
    if (!drv->part_co_read(disk, sector_size, table, entries, errp)) {
        return NULL;
    }

    g_array_sort(entries, compare_numbers);
    for (guint i = 0; i < entries->len; i++) {
        const PartitionEntry *entry = &g_array_index(entries, PartitionEntry, i);

        g_ptr_array_add(table->volumes, volume_new(disk, entry));
        warn_if_outside(disk, table, entry);
    }
    warn_of_overlaps(disk, table, entries);
    return g_steal_pointer(&table);
}

/* A disk without a table is one volume. */
static void add_whole_disk(BlockBackend *disk, VolumeTable *table)
{
    PartitionEntry whole = { .size = blk_length(disk), .type = (char *)"none" };

    g_ptr_array_add(table->volumes, volume_new(disk, &whole));
}

static bool has_kind(const VolumeTable *table, const FsDriver *drv)
{
    for (guint i = 0; i < table->volumes->len; i++) {
        const Volume *volume = g_ptr_array_index(table->volumes, i);

        if (volume->fs_driver == drv) {
            return true;
        }
    }
    return false;
}

/* A hybrid disk: the table is within a filesystem that spans the whole disk. Its
 * partitions are parts of that, if none of them is meant to be the whole. */
static void coroutine_fn co_add_hybrid(BlockBackend *disk, VolumeTable *table)
{
    g_auto(FsIdent) ident = {0};
    const FsDriver *drv = fs_co_probe(disk, &ident);
    PartitionEntry whole = {.size = blk_length(disk), .type = (char *)"none"};

    if (!drv || !drv->spans_tables || has_kind(table, drv)) {
        return;
    }

    Volume *volume = volume_new(disk, &whole);

    g_free(volume->info->path);
    volume->info->path = g_strdup("/disk");
    volume_co_recognise(volume);
    g_ptr_array_add(table->volumes, volume);
}

VolumeTable *coroutine_fn volume_table_co_open(BlockBackend *disk, GError **errp)
{
    g_autoptr(VolumeTable) table = part_table_co_read(disk, errp);

    if (!table) {
        return NULL;
    }
    if (!strcmp(table->type, "none")) {
        add_whole_disk(disk, table);
    }
    for (guint i = 0; i < table->volumes->len; i++) {
        Volume *volume = g_ptr_array_index(table->volumes, i);

        if (!volume->holds_others) {
            volume_co_recognise(volume);
        }
    }
    co_add_hybrid(disk, table);
    if (strcmp(table->type, "none")) {
        volume_table_co_add_nested(disk, table, 0, table->volumes->len);
    }

    guint partitions = table->volumes->len;
    lvm_co_add_volumes(disk, table);
    volume_table_co_add_nested(disk, table, partitions, partitions);
    return g_steal_pointer(&table);
}

void volume_table_free(VolumeTable *table)
{
    if (table) {
        g_free(table->disk_id);
        g_ptr_array_unref(table->volumes);
        g_ptr_array_unref(table->warnings);
        g_free(table);
    }
}

Volume *volume_table_find(const VolumeTable *table, const char *path, size_t len)
{
    for (guint i = 0; i < table->volumes->len; i++) {
        Volume *volume = g_ptr_array_index(table->volumes, i);

        if (strlen(volume->info->path) == len && !memcmp(volume->info->path, path, len)) {
            return volume;
        }
    }
    return NULL;
}

uint64_t volume_find(const Volume *volume, uint64_t offset, uint64_t bytes,
                     uint64_t *disk_offset)
{
    DiskMapKind kind;

    if (!volume->map) {
        *disk_offset = volume->info->offset + offset;
        return range_fits(offset, bytes, volume->info->size) ? bytes : 0;
    }
    if (!bytes || !range_fits(offset, bytes, disk_map_length(volume->map))) {
        return 0;
    }
    uint64_t n = disk_map_find(volume->map, offset, bytes, &kind, disk_offset);
    return kind == DISK_MAP_DATA ? n : 0;
}
