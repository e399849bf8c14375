/* embr-img volumes */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "options.h"
#include "qapi/qapi-types.h"
#include "report.h"
#include "util/text.h"
#include "tree.h"

enum { COLUMNS = 8 };

typedef struct Volumes {
    const char *name;
    ImageOptions image;
    const char *snapshot;
    bool json;
} Volumes;

static VolumeTableInfo *describe(const VolumeTable *table)
{
    VolumeTableInfo *info = volume_table_info_new0();

    info->type = g_strdup(table->type);
    info->sector_size = table->sector_size;
    info->disk_id = g_strdup(table->disk_id);
    info->volumes = volume_info_list_new();
    for (guint i = 0; i < table->volumes->len; i++) {
        const Volume *volume = g_ptr_array_index(table->volumes, i);

        g_ptr_array_add(info->volumes, volume_info_copy(volume->info));
    }
    info->warnings = qapi_str_list_new();
    for (guint i = 0; i < table->warnings->len; i++) {
        g_ptr_array_add(info->warnings,
                        g_strdup(g_ptr_array_index(table->warnings, i)));
    }
    return info;
}

static char *cell(const char *text)
{
    return text && *text ? text_printable(text, TEXT_MASKED) : g_strdup("-");
}

/* The cells of a row, as the heading names them. */
static char **new_row(const VolumeInfo *v)
{
    char **row = g_new0(char *, COLUMNS + 1);

    row[0] = v->path[1] ? g_strdup(v->path + 1) : g_strdup("-");
    row[1] = g_strdup_printf("%" PRIu64, v->offset);
    row[2] = g_strdup_printf("%" PRIu64, v->size);
    row[3] = report_size(v->size);
    row[4] = cell(v->filesystem);
    row[5] = cell(v->label);
    row[6] = cell(v->uuid);
    row[7] =
        g_strdup_printf("%s%s", v->type_name ?: v->type, v->bootable ? " (boot)" : "");
    return row;
}

static void print_row(char **row, const int widths[COLUMNS])
{
    for (unsigned i = 0; i < COLUMNS; i++) {
        bool is_number = i >= 1 && i <= 3;
        int pad = i + 1 < COLUMNS || is_number
                      ? widths[i] - (int)g_utf8_strlen(row[i], -1)
                      : 0;

        printf("%s%*s%s%*s", i ? "  " : "", is_number ? pad : 0, "", row[i],
               is_number ? 0 : pad, "");
    }
    putchar('\n');
}

static void print_details(const VolumeInfo *v)
{
    if (v->details) {
        g_autofree char *details = text_printable(v->details, TEXT_MASKED);

        printf("%s: %s: %s\n", v->path[1] ? v->path + 1 : "volume", v->filesystem,
               details);
    }
}

static void print_table(const VolumeTableInfo *info)
{
    static const char *const heading[] = {
        "Number", "Offset", "Size", "", "Filesystem", "Label", "UUID", "Type", NULL,
    };
    g_autoptr(GPtrArray) rows =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    int widths[COLUMNS] = {0};

    g_ptr_array_add(rows, g_strdupv((char **)heading));
    for (guint i = 0; i < info->volumes->len; i++) {
        g_ptr_array_add(rows, new_row(g_ptr_array_index(info->volumes, i)));
    }
    for (guint i = 0; i < rows->len; i++) {
        char **row = g_ptr_array_index(rows, i);

        for (unsigned k = 0; k < COLUMNS; k++) {
            widths[k] = MAX(widths[k], (int)g_utf8_strlen(row[k], -1));
        }
    }
    printf("partition table: %s\n", info->type);
    if (info->disk_id) {
        printf("disk id: %s\n", info->disk_id);
    }
    printf("sector size: %u\n", info->sector_size);
    for (guint i = 0; i < rows->len; i++) {
        print_row(g_ptr_array_index(rows, i), widths);
    }
    for (guint i = 0; i < info->volumes->len; i++) {
        print_details(g_ptr_array_index(info->volumes, i));
    }
}

static int coroutine_fn co_volumes(void *opaque)
{
    Volumes *o = opaque;
    g_autoptr(BlockBackend) disk = image_co_open_disk(o->name, &o->image, o->snapshot);
    GError *error = NULL;

    if (!disk) {
        return EXIT_FAILURE;
    }

    g_autoptr(VolumeTable) table = volume_table_co_open(disk, &error);
    if (!table) {
        report_gerror(error);
        return EXIT_FAILURE;
    }

    g_autoptr(VolumeTableInfo) info = describe(table);
    if (o->json) {
        report_json(&qapi_type_volume_table_info, info);
    } else {
        print_table(info);
    }
    for (guint i = 0; i < table->warnings->len; i++) {
        report_warning("%s", (const char *)g_ptr_array_index(table->warnings, i));
    }
    return EXIT_SUCCESS;
}

int img_volumes(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *output = NULL;
    g_autofree char *snapshot = NULL;
    Volumes o = {0};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        IMAGE_FAT_OPTION_ENTRY(&image),
        SNAPSHOT_OPTION_ENTRY('l', &snapshot),
        OUTPUT_OPTION_ENTRY(&output),
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary =
            "Shows the partitions of a disk and what is on them.  Offsets and sizes "
            "are in bytes.",
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
    o.snapshot = snapshot;
    return image_run(co_volumes, &o, EXIT_FAILURE);
}
