/* embr-img resize */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "image.h"
#include "options.h"
#include "qapi/qapi-visit.h"
#include "report.h"

typedef struct Resize {
    const char *name;
    ImageOptions image;
    int64_t size;
    int sign; /* 0: size is the new size; else it is added or taken off */
    PreallocMode preallocation;
    gboolean shrink;
    gboolean quiet;
} Resize;

/* The size asked for, from that which the disk has; -1: reported. */
static int64_t new_size(const Resize *o, int64_t size)
{
    int64_t wanted;

    if (__builtin_add_overflow(o->sign ? size : 0, o->sign < 0 ? -o->size : o->size,
                               &wanted) ||
        wanted <= 0) {
        report_error("New image size must be positive");
        return -1;
    }
    if (wanted <= size && o->preallocation != PREALLOC_MODE_OFF) {
        report_error("Preallocation can only be used for growing images");
        return -1;
    }
    if (wanted < size && !o->shrink) {
        report_error("Use the --shrink option to perform a shrink operation.");
        report_warning("Shrinking an image will delete all data beyond the shrunken "
                       "image's end. Before performing such an operation, make sure "
                       "there is no important data there.");
        return -1;
    }
    return wanted;
}

static int coroutine_fn co_resize(void *opaque)
{
    const Resize *o = opaque;
    g_autoptr(BlockDriverState) bs = image_co_open(o->name, &o->image, BDRV_O_RDWR);
    int64_t size = bs ? new_size(o, bdrv_length(bs)) : -1;
    GError *error = NULL;

    if (size < 0) {
        return EXIT_FAILURE;
    }
    if (bdrv_co_truncate(bs, size, o->preallocation, &error) < 0) {
        report_gerror(error);
        return EXIT_FAILURE;
    }
    if (!image_co_finish(bs)) {
        return EXIT_FAILURE;
    }
    if (!o->quiet) {
        puts("Image resized.");
    }
    return EXIT_SUCCESS;
}

static bool parse_size(const char *text, Resize *o)
{
    uint64_t size;

    o->sign = *text == '+' ? 1 : *text == '-' ? -1 : 0;
    if (!qapi_parse_size(text + (o->sign != 0), &size)) {
        report_error("Parameter 'size' expects a non-negative number below 2^64");
        fputs("Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
              "and exabytes, respectively.\n",
              stderr);
        return false;
    }
    o->size = MIN(size, (uint64_t)G_MAXINT64);
    return true;
}

static bool parse_preallocation(const char *text, PreallocMode *mode)
{
    int value = PREALLOC_MODE_OFF;

    if (text && !qapi_enum_parse(&qapi_type_prealloc_mode, text, &value, NULL)) {
        report_error("Invalid preallocation mode '%s'", text);
        return false;
    }
    *mode = value;
    return true;
}

int img_resize(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *preallocation = NULL;
    Resize o = {0};
    const GOptionEntry entries[] = {
        IMAGE_FORMAT_OPTION_ENTRIES(&image),
        {"preallocation", 0, 0, G_OPTION_ARG_STRING, &preallocation,
         "How what is added is allocated: off, metadata, falloc or full", "MODE"},
        {"shrink", 0, 0, G_OPTION_ARG_NONE, &o.shrink,
         "The disk may get smaller: what is beyond its new end is lost", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &o.quiet, "Print errors only", NULL},
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Makes a disk larger or smaller. SIZE is the new size; with + or - before\n"
                   "it, it is added or taken off.",
        .parameters = "FILENAME [+ | -]SIZE",
        .entries = entries,
        .min_names = 1,
        .max_names = 1,
        .names_expected = "Expecting image file name and size",
        .misuse_status = EXIT_FAILURE,
    };
    bool help = argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    int status;

    if (argc < 3 && !help) {
        options_misuse(argv[0], "Not enough arguments");
        return EXIT_FAILURE;
    }
    /* The size comes last, and may begin as an option does. */
    if (!options_parse(&syntax, help ? argc : argc - 1, argv, &names, &status)) {
        return status;
    }
    if (!parse_size(argv[argc - 1], &o) || !image_options_check(&image) ||
        !parse_preallocation(preallocation, &o.preallocation)) {
        return EXIT_FAILURE;
    }
    o.name = names[0];
    o.image = image;
    return image_run(co_resize, &o, EXIT_FAILURE);
}
