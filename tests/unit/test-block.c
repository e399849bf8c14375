/*
 * The request path, block status, opening and slices, on memory nodes and on a
 * driver that checks what it is given.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "block/block-backend.h"
#include "block/block-int.h"
#include "qapi/qapi-types.h"

enum {
    DISK_BYTES = 64 * 1024,
    BLOCK_BYTES = 4096,
    MAX_TRANSFER_BYTES = 3 * BLOCK_BYTES,
};

/*
 * strict: a writable disk in memory that takes whole, aligned blocks only, not many
 * at once, and allows only a few requests at a time.
 */
typedef struct StrictState {
    uint8_t data[DISK_BYTES];
    unsigned running, most_running;
    unsigned zeroed_blocks, written_blocks;
    bool zeroes_supported;
} StrictState;

static void coroutine_fn strict_co_begin(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                         const IOVector *iov, size_t iov_offset)
{
    StrictState *s = bs->opaque;

    ck_assert_int_eq(offset % BLOCK_BYTES, 0);
    ck_assert_int_eq(bytes % BLOCK_BYTES, 0);
    ck_assert_int_gt(bytes, 0);
    ck_assert_int_le(offset + bytes, DISK_BYTES);
    if (iov) {
        ck_assert_int_le(bytes, MAX_TRANSFER_BYTES);
        void *p = iovector_contiguous(iov, iov_offset, bytes);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % BLOCK_BYTES, 0);
    }
    s->running++;
    s->most_running = MAX(s->most_running, s->running);
    aio_co_reschedule_self();
}

static int coroutine_fn strict_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                         const IOVector *iov, size_t iov_offset,
                                         BdrvRequestFlags flags)
{
    StrictState *s = bs->opaque;

    strict_co_begin(bs, offset, bytes, iov, iov_offset);
    iovector_from_buf(iov, iov_offset, s->data + offset, bytes);
    s->running--;
    return 0;
}

static int coroutine_fn strict_co_pwritev(BlockDriverState *bs, int64_t offset,
                                          int64_t bytes, const IOVector *iov,
                                          size_t iov_offset, BdrvRequestFlags flags)
{
    StrictState *s = bs->opaque;

    strict_co_begin(bs, offset, bytes, iov, iov_offset);
    iovector_to_buf(iov, iov_offset, s->data + offset, bytes);
    s->written_blocks += bytes / BLOCK_BYTES;
    s->running--;
    return 0;
}

static int coroutine_fn strict_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset,
                                                int64_t bytes, BdrvRequestFlags flags)
{
    StrictState *s = bs->opaque;

    if (!s->zeroes_supported) {
        return -ENOTSUP;
    }
    strict_co_begin(bs, offset, bytes, NULL, 0);
    memset(s->data + offset, 0, bytes);
    s->zeroed_blocks += bytes / BLOCK_BYTES;
    s->running--;
    return 0;
}

static BlockDriver bdrv_strict = {
    .format_name           = "strict",
    .is_protocol           = true,
    .instance_size         = sizeof(StrictState),
    .bdrv_co_preadv        = strict_co_preadv,
    .bdrv_co_pwritev       = strict_co_pwritev,
    .bdrv_co_pwrite_zeroes = strict_co_pwrite_zeroes,
};

static BlockDriverState *new_strict(int flags)
{
    BlockDriverState *bs = bdrv_new_node(&bdrv_strict, "strict", flags, NULL);

    bs->total_bytes = DISK_BYTES;
    bs->limits.request_alignment = BLOCK_BYTES;
    bs->limits.buffer_alignment = BLOCK_BYTES;
    bs->limits.max_transfer = MAX_TRANSFER_BYTES;
    return bs;
}

/* Every byte depends on its place. */
static void fill_pattern(uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = i * 7 + (i >> 8) * 13 + 1;
    }
}

static void coroutine_fn co_check_equal(BlockDriverState *bs, const uint8_t *expected)
{
    g_autofree uint8_t *got = g_malloc(DISK_BYTES);

    ck_assert_int_eq(bdrv_co_pread(bs, 0, DISK_BYTES, got, BDRV_REQ_NONE), 0);
    ck_assert(memcmp(got, expected, DISK_BYTES) == 0);
}

static void coroutine_fn co_test_unaligned_reads(void *opaque)
{
    g_autoptr(BlockDriverState) bs = new_strict(0);
    StrictState *s = bs->opaque;
    g_autofree uint8_t *got = g_malloc(DISK_BYTES);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    fill_pattern(s->data, DISK_BYTES);
    for (int i = 0; i < 2000; i++) {
        int64_t offset = g_rand_int_range(rand, 0, DISK_BYTES);
        int64_t bytes = g_rand_int_range(rand, 0, DISK_BYTES - offset + 1);
        memset(got, 0xee, DISK_BYTES);
        ck_assert_int_eq(bdrv_co_pread(bs, offset, bytes, got, BDRV_REQ_NONE), 0);
        ck_assert(memcmp(got, s->data + offset, bytes) == 0);
        ck_assert(bytes == DISK_BYTES || got[bytes] == 0xee);
    }
}

static void coroutine_fn co_test_scattered_reads(void *opaque)
{
    g_autoptr(BlockDriverState) bs = new_strict(0);
    StrictState *s = bs->opaque;
    g_autoptr(GRand) rand = g_rand_new_with_seed(2);

    fill_pattern(s->data, DISK_BYTES);
    for (int i = 0; i < 300; i++) {
        g_auto(IOVector) iov = { 0 };
        g_autofree uint8_t *space = g_malloc(DISK_BYTES);
        g_autofree uint8_t *got = g_malloc(DISK_BYTES);
        size_t used = 0;
        iovector_init(&iov, 1);
        while (used < 20000) {
            size_t n = g_rand_int_range(rand, 1, 5000);
            iovector_add(&iov, space + used, n);
            used += n;
        }
        size_t skip = g_rand_int_range(rand, 0, 9000);
        int64_t offset = g_rand_int_range(rand, 0, DISK_BYTES - used);
        ck_assert_int_eq(bdrv_co_preadv(bs, offset, used - skip, &iov, skip, 0), 0);
        iovector_to_buf(&iov, skip, got, used - skip);
        ck_assert(memcmp(got, s->data + offset, used - skip) == 0);
    }
}

static void coroutine_fn co_test_unaligned_writes(void *opaque)
{
    g_autoptr(BlockDriverState) bs = new_strict(BDRV_O_RDWR);
    StrictState *s = bs->opaque;
    g_autofree uint8_t *expected = g_malloc(DISK_BYTES);
    g_autofree uint8_t *buf = g_malloc(DISK_BYTES);
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);

    fill_pattern(s->data, DISK_BYTES);
    memcpy(expected, s->data, DISK_BYTES);
    for (int i = 0; i < 1000; i++) {
        int64_t offset = g_rand_int_range(rand, 0, DISK_BYTES);
        int64_t bytes = g_rand_int_range(rand, 0, DISK_BYTES - offset + 1);
        s->zeroes_supported = i % 3;
        if (i % 2) {
            memset(expected + offset, 0, bytes);
            ck_assert_int_eq(bdrv_co_pwrite_zeroes(bs, offset, bytes, 0), 0);
        } else {
            memset(buf, i, bytes);
            memset(expected + offset, i, bytes);
            ck_assert_int_eq(bdrv_co_pwrite(bs, offset, bytes, buf, 0), 0);
        }
        ck_assert(memcmp(s->data, expected, DISK_BYTES) == 0);
    }
    co_check_equal(bs, expected);
}

static void coroutine_fn co_test_zeroes(void *opaque)
{
    g_autoptr(BlockDriverState) bs = new_strict(BDRV_O_RDWR);
    StrictState *s = bs->opaque;

    s->zeroes_supported = true;
    ck_assert_int_eq(bdrv_co_pwrite_zeroes(bs, 100, 5 * BLOCK_BYTES, 0), 0);
    ck_assert_uint_eq(s->zeroed_blocks, 4);
    ck_assert_uint_eq(s->written_blocks, 2);
    s->zeroes_supported = false;
    ck_assert_int_eq(bdrv_co_pwrite_zeroes(bs, 0, BLOCK_BYTES, BDRV_REQ_NO_FALLBACK),
                     -ENOTSUP);
    ck_assert_int_eq(bdrv_co_pwrite_zeroes(bs, 0, BLOCK_BYTES, 0), 0);
    ck_assert_uint_eq(s->written_blocks, 3);
}

/* Many coroutines change neighbouring bytes of the same blocks. */
typedef struct Scribblers {
    BlockDriverState *bs;
    unsigned next, running;
} Scribblers;

enum { SCRIBBLERS = 200 };

static void coroutine_fn co_scribble(void *opaque)
{
    Scribblers *all = opaque;
    unsigned me = all->next++;
    uint8_t mark = me + 1;

    for (unsigned at = me; at < DISK_BYTES; at += SCRIBBLERS * 31) {
        ck_assert_int_eq(bdrv_co_pwrite(all->bs, at, 1, &mark, 0), 0);
    }
    all->running--;
}

static void coroutine_fn co_test_no_lost_updates(void *opaque)
{
    g_autoptr(BlockDriverState) bs = new_strict(BDRV_O_RDWR);
    StrictState *s = bs->opaque;
    Scribblers all = { .bs = bs, .running = SCRIBBLERS };

    for (unsigned i = 0; i < SCRIBBLERS; i++) {
        coroutine_enter(coroutine_create(co_scribble, &all));
    }
    while (all.running) {
        aio_co_reschedule_self();
    }
    for (unsigned i = 0; i < SCRIBBLERS; i++) {
        for (unsigned at = i; at < DISK_BYTES; at += SCRIBBLERS * 31) {
            ck_assert_uint_eq(s->data[at], (uint8_t)(i + 1));
        }
    }
}

static void coroutine_fn co_read_byte(void *opaque)
{
    Scribblers *all = opaque;
    uint8_t byte;

    ck_assert_int_eq(bdrv_co_pread(all->bs, all->next++, 1, &byte, 0), 0);
    all->running--;
}

static void coroutine_fn co_test_bounded_in_flight(void *opaque)
{
    g_autoptr(BlockDriverState) bs = new_strict(0);
    StrictState *s = bs->opaque;
    Scribblers all = { .bs = bs, .running = SCRIBBLERS };

    for (unsigned i = 0; i < SCRIBBLERS; i++) {
        coroutine_enter(coroutine_create(co_read_byte, &all));
    }
    while (all.running) {
        aio_co_reschedule_self();
    }
    ck_assert_uint_gt(s->most_running, 1);
    ck_assert_uint_le(s->most_running, 64);
    ck_assert_uint_eq(bs->in_flight, 0);
}

static BlockDriverState *new_memory(size_t len, uint8_t **pattern)
{
    uint8_t *data = g_malloc(len);

    fill_pattern(data, len);
    g_autoptr(GBytes) bytes = g_bytes_new_take(data, len);
    *pattern = data;
    return bdrv_new_memory(bytes, "disk.mem");
}

static void coroutine_fn co_test_bounds(void *opaque)
{
    uint8_t *pattern;
    g_autoptr(BlockDriverState) file = new_memory(1000, &pattern);
    g_autoptr(GError) error = NULL;
    uint8_t buf[2048];

    /* A protocol yields zeroes past its end, */
    ck_assert_int_eq(bdrv_co_pread(file, 900, 500, buf, 0), 0);
    ck_assert(memcmp(buf, pattern + 900, 100) == 0 && buffer_is_zero(buf + 100, 400));
    memset(buf, 1, sizeof(buf));
    ck_assert_int_eq(bdrv_co_pread(file, 5000, 500, buf, 0), 0);
    ck_assert(buffer_is_zero(buf, 500));
    ck_assert_int_eq(bdrv_co_pread(file, G_MAXINT64 - 10, 500, buf, 0), -EINVAL);
    ck_assert_int_eq(bdrv_co_pread(file, -1, 10, buf, 0), -EINVAL);
    ck_assert_int_eq(bdrv_co_pread(file, 0, -1, buf, 0), -EINVAL);
    ck_assert_int_eq(bdrv_co_pwrite(file, 0, 1, buf, 0), -EROFS);

    /* a disk does not; its last sector is a whole one. */
    g_autoptr(BlockDriverState) raw = bdrv_co_open_over(file, NULL, 0, &error);
    ck_assert_ptr_nonnull(raw);
    ck_assert_str_eq(bdrv_format_name(raw), "raw");
    ck_assert_int_eq(bdrv_length(raw), 1024);
    ck_assert_int_eq(bdrv_co_pread(raw, 0, 1024, buf, 0), 0);
    ck_assert(memcmp(buf, pattern, 1000) == 0 && buffer_is_zero(buf + 1000, 24));
    ck_assert_int_eq(bdrv_co_pread(raw, 0, 1025, buf, 0), -EINVAL);
    ck_assert_int_eq(bdrv_co_pread(raw, 1024, 0, buf, 0), 0);

    int64_t n;
    int ret = bdrv_co_block_status(raw, 0, 1024, &n, NULL, NULL);
    ck_assert_int_eq(n, 1000);
    ck_assert_int_eq(ret, BDRV_BLOCK_DATA | BDRV_BLOCK_OFFSET_VALID | BDRV_BLOCK_ALLOCATED);
    ret = bdrv_co_block_status(raw, 1000, 24, &n, NULL, NULL);
    ck_assert_int_eq(n, 24);
    ck_assert_int_eq(ret, BDRV_BLOCK_ZERO | BDRV_BLOCK_OFFSET_VALID | BDRV_BLOCK_ALLOCATED |
                              BDRV_BLOCK_EOF);
    ret = bdrv_co_block_status(raw, 1024, 1, &n, NULL, NULL);
    ck_assert_int_eq(n, 0);
    ck_assert_int_eq(ret, BDRV_BLOCK_EOF);
}

static void coroutine_fn co_test_open_over(void *opaque)
{
    uint8_t *pattern;
    g_autoptr(BlockDriverState) file = new_memory(4096, &pattern);
    g_autoptr(GError) error = NULL;

    ck_assert_ptr_null(bdrv_co_open_over(file, "nonsense", 0, &error));
    ck_assert_str_eq(error->message, "Could not open 'disk.mem': Unknown driver 'nonsense'");
    g_clear_error(&error);
    ck_assert_ptr_null(bdrv_co_open_image("/nonexistent/a.img", NULL, 0, &error));
    ck_assert_str_eq(error->message,
                     "Could not open '/nonexistent/a.img': No such file or directory");
    g_clear_error(&error);
    ck_assert_ptr_null(bdrv_co_open_image("nbd:somewhere", NULL, 0, &error));
    ck_assert_str_eq(error->message,
                     "Could not open 'nbd:somewhere': Unknown protocol 'nbd'");
    g_clear_error(&error);
    ck_assert_ptr_null(bdrv_co_open_image("/", NULL, 0, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "to be a regular file"));
    g_clear_error(&error);
    ck_assert_ptr_null(bdrv_co_check(file, 0, &error));
    ck_assert(g_error_matches(error, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED));
}

static void coroutine_fn co_test_raw_window(void *opaque)
{
    uint8_t *pattern;
    g_autoptr(BlockDriverState) file = new_memory(8192, &pattern);
    const BlockDriver *raw = bdrv_find_driver("raw");
    BlockdevOptions options = { .driver = BLOCKDEV_DRIVER_RAW };
    static const struct {
        bool has_offset, has_size;
        uint64_t offset, size;
        int64_t length;             /* -1: refused */
    } cases[] = {
        { true, true, 1024, 2048, 2048 },
        { true, false, 1024, 0, 7168 },
        { false, true, 0, 512, 512 },
        { true, false, 8192, 0, 0 },
        { true, false, 8193, 0, -1 },
        { true, true, 8000, 512, -1 },
        { false, true, 0, 100, -1 },
        { true, true, G_MAXUINT64, 1, -1 },
        { true, true, 512, G_MAXUINT64, -1 },
    };
    uint8_t buf[512];

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(BlockDriverState) bs = bdrv_new_node(raw, "window", 0, bdrv_ref(file));
        g_autoptr(GError) error = NULL;
        options.u.raw.has_offset = cases[i].has_offset;
        options.u.raw.offset = cases[i].offset;
        options.u.raw.has_size = cases[i].has_size;
        options.u.raw.size = cases[i].size;
        int ret = raw->bdrv_co_open(bs, &options, 0, &error);
        if (cases[i].length < 0) {
            ck_assert_int_lt(ret, 0);
            ck_assert_ptr_nonnull(error);
            continue;
        }
        ck_assert_int_eq(ret, 0);
        ck_assert_int_eq(bdrv_length(bs), cases[i].length);
        if (cases[i].length >= 512) {
            ck_assert_int_eq(bdrv_co_pread(bs, 0, 512, buf, 0), 0);
            ck_assert(memcmp(buf, pattern + cases[i].offset, 512) == 0);
        }
    }
}

/* layer: an overlay of blocks, each with a kind of its own. */
typedef struct LayerState {
    char kinds[17];         /* per block: 'd'ata, 'z'ero, '-' not here */
    uint8_t fill;
} LayerState;

static int coroutine_fn layer_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                        const IOVector *iov, size_t iov_offset,
                                        BdrvRequestFlags flags)
{
    LayerState *s = bs->opaque;

    while (bytes > 0) {
        int64_t n = MIN(bytes, BLOCK_BYTES - offset % BLOCK_BYTES);
        char kind = s->kinds[offset / BLOCK_BYTES];
        int64_t below = bs->backing ? bdrv_length(bs->backing) : 0;
        if (kind == '-' && offset < below) {
            int ret = bdrv_co_preadv(bs->backing, offset, n, iov, iov_offset, 0);
            if (ret < 0) {
                return ret;
            }
        } else {
            iovector_memset(iov, iov_offset, kind == 'd' ? s->fill : 0, n);
        }
        offset += n;
        iov_offset += n;
        bytes -= n;
    }
    return 0;
}

static int coroutine_fn layer_co_block_status(BlockDriverState *bs, int64_t offset,
                                              int64_t bytes, int64_t *pnum, int64_t *map,
                                              BlockDriverState **file)
{
    LayerState *s = bs->opaque;
    char kind = s->kinds[offset / BLOCK_BYTES];

    *pnum = MIN(bytes, BLOCK_BYTES - offset % BLOCK_BYTES);
    return kind == 'd' ? BDRV_BLOCK_DATA : kind == 'z' ? BDRV_BLOCK_ZERO : 0;
}

static BlockDriver bdrv_layer = {
    .format_name          = "layer",
    .instance_size        = sizeof(LayerState),
    .bdrv_co_preadv       = layer_co_preadv,
    .bdrv_co_block_status = layer_co_block_status,
};

static BlockDriverState *new_layer(const char *kinds, uint8_t fill, BlockDriverState *backing)
{
    BlockDriverState *bs = bdrv_new_node(&bdrv_layer, kinds, 0, NULL);
    LayerState *s = bs->opaque;

    g_strlcpy(s->kinds, kinds, sizeof(s->kinds));
    s->fill = fill;
    bs->total_bytes = strlen(kinds) * BLOCK_BYTES;
    bs->backing = backing;
    return bs;
}

static void coroutine_fn check_status(BlockDriverState *bs, unsigned block, unsigned blocks,
                                      int expected, unsigned expected_blocks,
                                      int expected_depth)
{
    int64_t n;
    int depth;
    int ret = bdrv_co_block_status_above(bs, NULL, block * BLOCK_BYTES, blocks * BLOCK_BYTES,
                                         &n, NULL, NULL, &depth);

    ck_assert_int_eq(ret, expected);
    ck_assert_int_eq(n, expected_blocks * BLOCK_BYTES);
    ck_assert_int_eq(depth, expected_depth);
}

static void coroutine_fn co_test_status_above(void *opaque)
{
    BlockDriverState *base = new_layer("dz-", 1, NULL);
    BlockDriverState *middle = new_layer("---zd", 2, base);
    g_autoptr(BlockDriverState) top = new_layer("d------", 3, middle);
    const int data = BDRV_BLOCK_DATA | BDRV_BLOCK_ALLOCATED;
    const int zero = BDRV_BLOCK_ZERO | BDRV_BLOCK_ALLOCATED;
    int64_t n;

    check_status(top, 0, 7, data, 1, 0);
    check_status(middle, 0, 5, data, 1, 1);
    check_status(top, 1, 6, zero, 1, 2);
    check_status(top, 2, 5, BDRV_BLOCK_ZERO, 1, 2);
    check_status(top, 3, 4, zero, 1, 1);
    check_status(top, 4, 3, data, 1, 1);
    check_status(top, 5, 1, zero, 1, 1);
    check_status(top, 6, 1, zero | BDRV_BLOCK_EOF, 1, 1);

    ck_assert_int_eq(bdrv_co_block_status(top, BLOCK_BYTES, BLOCK_BYTES, &n, NULL, NULL), 0);
    ck_assert_int_eq(n, BLOCK_BYTES);
    ck_assert_int_eq(bdrv_co_block_status_above(top, base, BLOCK_BYTES, BLOCK_BYTES, &n, NULL,
                                                NULL, NULL), 0);
    ck_assert_int_eq(bdrv_co_block_status(top, -1, 1, &n, NULL, NULL), -EINVAL);
}

static void coroutine_fn co_test_map(void *opaque)
{
    BlockDriverState *base = new_layer("ddzz-d", 1, NULL);
    g_autoptr(BlockDriverState) top = new_layer("--zz--", 2, base);
    g_auto(BlockMapIter) iter;
    g_autoptr(GError) error = NULL;
    GString *got = g_string_new(NULL);
    MapEntry *entry;

    bdrv_map_iter_init(&iter, top, 0, bdrv_length(top));
    while ((entry = bdrv_map_iter_co_next(&iter, &error))) {
        g_string_append_printf(got, "%d+%d@%d%s%s%s ", (int)(entry->start / BLOCK_BYTES),
                               (int)(entry->length / BLOCK_BYTES), (int)entry->depth,
                               entry->data ? "d" : "", entry->zero ? "z" : "",
                               entry->present ? "" : "!");
        map_entry_free(entry);
    }
    ck_assert_ptr_null(error);
    ck_assert_str_eq(got->str, "0+2@1d 2+2@0z 4+1@1z! 5+1@1d ");
    g_string_free(got, TRUE);
}

static void coroutine_fn co_test_deep_chain(void *opaque)
{
    BlockDriverState *bs = new_layer("dddd", 42, NULL);
    uint8_t buf[4 * BLOCK_BYTES];

    for (int i = 1; i < 20000; i++) {
        bs = new_layer("----", 0, bs);
        bs->new_stack = i % 8 == 0;
    }
    ck_assert_int_eq(bdrv_co_pread(bs, 0, sizeof(buf), buf, 0), 0);
    for (size_t i = 0; i < sizeof(buf); i++) {
        ck_assert_uint_eq(buf[i], 42);
    }
    check_status(bs, 0, 1, BDRV_BLOCK_DATA | BDRV_BLOCK_ALLOCATED, 1, 19999);
    bdrv_unref(bs);
}

static void coroutine_fn co_test_error_notes(void *opaque)
{
    BlockDriverState *base = new_layer("d", 1, NULL);
    g_autoptr(BlockDriverState) top = new_layer("-", 2, base);

    ck_assert_ptr_null(bdrv_take_error(top));
    bdrv_note_error(base, g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT, "first"));
    bdrv_note_error(base, g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT, "second"));
    g_autoptr(GError) error = bdrv_take_error(top);
    ck_assert_str_eq(error->message, "first");
    ck_assert_ptr_null(bdrv_take_error(top));
}

static void coroutine_fn co_test_slices(void *opaque)
{
    uint8_t *pattern;
    g_autoptr(BlockDriverState) file = new_memory(8192, &pattern);
    g_autoptr(BlockDriverState) raw = bdrv_co_open_over(file, "raw", 0, NULL);
    g_autoptr(BlockBackend) disk = blk_new(raw);
    g_autoptr(BlockBackend) part = blk_new_slice(disk, 1024, 2048);
    g_autoptr(BlockBackend) inner = blk_new_slice(part, 512, 1024);
    g_autoptr(BlockBackend) beyond = blk_new_slice(disk, 8000, 1000);
    g_autoptr(BlockBackend) nowhere = blk_new_slice(part, G_MAXINT64 - 100, G_MAXINT64);
    g_autoptr(GError) error = NULL;
    uint8_t buf[2048];
    int64_t n;

    ck_assert_int_eq(blk_length(disk), 8192);
    ck_assert_int_eq(blk_offset(inner), 1536);
    ck_assert_int_eq(blk_co_pread(inner, 0, 1024, buf), 0);
    ck_assert(memcmp(buf, pattern + 1536, 1024) == 0);
    ck_assert_int_eq(blk_co_pread(part, 2048, 1, buf), -EIO);
    ck_assert_int_eq(blk_co_pread(part, -1, 1, buf), -EIO);
    ck_assert_int_eq(blk_co_pread(beyond, 0, 192, buf), 0);
    ck_assert_int_eq(blk_co_pread(beyond, 0, 193, buf), -EIO);
    ck_assert_int_eq(blk_co_pread(nowhere, 0, 1, buf), -EIO);
    ck_assert_int_eq(blk_co_pread(nowhere, G_MAXINT64 - 1, 1, buf), -EIO);
    ck_assert_int_ge(blk_co_block_status(part, 0, 2048, &n), 0);
    ck_assert_int_eq(n, 2048);
    ck_assert_int_eq(blk_co_pwrite(part, 0, 1, buf, 0), -EROFS);

    ck_assert(blk_co_read(part, 10, 20, buf, "superblock", &error));
    ck_assert(!blk_co_read(part, 2040, 20, buf, "superblock", &error));
    ck_assert_str_eq(error->message, "disk.mem: superblock: 20 bytes at offset 0xbf8 reach "
                                     "past the end (0xc00)");
}

/* Names in an image may hold anything, lines that look like other findings, too. */
static void coroutine_fn co_test_findings(void *opaque)
{
    g_autoptr(BlockDriverState) bs = new_strict(0);

    ck_assert_ptr_null(bdrv_take_findings(bs));
    bdrv_add_finding(bs, "ERROR snapshot '%s'", "a\xff\nERROR \033[2J");

    g_autoptr(GPtrArray) findings = bdrv_take_findings(bs);
    ck_assert_uint_eq(findings->len, 1);
    ck_assert_str_eq(findings->pdata[0],
                     "ERROR snapshot 'a\\xff\\x0aERROR \\x1b[2J'");
    ck_assert_ptr_null(bdrv_take_findings(bs));
    for (int i = 0; i < 5000; i++) {
        bdrv_add_finding(bs, "ERROR %d", i);
    }

    g_autoptr(GPtrArray) many = bdrv_take_findings(bs);
    ck_assert_uint_eq(many->len, 1001);
    ck_assert_str_eq(many->pdata[999], "ERROR 999");
}

/* A disk of ones of which some bytes cannot be read. */
enum { BAD_DISK_BYTES = 4096, BAD_START = 1000, BAD_END = 2600 };

static int coroutine_fn bad_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      const IOVector *iov, size_t iov_offset,
                                      BdrvRequestFlags flags)
{
    if (offset < BAD_END && offset + bytes > BAD_START) {
        return -EIO;
    }
    iovector_memset(iov, iov_offset, 1, bytes);
    return 0;
}

static BlockDriver bdrv_bad = {
    .format_name = "bad",
    .bdrv_co_preadv = bad_co_preadv,
};

static void count_lost(const SalvageRange *range, void *opaque)
{
    uint64_t *lost = opaque;

    ck_assert_uint_lt(range->offset, BAD_END);
    ck_assert_uint_gt(range->offset + range->bytes, BAD_START);
    *lost += range->bytes;
}

/* Zeroes are only in blocks that hold bad bytes, and reads of any length end. */
static void coroutine_fn check_salvage(BlockDriverState *filter, int64_t offset,
                                       int64_t bytes)
{
    uint8_t buf[BAD_DISK_BYTES];

    memset(buf, 2, sizeof(buf));
    ck_assert_int_eq(bdrv_co_pread(filter, offset, bytes, buf, 0), 0);
    for (int64_t i = 0; i < bytes; i++) {
        int64_t pos = offset + i;
        int64_t block = pos / SALVAGE_GRAIN_BYTES * SALVAGE_GRAIN_BYTES;
        bool bad = pos >= BAD_START && pos < BAD_END;
        bool near = block < BAD_END && block + SALVAGE_GRAIN_BYTES > BAD_START;

        ck_assert_uint_le(buf[i], !bad);
        ck_assert(near || buf[i] == 1);
    }
}

static void coroutine_fn co_test_salvage(void *opaque)
{
    static const int64_t points[] = { 0, 1, 511, 512, 513, 999, 1000, 1001, 1024, 1025,
                                      2048, 2559, 2560, 2599, 2600, 3072, 4095, 4096 };
    BlockDriverState *bad = bdrv_new_node(&bdrv_bad, "bad", 0, NULL);
    uint64_t lost = 0;

    bad->total_bytes = BAD_DISK_BYTES;
    g_autoptr(BlockDriverState) filter = bdrv_new_salvage(bad);
    bdrv_unref(bad);
    ck_assert_uint_eq(bdrv_salvage_foreach(filter, count_lost, &lost), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(points); i++) {
        for (size_t j = i + 1; j < G_N_ELEMENTS(points); j++) {
            check_salvage(filter, points[i], points[j] - points[i]);
        }
    }
    /* Blocks 512 to 3071, all of which were lost in one read or another. */
    ck_assert_uint_eq(bdrv_salvage_foreach(filter, count_lost, &lost), 2560);
    ck_assert_uint_eq(lost, 2560);
}

typedef struct Case {
    const char *name;
    CoroutineEntry *entry;
} Case;

static const Case cases[] = {
    { "unaligned reads", co_test_unaligned_reads },
    { "scattered reads", co_test_scattered_reads },
    { "unaligned writes", co_test_unaligned_writes },
    { "zeroes", co_test_zeroes },
    { "no lost updates", co_test_no_lost_updates },
    { "bounded in flight", co_test_bounded_in_flight },
    { "bounds", co_test_bounds },
    { "open over", co_test_open_over },
    { "raw window", co_test_raw_window },
    { "status above", co_test_status_above },
    { "map", co_test_map },
    { "deep chain", co_test_deep_chain },
    { "error notes", co_test_error_notes },
    { "findings", co_test_findings },
    { "slices", co_test_slices },
    { "salvage", co_test_salvage },
};

START_TEST(test_case)
{
    g_autoptr(AioContext) ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);

    ck_assert_ptr_nonnull(ctx);
    aio_run(ctx, cases[_i].entry, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("block");
    TCase *tcase = tcase_create("block");

    tcase_add_loop_test(tcase, test_case, 0, G_N_ELEMENTS(cases));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
