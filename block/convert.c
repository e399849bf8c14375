/*
 * Copying a disk: several coroutines take pieces off the source's block status,
 * each reads its piece, and writes what is not zero.
 */
#include <errno.h>
#include <stdlib.h>
#include "block/block-int.h"
#include "block/convert.h"
#include "block/workers.h"
#include "util/co-lock.h"

enum {
    PIECE_BYTES_MAX = 1 << 20,
    BUFFER_ALIGNMENT = 4096,
    ZERO_DETECTION_BYTES = 4096,    /* finest grain, where a shorter run is not asked for */
    ZERO_EXTENT_MIN_BYTES = 64 << 10,   /* shorter ones are read with the data around them */
};

typedef enum Kind {
    KIND_DATA,
    KIND_ZERO,
    KIND_SKIP,                  /* the target reads as the source there */
} Kind;

typedef struct Convert {
    BlockBackend *src;
    BlockBackend *target;
    const ConvertOptions *options;
    Progress *progress;
    int64_t grain;              /* zeroes count in units of this: a cluster of the target */
    int64_t piece_bytes;        /* the most that is copied at once */
    CoMutex next_piece;         /* protects the following */
    int64_t next;
    int64_t extent_end;         /* [next, extent_end) is of one kind */
    Kind extent_kind;
    bool failed;
    GError *error;              /* the first */
} Convert;

typedef struct Piece {
    int64_t offset;
    int64_t bytes;
    Kind kind;
} Piece;

/* Bytes of a cluster of the target; 0 if it has none. */
static int64_t target_cluster(const Convert *c)
{
    int64_t bytes = blk_bs(c->target)->limits.opt_transfer;
    return bytes > 0 && is_pow2(bytes) ? bytes : 0;
}

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
static void set_extent(Convert *c, int64_t offset, int64_t end, Kind kind)
{
    int64_t first = round_up_pow2(offset, c->grain);
    int64_t last = round_down_pow2(end, c->grain);

    if (end == blk_length(c->src)) {
        last = end;
    }
    int64_t least = MAX(kind == KIND_SKIP ? 0 : ZERO_EXTENT_MIN_BYTES, c->grain);
    if (kind == KIND_DATA || last - first < least) {
        c->extent_kind = KIND_DATA;
        c->extent_end = end;
    } else if (offset < first) {
        c->extent_kind = KIND_DATA;
        c->extent_end = first;
    } else {
        c->extent_kind = kind;
        c->extent_end = last;
    }
}

/* What of the source is copied from offset on; *n bytes of it.  Or -errno. */
static int coroutine_fn co_status(Convert *c, int64_t offset, int64_t *n)
{
    const ConvertOptions *o = c->options;
    int64_t bytes = blk_length(c->src) - offset;

    if (!o->over_backing) {
        int ret = blk_co_block_status(c->src, offset, bytes, n);
        return ret < 0 ? ret : ret & BDRV_BLOCK_ZERO ? KIND_ZERO : KIND_DATA;
    }
    if (offset < o->backing_end) {
        bytes = MIN(bytes, o->backing_end - offset);
    }
    int ret = bdrv_co_block_status_above(blk_bs(c->src), o->below, offset, bytes, n, NULL,
                                         NULL, NULL);
    if (ret < 0) {
        return ret;
    }
    if (ret & BDRV_BLOCK_ZERO) {
        return offset >= o->backing_end ? KIND_SKIP : KIND_ZERO;
    }
    return ret & BDRV_BLOCK_ALLOCATED ? KIND_DATA : KIND_SKIP;
}

static bool coroutine_fn co_find_extent(Convert *c, int64_t offset)
{
    int64_t n = 0;
    int ret = co_status(c, offset, &n);

    if (ret < 0 || n <= 0) {
        fail(c, c->src, "asking for block status", offset, ret < 0 ? -ret : EIO);
        return false;
    }
    set_extent(c, offset, offset + n, ret);
    return true;
}

/* Whether a piece of that kind may be as long as it gets: no buffer holds it. */
static bool is_unbounded(const Convert *c, const Piece *piece)
{
    return piece->kind == KIND_SKIP ||
           (piece->kind == KIND_ZERO && c->options->sparse_bytes > 0);
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
            piece->kind = c->extent_kind;
        } else if (piece->kind != c->extent_kind) {
            break;
        }
        int64_t n = c->extent_end - c->next;
        if (!is_unbounded(c, piece)) {
            n = MIN(n, c->piece_bytes - piece->bytes);
        }
        piece->bytes += n;
        c->next += n;
        if (!is_unbounded(c, piece) && piece->bytes == c->piece_bytes) {
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

static int coroutine_fn co_write_data(Convert *c, const Piece *piece, const IOVector *data,
                                      int64_t pos, int64_t bytes)
{
    BdrvRequestFlags flags = (c->options->target_is_zero ? BDRV_REQ_FIRST_WRITE : 0) |
                             (c->options->compressed ? BDRV_REQ_WRITE_COMPRESSED : 0);

    return blk_co_pwritev(c->target, piece->offset + pos, bytes, data, pos, flags);
}

/* Where in the buffers of a piece zeroes are looked for. */
typedef struct Scan {
    const struct iovec *iov;
    size_t at;                  /* in iov */
} Scan;

/* Whether the next n bytes are zero; moves on by these. */
static bool scan_is_zero(Scan *scan, size_t n)
{
    bool zero = true;

    while (n > 0) {
        size_t part = MIN(n, scan->iov->iov_len - scan->at);

        zero = zero && buffer_is_zero((uint8_t *)scan->iov->iov_base + scan->at, part);
        scan->at += part;
        n -= part;
        if (scan->at == scan->iov->iov_len) {
            scan->iov++;
            scan->at = 0;
        }
    }
    return zero;
}

/* How many of the bytes from pos on, where scan is, are of one kind, in units of grain. */
static int64_t zero_run(Scan *scan, const Piece *piece, int64_t pos, int64_t grain,
                        bool *zero)
{
    int64_t end = pos;

    while (end < piece->bytes) {
        int64_t n = MIN(piece->bytes - end, grain - (piece->offset + end) % grain);
        Scan before = *scan;
        bool unit_is_zero = scan_is_zero(scan, n);
        if (end == pos) {
            *zero = unit_is_zero;
        } else if (unit_is_zero != *zero) {
            *scan = before;
            break;
        }
        end += n;
    }
    return end - pos;
}

/* Writes data without the runs of zeroes that are long enough to be left out. */
static int coroutine_fn co_write_sparse(Convert *c, const Piece *piece, const IOVector *data)
{
    int64_t sparse = MAX(c->options->sparse_bytes, target_cluster(c));
    int64_t grain = MIN(sparse, c->grain);
    int64_t data_start = 0;
    Scan scan = { data->iov, 0 };
    int ret = 0;

    for (int64_t pos = 0; pos < piece->bytes && ret >= 0;) {
        bool zero = false;
        int64_t n = zero_run(&scan, piece, pos, grain, &zero);
        if (zero && n >= MIN(sparse, piece->bytes)) {
            if (pos > data_start) {
                ret = co_write_data(c, piece, data, data_start, pos - data_start);
            }
            if (ret >= 0) {
                ret = co_write_zeroes(c, piece->offset + pos, n);
            }
            data_start = pos + n;
        }
        pos += n;
    }
    if (ret >= 0 && piece->bytes > data_start) {
        ret = co_write_data(c, piece, data, data_start, piece->bytes - data_start);
    }
    return ret;
}

static int coroutine_fn co_write_piece(Convert *c, const Piece *piece, const IOVector *data)
{
    if (c->options->sparse_bytes > 0) {
        return co_write_sparse(c, piece, data);
    }
    return co_write_data(c, piece, data, 0, piece->bytes);
}

/* Through buf, of which a piece may be all. */
static bool coroutine_fn co_copy_through(Convert *c, const Piece *piece, uint8_t *buf,
                                         int *ret)
{
    IOVector data;

    if (piece->kind == KIND_ZERO) {
        memset(buf, 0, piece->bytes);
    } else {
        *ret = blk_co_pread(c->src, piece->offset, piece->bytes, buf);
        if (*ret < 0) {
            fail(c, c->src, "reading", piece->offset, -*ret);
            return false;
        }
    }
    iovector_init_buf(&data, buf, piece->bytes);
    *ret = co_write_piece(c, piece, &data);
    return true;
}

/* From where the source has it, if it can say. Else through buf. */
static bool coroutine_fn co_copy_data(Convert *c, const Piece *piece, uint8_t *buf, int *ret)
{
    BdrvPin pin;

    *ret = piece->kind == KIND_ZERO
               ? -ENOTSUP
               : blk_co_pin(c->src, piece->offset, piece->bytes, &pin);
    if (*ret == -ENOTSUP) {
        return co_copy_through(c, piece, buf, ret);
    }
    if (*ret < 0) {
        fail(c, c->src, "reading", piece->offset, -*ret);
        return false;
    }
    *ret = co_write_piece(c, piece, &pin.iov);
    bdrv_unpin(&pin);
    return true;
}

/* False: the copy has failed. */
static bool coroutine_fn co_copy_piece(Convert *c, const Piece *piece, uint8_t *buf)
{
    int ret = 0;

    if (piece->kind == KIND_DATA && c->options->rate) {
        rate_limit_co_take(c->options->rate, piece->bytes);
    }
    if (piece->kind == KIND_SKIP) {
        /* Nothing to do. */
    } else if (is_unbounded(c, piece)) {
        ret = co_write_zeroes(c, piece->offset, piece->bytes);
    } else if (!co_copy_data(c, piece, buf, &ret)) {
        return false;
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
    uint8_t *buf = aligned_alloc(BUFFER_ALIGNMENT, c->piece_bytes);
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
    c.grain = MAX(target_cluster(&c), ZERO_DETECTION_BYTES);
    c.piece_bytes = MAX(PIECE_BYTES_MAX, c.grain);
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
