/* embr-img part create, add, delete */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/table.h"
#include "img-part.h"
#include "options.h"
#include "qapi/qapi.h"
#include "report.h"

typedef struct Edit {
    const char *name;
    ImageOptions image;
    PartCreate create;
    PartAdd add;
    GArray *numbers; /* of unsigned */
} Edit;

static bool parse_number(const char *what, const char *text, guint base, guint64 max,
                         guint64 *value)
{
    bool is_hex = text && base == 16 && g_str_has_prefix(text, "0x");

    if (text && !g_ascii_string_to_unsigned(is_hex ? text + 2 : text, base, 0, max,
                                            value, NULL)) {
        report_error("%s: '%s' is no number from 0 to %" G_GUINT64_FORMAT, what, text,
                     max);
        return false;
    }
    return true;
}

static int finish(bool ok, GError *error)
{
    if (!ok && error) {
        report_gerror(error);
    }
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int coroutine_fn co_create(void *opaque)
{
    const Edit *o = opaque;
    g_autoptr(BlockBackend) disk = part_co_open(o->name, &o->image, BDRV_O_RDWR);
    GError *error = NULL;
    bool ok = disk && part_table_co_create(disk, &o->create, &error);

    return finish(ok, error);
}

static int coroutine_fn co_add(void *opaque)
{
    const Edit *o = opaque;
    g_autoptr(BlockBackend) disk = part_co_open(o->name, &o->image, BDRV_O_RDWR);
    GError *error = NULL;
    unsigned number = 0;
    bool ok = disk && part_table_co_add(disk, &o->add, &number, &error);

    if (ok) {
        printf("p%u\n", number);
    }
    return finish(ok, error);
}

static int coroutine_fn co_delete(void *opaque)
{
    const Edit *o = opaque;
    g_autoptr(BlockBackend) disk = part_co_open(o->name, &o->image, BDRV_O_RDWR);
    const unsigned *numbers = &g_array_index(o->numbers, unsigned, 0);
    GError *error = NULL;
    bool ok = disk && part_table_co_delete(disk, numbers, o->numbers->len, &error);

    return finish(ok, error);
}

int img_part_create(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *type = NULL, *uuid = NULL, *sector_size = NULL, *count = NULL;
    gboolean force = FALSE;
    Edit o = {0};
    uint64_t sector_bytes = 512;
    guint64 n = 0;
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        {"type", 't', 0, G_OPTION_ARG_STRING, &type, "gpt (default) or dos", "TYPE"},
        {"uuid", 0, 0, G_OPTION_ARG_STRING, &uuid,
         "The disk's GUID, or for dos 32 bits in hex; random by default", "ID"},
        {"sector-size", 0, 0, G_OPTION_ARG_STRING, &sector_size,
         "What the table counts in: 512 (default) or 4096", "SIZE"},
        {"entries", 0, 0, G_OPTION_ARG_STRING, &count,
         "How many partitions a GPT has room for; 128 by default", "N"},
        {"force", 0, 0, G_OPTION_ARG_NONE, &force,
         "Also where there is a table or a filesystem; what is in the first MiB is "
         "lost",
         NULL},
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary = "Makes an empty partition table on a disk.",
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
    if (!image_options_check(&image) ||
        !options_size("--sector-size", sector_size, &sector_bytes) ||
        !parse_number("--entries", count, 10, G_MAXUINT32, &n)) {
        return EXIT_FAILURE;
    }
    o.name = names[0];
    o.image = image;
    o.create = (PartCreate){
        .type = type ?: "gpt",
        .sector_size = MIN(sector_bytes, G_MAXUINT32),
        .disk_id = uuid,
        .entries = n,
        .force = force,
    };
    return image_run(co_create, &o, EXIT_FAILURE);
}

static void append_type(const char *name, const char *gpt, const char *mbr,
                        void *opaque)
{
    GString *text = opaque;

    g_string_append_printf(text, "%s%s", text->len ? ", " : "", name);
}

int img_part_add(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *number = NULL, *start = NULL, *size = NULL, *align = NULL,
                    *type = NULL, *name = NULL, *uuid = NULL, *attributes = NULL;
    gboolean bootable = FALSE, extended = FALSE, logical = FALSE;
    g_autoptr(GString) types = g_string_new(NULL);
    Edit o = {0};
    guint64 n = 0, bits = 0;
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        {"number", 'n', 0, G_OPTION_ARG_STRING, &number,
         "The partition's number; the first that is free by default", "N"},
        {"start", 0, 0, G_OPTION_ARG_STRING, &start,
         "Where it begins; by default in the first free space that is large enough",
         "OFFSET"},
        {"size", 's', 0, G_OPTION_ARG_STRING, &size,
         "How large it is; by default as large as it can be", "SIZE"},
        {"align", 0, 0, G_OPTION_ARG_STRING, &align,
         "What the start is a multiple of, if it is not given; 1M by default", "SIZE"},
        {"type", 't', 0, G_OPTION_ARG_STRING, &type,
         "A name, a GUID, or for an MBR one byte in hex; linux by default", "TYPE"},
        {"name", 0, 0, G_OPTION_ARG_STRING, &name, "The name of a GPT's partition",
         "NAME"},
        {"uuid", 0, 0, G_OPTION_ARG_STRING, &uuid,
         "The GUID of a GPT's partition; random by default", "UUID"},
        {"attributes", 0, 0, G_OPTION_ARG_STRING, &attributes,
         "The attributes of a GPT's partition, 64 bits in hex", "BITS"},
        {"bootable", 'b', 0, G_OPTION_ARG_NONE, &bootable, "Mark it to be booted from",
         NULL},
        {"extended", 0, 0, G_OPTION_ARG_NONE, &extended,
         "Make an MBR's extended partition, which holds logical ones", NULL},
        {"logical", 0, 0, G_OPTION_ARG_NONE, &logical,
         "Make a logical partition in the extended one of an MBR", NULL},
        {NULL},
    };

    part_type_foreach(append_type, types);
    g_autofree char *summary = g_strdup_printf(
        "Adds a partition to the table of a disk, and prints how it is called: pN.\n"
        "Sizes and offsets are bytes, or have one of the suffixes k, M, G, T, P, E.\n\n"
        "Types with names: %s",
        types->str);
    const CommandSyntax syntax = {
        .summary = summary,
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
    if (extended && logical) {
        report_error("--extended and --logical are mutually exclusive");
        return EXIT_FAILURE;
    }
    o.add = (PartAdd){
        .kind = extended  ? PART_EXTENDED
                : logical ? PART_LOGICAL
                          : PART_PRIMARY,
        .has_start = start != NULL,
        .has_size = size != NULL,
        .type = type,
        .name = name,
        .uuid = uuid,
        .bootable = bootable,
    };
    if (!image_options_check(&image) ||
        !parse_number("--number", number, 10, G_MAXUINT32, &n) ||
        !parse_number("--attributes", attributes, 16, G_MAXUINT64, &bits) ||
        !options_size("--start", start, &o.add.start) ||
        !options_size("--size", size, &o.add.size) ||
        !options_size("--align", align, &o.add.align)) {
        return EXIT_FAILURE;
    }
    o.name = names[0];
    o.image = image;
    o.add.number = n;
    o.add.attributes = bits;
    return image_run(co_add, &o, EXIT_FAILURE);
}

int img_part_delete(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(unsigned));
    Edit o = {.numbers = numbers};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary =
            "Deletes partitions from the table of a disk: all that are given, or "
            "none.\nWhat is on them is not touched.",
        .parameters = "FILENAME NUMBER...",
        .entries = entries,
        .min_names = 2,
        .max_names = G_MAXUINT,
        .names_expected = "Expecting an image file name and one or more numbers",
        .misuse_status = EXIT_FAILURE,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    if (!image_options_check(&image)) {
        return EXIT_FAILURE;
    }
    for (char **text = names + 1; *text; text++) {
        guint64 value = 0;

        if (!parse_number("number of a partition", *text + (**text == 'p'), 10,
                          G_MAXUINT32, &value)) {
            return EXIT_FAILURE;
        }
        unsigned number = value;
        g_array_append_val(numbers, number);
    }
    o.name = names[0];
    o.image = image;
    return image_run(co_delete, &o, EXIT_FAILURE);
}
