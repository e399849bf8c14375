#include "common.h"

#include <string.h>

uint64_t random_next(Random *r)
{
    uint64_t z = (r->state += 0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

uint32_t random_below(Random *r, uint32_t n)
{
    return (uint32_t)((random_next(r) >> 32) * n >> 32);
}

void random_bytes(Random *r, void *out, size_t len)
{
    uint8_t *bytes = out;

    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)random_next(r);
    }
}

void random_vector(Random *r, const HypervecSpace *space, uint64_t *v, uint32_t active)
{
    for (uint32_t i = 0; i < space->dimension; i++) {
        bool nonzero = random_below(r, space->dimension) < active;

        hypervec_set(space, v, i, !nonzero ? 0 : random_below(r, 2) ? -1 : 1);
    }
}

void random_vector_exact(Random *r, const HypervecSpace *space, uint64_t *v,
                         uint32_t active)
{
    memset(v, 0, hypervec_words(space) * sizeof(*v));
    while (active > 0) {
        uint32_t i = random_below(r, space->dimension);

        if (hypervec_get(space, v, i) == 0) {
            hypervec_set(space, v, i, random_below(r, 2) ? -1 : 1);
            active--;
        }
    }
}

HypervecSpace make_space(uint32_t dimension)
{
    HypervecSpace space;

    ck_assert(hypervec_space_init(&space, dimension));
    return space;
}

bool same_vector(const HypervecSpace *space, const uint64_t *a, const uint64_t *b)
{
    return memcmp(a, b, hypervec_words(space) * sizeof(*a)) == 0;
}
