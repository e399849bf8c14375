/*
 * Nodes: their drivers, their life, and what is known of them.
 */
#include "block/block-int.h"

enum {
    MAX_REQUESTS_IN_FLIGHT = 64,        /* of one node */
};

static GPtrArray *drivers;

static int compare_drivers(const void *a, const void *b)
{
    const BlockDriver *const *x = a, *const *y = b;
    return strcmp((*x)->format_name, (*y)->format_name);
}

void bdrv_register(BlockDriver *drv)
{
    if (!drivers) {
        drivers = g_ptr_array_new();
    }
    g_ptr_array_add(drivers, drv);
    g_ptr_array_sort(drivers, compare_drivers);
}

const BlockDriver *bdrv_find_driver(const char *format_name)
{
    for (unsigned i = 0; drivers && i < drivers->len; i++) {
        const BlockDriver *drv = g_ptr_array_index(drivers, i);
        if (g_str_equal(drv->format_name, format_name)) {
            return drv;
        }
    }
    return NULL;
}

void bdrv_foreach_driver(void (*func)(const BlockDriver *drv, void *opaque), void *opaque)
{
    for (unsigned i = 0; drivers && i < drivers->len; i++) {
        func(g_ptr_array_index(drivers, i), opaque);
    }
}

BlockDriverState *bdrv_new_node(const BlockDriver *drv, const char *filename, int flags,
                                BlockDriverState *file)
{
    BlockDriverState *bs = g_new0(BlockDriverState, 1);
    bs->drv = drv;
    bs->opaque = g_malloc0(MAX(drv->instance_size, 1));
    bs->refcount = 1;
    bs->filename = g_strdup(filename);
    bs->open_flags = flags;
    bs->limits = (BlockLimits){ .request_alignment = 1, .buffer_alignment = 1 };
    bs->file = file;
    co_semaphore_init(&bs->requests, MAX_REQUESTS_IN_FLIGHT);
    co_rwlock_init(&bs->unaligned_writes);
    co_rwlock_init(&bs->quiet);
    return bs;
}

BlockDriverState *bdrv_ref(BlockDriverState *bs)
{
    bs->refcount++;
    return bs;
}

int coroutine_fn bdrv_co_finish(BlockDriverState *bs, GError **errp)
{
    int ret = 0;

    if (!bs || bdrv_is_read_only(bs) || bs->finished) {
        return 0;
    }
    if (bs->drv->bdrv_co_finish) {
        bdrv_co_begin_alone(bs);
        ret = bs->drv->bdrv_co_finish(bs, errp);
        bs->finished = true;
        bdrv_co_end_alone(bs);
    }
    int data_ret = bdrv_co_finish(bs->data_file, ret < 0 ? NULL : errp);
    ret = ret < 0 ? ret : data_ret;
    int file_ret = bdrv_co_finish(bs->file, ret < 0 ? NULL : errp);
    return ret < 0 ? ret : file_ret;
}

static void coroutine_fn co_finish(void *opaque)
{
    BlockDriverState *bs = opaque;
    g_autoptr(GError) error = NULL;

    if (bdrv_co_finish(bs, &error) < 0) {
        g_warning("%s: not closed properly: %s", bs->filename,
                  error ? error->message : "unknown reason");
    }
}

/* What is still to be written, is, before the node goes. */
static void finish(BlockDriverState *bs)
{
    if (!bs->drv->bdrv_co_finish || bs->finished || bdrv_is_read_only(bs)) {
        return;
    }
    if (in_coroutine()) {
        co_finish(bs);
    } else if (aio_context_current()) {
        aio_run(aio_context_current(), co_finish, bs);
    }
}

/* Chains are as long as somebody made them: no recursion along backing. */
void bdrv_unref(BlockDriverState *bs)
{
    while (bs && bs->refcount == 1) {
        BlockDriverState *backing = bs->backing;

        g_assert(bs->in_flight == 0);
        finish(bs);
        if (bs->drv->bdrv_close) {
            bs->drv->bdrv_close(bs);
        }
        bdrv_unref(bs->data_file);
        bdrv_unref(bs->file);
        g_clear_error(&bs->error);
        g_clear_pointer(&bs->findings, g_ptr_array_unref);
        g_free(bs->backing_filename);
        g_free(bs->backing_format);
        g_free(bs->filename);
        g_free(bs->opaque);
        g_free(bs);
        bs = backing;
    }
    if (bs) {
        bs->refcount--;
    }
}

const char *bdrv_format_name(const BlockDriverState *bs)
{
    return bs->drv->format_name;
}

const char *bdrv_filename(const BlockDriverState *bs)
{
    return bs->filename;
}

int64_t bdrv_length(const BlockDriverState *bs)
{
    return bs->total_bytes;
}

bool bdrv_is_read_only(const BlockDriverState *bs)
{
    return !(bs->open_flags & BDRV_O_RDWR);
}

BlockDriverState *bdrv_backing(const BlockDriverState *bs)
{
    return bs->backing;
}

BlockDriverState *bdrv_file(const BlockDriverState *bs)
{
    return bs->file;
}

bool bdrv_has_zero_init(BlockDriverState *bs)
{
    return !bs->backing && bs->drv->bdrv_has_zero_init && bs->drv->bdrv_has_zero_init(bs);
}

GError *bdrv_take_error(BlockDriverState *bs)
{
    GError *found = NULL;

    for (; bs && !found; bs = bs->backing) {
        found = g_steal_pointer(&bs->error);
        if (!found && bs->file) {
            found = bdrv_take_error(bs->file);
        }
        if (!found && bs->data_file) {
            found = bdrv_take_error(bs->data_file);
        }
    }
    return found;
}

void bdrv_note_error(BlockDriverState *bs, GError *error)
{
    if (bs->error) {
        g_error_free(error);
        return;
    }
    bs->error = error;
}
