/*
 * Decoders in front of the encoder of hypervectors.
 */
#include "engram/unwrap.h"

#include <isa-l/igzip_lib.h>
#include <string.h>
#include <zstd.h>

#include "engram/sink-cut.h"
#include "engram/sink-unit.h"
#include "util/endian.h"

enum {
    ZSTD_WINDOW_LOG_MAX = 23,         /* 8 MiB, which RFC 8878 wants of every decoder */
    ZSTD_CONTEXT_BYTES_MAX = 1 << 20, /* that a thread keeps */
};

#define GZIP_MAGIC 0x8B1F     /* RFC 1952 */
#define ZSTD_MAGIC 0xFD2FB528 /* RFC 8878 */
#define ZSTD_SKIPPABLE_MAGIC 0x184D2A50
#define ZSTD_SKIPPABLE_MASK 0xFFFFFFF0

typedef enum Wrapping { NOT_WRAPPED, GZIP, ZLIB, ZSTD } Wrapping;

/* What comes out of a decoder, a segment at a time. */
typedef struct Inside {
    VectorCounts *counts;
    uint8_t *segment;
    size_t room, used; /* of the segment */
    uint64_t left;     /* bytes that count, after this segment */
    bool any;          /* some were not zero */
} Inside;

static bool is_zstd(uint32_t magic)
{
    return magic == ZSTD_MAGIC || (magic & ZSTD_SKIPPABLE_MASK) == ZSTD_SKIPPABLE_MAGIC;
}

static Wrapping get_wrapping(const uint8_t *head, size_t bytes)
{
    if (bytes < UNWRAP_HEAD_BYTES) {
        return NOT_WRAPPED;
    }
    if (le16_load(head) == GZIP_MAGIC && head[2] == 8) {
        return GZIP;
    }
    if (is_zstd(le32_load(head))) {
        return ZSTD;
    }
    /* RFC 1950: deflate, a window of 32 KiB at most, no dictionary, a check. */
    if ((head[0] & 15) == 8 && head[0] >> 4 <= 7 && !(head[1] & 0x20) &&
        (head[0] << 8 | head[1]) % 31 == 0) {
        return ZLIB;
    }
    return NOT_WRAPPED;
}

bool unwrap_is_worth_a_try(const uint8_t *head, size_t bytes)
{
    return get_wrapping(head, bytes) != NOT_WRAPPED;
}

/* The segment is complete, or all there is. */
static void encode_segment(Inside *inside)
{
    size_t start, end = 0;

    while (sink_cut_next_stretch(inside->segment, inside->used, 0, &start, &end)) {
        hypervec_encode(vector_space(), inside->counts->trits, inside->segment + start,
                        end - start);
        inside->any = true;
    }
    inside->used = 0;
    inside->room = MIN(inside->left, SINK_SEGMENT_BYTES);
    inside->left -= inside->room;
}

/* bytes more were put into the segment.  True: no more of them count. */
static bool took(Inside *inside, size_t bytes)
{
    inside->used += bytes;
    if (inside->used == inside->room) {
        encode_segment(inside);
    }
    return inside->room == 0;
}

static GPrivate deflate_state = G_PRIVATE_INIT(g_free);

static struct inflate_state *get_deflate(void)
{
    struct inflate_state *state = g_private_get(&deflate_state);

    if (!state) {
        state = g_new(struct inflate_state, 1);
        g_private_set(&deflate_state, state);
    }
    return state;
}

static void begin_member(struct inflate_state *state, Wrapping wrapping)
{
    uint8_t *next_in = state->next_in;
    uint32_t avail_in = state->avail_in;

    isal_inflate_init(state);
    state->crc_flag = wrapping == GZIP ? ISAL_GZIP : ISAL_ZLIB;
    state->next_in = next_in;
    state->avail_in = avail_in;
}

/* Gives back what the library has read beyond a member, and looks at what it does not:
 * the size at the member's end. */
static bool end_member(struct inflate_state *state, Wrapping wrapping)
{
    uint32_t ahead = state->read_in_length > 0 ? state->read_in_length / 8 : 0;

    state->next_in -= ahead;
    state->avail_in += ahead;
    return wrapping != GZIP || le32_load(state->next_in - 4) == state->total_out;
}

/* False: damaged, or not at its end with the last byte. */
static bool unwrap_deflate(Inside *inside, Wrapping wrapping, const uint8_t *data,
                           size_t bytes)
{
    struct inflate_state *state = get_deflate();

    state->next_in = (uint8_t *)data;
    state->avail_in = bytes;
    begin_member(state, wrapping);
    for (;;) {
        uint32_t before = state->avail_in, room = inside->room - inside->used;

        state->next_out = inside->segment + inside->used;
        state->avail_out = room;
        if (isal_inflate(state) != ISAL_DECOMP_OK) {
            return false;
        }
        if (took(inside, room - state->avail_out)) {
            return true;
        }
        if (state->block_state == ISAL_BLOCK_FINISH) {
            if (!end_member(state, wrapping)) {
                return false;
            }
            if (state->avail_in == 0) {
                return true;
            }
            if (get_wrapping(state->next_in, state->avail_in) != GZIP ||
                wrapping != GZIP) {
                return false;
            }
            begin_member(state, wrapping);
        } else if (state->avail_in == before && state->avail_out == room) {
            return false;
        }
    }
}

static void free_zstd(gpointer context)
{
    ZSTD_freeDCtx(context);
}

static GPrivate zstd_context = G_PRIVATE_INIT(free_zstd);

static ZSTD_DCtx *get_zstd(void)
{
    ZSTD_DCtx *context = g_private_get(&zstd_context);

    if (!context) {
        context = ZSTD_createDCtx();
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
        g_private_set(&zstd_context, context);
    }
    return context;
}

static bool unwrap_zstd_frames(ZSTD_DCtx *context, Inside *inside, const uint8_t *data,
                               size_t bytes)
{
    ZSTD_inBuffer in = {data, bytes, 0};

    ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
    for (;;) {
        ZSTD_outBuffer out = {inside->segment, inside->room, inside->used};
        size_t in_before = in.pos, out_before = out.pos;
        size_t ret = ZSTD_decompressStream(context, &out, &in);

        if (ZSTD_isError(ret)) {
            return false;
        }
        if (took(inside, out.pos - out_before)) {
            return true;
        }
        if (ret == 0) {
            if (in.pos == bytes) {
                return true;
            }
            if (bytes - in.pos < UNWRAP_HEAD_BYTES ||
                !is_zstd(le32_load(data + in.pos))) {
                return false;
            }
        } else if (in.pos == in_before && out.pos == out_before) {
            return false;
        }
    }
}

static bool unwrap_zstd(Inside *inside, const uint8_t *data, size_t bytes)
{
    ZSTD_DCtx *context = get_zstd();
    bool ok = unwrap_zstd_frames(context, inside, data, bytes);

    if (ZSTD_sizeof_DCtx(context) > ZSTD_CONTEXT_BYTES_MAX) {
        g_private_replace(&zstd_context, NULL);
    }
    return ok;
}

bool unwrap_content(const uint8_t *data, uint64_t size, VectorCounts *counts)
{
    size_t bytes = MIN(size, UNWRAP_INPUT_MAX);
    Wrapping wrapping = get_wrapping(data, bytes);
    Inside inside = {
        .counts = counts,
        .left = MIN(UNWRAP_OUTPUT_LEAST + (uint64_t)bytes * UNWRAP_RATIO_MAX,
                    UNWRAP_OUTPUT_MAX),
    };

    if (wrapping == NOT_WRAPPED) {
        return false;
    }
    memset(counts, 0, sizeof(*counts));
    g_autofree uint8_t *segment = g_malloc(MIN(inside.left, SINK_SEGMENT_BYTES));
    inside.segment = segment;
    encode_segment(&inside);
    bool ok = wrapping == ZSTD ? unwrap_zstd(&inside, data, bytes)
                               : unwrap_deflate(&inside, wrapping, data, bytes);
    encode_segment(&inside);
    return ok && inside.any;
}
