#include "record-node.h"

#include <string.h>

enum { SECTOR_BYTES = 512 };

typedef enum EventType { EVENT_WRITE, EVENT_TRUNCATE, EVENT_FLUSH } EventType;

typedef struct Event {
    EventType type;
    int64_t offset;
    int64_t bytes;
    uint8_t *data;                  /* NULL: zeroes */
} Event;

typedef struct RecordState {
    GByteArray *data;
    GArray *base;                   /* of uint8_t: before the first event */
    GArray *events;                 /* NULL: not recorded */
    size_t max_bytes;
    unsigned fail_after;
    int err;
    GRand *rand;
} RecordState;

static void clear_event(gpointer p)
{
    g_free(((Event *)p)->data);
}

static void record_close(BlockDriverState *bs)
{
    RecordState *s = bs->opaque;

    g_byte_array_unref(s->data);
    g_clear_pointer(&s->base, g_array_unref);
    g_clear_pointer(&s->events, g_array_unref);
}

static void coroutine_fn co_let_others(RecordState *s)
{
    while (s->rand && g_rand_boolean(s->rand)) {
        aio_co_reschedule_self();
    }
}

static void resize(GByteArray *data, size_t bytes)
{
    size_t before = data->len;

    g_byte_array_set_size(data, bytes);
    if (bytes > before) {
        memset(data->data + before, 0, bytes - before);
    }
}

static void apply(GByteArray *data, const Event *event)
{
    if (event->type == EVENT_TRUNCATE) {
        resize(data, event->bytes);
        return;
    }
    if ((size_t)(event->offset + event->bytes) > data->len) {
        resize(data, event->offset + event->bytes);
    }
    if (event->data) {
        memcpy(data->data + event->offset, event->data, event->bytes);
    } else {
        memset(data->data + event->offset, 0, event->bytes);
    }
}

static void note(RecordState *s, EventType type, int64_t offset, int64_t bytes,
                 const uint8_t *data)
{
    Event event = { type, offset, bytes, data ? g_memdup2(data, bytes) : NULL };

    if (type != EVENT_FLUSH) {
        apply(s->data, &event);
    }
    if (s->events) {
        g_array_append_val(s->events, event);
    } else {
        g_free(event.data);
    }
}

static int check(RecordState *s, int64_t end)
{
    if (s->fail_after && --s->fail_after == 0) {
        s->fail_after = 1;
        return s->err;
    }
    return (size_t)end > s->max_bytes ? -ENOSPC : 0;
}

static int coroutine_fn record_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                         const IOVector *iov, size_t iov_offset,
                                         BdrvRequestFlags flags)
{
    RecordState *s = bs->opaque;

    co_let_others(s);
    iovector_from_buf(iov, iov_offset, s->data->data + offset, bytes);
    return 0;
}

static int coroutine_fn record_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                          const IOVector *iov, size_t iov_offset,
                                          BdrvRequestFlags flags)
{
    RecordState *s = bs->opaque;
    g_autofree uint8_t *buf = g_malloc(bytes);

    co_let_others(s);
    int ret = check(s, offset + bytes);
    if (ret < 0) {
        return ret;
    }
    iovector_to_buf(iov, iov_offset, buf, bytes);
    note(s, EVENT_WRITE, offset, bytes, buf);
    return 0;
}

static int coroutine_fn record_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset,
                                                int64_t bytes, BdrvRequestFlags flags)
{
    RecordState *s = bs->opaque;

    co_let_others(s);
    int ret = check(s, offset + bytes);
    if (ret >= 0) {
        note(s, EVENT_WRITE, offset, bytes, NULL);
    }
    return ret;
}

static int coroutine_fn record_co_truncate(BlockDriverState *bs, int64_t length,
                                           PreallocMode preallocation, GError **errp)
{
    RecordState *s = bs->opaque;
    int ret = check(s, length);

    if (ret < 0) {
        error_set_errno(errp, -ret, "%s: cannot be resized", bs->filename);
        return ret;
    }
    note(s, EVENT_TRUNCATE, 0, length, NULL);
    return 0;
}

static int coroutine_fn record_co_flush(BlockDriverState *bs)
{
    RecordState *s = bs->opaque;

    co_let_others(s);
    int ret = check(s, 0);
    if (ret < 0) {
        return ret;
    }
    note(s, EVENT_FLUSH, 0, 0, NULL);
    co_let_others(s);
    return 0;
}

static int64_t coroutine_fn record_co_allocated_size(BlockDriverState *bs)
{
    return bs->total_bytes;
}

static BlockDriver bdrv_record = {
    .format_name = "record",
    .is_protocol = true,
    .instance_size = sizeof(RecordState),
    .bdrv_close = record_close,
    .bdrv_co_preadv = record_co_preadv,
    .bdrv_co_pwritev = record_co_pwritev,
    .bdrv_co_pwrite_zeroes = record_co_pwrite_zeroes,
    .bdrv_co_flush = record_co_flush,
    .bdrv_co_truncate = record_co_truncate,
    .bdrv_co_allocated_size = record_co_allocated_size,
};

BlockDriverState *record_node_new(const void *data, size_t bytes, size_t max_bytes,
                                  bool record)
{
    BlockDriverState *bs = bdrv_new_node(&bdrv_record, "record", BDRV_O_RDWR, NULL);
    RecordState *s = bs->opaque;

    s->data = g_byte_array_new();
    g_byte_array_append(s->data, data, bytes);
    s->max_bytes = max_bytes;
    bs->total_bytes = bytes;
    if (record) {
        s->base = g_array_new(FALSE, FALSE, 1);
        g_array_append_vals(s->base, data, bytes);
        s->events = g_array_new(FALSE, FALSE, sizeof(Event));
        g_array_set_clear_func(s->events, clear_event);
    }
    return bs;
}

unsigned record_node_events(BlockDriverState *bs)
{
    RecordState *s = bs->opaque;
    return s->events->len;
}

const uint8_t *record_node_data(BlockDriverState *bs)
{
    RecordState *s = bs->opaque;
    return s->data->data;
}

void record_node_fail_after(BlockDriverState *bs, unsigned n, int err)
{
    RecordState *s = bs->opaque;

    s->fail_after = n;
    s->err = err;
}

void record_node_set_random(BlockDriverState *bs, GRand *rand)
{
    RecordState *s = bs->opaque;
    s->rand = rand;
}

/* Some sectors of a write only. */
static void apply_torn(GByteArray *data, const Event *event, GRand *rand)
{
    int64_t end = event->offset + event->bytes;

    for (int64_t pos = event->offset; pos < end;) {
        int64_t next = MIN((pos / SECTOR_BYTES + 1) * SECTOR_BYTES, end);
        Event part = { EVENT_WRITE, pos, next - pos,
                       event->data ? event->data + (pos - event->offset) : NULL };
        if (g_rand_boolean(rand)) {
            apply(data, &part);
        }
        pos = next;
    }
}

static void shuffle(unsigned *order, unsigned n, GRand *rand)
{
    for (unsigned i = n; i > 1; i--) {
        unsigned j = g_rand_int_range(rand, 0, i);
        unsigned kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

/* Later writes to the same place may have been made on top of earlier ones only: their order
 * is kept by a page cache, but what reached the disk of each is open. */
static void apply_some(GByteArray *data, GArray *events, unsigned first, unsigned n,
                       GRand *rand)
{
    g_autofree unsigned *order = g_new(unsigned, n + 1);
    unsigned mode = g_rand_int_range(rand, 0, 3);

    for (unsigned i = 0; i < n; i++) {
        order[i] = first + i;
    }
    if (mode == 0) {
        shuffle(order, n, rand);
    }
    for (unsigned i = 0; i < n; i++) {
        const Event *event = &g_array_index(events, Event, order[i]);
        switch (g_rand_int_range(rand, 0, 3)) {
        case 0:
            break;
        case 1:
            if (event->type == EVENT_WRITE) {
                apply_torn(data, event, rand);
                break;
            }
            G_GNUC_FALLTHROUGH;
        default:
            apply(data, event);
        }
    }
}

BlockDriverState *record_node_crash(BlockDriverState *bs, unsigned n, GRand *rand)
{
    RecordState *s = bs->opaque;
    unsigned durable = 0;
    g_autoptr(GByteArray) data = g_byte_array_new();

    g_byte_array_append(data, (const uint8_t *)s->base->data, s->base->len);
    for (unsigned i = 0; i < n; i++) {
        if (g_array_index(s->events, Event, i).type == EVENT_FLUSH) {
            durable = i + 1;
        }
    }
    for (unsigned i = 0; i < (rand ? durable : n); i++) {
        const Event *event = &g_array_index(s->events, Event, i);
        if (event->type != EVENT_FLUSH) {
            apply(data, event);
        }
    }
    if (rand) {
        apply_some(data, s->events, durable, n - durable, rand);
    }
    return record_node_new(data->data, data->len, s->max_bytes, false);
}
