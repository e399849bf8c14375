#include "common.h"

#include <string.h>

#define DIMENSION 2048
#define ROOM HYPERVEC_PACKED_BYTES_MAX(HYPERVEC_DIMENSION_MAX)

static size_t check_round_trip(const HypervecSpace *space, const uint64_t *v)
{
    static uint64_t back[WORDS_MAX];
    static uint8_t packed[ROOM + 1];
    size_t len;

    memset(packed, 0xA5, sizeof(packed));
    len = hypervec_pack(space, packed, v);
    ck_assert_uint_ge(len, 1);
    ck_assert_uint_le(len, HYPERVEC_PACKED_BYTES_MAX(space->dimension));
    ck_assert_uint_eq(packed[len], 0xA5);
    memset(back, 0xFF, sizeof(back));
    ck_assert(hypervec_unpack(space, back, packed, len, NULL));
    ck_assert(same_vector(space, back, v));
    return len;
}

START_TEST(round_trip)
{
    static uint64_t v[WORDS_MAX];
    static const uint32_t dimensions[] = { 512,  1024,  1536,
                                           2048, 10240, HYPERVEC_DIMENSION_MAX };
    Random r = { 1 };

    for (size_t d = 0; d < sizeof(dimensions) / sizeof(*dimensions); d++) {
        HypervecSpace space = make_space(dimensions[d]);

        for (int round = 0; round < 20; round++) {
            random_vector(&r, &space, v, random_below(&r, dimensions[d] + 1));
            check_round_trip(&space, v);
            random_vector(&r, &space, v, random_below(&r, dimensions[d] / 8));
            check_round_trip(&space, v);
        }
        for (uint32_t active = 0; active < 20; active += 3) {
            random_vector_exact(&r, &space, v, active);
            check_round_trip(&space, v);
            random_vector_exact(&r, &space, v, dimensions[d] - active);
            check_round_trip(&space, v);
        }
        /* All in one place: the longest gaps. */
        memset(v, 0, sizeof(v));
        for (uint32_t i = 1; i <= 300 && i <= dimensions[d]; i++) {
            hypervec_set(&space, v, dimensions[d] - i, i % 2 ? 1 : -1);
            check_round_trip(&space, v);
        }
    }
}
END_TEST

/* The sparse form comes near to the least that any code can do. */
START_TEST(sizes)
{
    HypervecSpace space = make_space(DIMENSION);
    uint64_t v[HYPERVEC_WORDS(DIMENSION)];
    Random r = { 2 };

    random_vector_exact(&r, &space, v, 0);
    ck_assert_uint_eq(check_round_trip(&space, v), 1);
    random_vector_exact(&r, &space, v, 1);
    ck_assert_uint_le(check_round_trip(&space, v), 3);
    random_vector_exact(&r, &space, v, 256);
    /* Entropy: 1369 bits, 172 bytes. */
    ck_assert_uint_le(check_round_trip(&space, v), 178);
    random_vector_exact(&r, &space, v, DIMENSION);
    ck_assert_uint_eq(check_round_trip(&space, v), 2 + DIMENSION / 4);
}
END_TEST

START_TEST(fixed_bytes)
{
    HypervecSpace space = make_space(512);
    uint64_t v[HYPERVEC_WORDS(512)] = { 0 };
    uint8_t packed[HYPERVEC_PACKED_BYTES_MAX(512)];
    /* 1 trit: 8 bits of remainder. gap 300: one 0, a 1, negative, 44. */
    static const uint8_t one[] = { 0x02, 0x66, 0x01 };
    /* 2 trits: 7 bits. gap 0, positive; gap 510: 3 zeros, 1, negative, 126. */
    static const uint8_t two[] = { 0x04, 0x01, 0xB0, 0x1F };

    hypervec_set(&space, v, 300, -1);
    ck_assert_uint_eq(hypervec_pack(&space, packed, v), sizeof(one));
    ck_assert_mem_eq(packed, one, sizeof(one));
    hypervec_set(&space, v, 300, 0);
    hypervec_set(&space, v, 0, 1);
    hypervec_set(&space, v, 511, -1);
    ck_assert_uint_eq(hypervec_pack(&space, packed, v), sizeof(two));
    ck_assert_mem_eq(packed, two, sizeof(two));
}
END_TEST

static void refuse(const HypervecSpace *space, const uint8_t *packed, size_t len,
                   const char *why)
{
    uint64_t v[WORDS_MAX];
    const char *reason = NULL;

    ck_assert(!hypervec_unpack(space, v, packed, len, &reason));
    ck_assert_str_eq(reason, why);
    ck_assert(!hypervec_unpack(space, v, packed, len, NULL));
}

#define REFUSE(space, why, ...)                                                        \
    do {                                                                               \
        const uint8_t bytes[] = { __VA_ARGS__ };                                       \
        refuse(space, bytes, sizeof(bytes), why);                                      \
    } while (0)

START_TEST(refusals)
{
    HypervecSpace space = make_space(512);
    uint64_t v[HYPERVEC_WORDS(512)];
    uint8_t packed[HYPERVEC_PACKED_BYTES_MAX(512) + 70] = { 0 };
    Random r = { 3 };
    size_t len;

    refuse(&space, packed, 0, "no count of trits");
    REFUSE(&space, "no count of trits", 0x80);
    REFUSE(&space, "no count of trits", 0x82, 0x00);
    REFUSE(&space, "no count of trits", 0x80, 0x80, 0x80, 0x01);
    REFUSE(&space, "more trits than the dimension", 0x82, 0x08);
    REFUSE(&space, "a vector of zeros that is not one byte", 0x01);
    REFUSE(&space, "a vector of zeros that is not one byte", 0x00, 0x00);
    REFUSE(&space, "a sparse vector that ends too early", 0x02);
    REFUSE(&space, "a sparse vector that ends too early", 0x02, 0x00, 0x00);
    REFUSE(&space, "a sparse vector that ends too early", 0x02, 0x66);
    REFUSE(&space, "bytes after a sparse vector", 0x02, 0x66, 0x01, 0x00);
    REFUSE(&space, "bits after the last trit", 0x02, 0x66, 0x09);
    REFUSE(&space, "a trit beyond the dimension", 0x02, 0xFC, 0x0F);

    memset(packed, 0, sizeof(packed));
    packed[0] = 0x02;
    refuse(&space, packed, 1 + 65, "a sparse vector that should be dense");

    random_vector_exact(&r, &space, v, 333);
    len = hypervec_pack(&space, packed, v);
    ck_assert_uint_eq(packed[0] & 1, 1);
    refuse(&space, packed, len - 1, "a dense vector of another length");
    refuse(&space, packed, len + 1, "a dense vector of another length");
    packed[len - 1] ^= 0x80;
    refuse(&space, packed, len, "bits after the last sign");
    packed[len - 1] ^= 0x80;
    packed[10] ^= 4;
    refuse(&space, packed, len, "a count of trits that is not that of the bits");

    memset(packed, 0, sizeof(packed));
    packed[0] = 0x03;
    packed[1] = 1;
    refuse(&space, packed, 1 + 64 + 1, "a dense vector that should be sparse");
}
END_TEST

/* Whatever bytes are accepted, they are the ones that the vector packs to. */
static void check_canonical(const HypervecSpace *space, const uint8_t *packed,
                            size_t len, uint32_t *accepted)
{
    static uint64_t v[WORDS_MAX];
    static uint8_t again[ROOM];

    if (!hypervec_unpack(space, v, packed, len, NULL)) {
        return;
    }
    ++*accepted;
    for (size_t w = 0; w < hypervec_words(space) / 2; w++) {
        ck_assert_uint_eq(v[hypervec_words(space) / 2 + w] & ~v[w], 0);
    }
    ck_assert_uint_eq(hypervec_pack(space, again, v), len);
    ck_assert_int_eq(memcmp(again, packed, len), 0);
}

START_TEST(damage)
{
    uint64_t v[HYPERVEC_WORDS(DIMENSION)];
    uint8_t packed[HYPERVEC_PACKED_BYTES_MAX(DIMENSION) + 8];
    uint32_t accepted = 0, tried = 0;
    Random r = { 4 };

    for (int round = 0; round < 500; round++) {
        HypervecSpace space = make_space(512 << random_below(&r, 3));
        size_t len;

        random_vector(&r, &space, v, random_below(&r, space.dimension / 2));
        len = hypervec_pack(&space, packed, v);
        for (int hits = 0; hits < 20; hits++, tried++) {
            uint32_t at = random_below(&r, (uint32_t)len);
            uint8_t bit = (uint8_t)(1u << random_below(&r, 8));

            packed[at] ^= bit;
            check_canonical(&space, packed, len, &accepted);
            packed[at] ^= bit;
        }
        for (size_t cut = 0; cut < len; cut += 1 + len / 16, tried++) {
            ck_assert(!hypervec_unpack(&space, v, packed, cut, NULL));
        }
    }
    /* A flipped sign, for one, is another vector. */
    ck_assert_uint_gt(accepted, 0);
    ck_assert_uint_lt(accepted, tried);
}
END_TEST

START_TEST(noise)
{
    uint8_t packed[200];
    uint32_t accepted = 0;
    Random r = { 5 };

    for (int round = 0; round < 100000; round++) {
        HypervecSpace space = make_space(512);
        size_t len = random_below(&r, 12);

        random_bytes(&r, packed, len);
        packed[0] &= 0x0E;
        check_canonical(&space, packed, len, &accepted);
    }
    ck_assert_uint_gt(accepted, 100);
}
END_TEST

RUN_TESTS("pack", round_trip, sizes, fixed_bytes, refusals, damage, noise)
