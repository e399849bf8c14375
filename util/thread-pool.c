#include "util/thread-pool.h"

#include <pthread.h>
#include <sched.h>

#include "util/aio.h"

enum { MAX_CPUS = 1 << 16 };

/* Lies on the stack of the coroutine that waits for it. */
typedef struct ThreadPoolJob {
    ThreadPoolFunc *func;
    void *opaque;
    int result;
    AioContext *ctx;
    Coroutine *co;
    struct ThreadPoolJob *next;
} ThreadPoolJob;

/* Locks are POSIX ones so that ThreadSanitizer sees them. */
struct ThreadPool {
    char *name;
    unsigned max_threads;
    pthread_mutex_t lock;
    pthread_cond_t work;
    ThreadPoolJob *jobs;
    ThreadPoolJob **jobs_tail;
    unsigned njobs;
    unsigned idle;              /* threads that wait for work */
    bool stopping;
    GPtrArray *threads;
};

static ThreadPoolJob *take_job(ThreadPool *pool)
{
    ThreadPoolJob *job;

    while (!pool->jobs && !pool->stopping) {
        pool->idle++;
        pthread_cond_wait(&pool->work, &pool->lock);
        pool->idle--;
    }
    job = pool->jobs;
    if (job) {
        pool->jobs = job->next;
        pool->njobs--;
        if (!pool->jobs) {
            pool->jobs_tail = &pool->jobs;
        }
    }
    return job;
}

static gpointer worker(gpointer data)
{
    ThreadPool *pool = data;

    for (;;) {
        ThreadPoolJob *job;

        pthread_mutex_lock(&pool->lock);
        job = take_job(pool);
        pthread_mutex_unlock(&pool->lock);
        if (!job) {
            return NULL;
        }
        job->result = job->func(job->opaque);
        aio_co_schedule(job->ctx, job->co);
    }
}

/* g_get_num_processors() counts those that others may run on, too. */
static unsigned allowed_cpus(void)
{
    unsigned count = 0;

    for (int cpus = CPU_SETSIZE; count == 0 && cpus <= MAX_CPUS; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        size_t size = CPU_ALLOC_SIZE(cpus);

        /* It fails if the kernel knows more CPUs. */
        if (set && sched_getaffinity(0, size, set) == 0) {
            count = CPU_COUNT_S(size, set);
        }
        CPU_FREE(set);
    }
    return count ? count : g_get_num_processors();
}

ThreadPool *thread_pool_new(const char *name, unsigned max_threads)
{
    ThreadPool *pool = g_new0(ThreadPool, 1);

    pool->name = g_strdup(name);
    pool->max_threads = max_threads ? max_threads : allowed_cpus();
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pool->jobs_tail = &pool->jobs;
    pool->threads = g_ptr_array_new();
    return pool;
}

void thread_pool_free(ThreadPool *pool)
{
    if (!pool) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (guint i = 0; i < pool->threads->len; i++) {
        g_thread_join(pool->threads->pdata[i]);
    }
    g_ptr_array_free(pool->threads, TRUE);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    g_free(pool->name);
    g_free(pool);
}

unsigned thread_pool_max_threads(const ThreadPool *pool)
{
    return pool->max_threads;
}

static ThreadPool *cpu_pool;

static void cpu_pool_start(void)
{
    cpu_pool = thread_pool_new("embr-cpu", 0);
}

ThreadPool *thread_pool_cpu(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, cpu_pool_start);
    return cpu_pool;
}

/* A pool that cannot start another thread makes do with those it has. */
static void start_thread(ThreadPool *pool)
{
    g_autoptr(GError) error = NULL;
    GThread *thread = g_thread_try_new(pool->name, worker, pool, &error);

    if (thread) {
        g_ptr_array_add(pool->threads, thread);
    } else if (pool->threads->len == 0) {
        g_error("thread pool %s: %s", pool->name, error->message);
    }
}

int coroutine_fn thread_pool_co_run(ThreadPool *pool, ThreadPoolFunc *func, void *opaque)
{
    ThreadPoolJob job = {
        .func = func,
        .opaque = opaque,
        .ctx = aio_context_current(),
        .co = coroutine_self(),
    };

    g_assert(job.ctx && job.co);
    pthread_mutex_lock(&pool->lock);
    *pool->jobs_tail = &job;
    pool->jobs_tail = &job.next;
    pool->njobs++;
    if (pool->idle >= pool->njobs) {
        pthread_cond_signal(&pool->work);
    } else if (pool->threads->len < pool->max_threads) {
        start_thread(pool);
    } else if (pool->idle > 0) {
        pthread_cond_signal(&pool->work);
    }
    pthread_mutex_unlock(&pool->lock);
    coroutine_yield();
    return job.result;
}
