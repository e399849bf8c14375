/*
 * The compressors, with a context per thread that is used over and over.
 */
#include "qcow2-writer.h"

#include <zlib.h>
#include <zstd.h>

enum {
    DEFLATE_WINDOW_BITS = 12,       /* readers of qcow2 need not look back further */
    DEFLATE_MEM_LEVEL = 9,
};

static void free_deflate(gpointer stream)
{
    deflateEnd(stream);
    g_free(stream);
}

static void free_zstd(gpointer context)
{
    ZSTD_freeCCtx(context);
}

static GPrivate deflate_stream = G_PRIVATE_INIT(free_deflate);
static GPrivate zstd_context = G_PRIVATE_INIT(free_zstd);

static z_stream *get_deflate(void)
{
    z_stream *stream = g_private_get(&deflate_stream);

    if (!stream) {
        stream = g_new0(z_stream, 1);
        if (deflateInit2(stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -DEFLATE_WINDOW_BITS,
                         DEFLATE_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
            g_free(stream);
            return NULL;
        }
        g_private_set(&deflate_stream, stream);
    } else if (deflateReset(stream) != Z_OK) {
        return NULL;
    }
    return stream;
}

static size_t deflate_zlib(const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    z_stream *stream = get_deflate();

    if (!stream) {
        return 0;
    }
    stream->next_in = (Bytef *)in;
    stream->avail_in = in_bytes;
    stream->next_out = out;
    stream->avail_out = out_bytes;
    return deflate(stream, Z_FINISH) == Z_STREAM_END ? out_bytes - stream->avail_out : 0;
}

static size_t deflate_zstd(const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    ZSTD_CCtx *context = g_private_get(&zstd_context);

    if (!context) {
        context = ZSTD_createCCtx();
        if (!context) {
            return 0;
        }
        g_private_set(&zstd_context, context);
    }
    size_t n = ZSTD_compressCCtx(context, out, out_bytes, in, in_bytes, ZSTD_CLEVEL_DEFAULT);
    return ZSTD_isError(n) ? 0 : n;
}

size_t qcow2_deflate(Qcow2Compression compression, const void *in, size_t in_bytes,
                     void *out, size_t out_bytes)
{
    switch (compression) {
    case QCOW2_COMPRESSION_ZLIB:
        return deflate_zlib(in, in_bytes, out, out_bytes);
    case QCOW2_COMPRESSION_ZSTD:
        return deflate_zstd(in, in_bytes, out, out_bytes);
    }
    return 0;
}
