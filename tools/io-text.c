/* Numbers in, sizes and reports out. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "qapi/qapi.h"

/* The most that one request may have. */
#define REQUEST_BYTES_MAX INT64_C(2147483136)

bool io_parse_number(const char *text, int64_t *value)
{
    uint64_t number;

    if (!qapi_parse_size(text, &number)) {
        printf("Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- %s\n",
               text);
        return false;
    }
    if (number > G_MAXINT64) {
        printf("Parsing error: argument too large -- %s\n", text);
        return false;
    }
    *value = number;
    return true;
}

bool io_parse_length(const char *text, int64_t *value)
{
    if (!io_parse_number(text, value)) {
        return false;
    }
    if (*value > REQUEST_BYTES_MAX) {
        printf("length cannot exceed %" G_GINT64_FORMAT ", given %s\n", REQUEST_BYTES_MAX,
               text);
        return false;
    }
    return true;
}

bool io_parse_byte(const char *text, int *value)
{
    char *end;
    long number = strtol(text, &end, 0);

    if (!*text || *end || number < 0 || number > 0xff) {
        printf("%s is not a valid pattern byte\n", text);
        return false;
    }
    *value = number;
    return true;
}

char *io_size(double bytes)
{
    static const char units[][6] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;

    while (bytes >= 1024 && unit + 1 < G_N_ELEMENTS(units)) {
        bytes /= 1024;
        unit++;
    }
    g_autofree char *number = g_strdup_printf(unit ? "%.3f" : "%f", bytes);
    char *point = strchr(number, '.');
    if (point && strspn(point + 1, "0") == strlen(point + 1)) {
        *point = 0;
    }
    return g_strdup_printf("%s %s", number, units[unit]);
}

static char *duration(double seconds, bool fixed)
{
    unsigned whole = seconds;
    unsigned hours = whole / 3600, minutes = whole / 60 % 60;
    unsigned hundredths = (seconds - whole) * 100;

    if (hours || minutes || fixed) {
        return g_strdup_printf("%u:%02u:%02u.%02u", hours, minutes, whole % 60, hundredths);
    }
    return g_strdup_printf("%02u.%02u sec", whole, hundredths);
}

void io_print_statistics(const IoStatistics *st)
{
    double seconds = MAX(g_get_monotonic_time() - st->started, 1) / 1e6;
    double rate = st->done / seconds, requests = 1 / seconds;
    g_autofree char *time = duration(seconds, st->machine);

    if (st->machine) {
        printf("%" G_GINT64_FORMAT ",1,%s,%.3f,%.3f\n", st->done, time, rate, requests);
        return;
    }
    g_autofree char *size = io_size(st->done);
    g_autofree char *rate_size = io_size(rate);
    printf("%s %" G_GINT64_FORMAT "/%" G_GINT64_FORMAT " bytes at offset %" G_GINT64_FORMAT
           "\n%s, 1 ops; %s (%s/sec and %.4f ops/sec)\n",
           st->what, st->done, st->asked, st->offset, size, time, rate_size, requests);
}

void io_dump(const uint8_t *buf, int64_t bytes, int64_t offset)
{
    enum { LINE_BYTES = 16 };

    for (int64_t line = 0; line < bytes; line += LINE_BYTES) {
        int64_t n = MIN(bytes - line, (int64_t)LINE_BYTES);
        printf("%08" G_GINT64_MODIFIER "x:  ", (guint64)(offset + line));
        for (int64_t i = 0; i < n; i++) {
            printf("%02x ", buf[line + i]);
        }
        putchar(' ');
        for (int64_t i = 0; i < n; i++) {
            int c = buf[line + i];
            putchar(g_ascii_isalnum(c) ? c : '.');
        }
        putchar('\n');
    }
}

bool io_verify(const uint8_t *buf, int64_t bytes, int pattern, int64_t offset)
{
    if (bytes == 0 || (buf[0] == pattern && memcmp(buf, buf + 1, bytes - 1) == 0)) {
        return true;
    }
    printf("Pattern verification failed at offset %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT
           " bytes\n", offset, bytes);
    return false;
}
