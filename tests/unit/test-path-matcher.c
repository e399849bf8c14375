#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "engram/path-matcher.h"

static int match_one(const char *pattern, const char *path)
{
    g_autoptr(PathMatcher) m = path_matcher_new();

    path_matcher_add(m, pattern, 5);
    return path_matcher_match(m, path);
}

static void assert_matches(const char *pattern, const char *path)
{
    ck_assert_msg(match_one(pattern, path) == 5, "'%s' does not match '%s'", pattern,
                  path);
}

static void assert_not(const char *pattern, const char *path)
{
    ck_assert_msg(match_one(pattern, path) == -1, "'%s' matches '%s'", pattern, path);
}

START_TEST(literals)
{
    assert_matches("etc/passwd", "etc/passwd");
    assert_not("etc/passwd", "etc/passwd-");
    assert_not("etc/passwd", "etc/passw");
    assert_not("etc/passwd", "/etc/passwd");
    assert_not("etc/passwd", "");
}
END_TEST

START_TEST(wildcards)
{
    assert_matches("*", "");
    assert_matches("*", "a/b");
    assert_matches("**", "a/b");
    assert_matches("usr/bin/*", "usr/bin/env");
    assert_matches("usr/bin/*", "usr/bin/");
    assert_matches("usr/bin/*", "usr/bin/a/b");
    assert_not("usr/bin/*", "usr/bin");
    assert_not("usr/bin/*", "usr/local/usr/bin/env");
    assert_matches("*.so", "usr/lib/x.so");
    assert_matches("*.so", ".so");
    assert_not("*.so", "usr/lib/x.so.1");
    assert_not("*.so", "usr/lib/xso");
    assert_matches("*.so.*", "usr/lib/libc.so.6");
    assert_not("*.so.*", "usr/lib/libc.so");
    assert_matches("usr/lib/*/lib*.so", "usr/lib/x86_64-linux-gnu/libc.so");
    assert_not("usr/lib/*/lib*.so", "usr/lib/libc.so");
    assert_matches("*a*b*", "xxaxxbxx");
    assert_not("*a*b*", "xxbxxaxx");
    assert_matches("*aab", "aaaaab");
    assert_matches("a*a", "aa");
    assert_not("a*a", "a");
    assert_matches("?", "\xff");
    assert_not("?", "");
    assert_not("?", "ab");
    assert_matches("usr/share/man/man?/*", "usr/share/man/man1/ls.1.gz");
    assert_not("usr/share/man/man?/*", "usr/share/man/de/man1/ls.1.gz");
    assert_matches("???", "a/b");
    assert_matches("?*x", "aax");
    assert_not("?*x", "x");
}
END_TEST

START_TEST(the_lowest_rank)
{
    g_autoptr(PathMatcher) m = path_matcher_new();

    ck_assert_int_eq(path_matcher_match(m, "a"), -1);
    path_matcher_add(m, "usr/lib/*", 3);
    path_matcher_add(m, "*.so", 2);
    path_matcher_add(m, "usr/lib/*.so", 4);
    path_matcher_add(m, "usr/lib/x.so", 1);
    path_matcher_add(m, "usr/lib/modules/*", 0);
    path_matcher_add(m, "*.so", 7);
    path_matcher_add(m, "*", 9);
    ck_assert_int_eq(path_matcher_match(m, "usr/lib/x.so"), 1);
    ck_assert_int_eq(path_matcher_match(m, "usr/lib/y.so"), 2);
    ck_assert_int_eq(path_matcher_match(m, "usr/lib/y"), 3);
    ck_assert_int_eq(path_matcher_match(m, "usr/lib/modules/y.so"), 0);
    ck_assert_int_eq(path_matcher_match(m, "y.so"), 2);
    ck_assert_int_eq(path_matcher_match(m, "y"), 9);
    ck_assert_int_eq(path_matcher_match(m, ""), 9);
}
END_TEST

/* What the patterns mean, the long way. */
static bool defined_match(const char *pattern, const char *path)
{
    if (*pattern == '\0') {
        return *path == '\0';
    }
    if (*pattern == '*') {
        return defined_match(pattern + 1, path) ||
               (*path && defined_match(pattern, path + 1));
    }
    return *path && (*pattern == '?' || *pattern == *path) &&
           defined_match(pattern + 1, path + 1);
}

static char *random_text(GRand *rand, const char *letters, int max)
{
    int len = g_rand_int_range(rand, 0, max);
    char *text = g_malloc0(max + 1);

    for (int i = 0; i < len; i++) {
        text[i] = letters[g_rand_int_range(rand, 0, strlen(letters))];
    }
    return text;
}

START_TEST(random_patterns)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);

    for (int round = 0; round < 300; round++) {
        g_autoptr(PathMatcher) m = path_matcher_new();
        g_autoptr(GPtrArray) patterns = g_ptr_array_new_with_free_func(g_free);

        for (int i = 0; i < 10; i++) {
            char *pattern = random_text(rand, "ab*?/", 7);

            g_ptr_array_add(patterns, pattern);
            path_matcher_add(m, *pattern ? pattern : strcpy(pattern, "b"), i);
        }
        for (int i = 0; i < 100; i++) {
            g_autofree char *path = random_text(rand, "ab/", 9);
            int expected = -1;

            for (int k = 9; k >= 0; k--) {
                expected = defined_match(patterns->pdata[k], path) ? k : expected;
            }
            ck_assert_int_eq(path_matcher_match(m, path), expected);
        }
    }
}
END_TEST

/* Must not take time that grows with more than the product of the lengths. */
START_TEST(many_wildcards)
{
    g_autofree char *path = g_strnfill(65535, 'a');
    g_autoptr(GString) pattern = g_string_new(NULL);

    for (int i = 0; i < 500; i++) {
        g_string_append(pattern, "*a");
    }
    assert_matches(pattern->str, path);
    g_string_append(pattern, "*b*");
    assert_not(pattern->str, path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("path-matcher");
    TCase *tc = tcase_create("path-matcher");
    SRunner *runner = srunner_create(suite);

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, literals);
    tcase_add_test(tc, wildcards);
    tcase_add_test(tc, the_lowest_rank);
    tcase_add_test(tc, random_patterns);
    tcase_add_test(tc, many_wildcards);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
