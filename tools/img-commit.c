/* embr-img commit */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/convert.h"
#include "commands.h"
#include "image.h"
#include "options.h"
#include "qapi/qapi.h"
#include "report.h"

enum { SPARSE_BYTES = 4096 };

typedef struct Commit {
    const char *name;
    ImageOptions image;
    const char *base; /* NULL: the backing image */
    CacheMode cache;
    RateLimit rate;
    bool drop; /* the image stays as it is */
    bool progress;
    bool quiet;
} Commit;

/* Whether name is that of bs, the backing image of above. */
static bool is_called(const BlockDriverState *bs, const BlockDriverState *above,
                      const char *name)
{
    g_autofree char *full = bdrv_full_backing_filename(above);
    BlockIdentity identity, own = bdrv_identity(bs);

    return strcmp(bdrv_filename(bs), name) == 0 || g_strcmp0(full, name) == 0 ||
           (bdrv_path_identity(name, &identity) && identity.device == own.device &&
            identity.inode == own.inode);
}

/* How many layers below bs the base is; 0: reported. */
static unsigned find_depth(const Commit *o, BlockDriverState *bs)
{
    BlockDriverState *above = bs;
    unsigned depth = 1;

    if (!bdrv_backing(bs)) {
        report_error("Image does not have a backing file");
        return 0;
    }
    while (o->base && !is_called(bdrv_backing(above), above, o->base)) {
        above = bdrv_backing(above);
        depth++;
        if (!bdrv_backing(above) || depth > BDRV_O_DEPTH_MAX) {
            report_error("Did not find '%s' in the backing chain of '%s'", o->base, o->name);
            return 0;
        }
    }
    return depth;
}

/* The image, and below it the base, open for writing: that is known where it is only after
 * the chain was opened once.  NULL: reported. */
static BlockDriverState *coroutine_fn co_open_chain(const Commit *o, unsigned *depth)
{
    g_autoptr(BlockDriverState) found = image_co_open(o->name, &o->image, 0);
    int flags = BDRV_O_RDWR | BDRV_O_UNMAP | image_cache_flags(&o->cache);

    *depth = found ? find_depth(o, found) : 0;
    g_clear_pointer(&found, bdrv_unref);
    return *depth ? image_co_open(o->name, &o->image, flags | BDRV_O_RDWR_BELOW(*depth)) : NULL;
}

static BlockDriverState *layer_below(BlockDriverState *bs, unsigned depth)
{
    while (depth--) {
        bs = bdrv_backing(bs);
    }
    return bs;
}

/* What the layers above base store, into base. False: reported. */
static bool coroutine_fn co_copy(Commit *o, BlockDriverState *bs, BlockDriverState *base)
{
    int64_t base_length = bdrv_length(base);
    GError *error = NULL;

    if (base_length < bdrv_length(bs) &&
        bdrv_co_truncate(base, bdrv_length(bs), PREALLOC_MODE_OFF, &error) < 0) {
        report_gerror(error);
        return false;
    }
    ConvertOptions options = {
        .coroutines = CONVERT_DEFAULT_COROUTINES,
        .sparse_bytes = SPARSE_BYTES,
        .over_backing = true,
        .below = base,
        .backing_end = base_length,
        .rate = o->rate.bytes_per_second ? &o->rate : NULL,
    };
    g_autoptr(BlockBackend) src = blk_new(bs);
    g_autoptr(BlockBackend) target = blk_new(base);
    g_autoptr(Progress) progress = image_progress_new(o->progress);
    if (o->cache.writethrough) {
        blk_set_writethrough(target);
    }
    if (!convert_co_copy(src, target, &options, progress, &error)) {
        report_gerror(error);
        return false;
    }
    return image_co_finish(base);
}

static int coroutine_fn co_commit(void *opaque)
{
    Commit *o = opaque;
    unsigned depth = 0;
    g_autoptr(BlockDriverState) bs = co_open_chain(o, &depth);
    GError *error = NULL;

    if (!bs || !co_copy(o, bs, layer_below(bs, depth))) {
        return EXIT_FAILURE;
    }
    if (!o->drop && bdrv_co_make_empty(bs, &error) < 0) {
        g_prefix_error(&error, "Could not empty %s: ", o->name);
        report_gerror(error);
        return EXIT_FAILURE;
    }
    if (!image_co_finish(bs)) {
        return EXIT_FAILURE;
    }
    if (!o->quiet) {
        puts("Image committed.");
    }
    return EXIT_SUCCESS;
}

int img_commit(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *base = NULL, *cache = NULL, *rate_text = NULL;
    gboolean drop = FALSE, progress = FALSE, quiet = FALSE;
    const GOptionEntry entries[] = {
        IMAGE_FORMAT_OPTION_ENTRIES(&image),
        {"base", 'b', 0, G_OPTION_ARG_FILENAME, &base,
         "Into this image of the chain; by default the backing image", "FILE"},
        {"drop", 'd', 0, G_OPTION_ARG_NONE, &drop,
         "The image is not made empty afterwards", NULL},
        {"target-cache", 't', 0, G_OPTION_ARG_STRING, &cache,
         "Cache mode of what is written; by default writeback", "MODE"},
        {"rate-limit", 'r', 0, G_OPTION_ARG_STRING, &rate_text,
         "Bytes per second that are copied at most", "RATE"},
        {"progress", 'p', 0, G_OPTION_ARG_NONE, &progress, "Show progress", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "Print errors only", NULL},
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Puts what an image stores into its backing image, which then reads as it\n"
                   "does, and makes it empty.",
        .parameters = "FILENAME",
        .entries = entries,
        .min_names = 1,
        .max_names = 1,
        .names_expected = "Expecting one image file name",
        .misuse_status = EXIT_FAILURE,
    };
    Commit o = {0};
    uint64_t rate = 0;
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    if (rate_text && !qapi_parse_size(rate_text, &rate)) {
        options_invalid_size("rate limit");
        return EXIT_FAILURE;
    }
    if (!image_options_check(&image) ||
        !image_parse_cache(cache ? cache : "writeback", 't', &o.cache)) {
        return EXIT_FAILURE;
    }
    rate_limit_init(&o.rate, rate);
    o.name = names[0];
    o.image = image;
    o.base = base;
    /* What is between the two is no longer right then: the image has to go on hiding it. */
    o.drop = drop || base;
    o.progress = progress && !quiet;
    o.quiet = quiet;
    return image_run(co_commit, &o, EXIT_FAILURE);
}
