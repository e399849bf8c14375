/*
 * Reading an image of an engram.
 */
#include "engram/reader-int.h"

#include "util/error.h"

enum {
    SEGMENTS_CACHE_BYTES = 4 << 20,
    MAPS_CACHE_BYTES     = 16 << 20,
    FRAMES_AT_A_TIME     = 4,           /* loaded side by side for one request */
    STATUS_MAPS          = 64,          /* looked at in one status call */
};

static void *parse_map(uint8_t *raw, const EngramRef *ref, void *opaque, size_t *cost,
                       GError **errp)
{
    EngramFile *f = opaque;

    return engram_map_parse(raw, ref, f->end, cost, errp);
}

EngramReader *coroutine_fn engram_reader_co_open(BlockDriverState *file, const char *image,
                                                 uint64_t cache_bytes, GError **errp)
{
    g_autoptr(EngramReader) r = g_new0(EngramReader, 1);

    co_queue_init(&r->ahead.waiters);
    r->file = engram_file_co_open(file, errp);
    if (!r->file) {
        return NULL;
    }
    cache_bytes = cache_bytes ? cache_bytes : ENGRAM_DEFAULT_CACHE_BYTES;
    r->segments = object_cache_new(r->file, ENGRAM_OBJECT_SEGMENTS, SEGMENTS_CACHE_BYTES,
                                   NULL, g_free, NULL);
    r->maps = object_cache_new(r->file, ENGRAM_OBJECT_MAP, MAPS_CACHE_BYTES, parse_map,
                               (GDestroyNotify)engram_map_free, r->file);
    r->frames = object_cache_new(r->file, ENGRAM_OBJECT_FRAME, cache_bytes, NULL, g_free,
                                 NULL);
    if (!engram_reader_co_select(r, image, errp)) {
        return NULL;
    }
    return g_steal_pointer(&r);
}

void engram_reader_free(EngramReader *r)
{
    if (!r) {
        return;
    }
    engram_read_ahead_drain(r);
    object_cache_free(r->frames);
    object_cache_free(r->maps);
    object_cache_free(r->segments);
    engram_map_top_clear(&r->top);
    engram_image_free(r->image);
    engram_file_free(r->file);
    g_free(r);
}

bool coroutine_fn engram_reader_co_select(EngramReader *r, const char *image, GError **errp)
{
    g_autoptr(EngramImage) found = engram_file_co_find_image(r->file, image, errp);
    EngramMapTop top;

    if (!found || !engram_map_top_co_load(&top, r->file, found, errp)) {
        return false;
    }
    engram_read_ahead_drain(r);
    r->ahead.stop = false;
    r->ahead.streak = 0;
    engram_image_free(r->image);
    engram_map_top_clear(&r->top);
    r->image = g_steal_pointer(&found);
    r->top = top;
    return true;
}

EngramFile *engram_reader_file(EngramReader *r)
{
    return r->file;
}

const EngramImage *engram_reader_image(const EngramReader *r)
{
    return r->image;
}

void engram_reader_stats(const EngramReader *r, EngramReaderStats *stats)
{
    stats->frames_decoded = object_cache_loads(r->frames);
    stats->index_pages_loaded = object_cache_loads(r->segments) + object_cache_loads(r->maps);
}

uint64_t engram_reader_zero_segments(const EngramReader *r, uint64_t segment)
{
    uint64_t page = segment / ENGRAM_SEGMENTS_PER_PAGE;

    if (!engram_ref_is_none(&r->top.pages[page])) {
        return 0;
    }
    while (page + 1 < r->top.n_pages && engram_ref_is_none(&r->top.pages[page + 1])) {
        page++;
    }
    return MIN((page + 1) * ENGRAM_SEGMENTS_PER_PAGE, r->top.n_segments) - segment;
}

static bool coroutine_fn co_map_ref(EngramReader *r, uint64_t segment, EngramRef *ref,
                                    GError **errp)
{
    uint32_t page = segment / ENGRAM_SEGMENTS_PER_PAGE;
    const EngramRef *page_ref = &r->top.pages[page];
    uint32_t expected = engram_map_top_page_segments(&r->top, page);

    if (le32_get(page_ref->raw) != expected * sizeof(EngramSegment)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: segments at offset 0x%" PRIx64 " have %" PRIu32
                    " bytes, expected %zu", bdrv_filename(r->file->file),
                    le64_get(page_ref->offset), le32_get(page_ref->raw),
                    expected * sizeof(EngramSegment));
        return false;
    }
    CachedObject *object = object_cache_co_get(r->segments, page_ref, errp);
    if (!object) {
        return false;
    }
    const EngramSegment *segments = object->value;
    *ref = segments[segment % ENGRAM_SEGMENTS_PER_PAGE].map;
    object_cache_put(r->segments, object);
    return true;
}

bool coroutine_fn engram_reader_co_map(EngramReader *r, uint64_t segment,
                                       CachedObject **map, GError **errp)
{
    EngramRef ref;

    *map = NULL;
    if (engram_reader_zero_segments(r, segment)) {
        return true;
    }
    if (!co_map_ref(r, segment, &ref, errp)) {
        return false;
    }
    if (engram_ref_is_none(&ref)) {
        return true;
    }
    CachedObject *object = object_cache_co_get(r->maps, &ref, errp);
    if (!object) {
        return false;
    }
    const EngramMap *m = object->value;
    uint64_t expected = engram_map_top_segment_bytes(&r->top, segment);
    if (m->bytes != expected) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: map at offset 0x%" PRIx64 " describes %" PRIu32
                    " bytes, expected the %" PRIu64 " of segment %" PRIu64,
                    bdrv_filename(r->file->file), le64_get(ref.offset), m->bytes, expected,
                    segment);
        object_cache_put(r->maps, object);
        return false;
    }
    *map = object;
    return true;
}

/* The part of a request that lies in one segment. */
typedef struct SegmentRead {
    EngramReader *r;
    uint64_t start;                     /* of the segment on the disk */
    const EngramMap *map;
    uint32_t from, to;                  /* bytes of the segment */
    const IOVector *iov;
    size_t iov_offset;                  /* of from */
    /* Entries by frame: chains through next, and which frames are to do. */
    uint32_t first_entry;
    uint32_t *next;                     /* entry - first_entry -> the same + 1; 0: last */
    GArray *todo;                       /* of FrameWork */
    guint next_todo;
    unsigned workers;
    Coroutine *waiting;
    GError *error;
} SegmentRead;

typedef struct FrameWork {
    uint16_t frame;
    uint32_t first, last;               /* entry - first_entry */
} FrameWork;

static void copy_entries(SegmentRead *s, const FrameWork *work, const uint8_t *data)
{
    const EngramMap *map = s->map;
    uint32_t i = work->first;

    for (;;) {
        uint32_t entry = s->first_entry + i;
        uint32_t from = MAX(map->starts[entry], s->from);
        uint32_t to = MIN(map->starts[entry + 1], s->to);
        size_t at = (size_t)le32_get(map->positions[entry]) + le32_get(map->skips[entry]) +
                    (from - map->starts[entry]);

        iovector_from_buf(s->iov, s->iov_offset + (from - s->from), data + at, to - from);
        if (!s->next[i]) {
            return;
        }
        i = s->next[i] - 1;
    }
}

/* The frame cannot be had: its entries read as zeroes. */
static void lose_entries(SegmentRead *s, const FrameWork *work, GError *error)
{
    const EngramMap *map = s->map;
    uint32_t i = work->first;

    for (;;) {
        uint32_t entry = s->first_entry + i;
        uint32_t from = MAX(map->starts[entry], s->from);
        uint32_t to = MIN(map->starts[entry + 1], s->to);

        iovector_memset(s->iov, s->iov_offset + (from - s->from), 0, to - from);
        salvage_log_add(s->r->salvage, s->start + from, to - from, g_error_copy(error));
        if (!s->next[i]) {
            break;
        }
        i = s->next[i] - 1;
    }
    g_error_free(error);
}

static const EngramRef *frame_ref(const SegmentRead *s, const FrameWork *work)
{
    return &s->map->frames[work->frame].frame;
}

/* Takes frames that are to do until there are none. */
static void coroutine_fn co_work(SegmentRead *s)
{
    while (s->next_todo < s->todo->len && !s->error) {
        FrameWork work = g_array_index(s->todo, FrameWork, s->next_todo++);
        GError *error = NULL;
        CachedObject *frame = object_cache_co_get(s->r->frames, frame_ref(s, &work), &error);

        if (!frame && s->r->salvage) {
            lose_entries(s, &work, error);
            continue;
        }
        if (!frame) {
            if (s->error) {
                g_error_free(error);
            } else {
                s->error = error;
            }
            return;
        }
        copy_entries(s, &work, frame->value);
        object_cache_put(s->r->frames, frame);
    }
}

static void coroutine_fn worker(void *opaque)
{
    SegmentRead *s = opaque;

    co_work(s);
    if (--s->workers == 0 && s->waiting) {
        aio_co_schedule(aio_context_current(), s->waiting);
    }
}

/* Zeroes what reads as zeroes; copies from frames that are in the cache; notes the
 * other frames in s->todo. */
static void sort_entries(SegmentRead *s)
{
    const EngramMap *map = s->map;
    uint32_t last = engram_map_find(map, s->to - 1);
    g_autofree uint32_t *seen = g_new0(uint32_t, map->n_frames);    /* index + 1 in todo */

    s->first_entry = engram_map_find(map, s->from);
    s->next = g_new0(uint32_t, last - s->first_entry + 1);
    for (uint32_t entry = s->first_entry; entry <= last; entry++) {
        uint32_t i = entry - s->first_entry;

        if (engram_map_is_zero(map, entry)) {
            uint32_t from = MAX(map->starts[entry], s->from);
            uint32_t to = MIN(map->starts[entry + 1], s->to);
            iovector_memset(s->iov, s->iov_offset + (from - s->from), 0, to - from);
            continue;
        }
        uint16_t frame = le16_get(map->frame_indexes[entry]);
        if (seen[frame]) {
            FrameWork *work = &g_array_index(s->todo, FrameWork, seen[frame] - 1);
            s->next[work->last] = i + 1;
            work->last = i;
        } else {
            FrameWork work = { frame, i, i };
            g_array_append_val(s->todo, work);
            seen[frame] = s->todo->len;
        }
    }
}

static void copy_cached(SegmentRead *s)
{
    guint kept = 0;

    for (guint i = 0; i < s->todo->len; i++) {
        FrameWork work = g_array_index(s->todo, FrameWork, i);
        CachedObject *frame = object_cache_try_get(s->r->frames, frame_ref(s, &work));

        if (frame) {
            copy_entries(s, &work, frame->value);
            object_cache_put(s->r->frames, frame);
        } else {
            g_array_index(s->todo, FrameWork, kept++) = work;
        }
    }
    g_array_set_size(s->todo, kept);
}

static bool coroutine_fn co_read_segment(EngramReader *r, uint64_t start,
                                         const EngramMap *map, uint32_t from, uint32_t to,
                                         const IOVector *iov, size_t iov_offset,
                                         GError **errp)
{
    g_autoptr(GArray) todo = g_array_new(FALSE, FALSE, sizeof(FrameWork));
    SegmentRead s = {
        .r = r, .start = start, .map = map, .from = from, .to = to, .iov = iov, .iov_offset = iov_offset,
        .todo = todo,
    };

    sort_entries(&s);
    copy_cached(&s);
    for (guint i = 1; i < MIN(todo->len, FRAMES_AT_A_TIME); i++) {
        s.workers++;
        coroutine_enter(coroutine_create(worker, &s));
    }
    co_work(&s);
    if (s.workers) {
        s.waiting = coroutine_self();
        coroutine_yield();
    }
    g_free(s.next);
    if (s.error) {
        g_propagate_error(errp, s.error);
        return false;
    }
    return true;
}

void engram_reader_set_salvage(EngramReader *r, SalvageLog *log)
{
    r->salvage = log;
}

/* The map cannot be had. */
static void lose_range(EngramReader *r, uint64_t offset, uint64_t bytes,
                       const IOVector *iov, size_t iov_offset, GError *error)
{
    iovector_memset(iov, iov_offset, 0, bytes);
    salvage_log_add(r->salvage, offset, bytes, error);
}

bool coroutine_fn engram_reader_co_read(EngramReader *r, uint64_t offset, uint64_t bytes,
                                        const IOVector *iov, size_t iov_offset,
                                        GError **errp)
{
    uint64_t segment_mask = (UINT64_C(1) << r->top.segment_bits) - 1;
    uint64_t end = offset + bytes;

    engram_read_ahead(r, offset, bytes);
    while (offset < end) {
        uint64_t segment = offset >> r->top.segment_bits;
        uint64_t segment_start = segment << r->top.segment_bits;
        uint64_t to = MIN(end, segment_start + segment_mask + 1);
        GError *error = NULL;
        CachedObject *map;

        if (!engram_reader_co_map(r, segment, &map, &error)) {
            if (!r->salvage) {
                g_propagate_error(errp, error);
                return false;
            }
            lose_range(r, offset, to - offset, iov, iov_offset, error);
        } else if (map) {
            bool ok = co_read_segment(r, segment_start, map->value, offset - segment_start,
                                      to - segment_start, iov, iov_offset, errp);
            object_cache_put(r->maps, map);
            if (!ok) {
                return false;
            }
        } else {
            iovector_memset(iov, iov_offset, 0, to - offset);
        }
        iov_offset += to - offset;
        offset = to;
    }
    return true;
}

static EngramContent entry_content(const EngramMap *map, uint32_t entry)
{
    switch (map->kinds[entry]) {
    case ENGRAM_MAP_ZERO:
        return ENGRAM_CONTENT_ZERO;
    case ENGRAM_MAP_DROPPED:
        return ENGRAM_CONTENT_DROPPED;
    default:
        return ENGRAM_CONTENT_DATA;
    }
}

/* The run of one kind that begins at byte pos of the segment; returns its end. */
static uint32_t run_in_map(const EngramMap *map, uint32_t pos, EngramContent *content)
{
    uint32_t entry = engram_map_find(map, pos);

    *content = entry_content(map, entry);
    while (entry + 1 < map->n && entry_content(map, entry + 1) == *content) {
        entry++;
    }
    return map->starts[entry + 1];
}

bool coroutine_fn engram_reader_co_status(EngramReader *r, uint64_t offset, uint64_t bytes,
                                          EngramContent *content, uint64_t *pnum,
                                          GError **errp)
{
    uint64_t end = offset + bytes, pos = offset;
    unsigned maps = 0;

    while (pos < end && maps < STATUS_MAPS) {
        uint64_t segment = pos >> r->top.segment_bits;
        uint64_t segment_start = segment << r->top.segment_bits;
        uint64_t run_end = segment_start + engram_map_top_segment_bytes(&r->top, segment);
        uint64_t segment_end = run_end;
        CachedObject *map;
        EngramContent found = ENGRAM_CONTENT_ZERO;

        GError *error = NULL;
        bool found_map = engram_reader_co_map(r, segment, &map, &error);
        if (!found_map && !r->salvage) {
            g_propagate_error(errp, error);
            return false;
        }
        if (!found_map) {
            g_error_free(error);
            found = ENGRAM_CONTENT_DATA;
        } else if (map) {
            run_end = segment_start + run_in_map(map->value, pos - segment_start, &found);
            object_cache_put(r->maps, map);
            maps++;
        } else {
            uint64_t segments = MAX(engram_reader_zero_segments(r, segment), 1);
            run_end = MIN(r->top.virtual_size,
                          segment_start + (segments << r->top.segment_bits));
            segment_end = run_end;
        }
        if (pos == offset) {
            *content = found;
        } else if (found != *content) {
            break;
        }
        pos = run_end;
        if (run_end < segment_end) {
            break;
        }
    }
    *pnum = MIN(pos, end) - offset;
    return true;
}
