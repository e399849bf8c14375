/* Compressed extents: a zlib stream, a zstd frame, or LZO sector by sector. */
#include <isa-l/igzip_lib.h>
#include "embr-config.h"
#include <zstd.h>
#include "btrfs.h"

#ifdef CONFIG_LZO
#include <lzo/lzo1x.h>
#endif

enum {
    ZLIB_HEAD_BYTES = 2,
    ZSTD_WINDOW_BITS = 17,
    LZO_LENGTH_BYTES = 4,
};

static void free_zstd(gpointer context)
{
    ZSTD_freeDCtx(context);
}

static GPrivate deflate_state = G_PRIVATE_INIT(g_free);
static GPrivate zstd_context = G_PRIVATE_INIT(free_zstd);

/* The checksum at its end says nothing that those of the sectors do not. */
static bool decompress_zlib(const uint8_t *in, size_t in_bytes, uint8_t *out,
                            size_t out_bytes, size_t *done)
{
    struct inflate_state *state = g_private_get(&deflate_state);

    if (in_bytes < ZLIB_HEAD_BYTES || (in[0] & 0xf) != 8 || be16_load(in) % 31 ||
        in[1] & 0x20) {
        return false;
    }
    if (!state) {
        state = g_new(struct inflate_state, 1);
        g_private_set(&deflate_state, state);
    }
    isal_inflate_init(state);
    state->crc_flag = ISAL_DEFLATE;
    state->next_in = (uint8_t *)in + ZLIB_HEAD_BYTES;
    state->avail_in = in_bytes - ZLIB_HEAD_BYTES;
    state->next_out = out;
    state->avail_out = out_bytes;

    int ret = isal_inflate_stateless(state);

    *done = out_bytes - state->avail_out;
    return ret == ISAL_DECOMP_OK || (ret == ISAL_OUT_OVERFLOW && !state->avail_out);
}

static ZSTD_DCtx *get_zstd(void)
{
    ZSTD_DCtx *context = g_private_get(&zstd_context);

    if (!context) {
        context = ZSTD_createDCtx();
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_BITS);
        g_private_set(&zstd_context, context);
    }
    return context;
}

/* Of what is more than the extent still has, the first part. */
static bool decompress_zstd_part(ZSTD_DCtx *context, const uint8_t *in, size_t in_bytes,
                                 uint8_t *out, size_t out_bytes, size_t *done)
{
    ZSTD_inBuffer input = {.src = in, .size = in_bytes};
    ZSTD_outBuffer output = {.dst = out, .size = out_bytes};

    ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
    while (output.pos < output.size) {
        size_t in_before = input.pos, out_before = output.pos;
        size_t ret = ZSTD_decompressStream(context, &output, &input);

        if (ZSTD_isError(ret)) {
            return false;
        }
        if (ret == 0) {
            break;
        }
        if (input.pos == in_before && output.pos == out_before) {
            return false;
        }
    }
    *done = output.pos;
    return true;
}

/* A frame, and zeroes to the sector's end. */
static bool decompress_zstd(const uint8_t *in, size_t in_bytes, uint8_t *out,
                            size_t out_bytes, size_t *done)
{
    ZSTD_DCtx *context = get_zstd();
    size_t frame = ZSTD_findFrameCompressedSize(in, in_bytes);

    if (!ZSTD_isError(frame)) {
        *done = ZSTD_decompressDCtx(context, out, out_bytes, in, frame);
        if (!ZSTD_isError(*done)) {
            return true;
        }
    }
    return decompress_zstd_part(context, in, in_bytes, out, out_bytes, done);
}

#ifdef CONFIG_LZO
static GPrivate lzo_sector = G_PRIVATE_INIT(g_free);

/* A sector, or less at the end. */
static bool decompress_lzo_part(const uint8_t *in, size_t in_bytes, uint8_t *out,
                                size_t out_bytes, uint32_t sector_bytes, size_t *done)
{
    uint8_t *sector = out;
    lzo_uint n = sector_bytes;

    /* What is compressed may have been more than what the extent still has. */
    if (out_bytes < sector_bytes) {
        sector = g_private_get(&lzo_sector);
        if (!sector) {
            sector = g_malloc(BTRFS_MAX_NODE_BYTES);
            g_private_set(&lzo_sector, sector);
        }
    }
    if (lzo1x_decompress_safe(in, in_bytes, sector, &n, NULL) != LZO_E_OK) {
        return false;
    }
    *done = MIN(n, out_bytes);
    if (sector != out) {
        memcpy(out, sector, *done);
    }
    return true;
}

/* A length of all, then of each sector a length and the bytes.  No length lies across
 * two sectors of the compressed bytes. */
static bool decompress_lzo(uint32_t sector_bytes, const uint8_t *in, size_t in_bytes,
                           uint8_t *out, size_t out_bytes, size_t *done)
{
    size_t pos = LZO_LENGTH_BYTES, end;

    if (in_bytes < LZO_LENGTH_BYTES) {
        return false;
    }
    end = le32_load(in);
    if (end > in_bytes) {
        return false;
    }
    for (*done = 0; *done < out_bytes && pos < end;) {
        size_t left = sector_bytes - pos % sector_bytes, n;
        uint32_t len;

        pos += left < LZO_LENGTH_BYTES ? left : 0;
        if (!range_fits(pos, LZO_LENGTH_BYTES, end)) {
            return false;
        }
        len = le32_load(in + pos);
        pos += LZO_LENGTH_BYTES;
        if (!range_fits(pos, len, end) ||
            !decompress_lzo_part(in + pos, len, out + *done, out_bytes - *done,
                                 sector_bytes, &n)) {
            return false;
        }
        pos += len;
        *done += n;
        if (n < sector_bytes) {
            break; /* only the last one is less */
        }
    }
    return true;
}

#else
static bool decompress_lzo(uint32_t sector_bytes, const uint8_t *in, size_t in_bytes,
                           uint8_t *out, size_t out_bytes, size_t *done)
{
    return false; /* never asked: btrfs_can_decompress() */
}
#endif

bool btrfs_can_decompress(BtrfsCompression compression)
{
#ifndef CONFIG_LZO
    return compression != BTRFS_COMPRESS_LZO;
#else
    return true;
#endif
}

bool btrfs_decompress(BtrfsCompression compression, uint32_t sector_bytes,
                      const uint8_t *in, size_t in_bytes, uint8_t *out,
                      size_t out_bytes)
{
    size_t done = 0;
    bool ok = false;

    switch (compression) {
    case BTRFS_COMPRESS_ZLIB:
        ok = decompress_zlib(in, in_bytes, out, out_bytes, &done);
        break;
    case BTRFS_COMPRESS_LZO:
        ok = decompress_lzo(sector_bytes, in, in_bytes, out, out_bytes, &done);
        break;
    case BTRFS_COMPRESS_ZSTD:
        ok = decompress_zstd(in, in_bytes, out, out_bytes, &done);
        break;
    case BTRFS_COMPRESS_NONE:
        break;
    }
    if (ok) {
        memset(out + done, 0, out_bytes - done);
    }
    return ok;
}
