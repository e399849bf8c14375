/*
 * What is inside compressed streams, whose decoders no sanitizer looks into: the input
 * ends at a page that cannot be touched, all that zlib takes for whole gzip members or
 * a zlib stream has inside what zlib gets from it, and the same comes out again.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "engram/sink-cut.h"
#include "engram/sink-unit.h"
#include "engram/unwrap.h"
#include "util/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUT_BYTES = 64 << 10 };

/* The end of readable memory. */
static uint8_t *make_fence(void)
{
    size_t page = sysconf(_SC_PAGESIZE), usable = round_up_pow2(MAX_INPUT_BYTES, page);
    uint8_t *base = mmap(NULL, usable + page, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    g_assert_true(base != MAP_FAILED);
    g_assert_no_errno(mprotect(base + usable, page, PROT_NONE));
    return base + usable;
}

/* All that is inside, by zlib; -1: not streams from end to end, or longer than room. */
static ssize_t zlib_unwrap(const uint8_t *data, size_t size, uint8_t *out, size_t room)
{
    bool gzip = data[0] == 0x1f;
    z_stream z = {
        .next_in = (uint8_t *)data,
        .avail_in = size,
        .next_out = out,
        .avail_out = room,
    };
    int ret;

    g_assert_cmpint(inflateInit2(&z, gzip ? 15 + 16 : 15), ==, Z_OK);
    while ((ret = inflate(&z, Z_SYNC_FLUSH)) == Z_STREAM_END && z.avail_in && gzip) {
        inflateReset(&z);
    }
    inflateEnd(&z);
    return ret == Z_STREAM_END && !z.avail_in ? (ssize_t)(room - z.avail_out) : -1;
}

static bool encode(const uint8_t *content, size_t bytes, VectorCounts *counts)
{
    size_t start, end = 0;
    bool any = false;

    memset(counts, 0, sizeof(*counts));
    while (sink_cut_next_stretch(content, bytes, 0, &start, &end)) {
        hypervec_encode(vector_space(), counts->trits, content + start, end - start);
        any = true;
    }
    return any;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static VectorCounts found, again, expected;
    static uint8_t *fence;

    if (size < UNWRAP_HEAD_BYTES || size > MAX_INPUT_BYTES ||
        !unwrap_is_worth_a_try(data, size)) {
        return 0;
    }
    fence = fence ? fence : make_fence();
    const uint8_t *in = memcpy(fence - size, data, size);
    bool ok = unwrap_content(in, size, &found);
    if (ok) {
        static const uint8_t other[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x7b};
        unwrap_content(other, sizeof(other), &again);
        g_assert_true(unwrap_content(in, size, &again));
        g_assert_true(!memcmp(&found, &again, sizeof(found)));
    }
    if (data[0] != 0x28 && data[3] != 0x18) {
        size_t room = UNWRAP_OUTPUT_LEAST + size * UNWRAP_RATIO_MAX;
        g_autofree uint8_t *out = g_malloc(room);
        ssize_t bytes = zlib_unwrap(in, size, out, room);

        if (bytes >= 0) {
            g_assert_true(encode(out, bytes, &expected) == ok);
            g_assert_true(!ok || !memcmp(&found, &expected, sizeof(found)));
        }
    }
    return 0;
}
