#include "engram/chunker.h"
#include "util/endian.h"

#include <check.h>
#include <gio/gio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1u << 20)

static uint64_t random_state;

static uint64_t random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint8_t *random_bytes(size_t len)
{
    uint8_t *data = g_malloc(len);

    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)(random64() >> 32);
    }
    return data;
}

/* Lines of few different words, as in configuration and logs. */
static uint8_t *text_bytes(size_t len)
{
    static const char *const words[] = { "interface ", "eth0\n", "address ", "127.0.0.1 ",
                                         "#",          "    ",   "enabled=", "true\n" };
    uint8_t *data = g_malloc(len);

    for (size_t i = 0; i < len;) {
        const char *word = words[random64() % G_N_ELEMENTS(words)];
        size_t n = MIN(strlen(word), len - i);

        memcpy(data + i, word, n);
        i += n;
    }
    return data;
}

static Chunker make_chunker(uint32_t min, uint32_t average, uint32_t max)
{
    ChunkerParams params = { min, average, max };
    g_autoptr(GError) err = NULL;
    Chunker c;

    ck_assert(chunker_init(&c, &params, &err));
    return c;
}

static Chunker default_chunker(void)
{
    ChunkerParams params;
    g_autoptr(GError) err = NULL;
    Chunker c;

    chunker_params_init(&params);
    ck_assert(chunker_init(&c, &params, &err));
    return c;
}

/* The header's definition, word for word. */
static size_t defined_next(const ChunkerParams *p, const uint8_t *d, size_t len)
{
    for (size_t n = p->min_bytes; n < p->max_bytes && n <= len; n++) {
        uint32_t sum = 0;
        uint64_t limit = n < p->average_bytes / 2
                             ? 0x7fffffff - (UINT64_C(1) << 32) / p->average_bytes
                             : 0x7fffffff - (UINT64_C(2) << 32) / p->average_bytes;

        for (size_t k = 0; k < 8; k++) {
            sum += le32_load(d + n - 4 - 4 * k) << (4 * k);
        }
        uint32_t hash = (sum ^ (sum >> 15)) * 0x9E3779B1u;
        if (limit < hash && hash < 0x80000000) {
            return n;
        }
    }
    return MIN(len, p->max_bytes);
}

static GArray *cut(const Chunker *c, const uint8_t *data, size_t len)
{
    GArray *ends = g_array_new(FALSE, FALSE, sizeof(size_t));

    for (size_t at = 0; at < len;) {
        size_t n = chunker_next(c, data + at, len - at, true);

        ck_assert(n > 0 && n <= len - at);
        at += n;
        g_array_append_val(ends, at);
    }
    return ends;
}

START_TEST(test_definition)
{
    static const ChunkerParams params[] = {
        { 2048, 8192, 65536 }, { 32, 64, 128 },    { 32, 256, 1024 },
        { 33, 300, 301 },      { 250, 256, 4096 }, { 64, 64, 64 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(params); i++) {
        for (int kind = 0; kind < 2; kind++) {
            size_t len = 256 * 1024 + 13;
            g_autofree uint8_t *data = kind ? text_bytes(len) : random_bytes(len);
            Chunker c = make_chunker(params[i].min_bytes, params[i].average_bytes,
                                     params[i].max_bytes);

            for (size_t at = 0; at < len;) {
                size_t n = defined_next(&params[i], data + at, len - at);

                for (const ChunkerKernel *const *k = chunker_kernels(); *k; k++) {
                    c.kernel = *k;
                    ck_assert_uint_eq(chunker_next(&c, data + at, len - at, true), n);
                }
                at += n;
            }
        }
    }
}
END_TEST

/* Each length in its own allocation, so that a sanitizer sees a read past the end. */
START_TEST(test_short_inputs)
{
    Chunker c = make_chunker(32, 64, 4096);

    for (size_t len = 0; len < 400; len++) {
        g_autofree uint8_t *data = random_bytes(len);
        size_t n = defined_next(&c.params, data, len);

        for (const ChunkerKernel *const *k = chunker_kernels(); *k; k++) {
            c.kernel = *k;
            ck_assert_uint_eq(chunker_next(&c, data, len, true), n);
        }
    }
}
END_TEST

START_TEST(test_constant_bytes)
{
    Chunker c = default_chunker();
    g_autofree uint8_t *data = g_malloc(MIB);

    for (int byte = 0; byte < 256; byte++) {
        memset(data, byte, MIB);
        size_t n = defined_next(&c.params, data, MIB);

        for (const ChunkerKernel *const *k = chunker_kernels(); *k; k++) {
            c.kernel = *k;
            ck_assert_uint_eq(chunker_next(&c, data, MIB, true), n);
        }
    }
}
END_TEST

START_TEST(test_split_independence)
{
    Chunker c = default_chunker();
    g_autofree uint8_t *data = random_bytes(2 * MIB);
    g_autoptr(GArray) ends = cut(&c, data, 2 * MIB);
    size_t at = 0;

    for (guint i = 0; i < ends->len; i++) {
        size_t end = g_array_index(ends, size_t, i);
        size_t seen = 0, n = 0;

        while (n == 0) {
            seen = MIN(seen + random64() % 5000, 2 * MIB - at);
            n = chunker_next(&c, data + at, seen, at + seen == 2 * MIB);
            ck_assert(n != 0 || seen < c.params.max_bytes);
        }
        ck_assert_uint_eq(at + n, end);
        at = end;
    }
}
END_TEST

START_TEST(test_length_of_exactly_len_is_decided)
{
    Chunker c = default_chunker();
    g_autofree uint8_t *data = random_bytes(MIB);
    size_t n = chunker_next(&c, data, MIB, true);

    ck_assert_uint_lt(n, c.params.max_bytes);
    ck_assert_uint_eq(chunker_next(&c, data, n, false), n);
    ck_assert_uint_eq(chunker_next(&c, data, n - 1, false), 0);
    ck_assert_uint_eq(chunker_next(&c, data, n - 1, true), n - 1);
    ck_assert_uint_eq(chunker_next(&c, data, 0, true), 0);
}
END_TEST

START_TEST(test_distribution)
{
    Chunker c = default_chunker();
    g_autofree uint8_t *data = random_bytes(32 * MIB);
    g_autoptr(GArray) ends = cut(&c, data, 32 * MIB);
    size_t last = 0, under_half = 0, at_max = 0;

    for (guint i = 0; i < ends->len; i++) {
        size_t n = g_array_index(ends, size_t, i) - last;

        last += n;
        ck_assert(n >= c.params.min_bytes || i + 1 == ends->len);
        ck_assert_uint_le(n, c.params.max_bytes);
        under_half += n < c.params.average_bytes / 2;
        at_max += n == c.params.max_bytes;
    }
    /*
     * Expected on random bytes: 2048 + (1 - e^-1/4) 8192 + e^-1/4 4096 or so; the
     * mean lies within 5 %.  One in 4.5 is cut before 4096.
     */
    double mean = (double)last / ends->len;
    ck_assert(mean > 6500 && mean < 7600);
    ck_assert(under_half > ends->len * 0.19 && under_half < ends->len * 0.25);
    ck_assert_uint_eq(at_max, 0);
}
END_TEST

START_TEST(test_inserted_byte_resynchronises)
{
    Chunker c = default_chunker();

    for (int kind = 0; kind < 2; kind++) {
        g_autofree uint8_t *data = kind ? text_bytes(4 * MIB) : random_bytes(4 * MIB);
        g_autofree uint8_t *changed = g_malloc(4 * MIB + 1);
        g_autoptr(GArray) ends = cut(&c, data, 4 * MIB);
        g_autoptr(GHashTable) known = g_hash_table_new(NULL, NULL);
        size_t lost = 0, at = MIB + 12345;

        memcpy(changed, data, at);
        changed[at] = (uint8_t)(data[at] + 1);
        memcpy(changed + at + 1, data + at, 4 * MIB - at);
        for (guint i = 0; i < ends->len; i++) {
            g_hash_table_add(known,
                             GSIZE_TO_POINTER(g_array_index(ends, size_t, i)));
        }
        g_autoptr(GArray) changed_ends = cut(&c, changed, 4 * MIB + 1);
        for (guint i = 0; i < changed_ends->len; i++) {
            size_t end = g_array_index(changed_ends, size_t, i);
            size_t was = end <= at ? end : end - 1;

            lost += !g_hash_table_contains(known, GSIZE_TO_POINTER(was));
        }
        ck_assert_uint_le(lost, 8);
    }
}
END_TEST

START_TEST(test_params_checked)
{
    static const ChunkerParams bad[] = {
        { 0, 0, 0 },          { 31, 8192, 65536 },   { 8193, 8192, 65536 },
        { 2048, 8192, 8191 }, { 2048, 8192, 1048577 }, { 32, 63, 4096 },
        { UINT32_MAX, UINT32_MAX, UINT32_MAX },
    };
    static const ChunkerParams good[] = {
        { 32, 64, 64 }, { 2048, 8192, 1048576 }, { 1048576, 1048576, 1048576 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) err = NULL;
        Chunker c;

        ck_assert(!chunker_init(&c, &bad[i], &err));
        ck_assert(g_error_matches(err, G_IO_ERROR, G_IO_ERROR_INVALID_DATA));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_autoptr(GError) err = NULL;
        Chunker c;

        ck_assert(chunker_init(&c, &good[i], &err));
    }
}
END_TEST

static void seed(void)
{
    random_state = 0x853c49e6748fea9b;
}

int main(void)
{
    Suite *suite = suite_create("chunker");
    TCase *tc = tcase_create("chunker");
    SRunner *runner = srunner_create(suite);

    tcase_add_checked_fixture(tc, seed, NULL);
    tcase_add_test(tc, test_definition);
    tcase_add_test(tc, test_short_inputs);
    tcase_add_test(tc, test_constant_bytes);
    tcase_add_test(tc, test_split_independence);
    tcase_add_test(tc, test_length_of_exactly_len_is_decided);
    tcase_add_test(tc, test_distribution);
    tcase_add_test(tc, test_inserted_byte_resynchronises);
    tcase_add_test(tc, test_params_checked);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
