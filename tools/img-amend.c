/* embr-img amend */
#include <stdlib.h>
#include <string.h>

#include "block/block-int.h"
#include "commands.h"
#include "image.h"
#include "options.h"
#include "report.h"

typedef struct Amend {
    const char *name;
    ImageOptions image;
    char *options; /* of -o, joined */
    CacheMode cache;
    gboolean progress, quiet, force;
} Amend;

static int coroutine_fn co_amend(void *opaque)
{
    const Amend *o = opaque;
    g_autoptr(BlockDriverState) bs =
        image_co_open(o->name, &o->image, BDRV_O_RDWR | image_cache_flags(&o->cache));
    g_autoptr(Progress) progress = image_progress_new(o->progress && !o->quiet);
    GError *error = NULL;

    if (!bs) {
        return EXIT_FAILURE;
    }
    bool ok = bdrv_co_amend(bs, o->options, progress, &error) >= 0;
    if (ok) {
        progress_finish(progress);
    } else {
        progress_interrupt(progress);
        report_gerror(error);
    }
    return image_co_finish(bs) && ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int img_amend(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL, options = NULL;
    g_autofree char *cache = NULL;
    Amend o = {0};
    const GOptionEntry entries[] = {
        IMAGE_FORMAT_OPTION_ENTRIES(&image),
        {"options", 'o', 0, G_OPTION_ARG_FILENAME_ARRAY, &options,
         "What is to be changed: NAME=VALUE,...", "OPTIONS"},
        {"cache", 't', 0, G_OPTION_ARG_STRING, &cache,
         "Cache mode: none, directsync, writeback, writethrough or unsafe", "MODE"},
        {"force", 0, 0, G_OPTION_ARG_NONE, &o.force,
         "Accepted as by qemu-img: nothing here needs it", NULL},
        {"progress", 'p', 0, G_OPTION_ARG_NONE, &o.progress, "Show progress", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &o.quiet, "Print errors only", NULL},
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Changes options that an image was made with.",
        .parameters = "FILENAME",
        .entries = entries,
        .min_names = 0,
        .max_names = 1,
        .names_expected = "Expecting one image file name",
        .misuse_status = EXIT_FAILURE,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    if (!options) {
        options_misuse(argv[0], "Must specify options (-o)");
        return EXIT_FAILURE;
    }
    if (!names[0]) {
        report_error("Expecting one image file name");
        return EXIT_FAILURE;
    }
    if (!image_options_check(&image) ||
        !image_parse_cache(cache ? cache : "writeback", 't', &o.cache)) {
        return EXIT_FAILURE;
    }
    o.name = names[0];
    o.image = image;
    o.options = g_strjoinv(",", options);
    status = image_run(co_amend, &o, EXIT_FAILURE);
    g_free(o.options);
    return status;
}
