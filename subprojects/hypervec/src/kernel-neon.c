#include "kernels.h"

#ifdef HYPERVEC_HAVE_NEON

#include <arm_neon.h>

#define LANES 4
#define SAMPLE_STEP 64

/* -1 in each lane i whose sample_hash(p + 4 * i) is above the limit.  Reads p[0 .. 19].
 */
static inline uint32x4_t above(const uint8_t *p, int32x4_t limit)
{
    uint32x4_t low = vreinterpretq_u32_u8(vld1q_u8(p));
    uint32x4_t high = vreinterpretq_u32_u8(vld1q_u8(p + 4));
    uint32x4_t hash = vmulq_n_u32(low, SAMPLE_MULTIPLIER_LOW);

    hash = vmlaq_n_u32(hash, high, SAMPLE_MULTIPLIER_HIGH);
    return vcgtq_s32(vreinterpretq_s32_u32(hash), limit);
}

/* -1 in each byte i whose sample_hash(p + i) is above the limit.  Reads p[0 .. 22]. */
static inline uint8x16_t sampled_16(const uint8_t *p, int32x4_t limit)
{
    const uint32x4_t low_half = vdupq_n_u32(0x0000FFFF);
    const uint32x4_t even_bytes = vdupq_n_u32(0x00FF00FF);
    uint32x4_t even = vbslq_u32(low_half, above(p, limit), above(p + 2, limit));
    uint32x4_t odd = vbslq_u32(low_half, above(p + 1, limit), above(p + 3, limit));

    return vreinterpretq_u8_u32(vbslq_u32(even_bytes, even, odd));
}

/* A bit of each of 64 bytes that are 0 or -1. */
static inline uint64_t byte_bits(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d)
{
    const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    uint8x16_t sum = vpaddq_u8(vpaddq_u8(vandq_u8(a, bits), vandq_u8(b, bits)),
                               vpaddq_u8(vandq_u8(c, bits), vandq_u8(d, bits)));

    sum = vpaddq_u8(sum, sum);
    return vgetq_lane_u64(vreinterpretq_u64_u8(sum), 0);
}

/* Bit i says whether sample_hash(p + i) is above the limit.  Reads p[0 .. 70]. */
static inline uint64_t sampled(const uint8_t *p, int32x4_t limit)
{
    return byte_bits(sampled_16(p, limit), sampled_16(p + 16, limit),
                     sampled_16(p + 32, limit), sampled_16(p + 48, limit));
}

static inline uint16_t first_position(uint32_t p, uint64_t mask)
{
    return (uint16_t)(p + (mask ? (uint32_t)__builtin_ctzll(mask) : SAMPLE_STEP));
}

static size_t sample_neon(const uint8_t *data, uint32_t n, int32_t limit,
                          uint16_t *positions)
{
    const int32x4_t limits = vdupq_n_s32(limit);
    size_t taken = 0;
    uint32_t p = 0;

    for (; p + SAMPLE_STEP <= n; p += SAMPLE_STEP) {
        uint64_t mask = sampled(data + p, limits);
        size_t end = taken + vaddv_u8(vcnt_u8(vcreate_u8(mask)));

        /* Mostly there are few: four are written, needed or not, without a branch. */
        for (int i = 0; i < SAMPLE_SLACK; i++) {
            positions[taken + i] = first_position(p, mask);
            mask &= mask - 1;
        }
        for (taken += SAMPLE_SLACK; mask; mask &= mask - 1) {
            positions[taken++] = first_position(p, mask);
        }
        taken = end;
    }
    for (; p < n; p++) {
        positions[taken] = (uint16_t)p;
        taken += sample_hash(data + p) > limit;
    }
    return taken;
}

/* -1 in each lane whose bit is set. */
static inline int32x4_t spread_bits(uint64_t bits)
{
    static const uint32_t lane[LANES] = { 1, 2, 4, 8 };

    return vreinterpretq_s32_u32(
        vtstq_u32(vdupq_n_u32((uint32_t)bits & 15), vld1q_u32(lane)));
}

static inline void add_clamped(int32_t *counts, int32x4_t more)
{
    int32x4_t sum = vaddq_s32(vld1q_s32(counts), more);

    sum = vmaxq_s32(sum, vdupq_n_s32(-HYPERVEC_COUNT_MAX));
    vst1q_s32(counts, vminq_s32(sum, vdupq_n_s32(HYPERVEC_COUNT_MAX)));
}

static void bundle_neon(int32_t *counts, const uint64_t *nonzero,
                        const uint64_t *negative, size_t words, int32_t weight)
{
    const int32x4_t weights = vdupq_n_s32(weight);

    for (size_t w = 0; w < words; w++) {
        for (int shift = 0; shift < 64; shift += LANES) {
            int32x4_t minus = spread_bits(negative[w] >> shift);
            int32x4_t more = vandq_s32(spread_bits(nonzero[w] >> shift), weights);

            more = vsubq_s32(veorq_s32(more, minus), minus);
            add_clamped(counts + w * 64 + shift, more);
        }
    }
}

static void counts_add_neon(int32_t *counts, const int32_t *more, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        add_clamped(counts + i, vld1q_s32(more + i));
    }
}

static void clamp_neon(int32_t *counts, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        add_clamped(counts + i, vdupq_n_s32(0));
    }
}

static uint32_t strong_neon(const int32_t *counts, size_t n, int32_t least)
{
    uint32x4_t strong = vdupq_n_u32(0);

    for (size_t i = 0; i < n; i += LANES) {
        int32x4_t size = vabsq_s32(vld1q_s32(counts + i));

        strong = vsubq_u32(strong, vcgeq_s32(size, vdupq_n_s32(least)));
    }
    return vaddvq_u32(strong);
}

/* -1 in each byte i for which counts[i] is at least `least`. */
static inline uint8x16_t at_least_16(const int32_t *counts, int32x4_t least)
{
    uint16x8_t low = vcombine_u16(vmovn_u32(vcgeq_s32(vld1q_s32(counts), least)),
                                  vmovn_u32(vcgeq_s32(vld1q_s32(counts + 4), least)));
    uint16x8_t high = vcombine_u16(vmovn_u32(vcgeq_s32(vld1q_s32(counts + 8), least)),
                                   vmovn_u32(vcgeq_s32(vld1q_s32(counts + 12), least)));

    return vcombine_u8(vmovn_u16(low), vmovn_u16(high));
}

static inline uint64_t at_least_64(const int32_t *counts, int32_t least)
{
    int32x4_t leasts = vdupq_n_s32(least);

    return byte_bits(at_least_16(counts, leasts), at_least_16(counts + 16, leasts),
                     at_least_16(counts + 32, leasts),
                     at_least_16(counts + 48, leasts));
}

static void split_neon(uint64_t *nonzero, uint64_t *negative, const int32_t *counts,
                       size_t n, int32_t least)
{
    for (size_t w = 0; w < n / 64; w++) {
        negative[w] = ~at_least_64(counts + w * 64, 1 - least);
        nonzero[w] = at_least_64(counts + w * 64, least) | negative[w];
    }
}

static void bind_neon(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t words)
{
    for (size_t w = 0; w < words; w += 2) {
        uint64x2_t nonzero = vandq_u64(vld1q_u64(a + w), vld1q_u64(b + w));
        uint64x2_t negative =
            veorq_u64(vld1q_u64(a + words + w), vld1q_u64(b + words + w));

        vst1q_u64(out + w, nonzero);
        vst1q_u64(out + words + w, vandq_u64(negative, nonzero));
    }
}

/* Adds how many bits of each byte are set, by pairs, to sums of 16 bits. */
static inline uint16x8_t add_popcounts(uint16x8_t sums, uint64x2_t x)
{
    return vpadalq_u8(sums, vcntq_u8(vreinterpretq_u8_u64(x)));
}

static void dots_neon(int32_t *out, uint32_t *active, const uint64_t *query,
                      const uint64_t *vectors, size_t n, size_t words)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t *v = vectors + i * 2 * words;
        /* Of the longest vectors these come to 256 pairs of bytes, so to 2^12. */
        uint16x8_t both = vdupq_n_u16(0);
        uint16x8_t differ = vdupq_n_u16(0);
        uint16x8_t nonzero = vdupq_n_u16(0);

        for (size_t w = 0; w < words; w += 2) {
            uint64x2_t trits = vld1q_u64(v + w);
            uint64x2_t shared = vandq_u64(vld1q_u64(query + w), trits);
            uint64x2_t signs =
                veorq_u64(vld1q_u64(query + words + w), vld1q_u64(v + words + w));

            both = add_popcounts(both, shared);
            differ = add_popcounts(differ, vandq_u64(signs, shared));
            nonzero = add_popcounts(nonzero, trits);
        }
        out[i] = (int32_t)vaddlvq_u16(both) - 2 * (int32_t)vaddlvq_u16(differ);
        if (active) {
            active[i] = vaddlvq_u16(nonzero);
        }
    }
}

static bool always(void)
{
    return true;
}

const HypervecKernel hypervec_kernel_neon = {
    .name = "neon",
    .supported = always,
    .sample = sample_neon,
    .add = hypervec_add_portable,
    .bundle = bundle_neon,
    .counts_add = counts_add_neon,
    .clamp = clamp_neon,
    .strong = strong_neon,
    .split = split_neon,
    .bind = bind_neon,
    .dots = dots_neon,
};

#endif
