/*
 * The decompressors of qcow2 clusters, whose libraries no sanitizer looks into: input
 * and output end at a page that cannot be touched, and what zlib makes of deflated data
 * is what has to come out.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include "block/qcow2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUT_BYTES = 128 << 10, OUT_BYTES = 64 << 10 };

/* Memory of len bytes that ends where a page begins that is not there. */
typedef struct Fence {
    uint8_t *base, *end;
    size_t mapped;
} Fence;

static Fence fence_new(size_t len)
{
    size_t page = sysconf(_SC_PAGESIZE);
    size_t usable = round_up_pow2(len, page);
    uint8_t *base = mmap(NULL, usable + page, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    g_assert_true(base != MAP_FAILED);
    g_assert_no_errno(mprotect(base + usable, page, PROT_NONE));
    return (Fence){base, base + usable, usable + page};
}

/* Whether zlib fills out; *whole: with all of a stream, up to its end. */
static bool zlib_inflate(const uint8_t *in, size_t in_bytes, uint8_t *out,
                         size_t out_bytes, bool *whole)
{
    z_stream z = {
        .next_in = (uint8_t *)in,
        .avail_in = in_bytes,
        .next_out = out,
        .avail_out = out_bytes,
    };

    g_assert_cmpint(inflateInit2(&z, -15), ==, Z_OK);
    int ret = inflate(&z, Z_SYNC_FLUSH);
    bool full = z.avail_out == 0;
    *whole = full && ret == Z_STREAM_END;
    inflateEnd(&z);
    return full;
}

/* What comes out must not depend on what was read with the same context before. */
static void check_repeatable(Qcow2Compression compression, const uint8_t *in,
                             size_t in_bytes, const uint8_t *out, size_t out_bytes)
{
    static const uint8_t empty_block[] = {1, 0, 0, 0xff, 0xff};
    static uint8_t again[OUT_BYTES];

    qcow2_inflate(QCOW2_COMPRESSION_ZLIB, empty_block, sizeof(empty_block), again, 1);
    memset(again, 0xa5, out_bytes);
    g_assert_true(qcow2_inflate(compression, in, in_bytes, again, out_bytes));
    g_assert_true(!memcmp(again, out, out_bytes));
}

/* The first two bytes say how much is to come out, the highest bit of them which
 * compression it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Fence in, out;
    static uint8_t expected[OUT_BYTES];

    if (size < 2 || size > MAX_INPUT_BYTES) {
        return 0;
    }
    if (!in.base) {
        in = fence_new(MAX_INPUT_BYTES);
        out = fence_new(OUT_BYTES);
    }

    unsigned head = be16_load(data);
    size_t out_bytes = 1 + (head & 0x7fff) * 2, in_bytes = size - 2;
    Qcow2Compression compression =
        head >> 15 ? QCOW2_COMPRESSION_ZSTD : QCOW2_COMPRESSION_ZLIB;
    uint8_t *from = memcpy(in.end - in_bytes, data + 2, in_bytes);
    uint8_t *to = out.end - out_bytes;

    out.end[-(ssize_t)OUT_BYTES] = 0x5a;
    bool ok = qcow2_inflate(compression, from, in_bytes, to, out_bytes);
    g_assert_true(out_bytes == OUT_BYTES || out.end[-(ssize_t)OUT_BYTES] == 0x5a);
    if (ok) {
        check_repeatable(compression, from, in_bytes, to, out_bytes);
    }
    /* ISA-L takes some codes that zlib refuses, and may look behind what is wanted. */
    if (compression == QCOW2_COMPRESSION_ZLIB) {
        bool whole;
        bool full = zlib_inflate(from, in_bytes, expected, out_bytes, &whole);

        g_assert_true(ok || !whole);
        g_assert_true(!ok || !full || !memcmp(to, expected, out_bytes));
    }
    return 0;
}
