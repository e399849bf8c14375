#include "qcow2-check.h"

enum { CHUNK_CLUSTERS = 4096 };

typedef struct RefChunk {
    uint32_t refs[CHUNK_CLUSTERS];
    uint64_t stored_one[CHUNK_CLUSTERS / 64];
} RefChunk;

struct Qcow2RefCounts {
    BlockDriverState *bs;
    ImageCheck *result;
    uint64_t file_bytes;
    uint64_t clusters;              /* of the file; those at its end may be cut or missing */
    RefChunk **chunks;              /* NULL: nothing there */
    uint64_t n_chunks;
    Qcow2RefcountReader reader;
};

void qcow2_check_corrupt(BlockDriverState *bs, ImageCheck *result, uint64_t times,
                         const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    bdrv_add_finding(bs, "ERROR %s", text);
    result->corruptions += times;
}

static RefChunk *chunk_of(Qcow2RefCounts *counts, uint64_t cluster)
{
    RefChunk **chunk = &counts->chunks[cluster / CHUNK_CLUSTERS];
    if (!*chunk) {
        *chunk = g_new0(RefChunk, 1);
    }
    return *chunk;
}

/* The clusters of the file that refcount block index counts. */
static uint64_t block_clusters(const Qcow2RefCounts *counts, uint64_t index, uint64_t *first)
{
    *first = index << counts->reader.block_bits;
    return *first < counts->clusters
               ? MIN(UINT64_C(1) << counts->reader.block_bits, counts->clusters - *first)
               : 0;
}

/* Marks what is stored as 1, also past the end of a file that was cut. */
static void coroutine_fn co_load_stored(Qcow2RefCounts *counts)
{
    uint64_t per_block = UINT64_C(1) << counts->reader.block_bits;
    uint64_t blocks = div_round_up(counts->clusters, per_block);

    for (uint64_t index = 0; index < blocks; index++) {
        if (!qcow2_refcount_block_usable(&counts->reader, index) ||
            qcow2_refcount_co_load(&counts->reader, index) < 0) {
            continue;
        }
        for (uint64_t i = 0; i < per_block; i++) {
            if (qcow2_refcount_get(&counts->reader, i) == 1) {
                uint64_t cluster = index * per_block + i;
                unsigned bit = cluster % CHUNK_CLUSTERS;
                chunk_of(counts, cluster)->stored_one[bit / 64] |= UINT64_C(1) << bit % 64;
            }
        }
    }
}

Qcow2RefCounts *coroutine_fn qcow2_ref_counts_co_new(BlockDriverState *bs, ImageCheck *result,
                                                     GError **errp)
{
    Qcow2State *s = bs->opaque;
    g_autoptr(Qcow2RefCounts) counts = g_new0(Qcow2RefCounts, 1);

    counts->bs = bs;
    counts->result = result;
    counts->file_bytes = bdrv_length(bs->file);
    counts->clusters = div_round_up(counts->file_bytes, s->cluster_bytes);
    if (counts->clusters > INT32_MAX) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: file of %" PRIu64 " clusters cannot be checked, the most is %d",
                    bdrv_filename(bs), counts->clusters, INT32_MAX);
        return NULL;
    }
    if (!qcow2_refcount_reader_co_init(&counts->reader, bs, errp)) {
        return NULL;
    }
    counts->n_chunks =
        div_round_up(round_up_pow2(counts->clusters + 1,
                                   UINT64_C(1) << counts->reader.block_bits),
                     CHUNK_CLUSTERS);
    counts->chunks = g_new0(RefChunk *, counts->n_chunks);
    co_load_stored(counts);
    return g_steal_pointer(&counts);
}

void qcow2_ref_counts_free(Qcow2RefCounts *counts)
{
    for (uint64_t i = 0; i < counts->n_chunks; i++) {
        g_free(counts->chunks[i]);
    }
    g_free(counts->chunks);
    qcow2_refcount_reader_clear(&counts->reader);
    g_free(counts);
}

void qcow2_ref_counts_add(Qcow2RefCounts *counts, uint64_t offset, uint64_t bytes,
                          uint64_t times, const char *what)
{
    Qcow2State *s = counts->bs->opaque;
    unsigned bits = s->header.cluster_bits;

    if (bytes == 0) {
        return;
    }
    uint64_t end;
    if (!g_uint64_checked_add(&end, offset, bytes) ||
        (end > counts->file_bytes && end - counts->file_bytes >= s->cluster_bytes)) {
        qcow2_check_corrupt(counts->bs, counts->result, times,
                            "%s at offset 0x%" PRIx64 ", %" PRIu64 " bytes, reaches past the "
                            "end of the file (0x%" PRIx64 ")",
                            what, offset, bytes, counts->file_bytes);
        return;
    }
    counts->clusters = MAX(counts->clusters, ((end - 1) >> bits) + 1);
    for (uint64_t i = offset >> bits; i <= (end - 1) >> bits; i++) {
        uint32_t *refs = &chunk_of(counts, i)->refs[i % CHUNK_CLUSTERS];
        *refs = MIN(*refs + times, UINT32_MAX);
    }
}

bool qcow2_ref_counts_stored_is_one(const Qcow2RefCounts *counts, uint64_t offset)
{
    Qcow2State *s = counts->bs->opaque;
    uint64_t cluster = offset >> s->header.cluster_bits;
    unsigned bit = cluster % CHUNK_CLUSTERS;

    const RefChunk *chunk = cluster / CHUNK_CLUSTERS < counts->n_chunks
                                ? counts->chunks[cluster / CHUNK_CLUSTERS]
                                : NULL;
    return chunk && chunk->stored_one[bit / 64] >> bit % 64 & 1;
}

uint64_t qcow2_ref_counts_clusters(const Qcow2RefCounts *counts)
{
    return counts->clusters;
}

uint64_t qcow2_ref_counts_get(const Qcow2RefCounts *counts, uint64_t cluster)
{
    const RefChunk *chunk = cluster / CHUNK_CLUSTERS < counts->n_chunks
                                ? counts->chunks[cluster / CHUNK_CLUSTERS]
                                : NULL;
    return chunk ? chunk->refs[cluster % CHUNK_CLUSTERS] : 0;
}

static void take_ref(Qcow2RefCounts *counts, uint64_t cluster)
{
    if (qcow2_ref_counts_get(counts, cluster)) {
        chunk_of(counts, cluster)->refs[cluster % CHUNK_CLUSTERS]--;
    }
}

void qcow2_ref_counts_forget_refcounts(Qcow2RefCounts *counts)
{
    Qcow2State *s = counts->bs->opaque;
    const Qcow2Header *h = &s->header;

    for (uint64_t i = 0; i < h->refcount_table_clusters; i++) {
        take_ref(counts, (h->refcount_table_offset >> h->cluster_bits) + i);
    }
    for (uint64_t i = 0; i < counts->reader.table_entries; i++) {
        uint64_t entry = counts->reader.table[i];
        bool counted = entry && !(entry & (s->cluster_bytes - 1)) &&
                       entry >> h->cluster_bits < counts->clusters;
        if (counted) {
            take_ref(counts, entry >> h->cluster_bits);
        }
    }
}

void qcow2_ref_counts_add_blocks(Qcow2RefCounts *counts)
{
    Qcow2State *s = counts->bs->opaque;

    for (uint64_t i = 0; i < counts->reader.table_entries; i++) {
        uint64_t entry = counts->reader.table[i];
        uint64_t offset = entry & ~QCOW2_REFCOUNT_TABLE_RESERVED;
        uint64_t cluster = offset >> s->header.cluster_bits;
        const char *reason = NULL;

        if (entry == 0) {
            continue;
        }
        if (entry & QCOW2_REFCOUNT_TABLE_RESERVED) {
            reason = "reserved bits are set";
        } else if (offset & (s->cluster_bytes - 1)) {
            reason = "not aligned to clusters";
        } else if (cluster >= counts->clusters) {
            reason = "outside the image";
        }
        if (reason) {
            qcow2_check_corrupt(counts->bs, counts->result, 1,
                                "refcount block %" PRIu64 " (0x%016" PRIx64 "): %s", i, entry,
                                reason);
            continue;
        }
        qcow2_ref_counts_add(counts, offset, s->cluster_bytes, 1, "refcount block");
        uint32_t refs = chunk_of(counts, cluster)->refs[cluster % CHUNK_CLUSTERS];
        if (refs != 1) {
            qcow2_check_corrupt(counts->bs, counts->result, 1,
                                "refcount block %" PRIu64 " at offset 0x%" PRIx64
                                " has %" PRIu32 " references, expected 1",
                                i, offset, refs);
        }
    }
}

static void compare_cluster(Qcow2RefCounts *counts, uint64_t cluster, uint64_t stored,
                            uint64_t *end)
{
    RefChunk *chunk = counts->chunks[cluster / CHUNK_CLUSTERS];
    uint64_t counted = chunk ? chunk->refs[cluster % CHUNK_CLUSTERS] : 0;

    if (stored || counted) {
        *end = cluster + 1;
    }
    if (stored == counted) {
        return;
    }
    bdrv_add_finding(counts->bs,
                     "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64,
                     stored > counted ? "Leaked" : "ERROR", cluster, stored, counted);
    if (stored > counted) {
        counts->result->leaks++;
    } else {
        counts->result->corruptions++;
    }
}

/* False: the block that should be there cannot be read. */
static bool coroutine_fn co_load_block(Qcow2RefCounts *counts, uint64_t index, bool *usable)
{
    *usable = qcow2_refcount_block_usable(&counts->reader, index);
    return !*usable || qcow2_refcount_co_load(&counts->reader, index) >= 0;
}

void coroutine_fn qcow2_ref_counts_co_compare(Qcow2RefCounts *counts)
{
    Qcow2State *s = counts->bs->opaque;
    uint64_t end = 0;

    for (uint64_t index = 0;; index++) {
        uint64_t first;
        uint64_t n = block_clusters(counts, index, &first);
        bool usable;
        if (n == 0) {
            break;
        }
        if (!co_load_block(counts, index, &usable)) {
            bdrv_add_finding(counts->bs, "ERROR refcount block %" PRIu64 " cannot be read", index);
            counts->result->check_errors++;
            continue;
        }
        for (uint64_t i = 0; i < n; i++) {
            if (!usable && !counts->chunks[(first + i) / CHUNK_CLUSTERS]) {
                i |= CHUNK_CLUSTERS - 1;
                continue;
            }
            compare_cluster(counts, first + i,
                            usable ? qcow2_refcount_get(&counts->reader, i) : 0, &end);
        }
    }
    counts->result->image_end_offset = end << s->header.cluster_bits;
}
