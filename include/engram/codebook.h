/*
 * Codebook: which chunks are known, and where they are.
 *
 * Chunks are told apart by the first CODEBOOK_KEY_BYTES bytes of their SHA-256.  It
 * takes about 2^64 attempts to make two that are the same here and differ behind; a
 * check of the finished engram, which compares whole identities, finds them even so.
 *
 * Memory stays below CODEBOOK_CHUNK_BYTES for each chunk, and CODEBOOK_FIXED_BYTES
 * beside that, however many there are.  Only digests that were chosen to crowd a part
 * of the table may take more and longer.  No chunk is ever forgotten.
 *
 * One thread at a time; several may look up while none adds.
 */
#ifndef EMBR_ENGRAM_CODEBOOK_H
#define EMBR_ENGRAM_CODEBOOK_H

#include "engram/format.h"

enum {
    CODEBOOK_KEY_BYTES = 16,
    CODEBOOK_CHUNK_BYTES = 32,
    CODEBOOK_FIXED_BYTES = 272 << 10,
};

typedef struct Codebook Codebook;

typedef struct CodebookPlace {
    uint32_t frame;             /* its number */
    uint32_t position;          /* byte in it; below 2^31 */
} CodebookPlace;

Codebook *codebook_new(void);
void codebook_free(Codebook *c);                /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Codebook, codebook_free)

/* True: known, *place is where.  False: *place was recorded for it. */
bool codebook_find_or_add(Codebook *c, const uint8_t digest[ENGRAM_DIGEST_BYTES],
                          CodebookPlace *place);

/* False, with *place untouched: not known. */
bool codebook_find(const Codebook *c, const uint8_t digest[ENGRAM_DIGEST_BYTES],
                   CodebookPlace *place);

uint64_t codebook_count(const Codebook *c);     /* of chunks */
size_t codebook_memory(const Codebook *c);      /* bytes in use */

#endif
