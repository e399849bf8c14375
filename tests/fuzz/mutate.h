/*
 * Damages bytes as a fuzzer does, from a seed, the same on every machine.
 */
#ifndef EMBR_TESTS_FUZZ_MUTATE_H
#define EMBR_TESTS_FUZZ_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* A mutation makes an input longer by no more than this. */
#define MUTATE_MAX_GROWTH ((size_t)4096)

typedef struct Mutator {
    uint64_t state;
} Mutator;

void mutator_init(Mutator *m, uint64_t seed);
/* Up to eight small changes to data; returns its new size, at most max_size. */
size_t mutate(Mutator *m, uint8_t *data, size_t size, size_t max_size);

#endif
