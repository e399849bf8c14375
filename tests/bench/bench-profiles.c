/*
 * Profiles: what each class of a tree of files comes to, and what other levels and
 * frame sizes would make of it.
 *
 *     bench-profiles DIR [TABLE.json]            with the table's levels and sizes
 *     bench-profiles -g LEVEL DIR [TABLE.json]   with levels 1 to LEVEL, and frames of
 *                                                256 KiB to 4 MiB
 *
 * Files are cut into chunks in the order of a walk, chunks seen before are left out,
 * and those of a profile fill its frames, as when an image is encoded.  Times are of
 * the CPU.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <xxhash.h>
#include <zstd.h>

#include "engram/chunker.h"
#include "engram/profile.h"

#define ZERO_BLOCK_BYTES 4096
#define STRETCH_BYTES (4u << 20)

typedef struct Class {
    const Profile *profile;
    uint64_t files, bytes;
    GByteArray *chunks;         /* the new ones */
} Class;

typedef struct Bench {
    const char *root;
    ProfileSet *profiles;
    Class *classes;
    guint n_classes;
    Chunker chunker;
    GHashTable *seen;
} Bench;

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void add_chunk(Bench *b, Class *class, const uint8_t *data, size_t len)
{
    uint64_t key = XXH3_64bits(data, len);

    if (g_hash_table_add(b->seen, g_memdup2(&key, sizeof(key)))) {
        g_byte_array_append(class->chunks, data, len);
    }
}

static bool is_zero(const uint8_t *data, size_t len)
{
    return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

/* Cuts what lies between blocks of zeroes. */
static void add_stretch(Bench *b, Class *class, const uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size; at += MIN(ZERO_BLOCK_BYTES, size - at)) {
        size_t end = at;

        while (end < size && !is_zero(data + end, MIN(ZERO_BLOCK_BYTES, size - end))) {
            end += MIN(ZERO_BLOCK_BYTES, size - end);
        }
        while (at < end) {
            size_t len = chunker_next(&b->chunker, data + at, end - at, true);

            add_chunk(b, class, data + at, len);
            at += len;
        }
    }
}

static unsigned choose(const Bench *b, const char *path, const uint8_t *data,
                       size_t size)
{
    int number = profile_for_path(b->profiles, path);

    if (number < 0) {
        number = profile_for_magic(b->profiles, data, size);
    }
    if (number < 0) {
        number = profile_for_content(b->profiles, PROFILE_CONTENT_UNKNOWN);
    }
    return number;
}

static void add_file(Bench *b, const char *path)
{
    g_autofree char *name = g_build_filename(b->root, path, NULL);
    g_autoptr(GError) error = NULL;
    GMappedFile *file = g_mapped_file_new(name, FALSE, &error);
    const uint8_t *data;
    Class *class;
    size_t size;

    if (!file) {
        g_printerr("%s\n", error->message);
        exit(EXIT_FAILURE);
    }
    data = (const uint8_t *)g_mapped_file_get_contents(file);
    size = g_mapped_file_get_length(file);
    class = &b->classes[choose(b, path, data, size)];
    class->files++;
    class->bytes += size;
    for (size_t at = 0; at < size; at += STRETCH_BYTES) {
        add_stretch(b, class, data + at, MIN(STRETCH_BYTES, size - at));
    }
    g_mapped_file_unref(file);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *sorted_names(const char *directory)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(directory, 0, &error);
    const char *name;

    if (!dir) {
        g_printerr("%s\n", error->message);
        exit(EXIT_FAILURE);
    }
    while ((name = g_dir_read_name(dir))) {
        g_ptr_array_add(names, g_strdup(name));
    }
    g_ptr_array_sort(names, compare_names);
    return names;
}

static void walk(Bench *b, const char *path)
{
    g_autofree char *directory = g_build_filename(b->root, path, NULL);
    g_autoptr(GPtrArray) names = sorted_names(directory);

    for (guint i = 0; i < names->len; i++) {
        g_autofree char *below = *path ? g_strconcat(path, "/", names->pdata[i], NULL)
                                       : g_strdup(names->pdata[i]);
        g_autofree char *full = g_build_filename(b->root, below, NULL);
        struct stat st;

        if (lstat(full, &st) < 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            walk(b, below);
        } else if (S_ISREG(st.st_mode) && st.st_size > 0) {
            add_file(b, below);
        }
    }
}

/* What chunks come to in frames; a frame that saves less than 1/64 is stored. */
static uint64_t compress(const GByteArray *chunks, size_t frame_bytes, int level,
                         double *seconds)
{
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    size_t room = ZSTD_compressBound(frame_bytes);
    g_autofree char *out = g_malloc(room);
    double start = cpu_seconds();
    uint64_t stored = 0;

    for (size_t at = 0; at < chunks->len; at += frame_bytes) {
        size_t len = MIN(frame_bytes, chunks->len - at);
        size_t n = ZSTD_compressCCtx(zstd, out, room, chunks->data + at, len, level);

        g_assert(!ZSTD_isError(n));
        stored += n > len - len / 64 ? len : n;
    }
    *seconds = cpu_seconds() - start;
    ZSTD_freeCCtx(zstd);
    return stored;
}

static void with_the_table(const Bench *b)
{
    uint64_t all = 0, all_stored = 0;
    double all_seconds = 0;

    for (guint i = 0; i < b->n_classes; i++) {
        const Class *c = &b->classes[i];
        uint64_t stored = c->chunks->len;
        double seconds = 0;

        if (c->profile->codec == ENGRAM_CODEC_ZSTD) {
            stored = compress(c->chunks, c->profile->frame_size, c->profile->level,
                              &seconds);
        }
        printf("%-12s %6" PRIu64 " files %8.2f MB, new %8.2f -> %8.2f MB %6.2f s\n",
               c->profile->name, c->files, c->bytes / 1e6, c->chunks->len / 1e6,
               stored / 1e6, seconds);
        all += c->chunks->len;
        all_stored += stored;
        all_seconds += seconds;
    }
    printf("all: new %.2f -> %.2f MB, %.2f s\n", all / 1e6, all_stored / 1e6,
           all_seconds);
}

static void with_others(const Bench *b, int max_level)
{
    for (guint i = 0; i < b->n_classes; i++) {
        const Class *c = &b->classes[i];

        if (c->chunks->len == 0) {
            continue;
        }
        printf("%s: new %.2f MB\n", c->profile->name, c->chunks->len / 1e6);
        for (int level = 1; level <= max_level; level++) {
            printf("  level %2d", level);
            for (size_t kib = 256; kib <= 4096; kib *= 2) {
                double seconds;
                uint64_t stored = compress(c->chunks, kib << 10, level, &seconds);

                printf("  %4zuK %7.2f MB %5.2f s", kib, stored / 1e6, seconds);
                fflush(stdout);
            }
            printf("\n");
        }
    }
}

int main(int argc, char **argv)
{
    bool others = argc > 3 && strcmp(argv[1], "-g") == 0;
    char **args = argv + (others ? 3 : 1);
    g_autoptr(GError) error = NULL;
    Bench b = { .root = args[0] };
    ChunkerParams params;

    if (!args[0]) {
        g_printerr("usage: bench-profiles [-g LEVEL] DIR [TABLE.json]\n");
        return EXIT_FAILURE;
    }
    b.profiles = profile_set_load(args[1], &error);
    if (!b.profiles) {
        g_printerr("%s\n", error->message);
        return EXIT_FAILURE;
    }
    b.n_classes = profile_set_table(b.profiles)->profiles->len;
    b.classes = g_new0(Class, b.n_classes);
    for (guint i = 0; i < b.n_classes; i++) {
        b.classes[i].profile = profile_set_table(b.profiles)->profiles->pdata[i];
        b.classes[i].chunks = g_byte_array_new();
    }
    chunker_params_init(&params);
    chunker_init(&b.chunker, &params, NULL);
    b.seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    walk(&b, "");
    if (others) {
        with_others(&b, atoi(argv[2]));
    } else {
        with_the_table(&b);
    }
    return EXIT_SUCCESS;
}
