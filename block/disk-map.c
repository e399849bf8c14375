/* Where on a disk the bytes of a logical volume lie. */
#include "block/disk-map.h"

typedef struct Segment {
    uint64_t start, length;
    uint64_t stripe; /* bytes; length where there is one area */
    DiskMapKind kind;
    guint first_area, n_areas;
} Segment;

/* What an area is of: the rest follows from its segment. */
typedef struct Area {
    uint64_t disk_offset;
    guint segment, index;
} Area;

struct DiskMap {
    GArray *segments; /* of Segment, in order */
    GArray *areas;    /* of Area */
    uint64_t length;
};

static void disk_map_clear(gpointer data)
{
    DiskMap *map = data;

    g_array_unref(map->segments);
    g_array_unref(map->areas);
}

DiskMap *disk_map_new(void)
{
    DiskMap *map = g_rc_box_new0(DiskMap);

    map->segments = g_array_new(FALSE, FALSE, sizeof(Segment));
    map->areas = g_array_new(FALSE, FALSE, sizeof(Area));
    return map;
}

DiskMap *disk_map_ref(DiskMap *map)
{
    return g_rc_box_acquire(map);
}

void disk_map_unref(DiskMap *map)
{
    if (map) {
        g_rc_box_release_full(map, disk_map_clear);
    }
}

static bool areas_fit(const uint64_t *areas, unsigned n, uint64_t area_length)
{
    for (unsigned i = 0; i < n; i++) {
        if (!range_fits(areas[i], area_length, G_MAXINT64)) {
            return false;
        }
    }
    return true;
}

bool disk_map_add(DiskMap *map, DiskMapKind kind, uint64_t length, uint64_t stripe,
                  const uint64_t *areas, unsigned n)
{
    Segment segment = {
        .start = map->length,
        .length = length,
        .stripe = n > 1 ? stripe : length,
        .kind = kind,
        .first_area = map->areas->len,
        .n_areas = kind == DISK_MAP_DATA ? n : 0,
    };

    if (!length || !range_fits(map->length, length, G_MAXINT64)) {
        return false;
    }
    if (kind == DISK_MAP_DATA &&
        (!n || !segment.stripe || length % n || length / n % segment.stripe ||
         !areas_fit(areas, n, length / n))) {
        /* One area holds the segment as one stripe. */
        return false;
    }
    for (unsigned i = 0; i < segment.n_areas; i++) {
        Area area = {areas[i], map->segments->len, i};

        g_array_append_val(map->areas, area);
    }
    g_array_append_val(map->segments, segment);
    map->length += length;
    return true;
}

uint64_t disk_map_length(const DiskMap *map)
{
    return map->length;
}

static const Segment *find_segment(const DiskMap *map, uint64_t offset)
{
    guint low = 0, high = map->segments->len;

    while (high - low > 1) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(map->segments, Segment, middle).start <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &g_array_index(map->segments, Segment, low);
}

uint64_t disk_map_find(const DiskMap *map, uint64_t offset, uint64_t bytes,
                       DiskMapKind *kind, uint64_t *disk_offset)
{
    g_assert(bytes && range_fits(offset, bytes, map->length));

    const Segment *s = find_segment(map, offset);
    uint64_t in_segment = offset - s->start;

    *kind = s->kind;
    if (s->kind != DISK_MAP_DATA) {
        return MIN(bytes, s->length - in_segment);
    }
    uint64_t stripe = in_segment / s->stripe, in_stripe = in_segment % s->stripe;
    const Area *area =
        &g_array_index(map->areas, Area, s->first_area + stripe % s->n_areas);
    *disk_offset = area->disk_offset + stripe / s->n_areas * s->stripe + in_stripe;
    return MIN(bytes, s->stripe - in_stripe);
}

unsigned disk_map_areas(const DiskMap *map)
{
    return map->areas->len;
}

DiskMapArea disk_map_area(const DiskMap *map, unsigned i)
{
    const Area *area = &g_array_index(map->areas, Area, i);
    const Segment *s = &g_array_index(map->segments, Segment, area->segment);

    return (DiskMapArea){
        .disk_offset = area->disk_offset,
        .length = s->length / s->n_areas,
        .start = s->start + area->index * s->stripe,
        .stripe = s->stripe,
        .distance = s->stripe * s->n_areas,
    };
}

uint64_t disk_map_area_find(const DiskMapArea *area, uint64_t pos, uint64_t *left)
{
    uint64_t in_stripe = pos % area->stripe;

    *left = area->stripe - in_stripe;
    return area->start + pos / area->stripe * area->distance + in_stripe;
}
