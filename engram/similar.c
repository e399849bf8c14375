/*
 * Vectors of many images side by side.
 */
#include "engram/similar.h"

#include <math.h>

#include "engram/directory-iter.h"

/* Similarities of pairs of images at a directory; NAN where one of them lacks it. */
typedef struct Level {
    char *path;
    double *pairs;
} Level;

typedef struct Similar {
    DirectoryIter *iters;
    unsigned n;
    unsigned wanted;
    GPtrArray *levels;              /* of Level *: the directories on the way */
    const char *folder;             /* of the volume they are in */
    EngramSimilarResult *result;
} Similar;

static size_t pair_count(unsigned n)
{
    return (size_t)n * (n - 1) / 2;
}

static void level_free(gpointer data)
{
    Level *level = data;

    g_free(level->path);
    g_free(level->pairs);
    g_free(level);
}

static void directory_free(gpointer data)
{
    EngramSimilarDirectory *d = data;

    g_free(d->path);
    g_free(d);
}

void engram_similar_result_clear(EngramSimilarResult *result)
{
    g_clear_pointer(&result->similarities, g_free);
    g_clear_pointer(&result->directories, g_ptr_array_unref);
}

double engram_similar_pair(const EngramSimilarResult *result, unsigned i, unsigned j)
{
    return result->similarities[(size_t)i * result->n_images + j];
}

static double similarity(const DirectoryIter *a, const DirectoryIter *b)
{
    return MAX(hypervec_similarity(vector_space(), a->vector, b->vector), 0);
}

/* The first directory that any of them is at; NULL: there are no more. */
static const DirectoryIter *find_first(const Similar *s)
{
    const DirectoryIter *first = NULL;

    for (unsigned i = 0; i < s->n; i++) {
        const DirectoryIter *it = &s->iters[i];

        if (it->has && (!first || directory_iter_compare(it, first) < 0)) {
            first = it;
        }
    }
    return first;
}

static Level *top(const Similar *s)
{
    return s->levels->len ? g_ptr_array_index(s->levels, s->levels->len - 1) : NULL;
}

/* Leaves what the directory is not in. */
static void leave_others(Similar *s, const DirectoryIter *it)
{
    if (!s->folder || strcmp(s->folder, it->folder) != 0) {
        g_ptr_array_set_size(s->levels, 0);
        s->folder = it->folder;
    }
    while (top(s)) {
        const char *path = top(s)->path;
        size_t bytes = strlen(path);

        if (!bytes ||
            (strncmp(it->path->str, path, bytes) == 0 && it->path->str[bytes] == '/')) {
            break;
        }
        g_ptr_array_set_size(s->levels, s->levels->len - 1);
    }
}

static char *shown_path(const DirectoryIter *it)
{
    return g_strdup_printf("%s%s%s%s", *it->folder ? "/" : "", it->folder,
                           it->path->len ? "/" : "", it->path->str);
}

static gint compare_directories(const EngramSimilarDirectory *a,
                                const EngramSimilarDirectory *b)
{
    return (a->drift < b->drift) - (a->drift > b->drift);
}

/* Keeps those that are wanted, in order; of equal ones those that come first. */
static void keep_directory(Similar *s, const EngramSimilarDirectory *found,
                           const DirectoryIter *it)
{
    GPtrArray *list = s->result->directories;
    guint place = list->len;

    while (place && compare_directories(found, g_ptr_array_index(list, place - 1)) < 0) {
        place--;
    }
    if (place == s->wanted) {
        return;
    }
    EngramSimilarDirectory *kept = g_memdup2(found, sizeof(*found));
    kept->path = shown_path(it);
    g_ptr_array_insert(list, place, kept);
    if (list->len > s->wanted) {
        g_ptr_array_set_size(list, s->wanted);
    }
}

/* What the pairs that have both directory and parent say. */
static void judge(Similar *s, const DirectoryIter *it, const double *pairs,
                  const double *parents, unsigned images)
{
    EngramSimilarDirectory d = { .images = images };
    double least = 2;
    size_t pair = 0, n = 0;

    for (unsigned i = 0; i < s->n; i++) {
        for (unsigned j = i + 1; j < s->n; j++, pair++) {
            if (isnan(pairs[pair]) || isnan(parents[pair])) {
                continue;
            }
            d.drift += parents[pair] * (1 - pairs[pair]);
            d.similarity += pairs[pair];
            d.parent_similarity += parents[pair];
            n++;
            if (pairs[pair] < least) {
                least = pairs[pair];
                d.first = i;
                d.second = j;
            }
        }
    }
    if (n && d.drift > 0) {
        d.drift /= n;
        d.similarity /= n;
        d.parent_similarity /= n;
        keep_directory(s, &d, it);
    }
}

/* Compares a directory in all images that have it, and enters it. */
static void compare_directory(Similar *s, const DirectoryIter *it, const bool *has)
{
    Level *level = g_new0(Level, 1);
    unsigned images = 0;
    size_t pair = 0;

    level->path = g_strdup(it->path->str);
    level->pairs = g_new(double, pair_count(s->n));
    for (unsigned i = 0; i < s->n; i++) {
        images += has[i];
        for (unsigned j = i + 1; j < s->n; j++, pair++) {
            level->pairs[pair] =
                has[i] && has[j] ? similarity(&s->iters[i], &s->iters[j]) : NAN;
        }
    }
    leave_others(s, it);
    if (top(s) && s->wanted) {
        judge(s, it, level->pairs, top(s)->pairs, images);
    }
    g_ptr_array_add(s->levels, level);
}

static bool coroutine_fn co_compare_directories(Similar *s, GError **errp)
{
    g_autofree bool *has = g_new(bool, s->n);
    const DirectoryIter *first;

    while ((first = find_first(s))) {
        for (unsigned i = 0; i < s->n; i++) {
            has[i] = s->iters[i].has && directory_iter_compare(&s->iters[i], first) == 0;
        }
        compare_directory(s, first, has);
        for (unsigned i = 0; i < s->n; i++) {
            if (has[i] && !directory_iter_co_next(&s->iters[i], errp)) {
                return false;
            }
        }
    }
    return true;
}

/* The vectors that the images have themselves are left at the end. */
static void compare_images(Similar *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        for (unsigned j = 0; j < s->n; j++) {
            s->result->similarities[(size_t)i * s->n + j] =
                similarity(&s->iters[i], &s->iters[j]);
        }
    }
}

static bool coroutine_fn co_start(Similar *s, const GPtrArray *catalogs, GError **errp)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (!directory_iter_co_init(&s->iters[i], g_ptr_array_index(catalogs, i), errp) ||
            !directory_iter_co_next(&s->iters[i], errp)) {
            return false;
        }
    }
    return true;
}

bool coroutine_fn engram_similar_co_run(const GPtrArray *catalogs, unsigned directories,
                                        EngramSimilarResult *result, GError **errp)
{
    Similar s = {
        .iters = g_new0(DirectoryIter, catalogs->len),
        .n = catalogs->len,
        .wanted = directories,
        .levels = g_ptr_array_new_with_free_func(level_free),
        .result = result,
    };

    *result = (EngramSimilarResult){
        .n_images = s.n,
        .similarities = g_new0(double, (size_t)s.n * s.n),
        .directories = g_ptr_array_new_with_free_func(directory_free),
    };
    bool ok = co_start(&s, catalogs, errp) && co_compare_directories(&s, errp);
    if (ok) {
        compare_images(&s);
    }
    for (unsigned i = 0; i < s.n; i++) {
        directory_iter_clear(&s.iters[i]);
    }
    g_free(s.iters);
    g_ptr_array_unref(s.levels);
    return ok;
}
