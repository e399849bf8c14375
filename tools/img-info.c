/* embr-img info */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "image.h"
#include "options.h"
#include "qapi/qapi-visit.h"
#include "report.h"
#include "snapshot-table.h"

enum { INDENT = 4 };

typedef struct Info {
    const char *name;
    ImageOptions image;
    gboolean backing_chain;
    bool json;
} Info;

static void print_value(JsonNode *value, unsigned level);

/* "key: value", "key:" before what takes lines of its own. */
static void print_entry(const char *key, JsonNode *value, unsigned level)
{
    printf("%*s%s:", level * INDENT, "", key);
    if (JSON_NODE_HOLDS_VALUE(value)) {
        putchar(' ');
    } else {
        putchar('\n');
    }
    print_value(value, level + 1);
}

static void print_scalar(JsonNode *value)
{
    switch (json_node_get_value_type(value)) {
    case G_TYPE_BOOLEAN:
        puts(json_node_get_boolean(value) ? "true" : "false");
        break;
    case G_TYPE_STRING:
        puts(json_node_get_string(value));
        break;
    case G_TYPE_DOUBLE:
        printf("%.0f\n", json_node_get_double(value));
        break;
    default:
        printf("%" G_GINT64_FORMAT "\n", json_node_get_int(value));
    }
}

static void print_members(JsonObject *object, unsigned level)
{
    JsonObjectIter iter;
    const char *name;
    JsonNode *value;

    json_object_iter_init_ordered(&iter, object);
    while (json_object_iter_next_ordered(&iter, &name, &value)) {
        g_autofree char *key = g_strdelimit(g_strdup(name), "-", ' ');
        print_entry(key, value, level);
    }
}

static void print_value(JsonNode *value, unsigned level)
{
    if (JSON_NODE_HOLDS_OBJECT(value)) {
        print_members(json_node_get_object(value), level);
    } else if (JSON_NODE_HOLDS_ARRAY(value)) {
        JsonArray *array = json_node_get_array(value);
        for (guint i = 0; i < json_array_get_length(array); i++) {
            g_autofree char *key = g_strdup_printf("[%u]", i);
            print_entry(key, json_array_get_element(array, i), level);
        }
    } else if (JSON_NODE_HOLDS_VALUE(value)) {
        print_scalar(value);
    }
}

static void print_specific(const ImageInfoSpecific *specific)
{
    g_autoptr(JsonNode) node = image_info_specific_to_json(specific);

    puts("Format specific information:");
    print_value(json_object_get_member(json_node_get_object(node), "data"), 1);
}

static void print_backing(const ImageInfo *info)
{
    printf("backing file: %s", info->backing_filename);
    if (g_strcmp0(info->backing_filename, info->full_backing_filename) != 0) {
        printf(" (actual path: %s)", info->full_backing_filename);
    }
    putchar('\n');
    if (info->backing_filename_format) {
        printf("backing file format: %s\n", info->backing_filename_format);
    }
}

static void print_info(const ImageInfo *info)
{
    g_autofree char *virtual_size = report_size(info->virtual_size);
    g_autofree char *disk_size = info->has_actual_size ? report_size(info->actual_size)
                                                       : g_strdup("unavailable");

    printf("image: %s\nfile format: %s\nvirtual size: %s (%" G_GINT64_FORMAT
           " bytes)\ndisk size: %s\n",
           info->filename, info->format, virtual_size, info->virtual_size, disk_size);
    if (info->has_encrypted && info->encrypted) {
        puts("encrypted: yes");
    }
    if (info->has_cluster_size) {
        printf("cluster_size: %" G_GINT64_FORMAT "\n", info->cluster_size);
    }
    if (info->has_dirty_flag && info->dirty_flag) {
        puts("cleanly shut down: no");
    }
    if (info->backing_filename) {
        print_backing(info);
    }
    if (info->snapshots && info->snapshots->len) {
        snapshot_table_print(info->snapshots);
    }
    if (info->format_specific) {
        print_specific(info->format_specific);
    }
}

/* The infos of bs and of all below it that is open. NULL: reported. */
static GPtrArray *coroutine_fn co_collect(BlockDriverState *bs)
{
    g_autoptr(GPtrArray) list = image_info_list_new();

    for (; bs; bs = bdrv_backing(bs)) {
        GError *error = NULL;
        ImageInfo *info = bdrv_co_image_info(bs, &error);
        if (!info) {
            report_gerror(error);
            return NULL;
        }
        g_ptr_array_add(list, info);
    }
    return g_steal_pointer(&list);
}

static int coroutine_fn co_info(void *opaque)
{
    Info *o = opaque;
    int flags = BDRV_O_NO_IO | (o->backing_chain ? 0 : BDRV_O_NO_BACKING);
    g_autoptr(BlockDriverState) bs = image_co_open(o->name, &o->image, flags);
    g_autoptr(GPtrArray) list = bs ? co_collect(bs) : NULL;

    if (!list) {
        return EXIT_FAILURE;
    }
    if (o->json && o->backing_chain) {
        report_json_list(&qapi_type_image_info, list);
    } else if (o->json) {
        report_json(&qapi_type_image_info, g_ptr_array_index(list, 0));
    } else {
        for (guint i = 0; i < list->len; i++) {
            fputs(i ? "\n" : "", stdout);
            print_info(g_ptr_array_index(list, i));
        }
    }
    return EXIT_SUCCESS;
}

int img_info(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *output = NULL;
    Info o = {0};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        IMAGE_SNAPSHOT_OPTION_ENTRY('l', &image),
        {"backing-chain", 0, 0, G_OPTION_ARG_NONE, &o.backing_chain,
         "Show the images below it, too", NULL},
        OUTPUT_OPTION_ENTRY(&output),
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Shows an image's format, sizes, snapshots and backing chain.",
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
    if (!options_output_format(output, &o.json) || !image_options_check(&image)) {
        return EXIT_FAILURE;
    }
    o.name = names[0];
    o.image = image;
    return image_run(co_info, &o, EXIT_FAILURE);
}
