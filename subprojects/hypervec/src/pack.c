/* Vectors to bytes and back.  Bits fill each byte from the lowest up. */
#include "kernels.h"

#include <string.h>

/* Most bytes of the head: a number below 2^17. */
#define HEAD_BYTES_MAX 3

static size_t bits_to_bytes(size_t bits)
{
    return (bits + 7) / 8;
}

/*
 * Bits of a gap that are written as they are; what is above, in unary.  Near the best
 * for gaps between active of dimension places chosen at random.
 */
static uint32_t remainder_bits(uint32_t dimension, uint32_t active)
{
    uint32_t bits = 0;

    while (active > 0 &&
           (uint64_t)4 * active << bits < 2 * (uint64_t)dimension - active) {
        bits++;
    }
    return bits;
}

static size_t put_head(uint8_t *out, uint32_t active, bool dense)
{
    uint32_t head = active << 1 | dense;
    size_t n = 0;

    for (; head >= 0x80; head >>= 7) {
        out[n++] = (uint8_t)(head | 0x80);
    }
    out[n++] = (uint8_t)head;
    return n;
}

static size_t dense_bytes(uint32_t dimension, uint32_t active)
{
    return dimension / 8 + bits_to_bytes(active);
}

static size_t sparse_bits(uint32_t dimension, const uint64_t *nonzero, uint32_t active)
{
    uint32_t low_bits = remainder_bits(dimension, active);
    size_t bits = (size_t)active * (low_bits + 2);
    uint32_t next = 0;

    for (uint32_t w = 0; w < dimension / 64; w++) {
        for (uint64_t left = nonzero[w]; left; left &= left - 1) {
            uint32_t at = w * 64 + (uint32_t)__builtin_ctzll(left);

            bits += (at - next) >> low_bits;
            next = at + 1;
        }
    }
    return bits;
}

static void put_bit(uint8_t *out, size_t bit, bool value)
{
    out[bit / 8] |= (uint8_t)(value << (bit % 8));
}

static void put_dense(const HypervecSpace *space, uint8_t *out, const uint64_t *v)
{
    size_t words = space->dimension / 64;
    uint8_t *signs = out + space->dimension / 8;
    size_t n = 0;

    for (size_t w = 0; w < words; w++) {
        for (int i = 0; i < 8; i++) {
            *out++ = (uint8_t)(v[w] >> (8 * i));
        }
        for (uint64_t left = v[w]; left; left &= left - 1) {
            put_bit(signs, n++, v[words + w] >> __builtin_ctzll(left) & 1);
        }
    }
}

static void put_sparse(const HypervecSpace *space, uint8_t *out, const uint64_t *v,
                       uint32_t active)
{
    uint32_t low_bits = remainder_bits(space->dimension, active);
    size_t words = space->dimension / 64, bit = 0;
    uint32_t next = 0;

    for (size_t w = 0; w < words; w++) {
        for (uint64_t left = v[w]; left; left &= left - 1) {
            int shift = __builtin_ctzll(left);
            uint32_t at = (uint32_t)w * 64 + (uint32_t)shift;
            uint32_t gap = at - next;

            bit += gap >> low_bits;
            put_bit(out, bit++, true);
            put_bit(out, bit++, v[words + w] >> shift & 1);
            for (uint32_t i = 0; i < low_bits; i++) {
                put_bit(out, bit++, gap >> i & 1);
            }
            next = at + 1;
        }
    }
}

size_t hypervec_pack(const HypervecSpace *space, uint8_t *out, const uint64_t *v)
{
    uint32_t active = hypervec_active(space, v);
    size_t dense = dense_bytes(space->dimension, active);
    size_t sparse =
        active ? bits_to_bytes(sparse_bits(space->dimension, v, active)) : 0;
    size_t head = put_head(out, active, dense <= sparse);

    if (dense <= sparse) {
        memset(out + head, 0, dense);
        put_dense(space, out + head, v);
        return head + dense;
    }
    memset(out + head, 0, sparse);
    put_sparse(space, out + head, v, active);
    return head + sparse;
}

typedef struct BitReader {
    const uint8_t *bytes;
    size_t bits, at;
} BitReader;

enum { PEEK_BITS = 57 };

/* The next bits, at least PEEK_BITS of them, with zeros after the end. */
static uint64_t peek(const BitReader *r)
{
    size_t byte = r->at / 8, left = bits_to_bytes(r->bits) - byte;
    uint64_t window = 0;

    if (left >= 8) {
        window = le64_load(r->bytes + byte);
    } else {
        for (size_t i = 0; i < left; i++) {
            window |= (uint64_t)r->bytes[byte + i] << (8 * i);
        }
    }
    return window >> (r->at % 8);
}

/* Zeros up to the next one, and past it.  False if there is none. */
static bool take_unary(BitReader *r, uint32_t *zeros)
{
    size_t start = r->at;

    while (r->at < r->bits) {
        uint64_t window = peek(r);

        if (window) {
            r->at += (size_t)__builtin_ctzll(window);
            *zeros = (uint32_t)(r->at - start);
            r->at++;
            return true;
        }
        r->at += 64 - r->at % 8;
    }
    return false;
}

static bool take_head(const uint8_t **packed, size_t *len, uint32_t *head)
{
    *head = 0;
    for (size_t n = 0; n < HEAD_BYTES_MAX && n < *len; n++) {
        uint8_t byte = (*packed)[n];

        *head |= (uint32_t)(byte & 0x7F) << (7 * n);
        if (byte < 0x80) {
            *packed += n + 1;
            *len -= n + 1;
            return byte != 0 || n == 0;
        }
    }
    return false;
}

/* The functions below give NULL, or what is wrong. */

static const char *take_dense(const HypervecSpace *space, uint64_t *v,
                              const uint8_t *packed, size_t len, uint32_t active)
{
    size_t words = space->dimension / 64;
    BitReader signs = { packed + space->dimension / 8, active, 0 };
    uint32_t n = 0;

    if (len != dense_bytes(space->dimension, active)) {
        return "a dense vector of another length";
    }
    for (size_t w = 0; w < words; w++) {
        v[w] = le64_load(packed + 8 * w);
        n += (uint32_t)__builtin_popcountll(v[w]);
    }
    if (n != active) {
        return "a count of trits that is not that of the bits";
    }
    for (size_t w = 0; w < words; w++) {
        for (uint64_t left = v[w]; left; left &= left - 1, signs.at++) {
            v[words + w] |= (peek(&signs) & 1) << __builtin_ctzll(left);
        }
    }
    if (signs.at % 8 != 0 && peek(&signs) != 0) {
        return "bits after the last sign";
    }
    if (bits_to_bytes(sparse_bits(space->dimension, v, active)) < len) {
        return "a dense vector that should be sparse";
    }
    return NULL;
}

/* A sparse vector while it is read. */
typedef struct SparseReader {
    BitReader r;
    uint64_t *v;
    size_t words;
    uint32_t dimension, low_bits;
    uint32_t left;                  /* trits still to come */
    uint64_t next;                  /* the lowest trit that may be next */
} SparseReader;

/* Takes one trit: high, and the sign and the low bits at the start of window. */
static inline bool take_trit(SparseReader *s, uint64_t high, uint64_t window)
{
    uint64_t low = window >> 1 & ((UINT64_C(1) << s->low_bits) - 1);
    uint64_t trit = s->next + (high << s->low_bits) + low;

    if (trit >= s->dimension) {
        return false;
    }
    s->v[trit / 64] |= UINT64_C(1) << (trit % 64);
    s->v[s->words + trit / 64] |= (window & 1) << (trit % 64);
    s->next = trit + 1;
    s->left--;
    return true;
}

/* Takes the trits that lie wholly within the next PEEK_BITS, if any do. */
static bool take_near_trits(SparseReader *s)
{
    size_t rest = s->r.bits - s->r.at;
    uint32_t bits = rest < PEEK_BITS ? (uint32_t)rest : PEEK_BITS;
    uint64_t window = peek(&s->r);

    while (s->left && window) {
        uint32_t high = (uint32_t)__builtin_ctzll(window);
        uint32_t length = high + 2 + s->low_bits;

        if (length > bits) {
            break;
        }
        if (!take_trit(s, high, window >> (high + 1))) {
            return false;
        }
        window >>= length;
        bits -= length;
        s->r.at += length;
    }
    return true;
}

static const char *take_sparse(const HypervecSpace *space, uint64_t *v,
                               const uint8_t *packed, size_t len, uint32_t active)
{
    SparseReader s = {
        .r = { packed, len * 8, 0 },
        .v = v,
        .words = space->dimension / 64,
        .dimension = space->dimension,
        .low_bits = remainder_bits(space->dimension, active),
        .left = active,
    };

    if (len >= dense_bytes(space->dimension, active)) {
        return "a sparse vector that should be dense";
    }
    while (s.left) {
        size_t start = s.r.at;
        uint32_t high;

        if (!take_near_trits(&s)) {
            return "a trit beyond the dimension";
        }
        if (s.r.at != start) {
            continue;
        }
        if (!take_unary(&s.r, &high) || s.r.bits - s.r.at < s.low_bits + 1) {
            return "a sparse vector that ends too early";
        }
        if (!take_trit(&s, high, peek(&s.r))) {
            return "a trit beyond the dimension";
        }
        s.r.at += s.low_bits + 1;
    }
    if (bits_to_bytes(s.r.at) != len) {
        return "bytes after a sparse vector";
    }
    if (s.r.at % 8 != 0 && peek(&s.r) != 0) {
        return "bits after the last trit";
    }
    return NULL;
}

static const char *unpack(const HypervecSpace *space, uint64_t *v,
                          const uint8_t *packed, size_t len)
{
    uint32_t head, active;

    memset(v, 0, hypervec_words(space) * sizeof(*v));
    if (!take_head(&packed, &len, &head)) {
        return "no count of trits";
    }
    active = head >> 1;
    if (active > space->dimension) {
        return "more trits than the dimension";
    }
    if (active == 0) {
        return head == 0 && len == 0 ? NULL : "a vector of zeros that is not one byte";
    }
    return head & 1 ? take_dense(space, v, packed, len, active)
                    : take_sparse(space, v, packed, len, active);
}

bool hypervec_unpack(const HypervecSpace *space, uint64_t *v, const uint8_t *packed,
                     size_t len, const char **reason)
{
    const char *wrong = unpack(space, v, packed, len);

    if (wrong && reason) {
        *reason = wrong;
    }
    return wrong == NULL;
}
