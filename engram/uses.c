/*
 * Going over device maps.
 */
#include "engram/uses.h"

#include "util/error.h"

enum { SORT_BYTES = 32 << 20 };         /* of memory for uses */

int engram_use_compare(const void *a, const void *b)
{
    const EngramUse *ua = a, *ub = b;

    if (ua->frame != ub->frame) {
        return ua->frame > ub->frame ? 1 : -1;
    }
    return (ua->position > ub->position) - (ua->position < ub->position);
}

static bool coroutine_fn co_visit_segment(EngramFile *f, const EngramMapTop *top,
                                          const EngramRef *ref, uint64_t segment,
                                          EngramMapVisit *visit, void *opaque,
                                          GError **errp)
{
    uint64_t expected = engram_map_top_segment_bytes(top, segment);
    uint8_t *raw = engram_file_co_load(f, ref, ENGRAM_OBJECT_MAP, NULL, errp);

    if (!raw) {
        return false;
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(EngramMap) map = engram_map_parse(raw, ref, f->end, NULL, &error);
    if (!map) {
        g_propagate_prefixed_error(errp, g_steal_pointer(&error), "%s: ",
                                   bdrv_filename(f->file));
        return false;
    }
    if (map->bytes != expected) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: map at offset 0x%" PRIx64 " describes %" PRIu32
                    " bytes, expected the %" PRIu64 " of segment %" PRIu64,
                    bdrv_filename(f->file), le64_get(ref->offset), map->bytes, expected,
                    segment);
        return false;
    }
    return visit(map, segment, opaque, errp);
}

static bool coroutine_fn co_visit_page(EngramFile *f, const EngramMapTop *top,
                                       uint32_t page, EngramMapVisit *visit, void *opaque,
                                       GError **errp)
{
    const EngramRef *ref = &top->pages[page];
    uint32_t n = engram_map_top_page_segments(top, page);

    if (engram_ref_is_none(ref)) {
        return true;
    }
    g_autofree uint8_t *raw =
        engram_file_co_load(f, ref, ENGRAM_OBJECT_SEGMENTS, NULL, errp);
    if (!raw) {
        return false;
    }
    if (le32_get(ref->raw) != n * sizeof(EngramSegment)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: segments at offset 0x%" PRIx64 " have %" PRIu32
                    " bytes, expected %zu",
                    bdrv_filename(f->file), le64_get(ref->offset), le32_get(ref->raw),
                    n * sizeof(EngramSegment));
        return false;
    }
    const EngramSegment *segments = (const EngramSegment *)raw;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t segment = (uint64_t)page * ENGRAM_SEGMENTS_PER_PAGE + i;

        if (!engram_ref_is_none(&segments[i].map) &&
            !co_visit_segment(f, top, &segments[i].map, segment, visit, opaque, errp)) {
            return false;
        }
    }
    return true;
}

bool coroutine_fn engram_co_visit_maps(EngramFile *f, const EngramMapTop *top,
                                       EngramMapVisit *visit, void *opaque, GError **errp)
{
    for (uint32_t page = 0; page < top->n_pages; page++) {
        if (!co_visit_page(f, top, page, visit, opaque, errp)) {
            return false;
        }
    }
    return true;
}

typedef struct Collect {
    RecordSorter *uses;
    uint32_t image;
} Collect;

static bool coroutine_fn co_add_map(const EngramMap *map, uint64_t segment, void *opaque,
                                    GError **errp)
{
    Collect *c = opaque;

    for (uint32_t i = 0; i < map->n; i++) {
        if (engram_map_is_zero(map, i)) {
            continue;
        }
        const EngramMapFrame *frame = &map->frames[le16_get(map->frame_indexes[i])];
        EngramUse use = {
            .frame = le64_get(frame->frame.offset),
            .position = le32_get(map->positions[i]),
            .image = c->image,
            .bytes = engram_map_length(map, i),
        };
        if (!record_sorter_add(c->uses, &use, errp)) {
            return false;
        }
    }
    return true;
}

static bool coroutine_fn co_add_image(EngramFile *f, Collect *c, GError **errp)
{
    g_autoptr(EngramImage) image = engram_file_co_image(f, c->image, errp);
    EngramMapTop top;

    if (!image || !engram_map_top_co_load(&top, f, image, errp)) {
        return false;
    }
    bool ok = engram_co_visit_maps(f, &top, co_add_map, c, errp);
    engram_map_top_clear(&top);
    return ok;
}

RecordSorter *coroutine_fn engram_co_uses(EngramFile *f, const char *spool_dir,
                                          GError **errp)
{
    g_autoptr(RecordSorter) uses =
        record_sorter_new(sizeof(EngramUse), engram_use_compare, SORT_BYTES, spool_dir);
    Collect c = { .uses = uses };

    /* In order of images, and what compares equal keeps its order. */
    for (; c.image < f->n_images; c.image++) {
        if (!co_add_image(f, &c, errp)) {
            return NULL;
        }
    }
    return record_sorter_finish(uses, errp) ? g_steal_pointer(&uses) : NULL;
}
