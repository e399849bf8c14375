/*
 * Features of chunks.
 */
#include "engram/sketch.h"

#include "engram/chunker-kernels.h"
#include "engram/object.h"

static void add(Sketch *s, uint32_t feature)
{
    unsigned i = s->n;

    if (i == ENGRAM_FEATURES_PER_CHUNK) {
        if (feature >= s->features[--i]) {
            return;
        }
    }
    for (unsigned j = 0; j < s->n; j++) {
        if (s->features[j] == feature) {
            return;
        }
    }
    s->n = i + 1;
    for (; i > 0 && s->features[i - 1] > feature; i--) {
        s->features[i] = s->features[i - 1];
    }
    s->features[i] = feature;
}

void sketch_chunk(const ChunkerKernel *kernel, const uint8_t *data, size_t len,
                  Sketch *sketch)
{
    const uint32_t limit = INT32_MAX - (uint32_t)((UINT64_C(1) << 32) / ENGRAM_FEATURE_RATE);
    size_t n = CHUNKER_WINDOW_BYTES, end = len + 1;

    sketch->n = 0;
    while (n < end && (n = kernel->scan(data, n, end, limit)) < end) {
        uint32_t feature =
            engram_checksum(data + n - CHUNKER_WINDOW_BYTES, CHUNKER_WINDOW_BYTES);

        add(sketch, MAX(feature, 1));
        n += CHUNKER_WINDOW_BYTES;
    }
}
