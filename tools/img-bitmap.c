/* embr-img bitmap */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "image.h"
#include "options.h"
#include "report.h"

typedef struct Action {
    BdrvBitmapAction action;
    char *source; /* of a merge: the bitmap's name */
} Action;

typedef struct BitmapCommand {
    const char *name;
    const char *bitmap;
    ImageOptions image;
    char *source; /* -b: the image that has the bitmaps to be merged */
    char *source_format;
    uint64_t granularity;
    GArray *actions; /* of Action, in order */
} BitmapCommand;

static const struct {
    const char *option;
    BdrvBitmapAction action;
} action_names[] = {
    {"add", BDRV_BITMAP_ADD},       {"remove", BDRV_BITMAP_REMOVE},
    {"clear", BDRV_BITMAP_CLEAR},   {"enable", BDRV_BITMAP_ENABLE},
    {"disable", BDRV_BITMAP_DISABLE}, {"merge", BDRV_BITMAP_MERGE},
};

static const char *action_name(BdrvBitmapAction action)
{
    for (size_t i = 0; i < G_N_ELEMENTS(action_names); i++) {
        if (action_names[i].action == action) {
            return action_names[i].option;
        }
    }
    return "";
}

static bool has_action(const BitmapCommand *o, BdrvBitmapAction action)
{
    for (guint i = 0; i < o->actions->len; i++) {
        if (g_array_index(o->actions, Action, i).action == action) {
            return true;
        }
    }
    return false;
}

static bool coroutine_fn co_act(const BitmapCommand *o, const Action *a, BlockDriverState *bs,
                                BlockDriverState *source)
{
    BdrvBitmapChange change = {
        .action = a->action,
        .name = o->bitmap,
        .granularity = o->granularity,
        .source_bytes = bdrv_length(source),
    };
    GError *error = NULL;
    g_autoptr(DirtyBitmap) bits =
        a->source ? bdrv_co_get_bitmap(source, a->source, &error) : NULL;

    change.source = bits;
    if ((a->source && !bits) || bdrv_co_change_bitmap(bs, &change, &error) < 0) {
        g_prefix_error(&error, "Operation %s on bitmap %s failed: ", action_name(a->action),
                       o->bitmap);
        report_gerror(error);
        return false;
    }
    return true;
}

static int coroutine_fn co_bitmap(void *opaque)
{
    const BitmapCommand *o = opaque;
    ImageOptions source_options = {.format = o->source_format};
    g_autoptr(BlockDriverState) bs =
        image_co_open(o->name, &o->image, BDRV_O_RDWR | BDRV_O_NO_BACKING);
    g_autoptr(BlockDriverState) source =
        bs && o->source ? image_co_open(o->source, &source_options, BDRV_O_NO_BACKING) : NULL;
    bool ok = bs && (source || !o->source);

    for (guint i = 0; ok && i < o->actions->len; i++) {
        ok = co_act(o, &g_array_index(o->actions, Action, i), bs, source ? source : bs);
    }
    return bs && image_co_finish(bs) && ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static gboolean add_action(const gchar *option, const gchar *value, gpointer data,
                           GError **errp)
{
    BitmapCommand *o = data;

    for (size_t i = 0; i < G_N_ELEMENTS(action_names); i++) {
        if (strcmp(option + strlen("--"), action_names[i].option) == 0) {
            Action action = {action_names[i].action, g_strdup(value)};
            g_array_append_val(o->actions, action);
        }
    }
    return TRUE;
}

static void clear_action(gpointer p)
{
    g_free(((Action *)p)->source);
}

static bool check(const BitmapCommand *o, const char *granularity)
{
    const char *wrong = NULL;

    if (!o->actions->len) {
        wrong = "Need at least one of --add, --remove, --clear, --enable, --disable, or --merge";
    } else if (granularity && !has_action(o, BDRV_BITMAP_ADD)) {
        wrong = "granularity only supported with --add";
    } else if (o->source_format && !o->source) {
        wrong = "-F only supported with -b";
    } else if (o->source && !has_action(o, BDRV_BITMAP_MERGE)) {
        wrong = "Merge bitmap source file only supported with --merge";
    }
    if (wrong) {
        report_error("%s", wrong);
    }
    return !wrong;
}

static int run(BitmapCommand *o, int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *granularity = NULL;
    const GOptionEntry entries[] = {
        IMAGE_FORMAT_OPTION_ENTRIES(&image),
        {"add", 0, G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, add_action,
         "Add the bitmap, enabled", NULL},
        {"remove", 0, G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, add_action,
         "Remove it", NULL},
        {"clear", 0, G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, add_action,
         "Nothing is dirty in it any more", NULL},
        {"enable", 0, G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, add_action,
         "From now on it records writes", NULL},
        {"disable", 0, G_OPTION_FLAG_NO_ARG, G_OPTION_ARG_CALLBACK, add_action,
         "From now on it does not", NULL},
        {"merge", 0, 0, G_OPTION_ARG_CALLBACK, add_action,
         "Add what is dirty in that bitmap", "SOURCE"},
        {"source-file", 'b', 0, G_OPTION_ARG_FILENAME, &o->source,
         "The bitmaps of --merge are those of this image", "FILE"},
        {"source-format", 'F', 0, G_OPTION_ARG_STRING, &o->source_format,
         "Its format", "FMT"},
        {"granularity", 'g', 0, G_OPTION_ARG_STRING, &granularity,
         "Bytes of the disk for each bit of a bitmap that is added", "SIZE"},
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Changes a persistent bitmap of an image: what is asked for is done in that "
                   "order.",
        .parameters = "FILENAME BITMAP",
        .entries = entries,
        .data = o,
        .min_names = 2,
        .max_names = 2,
        .names_expected = "Expecting filename and bitmap name",
        .misuse_status = EXIT_FAILURE,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    if (!check(o, granularity) || !image_options_check(&image) ||
        !options_size("-g", granularity, &o->granularity)) {
        return EXIT_FAILURE;
    }
    o->name = names[0];
    o->bitmap = names[1];
    o->image = image;
    return image_run(co_bitmap, o, EXIT_FAILURE);
}

int img_bitmap(int argc, char **argv)
{
    BitmapCommand o = {.actions = g_array_new(FALSE, FALSE, sizeof(Action))};

    g_array_set_clear_func(o.actions, clear_action);
    int status = run(&o, argc, argv);
    g_array_unref(o.actions);
    g_free(o.source);
    g_free(o.source_format);
    return status;
}
