/*
 * Persistent bitmaps of qcow2 images in memory: whatever a crash or failing writes leave behind,
 * a bitmap that is not marked as being in use has all that was written.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "memory-image.h"
#include "run-in-coroutine.h"

enum {
    SECTOR_BYTES = 512,
    DISK_BYTES = 300 << 10,
    FILE_BYTES_MAX = 16 << 20,
    SESSIONS = 6,
    CRASHES = 200,
};

static const char *const kinds[] = {
    "cluster_size=512", "cluster_size=4k", "cluster_size=64k,lazy_refcounts=on",
    "cluster_size=16k,extended_l2=on",
};

static const char *options;

static void coroutine_fn co_add(BlockDriverState *bs, const char *name, uint64_t granularity,
                                bool enabled)
{
    BdrvBitmapChange change = { BDRV_BITMAP_ADD, name, granularity, NULL, 0 };

    ck_assert_int_eq(bdrv_co_change_bitmap(bs, &change, NULL), 0);
    change.action = BDRV_BITMAP_DISABLE;
    if (!enabled) {
        ck_assert_int_eq(bdrv_co_change_bitmap(bs, &change, NULL), 0);
    }
}

static void coroutine_fn co_work(BlockDriverState *bs, GRand *rand, bool errors_ok)
{
    uint8_t buf[20 * SECTOR_BYTES];

    memset(buf, 0x77, sizeof(buf));
    for (int i = g_rand_int_range(rand, 0, 6); i > 0; i--) {
        int64_t length = bdrv_length(bs);
        int64_t at = g_rand_int_range(rand, 0, length / SECTOR_BYTES) * SECTOR_BYTES;
        int64_t n = MIN(length - at, g_rand_int_range(rand, 1, 21) * SECTOR_BYTES);
        int ret;
        switch (g_rand_int_range(rand, 0, 6)) {
        case 0:
            ret = bdrv_co_flush(bs);
            break;
        case 1:
            ret = bdrv_co_pwrite_zeroes(bs, at, n, BDRV_REQ_MAY_UNMAP);
            break;
        case 2:
            ret = bdrv_co_truncate(bs, g_rand_int_range(rand, 10, 600) * SECTOR_BYTES,
                                   PREALLOC_MODE_OFF, NULL);
            break;
        default:
            ret = bdrv_co_pwrite(bs, at, n, buf, 0);
        }
        ck_assert(ret >= 0 || errors_ok);
    }
}

/* The disk was all zeroes when the bitmaps were added.  True if it could be looked at. */
static bool coroutine_fn co_verify(BlockDriverState *bs, const char *name)
{
    int64_t length = bdrv_length(bs);
    g_autoptr(DirtyBitmap) bits = bdrv_co_get_bitmap(bs, name, NULL);
    g_autofree uint8_t *disk = g_malloc(length);
    uint64_t offset = 0, bytes = 0;

    if (!bits) {
        return false;
    }
    ck_assert_int_eq(bdrv_co_pread(bs, 0, length, disk, 0), 0);
    for (; dirty_bitmap_next(bits, &offset, &bytes); offset += bytes) {
        memset(disk + offset, 0, bytes);
    }
    ck_assert_msg(buffer_is_zero(disk, length), "%s: '%s' lacks what was written", options, name);
    return true;
}

static BlockDriverState *coroutine_fn co_new(bool record)
{
    g_autoptr(BlockDriverState) file =
        memory_image_co_new(options, DISK_BYTES, FILE_BYTES_MAX, false);
    BlockDriverState *bs = memory_image_co_open(file, options);

    co_add(bs, "fine", SECTOR_BYTES, true);
    co_add(bs, "coarse", 4096, true);
    co_add(bs, "disabled", 4096, false);
    memory_image_co_finish(bs, options);
    bdrv_unref(bs);
    return record_node_new(record_node_data(file), bdrv_length(file), FILE_BYTES_MAX, record);
}

static void coroutine_fn co_test_crash(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(11);
    g_autoptr(BlockDriverState) file = co_new(true);
    unsigned usable = 0;

    for (int i = 0; i < SESSIONS; i++) {
        g_autoptr(BlockDriverState) bs = memory_image_co_open(file, options);
        co_work(bs, rand, false);
        memory_image_co_finish(bs, options);
        ck_assert(co_verify(bs, "fine") && co_verify(bs, "coarse"));
        memory_image_co_check(bs, false, options);
    }
    for (unsigned i = 0; i < CRASHES; i++) {
        unsigned event = g_rand_int_range(rand, 0, record_node_events(file) + 1);
        g_autoptr(BlockDriverState) after =
            record_node_crash(file, event, i % 4 ? rand : NULL);
        g_autoptr(BlockDriverState) bs = memory_image_co_open(after, options);
        memory_image_co_check(bs, true, options);
        usable += co_verify(bs, "fine");
        co_verify(bs, "coarse");
        memory_image_co_finish(bs, options);
    }
    ck_assert_uint_gt(usable, 0);
    ck_assert_uint_lt(usable, CRASHES);
}

static void coroutine_fn co_test_failures(void)
{
    for (unsigned seed = 0; seed < 60; seed++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
        g_autoptr(BlockDriverState) file = co_new(false);
        BlockDriverState *bs = memory_image_co_open(file, options);

        record_node_fail_after(file, g_rand_int_range(rand, 1, 60), -ENOSPC);
        co_work(bs, rand, true);
        bdrv_co_finish(bs, NULL);
        record_node_fail_after(file, 0, 0);
        bdrv_unref(bs);
        bs = memory_image_co_open(file, options);
        memory_image_co_check(bs, true, options);
        co_verify(bs, "fine");
        co_work(bs, rand, true);
        memory_image_co_finish(bs, options);
        co_verify(bs, "fine");
        bdrv_unref(bs);
    }
}

/* What is done to bitmaps is there when the image is opened again. */
static void coroutine_fn co_test_changes(void)
{
    g_autoptr(BlockDriverState) file = co_new(false);
    BlockDriverState *bs = memory_image_co_open(file, options);
    uint8_t buf[SECTOR_BYTES] = { 1 };
    GError *error = NULL;

    ck_assert_int_eq(bdrv_co_pwrite(bs, 8192, sizeof(buf), buf, 0), 0);
    g_autoptr(DirtyBitmap) fine = bdrv_co_get_bitmap(bs, "fine", &error);
    ck_assert_uint_eq(dirty_bitmap_count(fine), 1);
    BdrvBitmapChange merge = { BDRV_BITMAP_MERGE, "disabled", 0, fine, DISK_BYTES };
    ck_assert_int_eq(bdrv_co_change_bitmap(bs, &merge, &error), 0);
    BdrvBitmapChange remove = { BDRV_BITMAP_REMOVE, "coarse", 0, NULL, 0 };
    ck_assert_int_eq(bdrv_co_change_bitmap(bs, &remove, &error), 0);
    BdrvBitmapChange clear = { BDRV_BITMAP_CLEAR, "fine", 0, NULL, 0 };
    ck_assert_int_eq(bdrv_co_change_bitmap(bs, &clear, &error), 0);
    /* Snapshots are made with bitmaps, but not applied. */
    ck_assert_int_eq(bdrv_co_snapshot_create(bs, "s", &error), 0);
    ck_assert_int_eq(bdrv_co_snapshot_goto(bs, "s", &error), -EBUSY);
    g_clear_error(&error);
    memory_image_co_finish(bs, options);
    bdrv_unref(bs);

    bs = memory_image_co_open(file, options);
    memory_image_co_check(bs, false, options);
    g_autoptr(DirtyBitmap) disabled = bdrv_co_get_bitmap(bs, "disabled", &error);
    uint64_t offset = 0, bytes = 0;
    ck_assert(dirty_bitmap_next(disabled, &offset, &bytes));
    ck_assert_uint_eq(offset, 8192);
    ck_assert_uint_eq(bytes, 4096);
    g_autoptr(DirtyBitmap) empty = bdrv_co_get_bitmap(bs, "fine", &error);
    ck_assert_uint_eq(dirty_bitmap_count(empty), 0);
    ck_assert_ptr_null(bdrv_co_get_bitmap(bs, "coarse", &error));
    ck_assert_str_eq(error->message, "Dirty bitmap 'coarse' not found");
    g_clear_error(&error);
    bdrv_unref(bs);
}

START_TEST(test_crash)
{
    options = kinds[_i];
    run_in_coroutine(co_test_crash);
}
END_TEST

START_TEST(test_failures)
{
    options = kinds[_i];
    run_in_coroutine(co_test_failures);
}
END_TEST

START_TEST(test_changes)
{
    options = kinds[_i];
    run_in_coroutine(co_test_changes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("qcow2-bitmaps");
    TCase *tcase = tcase_create("all");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, test_crash, 0, G_N_ELEMENTS(kinds));
    tcase_add_loop_test(tcase, test_failures, 0, G_N_ELEMENTS(kinds));
    tcase_add_loop_test(tcase, test_changes, 0, G_N_ELEMENTS(kinds));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
