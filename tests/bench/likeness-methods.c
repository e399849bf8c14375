#include "likeness-methods.h"

#include <float.h>
#include <string.h>

#include "engram/sink-cut.h"
#include "engram/sink-unit.h"
#include "engram/unwrap.h"
#ifdef HAVE_SSDEEP
#include <fuzzy.h>
#endif
#ifdef HAVE_TLSH
#include "likeness-tlsh.h"
#endif

static void add_content(VectorCounts *counts, const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size; at += SINK_SEGMENT_BYTES) {
        size_t bytes = MIN(size - at, SINK_SEGMENT_BYTES), start, end = 0;

        while (sink_cut_next_stretch(data + at, bytes, at, &start, &end)) {
            hypervec_encode(vector_space(), counts->trits, data + at + start,
                            end - start);
        }
    }
}

static void *make_vector(const VectorCounts *counts)
{
    const HypervecSpace *space = vector_space();
    uint64_t *vector = g_new(uint64_t, hypervec_words(space));

    hypervec_threshold(space, vector, counts->trits, hypervec_active_default(space));
    return vector;
}

static void *digest_bytes(const uint8_t *data, size_t size)
{
    VectorCounts counts = { 0 };

    add_content(&counts, data, size);
    return make_vector(&counts);
}

static void *digest_inside(const uint8_t *data, size_t size)
{
    VectorCounts counts;

    if (!unwrap_is_worth_a_try(data, size) || !unwrap_content(data, size, &counts)) {
        return digest_bytes(data, size);
    }
    return make_vector(&counts);
}

static double cosine(const void *a, const void *b)
{
    return hypervec_similarity(vector_space(), a, b);
}

static const LikenessMethod hypervectors = {
    .name = "embr",
    .digest = digest_inside,
    .score = cosine,
    .free = g_free,
};

static const LikenessMethod hypervectors_of_bytes = {
    .name = "embr, bytes only",
    .digest = digest_bytes,
    .score = cosine,
    .free = g_free,
};

#ifdef HAVE_SSDEEP
static void *digest_ssdeep(const uint8_t *data, size_t size)
{
    char *text = g_malloc(FUZZY_MAX_RESULT);

    if (fuzzy_hash_buf(data, size, text) != 0) {
        g_clear_pointer(&text, g_free);
    }
    return text;
}

static double score_ssdeep(const void *a, const void *b)
{
    return fuzzy_compare(a, b) / 100.0;
}

static const LikenessMethod ssdeep = {
    .name = "ssdeep",
    .digest = digest_ssdeep,
    .score = score_ssdeep,
    .free = g_free,
};
#endif

#ifdef HAVE_TLSH
static double score_tlsh(const void *a, const void *b)
{
    return -tlsh_distance(a, b);
}

static const LikenessMethod tlsh = {
    .name = "tlsh",
    .digest = tlsh_new,
    .score = score_tlsh,
    .none = -DBL_MAX,
    .free = tlsh_free,
};
#endif

const LikenessMethod *const likeness_methods[] = {
    &hypervectors,
    &hypervectors_of_bytes,
#ifdef HAVE_SSDEEP
    &ssdeep,
#endif
#ifdef HAVE_TLSH
    &tlsh,
#endif
    NULL,
};
