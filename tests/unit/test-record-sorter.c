#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/lib/assert-quickly.h"
#include "util/record-sorter.h"

typedef struct Record {
    uint64_t key;
    uint64_t number;            /* in order of insertion */
    uint8_t rest[40];
} Record;

static int compare_keys(const void *a, const void *b)
{
    const Record *x = a, *y = b;

    return (x->key > y->key) - (x->key < y->key);
}

static Record make_record(uint64_t key, uint64_t number)
{
    Record record = { .key = key, .number = number };

    memset(record.rest, (int)(key * 31 + number), sizeof(record.rest));
    return record;
}

static bool is_whole(const Record *record)
{
    Record expected = make_record(record->key, record->number);

    return memcmp(record, &expected, sizeof(expected)) == 0;
}

/* Adds n records, of keys below keys, and reads them back: all there, in order, equal
 * ones in order of insertion. */
static void sort_random(size_t n, uint32_t keys, size_t max_bytes)
{
    g_autoptr(RecordSorter) s =
        record_sorter_new(sizeof(Record), compare_keys, max_bytes, NULL);
    g_autoptr(GRand) rand = g_rand_new_with_seed(n);
    g_autofree bool *seen = g_new0(bool, n);
    g_autoptr(GError) error = NULL;
    Record before = { 0 }, record;

    for (size_t i = 0; i < n; i++) {
        record = make_record(g_rand_int(rand) % keys, i);
        ASSERT_QUICKLY(record_sorter_add(s, &record, &error));
    }
    ck_assert_uint_eq(record_sorter_count(s), n);
    ck_assert(record_sorter_finish(s, &error));
    for (size_t i = 0; i < n; i++) {
        ASSERT_QUICKLY(record_sorter_next(s, &record, &error) == 1);
        ASSERT_QUICKLY(is_whole(&record));
        ASSERT_QUICKLY(record.number < n && !seen[record.number]);
        seen[record.number] = true;
        ASSERT_QUICKLY(i == 0 || record.key > before.key ||
                       (record.key == before.key && record.number > before.number));
        before = record;
    }
    ck_assert_int_eq(record_sorter_next(s, &record, &error), 0);
    ck_assert_int_eq(record_sorter_next(s, &record, &error), 0);
}

START_TEST(in_memory)
{
    static const size_t counts[] = { 0,  1,  2,   3,    7,    8,    9,    15,   16,
                                     17, 31, 100, 1000, 4680, 4681, 4682, 50000 };

    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        sort_random(counts[i], UINT32_MAX, 64 << 20);
        sort_random(counts[i], 10, 64 << 20);
        sort_random(counts[i], 1, 64 << 20);
    }
}
END_TEST

START_TEST(in_one_level_of_runs)
{
    /* 4681 records fill the memory. */
    static const size_t counts[] = { 4681, 4682, 9362, 9363, 4 * 4681 };

    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        sort_random(counts[i], UINT32_MAX, RECORD_SORTER_MIN_BYTES);
        sort_random(counts[i], 100, RECORD_SORTER_MIN_BYTES);
    }
    sort_random(200000, 1000, 1 << 20);
}
END_TEST

/* Four runs can be merged at once in that much memory. */
START_TEST(in_many_levels_of_runs)
{
    sort_random(4 * 4681 + 1, 1000, RECORD_SORTER_MIN_BYTES);
    sort_random(16 * 4681 + 1, 1000, RECORD_SORTER_MIN_BYTES);
    sort_random(400000, UINT32_MAX, RECORD_SORTER_MIN_BYTES);
}
END_TEST

START_TEST(sorted_and_reversed)
{
    for (int reversed = 0; reversed < 2; reversed++) {
        g_autoptr(RecordSorter) s =
            record_sorter_new(sizeof(Record), compare_keys, 1 << 20, NULL);
        g_autoptr(GError) error = NULL;
        Record record;

        for (uint64_t i = 0; i < 100000; i++) {
            record = make_record(reversed ? 99999 - i : i, i);
            ASSERT_QUICKLY(record_sorter_add(s, &record, &error));
        }
        ck_assert(record_sorter_finish(s, &error));
        for (uint64_t i = 0; i < 100000; i++) {
            ASSERT_QUICKLY(record_sorter_next(s, &record, &error) == 1);
            ASSERT_QUICKLY(record.key == i && is_whole(&record));
        }
        ck_assert_int_eq(record_sorter_next(s, &record, &error), 0);
    }
}
END_TEST

static int compare_first_byte(const void *a, const void *b)
{
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

/* One byte, odd sizes, and the largest. */
START_TEST(sizes_of_records)
{
    static const size_t sizes[] = { 1, 3, 17, 4096 };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(RecordSorter) s = record_sorter_new(sizes[i], compare_first_byte,
                                                      RECORD_SORTER_MIN_BYTES, NULL);
        size_t n = (2 << 20) / sizes[i];
        g_autofree uint8_t *record = g_malloc(sizes[i]);
        g_autoptr(GError) error = NULL;
        size_t counts[256] = { 0 };
        int before = 0;

        for (size_t k = 0; k < n; k++) {
            memset(record, (int)(k * 2654435761 >> 7), sizes[i]);
            counts[record[0]]++;
            ASSERT_QUICKLY(record_sorter_add(s, record, &error));
        }
        ck_assert(record_sorter_finish(s, &error));
        for (size_t k = 0; k < n; k++) {
            ASSERT_QUICKLY(record_sorter_next(s, record, &error) == 1);
            ASSERT_QUICKLY(record[0] >= before && record[sizes[i] - 1] == record[0]);
            before = record[0];
            counts[before]--;
        }
        ck_assert_int_eq(record_sorter_next(s, record, &error), 0);
        for (int k = 0; k < 256; k++) {
            ck_assert_uint_eq(counts[k], 0);
        }
    }
}
END_TEST

static bool add_many(RecordSorter *s, size_t n, GError **errp)
{
    for (size_t i = 0; i < n; i++) {
        Record record = make_record(i, i);

        if (!record_sorter_add(s, &record, errp)) {
            return false;
        }
    }
    return true;
}

/* No file is made before one is needed. */
START_TEST(no_directory_for_the_file)
{
    g_autoptr(RecordSorter) small =
        record_sorter_new(sizeof(Record), compare_keys, 1 << 20, "/nonexistent");
    g_autoptr(RecordSorter) large =
        record_sorter_new(sizeof(Record), compare_keys, 1 << 20, "/nonexistent");
    g_autoptr(GError) error = NULL;

    ck_assert(add_many(small, 10000, &error));
    ck_assert(record_sorter_finish(small, &error));
    ck_assert(!add_many(large, 100000, &error));
    ck_assert_str_eq(error->message, "cannot make a temporary file in /nonexistent: "
                                     "No such file or directory");
}
END_TEST

START_TEST(file_cannot_grow)
{
    struct rlimit limit = { .rlim_cur = 4 << 20, .rlim_max = 4 << 20 };
    g_autoptr(RecordSorter) s =
        record_sorter_new(sizeof(Record), compare_keys, 1 << 20, NULL);
    g_autoptr(GError) error = NULL;

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert(!add_many(s, 200000, &error));
    ck_assert(g_error_matches(error, G_FILE_ERROR, g_file_error_from_errno(EFBIG)));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("record-sorter");
    TCase *tc = tcase_create("record-sorter");
    SRunner *runner = srunner_create(suite);

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, in_memory);
    tcase_add_test(tc, in_one_level_of_runs);
    tcase_add_test(tc, in_many_levels_of_runs);
    tcase_add_test(tc, sorted_and_reversed);
    tcase_add_test(tc, sizes_of_records);
    tcase_add_test(tc, no_directory_for_the_file);
    tcase_add_test(tc, file_cannot_grow);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
