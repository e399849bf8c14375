/*
 * salvage: a filter that reads zeroes where its child cannot be read.
 */
#include "block/salvage.h"

#include <errno.h>

#include "block/block-int.h"
#include "util/error.h"
#include "util/units.h"

enum { STATUS_BYTES = 64 << 10 };   /* taken for data at a time where nobody can say */

typedef struct Lost {
    uint64_t offset, bytes;
    const char *why;                /* one of the log's texts: equal ones are the same */
} Lost;

struct SalvageLog {
    GArray *lost;                   /* of Lost, in any order */
    GStringChunk *texts;
    uint64_t bytes;                 /* of those that are not in it */
};

typedef struct SalvageState {
    SalvageLog log;
} SalvageState;

void salvage_log_add(SalvageLog *log, uint64_t offset, uint64_t bytes, GError *error)
{
    if (log->lost->len < SALVAGE_MAX_RANGES) {
        Lost lost = { offset, bytes,
                      g_string_chunk_insert_const(log->texts, error->message) };
        g_array_append_val(log->lost, lost);
    } else {
        log->bytes += bytes;
    }
    g_error_free(error);
}

static int compare_lost(const void *a, const void *b)
{
    const Lost *la = a, *lb = b;

    return (la->offset > lb->offset) - (la->offset < lb->offset);
}

/* Puts what is next to or over each other together: what was read twice is lost twice. */
static void merge(GArray *lost)
{
    guint n = 0;

    g_array_sort(lost, compare_lost);
    for (guint i = 0; i < lost->len; i++) {
        Lost next = g_array_index(lost, Lost, i);
        Lost *last = n ? &g_array_index(lost, Lost, n - 1) : NULL;
        uint64_t end = last ? last->offset + last->bytes : 0;

        if (last && next.offset <= end && next.why == last->why) {
            last->bytes = MAX(end, next.offset + next.bytes) - last->offset;
        } else {
            g_array_index(lost, Lost, n++) = next;
        }
    }
    g_array_set_size(lost, n);
}

uint64_t bdrv_salvage_foreach(BlockDriverState *filter,
                              void (*func)(const SalvageRange *range, void *opaque),
                              void *opaque)
{
    SalvageState *s = filter->opaque;
    uint64_t total = s->log.bytes, end = 0;

    merge(s->log.lost);
    for (guint i = 0; i < s->log.lost->len; i++) {
        const Lost *lost = &g_array_index(s->log.lost, Lost, i);
        uint64_t start = MAX(lost->offset, end);

        func(&(SalvageRange){ lost->offset, lost->bytes, lost->why },
             opaque);
        end = MAX(end, lost->offset + lost->bytes);
        total += end - MIN(start, end);
    }
    return total;
}

static int coroutine_fn salvage_co_open(BlockDriverState *bs,
                                        const BlockdevOptions *options, int flags,
                                        GError **errp)
{
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                "'%s': driver salvage cannot be opened by name", bs->filename);
    return -ENOTSUP;
}

static void salvage_close(BlockDriverState *bs)
{
    SalvageState *s = bs->opaque;

    if (bs->file->drv->bdrv_set_salvage) {
        bs->file->drv->bdrv_set_salvage(bs->file, NULL);
    }
    g_array_unref(s->log.lost);
    g_string_chunk_free(s->log.texts);
}

static void lose(BlockDriverState *bs, int64_t offset, int64_t bytes, const IOVector *iov,
                 size_t iov_offset, int err)
{
    SalvageState *s = bs->opaque;
    GError *error = bdrv_take_error(bs->file);

    if (!error) {
        error_set_errno(&error, err, "%s: cannot be read", bs->filename);
    }
    iovector_memset(iov, iov_offset, 0, bytes);
    salvage_log_add(&s->log, offset, bytes, error);
}

/* What is behind an attempt whose parts are tried again. */
static void forget_error(BlockDriverState *bs)
{
    GError *error = bdrv_take_error(bs->file);

    g_clear_error(&error);
}

static int coroutine_fn salvage_co_preadv(BlockDriverState *bs, int64_t offset,
                                          int64_t bytes, const IOVector *iov,
                                          size_t iov_offset, BdrvRequestFlags flags)
{
    int64_t grain = MAX(bs->limits.request_alignment, SALVAGE_GRAIN_BYTES);

    while (bytes > 0) {
        int ret = bdrv_co_preadv(bs->file, offset, bytes, iov, iov_offset, flags);
        if (ret >= 0) {
            return 0;
        }
        int64_t block_end = round_down_pow2(offset, grain) + grain;
        if (offset + bytes <= block_end) {
            lose(bs, offset, bytes, iov, iov_offset, -ret);
            return 0;
        }
        /* Whole blocks up to the middle, or the first one, by themselves; the rest in the
         * next round. */
        int64_t middle = round_down_pow2(offset + bytes / 2, grain);
        int64_t n = MAX(middle, block_end) - offset;
        forget_error(bs);
        salvage_co_preadv(bs, offset, n, iov, iov_offset, flags);
        offset += n;
        iov_offset += n;
        bytes -= n;
    }
    return 0;
}

static int coroutine_fn salvage_co_block_status(BlockDriverState *bs, int64_t offset,
                                                int64_t bytes, int64_t *pnum,
                                                int64_t *map, BlockDriverState **file)
{
    int ret = bdrv_co_block_status_above(bs->file, NULL, offset, bytes, pnum, NULL, NULL,
                                         NULL);

    if (ret < 0) {
        forget_error(bs);
        *pnum = MIN(bytes, STATUS_BYTES);
        return BDRV_BLOCK_DATA;
    }
    return ret & (BDRV_BLOCK_DATA | BDRV_BLOCK_ZERO);
}

static BlockDriver bdrv_salvage = {
    .format_name          = "salvage",
    .instance_size        = sizeof(SalvageState),
    .bdrv_co_open         = salvage_co_open,
    .bdrv_close           = salvage_close,
    .bdrv_co_preadv       = salvage_co_preadv,
    .bdrv_co_block_status = salvage_co_block_status,
};
block_init(bdrv_salvage)

BlockDriverState *bdrv_new_salvage(BlockDriverState *bs)
{
    BlockDriverState *filter =
        bdrv_new_node(&bdrv_salvage, bdrv_filename(bs), 0, bdrv_ref(bs));
    SalvageState *s = filter->opaque;

    s->log.lost = g_array_new(FALSE, FALSE, sizeof(Lost));
    s->log.texts = g_string_chunk_new(1024);
    filter->total_bytes = bdrv_length(bs);
    filter->limits = bs->limits;
    if (bs->drv->bdrv_set_salvage) {
        bs->drv->bdrv_set_salvage(bs, &s->log);
    }
    return filter;
}
