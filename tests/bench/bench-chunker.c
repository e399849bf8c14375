/*
 * Chunker: speed of every kernel, and how much of real data it finds again.
 *
 *     bench-chunker speed [FILE]
 *     bench-chunker dedup AVERAGE FILE...
 *
 * dedup cuts away blocks of zeros first, as the encoder does, and compares with a table
 * gear hash without normalised lengths.
 */
#include "engram/chunker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define ZERO_BLOCK_BYTES 4096
#define SPEED_BYTES (64u << 20)
#define SPEED_ROUNDS 7

typedef struct Cutter Cutter;
struct Cutter {
    const char *name;
    Chunker chunker;
    size_t (*next)(const Cutter *cutter, const uint8_t *data, size_t len);
};

typedef struct Totals {
    GHashTable *seen;
    uint64_t bytes, unique_bytes;
    uint64_t chunks, unique_chunks;
} Totals;

static uint64_t gear[256];

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

static size_t next_chunker(const Cutter *cutter, const uint8_t *data, size_t len)
{
    return chunker_next(&cutter->chunker, data, len, true);
}

static size_t next_gear(const Cutter *cutter, const uint8_t *data, size_t len)
{
    const ChunkerParams *p = &cutter->chunker.params;
    /* Gives nearly the same average length as the chunker with its two limits. */
    uint64_t limit = UINT64_MAX / (p->average_bytes - p->min_bytes);
    size_t end = MIN(len, p->max_bytes);
    uint64_t hash = 0;

    if (len <= p->min_bytes) {
        return len;
    }
    for (size_t n = p->min_bytes - 64; n < end; n++) {
        hash = (hash << 1) + gear[data[n]];
        if (n >= p->min_bytes && hash < limit) {
            return n + 1;
        }
    }
    return end;
}

static void count_chunk(Totals *t, const uint8_t *data, size_t len)
{
    XXH128_hash_t h = XXH3_128bits(data, len);
    uint64_t key = h.low64 ^ (h.high64 * 0x9E3779B97F4A7C15);

    t->bytes += len;
    t->chunks++;
    if (g_hash_table_add(t->seen, g_memdup2(&key, sizeof(key)))) {
        t->unique_bytes += len;
        t->unique_chunks++;
    }
}

static bool is_zero(const uint8_t *data, size_t len)
{
    return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

static void count_extents(Totals *t, const Cutter *cutter, const uint8_t *data,
                          size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t end = at;

        while (end < size &&
               !is_zero(data + end, MIN(ZERO_BLOCK_BYTES, size - end))) {
            end += MIN(ZERO_BLOCK_BYTES, size - end);
        }
        while (at < end) {
            size_t len = cutter->next(cutter, data + at, end - at);
            count_chunk(t, data + at, len);
            at += len;
        }
        at += MIN(ZERO_BLOCK_BYTES, size - at);
    }
}

static GMappedFile *map_file(const char *path)
{
    g_autoptr(GError) err = NULL;
    GMappedFile *file = g_mapped_file_new(path, FALSE, &err);

    if (!file) {
        g_printerr("%s\n", err->message);
        exit(1);
    }
    return file;
}

static int dedup(uint32_t average, char **paths, int n_paths)
{
    Cutter cutters[] = {
        { .name = "table gear", .next = next_gear },
        { .name = "chunker", .next = next_chunker },
    };
    ChunkerParams params;

    params = (ChunkerParams){
        .min_bytes = average / 4,
        .average_bytes = average,
        .max_bytes = average * 8,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cutters); i++) {
        g_autoptr(GHashTable) seen =
            g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
        g_autoptr(GError) err = NULL;
        Totals before = { 0 }, t = { .seen = seen };

        if (!chunker_init(&cutters[i].chunker, &params, &err)) {
            g_printerr("%s\n", err->message);
            return 1;
        }
        for (int f = 0; f < n_paths; f++) {
            g_autoptr(GMappedFile) file = map_file(paths[f]);

            count_extents(&t, &cutters[i],
                          (const uint8_t *)g_mapped_file_get_contents(file),
                          g_mapped_file_get_length(file));
            printf("%-10s %s: %.1f MB, %" PRIu64 " chunks, average %.0f bytes; new: "
                   "%.1f MB, %" PRIu64 " chunks\n",
                   cutters[i].name, paths[f], (t.bytes - before.bytes) / 1e6,
                   t.chunks - before.chunks,
                   (double)(t.bytes - before.bytes) / (t.chunks - before.chunks),
                   (t.unique_bytes - before.unique_bytes) / 1e6,
                   t.unique_chunks - before.unique_chunks);
            before = t;
        }
    }
    return 0;
}

static void time_cutter(const Cutter *cutter, const uint8_t *data, size_t size)
{
    gint64 best = G_MAXINT64;
    uint64_t chunks = 0;

    for (int round = 0; round < SPEED_ROUNDS; round++) {
        gint64 start = g_get_monotonic_time();

        chunks = 0;
        for (size_t at = 0; at < size; chunks++) {
            at += cutter->next(cutter, data + at, size - at);
        }
        best = MIN(best, g_get_monotonic_time() - start);
    }
    printf("%-10s %6.2f GB/s, average %" PRIu64 " bytes\n", cutter->name,
           size / 1e3 / best, size / chunks);
}

static int speed(const char *path)
{
    g_autofree uint64_t *random = g_new(uint64_t, SPEED_BYTES / 8);
    g_autoptr(GMappedFile) file = path ? map_file(path) : NULL;
    const uint8_t *data = (const uint8_t *)random;
    size_t size = SPEED_BYTES;
    uint64_t state = 2;
    Cutter cutter = { .name = "table gear", .next = next_gear };
    ChunkerParams params;

    for (size_t i = 0; i < SPEED_BYTES / 8; i++) {
        random[i] = splitmix64(&state);
    }
    if (file) {
        data = (const uint8_t *)g_mapped_file_get_contents(file);
        size = g_mapped_file_get_length(file);
    }
    chunker_params_init(&params);
    chunker_init(&cutter.chunker, &params, NULL);
    time_cutter(&cutter, data, size);
    cutter.next = next_chunker;
    for (const ChunkerKernel *const *k = chunker_kernels(); *k; k++) {
        cutter.chunker.kernel = *k;
        cutter.name = chunker_kernel_name(*k);
        time_cutter(&cutter, data, size);
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t state = 1;

    for (size_t i = 0; i < 256; i++) {
        gear[i] = splitmix64(&state);
    }
    if (argc >= 2 && argc <= 3 && strcmp(argv[1], "speed") == 0) {
        return speed(argv[2]);
    }
    if (argc >= 4 && strcmp(argv[1], "dedup") == 0) {
        return dedup((uint32_t)atoi(argv[2]), argv + 3, argc - 3);
    }
    g_printerr("usage: bench-chunker speed [FILE] | dedup AVERAGE FILE...\n");
    return 1;
}
