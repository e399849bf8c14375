/* embr-img convert */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/block-int.h"
#include "block/concat.h"
#include "block/convert.h"
#include "block/filename.h"
#include "commands.h"
#include "convert-bitmaps.h"
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
    char **sources;            /* the disk is that of all, one behind the other */
    const char *target;
    ImageOptions image;        /* of the sources */
    ImageOptions target_image; /* of a target that is there already */
    const char *snapshot;
    const char *create_options; /* the -o options, joined; NULL if none */
    CacheMode cache;            /* of the target */
    ConvertOptions copy;
    RateLimit rate;
    GPtrArray *disks; /* of the sources, or, with --salvage, the filters over them */
    bool no_create;
    bool progress;
    bool salvage;
    bool bitmaps;
    bool skip_broken_bitmaps;
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
    if (o->bitmaps && !convert_co_copy_bitmaps(g_ptr_array_index(o->disks, 0), blk_bs(target))) {
        return false;
    }
    return image_co_finish(blk_bs(target));
}

/* What is known of the target before anything is written to it.  False: reported. */
static bool look_at_target(ConvertCommand *o, BlockDriverState *bs)
{
    if (o->copy.target_is_zero && bdrv_backing(bs)) {
        report_error("Cannot use --target-is-zero when the destination image has a backing file");
        return false;
    }
    o->copy.target_is_zero =
        o->copy.target_is_zero || (!o->no_create && bdrv_has_zero_init(bs));
    o->copy.below = o->copy.over_backing ? bdrv_backing(g_ptr_array_index(o->disks, 0)) : NULL;
    o->copy.backing_end = !o->no_create && bdrv_backing(bs) ? bdrv_length(bdrv_backing(bs))
                                                            : G_MAXINT64;
    return true;
}

/* Block by block, into a target that takes what it is given. */
static int coroutine_fn co_convert_push(ConvertCommand *o, BlockBackend *src,
                                        Progress *progress)
{
    int flags = image_cache_flags(&o->cache) | BDRV_O_UNMAP;
    g_autoptr(BlockDriverState) bs =
        o->no_create ? target_co_open(o->target, &o->target_image, flags, o->disks)
                     : target_co_create(o->target, o->target_image.format,
                                        blk_length(src), o->create_options, flags);
    g_autoptr(BlockBackend) target = bs ? blk_new(bs) : NULL;

    if (!target) {
        return EXIT_FAILURE;
    }
    if (o->cache.writethrough) {
        blk_set_writethrough(target);
    }
    bool ok = look_at_target(o, bs) && co_copy(o, src, target, progress);
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

static void report_salvage(const ConvertCommand *o)
{
    for (guint i = 0; i < o->disks->len; i++) {
        uint64_t lost = bdrv_salvage_foreach(g_ptr_array_index(o->disks, i),
                                             o->quiet ? ignore_lost : report_lost, NULL);
        if (lost && !o->quiet) {
            report_warning("%" G_GUINT64_FORMAT " bytes of '%s' in all are lost", lost,
                           o->sources[i]);
        }
    }
}

/* NULL: reported, or a new target would overwrite it. */
static BlockDriverState *coroutine_fn co_open_source(const ConvertCommand *o,
                                                     const char *name)
{
    g_autoptr(BlockBackend) disk = image_co_open_disk(name, &o->image, o->snapshot);

    if (!disk || (!o->no_create && !target_is_no_source(o->target, blk_bs(disk)))) {
        return NULL;
    }
    /* What becomes of the source is what can be read of it. */
    return o->salvage ? bdrv_new_salvage(blk_bs(disk)) : bdrv_ref(blk_bs(disk));
}

/* The sources as one disk. NULL: reported. */
static BlockBackend *coroutine_fn co_open_sources(ConvertCommand *o)
{
    GError *error = NULL;

    for (char **name = o->sources; *name; name++) {
        BlockDriverState *bs = co_open_source(o, *name);
        if (!bs) {
            return NULL;
        }
        g_ptr_array_add(o->disks, bs);
    }
    if (o->disks->len == 1) {
        return blk_new(g_ptr_array_index(o->disks, 0));
    }
    g_autoptr(BlockDriverState) all = bdrv_new_concat(o->disks, &error);
    if (!all) {
        report_gerror(error);
    }
    return all ? blk_new(all) : NULL;
}

/* False, and reported, if a new target would overwrite what is to be its backing file. */
static bool check_backing(const ConvertCommand *o)
{
    g_autofree char *backing = options_keyval_get(o->create_options, "backing-file");
    g_autofree char *name = backing ? filename_resolve(o->target, backing) : NULL;
    BlockIdentity a, b;

    if (!name || o->no_create || !bdrv_path_identity(name, &a) ||
        !bdrv_path_identity(o->target, &b) || a.device != b.device || a.inode != b.inode) {
        return true;
    }
    report_error("The target '%s' is its own backing file: it would be overwritten", o->target);
    return false;
}

static int coroutine_fn co_convert(void *opaque)
{
    ConvertCommand *o = opaque;
    const char *format = o->target_image.format;
    const BlockDriver *drv = format ? bdrv_find_driver(format) : NULL;
    g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func((GDestroyNotify)bdrv_unref);
    o->disks = disks;
    g_autoptr(BlockBackend) src = co_open_sources(o);
    g_autoptr(Progress) progress = image_progress_new(o->progress);

    if (!src || !check_backing(o) ||
        (o->bitmaps && !convert_co_check_bitmaps(g_ptr_array_index(disks, 0), format,
                                                 o->skip_broken_bitmaps))) {
        return EXIT_FAILURE;
    }
    int status = drv && drv->bdrv_co_ingest ? co_convert_ingest(o, drv, src, progress)
                                            : co_convert_push(o, src, progress);
    if (o->salvage) {
        report_salvage(o);
    }
    return status;
}

static bool parse_sparse(const char *text, int64_t *bytes)
{
    uint64_t value = SPARSE_BYTES_DEFAULT;

    if (text && !qapi_parse_size(text, &value)) {
        options_invalid_size("buffer size for sparse output");
        return false;
    }
    if (value % SECTOR_BYTES || value > SPARSE_BYTES_MAX) {
        report_error("Invalid buffer size for sparse output specified. Valid sizes are "
                     "multiples of %d up to %d. Select 0 to disable sparse detection (fully "
                     "allocates output).",
                     SECTOR_BYTES, SPARSE_BYTES_MAX);
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
        report_error("Invalid number of coroutines. Allowed number of coroutines is between 1 "
                     "and %d",
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
    char *rate;
    char **create_options;
    char *backing;
    char *backing_format;
    gboolean compressed;
    gboolean target_is_zero;
    gboolean no_create;
    gboolean salvage;
    gboolean bitmaps;
    gboolean skip_broken_bitmaps;
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
    g_free(a->rate);
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
        report_error("Compression not supported for this file format");
        return false;
    }
    return true;
}

static bool check_target(Arguments *a)
{
    ImageOptions *target = &a->target_image;

    if (!a->no_create && (target->image_opts || a->target_is_zero)) {
        report_error("%s requires use of -n flag",
                     a->target_is_zero ? "--target-is-zero" : "--target-image-opts");
        return false;
    }
    if (a->no_create && a->create_options) {
        report_error("-o has no effect when skipping image creation");
        return false;
    }
    if (a->append && target->image_opts) {
        report_error("--append and --target-image-opts are mutually exclusive");
        return false;
    }
    if (target->image_opts && target->format) {
        report_error("--image-opts and --format are mutually exclusive");
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

/* What the options of a new image say, those of -B and -F included.  False: reported. */
static bool check_create_options(const Arguments *a, char **sources, const char *options,
                                 ConvertOptions *copy)
{
    g_autofree char *backing = options_keyval_get(options, "backing-file");
    g_autofree char *backing_format = options_keyval_get(options, "backing-fmt");
    g_autofree char *preallocation = options_keyval_get(options, "preallocation");
    const char *format = a->target_image.format;
    const BlockDriver *drv = format ? bdrv_find_driver(format) : NULL;

    copy->over_backing = backing != NULL;
    if (backing && sources[1]) {
        report_error("Having a backing file for the target makes no sense when concatenating "
                     "multiple input images");
        return false;
    }
    if (backing && drv && !drv->has_backing) {
        report_error("Backing file not supported for file format '%s'", format);
        return false;
    }
    if (backing && !backing_format && !a->no_create) {
        report_error("Use of backing file requires explicit backing format");
        return false;
    }
    if (a->compressed && preallocation && strcmp(preallocation, "off") != 0) {
        report_error("Compression and preallocation not supported at the same time");
        return false;
    }
    if (a->snapshot && sources[1]) {
        report_error("No support for concatenating multiple snapshot");
        return false;
    }
    return true;
}

static bool check_bitmaps(const Arguments *a, char *const *sources)
{
    if (a->skip_broken_bitmaps && !a->bitmaps) {
        report_error("Use of --skip-broken-bitmaps requires --bitmaps");
        return false;
    }
    if (a->bitmaps && sources[1]) {
        report_error("Copying bitmaps only possible with single source");
        return false;
    }
    return true;
}

/* What the arguments ask for.  False: reported. */
static bool to_command(Arguments *a, ConvertCommand *o)
{
    uint64_t rate = 0;

    if (!check_bitmaps(a, o->sources) || !image_options_check(&a->image) || !check_target(a) ||
        !check_create_options(a, o->sources, o->create_options, &o->copy) ||
        !image_parse_cache(a->cache ? a->cache : "unsafe", 't', &o->cache) ||
        !parse_sparse(a->sparse, &o->copy.sparse_bytes) ||
        !parse_coroutines(a->coroutines, &o->copy.coroutines)) {
        return false;
    }
    if (a->rate && !qapi_parse_size(a->rate, &rate)) {
        options_invalid_size("rate limit");
        return false;
    }
    rate_limit_init(&o->rate, rate);
    o->copy.rate = rate ? &o->rate : NULL;
    o->image = a->image;
    o->target_image = a->target_image;
    o->snapshot = a->snapshot;
    o->copy.target_is_zero = a->target_is_zero;
    o->copy.compressed = a->compressed;
    o->no_create = a->no_create;
    o->progress = a->progress && !a->quiet;
    o->salvage = a->salvage;
    o->bitmaps = a->bitmaps;
    o->skip_broken_bitmaps = a->skip_broken_bitmaps;
    o->quiet = a->quiet;
    return true;
}

/* The -o options and those that have a name of their own; NULL if there are none. */
static char *create_options(const Arguments *a)
{
    char *options = a->create_options ? g_strjoinv(",", a->create_options) : NULL;

    if (a->backing) {
        options_keyval_add(&options, "backing_file", a->backing);
    }
    if (a->backing_format) {
        options_keyval_add(&options, "backing_fmt", a->backing_format);
    }
    if (a->append) {
        options_keyval_add(&options, "append", "on");
    }
    return options;
}

static int run(Arguments *a, char **names)
{
    guint last = g_strv_length(names) - 1;
    g_autofree char *target = g_steal_pointer(&names[last]);
    g_autofree char *options = create_options(a);
    ConvertCommand o = {.sources = names, .target = target, .create_options = options};

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
        {"bitmaps", 0, 0, G_OPTION_ARG_NONE, &a.bitmaps,
         "Copy the persistent bitmaps, too", NULL},
        {"skip-broken-bitmaps", 0, 0, G_OPTION_ARG_NONE, &a.skip_broken_bitmaps,
         "But for those that are inconsistent", NULL},
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
        {"backing", 'B', 0, G_OPTION_ARG_FILENAME, &a.backing,
         "The target is an overlay of this image", "FILE"},
        {"backing-format", 'F', 0, G_OPTION_ARG_STRING, &a.backing_format,
         "Format of that image", "FMT"},
        {"rate-limit", 'r', 0, G_OPTION_ARG_STRING, &a.rate,
         "Bytes per second that are copied at most", "RATE"},
        {"progress", 'p', 0, G_OPTION_ARG_NONE, &a.progress, "Show progress", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &a.quiet, "Print errors only", NULL},
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Converts the disk in an image, or those in several ones, one behind the other,\n"
                   "into an image of another format.",
        .parameters = "FILENAME [FILENAME2...] OUTPUT_FILENAME",
        .entries = entries,
        .min_names = 2,
        .max_names = G_MAXUINT,
        .names_expected = "Must specify image file name",
        .misuse_status = EXIT_FAILURE,
    };
    int status;

    return options_parse(&syntax, argc, argv, &names, &status) ? run(&a, names)
                                                               : status;
}
