/* embr-img compact */
#include <stdio.h>
#include <stdlib.h>

#include "block/filename.h"
#include "commands.h"
#include "engram/compact.h"
#include "image.h"
#include "options.h"
#include "report.h"
#include "util/unfinished.h"

typedef struct CompactCommand {
    const char *name;
    const char *target;         /* NULL: in its place */
    gboolean progress;
    gboolean quiet;
} CompactCommand;

static void print_result(const EngramCompactResult *result)
{
    g_autofree char *before = report_size(result->bytes_before);
    g_autofree char *after = report_size(result->bytes_after);

    printf("%s before, %s after; of %" G_GUINT64_FORMAT " frames, %" G_GUINT64_FORMAT
           " were kept and %" G_GUINT64_FORMAT " compressed anew\n",
           before, after, result->frames, result->kept, result->rewritten);
}

static int coroutine_fn co_compact(void *opaque)
{
    const CompactCommand *o = opaque;
    GError *error = NULL;
    g_autofree char *path = filename_to_path(o->name, &error);
    g_autofree char *target =
        path && o->target ? filename_to_path(o->target, &error) : NULL;
    g_autoptr(Progress) progress = image_progress_new(o->progress && !o->quiet);
    EngramCompactResult result;

    unfinished_handle_signals();
    if (!path || (o->target && !target) ||
        !engram_co_compact(path, target, progress, &result, &error)) {
        report_gerror(error);
        return EXIT_FAILURE;
    }
    if (!o->quiet) {
        print_result(&result);
    }
    return EXIT_SUCCESS;
}

int img_compact(int argc, char **argv)
{
    g_auto(GStrv) names = NULL;
    CompactCommand o = {0};
    const GOptionEntry entries[] = {
        {"progress", 'p', 0, G_OPTION_ARG_NONE, &o.progress, "Show progress", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &o.quiet, "Print errors only", NULL},
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Makes an engram anew of what its images refer to, in its place or as "
                   "TARGET.",
        .parameters = "ENGRAM [TARGET]",
        .entries = entries,
        .min_names = 1,
        .max_names = 2,
        .names_expected = "Expecting the file name of one engram, and perhaps of a target",
        .misuse_status = EXIT_FAILURE,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    o.name = names[0];
    o.target = names[1];
    return image_run(co_compact, &o, EXIT_FAILURE);
}
