/*
 * So many bytes per second: each taker waits for those before it.
 */
#include "util/rate-limit.h"
#include "util/aio.h"

void rate_limit_init(RateLimit *limit, uint64_t bytes_per_second)
{
    *limit = (RateLimit){ .bytes_per_second = bytes_per_second };
}

void coroutine_fn rate_limit_co_take(RateLimit *limit, uint64_t bytes)
{
    if (limit->bytes_per_second == 0) {
        return;
    }
    int64_t now = g_get_monotonic_time();
    int64_t start = MAX(now, limit->next_us);
    double us = (double)bytes * G_USEC_PER_SEC / limit->bytes_per_second;

    limit->next_us = start + (int64_t)MIN(us, (double)(G_MAXINT64 / 4));
    aio_co_sleep(start - now);
}
