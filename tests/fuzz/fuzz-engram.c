/*
 * Opens an engram, reads it, asks for its block status, checks it, lists its files,
 * searches them by index and without, and compares two of its images, up to a bound.
 *
 * Checksums would stop nearly every mutation, so they are mended first; an input that
 * begins with 'C' keeps its own from the second byte on.
 */
#include <stdlib.h>

#include "block/block-int.h"
#include "engram-builder.h"
#include "engram/check.h"
#include "engram/diff.h"
#include "engram/manifest.h"
#include "engram/query.h"
#include "engram/reader.h"
#include "engram/similar.h"
#include "qapi/qapi-types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum {
    MAX_INPUT_BYTES = 1 << 20,
    READ_BYTES      = 256 << 10,
    MAX_STATUS      = 200,
    MAX_CHECK_BYTES = 64 << 20,         /* of disks that are checked in full */
};

typedef struct Input {
    uint8_t *data;
    size_t size;
} Input;

static void coroutine_fn try_reads(BlockDriverState *bs)
{
    g_autofree uint8_t *buf = g_malloc(READ_BYTES);
    int64_t length = bdrv_length(bs), offset = 0;
    int64_t places[] = { 0, READ_BYTES, length / 2, length - MIN(length, READ_BYTES), 12345 };

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        if (places[i] < length &&
            bdrv_co_pread(bs, places[i], MIN(length - places[i], READ_BYTES), buf, 0) < 0) {
            GError *error = bdrv_take_error(bs);
            g_assert_nonnull(error);
            g_error_free(error);
        }
    }
    for (int i = 0; i < MAX_STATUS && offset < length; i++) {
        int64_t n = 0;
        if (bdrv_co_block_status(bs, offset, length - offset, &n, NULL, NULL) < 0) {
            n = MIN(65536, length - offset);
        }
        g_assert_cmpint(n, >, 0);
        g_assert_cmpint(n, <=, length - offset);
        offset += n;
    }
}

static void coroutine_fn try_manifests(EngramFile *f)
{
    for (uint32_t i = 0; i < MIN(f->n_images, 8); i++) {
        g_autoptr(EngramImage) image = engram_file_co_image(f, i, NULL);
        g_autoptr(EngramManifestReader) m = NULL;
        EngramFileInfo info;

        if (image && !engram_ref_is_none(&image->manifest)) {
            m = engram_manifest_co_open(f, image, NULL);
        }
        if (m) {
            g_auto(EngramFileIter) it;
            engram_file_iter_init(&it, m, m->n_entries / 2, UINT64_MAX);
            while (engram_file_iter_co_next(&it, &info, NULL) > 0) {
                g_assert_cmpuint(strlen(info.path), ==, info.path_bytes);
            }
        }
    }
}

static void ignore_error(const GError *error, void *opaque)
{
    g_assert_nonnull(error);
}

static void coroutine_fn try_query(EngramFile *f, bool exact)
{
    const EngramQueryOptions options = { .hits = 5, .exact = exact, .all = exact };
    g_autoptr(EngramQuery) q = engram_query_new(&options);
    g_auto(EngramQueryResult) result = { 0 };

    if (!engram_query_add_engram(q, f, NULL)) {
        return;
    }
    engram_query_co_add_content(q, "a", 1);
    if (engram_query_co_search(q, ignore_error, NULL, &result, NULL)) {
        g_assert_cmpuint(result.hits->len, <=, options.hits);
    }
}

static bool take_change(const EngramDiffChange *change, void *opaque, GError **errp)
{
    g_assert_true(change->before || change->after);
    g_assert_true(!change->before || *change->before->path == '/');
    g_assert_true(!change->after || *change->after->path == '/');
    return true;
}

/* NULL: it would have to be read. */
static EngramCatalog *coroutine_fn open_catalog(BlockBackend *disk)
{
    const EngramCatalogOptions options = { 0 };
    ChunkerParams params;
    bool found;

    if (!engram_catalog_co_chunker(disk, &params, &found, NULL) || !found) {
        return NULL;
    }
    return engram_catalog_co_open(disk, &options, NULL, NULL);
}

static void coroutine_fn try_compare(BlockDriverState *file, EngramFile *f)
{
    const EngramDiffOptions options = { .min_similarity = 0.5 };
    g_autoptr(BlockDriverState) first = bdrv_co_open_over(file, "engram", 0, NULL);
    g_autoptr(BlockDriverState) second = bdrv_co_open_over(file, "engram", 0, NULL);
    g_autoptr(EngramImage) last = engram_file_co_image(f, f->n_images - 1, NULL);
    g_auto(EngramDiffResult) result = { 0 };
    g_auto(EngramSimilarResult) similar = { 0 };

    if (!first || !second || !last ||
        bdrv_co_load_snapshot(second, last->name, NULL) < 0) {
        return;
    }
    g_autoptr(BlockBackend) a = blk_new(first);
    g_autoptr(BlockBackend) b = blk_new(second);
    g_autoptr(EngramCatalog) ca = open_catalog(a);
    g_autoptr(EngramCatalog) cb = open_catalog(b);
    if (!ca || !cb) {
        return;
    }
    g_autoptr(GPtrArray) catalogs = g_ptr_array_new();
    g_ptr_array_add(catalogs, ca);
    g_ptr_array_add(catalogs, cb);
    engram_diff_co_run(ca, cb, &options, take_change, NULL, &result, NULL);
    engram_similar_co_run(catalogs, 5, &similar, NULL);
}

static void ignore(const char *text, void *opaque)
{
    g_assert_true(g_utf8_validate(text, -1, NULL));
}

static void coroutine_fn try_engram(void *opaque)
{
    const Input *input = opaque;
    g_autoptr(GBytes) bytes = g_bytes_new_static(input->data, input->size);
    g_autoptr(BlockDriverState) file = bdrv_new_memory(bytes, "fuzz");
    g_autoptr(GError) error = NULL;
    g_autoptr(EngramFile) f = engram_file_co_open(file, &error);
    uint64_t disk_bytes = 0;

    if (!f) {
        g_assert_nonnull(error);
        return;
    }
    g_autoptr(BlockDriverState) bs = bdrv_co_open_over(file, "engram", 0, &error);
    if (bs) {
        g_autoptr(ImageInfo) info = bdrv_co_image_info(bs, NULL);
        (void)info;
        try_reads(bs);
    }
    try_manifests(f);
    if (f->n_images <= 8) {
        try_query(f, false);
        try_query(f, true);
    }
    if (f->n_images && f->n_images <= 8) {
        try_compare(file, f);
    }
    for (uint32_t i = 0; i < f->n_images; i++) {
        uint64_t n = le64_get(f->images[i].virtual_size);
        disk_bytes = n > MAX_CHECK_BYTES ? G_MAXUINT32 : disk_bytes + n;
    }
    if (disk_bytes <= MAX_CHECK_BYTES) {
        EngramCheckResult result;
        engram_co_check(file, NULL, ignore, NULL, &result, NULL);
    }
}

static AioContext *context;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    context = aio_context_new(AIO_BACKEND_AUTO, NULL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > MAX_INPUT_BYTES) {
        return 0;
    }
    bool keep = data[0] == 'C';
    Input input = { g_memdup2(data + keep, size - keep), size - keep };

    if (!keep) {
        engram_fix_checksums(input.data, input.size);
    }
    aio_run(context, try_engram, &input);
    g_free(input.data);
    return 0;
}
