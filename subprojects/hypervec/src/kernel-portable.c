/* What every kernel means. */
#include "kernels.h"

size_t hypervec_sample_portable(const uint8_t *data, uint32_t n, int32_t limit,
                                uint16_t *positions)
{
    size_t taken = 0;

    for (uint32_t p = 0; p < n; p++) {
        positions[taken] = (uint16_t)p;
        taken += sample_hash(data + p) > limit;
    }
    return taken;
}

/* Without a branch, as there is no telling which n-grams come again. */
uint64_t hypervec_add_portable(int32_t *counts, uint32_t *recent, const uint8_t *data,
                               const uint16_t *positions, size_t n, uint64_t places)
{
    uint64_t added = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t hash = ngram_hash(le64_load(data + positions[i]));
        int32_t weight = is_new(recent, hash);

        added += (uint64_t)weight;
        add_item(counts, hash, places, weight);
    }
    return added;
}

static void bundle_portable(int32_t *counts, const uint64_t *nonzero,
                            const uint64_t *negative, size_t words, int32_t weight)
{
    for (size_t w = 0; w < words; w++) {
        for (uint64_t left = nonzero[w]; left; left &= left - 1) {
            int bit = __builtin_ctzll(left);
            int32_t *count = counts + w * 64 + bit;
            bool minus = negative[w] >> bit & 1;

            *count = clamp_count((int64_t)*count + (minus ? -weight : weight));
        }
    }
}

static void counts_add_portable(int32_t *counts, const int32_t *more, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        counts[i] = clamp_count((int64_t)counts[i] + more[i]);
    }
}

static void clamp_portable(int32_t *counts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        counts[i] = clamp_count(counts[i]);
    }
}

/* Whether the count is at least `least` or at most -least: one comparison. */
static inline bool is_strong(int32_t count, int32_t least)
{
    uint32_t weakest = (uint32_t)least - 1;

    return (uint32_t)count + weakest > 2 * weakest;
}

static uint32_t strong_portable(const int32_t *counts, size_t n, int32_t least)
{
    uint32_t strong = 0;

    for (size_t i = 0; i < n; i++) {
        strong += is_strong(counts[i], least);
    }
    return strong;
}

static void split_portable(uint64_t *nonzero, uint64_t *negative, const int32_t *counts,
                           size_t n, int32_t least)
{
    for (size_t w = 0; w < n / 64; w++) {
        uint64_t strong = 0, minus = 0;

        /* From the last one on, each shifts those before it up. */
        for (int i = 63; i >= 0; i--) {
            int32_t count = counts[w * 64 + i];

            strong = strong << 1 | (uint64_t)is_strong(count, least);
            minus = minus << 1 | (uint64_t)(count < 0);
        }
        nonzero[w] = strong;
        negative[w] = minus & strong;
    }
}

static void bind_portable(uint64_t *out, const uint64_t *a, const uint64_t *b,
                          size_t words)
{
    for (size_t w = 0; w < words; w++) {
        uint64_t nonzero = a[w] & b[w];
        uint64_t negative = (a[words + w] ^ b[words + w]) & nonzero;

        out[w] = nonzero;
        out[words + w] = negative;
    }
}

/* popcount without an instruction for it, which plain x86-64 lacks. */
static inline uint32_t popcount(uint64_t x)
{
    x -= x >> 1 & 0x5555555555555555;
    x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0F;
    return (uint32_t)(x * 0x0101010101010101 >> 56);
}

static void dots_portable(int32_t *out, uint32_t *active, const uint64_t *query,
                          const uint64_t *vectors, size_t n, size_t words)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t *v = vectors + i * 2 * words;
        uint32_t both = 0, differ = 0, nonzero = 0;

        for (size_t w = 0; w < words; w++) {
            uint64_t shared = query[w] & v[w];

            both += popcount(shared);
            differ += popcount((query[words + w] ^ v[words + w]) & shared);
            nonzero += popcount(v[w]);
        }
        out[i] = (int32_t)both - 2 * (int32_t)differ;
        if (active) {
            active[i] = nonzero;
        }
    }
}

static bool always(void)
{
    return true;
}

const HypervecKernel hypervec_kernel_portable = {
    .name = "portable",
    .supported = always,
    .sample = hypervec_sample_portable,
    .add = hypervec_add_portable,
    .bundle = bundle_portable,
    .counts_add = counts_add_portable,
    .clamp = clamp_portable,
    .strong = strong_portable,
    .split = split_portable,
    .bind = bind_portable,
    .dots = dots_portable,
};
