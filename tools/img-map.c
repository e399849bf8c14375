/* embr-img map */
#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "image.h"
#include "options.h"
#include "qapi/qapi-visit.h"
#include "report.h"

typedef struct Map {
    const char *name;
    ImageOptions image;
    uint64_t start;
    uint64_t max_length;
    bool json;
} Map;

/* False, and reported: it cannot be shown in this form. */
static bool print_human(const MapEntry *entry)
{
    if (entry->data && !entry->has_offset) {
        report_error("File contains external, encrypted or compressed clusters.");
        return false;
    }
    if (entry->data && !entry->zero) {
        printf("%#-16" G_GINT64_MODIFIER "x%#-16" G_GINT64_MODIFIER
               "x%#-16" G_GINT64_MODIFIER "x%s\n",
               entry->start, entry->length, entry->offset,
               entry->filename ? entry->filename : "");
    }
    return true;
}

/* An element of the list, in qemu-img's form: with a space after the brace, and without
 * the file's name. */
static void print_json(MapEntry *entry, bool first)
{
    g_clear_pointer(&entry->filename, g_free);
    g_autofree char *text = map_entry_to_json_text(entry, false);
    printf("%s{ %s", first ? "[" : ",\n", text + 1);
}

/* What qemu-img says where there is nothing to map. */
static MapEntry *nothing(uint64_t start)
{
    MapEntry *entry = map_entry_new0();

    entry->start = MIN(start, (uint64_t)G_MAXINT64);
    return entry;
}

static int coroutine_fn co_print_map(const Map *o, BlockDriverState *bs)
{
    uint64_t length = bdrv_length(bs);
    uint64_t start = MIN(o->start, length);
    uint64_t end = start + MIN(o->max_length, length - start);
    g_auto(BlockMapIter) iter;
    GError *error = NULL;
    bool first = true;

    bdrv_map_iter_init(&iter, bs, start, end);
    if (!o->json) {
        printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File");
    }
    for (;;) {
        g_autoptr(MapEntry) entry = bdrv_map_iter_co_next(&iter, &error);
        if (error) {
            report_gerror(error);
            return EXIT_FAILURE;
        }
        if (!entry && first) {
            entry = nothing(o->start);
        } else if (!entry) {
            break;
        }
        if (o->json) {
            print_json(entry, first);
        } else if (!print_human(entry)) {
            return EXIT_FAILURE;
        }
        first = false;
    }
    if (o->json) {
        puts("]");
    }
    return EXIT_SUCCESS;
}

static int coroutine_fn co_map(void *opaque)
{
    const Map *o = opaque;
    g_autoptr(BlockDriverState) bs = image_co_open(o->name, &o->image, 0);

    return bs ? co_print_map(o, bs) : EXIT_FAILURE;
}

int img_map(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *output = NULL, *start = NULL, *length = NULL;
    Map o = {.max_length = G_MAXUINT64};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        IMAGE_SNAPSHOT_OPTION_ENTRY(0, &image),
        {"start-offset", 's', 0, G_OPTION_ARG_STRING, &start, "Where to start",
         "OFFSET"},
        {"max-length", 'l', 0, G_OPTION_ARG_STRING, &length, "How much of it to show",
         "LENGTH"},
        OUTPUT_OPTION_ENTRY(&output),
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary =
            "Shows which parts of a disk are stored where in an image and in those\n"
            "below it.",
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
        !options_size("--start-offset", start, &o.start) ||
        !options_size("--max-length", length, &o.max_length)) {
        return EXIT_FAILURE;
    }
    o.name = names[0];
    o.image = image;
    return image_run(co_map, &o, EXIT_FAILURE);
}
