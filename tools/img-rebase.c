/* embr-img rebase */
#include <stdlib.h>

#include "block/block-int.h"
#include "block/filename.h"
#include "block/rebase.h"
#include "commands.h"
#include "image.h"
#include "options.h"
#include "report.h"

typedef struct Rebase {
    const char *name;
    ImageOptions image;
    ImageOptions backing_image; /* how the new backing image is opened */
    char *backing;              /* NULL or "": none */
    CacheMode cache;
    bool unsafe;
    bool progress;
} Rebase;

/* The new backing image, opened: NULL and true if there is to be none. False: reported. */
static bool coroutine_fn co_open_new(const Rebase *o, const BlockDriverState *bs,
                                     BlockDriverState **backing)
{
    g_autofree char *name =
        o->backing && *o->backing ? filename_resolve(bdrv_filename(bs), o->backing) : NULL;

    *backing = name ? image_co_open(name, &o->backing_image, 0) : NULL;
    return !name || *backing;
}

/* The overlay stores what the new backing image does not give it. */
static bool coroutine_fn co_copy(const Rebase *o, BlockDriverState *bs)
{
    g_autoptr(BlockDriverState) backing = NULL;
    g_autoptr(Progress) progress = image_progress_new(o->progress);
    GError *error = NULL;

    if (!co_open_new(o, bs, &backing)) {
        return false;
    }
    if (!rebase_co_copy(bs, backing, progress, &error)) {
        report_gerror(error);
        return false;
    }
    int ret = bdrv_co_flush(bs);
    if (ret < 0) {
        error = bdrv_take_error(bs);
        if (!error) {
            error_set_errno(&error, -ret, "%s: cannot flush", bdrv_filename(bs));
        }
        report_gerror(error);
    }
    return ret >= 0;
}

/* Whether its backing file can be that one at all. */
static bool check_overlay(const Rebase *o, const BlockDriverState *bs)
{
    const char *name = o->backing ? o->backing : "";
    BlockIdentity backing, own = bdrv_identity(bs);

    if (!bs->drv->bdrv_co_change_backing) {
        report_error("Could not change the backing file to '%s': Operation not supported", name);
        return false;
    }
    if (*name && !o->backing_image.format) {
        report_error("Could not change the backing file to '%s': backing format must be "
                     "specified",
                     name);
        return false;
    }
    g_autofree char *full = filename_resolve(bdrv_filename(bs), name);
    if (*name && bdrv_path_identity(full, &backing) && backing.device == own.device &&
        backing.inode == own.inode) {
        report_error("Could not change the backing file to '%s': it is the image itself", name);
        return false;
    }
    return true;
}

static int coroutine_fn co_rebase(void *opaque)
{
    const Rebase *o = opaque;
    int flags = BDRV_O_RDWR | BDRV_O_UNMAP | image_cache_flags(&o->cache) |
                (o->unsafe ? BDRV_O_NO_BACKING : 0);
    g_autoptr(BlockDriverState) bs = image_co_open(o->name, &o->image, flags);
    GError *error = NULL;

    if (!bs || !check_overlay(o, bs) || (!o->unsafe && !co_copy(o, bs))) {
        return EXIT_FAILURE;
    }
    if (bdrv_co_change_backing(bs, o->backing && *o->backing ? o->backing : NULL,
                               o->backing && *o->backing ? o->backing_image.format : NULL,
                               &error) < 0) {
        report_gerror(error);
        return EXIT_FAILURE;
    }
    return image_co_finish(bs) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static bool check_format(const char *format)
{
    const BlockDriver *drv = format ? bdrv_find_driver(format) : NULL;

    if (format && !drv) {
        report_error("Invalid format name: '%s'", format);
    }
    return !format || drv;
}

int img_rebase(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0}, backing_image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *backing = NULL, *cache = NULL;
    gboolean unsafe = FALSE, progress = FALSE, quiet = FALSE;
    const GOptionEntry entries[] = {
        IMAGE_FORMAT_OPTION_ENTRIES(&image),
        {"backing", 'b', 0, G_OPTION_ARG_FILENAME, &backing,
         "The new backing image; '' for none", "FILE"},
        {"backing-format", 'F', 0, G_OPTION_ARG_STRING, &backing_image.format,
         "Format of that image", "FMT"},
        {"unsafe", 'u', 0, G_OPTION_ARG_NONE, &unsafe,
         "Only its name is changed: both read the same", NULL},
        {"target-cache", 't', 0, G_OPTION_ARG_STRING, &cache,
         "Cache mode of the image; by default writeback", "MODE"},
        IMAGE_CACHE_OPTION_ENTRY(&backing_image),
        {"force-share", 'U', 0, G_OPTION_ARG_NONE, &backing_image.force_share,
         "Open the backing image even if others write to it", NULL},
        {"progress", 'p', 0, G_OPTION_ARG_NONE, &progress, "Show progress", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "Print errors only", NULL},
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Gives an image another backing image. The disk stays as it is: what reads\n"
                   "differently above the new one is stored in the image before.",
        .parameters = "FILENAME",
        .entries = entries,
        .min_names = 1,
        .max_names = 1,
        .names_expected = "Expecting one image file name",
        .misuse_status = EXIT_FAILURE,
    };
    Rebase o = {0};
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    if (!unsafe && !backing) {
        options_misuse(argv[0], "Must specify backing file (-b) or use unsafe mode (-u)");
        return EXIT_FAILURE;
    }
    if (!image_options_check(&image) || !image_options_check(&backing_image) ||
        !check_format(backing_image.format) ||
        !image_parse_cache(cache ? cache : "writeback", 't', &o.cache)) {
        return EXIT_FAILURE;
    }
    o.name = names[0];
    o.image = image;
    o.backing_image = backing_image;
    o.backing = backing;
    o.unsafe = unsafe;
    o.progress = progress && !quiet;
    return image_run(co_rebase, &o, EXIT_FAILURE);
}
