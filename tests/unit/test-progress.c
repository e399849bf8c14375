#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/progress-int.h"
#include "util/progress.h"

static void assert_shortened(const char *text, int width, const char *expected)
{
    g_autofree char *shorter = progress_shorten(text, width, true);

    ck_assert_str_eq(shorter, expected);
    ck_assert_int_le(progress_width(shorter), MAX(width, 0));
}

START_TEST(shortens_in_the_middle)
{
    g_autofree char *ascii = progress_shorten("0123456789", 8, false);

    ck_assert_str_eq(ascii, "01..6789");
    assert_shortened("0123456789", 10, "0123456789");
    assert_shortened("0123456789", 7, "01…6789");
    assert_shortened("0123456789", 1, ".");
    assert_shortened("0123456789", 0, "");
    /* Wide characters are not cut in two. */
    assert_shortened("漢字漢字漢字", 12, "漢字漢字漢字");
    assert_shortened("漢字漢字漢字", 8, "漢…漢字");
    for (int width = 0; width < 30; width++) {
        g_autofree char *s = progress_shorten("/漢字/é/e\xcc\x81/long/path", width, true);

        ck_assert(g_utf8_validate(s, -1, NULL));
        ck_assert_int_le(progress_width(s), width);
    }
}
END_TEST

START_TEST(sizes_and_times)
{
    static const struct {
        double value;
        const char *text;
    } sizes[] = { { 0, "0 B" },
                  { 1023, "1023 B" },
                  { 1024, "1.0 KiB" },
                  { 1024 * 1024 - 1, "1.0 MiB" },
                  { 1.5 * (1 << 30), "1.5 GiB" },
                  { 18446744073709551615.0, "16.0 EiB" } },
      times[] = { { 0, "0:00" },       { 0.1, "0:01" },       { 59, "0:59" },
                  { 61, "1:01" },      { 3599.5, "1:00:00" }, { 36061, "10:01:01" },
                  { 1e30, "--:--" },   { -0.0, "0:00" } };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *text = progress_format_size(sizes[i].value);
        ck_assert_str_eq(text, sizes[i].text);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(times); i++) {
        g_autofree char *text = progress_format_time(times[i].value);
        ck_assert_str_eq(text, times[i].text);
    }
}
END_TEST

START_TEST(lines)
{
    ProgressState state = {
        .phase = "reading",
        .path = "/p3/usr/share/doc/a-rather-long-name/changelog.Debian.gz",
        .done = 25 << 20,
        .total = 100 << 20,
        .rate = 5 << 20,
    };
    g_autofree char *wide = progress_terminal_line(&state, 120, true);
    g_autofree char *narrow = progress_terminal_line(&state, 60, true);
    g_autofree char *plain = progress_plain_line(&state);

    ck_assert_str_eq(wide, "reading   25.0 %  5.0 MiB/s  0:15 left  "
                           "/p3/usr/share/doc/a-rather-long-name/changelog.Debian.gz");
    ck_assert_str_eq(narrow, "reading   25.0 %  5.0 MiB/s  0:15 left  /p3/us…og.Debian.gz");
    ck_assert_str_eq(plain,
                     "reading   25.0 %  5.0 MiB/s  0:15 left  25.0 MiB of 100.0 MiB");
    for (int columns = 1; columns < 120; columns++) {
        g_autofree char *line = progress_terminal_line(&state, columns, true);
        ck_assert_int_lt(progress_width(line), columns);
    }
}
END_TEST

START_TEST(percentages_do_not_lie)
{
    ProgressState state = { .done = 999999, .total = 1000000 };
    g_autofree char *nearly = progress_plain_line(&state);
    ck_assert_ptr_nonnull(strstr(nearly, "99.9 %"));

    state.done = 1000000;
    g_autofree char *all = progress_plain_line(&state);
    ck_assert_ptr_nonnull(strstr(all, "100.0 %"));

    state.done = 2000000;
    g_autofree char *more = progress_plain_line(&state);
    ck_assert_ptr_nonnull(strstr(more, "100.0 %"));

    state.total = 0;
    g_autofree char *unknown = progress_plain_line(&state);
    ck_assert_str_eq(unknown, "1.9 MiB");
}
END_TEST

/* What a phase of 400 ms with a change each millisecond writes. */
static char *written(ProgressMode mode)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    Progress *p = progress_new(out, mode);

    progress_phase(p, "testing", 400);
    for (int i = 0; i < 400; i++) {
        progress_set_path(p, "/some/path");
        progress_add(p, 1);
        g_usleep(1000);
    }
    progress_finish(p);
    progress_free(p);
    fclose(out);
    return text;
}

static int count(const char *text, char c)
{
    int n = 0;

    for (; *text; text++) {
        n += *text == c;
    }
    return n;
}

START_TEST(on_a_terminal)
{
    char *text = written(PROGRESS_TERMINAL);
    int64_t redraws = count(text, '\r');

    /* At most ten a second, and the last; sleeping takes longer than asked. */
    ck_assert_int_ge(redraws, 2);
    ck_assert_int_le(redraws, 40);
    ck_assert_int_eq(count(text, '\n'), 1);
    ck_assert_ptr_nonnull(strstr(text, "/some/path"));
    ck_assert_ptr_nonnull(strstr(text, "testing  100.0 %"));
    ck_assert(g_str_has_suffix(text, "\033[K\n"));
    free(text);
}
END_TEST

START_TEST(in_a_log)
{
    char *text = written(PROGRESS_PLAIN);

    ck_assert_int_eq(count(text, '\r'), 0);
    ck_assert_int_eq(count(text, '\033'), 0);
    ck_assert_int_ge(count(text, '\n'), 1);
    ck_assert_int_le(count(text, '\n'), 3);
    ck_assert_ptr_nonnull(strstr(text, "testing  100.0 %"));
    free(text);
}
END_TEST

START_TEST(quiet)
{
    char *text = written(PROGRESS_QUIET);

    ck_assert_str_eq(text, "");
    free(text);
    progress_set_total(NULL, 1);
    progress_phase(NULL, "x", 1);
    progress_add(NULL, 1);
    progress_set_path(NULL, "x");
    progress_finish(NULL);
    progress_free(NULL);
}
END_TEST

/* A file is not a terminal; a line is ended even if the work breaks off. */
START_TEST(ends_its_line)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    Progress *p = progress_new(out, PROGRESS_TERMINAL);

    progress_set_total(p, 100);
    g_usleep(110000);
    progress_add(p, 50);
    progress_free(p);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, "50.0 %"));
    ck_assert(g_str_has_suffix(text, "\n"));
    free(text);
}
END_TEST

START_TEST(when_asked)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    Progress *p = progress_new(out, PROGRESS_ASKED);

    progress_set_total(p, 100);
    progress_add(p, 25);
    fflush(out);
    ck_assert_str_eq(text, "");
    progress_show(p);
    ck_assert_ptr_nonnull(strstr(text, "25.0 %"));
    progress_show_on_signal(p, SIGUSR1);
    progress_add(p, 25);
    raise(SIGUSR1);
    while (!strstr(text, "50.0 %")) {
        g_main_context_iteration(NULL, TRUE);
        fflush(out);
    }
    size_t shown = strlen(text);
    progress_finish(p);
    progress_free(p);
    fclose(out);
    ck_assert_uint_eq(strlen(text), shown);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("progress");
    TCase *tc = tcase_create("progress");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, shortens_in_the_middle);
    tcase_add_test(tc, sizes_and_times);
    tcase_add_test(tc, lines);
    tcase_add_test(tc, percentages_do_not_lie);
    tcase_add_test(tc, on_a_terminal);
    tcase_add_test(tc, in_a_log);
    tcase_add_test(tc, quiet);
    tcase_add_test(tc, ends_its_line);
    tcase_add_test(tc, when_asked);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
