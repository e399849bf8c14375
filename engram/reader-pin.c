/*
 * Reading an image without copying: the frames stay in the cache while they are used.
 */
#include "engram/reader-int.h"

#include "util/aio.h"

enum {
    FRAMES_AT_A_TIME = 4,           /* loaded side by side for one request */
    PINNED_BYTES_MAX = 24 << 20,    /* of frames, for one request */
    ZERO_BYTES       = 64 << 10,
    ENTRIES_MAX      = 4096,        /* for one request */
};

/* The frames that a part of a segment needs. */
typedef struct PinWork {
    EngramReader *r;
    const EngramMap *map;
    GArray *frames;                 /* of uint16_t: index in the map */
    CachedObject **objects;         /* by index in the map */
    guint next;
    unsigned workers;
    Coroutine *waiting;
    GPtrArray *held;
    GError *error;
} PinWork;

static void coroutine_fn co_load(PinWork *w)
{
    while (w->next < w->frames->len && !w->error) {
        uint16_t index = g_array_index(w->frames, uint16_t, w->next++);
        GError *error = NULL;
        CachedObject *object =
            object_cache_co_get(w->r->frames, &w->map->frames[index].frame, &error);

        if (object) {
            w->objects[index] = object;
            g_ptr_array_add(w->held, object);
        } else if (w->error) {
            g_error_free(error);
        } else {
            w->error = error;
        }
    }
}

static void coroutine_fn worker(void *opaque)
{
    PinWork *w = opaque;

    co_load(w);
    if (--w->workers == 0 && w->waiting) {
        aio_co_schedule(aio_context_current(), w->waiting);
    }
}

static void coroutine_fn co_load_all(PinWork *w)
{
    for (guint i = 1; i < MIN(w->frames->len, FRAMES_AT_A_TIME); i++) {
        w->workers++;
        coroutine_enter(coroutine_create(worker, w));
    }
    co_load(w);
    if (w->workers) {
        w->waiting = coroutine_self();
        coroutine_yield();
    }
}

/* The frames of entries first to last.  False: they are too many. */
static bool collect_frames(PinWork *w, uint32_t first, uint32_t last)
{
    g_autofree bool *seen = g_new0(bool, w->map->n_frames);
    uint64_t bytes = 0;

    for (uint32_t i = first; i <= last; i++) {
        uint16_t index = le16_get(w->map->frame_indexes[i]);

        if (engram_map_is_zero(w->map, i) || seen[index]) {
            continue;
        }
        seen[index] = true;
        g_array_append_val(w->frames, index);
        bytes += le32_get(w->map->frames[index].frame.raw);
    }
    return bytes <= PINNED_BYTES_MAX && last - first < ENTRIES_MAX;
}

static void add_zeroes(IOVector *iov, uint64_t bytes)
{
    static uint8_t zeroes[ZERO_BYTES];

    while (bytes) {
        size_t n = MIN(bytes, sizeof(zeroes));

        iovector_add(iov, zeroes, n);
        bytes -= n;
    }
}

static void add_entries(const PinWork *w, uint32_t first, uint32_t last, uint32_t from,
                        uint32_t to, IOVector *iov)
{
    const EngramMap *map = w->map;

    for (uint32_t i = first; i <= last; i++) {
        uint32_t start = MAX(map->starts[i], from);
        uint32_t bytes = MIN(map->starts[i + 1], to) - start;

        if (engram_map_is_zero(map, i)) {
            add_zeroes(iov, bytes);
            continue;
        }
        uint8_t *data = w->objects[le16_get(map->frame_indexes[i])]->value;
        size_t at = (size_t)le32_get(map->positions[i]) + le32_get(map->skips[i]) +
                    (start - map->starts[i]);
        iovector_add(iov, data + at, bytes);
    }
}

static int coroutine_fn co_pin_segment(EngramReader *r, const EngramMap *map, uint32_t from,
                                       uint32_t to, IOVector *iov, GPtrArray *held,
                                       GError **errp)
{
    uint32_t first = engram_map_find(map, from), last = engram_map_find(map, to - 1);
    g_autoptr(GArray) frames = g_array_new(FALSE, FALSE, sizeof(uint16_t));
    g_autofree CachedObject **objects = g_new0(CachedObject *, map->n_frames);
    PinWork w = {
        .r = r, .map = map, .frames = frames, .objects = objects, .held = held,
    };

    if (!collect_frames(&w, first, last)) {
        return 0;
    }
    co_load_all(&w);
    if (w.error) {
        g_propagate_error(errp, w.error);
        return -1;
    }
    add_entries(&w, first, last, from, to, iov);
    return 1;
}

int coroutine_fn engram_reader_co_pin(EngramReader *r, uint64_t offset, uint64_t bytes,
                                      IOVector *iov, GPtrArray *held, GError **errp)
{
    uint64_t segment_bytes = UINT64_C(1) << r->top.segment_bits;
    uint64_t end = offset + bytes;

    engram_read_ahead(r, offset, bytes);
    while (offset < end) {
        uint64_t segment = offset >> r->top.segment_bits;
        uint64_t start = segment << r->top.segment_bits;
        uint64_t to = MIN(end, start + segment_bytes);
        CachedObject *map;
        int ret = 1;

        if (!engram_reader_co_map(r, segment, &map, errp)) {
            return -1;
        }
        if (map) {
            ret = co_pin_segment(r, map->value, offset - start, to - start, iov, held, errp);
            object_cache_put(r->maps, map);
        } else {
            add_zeroes(iov, to - offset);
        }
        if (ret <= 0) {
            return ret;
        }
        offset = to;
    }
    return 1;
}

void engram_reader_unpin(EngramReader *r, GPtrArray *held)
{
    for (guint i = 0; i < held->len; i++) {
        object_cache_put(r->frames, g_ptr_array_index(held, i));
    }
    g_ptr_array_set_size(held, 0);
}
