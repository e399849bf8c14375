#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/error.h"
#include "util/text.h"

static const char *program = "embr-img";

/* What the library has to say besides errors. */
static void report_log(const char *domain, GLogLevelFlags level, const char *message,
                       gpointer opaque)
{
    report_warning("%s", message);
}

void report_set_program(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');
    program = slash ? slash + 1 : argv0;
    g_set_prgname(program);
    g_log_set_handler("embr", G_LOG_LEVEL_WARNING, report_log, NULL);
}

const char *report_program(void)
{
    return program;
}

static void G_GNUC_PRINTF(2, 0)
    report(const char *kind, const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);
    g_autofree char *shown = text_printable(text, TEXT_ESCAPED);

    fprintf(stderr, "%s: %s%s\n", program, kind, shown);
}

void report_error(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report("", format, args);
    va_end(args);
}

/* The hint is a line of its own. */
static void report_with_hint(const GError *error, const char *hint)
{
    size_t first = hint ? (size_t)(hint - error->message) : strlen(error->message);

    report_error("%.*s", (int)first, error->message);
    if (hint) {
        g_autofree char *shown = text_printable(hint + 1, TEXT_ESCAPED);
        fprintf(stderr, "%s\n", shown);
    }
}

void report_gerror(GError *error)
{
    if (g_error_matches(error, EMBR_ERROR, EMBR_ERROR_LOCKED)) {
        report_with_hint(error, g_strrstr(error->message, "\nIs another"));
    } else if (g_error_matches(error, EMBR_ERROR, EMBR_ERROR_ADVICE)) {
        report_with_hint(error, strrchr(error->message, '\n'));
    } else {
        report_error("%s", error->message);
    }
    g_error_free(error);
}

void report_warning(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report("warning: ", format, args);
    va_end(args);
}

void report_json(const QapiType *type, const void *value)
{
    g_autofree char *text = qapi_object_to_json_text(type, value, true);
    puts(text);
}

void report_json_list(const QapiType *type, const GPtrArray *list)
{
    g_autofree char *text = qapi_list_to_json_text(type, list, true);
    puts(text);
}

/* The unit in which it has at most three digits before the point. */
char *report_size(uint64_t bytes)
{
    static const char units[][4] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = bytes;
    size_t unit = 0;

    while (value >= 1000 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    char number[G_ASCII_DTOSTR_BUF_SIZE];
    return g_strdup_printf(
        "%s %s", g_ascii_formatd(number, sizeof(number), "%.3g", value), units[unit]);
}

bool report_flush(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return true;
    }
    report_error("cannot write to standard output: %s", g_strerror(errno));
    return false;
}
