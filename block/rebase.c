/*
 * Another backing image: what reads differently above it is stored in the overlay before.
 */
#include <errno.h>
#include <string.h>
#include "block/block-int.h"
#include "block/rebase.h"

enum {
    PIECE_BYTES = 1 << 20,
    SECTOR_BYTES = 512,
};

/* What lies below the overlay, at one place. */
typedef struct Below {
    BlockDriverState *bs;           /* NULL: zeroes only */
    uint8_t *buf;
} Below;

typedef struct Rebase {
    BlockDriverState *bs;
    Below old, new;
    GError *error;
} Rebase;

static int fail(Rebase *r, BlockDriverState *bs, const char *what, int64_t offset, int ret)
{
    GError *error = bdrv_take_error(bs);

    if (error) {
        g_propagate_prefixed_error(&r->error, error, "error while %s: ", what);
    } else {
        error_set_errno(&r->error, -ret, "%s: error while %s at offset 0x%" G_GINT64_MODIFIER
                        "x", bdrv_filename(bs), what, offset);
    }
    return ret;
}

/* 1 if [offset, offset + *n) is known to read as zeroes there, 0 if not; *n may get less. */
static int coroutine_fn co_is_zero(Rebase *r, const Below *below, int64_t offset, int64_t *n)
{
    int64_t length = below->bs ? bdrv_length(below->bs) : 0;
    int64_t status_bytes = 0;

    if (offset >= length) {
        return 1;
    }
    *n = MIN(*n, length - offset);
    int ret = bdrv_co_block_status_above(below->bs, NULL, offset, *n, &status_bytes, NULL, NULL,
                                         NULL);
    if (ret < 0 || status_bytes <= 0) {
        return fail(r, below->bs, "asking for block status", offset, ret < 0 ? ret : -EIO);
    }
    *n = status_bytes;
    return !!(ret & BDRV_BLOCK_ZERO);
}

static int coroutine_fn co_read(Rebase *r, const Below *below, bool zero, int64_t offset,
                                int64_t n)
{
    if (zero) {
        memset(below->buf, 0, n);
        return 0;
    }
    int ret = bdrv_co_pread(below->bs, offset, n, below->buf, BDRV_REQ_NONE);
    return ret < 0 ? fail(r, below->bs, "reading", offset, ret) : 0;
}

/* How many bytes from pos on are alike, or not, as the sector there is. */
static int64_t run_of(const Rebase *r, int64_t pos, int64_t end, bool *differ)
{
    int64_t first = pos;

    for (; pos < end; pos += SECTOR_BYTES) {
        bool d = memcmp(r->old.buf + pos, r->new.buf + pos, MIN(end - pos, SECTOR_BYTES)) != 0;
        if (pos > first && d != *differ) {
            break;
        }
        *differ = d;
    }
    return MIN(pos, end) - first;
}

/* What differs in [offset, offset + n), which are in the buffers, goes into the overlay. */
static int coroutine_fn co_write_differences(Rebase *r, int64_t offset, int64_t n)
{
    for (int64_t pos = 0, run; pos < n; pos += run) {
        bool differ = false;
        run = run_of(r, pos, n, &differ);
        if (!differ) {
            continue;
        }
        int ret = bdrv_co_pwrite(r->bs, offset + pos, run, r->old.buf + pos, BDRV_REQ_NONE);
        if (ret < 0) {
            return fail(r, r->bs, "writing", offset + pos, ret);
        }
    }
    return 0;
}

/* Zeroes that the overlay is to decide itself, although it reads as such already: drivers may
 * leave out writes that change nothing.  1 if it does now; 0: they have to be written as data.
 * *n may get less. */
static int coroutine_fn co_store_zeroes(Rebase *r, int64_t offset, int64_t *n)
{
    int64_t cluster = MAX(r->bs->limits.opt_transfer, SECTOR_BYTES);

    if (offset % cluster || *n < cluster) {
        *n = MIN(*n, cluster - offset % cluster);
        return 0;
    }
    *n -= *n % cluster;
    int ret = bdrv_co_pwrite_zeroes(r->bs, offset, *n, BDRV_REQ_MAY_UNMAP);
    if (ret >= 0) {
        ret = bdrv_co_block_status(r->bs, offset, *n, n, NULL, NULL);
    }
    return ret < 0 ? fail(r, r->bs, "writing", offset, ret) : !!(ret & BDRV_BLOCK_ALLOCATED);
}

/* Some of [offset, offset + *n), which the overlay does not store; *n: how much. */
static int coroutine_fn co_rebase_some(Rebase *r, int64_t offset, int64_t *n)
{
    int old_zero = co_is_zero(r, &r->old, offset, n);
    int new_zero = old_zero < 0 ? old_zero : co_is_zero(r, &r->new, offset, n);

    if (new_zero < 0 || (old_zero && new_zero)) {
        return MIN(new_zero, 0);
    }
    int ret = old_zero ? co_store_zeroes(r, offset, n) : 0;
    if (ret != 0) {
        return MIN(ret, 0);
    }
    *n = MIN(*n, PIECE_BYTES);
    ret = co_read(r, &r->old, old_zero, offset, *n);
    ret = ret < 0 ? ret : co_read(r, &r->new, new_zero, offset, *n);
    return ret < 0 ? ret : co_write_differences(r, offset, *n);
}

static int coroutine_fn co_rebase(Rebase *r, Progress *progress)
{
    int64_t end = bdrv_length(r->bs), n;

    progress_set_total(progress, end);
    for (int64_t offset = 0; offset < end; offset += n) {
        int ret = bdrv_co_block_status(r->bs, offset, end - offset, &n, NULL, NULL);
        if (ret < 0 || n <= 0) {
            return fail(r, r->bs, "asking for block status", offset, ret < 0 ? ret : -EIO);
        }
        if (!(ret & BDRV_BLOCK_ALLOCATED)) {
            ret = co_rebase_some(r, offset, &n);
            if (ret < 0) {
                return ret;
            }
        }
        progress_add(progress, n);
    }
    progress_finish(progress);
    return 0;
}

bool coroutine_fn rebase_co_copy(BlockDriverState *bs, BlockDriverState *new_backing,
                                 Progress *progress, GError **errp)
{
    Rebase r = {
        .bs = bs,
        .old = { bdrv_backing(bs), g_malloc(PIECE_BYTES) },
        .new = { new_backing, g_malloc(PIECE_BYTES) },
    };
    int ret = co_rebase(&r, progress);

    g_free(r.old.buf);
    g_free(r.new.buf);
    if (ret < 0) {
        g_propagate_error(errp, r.error);
    }
    return ret >= 0;
}
