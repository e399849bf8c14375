/* The one loop of the chunker that is worth writing for a vector unit. */
#ifndef EMBR_ENGRAM_CHUNKER_KERNELS_H
#define EMBR_ENGRAM_CHUNKER_KERNELS_H

#include "engram/chunker.h"

struct ChunkerKernel {
    const char *name;
    bool (*supported)(void);
    /*
     * The smallest length n, from <= n < to, whose hash lies between limit and 2^31, or
     * to when there is none.  Reads data[from - CHUNKER_WINDOW_BYTES .. to - 2].
     */
    size_t (*scan)(const uint8_t *data, size_t from, size_t to, uint32_t limit);
};

size_t chunker_scan_portable(const uint8_t *data, size_t from, size_t to,
                             uint32_t limit);

#if defined(__x86_64__)
extern const ChunkerKernel chunker_kernel_avx2;
#endif

#endif
