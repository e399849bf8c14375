/*
 * hypervec: ternary hypervectors, which tell how alike contents are.
 *
 * A hypervector has `dimension` trits, each -1, 0 or +1.  Contents that share much have
 * vectors that point the same way; unrelated contents, names and keys have vectors that
 * are nearly orthogonal.  Four operations make vectors of vectors: bind (the product,
 * trit by trit), bundle (the sum, cut back to the strongest trits), permute (a
 * rotation) and similarity (the cosine).  docs/hypervec.md defines every bit of all of
 * them.
 *
 * Same arguments, same bits: on any processor, in any thread, without a seed.
 *
 * Nothing here allocates, blocks, or keeps state: every function may be called from any
 * number of threads, as long as no two write the same memory.  Memory is the caller's.
 * Needs nothing but libc.
 *
 * A *vector* is an array of hypervec_words() uint64_t: a plane of dimension bits that
 * says which trits are not zero, then one that says which of those are negative.  Trit
 * i is bit i % 64 of word i / 64 of either plane.  A trit that is zero is never marked
 * negative, so vectors are equal exactly if their words are.  Functions that take
 * vectors rely on that; hypervec_unpack never makes any other.
 *
 * *Counts* are an array of dimension int32_t, one for each trit: sums of vectors that
 * have not been cut back yet.  All zero is the empty sum.  Counts of parts, made by
 * different threads, are added; the order makes no difference, except where a sum
 * saturates at +-HYPERVEC_COUNT_MAX.
 */
#ifndef HYPERVEC_HYPERVEC_H
#define HYPERVEC_HYPERVEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of all that decides bits; vectors of different versions do not compare.
 */
#define HYPERVEC_ENCODING 2

#define HYPERVEC_DIMENSION_STEP 512
#define HYPERVEC_DIMENSION_DEFAULT 2048
#define HYPERVEC_DIMENSION_MAX 32768

#define HYPERVEC_COUNT_MAX ((INT32_C(1) << 30) - 1)

/* For arrays of fixed size. */
#define HYPERVEC_WORDS(dimension) ((dimension) / 32)
#define HYPERVEC_PACKED_BYTES_MAX(dimension) (3 + (dimension) / 4)

typedef struct HypervecKernel HypervecKernel;

/*
 * What the vectors of one set have in common; vectors of different spaces do not mix.
 * Immutable once initialised: one space may serve many threads.  Owns nothing.
 */
typedef struct HypervecSpace {
    uint32_t dimension;
    const HypervecKernel *kernel;
} HypervecSpace;

/*
 * dimension: a multiple of HYPERVEC_DIMENSION_STEP, not 0, at most
 * HYPERVEC_DIMENSION_MAX.  Gives false, leaving space untouched, for any other: a
 * dimension that comes from a file is hostile until this has accepted it.
 */
bool hypervec_space_init(HypervecSpace *space, uint32_t dimension);

/* uint64_t of a vector. */
size_t hypervec_words(const HypervecSpace *space);

/* The most trits other than zero that a vector of content or of a bundle has. */
uint32_t hypervec_active_default(const HypervecSpace *space);

/* Trit i < dimension. */
int hypervec_get(const HypervecSpace *space, const uint64_t *v, uint32_t i);
/* trit: -1, 0 or 1. */
void hypervec_set(const HypervecSpace *space, uint64_t *v, uint32_t i, int trit);
/* The number of trits that are not zero. */
uint32_t hypervec_active(const HypervecSpace *space, const uint64_t *v);

/*
 * Adds content to counts.
 *
 * What is added is the sum of item vectors of n-grams (HYPERVEC_NGRAM_BYTES bytes in a
 * row) that lie wholly within these len bytes.  Which n-grams are taken is decided by
 * their own bytes and, for short contents, by len; all of those in the first and in the
 * last 64 bytes are added once more, bound to that end, as names and versions that tell
 * near copies apart often stand there.  Content in several buffers is defined as the
 * sum over the buffers, so it depends on where it was divided; divide it at fixed
 * multiples.  Any len; 0 adds nothing, and anything else adds something.
 *
 * An n-gram that comes again soon counts once, so that repetitive content neither takes
 * over nor overflows.
 */
#define HYPERVEC_NGRAM_BYTES 8
void hypervec_encode(const HypervecSpace *space, int32_t *counts, const void *data,
                     size_t len);

/* counts += weight * v; -HYPERVEC_COUNT_MAX <= weight <= HYPERVEC_COUNT_MAX. */
void hypervec_bundle(const HypervecSpace *space, int32_t *counts, const uint64_t *v,
                     int32_t weight);

/* counts += more */
void hypervec_counts_add(const HypervecSpace *space, int32_t *counts,
                         const int32_t *more);

/*
 * Cuts counts back to a vector: the signs of the strongest counts, at most active of
 * them; of equally strong ones those of lower trits are taken.  Counts that are zero
 * give zero, so a vector may have fewer.  active: see hypervec_active_default().
 */
void hypervec_threshold(const HypervecSpace *space, uint64_t *out,
                        const int32_t *counts, uint32_t active);

/*
 * The item of len bytes (a name, a role): a vector without zeros, which is all but
 * orthogonal to that of any other bytes.  Made to bind with.
 */
void hypervec_item(const HypervecSpace *space, uint64_t *out, const void *bytes,
                   size_t len);

/*
 * out = a * b, trit by trit; out may be a or b.  The result is unlike either.  Binding
 * twice with the same vector without zeros, such as an item, gives back what was bound;
 * one with zeros erases the trits where it is zero.
 */
void hypervec_bind(const HypervecSpace *space, uint64_t *out, const uint64_t *a,
                   const uint64_t *b);

/* The inverse of binding with key: exact where key is not zero.  out may be bound. */
void hypervec_unbind(const HypervecSpace *space, uint64_t *out, const uint64_t *bound,
                     const uint64_t *key);

/*
 * Trit i becomes trit (i + steps) mod dimension; steps may be negative and of any size,
 * -steps is the inverse.  out must not be v.
 */
void hypervec_permute(const HypervecSpace *space, uint64_t *out, const uint64_t *v,
                      int64_t steps);

/* The sum of a[i] * b[i]. */
int32_t hypervec_dot(const HypervecSpace *space, const uint64_t *a, const uint64_t *b);

/* The cosine, -1 to 1; that with a vector of zeros is 0. */
double hypervec_similarity(const HypervecSpace *space, const uint64_t *a,
                           const uint64_t *b);

/*
 * The same with each of the n vectors that lie one after another, hypervec_words()
 * apart, from vectors on: the loop of a search.  Any alignment will do; vectors in the
 * cache are read fastest at multiples of 64 bytes.
 */
void hypervec_dots(const HypervecSpace *space, int32_t *out, const uint64_t *query,
                   const uint64_t *vectors, size_t n);
void hypervec_similarities(const HypervecSpace *space, double *out,
                           const uint64_t *query, const uint64_t *vectors, size_t n);

/*
 * Packs v, exactly, into at most HYPERVEC_PACKED_BYTES_MAX(dimension) bytes: gaps
 * between trits that are not zero, or a bit plane, whichever is smaller.  Returns the
 * number of bytes, at least 1.
 */
size_t hypervec_pack(const HypervecSpace *space, uint8_t *out, const uint64_t *v);

/*
 * The vector that packs to these len bytes.  False if there is none, since bytes are
 * missing, left over, out of range, or not those that hypervec_pack would have written;
 * then v holds anything, and *reason (which may be NULL) is set to a text that says
 * what is wrong with the bytes and is never freed.
 */
bool hypervec_unpack(const HypervecSpace *space, uint64_t *v, const uint8_t *packed,
                     size_t len, const char **reason);

/*
 * The kernels that this processor can run, fastest first, ended by NULL;
 * hypervec_space_init takes the first.  Any of them may be put into
 * HypervecSpace.kernel: all give the same bits.
 */
const HypervecKernel *const *hypervec_kernels(void);
const char *hypervec_kernel_name(const HypervecKernel *kernel);

#ifdef __cplusplus
}
#endif

#endif
