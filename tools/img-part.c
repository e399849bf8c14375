/* embr-img part: finds the command; list and verify. */
#include "img-part.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "fs/table.h"
#include "options.h"
#include "qapi/qapi-types.h"
#include "report.h"
#include "util/text.h"

enum { PART_OK = 0, PART_FAILED = 1, PART_DAMAGED = 2 };

static const struct {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"add", "add a partition", img_part_add},
    {"create", "make an empty table", img_part_create},
    {"delete", "delete partitions", img_part_delete},
    {"list", "show the table", img_part_list},
    {"verify", "find out what is wrong with a table, and repair it", img_part_verify},
};

typedef struct Part {
    const char *name;
    ImageOptions image;
    gboolean repair;
    bool json;
} Part;

BlockBackend *coroutine_fn part_co_open(const char *name, const ImageOptions *options,
                                        int flags)
{
    g_autoptr(BlockDriverState) bs = image_co_open(name, options, flags);

    return bs ? blk_new(bs) : NULL;
}

static PartitionInfo *describe_partition(const Volume *volume)
{
    const VolumeInfo *v = volume->info;
    PartitionInfo *info = partition_info_new0();

    info->number = v->number;
    info->type = g_strdup(v->type);
    info->type_name = g_strdup(v->type_name);
    info->offset = v->offset;
    info->size = v->size;
    info->uuid = g_strdup(v->partition_uuid);
    info->name = g_strdup(v->partition_name);
    info->attributes = volume->attributes;
    info->bootable = v->bootable;
    return info;
}

static PartitionTableInfo *describe(BlockBackend *disk, const VolumeTable *table)
{
    PartitionTableInfo *info = partition_table_info_new0();

    info->type = g_strdup(table->type);
    info->sector_size = table->sector_size;
    info->disk_id = g_strdup(table->disk_id);
    info->disk_size = blk_length(disk);
    if (table->max_entries) {
        info->has_usable_offset = info->has_usable_end = info->has_max_partitions =
            true;
        info->usable_offset = table->first_usable * table->sector_size;
        info->usable_end = (table->last_usable + 1) * table->sector_size;
        info->max_partitions = table->max_entries;
    }
    info->partitions = partition_info_list_new();
    for (guint i = 0; i < table->volumes->len; i++) {
        g_ptr_array_add(info->partitions,
                        describe_partition(g_ptr_array_index(table->volumes, i)));
    }
    info->warnings = qapi_str_list_new();
    for (guint i = 0; i < table->warnings->len; i++) {
        g_ptr_array_add(info->warnings,
                        g_strdup(g_ptr_array_index(table->warnings, i)));
    }
    return info;
}

static void print_table(const PartitionTableInfo *info)
{
    printf("partition table: %s\n", info->type);
    if (info->disk_id) {
        printf("disk id: %s\n", info->disk_id);
    }
    printf("sector size: %u\n", info->sector_size);
    printf("%-6s  %20s  %20s  %10s  %s\n", "Number", "Offset", "Size", "",
           "Type, name");
    for (guint i = 0; i < info->partitions->len; i++) {
        const PartitionInfo *p = g_ptr_array_index(info->partitions, i);
        g_autofree char *size = report_size(p->size);
        g_autofree char *name = p->name ? text_printable(p->name, TEXT_MASKED) : NULL;

        printf("p%-5u  %20" PRIu64 "  %20" PRIu64 "  %10s  %s%s%s%s\n", p->number,
               p->offset, p->size, size, p->type_name ?: p->type, name ? ", " : "",
               name ?: "", p->bootable ? " (boot)" : "");
    }
}

static int coroutine_fn co_list(void *opaque)
{
    const Part *o = opaque;
    g_autoptr(BlockBackend) disk = part_co_open(o->name, &o->image, 0);
    GError *error = NULL;
    g_autoptr(VolumeTable) table = disk ? part_table_co_read(disk, &error) : NULL;

    if (!table) {
        if (error) {
            report_gerror(error);
        }
        return PART_FAILED;
    }
    g_autoptr(PartitionTableInfo) info = describe(disk, table);
    if (o->json) {
        report_json(&qapi_type_partition_table_info, info);
    } else {
        print_table(info);
    }
    for (guint i = 0; i < table->warnings->len; i++) {
        report_warning("%s", (const char *)g_ptr_array_index(table->warnings, i));
    }
    return PART_OK;
}

static int show_check(const Part *o, const char *type, GPtrArray *findings,
                      bool repaired)
{
    PartitionTableCheck check = {(char *)type, findings, repaired};

    if (o->json) {
        report_json(&qapi_type_partition_table_check, &check);
    }
    for (guint i = 0; i < findings->len && !o->json; i++) {
        g_autofree char *text =
            text_printable(g_ptr_array_index(findings, i), TEXT_MASKED);

        puts(text);
    }
    if (!findings->len && !o->json) {
        printf("No problems were found in the partition table (%s).\n", type);
    }
    return findings->len ? PART_DAMAGED : PART_OK;
}

static int coroutine_fn co_verify(void *opaque)
{
    const Part *o = opaque;
    g_autoptr(BlockBackend) disk =
        part_co_open(o->name, &o->image, o->repair ? BDRV_O_RDWR : 0);
    g_autoptr(GPtrArray) findings = g_ptr_array_new_with_free_func(g_free);
    GError *error = NULL;
    const char *type = NULL;
    bool repaired = false;
    bool ok = disk && part_table_co_verify(disk, findings, &type, &error);

    if (ok && o->repair && findings->len) {
        g_ptr_array_set_size(findings, 0);
        ok = part_table_co_repair(disk, &error) &&
             part_table_co_verify(disk, findings, &type, &error);
        repaired = ok;
    }
    if (!ok) {
        if (error) {
            report_gerror(error);
        }
        return PART_FAILED;
    }
    return show_check(o, type, findings, repaired);
}

int img_part_list(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *output = NULL;
    Part o = {0};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        OUTPUT_OPTION_ENTRY(&output),
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary =
            "Shows the partition table of a disk, without looking at what is on the\n"
            "partitions.  Offsets and sizes are in bytes.",
        .parameters = "FILENAME",
        .entries = entries,
        .min_names = 1,
        .max_names = 1,
        .names_expected = "Expecting one image file name",
        .misuse_status = PART_FAILED,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    if (!options_output_format(output, &o.json) || !image_options_check(&image)) {
        return PART_FAILED;
    }
    o.name = names[0];
    o.image = image;
    return image_run(co_list, &o, PART_FAILED);
}

int img_part_verify(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *output = NULL;
    Part o = {0};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        {"repair", 'r', 0, G_OPTION_ARG_NONE, &o.repair,
         "Make both copies of a GPT good from the one that is", NULL},
        OUTPUT_OPTION_ENTRY(&output),
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary =
            "Says what is wrong with the partition table of a disk.  Exits with 0 if\n"
            "nothing is (any more), 2 if something is, and 1 if that could not be "
            "found out.",
        .parameters = "FILENAME",
        .entries = entries,
        .min_names = 1,
        .max_names = 1,
        .names_expected = "Expecting one image file name",
        .misuse_status = PART_FAILED,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    if (!options_output_format(output, &o.json) || !image_options_check(&image)) {
        return PART_FAILED;
    }
    o.name = names[0];
    o.image = image;
    return image_run(co_verify, &o, PART_FAILED);
}

static void print_help(void)
{
    printf("Usage:\n  %s part COMMAND [OPTION...] ARGUMENT...\n\n"
           "Makes, changes, shows and checks the partition table of a disk: GPT or "
           "MBR.\n\n"
           "Commands:\n",
           report_program());
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    }
    printf("\n'%s part COMMAND --help' shows the options of a command.\n",
           report_program());
}

int img_part(int argc, char **argv)
{
    if (argc < 2) {
        options_misuse("part",
                       "Expecting a command: add, create, delete, list or verify");
        return EXIT_FAILURE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            g_autofree char *name = g_strdup_printf("part %s", commands[i].name);
            g_autofree char **args = g_memdup2(argv + 1, argc * sizeof(*argv));

            args[0] = name;
            return commands[i].run(argc - 1, args);
        }
    }
    options_misuse("part", "part: '%s' is none of add, create, delete, list, verify",
                   argv[1]);
    return EXIT_FAILURE;
}
