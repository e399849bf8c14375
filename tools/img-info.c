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
#include "specific.h"

typedef struct Info {
    const char *name;
    ImageOptions image;
    gboolean backing_chain;
    bool json;
} Info;

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
        specific_print(info->format_specific);
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
