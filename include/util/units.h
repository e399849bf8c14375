/* Sizes, rounding and minimum in the types they are used with. */
#ifndef EMBR_UTIL_UNITS_H
#define EMBR_UTIL_UNITS_H

#include <inttypes.h>
#include <stdbool.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define KiB (INT64_C(1) << 10)
#define MiB (INT64_C(1) << 20)
#define GiB (INT64_C(1) << 30)
#define TiB (INT64_C(1) << 40)

/* n must be a power of two; round_up's result must fit. */
static inline uint64_t round_down_pow2(uint64_t value, uint64_t n)
{
    return value & ~(n - 1);
}
static inline uint64_t round_up_pow2(uint64_t value, uint64_t n)
{
    return (value + (n - 1)) & ~(n - 1);
}
static inline bool is_pow2(uint64_t value)
{
    return value && !(value & (value - 1));
}
static inline uint64_t div_round_up(uint64_t value, uint64_t n)
{
    return value / n + (value % n != 0);
}

/* offset + len <= size, without overflow. */
static inline bool range_fits(uint64_t offset, uint64_t len, uint64_t size)
{
    return offset <= size && len <= size - offset;
}

/* True if all len bytes are zero. */
bool buffer_is_zero(const void *buf, size_t len);

#endif
