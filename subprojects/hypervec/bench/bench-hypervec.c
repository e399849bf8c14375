/*
 * The rate of every operation with every kernel, or the one of that name.
 *
 *     bench-hypervec [-k KERNEL] [FILE]...
 *
 * Content is random bytes, or that of FILEs, each encoded whole and in pieces of 16
 * KiB. Beside the dots stands the rate at which one core adds up the same memory.
 */
#include "hypervec/hypervec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DIMENSION HYPERVEC_DIMENSION_DEFAULT
#define WORDS HYPERVEC_WORDS(DIMENSION)
#define CONTENT_BYTES ((size_t)64 << 20)
#define SEGMENT_BYTES ((size_t)4 << 20)
#define PIECE_BYTES ((size_t)16 << 10)
#define N_VECTORS 100000
#define ROUNDS 5

typedef struct Bench {
    HypervecSpace space;
    const uint8_t *content;
    size_t len;
    size_t piece;
    uint64_t *vectors;
    uint8_t *packed;
    size_t *packed_len;
    int32_t *dots;
    int32_t counts[DIMENSION];
} Bench;

/* Keeps what was computed from being left out. */
static volatile uint64_t sink;

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

/* Of this thread, so that others who use the machine count for less. */
static double cpu_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void *must_allocate(size_t bytes)
{
    void *memory = malloc(bytes);

    if (!memory) {
        perror("bench-hypervec");
        exit(1);
    }
    return memory;
}

static void encode(Bench *b)
{
    for (size_t at = 0; at < b->len; at += b->piece) {
        size_t len = b->len - at < b->piece ? b->len - at : b->piece;

        hypervec_encode(&b->space, b->counts, b->content + at, len);
    }
}

static void threshold(Bench *b)
{
    for (size_t i = 0; i < 1000; i++) {
        b->counts[i]++;
        hypervec_threshold(&b->space, b->vectors, b->counts,
                           hypervec_active_default(&b->space));
    }
}

static void bundle(Bench *b)
{
    for (size_t i = 0; i < N_VECTORS; i++) {
        hypervec_bundle(&b->space, b->counts, b->vectors + i * WORDS, i % 2 ? 1 : -1);
    }
}

static void bind(Bench *b)
{
    for (size_t i = 1; i < N_VECTORS; i++) {
        hypervec_bind(&b->space, b->vectors, b->vectors, b->vectors + i * WORDS);
    }
}

static void permute(Bench *b)
{
    uint64_t out[WORDS];

    for (size_t i = 0; i < N_VECTORS; i++) {
        hypervec_permute(&b->space, out, b->vectors + i * WORDS, (int64_t)i);
        sink += out[0];
    }
}

static void dots(Bench *b)
{
    hypervec_dots(&b->space, b->dots, b->vectors + WORDS, b->vectors, N_VECTORS);
}

static void pack(Bench *b)
{
    for (size_t i = 0; i < N_VECTORS; i++) {
        uint8_t *out = b->packed + i * HYPERVEC_PACKED_BYTES_MAX(DIMENSION);

        b->packed_len[i] = hypervec_pack(&b->space, out, b->vectors + i * WORDS);
    }
}

static void unpack(Bench *b)
{
    uint64_t out[WORDS];

    for (size_t i = 0; i < N_VECTORS; i++) {
        sink += hypervec_unpack(&b->space, out,
                                b->packed + i * HYPERVEC_PACKED_BYTES_MAX(DIMENSION),
                                b->packed_len[i], NULL);
    }
}

static void read_memory(Bench *b)
{
    uint64_t sums[8] = { 0 };

    for (size_t w = 0; w < (size_t)N_VECTORS * WORDS; w += 8) {
        for (int i = 0; i < 8; i++) {
            sums[i] += b->vectors[w + i];
        }
    }
    for (int i = 0; i < 8; i++) {
        sink += sums[i];
    }
}

/* The time of the fastest round. */
static double best_time(Bench *b, void (*run)(Bench *))
{
    double best = 1e9;

    for (int round = 0; round < ROUNDS; round++) {
        double start = cpu_seconds(), took;

        run(b);
        took = cpu_seconds() - start;
        best = took < best ? took : best;
    }
    return best;
}

static void print_rate(const Bench *b, const char *what, double bytes, double time)
{
    printf("%-9s %-22s %7.2f GB/s\n", hypervec_kernel_name(b->space.kernel), what,
           bytes / time / 1e9);
}

static void print_each(const Bench *b, const char *what, double n, double time)
{
    printf("%-9s %-22s %7.1f ns each\n", hypervec_kernel_name(b->space.kernel), what,
           time / n * 1e9);
}

static void make_vectors(Bench *b)
{
    uint64_t state = 1;

    memset(b->vectors, 0, (size_t)N_VECTORS * WORDS * 8);
    for (size_t i = 0; i < N_VECTORS; i++) {
        for (uint32_t n = hypervec_active_default(&b->space); n > 0; n--) {
            uint64_t x = splitmix64(&state);

            hypervec_set(&b->space, b->vectors + i * WORDS, (x >> 1) % DIMENSION,
                         x & 1 ? 1 : -1);
        }
    }
}

static void run_all(Bench *b)
{
    make_vectors(b);
    memset(b->counts, 0, sizeof(b->counts));
    b->piece = SEGMENT_BYTES;
    print_rate(b, "encode, 4 MiB each", (double)b->len, best_time(b, encode));
    b->piece = PIECE_BYTES;
    print_rate(b, "encode, 16 KiB each", (double)b->len, best_time(b, encode));
    print_each(b, "bundle", N_VECTORS, best_time(b, bundle));
    print_each(b, "threshold", 1000, best_time(b, threshold));
    make_vectors(b);
    print_each(b, "pack", N_VECTORS, best_time(b, pack));
    print_each(b, "unpack", N_VECTORS, best_time(b, unpack));
    print_each(b, "permute", N_VECTORS, best_time(b, permute));
    print_each(b, "dots", N_VECTORS, best_time(b, dots));
    print_rate(b, "dots", (double)N_VECTORS * WORDS * 8, best_time(b, dots));
    print_rate(b, "(sum of that memory)", (double)N_VECTORS * WORDS * 8,
               best_time(b, read_memory));
    print_each(b, "bind", N_VECTORS, best_time(b, bind));
}

static void read_files(Bench *b, char **paths, int n)
{
    uint8_t *content = must_allocate(CONTENT_BYTES);

    for (int i = 0; i < n; i++) {
        FILE *file = fopen(paths[i], "rb");

        if (!file) {
            perror(paths[i]);
            exit(1);
        }
        b->len += fread(content + b->len, 1, CONTENT_BYTES - b->len, file);
        fclose(file);
    }
    b->content = content;
}

static void make_content(Bench *b)
{
    uint64_t *content = must_allocate(CONTENT_BYTES);
    uint64_t state = 2;

    for (size_t i = 0; i < CONTENT_BYTES / 8; i++) {
        content[i] = splitmix64(&state);
    }
    b->content = (const uint8_t *)content;
    b->len = CONTENT_BYTES;
}

int main(int argc, char **argv)
{
    Bench *b = must_allocate(sizeof(*b));
    const char *only = NULL;
    bool found = false;

    if (argc > 2 && strcmp(argv[1], "-k") == 0) {
        only = argv[2];
        argc -= 2;
        argv += 2;
    }
    memset(b, 0, sizeof(*b));
    hypervec_space_init(&b->space, DIMENSION);
    if (argc > 1) {
        read_files(b, argv + 1, argc - 1);
    } else {
        make_content(b);
    }
    b->vectors = must_allocate((size_t)N_VECTORS * WORDS * 8);
    b->packed = must_allocate((size_t)N_VECTORS * HYPERVEC_PACKED_BYTES_MAX(DIMENSION));
    b->packed_len = must_allocate(N_VECTORS * sizeof(*b->packed_len));
    b->dots = must_allocate(N_VECTORS * sizeof(*b->dots));
    for (const HypervecKernel *const *k = hypervec_kernels(); *k; k++) {
        if (!only || strcmp(hypervec_kernel_name(*k), only) == 0) {
            b->space.kernel = *k;
            run_all(b);
            found = true;
        }
    }
    if (!found) {
        fprintf(stderr, "bench-hypervec: no kernel '%s' here\n", only);
        return 1;
    }
    return 0;
}
