#include "churn.h"

#include <string.h>

enum { WORKERS = 5, MAX_SECTORS = 300, NEVER = UINT_MAX };

/* A value that sectors have got; all their bytes depend on it and on the place. */
typedef struct Change {
    unsigned first, count;          /* sectors */
    uint32_t value;                 /* 0: zeroes */
    unsigned begun;                 /* events of the log then */
    unsigned done_at;               /* ticks; NEVER: it failed */
} Change;

typedef struct Flush {
    unsigned begun_at;              /* ticks */
    unsigned done;                  /* events of the log then */
} Flush;

struct Churn {
    BlockDriverState *disk;
    BlockDriverState *log;
    GRand *rand;
    bool compressed;
    bool errors_ok;
    unsigned sectors;
    uint8_t *data;                  /* what must be read */
    uint8_t *initial;
    bool *busy;                     /* by sector */
    bool *unsure;                   /* by sector: a change of it has failed */
    GArray *changes;
    GArray *flushes;
    uint32_t next_value;
    unsigned ticks;                 /* of what begins and ends here */
    unsigned left, running;
    Coroutine *waiter;
};

static void fill_sector(uint8_t *buf, unsigned sector, uint32_t value)
{
    if (!value) {
        memset(buf, 0, CHURN_SECTOR_BYTES);
        return;
    }
    uint32_t state = value * 2654435761u ^ sector;
    for (unsigned i = 0; i < CHURN_SECTOR_BYTES; i += 4) {
        /* Compressible, but not much like anything else. */
        state = i % 64 ? state : state * 1664525 + 1013904223;
        memcpy(buf + i, &state, 4);
    }
}

Churn *churn_new(BlockDriverState *disk, BlockDriverState *log, GRand *rand)
{
    Churn *c = g_new0(Churn, 1);

    c->disk = disk;
    c->log = log;
    c->rand = rand;
    c->sectors = bdrv_length(disk) / CHURN_SECTOR_BYTES;
    c->data = g_malloc0(bdrv_length(disk));
    c->initial = g_malloc0(bdrv_length(disk));
    c->busy = g_new0(bool, c->sectors);
    c->unsure = g_new0(bool, c->sectors);
    c->changes = g_array_new(FALSE, FALSE, sizeof(Change));
    c->flushes = g_array_new(FALSE, FALSE, sizeof(Flush));
    return c;
}

void churn_free(Churn *c)
{
    g_free(c->data);
    g_free(c->initial);
    g_free(c->busy);
    g_free(c->unsure);
    g_array_unref(c->changes);
    g_array_unref(c->flushes);
    g_free(c);
}

void churn_set_compressed(Churn *c, bool compressed)
{
    c->compressed = compressed;
}

const uint8_t *churn_data(const Churn *c)
{
    return c->data;
}

void coroutine_fn churn_co_begin(Churn *c)
{
    size_t bytes = (size_t)c->sectors * CHURN_SECTOR_BYTES;

    g_assert_cmpint(bdrv_co_pread(c->disk, 0, bytes, c->initial, 0), ==, 0);
    memcpy(c->data, c->initial, bytes);
}

static unsigned now(const Churn *c)
{
    return c->log ? record_node_events(c->log) : 0;
}

/* Takes sectors that nobody else works on; false: there were none. */
static bool pick(Churn *c, unsigned unit, unsigned *first, unsigned *count)
{
    unsigned units = (c->sectors + unit - 1) / unit;
    unsigned most = MAX(1, MAX_SECTORS / unit);

    *first = g_rand_int_range(c->rand, 0, units) * unit;
    *count = g_rand_int_range(c->rand, 1, g_rand_boolean(c->rand) ? most + 1 : 2) * unit;
    *count = MIN(*count, c->sectors - *first);
    for (unsigned i = 0; i < *count; i++) {
        if (c->busy[*first + i]) {
            return false;
        }
    }
    for (unsigned i = 0; i < *count; i++) {
        c->busy[*first + i] = true;
    }
    return true;
}

static int coroutine_fn co_write(Churn *c, const Change *change, BdrvRequestFlags flags)
{
    size_t bytes = (size_t)change->count * CHURN_SECTOR_BYTES;
    g_autofree uint8_t *buf = g_malloc(bytes);

    for (unsigned i = 0; i < change->count; i++) {
        fill_sector(buf + (size_t)i * CHURN_SECTOR_BYTES, change->first + i, change->value);
    }
    return bdrv_co_pwrite(c->disk, (int64_t)change->first * CHURN_SECTOR_BYTES, bytes, buf,
                          flags);
}

static int coroutine_fn co_change(Churn *c, unsigned kind, Change *change)
{
    int64_t offset = (int64_t)change->first * CHURN_SECTOR_BYTES;
    int64_t bytes = (int64_t)change->count * CHURN_SECTOR_BYTES;

    switch (kind) {
    case 0:
        return bdrv_co_pwrite_zeroes(c->disk, offset, bytes, BDRV_REQ_NONE);
    case 1:
        return bdrv_co_pwrite_zeroes(c->disk, offset, bytes, BDRV_REQ_MAY_UNMAP);
    case 2:
        return bdrv_co_pdiscard(c->disk, offset, bytes);
    case 3:
        return co_write(c, change, BDRV_REQ_WRITE_COMPRESSED);
    default:
        return co_write(c, change, BDRV_REQ_NONE);
    }
}

static void coroutine_fn co_operation(Churn *c)
{
    unsigned kind = g_rand_int_range(c->rand, 0, 9);
    unsigned cluster = MAX(1, c->disk->limits.opt_transfer / CHURN_SECTOR_BYTES);
    bool whole = kind == 2 || kind == 3 || (kind < 2 && g_rand_boolean(c->rand));
    Change change = { .done_at = NEVER };

    if (kind == 3 && !c->compressed) {
        kind = 4;
    }
    if (!pick(c, whole ? cluster : 1, &change.first, &change.count)) {
        aio_co_reschedule_self();
        return;
    }
    change.value = kind <= 2 ? 0 : ++c->next_value;
    change.begun = now(c);
    unsigned index = c->changes->len;
    g_array_append_val(c->changes, change);
    int ret = co_change(c, kind, &change);
    g_assert_true(ret >= 0 || c->errors_ok);
    if (ret >= 0) {
        g_array_index(c->changes, Change, index).done_at = ++c->ticks;
    }
    for (unsigned i = 0; i < change.count; i++) {
        unsigned sector = change.first + i;
        c->busy[sector] = false;
        c->unsure[sector] = ret < 0;
        fill_sector(c->data + (size_t)sector * CHURN_SECTOR_BYTES, sector, change.value);
    }
}

static void coroutine_fn co_flush(Churn *c)
{
    Flush flush = { .begun_at = ++c->ticks };

    int ret = bdrv_co_flush(c->disk);
    g_assert_true(ret >= 0 || c->errors_ok);
    flush.done = now(c);
    if (ret >= 0) {
        g_array_append_val(c->flushes, flush);
    }
}

static void coroutine_fn co_worker(void *opaque)
{
    Churn *c = opaque;

    while (c->left > 0) {
        c->left--;
        if (g_rand_int_range(c->rand, 0, 8) == 0) {
            co_flush(c);
        } else {
            co_operation(c);
        }
    }
    if (--c->running == 0 && c->waiter) {
        aio_co_schedule(aio_context_current(), c->waiter);
    }
}

void coroutine_fn churn_co_run(Churn *c, unsigned operations, bool errors_ok)
{
    c->errors_ok = errors_ok;
    c->left = operations;
    c->running = WORKERS;
    c->waiter = NULL;
    for (unsigned i = 0; i < WORKERS; i++) {
        coroutine_enter(coroutine_create(co_worker, c));
    }
    if (c->running) {
        c->waiter = coroutine_self();
        coroutine_yield();
    }
}

static uint8_t *coroutine_fn co_read_all(const Churn *c, BlockDriverState *disk)
{
    size_t bytes = (size_t)c->sectors * CHURN_SECTOR_BYTES;
    g_autofree uint8_t *got = g_malloc(bytes);

    g_assert_cmpint(bdrv_length(disk), ==, bytes);
    int ret = bdrv_co_pread(disk, 0, bytes, got, 0);
    if (ret < 0) {
        g_autoptr(GError) error = bdrv_take_error(disk);
        g_error("cannot read: %s", error ? error->message : g_strerror(-ret));
    }
    return g_steal_pointer(&got);
}

void coroutine_fn churn_co_verify(Churn *c, BlockDriverState *disk)
{
    g_autofree uint8_t *got = co_read_all(c, disk);

    for (unsigned i = 0; i < c->sectors; i++) {
        if (!c->unsure[i] && memcmp(got + (size_t)i * CHURN_SECTOR_BYTES,
                                    c->data + (size_t)i * CHURN_SECTOR_BYTES,
                                    CHURN_SECTOR_BYTES) != 0) {
            g_error("sector %u is not what was written", i);
        }
    }
}

/* The last flush that was done before that event. */
static const Flush *last_flush(const Churn *c, unsigned event)
{
    const Flush *last = NULL;

    for (unsigned i = 0; i < c->flushes->len; i++) {
        const Flush *flush = &g_array_index(c->flushes, Flush, i);
        if (flush->done <= event && (!last || flush->begun_at > last->begun_at)) {
            last = flush;
        }
    }
    return last;
}

static bool sector_is(const uint8_t *got, unsigned sector, uint32_t value)
{
    uint8_t expected[CHURN_SECTOR_BYTES];

    fill_sector(expected, sector, value);
    return memcmp(got, expected, CHURN_SECTOR_BYTES) == 0;
}

static bool sector_is_possible(const Churn *c, const uint8_t *got, unsigned sector,
                               const Flush *flush, unsigned event)
{
    for (unsigned i = c->changes->len; i-- > 0;) {
        const Change *change = &g_array_index(c->changes, Change, i);
        if (sector < change->first || sector - change->first >= change->count ||
            change->begun > event) {
            continue;
        }
        if (sector_is(got, sector, change->value)) {
            return true;
        }
        if (flush && change->done_at < flush->begun_at) {
            return false;
        }
    }
    return memcmp(got, c->initial + (size_t)sector * CHURN_SECTOR_BYTES,
                  CHURN_SECTOR_BYTES) == 0;
}

void coroutine_fn churn_co_verify_crash(Churn *c, BlockDriverState *disk, unsigned event)
{
    g_autofree uint8_t *got = co_read_all(c, disk);
    const Flush *flush = last_flush(c, event);

    for (unsigned i = 0; i < c->sectors; i++) {
        if (!sector_is_possible(c, got + (size_t)i * CHURN_SECTOR_BYTES, i, flush, event)) {
            g_error("sector %u, after a crash behind event %u: neither what was flushed "
                    "(until event %u) nor what was written later", i, event,
                    flush ? flush->done : 0);
        }
    }
}
