/*
 * What is inside compressed streams, by the libraries that make them: vectors are those
 * of what went in, as long as all of the file is streams.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "engram/sink-unit.h"
#include "engram/unwrap.h"
#include "util/units.h"

enum { GZIP_WINDOW = 15 + 16, ZLIB_WINDOW = 15 };

static void append_deflated(GByteArray *out, int window, const void *data, size_t size)
{
    size_t start = out->len, most = size + size / 1000 + 1000;
    z_stream z = {0};

    ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY),
                     Z_OK);
    g_byte_array_set_size(out, start + most);
    z.next_in = (uint8_t *)data;
    z.avail_in = size;
    z.next_out = out->data + start;
    z.avail_out = most;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    g_byte_array_set_size(out, start + z.total_out);
    deflateEnd(&z);
}

static void append_zstd(GByteArray *out, int window_log, const void *data, size_t size)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    size_t start = out->len, most = ZSTD_compressBound(size);

    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    if (window_log) {
        ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
        ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    }
    g_byte_array_set_size(out, start + most);
    ZSTD_outBuffer to = {out->data + start, most, 0};
    ZSTD_inBuffer from = {data, size / 2, 0};
    /* In two goes: of a size known at the start, the window would be no larger. */
    ck_assert(
        !ZSTD_isError(ZSTD_compressStream2(context, &to, &from, ZSTD_e_continue)));
    from.size = size;
    ck_assert_uint_eq(ZSTD_compressStream2(context, &to, &from, ZSTD_e_end), 0);
    g_byte_array_set_size(out, start + to.pos);
    ZSTD_freeCCtx(context);
}

/* Lines with few bytes that are not in others. */
static GByteArray *make_text(size_t size, unsigned seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    GString *text = g_string_new(NULL);

    while (text->len < size) {
        g_string_append_printf(text, "%u: interface eth%u is up\n", g_rand_int(rand),
                               g_rand_int(rand) % 4);
    }
    g_string_truncate(text, size);
    GByteArray *bytes = g_byte_array_new();
    g_byte_array_append(bytes, (uint8_t *)text->str, size);
    g_string_free(text, TRUE);
    return bytes;
}

/* The counts of the first bytes of content that holds no block of zeroes. */
static void encode(const GByteArray *content, size_t bytes, VectorCounts *counts)
{
    memset(counts, 0, sizeof(*counts));
    for (size_t at = 0; at < bytes; at += SINK_SEGMENT_BYTES) {
        hypervec_encode(vector_space(), counts->trits, content->data + at,
                        MIN(bytes - at, SINK_SEGMENT_BYTES));
    }
}

/* The first bytes of content are what counts inside file. */
static void assert_inside(const GByteArray *file, const GByteArray *content,
                          size_t bytes)
{
    VectorCounts expected, found;

    encode(content, bytes, &expected);
    ck_assert(unwrap_is_worth_a_try(file->data, file->len));
    ck_assert(unwrap_content(file->data, file->len, &found));
    ck_assert_mem_eq(&found, &expected, sizeof(found));
}

static void assert_nothing_inside(const GByteArray *file)
{
    VectorCounts counts;

    ck_assert(!unwrap_content(file->data, file->len, &counts));
}

START_TEST(test_streams)
{
    static const size_t sizes[] = {1, 7, 100, 5000, 64 << 10, 1 << 20, (9 << 20) + 5};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(GByteArray) content = make_text(sizes[i], i);
        g_autoptr(GByteArray) gzip = g_byte_array_new();
        g_autoptr(GByteArray) zlib = g_byte_array_new();
        g_autoptr(GByteArray) zstd = g_byte_array_new();

        append_deflated(gzip, GZIP_WINDOW, content->data, content->len);
        assert_inside(gzip, content, sizes[i]);
        append_deflated(zlib, ZLIB_WINDOW, content->data, content->len);
        assert_inside(zlib, content, sizes[i]);
        append_zstd(zstd, 0, content->data, content->len);
        assert_inside(zstd, content, sizes[i]);
    }
}
END_TEST

/* Members and frames one after another, wherever what is in them is divided. */
START_TEST(test_several)
{
    static const uint8_t skippable[] = {0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3};
    g_autoptr(GByteArray) content = make_text(300000, 1);
    g_autoptr(GByteArray) gzip = g_byte_array_new();
    g_autoptr(GByteArray) zstd = g_byte_array_new();

    g_byte_array_append(zstd, skippable, sizeof(skippable));
    for (size_t at = 0, n = 1; at < content->len; at += n, n = n * 3 + 1) {
        n = MIN(n, content->len - at);
        append_deflated(gzip, GZIP_WINDOW, content->data + at, n);
        append_zstd(zstd, 0, content->data + at, n);
        g_byte_array_append(zstd, skippable, sizeof(skippable));
        append_deflated(gzip, GZIP_WINDOW, NULL, 0);
    }
    assert_inside(gzip, content, content->len);
    assert_inside(zstd, content, content->len);
}
END_TEST

/* Blocks of zeroes do not count, as they do not outside. */
START_TEST(test_zeroes)
{
    g_autoptr(GByteArray) content = make_text(100000, 2);
    g_autoptr(GByteArray) zeroes = g_byte_array_new();
    g_autoptr(GByteArray) gzip = g_byte_array_new();
    VectorCounts expected = {0}, found;

    memset(content->data + 20480, 0, 40960);
    append_deflated(gzip, GZIP_WINDOW, content->data, content->len);
    hypervec_encode(vector_space(), expected.trits, content->data, 20480);
    hypervec_encode(vector_space(), expected.trits, content->data + 61440,
                    content->len - 61440);
    ck_assert(unwrap_content(gzip->data, gzip->len, &found));
    ck_assert_mem_eq(&found, &expected, sizeof(found));

    g_byte_array_set_size(zeroes, 50000);
    memset(zeroes->data, 0, zeroes->len);
    g_byte_array_set_size(gzip, 0);
    append_deflated(gzip, GZIP_WINDOW, zeroes->data, zeroes->len);
    assert_nothing_inside(gzip);
    g_byte_array_set_size(gzip, 0);
    append_deflated(gzip, GZIP_WINDOW, NULL, 0);
    assert_nothing_inside(gzip);
}
END_TEST

/* What is not a stream from its first byte to its last. */
static void try_damaged(GByteArray *file)
{
    static const uint8_t garbage[] = "garbage";
    size_t size = file->len;

    g_byte_array_append(file, garbage, 1);
    assert_nothing_inside(file);
    g_byte_array_append(file, garbage + 1, sizeof(garbage) - 1);
    assert_nothing_inside(file);
    for (size_t cut = 1; cut < 30; cut++) {
        g_byte_array_set_size(file, size - cut);
        assert_nothing_inside(file);
    }
    g_byte_array_set_size(file, size);
    file->data[size - 1] ^= 1; /* of the check, or the size after it */
    assert_nothing_inside(file);
    file->data[size - 1] ^= 1;
    file->data[size / 2] ^= 0x10;
    assert_nothing_inside(file);
    file->data[size / 2] ^= 0x10;
    for (size_t n = 0; n < 12; n++) {
        g_byte_array_set_size(file, n);
        assert_nothing_inside(file);
    }
}

START_TEST(test_damaged)
{
    g_autoptr(GByteArray) content = make_text(40000, 3);
    g_autoptr(GByteArray) file = g_byte_array_new();

    append_deflated(file, GZIP_WINDOW, content->data, content->len);
    try_damaged(file);
    g_byte_array_set_size(file, 0);
    append_deflated(file, ZLIB_WINDOW, content->data, content->len);
    append_deflated(file, ZLIB_WINDOW, content->data, content->len);
    assert_nothing_inside(file); /* of these there is one */
    g_byte_array_set_size(file, 0);
    append_deflated(file, ZLIB_WINDOW, content->data, content->len);
    try_damaged(file);
    g_byte_array_set_size(file, 0);
    append_zstd(file, 0, content->data, content->len);
    try_damaged(file);
}
END_TEST

START_TEST(test_other_content)
{
    g_autoptr(GByteArray) text = make_text(1000, 4);
    const uint8_t heads[][4] = {{'x', 0x01, 0, 0}, /* zlib, by its head */
                                {0x1F, 0x8B, 8, 0},
                                {0x28, 0xB5, 0x2F, 0xFD}};

    ck_assert(!unwrap_is_worth_a_try(text->data, text->len));
    assert_nothing_inside(text);
    for (size_t i = 0; i < G_N_ELEMENTS(heads); i++) {
        memcpy(text->data, heads[i], sizeof(heads[i]));
        ck_assert(unwrap_is_worth_a_try(text->data, 4));
        ck_assert(!unwrap_is_worth_a_try(text->data, 3));
        assert_nothing_inside(text);
    }
}
END_TEST

static size_t bytes_that_count(const GByteArray *file)
{
    return MIN(UNWRAP_OUTPUT_LEAST + (size_t)file->len * UNWRAP_RATIO_MAX,
               UNWRAP_OUTPUT_MAX);
}

/* Of what is too much, by its size or by that of the file, the start counts; what may
 * be wrong behind that is not found. */
START_TEST(test_bombs)
{
    g_autoptr(GByteArray) content = make_text(100, 5);
    g_autoptr(GByteArray) large = make_text(40 << 20, 6);
    g_autoptr(GByteArray) file = g_byte_array_new();

    g_byte_array_set_size(content, 20 << 20);
    for (size_t at = 100; at < content->len; at++) {
        content->data[at] = content->data[at % 100];
    }
    append_deflated(file, GZIP_WINDOW, content->data, content->len);
    ck_assert_uint_lt(bytes_that_count(file), 2 << 20);
    assert_inside(file, content, bytes_that_count(file));
    g_byte_array_set_size(file, 0);
    append_zstd(file, 0, content->data, content->len);
    ck_assert_uint_lt(bytes_that_count(file), 2 << 20);
    assert_inside(file, content, bytes_that_count(file));

    g_byte_array_set_size(file, 0);
    append_deflated(file, GZIP_WINDOW, large->data, large->len);
    assert_inside(file, large, UNWRAP_OUTPUT_MAX);
    file->data[file->len - 1] ^= 1;
    assert_inside(file, large, UNWRAP_OUTPUT_MAX);
}
END_TEST

/* Streams in which not enough comes out of the bytes that are looked at. */
START_TEST(test_too_long)
{
    static const uint8_t stored[] = {0, 0, 0, 0xFF, 0xFF};
    g_autoptr(GByteArray) file = g_byte_array_new();
    static const uint8_t head[] = {0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3};

    g_byte_array_append(file, head, sizeof(head));
    while (file->len < UNWRAP_INPUT_MAX + 1000) {
        g_byte_array_append(file, stored, sizeof(stored));
    }
    assert_nothing_inside(file);
}
END_TEST

/* A window of more than 8 MiB would take as much memory in every thread. */
START_TEST(test_zstd_windows)
{
    g_autoptr(GByteArray) content = make_text(100000, 7);
    g_autoptr(GByteArray) file = g_byte_array_new();

    append_zstd(file, 23, content->data, content->len);
    assert_inside(file, content, content->len);
    g_byte_array_set_size(file, 0);
    append_zstd(file, 24, content->data, content->len);
    assert_nothing_inside(file);
    g_byte_array_set_size(file, 0);
    append_zstd(file, 10, content->data, content->len);
    assert_inside(file, content, content->len);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unwrap");
    TCase *tcase = tcase_create("unwrap");
    SRunner *runner = srunner_create(suite);

    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, test_streams);
    tcase_add_test(tcase, test_several);
    tcase_add_test(tcase, test_zeroes);
    tcase_add_test(tcase, test_damaged);
    tcase_add_test(tcase, test_other_content);
    tcase_add_test(tcase, test_bombs);
    tcase_add_test(tcase, test_too_long);
    tcase_add_test(tcase, test_zstd_windows);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
