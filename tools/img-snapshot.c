/* embr-img snapshot */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/block-int.h"
#include "commands.h"
#include "engram/images.h"
#include "image.h"
#include "options.h"
#include "qapi/qapi-visit.h"
#include "report.h"
#include "snapshot-table.h"
#include "util/text.h"

typedef enum Action {
    ACTION_LIST,
    ACTION_APPLY,
    ACTION_CREATE,
    ACTION_DELETE,
} Action;

typedef struct SnapshotCommand {
    const char *name;
    ImageOptions image;
    Action action;
    const char *snapshot;       /* what it is done to */
    bool json;
} SnapshotCommand;

/* Of an engram's info: the images, with their usage. NULL: reported. */
static GPtrArray *coroutine_fn co_engram_images(BlockDriverState *bs, ImageInfo *info)
{
    GPtrArray *images = info->format_specific->u.engram.data->images;
    GError *error = NULL;
    g_autoptr(EngramFile) f = engram_file_co_open(bdrv_file(bs), &error);
    g_autoptr(GPtrArray) usage = f ? engram_co_image_usage(f, NULL, &error) : NULL;

    if (!usage) {
        report_gerror(error);
        return NULL;
    }
    for (guint i = 0; i < MIN(images->len, usage->len); i++) {
        EngramImageInfo *image = g_ptr_array_index(images, i);
        image->usage = engram_image_usage_copy(g_ptr_array_index(usage, i));
    }
    return images;
}

static void print_image(const EngramImageInfo *image, int width)
{
    g_autofree char *size = report_size(image->virtual_size);
    g_autofree char *data = report_size(image->usage->data_bytes);
    g_autofree char *shared = report_size(image->usage->shared_bytes);
    g_autoptr(GDateTime) created = g_date_time_new_from_unix_local(image->created->sec);
    g_autofree char *date =
        created ? g_date_time_format(created, "%Y-%m-%d %H:%M:%S") : g_strdup("");
    g_autofree char *name = text_printable(image->name, TEXT_MASKED);
    int pad = width - (int)g_utf8_strlen(name, -1);

    printf("%s%*s  %10s  %10s  %10s  %s\n", name, pad, "", size, data, shared, date);
}

static void print_images(const GPtrArray *images)
{
    int width = strlen("IMAGE");

    for (guint i = 0; i < images->len; i++) {
        const EngramImageInfo *image = g_ptr_array_index(images, i);
        width = MAX(width, (int)g_utf8_strlen(image->name, -1));
    }
    printf("%-*s  %10s  %10s  %10s  %s\n", width, "IMAGE", "SIZE", "DATA", "SHARED",
           "CREATED");
    for (guint i = 0; i < images->len; i++) {
        print_image(g_ptr_array_index(images, i), width);
    }
}

static bool is_engram(const ImageInfo *info)
{
    return info->format_specific &&
           info->format_specific->type == IMAGE_INFO_SPECIFIC_KIND_ENGRAM;
}

static bool coroutine_fn co_list(const SnapshotCommand *o)
{
    g_autoptr(BlockDriverState) bs = image_co_open(o->name, &o->image, BDRV_O_NO_BACKING);
    GError *error = NULL;

    if (!bs) {
        return false;
    }
    g_autoptr(ImageInfo) info = bdrv_co_image_info(bs, &error);
    if (!info) {
        report_gerror(error);
        return false;
    }
    if (is_engram(info)) {
        const GPtrArray *images = co_engram_images(bs, info);
        if (!images) {
            return false;
        }
        if (o->json) {
            report_json_list(&qapi_type_engram_image_info, images);
        } else {
            print_images(images);
        }
        return true;
    }
    g_autoptr(GPtrArray) none = snapshot_info_list_new();
    const GPtrArray *snapshots = info->snapshots ? info->snapshots : none;
    if (o->json) {
        report_json_list(&qapi_type_snapshot_info, snapshots);
    } else if (snapshots->len) {
        snapshot_table_print(snapshots);
    }
    return true;
}

/* An image is taken out of an engram. */
static bool coroutine_fn co_change_engram(const SnapshotCommand *o, BlockDriverState *bs)
{
    GError *error = NULL;

    if (o->action != ACTION_DELETE) {
        report_error("%s: the images of an engram are what was converted into it "
                     "(convert --append)",
                     o->action == ACTION_APPLY ? "-a" : "-c");
        return false;
    }
    if (!engram_co_delete_image(bdrv_filename(bdrv_file(bs)), o->snapshot, &error)) {
        report_gerror(error);
        return false;
    }
    return true;
}

/* The first one of that name: as qemu-img has it, IDs are no names here. NULL: none. */
static char *coroutine_fn co_id_by_name(BlockDriverState *bs, const char *name)
{
    g_autoptr(ImageInfo) info = bdrv_co_image_info(bs, NULL);

    for (guint i = 0; info && info->snapshots && i < info->snapshots->len; i++) {
        const SnapshotInfo *snapshot = g_ptr_array_index(info->snapshots, i);
        if (strcmp(snapshot->name, name) == 0) {
            return g_strdup(snapshot->id);
        }
    }
    return NULL;
}

static bool coroutine_fn co_delete(const SnapshotCommand *o, BlockDriverState *bs)
{
    g_autofree char *id = co_id_by_name(bs, o->snapshot);
    GError *error = NULL;

    if (!id) {
        report_error("Could not delete snapshot '%s': snapshot not found", o->snapshot);
        return false;
    }
    if (bdrv_co_snapshot_delete(bs, id, &error) < 0) {
        g_prefix_error(&error, "Could not delete snapshot '%s': ", o->snapshot);
        report_gerror(error);
        return false;
    }
    return true;
}

/* The text of the error number is what qemu-img has, too. */
static bool coroutine_fn co_apply(const SnapshotCommand *o, BlockDriverState *bs)
{
    GError *error = NULL;
    int ret = bdrv_co_snapshot_goto(bs, o->snapshot, &error);

    if (ret == -ENOENT) {
        g_clear_error(&error);
        report_error("Could not apply snapshot '%s': Failed to load snapshot: %s", o->snapshot,
                     g_strerror(-ret));
    } else if (ret < 0) {
        g_prefix_error(&error, "Could not apply snapshot '%s': ", o->snapshot);
        report_gerror(error);
    }
    return ret >= 0;
}

static bool coroutine_fn co_create(const SnapshotCommand *o, BlockDriverState *bs)
{
    int ret = bdrv_co_snapshot_create(bs, o->snapshot, NULL);

    if (ret < 0) {
        report_error("Could not create snapshot '%s': %d (%s)", o->snapshot, ret,
                     g_strerror(-ret));
    }
    return ret >= 0;
}

static bool coroutine_fn co_change(const SnapshotCommand *o)
{
    ImageOptions peek = o->image;

    if (o->image.force_share) {
        report_error("Could not open '%s': force-share=on can only be used with read-only "
                     "images", o->name);
        return false;
    }
    peek.force_share = TRUE;
    g_autoptr(BlockDriverState) seen =
        image_co_open(o->name, &peek, BDRV_O_NO_BACKING | BDRV_O_NO_IO);

    if (!seen) {
        return false;
    }
    if (strcmp(bdrv_format_name(seen), "engram") == 0) {
        return co_change_engram(o, seen);
    }
    g_clear_pointer(&seen, bdrv_unref);
    g_autoptr(BlockDriverState) bs =
        image_co_open(o->name, &o->image, BDRV_O_NO_BACKING | BDRV_O_RDWR | BDRV_O_UNMAP);
    if (!bs) {
        return false;
    }
    bool ok = o->action == ACTION_CREATE ? co_create(o, bs)
              : o->action == ACTION_APPLY ? co_apply(o, bs)
                                          : co_delete(o, bs);
    return image_co_finish(bs) && ok;
}

static int coroutine_fn co_snapshot(void *opaque)
{
    const SnapshotCommand *o = opaque;
    bool ok = o->action == ACTION_LIST ? co_list(o) : co_change(o);

    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* At most one of the actions; to list is the default. */
static bool choose_action(SnapshotCommand *o, bool list, char *const names[3])
{
    static const Action actions[] = {ACTION_APPLY, ACTION_CREATE, ACTION_DELETE};
    unsigned given = list;

    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
        if (names[i]) {
            o->action = actions[i];
            o->snapshot = names[i];
            given++;
        }
    }
    if (given > 1) {
        options_misuse(NULL, "Cannot mix '-l', '-a', '-c', '-d'");
    }
    return given <= 1;
}

int img_snapshot(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *output = NULL, *apply = NULL, *create = NULL, *delete = NULL;
    gboolean list = FALSE, quiet = FALSE;
    SnapshotCommand o = {0};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        {"list", 'l', 0, G_OPTION_ARG_NONE, &list, "List them (the default)", NULL},
        {"apply", 'a', 0, G_OPTION_ARG_FILENAME, &apply,
         "Make the disk what it was in this snapshot", "ID_OR_NAME"},
        {"create", 'c', 0, G_OPTION_ARG_FILENAME, &create, "Make a snapshot", "NAME"},
        {"delete", 'd', 0, G_OPTION_ARG_FILENAME, &delete,
         "Delete this snapshot, or take this image out of an engram", "NAME"},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "Print errors only", NULL},
        OUTPUT_OPTION_ENTRY(&output),
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Lists, makes, applies and deletes the internal snapshots of an image; lists\n"
                   "the images of an engram with what they share, and takes one out.",
        .parameters = "FILENAME",
        .entries = entries,
        .min_names = 1,
        .max_names = 1,
        .names_expected = "Expecting one image file name",
        .misuse_status = EXIT_FAILURE,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    if (!options_output_format(output, &o.json) || !image_options_check(&image) ||
        !choose_action(&o, list, (char *const[]){apply, create, delete})) {
        return EXIT_FAILURE;
    }
    o.name = names[0];
    o.image = image;
    return image_run(co_snapshot, &o, EXIT_FAILURE);
}
