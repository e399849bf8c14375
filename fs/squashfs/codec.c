/* The decompressors, with a context per thread that is used over and over. */
#include <zstd.h>
#include "embr-config.h"
#ifdef CONFIG_LZ4
#include <lz4.h>
#endif
#ifdef CONFIG_LZMA
#include <lzma.h>
#endif
#ifdef CONFIG_LZO
#include <lzo/lzo1x.h>
#endif
#include "fs/zlib-block.h"
#include "squashfs.h"

typedef ssize_t UnpackFunc(const void *in, size_t in_bytes, void *out, size_t out_max);

static void free_zstd(gpointer context)
{
    ZSTD_freeDCtx(context);
}

static GPrivate zstd_context = G_PRIVATE_INIT(free_zstd);

static ssize_t unpack_zstd(const void *in, size_t in_bytes, void *out, size_t out_max)
{
    ZSTD_DCtx *context = g_private_get(&zstd_context);

    if (!context) {
        context = ZSTD_createDCtx();
        g_private_set(&zstd_context, context);
    }
    if (!context) {
        return -1;
    }
    size_t ret = ZSTD_decompressDCtx(context, out, out_max, in, in_bytes);
    return ZSTD_isError(ret) ? -1 : (ssize_t)ret;
}

#ifdef CONFIG_LZ4
static ssize_t unpack_lz4(const void *in, size_t in_bytes, void *out, size_t out_max)
{
    int ret = LZ4_decompress_safe(in, out, in_bytes, out_max);

    return ret < 0 ? -1 : ret;
}
#endif

#ifdef CONFIG_LZO
static ssize_t unpack_lzo(const void *in, size_t in_bytes, void *out, size_t out_max)
{
    lzo_uint out_bytes = out_max;

    return lzo1x_decompress_safe(in, in_bytes, out, &out_bytes, NULL) == LZO_E_OK
               ? (ssize_t)out_bytes
               : -1;
}
#endif

#ifdef CONFIG_LZMA
/* Dictionaries are no larger than blocks. */
static const uint64_t LZMA_LIMIT_BYTES = 16 * MiB;

static void free_lzma(gpointer data)
{
    lzma_end(data);
    g_free(data);
}

static GPrivate lzma_context = G_PRIVATE_INIT(free_lzma);

static lzma_stream *get_lzma(void)
{
    lzma_stream *stream = g_private_get(&lzma_context);

    if (!stream) {
        stream = g_new(lzma_stream, 1);
        *stream = (lzma_stream)LZMA_STREAM_INIT;
        g_private_set(&lzma_context, stream);
    }
    return stream;
}

static ssize_t run_lzma(lzma_stream *stream, const void *in, size_t in_bytes, void *out,
                        size_t out_max)
{
    stream->next_in = in;
    stream->avail_in = in_bytes;
    stream->next_out = out;
    stream->avail_out = out_max;
    return lzma_code(stream, LZMA_FINISH) == LZMA_STREAM_END
               ? (ssize_t)(out_max - stream->avail_out)
               : -1;
}

static ssize_t unpack_xz(const void *in, size_t in_bytes, void *out, size_t out_max)
{
    lzma_stream *stream = get_lzma();

    return lzma_stream_decoder(stream, LZMA_LIMIT_BYTES, 0) == LZMA_OK
               ? run_lzma(stream, in, in_bytes, out, out_max)
               : -1;
}

static ssize_t unpack_lzma(const void *in, size_t in_bytes, void *out, size_t out_max)
{
    lzma_stream *stream = get_lzma();

    return lzma_alone_decoder(stream, LZMA_LIMIT_BYTES) == LZMA_OK
               ? run_lzma(stream, in, in_bytes, out, out_max)
               : -1;
}
#endif

static const struct {
    const char *name;
    UnpackFunc *unpack;                 /* NULL: not built in */
} codecs[] = {
    [SQUASHFS_ZLIB] = {"gzip", zlib_block_unpack},
#ifdef CONFIG_LZMA
    [SQUASHFS_LZMA] = {"lzma", unpack_lzma},
    [SQUASHFS_XZ] = {"xz", unpack_xz},
#else
    [SQUASHFS_LZMA] = {"lzma"},
    [SQUASHFS_XZ] = {"xz"},
#endif
#ifdef CONFIG_LZO
    [SQUASHFS_LZO] = {"lzo", unpack_lzo},
#else
    [SQUASHFS_LZO] = {"lzo"},
#endif
#ifdef CONFIG_LZ4
    [SQUASHFS_LZ4] = {"lz4", unpack_lz4},
#else
    [SQUASHFS_LZ4] = {"lz4"},
#endif
    [SQUASHFS_ZSTD] = {"zstd", unpack_zstd},
};

const char *squashfs_codec_name(SquashfsCompression compression)
{
    return compression < G_N_ELEMENTS(codecs) ? codecs[compression].name : NULL;
}

bool squashfs_codec_is_built_in(SquashfsCompression compression)
{
    return compression < G_N_ELEMENTS(codecs) && codecs[compression].unpack;
}

ssize_t squashfs_unpack(SquashfsCompression compression, const void *in, size_t in_bytes,
                        void *out, size_t out_max)
{
    return codecs[compression].unpack(in, in_bytes, out, out_max);
}
