/* From the segments of a logical volume to where they are on the disk. */
#include <string.h>

#include "fs/lvm/lvm.h"

enum {
    EXTENTS_MAX = INT32_MAX, /* of a volume, and of a group: LVM counts in 32 bits */
    STRIPES_MAX = 128,       /* as LVM has it */
};

/* How a volume is made. */
typedef struct Mapper {
    const LvmGroup *group;
    LvmFindPv *find_pv;
    void *opaque;
    GError **errp;
    DiskMap *map;
} Mapper;

static bool G_GNUC_PRINTF(2, 3) refuse(const Mapper *m, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *reason = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error_literal(m->errp, EMBR_ERROR, EMBR_ERROR_CORRUPT, reason);
    return false;
}

/* LVM appends flags to types that change what they mean: "thin+SOMETHING". */
static const char *segment_type(const LvmValue *segment)
{
    const char *type = lvm_string(segment, "type");
    uint64_t stripes = 0;

    if (!lvm_is_name(type)) { /* types have the characters of names */
        return "unknown";
    }
    return !strcmp(type, "striped") &&
                   lvm_number(segment, "stripe_count", 1, 1, &stripes)
               ? "linear"
               : type;
}

static bool is_readable(const char *type)
{
    return !strcmp(type, "linear") || !strcmp(type, "striped") ||
           !strcmp(type, "zero") || !strcmp(type, "error");
}

static gint compare_segments(gconstpointer a, gconstpointer b)
{
    uint64_t na = 0, nb = 0;

    lvm_number(*(const LvmValue *const *)a, "start_extent", 0, EXTENTS_MAX, &na);
    lvm_number(*(const LvmValue *const *)b, "start_extent", 0, EXTENTS_MAX, &nb);
    return (na > nb) - (na < nb);
}

/* In order of where they start. */
static GPtrArray *find_segments(const LvmValue *lv)
{
    GPtrArray *segments = g_ptr_array_new();

    for (unsigned i = 0; i < lvm_children(lv); i++) {
        const LvmValue *value = lvm_child(lv, i);

        if (value->kind == LVM_SECTION && g_str_has_prefix(value->name, "segment")) {
            g_ptr_array_add(segments, (gpointer)value);
        }
    }
    g_ptr_array_sort(segments, compare_segments);
    return segments;
}

char *lvm_volume_type(const LvmValue *lv)
{
    g_autoptr(GPtrArray) segments = find_segments(lv);
    const char *type = "unknown";

    for (guint i = 0; i < segments->len; i++) {
        const char *next = segment_type(g_ptr_array_index(segments, i));

        if (i == 0 || !is_readable(next) || !strcmp(next, "striped")) {
            type = next;
        }
        if (!is_readable(type)) {
            break;
        }
    }
    return g_strdup(type);
}

uint64_t lvm_volume_extents(const LvmValue *lv)
{
    g_autoptr(GPtrArray) segments = find_segments(lv);
    uint64_t sum = 0, count;

    for (guint i = 0; i < segments->len; i++) {
        if (lvm_number(g_ptr_array_index(segments, i), "extent_count", 1, EXTENTS_MAX,
                       &count)) {
            sum = MIN(sum + count, EXTENTS_MAX);
        }
    }
    return sum;
}

/* Where extents of a physical volume are on the disk. */
static bool find_area(const Mapper *m, const char *pv, int64_t first, uint64_t bytes,
                      uint64_t *offset)
{
    uint64_t at, size;

    if (!m->find_pv(pv, offset, &size, m->opaque, m->errp)) {
        return false;
    }
    if (first < 0 || !g_uint64_checked_mul(&at, first, m->group->extent_bytes) ||
        !range_fits(at, bytes, size)) {
        return refuse(m,
                      "has extents from %" PRIi64 " on, %" PRIu64
                      " bytes, past the end of physical volume '%s'",
                      first, bytes, pv);
    }
    *offset += at;
    return true;
}

static bool map_striped(const Mapper *m, const LvmValue *segment, uint64_t bytes)
{
    const LvmValue *list = lvm_find(segment, "stripes", LVM_LIST);
    uint64_t areas[STRIPES_MAX], n, stripe = 0;

    if (!lvm_number(segment, "stripe_count", 1, STRIPES_MAX, &n) ||
        lvm_children(list) != 2 * n || bytes % n) {
        return refuse(m, "has a segment whose stripes are not complete");
    }
    if (n > 1 && !lvm_number(segment, "stripe_size", 1, UINT32_MAX, &stripe)) {
        return refuse(m, "has a segment of %" PRIu64 " stripes that have no size", n);
    }
    for (unsigned i = 0; i < n; i++) {
        const LvmValue *pv = lvm_child(list, 2 * i),
                       *first = lvm_child(list, 2 * i + 1);

        if (!lvm_is_name(pv->string) || first->kind != LVM_NUMBER) {
            return refuse(m, "has a segment whose stripes are on nothing");
        }
        if (!find_area(m, pv->string, first->number, bytes / n, &areas[i])) {
            return false;
        }
    }
    return disk_map_add(m->map, DISK_MAP_DATA, bytes, stripe * LVM_SECTOR_BYTES, areas,
                        n) ||
           refuse(m,
                  "has a segment of %" PRIu64 " bytes in %" PRIu64
                  " stripes of %" PRIu64 " sectors, which does not come out even",
                  bytes, n, stripe);
}

static bool map_segment(const Mapper *m, const LvmValue *segment)
{
    const char *type = segment_type(segment);
    uint64_t first, count, bytes, start = disk_map_length(m->map);

    if (!is_readable(type)) {
        g_set_error(m->errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "has segments of type '%s', which this version cannot read", type);
        return false;
    }
    if (!lvm_number(segment, "start_extent", 0, EXTENTS_MAX, &first) ||
        !lvm_number(segment, "extent_count", 1, EXTENTS_MAX, &count) ||
        !g_uint64_checked_mul(&bytes, count, m->group->extent_bytes) ||
        start / m->group->extent_bytes != first) {
        return refuse(m, "has segments that do not follow each other");
    }
    if (!strcmp(type, "zero") || !strcmp(type, "error")) {
        return disk_map_add(m->map, *type == 'z' ? DISK_MAP_ZERO : DISK_MAP_ERROR,
                            bytes, 0, NULL, 0) ||
               refuse(m, "is larger than any disk");
    }
    return map_striped(m, segment, bytes);
}

DiskMap *lvm_map_volume(const LvmGroup *group, const LvmValue *lv, LvmFindPv *find_pv,
                        void *opaque, GError **errp)
{
    g_autoptr(DiskMap) map = disk_map_new();
    g_autoptr(GPtrArray) segments = find_segments(lv);
    const Mapper m = {group, find_pv, opaque, errp, map};

    if (!segments->len) {
        refuse(&m, "has no segments");
        return NULL;
    }
    for (guint i = 0; i < segments->len; i++) {
        if (!map_segment(&m, g_ptr_array_index(segments, i))) {
            return NULL;
        }
    }
    return g_steal_pointer(&map);
}
