/*
 * How well and how fast ways to tell likeness find files.
 *
 *     bench-likeness OLD NEW [RESULTS]
 *
 * OLD and NEW are folders with two versions of a system.  Every file of OLD of at least
 * 512 bytes whose content in NEW, at the same path, is another one is a query; the file at
 * that path is the right answer among all files of NEW, and so is any with the same
 * content.  Then some files of NEW are queries after edits of every kind, the right answer
 * being what they were.  All methods see the same bytes in the same run.
 *
 * RESULTS gets all numbers, a line each, for plot-likeness.py.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <glib/gstdio.h>
#include <openssl/evp.h>

#include "likeness-methods.h"

enum {
    QUERY_BYTES_MIN = 512,
    EDITED_FILES = 100,
    EDITED_BYTES_MIN = 4096,
    EDITED_BYTES_MAX = 1 << 20,
    METHODS_MAX = 8,
    DIGEST_BYTES = 32,
};

typedef struct File {
    char *path;                     /* in its folder */
    char *name;                     /* for open(2) */
    size_t size;
    uint8_t identity[DIGEST_BYTES];
    void *digests[METHODS_MAX];
} File;

/* A content to be looked for, and the place of the right answer. */
typedef struct Query {
    void *digests[METHODS_MAX];
    guint right;
    /* For each method. */
    struct {
        double score;               /* of the best */
        double share;               /* of those with that score that are right */
        unsigned above, tied;       /* wrong ones */
        guint first;                /* one with the best score, wrong if there is one */
    } found[METHODS_MAX];
} Query;

/* Rates are told apart by the size of files: those up to so much. */
static const size_t size_bounds[] = { 4 << 10, 16 << 10, 64 << 10, 1 << 20, SIZE_MAX };
enum { SIZES = G_N_ELEMENTS(size_bounds) };

/* What digests took. */
typedef struct Work {
    double seconds[METHODS_MAX];    /* of the processor */
    uint64_t bytes;
} Work;

typedef struct Bench {
    GPtrArray *files;               /* of File: those of NEW */
    unsigned n_methods;
    Work all, by_size[SIZES];
    FILE *results;
    uint64_t random;
} Bench;

static double cpu_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static uint32_t random_below(Bench *b, uint32_t n)
{
    uint64_t z = (b->random += 0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return (uint32_t)(((z ^ (z >> 31)) >> 32) * n >> 32);
}

static gint compare_paths(gconstpointer a, gconstpointer b)
{
    const File *fa = *(File *const *)a, *fb = *(File *const *)b;

    return strcmp(fa->path, fb->path);
}

static void add_folder(GPtrArray *files, const char *root, const char *path)
{
    g_autofree char *folder = g_build_filename(root, path, NULL);
    g_autoptr(GError) error = NULL;
    GDir *dir = g_dir_open(folder, 0, &error);
    const char *entry;

    if (!dir) {
        g_printerr("bench-likeness: %s\n", error->message);
        exit(1);
    }
    while ((entry = g_dir_read_name(dir))) {
        g_autofree char *name = g_build_filename(folder, entry, NULL);
        g_autofree char *inside = *path ? g_build_filename(path, entry, NULL)
                                        : g_strdup(entry);
        GStatBuf st;

        if (g_lstat(name, &st) < 0) {
            perror(name);
            exit(1);
        }
        if (S_ISDIR(st.st_mode)) {
            add_folder(files, root, inside);
        } else if (S_ISREG(st.st_mode) && st.st_size) {
            File *file = g_new0(File, 1);
            file->path = g_steal_pointer(&inside);
            file->name = g_steal_pointer(&name);
            file->size = st.st_size;
            g_ptr_array_add(files, file);
        }
    }
    g_dir_close(dir);
}

static GPtrArray *list_files(const char *root)
{
    GPtrArray *files = g_ptr_array_new();

    add_folder(files, root, "");
    g_ptr_array_sort(files, compare_paths);
    return files;
}

static char *read_content(const File *file, size_t *size)
{
    g_autoptr(GError) error = NULL;
    char *content;

    if (!g_file_get_contents(file->name, &content, size, &error)) {
        g_printerr("bench-likeness: %s\n", error->message);
        exit(1);
    }
    return content;
}

static void identify(File *file, const char *content, size_t size)
{
    EVP_Digest(content, size, file->identity, NULL, EVP_sha256(), NULL);
}

/* Digests of a content by all methods; seconds: where their time is added, or NULL. */
static void digest_content(const Bench *b, const char *content, size_t size,
                           void **digests, double *seconds)
{
    for (unsigned m = 0; m < b->n_methods; m++) {
        double start = cpu_seconds();

        digests[m] = likeness_methods[m]->digest((const uint8_t *)content, size);
        if (seconds) {
            seconds[m] += cpu_seconds() - start;
        }
    }
}

static void add_work(Work *sum, const Work *work)
{
    sum->bytes += work->bytes;
    for (unsigned m = 0; m < METHODS_MAX; m++) {
        sum->seconds[m] += work->seconds[m];
    }
}

static void digest_files(Bench *b)
{
    for (guint i = 0; i < b->files->len; i++) {
        File *file = g_ptr_array_index(b->files, i);
        size_t size;
        g_autofree char *content = read_content(file, &size);

        identify(file, content, size);
        Work work = { .bytes = size };
        unsigned s = 0;

        while (size > size_bounds[s]) {
            s++;
        }
        digest_content(b, content, size, file->digests, work.seconds);
        add_work(&b->all, &work);
        add_work(&b->by_size[s], &work);
    }
}

static void query_clear(gpointer data)
{
    Query *query = data;

    for (unsigned m = 0; m < METHODS_MAX && likeness_methods[m]; m++) {
        if (query->digests[m]) {
            likeness_methods[m]->free(query->digests[m]);
        }
    }
}

static GArray *new_queries(void)
{
    GArray *queries = g_array_new(FALSE, TRUE, sizeof(Query));

    g_array_set_clear_func(queries, query_clear);
    return queries;
}

static bool is_same(const File *a, const File *b)
{
    return !memcmp(a->identity, b->identity, DIGEST_BYTES);
}

/* Compares a query with all files by one method. */
static void find(const Bench *b, Query *query, unsigned m, double *scores)
{
    const LikenessMethod *method = likeness_methods[m];
    const File *right = g_ptr_array_index(b->files, query->right);
    double best = -INFINITY, of_right = -INFINITY;
    unsigned at_best = 0, right_at_best = 0;

    for (guint i = 0; i < b->files->len; i++) {
        const File *file = g_ptr_array_index(b->files, i);
        bool known = query->digests[m] && file->digests[m];

        scores[i] = known ? method->score(query->digests[m], file->digests[m])
                          : -INFINITY;
        best = MAX(best, scores[i]);
        if (is_same(file, right)) {
            of_right = MAX(of_right, scores[i]);
        }
    }
    query->found[m].score = best > method->none ? best : -INFINITY;
    for (guint i = 0; i < b->files->len; i++) {
        const File *file = g_ptr_array_index(b->files, i);
        bool same = is_same(file, right);

        at_best += scores[i] == best;
        right_at_best += scores[i] == best && same;
        query->found[m].above += scores[i] > of_right && !same;
        query->found[m].tied += scores[i] == of_right && !same;
        if (scores[i] == best && !same) {
            query->found[m].first = i;
        }
    }
    query->found[m].share =
        best > method->none ? (double)right_at_best / at_best : 0;
    if (of_right <= method->none) {
        query->found[m].above += b->files->len;
    }
}

typedef struct Search {
    const Bench *b;
    GArray *queries;
    gint next;
} Search;

static gpointer search_thread(gpointer data)
{
    Search *s = data;
    g_autofree double *scores = g_new(double, s->b->files->len);
    guint i;

    while ((i = (guint)g_atomic_int_add(&s->next, 1)) < s->queries->len) {
        for (unsigned m = 0; m < s->b->n_methods; m++) {
            find(s->b, &g_array_index(s->queries, Query, i), m, scores);
        }
    }
    return NULL;
}

static void search(const Bench *b, GArray *queries)
{
    guint n = g_get_num_processors();
    g_autofree GThread **threads = g_new(GThread *, n);
    Search s = { b, queries, 0 };

    for (guint i = 0; i < n; i++) {
        threads[i] = g_thread_new("search", search_thread, &s);
    }
    for (guint i = 0; i < n; i++) {
        g_thread_join(threads[i]);
    }
}

/* Shares of queries: right and alone in front, right or tied in front; and the mean
 * reciprocal rank, ties against the method. */
typedef struct Summary {
    double strict, favour, mrr;
} Summary;

static Summary summarise(const GArray *queries, unsigned m)
{
    Summary s = { 0, 0, 0 };

    for (guint i = 0; i < queries->len; i++) {
        const Query *query = &g_array_index(queries, Query, i);
        unsigned above = query->found[m].above, tied = query->found[m].tied;

        s.strict += above + tied == 0;
        s.favour += above == 0;
        s.mrr += 1.0 / (1 + above + tied);
    }
    s.strict /= queries->len;
    s.favour /= queries->len;
    s.mrr /= queries->len;
    return s;
}

static void print_summary(const Bench *b, const char *what, const GArray *queries)
{
    printf("%s: %u queries, %u files\n", what, queries->len, b->files->len);
    for (unsigned m = 0; m < b->n_methods; m++) {
        Summary s = summarise(queries, m);

        printf("    %-18s right first %6.2f %% (ties in its favour %6.2f %%), "
               "reciprocal rank %.4f\n",
               likeness_methods[m]->name, 100 * s.strict, 100 * s.favour, s.mrr);
        fprintf(b->results, "summary\t%s\t%s\t%u\t%.6f\t%.6f\t%.6f\n", what,
                likeness_methods[m]->name, queries->len, s.strict, s.favour, s.mrr);
    }
}

static unsigned sorted_method;

static gint by_falling_score(gconstpointer a, gconstpointer b)
{
    double sa = ((const Query *)a)->found[sorted_method].score;
    double sb = ((const Query *)b)->found[sorted_method].score;

    return (sa < sb) - (sa > sb);
}

/* Of best answers that score at least so much: which share is right, and which share of
 * all queries these right ones are. */
static void write_curve(const Bench *b, const char *what, GArray *queries, unsigned m)
{
    double right = 0;

    sorted_method = m;
    g_array_sort(queries, by_falling_score);
    for (guint i = 0; i < queries->len; i++) {
        const Query *query = &g_array_index(queries, Query, i);
        bool last_of_score = i + 1 == queries->len ||
                             (query + 1)->found[m].score < query->found[m].score;

        if (query->found[m].score == -INFINITY) {
            break;
        }
        right += query->found[m].share;
        if (last_of_score) {
            fprintf(b->results, "curve\t%s\t%s\t%.6f\t%.6f\t%.6f\n", what,
                    likeness_methods[m]->name, query->found[m].score, right / (i + 1),
                    right / queries->len);
        }
    }
}

static void write_curves(const Bench *b, const char *what, GArray *queries)
{
    for (unsigned m = 0; m < b->n_methods; m++) {
        write_curve(b, what, queries, m);
    }
}

static int compare_path(const void *path, const void *file)
{
    return strcmp(path, (*(File *const *)file)->path);
}

/* For each query how many wrong files are before the right one, and for embr which. */
static void print_queries(const Bench *b, const GArray *queries)
{
    for (guint i = 0; i < queries->len; i++) {
        const Query *query = &g_array_index(queries, Query, i);
        const File *right = g_ptr_array_index(b->files, query->right);
        const File *first = g_ptr_array_index(b->files, query->found[0].first);

        for (unsigned m = 0; m < b->n_methods; m++) {
            fprintf(b->results, "query\t%s\t%s\t%zu\t%u\t%u\t%.3f\n",
                    likeness_methods[m]->name, right->path, right->size,
                    query->found[m].above, query->found[m].tied, query->found[m].score);
        }
        if (query->found[0].above + query->found[0].tied) {
            fprintf(b->results, "miss\t%s\t%s\t%s\n", likeness_methods[0]->name,
                    right->path, first->path);
        }
    }
}

/* Files of two versions at the same path. */
static void compare_versions(Bench *b, const char *root)
{
    g_autoptr(GPtrArray) old = list_files(root);
    g_autoptr(GArray) queries = new_queries();

    for (guint i = 0; i < old->len; i++) {
        File *file = g_ptr_array_index(old, i);
        File **now = bsearch(file->path, b->files->pdata, b->files->len,
                             sizeof(gpointer), compare_path);
        size_t size;

        if (!now || file->size < QUERY_BYTES_MIN) {
            continue;
        }
        g_autofree char *content = read_content(file, &size);
        identify(file, content, size);
        if (!is_same(file, *now)) {
            Query query = { .right = (gpointer *)now - b->files->pdata };
            digest_content(b, content, size, query.digests, NULL);
            g_array_append_val(queries, query);
        }
    }
    search(b, queries);
    print_summary(b, "versions", queries);
    print_queries(b, queries);
    write_curves(b, "versions", queries);
}

typedef enum Edit {
    EDIT_INSERT, EDIT_DELETE, EDIT_MOVE, EDIT_OVERWRITE,
    EDIT_TRUNCATE, EDIT_APPEND, EDIT_EMBED,
    EDITS,
} Edit;

static const char *const edit_names[] = {
    "insert", "delete", "move", "overwrite", "truncate", "concatenate", "embed",
};

/* Of the content; when concatenated or embedded, of what is foreign in the result. */
static const unsigned edit_percents[] = { 1, 2, 5, 10, 20, 30, 50 };
static const unsigned foreign_percents[] = { 10, 20, 30, 50, 70, 80, 90 };

/* Bytes that are foreign for each 100 - percent of the content's own. */
static size_t foreign_bytes(size_t size, unsigned percent)
{
    return size * percent / (100 - percent);
}

/* A content after an edit at a random place; other: content of others, enough of it. */
static GString *edit_content(Bench *b, Edit edit, unsigned percent,
                             const GString *content, const char *other)
{
    size_t size = content->len, n = MAX(size * percent / 100, 1);
    size_t at = random_below(b, size - n + 1), to = random_below(b, size - n + 1);
    size_t foreign = foreign_bytes(size, percent);
    GString *out = g_string_new_len(content->str, size);

    switch (edit) {
    case EDIT_INSERT:
        g_string_insert_len(out, at, other, n);
        break;
    case EDIT_DELETE:
        g_string_erase(out, at, n);
        break;
    case EDIT_MOVE:
        g_string_erase(out, at, n);
        g_string_insert_len(out, to, content->str + at, n);
        break;
    case EDIT_OVERWRITE:
        memcpy(out->str + at, other, n);
        break;
    case EDIT_TRUNCATE:
        g_string_truncate(out, size - n);
        break;
    case EDIT_APPEND:
        g_string_append_len(out, other, foreign);
        break;
    case EDIT_EMBED:
        g_string_append_len(out, other + foreign / 2, foreign - foreign / 2);
        g_string_prepend_len(out, other, foreign / 2);
        break;
    case EDITS:
        g_assert_not_reached();
    }
    return out;
}

/* Files that are edited: some KiB to a MiB, not compressed, each content once. */
static GArray *choose_edited(Bench *b)
{
    GArray *chosen = g_array_new(FALSE, FALSE, sizeof(guint));

    for (unsigned tries = 0; chosen->len < EDITED_FILES && tries < 100000; tries++) {
        guint i = random_below(b, b->files->len);
        const File *file = g_ptr_array_index(b->files, i);

        if (file->size >= EDITED_BYTES_MIN && file->size <= EDITED_BYTES_MAX &&
            !g_str_has_suffix(file->path, ".gz")) {
            g_array_append_val(chosen, i);
        }
    }
    return chosen;
}

/* At least so many bytes of the files that come after one that is edited. */
static GString *other_content(const Bench *b, const GArray *chosen, guint i, size_t bytes)
{
    GString *other = g_string_new(NULL);

    while (other->len < bytes) {
        guint number = g_array_index(chosen, guint, ++i % chosen->len);
        size_t size;
        g_autofree char *content = read_content(g_ptr_array_index(b->files, number),
                                                &size);
        g_string_append_len(other, content, size);
    }
    return other;
}

/* The queries are all's in the end. */
static void try_edit(Bench *b, const GArray *chosen, Edit edit, unsigned percent,
                     GArray *all)
{
    g_autoptr(GArray) queries = g_array_new(FALSE, TRUE, sizeof(Query));
    g_autofree char *what = g_strdup_printf("%s %u", edit_names[edit], percent);

    for (guint i = 0; i < chosen->len; i++) {
        Query query = { .right = g_array_index(chosen, guint, i) };
        size_t size;
        g_autofree char *bytes =
            read_content(g_ptr_array_index(b->files, query.right), &size);
        g_autoptr(GString) content = g_string_new_len(bytes, size);
        g_autoptr(GString) other = other_content(
            b, chosen, i, MAX(size, foreign_bytes(size, percent)));
        g_autoptr(GString) edited = edit_content(b, edit, percent, content, other->str);

        digest_content(b, edited->str, edited->len, query.digests, NULL);
        g_array_append_val(queries, query);
    }
    search(b, queries);
    print_summary(b, what, queries);
    g_array_append_vals(all, queries->data, queries->len);
}

static void try_edits(Bench *b)
{
    g_autoptr(GArray) chosen = choose_edited(b);

    for (Edit edit = 0; edit < EDITS && chosen->len > 1; edit++) {
        const unsigned *percents = edit < EDIT_APPEND ? edit_percents : foreign_percents;
        g_autoptr(GArray) queries = new_queries();

        for (size_t i = 0; i < G_N_ELEMENTS(edit_percents); i++) {
            try_edit(b, chosen, edit, percents[i], queries);
        }
        write_curves(b, edit_names[edit], queries);
    }
}

static void print_rates(const Bench *b, const char *what, const Work *work)
{
    printf("%s, %.1f MB\n", what, work->bytes / 1e6);
    for (unsigned m = 0; m < b->n_methods && work->bytes; m++) {
        printf("    %-18s %8.1f MB/s, %6.1f times the time of %s\n",
               likeness_methods[m]->name, work->bytes / work->seconds[m] / 1e6,
               work->seconds[m] / work->seconds[0], likeness_methods[0]->name);
        fprintf(b->results, "rate\t%s\t%s\t%.6f\n", what, likeness_methods[m]->name,
                work->bytes / work->seconds[m] / 1e6);
    }
}

static void print_all_rates(const Bench *b)
{
    print_rates(b, "all files", &b->all);
    for (unsigned s = 0; s < SIZES; s++) {
        g_autofree char *what =
            size_bounds[s] == SIZE_MAX
                ? g_strdup("larger files")
                : g_strdup_printf("files up to %zu KiB", size_bounds[s] >> 10);

        print_rates(b, what, &b->by_size[s]);
    }
}

int main(int argc, char **argv)
{
    Bench b = { .random = 1 };

    if (argc != 3 && argc != 4) {
        g_printerr("usage: bench-likeness OLD NEW [RESULTS]\n");
        return 1;
    }
    b.results = fopen(argc == 4 ? argv[3] : "/dev/null", "w");
    if (!b.results) {
        perror(argv[3]);
        return 1;
    }
    /* What has been measured can be read before all has. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(b.results, NULL, _IOLBF, 0);
    while (likeness_methods[b.n_methods]) {
        b.n_methods++;
    }
    b.files = list_files(argv[2]);
    digest_files(&b);
    print_all_rates(&b);
    compare_versions(&b, argv[1]);
    try_edits(&b);
    return fclose(b.results) == 0 ? 0 : 1;
}
