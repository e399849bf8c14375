/* Dirty bitmaps against an array of bools. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "block/dirty-bitmap.h"

enum { MAX_BITS = 200000, GRANULARITY_BITS = 9 };

typedef struct Model {
    DirtyBitmap *bitmap;
    uint64_t disk;
    bool *bits;
    uint64_t n;
} Model;

static void verify(const Model *m)
{
    uint64_t offset = 0, bytes, at = 0, count = 0, wrong = 0;

    ck_assert_uint_eq(dirty_bitmap_bits(m->bitmap), m->n);
    while (dirty_bitmap_next(m->bitmap, &offset, &bytes)) {
        uint64_t first = offset >> GRANULARITY_BITS;
        uint64_t last = (offset + bytes - 1) >> GRANULARITY_BITS;
        ck_assert_uint_le(offset + bytes, m->disk);
        for (; at < first; at++) {
            wrong += m->bits[at];
        }
        for (; at <= last; at++) {
            wrong += !m->bits[at];
            count++;
        }
        offset += bytes;
    }
    for (; at < m->n; at++) {
        wrong += m->bits[at];
    }
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(dirty_bitmap_count(m->bitmap), count);
}

static void resize(Model *m, uint64_t disk)
{
    uint64_t n = (disk + 511) >> GRANULARITY_BITS;

    ck_assert(dirty_bitmap_resize(m->bitmap, disk));
    for (uint64_t i = m->n; i < n; i++) {
        m->bits[i] = false;
    }
    m->disk = disk;
    m->n = n;
}

static void step(Model *m, GRand *rand)
{
    uint64_t offset = g_rand_double(rand) * m->disk;
    uint64_t bytes = g_rand_boolean(rand) ? g_rand_int_range(rand, 0, 5000)
                                          : g_rand_double(rand) * m->disk;
    uint64_t end = MIN(offset + bytes, m->disk);

    switch (g_rand_int_range(rand, 0, 8)) {
    case 0:
        dirty_bitmap_reset(m->bitmap, offset, bytes);
        for (uint64_t i = (offset + 511) / 512; i < (end == m->disk ? m->n : end / 512); i++) {
            m->bits[i] = false;
        }
        break;
    case 1:
        resize(m, 1 + g_rand_double(rand) * ((uint64_t)MAX_BITS * 512 - 1));
        break;
    case 2:
        if (g_rand_int_range(rand, 0, 6) == 0) {
            dirty_bitmap_clear(m->bitmap);
            memset(m->bits, 0, m->n * sizeof(bool));
        }
        break;
    default:
        dirty_bitmap_set(m->bitmap, offset, bytes);
        for (uint64_t i = offset / 512; end > offset && i <= (end - 1) / 512; i++) {
            m->bits[i] = true;
        }
    }
}

static Model model_new(uint64_t disk)
{
    Model m = { dirty_bitmap_new(disk, GRANULARITY_BITS), disk, g_new0(bool, MAX_BITS + 1),
                (disk + 511) / 512 };
    return m;
}

static void model_clear(Model *m)
{
    dirty_bitmap_free(m->bitmap);
    g_free(m->bits);
}

START_TEST(test_random)
{
    for (unsigned seed = 0; seed < 8; seed++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
        Model m = model_new(3 + seed * 4000000);
        for (int i = 0; i < 40; i++) {
            step(&m, rand);
            verify(&m);
        }
        model_clear(&m);
    }
}
END_TEST

/* To bytes and back; one of another granularity has what the finer one has, rounded. */
START_TEST(test_bytes_and_merge)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    Model m = model_new(70000 * 512 + 3);
    g_autoptr(DirtyBitmap) back = dirty_bitmap_new(m.disk, GRANULARITY_BITS);
    g_autoptr(DirtyBitmap) coarse = dirty_bitmap_new(m.disk, 16);
    uint8_t buf[1000];

    for (int i = 0; i < 50; i++) {
        uint64_t offset = g_rand_double(rand) * m.disk;
        dirty_bitmap_set(m.bitmap, offset, 3000);
        dirty_bitmap_set(coarse, offset, 3000);
    }
    for (uint64_t at = 0; at < m.n / 8 + 2000; at += sizeof(buf)) {
        dirty_bitmap_get_bytes(m.bitmap, at, sizeof(buf), buf);
        dirty_bitmap_add_bytes(back, at, sizeof(buf), buf);
    }
    ck_assert_uint_eq(dirty_bitmap_count(back), dirty_bitmap_count(m.bitmap));
    dirty_bitmap_merge(back, m.bitmap);
    ck_assert_uint_eq(dirty_bitmap_count(back), dirty_bitmap_count(m.bitmap));
    g_autoptr(DirtyBitmap) merged = dirty_bitmap_new(m.disk, 16);
    dirty_bitmap_merge(merged, m.bitmap);
    ck_assert_uint_eq(dirty_bitmap_count(merged), dirty_bitmap_count(coarse));
    /* Bits beyond the end are nobody's. */
    memset(buf, 0xff, sizeof(buf));
    dirty_bitmap_clear(back);
    dirty_bitmap_add_bytes(back, m.n / 8, sizeof(buf), buf);
    ck_assert_uint_eq(dirty_bitmap_count(back), m.n % 8);
    model_clear(&m);
}
END_TEST

START_TEST(test_limits)
{
    ck_assert_ptr_null(dirty_bitmap_new(UINT64_C(1) << 62, 9));
    g_autoptr(DirtyBitmap) b = dirty_bitmap_new(UINT64_C(1) << 41, 9);
    ck_assert_ptr_nonnull(b);
    ck_assert(!dirty_bitmap_resize(b, (UINT64_C(1) << 41) + 1));
    g_autoptr(DirtyBitmap) none = dirty_bitmap_new(0, 9);
    uint64_t offset = 0, bytes;
    dirty_bitmap_set(none, 0, 100);
    ck_assert(!dirty_bitmap_next(none, &offset, &bytes));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dirty-bitmap");
    TCase *tcase = tcase_create("all");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_random);
    tcase_add_test(tcase, test_bytes_and_merge);
    tcase_add_test(tcase, test_limits);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
