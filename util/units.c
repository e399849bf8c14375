#include "util/units.h"

#include <string.h>

enum { ZERO_BLOCK_BYTES = 128 };

typedef uint64_t ZeroVector __attribute__((vector_size(16)));

static inline ZeroVector load_vector(const uint8_t *p)
{
    ZeroVector v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t load_word(const uint8_t *p)
{
    uint64_t value;

    memcpy(&value, p, sizeof(value));
    return value;
}

static bool short_is_zero(const uint8_t *p, size_t len)
{
    uint64_t bits = 0;

    for (; len >= sizeof(bits); p += sizeof(bits), len -= sizeof(bits)) {
        bits |= load_word(p);
    }
    while (len--) {
        bits |= *p++;
    }
    return bits == 0;
}

static inline bool block_is_zero(const uint8_t *p)
{
    ZeroVector bits = load_vector(p);

    for (size_t i = sizeof(bits); i < ZERO_BLOCK_BYTES; i += sizeof(bits)) {
        bits |= load_vector(p + i);
    }
    return (bits[0] | bits[1]) == 0;
}

bool buffer_is_zero(const void *buf, size_t len)
{
    const uint8_t *p = buf;

    if (len < ZERO_BLOCK_BYTES) {
        return short_is_zero(p, len);
    }
    /* Data that is not zero mostly shows it at once, or in the middle. */
    if (load_word(p) | load_word(p + len / 2) | load_word(p + len - sizeof(uint64_t))) {
        return false;
    }
    const uint8_t *last = p + len - ZERO_BLOCK_BYTES;
    for (; p < last; p += ZERO_BLOCK_BYTES) {
        if (!block_is_zero(p)) {
            return false;
        }
    }
    return block_is_zero(last);
}
