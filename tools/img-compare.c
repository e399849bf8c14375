/* embr-img compare */
#include <stdio.h>
#include <stdlib.h>

#include "block/convert.h"
#include "commands.h"
#include "image.h"
#include "options.h"
#include "report.h"

/* Exit status, as qemu-img's manual has them */
enum {
    COMPARE_SAME = 0,
    COMPARE_DIFFERENT = 1,
    COMPARE_OPEN_FAILED = 2,
    COMPARE_STATUS_FAILED = 3,
    COMPARE_READ_FAILED = 4,
};

typedef struct CompareCommand {
    const char *names[2];
    ImageOptions images[2];
    gboolean strict;
    gboolean quiet;
    gboolean progress;
} CompareCommand;

static void print_result(const CompareCommand *o, const CompareResult *result)
{
    if (o->quiet) {
        return;
    }
    if (o->strict && result->size_differs) {
        puts("Strict mode: Image size mismatch!");
        return;
    }
    if (result->size_differs && (result->identical || result->mismatch_in_tail)) {
        puts("Warning: Image size mismatch!");
    }
    if (result->identical) {
        puts("Images are identical.");
    } else if (result->status_differs) {
        printf("Strict mode: Offset %" G_GINT64_FORMAT " block status mismatch!\n",
               result->mismatch_offset);
    } else {
        printf("Content mismatch at offset %" G_GINT64_FORMAT "!\n",
               result->mismatch_offset);
    }
}

static int coroutine_fn co_compare(void *opaque)
{
    const CompareCommand *o = opaque;
    g_autoptr(BlockBackend) a = image_co_open_disk(o->names[0], &o->images[0], NULL);
    g_autoptr(BlockBackend) b =
        a ? image_co_open_disk(o->names[1], &o->images[1], NULL) : NULL;
    g_autoptr(Progress) progress = image_progress_new(o->progress && !o->quiet);
    CompareResult result;
    GError *error = NULL;

    if (!b) {
        return COMPARE_OPEN_FAILED;
    }
    if (!compare_co_images(a, b, o->strict, progress, &result, &error)) {
        report_gerror(error);
        return result.status_failed ? COMPARE_STATUS_FAILED : COMPARE_READ_FAILED;
    }
    print_result(o, &result);
    return result.identical ? COMPARE_SAME : COMPARE_DIFFERENT;
}

int img_compare(int argc, char **argv)
{
    g_auto(ImageOptions) first = {0}, second = {0};
    g_auto(GStrv) names = NULL;
    CompareCommand o = {0};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&first),
        {"second-format", 'F', 0, G_OPTION_ARG_STRING, &second.format,
         "Format of the second image", "FMT"},
        IMAGE_CACHE_OPTION_ENTRY(&first),
        IMAGE_SNAPSHOT_OPTION_ENTRY('l', &first),
        {"second-snapshot", 'L', 0, G_OPTION_ARG_STRING, &second.snapshot,
         "The same of the second image", "ID_OR_NAME"},
        {"strict", 's', 0, G_OPTION_ARG_NONE, &o.strict,
         "The size of the disks and what is allocated must be equal, too", NULL},
        {"progress", 'p', 0, G_OPTION_ARG_NONE, &o.progress, "Show progress", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &o.quiet, "Print errors only", NULL},
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary =
            "Compares the disks in two images. Exits with 0 if they are equal, 1 if\n"
            "they differ, and more than 1 if they could not be compared. If the sizes\n"
            "differ, the rest of the longer one must be zeroes.",
        .parameters = "FILENAME1 FILENAME2",
        .entries = entries,
        .min_names = 2,
        .max_names = 2,
        .names_expected = "Expecting two image file names",
        .misuse_status = COMPARE_OPEN_FAILED,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    second.cache = g_strdup(first.cache);
    second.image_opts = first.image_opts;
    if (!image_options_check(&first) || !image_options_check(&second)) {
        return COMPARE_OPEN_FAILED;
    }
    o.names[0] = names[0];
    o.names[1] = names[1];
    o.images[0] = first;
    o.images[1] = second;
    return image_run(co_compare, &o, COMPARE_OPEN_FAILED);
}
