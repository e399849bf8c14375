/* The loops that are worth writing for a vector unit. */
#ifndef HYPERVEC_KERNELS_H
#define HYPERVEC_KERNELS_H

#include "hypervec/hypervec.h"

/*
 * All words are those of one plane, a multiple of 8.  The number of counts is a
 * multiple of 512; where nothing else is said, they lie within +-HYPERVEC_COUNT_MAX
 * before and after.
 */
struct HypervecKernel {
    const char *name;
    bool (*supported)(void);
    /*
     * Writes the positions p < n, ascending, at which sample_hash() is more than limit,
     * and returns how many they are.  Reads data[0 .. n + HYPERVEC_NGRAM_BYTES - 2];
     * positions has room for n + SAMPLE_SLACK.
     */
    size_t (*sample)(const uint8_t *data, uint32_t n, int32_t limit,
                     uint16_t *positions);
    /*
     * Adds the items of the n-grams at these n places, in their order, but for those that
     * recent says were added a moment ago; returns how many it adds.  places: twice the
     * dimension.  Counts may go beyond their bounds.
     */
    uint64_t (*add)(int32_t *counts, uint32_t *recent, const uint8_t *data,
                    const uint16_t *positions, size_t n, uint64_t places);
    void (*bundle)(int32_t *counts, const uint64_t *nonzero, const uint64_t *negative,
                   size_t words, int32_t weight);
    void (*counts_add)(int32_t *counts, const int32_t *more, size_t n);
    /* Brings any counts within +-HYPERVEC_COUNT_MAX. */
    void (*clamp)(int32_t *counts, size_t n);
    /* How many counts are at least `least`, which is positive, or at most -least. */
    uint32_t (*strong)(const int32_t *counts, size_t n, int32_t least);
    /* Makes planes of those counts, and of their signs; all others are zero. */
    void (*split)(uint64_t *nonzero, uint64_t *negative, const int32_t *counts,
                  size_t n, int32_t least);
    void (*bind)(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t words);
    /* active[i] is the number of trits of vector i that are not zero; may be NULL. */
    void (*dots)(int32_t *out, uint32_t *active, const uint64_t *query,
                 const uint64_t *vectors, size_t n, size_t words);
};

#define SAMPLE_SLACK 4
#define SAMPLE_MULTIPLIER_LOW 0x9E3779B1u
#define SAMPLE_MULTIPLIER_HIGH 0x85EBCA77u

static inline uint32_t le32_load(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

static inline uint64_t le64_load(const uint8_t *p)
{
    return le32_load(p) | (uint64_t)le32_load(p + 4) << 32;
}

static inline int32_t sample_hash(const uint8_t *p)
{
    return (int32_t)(le32_load(p) * SAMPLE_MULTIPLIER_LOW +
                     le32_load(p + 4) * SAMPLE_MULTIPLIER_HIGH);
}

/* Of n-grams that were added: one mark for each 1 << RECENT_BITS of hashes. */
#define RECENT_BITS 12

#define NGRAM_KEY 0x9E3779B97F4A7C15
#define NGRAM_MULTIPLIER 0xD6E8FEB86659FD93

static inline uint64_t ngram_hash(uint64_t ngram)
{
    ngram = (ngram ^ NGRAM_KEY) * NGRAM_MULTIPLIER;
    ngram = (ngram ^ (ngram >> 32)) * NGRAM_MULTIPLIER;
    return ngram ^ (ngram >> 32);
}

/* Marks it, too. */
static inline bool is_new(uint32_t *recent, uint64_t hash)
{
    uint32_t *slot = &recent[hash >> (64 - RECENT_BITS)], mark = (uint32_t)hash | 1;
    bool other = *slot != mark;

    *slot = mark;
    return other;
}

/* The item of an n-gram has two trits: each half of its hash tells one, and its sign. */
static inline void add_item(int32_t *counts, uint64_t hash, uint64_t places,
                            int32_t weight)
{
    uint64_t low = (hash & UINT32_MAX) * places >> 32;
    uint64_t high = (hash >> 32) * places >> 32;

    counts[low / 2] += low % 2 ? -weight : weight;
    counts[high / 2] += high % 2 ? -weight : weight;
}

static inline int32_t clamp_count(int64_t count)
{
    if (count > HYPERVEC_COUNT_MAX) {
        return HYPERVEC_COUNT_MAX;
    }
    return count < -HYPERVEC_COUNT_MAX ? -HYPERVEC_COUNT_MAX : (int32_t)count;
}

/* Vectors from memory come in time if they are asked for this many before. */
#define PREFETCH_VECTORS 4

/* Asks for the planes of a vector that is far ahead of the one that is read now. */
static inline void prefetch_vector(const uint64_t *v, size_t words)
{
    for (size_t w = 0; w < 2 * words; w += 8) {
        __builtin_prefetch(v + w);
    }
}

size_t hypervec_sample_portable(const uint8_t *data, uint32_t n, int32_t limit,
                                uint16_t *positions);
uint64_t hypervec_add_portable(int32_t *counts, uint32_t *recent, const uint8_t *data,
                               const uint16_t *positions, size_t n, uint64_t places);

extern const HypervecKernel hypervec_kernel_portable;
#if defined(__x86_64__)
extern const HypervecKernel hypervec_kernel_avx2;
/* What wider registers do no better. */
void hypervec_bind_avx2(uint64_t *out, const uint64_t *a, const uint64_t *b,
                        size_t words);
void hypervec_dots_avx2(int32_t *out, uint32_t *active, const uint64_t *query,
                        const uint64_t *vectors, size_t n, size_t words);
/* The first compilers that know all of the instructions. */
#if __GNUC__ >= 8 || (defined(__clang__) && __clang_major__ >= 7)
#define HYPERVEC_HAVE_AVX512
extern const HypervecKernel hypervec_kernel_avx512;
extern const HypervecKernel hypervec_kernel_avx512_vpopcntdq;
#endif
#endif
#if defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HYPERVEC_HAVE_NEON
extern const HypervecKernel hypervec_kernel_neon;
#endif

#endif
