/*
 * From ranges of the disk to maps, segments and the map root.
 */
#include "engram/map-writer.h"

#include <openssl/evp.h>

#include "util/error.h"
#include "util/units.h"

enum {
    SORT_BYTES     = 48 << 20,      /* of memory for ranges */
    MAP_LEVEL      = 5,
    SEGMENTS_LEVEL = 1,
    FRAMES_MAX     = 1 << 16,       /* in a map, which numbers them with 16 bits */
};

/* What a range that is not kept has for a frame. */
#define DROPPED UINT32_MAX

/* A range, as it is sorted. */
typedef struct MapRange {
    uint64_t offset;
    uint32_t length;
    uint32_t skip;
    CodebookPlace place;
    uint8_t digest[ENGRAM_DIGEST_BYTES];
} MapRange;

struct MapWriter {
    uint64_t virtual_size;
    unsigned segment_bits;
    RecordSorter *ranges;
    /* While finishing. */
    const FrameWriter *frames;
    ObjectWriter *out;
    GArray *entries; /* of MapRange, in the segment; offsets count from its start */
    GByteArray *raw;                /* the map's bytes */
    GHashTable *frame_indexes; /* number of a frame -> its index in the map, plus 1 */
    GArray *segments;               /* of EngramSegment: the page being filled */
    bool page_has_map;
    GArray *pages;                  /* of EngramRef */
    uint64_t segment;               /* the one being filled */
    EVP_MD_CTX *segment_hash;
    EVP_MD_CTX *page_hash;
    EVP_MD_CTX *root_hash;
    uint8_t zero_digest[EVP_MAX_MD_SIZE];   /* of a whole segment of zeroes */
    uint8_t zero_page_digest[EVP_MAX_MD_SIZE];  /* of a whole page of these */
    uint64_t data_bytes, dropped_bytes;
};

/* Of ranges that begin together the longest comes first, which makes the others
 * superfluous. */
static int compare_ranges(const void *a, const void *b)
{
    const MapRange *ra = a, *rb = b;

    if (ra->offset != rb->offset) {
        return ra->offset > rb->offset ? 1 : -1;
    }
    return (ra->length < rb->length) - (ra->length > rb->length);
}

/* The map root has to stay within the bounds of an object.  0: it cannot. */
static unsigned choose_segment_bits(uint64_t virtual_size)
{
    const uint64_t max_pages = (ENGRAM_MAX_OBJECT_BYTES - sizeof(EngramMapRoot)) /
                               sizeof(EngramRef);

    for (unsigned bits = ENGRAM_SEGMENT_BITS; bits <= ENGRAM_MAX_SEGMENT_BITS; bits++) {
        if (div_round_up(virtual_size >> bits, ENGRAM_SEGMENTS_PER_PAGE) < max_pages) {
            return bits;
        }
    }
    return 0;
}

MapWriter *map_writer_new(uint64_t virtual_size, const char *spool_dir, GError **errp)
{
    unsigned segment_bits = choose_segment_bits(virtual_size);

    if (!segment_bits) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "a disk of %" PRIu64 " bytes is too large for an engram",
                    virtual_size);
        return NULL;
    }
    MapWriter *m = g_new0(MapWriter, 1);

    m->virtual_size = virtual_size;
    m->segment_bits = segment_bits;
    m->ranges =
        record_sorter_new(sizeof(MapRange), compare_ranges, SORT_BYTES, spool_dir);
    m->entries = g_array_new(FALSE, FALSE, sizeof(MapRange));
    m->raw = g_byte_array_new();
    m->frame_indexes = g_hash_table_new(NULL, NULL);
    m->segments = g_array_new(FALSE, TRUE, sizeof(EngramSegment));
    m->pages = g_array_new(FALSE, TRUE, sizeof(EngramRef));
    m->segment_hash = EVP_MD_CTX_new();
    m->page_hash = EVP_MD_CTX_new();
    m->root_hash = EVP_MD_CTX_new();
    return m;
}

void map_writer_free(MapWriter *m)
{
    if (!m) {
        return;
    }
    record_sorter_free(m->ranges);
    g_array_unref(m->entries);
    g_byte_array_unref(m->raw);
    g_hash_table_unref(m->frame_indexes);
    g_array_unref(m->segments);
    g_array_unref(m->pages);
    EVP_MD_CTX_free(m->segment_hash);
    EVP_MD_CTX_free(m->page_hash);
    EVP_MD_CTX_free(m->root_hash);
    g_free(m);
}

bool map_writer_add(MapWriter *m, uint64_t offset, uint32_t length, CodebookPlace place,
                    uint32_t skip, const uint8_t digest[ENGRAM_DIGEST_BYTES],
                    GError **errp)
{
    MapRange range = {.offset = offset, .length = length, .skip = skip, .place = place};

    memcpy(range.digest, digest, ENGRAM_DIGEST_BYTES);
    return record_sorter_add(m->ranges, &range, errp);
}

bool map_writer_add_dropped(MapWriter *m, uint64_t offset, uint32_t length, GError **errp)
{
    MapRange range = { .offset = offset, .length = length, .place.frame = DROPPED };

    return record_sorter_add(m->ranges, &range, errp);
}

static bool is_dropped(const MapRange *range)
{
    return range->place.frame == DROPPED;
}

static uint64_t segment_bytes(const MapWriter *m, uint64_t segment)
{
    uint64_t left = m->virtual_size - (segment << m->segment_bits);

    return MIN(left, UINT64_C(1) << m->segment_bits);
}

static void hash_start(EVP_MD_CTX *ctx)
{
    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
}

static void hash_zero(EVP_MD_CTX *ctx, uint64_t length)
{
    uint8_t text[9] = { 0 };

    le64_store(text + 1, length);
    EVP_DigestUpdate(ctx, text, sizeof(text));
}

static void hash_range(EVP_MD_CTX *ctx, const MapRange *range)
{
    uint8_t text[17] = { 1 };

    le64_store(text + 1, range->length);
    le64_store(text + 9, range->skip);
    EVP_DigestUpdate(ctx, text, sizeof(text));
    EVP_DigestUpdate(ctx, range->digest, ENGRAM_DIGEST_BYTES);
}

/* What is dropped is zeroes to the digest. */
static void hash_map(MapWriter *m, uint64_t bytes, uint8_t *digest)
{
    uint64_t pos = 0;

    hash_start(m->segment_hash);
    for (guint i = 0; i < m->entries->len; i++) {
        const MapRange *range = &g_array_index(m->entries, MapRange, i);

        if (is_dropped(range)) {
            continue;
        }
        if (range->offset > pos) {
            hash_zero(m->segment_hash, range->offset - pos);
        }
        hash_range(m->segment_hash, range);
        pos = range->offset + range->length;
    }
    if (pos < bytes) {
        hash_zero(m->segment_hash, bytes - pos);
    }
    EVP_DigestFinal_ex(m->segment_hash, digest, NULL);
}

/* Index of the range's frame in the map's table, to which it is added if new. */
static guint16 frame_index(MapWriter *m, const MapRange *range)
{
    gpointer key = GUINT_TO_POINTER(range->place.frame);
    guint index = GPOINTER_TO_UINT(g_hash_table_lookup(m->frame_indexes, key));

    if (!index) {
        EngramMapFrame frame = {.frame =
                                    *frame_writer_ref(m->frames, range->place.frame)};

        g_byte_array_append(m->raw, (const uint8_t *)&frame, sizeof(frame));
        index = g_hash_table_size(m->frame_indexes) + 1;
        g_hash_table_insert(m->frame_indexes, key, GUINT_TO_POINTER(index));
    }
    return index - 1;
}

/* Columns of a map, one after another in memory. */
typedef struct MapColumns {
    uint8_t *kinds, *lengths, *frames, *positions, *skips;
    uint32_t n;
} MapColumns;

static void add_zero_entry(MapColumns *c, uint32_t length)
{
    le32_store(c->lengths + 4 * c->n++, length); /* kind 0, and zeroes elsewhere */
}

static void add_dropped_entry(MapColumns *c, uint32_t length)
{
    c->kinds[c->n] = ENGRAM_MAP_DROPPED;
    add_zero_entry(c, length);
}

static void add_chunk_entry(MapColumns *c, const MapRange *range, uint16_t frame)
{
    c->kinds[c->n] = ENGRAM_MAP_CHUNK;
    le32_store(c->lengths + 4 * c->n, range->length);
    le16_store(c->frames + 2 * c->n, frame);
    le32_store(c->positions + 4 * c->n, range->place.position);
    le32_store(c->skips + 4 * c->n, range->skip);
    c->n++;
}

static uint32_t count_entries(const MapWriter *m, uint64_t bytes)
{
    uint32_t n = m->entries->len;
    uint64_t pos = 0;

    for (guint i = 0; i < m->entries->len; i++) {
        const MapRange *range = &g_array_index(m->entries, MapRange, i);

        n += range->offset > pos;
        pos = range->offset + range->length;
    }
    return n + (pos < bytes);
}

/* Only segments of the largest disks have room for more. */
static bool check_map_limits(const MapWriter *m, uint32_t n, GError **errp)
{
    size_t frames = g_hash_table_size(m->frame_indexes);

    if (frames > FRAMES_MAX ||
        sizeof(EngramMapHeader) + frames * sizeof(EngramMapFrame) +
                (uint64_t)n * ENGRAM_MAP_ENTRY_BYTES > ENGRAM_MAX_OBJECT_BYTES) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%" PRIu64 " bytes at offset 0x%" PRIx64
                    " of the disk are in %" PRIu32 " pieces of %zu frames, which is "
                    "more than a map can hold",
                    segment_bytes(m, m->segment), m->segment << m->segment_bits, n,
                    frames);
        return false;
    }
    return true;
}

/* The bytes of the map, in m->raw. */
static bool build_map(MapWriter *m, uint64_t bytes, GError **errp)
{
    uint32_t n = count_entries(m, bytes);
    g_autofree uint16_t *frames = g_new(uint16_t, m->entries->len);
    EngramMapHeader head = { .entries = le32_make(n) };
    uint64_t pos = 0;

    g_byte_array_set_size(m->raw, 0);
    g_hash_table_remove_all(m->frame_indexes);
    g_byte_array_append(m->raw, (const uint8_t *)&head, sizeof(head));
    for (guint i = 0; i < m->entries->len; i++) {
        const MapRange *range = &g_array_index(m->entries, MapRange, i);

        frames[i] = is_dropped(range) ? 0 : frame_index(m, range);
    }
    ((EngramMapHeader *)m->raw->data)->frames =
        le32_make(g_hash_table_size(m->frame_indexes));
    if (!check_map_limits(m, n, errp)) {
        return false;
    }

    guint start = m->raw->len;
    g_byte_array_set_size(m->raw, start + n * ENGRAM_MAP_ENTRY_BYTES);
    uint8_t *at = m->raw->data + start;
    memset(at, 0, (size_t)n * ENGRAM_MAP_ENTRY_BYTES);
    MapColumns c = { at, at + n, at + 5 * n, at + 7 * n, at + 11 * n, 0 };
    for (guint i = 0; i < m->entries->len; i++) {
        const MapRange *range = &g_array_index(m->entries, MapRange, i);

        if (range->offset > pos) {
            add_zero_entry(&c, range->offset - pos);
        }
        if (is_dropped(range)) {
            add_dropped_entry(&c, range->length);
        } else {
            add_chunk_entry(&c, range, frames[i]);
        }
        pos = range->offset + range->length;
    }
    if (pos < bytes) {
        add_zero_entry(&c, bytes - pos);
    }
    g_assert(c.n == n);
    return true;
}

static bool coroutine_fn co_end_page(MapWriter *m, GError **errp)
{
    EngramRef ref = { 0 };
    uint8_t digest[EVP_MAX_MD_SIZE];

    if (m->page_has_map &&
        !object_writer_co_append(
            m->out, ENGRAM_OBJECT_SEGMENTS, SEGMENTS_LEVEL, m->segments->data,
            m->segments->len * sizeof(EngramSegment), &ref, errp)) {
        return false;
    }
    EVP_DigestFinal_ex(m->page_hash, digest, NULL);
    EVP_DigestUpdate(m->root_hash, digest, ENGRAM_DIGEST_BYTES);
    g_array_append_val(m->pages, ref);
    g_array_set_size(m->segments, 0);
    m->page_has_map = false;
    hash_start(m->page_hash);
    return true;
}

/* Ends the segment being filled; the next one is empty. */
static bool coroutine_fn co_end_segment(MapWriter *m, GError **errp)
{
    uint64_t bytes = segment_bytes(m, m->segment);
    EngramSegment segment = { 0 };
    uint8_t digest[EVP_MAX_MD_SIZE];

    if (m->entries->len) {
        hash_map(m, bytes, digest);
        if (!build_map(m, bytes, errp) ||
            !object_writer_co_append(m->out, ENGRAM_OBJECT_MAP, MAP_LEVEL, m->raw->data,
                                     m->raw->len, &segment.map, errp)) {
            return false;
        }
        m->page_has_map = true;
    } else if (bytes == UINT64_C(1) << m->segment_bits) {
        memcpy(digest, m->zero_digest, ENGRAM_DIGEST_BYTES);
    } else {
        hash_map(m, bytes, digest);
    }
    memcpy(segment.digest, digest, ENGRAM_DIGEST_BYTES);
    EVP_DigestUpdate(m->page_hash, segment.digest, ENGRAM_DIGEST_BYTES);
    g_array_append_val(m->segments, segment);
    g_array_set_size(m->entries, 0);
    m->segment++;
    return m->segments->len < ENGRAM_SEGMENTS_PER_PAGE || co_end_page(m, errp);
}

/* range is more of what last is. */
static bool continues(const MapRange *last, const MapRange *range)
{
    if (is_dropped(last) || is_dropped(range)) {
        return is_dropped(last) && is_dropped(range);
    }
    return last->skip + last->length == range->skip &&
           memcmp(last->digest, range->digest, ENGRAM_DIGEST_BYTES) == 0;
}

/* A page of whole segments, of which none has been filled and all come before end. */
static bool is_zero_page(const MapWriter *m, uint64_t end)
{
    uint64_t page_end = m->segment + ENGRAM_SEGMENTS_PER_PAGE;

    return !m->segments->len && !m->entries->len && page_end <= end &&
           page_end <= m->virtual_size >> m->segment_bits;
}

/* Goes on to that segment: those before it are complete. */
static bool coroutine_fn co_go_to_segment(MapWriter *m, uint64_t segment, GError **errp)
{
    const EngramRef none = { 0 };

    while (m->segment < segment) {
        if (is_zero_page(m, segment)) {
            EVP_DigestUpdate(m->root_hash, m->zero_page_digest, ENGRAM_DIGEST_BYTES);
            g_array_append_val(m->pages, none);
            m->segment += ENGRAM_SEGMENTS_PER_PAGE;
        } else if (!co_end_segment(m, errp)) {
            return false;
        }
    }
    return true;
}

/* range->offset counts from the segment's start. */
static void add_to_segment(MapWriter *m, const MapRange *range)
{
    GArray *entries = m->entries;
    MapRange *last =
        entries->len ? &g_array_index(entries, MapRange, entries->len - 1) : NULL;

    *(is_dropped(range) ? &m->dropped_bytes : &m->data_bytes) += range->length;
    if (last && last->offset + last->length == range->offset && continues(last, range)) {
        last->length += range->length;
        return;
    }
    g_array_append_vals(entries, range, 1);
}

/* A range of the disk, behind those before it, perhaps over several segments. */
static bool coroutine_fn co_add_range(MapWriter *m, MapRange *range, GError **errp)
{
    while (range->length) {
        uint64_t segment = range->offset >> m->segment_bits;

        if (!co_go_to_segment(m, segment, errp)) {
            return false;
        }
        uint64_t start = segment << m->segment_bits;
        uint64_t n =
            MIN(range->length, start + segment_bytes(m, segment) - range->offset);
        MapRange part = *range;
        part.offset -= start;
        part.length = n;
        add_to_segment(m, &part);
        range->offset += n;
        range->skip += n;
        range->length -= n;
    }
    return true;
}

static bool coroutine_fn co_add_ranges(MapWriter *m, GError **errp)
{
    uint64_t done = 0;
    MapRange range;
    int ret;

    if (!record_sorter_finish(m->ranges, errp)) {
        return false;
    }
    while ((ret = record_sorter_next(m->ranges, &range, errp)) > 0) {
        uint64_t overlap =
            done > range.offset ? MIN(done - range.offset, range.length) : 0;

        range.offset += overlap;
        range.skip += overlap;
        range.length -= overlap;
        done = MAX(done, range.offset + range.length);
        if (!co_add_range(m, &range, errp)) {
            return false;
        }
    }
    return ret == 0;
}

static bool coroutine_fn co_write_root(MapWriter *m, EngramRef *ref, GError **errp)
{
    g_autoptr(GByteArray) raw = g_byte_array_new();
    EngramMapRoot root = {
        .virtual_size = le64_make(m->virtual_size),
        .segment_bits = le32_make(m->segment_bits),
        .pages = le32_make(m->pages->len),
    };

    g_byte_array_append(raw, (const uint8_t *)&root, sizeof(root));
    g_byte_array_append(raw, (const uint8_t *)m->pages->data,
                        m->pages->len * sizeof(EngramRef));
    return object_writer_co_append(m->out, ENGRAM_OBJECT_MAP_ROOT, SEGMENTS_LEVEL,
                                   raw->data, raw->len, ref, errp);
}

static void hash_zeroes(MapWriter *m)
{
    hash_start(m->segment_hash);
    hash_zero(m->segment_hash, UINT64_C(1) << m->segment_bits);
    EVP_DigestFinal_ex(m->segment_hash, m->zero_digest, NULL);
    hash_start(m->page_hash);
    for (int i = 0; i < ENGRAM_SEGMENTS_PER_PAGE; i++) {
        EVP_DigestUpdate(m->page_hash, m->zero_digest, ENGRAM_DIGEST_BYTES);
    }
    EVP_DigestFinal_ex(m->page_hash, m->zero_page_digest, NULL);
    hash_start(m->page_hash);
}

bool coroutine_fn map_writer_co_finish(MapWriter *m, const FrameWriter *frames,
                                       ObjectWriter *out, MapWriterResult *result,
                                       GError **errp)
{
    uint64_t n_segments = div_round_up(m->virtual_size, UINT64_C(1) << m->segment_bits);
    uint8_t text[32] = "embr device map", digest[EVP_MAX_MD_SIZE];

    m->frames = frames;
    m->out = out;
    hash_zeroes(m);
    le64_store(text + 16, m->virtual_size);
    le64_store(text + 24, m->segment_bits);
    hash_start(m->root_hash);
    EVP_DigestUpdate(m->root_hash, text, sizeof(text));
    if (!co_add_ranges(m, errp) || !co_go_to_segment(m, n_segments, errp)) {
        return false;
    }
    if (m->segments->len && !co_end_page(m, errp)) {
        return false;
    }
    EVP_DigestFinal_ex(m->root_hash, digest, NULL);
    memcpy(result->root_digest, digest, ENGRAM_DIGEST_BYTES);
    result->data_bytes = m->data_bytes;
    result->dropped_bytes = m->dropped_bytes;
    return co_write_root(m, &result->root, errp);
}
