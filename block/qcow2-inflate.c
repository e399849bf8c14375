/*
 * The decompressors, with a context per thread that is used over and over.
 */
#include "qcow2.h"

#include <zlib.h>
#include <zstd.h>

/* Raw deflate data; any window up to the largest. */
enum { WINDOW_BITS = -15 };

static void free_zlib(gpointer stream)
{
    inflateEnd(stream);
    g_free(stream);
}

static void free_zstd(gpointer context)
{
    ZSTD_freeDCtx(context);
}

static GPrivate zlib_stream = G_PRIVATE_INIT(free_zlib);
static GPrivate zstd_context = G_PRIVATE_INIT(free_zstd);

static z_stream *get_zlib(void)
{
    z_stream *stream = g_private_get(&zlib_stream);
    if (stream) {
        return inflateReset(stream) == Z_OK ? stream : NULL;
    }
    stream = g_new0(z_stream, 1);
    if (inflateInit2(stream, WINDOW_BITS) != Z_OK) {
        g_free(stream);
        return NULL;
    }
    g_private_set(&zlib_stream, stream);
    return stream;
}

static bool inflate_zlib(const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    z_stream *stream = get_zlib();
    if (!stream) {
        return false;
    }
    stream->next_in = (Bytef *)in;
    stream->avail_in = in_bytes;
    stream->next_out = out;
    stream->avail_out = out_bytes;
    /* A full output is what counts: the stream's end mark may be missing. */
    int ret = inflate(stream, Z_FINISH);
    return (ret == Z_STREAM_END || ret == Z_BUF_ERROR || ret == Z_OK) &&
           stream->avail_out == 0;
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
        return inflate_zlib(in, in_bytes, out, out_bytes);
    case QCOW2_COMPRESSION_ZSTD:
        return inflate_zstd(in, in_bytes, out, out_bytes);
    }
    return false;
}
