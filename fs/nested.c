/* Tables within volumes, as disks of machines have that are kept in a partition or on a logical
 * volume: their partitions are volumes too, with the numbers behind all others. */
#include "fs/partition.h"
#include "fs/table.h"
#include "qapi-types.h"

enum {
    DEPTH_MAX = 4,              /* tables within each other, the disk's included */
    NESTED_MAX = 1024,          /* partitions */
};

typedef struct Nesting {
    BlockBackend *disk;
    VolumeTable *table;
    GPtrArray *found;           /* of Volume *, which the table takes */
    unsigned number;            /* of the last partition */
} Nesting;

/* Where the volume is on the disk, if that is in one piece. */
static bool is_one_piece(const Volume *volume)
{
    return !volume->map || (disk_map_areas(volume->map) == 1 &&
                            disk_map_area(volume->map, 0).length == volume->info->size);
}

static bool may_hold_table(const Volume *volume)
{
    return !volume->fs_driver && !volume->holds_others && !volume->info->problem &&
           blk_length(volume->blk);
}

/* A partition as its table tells it becomes one of the disk's.  False: it is none. */
static bool adopt(Nesting *n, const Volume *parent, Volume *volume)
{
    VolumeInfo *info = volume->info;
    const char *wrong = NULL;

    if (info->size == parent->info->size) {
        wrong = "is all of it";
    } else if (n->found->len >= NESTED_MAX) {
        wrong = "is one too many";
    }
    if (wrong) {
        volume_table_warn(n->table,
                          "%s: %s: partition %u of the table in it (offset 0x%" PRIx64
                          ", %" PRIu64 " bytes) %s; it is left out",
                          blk_name(n->disk), parent->info->path, info->number,
                          info->offset, info->size, wrong);
        return false;
    }
    info->number = ++n->number;
    g_free(info->path);
    info->path = g_strdup_printf("/p%u", info->number);
    info->offset += parent->info->offset;
    volume->has_dependents = parent->has_dependents;
    return true;
}

/* The first sector of a partition may have a table of old: the boot record of an extended
 * partition that was there, say.  It tells of more than there is. */
static bool is_current(const VolumeTable *inner, const Volume *parent)
{
    for (guint i = 0; i < inner->volumes->len; i++) {
        const VolumeInfo *info = ((Volume *)g_ptr_array_index(inner->volumes, i))->info;

        if (!range_fits(info->offset, info->size, parent->info->size)) {
            return false;
        }
    }
    return true;
}

static void coroutine_fn co_look_into(Nesting *n, Volume *parent, unsigned depth);

static void coroutine_fn co_take(Nesting *n, Volume *parent, VolumeTable *inner,
                                 unsigned depth)
{
    guint first = n->found->len;

    for (guint i = 0; i < inner->warnings->len; i++) {
        volume_table_warn(n->table, "%s: %s", parent->info->path,
                          (const char *)g_ptr_array_index(inner->warnings, i));
    }
    while (inner->volumes->len) {
        if (adopt(n, parent, g_ptr_array_index(inner->volumes, 0))) {
            g_ptr_array_add(n->found, g_ptr_array_steal_index(inner->volumes, 0));
        } else {
            g_ptr_array_remove_index(inner->volumes, 0);
        }
    }
    parent->holds_others = n->found->len > first;
    for (guint i = first, end = n->found->len; i < end; i++) {
        Volume *volume = g_ptr_array_index(n->found, i);

        if (!volume->holds_others) {
            volume_co_recognise(volume);
            co_look_into(n, volume, depth + 1);
        }
    }
}

/* Once there are too many, which was a warning, nothing more is looked into. */
static void coroutine_fn co_look_into(Nesting *n, Volume *parent, unsigned depth)
{
    g_autoptr(GError) error = NULL;
    uint32_t sector_size;

    if (n->found->len >= NESTED_MAX || !may_hold_table(parent) ||
        !partition_co_find(parent->blk, &sector_size)) {
        return;
    }
    if (depth >= DEPTH_MAX || !is_one_piece(parent)) {
        volume_table_warn(n->table, "%s: %s holds a partition table, which is %s",
                          blk_name(n->disk), parent->info->path,
                          depth >= DEPTH_MAX ? "nested too deeply, and not read"
                                             : "in several pieces, and not read");
        return;
    }

    g_autoptr(VolumeTable) inner = part_table_co_read(parent->blk, &error);
    if (inner && is_current(inner, parent)) {
        co_take(n, parent, inner, depth);
    } else if (!inner) {
        volume_table_warn(n->table, "%s: %s", parent->info->path, error->message);
    }
}

void coroutine_fn volume_table_co_add_nested(BlockBackend *disk, VolumeTable *table,
                                             guint first, guint before)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    Nesting n = {.disk = disk, .table = table, .found = found};

    for (guint i = 0; i < table->volumes->len; i++) {
        const Volume *volume = g_ptr_array_index(table->volumes, i);

        n.number = MAX(n.number, volume->info->number);
    }
    for (guint i = first; i < table->volumes->len; i++) {
        co_look_into(&n, g_ptr_array_index(table->volumes, i), 1);
    }
    for (guint i = 0; i < found->len; i++) {
        g_ptr_array_insert(table->volumes, (gint)(before + i),
                           g_ptr_array_index(found, i));
    }
}
