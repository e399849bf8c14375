/*
 * Manifests compared: the order of paths, digests of directories, and what is said of
 * hypervectors that do not compare.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "engram-builder.h"
#include "engram/check.h"
#include "engram/diff.h"
#include "engram/similar.h"
#include "engram/walk-order.h"
#include "run-in-coroutine.h"

enum { DISK_BYTES = 64 << 10 };

static GBytes *make_engram(void)
{
    g_autoptr(EngramBuilder) b =
        engram_builder_new(ENGRAM_LEVEL_STORE, 4096, 65536, 20);
    g_autofree uint8_t *disk = g_malloc0(DISK_BYTES);

    engram_builder_add_image(b, "vm", disk, DISK_BYTES, true);
    engram_builder_commit(b);
    return engram_builder_bytes(b);
}

/* The same with another byte in the first place that has these. */
static GBytes *make_other(const void *what, size_t len, size_t place, uint8_t value)
{
    GByteArray *data = g_bytes_unref_to_array(make_engram());
    uint8_t *found = memmem(data->data, data->len, what, len);

    ck_assert_ptr_nonnull(found);
    found[place] = value;
    engram_fix_checksums(data->data, data->len);
    le64_store(data->data + 2 * ENGRAM_SLOT_BYTES - 8, 0);      /* a slot not written yet */
    return g_byte_array_free_to_bytes(data);
}

static EngramCatalog *coroutine_fn co_catalog(BlockBackend *disk)
{
    const EngramCatalogOptions options = { 0 };
    EngramCatalog *c = engram_catalog_co_open(disk, &options, NULL, NULL);

    ck_assert_ptr_nonnull(c);
    ck_assert(!c->owns_file);
    return c;
}

static BlockBackend *coroutine_fn co_disk(GBytes *bytes, const char *name)
{
    g_autoptr(BlockDriverState) file = bdrv_new_memory(bytes, name);
    g_autoptr(BlockDriverState) bs = bdrv_co_open_over(file, "engram", 0, NULL);

    ck_assert_ptr_nonnull(bs);
    return blk_new(bs);
}

/* Paths come behind what they are in, and before what follows that. */
START_TEST(test_order)
{
    static const char *const paths[] = {
        "", "a", "a/b", "a/b/c", "a/b!", "a/c", "a!", "a-", "a.b", "ab", "ab/c", "b", "\xff",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(paths); j++) {
            int order = walk_order_compare(paths[i], paths[j]);

            ck_assert_int_eq((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}
END_TEST

static void keep_text(const char *text, void *opaque)
{
    g_string_append(opaque, text);
}

static void assert_check(GBytes *bytes, const char *expected)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(BlockDriverState) file = bdrv_new_memory(bytes, "vm.engram");
    EngramCheckResult result;

    ck_assert(engram_co_check(file, NULL, keep_text, text, &result, NULL));
    ck_assert_msg(result.corruptions == (expected ? 1 : 0), "%s", text->str);
    ck_assert_msg(expected ? strstr(text->str, expected) != NULL : !text->len, "%s",
                  text->str);
    g_bytes_unref(bytes);
}

/* A directory's digest is what the specification says, or check finds it. */
static void coroutine_fn co_digests(void)
{
    uint8_t digest[ENGRAM_DIGEST_BYTES];

    engram_builder_directory_digest(digest);
    assert_check(make_engram(), NULL);
    assert_check(make_other(digest, sizeof(digest), 3, digest[3] ^ 1),
                 "the directory of entry 3 does not give the digest that is recorded");
}

START_TEST(test_digests)
{
    run_in_coroutine(co_digests);
}
END_TEST

typedef struct Found {
    unsigned n;
    EngramDiffKind kind;
    unsigned aspects;
    char *path;
} Found;

static bool take_change(const EngramDiffChange *change, void *opaque, GError **errp)
{
    Found *found = opaque;

    found->n++;
    found->kind = change->kind;
    found->aspects = change->aspects;
    g_free(found->path);
    found->path = g_strdup(change->after->path);
    return true;
}

static void coroutine_fn co_diff(void)
{
    const uint8_t mode[] = { 0xed, 0x41, 0, 0 };      /* of the directory */
    const EngramDiffOptions options = { .min_similarity = 0.5 };
    g_autoptr(GBytes) first = make_engram();
    g_autoptr(GBytes) second = make_other(mode, sizeof(mode), 0, 0xc0);
    g_autoptr(BlockBackend) a = co_disk(first, "a.engram");
    g_autoptr(BlockBackend) b = co_disk(second, "b.engram");
    g_autoptr(EngramCatalog) ca = co_catalog(a);
    g_autoptr(EngramCatalog) cb = co_catalog(b);
    g_auto(EngramDiffResult) result = { 0 };
    Found found = { 0 };

    /* Without vectors that compare, by digest all the same. */
    ck_assert(engram_diff_co_run(ca, cb, &options, take_change, &found, &result, NULL));
    ck_assert_uint_eq(found.n, 2);
    ck_assert_str_eq(found.path, "/p2");
    ck_assert_int_eq(found.kind, ENGRAM_DIFF_METADATA);
    ck_assert_uint_eq(found.aspects, ENGRAM_DIFF_MODE);
    ck_assert_uint_eq(result.files[ENGRAM_DIFF_UNKNOWN], 1);    /* "" of p1 has no digest */
    ck_assert_msg(strstr(result.no_likeness, "a.engram has hypervectors of 0 trits"), "%s",
                  result.no_likeness);
    g_free(found.path);
}

START_TEST(test_diff)
{
    run_in_coroutine(co_diff);
}
END_TEST

static void coroutine_fn co_similar(void)
{
    g_autoptr(GBytes) bytes = make_engram();
    g_autoptr(BlockBackend) disk = co_disk(bytes, "vm.engram");
    g_autoptr(EngramCatalog) catalog = co_catalog(disk);
    g_autoptr(GPtrArray) catalogs = g_ptr_array_new();
    g_auto(EngramSimilarResult) result = { 0 };
    g_autoptr(GError) error = NULL;

    g_ptr_array_add(catalogs, catalog);
    ck_assert(!engram_similar_co_run(catalogs, 10, &result, &error));
    ck_assert(g_error_matches(error, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED));
    ck_assert_msg(strstr(error->message, "vm.engram has hypervectors of 0 trits"), "%s",
                  error->message);
}

START_TEST(test_similar)
{
    run_in_coroutine(co_similar);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("diff");
    TCase *tc = tcase_create("diff");

    tcase_add_test(tc, test_order);
    tcase_add_test(tc, test_digests);
    tcase_add_test(tc, test_diff);
    tcase_add_test(tc, test_similar);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
