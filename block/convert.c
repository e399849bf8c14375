/*
 * Copying a disk: several coroutines take pieces off the source's block status,
 * each reads its piece, and writes what is not zero.
 */
#include <errno.h>
#include <stdlib.h>
#include "block/convert.h"
#include "block/workers.h"
#include "util/co-lock.h"

enum {
    PIECE_BYTES_MAX = 1 << 20,
    BUFFER_ALIGNMENT = 4096,
    ZERO_DETECTION_BYTES = 4096,    /* finest grain, where a shorter run is not asked for */
    ZERO_EXTENT_MIN_BYTES = 64 << 10,   /* shorter ones are read with the data around them */
};

typedef struct Convert {
    BlockBackend *src;
    BlockBackend *target;
    const ConvertOptions *options;
    Progress *progress;
    CoMutex next_piece;         /* protects the following */
    int64_t next;
    int64_t extent_end;         /* [next, extent_end) is of one kind */
    bool extent_is_zero;
    bool failed;
    GError *error;              /* the first */
} Convert;

typedef struct Piece {
    int64_t offset;
    int64_t bytes;
    bool zero;
} Piece;

static void fail(Convert *c, BlockBackend *blk, const char *what, int64_t offset, int err)
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

/* A source may know of zeroes to the byte.  They count from block to block only, and if
 * they are many: what is written stays aligned, and whole. */
static void set_extent(Convert *c, int64_t offset, int64_t end, bool zero)
{
    int64_t first = round_up_pow2(offset, ZERO_DETECTION_BYTES);
    int64_t last = round_down_pow2(end, ZERO_DETECTION_BYTES);

    if (end == blk_length(c->src)) {
        last = end;
    }
    if (!zero || last - first < ZERO_EXTENT_MIN_BYTES) {
        c->extent_is_zero = false;
        c->extent_end = end;
    } else if (offset < first) {
        c->extent_is_zero = false;
        c->extent_end = first;
    } else {
        c->extent_is_zero = true;
        c->extent_end = last;
    }
}

static bool coroutine_fn co_find_extent(Convert *c, int64_t offset)
{
    int64_t n = 0;
    int ret = blk_co_block_status(c->src, offset, blk_length(c->src) - offset, &n);

    if (ret < 0 || n <= 0) {
        fail(c, c->src, "asking for block status", offset, ret < 0 ? -ret : EIO);
        return false;
    }
    set_extent(c, offset, offset + n, ret & BDRV_BLOCK_ZERO);
    return true;
}

/* Whether a piece of that kind may be as long as it gets: no buffer holds it. */
static bool is_unbounded(const Convert *c, const Piece *piece)
{
    return piece->zero && c->options->sparse_bytes > 0;
}

/* The next piece: as much of one kind as follows.  False at the end or on failure. */
static bool coroutine_fn co_next_piece(Convert *c, Piece *piece)
{
    int64_t end = blk_length(c->src);

    *piece = (Piece){ .offset = c->next };
    while (c->next < end && !c->failed) {
        if (c->next >= c->extent_end && !co_find_extent(c, c->next)) {
            return false;
        }
        if (piece->bytes == 0) {
            piece->zero = c->extent_is_zero;
        } else if (piece->zero != c->extent_is_zero) {
            break;
        }
        int64_t n = c->extent_end - c->next;
        if (!is_unbounded(c, piece)) {
            n = MIN(n, PIECE_BYTES_MAX - piece->bytes);
        }
        piece->bytes += n;
        c->next += n;
        if (!is_unbounded(c, piece) && piece->bytes == PIECE_BYTES_MAX) {
            break;
        }
    }
    return piece->bytes > 0 && !c->failed;
}

static int coroutine_fn co_write_zeroes(Convert *c, int64_t offset, int64_t bytes)
{
    return c->options->target_is_zero
               ? 0
               : blk_co_pwrite_zeroes(c->target, offset, bytes, BDRV_REQ_MAY_UNMAP);
}

static int coroutine_fn co_write_data(Convert *c, int64_t offset, int64_t bytes,
                                      const uint8_t *buf)
{
    return blk_co_pwrite(c->target, offset, bytes, buf,
                         c->options->target_is_zero ? BDRV_REQ_FIRST_WRITE : BDRV_REQ_NONE);
}

/* How many of the bytes from pos on are of one kind, in units of grain. */
static int64_t zero_run(const uint8_t *buf, int64_t pos, int64_t bytes, int64_t offset,
                        int64_t grain, bool *zero)
{
    int64_t end = pos;

    while (end < bytes) {
        int64_t n = MIN(bytes - end, grain - (offset + end) % grain);
        bool unit_is_zero = buffer_is_zero(buf + end, n);
        if (end == pos) {
            *zero = unit_is_zero;
        } else if (unit_is_zero != *zero) {
            break;
        }
        end += n;
    }
    return end - pos;
}

/* Writes buf without the runs of zeroes that are long enough to be left out. */
static int coroutine_fn co_write_sparse(Convert *c, const Piece *piece, const uint8_t *buf)
{
    int64_t sparse = c->options->sparse_bytes;
    int64_t grain = MIN(sparse, (int64_t)ZERO_DETECTION_BYTES);
    int64_t data_start = 0;
    int ret = 0;

    for (int64_t pos = 0; pos < piece->bytes && ret >= 0;) {
        bool zero = false;
        int64_t n = zero_run(buf, pos, piece->bytes, piece->offset, grain, &zero);
        if (zero && n >= MIN(sparse, piece->bytes)) {
            if (pos > data_start) {
                ret = co_write_data(c, piece->offset + data_start, pos - data_start,
                                    buf + data_start);
            }
            if (ret >= 0) {
                ret = co_write_zeroes(c, piece->offset + pos, n);
            }
            data_start = pos + n;
        }
        pos += n;
    }
    if (ret >= 0 && piece->bytes > data_start) {
        ret = co_write_data(c, piece->offset + data_start, piece->bytes - data_start,
                            buf + data_start);
    }
    return ret;
}

static int coroutine_fn co_write_piece(Convert *c, const Piece *piece, const uint8_t *buf)
{
    if (c->options->sparse_bytes > 0) {
        return co_write_sparse(c, piece, buf);
    }
    return co_write_data(c, piece->offset, piece->bytes, buf);
}

/* False: the copy has failed. */
static bool coroutine_fn co_copy_piece(Convert *c, const Piece *piece, uint8_t *buf)
{
    int ret;

    if (is_unbounded(c, piece)) {
        ret = co_write_zeroes(c, piece->offset, piece->bytes);
    } else {
        if (piece->zero) {
            memset(buf, 0, piece->bytes);
        } else {
            ret = blk_co_pread(c->src, piece->offset, piece->bytes, buf);
            if (ret < 0) {
                fail(c, c->src, "reading", piece->offset, -ret);
                return false;
            }
        }
        ret = co_write_piece(c, piece, buf);
    }
    if (ret < 0) {
        fail(c, c->target, "writing", piece->offset, -ret);
        return false;
    }
    progress_add(c->progress, piece->bytes);
    return true;
}

static void coroutine_fn co_convert_worker(void *opaque)
{
    Convert *c = opaque;
    uint8_t *buf = aligned_alloc(BUFFER_ALIGNMENT, PIECE_BYTES_MAX);
    bool more = buf != NULL;
    Piece piece;

    if (!buf) {
        fail(c, c->src, "allocating memory", c->next, ENOMEM);
    }
    while (more) {
        co_mutex_lock(&c->next_piece);
        more = co_next_piece(c, &piece);
        co_mutex_unlock(&c->next_piece);
        more = more && co_copy_piece(c, &piece, buf);
    }
    free(buf);
}

bool coroutine_fn convert_co_copy(BlockBackend *src, BlockBackend *target,
                                  const ConvertOptions *options, Progress *progress,
                                  GError **errp)
{
    Convert c = { .src = src, .target = target, .options = options, .progress = progress };
    unsigned workers = CLAMP(options->coroutines, 1, CONVERT_MAX_COROUTINES);

    if (blk_length(target) < blk_length(src)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: the target has %" G_GINT64_FORMAT " bytes, the source %"
                    G_GINT64_FORMAT, blk_name(target), blk_length(target), blk_length(src));
        return false;
    }
    progress_set_total(progress, blk_length(src));
    co_mutex_init(&c.next_piece);
    co_run_workers(workers, co_convert_worker, &c);
    if (c.failed) {
        g_propagate_error(errp, c.error);
        return false;
    }
    progress_finish(progress);
    return true;
}
