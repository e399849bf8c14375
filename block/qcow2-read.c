/*
 * Reading: a request is cut into extents; neighbours in the file are read at
 * once, and what lies scattered is read by several coroutines.
 */
#include "qcow2-writer.h"

enum { READ_TASKS = 8 };

/* The tasks of one request. */
typedef struct ReadGroup {
    unsigned in_flight;
    int ret;                        /* the first error */
    Coroutine *waiter;              /* the request, while it waits for a task to end */
} ReadGroup;

typedef struct ReadTask {
    ReadGroup *group;
    BlockDriverState *bs;
    const IOVector *iov;
    size_t iov_offset;
    uint64_t offset;
    Qcow2Extent extent;
    Qcow2CompressedRun *run;        /* owned; NULL: extent says it all */
} ReadTask;

static int coroutine_fn read_unallocated(const ReadTask *task)
{
    BlockDriverState *backing = bdrv_backing(task->bs);
    uint64_t have = backing ? bdrv_length(backing) : 0;
    uint64_t bytes = task->extent.bytes;
    uint64_t from_backing = task->offset < have ? MIN(bytes, have - task->offset) : 0;

    if (from_backing < bytes) {
        iovector_memset(task->iov, task->iov_offset + from_backing, 0, bytes - from_backing);
    }
    if (from_backing == 0) {
        return 0;
    }
    bdrv_co_debug_event(task->bs->file, BLKDEBUG_EVENT_READ_BACKING_AIO);
    return bdrv_co_preadv(backing, task->offset, from_backing, task->iov, task->iov_offset,
                          BDRV_REQ_NONE);
}

/* The data of a cluster that the file's end cuts is zeroes past it. */
static int coroutine_fn read_data(const ReadTask *task)
{
    BlockDriverState *node = qcow2_data_node(task->bs);
    uint64_t have = bdrv_length(node);
    uint64_t bytes = task->extent.bytes;
    uint64_t host = task->extent.host_offset;
    uint64_t stored = host < have ? MIN(bytes, have - host) : 0;

    if (stored < bytes) {
        iovector_memset(task->iov, task->iov_offset + stored, 0, bytes - stored);
    }
    if (stored == 0) {
        return 0;
    }
    bdrv_co_debug_event(task->bs->file, BLKDEBUG_EVENT_READ_AIO);
    return bdrv_co_preadv(node, host, stored, task->iov, task->iov_offset, BDRV_REQ_NONE);
}

static int coroutine_fn run_task(const ReadTask *task)
{
    if (task->run) {
        return qcow2_co_read_compressed_run(task->bs, task->run, task->iov,
                                            task->iov_offset);
    }
    switch (task->extent.type) {
    case QCOW2_EXTENT_UNALLOCATED:
        return read_unallocated(task);
    case QCOW2_EXTENT_ZERO:
        iovector_memset(task->iov, task->iov_offset, 0, task->extent.bytes);
        return 0;
    case QCOW2_EXTENT_DATA:
        return read_data(task);
    case QCOW2_EXTENT_COMPRESSED:
        return qcow2_co_read_compressed_part(task->bs, task->offset, &task->extent,
                                             task->iov, task->iov_offset);
    default:
        return -EIO;
    }
}

static void coroutine_fn task_entry(void *opaque)
{
    ReadTask *task = opaque;
    ReadGroup *group = task->group;
    int ret = run_task(task);

    if (ret < 0 && group->ret == 0) {
        group->ret = ret;
    }
    g_free(task->run);
    g_free(task);
    group->in_flight--;
    if (group->waiter) {
        Coroutine *waiter = g_steal_pointer(&group->waiter);
        aio_co_schedule(aio_context_current(), waiter);
    }
}

static void coroutine_fn wait_for_tasks(ReadGroup *group, unsigned at_most)
{
    while (group->in_flight > at_most) {
        group->waiter = coroutine_self();
        coroutine_yield();
    }
}

/* Whether a task would wait for anything; else it is done on the spot. */
static bool is_instant(const ReadTask *task)
{
    return !task->run && (task->extent.type == QCOW2_EXTENT_ZERO ||
                          (task->extent.type == QCOW2_EXTENT_UNALLOCATED &&
                           !bdrv_backing(task->bs)));
}

/* Takes over task->run. */
static void coroutine_fn start_task(ReadGroup *group, const ReadTask *task)
{
    if (is_instant(task)) {
        run_task(task);
        return;
    }
    wait_for_tasks(group, READ_TASKS - 1);
    if (group->ret < 0) {
        g_free(task->run);
        return;
    }
    ReadTask *copy = g_memdup2(task, sizeof(*task));
    copy->group = group;
    group->in_flight++;
    coroutine_enter(coroutine_create(task_entry, copy));
}


/* True if the extent that follows the task's could be read with it, and now is. */
static bool absorb(ReadTask *task, uint64_t offset, const Qcow2Extent *next)
{
    Qcow2State *s = task->bs->opaque;
    Qcow2Extent *extent = &task->extent;

    if (task->run) {
        return next->type == QCOW2_EXTENT_COMPRESSED && next->bytes == s->cluster_bytes &&
               qcow2_compressed_run_add(task->run, s->cluster_bytes, offset, next);
    }
    if (next->type != extent->type || next->type == QCOW2_EXTENT_COMPRESSED ||
        (next->type == QCOW2_EXTENT_DATA &&
         next->host_offset != extent->host_offset + extent->bytes)) {
        return false;
    }
    extent->bytes += next->bytes;
    return true;
}

static void begin_task(ReadTask *task, uint64_t offset, size_t iov_offset,
                       const Qcow2Extent *extent)
{
    Qcow2State *s = task->bs->opaque;

    task->offset = offset;
    task->iov_offset = iov_offset;
    task->extent = *extent;
    task->run = NULL;
    if (extent->type == QCOW2_EXTENT_COMPRESSED && extent->bytes == s->cluster_bytes) {
        task->run = g_new0(Qcow2CompressedRun, 1);
        qcow2_compressed_run_add(task->run, s->cluster_bytes, offset, extent);
    }
}

int coroutine_fn qcow2_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                 const IOVector *iov, size_t iov_offset,
                                 BdrvRequestFlags flags G_GNUC_UNUSED)
{
    ReadGroup group = { 0 };
    ReadTask task = { .bs = bs, .iov = iov };
    uint64_t epoch = qcow2_read_begin(bs->opaque);
    uint64_t pos = offset, end = offset + bytes;
    int ret = 0;

    while (pos < end && group.ret == 0) {
        Qcow2Extent extent;
        ret = qcow2_co_get_extent(bs, pos, end - pos, &extent);
        if (ret < 0) {
            break;
        }
        if (pos == (uint64_t)offset) {
            begin_task(&task, pos, iov_offset, &extent);
        } else if (!absorb(&task, pos, &extent)) {
            start_task(&group, &task);
            begin_task(&task, pos, iov_offset + (pos - offset), &extent);
        }
        pos += extent.bytes;
    }

    /* The last one, often the only one, needs no coroutine of its own. */
    if (ret == 0 && group.ret == 0 && pos > (uint64_t)offset) {
        ret = run_task(&task);
    }
    g_free(task.run);
    wait_for_tasks(&group, 0);
    qcow2_read_end(bs->opaque, epoch);
    return ret < 0 ? ret : group.ret;
}
