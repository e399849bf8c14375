#include "common.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIMENSION 2048
#define WORDS HYPERVEC_WORDS(DIMENSION)

static void vector_of(const HypervecSpace *space, uint64_t *v, const void *data,
                      size_t len)
{
    int32_t counts[DIMENSION] = {0};

    hypervec_encode(space, counts, data, len);
    hypervec_threshold(space, v, counts, hypervec_active_default(space));
}

static double likeness(const void *a, size_t a_len, const void *b, size_t b_len)
{
    HypervecSpace space = make_space(DIMENSION);
    uint64_t va[WORDS], vb[WORDS];

    vector_of(&space, va, a, a_len);
    vector_of(&space, vb, b, b_len);
    return hypervec_similarity(&space, va, vb);
}

/* Lines of few different words, each line with a number of its own. */
static char *make_text(Random *r, size_t len)
{
    static const char *const words[] = {"interface", "address", "127.0.0.1", "enabled",
                                        "#",         "   ",     "true",      "eth0"};
    char *text = malloc(len + 64);

    for (size_t n = 0; n < len;) {
        n += (size_t)sprintf(text + n, "%s %s=%u\n", words[random_below(r, 8)],
                             words[random_below(r, 8)], random_below(r, 1000000));
    }
    return text;
}

START_TEST(empty_and_tiny_contents)
{
    HypervecSpace space = make_space(DIMENSION);
    uint64_t v[64][WORDS];
    uint8_t data[64] = {0};

    vector_of(&space, v[0], data, 0);
    ck_assert_uint_eq(hypervec_active(&space, v[0]), 0);
    vector_of(&space, v[0], NULL, 0);
    ck_assert_uint_eq(hypervec_active(&space, v[0]), 0);
    /* Zeros of another length, up to that of an n-gram, are another content. */
    for (size_t len = 1; len < HYPERVEC_NGRAM_BYTES; len++) {
        vector_of(&space, v[len], data, len);
        ck_assert_uint_ge(hypervec_active(&space, v[len]), 2);
        for (size_t other = 1; other < len; other++) {
            ck_assert(!same_vector(&space, v[other], v[len]));
        }
    }
    for (uint32_t len = 1; len < 64; len++) {
        Random r = {len};

        random_bytes(&r, data, len);
        vector_of(&space, v[0], data, len);
        ck_assert_uint_ge(hypervec_active(&space, v[0]), 2);
    }
}
END_TEST

/* Every constant content and every period: something, and not the same for all. */
START_TEST(repetitive_contents)
{
    HypervecSpace space = make_space(DIMENSION);
    size_t len = 1 << 20;
    uint8_t *data = malloc(len);
    uint64_t v[WORDS], first[WORDS];

    for (int byte = 0; byte < 256; byte += 51) {
        int32_t counts[DIMENSION] = {0};

        memset(data, byte, len);
        hypervec_encode(&space, counts, data, len);
        for (int i = 0; i < DIMENSION; i++) {
            ck_assert_int_le(abs(counts[i]), 6);
        }
        vector_of(&space, v, data, len);
        ck_assert_uint_ge(hypervec_active(&space, v), 2);
        /* One n-gram, and that of each end. */
        ck_assert_uint_le(hypervec_active(&space, v), 6);
        if (byte == 0) {
            memcpy(first, v, sizeof(v));
        } else {
            ck_assert(!same_vector(&space, v, first));
        }
    }
    free(data);
}
END_TEST

/* A million times the same between two halves: the halves are still seen. */
START_TEST(padding_does_not_take_over)
{
    size_t half = 20000, padding = 1 << 20;
    uint8_t *data = malloc(half + padding), *padded = malloc(half + padding);
    Random r = {1};

    random_bytes(&r, data, half + padding);
    memcpy(padded, data, half);
    for (size_t i = 0; i < padding; i++) {
        padded[half + i] = (uint8_t)(i % 48);
    }
    ck_assert_double_gt(likeness(data, half, padded, half + padding), 0.4);
    free(data);
    free(padded);
}
END_TEST

START_TEST(edits)
{
    size_t len = 100000;
    Random r = {2};
    char *text = make_text(&r, len), *other = make_text(&r, len);
    char *edited = malloc(len + 100);

    ck_assert_double_eq(likeness(text, len, text, len), 1);
    ck_assert_double_lt(fabs(likeness(text, len, other, len)), 0.25);
    /* Inserted: everything behind moves. */
    memcpy(edited, text, 5000);
    memset(edited + 5000, '!', 77);
    memcpy(edited + 5077, text + 5000, len - 5000);
    ck_assert_double_gt(likeness(text, len, edited, len + 77), 0.9);
    /* Removed. */
    ck_assert_double_gt(likeness(text, len, text + 5001, len - 5001), 0.8);
    /* A tenth overwritten, at one place. */
    memcpy(edited, text, len);
    memcpy(edited + 30000, other, len / 10);
    ck_assert_double_gt(likeness(text, len, edited, len), 0.7);
    /* The two halves swapped: other ends. */
    memcpy(edited, text + len / 2, len / 2);
    memcpy(edited + len / 2, text, len / 2);
    ck_assert_double_gt(likeness(text, len, edited, len), 0.8);
    free(text);
    free(other);
    free(edited);
}
END_TEST

/* What most of a content has in common with another does not hide that the names at
 * their ends are those of a third. */
START_TEST(ends_tell_near_copies_apart)
{
    size_t len = 20000;
    Random r = {8};
    char *text = make_text(&r, len), *old = malloc(len + 64);
    char *same = malloc(len + 64), *other = malloc(len + 64);

    memcpy(same, text, len);
    memcpy(other, text, len);
    memcpy(old, text + 2000, len - 2000);
    memcpy(old + len - 2000, "# see `apt changelog mount`.\n", 29);
    memcpy(same + len, "# see `apt changelog mount`.\n", 29);
    memcpy(other + len, "# see `apt changelog fdisk`.\n", 29);
    ck_assert_double_gt(likeness(old, len - 1971, same, len + 29),
                        likeness(old, len - 1971, other, len + 29) + 0.005);
    free(text);
    free(old);
    free(same);
    free(other);
}
END_TEST

/* Where content lies in memory makes no difference. */
START_TEST(alignment)
{
    HypervecSpace space = make_space(DIMENSION);
    uint8_t *data = malloc(9000), *moved = malloc(9064);
    uint64_t expected[WORDS], found[WORDS];
    Random r = {3};

    random_bytes(&r, data, 9000);
    vector_of(&space, expected, data, 9000);
    for (size_t at = 0; at < 64; at++) {
        memcpy(moved + at, data, 9000);
        vector_of(&space, found, moved + at, 9000);
        ck_assert(same_vector(&space, found, expected));
    }
    free(data);
    free(moved);
}
END_TEST

/* Counts of parts add up to those of encoding one part after the other. */
START_TEST(parts)
{
    HypervecSpace space = make_space(DIMENSION);
    uint8_t *data = malloc(200000);
    int32_t together[DIMENSION] = {0}, sum[DIMENSION] = {0};
    Random r = {4};

    random_bytes(&r, data, 200000);
    for (size_t at = 150000; at < 200000; at -= 50000) {
        int32_t part[DIMENSION] = {0};

        hypervec_encode(&space, part, data + at, 50000);
        hypervec_counts_add(&space, sum, part);
    }
    for (size_t at = 0; at < 200000; at += 50000) {
        hypervec_encode(&space, together, data + at, 50000);
    }
    ck_assert_int_eq(memcmp(sum, together, sizeof(sum)), 0);
    free(data);
}
END_TEST

/* Bits never change: they are stored.  A change of them is another HYPERVEC_ENCODING.
 */
static void check_fixed(const char *what, const uint64_t *v, const char *expected)
{
    HypervecSpace space = make_space(512);
    uint8_t packed[HYPERVEC_PACKED_BYTES_MAX(512)];
    char hex[2 * sizeof(packed) + 1] = "";
    size_t len = hypervec_pack(&space, packed, v);

    for (size_t i = 0; i < len; i++) {
        snprintf(hex + 2 * i, 3, "%02x", packed[i]);
    }
    ck_assert_msg(strcmp(hex, expected) == 0, "%s: %s", what, hex);
}

START_TEST(fixed_vectors)
{
    HypervecSpace space = make_space(512);
    uint64_t content[HYPERVEC_WORDS(512)], item[HYPERVEC_WORDS(512)];
    uint64_t bound[HYPERVEC_WORDS(512)];
    int32_t counts[512] = {0};
    uint8_t data[10000];
    Random r = {7};

    hypervec_encode(&space, counts, "#!/bin/sh\nexec true\n", 20);
    hypervec_threshold(&space, content, counts, 80);
    check_fixed("short", content, "10dae135022e625e4801");
    random_bytes(&r, data, sizeof(data));
    memset(counts, 0, sizeof(counts));
    hypervec_encode(&space, counts, data, sizeof(data));
    hypervec_threshold(&space, content, counts, hypervec_active_default(&space));
    check_fixed("random", content,
                "a00194f8261ae155560f1936d82ce65871ffde4052a6718ce375d7396dcbfd450b"
                "e71e9cac9b9f08064b70c4fdcc2d5814c9050f");
    hypervec_item(&space, item, "etc", 3);
    check_fixed("item", item,
                "8108ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
                "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
                "290b652f89bab6c5ba257f8321c31e2a97776dc18d45fa11d4a0e2198b272d89e5"
                "17c98a2bc45a24857e12208bd4d3e134cbca84d4ec4e5ef98bbfbb1e946832");
    hypervec_bind(&space, bound, content, item);
    hypervec_permute(&space, item, bound, 100);
    check_fixed("bound and turned", item,
                "a00137710912c772c3034ef4138fd06eef831d1b6c1673a4a97e2f6029f33842d1"
                "beef9cb6e5bee68d530d4ed64d470c816528e600");
}
END_TEST

RUN_TESTS("encode", empty_and_tiny_contents, repetitive_contents,
          padding_does_not_take_over, edits, ends_tell_near_copies_apart, alignment,
          parts, fixed_vectors)
