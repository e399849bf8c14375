/*
 * Jobs under way: read and cut side by side, encoded in the order of the plan.
 */
#include "engram/sink-run.h"

#include "util/co-lock.h"
#include "util/thread-pool.h"

enum {
    JOBS_AHEAD       = 4,               /* beyond one for each thread */
    PATH_INTERVAL_US = 100000,          /* between paths looked up for the progress */
};

typedef struct Jobs {
    SinkRun *run;
    GPtrArray *idle;                    /* of SinkJob */
    uint64_t started, encoded;
    unsigned in_flight;
    CoSemaphore room;
    CoQueue turn;
    int64_t next_path_us;
    GError *error;                      /* the first */
} Jobs;

/* A job on its way, in a coroutine of its own. */
typedef struct JobRun {
    Jobs *s;
    SinkJob *job;
    uint64_t number;
} JobRun;

static void fail(Jobs *s, GError *error)
{
    if (s->error) {
        g_error_free(error);
    } else {
        s->error = error;
    }
}

static void show_path(Jobs *s, const SinkJob *job)
{
    int64_t now = g_get_monotonic_time();
    uint32_t file = sink_job_file(job);

    if (!s->run->progress || now < s->next_path_us || file == SINK_NO_FILE) {
        return;
    }
    g_autofree char *path = manifest_writer_path(s->run->manifest, file);
    progress_set_path(s->run->progress, path ? path : "");
    s->next_path_us = now + PATH_INTERVAL_US;
}

static void coroutine_fn co_run_job(void *opaque)
{
    g_autofree JobRun *run = opaque;
    Jobs *s = run->s;
    GError *error = NULL;

    if (!sink_job_co_read(run->job, &error)) {
        fail(s, g_steal_pointer(&error));
    } else {
        sink_job_co_cut(run->job);
    }
    while (s->encoded != run->number) {
        co_queue_wait(&s->turn);
    }
    if (!s->error) {
        show_path(s, run->job);
        if (!sink_job_co_encode(run->job, &error)) {
            fail(s, error);
        }
        progress_add(s->run->progress, sink_job_bytes(run->job));
    }
    s->encoded++;
    s->in_flight--;
    sink_job_clear(run->job);
    g_ptr_array_add(s->idle, run->job);
    co_semaphore_release(&s->room, 1);
    co_queue_all(&s->turn);
}

static SinkJob *coroutine_fn co_take_job(Jobs *s)
{
    co_semaphore_acquire(&s->room, 1);
    return s->idle->len ? g_ptr_array_steal_index_fast(s->idle, s->idle->len - 1)
                        : sink_job_new(s->run->e);
}

static void start_job(Jobs *s, SinkJob *job)
{
    JobRun *run = g_new(JobRun, 1);

    *run = (JobRun){ s, job, s->started++ };
    s->in_flight++;
    coroutine_enter(coroutine_create(co_run_job, run));
}

static bool drop_unit(Jobs *s, const SinkUnit *unit, GError **errp)
{
    s->run->dropped_ranges++;
    progress_add(s->run->progress, unit->size);
    return map_writer_add_dropped(s->run->e->map, unit->address, unit->size, errp);
}

/* Fills jobs with units and sends them off. */
static void coroutine_fn co_fill_jobs(Jobs *s)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(SinkExtent));
    SinkJob *job = co_take_job(s);
    GError *error = NULL;
    SinkUnit unit;
    int ret = 0;

    while (!s->error &&
           (ret = sink_plan_co_next(s->run->plan, &unit, extents, &error)) > 0) {
        if (unit.dropped) {
            if (!drop_unit(s, &unit, &error)) {
                ret = -1;
                break;
            }
        } else if (!sink_job_add(job, &unit, extents)) {
            start_job(s, job);
            job = co_take_job(s);
            bool fits = sink_job_add(job, &unit, extents);
            g_assert(fits);
        }
    }
    if (ret < 0) {
        fail(s, error);
    }
    start_job(s, job);
}

bool coroutine_fn sink_run_co_all(SinkRun *run, GError **errp)
{
    Jobs s = {
        .run = run,
        .idle = g_ptr_array_new_with_free_func((GDestroyNotify)sink_job_free),
    };

    co_semaphore_init(&s.room, thread_pool_max_threads(thread_pool_cpu()) + JOBS_AHEAD);
    co_queue_init(&s.turn);
    co_fill_jobs(&s);
    while (s.in_flight) {
        co_queue_wait(&s.turn);
    }
    g_ptr_array_unref(s.idle);
    if (s.error) {
        g_propagate_error(errp, s.error);
        return false;
    }
    return true;
}
