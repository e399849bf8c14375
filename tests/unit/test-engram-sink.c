/*
 * The sink: disks into engrams and back, files that appear complete or not at all.
 */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "block/block-int.h"
#include "engram/check.h"
#include "engram/manifest.h"
#include "engram/out-file.h"
#include "engram/sink.h"
#include "qapi/qapi-visit.h"
#include "tests/lib/run-in-coroutine.h"

static char *dir;

static void make_dir(void)
{
    dir = g_dir_make_tmp("embr-sink-XXXXXX", NULL);
    ck_assert_ptr_nonnull(dir);
}

static unsigned count_files(void)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    unsigned n = 0;

    while (g_dir_read_name(d)) {
        n++;
    }
    return n;
}

static void remove_dir(void)
{
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        g_remove(path);
    }
    ck_assert_int_eq(g_rmdir(dir), 0);
    g_clear_pointer(&dir, g_free);
}

static char *in_dir(const char *name)
{
    return g_build_filename(dir, name, NULL);
}

/* Random bytes, text, repetitions of what was there, and zeroes. */
static uint8_t *make_disk(size_t size, uint32_t seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    uint8_t *disk = g_malloc0(size + 1);

    for (size_t pos = 0; pos < size;) {
        size_t run_bytes = g_rand_int_range(rand, 1, 300000);
        size_t n = MIN(run_bytes, size - pos);
        int kind = g_rand_int_range(rand, 0, 4);
        size_t from = pos ? g_rand_double(rand) * pos : 0;

        for (size_t i = 0; i < n && kind < 3; i++) {
            switch (pos ? kind : 0) {
            case 0:
                disk[pos + i] = g_rand_int(rand) >> 24;
                break;
            case 1:
                disk[pos + i] = "words and numbers 0123456789 "[(i * i / 7) % 29];
                break;
            default:
                disk[pos + i] = disk[from + i % pos];
            }
        }
        pos += n;
    }
    return disk;
}

static bool coroutine_fn co_encode(const uint8_t *disk, size_t size, const char *path,
                                   const char *image, GError **errp)
{
    g_autoptr(GBytes) bytes = g_bytes_new(disk, size);
    g_autoptr(BlockDriverState) src = bdrv_new_memory(bytes, "folder/disk.raw");
    BlockdevCreateOptionsEngram options = { .image = (char *)image };

    return engram_sink_co_encode(src, path, &options, NULL, errp);
}

static void count_problem(const char *text, void *opaque)
{
    fprintf(stderr, "%s\n", text);
    ++*(unsigned *)opaque;
}

static void coroutine_fn co_check_engram(const char *path, const uint8_t *disk,
                                         size_t size)
{
    g_autoptr(BlockDriverState) file =
        bdrv_co_open_image(path, NULL, BDRV_O_PROTOCOL, NULL);
    g_autofree uint8_t *read = g_malloc(size + 1);
    EngramCheckResult result;
    unsigned problems = 0;

    ck_assert(engram_co_check(file, NULL, count_problem, &problems, &result, NULL));
    ck_assert_uint_eq(problems, 0);

    g_autoptr(BlockDriverState) bs = bdrv_co_open_image(path, NULL, 0, NULL);
    ck_assert_str_eq(bdrv_format_name(bs), "engram");
    ck_assert_int_eq(bdrv_length(bs), size);
    ck_assert_int_eq(bdrv_co_pread(bs, 0, size, read, 0), 0);
    ck_assert_mem_eq(read, disk, size);
    for (int64_t pos = 0, n; pos < (int64_t)size; pos += n) {
        int ret = bdrv_co_block_status(bs, pos, size - pos, &n, NULL, NULL);
        ck_assert_int_ge(ret, 0);
        if (ret & BDRV_BLOCK_ZERO) {
            ck_assert(buffer_is_zero(disk + pos, n));
        }
    }
}

static void coroutine_fn co_round_trip(void)
{
    static const size_t sizes[] = {
        0, 1, 511, 4096, 4097, 70001, 4 << 20, (4 << 20) + 1, (9 << 20) + 1234};
    g_autofree char *path = in_dir("disk.engram");

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree uint8_t *disk = make_disk(sizes[i], i);
        g_autoptr(GError) error = NULL;

        ck_assert_msg(co_encode(disk, sizes[i], path, NULL, &error), "%s",
                      error ? error->message : "");
        co_check_engram(path, disk, sizes[i]);
        ck_assert_uint_eq(count_files(), 1);
    }
}

START_TEST(test_round_trip)
{
    run_in_coroutine(co_round_trip);
}
END_TEST

static char *coroutine_fn co_info(const char *path, uint8_t digest[ENGRAM_DIGEST_BYTES])
{
    g_autoptr(BlockDriverState) bs = bdrv_co_open_image(path, NULL, 0, NULL);
    g_autoptr(ImageInfo) info = bdrv_co_image_info(bs, NULL);
    const ImageInfoSpecificEngram *own = info->format_specific->u.engram.data;

    ck_assert(bdrv_content_digest(bs, digest));
    return g_strdup(own->image);
}

static void coroutine_fn co_same_and_different(void)
{
    size_t size = 6 << 20;
    g_autofree uint8_t *disk = make_disk(size, 77);
    g_autofree char *a = in_dir("a.engram"), *b = in_dir("b.engram");
    uint8_t digest_a[ENGRAM_DIGEST_BYTES], digest_b[ENGRAM_DIGEST_BYTES];

    ck_assert(co_encode(disk, size, a, NULL, NULL));
    ck_assert(co_encode(disk, size, b, "another name", NULL));
    g_autofree char *name_a = co_info(a, digest_a);
    g_autofree char *name_b = co_info(b, digest_b);
    ck_assert_str_eq(name_a, "disk.raw");
    ck_assert_str_eq(name_b, "another name");
    ck_assert_mem_eq(digest_a, digest_b, sizeof(digest_a));

    disk[size / 2] ^= 1;
    ck_assert(co_encode(disk, size, b, NULL, NULL));
    g_autofree char *name_c = co_info(b, digest_b);
    ck_assert_str_eq(name_c, "disk.raw");
    ck_assert_mem_ne(digest_a, digest_b, sizeof(digest_a));
}

START_TEST(test_same_and_different)
{
    run_in_coroutine(co_same_and_different);
}
END_TEST

/* A disk twice: the second half is known. */
static void coroutine_fn co_dedup(void)
{
    size_t half = 8 << 20;
    g_autofree uint8_t *disk = g_malloc(2 * half);
    g_autofree uint8_t *once = g_malloc(half);
    g_autofree char *path = in_dir("disk.engram");
    g_autoptr(GRand) rand = g_rand_new_with_seed(5);
    struct stat st;

    for (size_t i = 0; i < half; i++) {
        once[i] = g_rand_int(rand) >> 24;
    }
    memcpy(disk, once, half);
    memcpy(disk + half, once, half);
    ck_assert(co_encode(disk, 2 * half, path, NULL, NULL));
    co_check_engram(path, disk, 2 * half);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_lt(st.st_size, half + half / 50);
}

START_TEST(test_dedup)
{
    run_in_coroutine(co_dedup);
}
END_TEST

static int coroutine_fn broken_co_preadv(BlockDriverState *bs, int64_t offset,
                                         int64_t bytes, const IOVector *iov,
                                         size_t iov_offset, BdrvRequestFlags flags)
{
    if (offset + bytes > 12 << 20) {
        bdrv_note_error(bs, g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT,
                                        "broken disk: sector is gone"));
        return -EIO;
    }
    iovector_memset(iov, iov_offset, 'x', bytes);
    return 0;
}

static int coroutine_fn broken_co_open(BlockDriverState *bs,
                                       const BlockdevOptions *options, int flags,
                                       GError **errp)
{
    return 0;
}

static const BlockDriver bdrv_broken = {
    .format_name = "broken",
    .bdrv_co_open = broken_co_open,
    .bdrv_co_preadv = broken_co_preadv,
};

static void coroutine_fn co_failure_leaves_nothing(void)
{
    g_autofree char *path = in_dir("disk.engram");
    BlockdevCreateOptionsEngram options = { 0 };

    for (int before = 0; before < 2; before++) {
        g_autoptr(BlockDriverState) src =
            bdrv_new_node(&bdrv_broken, "broken", 0, NULL);
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;

        src->total_bytes = 20 << 20;
        if (before) {
            ck_assert(g_file_set_contents(path, "precious", -1, NULL));
        }
        ck_assert(!engram_sink_co_encode(src, path, &options, NULL, &error));
        ck_assert_ptr_nonnull(strstr(error->message, "sector is gone"));
        ck_assert_uint_eq(count_files(), before);
        if (before) {
            ck_assert(g_file_get_contents(path, &text, NULL, NULL));
            ck_assert_str_eq(text, "precious");
        }
    }
}

START_TEST(test_failure_leaves_nothing)
{
    run_in_coroutine(co_failure_leaves_nothing);
}
END_TEST

static void coroutine_fn co_refusals(void)
{
    g_autofree char *path = in_dir("disk.engram"),
                    *missing = in_dir("no/such/disk.engram");
    g_autofree char *long_name = g_strnfill(ENGRAM_MAX_NAME_BYTES + 1, 'n');
    const char *names[] = { "", "\xff\xfe", long_name };
    uint8_t disk[512] = { 1 };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) error = NULL;
        ck_assert(!co_encode(disk, sizeof(disk), path, names[i], &error));
        ck_assert(g_error_matches(error, EMBR_ERROR, EMBR_ERROR_INVALID));
    }
    g_autoptr(GError) error = NULL;
    ck_assert(!co_encode(disk, sizeof(disk), dir, NULL, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "neither a regular file"));
    g_clear_error(&error);
    ck_assert(!co_encode(disk, sizeof(disk), missing, NULL, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "No such file"));
    ck_assert_uint_eq(count_files(), 0);
}

START_TEST(test_refusals)
{
    run_in_coroutine(co_refusals);
}
END_TEST

/* Through a symbolic link that leads to nothing yet, then over what is there. */
static void coroutine_fn co_links_and_modes(void)
{
    g_autofree char *link = in_dir("link"), *target = in_dir("target");
    size_t size = 100000;
    g_autofree uint8_t *disk = make_disk(size, 3);
    struct stat st;

    ck_assert_int_eq(symlink("target", link), 0);
    ck_assert(co_encode(disk, size, link, NULL, NULL));
    ck_assert_int_eq(lstat(link, &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    co_check_engram(target, disk, size);

    ck_assert_int_eq(chmod(target, 0640), 0);
    disk[0] ^= 0xff;
    ck_assert(co_encode(disk, size, link, NULL, NULL));
    co_check_engram(link, disk, size);
    ck_assert_int_eq(stat(target, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0640);
}

START_TEST(test_links_and_modes)
{
    run_in_coroutine(co_links_and_modes);
}
END_TEST

/* Profiles from a file; a table that is none. */
static void coroutine_fn co_profiles(void)
{
    g_autofree char *table = in_dir("profiles.json"), *path = in_dir("disk.engram");
    g_autofree uint8_t *disk = make_disk(300000, 9);
    g_autoptr(GBytes) bytes = g_bytes_new(disk, 300000);
    g_autoptr(BlockDriverState) src = bdrv_new_memory(bytes, "disk");
    BlockdevCreateOptionsEngram options = { .profiles = table };
    g_autoptr(GError) error = NULL;
    uint8_t digest[ENGRAM_DIGEST_BYTES];

    ck_assert(g_file_set_contents(
        table,
        "{ \"version\": 1, \"profiles\": ["
        "  { \"name\": \"all\", \"codec\": \"store\", \"frame-size\": 65536,"
        "    \"content\": \"unknown\" },"
        "  { \"name\": \"meta\", \"codec\": \"zstd\", \"level\": 1, \"frame-size\": "
        "65536,"
        "    \"content\": \"fs-metadata\" },"
        "  { \"name\": \"free\", \"codec\": \"store\", \"frame-size\": 65536,"
        "    \"content\": \"free-space\" } ] }",
        -1, NULL));
    ck_assert_msg(engram_sink_co_encode(src, path, &options, NULL, &error), "%s",
                  error ? error->message : "");
    co_check_engram(path, disk, 300000);
    g_free(co_info(path, digest));

    ck_assert(
        g_file_set_contents(table, "{ \"version\": 1, \"profiles\": [] }", -1, NULL));
    ck_assert(!engram_sink_co_encode(src, path, &options, NULL, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "profiles.json"));
    co_check_engram(path, disk, 300000);
}

START_TEST(test_profiles)
{
    run_in_coroutine(co_profiles);
}
END_TEST

static Suite *sink_suite(void)
{
    Suite *s = suite_create("engram-sink");
    TCase *t = tcase_create("sink");

    tcase_add_checked_fixture(t, make_dir, remove_dir);
    tcase_add_test(t, test_round_trip);
    tcase_add_test(t, test_same_and_different);
    tcase_add_test(t, test_dedup);
    tcase_add_test(t, test_failure_leaves_nothing);
    tcase_add_test(t, test_refusals);
    tcase_add_test(t, test_links_and_modes);
    tcase_add_test(t, test_profiles);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(sink_suite());

    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
