/*
 * Runs a fuzzer without libFuzzer, the same way each time: every seed of a
 * corpus as it is, then a fixed number of mutations of the seeds.
 *
 *   fuzz-NAME [CORPUS...]              run; each CORPUS is a directory or one file
 *   fuzz-NAME --write N OUT CORPUS...  the input of run N to OUT, to look at
 *   fuzz-NAME --unpack OUT CORPUS...   the seeds, decompressed, for libFuzzer
 *
 * Seeds may be compressed (.gz, .zst).  EMBR_FUZZ_RUNS sets the number of
 * mutations, EMBR_FUZZ_SECONDS when to stop before having done them all.
 */
#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "mutate.h"

enum {
    DEFAULT_RUNS = 3000,
    DEFAULT_SECONDS = 5,
    HANG_SECONDS = 60,
    MAX_SEED_BYTES = 64 << 20,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __attribute__((weak)) LLVMFuzzerInitialize(int *argc, char ***argv);
/* Lets a fuzzer mend checksums after a mutation. */
size_t __attribute__((weak))
LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
void __attribute__((weak)) __sanitizer_set_death_callback(void (*callback)(void));

typedef struct Seed {
    char *name;
    uint8_t *data;
    size_t size;
} Seed;

static char run_name[512] = "start-up";
static Mutator mutator;

static void seed_free(gpointer data)
{
    Seed *seed = data;

    g_free(seed->name);
    g_free(seed->data);
    g_free(seed);
}

static G_GNUC_NORETURN void die(const char *path, const char *why)
{
    fprintf(stderr, "%s: %s\n", path, why);
    exit(2);
}

static void say_where(void)
{
    static const char prefix[] = "\nfuzzer died in ";

    if (write(STDERR_FILENO, prefix, sizeof(prefix) - 1) < 0 ||
        write(STDERR_FILENO, run_name, strlen(run_name)) < 0 ||
        write(STDERR_FILENO, "\n", 1) < 0) {
        return;
    }
}

static void on_signal(int signal_number)
{
    say_where();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void on_alarm(int signal_number)
{
    static const char text[] = "\nfuzzer: one input takes longer than a minute";

    (void)signal_number;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) > 0) {
        say_where();
    }
    _exit(1);
}

static void catch_deaths(void)
{
    signal(SIGALRM, on_alarm);
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(say_where);
        return;
    }
    static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGFPE, SIGILL };

    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
        signal(signals[i], on_signal);
    }
}

/* Sanitizers reserve far more addresses than they use. */
static void limit_memory(void)
{
    struct rlimit limit;

    if (!__sanitizer_set_death_callback && getrlimit(RLIMIT_AS, &limit) == 0) {
        limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)2 << 30);
        setrlimit(RLIMIT_AS, &limit);
    }
}

static void seed_gunzip(Seed *seed)
{
    g_autofree uint8_t *packed = seed->data;
    z_stream z = { .next_in = packed, .avail_in = seed->size };

    seed->data = g_malloc(MAX_SEED_BYTES);
    z.next_out = seed->data;
    z.avail_out = MAX_SEED_BYTES;
    if (inflateInit2(&z, 15 + 16) != Z_OK || inflate(&z, Z_FINISH) != Z_STREAM_END) {
        die(seed->name, "does not decompress to at most 64 MiB");
    }
    seed->size = z.total_out;
    inflateEnd(&z);
    seed->data = g_realloc(seed->data, MAX(seed->size, 1));
}

static void seed_unzstd(Seed *seed)
{
    g_autofree uint8_t *packed = seed->data;
    size_t size;

    seed->data = g_malloc(MAX_SEED_BYTES);
    size = ZSTD_decompress(seed->data, MAX_SEED_BYTES, packed, seed->size);
    if (ZSTD_isError(size)) {
        die(seed->name, ZSTD_getErrorName(size));
    }
    seed->size = size;
    seed->data = g_realloc(seed->data, MAX(size, 1));
}

static void load_file(GPtrArray *seeds, const char *path)
{
    g_autoptr(GError) error = NULL;
    Seed *seed = g_new0(Seed, 1);

    seed->name = g_path_get_basename(path);
    if (!g_file_get_contents(path, (char **)&seed->data, &seed->size, &error)) {
        die(path, error->message);
    }
    if (g_str_has_suffix(path, ".gz")) {
        seed_gunzip(seed);
    } else if (g_str_has_suffix(path, ".zst")) {
        seed_unzstd(seed);
    }
    g_ptr_array_add(seeds, seed);
}

static int compare_seeds(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const Seed *const *)a)->name, (*(const Seed *const *)b)->name);
}

static void load_corpus(GPtrArray *seeds, const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    if (!dir) {
        load_file(seeds, path);
    }
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        if (name[0] != '.') {
            load_file(seeds, file);
        }
    }
}

/* The seeds of n corpora; one of nothing if there are none. */
static GPtrArray *load_corpora(char **paths, int n)
{
    GPtrArray *seeds = g_ptr_array_new_with_free_func(seed_free);

    for (int i = 0; i < n; i++) {
        load_corpus(seeds, paths[i]);
    }
    g_ptr_array_sort(seeds, compare_seeds);
    if (seeds->len == 0) {
        Seed *seed = g_new0(Seed, 1);

        seed->name = g_strdup("nothing");
        seed->data = g_malloc0(1);
        g_ptr_array_add(seeds, seed);
    }
    return seeds;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    return mutate(&mutator, data, size, max_size);
}

/* The input of run n: first come the seeds as they are. */
static uint8_t *make_input(GPtrArray *seeds, unsigned n, size_t *size)
{
    const Seed *seed = seeds->pdata[n % seeds->len];
    size_t room = seed->size + MUTATE_MAX_GROWTH;
    g_autofree uint8_t *data = g_malloc(room);

    memcpy(data, seed->data, seed->size);
    *size = seed->size;
    g_snprintf(run_name, sizeof(run_name), "run %u (of seed %s)", n, seed->name);
    if (n >= seeds->len) {
        mutator_init(&mutator, n);
        *size = LLVMFuzzerCustomMutator
                    ? LLVMFuzzerCustomMutator(data, *size, room, n)
                    : mutate(&mutator, data, *size, room);
    }
    /* Of exactly that size, so that a sanitizer sees a read past its end. */
    return g_memdup2(data, MAX(*size, 1));
}

static unsigned number_from_environment(const char *name, unsigned otherwise)
{
    const char *value = g_getenv(name);

    return value ? (unsigned)g_ascii_strtoull(value, NULL, 10) : otherwise;
}

static void run_all(GPtrArray *seeds)
{
    unsigned runs = seeds->len + number_from_environment("EMBR_FUZZ_RUNS", DEFAULT_RUNS);
    int64_t seconds = number_from_environment("EMBR_FUZZ_SECONDS", DEFAULT_SECONDS);
    int64_t start_us = g_get_monotonic_time();
    unsigned n;

    for (n = 0; n < runs; n++) {
        size_t size;
        g_autofree uint8_t *data = NULL;

        if (n >= seeds->len &&
            g_get_monotonic_time() - start_us > seconds * G_USEC_PER_SEC) {
            break;
        }
        data = make_input(seeds, n, &size);
        alarm(HANG_SECONDS);
        LLVMFuzzerTestOneInput(data, size);
        alarm(0);
    }
    printf("%u seeds, %u of %u mutations, %.1f s\n", seeds->len, n - seeds->len,
           runs - seeds->len, (g_get_monotonic_time() - start_us) / 1e6);
}

static void save(const char *path, const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;

    if (!g_file_set_contents(path, (const char *)data, size, &error)) {
        die(path, error->message);
    }
}

static void unpack(GPtrArray *seeds, const char *out)
{
    if (g_mkdir_with_parents(out, 0777) < 0) {
        die(out, g_strerror(errno));
    }
    for (guint i = 0; i < seeds->len; i++) {
        const Seed *seed = seeds->pdata[i];
        g_autofree char *path = g_build_filename(out, seed->name, NULL);

        save(path, seed->data, seed->size);
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) seeds = NULL;

    if (LLVMFuzzerInitialize) {
        LLVMFuzzerInitialize(&argc, &argv);
    }
    if (argc >= 5 && g_str_equal(argv[1], "--write")) {
        size_t size;

        seeds = load_corpora(argv + 4, argc - 4);
        g_autofree uint8_t *data =
            make_input(seeds, (unsigned)g_ascii_strtoull(argv[2], NULL, 10), &size);
        save(argv[3], data, size);
        return 0;
    }
    if (argc >= 4 && g_str_equal(argv[1], "--unpack")) {
        seeds = load_corpora(argv + 3, argc - 3);
        unpack(seeds, argv[2]);
        return 0;
    }
    seeds = load_corpora(argv + 1, argc - 1);
    catch_deaths();
    limit_memory();
    run_all(seeds);
    return 0;
}
