/*
 * How progress looks, apart from when it is shown.
 */
#ifndef EMBR_UTIL_PROGRESS_INT_H
#define EMBR_UTIL_PROGRESS_INT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ProgressState {
    const char *phase;          /* NULL: none named */
    const char *path;           /* as given, any bytes; NULL: none */
    uint64_t done;
    uint64_t total;             /* 0: not known */
    double rate;                /* bytes per second; 0: not known */
} ProgressState;

/* Columns that valid UTF-8 text takes. */
int progress_width(const char *text);

/* text in at most width columns, its middle left out if it has to be. */
char *progress_shorten(const char *text, int width, bool utf8);

/* One line for a terminal of that many columns. */
char *progress_terminal_line(const ProgressState *state, int columns, bool utf8);

/* One line for a log. */
char *progress_plain_line(const ProgressState *state);

char *progress_format_size(double bytes);
char *progress_format_time(double seconds);

#endif
