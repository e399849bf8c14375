/* The logical volumes of a disk, from the physical ones that were found on it. */
#include <string.h>

#include "fs/lvm/lvm.h"
#include "fs/partition.h"
#include "qapi-types.h"

enum {
    READ_BYTES_MAX = 128 << 20, /* of metadata that is read, of a disk */
    VALUES_MAX = 1 << 20,       /* in it */
    VOLUMES_MAX = 1 << 16,
};

/* A physical volume on the disk. */
typedef struct FoundPv {
    Volume *volume;
    LvmLabel label;
} FoundPv;

typedef struct Scan {
    BlockBackend *disk;
    VolumeTable *table;
    GHashTable *pvs;    /* UUID -> FoundPv * */
    GHashTable *groups; /* UUID -> LvmGroup *: the newest of each */
    GHashTable *seen;   /* checksum and size (gint64) of texts that were
                           parsed: each physical volume has a copy */
    uint64_t bytes_left;
    unsigned values_left;
} Scan;

/* A group whose volumes are being added. */
typedef struct Builder {
    Scan *scan;
    const LvmGroup *group;
    char *folder;
    GHashTable *pvs;     /* name in the metadata -> LvmValue * */
    GHashTable *stores;  /* names of volumes that hold a snapshot's changes */
    GHashTable *merging; /* names of those that a snapshot is merged into */
    GHashTable *origins; /* names of those that others are made up from */
} Builder;

static void warn(Scan *s, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void warn(Scan *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    volume_table_warn(s->table, "%s", text);
}

/* The newest text of a group is what holds. */
static void add_group(Scan *s, LvmGroup *group)
{
    const LvmGroup *known = g_hash_table_lookup(s->groups, group->uuid);

    if (known && known->seqno != group->seqno) {
        warn(s,
             "%s: volume group %s: its physical volumes have metadata of numbers "
             "%" PRIu64 " and %" PRIu64 ", of which the newer one is used",
             blk_name(s->disk), group->section->name, known->seqno, group->seqno);
    }
    if (known && known->seqno >= group->seqno) {
        lvm_group_free(group);
        return;
    }
    g_hash_table_replace(s->groups, group->uuid, group);
}

/* What is in one area of metadata.  False: it is damaged. */
static bool coroutine_fn co_read_mda(Scan *s, BlockBackend *pv, const LvmMda *mda,
                                     bool ignored, GError **errp)
{
    LvmLocation location;

    if (!lvm_co_read_location(pv, mda, &location, errp)) {
        return false;
    }
    if (!location.size || location.ignored != ignored) {
        return true;
    }
    const int64_t key = (uint64_t)location.checksum << 32 | location.size;
    if (g_hash_table_contains(s->seen, &key)) {
        return true;
    }
    if (location.size > s->bytes_left) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: more than %d bytes of LVM metadata", blk_name(pv),
                    READ_BYTES_MAX);
        return false;
    }
    s->bytes_left -= location.size;
    LvmGroup *group = lvm_co_read_group(pv, mda, &location, &s->values_left, errp);
    if (!group) {
        return false;
    }
    g_hash_table_add(s->seen, g_memdup2(&key, sizeof(key)));
    add_group(s, group);
    return true;
}

/* Each area is a copy: another one is read where one is damaged, and so is each
 * physical volume's, of which a newer one may be. */
static void coroutine_fn co_read_metadata(Scan *s, const FoundPv *pv, bool ignored)
{
    for (unsigned i = 0; i < pv->label.n_mdas; i++) {
        g_autoptr(GError) error = NULL;

        if (!co_read_mda(s, pv->volume->blk, &pv->label.mdas[i], ignored, &error) &&
            !ignored) {
            warn(s, "%s", error->message);
        }
    }
}

static void coroutine_fn co_find_pvs(Scan *s)
{
    for (guint i = 0; i < s->table->volumes->len; i++) {
        Volume *volume = g_ptr_array_index(s->table->volumes, i);
        g_autoptr(GError) error = NULL;
        g_autofree FoundPv *pv = g_new0(FoundPv, 1);

        if (g_strcmp0(volume->info->filesystem, "LVM2_member")) {
            continue;
        }
        pv->volume = volume;
        if (!lvm_co_read_label(volume->blk, &pv->label, &error)) {
            warn(s, "%s", error->message);
        } else if (g_hash_table_contains(s->pvs, pv->label.uuid)) {
            g_autofree char *uuid = lvm_uuid_to_text(pv->label.uuid);

            warn(s,
                 "%s: partition %u is a copy of another physical volume of LVM, %s, "
                 "and is "
                 "left aside",
                 blk_name(s->disk), volume->info->number, uuid);
        } else {
            const FoundPv *found = g_steal_pointer(&pv);

            g_hash_table_insert(s->pvs, (gpointer)found->label.uuid, (gpointer)found);
            co_read_metadata(s, found, false);
        }
    }
}

/* Where nothing else is known of a group: copies that LVM does not keep up to date. */
static void coroutine_fn co_read_ignored(Scan *s)
{
    GHashTableIter iter;
    gpointer pv;

    g_hash_table_iter_init(&iter, s->pvs);
    while (!g_hash_table_size(s->groups) && g_hash_table_iter_next(&iter, NULL, &pv)) {
        co_read_metadata(s, pv, true);
    }
}

static bool find_pv(const char *name, uint64_t *offset, uint64_t *size, void *opaque,
                    GError **errp)
{
    const Builder *b = opaque;
    const LvmValue *described = g_hash_table_lookup(b->pvs, name);
    char uuid[LVM_UUID_CHARS + 1];
    uint64_t sectors;

    if (!described) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "lies on '%s', which is no physical volume", name);
        return false;
    }
    if (!lvm_uuid_from_text(lvm_string(described, "id"), uuid) ||
        !lvm_number(described, "pe_start", 0, INT64_MAX / LVM_SECTOR_BYTES, &sectors)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "lies on '%s', of which the metadata has no UUID or no "
                    "start",
                    name);
        return false;
    }
    const FoundPv *pv = g_hash_table_lookup(b->scan->pvs, uuid);
    if (!pv) {
        g_autofree char *text = lvm_uuid_to_text(uuid);

        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "is incomplete: physical volume %s (%s) is not on this "
                    "disk",
                    name, text);
        return false;
    }
    const VolumeInfo *info = pv->volume->info;
    uint64_t start = sectors * LVM_SECTOR_BYTES;
    if (start > info->size || info->offset > INT64_MAX - info->size) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "lies past the end of physical volume %s", name);
        return false;
    }
    pv->volume->holds_others = true;
    *offset = info->offset + start;
    *size = info->size - start;
    return true;
}

static void take_name(GHashTable *set, const LvmValue *segment, const char *setting)
{
    const char *name = lvm_string(segment, setting);

    if (name) {
        g_hash_table_add(set, (gpointer)name);
    }
}

static bool is_snapshot_segment(const LvmValue *segment)
{
    return segment->kind == LVM_SECTION &&
           !g_strcmp0(lvm_string(segment, "type"), "snapshot");
}

/* Snapshots are told by a hidden volume of their own: what it says of others. */
static void find_dependences(Builder *b, const LvmValue *lv)
{
    for (unsigned i = 0; i < lvm_children(lv); i++) {
        const LvmValue *segment = lvm_child(lv, i);

        if (segment->kind != LVM_SECTION) {
            continue;
        }
        if (is_snapshot_segment(segment)) {
            take_name(b->stores, segment, "cow_store");
            take_name(b->stores, segment, "merging_store");
            take_name(b->origins, segment, "origin");
            if (lvm_string(segment, "merging_store")) {
                take_name(b->merging, segment, "origin");
            }
        }
        take_name(b->origins, segment, "external_origin");
    }
}

/* Where the volume is; NULL, and the reason, if it cannot be read. */
static DiskMap *map_volume(Builder *b, const LvmValue *lv, GError **errp)
{
    if (g_hash_table_contains(b->stores, lv->name)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "is a snapshot, which this version cannot read");
        return NULL;
    }
    if (g_hash_table_contains(b->merging, lv->name)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "is being merged with a snapshot, which this version cannot read");
        return NULL;
    }
    return lvm_map_volume(b->group, lv, find_pv, b, errp);
}

static Volume *coroutine_fn co_new_volume(Builder *b, const LvmValue *lv)
{
    Scan *s = b->scan;
    g_autoptr(GError) problem = NULL;
    g_autofree char *type = g_hash_table_contains(b->stores, lv->name)
                                ? g_strdup("snapshot")
                                : lvm_volume_type(lv);
    g_autofree char *path = g_strdup_printf("/%s/%s", b->folder, lv->name);
    g_autoptr(DiskMap) map = map_volume(b, lv, &problem);
    char uuid[LVM_UUID_CHARS + 1];
    uint64_t size;

    if (!g_uint64_checked_mul(&size, lvm_volume_extents(lv), b->group->extent_bytes) ||
        size > INT64_MAX) {
        size = 0;
    }
    bool has_uuid = lvm_uuid_from_text(lvm_string(lv, "id"), uuid);
    VolumeInfo *info = volume_info_new0();
    *info = (VolumeInfo){
        .path = g_strdup(path),
        .type = g_strdup(type),
        .type_name = g_strdup_printf("LVM %s%s", type, map ? "" : ", not readable"),
        .problem = problem ? g_strdup(problem->message) : NULL,
        .partition_uuid = has_uuid ? lvm_uuid_to_text(uuid) : NULL,
        .partition_name = g_strdup(lv->name),
        .offset = map && disk_map_areas(map) ? disk_map_area(map, 0).disk_offset : 0,
        .size = size,
    };
    if (problem && problem->code != EMBR_ERROR_UNSUPPORTED) {
        warn(s, "%s: %s: it %s", blk_name(s->disk), path, problem->message);
    }
    Volume *volume = volume_co_new_mapped(s->disk, info, map);
    volume->has_dependents = g_hash_table_contains(b->origins, lv->name);
    return volume;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const LvmValue *const *)a)->name,
                  (*(const LvmValue *const *)b)->name);
}

/* A volume that only tells of a snapshot; LVM marks it as visible and does not show it. */
static bool tells_of_snapshot(const LvmValue *lv)
{
    for (unsigned i = 0; i < lvm_children(lv); i++) {
        if (is_snapshot_segment(lvm_child(lv, i))) {
            return true;
        }
    }
    return false;
}

/* LVM shows snapshots, too: by the volume that holds their changes. */
static bool is_visible(const Builder *b, const LvmValue *lv)
{
    return g_hash_table_contains(b->stores, lv->name) ||
           (lvm_list_has(lv, "status", "VISIBLE") && !tells_of_snapshot(lv));
}

/* The volumes that a group shows, in order of name. */
static GPtrArray *visible_volumes(Builder *b)
{
    const LvmValue *lvs = lvm_find(b->group->section, "logical_volumes", LVM_SECTION);
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *visible = g_ptr_array_new();

    for (unsigned i = 0; i < lvm_children(lvs); i++) {
        find_dependences(b, lvm_child(lvs, i));
    }
    for (unsigned i = 0; i < lvm_children(lvs); i++) {
        const LvmValue *lv = lvm_child(lvs, i);

        if (lv->kind != LVM_SECTION || !is_visible(b, lv)) {
            continue;
        }
        if (!lvm_is_name(lv->name) || !g_hash_table_add(names, (gpointer)lv->name)) {
            g_autofree char *name = g_strescape(lv->name, NULL);

            warn(b->scan,
                 "%s: volume group %s: '%s' is no name for another logical volume; it "
                 "is "
                 "left out",
                 blk_name(b->scan->disk), b->folder, name);
            continue;
        }
        g_ptr_array_add(visible, (gpointer)lv);
    }
    g_ptr_array_sort(visible, compare_names);
    return visible;
}

static void coroutine_fn co_add_group(Scan *s, const LvmGroup *group, char *folder)
{
    const LvmValue *pvs = lvm_find(group->section, "physical_volumes", LVM_SECTION);
    Builder b = {
        .scan = s,
        .group = group,
        .folder = folder,
        .pvs = g_hash_table_new(g_str_hash, g_str_equal),
        .stores = g_hash_table_new(g_str_hash, g_str_equal),
        .merging = g_hash_table_new(g_str_hash, g_str_equal),
        .origins = g_hash_table_new(g_str_hash, g_str_equal),
    };

    for (unsigned i = 0; i < lvm_children(pvs); i++) {
        const LvmValue *pv = lvm_child(pvs, i);

        if (pv->kind == LVM_SECTION) {
            g_hash_table_insert(b.pvs, (gpointer)pv->name, (gpointer)pv);
        }
    }
    g_autoptr(GPtrArray) lvs = visible_volumes(&b);
    for (guint i = 0; i < lvs->len; i++) {
        if (s->table->volumes->len >= VOLUMES_MAX) {
            warn(s, "%s: more than %d volumes; the rest are left out",
                 blk_name(s->disk), VOLUMES_MAX);
            break;
        }
        g_ptr_array_add(s->table->volumes,
                        co_new_volume(&b, g_ptr_array_index(lvs, i)));
    }
    g_hash_table_unref(b.pvs);
    g_hash_table_unref(b.stores);
    g_hash_table_unref(b.merging);
    g_hash_table_unref(b.origins);
}

static gint compare_groups(gconstpointer a, gconstpointer b)
{
    const LvmGroup *ga = *(const LvmGroup *const *)a, *gb = *(const LvmGroup *const *)b;
    int order = strcmp(ga->section->name, gb->section->name);

    return order ? order : strcmp(ga->uuid, gb->uuid);
}

/* What is called so, or could be, as partitions and the whole of a hybrid disk are. */
static bool reads_as_volume(const VolumeTable *table, const char *name)
{
    g_autofree char *path = g_strdup_printf("/%s", name);

    return volume_table_find(table, path, strlen(path)) ||
           (name[0] == 'p' && name[1] &&
            strspn(name + 1, "0123456789") == strlen(name + 1));
}

/* Groups may be called what partitions are, or what another group is; no group's name
 * has '@' in it. */
static char *folder_of(const VolumeTable *table, const GPtrArray *groups, guint i)
{
    const LvmGroup *group = g_ptr_array_index(groups, i);
    const char *name = group->section->name;
    bool is_taken = reads_as_volume(table, name);

    for (guint k = i ? i - 1 : 1; k < MIN(i + 2, groups->len) && !is_taken; k++) {
        const LvmGroup *other = g_ptr_array_index(groups, k);

        is_taken = k != i && !strcmp(other->section->name, name);
    }
    if (!is_taken) {
        return g_strdup(name);
    }
    g_autofree char *uuid = lvm_uuid_to_text(group->uuid);
    return g_strdup_printf("%s@%s", name, uuid);
}

void coroutine_fn lvm_co_add_volumes(BlockBackend *disk, VolumeTable *table)
{
    Scan s = {
        .disk = disk,
        .table = table,
        .pvs = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free),
        .groups = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
                                        (GDestroyNotify)lvm_group_free),
        .seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL),
        .bytes_left = READ_BYTES_MAX,
        .values_left = VALUES_MAX,
    };
    g_autoptr(GPtrArray) groups = g_ptr_array_new();
    GHashTableIter iter;
    gpointer group;

    co_find_pvs(&s);
    co_read_ignored(&s);
    g_hash_table_iter_init(&iter, s.groups);
    while (g_hash_table_iter_next(&iter, NULL, &group)) {
        g_ptr_array_add(groups, group);
    }
    g_ptr_array_sort(groups, compare_groups);
    for (guint i = 0; i < groups->len; i++) {
        g_autofree char *folder = folder_of(table, groups, i);

        co_add_group(&s, g_ptr_array_index(groups, i), folder);
    }
    g_hash_table_unref(s.groups);
    g_hash_table_unref(s.pvs);
    g_hash_table_unref(s.seen);
}
