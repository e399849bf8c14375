/*
 * What is inside content that is one compressed stream from its first byte to its last.
 *
 * Files that are alike hardly have a byte in common once they are compressed, so their
 * hypervectors are made of what they contain.  docs/interop/engram.md, section 8.1,
 * says what is looked into, and how far: gzip (any number of members), zlib, zstd (any
 * number of frames).  What is damaged, unfinished or followed by something else is
 * content like any other.
 */
#ifndef EMBR_ENGRAM_UNWRAP_H
#define EMBR_ENGRAM_UNWRAP_H

#include "engram/vector.h"

enum {
    UNWRAP_HEAD_BYTES = 4,          /* tell whether it is worth a try */
    UNWRAP_INPUT_MAX = 20 << 20,    /* bytes of the file that are looked at */
    UNWRAP_OUTPUT_MAX = 16 << 20,   /* bytes of what is inside that count */
    UNWRAP_OUTPUT_LEAST = 64 << 10, /* that count of the smallest file, */
    UNWRAP_RATIO_MAX = 16,          /* and this many more for each of its bytes */
};

/* Whether content that begins so may be a compressed stream. */
bool unwrap_is_worth_a_try(const uint8_t *head, size_t bytes);

/*
 * Makes counts those of what is inside a file of size bytes, of which data holds the
 * first MIN(size, UNWRAP_INPUT_MAX).  False: it is no compressed stream or has nothing
 * inside; counts hold nothing of use then.  For any thread.  Takes some 40 ms at most for
 * what is usual; what is nothing but empty blocks takes 0.1 us for each byte of data, and
 * so 2 s at most.
 */
bool unwrap_content(const uint8_t *data, uint64_t size, VectorCounts *counts);

#endif
