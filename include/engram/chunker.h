/*
 * Chunker: cuts bytes into chunks at places chosen by their content.
 *
 * Equal content gives equal chunks wherever it lies, so an insertion or removal
 * changes the chunks around it and no others.
 *
 * Where a chunk ends, exactly.  Let d[0..] be the bytes from the start of the chunk.
 * For a length n >= CHUNKER_WINDOW_BYTES, with all arithmetic modulo 2^32:
 *
 *     word(k) = the 32-bit little-endian integer at d[n - 4 - 4k],      k = 0..7
 *     sum     = word(0) + (word(1) << 4) + (word(2) << 8) + ... + (word(7) << 28)
 *     hash    = (sum ^ (sum >> 15)) * 0x9E3779B1
 *
 * The chunk has the smallest length n, min_bytes <= n < max_bytes, for which
 *
 *     limit < hash < 2^31
 *     limit = 2^31 - 1 - floor(2^32 / average_bytes)    if n < floor(average_bytes / 2)
 *             2^31 - 1 - floor(2^33 / average_bytes)    otherwise
 *
 * or else max_bytes, or else whatever is left of the data.  So one position in
 * average_bytes ends a chunk at first, and later two.
 *
 * The hash of a position depends on the CHUNKER_WINDOW_BYTES bytes before it and on
 * nothing else.  Kernels for vector units give identical results; one is chosen at
 * run time.
 */
#ifndef EMBR_ENGRAM_CHUNKER_H
#define EMBR_ENGRAM_CHUNKER_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNKER_WINDOW_BYTES 32
#define CHUNKER_MULTIPLIER 0x9E3779B1u
#define CHUNKER_CHUNK_BYTES_MAX (1u << 20)

/*
 * What decides the cuts.  Stored in every engram, since later appends must cut alike.
 *
 * CHUNKER_WINDOW_BYTES <= min_bytes <= average_bytes <= max_bytes
 * <= CHUNKER_CHUNK_BYTES_MAX, and average_bytes >= 64.  Lengths come out near
 * average_bytes when min_bytes is a quarter of it and max_bytes eight times as much.
 */
typedef struct ChunkerParams {
    uint32_t min_bytes;
    uint32_t average_bytes;
    uint32_t max_bytes;
} ChunkerParams;

typedef struct ChunkerKernel ChunkerKernel;

/* Immutable once initialised: one Chunker may serve many threads.  Owns nothing. */
typedef struct Chunker {
    ChunkerParams params;
    uint32_t early_limit, late_limit;
    const ChunkerKernel *kernel;
} Chunker;

/* Chunks of about 8 KiB, between 2 KiB and 64 KiB. */
void chunker_params_init(ChunkerParams *params);

/* Parameters from a file are hostile until this has accepted them. */
bool chunker_params_check(const ChunkerParams *params, GError **errp);

/* Fails, leaving c untouched, when params (copied) do not pass the check. */
bool chunker_init(Chunker *c, const ChunkerParams *params, GError **errp);

/*
 * The length of the chunk that starts at data, at most len.
 *
 * final says that the content ends at data + len; then only an empty rest gives 0.
 * Otherwise 0 means that the end of the chunk is not within len bytes: call again
 * from the same start with more of them.  max_bytes are always enough.
 */
size_t chunker_next(const Chunker *c, const uint8_t *data, size_t len, bool final);

/*
 * The kernels that this processor can run, fastest first, ended by NULL; chunker_init
 * takes the first.  Any of them may be put into Chunker.kernel.
 */
const ChunkerKernel *const *chunker_kernels(void);
const char *chunker_kernel_name(const ChunkerKernel *kernel);

#endif
