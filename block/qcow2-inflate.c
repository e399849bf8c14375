/*
 * The decompressors, with a context per thread that is used over and over.
 */
#include "qcow2.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

static void free_zstd(gpointer context)
{
    ZSTD_freeDCtx(context);
}

static GPrivate deflate_state = G_PRIVATE_INIT(g_free);
static GPrivate zstd_context = G_PRIVATE_INIT(free_zstd);

static struct inflate_state *get_deflate(void)
{
    struct inflate_state *state = g_private_get(&deflate_state);
    if (!state) {
        state = g_new(struct inflate_state, 1);
        g_private_set(&deflate_state, state);
    }
    return state;
}

/* Raw deflate data, of any window up to the largest. */
static bool inflate_deflate(const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    struct inflate_state *state = get_deflate();

    isal_inflate_init(state);
    state->crc_flag = ISAL_DEFLATE;
    state->next_in = (uint8_t *)in;
    state->avail_in = in_bytes;
    state->next_out = out;
    state->avail_out = out_bytes;
    /* A full output is what counts: the stream's end mark may be missing. With an error
     * it need not be full, whatever avail_out says. */
    int ret = isal_inflate_stateless(state);
    return (ret == ISAL_DECOMP_OK || ret == ISAL_END_INPUT || ret == ISAL_OUT_OVERFLOW) &&
           state->avail_out == 0;
}

static ZSTD_DCtx *get_zstd(void)
{
    ZSTD_DCtx *context = g_private_get(&zstd_context);
    if (!context) {
        context = ZSTD_createDCtx();
        g_private_set(&zstd_context, context);
    }
    return context;
}

/* The cluster may be in several frames, or the last one be cut off after all of
 * the cluster's data. */
static bool inflate_zstd_stream(ZSTD_DCtx *context, const void *in, size_t in_bytes,
                                void *out, size_t out_bytes)
{
    ZSTD_inBuffer input = { .src = in, .size = in_bytes };
    ZSTD_outBuffer output = { .dst = out, .size = out_bytes };

    ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
    while (output.pos < output.size) {
        size_t in_before = input.pos, out_before = output.pos;
        size_t ret = ZSTD_decompressStream(context, &output, &input);
        if (ZSTD_isError(ret) || (input.pos == in_before && output.pos == out_before)) {
            return false;
        }
    }
    return true;
}

static bool inflate_zstd(const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    ZSTD_DCtx *context = get_zstd();
    if (!context) {
        return false;
    }
    size_t frame = ZSTD_findFrameCompressedSize(in, in_bytes);
    if (!ZSTD_isError(frame) &&
        ZSTD_decompressDCtx(context, out, out_bytes, in, frame) == out_bytes) {
        return true;
    }
    return inflate_zstd_stream(context, in, in_bytes, out, out_bytes);
}

bool qcow2_inflate(Qcow2Compression compression, const void *in, size_t in_bytes, void *out,
                   size_t out_bytes)
{
    switch (compression) {
    case QCOW2_COMPRESSION_ZLIB:
        return inflate_deflate(in, in_bytes, out, out_bytes);
    case QCOW2_COMPRESSION_ZSTD:
        return inflate_zstd(in, in_bytes, out, out_bytes);
    }
    return false;
}
