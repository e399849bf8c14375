/*
 * RecordSorter: records of 56 bytes, in memory and with a file.
 *
 *     bench-record-sorter [MILLIONS [MIB_OF_MEMORY [DIR]]]
 */
#include "util/record-sorter.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct Record {
    uint64_t key;
    uint8_t rest[48];
} Record;

static int compare(const void *a, const void *b)
{
    const Record *x = a, *y = b;

    return (x->key > y->key) - (x->key < y->key);
}

static double seconds_since(gint64 start)
{
    return (g_get_monotonic_time() - start) / 1e6;
}

int main(int argc, char **argv)
{
    uint64_t n = (argc > 1 ? strtoull(argv[1], NULL, 10) : 10) * 1000000;
    size_t memory = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1024) << 20;
    g_autoptr(RecordSorter) s =
        record_sorter_new(sizeof(Record), compare, memory, argc > 3 ? argv[3] : NULL);
    g_autoptr(GError) error = NULL;
    gint64 start = g_get_monotonic_time();
    double added, finished;
    Record record = { 0 };
    uint64_t key = 1;
    int more = 1;

    for (uint64_t i = 0; i < n && more > 0; i++) {
        key ^= key << 13;
        key ^= key >> 7;
        key ^= key << 17;
        record.key = key;
        more = record_sorter_add(s, &record, &error) ? 1 : -1;
    }
    added = seconds_since(start);
    more = more > 0 && record_sorter_finish(s, &error) ? 1 : -1;
    finished = seconds_since(start);
    while (more > 0) {
        more = record_sorter_next(s, &record, &error);
    }
    if (more < 0) {
        g_printerr("%s\n", error->message);
        return EXIT_FAILURE;
    }
    printf("%" G_GUINT64_FORMAT
           " records: added %.2f s, finished %.2f s, read %.2f s\n",
           n, added, finished, seconds_since(start));
    return EXIT_SUCCESS;
}
