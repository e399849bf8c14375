#include <math.h>
#include <string.h>

#include "util/progress-int.h"
#include "util/text.h"

enum { LONGEST_TIME_HOURS = 100 * 24 };

static int char_width(gunichar c)
{
    if (g_unichar_iszerowidth(c)) {
        return 0;
    }
    return g_unichar_iswide(c) ? 2 : 1;
}

int progress_width(const char *text)
{
    int width = 0;

    for (; *text; text = g_utf8_next_char(text)) {
        width += char_width(g_utf8_get_char(text));
    }
    return width;
}

/* The end of as much of text as fits into width columns. */
static const char *head_of_width(const char *text, int width)
{
    while (*text) {
        width -= char_width(g_utf8_get_char(text));
        if (width < 0) {
            break;
        }
        text = g_utf8_next_char(text);
    }
    return text;
}

/* The start of as much of the end of text as fits into width columns. */
static const char *tail_of_width(const char *text, int width)
{
    const char *tail = text + strlen(text);

    while (tail > text) {
        const char *prev = g_utf8_prev_char(tail);

        width -= char_width(g_utf8_get_char(prev));
        if (width < 0) {
            break;
        }
        tail = prev;
    }
    return tail;
}

char *progress_shorten(const char *text, int width, bool utf8)
{
    const char *gap = utf8 ? "…" : "..";
    int gap_width = utf8 ? 1 : 2;

    if (progress_width(text) <= width) {
        return g_strdup(text);
    }
    if (width <= gap_width) {
        return g_strndup("...", MAX(width, 0));
    }
    /* The end of a path says more than its start. */
    int head_width = (width - gap_width) / 3;
    const char *head_end = head_of_width(text, head_width);
    const char *tail = tail_of_width(head_end, width - gap_width - head_width);
    g_autofree char *head = g_strndup(text, head_end - text);

    return g_strconcat(head, gap, tail, NULL);
}

char *progress_format_size(double bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    size_t unit = 0;

    while (bytes >= 1023.95 && unit + 1 < G_N_ELEMENTS(units)) {
        bytes /= 1024;
        unit++;
    }
    return g_strdup_printf(unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

char *progress_format_time(double seconds)
{
    if (!(seconds < LONGEST_TIME_HOURS * 3600.0)) {
        return g_strdup("--:--");
    }
    unsigned s = (unsigned)ceil(seconds);

    if (s < 3600) {
        return g_strdup_printf("%u:%02u", s / 60, s % 60);
    }
    return g_strdup_printf("%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
}

static double percentage(const ProgressState *state)
{
    double percent = MIN((double)state->done / state->total, 1.0) * 100;

    /* 100.0 only when all is done. */
    return state->done < state->total ? MIN(floor(percent * 10) / 10, 99.9) : percent;
}

static char *format_eta(const ProgressState *state)
{
    if (state->total == 0 || state->rate <= 0) {
        return NULL;
    }
    if (state->done >= state->total) {
        return progress_format_time(0);
    }
    return progress_format_time((state->total - state->done) / state->rate);
}

/* "reading  45.3 %  123.4 MiB/s  0:12 left" */
static GString *format_numbers(const ProgressState *state)
{
    GString *line = g_string_new(NULL);
    g_autofree char *eta = format_eta(state);

    if (state->phase) {
        g_string_append_printf(line, "%s  ", state->phase);
    }
    if (state->total) {
        g_string_append_printf(line, "%5.1f %%", percentage(state));
    } else {
        g_autofree char *done = progress_format_size(state->done);
        g_string_append(line, done);
    }
    if (state->rate > 0) {
        g_autofree char *rate = progress_format_size(state->rate);
        g_string_append_printf(line, "  %s/s", rate);
    }
    if (eta) {
        g_string_append_printf(line, "  %s left", eta);
    }
    return line;
}

char *progress_terminal_line(const ProgressState *state, int columns, bool utf8)
{
    GString *line = format_numbers(state);
    /* The last column stays free: some terminals wrap when it is written. */
    int left = columns - 1 - progress_width(line->str);

    if (state->path && left > 8) {
        g_autofree char *escaped =
            text_printable(state->path, utf8 ? TEXT_ESCAPED : TEXT_ESCAPED_ASCII);
        g_autofree char *shown = progress_shorten(escaped, left - 2, utf8);
        g_string_append_printf(line, "  %s", shown);
    }
    g_autofree char *numbers = g_string_free(line, FALSE);

    return g_strndup(numbers, head_of_width(numbers, MAX(columns - 1, 0)) - numbers);
}

char *progress_plain_line(const ProgressState *state)
{
    GString *line = format_numbers(state);

    if (state->total) {
        g_autofree char *done = progress_format_size(state->done);
        g_autofree char *total = progress_format_size(state->total);
        g_string_append_printf(line, "  %s of %s", done, total);
    }
    return g_string_free(line, FALSE);
}
