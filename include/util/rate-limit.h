/*
 * So many bytes per second at most.
 */
#ifndef EMBR_UTIL_RATE_LIMIT_H
#define EMBR_UTIL_RATE_LIMIT_H

#include "util/coroutine.h"

/* For coroutines of one thread that share it. */
typedef struct RateLimit {
    uint64_t bytes_per_second;      /* 0: no limit */
    int64_t next_us;                /* monotonic time from which on the next bytes may go */
} RateLimit;

void rate_limit_init(RateLimit *limit, uint64_t bytes_per_second);
/* Waits until bytes more may go. */
void coroutine_fn rate_limit_co_take(RateLimit *limit, uint64_t bytes);

#endif
