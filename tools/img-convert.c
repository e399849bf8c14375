/* embr-img convert */
#include <errno.h>
#include <stdlib.h>

#include "block/block-int.h"
#include "block/convert.h"
#include "commands.h"
#include "convert-target.h"
#include "options.h"
#include "report.h"
#include "util/unfinished.h"

enum {
    SECTOR_BYTES = 512,
    SPARSE_BYTES_DEFAULT = 4096,
    SPARSE_BYTES_MAX = 16 << 20,
};

typedef struct ConvertCommand {
    const char *source;
    const char *target;
    ImageOptions image;        /* of the source */
    ImageOptions target_image; /* of a target that is there already */
    const char *snapshot;
    const char *create_options; /* the -o options, joined; NULL if none */
    CacheMode cache;            /* of the target */
    ConvertOptions copy;
    bool no_create;
    bool progress;
    bool salvage;
    bool quiet;
} ConvertCommand;

static bool coroutine_fn co_copy(const ConvertCommand *o, BlockBackend *src,
                                 BlockBackend *target, Progress *progress)
{
    GError *error = NULL;

    if (!convert_co_copy(src, target, &o->copy, progress, &error)) {
        report_gerror(error);
        return false;
    }
    int ret = o->cache.flush ? blk_co_flush(target) : 0;
    if (ret < 0) {
        error = bdrv_take_error(blk_bs(target));
        if (!error) {
            error_set_errno(&error, -ret, "%s: cannot flush", blk_name(target));
        }
        report_gerror(error);
        return false;
    }
    if (bdrv_co_finish(blk_bs(target), &error) < 0) {
        report_gerror(error);
        return false;
    }
    return true;
}

/* Block by block, into a target that takes what it is given. */
static int coroutine_fn co_convert_push(ConvertCommand *o, BlockBackend *src,
                                        Progress *progress)
{
    int flags = image_cache_flags(&o->cache) | BDRV_O_UNMAP;
    g_autoptr(BlockDriverState) bs =
        o->no_create ? target_co_open(o->target, &o->target_image, flags, blk_bs(src))
                     : target_co_create(o->target, o->target_image.format,
                                        blk_length(src), o->create_options, flags);
    g_autoptr(BlockBackend) target = bs ? blk_new(bs) : NULL;

    if (!target) {
        return EXIT_FAILURE;
    }
    o->copy.target_is_zero =
        o->copy.target_is_zero || (!o->no_create && bdrv_has_zero_init(bs));
    bool ok = co_copy(o, src, target, progress);
    target_done(ok);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Into a target that takes what it wants of the whole source. */
static int coroutine_fn co_convert_ingest(const ConvertCommand *o,
                                          const BlockDriver *drv, BlockBackend *src,
                                          Progress *progress)
{
    GError *error = NULL;

    unfinished_handle_signals();
    if (drv->bdrv_co_ingest(o->target, blk_bs(src), o->create_options, progress,
                            &error) < 0) {
        report_gerror(error);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

static void report_lost(const SalvageRange *range, void *opaque)
{
    report_warning("%" G_GUINT64_FORMAT " bytes at offset 0x%" G_GINT64_MODIFIER
                   "x are lost and read as zeroes: %s",
                   range->bytes, range->offset, range->why);
}

static void ignore_lost(const SalvageRange *range, void *opaque)
{
}

/* What becomes of the source is what can be read of it. */
static BlockBackend *add_salvage(BlockBackend *src)
{
    g_autoptr(BlockDriverState) filter = bdrv_new_salvage(blk_bs(src));
    BlockBackend *salvaged = blk_new(filter);

    blk_unref(src);
    return salvaged;
}

static void report_salvage(const ConvertCommand *o, BlockBackend *src)
{
    uint64_t lost = bdrv_salvage_foreach(blk_bs(src), o->quiet ? ignore_lost : report_lost,
                                         NULL);

    if (lost && !o->quiet) {
        report_warning("%" G_GUINT64_FORMAT " bytes of '%s' in all are lost", lost,
                       o->source);
    }
}

static int coroutine_fn co_convert(void *opaque)
{
    ConvertCommand *o = opaque;
    const char *format = o->target_image.format;
    const BlockDriver *drv = format ? bdrv_find_driver(format) : NULL;
    g_autoptr(BlockBackend) src = image_co_open_disk(o->source, &o->image, o->snapshot);
    g_autoptr(Progress) progress = image_progress_new(o->progress);

    if (!src || (!o->no_create && !target_is_no_source(o->target, blk_bs(src)))) {
        return EXIT_FAILURE;
    }
    src = o->salvage ? add_salvage(src) : src;
    int status = drv && drv->bdrv_co_ingest ? co_convert_ingest(o, drv, src, progress)
                                            : co_convert_push(o, src, progress);
    if (o->salvage) {
        report_salvage(o, src);
    }
    return status;
}

static bool parse_sparse(const char *text, int64_t *bytes)
{
    uint64_t value = SPARSE_BYTES_DEFAULT;

    if (text && (!qapi_parse_size(text, &value) || value % SECTOR_BYTES ||
                 value > SPARSE_BYTES_MAX)) {
        report_error("-S: '%s' is not a multiple of %d up to %d; 0 writes all zeroes",
                     text, SECTOR_BYTES, SPARSE_BYTES_MAX);
        return false;
    }
    *bytes = value;
    return true;
}

static bool parse_coroutines(const char *text, unsigned *coroutines)
{
    guint64 value = CONVERT_DEFAULT_COROUTINES;

    if (text && !g_ascii_string_to_unsigned(text, 10, 1, CONVERT_MAX_COROUTINES, &value,
                                            NULL)) {
        report_error("-m: '%s' is not a number of coroutines from 1 to %d", text,
                     CONVERT_MAX_COROUTINES);
        return false;
    }
    *coroutines = value;
    return true;
}

/* The command line, before it is looked at. */
typedef struct Arguments {
    ImageOptions image;
    ImageOptions target_image;
    char *snapshot;
    char *cache;
    char *sparse;
    char *coroutines;
    char **create_options;
    char *backing;
    char *backing_format;
    gboolean compressed;
    gboolean target_is_zero;
    gboolean no_create;
    gboolean salvage;
    gboolean append;
    gboolean out_of_order; /* as all targets are written anyway */
    gboolean progress;
    gboolean quiet;
} Arguments;

static void arguments_clear(Arguments *a)
{
    image_options_clear(&a->image);
    image_options_clear(&a->target_image);
    g_free(a->snapshot);
    g_free(a->cache);
    g_free(a->sparse);
    g_free(a->coroutines);
    g_strfreev(a->create_options);
    g_free(a->backing);
    g_free(a->backing_format);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Arguments, arguments_clear)

/* False, and reported, if images of that format cannot be made, or not in that way. */
static bool check_format(const Arguments *a, const char *format)
{
    const BlockDriver *drv = bdrv_find_driver(format);

    if (!drv || drv->is_protocol) {
        report_error("Unknown file format '%s'", format);
        return false;
    }
    if (a->append && !drv->bdrv_co_ingest) {
        report_error("--append: an image of format '%s' holds one disk", format);
        return false;
    }
    if (drv->bdrv_co_ingest) {
        if (a->no_create) {
            report_error(
                "-n: images of format '%s' are made anew, or added to one that is there "
                "(--append)",
                format);
        }
        return !a->no_create;
    }
    if (!drv->bdrv_co_pwritev) {
        report_error("Images of format '%s' can be read, but not written", format);
        return false;
    }
    if (a->compressed && !drv->bdrv_co_pwritev_compressed) {
        report_error("-c: Compression not supported for this file format");
        return false;
    }
    return true;
}

static bool check_target(Arguments *a)
{
    ImageOptions *target = &a->target_image;

    if (a->backing || a->backing_format) {
        report_error("-B: images with a backing file cannot be made");
        return false;
    }
    if (!a->no_create && (target->image_opts || a->target_is_zero)) {
        report_error("%s requires use of -n flag",
                     a->target_is_zero ? "--target-is-zero" : "--target-image-opts");
        return false;
    }
    if (a->no_create && a->create_options) {
        report_error("-n: the options of -o are for new images");
        return false;
    }
    if (a->append && target->image_opts) {
        report_error("--append and --target-image-opts are mutually exclusive");
        return false;
    }
    if (target->image_opts && target->format) {
        report_error("--target-image-opts and -O are mutually exclusive");
        return false;
    }
    if (target->image_opts) {
        return true;
    }
    if (!target->format) {
        target->format = g_strdup("raw");
    }
    return check_format(a, target->format);
}

/* What the arguments ask for.  False: reported. */
static bool to_command(Arguments *a, ConvertCommand *o)
{
    if (!image_options_check(&a->image) || !check_target(a) ||
        !image_parse_cache(a->cache ? a->cache : "unsafe", 't', &o->cache) ||
        !parse_sparse(a->sparse, &o->copy.sparse_bytes) ||
        !parse_coroutines(a->coroutines, &o->copy.coroutines)) {
        return false;
    }
    o->image = a->image;
    o->target_image = a->target_image;
    o->snapshot = a->snapshot;
    o->copy.target_is_zero = a->target_is_zero;
    o->copy.compressed = a->compressed;
    o->no_create = a->no_create;
    o->progress = a->progress && !a->quiet;
    o->salvage = a->salvage;
    o->quiet = a->quiet;
    return true;
}

/* The -o options and those that have a name of their own; NULL if there are none. */
static char *create_options(const Arguments *a)
{
    g_autofree char *given = a->create_options ? g_strjoinv(",", a->create_options) : NULL;

    if (!a->append) {
        return g_steal_pointer(&given);
    }
    return given ? g_strdup_printf("%s,append=on", given) : g_strdup("append=on");
}

static int run(Arguments *a, char **names)
{
    ConvertCommand o = {.source = names[0], .target = names[1]};
    g_autofree char *options = create_options(a);

    o.create_options = options;
    return to_command(a, &o) ? image_run(co_convert, &o, EXIT_FAILURE) : EXIT_FAILURE;
}

int img_convert(int argc, char **argv)
{
    g_auto(Arguments) a = {0};
    g_auto(GStrv) names = NULL;
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&a.image),
        IMAGE_FAT_OPTION_ENTRY(&a.image),
        IMAGE_CACHE_OPTION_ENTRY(&a.image),
        {"snapshot", 'l', 0, G_OPTION_ARG_FILENAME, &a.snapshot,
         "Convert the disk as it was in this snapshot", "ID_OR_NAME"},
        {"target-format", 'O', 0, G_OPTION_ARG_STRING, &a.target_image.format,
         "Format of the target; by default raw", "FMT"},
        {"options", 'o', 0, G_OPTION_ARG_FILENAME_ARRAY, &a.create_options,
         "Options of the target's format: NAME=VALUE,...", "OPTIONS"},
        {"target-cache", 't', 0, G_OPTION_ARG_STRING, &a.cache,
         "Cache mode of the target; by default unsafe", "MODE"},
        {"no-create", 'n', 0, G_OPTION_ARG_NONE, &a.no_create,
         "Write into a target that is there already", NULL},
        {"append", 0, 0, G_OPTION_ARG_NONE, &a.append,
         "Add the image to the engram that is there", NULL},
        {"salvage", 0, 0, G_OPTION_ARG_NONE, &a.salvage,
         "Zeroes take the place of what cannot be read", NULL},
        {"target-is-zero", 0, 0, G_OPTION_ARG_NONE, &a.target_is_zero,
         "That target reads as zeroes", NULL},
        {"target-image-opts", 0, 0, G_OPTION_ARG_NONE, &a.target_image.image_opts,
         "That target is named by a description, as with --image-opts", NULL},
        {"sparse", 'S', 0, G_OPTION_ARG_STRING, &a.sparse,
         "Runs of zeroes this long are not written; by default 4k", "BYTES"},
        {"coroutines", 'm', 0, G_OPTION_ARG_STRING, &a.coroutines,
         "Requests in flight, 1 to 16; by default 8", "N"},
        {"out-of-order", 'W', 0, G_OPTION_ARG_NONE, &a.out_of_order,
         "Write in any order (always done)", NULL},
        {"compress", 'c', 0, G_OPTION_ARG_NONE, &a.compressed,
         "The target's clusters are compressed (engrams are anyway)", NULL},
        {"backing", 'B', G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME, &a.backing, NULL,
         NULL},
        {"backing-format", 'F', G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_STRING,
         &a.backing_format, NULL, NULL},
        {"progress", 'p', 0, G_OPTION_ARG_NONE, &a.progress, "Show progress", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &a.quiet, "Print errors only", NULL},
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Converts the disk in an image into an image of another format.",
        .parameters = "FILENAME OUTPUT_FILENAME",
        .entries = entries,
        .min_names = 2,
        .max_names = 2,
        .names_expected = "Expecting the file names of one image and of the target",
        .misuse_status = EXIT_FAILURE,
    };
    int status;

    return options_parse(&syntax, argc, argv, &names, &status) ? run(&a, names)
                                                               : status;
}
