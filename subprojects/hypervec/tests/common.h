/* What the tests share: reproducible random inputs. */
#ifndef HYPERVEC_TESTS_COMMON_H
#define HYPERVEC_TESTS_COMMON_H

#include "hypervec/hypervec.h"

#include <check.h>

#define WORDS_MAX HYPERVEC_WORDS(HYPERVEC_DIMENSION_MAX)

typedef struct Random {
    uint64_t state;
} Random;

uint64_t random_next(Random *r);
/* 0 <= random_below() < n */
uint32_t random_below(Random *r, uint32_t n);
void random_bytes(Random *r, void *out, size_t len);
/* Each trit is not zero with a chance of active in dimension. */
void random_vector(Random *r, const HypervecSpace *space, uint64_t *v, uint32_t active);
/* Exactly active trits are not zero. */
void random_vector_exact(Random *r, const HypervecSpace *space, uint64_t *v,
                         uint32_t active);

HypervecSpace make_space(uint32_t dimension);

bool same_vector(const HypervecSpace *space, const uint64_t *a, const uint64_t *b);

int run_tests(const char *name, const TTest *const *tests, size_t n);
#define RUN_TESTS(name, ...)                                                           \
    int main(void)                                                                     \
    {                                                                                  \
        const TTest *const tests[] = { __VA_ARGS__ };                                  \
                                                                                       \
        return run_tests(name, tests, sizeof(tests) / sizeof(*tests));                 \
    }

#endif
