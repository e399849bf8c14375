/* Content to counts: the n-grams that are sampled, and their items. */
#include "kernels.h"

#include <string.h>

/* Positions whose n-grams are sampled in one go. */
#define BLOCK_POSITIONS 4096
/* Between two clamps counts can grow by no more than twice this, and by what the ends
 * add. */
#define ROUND_POSITIONS ((size_t)1 << 24)

/*
 * One n-gram in 2^shift is sampled.  Short contents need a denser sample, and what a
 * sparser one takes is among what a denser one takes.
 */
#define DENSEST_SHIFT 1
#define SPARSEST_SHIFT 5
#define DENSEST_BYTES 4096

/* How many n-grams are taken of content that has none that are sampled. */
#define FALLBACK_POSITIONS 256

/* Of contents of at least two ends, every n-gram of both is taken, as that of an end.
 */
#define END_BYTES 64
#define HEAD_KEY 0xA0761D6478BD642F
#define TAIL_KEY 0xE7037ED1A0B428DB
#define END_WEIGHT_MAX 4096

typedef struct Encoder {
    int32_t *counts;
    /* Twice the dimension: the places of a trit that is up or down. */
    uint64_t places;
    /* N-grams that were not added a moment ago. */
    uint64_t added;
    uint32_t recent[1 << RECENT_BITS];
} Encoder;

static int32_t sample_limit(size_t len)
{
    int shift = DENSEST_SHIFT;

    for (size_t bytes = DENSEST_BYTES; bytes < len && shift < SPARSEST_SHIFT;
         bytes *= 2) {
        shift++;
    }
    return (int32_t)(INT32_MAX - (UINT32_MAX >> shift));
}

/* Adds the item of an n-gram, weight times, unless it was added a moment ago. */
static void add_ngram(Encoder *e, uint64_t ngram, int32_t weight)
{
    uint64_t hash = ngram_hash(ngram);

    if (is_new(e->recent, hash)) {
        e->added++;
        add_item(e->counts, hash, e->places, weight);
    }
}

/* So that the next block comes from memory while this one's n-grams are added. */
static void prefetch_block(const uint8_t *data, size_t n)
{
    for (size_t at = 0; at < n && at < BLOCK_POSITIONS; at += 64) {
        __builtin_prefetch(data + at);
    }
}

/* Adds what is sampled at the first n positions; returns how many those were. */
static size_t add_sampled(const HypervecSpace *space, Encoder *e, const uint8_t *data,
                          size_t n, int32_t limit)
{
    uint16_t positions[BLOCK_POSITIONS + SAMPLE_SLACK];
    size_t total = 0;

    for (size_t at = 0; at < n; at += BLOCK_POSITIONS) {
        uint32_t block =
            n - at < BLOCK_POSITIONS ? (uint32_t)(n - at) : BLOCK_POSITIONS;
        size_t taken = space->kernel->sample(data + at, block, limit, positions);

        if (n - at > BLOCK_POSITIONS) {
            prefetch_block(data + at + BLOCK_POSITIONS, n - at - BLOCK_POSITIONS);
        }
        e->added += space->kernel->add(e->counts, e->recent, data + at, positions,
                                       taken, e->places);
        total += taken;
    }
    return total;
}

/*
 * The root mean square of the counts that unrelated n-grams give, rounded: so the ends
 * are seen in contents of any length, and outweigh none.
 */
static int32_t end_weight(const Encoder *e)
{
    int32_t weight = 1;

    while (weight < END_WEIGHT_MAX &&
           (uint64_t)(2 * weight + 1) * (2 * weight + 1) * e->places <= 16 * e->added) {
        weight++;
    }
    return weight;
}

/* Names, versions and what else tells near copies apart often stand there. */
static void add_ends(Encoder *e, const uint8_t *head, size_t len)
{
    const uint8_t *tail = head + len - END_BYTES;
    int32_t weight = end_weight(e);

    for (size_t i = 0; i <= END_BYTES - HYPERVEC_NGRAM_BYTES; i++) {
        add_ngram(e, le64_load(head + i) ^ HEAD_KEY, weight);
        add_ngram(e, le64_load(tail + i) ^ TAIL_KEY, weight);
    }
}

/* Content shorter than an n-gram: its bytes, zeros, and its length in the last. */
static uint64_t short_ngram(const uint8_t *data, size_t len)
{
    uint8_t bytes[HYPERVEC_NGRAM_BYTES] = {0};

    memcpy(bytes, data, len);
    bytes[HYPERVEC_NGRAM_BYTES - 1] = (uint8_t)len;
    return le64_load(bytes);
}

void hypervec_encode(const HypervecSpace *space, int32_t *counts, const void *data,
                     size_t len)
{
    const uint8_t *bytes = data;
    Encoder e = {.counts = counts, .places = 2 * (uint64_t)space->dimension};
    size_t n = len < HYPERVEC_NGRAM_BYTES ? 0 : len - HYPERVEC_NGRAM_BYTES + 1;
    size_t taken = 0;

    if (len == 0) {
        return;
    }
    for (size_t at = 0; at < n; at += ROUND_POSITIONS) {
        size_t round = n - at < ROUND_POSITIONS ? n - at : ROUND_POSITIONS;

        taken += add_sampled(space, &e, bytes + at, round, sample_limit(len));
        space->kernel->clamp(counts, space->dimension);
    }
    if (n == 0) {
        add_ngram(&e, short_ngram(bytes, len), 1);
    } else if (taken == 0) {
        add_sampled(space, &e, bytes, n < FALLBACK_POSITIONS ? n : FALLBACK_POSITIONS,
                    INT32_MIN);
    }
    if (len >= 2 * END_BYTES) {
        add_ends(&e, bytes, len);
    }
    space->kernel->clamp(counts, space->dimension);
}
