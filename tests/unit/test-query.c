/*
 * Queries by themselves: which hits are kept and in what order, and what is refused.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "engram-builder.h"
#include "engram/query-hits.h"
#include "engram/vector.h"
#include "util/aio.h"

enum { N = 300, DISK_BYTES = 64 << 10 };

/* Hit i of N, best first. */
static EngramQueryHit nth_hit(unsigned i)
{
    return (EngramQueryHit){
        .similarity = 1.0 - i / 24 * 0.01,
        .identical = i % 24 < 12,
        .engram_index = i % 12 / 6,
        .image_index = i % 6 / 3,
        .entry = i % 3 * 100,
        .size = i,
        .engram = (char *)"vm.engram",
        .image = (char *)"vm",
        .path = (char *)"/etc/motd",
    };
}

static void shuffle(GRand *rand, unsigned *order)
{
    for (unsigned i = 0; i < N; i++) {
        order[i] = i;
    }
    for (unsigned i = N - 1; i > 0; i--) {
        unsigned j = g_rand_int_range(rand, 0, i + 1), swapped = order[i];

        order[i] = order[j];
        order[j] = swapped;
    }
}

/* Whatever order hits come in, the best are kept, best first. */
START_TEST(test_best_first)
{
    static const unsigned sizes[] = { 1, 2, 7, 100, N - 1, N, N + 1, 10000 };
    g_autoptr(GRand) rand = g_rand_new_with_seed(_i);
    unsigned max = sizes[_i], order[N];
    QueryHits *hits = query_hits_new(max, _i % 2);

    shuffle(rand, order);
    for (unsigned i = 0; i < N; i++) {
        EngramQueryHit hit = nth_hit(order[i]);
        query_hits_add(hits, &hit);
    }
    g_autoptr(GPtrArray) list = query_hits_take(hits);
    ck_assert_uint_eq(list->len, MIN(max, N));
    for (unsigned i = 0; i < list->len; i++) {
        const EngramQueryHit *hit = g_ptr_array_index(list, i);
        ck_assert_uint_eq(hit->size, i);
        ck_assert_str_eq(hit->path, "/etc/motd");
    }
    g_autoptr(GPtrArray) rest = query_hits_take(hits);
    ck_assert_uint_eq(rest->len, 0);
    query_hits_free(hits);
}
END_TEST

enum { CONTENTS = 40, PLACES = 5 };

/* One of the places of a content, best content first; every second one of the same
 * similarity as the one before it. */
static EngramQueryHit copy_of(unsigned content, unsigned place)
{
    EngramQueryHit hit = {
        .similarity = 1.0 - content / 2 * 0.01,
        .engram_index = place / 3,
        .entry = place % 3 * 1000 + content,
        .size = content,
        .engram = (char *)"vm.engram",
        .image = (char *)"vm",
        .path = (char *)"/etc/motd",
        .has_digest = true,
    };

    hit.digest[0] = content % 2 ? 1 : 200;
    hit.digest[31] = content;
    return hit;
}

/* Each content is found once, where it comes first, and all its places are counted. */
START_TEST(test_copies_are_folded)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(_i);
    unsigned max = 1 + _i * 3, order[N];
    QueryHits *hits = query_hits_new(max, true);

    shuffle(rand, order);
    for (unsigned i = 0; i < N; i++) {
        if (order[i] < CONTENTS * PLACES) {
            EngramQueryHit hit = copy_of(order[i] / PLACES, order[i] % PLACES);
            query_hits_add(hits, &hit);
        }
    }
    g_autoptr(GPtrArray) list = query_hits_take(hits);
    query_hits_free(hits);
    ck_assert_uint_eq(list->len, MIN(max, CONTENTS));
    for (unsigned i = 0; i < list->len; i++) {
        const EngramQueryHit *hit = g_ptr_array_index(list, i);
        unsigned content = hit->size;

        /* The last of an even number of them may be either of two. */
        ck_assert_uint_eq(content / 2, i / 2);
        ck_assert_uint_eq(hit->copies, PLACES - 1);
        ck_assert_uint_eq(hit->engram_index, 0);
        ck_assert_uint_eq(hit->entry, content);
    }
}
END_TEST

enum { VECTOR_BYTES = 5 };          /* in the builder's manifest */

typedef struct Search {
    bool with_manifest;
    const uint8_t *vector;          /* of its second file, VECTOR_BYTES; NULL: none */
    const char *image;
    const char *content;
    EngramQueryResult result;
    GPtrArray *skipped;             /* of GError */
    bool ok;
    GError *error;
} Search;

static void free_error(gpointer error)
{
    g_error_free(error);
}

static void keep_error(const GError *error, void *opaque)
{
    g_ptr_array_add(opaque, g_error_copy(error));
}

static uint8_t *find(GByteArray *data, const void *what, size_t len)
{
    uint8_t *found = memmem(data->data, data->len, what, len);

    ck_assert_ptr_nonnull(found);
    return found;
}

/* The one vector of the builder's manifest becomes one of a file, of the usual
 * dimension. */
static GBytes *with_vector(GBytes *engram, const uint8_t *vector)
{
    GByteArray *data = g_bytes_unref_to_array(engram);
    const EngramVectorEntry old = { .entry = le64_make(ENGRAM_VECTOR_OF_IMAGE),
                                    .bytes = le32_make(VECTOR_BYTES) };
    EngramManifestRoot root = {
        .entries = le64_make(5),
        .vectors = le64_make(1),
        .file_pages = le32_make(2),
        .vector_pages = le32_make(1),
        .hypervector_encoding = le32_make(HYPERVEC_ENCODING),
        .volumes = le32_make(2),
    };
    uint8_t *at = find(data, &old, sizeof(old));

    le64_store(at, 1);
    memcpy(at + sizeof(old), vector, VECTOR_BYTES);
    at = find(data, &root, sizeof(root));
    root.hypervector_dimension = le32_make(VECTOR_DIMENSION);
    memcpy(at, &root, sizeof(root));
    engram_fix_checksums(data->data, data->len);
    return g_byte_array_free_to_bytes(data);
}

static void coroutine_fn co_search(void *opaque)
{
    Search *s = opaque;
    g_autoptr(EngramBuilder) b =
        engram_builder_new(ENGRAM_LEVEL_STORE, 4096, 65536, 20);
    g_autofree uint8_t *disk = g_malloc0(DISK_BYTES);
    const EngramQueryOptions options = { .hits = 3, .image = s->image };
    g_autoptr(EngramQuery) q = engram_query_new(&options);

    engram_builder_add_image(b, "vm", disk, DISK_BYTES, s->with_manifest);
    engram_builder_commit(b);
    GBytes *made = engram_builder_bytes(b);
    g_autoptr(GBytes) bytes = s->vector ? with_vector(made, s->vector) : made;
    g_autoptr(BlockDriverState) bs = bdrv_new_memory(bytes, "vm.engram");
    g_autoptr(EngramFile) f = engram_file_co_open(bs, NULL);
    ck_assert_ptr_nonnull(f);
    ck_assert(engram_query_add_engram(q, f, NULL));
    engram_query_co_add_content(q, s->content, strlen(s->content));
    s->ok = engram_query_co_search(q, keep_error, s->skipped, &s->result, &s->error);
}

static void run_search(Search *s)
{
    g_autoptr(AioContext) ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);

    s->skipped = g_ptr_array_new_with_free_func(free_error);
    aio_run(ctx, co_search, s);
}

static void clear_search(Search *s)
{
    engram_query_result_clear(&s->result);
    g_ptr_array_unref(s->skipped);
    g_clear_error(&s->error);
}

/* There is nothing to be searched. */
static void assert_refused(Search s, EmbrError code, const char *text)
{
    run_search(&s);
    ck_assert(!s.ok);
    ck_assert_ptr_null(s.result.hits);
    ck_assert(g_error_matches(s.error, EMBR_ERROR, code));
    ck_assert_msg(strstr(s.error->message, text), "%s", s.error->message);
    clear_search(&s);
}

/* The one image cannot be searched. */
static void assert_skipped(Search s, EmbrError code, const char *text)
{
    run_search(&s);
    ck_assert(s.ok);
    ck_assert_uint_eq(s.result.hits->len, 0);
    ck_assert_uint_eq(s.result.searched, 0);
    ck_assert_uint_eq(s.result.skipped, 1);
    ck_assert_uint_eq(s.skipped->len, 1);
    const GError *error = g_ptr_array_index(s.skipped, 0);
    ck_assert(g_error_matches(error, EMBR_ERROR, code));
    ck_assert_msg(strstr(error->message, text), "%s", error->message);
    clear_search(&s);
}

START_TEST(test_refused)
{
    assert_refused((Search){ .content = "" }, EMBR_ERROR_INVALID, "is empty");
    assert_refused((Search){ .content = "content", .image = "other" },
                   EMBR_ERROR_NOT_FOUND, "no image is named 'other'; there is 'vm'");
    assert_skipped((Search){ .content = "content" }, EMBR_ERROR_UNSUPPORTED,
                   "vm.engram: image 'vm' has no manifest");
    assert_skipped((Search){ .content = "content", .with_manifest = true },
                   EMBR_ERROR_UNSUPPORTED,
                   "vm.engram: image 'vm' has hypervectors of 0 trits in encoding 2");
}
END_TEST

/* A content whose vector has VECTOR_BYTES when packed. */
static char *make_content(uint8_t *vector)
{
    for (unsigned i = 0;; i++) {
        g_autofree char *content = g_strdup_printf("%u", i);
        g_autofree VectorCounts *counts = g_new0(VectorCounts, 1);
        uint8_t packed[VECTOR_PACKED_BYTES_MAX];

        hypervec_encode(vector_space(), counts->trits, content, strlen(content));
        if (vector_counts_pack(counts, packed) == VECTOR_BYTES) {
            memcpy(vector, packed, VECTOR_BYTES);
            return g_steal_pointer(&content);
        }
    }
}

/* The same vector, but not the same content. */
START_TEST(test_found)
{
    uint8_t vector[VECTOR_BYTES];
    g_autofree char *content = make_content(vector);
    Search s = { .content = content, .with_manifest = true, .vector = vector };

    run_search(&s);
    ck_assert(s.ok);
    ck_assert_uint_eq(s.result.searched, 1);
    ck_assert_uint_eq(s.skipped->len, 0);
    ck_assert_uint_eq(s.result.hits->len, 1);
    const EngramQueryHit *hit = g_ptr_array_index(s.result.hits, 0);
    ck_assert(hit->similarity == 1);
    ck_assert(!hit->identical);
    ck_assert_str_eq(hit->engram, "vm.engram");
    ck_assert_str_eq(hit->image, "vm");
    ck_assert_str_eq(hit->path, "/p1/a");
    ck_assert_uint_eq(hit->entry, 1);
    clear_search(&s);
}
END_TEST

/* A vector that is none is named, with its file and where it lies. */
START_TEST(test_damaged_vector)
{
    assert_skipped((Search){ .content = "content", .with_manifest = true,
                             .vector = (const uint8_t *)"\xff\xff\xff\xff\xff" },
                   EMBR_ERROR_CORRUPT, ": hypervector of '/p1/a': ");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("query");
    TCase *tc = tcase_create("query");

    tcase_add_loop_test(tc, test_best_first, 0, 8);
    tcase_add_loop_test(tc, test_copies_are_folded, 0, 16);
    tcase_add_test(tc, test_refused);
    tcase_add_test(tc, test_found);
    tcase_add_test(tc, test_damaged_vector);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
