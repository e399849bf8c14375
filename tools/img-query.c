/* embr-img query */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "engram/query.h"
#include "file-entry.h"
#include "image.h"
#include "options.h"
#include "query-source.h"
#include "report.h"
#include "util/text.h"

#define HITS_DEFAULT 10
/* Contents that have nothing to do with each other come near it now and then. */
#define SIMILARITY_DEFAULT 0.1
/* Exit status: some of what was to be searched could not be. */
#define EXIT_INCOMPLETE 2

typedef struct Query {
    char **engrams;
    const char *content; /* FILE, DIRECTORY, "-" or IMAGE:/PATH */
    EngramQueryOptions options;
    bool json;
} Query;

/* Adds an engram to the query; false: reported. */
static bool coroutine_fn co_add_engram(EngramQuery *q, const char *name,
                                       GPtrArray *files)
{
    GError *error = NULL;
    EngramFile *file = query_co_open_engram(name, &error);

    if (file) {
        g_ptr_array_add(files, file);
    }
    if (!file || !engram_query_add_engram(q, file, &error)) {
        report_gerror(error);
        return false;
    }
    return true;
}

static void print_json(const GPtrArray *hits)
{
    g_autoptr(GPtrArray) list = similar_file_list_new();

    for (guint i = 0; i < hits->len; i++) {
        const EngramQueryHit *hit = g_ptr_array_index(hits, i);
        SimilarFile *file = similar_file_new0();

        file->similarity = hit->similarity;
        file->identical = hit->identical;
        file->engram = g_strdup(hit->engram);
        file->image = g_strdup(hit->image);
        file_set_text(&file->path, &file->path_bytes, hit->path);
        file->size = hit->size;
        file->copies = hit->copies;
        g_ptr_array_add(list, file);
    }
    report_json_list(&qapi_type_similar_file, list);
}

static void print_lines(const GPtrArray *hits)
{
    TextStyle style = isatty(STDOUT_FILENO) ? TEXT_MASKED : TEXT_ESCAPED;

    for (guint i = 0; i < hits->len; i++) {
        const EngramQueryHit *hit = g_ptr_array_index(hits, i);
        g_autofree char *engram = text_printable(hit->engram, style);
        g_autofree char *image = text_printable(hit->image, style);
        g_autofree char *path = text_printable(hit->path, style);
        char similarity[G_ASCII_DTOSTR_BUF_SIZE];

        g_ascii_formatd(similarity, sizeof(similarity), "%.3f", hit->similarity);
        printf("%s %c %11" PRIu64 " %s %s %s", similarity, hit->identical ? '=' : '~',
               hit->size, engram, image, path);
        if (hit->copies) {
            printf(" (+%" PRIu64 ")", hit->copies);
        }
        putchar('\n');
    }
}

static void report_skipped(const GError *error, void *opaque)
{
    report_error("%s", error->message);
}

/* The exit status; skipped: engrams that could not even be opened. */
static int coroutine_fn co_search(const Query *o, EngramQuery *q, unsigned skipped)
{
    g_auto(EngramQueryResult) result = {0};
    GError *error = NULL;

    if (!engram_query_co_search(q, report_skipped, NULL, &result, &error)) {
        if (g_error_matches(error, EMBR_ERROR, EMBR_ERROR_INVALID)) {
            g_prefix_error(&error, "%s: ", o->content);
        }
        report_gerror(error);
        return EXIT_FAILURE;
    }
    skipped += result.skipped;
    if (skipped && !result.searched) {
        return EXIT_FAILURE;
    }
    if (o->json) {
        print_json(result.hits);
    } else {
        print_lines(result.hits);
    }
    return skipped ? EXIT_INCOMPLETE : EXIT_SUCCESS;
}

static void free_engram(gpointer data)
{
    engram_file_free(data);
}

static int coroutine_fn co_query(void *opaque)
{
    const Query *o = opaque;
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(free_engram);
    g_autoptr(EngramQuery) q = engram_query_new(&o->options);
    unsigned skipped = 0, added = 0;

    for (char **name = o->engrams; *name; name++) {
        *(co_add_engram(q, *name, files) ? &added : &skipped) += 1;
    }
    if (!added || !query_co_add_source(q, o->content)) {
        return EXIT_FAILURE;
    }
    return co_search(o, q, skipped);
}

static bool check_options(const EngramQueryOptions *options, int hits)
{
    if (hits < 1 || hits > ENGRAM_QUERY_HITS_MAX) {
        report_error("-k: %d is not a number of files between 1 and %d", hits,
                     ENGRAM_QUERY_HITS_MAX);
        return false;
    }
    if (!(options->min_similarity >= 0 && options->min_similarity <= 1)) {
        report_error("--min-similarity: %g is not between 0 and 1",
                     options->min_similarity);
        return false;
    }
    if (options->path && !*options->path) {
        report_error("--path: the pattern is empty");
        return false;
    }
    return true;
}

int img_query(int argc, char **argv)
{
    g_auto(GStrv) names = NULL;
    g_autofree char *output = NULL, *image = NULL, *path = NULL;
    gboolean exact = FALSE, all = FALSE;
    int hits = HITS_DEFAULT;
    Query o = {.options.min_similarity = SIMILARITY_DEFAULT};
    const GOptionEntry entries[] = {
        {"count", 'k', 0, G_OPTION_ARG_INT, &hits, "How many files; 10 by default",
         "N"},
        {"min-similarity", 0, 0, G_OPTION_ARG_DOUBLE, &o.options.min_similarity,
         "Only files at least that similar, 0 to 1; 0.1 by default", "X"},
        {"image", 'l', 0, G_OPTION_ARG_STRING, &image,
         "Only images of that name; all by default", "NAME"},
        {"path", 0, 0, G_OPTION_ARG_STRING, &path,
         "Only files with such a path: * stands for any bytes, ? for one", "GLOB"},
        {"exact", 0, 0, G_OPTION_ARG_NONE, &exact,
         "Look at every file: slower, and finds what is hardly alike, too", NULL},
        {"all", 0, 0, G_OPTION_ARG_NONE, &all,
         "A line for each file of one content, not one for all", NULL},
        OUTPUT_OPTION_ENTRY(&output),
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary =
            "Finds the files in engrams whose content is most like that of a file: of "
            "the host, of standard input (-), or of any image (IMAGE:/PATH); or the "
            "directories that are most like one.\n"
            "Shows similarity, = for the same content or else ~, size, engram, image, "
            "path, and how many others have that content.",
        .parameters = "ENGRAM... FILE|-|IMAGE:/PATH",
        .entries = entries,
        .min_names = 2,
        .max_names = G_MAXUINT,
        .names_expected = "Expecting one or more engrams and a file to look for",
        .misuse_status = EXIT_FAILURE,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    o.options.hits = hits;
    o.options.image = image;
    o.options.path = path;
    o.options.exact = exact;
    o.options.all = all;
    if (!options_output_format(output, &o.json) || !check_options(&o.options, hits)) {
        return EXIT_FAILURE;
    }
    guint last = g_strv_length(names) - 1;
    g_autofree char *content = g_steal_pointer(&names[last]);
    o.content = content;
    o.engrams = names;
    return image_run(co_query, &o, EXIT_FAILURE);
}
