/*
 * The check of images: maps lead to chunks, digests are those of the maps,
 * manifests can be read.
 */
#include "engram/check-int.h"

#include <openssl/evp.h>

#include "engram/map.h"
#include "qapi/qapi-visit.h"
#include "util/error.h"
#include "util/thread-pool.h"

/* Digest of a run of bytes that reads as zeroes and is a whole segment. */
static void digest_zero_segment(uint64_t bytes, uint8_t *digest)
{
    uint8_t text[9] = { 0 };

    le64_store(text + 1, bytes);
    EVP_Digest(text, sizeof(text), digest, NULL, EVP_sha256(), NULL);
}

/* One segment that has a map. */
typedef struct SegmentWork {
    Check *check;
    EngramSegment segment;
    uint64_t number;
    uint64_t bytes;
    uint64_t start;                     /* on the disk */
    /* Filled while it is checked. */
    EngramMap *map;
    const uint8_t **identities;         /* of entries; NULL where there is none */
    uint8_t *identity_bytes;
    uint8_t digest[EVP_MAX_MD_SIZE];
    bool damaged;
} SegmentWork;

static void hash_entry(EVP_MD_CTX *ctx, uint64_t length, uint64_t skip,
                       const uint8_t *identity)
{
    uint8_t text[1 + 8 + 8 + ENGRAM_DIGEST_BYTES];

    text[0] = identity != NULL;
    le64_store(text + 1, length);
    if (identity) {
        le64_store(text + 9, skip);
        memcpy(text + 17, identity, ENGRAM_DIGEST_BYTES);
    }
    EVP_DigestUpdate(ctx, text, identity ? sizeof(text) : 9);
}

/* Entry next goes on where a run of `length` bytes from skip on ended. */
static bool continues(const SegmentWork *work, uint32_t first, uint64_t length, uint32_t next)
{
    const EngramMap *map = work->map;
    const uint8_t *a = work->identities[first], *b = work->identities[next];

    if (!a || !b) {
        return !a && !b;
    }
    return memcmp(a, b, ENGRAM_DIGEST_BYTES) == 0 &&
           le32_get(map->skips[first]) + length == le32_get(map->skips[next]);
}

/* In the thread pool: the segment's digest, over entries in canonical form. */
static int digest_segment(void *opaque)
{
    SegmentWork *work = opaque;
    const EngramMap *map = work->map;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    for (uint32_t i = 0; i < map->n;) {
        uint64_t length = engram_map_length(map, i);
        uint32_t next = i + 1;

        while (next < map->n && continues(work, i, length, next)) {
            length += engram_map_length(map, next++);
        }
        hash_entry(ctx, length, le32_get(map->skips[i]), work->identities[i]);
        i = next;
    }
    EVP_DigestFinal_ex(ctx, work->digest, NULL);
    EVP_MD_CTX_free(ctx);
    return 0;
}

static bool identify_entry(SegmentWork *work, uint32_t i, const ChunkList *list)
{
    const EngramMap *map = work->map;
    uint32_t position = le32_get(map->positions[i]);
    uint64_t end = (uint64_t)le32_get(map->skips[i]) + engram_map_length(map, i);
    uint32_t chunk = chunk_list_find(list, position);
    uint8_t *identity = work->identity_bytes + (size_t)i * ENGRAM_DIGEST_BYTES;

    if (list->positions[chunk] != position ||
        end > list->positions[chunk + 1] - list->positions[chunk]) {
        check_corrupt(work->check, "map at offset 0x%" PRIx64 ": entry %" PRIu32
                      " (position %" PRIu32 ", up to byte %" PRIu64
                      " of it) is not within a chunk of the frame at 0x%" PRIx64,
                      le64_get(work->segment.map.offset), i, position, end,
                      le64_get(list->frame.offset));
        return false;
    }
    memcpy(identity, list->digests + (size_t)chunk * ENGRAM_DIGEST_BYTES, ENGRAM_DIGEST_BYTES);
    work->identities[i] = identity;
    return true;
}

/* Finds the identities of all chunks of the map, frame by frame. */
static bool coroutine_fn co_identify(SegmentWork *work)
{
    const EngramMap *map = work->map;
    g_autofree uint32_t *first = g_new0(uint32_t, map->n_frames);   /* entry + 1 */
    g_autofree uint32_t *next = g_new0(uint32_t, map->n);
    bool ok = true;

    for (uint32_t i = map->n; i-- > 0;) {
        if (!engram_map_is_zero(map, i)) {
            uint16_t frame = le16_get(map->frame_indexes[i]);
            next[i] = first[frame];
            first[frame] = i + 1;
        }
    }
    for (uint32_t frame = 0; frame < map->n_frames; frame++) {
        if (!first[frame]) {
            continue;
        }
        CachedObject *object = check_co_chunk_list(work->check, &map->frames[frame].frame);
        if (!object) {
            ok = false;
            continue;
        }
        for (uint32_t i = first[frame]; i && ok; i = next[i - 1]) {
            ok = identify_entry(work, i - 1, object->value);
        }
        object_cache_put(work->check->lists, object);
    }
    return ok;
}

static void count_entries(const SegmentWork *work)
{
    const EngramMap *map = work->map;
    EngramCheckResult *result = work->check->result;
    uint32_t frame = UINT32_MAX;
    uint64_t end = 0;

    for (uint32_t i = 0; i < map->n; i++) {
        if (engram_map_is_zero(map, i)) {
            continue;
        }
        uint32_t bytes = engram_map_length(map, i);
        uint64_t start = (uint64_t)le32_get(map->positions[i]) + le32_get(map->skips[i]);
        const EngramRef *ref = &map->frames[le16_get(map->frame_indexes[i])].frame;

        result->data_bytes += bytes;
        if (le32_get(ref->stored) - sizeof(EngramObjectHeader) < le32_get(ref->raw)) {
            result->compressed_bytes += bytes;
        }
        if (frame != UINT32_MAX && (frame != le16_get(map->frame_indexes[i]) || start != end)) {
            result->scattered_bytes += bytes;
        }
        frame = le16_get(map->frame_indexes[i]);
        end = start + bytes;
    }
}

/* What is in frames that are bad. */
static void lose_entries(const SegmentWork *work)
{
    const EngramMap *map = work->map;

    if (!g_hash_table_size(work->check->bad_frames)) {
        return;
    }
    for (uint32_t i = 0; i < map->n; i++) {
        if (engram_map_is_zero(map, i)) {
            continue;
        }
        gint64 key = le64_get(map->frames[le16_get(map->frame_indexes[i])].frame.offset);
        if (g_hash_table_contains(work->check->bad_frames, &key)) {
            check_lose(work->check, work->start + map->starts[i],
                       engram_map_length(map, i));
        }
    }
}

static void coroutine_fn co_check_map(SegmentWork *work, uint8_t *raw)
{
    Check *check = work->check;
    const EngramRef *ref = &work->segment.map;
    GError *error = NULL;

    work->map = engram_map_parse(raw, ref, check->file->end, NULL, &error);
    if (!work->map) {
        check_lose(check, work->start, work->bytes);
        check_object_problem(check, ref, error);
        return;
    }
    if (work->map->bytes != work->bytes) {
        check_corrupt(check, "map at offset 0x%" PRIx64 " describes %" PRIu32
                      " bytes, expected the %" PRIu64 " of segment %" PRIu64,
                      le64_get(ref->offset), work->map->bytes, work->bytes, work->number);
        return;
    }
    count_entries(work);
    lose_entries(work);
    work->identities = g_new0(const uint8_t *, work->map->n);
    work->identity_bytes = g_malloc((size_t)work->map->n * ENGRAM_DIGEST_BYTES);
    if (!co_identify(work)) {
        return;
    }
    thread_pool_co_run(thread_pool_cpu(), digest_segment, work);
    if (memcmp(work->digest, work->segment.digest, ENGRAM_DIGEST_BYTES) != 0) {
        check_corrupt(check, "map at offset 0x%" PRIx64
                      " does not have the digest that segment %" PRIu64 " is recorded with",
                      le64_get(ref->offset), work->number);
    }
}

static void coroutine_fn co_check_segment(void *opaque)
{
    SegmentWork *work = opaque;
    Check *check = work->check;
    uint8_t *raw = check_co_load(check, &work->segment.map, ENGRAM_OBJECT_MAP);

    if (raw) {
        co_check_map(work, raw);
    } else {
        check_lose(check, work->start, work->bytes);
    }
    engram_map_free(work->map);
    g_free(work->identities);
    g_free(work->identity_bytes);
    g_free(work);
    check_work_done(check);
}

/* A page of segments, and its digest. */
static bool coroutine_fn co_check_segments(Check *check, const EngramMapTop *top,
                                           uint32_t page, uint8_t *page_digest)
{
    const EngramRef *ref = &top->pages[page];
    uint32_t n = engram_map_top_page_segments(top, page);
    g_autofree uint8_t *raw = check_co_load(check, ref, ENGRAM_OBJECT_SEGMENTS);
    const EngramSegment *segments = (const EngramSegment *)raw;

    if (!raw) {
        return false;
    }
    if (le32_get(ref->raw) != n * sizeof(*segments)) {
        check_corrupt(check, "segments at offset 0x%" PRIx64 " have %" PRIu32
                      " bytes, expected %zu", le64_get(ref->offset), le32_get(ref->raw),
                      n * sizeof(*segments));
        return false;
    }
    g_autofree uint8_t *digests = g_malloc((size_t)n * ENGRAM_DIGEST_BYTES);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t number = (uint64_t)page * ENGRAM_SEGMENTS_PER_PAGE + i;
        uint64_t bytes = engram_map_top_segment_bytes(top, number);

        memcpy(digests + (size_t)i * ENGRAM_DIGEST_BYTES, segments[i].digest,
               ENGRAM_DIGEST_BYTES);
        if (!engram_ref_is_none(&segments[i].map)) {
            SegmentWork *work = g_new0(SegmentWork, 1);

            *work = (SegmentWork){ check, segments[i], number, bytes,
                                   number << top->segment_bits };
            check_co_spawn(check, co_check_segment, work);
            continue;
        }
        uint8_t digest[EVP_MAX_MD_SIZE];
        digest_zero_segment(bytes, digest);
        if (memcmp(digest, segments[i].digest, ENGRAM_DIGEST_BYTES) != 0) {
            check_corrupt(check, "segments at offset 0x%" PRIx64 ": segment %" PRIu64
                          " has no map but another digest than zeroes",
                          le64_get(ref->offset), number);
        }
    }
    EVP_Digest(digests, (size_t)n * ENGRAM_DIGEST_BYTES, page_digest, NULL, EVP_sha256(),
               NULL);
    return true;
}

/* Digest of a page that is not there. */
static void digest_zero_page(const EngramMapTop *top, uint32_t page, uint8_t *page_digest)
{
    uint64_t first = (uint64_t)page * ENGRAM_SEGMENTS_PER_PAGE;
    uint32_t n = engram_map_top_page_segments(top, page);
    g_autofree uint8_t *digests = g_malloc((size_t)n * ENGRAM_DIGEST_BYTES);
    uint8_t full[EVP_MAX_MD_SIZE];

    digest_zero_segment(UINT64_C(1) << top->segment_bits, full);
    for (uint32_t i = 0; i < n; i++) {
        memcpy(digests + (size_t)i * ENGRAM_DIGEST_BYTES, full, ENGRAM_DIGEST_BYTES);
    }
    digest_zero_segment(engram_map_top_segment_bytes(top, first + n - 1),
                        digests + ((size_t)n - 1) * ENGRAM_DIGEST_BYTES);
    EVP_Digest(digests, (size_t)n * ENGRAM_DIGEST_BYTES, page_digest, NULL, EVP_sha256(),
               NULL);
}

/* A page, there or not, and its digest; zero_page: that of the first one without. */
static bool coroutine_fn co_check_page(Check *check, const EngramMapTop *top,
                                       uint32_t page, const uint8_t *zero_page,
                                       uint8_t *page_digest)
{
    memcpy(page_digest, zero_page, ENGRAM_DIGEST_BYTES);
    if (!engram_ref_is_none(&top->pages[page])) {
        return co_check_segments(check, top, page, page_digest);
    }
    if (page + 1 == top->n_pages) {
        digest_zero_page(top, page, page_digest);
    }
    return true;
}

static void coroutine_fn co_check_device_map(Check *check, const EngramImage *image)
{
    g_autoptr(GError) error = NULL;
    uint8_t text[32], digest[EVP_MAX_MD_SIZE], zero_page[EVP_MAX_MD_SIZE];
    EngramMapTop top;
    bool complete = true;

    if (!engram_map_top_co_load(&top, check->file, image, &error)) {
        check_object_problem(check, &image->map_root, g_steal_pointer(&error));
        return;
    }
    check_co_padding(check, &image->map_root, ENGRAM_OBJECT_MAP_ROOT);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    memcpy(text, "embr device map", 16);
    le64_store(text + 16, top.virtual_size);
    le64_store(text + 24, top.segment_bits);
    EVP_DigestUpdate(ctx, text, sizeof(text));
    if (top.n_pages) {
        digest_zero_page(&top, 0, zero_page);
    }
    for (uint32_t page = 0; page < top.n_pages; page++) {
        if (!co_check_page(check, &top, page, zero_page, digest)) {
            complete = false;
        }
        EVP_DigestUpdate(ctx, digest, ENGRAM_DIGEST_BYTES);
    }
    check_co_wait_all(check);
    EVP_DigestFinal_ex(ctx, digest, NULL);
    EVP_MD_CTX_free(ctx);
    engram_map_top_clear(&top);
    if (complete && memcmp(digest, image->root_digest, ENGRAM_DIGEST_BYTES) != 0) {
        check_corrupt(check, "image '%s': the segments of the map root at offset 0x%" PRIx64
                      " do not give the root digest that is recorded", image->name,
                      le64_get(image->map_root.offset));
    }
}

static void check_info(Check *check, const EngramImage *image)
{
    g_autoptr(GError) error = NULL;

    if (!*image->info) {
        return;
    }
    g_autoptr(EngramImageStats) stats =
        engram_image_stats_from_json_text(image->info, -1, &error);
    if (!stats) {
        check_corrupt(check, "image '%s': info in its record: %s", image->name,
                      error->message);
    }
}

void coroutine_fn check_co_images(Check *check)
{
    EngramFile *f = check->file;
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (uint32_t i = check->options.known_images; i < f->n_images; i++) {
        const EngramRef *ref = &f->images[i].record;
        GError *error = NULL;
        g_autoptr(EngramImage) image = engram_file_co_image(f, i, &error);

        if (!image) {
            check_object_problem(check, ref, error);
            continue;
        }
        check_co_padding(check, ref, ENGRAM_OBJECT_IMAGE);
        if (le64_get(f->images[i].name_hash) !=
            engram_checksum(image->name, strlen(image->name))) {
            check_corrupt(check, "commit record at offset 0x%" PRIx64
                          " has another hash of the name '%s'",
                          le64_get(f->commit_ref.offset), image->name);
        }
        if (!g_hash_table_add(names, g_strdup(image->name))) {
            check_corrupt(check, "two images have the name '%s'", image->name);
        }
        check->result->images++;
        check->result->disk_bytes += image->virtual_size;
        check_info(check, image);
        g_array_set_size(check->lost, 0);
        co_check_device_map(check, image);
        if (!check->options.slot) {
            check_co_report_lost(check, image);
        }
        check_co_manifest(check, image);
    }
}
