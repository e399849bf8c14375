/*
 * From features to frames, in memory and in the file.
 */
#include "engram/recall-index.h"

#include "util/error.h"

enum {
    BUCKET_ENTRIES  = 8,                /* a cache line */
    BUCKET_BITS_MIN = 8,
    BUCKET_BITS_MAX = 20,
    ROOT_LEVEL      = 3,
    PAGES_MAX       = 1 << 20,
};

typedef struct Entry {
    uint32_t feature;                   /* 0: none */
    uint32_t frame;
} Entry;

typedef struct Bucket {
    Entry entries[BUCKET_ENTRIES];
} Bucket;
G_STATIC_ASSERT(sizeof(Bucket) << BUCKET_BITS_MAX == RECALL_INDEX_BYTES_MAX);

struct RecallIndex {
    Bucket *buckets;                    /* by the first bits of the feature's hash */
    unsigned bits;
    size_t used;                        /* entries */
};

RecallIndex *recall_index_new(void)
{
    RecallIndex *index = g_new0(RecallIndex, 1);

    index->bits = BUCKET_BITS_MIN;
    index->buckets = g_new0(Bucket, (size_t)1 << index->bits);
    return index;
}

void recall_index_free(RecallIndex *index)
{
    if (index) {
        g_free(index->buckets);
        g_free(index);
    }
}

size_t recall_index_memory(const RecallIndex *index)
{
    return sizeof(*index) + (sizeof(Bucket) << index->bits);
}

/* Sketches have low features: all bits of the hash say something. */
static Bucket *bucket_of(const RecallIndex *index, uint32_t feature)
{
    return &index->buckets[(feature * CHUNKER_MULTIPLIER) >> (32 - index->bits)];
}

/* What was put last counts. */
static void put(RecallIndex *index, uint32_t feature, uint32_t frame)
{
    Entry *entries = bucket_of(index, feature)->entries;
    unsigned i = 0;

    while (i < BUCKET_ENTRIES && entries[i].feature && entries[i].feature != feature) {
        i++;
    }
    if (i == BUCKET_ENTRIES) {
        i = feature % BUCKET_ENTRIES;
    } else if (!entries[i].feature) {
        index->used++;
    }
    entries[i] = (Entry){ feature, frame };
}

static void grow(RecallIndex *index)
{
    g_autofree Bucket *old = index->buckets;
    size_t n = (size_t)1 << index->bits;

    index->bits++;
    index->buckets = g_new0(Bucket, (size_t)1 << index->bits);
    index->used = 0;
    for (size_t i = 0; i < n; i++) {
        for (unsigned j = 0; j < BUCKET_ENTRIES && old[i].entries[j].feature; j++) {
            put(index, old[i].entries[j].feature, old[i].entries[j].frame);
        }
    }
}

void recall_index_add(RecallIndex *index, uint32_t feature, uint32_t frame)
{
    if (index->bits < BUCKET_BITS_MAX &&
        index->used >= ((size_t)BUCKET_ENTRIES << index->bits) / 2) {
        grow(index);
    }
    put(index, feature, frame);
}

static const Entry *find(const RecallIndex *index, uint32_t feature)
{
    const Entry *entries = bucket_of(index, feature)->entries;

    for (unsigned i = 0; i < BUCKET_ENTRIES; i++) {
        if (entries[i].feature == feature) {
            return &entries[i];
        }
    }
    return NULL;
}

unsigned recall_index_find(const RecallIndex *index, const Sketch *sketch, uint32_t *frame)
{
    uint32_t frames[ENGRAM_FEATURES_PER_CHUNK];
    unsigned votes[ENGRAM_FEATURES_PER_CHUNK] = { 0 }, n = 0, best = 0;

    for (unsigned i = 0; i < sketch->n; i++) {
        const Entry *entry = find(index, sketch->features[i]);
        unsigned j = 0;

        if (!entry) {
            continue;
        }
        while (j < n && frames[j] != entry->frame) {
            j++;
        }
        frames[j] = entry->frame;
        n = MAX(n, j + 1);
        if (++votes[j] > best) {
            best = votes[j];
            *frame = entry->frame;
        }
    }
    return best;
}

bool recall_index_is_there(const EngramFile *f)
{
    return f->autoclear & ENGRAM_AUTOCLEAR_RECALL && !engram_ref_is_none(&f->commit.recall);
}

static bool visit_page(const uint8_t *raw, const EngramRef *ref, uint64_t frames,
                       RecallVisit *visit, void *opaque, GError **errp)
{
    const uint8_t *end = raw + le32_get(ref->raw);

    while (raw < end) {
        EngramFrameFeatures head = { 0 };
        uint64_t room = end - raw;

        memcpy(&head, raw, MIN(sizeof(head), room));
        uint64_t n = le32_get(head.features);
        if (room < sizeof(head) || n * sizeof(le32_t) > room - sizeof(head) ||
            le32_get(head.frame) >= frames) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                        "features page at offset 0x%" PRIx64 " has %" PRIu64
                        " features of frame %" PRIu32 " in %" PRIu64
                        " bytes, and there are %" PRIu64 " frames",
                        le64_get(ref->offset), n, le32_get(head.frame), room, frames);
            return false;
        }
        raw += sizeof(head);
        visit(le32_get(head.frame), (const le32_t *)raw, n, opaque);
        raw += n * sizeof(le32_t);
    }
    return true;
}

static bool check_root(const EngramRecallRoot *root, const EngramRef *ref, GError **errp)
{
    uint64_t size = le32_get(ref->raw), pages = le32_get(root->pages);

    if (size == sizeof(*root) + pages * sizeof(EngramRef) && pages <= PAGES_MAX &&
        le16_get(root->features) == ENGRAM_FEATURES_PER_CHUNK &&
        le16_get(root->rate) == ENGRAM_FEATURE_RATE) {
        return true;
    }
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                "recall index at offset 0x%" PRIx64 " has %" PRIu64 " bytes for %" PRIu64
                " pages, and %d features at a rate of 1 in %d, expected %d and %d",
                le64_get(ref->offset), size, pages, le16_get(root->features),
                le16_get(root->rate), ENGRAM_FEATURES_PER_CHUNK, ENGRAM_FEATURE_RATE);
    return false;
}

bool coroutine_fn recall_index_co_visit(EngramFile *f, RecallVisit *visit, void *opaque,
                                        GArray *pages, GError **errp)
{
    const EngramRef *ref = &f->commit.recall;
    g_autofree uint8_t *raw =
        engram_file_co_load(f, ref, ENGRAM_OBJECT_RECALL, NULL, errp);
    EngramRecallRoot root = { 0 };

    if (!raw) {
        return false;
    }
    memcpy(&root, raw, MIN(sizeof(root), le32_get(ref->raw)));
    if (!check_root(&root, ref, errp)) {
        return false;
    }
    const EngramRef *refs = (const EngramRef *)(raw + sizeof(root));
    for (uint32_t i = 0; i < le32_get(root.pages); i++) {
        g_autofree uint8_t *page =
            engram_file_co_load(f, &refs[i], ENGRAM_OBJECT_FEATURES, NULL, errp);
        if (!page || !visit_page(page, &refs[i], le64_get(f->commit.frames), visit, opaque,
                                 errp)) {
            return false;
        }
        if (pages) {
            g_array_append_val(pages, refs[i]);
        }
    }
    return true;
}

static void add_frame(uint32_t frame, const le32_t *features, uint32_t n, void *opaque)
{
    for (uint32_t i = 0; i < n; i++) {
        if (le32_get(features[i])) {
            recall_index_add(opaque, le32_get(features[i]), frame);
        }
    }
}

bool coroutine_fn recall_index_co_load(RecallIndex *index, EngramFile *f, GArray *pages,
                                       GError **errp)
{
    return recall_index_co_visit(f, add_frame, index, pages, errp);
}

bool coroutine_fn recall_index_co_write_root(ObjectWriter *out, const GArray *pages,
                                             EngramRef *root, GError **errp)
{
    g_autoptr(GByteArray) raw = g_byte_array_new();
    EngramRecallRoot head = {
        .pages = le32_make(pages->len),
        .features = le16_make(ENGRAM_FEATURES_PER_CHUNK),
        .rate = le16_make(ENGRAM_FEATURE_RATE),
    };

    g_byte_array_append(raw, (const uint8_t *)&head, sizeof(head));
    g_byte_array_append(raw, (const uint8_t *)pages->data, pages->len * sizeof(EngramRef));
    return object_writer_co_append(out, ENGRAM_OBJECT_RECALL, ROOT_LEVEL, raw->data,
                                   raw->len, root, errp);
}
