/*
 * Random work on qcow2 images in memory: the content, the check, and what every crash and
 * every failing write leave behind.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "churn.h"
#include "memory-image.h"
#include "run-in-coroutine.h"

enum {
    DISK_BYTES = 640 * 1024 + 3 * 512,
    FILE_BYTES_MAX = 16 << 20,
    CRASHES = 120,
};

static const char *const kinds[] = {
    "cluster_size=512",
    "cluster_size=4k",
    "cluster_size=64k",
    "cluster_size=1k,refcount_bits=1",
    "cluster_size=512,refcount_bits=64",
    "cluster_size=4k,refcount_bits=2",
    "cluster_size=16k,extended_l2=on",
    "cluster_size=4k,compat=0.10",
    "cluster_size=4k,lazy_refcounts=on",
    "cluster_size=8k,compression_type=zstd",
    "cluster_size=4k,preallocation=metadata",
    "cluster_size=16k,extended_l2=on,preallocation=metadata",
};

static const char *options;
static unsigned seed;
static bool with_backing;

static BlockDriverState *backing_node(void)
{
    uint8_t *data = g_malloc(DISK_BYTES / 2);

    for (size_t i = 0; i < DISK_BYTES / 2; i++) {
        data[i] = i * 7 + (i >> 9) + 1;
    }
    g_autoptr(GBytes) bytes = g_bytes_new_take(data, DISK_BYTES / 2);
    return bdrv_new_memory(bytes, "backing");
}

static char *what(void)
{
    return g_strdup_printf("%s, seed %u", options, seed);
}

static BlockDriverState *coroutine_fn co_open(BlockDriverState *file)
{
    g_autofree char *test = what();
    BlockDriverState *bs = memory_image_co_open(file, test);

    if (with_backing) {
        bs->backing = backing_node();
    }
    return bs;
}

static void coroutine_fn co_check(BlockDriverState *bs, bool leaks_ok)
{
    g_autofree char *test = what();
    memory_image_co_check(bs, leaks_ok, test);
}

static void coroutine_fn co_finish(BlockDriverState *bs)
{
    g_autofree char *test = what();
    memory_image_co_finish(bs, test);
}

static void coroutine_fn co_crash(Churn *churn, BlockDriverState *file, GRand *rand)
{
    unsigned events = record_node_events(file);

    for (unsigned i = 0; i < CRASHES; i++) {
        unsigned event = i ? (unsigned)g_rand_int_range(rand, 0, events + 1) : events;
        g_autoptr(BlockDriverState) after = record_node_crash(file, event,
                                                              i % 4 ? rand : NULL);
        g_autoptr(BlockDriverState) bs = co_open(after);
        co_check(bs, true);
        churn_co_verify_crash(churn, bs, event);
        co_finish(bs);
    }
}

static void coroutine_fn co_test_crash(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    g_autoptr(BlockDriverState) file =
        memory_image_co_new(options, DISK_BYTES, FILE_BYTES_MAX, true);
    BlockDriverState *bs = co_open(file);
    g_autoptr(Churn) churn = churn_new(bs, file, rand);

    churn_set_compressed(churn, true);
    churn_co_begin(churn);
    record_node_set_random(file, rand);
    churn_co_run(churn, 150, false);
    churn_co_verify(churn, bs);
    co_finish(bs);
    bdrv_unref(bs);
    record_node_set_random(file, NULL);

    bs = co_open(file);
    co_check(bs, false);
    churn_co_verify(churn, bs);
    bdrv_unref(bs);
    co_crash(churn, file, rand);
    g_rand_set_seed(rand, seed);
}

static void coroutine_fn co_test_failures(void)
{
    for (unsigned i = 0; i < 12; i++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed + i);
        g_autoptr(BlockDriverState) file =
            memory_image_co_new(options, DISK_BYTES, FILE_BYTES_MAX, false);
        BlockDriverState *bs = co_open(file);
        g_autoptr(Churn) churn = churn_new(bs, NULL, rand);

        churn_set_compressed(churn, true);
        churn_co_begin(churn);
        record_node_set_random(file, rand);
        record_node_fail_after(file, 5 + i * i * 4, i % 2 ? -ENOSPC : -EIO);
        churn_co_run(churn, 60, true);
        /* What failed is left out: then all that has not can be read, and be saved. */
        record_node_fail_after(file, 0, 0);
        churn_co_verify(churn, bs);
        churn_co_run(churn, 40, true);
        churn_co_verify(churn, bs);
        co_finish(bs);
        bdrv_unref(bs);
        bs = co_open(file);
        co_check(bs, false);
        churn_co_verify(churn, bs);
        bdrv_unref(bs);
    }
}

START_TEST(test_crash)
{
    options = kinds[_i];
    for (seed = 1; seed <= 2; seed++) {
        with_backing = seed % 2 == 0 && !strstr(options, "compat") &&
                       !strstr(options, "preallocation");
        run_in_coroutine(co_test_crash);
    }
}
END_TEST

START_TEST(test_failures)
{
    options = kinds[_i];
    seed = 100;
    with_backing = false;
    run_in_coroutine(co_test_failures);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("qcow2-crash");
    TCase *tcase = tcase_create("all");

    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, test_crash, 0, G_N_ELEMENTS(kinds));
    tcase_add_loop_test(tcase, test_failures, 0, G_N_ELEMENTS(kinds));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
