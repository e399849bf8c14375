/* embr-img similar */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "engram/reader.h"
#include "engram/similar.h"
#include "file-entry.h"
#include "heat-map.h"
#include "options.h"
#include "qapi/qapi-types.h"
#include "report.h"
#include "tree.h"
#include "util/text.h"

#define DIRECTORIES_DEFAULT 10

typedef struct Similar {
    char **arguments;
    ImageOptions image;
    const char *only; /* -l */
    const char *svg;  /* -o */
    unsigned directories;
    gboolean progress;
    bool json;
    Progress *meter;
    GPtrArray *names;    /* of char * */
    GPtrArray *disks;    /* of BlockBackend * */
    GPtrArray *catalogs; /* of EngramCatalog * */
} Similar;

/* A disk, as one of those that are compared.  Takes disk. */
static bool coroutine_fn co_add_disk(Similar *o, BlockBackend *disk, const char *name,
                                     GError **errp)
{
    const EngramCatalogOptions options = {0};

    g_ptr_array_add(o->disks, disk);
    if (o->catalogs->len == ENGRAM_SIMILAR_IMAGES_MAX) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT, "more than %d images",
                    ENGRAM_SIMILAR_IMAGES_MAX);
        return false;
    }
    EngramCatalog *catalog = engram_catalog_co_open(disk, &options, o->meter, errp);
    if (!catalog) {
        return false;
    }
    g_ptr_array_add(o->catalogs, catalog);
    g_ptr_array_add(o->names, g_strdup(name));
    if (catalog->damages) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT, "%s could not be read in full",
                    name);
        return false;
    }
    return true;
}

/* One more image of an engram that is open as disk. */
static bool coroutine_fn co_add_image(Similar *o, const char *file, const char *image)
{
    BlockBackend *disk = image_co_open_disk(file, &o->image, image);
    g_autofree char *name = g_strdup_printf("%s (%s)", file, image);
    GError *error = NULL;

    if (!disk) {
        return false;
    }
    if (!co_add_disk(o, disk, name, &error)) {
        progress_interrupt(o->meter);
        report_gerror(error);
        return false;
    }
    return true;
}

/* All images of an engram of several. */
static bool coroutine_fn co_add_images(Similar *o, const char *file, EngramFile *f)
{
    for (uint32_t i = 0; i < f->n_images; i++) {
        GError *error = NULL;
        g_autoptr(EngramImage) image = engram_file_co_image(f, i, &error);

        if (!image) {
            report_gerror(error);
            return false;
        }
        if (!co_add_image(o, file, image->name)) {
            return false;
        }
    }
    return true;
}

static bool coroutine_fn co_add_argument(Similar *o, const char *file)
{
    g_autoptr(BlockBackend) disk = image_co_open_disk(file, &o->image, o->only);
    EngramReader *reader = disk ? engram_reader_of_node(blk_bs(disk)) : NULL;
    GError *error = NULL;

    if (!disk) {
        return false;
    }
    if (reader && !o->only && engram_reader_file(reader)->n_images > 1) {
        return co_add_images(o, file, engram_reader_file(reader));
    }
    if (!co_add_disk(o, blk_ref(disk), file, &error)) {
        progress_interrupt(o->meter);
        report_gerror(error);
        return false;
    }
    return true;
}

static const char *name_at(const Similar *o, unsigned i)
{
    return g_ptr_array_index(o->names, i);
}

static void print_json(const Similar *o, const EngramSimilarResult *result)
{
    g_autoptr(SimilarImages) all = similar_images_new0();

    all->images = similar_image_list_new();
    for (unsigned i = 0; i < result->n_images; i++) {
        SimilarImage *image = similar_image_new0();

        image->name = g_utf8_make_valid(name_at(o, i), -1);
        image->similarities = g_array_new(FALSE, FALSE, sizeof(double));
        g_array_append_vals(image->similarities,
                            result->similarities + (size_t)i * result->n_images,
                            result->n_images);
        g_ptr_array_add(all->images, image);
    }
    all->directories = drifting_directory_list_new();
    for (guint i = 0; i < result->directories->len; i++) {
        const EngramSimilarDirectory *d = g_ptr_array_index(result->directories, i);
        DriftingDirectory *directory = drifting_directory_new0();

        file_set_text(&directory->path, &directory->path_bytes, d->path);
        directory->drift = d->drift;
        directory->similarity = d->similarity;
        directory->parent_similarity = d->parent_similarity;
        directory->images = d->images;
        directory->first = g_utf8_make_valid(name_at(o, d->first), -1);
        directory->second = g_utf8_make_valid(name_at(o, d->second), -1);
        g_ptr_array_add(all->directories, directory);
    }
    report_json(&qapi_type_similar_images, all);
}

static void print_number(double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    fputs(g_ascii_formatd(text, sizeof(text), "%.3f", value), stdout);
}

/* Columns have the numbers of the rows. */
static void print_matrix(const Similar *o, const EngramSimilarResult *result,
                         TextStyle style)
{
    printf("%4s", "");
    for (unsigned i = 0; i < result->n_images; i++) {
        printf(" %5u", i + 1);
    }
    putchar('\n');
    for (unsigned i = 0; i < result->n_images; i++) {
        g_autofree char *name = text_printable(name_at(o, i), style);

        printf("%4u", i + 1);
        for (unsigned j = 0; j < result->n_images; j++) {
            putchar(' ');
            print_number(engram_similar_pair(result, i, j));
        }
        printf("  %s\n", name);
    }
}

static void print_directories(const EngramSimilarResult *result, TextStyle style)
{
    if (result->directories->len) {
        puts("\nDrift, similarity, that of the directory above, the least alike:");
    }
    for (guint i = 0; i < result->directories->len; i++) {
        const EngramSimilarDirectory *d = g_ptr_array_index(result->directories, i);
        g_autofree char *path = text_printable(d->path, style);

        print_number(d->drift);
        putchar(' ');
        print_number(d->similarity);
        putchar(' ');
        print_number(d->parent_similarity);
        printf(" %3u-%-3u %s\n", d->first + 1, d->second + 1, path);
    }
}

/* The file is there as a whole or as it was. */
static bool write_svg(const Similar *o, const EngramSimilarResult *result, GError **errp)
{
    g_autoptr(GString) svg = g_string_new(NULL);
    const HeatMap map = {
        .title = "How alike the images are",
        .n = result->n_images,
        .names = (char *const *)o->names->pdata,
        .values = result->similarities,
    };
    struct stat st;

    if (stat(o->svg, &st) == 0 && !S_ISREG(st.st_mode)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "%s is not a regular file",
                    o->svg);
        return false;
    }
    heat_map_append_svg(&map, svg);
    return g_file_set_contents_full(o->svg, svg->str, svg->len,
                                    G_FILE_SET_CONTENTS_CONSISTENT, 0666, errp);
}

static bool coroutine_fn co_compare(Similar *o, GError **errp)
{
    TextStyle style = isatty(STDOUT_FILENO) ? TEXT_MASKED : TEXT_ESCAPED;
    g_auto(EngramSimilarResult) result = {0};

    if (!engram_similar_co_run(o->catalogs, o->directories, &result, errp) ||
        (o->svg && !write_svg(o, &result, errp))) {
        return false;
    }
    progress_interrupt(o->meter);
    if (o->json) {
        print_json(o, &result);
    } else {
        print_matrix(o, &result, style);
        print_directories(&result, style);
    }
    return true;
}

static int coroutine_fn co_similar(void *opaque)
{
    Similar *o = opaque;
    g_autoptr(Progress) progress = image_progress_new(o->progress);
    int status = EXIT_SUCCESS;
    GError *error = NULL;

    o->meter = progress;
    o->names = g_ptr_array_new_with_free_func(g_free);
    o->disks = g_ptr_array_new_with_free_func((GDestroyNotify)blk_unref);
    o->catalogs = g_ptr_array_new_with_free_func((GDestroyNotify)engram_catalog_free);
    for (char **name = o->arguments; *name && status == EXIT_SUCCESS; name++) {
        status = co_add_argument(o, *name) ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    if (status == EXIT_SUCCESS && !co_compare(o, &error)) {
        progress_interrupt(progress);
        report_gerror(error);
        status = EXIT_FAILURE;
    }
    g_ptr_array_unref(o->catalogs);
    g_ptr_array_unref(o->disks);
    g_ptr_array_unref(o->names);
    return status;
}

int img_similar(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *output = NULL, *snapshot = NULL, *svg = NULL;
    int directories = DIRECTORIES_DEFAULT;
    Similar o = {0};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        IMAGE_CACHE_OPTION_ENTRY(&image),
        SNAPSHOT_OPTION_ENTRY('l', &snapshot),
        {"count", 'k', 0, G_OPTION_ARG_INT, &directories,
         "How many directories that drift most; 10 by default, 0 for none", "N"},
        {"out", 'o', 0, G_OPTION_ARG_FILENAME, &svg,
         "Make a heat map of the matrix in that file, as SVG", "FILE"},
        {"progress", 'p', 0, G_OPTION_ARG_NONE, &o.progress, "Show progress", NULL},
        OUTPUT_OPTION_ENTRY(&output),
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary =
            "Shows how alike images are, each to each, and in which directories those differ "
            "most\nthat are alike otherwise. All images of an engram are compared.",
        .parameters = "IMAGE...",
        .entries = entries,
        .min_names = 1,
        .max_names = G_MAXUINT,
        .names_expected = "Expecting image file names",
        .misuse_status = EXIT_FAILURE,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    if (directories < 0 || directories > ENGRAM_SIMILAR_DIRECTORIES_MAX) {
        report_error("-k: %d is not a number of directories between 0 and %d", directories,
                     ENGRAM_SIMILAR_DIRECTORIES_MAX);
        return EXIT_FAILURE;
    }
    if (!options_output_format(output, &o.json) || !image_options_check(&image)) {
        return EXIT_FAILURE;
    }
    o.arguments = names;
    o.image = image;
    o.only = snapshot;
    o.svg = svg;
    o.directories = directories;
    return image_run(co_similar, &o, EXIT_FAILURE);
}
