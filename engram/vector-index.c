/*
 * Reading the index of vectors.
 */
#include "engram/vector-index.h"

#include "util/byte-reader.h"
#include "util/error.h"

static void G_GNUC_PRINTF(4, 5) set_corrupt(GError **errp,
                                            const EngramVectorIndex *index,
                                            uint64_t offset, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                "%s: vector index object at offset 0x%" PRIx64 ": %s",
                bdrv_filename(index->file->file), offset, text);
}

bool engram_vector_index_is_there(const EngramFile *f, const EngramImage *image)
{
    return f->autoclear & ENGRAM_AUTOCLEAR_VECTOR_INDEX &&
           !engram_ref_is_none(&image->vector_index) &&
           !engram_ref_is_none(&image->manifest);
}

/* What the index speaks of is what the manifest has: all vectors but the image's. */
static bool check_root(EngramVectorIndex *index, const EngramVectorIndexRoot *root,
                       const EngramManifestReader *m, GError **errp)
{
    uint32_t dimension = le32_get(root->dimension);

    if (dimension != m->hypervector_dimension ||
        !hypervec_space_init(&index->space, dimension)) {
        set_corrupt(errp, index, index->offset,
                    "centroids of %" PRIu32 " trits, the manifest has vectors of %" PRIu32,
                    dimension, m->hypervector_dimension);
        return false;
    }
    if (le32_get(root->short_dimension) != ENGRAM_SHORT_DIMENSION) {
        set_corrupt(errp, index, index->offset,
                    "short vectors of %" PRIu32 " trits, expected %d",
                    le32_get(root->short_dimension), ENGRAM_SHORT_DIMENSION);
        return false;
    }
    if (index->n_members > m->n_vectors || index->n_members + 1 < m->n_vectors) {
        set_corrupt(errp, index, index->offset,
                    "%" PRIu64 " vectors, the manifest has %" PRIu64, index->n_members,
                    m->n_vectors);
        return false;
    }
    if (index->n_file_clusters > index->n_clusters) {
        set_corrupt(errp, index, index->offset,
                    "%" PRIu32 " clusters of files among %" PRIu32,
                    index->n_file_clusters, index->n_clusters);
        return false;
    }
    return true;
}

static bool check_pages(const EngramVectorIndex *index, GError **errp)
{
    uint64_t next = 0;

    for (uint32_t i = 0; i < index->n_pages; i++) {
        uint32_t members = le32_get(index->pages[i].entries);

        if (le64_get(index->pages[i].first) != next || !members) {
            set_corrupt(errp, index, index->offset,
                        "page %" PRIu32 " has %" PRIu32 " members from number %" PRIu64
                        " on, expected some from number %" PRIu64 " on",
                        i, members, le64_get(index->pages[i].first), next);
            return false;
        }
        next += members;
    }
    if (next != index->n_members) {
        set_corrupt(errp, index, index->offset,
                    "%" PRIu64 " members in its pages, expected %" PRIu64, next,
                    index->n_members);
        return false;
    }
    return true;
}

static bool take_members(EngramVectorIndex *index, const le32_t *members, GError **errp)
{
    uint64_t next = 0;

    index->starts = g_new(uint64_t, (size_t)index->n_clusters + 1);
    for (uint32_t i = 0; i < index->n_clusters; i++) {
        index->starts[i] = next;
        next += le32_get(members[i]);
    }
    index->starts[index->n_clusters] = next;
    if (next != index->n_members) {
        set_corrupt(errp, index, index->offset,
                    "%" PRIu64 " members in its clusters, expected %" PRIu64, next,
                    index->n_members);
        return false;
    }
    return true;
}

static bool take_centroids(EngramVectorIndex *index, const uint8_t *bytes, GError **errp)
{
    size_t words = hypervec_words(&index->space);
    size_t n = words * index->n_clusters;

    index->centroids = g_new(uint64_t, n);
    for (size_t i = 0; i < n; i++) {
        index->centroids[i] = le64_load(bytes + i * sizeof(uint64_t));
    }
    for (uint32_t i = 0; i < index->n_clusters; i++) {
        const uint64_t *nonzero = index->centroids + i * words;
        const uint64_t *negative = nonzero + words / 2;
        uint64_t bad = 0;

        for (size_t w = 0; w < words / 2; w++) {
            bad |= negative[w] & ~nonzero[w];
        }
        if (bad) {
            set_corrupt(errp, index, index->offset,
                        "centroid %" PRIu32 " has negative zeroes", i);
            return false;
        }
    }
    return true;
}

EngramVectorIndex *coroutine_fn engram_vector_index_co_open(EngramManifestReader *m,
                                                            const EngramImage *image,
                                                            GError **errp)
{
    const EngramRef *ref = &image->vector_index;
    g_autoptr(EngramVectorIndex) index = g_new0(EngramVectorIndex, 1);
    EngramVectorIndexRoot root = { 0 };
    ByteReader r;

    index->file = m->file;
    index->offset = le64_get(ref->offset);
    index->raw =
        engram_file_co_load(m->file, ref, ENGRAM_OBJECT_VECTOR_INDEX, NULL, errp);
    if (!index->raw) {
        return NULL;
    }
    byte_reader_init(&r, index->raw, le32_get(ref->raw));
    const void *head = byte_reader_take(&r, sizeof(root));
    if (head) {
        memcpy(&root, head, sizeof(root));
    }
    index->n_members = le64_get(root.vectors);
    index->n_clusters = le32_get(root.clusters);
    index->n_file_clusters = le32_get(root.file_clusters);
    index->n_pages = le32_get(root.pages);
    if (head && !check_root(index, &root, m, errp)) {
        return NULL;
    }
    index->pages = byte_reader_take(&r, (size_t)index->n_pages * sizeof(*index->pages));
    const le32_t *members =
        byte_reader_take(&r, (size_t)index->n_clusters * sizeof(*members));
    const uint8_t *centroids =
        byte_reader_take(&r, (size_t)index->n_clusters * index->space.dimension / 4);
    if (r.bad || byte_reader_left(&r)) {
        set_corrupt(errp, index, index->offset,
                    "%" PRIu32 " bytes for %" PRIu32 " pages and %" PRIu32 " clusters",
                    le32_get(ref->raw), index->n_pages, index->n_clusters);
        return NULL;
    }
    if (!check_pages(index, errp) || !take_members(index, members, errp) ||
        !take_centroids(index, centroids, errp)) {
        return NULL;
    }
    return g_steal_pointer(&index);
}

void engram_vector_index_free(EngramVectorIndex *index)
{
    if (!index) {
        return;
    }
    g_free(index->starts);
    g_free(index->centroids);
    g_free(index->raw);
    g_free(index);
}

static uint32_t find_page(const EngramVectorIndex *index, uint64_t member)
{
    uint32_t low = 0, high = index->n_pages;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (le64_get(index->pages[middle].first) <= member) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

void engram_vector_index_find_pages(const EngramVectorIndex *index, uint64_t first,
                                    uint64_t end, uint32_t *page, uint32_t *last)
{
    *page = find_page(index, first);
    *last = find_page(index, end - 1);
}

void engram_member_iter_init(EngramMemberIter *it, const EngramVectorIndex *index,
                             uint32_t page, const uint8_t *data)
{
    uint64_t first = le64_get(index->pages[page].first);

    *it = (EngramMemberIter){
        .index = index,
        .page = page,
        .data = data,
        .size = le32_get(index->pages[page].ref.raw),
        .next = first,
        .end = first + le32_get(index->pages[page].entries),
    };
}

int engram_member_iter_next(EngramMemberIter *it, EngramMemberInfo *info,
                            GError **errp)
{
    EngramMember member = { 0 };
    ByteReader r;

    if (it->next == it->end) {
        return 0;
    }
    byte_reader_init(&r, it->data, it->size);
    byte_reader_seek(&r, it->pos);
    const void *head = byte_reader_take(&r, sizeof(member));
    if (head) {
        memcpy(&member, head, sizeof(member));
    }
    *info = (EngramMemberInfo){
        .number = it->next++,
        .vector = le32_get(member.vector),
        .packed = byte_reader_take(&r, member.bytes),
        .bytes = member.bytes,
    };
    if (r.bad || (it->next == it->end && byte_reader_left(&r)) ||
        info->vector >= it->index->n_members) {
        set_corrupt(errp, it->index, le64_get(it->index->pages[it->page].ref.offset),
                    "member at byte %zu of %zu has %d bytes and is vector %" PRIu64
                    " of %" PRIu64,
                    it->pos, it->size, member.bytes, info->vector,
                    it->index->n_members);
        return -1;
    }
    it->pos = r.pos;
    return 1;
}
