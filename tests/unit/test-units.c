#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/error.h"
#include "util/units.h"

START_TEST(rounding)
{
    ck_assert_uint_eq(round_down_pow2(4095, 4096), 0);
    ck_assert_uint_eq(round_down_pow2(4096, 4096), 4096);
    ck_assert_uint_eq(round_down_pow2(UINT64_MAX, 512), UINT64_MAX - 511);
    ck_assert_uint_eq(round_up_pow2(0, 4096), 0);
    ck_assert_uint_eq(round_up_pow2(1, 4096), 4096);
    ck_assert_uint_eq(round_up_pow2(4096, 4096), 4096);
    ck_assert_uint_eq(round_up_pow2(7, 1), 7);
    ck_assert_uint_eq(div_round_up(0, 3), 0);
    ck_assert_uint_eq(div_round_up(1, 3), 1);
    ck_assert_uint_eq(div_round_up(3, 3), 1);
    ck_assert_uint_eq(div_round_up(UINT64_MAX, 2), (UINT64_C(1) << 63));
    ck_assert(is_pow2(1) && is_pow2(2) && is_pow2(UINT64_C(1) << 63));
    ck_assert(!is_pow2(0) && !is_pow2(3) && !is_pow2(UINT64_MAX));
}
END_TEST

START_TEST(ranges)
{
    ck_assert(range_fits(0, 0, 0));
    ck_assert(range_fits(10, 0, 10));
    ck_assert(range_fits(3, 7, 10));
    ck_assert(!range_fits(3, 8, 10));
    ck_assert(!range_fits(11, 0, 10));
    ck_assert(!range_fits(UINT64_MAX, 2, 10));
    ck_assert(!range_fits(2, UINT64_MAX, 10));
    ck_assert(range_fits(1, UINT64_MAX - 1, UINT64_MAX));
}
END_TEST

/* A single bit anywhere in a buffer of any length and alignment, and none
 * outside of it, is seen. */
START_TEST(zero_buffers)
{
    static uint8_t buf[700];

    for (size_t start = 1; start < 18; start++) {
        for (size_t len = 0; len < 600; len += len < 300 ? 1 : 37) {
            size_t wrong = 0;

            memset(buf, 0xff, sizeof(buf));
            memset(buf + start, 0, len);
            wrong += !buffer_is_zero(buf + start, len);
            for (size_t i = 0; i < len; i++) {
                buf[start + i] = (uint8_t)(1 << i % 8);
                wrong += buffer_is_zero(buf + start, len);
                buf[start + i] = 0;
            }
            ck_assert_uint_eq(wrong, 0);
        }
    }
}
END_TEST

START_TEST(errno_in_an_error)
{
    static const int errnos[] = { ENOENT, EIO, ENOSPC, EACCES, EROFS, EINVAL, EEXIST };
    g_autoptr(GError) error = NULL;

    error_set_errno(&error, ENOENT, "%s at %d", "disk.img", 42);
    ck_assert_str_eq(error->message, "disk.img at 42: No such file or directory");
    ck_assert(g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT));
    for (size_t i = 0; i < G_N_ELEMENTS(errnos); i++) {
        g_clear_error(&error);
        error_set_errno(&error, errnos[i], "x");
        ck_assert_int_eq(error_to_errno(error), -errnos[i]);
    }
    error_set_errno(NULL, ENOENT, "nobody asks");
}
END_TEST

START_TEST(own_errors_have_an_errno)
{
    static const int expected[] = {
        [EMBR_ERROR_INVALID] = -EINVAL,      [EMBR_ERROR_NOT_FOUND] = -ENOENT,
        [EMBR_ERROR_FORMAT] = -EINVAL,       [EMBR_ERROR_CORRUPT] = -EIO,
        [EMBR_ERROR_UNSUPPORTED] = -ENOTSUP, [EMBR_ERROR_LIMIT] = -EFBIG,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(expected); i++) {
        g_autoptr(GError) error = g_error_new(EMBR_ERROR, (int)i, "x");

        ck_assert_int_eq(error_to_errno(error), expected[i]);
    }
    g_autoptr(GError) foreign = g_error_new(G_SHELL_ERROR, 0, "x");
    ck_assert_int_eq(error_to_errno(foreign), -EIO);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("units");
    TCase *tc = tcase_create("units");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, rounding);
    tcase_add_test(tc, ranges);
    tcase_add_test(tc, zero_buffers);
    tcase_add_test(tc, errno_in_an_error);
    tcase_add_test(tc, own_errors_have_an_errno);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
