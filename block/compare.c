/*
 * Comparing two disks: several coroutines take pieces that are of one kind in
 * each, and read only what may differ.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "block/convert.h"
#include "block/workers.h"
#include "util/co-lock.h"

enum {
    COMPARE_COROUTINES = 4,
    PIECE_BYTES_MAX = 1 << 20,
    BUFFER_ALIGNMENT = 4096,
    SECTOR_BYTES = 512,
    STRICT_STATUS = BDRV_BLOCK_DATA | BDRV_BLOCK_ZERO | BDRV_BLOCK_OFFSET_VALID |
                    BDRV_BLOCK_ALLOCATED,
};

typedef struct Side {
    BlockBackend *blk;
    int64_t extent_end;     /* up to where status is known */
    int status;
} Side;

typedef struct Compare {
    Side sides[2];
    bool strict;
    int64_t end;            /* of the longer disk */
    int64_t common_end;     /* of the shorter */
    Progress *progress;
    CompareResult *result;
    CoMutex next_piece;     /* protects the following and the sides */
    int64_t next;
    bool failed;
    GError *error;
} Compare;

typedef struct Piece {
    int64_t offset;
    int64_t bytes;
    bool zero[2];
} Piece;

static void fail(Compare *c, BlockBackend *blk, const char *what, int64_t offset, int err)
{
    GError *error = bdrv_take_error(blk_bs(blk));

    c->failed = true;
    if (c->error) {
        g_clear_error(&error);
    } else if (error) {
        g_propagate_prefixed_error(&c->error, error, "error while %s: ", what);
    } else {
        error_set_errno(&c->error, err, "%s: error while %s at offset 0x%"
                        G_GINT64_MODIFIER "x", blk_name(blk), what, offset);
    }
}

/* Pieces are in flight in any order; the first place that differs counts. */
static void note_mismatch(Compare *c, int64_t offset, bool status_differs)
{
    CompareResult *r = c->result;

    if (r->mismatch_offset < 0 || offset < r->mismatch_offset) {
        r->mismatch_offset = offset;
        r->mismatch_in_tail = offset >= c->common_end;
        r->status_differs = status_differs;
    }
}

static bool coroutine_fn co_find_extent(Compare *c, Side *side, int64_t offset)
{
    int64_t end = blk_length(side->blk);
    int64_t n = 0;

    if (offset < side->extent_end) {
        return true;
    }
    if (offset >= end) {
        side->status = BDRV_BLOCK_ZERO;
        side->extent_end = c->end;
        return true;
    }
    int ret = blk_co_block_status(side->blk, offset, end - offset, &n);
    if (ret < 0 || n <= 0) {
        c->result->status_failed = !c->failed;
        fail(c, side->blk, "asking for block status", offset, ret < 0 ? -ret : EIO);
        return false;
    }
    side->status = ret;
    side->extent_end = offset + n;
    return true;
}

/* False at the end, past a difference, or on failure. */
static bool coroutine_fn co_next_piece(Compare *c, Piece *piece)
{
    Side *a = &c->sides[0], *b = &c->sides[1];

    if (c->failed || c->next >= c->end || c->result->mismatch_offset >= 0 ||
        !co_find_extent(c, a, c->next) || !co_find_extent(c, b, c->next)) {
        return false;
    }
    *piece = (Piece){ .offset = c->next,
                      .zero = { a->status & BDRV_BLOCK_ZERO, b->status & BDRV_BLOCK_ZERO } };
    piece->bytes = MIN(a->extent_end, b->extent_end) - c->next;
    if (c->strict && (a->status & STRICT_STATUS) != (b->status & STRICT_STATUS)) {
        note_mismatch(c, c->next, true);
        return false;
    }
    if (!piece->zero[0] || !piece->zero[1]) {
        piece->bytes = MIN(piece->bytes, PIECE_BYTES_MAX);
    }
    c->next += piece->bytes;
    return true;
}

static int64_t first_different_sector(const uint8_t *a, const uint8_t *b, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i += SECTOR_BYTES) {
        if (memcmp(a + i, b + i, MIN(bytes - i, SECTOR_BYTES)) != 0) {
            return i;
        }
    }
    return -1;
}

static int64_t first_nonzero_sector(const uint8_t *buf, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i += SECTOR_BYTES) {
        if (!buffer_is_zero(buf + i, MIN(bytes - i, SECTOR_BYTES))) {
            return i;
        }
    }
    return -1;
}

/* False: it could not be done. */
static bool coroutine_fn co_compare_piece(Compare *c, const Piece *piece, uint8_t *buf[2])
{
    int64_t where = -1;

    for (int i = 0; i < 2; i++) {
        if (piece->zero[i]) {
            continue;
        }
        int ret = blk_co_pread(c->sides[i].blk, piece->offset, piece->bytes, buf[i]);
        if (ret < 0) {
            fail(c, c->sides[i].blk, "reading", piece->offset, -ret);
            return false;
        }
    }
    if (!piece->zero[0] && !piece->zero[1]) {
        if (memcmp(buf[0], buf[1], piece->bytes) != 0) {
            where = first_different_sector(buf[0], buf[1], piece->bytes);
        }
    } else if (piece->zero[0] != piece->zero[1]) {
        const uint8_t *data = piece->zero[0] ? buf[1] : buf[0];
        if (!buffer_is_zero(data, piece->bytes)) {
            where = first_nonzero_sector(data, piece->bytes);
        }
    }
    if (where >= 0) {
        note_mismatch(c, piece->offset + where, false);
    }
    progress_add(c->progress, piece->bytes);
    return true;
}

static void coroutine_fn co_compare_worker(void *opaque)
{
    Compare *c = opaque;
    uint8_t *buf[2] = { aligned_alloc(BUFFER_ALIGNMENT, PIECE_BYTES_MAX),
                        aligned_alloc(BUFFER_ALIGNMENT, PIECE_BYTES_MAX) };
    bool more = buf[0] && buf[1];
    Piece piece;

    if (!more) {
        fail(c, c->sides[0].blk, "allocating memory", c->next, ENOMEM);
    }
    while (more) {
        co_mutex_lock(&c->next_piece);
        more = co_next_piece(c, &piece);
        co_mutex_unlock(&c->next_piece);
        more = more && co_compare_piece(c, &piece, buf);
    }
    free(buf[0]);
    free(buf[1]);
}

/* Both disks are whole images of one format that record what their content is. */
static bool digests_equal(BlockBackend *a, BlockBackend *b)
{
    BlockDriverState *x = blk_bs(a), *y = blk_bs(b);
    uint8_t digests[2][BDRV_DIGEST_BYTES];

    return blk_length(a) == bdrv_length(x) && blk_length(b) == bdrv_length(y) &&
           blk_length(a) == blk_length(b) &&
           strcmp(bdrv_format_name(x), bdrv_format_name(y)) == 0 &&
           bdrv_content_digest(x, digests[0]) && bdrv_content_digest(y, digests[1]) &&
           memcmp(digests[0], digests[1], BDRV_DIGEST_BYTES) == 0;
}

bool coroutine_fn compare_co_images(BlockBackend *a, BlockBackend *b, bool strict,
                                    Progress *progress, CompareResult *result, GError **errp)
{
    Compare c = {
        .sides = { { .blk = a }, { .blk = b } },
        .strict = strict,
        .end = MAX(blk_length(a), blk_length(b)),
        .common_end = MIN(blk_length(a), blk_length(b)),
        .progress = progress,
        .result = result,
    };

    *result = (CompareResult){ .mismatch_offset = -1, .size_differs = c.end != c.common_end };
    if (strict && result->size_differs) {
        return true;
    }
    progress_set_total(progress, c.end);
    if (digests_equal(a, b)) {
        result->identical = true;
        progress_finish(progress);
        return true;
    }
    co_mutex_init(&c.next_piece);
    co_run_workers(COMPARE_COROUTINES, co_compare_worker, &c);
    if (c.failed && result->mismatch_offset < 0) {
        g_propagate_error(errp, c.error);
        return false;
    }
    g_clear_error(&c.error);
    result->identical = result->mismatch_offset < 0;
    progress_finish(progress);
    return true;
}
