#include <check.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "util/error.h"
#include "util/spool.h"

static Spool *make_spool(const char *dir)
{
    g_autoptr(GError) error = NULL;
    Spool *s = spool_new(dir, &error);

    ck_assert_msg(s != NULL, "%s", error ? error->message : "");
    return s;
}

static void append(Spool *s, const void *data, size_t len, uint64_t expected_offset)
{
    g_autoptr(GError) error = NULL;
    uint64_t offset = UINT64_MAX;

    ck_assert(spool_append(s, data, len, &offset, &error));
    ck_assert_uint_eq(offset, expected_offset);
}

static void write_at(Spool *s, uint64_t offset, const void *data, size_t len)
{
    g_autoptr(GError) error = NULL;

    ck_assert(spool_write(s, offset, data, len, &error));
}

static void assert_content(Spool *s, uint64_t offset, const void *expected, size_t len)
{
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *data = g_malloc(len + 1);

    ck_assert(spool_read(s, offset, data, len, &error));
    ck_assert_mem_eq(data, expected, len);
}

START_TEST(reads_what_was_appended)
{
    g_autoptr(Spool) s = make_spool(NULL);

    append(s, "hello", 5, 0);
    append(s, "", 0, 5);
    append(s, ", world", 7, 5);
    ck_assert_uint_eq(spool_size(s), 12);
    assert_content(s, 0, "hello, world", 12);
    assert_content(s, 4, "o, w", 4);
    append(s, "!", 1, 12);
    assert_content(s, 11, "d!", 2);
}
END_TEST

/* Against a copy in memory, with lengths around that of the buffer. */
START_TEST(random_calls)
{
    enum { LIMIT = 8 << 20 };
    g_autoptr(Spool) s = make_spool(NULL);
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    g_autofree uint8_t *copy = g_malloc0(LIMIT), *noise = g_malloc(1 << 20);
    uint64_t size = 0;

    for (size_t i = 0; i < 1 << 20; i++) {
        noise[i] = g_rand_int(rand);
    }
    for (int i = 0; i < 3000; i++) {
        size_t len = g_rand_int_range(rand, 0, i % 50 ? 4000 : 600000);
        const uint8_t *data = noise + g_rand_int_range(rand, 0, (1 << 20) - 600000);
        uint64_t offset = g_rand_int_range(rand, 0, size + 5000);

        switch (g_rand_int_range(rand, 0, 3)) {
        case 0:
            if (size + len <= LIMIT) {
                append(s, data, len, size);
                memcpy(copy + size, data, len);
                size += len;
            }
            break;
        case 1:
            if (offset + len <= LIMIT) {
                write_at(s, offset, data, len);
                memcpy(copy + offset, data, len);
                size = len ? MAX(size, offset + len) : size;
            }
            break;
        default:
            offset = MIN(offset, size);
            len = MIN(len, size - offset);
            assert_content(s, offset, copy + offset, len);
        }
        ck_assert_uint_eq(spool_size(s), size);
    }
    assert_content(s, 0, copy, size);
}
END_TEST

START_TEST(holes_are_zero)
{
    static const uint8_t zeroes[100000];
    g_autoptr(Spool) s = make_spool(NULL);

    write_at(s, 100000, "x", 1);
    ck_assert_uint_eq(spool_size(s), 100001);
    assert_content(s, 0, zeroes, 100000);
    append(s, "y", 1, 100001);
    write_at(s, UINT64_C(1) << 40, "z", 1);
    assert_content(s, 100000, "xy\0", 3);
    assert_content(s, UINT64_C(1) << 40, "z", 1);
    write_at(s, UINT64_C(1) << 41, "", 0);
    ck_assert_uint_eq(spool_size(s), (UINT64_C(1) << 40) + 1);
}
END_TEST

START_TEST(past_the_end)
{
    g_autoptr(Spool) s = make_spool("/tmp");
    g_autoptr(GError) error = NULL, far = NULL, huge = NULL;
    uint8_t data[8];

    append(s, "abcd", 4, 0);
    ck_assert(!spool_read(s, 2, data, 3, &error));
    ck_assert(g_error_matches(error, EMBR_ERROR, EMBR_ERROR_INVALID));
    ck_assert_str_eq(
        error->message,
        "temporary file in /tmp: 3 bytes at offset 2 are past its end (4)");
    ck_assert(!spool_read(s, UINT64_MAX, data, 8, &far));
    ck_assert(!spool_write(s, INT64_MAX, data, 8, &huge));
    ck_assert_str_eq(huge->message,
                     "cannot write to a temporary file in /tmp: File too large");
    assert_content(s, 4, "", 0);
}
END_TEST

START_TEST(leaves_no_name)
{
    g_autofree char *dir = g_dir_make_tmp("embr-test-XXXXXX", NULL);
    g_autoptr(Spool) s = make_spool(dir);
    g_autoptr(GDir) entries = g_dir_open(dir, 0, NULL);

    append(s, "abcd", 4, 0);
    ck_assert_ptr_null(g_dir_read_name(entries));
    ck_assert_int_eq(g_rmdir(dir), 0);
}
END_TEST

START_TEST(no_directory)
{
    g_autoptr(GError) error = NULL;

    ck_assert_ptr_null(spool_new("/nonexistent/directory", &error));
    ck_assert_str_eq(error->message,
                     "cannot make a temporary file in "
                     "/nonexistent/directory: No such file or directory");
}
END_TEST

/* As on a full disk: an error at the latest when the buffer is written. */
START_TEST(cannot_grow)
{
    struct rlimit limit = { .rlim_cur = 1 << 20, .rlim_max = 1 << 20 };
    g_autoptr(Spool) s = make_spool("/tmp");
    g_autoptr(GError) error = NULL;
    uint8_t data[1000] = { 0 };
    int i;

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (i = 0; i < 2000 && spool_append(s, data, sizeof(data), NULL, &error); i++) {
    }
    ck_assert_int_lt(i, 1500);
    ck_assert(g_error_matches(error, G_FILE_ERROR, g_file_error_from_errno(EFBIG)));
    ck_assert(g_str_has_prefix(error->message,
                               "cannot write to a temporary file in /tmp: "));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spool");
    TCase *tc = tcase_create("spool");
    SRunner *runner = srunner_create(suite);

    tcase_add_test(tc, reads_what_was_appended);
    tcase_add_test(tc, random_calls);
    tcase_add_test(tc, holes_are_zero);
    tcase_add_test(tc, past_the_end);
    tcase_add_test(tc, leaves_no_name);
    tcase_add_test(tc, no_directory);
    tcase_add_test(tc, cannot_grow);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
