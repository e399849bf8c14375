/*
 * The header of qcow2 images written anew: after a crash it is the old one or the new one.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/qcow2-format.h"
#include "memory-image.h"
#include "run-in-coroutine.h"

enum { DISK_BYTES = 256 << 10, FILE_BYTES_MAX = 16 << 20, CHANGES = 25, CRASHES = 300 };

static const char *const kinds[] = {
    "cluster_size=512", "cluster_size=4k", "cluster_size=64k", "compat=0.10",
    "compat=0.10,cluster_size=512", "cluster_size=2M",
};

static const char *options;

/* What the image has for a backing file after so many events. */
typedef struct Change {
    unsigned begun, done;           /* events */
    char *name, *format;
} Change;

static void clear_change(gpointer p)
{
    Change *change = p;
    g_free(change->name);
    g_free(change->format);
}

static char *random_name(GRand *rand, int most)
{
    int len = g_rand_int_range(rand, 0, most + 1);
    char *name = len ? g_strnfill(len, 'a') : NULL;

    for (int i = 0; i < len; i++) {
        name[i] = 'a' + g_rand_int_range(rand, 0, 26);
    }
    return name;
}

/* A change of the backing file, NULL: none, as the first one is. */
static void coroutine_fn co_change(BlockDriverState *bs, BlockDriverState *file, GRand *rand,
                                   GArray *changes)
{
    static const char *const formats[] = { NULL, "raw", "qcow2", "a format with a long name" };
    int most = strstr(options, "512") ? 250 : g_rand_boolean(rand) ? 1023 : 30;
    GError *error = NULL;
    Change change = { .begun = record_node_events(file), .name = random_name(rand, most) };

    change.format = change.name ? g_strdup(formats[g_rand_int_range(rand, 0, 4)]) : NULL;
    if (bdrv_co_change_backing(bs, change.name, change.format, &error) < 0) {
        ck_abort_msg("%s: %s", options, error->message);
    }
    ck_assert_str_eq(bs->backing_filename ? bs->backing_filename : "",
                     change.name ? change.name : "");
    change.done = record_node_events(file);
    g_array_append_val(changes, change);
}

static bool is_state(const BlockDriverState *bs, const Change *change)
{
    return g_strcmp0(bs->backing_filename, change->name) == 0 &&
           g_strcmp0(bs->backing_format, change->format) == 0;
}

/* After a crash behind that event: the last change that was done, or the one under way. */
static bool is_possible(const BlockDriverState *bs, const GArray *changes, unsigned event)
{
    for (unsigned i = changes->len; i-- > 0;) {
        const Change *change = &g_array_index(changes, Change, i);
        if (event >= change->begun && is_state(bs, change)) {
            return true;
        }
        if (event >= change->done) {
            return false;
        }
    }
    return false;
}

static void coroutine_fn co_test_backing(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    g_autoptr(BlockDriverState) file =
        memory_image_co_new(options, DISK_BYTES, FILE_BYTES_MAX, true);
    BlockDriverState *bs = memory_image_co_open(file, options);
    g_autoptr(GArray) changes = g_array_new(FALSE, FALSE, sizeof(Change));
    Change none = { 0 };

    g_array_set_clear_func(changes, clear_change);
    g_array_append_val(changes, none);
    for (int i = 0; i < CHANGES; i++) {
        co_change(bs, file, rand, changes);
    }
    memory_image_co_finish(bs, options);
    bdrv_unref(bs);
    for (unsigned i = 0; i < CRASHES; i++) {
        unsigned event = g_rand_int_range(rand, 0, record_node_events(file) + 1);
        g_autoptr(BlockDriverState) after = record_node_crash(file, event, rand);
        g_autoptr(BlockDriverState) crashed = memory_image_co_open(after, options);
        ck_assert_msg(is_possible(crashed, changes, event),
                      "%s, event %u: neither the old nor the new name", options, event);
        memory_image_co_check(crashed, true, options);
        memory_image_co_finish(crashed, options);
    }
}

/* What others have put into the header stays. */
static void coroutine_fn co_test_unknown(void)
{
    g_autoptr(BlockDriverState) file =
        memory_image_co_new("cluster_size=4k", DISK_BYTES, FILE_BYTES_MAX, false);
    static const char text[] = "somebody's own";
    uint8_t added[8 + 8 + 16 + 8] = { 1, 2, 3, 4, 5, 6, 7, 8, 0x12, 0x34, 0x56, 0x78,
                                      0, 0, 0, sizeof(text) };
    be32_t length = be32_make(sizeof(Qcow2DiskHeader) + 8);

    memcpy(added + 16, text, sizeof(text));
    bdrv_co_pwrite(file, sizeof(Qcow2DiskHeader), sizeof(added), added, 0);
    bdrv_co_pwrite(file, offsetof(Qcow2DiskHeader, header_length), 4, &length, 0);
    for (int i = 0; i < 2; i++) {
        g_autoptr(BlockDriverState) bs = memory_image_co_open(file, "unknown");
        ck_assert_int_eq(bdrv_co_change_backing(bs, i ? NULL : "b", i ? NULL : "raw", NULL), 0);
        memory_image_co_finish(bs, "unknown");
        const uint8_t *data = record_node_data(file);
        ck_assert_int_eq(data[sizeof(Qcow2DiskHeader) + 7], 8);
        ck_assert_ptr_nonnull(memmem(data, 512, added + 8, 8 + sizeof(text)));
    }
}

static void coroutine_fn co_test_refused(void)
{
    g_autoptr(BlockDriverState) file =
        memory_image_co_new("cluster_size=512", DISK_BYTES, FILE_BYTES_MAX, false);
    g_autoptr(BlockDriverState) bs = memory_image_co_open(file, "refused");
    g_autofree char *too_long = g_strnfill(1024, 'x');
    g_autofree char *no_room = g_strnfill(450, 'x');
    GError *error = NULL;

    ck_assert_int_eq(bdrv_co_change_backing(bs, too_long, NULL, &error), -EINVAL);
    g_clear_error(&error);
    ck_assert_int_eq(bdrv_co_change_backing(bs, no_room, NULL, &error), -ENOSPC);
    g_clear_error(&error);
    ck_assert_int_eq(bdrv_co_change_backing(bs, NULL, "raw", &error), -EINVAL);
    g_clear_error(&error);
    ck_assert_ptr_null(bs->backing_filename);
    memory_image_co_check(bs, false, "refused");
}

static void coroutine_fn co_test_empty(void)
{
    g_autoptr(BlockDriverState) file =
        memory_image_co_new(options, DISK_BYTES, FILE_BYTES_MAX, false);
    g_autoptr(BlockDriverState) bs = memory_image_co_open(file, options);
    g_autofree uint8_t *buf = g_malloc(DISK_BYTES);

    memset(buf, 0x33, DISK_BYTES);
    ck_assert_int_eq(bdrv_co_pwrite(bs, 0, DISK_BYTES, buf, 0), 0);
    int64_t full = bdrv_length(file);
    ck_assert_int_eq(bdrv_co_make_empty(bs, NULL), 0);
    ck_assert_int_eq(bdrv_co_pread(bs, 0, DISK_BYTES, buf, 0), 0);
    ck_assert(buffer_is_zero(buf, DISK_BYTES));
    memory_image_co_finish(bs, options);
    memory_image_co_check(bs, false, options);
    /* Of small clusters, the last may be one of refcounts. */
    if (!strstr(options, "512")) {
        ck_assert_int_lt(bdrv_length(file), full);
    }
}

START_TEST(test_backing)
{
    options = kinds[_i];
    run_in_coroutine(co_test_backing);
}
END_TEST

START_TEST(test_unknown)
{
    run_in_coroutine(co_test_unknown);
}
END_TEST

START_TEST(test_refused)
{
    run_in_coroutine(co_test_refused);
}
END_TEST

START_TEST(test_empty)
{
    options = kinds[_i];
    run_in_coroutine(co_test_empty);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("qcow2-header");
    TCase *tcase = tcase_create("all");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, test_backing, 0, G_N_ELEMENTS(kinds));
    tcase_add_test(tcase, test_unknown);
    tcase_add_test(tcase, test_refused);
    tcase_add_loop_test(tcase, test_empty, 0, G_N_ELEMENTS(kinds));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
