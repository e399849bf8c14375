/* embr-img check */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "image.h"
#include "options.h"
#include "qapi/qapi-visit.h"
#include "report.h"

/* Exit status, as qemu-img's */
enum {
    CHECK_OK = 0,
    CHECK_FAILED = 1, /* not, or not all of it, could be checked */
    CHECK_CORRUPT = 2,
    CHECK_LEAKS = 3,
    CHECK_UNSUPPORTED = 63, /* the format has no checks */
};

typedef struct Check {
    const char *name;
    ImageOptions image;
    gboolean quiet;
    bool json;
    unsigned fix; /* BDRV_CHECK_FIX_* */
} Check;

static void print_findings(BlockDriverState *bs)
{
    g_autoptr(GPtrArray) findings = bdrv_take_findings(bs);

    for (guint i = 0; findings && i < findings->len; i++) {
        fprintf(stderr, "%s\n", (char *)g_ptr_array_index(findings, i));
    }
}

static double percent(int64_t part, int64_t whole)
{
    return part * 100.0 / whole;
}

static void print_repairs(const ImageCheck *check)
{
    if (check->corruptions_fixed || check->leaks_fixed) {
        printf("The following inconsistencies were found and repaired:\n\n"
               "    %" G_GINT64_FORMAT " leaked clusters\n"
               "    %" G_GINT64_FORMAT " corruptions\n\n"
               "Double checking the fixed image now...\n",
               check->leaks_fixed, check->corruptions_fixed);
    }
}

static void print_clusters(const ImageCheck *check)
{
    int64_t allocated = check->allocated_clusters;

    if (check->total_clusters != 0 && allocated != 0) {
        printf("%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT " = %.2f%% allocated, "
               "%.2f%% fragmented, %.2f%% compressed clusters\n",
               allocated, check->total_clusters,
               percent(allocated, check->total_clusters),
               percent(check->fragmented_clusters, allocated),
               percent(check->compressed_clusters, allocated));
    }
}

static void print_check(const ImageCheck *check)
{
    if (!check->corruptions && !check->leaks && !check->check_errors) {
        puts("No errors were found on the image.");
    }
    if (check->corruptions) {
        printf(
            "\n%" G_GINT64_FORMAT " errors were found on the image.\n"
            "Data may be corrupted, or further writes to the image may corrupt it.\n",
            check->corruptions);
    }
    if (check->leaks) {
        printf("\n%" G_GINT64_FORMAT " leaked clusters were found on the image.\n"
               "This means waste of disk space, but no harm to data.\n",
               check->leaks);
    }
    if (check->check_errors) {
        printf("\n%" G_GINT64_FORMAT
               " internal errors have occurred during the check.\n",
               check->check_errors);
    }
    print_clusters(check);
    if (check->image_end_offset) {
        printf("Image end offset: %" G_GINT64_FORMAT "\n", check->image_end_offset);
    }
}

static int check_status(const ImageCheck *check)
{
    return check->check_errors  ? CHECK_FAILED
           : check->corruptions ? CHECK_CORRUPT
           : check->leaks       ? CHECK_LEAKS
                                : CHECK_OK;
}

static int coroutine_fn co_check(void *opaque)
{
    const Check *o = opaque;
    GError *error = NULL;
    int flags = BDRV_O_CHECK | BDRV_O_NO_BACKING | (o->fix ? BDRV_O_RDWR : 0);
    g_autoptr(BlockDriverState) bs = image_co_open(o->name, &o->image, flags);
    g_autoptr(ImageCheck) check = bs ? bdrv_co_check(bs, o->fix, &error) : NULL;

    if (!bs) {
        return CHECK_FAILED;
    }
    print_findings(bs);
    if (!check) {
        bool unsupported = g_error_matches(error, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED);
        report_gerror(error);
        return unsupported ? CHECK_UNSUPPORTED : CHECK_FAILED;
    }
    if (check->corruptions_fixed + check->leaks_fixed && bdrv_co_finish(bs, &error) < 0) {
        report_gerror(error);
        return CHECK_FAILED;
    }
    if (o->json) {
        report_json(&qapi_type_image_check, check);
    } else if (!o->quiet) {
        print_repairs(check);
        print_check(check);
    }
    return check_status(check);
}

static bool parse_repair(const char *text, unsigned *fix)
{
    if (!text) {
        return true;
    }
    if (strcmp(text, "leaks") == 0) {
        *fix = BDRV_CHECK_FIX_LEAKS;
    } else if (strcmp(text, "all") == 0) {
        *fix = BDRV_CHECK_FIX_LEAKS | BDRV_CHECK_FIX_ERRORS;
    } else {
        report_error("-r: '%s' is neither leaks nor all", text);
    }
    return *fix != 0;
}

int img_check(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *output = NULL, *repair = NULL;
    Check o = {0};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        IMAGE_CACHE_OPTION_ENTRY(&image),
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &o.quiet, "Print errors only", NULL},
        {"repair", 'r', 0, G_OPTION_ARG_STRING, &repair, "Repair: leaks, or all", "WHAT"},
        OUTPUT_OPTION_ENTRY(&output),
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Checks an image. Exits with 0 if it is in order, 2 if it is "
                   "corrupt, 3 if\n"
                   "it only takes more space than it uses, 63 if its format has no "
                   "checks, and 1\n"
                   "if it could not be checked.",
        .parameters = "FILENAME",
        .entries = entries,
        .min_names = 1,
        .max_names = 1,
        .names_expected = "Expecting one image file name",
        .misuse_status = CHECK_FAILED,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    if (!options_output_format(output, &o.json) || !image_options_check(&image)) {
        return CHECK_FAILED;
    }
    if (!parse_repair(repair, &o.fix)) {
        return CHECK_FAILED;
    }
    if (o.fix && image.force_share) {
        report_error("-U: an image that is repaired cannot be shared");
        return CHECK_FAILED;
    }
    o.name = names[0];
    o.image = image;
    return image_run(co_check, &o, CHECK_FAILED);
}
