/*
 * Checkpoints: what is in memory goes into the file in an order in which a crash does no
 * harm.
 *
 * At one instant everything that has changed is copied; the copies fit each other.  They are
 * written step by step, with a flush between the steps:
 *
 *   refcount blocks, refcount table, L2 tables, L1 table
 *
 * so that nothing in the file ever refers to what is not there or not counted.  Data was
 * written before its L2 entry was made, so the flush before L2 tables covers it.  Last,
 * what is no longer referred to loses its counts, in memory: they are written later.
 */
#include "qcow2-writer.h"

enum { SECTOR_BYTES = 512 };

typedef struct L1Sector {
    uint64_t index;
    uint8_t data[SECTOR_BYTES];
} L1Sector;

typedef struct Checkpoint {
    GPtrArray *l2_copies;
    GArray *l1_sectors;
    GArray *frees;
} Checkpoint;

int coroutine_fn qcow2_co_barrier(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    int ret = 0;

    co_mutex_lock(&w->barrier_lock);
    if (w->unflushed) {
        w->unflushed = false;
        ret = bs->data_file ? bdrv_co_flush(bs->data_file) : 0;
        ret = ret < 0 ? ret : bdrv_co_flush(bs->file);
        w->unflushed = w->unflushed || ret < 0;
    }
    co_mutex_unlock(&w->barrier_lock);
    return ret;
}

static GArray *take_l1_sectors(Qcow2State *s)
{
    Qcow2Writer *w = s->writer;
    GArray *sectors = g_array_new(FALSE, FALSE, sizeof(L1Sector));
    uint64_t n = div_round_up((uint64_t)s->l1_size * 8, SECTOR_BYTES);

    for (uint64_t i = 0; i < n; i++) {
        if (!w->l1_dirty[i]) {
            continue;
        }
        L1Sector sector = { .index = i };
        uint64_t first = i * SECTOR_BYTES / 8;
        for (uint64_t j = 0; j < SECTOR_BYTES / 8 && first + j < s->l1_size; j++) {
            be64_store(sector.data + j * 8, s->l1_table[first + j]);
        }
        w->l1_dirty[i] = false;
        g_array_append_val(sectors, sector);
    }
    return sectors;
}

static void begin(BlockDriverState *bs, Checkpoint *c)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    *c = (Checkpoint){
        .l2_copies = qcow2_cache_take_dirty(s->l2_cache),
        .l1_sectors = take_l1_sectors(s),
        .frees = w->frees,
    };
    w->frees = g_array_new(FALSE, FALSE, sizeof(Qcow2Free));
    w->free_clusters = 0;
}

static int coroutine_fn co_write_l1(BlockDriverState *bs, const GArray *sectors)
{
    Qcow2State *s = bs->opaque;
    uint64_t bytes = (uint64_t)s->l1_size * 8;
    int ret = 0;

    for (unsigned i = 0; i < sectors->len && ret >= 0; i++) {
        const L1Sector *sector = &g_array_index(sectors, L1Sector, i);
        uint64_t offset = sector->index * SECTOR_BYTES;
        bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_L1_UPDATE);
        ret = bdrv_co_pwrite(bs->file, s->header.l1_table_offset + offset,
                             MIN(SECTOR_BYTES, bytes - offset), sector->data, 0);
    }
    return ret;
}

/* Counts go down.  *done: how many of frees have been dealt with. */
static int coroutine_fn co_apply_frees(BlockDriverState *bs, const GArray *frees,
                                       unsigned *done)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    int ret = 0;

    qcow2_co_wait_for_readers(w);
    co_mutex_lock(&w->alloc_lock);
    while (*done < frees->len && ret >= 0) {
        ret = qcow2_co_apply_free(bs, &g_array_index(frees, Qcow2Free, *done));
        *done += 1;
    }
    co_mutex_unlock(&w->alloc_lock);
    return ret;
}

static int coroutine_fn co_run_steps(BlockDriverState *bs, Checkpoint *c, bool *l2_done,
                                     bool *l1_done, unsigned *frees_done)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    int ret = w->lazy && w->dirty ? 0 : qcow2_co_write_refcounts(bs);

    if (ret >= 0 && c->l2_copies->len) {
        ret = qcow2_co_barrier(bs);
        if (ret >= 0) {
            ret = qcow2_cache_co_write_copies(s->l2_cache, bs->file, c->l2_copies);
            w->unflushed = true;
        }
    }
    *l2_done = ret >= 0;
    if (ret >= 0 && c->l1_sectors->len) {
        ret = qcow2_co_barrier(bs);
        if (ret >= 0) {
            ret = co_write_l1(bs, c->l1_sectors);
            w->unflushed = true;
        }
    }
    *l1_done = ret >= 0;
    if (ret >= 0 && c->frees->len) {
        ret = qcow2_co_barrier(bs);
        if (ret >= 0) {
            ret = co_apply_frees(bs, c->frees, frees_done);
        }
    }
    return ret;
}

/* What was not written waits for the next checkpoint. */
static void end(BlockDriverState *bs, Checkpoint *c, bool l2_done, bool l1_done,
                unsigned frees_done)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;

    qcow2_cache_free_copies(s->l2_cache, c->l2_copies, l2_done);
    for (unsigned i = 0; !l1_done && i < c->l1_sectors->len; i++) {
        w->l1_dirty[g_array_index(c->l1_sectors, L1Sector, i).index] = true;
    }
    for (unsigned i = frees_done; i < c->frees->len; i++) {
        const Qcow2Free *f = &g_array_index(c->frees, Qcow2Free, i);
        g_array_append_val(w->frees, *f);
        w->free_clusters += f->clusters;
    }
    g_array_unref(c->l1_sectors);
    g_array_unref(c->frees);
}

int coroutine_fn qcow2_co_checkpoint(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    uint64_t wanted = w->checkpoints_begun + 1;
    bool l2_done = false, l1_done = false;
    unsigned frees_done = 0;
    Checkpoint c;

    co_mutex_lock(&w->checkpoint_lock);
    if (w->checkpoints_done >= wanted) {
        /* While this one waited, one began that has all that was there before. */
        co_mutex_unlock(&w->checkpoint_lock);
        return 0;
    }
    uint64_t number = ++w->checkpoints_begun;
    begin(bs, &c);
    int ret = qcow2_co_settle_header(bs);
    ret = ret < 0 ? ret : co_run_steps(bs, &c, &l2_done, &l1_done, &frees_done);
    end(bs, &c, l2_done, l1_done, frees_done);
    if (ret >= 0) {
        w->checkpoints_done = number;
    }
    co_mutex_unlock(&w->checkpoint_lock);
    return ret;
}

int coroutine_fn qcow2_co_flush(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    return s->writer ? qcow2_co_checkpoint(bs) : 0;
}

int coroutine_fn qcow2_co_write_all(BlockDriverState *bs)
{
    Qcow2State *s = bs->opaque;
    Qcow2Writer *w = s->writer;
    int ret = 0;

    do {
        ret = qcow2_co_checkpoint(bs);
        if (ret >= 0) {
            ret = qcow2_co_write_refcounts(bs);
        }
    } while (ret >= 0 && w->frees->len);
    return ret < 0 ? ret : qcow2_co_barrier(bs);
}
