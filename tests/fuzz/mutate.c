#include "mutate.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

enum { SECTOR_BYTES = 512 };

void mutator_init(Mutator *m, uint64_t seed)
{
    m->state = seed;
}

/* SplitMix64 */
static uint64_t next_random(Mutator *m)
{
    uint64_t z = m->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t below(Mutator *m, size_t n)
{
    return n ? next_random(m) % n : 0;
}

/* From 1 to n, or to limit if that is less. */
static size_t length(Mutator *m, size_t n, size_t limit)
{
    size_t len = 1 + below(m, n);

    return MIN(len, limit);
}

/* Mostly short, at times a few KiB. */
static size_t range_length(Mutator *m, size_t limit)
{
    return length(m, (size_t)1 << below(m, 13), limit);
}

static bool sector_is_zero(const uint8_t *data, size_t size, size_t pos)
{
    size_t start = pos & ~(size_t)(SECTOR_BYTES - 1);
    size_t end = MIN(start + SECTOR_BYTES, size);

    for (size_t i = start; i < end; i++) {
        if (data[i]) {
            return false;
        }
    }
    return true;
}

/* A place to damage: images are mostly empty, so prefer where something is, and
 * there the bytes that are not zero. */
static size_t pick(Mutator *m, const uint8_t *data, size_t size)
{
    size_t pos = below(m, size);

    for (int i = 0; i < 64 && sector_is_zero(data, size, pos); i++) {
        pos = below(m, size);
    }
    for (int i = 0; i < 8 && pos < size && !data[pos]; i++) {
        size_t near = (pos & ~(size_t)(SECTOR_BYTES - 1)) + below(m, SECTOR_BYTES);

        pos = near < size ? near : pos;
    }
    return pos;
}

static uint64_t interesting(Mutator *m)
{
    static const uint64_t values[] = {
        0, 1, 2, 7, 8, 16, 63, 64, 127, 128, 255, 256, 511, 512, 1023, 4095, 4096, 32767,
        32768, 65535, 65536, INT32_MAX, UINT32_C(1) << 31, UINT32_MAX,
        UINT64_C(1) << 32, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX,
    };
    uint64_t value = values[below(m, G_N_ELEMENTS(values))];

    switch (below(m, 6)) {
    case 0:
        return UINT64_C(1) << below(m, 64);
    case 1:
        return value - 1;
    case 2:
        return -value;
    default:
        return value;
    }
}

static void set_integer(Mutator *m, uint8_t *data, size_t size)
{
    size_t width = (size_t)1 << below(m, 4);
    size_t pos = pick(m, data, size) & ~(width - 1);
    bool big_endian = below(m, 2);
    bool relative = below(m, 3) == 0;
    uint64_t value = interesting(m);
    uint64_t old = 0;

    if (width > size || pos > size - width) {
        return;
    }
    for (size_t i = 0; i < width; i++) {
        old |= (uint64_t)data[pos + (big_endian ? width - 1 - i : i)] << (8 * i);
    }
    if (relative) {
        value = old + (next_random(m) & 1 ? value : -value);
    }
    for (size_t i = 0; i < width; i++) {
        data[pos + (big_endian ? width - 1 - i : i)] = (uint8_t)(value >> (8 * i));
    }
}

static void fill_range(Mutator *m, uint8_t *data, size_t size)
{
    size_t pos = pick(m, data, size);
    size_t len = range_length(m, size - pos);

    memset(data + pos, below(m, 2) ? 0 : 0xff, len);
}

static void copy_range(Mutator *m, uint8_t *data, size_t size)
{
    size_t from = pick(m, data, size);
    size_t to = pick(m, data, size);

    memmove(data + to, data + from, range_length(m, size - MAX(from, to)));
}

static size_t insert_range(Mutator *m, uint8_t *data, size_t size, size_t max_size)
{
    size_t pos = pick(m, data, size);
    size_t len = length(m, 64, max_size - size);

    memmove(data + pos + len, data + pos, size - pos);
    for (size_t i = 0; i < len; i++) {
        data[pos + i] = (uint8_t)next_random(m);
    }
    return size + len;
}

static size_t remove_range(Mutator *m, uint8_t *data, size_t size)
{
    size_t pos = pick(m, data, size);
    size_t len = length(m, 64, size - pos);

    memmove(data + pos, data + pos + len, size - pos - len);
    return size - len;
}

static size_t change(Mutator *m, uint8_t *data, size_t size, size_t max_size)
{
    if (size == 0) {
        return insert_range(m, data, size, max_size);
    }
    switch (below(m, 32)) {
    case 0:
        return below(m, size);
    case 1:
        return insert_range(m, data, size, max_size);
    case 2:
        return remove_range(m, data, size);
    case 3 ... 4:
        fill_range(m, data, size);
        return size;
    case 5 ... 7:
        copy_range(m, data, size);
        return size;
    case 8 ... 13:
        data[pick(m, data, size)] ^= (uint8_t)(1 << below(m, 8));
        return size;
    case 14 ... 18:
        data[pick(m, data, size)] = (uint8_t)next_random(m);
        return size;
    default:
        set_integer(m, data, size);
        return size;
    }
}

size_t mutate(Mutator *m, uint8_t *data, size_t size, size_t max_size)
{
    size_t changes = 1 + below(m, 8);

    max_size = MIN(max_size, size + MUTATE_MAX_GROWTH);
    for (size_t i = 0; i < changes; i++) {
        size = change(m, data, size, max_size);
    }
    return size;
}
