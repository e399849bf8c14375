/*
 * Internal snapshots of qcow2 images in memory: made, applied and deleted between writes,
 * resizes and amendments; what crashes and failing writes leave behind.
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
    MAX_DISK_BYTES = 420 << 10,
    FILE_BYTES_MAX = 32 << 20,
    STEPS = 40,
    CRASHES = 150,
    MAX_SNAPSHOTS = 5,
};

static const char *const kinds[] = {
    "cluster_size=512",
    "cluster_size=4k",
    "cluster_size=64k",
    "cluster_size=512,refcount_bits=64",
    "cluster_size=4k,refcount_bits=4",
    "cluster_size=16k,extended_l2=on",
    "cluster_size=4k,compat=0.10",
    "cluster_size=4k,lazy_refcounts=on",
};

static const char *options;
static unsigned seed;

/* A disk as it was. */
typedef struct Disk {
    char *name;                     /* of the snapshot; NULL: the active one */
    uint8_t *data;
    int64_t bytes;
} Disk;

/* All of them after a step. */
typedef struct State {
    unsigned begun, done;           /* events: of the step that led here */
    Disk *active;
    GPtrArray *snapshots;           /* of Disk */
} State;

static Disk *disk_copy(const Disk *disk, const char *name)
{
    Disk *copy = g_new0(Disk, 1);

    *copy = (Disk){ g_strdup(name), g_memdup2(disk->data, disk->bytes), disk->bytes };
    return copy;
}

static void disk_free(gpointer p)
{
    Disk *disk = p;

    g_free(disk->name);
    g_free(disk->data);
    g_free(disk);
}

static State *state_copy(const State *state)
{
    State *copy = g_new0(State, 1);

    copy->active = disk_copy(state->active, NULL);
    copy->snapshots = g_ptr_array_new_with_free_func(disk_free);
    for (unsigned i = 0; i < state->snapshots->len; i++) {
        const Disk *disk = state->snapshots->pdata[i];
        g_ptr_array_add(copy->snapshots, disk_copy(disk, disk->name));
    }
    return copy;
}

static void state_free(gpointer p)
{
    State *state = p;

    disk_free(state->active);
    g_ptr_array_unref(state->snapshots);
    g_free(state);
}

static State *first_state(void)
{
    State *state = g_new0(State, 1);

    state->active = g_new0(Disk, 1);
    *state->active = (Disk){ NULL, g_malloc0(DISK_BYTES), DISK_BYTES };
    state->snapshots = g_ptr_array_new_with_free_func(disk_free);
    return state;
}

static char *what(void)
{
    return g_strdup_printf("%s, seed %u", options, seed);
}

/* --- Steps --- */

/* Some places, none of them twice. */
static int coroutine_fn co_write(BlockDriverState *bs, State *state, GRand *rand)
{
    Disk *disk = state->active;
    int64_t end = disk->bytes / SECTOR_BYTES;
    int ret = 0;

    for (int64_t first = g_rand_int_range(rand, 0, end); first < end && ret >= 0;) {
        int64_t n = g_rand_int_range(rand, 1, MIN(end - first, 60) + 1);
        uint8_t value = g_rand_boolean(rand) ? g_rand_int_range(rand, 1, 256) : 0;
        memset(disk->data + first * SECTOR_BYTES, value, n * SECTOR_BYTES);
        ret = value ? bdrv_co_pwrite(bs, first * SECTOR_BYTES, n * SECTOR_BYTES,
                                     disk->data + first * SECTOR_BYTES, 0)
                    : bdrv_co_pwrite_zeroes(bs, first * SECTOR_BYTES, n * SECTOR_BYTES,
                                            BDRV_REQ_MAY_UNMAP);
        first += n + g_rand_int_range(rand, 0, 200);
    }
    return ret < 0 ? ret : bdrv_co_flush(bs);
}

static int coroutine_fn co_resize(BlockDriverState *bs, State *state, GRand *rand)
{
    Disk *disk = state->active;
    int64_t bytes = g_rand_int_range(rand, 100, MAX_DISK_BYTES / SECTOR_BYTES) * SECTOR_BYTES;

    if (strstr(options, "compat")) {
        return 0;
    }
    disk->data = g_realloc(disk->data, bytes);
    if (bytes > disk->bytes) {
        memset(disk->data + disk->bytes, 0, bytes - disk->bytes);
    }
    disk->bytes = bytes;
    int ret = bdrv_co_truncate(bs, bytes, PREALLOC_MODE_OFF, NULL);
    return ret < 0 ? ret : bdrv_co_flush(bs);
}

static int coroutine_fn co_create(BlockDriverState *bs, State *state, unsigned step)
{
    g_autofree char *name = g_strdup_printf("at step %u", step);

    g_ptr_array_add(state->snapshots, disk_copy(state->active, name));
    return bdrv_co_snapshot_create(bs, name, NULL);
}

static int coroutine_fn co_goto(BlockDriverState *bs, State *state, GRand *rand)
{
    const Disk *disk =
        state->snapshots->pdata[g_rand_int_range(rand, 0, state->snapshots->len)];

    disk_free(state->active);
    state->active = disk_copy(disk, NULL);
    return bdrv_co_snapshot_goto(bs, disk->name, NULL);
}

static int coroutine_fn co_delete(BlockDriverState *bs, State *state, GRand *rand)
{
    unsigned i = g_rand_int_range(rand, 0, state->snapshots->len);
    g_autofree char *name = g_strdup(((Disk *)state->snapshots->pdata[i])->name);

    g_ptr_array_remove_index(state->snapshots, i);
    return bdrv_co_snapshot_delete(bs, name, NULL);
}

/* What the disks hold stays the same. */
static int coroutine_fn co_amend(BlockDriverState *bs, GRand *rand)
{
    static const char *const amendments[] = {
        "refcount_bits=16", "refcount_bits=32", "refcount_bits=64", "lazy_refcounts=on",
        "lazy_refcounts=off",
    };
    static const char *const levels[] = { "compat=0.10", "compat=1.1" };
    const char *keyval = strstr(options, "compat")
                             ? levels[g_rand_int_range(rand, 0, 2)]
                             : amendments[g_rand_int_range(rand, 0, 5)];
    g_autoptr(GError) error = NULL;
    int ret = bdrv_co_amend(bs, keyval, NULL, &error);

    ck_assert_msg(ret != -EINVAL, "%s: %s", keyval, error ? error->message : "");
    return ret;
}

static int coroutine_fn co_step(BlockDriverState *bs, State *state, GRand *rand, unsigned step)
{
    unsigned n = state->snapshots->len;

    switch (g_rand_int_range(rand, 0, 8)) {
    case 0:
    case 1:
        return n < MAX_SNAPSHOTS ? co_create(bs, state, step) : co_delete(bs, state, rand);
    case 2:
        return n ? co_goto(bs, state, rand) : co_create(bs, state, step);
    case 3:
        return n ? co_delete(bs, state, rand) : co_write(bs, state, rand);
    case 4:
        return co_resize(bs, state, rand);
    case 5:
        return co_amend(bs, rand);
    default:
        return co_write(bs, state, rand);
    }
}

/* --- Looking --- */

static bool coroutine_fn co_is_disk(BlockDriverState *bs, const Disk *disk)
{
    g_autofree uint8_t *buf = g_malloc(disk->bytes);

    return bdrv_length(bs) == disk->bytes &&
           bdrv_co_pread(bs, 0, disk->bytes, buf, 0) == 0 &&
           memcmp(buf, disk->data, disk->bytes) == 0;
}

/* Each sector is what it was in one of the two. */
static bool coroutine_fn co_is_between(BlockDriverState *bs, const Disk *a, const Disk *b)
{
    int64_t bytes = bdrv_length(bs);
    g_autofree uint8_t *buf = g_malloc(bytes);

    if ((bytes != a->bytes && bytes != b->bytes) ||
        bdrv_co_pread(bs, 0, bytes, buf, 0) < 0) {
        return false;
    }
    for (int64_t pos = 0; pos < bytes; pos += SECTOR_BYTES) {
        if (!(pos < a->bytes && memcmp(buf + pos, a->data + pos, SECTOR_BYTES) == 0) &&
            !(pos < b->bytes && memcmp(buf + pos, b->data + pos, SECTOR_BYTES) == 0)) {
            return false;
        }
    }
    return true;
}

static bool coroutine_fn co_has_snapshots(BlockDriverState *bs, const State *state)
{
    GError *error = NULL;
    g_autoptr(ImageInfo) info = bdrv_co_image_info(bs, &error);

    ck_assert_msg(info != NULL, "%s", error ? error->message : "");
    unsigned n = info->snapshots ? info->snapshots->len : 0;
    if (n != state->snapshots->len) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        const Disk *disk = state->snapshots->pdata[i];
        const SnapshotInfo *found = g_ptr_array_index(info->snapshots, i);
        if (strcmp(disk->name, found->name) != 0) {
            return false;
        }
    }
    return true;
}

static void coroutine_fn co_verify_snapshots(BlockDriverState *file, const State *state)
{
    for (unsigned i = 0; i < state->snapshots->len; i++) {
        const Disk *disk = state->snapshots->pdata[i];
        g_autoptr(BlockDriverState) bs = bdrv_co_open_over(file, "qcow2", 0, NULL);
        ck_assert_ptr_nonnull(bs);
        ck_assert_int_eq(bdrv_co_load_snapshot(bs, disk->name, NULL), 0);
        ck_assert_msg(co_is_disk(bs, disk), "%s, seed %u: snapshot '%s' is not what it was",
                      options, seed, disk->name);
    }
}

/* The image is in one of the two states, but for writes under way. */
static void coroutine_fn co_verify(BlockDriverState *bs, BlockDriverState *file,
                                   const State *a, const State *b)
{
    const State *state = co_has_snapshots(bs, a) ? a : b;

    ck_assert_msg(co_has_snapshots(bs, state), "%s, seed %u: snapshots", options, seed);
    co_verify_snapshots(file, state);
    ck_assert_msg(co_is_between(bs, a->active, b->active), "%s, seed %u: content", options,
                  seed);
}

static void coroutine_fn co_crash(BlockDriverState *file, const GPtrArray *states, GRand *rand)
{
    g_autofree char *test = what();

    for (unsigned i = 0; i < CRASHES; i++) {
        unsigned event = g_rand_int_range(rand, 0, record_node_events(file) + 1), k = 0;
        g_autoptr(BlockDriverState) after =
            record_node_crash(file, event, i % 4 ? rand : NULL);
        g_autoptr(BlockDriverState) bs = memory_image_co_open(after, test);
        while (k + 1 < states->len && ((State *)states->pdata[k + 1])->done <= event) {
            k++;
        }
        memory_image_co_check(bs, true, test);
        co_verify(bs, after, states->pdata[k], states->pdata[MIN(k + 1, states->len - 1)]);
        memory_image_co_finish(bs, test);
    }
}

static void coroutine_fn co_test_crash(void)
{
    g_autofree char *test = what();
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    g_autoptr(GPtrArray) states = g_ptr_array_new_with_free_func(state_free);
    g_autoptr(BlockDriverState) file =
        memory_image_co_new(options, DISK_BYTES, FILE_BYTES_MAX, true);
    BlockDriverState *bs = memory_image_co_open(file, test);

    g_ptr_array_add(states, first_state());
    for (unsigned i = 0; i < STEPS; i++) {
        const State *before = states->pdata[i];
        State *state = state_copy(before);
        state->begun = record_node_events(file);
        ck_assert_int_ge(co_step(bs, state, rand, i), 0);
        state->done = record_node_events(file);
        g_ptr_array_add(states, state);
        if (i % 10 == 9) {
            memory_image_co_check(bs, false, test);
            co_verify(bs, file, state, state);
        }
    }
    memory_image_co_finish(bs, test);
    bdrv_unref(bs);
    co_crash(file, states, rand);
}

/* What fails has no effect, or all of it. */
static void coroutine_fn co_test_failures(void)
{
    g_autofree char *test = what();
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    g_autoptr(BlockDriverState) file =
        memory_image_co_new(options, DISK_BYTES, FILE_BYTES_MAX, false);
    BlockDriverState *bs = memory_image_co_open(file, test);
    State *state = first_state();

    for (unsigned i = 0; i < STEPS; i++) {
        State *next = state_copy(state);
        if (i % 3 == 2) {
            record_node_fail_after(file, g_rand_int_range(rand, 1, 30), -ENOSPC);
        }
        int ret = co_step(bs, next, rand, i);
        record_node_fail_after(file, 0, 0);
        if (bdrv_co_flush(bs) < 0) {
            GError *e = bdrv_take_error(bs);
            ck_abort_msg("%s: flush: %s", test, e ? e->message : "");
        }
        co_verify(bs, file, ret < 0 ? state : next, next);
        if (ret < 0 && !co_has_snapshots(bs, next)) {
            g_ptr_array_unref(next->snapshots);
            next->snapshots = g_ptr_array_ref(state->snapshots);
        }
        next->active->bytes = bdrv_length(bs);
        next->active->data = g_realloc(next->active->data, next->active->bytes);
        ck_assert_int_eq(bdrv_co_pread(bs, 0, next->active->bytes, next->active->data, 0), 0);
        state_free(state);
        state = next;
    }
    memory_image_co_finish(bs, test);
    bdrv_unref(bs);
    bs = memory_image_co_open(file, test);
    memory_image_co_check(bs, false, test);
    co_verify(bs, file, state, state);
    bdrv_unref(bs);
    state_free(state);
}

/* A count that is at its limit: the image stays as it is. */
static void coroutine_fn co_test_overflow(void)
{
    g_autoptr(BlockDriverState) file =
        memory_image_co_new("cluster_size=4k,refcount_bits=2", DISK_BYTES, FILE_BYTES_MAX, false);
    g_autoptr(BlockDriverState) bs = memory_image_co_open(file, "overflow");
    uint8_t buf[SECTOR_BYTES] = { 1 };
    g_autoptr(GError) error = NULL;

    ck_assert_int_eq(bdrv_co_pwrite(bs, 0, sizeof(buf), buf, 0), 0);
    ck_assert_int_eq(bdrv_co_snapshot_create(bs, "a", NULL), 0);
    ck_assert_int_eq(bdrv_co_snapshot_create(bs, "b", NULL), 0);
    ck_assert_int_eq(bdrv_co_snapshot_create(bs, "c", &error), -EINVAL);
    ck_assert_ptr_nonnull(strstr(error->message, "refcounts of 2 bits"));
    /* The number of references stays the same. */
    ck_assert_int_eq(bdrv_co_snapshot_goto(bs, "a", NULL), 0);
    memory_image_co_finish(bs, "overflow");
    memory_image_co_check(bs, false, "overflow");
}

START_TEST(test_crash)
{
    options = kinds[_i];
    for (seed = 1; seed <= 2; seed++) {
        run_in_coroutine(co_test_crash);
    }
}
END_TEST

START_TEST(test_failures)
{
    options = kinds[_i];
    for (seed = 100; seed < 106; seed++) {
        run_in_coroutine(co_test_failures);
    }
}
END_TEST

START_TEST(test_overflow)
{
    run_in_coroutine(co_test_overflow);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("qcow2-snapshots");
    TCase *tcase = tcase_create("all");

    tcase_set_timeout(tcase, 200);
    tcase_add_loop_test(tcase, test_crash, 0, G_N_ELEMENTS(kinds));
    tcase_add_loop_test(tcase, test_failures, 0, G_N_ELEMENTS(kinds));
    tcase_add_test(tcase, test_overflow);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
