#include <check.h>
#include <stdlib.h>

#include "util/text.h"

static void assert_escaped(const char *bytes, bool utf8, const char *expected)
{
    g_autofree char *escaped = text_escape(bytes, utf8);

    ck_assert_str_eq(escaped, expected);
}

START_TEST(escapes_what_is_not_printable)
{
    assert_escaped("/etc/passwd", true, "/etc/passwd");
    assert_escaped("a\nb\033[2Jc\x7f", true, "a\\x0ab\\x1b[2Jc\\x7f");
    assert_escaped("gr\xc3\xbc\xc3\x9f", true, "gr\xc3\xbc\xc3\x9f");
    assert_escaped("gr\xc3\xbc", false, "gr\\xc3\\xbc");
    assert_escaped("bad\xff\xc3", true, "bad\\xff\\xc3");
    /* Right-to-left override */
    assert_escaped("a\xe2\x80\xae", true, "a\\xe2\\x80\\xae");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    TCase *tcase = tcase_create("text");

    tcase_add_test(tcase, escapes_what_is_not_printable);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);

    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}
