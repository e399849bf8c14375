#include "util/progress.h"

#include <glib-unix.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util/progress-int.h"

enum {
    TERMINAL_INTERVAL_US = G_USEC_PER_SEC / 10,
    PLAIN_INTERVAL_US = 5 * G_USEC_PER_SEC,
    /* The rate shown is that of about this long. */
    RATE_WINDOW_US = 3 * G_USEC_PER_SEC,
    DEFAULT_COLUMNS = 80,
    MIN_COLUMNS = 20,
};

struct Progress {
    FILE *out;
    bool terminal;
    bool utf8;
    bool asked;                 /* shown when asked for only */
    guint signal_source;        /* 0: none */
    bool drawn;                 /* a line is on the terminal, without its end */
    char *phase;
    GString *path;
    uint64_t total;
    uint64_t done;
    int64_t start_us;
    int64_t next_us;            /* when to show something again */
    int64_t sampled_us;
    uint64_t sampled_done;
    double rate;
};

static bool is_terminal(FILE *out)
{
    const char *term = g_getenv("TERM");

    return isatty(fileno(out)) && term && *term && !g_str_equal(term, "dumb");
}

static int terminal_columns(FILE *out)
{
    struct winsize size;
    const char *columns = g_getenv("COLUMNS");
    int n = 0;

    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0) {
        n = size.ws_col;
    }
    if (n <= 0 && columns) {
        n = (int)g_ascii_strtoll(columns, NULL, 10);
    }
    return n <= 0 ? DEFAULT_COLUMNS : MAX(n, MIN_COLUMNS);
}

static int64_t interval_us(const Progress *p)
{
    return p->terminal ? TERMINAL_INTERVAL_US : PLAIN_INTERVAL_US;
}

static void start_phase(Progress *p, uint64_t total_bytes)
{
    p->total = total_bytes;
    p->done = 0;
    p->start_us = g_get_monotonic_time();
    p->next_us = p->start_us + interval_us(p);
    p->sampled_us = p->start_us;
    p->sampled_done = 0;
    p->rate = 0;
    g_string_truncate(p->path, 0);
}

Progress *progress_new(FILE *out, ProgressMode mode)
{
    Progress *p;

    if (mode == PROGRESS_QUIET) {
        return NULL;
    }
    p = g_new0(Progress, 1);
    p->out = out;
    p->terminal = mode == PROGRESS_TERMINAL || (mode == PROGRESS_AUTO && is_terminal(out));
    p->utf8 = g_get_charset(NULL);
    p->asked = mode == PROGRESS_ASKED;
    p->path = g_string_new(NULL);
    start_phase(p, 0);
    return p;
}

static void end_line(Progress *p)
{
    if (p->drawn) {
        fputc('\n', p->out);
        fflush(p->out);
        p->drawn = false;
    }
}

void progress_interrupt(Progress *p)
{
    if (p) {
        end_line(p);
    }
}

void progress_free(Progress *p)
{
    if (!p) {
        return;
    }
    end_line(p);
    if (p->signal_source) {
        g_source_remove(p->signal_source);
    }
    g_free(p->phase);
    g_string_free(p->path, TRUE);
    g_free(p);
}

static void sample_rate(Progress *p, int64_t now_us)
{
    double elapsed_us = now_us - p->sampled_us;

    if (elapsed_us <= 0) {
        return;
    }
    double recent = (p->done - p->sampled_done) / elapsed_us * G_USEC_PER_SEC;
    double weight = elapsed_us / (elapsed_us + RATE_WINDOW_US);

    p->rate = p->sampled_us == p->start_us ? recent : p->rate + (recent - p->rate) * weight;
    p->sampled_us = now_us;
    p->sampled_done = p->done;
}

static ProgressState current_state(const Progress *p)
{
    return (ProgressState){
        .phase = p->phase,
        .path = p->path->len ? p->path->str : NULL,
        .done = p->done,
        .total = p->total,
        .rate = p->rate,
    };
}

static void show(Progress *p)
{
    ProgressState state = current_state(p);

    if (p->terminal) {
        g_autofree char *line =
            progress_terminal_line(&state, terminal_columns(p->out), p->utf8);
        fprintf(p->out, "\r%s\033[K", line);
        p->drawn = true;
    } else {
        g_autofree char *line = progress_plain_line(&state);
        fprintf(p->out, "%s\n", line);
    }
    fflush(p->out);
}

static void show_if_due(Progress *p)
{
    int64_t now_us = g_get_monotonic_time();

    if (p->asked || now_us < p->next_us) {
        return;
    }
    p->next_us = now_us + interval_us(p);
    sample_rate(p, now_us);
    show(p);
}

void progress_show(Progress *p)
{
    if (p) {
        sample_rate(p, g_get_monotonic_time());
        show(p);
    }
}

static gboolean show_on_signal(gpointer opaque)
{
    progress_show(opaque);
    return G_SOURCE_CONTINUE;
}

void progress_show_on_signal(Progress *p, int signal_number)
{
    if (p && !p->signal_source) {
        p->signal_source = g_unix_signal_add(signal_number, show_on_signal, p);
    }
}

void progress_set_total(Progress *p, uint64_t total_bytes)
{
    if (p) {
        p->total = total_bytes;
    }
}

void progress_phase(Progress *p, const char *name, uint64_t total_bytes)
{
    if (!p) {
        return;
    }
    end_line(p);
    g_free(p->phase);
    p->phase = g_strdup(name);
    start_phase(p, total_bytes);
}

void progress_add(Progress *p, uint64_t bytes)
{
    if (p) {
        p->done += bytes;
        show_if_due(p);
    }
}

void progress_set_path(Progress *p, const char *path)
{
    if (p) {
        g_string_assign(p->path, path ? path : "");
        show_if_due(p);
    }
}

void progress_finish(Progress *p)
{
    double elapsed_us;

    if (!p) {
        return;
    }
    elapsed_us = MAX(g_get_monotonic_time() - p->start_us, 1);
    p->total = MAX(p->done, p->total);
    p->done = p->total;
    p->rate = p->done / elapsed_us * G_USEC_PER_SEC;
    g_string_truncate(p->path, 0);
    if (!p->asked) {
        show(p);
    }
    end_line(p);
    start_phase(p, 0);
}
