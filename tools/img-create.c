/* embr-img create */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/block-int.h"
#include "block/filename.h"
#include "commands.h"
#include "image.h"
#include "options.h"
#include "qapi/qapi-visit.h"
#include "report.h"

enum { SECTOR_BYTES = 512 };

typedef struct Create {
    const char *filename;
    const char *format;
    char *options; /* as of -o, joined, with what -b and -F say; NULL: none */
    char *backing;
    char *backing_format;
    int64_t size; /* -1: that of the backing image */
    bool unsafe;
    bool quiet;
} Create;

static BlockDriverState *coroutine_fn co_open_backing(const Create *o)
{
    GError *error = NULL;
    g_autofree char *name = filename_resolve(o->filename, o->backing);
    BlockDriverState *bs = bdrv_co_open_image(name, o->backing_format, BDRV_O_NO_IO, &error);

    if (!bs) {
        g_prefix_error(&error, "%s: ", o->filename);
        report_gerror(error);
        fputs("Could not open backing image.\n", stderr);
    }
    return bs;
}

/* What is known of the backing image before the image is made. */
static bool coroutine_fn co_look_at_backing(Create *o)
{
    if (!o->backing || (o->unsafe && o->size >= 0)) {
        return true;
    }
    if (o->unsafe) {
        report_error("%s: Image creation needs a size parameter", o->filename);
        return false;
    }
    g_autoptr(BlockDriverState) bs = co_open_backing(o);
    if (!bs) {
        return false;
    }
    if (!o->backing_format) {
        report_error("%s: Backing file specified without backing format", o->filename);
        fprintf(stderr, "Detected format of %s.\n", bdrv_format_name(bs));
        return false;
    }
    o->size = o->size < 0 ? bdrv_length(bs) : o->size;
    return true;
}

static void print_option(const char *key, const char *value, const char *otherwise)
{
    if (value || otherwise) {
        printf(" %s=%s", key, value ? value : otherwise);
    }
}

static void print_bool(const char *key, const char *value, const char *otherwise)
{
    const char *shown = value && (strcmp(value, "true") == 0 || strcmp(value, "yes") == 0)
                            ? "on"
                        : value && (strcmp(value, "false") == 0 || strcmp(value, "no") == 0)
                            ? "off"
                            : value;
    print_option(key, shown, otherwise);
}

static void print_number(const char *key, const char *value, const char *otherwise)
{
    uint64_t number;

    if (value && qapi_parse_size(value, &number)) {
        printf(" %s=%" PRIu64, key, number);
    } else {
        print_option(key, value, otherwise);
    }
}

/* The line that qemu-img prints. */
static void print_formatting(const Create *o)
{
    bool qcow2 = strcmp(o->format, "qcow2") == 0;
    static const struct {
        const char *key;
        const char *otherwise; /* for qcow2 */
        void (*print)(const char *key, const char *value, const char *otherwise);
    } lines[] = {
        {"cluster-size", "65536", print_number},
        {"extended-l2", "off", print_bool},
        {"preallocation", NULL, print_option},
        {"compression-type", "zlib", print_option},
        {"size", NULL, NULL},
        {"compat", NULL, print_option},
        {"backing-file", NULL, print_option},
        {"backing-fmt", NULL, print_option},
        {"data-file", NULL, print_option},
        {"data-file-raw", NULL, print_bool},
        {"lazy-refcounts", "off", print_bool},
        {"refcount-bits", "16", print_number},
    };

    printf("Formatting '%s', fmt=%s", o->filename, o->format);
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *shown = g_strdelimit(g_strdup(lines[i].key), "-", '_');
        g_autofree char *value = options_keyval_get(o->options, lines[i].key);
        if (!lines[i].print) {
            printf(" size=%" G_GINT64_FORMAT, o->size);
        } else {
            lines[i].print(shown, value, qcow2 ? lines[i].otherwise : NULL);
        }
    }
    putchar('\n');
}

static int coroutine_fn co_create(void *opaque)
{
    Create *o = opaque;
    GError *error = NULL;

    if (!co_look_at_backing(o)) {
        return EXIT_FAILURE;
    }
    if (o->size < 0) {
        report_error("%s: Image creation needs a size parameter", o->filename);
        return EXIT_FAILURE;
    }
    if (!o->quiet) {
        print_formatting(o);
        fflush(stdout);
    }
    const BlockDriver *drv = bdrv_find_driver(o->format);
    /* Disks are made of whole sectors. */
    int64_t size = round_up_pow2(MIN(o->size, G_MAXINT64 - SECTOR_BYTES), SECTOR_BYTES);
    if (drv->bdrv_co_create(o->filename, size, o->options, &error) < 0) {
        report_gerror(error);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static bool check_format(const Create *o)
{
    const BlockDriver *drv = bdrv_find_driver(o->format);

    if (!drv || (drv->is_protocol && !drv->bdrv_co_create)) {
        report_error("%s: Unknown file format '%s'", o->filename, o->format);
        return false;
    }
    if (!drv->bdrv_co_create) {
        report_error("%s: Format driver '%s' does not support image creation", o->filename,
                     o->format);
        return false;
    }
    if ((o->backing || o->backing_format) && !drv->has_backing) {
        report_error("%s: Backing file not supported for file format '%s'", o->filename,
                     o->format);
        return false;
    }
    return true;
}

static bool take_size(Create *o, const char *text)
{
    g_autofree char *option = options_keyval_get(o->options, "size");

    if (text && option) {
        report_error("%s: The image size must be specified only once", o->filename);
        return false;
    }
    text = text ? text : option;
    o->size = -1;
    if (!text) {
        return true;
    }
    return options_image_size(text, &o->size);
}

/* -b and -F are options of -o, too. */
static bool take_backing(Create *o, const char *backing, const char *backing_format)
{
    if (backing) {
        options_keyval_add(&o->options, "backing_file", backing);
    }
    if (backing_format) {
        options_keyval_add(&o->options, "backing_fmt", backing_format);
    }
    o->backing = options_keyval_get(o->options, "backing-file");
    o->backing_format = options_keyval_get(o->options, "backing-fmt");
    if (o->backing && !*o->backing) {
        report_error("%s: Expected backing file name, got empty string", o->filename);
        return false;
    }
    return check_format(o);
}

static bool check_options(const Create *o)
{
    GError *error = NULL;
    g_autoptr(JsonNode) node = qapi_keyval_parse(o->options ? o->options : "", NULL, &error);

    if (!node) {
        g_prefix_error(&error, "-o: ");
        report_gerror(error);
        return false;
    }
    return true;
}

static int run(Create *o, char **names, const char *backing, const char *backing_format)
{
    o->filename = names[0];
    if (!check_options(o) || !take_backing(o, backing, backing_format) ||
        !take_size(o, names[1])) {
        return EXIT_FAILURE;
    }
    return image_run(co_create, o, EXIT_FAILURE);
}

int img_create(int argc, char **argv)
{
    g_auto(GStrv) names = NULL, options = NULL;
    g_autofree char *format = NULL, *backing = NULL, *backing_format = NULL;
    gboolean quiet = FALSE, unsafe = FALSE;
    const GOptionEntry entries[] = {
        {"format", 'f', 0, G_OPTION_ARG_STRING, &format, "Format of the image; by default raw",
         "FMT"},
        {"options", 'o', 0, G_OPTION_ARG_FILENAME_ARRAY, &options,
         "Options of the format: NAME=VALUE,...", "OPTIONS"},
        {"backing", 'b', 0, G_OPTION_ARG_FILENAME, &backing,
         "The image is an overlay of this one", "FILE"},
        {"backing-format", 'F', 0, G_OPTION_ARG_STRING, &backing_format,
         "Format of the backing image", "FMT"},
        {"backing-unsafe", 'u', 0, G_OPTION_ARG_NONE, &unsafe,
         "The backing image is not looked at", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "Print errors only", NULL},
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Makes an empty image. SIZE is that of its disk; without it an overlay is\n"
                   "as large as its backing image.",
        .parameters = "FILENAME [SIZE]",
        .entries = entries,
        .min_names = 1,
        .max_names = 2,
        .names_expected = "Expecting image file name",
        .misuse_status = EXIT_FAILURE,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    Create o = {.format = format ? format : "raw", .quiet = quiet, .unsafe = unsafe};
    o.options = options ? g_strjoinv(",", options) : NULL;
    status = run(&o, names, backing, backing_format);
    g_free(o.options);
    g_free(o.backing);
    g_free(o.backing_format);
    return status;
}
