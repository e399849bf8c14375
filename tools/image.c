#include "image.h"

#include <signal.h>
#include <string.h>

#include "block/block-int.h"
#include "fs/fs.h"
#include "qapi/qapi-visit.h"
#include "report.h"

void image_options_clear(ImageOptions *options)
{
    g_clear_pointer(&options->format, g_free);
    g_clear_pointer(&options->cache, g_free);
    g_clear_pointer(&options->snapshot, g_free);
}

bool image_parse_cache(const char *text, char letter, CacheMode *mode)
{
    static const struct {
        const char *name;
        CacheMode mode;
    } modes[] = {
        {"none", {.direct = true, .flush = true}},
        {"off", {.direct = true, .flush = true}},
        {"directsync", {.direct = true, .flush = true, .writethrough = true}},
        {"writeback", {.flush = true}},
        {"writethrough", {.flush = true, .writethrough = true}},
        {"unsafe", {0}},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (strcmp(text, modes[i].name) == 0) {
            *mode = modes[i].mode;
            return true;
        }
    }
    report_error("Invalid %scache option: %s", letter == 'T' ? "source " : "", text);
    return false;
}

int image_cache_flags(const CacheMode *mode)
{
    return (mode->direct ? BDRV_O_NOCACHE : 0) | (mode->flush ? 0 : BDRV_O_NO_FLUSH);
}

static bool set_fat_codepage(int number)
{
    GError *error = NULL;

    if (!number) {
        return true;
    }
    if (number < 0) {
        report_error("--fat-codepage is %d, expected a number such as 437", number);
        return false;
    }
    if (!fs_set_fat_codepage((unsigned)number, &error)) {
        report_gerror(error);
        return false;
    }
    return true;
}

bool image_options_check(const ImageOptions *options)
{
    CacheMode mode;

    if (options->image_opts && options->format) {
        report_error("--image-opts and --format are mutually exclusive");
        return false;
    }
    if (!set_fat_codepage(options->fat_codepage)) {
        return false;
    }
    return !options->cache || image_parse_cache(options->cache, 'T', &mode);
}

static BlockDriverState *coroutine_fn co_open_described(const char *name, int flags,
                                                        GError **errp)
{
    g_autoptr(JsonNode) options = qapi_keyval_parse(name, NULL, errp);
    return options ? bdrv_co_open_described(NULL, NULL, json_node_get_object(options), flags,
                                            errp)
                   : NULL;
}

static bool is_selected(const SnapshotInfo *snapshot, const SnapshotSelector *which)
{
    return (!which->id || strcmp(which->id, snapshot->id) == 0) &&
           (!which->name || strcmp(which->name, snapshot->name) == 0);
}

/* The snapshot that "snapshot.id=...,snapshot.name=..." is of. */
static bool coroutine_fn co_load_selected(BlockDriverState *bs, const char *text,
                                          GError **errp)
{
    g_autoptr(SnapshotOption) option = snapshot_option_from_keyval(text, NULL, errp);
    g_autoptr(ImageInfo) info = option ? bdrv_co_image_info(bs, errp) : NULL;

    for (guint i = 0; info && info->snapshots && i < info->snapshots->len; i++) {
        const SnapshotInfo *snapshot = g_ptr_array_index(info->snapshots, i);
        if (is_selected(snapshot, option->snapshot)) {
            return bdrv_co_load_snapshot(bs, snapshot->id, errp) >= 0;
        }
    }
    if (info) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND, "%s: no snapshot is '%s'",
                    bdrv_filename(bs), text);
    }
    return false;
}

static bool coroutine_fn co_load_snapshot(BlockDriverState *bs, const char *snapshot,
                                          GError **errp)
{
    if (g_str_has_prefix(snapshot, "snapshot.")) {
        return co_load_selected(bs, snapshot, errp);
    }
    return bdrv_co_load_snapshot(bs, snapshot, errp) >= 0;
}

BlockDriverState *coroutine_fn image_co_open(const char *name,
                                             const ImageOptions *options, int flags)
{
    GError *error = NULL;
    CacheMode mode = {.flush = true};

    if (options->cache && !image_parse_cache(options->cache, 'T', &mode)) {
        return NULL;
    }
    flags |= image_cache_flags(&mode) | (options->force_share ? BDRV_O_FORCE_SHARE : 0);
    BlockDriverState *bs =
        options->image_opts ? co_open_described(name, flags, &error)
                            : bdrv_co_open_image(name, options->format, flags, &error);
    if (!bs || (options->snapshot && !co_load_snapshot(bs, options->snapshot, &error))) {
        report_gerror(error);
        bdrv_unref(bs);
        return NULL;
    }
    return bs;
}

BlockBackend *coroutine_fn image_co_open_disk(const char *name,
                                              const ImageOptions *options,
                                              const char *snapshot)
{
    g_autoptr(BlockDriverState) bs = image_co_open(name, options, 0);
    GError *error = NULL;

    if (!bs) {
        return NULL;
    }
    if (snapshot && !co_load_snapshot(bs, snapshot, &error)) {
        report_gerror(error);
        return NULL;
    }
    return blk_new(bs);
}

bool coroutine_fn image_co_finish(BlockDriverState *bs)
{
    GError *error = NULL;
    int ret = bdrv_co_flush(bs);

    if (ret < 0) {
        error = bdrv_take_error(bs);
        if (!error) {
            error_set_errno(&error, -ret, "%s: cannot flush", bdrv_filename(bs));
        }
    } else {
        bdrv_co_finish(bs, &error);
    }
    if (error) {
        report_gerror(error);
        return false;
    }
    return true;
}

Progress *image_progress_new(bool wanted)
{
    Progress *progress = progress_new(stderr, wanted ? PROGRESS_AUTO : PROGRESS_ASKED);

    progress_show_on_signal(progress, SIGUSR1);
    return progress;
}

typedef struct Run {
    int coroutine_fn (*func)(void *opaque);
    void *opaque;
    int status;
} Run;

static void coroutine_fn co_run(void *opaque)
{
    Run *run = opaque;
    run->status = run->func(run->opaque);
}

int image_run(int coroutine_fn (*func)(void *opaque), void *opaque, int failure)
{
    Run run = {.func = func, .opaque = opaque};
    GError *error = NULL;
    g_autoptr(AioContext) ctx = aio_context_new(AIO_BACKEND_AUTO, &error);

    if (!ctx) {
        report_gerror(error);
        return failure;
    }
    aio_run(ctx, co_run, &run);
    return run.status;
}
