#include "engram/chunker.h"
#include "engram/chunker-kernels.h"
#include "util/endian.h"

#include <gio/gio.h>

#define AVERAGE_BYTES_MIN 64

void chunker_params_init(ChunkerParams *params)
{
    *params = (ChunkerParams){
        .min_bytes = 2048,
        .average_bytes = 8192,
        .max_bytes = 65536,
    };
}

bool chunker_params_check(const ChunkerParams *p, GError **errp)
{
    if (p->min_bytes >= CHUNKER_WINDOW_BYTES && p->min_bytes <= p->average_bytes &&
        p->average_bytes >= AVERAGE_BYTES_MIN && p->average_bytes <= p->max_bytes &&
        p->max_bytes <= CHUNKER_CHUNK_BYTES_MAX) {
        return true;
    }
    g_set_error(errp, G_IO_ERROR, G_IO_ERROR_INVALID_DATA,
                "chunk lengths of at least %u, on average %u and at most %u bytes: "
                "expected %u <= least <= average <= most <= %u and an average of at "
                "least %u",
                p->min_bytes, p->average_bytes, p->max_bytes, CHUNKER_WINDOW_BYTES,
                CHUNKER_CHUNK_BYTES_MAX, AVERAGE_BYTES_MIN);
    return false;
}

bool chunker_init(Chunker *c, const ChunkerParams *params, GError **errp)
{
    if (!chunker_params_check(params, errp)) {
        return false;
    }
    *c = (Chunker){
        .params = *params,
        .early_limit =
            INT32_MAX - (uint32_t)((UINT64_C(1) << 32) / params->average_bytes),
        .late_limit =
            INT32_MAX - (uint32_t)((UINT64_C(1) << 33) / params->average_bytes),
        .kernel = chunker_kernels()[0],
    };
    return true;
}

size_t chunker_next(const Chunker *c, const uint8_t *data, size_t len, bool final)
{
    const ChunkerParams *p = &c->params;
    /* A length of len itself can be decided: its window ends with the last byte. */
    size_t end = MIN((uint64_t)p->max_bytes, (uint64_t)len + 1);
    size_t n = p->min_bytes;

    if (n < end) {
        size_t middle = CLAMP(p->average_bytes / 2, n, end);
        n = c->kernel->scan(data, n, middle, c->early_limit);
        if (n < middle) {
            return n;
        }
        n = c->kernel->scan(data, middle, end, c->late_limit);
        if (n < end) {
            return n;
        }
    }
    if (len >= p->max_bytes) {
        return p->max_bytes;
    }
    return final ? len : 0;
}

static inline bool hash_cuts(uint32_t sum, uint32_t limit)
{
    uint32_t hash = (sum ^ (sum >> 15)) * CHUNKER_MULTIPLIER;

    return (int32_t)hash > (int32_t)limit;
}

static inline uint32_t advance(uint32_t sum, const uint8_t *data, size_t n)
{
    return (sum << 4) + le32_load(data + n - 4);
}

size_t chunker_scan_portable(const uint8_t *data, size_t from, size_t to,
                             uint32_t limit)
{
    /* sum0 is of the lengths from, from + 4, ..., sum1 of those one longer, ... */
    uint32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
    size_t n;

    if (from >= to) {
        return to;
    }
    for (n = from - CHUNKER_WINDOW_BYTES + 4; n < from; n += 4) {
        sum0 = advance(sum0, data, n);
        sum1 = advance(sum1, data, n + 1);
        sum2 = advance(sum2, data, n + 2);
        sum3 = advance(sum3, data, n + 3);
    }
    for (; to - n >= 4; n += 4) {
        sum0 = advance(sum0, data, n);
        sum1 = advance(sum1, data, n + 1);
        sum2 = advance(sum2, data, n + 2);
        sum3 = advance(sum3, data, n + 3);
        if (hash_cuts(sum0, limit)) {
            return n;
        }
        if (hash_cuts(sum1, limit)) {
            return n + 1;
        }
        if (hash_cuts(sum2, limit)) {
            return n + 2;
        }
        if (hash_cuts(sum3, limit)) {
            return n + 3;
        }
    }
    if (n < to && hash_cuts(advance(sum0, data, n), limit)) {
        return n;
    }
    if (n + 1 < to && hash_cuts(advance(sum1, data, n + 1), limit)) {
        return n + 1;
    }
    if (n + 2 < to && hash_cuts(advance(sum2, data, n + 2), limit)) {
        return n + 2;
    }
    return to;
}

static bool always(void)
{
    return true;
}

static const ChunkerKernel chunker_kernel_portable = {
    .name = "portable",
    .supported = always,
    .scan = chunker_scan_portable,
};

static const ChunkerKernel *const all_kernels[] = {
#if defined(__x86_64__)
    &chunker_kernel_avx2,
#endif
    &chunker_kernel_portable,
};

const ChunkerKernel *const *chunker_kernels(void)
{
    static const ChunkerKernel *usable[G_N_ELEMENTS(all_kernels) + 1];
    static gsize ready;

    if (g_once_init_enter(&ready)) {
        for (size_t i = 0, n = 0; i < G_N_ELEMENTS(all_kernels); i++) {
            if (all_kernels[i]->supported()) {
                usable[n++] = all_kernels[i];
            }
        }
        g_once_init_leave(&ready, 1);
    }
    return usable;
}

const char *chunker_kernel_name(const ChunkerKernel *kernel)
{
    return kernel->name;
}
