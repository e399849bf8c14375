/*
 * The decompressors of qcow2 clusters: whole, cut off and damaged streams, with pages
 * that must not be touched around the buffers.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include "block/qcow2.h"

enum {
    CLUSTER_BYTES = 64 * 1024,
    STREAM_BYTES_MAX = 2 * CLUSTER_BYTES,
    MUTATIONS = 3000,
};

/* bytes of memory; what follows them is not there. */
static uint8_t *before_guard(size_t bytes)
{
    size_t page = sysconf(_SC_PAGESIZE);
    size_t body = round_up_pow2(bytes, page);
    uint8_t *map = mmap(NULL, page + body + page, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(map, MAP_FAILED);
    ck_assert_int_eq(mprotect(map, page, PROT_NONE), 0);
    ck_assert_int_eq(mprotect(map + page + body, page, PROT_NONE), 0);
    return map + page + body - bytes;
}

static void guard_free(uint8_t *memory, size_t bytes)
{
    size_t page = sysconf(_SC_PAGESIZE);
    size_t body = round_up_pow2(bytes, page);

    munmap(memory + bytes - body - page, page + body + page);
}

/* Bytes that compress: some repeated, some far apart, some not at all. */
static void fill(uint8_t *buf, GRand *rand)
{
    for (size_t i = 0; i < CLUSTER_BYTES;) {
        size_t end = i + 1 + g_rand_int(rand) % 300;
        size_t back = 1 + g_rand_int(rand) % 40000;
        for (; i < end && i < CLUSTER_BYTES; i++) {
            buf[i] = back <= i ? buf[i - back] : g_rand_int(rand);
        }
    }
}

static size_t deflate_cluster(const uint8_t *in, uint8_t *out, int level, int window_bits)
{
    z_stream stream = { 0 };

    ck_assert_int_eq(deflateInit2(&stream, level, Z_DEFLATED, -window_bits, 9,
                                  Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)in;
    stream.avail_in = CLUSTER_BYTES;
    stream.next_out = out;
    stream.avail_out = STREAM_BYTES_MAX;
    ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    size_t bytes = STREAM_BYTES_MAX - stream.avail_out;
    deflateEnd(&stream);
    return bytes;
}

/* What zlib makes of it: true if all of the output is there. */
static bool reference_inflate(const uint8_t *in, size_t in_bytes, uint8_t *out)
{
    z_stream stream = { 0 };

    ck_assert_int_eq(inflateInit2(&stream, -15), Z_OK);
    stream.next_in = (Bytef *)in;
    stream.avail_in = in_bytes;
    stream.next_out = out;
    stream.avail_out = CLUSTER_BYTES;
    inflate(&stream, Z_FINISH);
    bool full = stream.avail_out == 0;
    inflateEnd(&stream);
    return full;
}

static void damage(uint8_t *bytes, size_t n, GRand *rand)
{
    for (unsigned i = g_rand_int(rand) % 4; i > 0; i--) {
        bytes[g_rand_int(rand) % n] ^= 1 << g_rand_int(rand) % 8;
    }
}

/* The stream of in_bytes, damaged and cut, at the end of a buffer. */
static void check_damaged(Qcow2Compression type, const uint8_t *stream, size_t in_bytes,
                          GRand *rand)
{
    size_t n = g_rand_int(rand) % 2 ? in_bytes : 1 + g_rand_int(rand) % in_bytes;
    uint8_t *in = before_guard(n);
    uint8_t *out = before_guard(CLUSTER_BYTES);
    g_autofree uint8_t *expected = g_malloc0(CLUSTER_BYTES);

    memcpy(in, stream, n);
    damage(in, n, rand);
    bool ok = qcow2_inflate(type, in, n, out, CLUSTER_BYTES);
    if (type == QCOW2_COMPRESSION_ZLIB && reference_inflate(in, n, expected)) {
        ck_assert(ok);
        ck_assert(memcmp(out, expected, CLUSTER_BYTES) == 0);
    }
    guard_free(in, n);
    guard_free(out, CLUSTER_BYTES);
}

static void check_stream(Qcow2Compression type, const uint8_t *plain, const uint8_t *stream,
                         size_t bytes, GRand *rand)
{
    uint8_t *in = before_guard(bytes);
    uint8_t *out = before_guard(CLUSTER_BYTES);

    memcpy(in, stream, bytes);
    ck_assert(qcow2_inflate(type, in, bytes, out, CLUSTER_BYTES));
    ck_assert(memcmp(out, plain, CLUSTER_BYTES) == 0);
    guard_free(in, bytes);

    /* What follows the stream in the last sector does not count. */
    g_autofree uint8_t *longer = g_malloc(bytes + 511);
    memcpy(longer, stream, bytes);
    memset(longer + bytes, 0xa5, 511);
    memset(out, 0, CLUSTER_BYTES);
    ck_assert(qcow2_inflate(type, longer, bytes + 511, out, CLUSTER_BYTES));
    ck_assert(memcmp(out, plain, CLUSTER_BYTES) == 0);

    /* Half of it is not enough. */
    ck_assert(!qcow2_inflate(type, stream, bytes / 2, out, CLUSTER_BYTES));
    guard_free(out, CLUSTER_BYTES);
    for (int i = 0; i < MUTATIONS / 8; i++) {
        check_damaged(type, stream, bytes, rand);
    }
}

START_TEST(deflated)
{
    static const struct {
        int level;
        int window_bits;
    } ways[] = { { 0, 15 }, { 1, 12 }, { 1, 15 }, { 6, 12 }, { 6, 15 }, { 9, 9 }, { 9, 15 } };
    g_autofree uint8_t *plain = g_malloc(CLUSTER_BYTES);
    g_autofree uint8_t *stream = g_malloc(STREAM_BYTES_MAX);
    g_autoptr(GRand) rand = g_rand_new_with_seed(_i + 1);

    fill(plain, rand);
    size_t bytes = deflate_cluster(plain, stream, ways[_i].level, ways[_i].window_bits);
    check_stream(QCOW2_COMPRESSION_ZLIB, plain, stream, bytes, rand);
}
END_TEST

START_TEST(zstd)
{
    static const int levels[] = { 1, 3, 19 };
    g_autofree uint8_t *plain = g_malloc(CLUSTER_BYTES);
    g_autofree uint8_t *stream = g_malloc(STREAM_BYTES_MAX);
    g_autoptr(GRand) rand = g_rand_new_with_seed(_i + 1);

    fill(plain, rand);
    size_t bytes = ZSTD_compress(stream, STREAM_BYTES_MAX, plain, CLUSTER_BYTES, levels[_i]);
    ck_assert(!ZSTD_isError(bytes));
    check_stream(QCOW2_COMPRESSION_ZSTD, plain, stream, bytes, rand);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("qcow2-inflate");
    TCase *tcase = tcase_create("inflate");

    tcase_add_loop_test(tcase, deflated, 0, 7);
    tcase_add_loop_test(tcase, zstd, 0, 3);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
