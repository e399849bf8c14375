/*
 * Progress of long work, for people.
 *
 * On a terminal one line is redrawn at most ten times a second: what is being
 * done now (a path), percentage, bytes per second and time to go.  Elsewhere a
 * plain line is printed every few seconds.  A quiet one prints nothing.
 */
#ifndef EMBR_UTIL_PROGRESS_H
#define EMBR_UTIL_PROGRESS_H

#include <stdio.h>
#include <inttypes.h>
#include <stdbool.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Progress Progress;

typedef enum ProgressMode {
    PROGRESS_QUIET,
    PROGRESS_AUTO,          /* terminal or plain lines, by isatty(out) */
    PROGRESS_TERMINAL,
    PROGRESS_PLAIN,
    PROGRESS_ASKED,         /* plain lines, but only those that progress_show() asks for */
} ProgressMode;

Progress *progress_new(FILE *out, ProgressMode mode);
void progress_free(Progress *p);        /* ends the line if one is drawn */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Progress, progress_free)

/* All may be called with p == NULL, and then do nothing. Main thread only. */
void progress_set_total(Progress *p, uint64_t total_bytes);
/* A new phase ("reading", "verifying") starts from zero with its own total. */
void progress_phase(Progress *p, const char *name, uint64_t total_bytes);
void progress_add(Progress *p, uint64_t bytes);
/* What is being worked on; bytes that are no printable UTF-8 are escaped. */
void progress_set_path(Progress *p, const char *path);
/* Ends the line that is drawn on a terminal: something else is about to be printed. */
void progress_interrupt(Progress *p);
/* Shows it now. */
void progress_show(Progress *p);
/* The same whenever the process gets that signal (of those g_unix_signal_add() knows),
 * while the default main context runs. */
void progress_show_on_signal(Progress *p, int signal_number);
/* 100 % and the rate over the whole phase. */
void progress_finish(Progress *p);

#endif
