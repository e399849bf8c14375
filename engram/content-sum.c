/*
 * Content, segment by segment.
 */
#include "engram/content-sum.h"

#include "engram/sink-content.h"
#include "engram/sink-cut.h"
#include "engram/unwrap.h"
#include "util/thread-pool.h"

struct ContentSum {
    SinkCutter *cutter;
    VectorCounts counts;
    GArray *chunks;                 /* of SinkChunk: of no use but to be counted */
    GByteArray *digests;            /* of the segments that have chunks */
    GByteArray *wrapped; /* the first UNWRAP_INPUT_MAX bytes of what may be a stream */
};

typedef struct Segment {
    ContentSum *sum;
    SinkStretch stretch;
} Segment;

ContentSum *content_sum_new(const Chunker *chunker)
{
    ContentSum *s = g_new0(ContentSum, 1);

    s->cutter = sink_cutter_new(chunker, false);
    s->chunks = g_array_new(FALSE, FALSE, sizeof(SinkChunk));
    s->digests = g_byte_array_new();
    return s;
}

void content_sum_free(ContentSum *s)
{
    if (!s) {
        return;
    }
    sink_cutter_free(s->cutter);
    g_array_unref(s->chunks);
    g_byte_array_unref(s->digests);
    g_clear_pointer(&s->wrapped, g_byte_array_unref);
    g_free(s);
}

static int add_segment(void *opaque)
{
    const Segment *segment = opaque;
    ContentSum *s = segment->sum;
    uint8_t digest[ENGRAM_DIGEST_BYTES];

    g_array_set_size(s->chunks, 0);
    sink_cutter_begin(s->cutter, &s->counts);
    sink_cutter_add(s->cutter, &segment->stretch, s->chunks);
    if (sink_cutter_end(s->cutter, digest)) {
        g_byte_array_append(s->digests, digest, sizeof(digest));
    }
    return 0;
}

/* The length to which what is wrapped is known, or the most that has to be. */
static void fill_wrapped(ContentSum *s, uint64_t size)
{
    guint have = s->wrapped->len, want = MIN(size, UNWRAP_INPUT_MAX);

    if (want > have) {
        g_byte_array_set_size(s->wrapped, want);
        memset(s->wrapped->data + have, 0, want - have);
    }
}

static void keep_wrapped(ContentSum *s, const uint8_t *data, uint32_t bytes,
                         uint64_t address)
{
    if (address == 0 && unwrap_is_worth_a_try(data, bytes)) {
        s->wrapped = g_byte_array_new();
    }
    if (s->wrapped) {
        fill_wrapped(s, address);
        g_byte_array_append(s->wrapped, data,
                            MIN(bytes, UNWRAP_INPUT_MAX - s->wrapped->len));
    }
}

void coroutine_fn content_sum_co_add(ContentSum *s, const uint8_t *data, uint32_t bytes,
                                     uint64_t address)
{
    Segment segment = { s, { data, bytes, address } };

    keep_wrapped(s, data, bytes, address);
    thread_pool_co_run(thread_pool_cpu(), add_segment, &segment);
}

void content_sum_digest(const ContentSum *s, uint64_t size,
                        uint8_t digest[ENGRAM_DIGEST_BYTES])
{
    sink_content_digest(s->digests, size, digest);
}

typedef struct Unwrapping {
    ContentSum *sum;
    uint64_t size;
} Unwrapping;

static int unwrap(void *opaque)
{
    const Unwrapping *u = opaque;
    VectorCounts inside;

    fill_wrapped(u->sum, u->size);
    if (unwrap_content(u->sum->wrapped->data, u->size, &inside)) {
        u->sum->counts = inside;
    }
    return 0;
}

const VectorCounts *coroutine_fn content_sum_co_counts(ContentSum *s, uint64_t size)
{
    Unwrapping unwrapping = { s, size };

    if (s->wrapped) {
        thread_pool_co_run(thread_pool_cpu(), unwrap, &unwrapping);
        g_clear_pointer(&s->wrapped, g_byte_array_unref);
    }
    return s->digests->len ? &s->counts : NULL;
}
