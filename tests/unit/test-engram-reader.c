/*
 * Reading engrams that a builder of the tests made: bytes, status, images, caches,
 * read-ahead, fallback to the older slot, and what is refused.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "block/block-backend.h"
#include "engram-builder.h"
#include "engram/check.h"
#include "engram/manifest.h"
#include "engram/reader.h"
#include "tests/lib/run-in-coroutine.h"

enum { CHUNK = 4096, SEGMENT_BITS = 16 };

/* Data, repeated data, zeroes, dropped blocks, in runs of chunks of any length. */
static uint8_t *make_disk(size_t size, uint32_t seed)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    uint8_t *disk = g_malloc0(size + 1);

    for (size_t pos = 0; pos < size;) {
        size_t run_bytes = (size_t)g_rand_int_range(rand, 1, 20) * CHUNK;
        size_t n = MIN(run_bytes, size - pos);
        int kind = g_rand_int_range(rand, 0, 5);

        for (size_t i = 0; i < n && kind < 4; i++) {
            disk[pos + i] = kind == 0 ? 0xdd : kind == 1 ? i % 251 : g_rand_int(rand) >> 24;
        }
        pos += n;
    }
    return disk;
}

/* What the guest sees of such a disk. */
static void drop_blocks(uint8_t *disk, size_t size)
{
    for (size_t pos = 0; pos < size; pos += CHUNK) {
        size_t n = MIN((size_t)CHUNK, size - pos), i = 0;

        while (i < n && disk[pos + i] == 0xdd) {
            i++;
        }
        if (i == n) {
            memset(disk + pos, 0, n);
        }
    }
}

static GBytes *build(const uint8_t *disk, size_t size, int level)
{
    g_autoptr(EngramBuilder) b =
        engram_builder_new(level, CHUNK, 5 * CHUNK, SEGMENT_BITS);

    engram_builder_add_image(b, "disk", disk, size, true);
    engram_builder_commit(b);
    return engram_builder_bytes(b);
}

static BlockDriverState *coroutine_fn co_open(GBytes *bytes, GError **errp)
{
    g_autoptr(BlockDriverState) file = bdrv_new_memory(bytes, "test.engram");

    return bdrv_co_open_over(file, NULL, 0, errp);
}

static void coroutine_fn co_check_reads(BlockDriverState *bs, const uint8_t *disk,
                                        size_t size)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(size);
    g_autofree uint8_t *buf = g_malloc(size + 1);

    ck_assert_int_eq(bdrv_length(bs), size);
    for (int i = 0; i < 400 && size; i++) {
        size_t offset = g_rand_int_range(rand, 0, size);
        size_t n = g_rand_int_range(rand, 1, i < 300 ? 20000 : size + 1);

        n = MIN(n, size - offset);
        memset(buf, 0xee, n);
        ck_assert_int_eq(bdrv_co_pread(bs, offset, n, buf, 0), 0);
        ck_assert_mem_eq(buf, disk + offset, n);

        BdrvPin pin;
        memset(buf, 0xee, n);
        ck_assert_int_eq(bdrv_co_pin(bs, offset, n, &pin), 0);
        ck_assert_uint_eq(pin.iov.size, n);
        iovector_to_buf(&pin.iov, 0, buf, n);
        bdrv_unpin(&pin);
        ck_assert_mem_eq(buf, disk + offset, n);
    }
    ck_assert_int_eq(bdrv_co_pread(bs, 0, size, buf, 0), 0);
    ck_assert_mem_eq(buf, disk, size);
    for (size_t pos = 0, n; pos < size; pos += n) {
        n = MIN(size - pos, (size_t)12345);
        ck_assert_int_eq(bdrv_co_pread(bs, pos, n, buf, 0), 0);
        ck_assert_mem_eq(buf, disk + pos, n);
    }
}

static void coroutine_fn co_check_status(BlockDriverState *bs, const uint8_t *disk,
                                         size_t size)
{
    for (size_t pos = 0; pos < size;) {
        int64_t n = 0;
        int ret = bdrv_co_block_status(bs, pos, size - pos, &n, NULL, NULL);

        ck_assert_int_gt(n, 0);
        ck_assert_int_le(n, size - pos);
        ck_assert(ret > 0);
        ck_assert((ret & BDRV_BLOCK_ALLOCATED) || (ret & BDRV_BLOCK_ZERO));
        ck_assert(!(ret & BDRV_BLOCK_ZERO) == !!(ret & BDRV_BLOCK_DATA));
        for (size_t at = pos; at < pos + n; at += CHUNK) {
            size_t len = MIN((size_t)CHUNK, pos + n - at);
            ck_assert_int_eq(buffer_is_zero(disk + at, len), !!(ret & BDRV_BLOCK_ZERO));
        }
        pos += n;
    }
}

/* Blocks of all 0xdd, which the builder drops, are not allocated. */
static void coroutine_fn co_check_dropped(BlockDriverState *bs, const uint8_t *disk,
                                          size_t size)
{
    for (size_t pos = 0; pos + CHUNK <= size; pos += CHUNK) {
        bool dropped = disk[pos] == 0xdd && !memcmp(disk + pos, disk + pos + 1, CHUNK - 1);
        int64_t n;
        int ret = bdrv_co_block_status(bs, pos, CHUNK, &n, NULL, NULL);

        ck_assert_int_eq(n, CHUNK);
        ck_assert_int_eq(!(ret & BDRV_BLOCK_ALLOCATED), dropped);
    }
}

static void coroutine_fn co_round_trip(size_t size, int level)
{
    g_autofree uint8_t *disk = make_disk(size, size + 1);
    g_autoptr(GBytes) bytes = build(disk, size, level);
    g_autoptr(GError) error = NULL;
    g_autoptr(BlockDriverState) bs = co_open(bytes, &error);

    ck_assert_msg(bs, "%s", error ? error->message : "");
    ck_assert_str_eq(bdrv_format_name(bs), "engram");
    co_check_dropped(bs, disk, size);
    drop_blocks(disk, size);
    co_check_reads(bs, disk, size);
    co_check_status(bs, disk, size);
}

/* What would pin too much has to be read. */
static void coroutine_fn co_test_pin_limit(void)
{
    size_t size = 128 << 10;
    g_autofree uint8_t *disk = make_disk(size, 5);
    g_autoptr(EngramBuilder) b = engram_builder_new(3, 16, 4096, 17);
    BdrvPin pin;

    for (size_t i = 0; i < size; i++) {
        disk[i] = i % 251 + i / 3001 + 1;
    }
    engram_builder_add_image(b, "disk", disk, size, false);
    engram_builder_commit(b);
    g_autoptr(GBytes) bytes = engram_builder_bytes(b);
    g_autoptr(BlockDriverState) bs = co_open(bytes, NULL);
    ck_assert_int_eq(bdrv_co_pin(bs, 0, size, &pin), -ENOTSUP);
    ck_assert_int_eq(bdrv_co_pin(bs, 0, size + 1, &pin), -EINVAL);
    ck_assert_int_eq(bdrv_co_pin(bs, 0, size / 4, &pin), 0);
    bdrv_unpin(&pin);
}

START_TEST(test_pin_limit)
{
    run_in_coroutine(co_test_pin_limit);
}
END_TEST

static void coroutine_fn co_test_round_trip(void)
{
    static const size_t sizes[] = { 0, 1, 512, 4096, 65536, 65537, 1000000, 5 << 20 };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        co_round_trip(sizes[i], 3);
        co_round_trip(sizes[i], ENGRAM_LEVEL_STORE);
    }
}

START_TEST(test_round_trip)
{
    run_in_coroutine(co_test_round_trip);
}
END_TEST

/* More than one segments page, pages without a reference, an end inside a segment. */
static void coroutine_fn co_test_sparse(void)
{
    size_t size = ((size_t)ENGRAM_SEGMENTS_PER_PAGE * 3 << SEGMENT_BITS) + 5000;
    g_autofree uint8_t *disk = g_malloc0(size + 1);
    g_autofree uint8_t *buf = g_malloc(3 << 20);
    size_t at = size - 1234567;
    int64_t n;

    memset(disk + at, 0x55, 100000);
    memset(disk + 70000, 0x66, 10);
    g_autoptr(GBytes) bytes = build(disk, size, 3);
    g_autoptr(BlockDriverState) bs = co_open(bytes, NULL);
    ck_assert_ptr_nonnull(bs);
    co_check_status(bs, disk, size);
    ck_assert_int_eq(bdrv_co_pread(bs, at - (1 << 20), 2 << 20, buf, 0), 0);
    ck_assert_mem_eq(buf, disk + at - (1 << 20), 2 << 20);
    ck_assert_int_eq(bdrv_co_pread(bs, 0, 3 << 20, buf, 0), 0);
    ck_assert_mem_eq(buf, disk, 3 << 20);
    int ret = bdrv_co_block_status(bs, 1 << 20, size - (1 << 20), &n, NULL, NULL);
    ck_assert(ret & BDRV_BLOCK_ZERO);
    ck_assert_int_gt(n, (int64_t)ENGRAM_SEGMENTS_PER_PAGE << SEGMENT_BITS);
}

START_TEST(test_sparse)
{
    run_in_coroutine(co_test_sparse);
}
END_TEST

/* A cold read touches two index pages and one frame; a warm one nothing. */
static void coroutine_fn co_test_cost(void)
{
    size_t size = 2 << 20;
    g_autofree uint8_t *disk = make_disk(size, 5);
    memset(disk, 0x11, CHUNK);
    memset(disk + (1 << 20), 0x12, CHUNK);
    g_autoptr(GBytes) bytes = build(disk, size, 3);
    g_autoptr(BlockDriverState) file = bdrv_new_memory(bytes, "test.engram");
    g_autoptr(EngramReader) r = engram_reader_co_open(file, NULL, 1, NULL);
    uint8_t buf[CHUNK];
    EngramReaderStats stats;
    IOVector iov;

    ck_assert_ptr_nonnull(r);
    iovector_init_buf(&iov, buf, sizeof(buf));
    engram_reader_stats(r, &stats);
    ck_assert_uint_eq(stats.frames_decoded + stats.index_pages_loaded, 0);
    ck_assert(engram_reader_co_read(r, 1 << 20, CHUNK, &iov, 0, NULL));
    ck_assert_uint_eq(buf[0], 0x12);
    engram_reader_stats(r, &stats);
    ck_assert_uint_eq(stats.frames_decoded, 1);
    ck_assert_uint_eq(stats.index_pages_loaded, 2);
    /* The cache of one byte holds no frame, the index stays. */
    ck_assert(engram_reader_co_read(r, 1 << 20, CHUNK, &iov, 0, NULL));
    engram_reader_stats(r, &stats);
    ck_assert_uint_eq(stats.frames_decoded, 2);
    ck_assert_uint_eq(stats.index_pages_loaded, 2);
}

START_TEST(test_cost)
{
    run_in_coroutine(co_test_cost);
}
END_TEST

typedef struct Reader {
    BlockDriverState *bs;
    const uint8_t *disk;
    size_t size;
    unsigned *running;
    uint32_t seed;
} Reader;

static void coroutine_fn reader_entry(void *opaque)
{
    Reader *reader = opaque;
    g_autoptr(GRand) rand = g_rand_new_with_seed(reader->seed);
    g_autofree uint8_t *buf = g_malloc(100000);

    for (int i = 0; i < 60; i++) {
        size_t offset = g_rand_int_range(rand, 0, reader->size);
        size_t n = g_rand_int_range(rand, 1, 100000);

        n = MIN(n, reader->size - offset);
        ck_assert_int_eq(bdrv_co_pread(reader->bs, offset, n, buf, 0), 0);
        ck_assert_mem_eq(buf, reader->disk + offset, n);
    }
    --*reader->running;
}

static void coroutine_fn co_test_concurrent(void)
{
    size_t size = 3 << 20;
    g_autofree uint8_t *disk = make_disk(size, 9);
    g_autoptr(GBytes) bytes = build(disk, size, 3);
    g_autoptr(BlockDriverState) bs = co_open(bytes, NULL);
    unsigned running = 16;
    Reader readers[16];

    drop_blocks(disk, size);
    for (int i = 0; i < 16; i++) {
        readers[i] = (Reader){ bs, disk, size, &running, i };
        coroutine_enter(coroutine_create(reader_entry, &readers[i]));
    }
    while (running) {
        aio_co_reschedule_self();
    }
}

START_TEST(test_concurrent)
{
    run_in_coroutine(co_test_concurrent);
}
END_TEST

static void coroutine_fn co_test_images(void)
{
    g_autoptr(EngramBuilder) b = engram_builder_new(3, CHUNK, 7 * CHUNK, SEGMENT_BITS);
    g_autofree uint8_t *one = make_disk(300000, 1);
    g_autofree uint8_t *two = make_disk(500000, 2);
    g_autoptr(GError) error = NULL;

    engram_builder_add_image(b, "one", one, 300000, true);
    engram_builder_commit(b);
    guint first_end = b->out->len;
    engram_builder_add_image(b, "zwei ä", two, 500000, false);
    engram_builder_commit(b);
    drop_blocks(one, 300000);
    drop_blocks(two, 500000);

    g_autoptr(GBytes) bytes = engram_builder_bytes(b);
    g_autoptr(BlockDriverState) bs = co_open(bytes, NULL);
    co_check_reads(bs, one, 300000);
    ck_assert_int_eq(bdrv_co_load_snapshot(bs, "zwei ä", NULL), 0);
    co_check_reads(bs, two, 500000);
    ck_assert_int_eq(bdrv_co_load_snapshot(bs, "three", &error), -ENOENT);
    ck_assert_ptr_nonnull(strstr(error->message, "'three'"));
    co_check_reads(bs, two, 500000);

    /* The newer slot damaged, or the file cut off: the older commit is there. */
    for (int i = 0; i < 2; i++) {
        g_autofree uint8_t *data = g_memdup2(b->out->data, b->out->len);
        data[ENGRAM_SLOT_BYTES + 70] ^= i;
        g_autoptr(GBytes) damaged = g_bytes_new(data, i ? b->out->len : first_end);
        g_autoptr(BlockDriverState) old = co_open(damaged, NULL);
        ck_assert_ptr_nonnull(old);
        co_check_reads(old, one, 300000);
        ck_assert_int_lt(bdrv_co_load_snapshot(old, "zwei ä", NULL), 0);
    }
}

START_TEST(test_images)
{
    run_in_coroutine(co_test_images);
}
END_TEST

static void coroutine_fn co_test_manifest(void)
{
    g_autofree uint8_t *disk = make_disk(100000, 1);
    g_autoptr(GBytes) bytes = build(disk, 100000, 3);
    g_autoptr(BlockDriverState) file = bdrv_new_memory(bytes, "test.engram");
    g_autoptr(EngramFile) f = engram_file_co_open(file, NULL);
    g_autoptr(EngramImage) image = engram_file_co_find_image(f, NULL, NULL);
    g_autoptr(EngramManifestReader) m = engram_manifest_co_open(f, image, NULL);
    static const char *const paths[] = { "", "a", "a/b", "", "etc" };
    EngramFileInfo info;
    EngramVectorInfo vector;

    ck_assert_ptr_nonnull(m);
    ck_assert_uint_eq(m->n_entries, 5);
    for (unsigned first = 0; first < 5; first++) {
        g_auto(EngramFileIter) it;

        engram_file_iter_init(&it, m, first, UINT64_MAX);
        for (unsigned i = first; i < 5; i++) {
            ck_assert_int_eq(engram_file_iter_co_next(&it, &info, NULL), 1);
            ck_assert_str_eq(info.path, paths[i]);
            ck_assert_uint_eq(info.path_bytes, strlen(paths[i]));
            ck_assert_uint_eq(info.number, i);
            ck_assert_uint_eq(info.volume, i >= 3);
            ck_assert_int_eq(info.mtime_sec, -5);
            ck_assert_uint_eq(info.mode, i == 3 ? 0040755 : 0100644);
            ck_assert_int_eq(info.digest != NULL, i != 0);
            ck_assert_uint_eq(info.below, i == 3);
            ck_assert_ptr_nonnull(info.attributes);
        }
        ck_assert_int_eq(engram_file_iter_co_next(&it, &info, NULL), 0);
    }
    for (unsigned first = 0; first < 5; first++) {
        for (unsigned skipped = 0; skipped < 8; skipped++) {
            g_auto(EngramFileIter) it;
            unsigned next = first + 1 + skipped;

            engram_file_iter_init(&it, m, first, UINT64_MAX);
            ck_assert_int_eq(engram_file_iter_co_next(&it, &info, NULL), 1);
            ck_assert(engram_file_iter_skip(&it, skipped, NULL));
            ck_assert_int_eq(engram_file_iter_co_next(&it, &info, NULL), next < 5);
            if (next < 5) {
                ck_assert_str_eq(info.path, paths[next]);
                ck_assert_uint_eq(info.number, next);
                ck_assert_uint_eq(info.volume, next >= 3);
            }
        }
    }
    g_auto(EngramVectorIter) vectors;
    engram_vector_iter_init(&vectors, m);
    ck_assert_int_eq(engram_vector_iter_co_next(&vectors, &vector, NULL), 1);
    ck_assert(vector.entry == ENGRAM_VECTOR_OF_IMAGE && vector.bytes == 5);
    ck_assert_mem_eq(vector.packed, "01234", 5);
    ck_assert_int_eq(engram_vector_iter_co_next(&vectors, &vector, NULL), 0);
}

START_TEST(test_manifest)
{
    run_in_coroutine(co_test_manifest);
}
END_TEST

static void coroutine_fn co_expect_open_error(uint8_t *data, size_t size, const char *text)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(BlockDriverState) file = bdrv_new_memory(bytes, "test.engram");
    g_autoptr(GError) error = NULL;
    g_autoptr(BlockDriverState) bs = bdrv_co_open_over(file, "engram", 0, &error);

    ck_assert_ptr_null(bs);
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(error->message, text) && strstr(error->message, "test.engram"),
                  "'%s' is not in: %s", text, error->message);
}

static void coroutine_fn co_test_refused(void)
{
    g_autofree uint8_t *disk = make_disk(100000, 1);
    g_autoptr(GBytes) good = build(disk, 100000, 3);
    size_t size = g_bytes_get_size(good);
    static const struct {
        size_t at;
        uint8_t flip;
        const char *text;
        bool fix;
    } cases[] = {
        { 16, 1, "encryption", true },
        { 16, 4, "sources", true },
        { 21, 8, "feature bit 43", true },
        { 8, 2, "format version 3", true },
        { 30, 1, "checksum", false },
        { 71, 1, "reference to a commit record", true },
        { 56, 2, "sequence number", true },
        { 80, 1, "end of the commit", true },
        { 86, 1, "past the end of the file", true },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree uint8_t *data = g_memdup2(g_bytes_get_data(good, NULL), size);
        data[cases[i].at] ^= cases[i].flip;
        if (cases[i].fix) {
            engram_fix_checksums(data, size);
        }
        co_expect_open_error(data, size, cases[i].text);
    }
    g_autofree uint8_t *data = g_memdup2(g_bytes_get_data(good, NULL), size);
    co_expect_open_error(data, size - 8, "past the end of the file");
    co_expect_open_error(data, 5000, "past the end of the file");
    co_expect_open_error(data, 4000, "checksum");
    co_expect_open_error(data, 100, "checksum");
}

START_TEST(test_refused)
{
    run_in_coroutine(co_test_refused);
}
END_TEST

/* Every object damaged in turn: a read of all gives an error that names the object's
 * offset, or the object is not needed for reading. */
static void coroutine_fn co_test_damage(void)
{
    size_t size = 400000;
    g_autofree uint8_t *disk = make_disk(size, 3);
    g_autofree uint8_t *buf = g_malloc(size);
    g_autoptr(GBytes) good = build(disk, size, 3);
    size_t file_size = g_bytes_get_size(good);
    const uint8_t *bytes = g_bytes_get_data(good, NULL);
    unsigned seen = 0;

    for (size_t at = ENGRAM_OBJECTS_START; at < file_size;) {
        g_autofree uint8_t *data = g_memdup2(bytes, file_size);
        g_autoptr(GError) error = NULL;
        g_autofree char *offset = g_strdup_printf("0x%zx", at);
        EngramObjectInfo info;
        bool needed;

        ck_assert(engram_object_parse_header(data + at, file_size - at, at, &info, NULL));
        needed = info.type != ENGRAM_OBJECT_CHUNKS && info.type != ENGRAM_OBJECT_FRAME_DIR &&
                 info.type != ENGRAM_OBJECT_MANIFEST && info.type != ENGRAM_OBJECT_FILES &&
                 info.type != ENGRAM_OBJECT_VECTORS && info.type != ENGRAM_OBJECT_PROFILES;
        data[at + sizeof(EngramObjectHeader) + info.stored / 2] ^= 0x10;
        g_autoptr(GBytes) damaged = g_bytes_new(data, file_size);
        g_autoptr(BlockDriverState) bs = co_open(damaged, &error);
        if (bs && bdrv_co_pread(bs, 0, size, buf, 0) < 0) {
            error = bdrv_take_error(bs);
        }
        ck_assert_msg(!needed == !error, "%s at %s", engram_object_type_name(info.type), offset);
        if (error) {
            ck_assert_msg(strstr(error->message, offset), "%s: %s", offset, error->message);
        }
        seen |= 1 << info.type;
        at += round_up_pow2(sizeof(EngramObjectHeader) + info.stored, 8);
    }
    ck_assert_uint_eq(seen, 0x1ffe);
}

START_TEST(test_damage)
{
    run_in_coroutine(co_test_damage);
}
END_TEST

static void add_text(const char *text, void *opaque)
{
    g_string_append_printf(opaque, "%s\n", text);
}

/* Checks an engram; *text is what was found. */
static uint64_t coroutine_fn co_count_corruptions(GBytes *bytes, GString *text)
{
    g_autoptr(BlockDriverState) file = bdrv_new_memory(bytes, "test.engram");
    g_autoptr(GError) error = NULL;
    EngramCheckResult result;

    g_string_truncate(text, 0);
    if (!engram_co_check(file, NULL, add_text, text, &result, &error)) {
        g_string_assign(text, error->message);
        return 1;
    }
    ck_assert_uint_eq(result.check_errors, 0);
    ck_assert_int_eq(result.corruptions == 0, text->len == 0);
    return result.corruptions;
}

static void coroutine_fn co_test_check(void)
{
    g_autoptr(EngramBuilder) b = engram_builder_new(3, CHUNK, 7 * CHUNK, SEGMENT_BITS);
    g_autofree uint8_t *one = make_disk(300000, 1);
    g_autofree uint8_t *two = g_malloc0(70 << 20);
    g_autoptr(GString) text = g_string_new(NULL);
    static const size_t sizes[] = { 0, 1, 65536, 65537, 400000 };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree uint8_t *disk = make_disk(sizes[i], i);
        g_autoptr(GBytes) bytes = build(disk, sizes[i], i % 2 ? 3 : ENGRAM_LEVEL_STORE);
        co_count_corruptions(bytes, text);
        ck_assert_str_eq(text->str, "");
    }
    memcpy(two + (69 << 20), one, 300000);
    engram_builder_add_image(b, "one", one, 300000, true);
    engram_builder_commit(b);
    engram_builder_add_image(b, "two", two, 70 << 20, true);
    engram_builder_commit(b);
    engram_builder_add_image(b, "three", one + CHUNK, 150000, false);
    engram_builder_commit(b);
    g_autoptr(GBytes) good = engram_builder_bytes(b);
    co_count_corruptions(good, text);
    ck_assert_str_eq(text->str, "");
}

START_TEST(test_check)
{
    run_in_coroutine(co_test_check);
}
END_TEST

/* Every bit of a small engram: changed, it is found, and where. */
static void coroutine_fn co_test_check_finds_every_byte(void)
{
    g_autofree uint8_t *disk = make_disk(150000, 4);
    g_autoptr(GBytes) good = build(disk, 150000, 3);
    size_t size = g_bytes_get_size(good);
    g_autofree uint8_t *data = g_memdup2(g_bytes_get_data(good, NULL), size);
    g_autoptr(GString) text = g_string_new(NULL);
    size_t object = 0, object_end = 0, seen = 0;

    for (size_t at = 0; at < size; at += at < ENGRAM_OBJECTS_START || at > object + 40 ? 7 : 1) {
        if (at >= ENGRAM_OBJECTS_START && at >= object_end) {
            EngramObjectInfo info;
            at = object_end ? object_end : ENGRAM_OBJECTS_START;
            object = at;
            ck_assert(engram_object_parse_header(data + at, size - at, at, &info, NULL));
            object_end = at + round_up_pow2(sizeof(EngramObjectHeader) + info.stored, 8);
            seen |= 1 << info.type;
        }
        data[at] ^= 1 << at % 8;
        g_autoptr(GBytes) damaged = g_bytes_new(data, size);
        ck_assert_msg(co_count_corruptions(damaged, text) > 0, "byte 0x%zx", at);
        data[at] ^= 1 << at % 8;
        if (at >= ENGRAM_OBJECTS_START) {
            g_autofree char *offset = g_strdup_printf("0x%zx", object);
            ck_assert_msg(strstr(text->str, offset), "byte 0x%zx, object at %s: %s", at, offset,
                          text->str);
        }
    }
    ck_assert_uint_eq(seen, 0x1ffe);
}

START_TEST(test_check_finds_every_byte)
{
    run_in_coroutine(co_test_check_finds_every_byte);
}
END_TEST

/* What lies under right checksums: every byte of objects that are stored as they are,
 * checksums mended.  The check finds it, but where only people read it. */
static void coroutine_fn co_test_check_finds_lies(void)
{
    g_autofree uint8_t *disk = make_disk(150000, 4);
    g_autoptr(GBytes) good = build(disk, 150000, ENGRAM_LEVEL_STORE);
    size_t size = g_bytes_get_size(good);
    const uint8_t *bytes = g_bytes_get_data(good, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree uint8_t *data = g_malloc(size);

    for (size_t at = ENGRAM_OBJECTS_START; at < size;) {
        EngramObjectInfo info;

        ck_assert(engram_object_parse_header(bytes + at, size - at, at, &info, NULL));
        size_t payload = at + sizeof(EngramObjectHeader);
        for (size_t i = 0; i < info.stored; i += info.stored > 4000 ? 97 : 1) {
            memcpy(data, bytes, size);
            data[payload + i] ^= 4;
            engram_fix_checksums(data, size);
            g_autoptr(GBytes) damaged = g_bytes_new(data, size);
            uint64_t found = co_count_corruptions(damaged, text);
            if (info.type == ENGRAM_OBJECT_FRAME || info.type == ENGRAM_OBJECT_SEGMENTS ||
                info.type == ENGRAM_OBJECT_FRAME_DIR) {
                ck_assert_msg(found, "%s, byte %zu", engram_object_type_name(info.type), i);
            }
            if (info.type == ENGRAM_OBJECT_MAP_ROOT || info.type == ENGRAM_OBJECT_CHUNKS) {
                ck_assert_msg(found || (i >= 4 && i < 8), "%s, byte %zu",
                              engram_object_type_name(info.type), i);
            }
        }
        at += round_up_pow2(sizeof(EngramObjectHeader) + info.stored, 8);
    }
}

START_TEST(test_check_finds_lies)
{
    run_in_coroutine(co_test_check_finds_lies);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engram-reader");
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, test_pin_limit);
    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_sparse);
    tcase_add_test(tc, test_cost);
    tcase_add_test(tc, test_concurrent);
    tcase_add_test(tc, test_images);
    tcase_add_test(tc, test_manifest);
    tcase_add_test(tc, test_refused);
    tcase_add_test(tc, test_damage);
    tcase_add_test(tc, test_check);
    tcase_add_test(tc, test_check_finds_every_byte);
    tcase_add_test(tc, test_check_finds_lies);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
