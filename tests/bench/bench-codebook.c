/*
 * Codebook: time of lookups and inserts, and memory, as it grows.
 *
 *     bench-codebook [MILLIONS]
 */
#include "engram/codebook.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void digest_of(uint64_t number, uint8_t digest[ENGRAM_DIGEST_BYTES])
{
    for (int i = 0; i < 2; i++) {
        uint64_t z = number * 2 + i + 0x9e3779b97f4a7c15;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        be64_store(digest + 8 * i, z ^ (z >> 31));
    }
}

static size_t resident_bytes(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL)) {
        return 0;
    }
    return strtoull(strchr(text, ' '), NULL, 10) * sysconf(_SC_PAGESIZE);
}

static double cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static double time_ns(Codebook *c, uint64_t from, uint64_t to, bool add,
                      uint64_t *found)
{
    uint8_t digest[ENGRAM_DIGEST_BYTES] = { 0 };
    double start = cpu_ns();

    for (uint64_t i = from; i < to; i++) {
        CodebookPlace place = { .frame = i >> 7, .position = i & 127 };

        digest_of(i, digest);
        *found += add ? codebook_find_or_add(c, digest, &place)
                      : codebook_find(c, digest, &place);
    }
    return (cpu_ns() - start) / (to - from);
}

int main(int argc, char **argv)
{
    uint64_t end = (argc > 1 ? strtoull(argv[1], NULL, 10) : 16) * 1000000;
    g_autoptr(Codebook) c = codebook_new();
    size_t before = resident_bytes();
    uint64_t count = 0;

    for (uint64_t next = MIN(10000, end); count < end; next = MIN(2 * next, end)) {
        uint64_t found = 0;
        double add = time_ns(c, count, next, true, &found);
        double known = time_ns(c, 0, next, false, &found);
        double unknown = time_ns(c, end, end + next, false, &found);

        printf("%9" PRIu64 " chunks: add %3.0f ns, known %3.0f ns, unknown %3.0f ns; "
               "%.1f bytes each, resident %.1f\n",
               next, add, known, unknown, (double)codebook_memory(c) / next,
               (double)(resident_bytes() - before) / next);
        if (found != next) {
            g_error("found %" PRIu64, found);
        }
        count = next;
    }
    return 0;
}
