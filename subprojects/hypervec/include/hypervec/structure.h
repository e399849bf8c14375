/*
 * Structures of hypervectors: sequences, records, codebooks; and vectors as lists of
 * the trits that are not zero.
 *
 * As in hypervec.h: same arguments, same bits, with any kernel; nothing allocates or
 * blocks; memory is the caller's.
 *
 * A sequence or a record is a sum: counts that are all zero first, to which its parts
 * are added one by one, in any order, and which hypervec_threshold() cuts back.  What
 * is taken out of it is the part that was put in and noise from all others;
 * hypervec_clean_up() finds which one it was.  Of a vector without zeros made of n
 * parts, what is taken out has a cosine of about sqrt(2 / (pi * n)) with what was put
 * in; docs/hypervec.md has how many parts a vector holds.
 */
#ifndef HYPERVEC_STRUCTURE_H
#define HYPERVEC_STRUCTURE_H

#include "hypervec/hypervec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Adds v at a position of a sequence: rotated by it.  Any position, also negative;
 * those that are equal modulo the dimension are one.  weight as in hypervec_bundle().
 */
void hypervec_sequence_add(const HypervecSpace *space, int32_t *counts,
                           const uint64_t *v, int64_t position, int32_t weight);

/* What is at a position of a sequence, with noise.  out must not be sequence. */
void hypervec_sequence_get(const HypervecSpace *space, uint64_t *out,
                           const uint64_t *sequence, int64_t position);

/* Adds v in a role of a record: bound to it.  role: without zeros, such as an item. */
void hypervec_record_add(const HypervecSpace *space, int32_t *counts, const uint64_t *v,
                         const uint64_t *role, int32_t weight);

/* What is in a role of a record, with noise.  out may be record. */
void hypervec_record_get(const HypervecSpace *space, uint64_t *out,
                         const uint64_t *record, const uint64_t *role);

/*
 * The n vectors that lie one after another, each rotated by its place from 0 on, bound
 * to one vector: that of this sequence, n-gram or path as a whole, unlike that of any
 * other and of the same vectors in another order.  n: at least 1.  out must not be
 * among them.
 */
void hypervec_bind_sequence(const HypervecSpace *space, uint64_t *out,
                            const uint64_t *vectors, size_t n);

/*
 * Which of the n vectors of a codebook, at least 1, that lie one after another v is
 * most similar to; the first of equally similar ones.  *similarity, unless NULL, is set
 * to the cosine, which is what tells whether v is anything that is in the codebook.
 */
size_t hypervec_clean_up(const HypervecSpace *space, const uint64_t *v,
                         const uint64_t *codebook, size_t n, double *similarity);

/*
 * The trits of v that are not zero, in order, to places (hypervec_active() of them,
 * which is returned): i + 1 for trit i if it is positive, -(i + 1) if it is negative.
 */
uint32_t hypervec_to_places(const HypervecSpace *space, int32_t *places,
                            const uint64_t *v);

/* The vector with these n trits.  False if they are out of order or out of range; then
 * v holds anything. */
bool hypervec_from_places(const HypervecSpace *space, uint64_t *v,
                          const int32_t *places, size_t n);

#ifdef __cplusplus
}
#endif

#endif
