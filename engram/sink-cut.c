/*
 * Zero blocks, chunks, identities.
 */
#include "engram/sink-cut.h"

#include "engram/sink-unit.h"
#include "util/units.h"

struct SinkCutter {
    const Chunker *chunker;
    EVP_MD_CTX *chunk_hash;
    EVP_MD_CTX *unit_hash;
    VectorCounts *counts;
    bool has_chunks;
    bool with_sketches;
};

SinkCutter *sink_cutter_new(const Chunker *chunker, bool with_sketches)
{
    SinkCutter *c = g_new0(SinkCutter, 1);

    c->with_sketches = with_sketches;
    c->chunker = chunker;
    c->chunk_hash = EVP_MD_CTX_new();
    c->unit_hash = EVP_MD_CTX_new();
    EVP_DigestInit_ex(c->chunk_hash, EVP_sha256(), NULL);
    EVP_DigestInit_ex(c->unit_hash, EVP_sha256(), NULL);
    return c;
}

void sink_cutter_free(SinkCutter *c)
{
    if (!c) {
        return;
    }
    EVP_MD_CTX_free(c->chunk_hash);
    EVP_MD_CTX_free(c->unit_hash);
    g_free(c);
}

void sink_cutter_begin(SinkCutter *c, VectorCounts *counts)
{
    c->counts = counts;
    c->has_chunks = false;
    EVP_DigestInit_ex(c->unit_hash, NULL, NULL);
}

static void hash_chunk(SinkCutter *c, SinkChunk *chunk, uint64_t address)
{
    uint8_t text[16], digest[EVP_MAX_MD_SIZE];

    EVP_DigestInit_ex(c->chunk_hash, NULL, NULL);
    EVP_DigestUpdate(c->chunk_hash, chunk->data, chunk->length);
    EVP_DigestFinal_ex(c->chunk_hash, digest, NULL);
    memcpy(chunk->digest, digest, ENGRAM_DIGEST_BYTES);

    le64_store(text, address);
    le64_store(text + 8, chunk->length);
    EVP_DigestUpdate(c->unit_hash, text, sizeof(text));
    EVP_DigestUpdate(c->unit_hash, chunk->digest, ENGRAM_DIGEST_BYTES);
}

/* A stretch without zero blocks. */
static void cut(SinkCutter *c, const uint8_t *data, size_t size, uint64_t address,
                GArray *chunks)
{
    size_t pos = 0, n;

    if (c->counts) {
        hypervec_encode(vector_space(), c->counts->trits, data, size);
    }
    while ((n = chunker_next(c->chunker, data + pos, size - pos, true)) > 0) {
        SinkChunk chunk = { .data = data + pos, .length = n };

        hash_chunk(c, &chunk, address + pos);
        if (c->with_sketches) {
            sketch_chunk(c->chunker->kernel, chunk.data, n, &chunk.sketch);
        }
        g_array_append_val(chunks, chunk);
        c->has_chunks = true;
        pos += n;
    }
}

bool sink_cut_next_stretch(const uint8_t *data, size_t size, uint64_t address,
                           size_t *start, size_t *end)
{
    size_t pos = *end;                      /* [*start, pos) has no zero block */

    *start = pos;
    while (pos < size) {
        size_t n = MIN(SINK_BLOCK_BYTES - (address + pos) % SINK_BLOCK_BYTES, size - pos);

        if (buffer_is_zero(data + pos, n)) {
            if (pos > *start) {
                break;
            }
            *start = pos + n;
        }
        pos += n;
    }
    *end = pos;
    return pos > *start;
}

void sink_cutter_add(SinkCutter *c, const SinkStretch *stretch, GArray *chunks)
{
    size_t start, end = 0;

    while (sink_cut_next_stretch(stretch->data, stretch->size, stretch->address, &start,
                                 &end)) {
        cut(c, stretch->data + start, end - start, stretch->address + start, chunks);
    }
}

bool sink_cutter_end(SinkCutter *c, uint8_t digest[ENGRAM_DIGEST_BYTES])
{
    uint8_t bytes[EVP_MAX_MD_SIZE];

    if (c->has_chunks) {
        EVP_DigestFinal_ex(c->unit_hash, bytes, NULL);
        memcpy(digest, bytes, ENGRAM_DIGEST_BYTES);
    }
    return c->has_chunks;
}
