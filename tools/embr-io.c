/*
 * embr-io: reads, writes and other requests to a disk, one by one.
 */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "embr-config.h"
#include "io.h"
#include "options.h"
#include "report.h"

typedef struct Options {
    char **commands;
    char *format, *cache, *aio, *discard;
    gboolean image_opts, read_only, snapshot, no_cache, copy_on_read, misalign, native,
        force_share, version;
} Options;

static bool choose_backend(const Options *o, AioBackend *backend)
{
    *backend = AIO_BACKEND_AUTO;
    if (!o->aio || strcmp(o->aio, "native") == 0) {
        return true;
    }
    if (strcmp(o->aio, "threads") == 0) {
        *backend = AIO_BACKEND_THREADS;
        return true;
    }
    if (strcmp(o->aio, "io_uring") == 0) {
        *backend = AIO_BACKEND_IO_URING;
        return true;
    }
    report_error("Invalid aio option: %s", o->aio);
    return false;
}

static bool take_options(const Options *o, const char *name, IoOpen *how)
{
    if (o->image_opts && o->format) {
        report_error("--image-opts and -f are mutually exclusive");
        return false;
    }
    how->cache = (CacheMode){.flush = true, .writethrough = true};
    how->unmap = true;
    if ((o->no_cache && !io_parse_cache("none", &how->cache)) ||
        (o->cache && !io_parse_cache(o->cache, &how->cache)) ||
        (o->discard && !io_parse_discard(o->discard, &how->unmap))) {
        return false;
    }
    how->read_only = o->read_only;
    how->snapshot = o->snapshot;
    how->copy_on_read = o->copy_on_read;
    how->force_share = o->force_share;
    how->format = g_strdup(o->format);
    if (o->image_opts) {
        how->options = g_strdup(name);
    } else {
        how->name = g_strdup(name);
    }
    return true;
}

/* A line without its newline; NULL at the end. The caller frees it. */
static char *read_line(void)
{
    char *line = NULL;
    size_t size = 0;

    printf("%s> ", report_program());
    fflush(stdout);
    ssize_t n = getline(&line, &size, stdin);
    if (n < 0) {
        free(line);
        return NULL;
    }
    line[strcspn(line, "\n")] = 0;
    return line;
}

/* Whether all went well. */
static bool run_lines(Io *io, AioContext *ctx, char **commands)
{
    bool ok = true;

    for (; commands && *commands && !io->quit; commands++) {
        ok = io_run_line(io, ctx, *commands) >= 0 && ok;
    }
    return ok;
}

static bool run_input(Io *io, AioContext *ctx)
{
    bool ok = true;

    while (!io->quit) {
        char *line = read_line();
        if (!line) {
            break;
        }
        ok = io_run_line(io, ctx, line) >= 0 && ok;
        free(line);
    }
    return ok;
}

typedef struct Step {
    Io *io;
    int coroutine_fn (*co_func)(Io *io);
    int ret;
} Step;

static void coroutine_fn co_step(void *opaque)
{
    Step *step = opaque;
    step->ret = step->co_func(step->io);
}

static bool run_step(Io *io, AioContext *ctx, int coroutine_fn (*co_func)(Io *io))
{
    Step step = {.io = io, .co_func = co_func};
    aio_run(ctx, co_step, &step);
    return step.ret >= 0;
}

static int run(const Options *o, const char *name)
{
    AioBackend backend;
    GError *error = NULL;
    Io io = {0};

    co_queue_init(&io.waiters);
    if (!choose_backend(o, &backend)) {
        return EXIT_FAILURE;
    }
    g_autoptr(AioContext) ctx = aio_context_new(backend, &error);
    if (!ctx) {
        report_gerror(error);
        return EXIT_FAILURE;
    }
    bool ok = take_options(o, name, &io.how) && (!name || run_step(&io, ctx, io_co_open));
    if (ok) {
        ok = o->commands ? run_lines(&io, ctx, o->commands) : run_input(&io, ctx);
        ok = run_step(&io, ctx, io_co_close) && ok;
    }
    io_open_clear(&io.how);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    Options o = {0};
    g_auto(GStrv) names = NULL;
    const GOptionEntry entries[] = {
        {"cmd", 'c', 0, G_OPTION_ARG_STRING_ARRAY, &o.commands,
         "Run a command; without it they are read from standard input", "COMMAND"},
        {"format", 'f', 0, G_OPTION_ARG_STRING, &o.format,
         "Format of the image; by default found from its content", "FMT"},
        {"image-opts", 0, 0, G_OPTION_ARG_NONE, &o.image_opts,
         "The image is named by a description: driver=...,file.filename=...", NULL},
        {"read-only", 'r', 0, G_OPTION_ARG_NONE, &o.read_only, "Open it for reading only",
         NULL},
        {"snapshot", 's', 0, G_OPTION_ARG_NONE, &o.snapshot,
         "What is written goes to a temporary file", NULL},
        {"nocache", 'n', 0, G_OPTION_ARG_NONE, &o.no_cache,
         "Without the host's cache, as -t none", NULL},
        {"copy-on-read", 'C', 0, G_OPTION_ARG_NONE, &o.copy_on_read,
         "What is read from a backing image is stored in the image", NULL},
        {"misalign", 'm', 0, G_OPTION_ARG_NONE, &o.misalign,
         "For qemu-io's users: has no effect", NULL},
        {"native-aio", 'k', 0, G_OPTION_ARG_NONE, &o.native,
         "For qemu-io's users: has no effect", NULL},
        {"aio", 'i', 0, G_OPTION_ARG_STRING, &o.aio,
         "How the host does I/O: threads, io_uring, or native for what is best", "MODE"},
        {"cache", 't', 0, G_OPTION_ARG_STRING, &o.cache,
         "Cache mode: none, directsync, writeback, writethrough or unsafe", "MODE"},
        {"discard", 'd', 0, G_OPTION_ARG_STRING, &o.discard,
         "Whether discards are passed on: ignore (off) or unmap (on)", "MODE"},
        {"force-share", 'U', 0, G_OPTION_ARG_NONE, &o.force_share,
         "Open the image even if others write to it", NULL},
        {"version", 'V', 0, G_OPTION_ARG_NONE, &o.version, "Show the version and exit", NULL},
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Does requests to the disk in an image, one by one. '-c help' lists the "
                   "commands.",
        .parameters = "[FILENAME]",
        .entries = entries,
        .max_names = 1,
        .names_expected = "Expecting at most one image file name",
        .misuse_status = EXIT_FAILURE,
        .is_program = true,
    };
    int status = EXIT_FAILURE;

    setlocale(LC_CTYPE, "");
    report_set_program(argc > 0 ? argv[0] : "embr-io");
    if (options_parse(&syntax, argc, argv, &names, &status)) {
        if (o.version) {
            printf("embr-io version %s\n", EMBR_VERSION);
            status = EXIT_SUCCESS;
        } else {
            status = run(&o, names[0]);
        }
    }
    g_strfreev(o.commands);
    g_free(o.format);
    g_free(o.cache);
    g_free(o.aio);
    g_free(o.discard);
    return report_flush() ? status : EXIT_FAILURE;
}
