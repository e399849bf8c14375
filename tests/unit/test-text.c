#include <inttypes.h>
#include <check.h>
#include <stdlib.h>

#include "util/text.h"

static void assert_shown(const char *bytes, TextStyle style, const char *expected)
{
    g_autofree char *text = text_printable(bytes, style);

    ck_assert_str_eq(text, expected);
}

START_TEST(escapes_what_is_not_printable)
{
    assert_shown("/etc/passwd", TEXT_ESCAPED, "/etc/passwd");
    assert_shown("a\nb\033[2Jc\x7f", TEXT_ESCAPED, "a\\x0ab\\x1b[2Jc\\x7f");
    assert_shown("gr\xc3\xbc\xc3\x9f", TEXT_ESCAPED, "gr\xc3\xbc\xc3\x9f");
    assert_shown("gr\xc3\xbc", TEXT_ESCAPED_ASCII, "gr\\xc3\\xbc");
    assert_shown("bad\xff\xc3", TEXT_ESCAPED, "bad\\xff\\xc3");
    /* Right-to-left override */
    assert_shown("a\xe2\x80\xae", TEXT_ESCAPED, "a\\xe2\\x80\\xae");
}
END_TEST

START_TEST(masks_what_is_not_printable)
{
    assert_shown("gr\xc3\xbc\xc3\x9f", TEXT_MASKED, "gr\xc3\xbc\xc3\x9f");
    assert_shown("a\nb\033[2Jc\x7f", TEXT_MASKED, "a?b?[2Jc?");
    assert_shown("a\xe2\x80\xae\xff\xc3", TEXT_MASKED, "a???");
}
END_TEST

START_TEST(numbers_are_as_printf_has_them)
{
    static const uint64_t values[] = {0, 1, 9, 10, 99, 100, 12345, UINT32_MAX, UINT64_MAX};
    g_autoptr(GString) out = g_string_new(NULL);

    for (unsigned i = 0; i < G_N_ELEMENTS(values); i++) {
        for (int width = 0; width < 25; width++) {
            g_autofree char *blanks = g_strdup_printf("%*" PRIu64, width, values[i]);
            g_autofree char *zeroes = g_strdup_printf("%0*" PRIu64, width, values[i]);

            g_string_truncate(out, 0);
            text_append_number(out, values[i], width, ' ');
            ck_assert_str_eq(out->str, blanks);
            g_string_truncate(out, 0);
            text_append_number(out, values[i], width, '0');
            ck_assert_str_eq(out->str, zeroes);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    TCase *tcase = tcase_create("text");

    tcase_add_test(tcase, escapes_what_is_not_printable);
    tcase_add_test(tcase, masks_what_is_not_printable);
    tcase_add_test(tcase, numbers_are_as_printf_has_them);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);

    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}
