/* embr-img measure */
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "image.h"
#include "options.h"
#include "qapi/qapi-visit.h"
#include "report.h"

typedef struct Measure {
    const char *name; /* NULL: an empty image of that size */
    ImageOptions image;
    int64_t size;
    const char *format;
    const char *options;
    bool json;
} Measure;

static void print_measure(const BlockMeasureInfo *info)
{
    printf("required size: %" G_GINT64_FORMAT "\nfully allocated size: %" G_GINT64_FORMAT "\n",
           info->required, info->fully_allocated);
    if (info->has_bitmaps) {
        printf("bitmaps size: %" G_GINT64_FORMAT "\n", info->bitmaps);
    }
}

static int coroutine_fn co_measure(void *opaque)
{
    const Measure *o = opaque;
    g_autoptr(BlockDriverState) src = o->name ? image_co_open(o->name, &o->image, 0) : NULL;
    GError *error = NULL;

    if (o->name && !src) {
        return EXIT_FAILURE;
    }
    g_autoptr(BlockMeasureInfo) info =
        bdrv_co_measure(o->format, src, o->size, o->options, &error);
    if (!info) {
        report_gerror(error);
        return EXIT_FAILURE;
    }
    if (o->json) {
        report_json(&qapi_type_block_measure_info, info);
    } else {
        print_measure(info);
    }
    return EXIT_SUCCESS;
}

/* An image, or a size. */
static bool check_source(const Measure *o, const char *size)
{
    const ImageOptions *image = &o->image;

    if (!o->name && (image->image_opts || image->format || image->snapshot)) {
        report_error("--image-opts, -f, and -l require a filename argument.");
        return false;
    }
    if (!o->name && !size) {
        report_error("Either --size N or one filename must be specified.");
        return false;
    }
    if (o->name && size) {
        report_error("--size N cannot be used together with a filename.");
        return false;
    }
    return image_options_check(image);
}

int img_measure(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL, options = NULL;
    g_autofree char *output = NULL, *size = NULL, *format = NULL, *joined = NULL;
    Measure o = {0};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        IMAGE_SNAPSHOT_OPTION_ENTRY('l', &image),
        {"size", 0, 0, G_OPTION_ARG_STRING, &size, "An empty image of this size", "SIZE"},
        {"target-format", 'O', 0, G_OPTION_ARG_STRING, &format,
         "Format of the new image; by default raw", "FMT"},
        {"options", 'o', 0, G_OPTION_ARG_FILENAME_ARRAY, &options,
         "Options of that format: NAME=VALUE,...", "OPTIONS"},
        OUTPUT_OPTION_ENTRY(&output),
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Shows how large the file gets that convert makes of an image, or create of a\n"
                   "size.",
        .parameters = "[FILENAME]",
        .entries = entries,
        .min_names = 0,
        .max_names = G_MAXUINT,
        .misuse_status = EXIT_FAILURE,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    if (g_strv_length(names) > 1) {
        report_error("At most one filename argument is allowed.");
        return EXIT_FAILURE;
    }
    o.name = names[0];
    o.image = image;
    o.format = format ? format : "raw";
    o.options = joined = options ? g_strjoinv(",", options) : NULL;
    if (!options_output_format(output, &o.json) || !check_source(&o, size) ||
        (size && !options_image_size(size, &o.size))) {
        return EXIT_FAILURE;
    }
    return image_run(co_measure, &o, EXIT_FAILURE);
}
