/*
 * Copying from a source that knows of zeroes to the byte: what is written is whole and
 * aligned all the same.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/block-int.h"
#include "block/convert.h"

enum {
    DISK_BYTES = 8 << 20,
    GRAIN_BYTES = 4096,
};

/* patchy: data and zeroes in runs of any length, and memory that may be pinned. */
typedef struct PatchyState {
    uint8_t *data;              /* DISK_BYTES; zero where it says so, nowhere else */
    bool pins;
    unsigned pinned;            /* now */
    unsigned reads;
} PatchyState;

static void patchy_close(BlockDriverState *bs)
{
    PatchyState *s = bs->opaque;
    g_free(s->data);
}

static int coroutine_fn patchy_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                         const IOVector *iov, size_t iov_offset,
                                         BdrvRequestFlags flags)
{
    PatchyState *s = bs->opaque;

    s->reads++;
    iovector_from_buf(iov, iov_offset, s->data + offset, bytes);
    aio_co_reschedule_self();
    return 0;
}

/* In pieces of no special length; not what begins in every fourth MiB. */
static int coroutine_fn patchy_co_pin(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      BdrvPin *pin)
{
    PatchyState *s = bs->opaque;

    if (!s->pins) {
        return -ENOTSUP;
    }
    s->pinned++;
    g_ptr_array_add(pin->held, s);
    for (int64_t n; bytes > 0; offset += n, bytes -= n) {
        n = MIN(bytes, 1 + offset % 1777);
        iovector_add(&pin->iov, s->data + offset, n);
    }
    aio_co_reschedule_self();
    return (offset >> 20) % 4 == 3 ? -ENOTSUP : 0;
}

static void patchy_unpin(BlockDriverState *bs, BdrvPin *pin)
{
    PatchyState *s = bs->opaque;

    s->pinned -= pin->held->len;
}

static int coroutine_fn patchy_co_block_status(BlockDriverState *bs, int64_t offset,
                                               int64_t bytes, int64_t *pnum, int64_t *map,
                                               BlockDriverState **file)
{
    PatchyState *s = bs->opaque;
    bool zero = !s->data[offset];

    *pnum = 1;
    while (*pnum < bytes && !s->data[offset + *pnum] == zero) {
        ++*pnum;
    }
    return zero ? BDRV_BLOCK_ZERO : BDRV_BLOCK_DATA;
}

static BlockDriver bdrv_patchy = {
    .format_name          = "patchy",
    .is_protocol          = true,
    .instance_size        = sizeof(PatchyState),
    .bdrv_close           = patchy_close,
    .bdrv_co_preadv       = patchy_co_preadv,
    .bdrv_co_pin          = patchy_co_pin,
    .bdrv_unpin           = patchy_unpin,
    .bdrv_co_block_status = patchy_co_block_status,
};

/* counting: a disk in memory that minds what it is given. */
typedef struct CountingState {
    uint8_t *data;
    int64_t disk_bytes;
    unsigned writes;
    int64_t written_bytes;
} CountingState;

static void counting_close(BlockDriverState *bs)
{
    CountingState *s = bs->opaque;
    g_free(s->data);
}

static void note_write(CountingState *s, int64_t offset, int64_t bytes)
{
    ck_assert_int_eq(offset % GRAIN_BYTES, 0);
    ck_assert(bytes % GRAIN_BYTES == 0 || offset + bytes == s->disk_bytes);
    s->writes++;
}

static int coroutine_fn counting_co_pwritev(BlockDriverState *bs, int64_t offset,
                                            int64_t bytes, const IOVector *iov,
                                            size_t iov_offset, BdrvRequestFlags flags)
{
    CountingState *s = bs->opaque;

    note_write(s, offset, bytes);
    s->written_bytes += bytes;
    iovector_to_buf(iov, iov_offset, s->data + offset, bytes);
    aio_co_reschedule_self();
    return 0;
}

static int coroutine_fn counting_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset,
                                                  int64_t bytes, BdrvRequestFlags flags)
{
    CountingState *s = bs->opaque;

    note_write(s, offset, bytes);
    memset(s->data + offset, 0, bytes);
    return 0;
}

static BlockDriver bdrv_counting = {
    .format_name           = "counting",
    .is_protocol           = true,
    .instance_size         = sizeof(CountingState),
    .bdrv_close            = counting_close,
    .bdrv_co_pwritev       = counting_co_pwritev,
    .bdrv_co_pwrite_zeroes = counting_co_pwrite_zeroes,
};

static BlockDriverState *new_patchy(int64_t disk_bytes, unsigned max_run, GRand *rand)
{
    BlockDriverState *bs = bdrv_new_node(&bdrv_patchy, "patchy", 0, NULL);
    PatchyState *s = bs->opaque;
    bool zero = g_rand_boolean(rand);

    bs->total_bytes = disk_bytes;
    s->data = g_malloc0(disk_bytes);
    s->pins = g_rand_boolean(rand);
    for (int64_t i = 0; i < disk_bytes; zero = !zero) {
        int64_t end = i + g_rand_int_range(rand, 1, max_run);
        end = MIN(end, disk_bytes);
        if (!zero) {
            memset(s->data + i, 1 + g_rand_int_range(rand, 0, 255), end - i);
        }
        i = end;
    }
    return bs;
}

static BlockDriverState *new_counting(int64_t disk_bytes, bool zero)
{
    BlockDriverState *bs = bdrv_new_node(&bdrv_counting, "counting", BDRV_O_RDWR, NULL);
    CountingState *s = bs->opaque;

    bs->total_bytes = disk_bytes;
    s->disk_bytes = disk_bytes;
    s->data = g_malloc(disk_bytes);
    memset(s->data, zero ? 0 : 0x55, disk_bytes);
    return bs;
}

static void coroutine_fn co_copy(int64_t disk_bytes, unsigned max_run, GRand *rand,
                                 bool target_is_zero, CountingState **counted)
{
    g_autoptr(BlockDriverState) src = new_patchy(disk_bytes, max_run, rand);
    g_autoptr(BlockDriverState) dst = new_counting(disk_bytes, target_is_zero);
    g_autoptr(BlockBackend) from = blk_new(src);
    g_autoptr(BlockBackend) to = blk_new(dst);
    const ConvertOptions options = { .coroutines = 4, .sparse_bytes = 4096,
                                     .target_is_zero = target_is_zero };
    PatchyState *expected = src->opaque;
    CountingState *s = dst->opaque;

    ck_assert(convert_co_copy(from, to, &options, NULL, NULL));
    ck_assert(memcmp(s->data, expected->data, disk_bytes) == 0);
    ck_assert_uint_eq(expected->pinned, 0);
    ck_assert(expected->pins || expected->reads > 0);
    *counted = g_memdup2(s, sizeof(*s));
}

static void coroutine_fn co_test_any_runs(void *opaque)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    static const unsigned runs[] = { 3000, 9000, 70000, 400000 };

    for (size_t i = 0; i < G_N_ELEMENTS(runs); i++) {
        for (int64_t less = 0; less <= 3584; less += 512) {
            for (int zero = 0; zero < 2; zero++) {
                g_autofree CountingState *s = NULL;
                co_copy(DISK_BYTES / 4 - less, runs[i], rand, zero, &s);
                ck_assert(!zero || s->written_bytes <= DISK_BYTES / 4);
            }
        }
    }
}

/* Many short runs of zeroes, as behind the ends of files, do not make many writes. */
static void coroutine_fn co_test_few_writes(void *opaque)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(5);
    g_autofree CountingState *s = NULL;

    co_copy(DISK_BYTES, 3000, rand, true, &s);
    ck_assert_uint_le(s->writes, 2 * DISK_BYTES >> 20);
}

START_TEST(test_case)
{
    static CoroutineEntry *const entries[] = { co_test_any_runs, co_test_few_writes };
    g_autoptr(AioContext) ctx = aio_context_new(AIO_BACKEND_THREADS, NULL);

    aio_run(ctx, entries[_i], NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("convert");
    TCase *tcase = tcase_create("convert");

    tcase_add_loop_test(tcase, test_case, 0, 2);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
