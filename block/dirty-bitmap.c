#include "block/dirty-bitmap.h"

#include <string.h>

#include "util/units.h"

enum { PIECE_BYTES = 4096 };

#define PIECE_BITS ((uint64_t)PIECE_BYTES * 8)

struct DirtyBitmap {
    uint64_t disk_bytes;
    unsigned granularity_bits;
    uint64_t bits;
    uint8_t **pieces;               /* NULL: nothing dirty there */
};

static uint64_t bits_for(uint64_t disk_bytes, unsigned granularity_bits)
{
    return div_round_up(disk_bytes, UINT64_C(1) << granularity_bits);
}

static uint64_t pieces_for(uint64_t bits)
{
    return div_round_up(bits, PIECE_BITS);
}

DirtyBitmap *dirty_bitmap_new(uint64_t disk_bytes, unsigned granularity_bits)
{
    uint64_t bits = bits_for(disk_bytes, granularity_bits);

    if (bits > DIRTY_BITMAP_MAX_BITS) {
        return NULL;
    }
    DirtyBitmap *b = g_new0(DirtyBitmap, 1);
    b->disk_bytes = disk_bytes;
    b->granularity_bits = granularity_bits;
    b->bits = bits;
    b->pieces = g_new0(uint8_t *, MAX(pieces_for(bits), 1));
    return b;
}

static void free_pieces(DirtyBitmap *b, uint64_t first)
{
    for (uint64_t i = first; i < pieces_for(b->bits); i++) {
        g_clear_pointer(&b->pieces[i], g_free);
    }
}

void dirty_bitmap_free(DirtyBitmap *b)
{
    if (b) {
        free_pieces(b, 0);
        g_free(b->pieces);
        g_free(b);
    }
}

uint64_t dirty_bitmap_granularity(const DirtyBitmap *b)
{
    return UINT64_C(1) << b->granularity_bits;
}

uint64_t dirty_bitmap_bits(const DirtyBitmap *b)
{
    return b->bits;
}

uint64_t dirty_bitmap_count(const DirtyBitmap *b)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < pieces_for(b->bits); i++) {
        for (unsigned j = 0; b->pieces[i] && j < PIECE_BYTES; j++) {
            n += __builtin_popcount(b->pieces[i][j]);
        }
    }
    return n;
}

/* Bits [first, end) of one piece. */
static void set_in_piece(uint8_t *piece, unsigned first, unsigned end)
{
    for (; first < end && first % 8; first++) {
        piece[first / 8] |= 1u << first % 8;
    }
    if (first < end) {
        memset(piece + first / 8, 0xff, (end - first) / 8);
    }
    for (unsigned i = round_down_pow2(end, 8); i < end && i >= first; i++) {
        piece[i / 8] |= 1u << i % 8;
    }
}

static void reset_in_piece(uint8_t *piece, unsigned first, unsigned end)
{
    for (; first < end && first % 8; first++) {
        piece[first / 8] &= ~(1u << first % 8);
    }
    if (first < end) {
        memset(piece + first / 8, 0, (end - first) / 8);
    }
    for (unsigned i = round_down_pow2(end, 8); i < end && i >= first; i++) {
        piece[i / 8] &= ~(1u << i % 8);
    }
}

static void set_bits(DirtyBitmap *b, uint64_t first, uint64_t end)
{
    while (first < end) {
        uint64_t i = first / PIECE_BITS;
        uint64_t start = i * PIECE_BITS;
        uint64_t piece_end = MIN(end, start + PIECE_BITS);
        if (!b->pieces[i]) {
            b->pieces[i] = g_malloc0(PIECE_BYTES);
        }
        set_in_piece(b->pieces[i], first - start, piece_end - start);
        first = piece_end;
    }
}

static void reset_bits(DirtyBitmap *b, uint64_t first, uint64_t end)
{
    while (first < end) {
        uint64_t i = first / PIECE_BITS;
        uint64_t start = i * PIECE_BITS;
        uint64_t piece_end = MIN(end, start + PIECE_BITS);
        if (b->pieces[i]) {
            reset_in_piece(b->pieces[i], first - start, piece_end - start);
        }
        first = piece_end;
    }
}

void dirty_bitmap_set(DirtyBitmap *b, uint64_t offset, uint64_t bytes)
{
    if (offset >= b->disk_bytes || !bytes) {
        return;
    }
    uint64_t last = offset + MIN(bytes, b->disk_bytes - offset) - 1;
    set_bits(b, offset >> b->granularity_bits, (last >> b->granularity_bits) + 1);
}

void dirty_bitmap_reset(DirtyBitmap *b, uint64_t offset, uint64_t bytes)
{
    uint64_t first = div_round_up(offset, UINT64_C(1) << b->granularity_bits);

    if (offset >= b->disk_bytes) {
        return;
    }
    bool to_end = bytes >= b->disk_bytes - offset;
    uint64_t end = to_end ? b->bits : (offset + bytes) >> b->granularity_bits;
    if (first < end) {
        reset_bits(b, first, end);
    }
}

void dirty_bitmap_clear(DirtyBitmap *b)
{
    free_pieces(b, 0);
}

/* The first bit from `from` on that is, or is not, set; b->bits: none. */
static uint64_t find_bit(const DirtyBitmap *b, uint64_t from, bool set)
{
    uint8_t boring = set ? 0 : 0xff;

    while (from < b->bits) {
        const uint8_t *piece = b->pieces[from / PIECE_BITS];
        if (!piece) {
            if (!set) {
                return from;
            }
            from = (from / PIECE_BITS + 1) * PIECE_BITS;
            continue;
        }
        uint8_t byte = piece[from % PIECE_BITS / 8];
        if (from % 8 == 0 && byte == boring) {
            from += 8;
        } else if ((byte >> from % 8 & 1) == set) {
            return from;
        } else {
            from++;
        }
    }
    return b->bits;
}

bool dirty_bitmap_next(const DirtyBitmap *b, uint64_t *offset, uint64_t *bytes)
{
    uint64_t wanted = *offset;
    uint64_t first =
        wanted < b->disk_bytes ? find_bit(b, wanted >> b->granularity_bits, true) : b->bits;

    if (first == b->bits) {
        return false;
    }
    uint64_t end = find_bit(b, first, false);
    uint64_t end_byte = end == b->bits ? b->disk_bytes : end << b->granularity_bits;
    *offset = MAX(wanted, first << b->granularity_bits);
    *bytes = end_byte - *offset;
    return true;
}

void dirty_bitmap_merge(DirtyBitmap *b, const DirtyBitmap *other)
{
    uint64_t offset = 0, bytes;

    for (; dirty_bitmap_next(other, &offset, &bytes); offset += bytes) {
        dirty_bitmap_set(b, offset, bytes);
    }
}

bool dirty_bitmap_resize(DirtyBitmap *b, uint64_t disk_bytes)
{
    uint64_t bits = bits_for(disk_bytes, b->granularity_bits);
    uint64_t before = pieces_for(b->bits), after = pieces_for(bits);

    if (bits > DIRTY_BITMAP_MAX_BITS) {
        return false;
    }
    if (bits < b->bits) {
        reset_bits(b, bits, b->bits);
        free_pieces(b, after);
    }
    b->pieces = g_renew(uint8_t *, b->pieces, MAX(after, 1));
    for (uint64_t i = before; i < after; i++) {
        b->pieces[i] = NULL;
    }
    b->bits = bits;
    b->disk_bytes = disk_bytes;
    return true;
}

void dirty_bitmap_get_bytes(const DirtyBitmap *b, uint64_t offset, uint64_t bytes, uint8_t *buf)
{
    uint64_t pieces = pieces_for(b->bits);

    for (uint64_t done = 0; done < bytes;) {
        uint64_t i = (offset + done) / PIECE_BYTES, at = (offset + done) % PIECE_BYTES;
        uint64_t n = MIN(bytes - done, PIECE_BYTES - at);
        if (i < pieces && b->pieces[i]) {
            memcpy(buf + done, b->pieces[i] + at, n);
        } else {
            memset(buf + done, 0, n);
        }
        done += n;
    }
}

void dirty_bitmap_add_bytes(DirtyBitmap *b, uint64_t offset, uint64_t bytes, const uint8_t *buf)
{
    for (uint64_t i = 0; i < bytes && offset + i <= b->bits / 8; i++) {
        uint64_t bit = (offset + i) * 8;
        if (!buf[i] || bit >= b->bits) {
            continue;
        }
        if (!b->pieces[bit / PIECE_BITS]) {
            b->pieces[bit / PIECE_BITS] = g_malloc0(PIECE_BYTES);
        }
        uint8_t mask = b->bits - bit < 8 ? (1u << (b->bits - bit)) - 1 : 0xff;
        b->pieces[bit / PIECE_BITS][bit % PIECE_BITS / 8] |= buf[i] & mask;
    }
}
