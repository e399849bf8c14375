/*
 * The index of vectors: what is found by it, and what an index that is not right does
 * to queries and checks.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "engram-builder.h"
#include "engram/check.h"
#include "engram/query.h"
#include "engram/vector.h"
#include "util/aio.h"

enum { DISK_BYTES = 64 << 10 };

typedef struct Search {
    GByteArray *engram;
    EngramQueryOptions options;
    EngramQueryResult result;
    GString *skipped;               /* what was reported */
    GString *findings;              /* of a check */
} Search;

static GByteArray *make_engram(void)
{
    g_autoptr(EngramBuilder) b =
        engram_builder_new(ENGRAM_LEVEL_STORE, 4096, 65536, 20);
    g_autofree uint8_t *disk = g_malloc0(DISK_BYTES);

    b->with_index = true;
    engram_builder_add_image(b, "vm", disk, DISK_BYTES, true);
    for (int slot = 0; slot < ENGRAM_SLOTS; slot++) {
        engram_builder_commit(b);
    }
    return g_bytes_unref_to_array(engram_builder_bytes(b));
}

static void keep_error(const GError *error, void *opaque)
{
    g_string_append_printf(opaque, "%s\n", error->message);
}

static void keep_finding(const char *text, void *opaque)
{
    g_string_append_printf(opaque, "%s\n", text);
}

static void coroutine_fn co_search(void *opaque)
{
    Search *s = opaque;
    g_autoptr(GBytes) bytes = g_bytes_new_static(s->engram->data, s->engram->len);
    g_autoptr(BlockDriverState) bs = bdrv_new_memory(bytes, "vm.engram");
    g_autoptr(EngramFile) f = engram_file_co_open(bs, NULL);
    g_autoptr(EngramQuery) q = engram_query_new(&s->options);
    EngramCheckResult check;

    ck_assert_ptr_nonnull(f);
    ck_assert(engram_query_add_engram(q, f, NULL));
    engram_query_co_add_content(q, "a", 1);
    ck_assert(engram_query_co_search(q, keep_error, s->skipped, &s->result, NULL));
    ck_assert(engram_co_check(bs, NULL, keep_finding, s->findings, &check, NULL));
}

static void search(Search *s)
{
    g_autoptr(AioContext) ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);

    s->options.hits = 10;
    s->skipped = g_string_new(NULL);
    s->findings = g_string_new(NULL);
    engram_fix_checksums(s->engram->data, s->engram->len);
    aio_run(ctx, co_search, s);
}

static void search_clear(Search *s)
{
    engram_query_result_clear(&s->result);
    g_string_free(s->skipped, TRUE);
    g_string_free(s->findings, TRUE);
    g_byte_array_unref(s->engram);
}

/* Both that are like it, in the order of the manifest. */
static void assert_found(Search s)
{
    static const char *const paths[] = { "/p1/a", "/p2/etc" };

    search(&s);
    ck_assert_str_eq(s.skipped->str, "");
    ck_assert_str_eq(s.findings->str, "");
    ck_assert_uint_eq(s.result.searched, 1);
    ck_assert_uint_ge(s.result.hits->len, 2);
    for (unsigned i = 0; i < 2; i++) {
        const EngramQueryHit *hit = g_ptr_array_index(s.result.hits, i);
        ck_assert(hit->similarity == 1);
        ck_assert_str_eq(hit->path, paths[i]);
    }
    search_clear(&s);
}

static uint8_t *find(GByteArray *data, const void *what, size_t len)
{
    uint8_t *found = memmem(data->data, data->len, what, len);

    ck_assert_ptr_nonnull(found);
    return found;
}

static EngramVectorIndexRoot *find_root(GByteArray *engram)
{
    EngramVectorIndexRoot root = {
        .vectors = le64_make(3),
        .dimension = le32_make(VECTOR_DIMENSION),
        .short_dimension = le32_make(VECTOR_SHORT_DIMENSION),
        .clusters = le32_make(3),
        .file_clusters = le32_make(2),
        .pages = le32_make(2),
    };

    return (EngramVectorIndexRoot *)find(engram, &root, sizeof(root));
}

/* The member that is the vector of that number. */
static EngramMember *find_member(GByteArray *engram, uint32_t vector)
{
    const EngramVectorIndexRoot *root = find_root(engram);
    const EngramManifestPage *page =
        (const EngramManifestPage *)(root + 1) + (vector > 0);
    uint8_t *at = engram->data + le64_get(page->ref.offset) +
                  sizeof(EngramObjectHeader);

    while (le32_get(((EngramMember *)at)->vector) != vector) {
        at += sizeof(EngramMember) + ((EngramMember *)at)->bytes;
    }
    return (EngramMember *)at;
}

START_TEST(test_found)
{
    assert_found((Search){ .engram = make_engram() });
    assert_found((Search){ .engram = make_engram(), .options.exact = true });
    assert_found((Search){ .engram = make_engram(), .options.path = "*" });
}
END_TEST

/* An index that is not said to be up to date is not looked at. */
START_TEST(test_out_of_date)
{
    GByteArray *engram = make_engram();

    for (int slot = 0; slot < ENGRAM_SLOTS; slot++) {
        ((EngramSlot *)engram->data)[slot].autoclear = le64_make(0);
    }
    find_root(engram)->dimension = le32_make(512);
    assert_found((Search){ .engram = engram });
}
END_TEST

/* One that is broken: the query says so, and the check says more. */
static void assert_broken(GByteArray *engram, const char *skipped, const char *finding)
{
    Search s = { .engram = engram };

    search(&s);
    if (skipped) {
        ck_assert_uint_eq(s.result.skipped, 1);
        ck_assert_uint_eq(s.result.hits->len, 0);
        ck_assert_msg(strstr(s.skipped->str, skipped), "%s", s.skipped->str);
        ck_assert_msg(g_str_has_prefix(s.skipped->str, "vm.engram: "), "%s",
                      s.skipped->str);
    } else {
        ck_assert_str_eq(s.skipped->str, "");
    }
    ck_assert_msg(strstr(s.findings->str, finding), "%s", s.findings->str);
    search_clear(&s);
}

typedef struct BrokenRoot {
    size_t offset;
    uint32_t value;
    const char *text;
} BrokenRoot;

#define ROOT(field) offsetof(EngramVectorIndexRoot, field)
#define PAGE(n, field)                                                                 \
    (sizeof(EngramVectorIndexRoot) + (n) * sizeof(EngramManifestPage) +                \
     offsetof(EngramManifestPage, field))
#define CLUSTER(n)                                                                     \
    (sizeof(EngramVectorIndexRoot) + 2 * sizeof(EngramManifestPage) + 4 * (n))

static const BrokenRoot broken_roots[] = {
    { ROOT(vectors), 2, "2 vectors, the manifest has 4" },
    { ROOT(vectors), 5, "5 vectors, the manifest has 4" },
    { ROOT(vectors), 4, "3 members in its pages, expected 4" },
    { ROOT(dimension), 512, "centroids of 512 trits, the manifest has vectors of 2048" },
    { ROOT(short_dimension), 1024, "short vectors of 1024 trits, expected 512" },
    { ROOT(clusters), 4, "bytes for 2 pages and 4 clusters" },
    { ROOT(clusters), UINT32_MAX, "bytes for 2 pages and 4294967295 clusters" },
    { ROOT(clusters), 1, "2 clusters of files among 1" },
    { ROOT(pages), 1, "bytes for 1 pages and 3 clusters" },
    { ROOT(pages), UINT32_MAX, "bytes for 4294967295 pages" },
    { PAGE(0, entries), 0, "page 0 has 0 members" },
    { PAGE(1, first), 2, "page 1 has 2 members from number 2 on, expected some from" },
    { PAGE(1, entries), 3, "4 members in its pages, expected 3" },
    { PAGE(1, ref.offset), 8193, "offset" },
    { CLUSTER(0), 3, "4 members in its clusters, expected 3" },
    { CLUSTER(2), UINT32_MAX, "members in its clusters, expected 3" },
    { CLUSTER(3) + VECTOR_DIMENSION / 8, UINT32_MAX, "centroid 0 has negative zeroes" },
};

START_TEST(test_broken_root)
{
    const BrokenRoot *broken = &broken_roots[_i];
    GByteArray *engram = make_engram();

    le32_store((uint8_t *)find_root(engram) + broken->offset, broken->value);
    assert_broken(engram, broken->text, broken->text);
}
END_TEST

START_TEST(test_broken_members)
{
    GByteArray *engram = make_engram();

    find_member(engram, 0)->vector = le32_make(3);
    assert_broken(engram, "is vector 3 of 3", "is vector 3 of 3");
    engram = make_engram();
    find_member(engram, 0)->bytes += 1;
    assert_broken(engram, "member at byte 0 of", "member at byte 0 of");
    engram = make_engram();
    find_member(engram, 0)->bytes -= 1;
    assert_broken(engram, "member at byte 0 of", "member at byte 0 of");
    engram = make_engram();
    ((uint8_t *)(find_member(engram, 0) + 1))[0] = 0xff;
    assert_broken(engram, "vector 0: ", "vector 0: ");
}
END_TEST

/* What is well-formed but not the vectors of the manifest: similarities are still
 * those of the vectors; the check finds it. */
START_TEST(test_wrong_members)
{
    const char *finding = "does not hold the vectors of the manifest";
    GByteArray *engram = make_engram();

    find_member(engram, 2)->vector = le32_make(0);
    assert_broken(engram, NULL, finding);
    engram = make_engram();
    find_root(engram)->file_clusters = le32_make(1);
    assert_broken(engram, NULL, finding);
    engram = make_engram();
    /* All signs. */
    EngramMember *member = find_member(engram, 0);
    uint8_t *packed = (uint8_t *)(member + 1);
    uint64_t v[VECTOR_SHORT_WORDS];
    ck_assert(hypervec_unpack(vector_short_space(), v, packed, member->bytes, NULL));
    ck_assert_uint_gt(hypervec_active(vector_short_space(), v), 0);
    for (uint32_t i = 0; i < VECTOR_SHORT_DIMENSION; i++) {
        int trit = hypervec_get(vector_short_space(), v, i);
        hypervec_set(vector_short_space(), v, i, -trit);
    }
    ck_assert_uint_eq(hypervec_pack(vector_short_space(), packed, v), member->bytes);
    assert_broken(engram, NULL, finding);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vector-index");
    TCase *tc = tcase_create("vector-index");

    tcase_add_test(tc, test_found);
    tcase_add_test(tc, test_out_of_date);
    tcase_add_loop_test(tc, test_broken_root, 0, G_N_ELEMENTS(broken_roots));
    tcase_add_test(tc, test_broken_members);
    tcase_add_test(tc, test_wrong_members);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
