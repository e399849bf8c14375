/*
 * Decoding frames ahead of who reads in sequence.
 *
 * Requests count as a sequence when each begins near where the last one ended;
 * several that are in flight at a time come in any order.
 */
#include "engram/reader-int.h"

#include "util/thread-pool.h"

enum {
    NEAR_BYTES       = 16 << 20,        /* of the expected offset, either way */
    TRIGGER_BYTES    = 128 << 10,       /* read in sequence before it begins */
    WINDOW_MIN_BYTES = 1 << 20,
    WINDOW_MAX_BYTES = 8 << 20,
};

typedef struct FrameLoad {
    EngramReader *r;
    EngramRef ref;
} FrameLoad;

static void coroutine_fn load_frame(void *opaque)
{
    FrameLoad *load = opaque;
    EngramReader *r = load->r;
    CachedObject *frame = object_cache_co_get(r->frames, &load->ref, NULL);

    if (frame) {
        object_cache_put(r->frames, frame);
    }
    g_free(load);
    r->ahead.loads--;
    co_queue_all(&r->ahead.waiters);
}

/* Has the frames of a segment's bytes [from, to) loaded, budget bytes of them at most;
 * returns what is left of it. */
static uint64_t coroutine_fn co_load_frames(EngramReader *r, const EngramMap *map,
                                            uint32_t from, uint32_t to, uint64_t budget)
{
    unsigned at_a_time = thread_pool_max_threads(thread_pool_cpu()) + 1;
    uint32_t last = engram_map_find(map, to - 1);

    for (uint32_t i = engram_map_find(map, from); i <= last && !r->ahead.stop; i++) {
        if (engram_map_is_zero(map, i)) {
            continue;
        }
        const EngramRef *ref = &map->frames[le16_get(map->frame_indexes[i])].frame;
        if (object_cache_has(r->frames, ref)) {
            continue;
        }
        if (le32_get(ref->raw) > budget) {
            return 0;
        }
        budget -= le32_get(ref->raw);
        while (r->ahead.loads >= at_a_time) {
            co_queue_wait(&r->ahead.waiters);
        }
        FrameLoad *load = g_new(FrameLoad, 1);
        *load = (FrameLoad){ r, *ref };
        r->ahead.loads++;
        coroutine_enter(coroutine_create(load_frame, load));
    }
    return budget;
}

static void coroutine_fn run(void *opaque)
{
    EngramReader *r = opaque;
    ReadAhead *a = &r->ahead;
    uint64_t window = CLAMP(a->streak, WINDOW_MIN_BYTES, WINDOW_MAX_BYTES);
    uint64_t pos = MAX(a->done, a->next);
    uint64_t end = MIN(a->next + window, r->top.virtual_size);
    uint64_t budget = object_cache_max_bytes(r->frames) / 4;

    while (pos < end && budget && !a->stop) {
        uint64_t segment = pos >> r->top.segment_bits;
        uint64_t start = segment << r->top.segment_bits;
        uint64_t to = MIN(end, start + engram_map_top_segment_bytes(&r->top, segment));
        CachedObject *map;

        if (!engram_reader_co_map(r, segment, &map, NULL)) {
            break;
        }
        if (map) {
            budget = co_load_frames(r, map->value, pos - start, to - start, budget);
            object_cache_put(r->maps, map);
        }
        pos = to;
    }
    a->done = pos;
    a->running = false;
    co_queue_all(&a->waiters);
}

void engram_read_ahead(EngramReader *r, uint64_t offset, uint64_t bytes)
{
    ReadAhead *a = &r->ahead;
    uint64_t end = offset + bytes;

    if (offset + NEAR_BYTES < a->next || offset > a->next + NEAR_BYTES) {
        a->streak = 0;
        a->next = end;
        a->done = 0;
        return;
    }
    a->streak += bytes;
    a->next = MAX(a->next, end);
    if (a->running || a->streak < TRIGGER_BYTES || a->next >= r->top.virtual_size ||
        a->done >= a->next + CLAMP(a->streak, WINDOW_MIN_BYTES, WINDOW_MAX_BYTES) / 2) {
        return;
    }
    a->running = true;
    coroutine_enter(coroutine_create(run, r));
}

void engram_read_ahead_drain(EngramReader *r)
{
    ReadAhead *a = &r->ahead;

    a->stop = true;
    while (a->running || a->loads) {
        if (in_coroutine()) {
            co_queue_wait(&a->waiters);
        } else {
            aio_poll(aio_context_current(), true);
        }
    }
}
