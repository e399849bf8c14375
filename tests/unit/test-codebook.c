#include <check.h>
#include <stdlib.h>

#include "engram/codebook.h"
#include "tests/lib/assert-quickly.h"

typedef struct Digest {
    uint8_t bytes[ENGRAM_DIGEST_BYTES];
} Digest;

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static Digest digest_of(uint64_t number)
{
    Digest digest;

    for (int i = 0; i < 4; i++) {
        be64_store(digest.bytes + 8 * i, mix(number * 4 + i + 0x9e3779b97f4a7c15));
    }
    return digest;
}

static CodebookPlace place_of(uint64_t number)
{
    return (CodebookPlace){
        .frame = mix(number),
        .position = mix(number + 1) & INT32_MAX,
    };
}

static bool is_place_of(CodebookPlace place, uint64_t number)
{
    CodebookPlace expected = place_of(number);

    return place.frame == expected.frame && place.position == expected.position;
}

static void assert_added(Codebook *c, const Digest *digest, uint64_t number)
{
    CodebookPlace place = place_of(number);

    ASSERT_QUICKLY(!codebook_find_or_add(c, digest->bytes, &place));
    ASSERT_QUICKLY(is_place_of(place, number));
}

static void assert_found(Codebook *c, const Digest *digest, uint64_t number)
{
    CodebookPlace place = { .frame = 1, .position = 2 }, again = place;

    ASSERT_QUICKLY(codebook_find(c, digest->bytes, &place));
    ASSERT_QUICKLY(is_place_of(place, number));
    ASSERT_QUICKLY(codebook_find_or_add(c, digest->bytes, &again));
    ASSERT_QUICKLY(is_place_of(again, number));
}

static void assert_unknown(const Codebook *c, const Digest *digest)
{
    CodebookPlace place = { .frame = 1, .position = 2 };

    ASSERT_QUICKLY(!codebook_find(c, digest->bytes, &place));
    ASSERT_QUICKLY(place.frame == 1 && place.position == 2);
}

START_TEST(finds_what_was_added)
{
    enum { CHUNKS = 200000 };
    g_autoptr(Codebook) c = codebook_new();

    for (uint64_t i = 0; i < CHUNKS; i++) {
        Digest digest = digest_of(i), earlier = digest_of(mix(i) % (i + 1)),
               later = digest_of(CHUNKS + i);

        assert_unknown(c, &digest);
        assert_added(c, &digest, i);
        assert_found(c, &earlier, mix(i) % (i + 1));
        assert_unknown(c, &later);
    }
    ck_assert_uint_eq(codebook_count(c), CHUNKS);
    for (uint64_t i = 0; i < CHUNKS; i++) {
        Digest digest = digest_of(i), other = digest_of(i + CHUNKS);

        assert_found(c, &digest, i);
        assert_unknown(c, &other);
    }
    ck_assert_uint_eq(codebook_count(c), CHUNKS);
}
END_TEST

START_TEST(an_empty_one)
{
    g_autoptr(Codebook) c = codebook_new();
    Digest digest = digest_of(0);

    assert_unknown(c, &digest);
    ck_assert_uint_eq(codebook_count(c), 0);
    ck_assert_uint_le(codebook_memory(c), CODEBOOK_FIXED_BYTES);
}
END_TEST

/* The largest place, the first digest and the last. */
START_TEST(extreme_values)
{
    g_autoptr(Codebook) c = codebook_new();
    Digest first = { { 0 } }, last;
    CodebookPlace most = { .frame = UINT32_MAX, .position = INT32_MAX },
                  least = { .frame = 0, .position = 0 }, place;

    memset(last.bytes, 0xff, sizeof(last.bytes));
    ck_assert(!codebook_find_or_add(c, first.bytes, &least));
    ck_assert(!codebook_find_or_add(c, last.bytes, &most));
    ck_assert(codebook_find(c, first.bytes, &place));
    ck_assert(place.frame == 0 && place.position == 0);
    ck_assert(codebook_find(c, last.bytes, &place));
    ck_assert(place.frame == UINT32_MAX && place.position == INT32_MAX);
}
END_TEST

START_TEST(sixteen_bytes_decide)
{
    g_autoptr(Codebook) c = codebook_new();
    Digest digest = digest_of(0), same = digest, other = digest;

    same.bytes[CODEBOOK_KEY_BYTES] ^= 1;
    other.bytes[CODEBOOK_KEY_BYTES - 1] ^= 1;
    assert_added(c, &digest, 7);
    assert_found(c, &same, 7);
    assert_unknown(c, &other);
}
END_TEST

START_TEST(memory_at_any_size)
{
    g_autoptr(Codebook) c = codebook_new();
    double worst = 0;

    for (uint64_t i = 0; i < 3000000; i++) {
        Digest digest = digest_of(i);
        CodebookPlace place = { 0 };

        ASSERT_QUICKLY(!codebook_find_or_add(c, digest.bytes, &place));
        if (i % 64 == 0 || i < 10000) {
            size_t memory = codebook_memory(c);

            ASSERT_QUICKLY(memory <= CODEBOOK_FIXED_BYTES +
                                         codebook_count(c) * CODEBOOK_CHUNK_BYTES);
            if (i >= 200000) {
                worst = MAX(worst, (double)memory / codebook_count(c));
            }
        }
    }
    ck_assert_double_le(worst, CODEBOOK_CHUNK_BYTES);
}
END_TEST

/* Digests that somebody chose: of one shard and bucket, at its ends. */
START_TEST(crowded_buckets)
{
    static const uint8_t starts[] = { 0x00, 0x7f, 0xff };
    enum { CHUNKS = 5000 };
    g_autoptr(Codebook) c = codebook_new();

    for (size_t s = 0; s < G_N_ELEMENTS(starts); s++) {
        for (uint64_t i = 0; i < CHUNKS; i++) {
            Digest digest = digest_of(i);

            memset(digest.bytes, starts[s], 6);
            assert_added(c, &digest, i);
        }
    }
    for (size_t s = 0; s < G_N_ELEMENTS(starts); s++) {
        for (uint64_t i = 0; i < 2 * CHUNKS; i++) {
            Digest digest = digest_of(i);

            memset(digest.bytes, starts[s], 6);
            if (i < CHUNKS) {
                assert_found(c, &digest, i);
            } else {
                assert_unknown(c, &digest);
            }
        }
    }
    ck_assert_uint_eq(codebook_count(c), 3 * CHUNKS);
    ck_assert_uint_le(codebook_memory(c),
                      CODEBOOK_FIXED_BYTES + 3 * CHUNKS * 2 * CODEBOOK_CHUNK_BYTES);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("codebook");
    TCase *tc = tcase_create("codebook");
    SRunner *runner = srunner_create(suite);

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, finds_what_was_added);
    tcase_add_test(tc, an_empty_one);
    tcase_add_test(tc, extreme_values);
    tcase_add_test(tc, sixteen_bytes_decide);
    tcase_add_test(tc, memory_at_any_size);
    tcase_add_test(tc, crowded_buckets);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
