/*
 * Checking manifests: that all of one can be read, and that its directories have the
 * digests of what is below them.
 */
#include "engram/check-int.h"

#include <sys/stat.h>

#include "engram/manifest.h"
#include "engram/tree-digests.h"
#include "engram/vector-index.h"
#include "engram/vector.h"
#include "util/error.h"

/* Which entries of a manifest are directories: a bit for each. */
static void set_directory(GByteArray *directories, uint64_t number)
{
    while (directories->len <= number / 8) {
        g_byte_array_append(directories, (const uint8_t *)"", 1);
    }
    directories->data[number / 8] |= 1 << number % 8;
}

static bool is_directory(const GByteArray *directories, uint64_t number)
{
    return number / 8 < directories->len &&
           directories->data[number / 8] >> number % 8 & 1;
}

/*
 * A sum over vectors, in any order, of what an index is to say of each.  Kept of the
 * vectors and of the members of clusters, it tells without much memory whether these
 * are the same: each vector in one cluster, of the right kind, with its first trits.
 */
static uint64_t sum_member(uint64_t vector, bool directory, const uint8_t *packed,
                           size_t bytes)
{
    uint8_t text[sizeof(uint64_t) + 1 + VECTOR_SHORT_PACKED_BYTES_MAX];

    le64_store(text, vector);
    text[sizeof(uint64_t)] = directory;
    memcpy(text + sizeof(uint64_t) + 1, packed, bytes);
    return engram_checksum(text, sizeof(uint64_t) + 1 + bytes);
}

/* What an index is to say of a vector. */
static bool sum_vector(Check *check, const EngramImage *image,
                       const EngramVectorIndex *index, uint64_t number,
                       const EngramVectorInfo *info, bool directory, uint64_t *sum)
{
    uint64_t v[HYPERVEC_WORDS(HYPERVEC_DIMENSION_MAX)], small[VECTOR_SHORT_WORDS];
    uint8_t packed[VECTOR_SHORT_PACKED_BYTES_MAX];
    const char *reason;

    if (!hypervec_unpack(&index->space, v, info->packed, info->bytes, &reason)) {
        check_corrupt(check, "image '%s': vector of file %" PRIu64 ": %s", image->name,
                      info->entry, reason);
        return false;
    }
    vector_shorten(&index->space, small, v);
    *sum += sum_member(number, directory, packed,
                       hypervec_pack(vector_short_space(), packed, small));
    return true;
}

/* Vectors are in order, and the index, which may be NULL, has them. */
static void coroutine_fn co_check_vectors(Check *check, EngramManifestReader *m,
                                          const EngramImage *image,
                                          const EngramVectorIndex *index,
                                          const GByteArray *directories,
                                          uint64_t members_sum)
{
    g_auto(EngramVectorIter) it;
    EngramVectorInfo info;
    GError *error = NULL;
    uint64_t least = 0, number = 0, sum = 0;
    int ret;

    engram_vector_iter_init(&it, m);
    while ((ret = engram_vector_iter_co_next(&it, &info, &error)) > 0) {
        if (info.entry < least) {
            check_corrupt(check, "image '%s': vector of file %" PRIu64
                          " after that of file %" PRIu64, image->name, info.entry, least - 1);
            return;
        }
        least = info.entry == UINT64_MAX ? info.entry : info.entry + 1;
        if (index && info.entry != ENGRAM_VECTOR_OF_IMAGE &&
            !sum_vector(check, image, index, number, &info,
                        is_directory(directories, info.entry), &sum)) {
            return;
        }
        number++;
    }
    if (ret < 0) {
        check_problem(check, error);
    } else if (index && sum != members_sum) {
        check_corrupt(check, "image '%s': the vector index at offset 0x%" PRIx64
                      " does not hold the vectors of the manifest", image->name,
                      index->offset);
    }
}

/* False: reported. */
static bool coroutine_fn co_sum_page(Check *check, const EngramVectorIndex *index,
                                     uint32_t page, uint64_t *sum)
{
    const EngramRef *ref = &index->pages[page].ref;
    g_autofree uint8_t *data = check_co_load(check, ref, ENGRAM_OBJECT_MEMBERS);
    uint64_t file_members = index->starts[index->n_file_clusters];
    EngramMemberIter it;
    EngramMemberInfo member;
    GError *error = NULL;
    int ret;

    if (!data) {
        return false;
    }
    engram_member_iter_init(&it, index, page, data);
    while ((ret = engram_member_iter_next(&it, &member, &error)) > 0) {
        uint64_t v[VECTOR_SHORT_WORDS];
        const char *reason;

        if (!hypervec_unpack(vector_short_space(), v, member.packed, member.bytes,
                             &reason)) {
            check_corrupt(check, "members page at offset 0x%" PRIx64 ": vector %" PRIu64
                          ": %s", le64_get(ref->offset), member.vector, reason);
            return false;
        }
        *sum += sum_member(member.vector, member.number >= file_members, member.packed,
                           member.bytes);
    }
    if (ret < 0) {
        check_object_problem(check, ref, error);
    }
    return ret == 0;
}

/* NULL: there is no index, or reported. */
static EngramVectorIndex *coroutine_fn co_check_index(Check *check,
                                                      EngramManifestReader *m,
                                                      const EngramImage *image,
                                                      uint64_t *sum)
{
    g_autoptr(EngramVectorIndex) index = NULL;
    GError *error = NULL;

    if (!engram_vector_index_is_there(check->file, image)) {
        return NULL;
    }
    index = engram_vector_index_co_open(m, image, &error);
    if (!index) {
        check_object_problem(check, &image->vector_index, error);
        return NULL;
    }
    check_co_padding(check, &image->vector_index, ENGRAM_OBJECT_VECTOR_INDEX);
    for (uint32_t i = 0; i < index->n_pages; i++) {
        if (!co_sum_page(check, index, i, sum)) {
            return NULL;
        }
    }
    return g_steal_pointer(&index);
}

/* Directories that are complete, as the manifest has them. */
typedef struct DigestCheck {
    Check *check;
    const EngramImage *image;
    GArray *open;                       /* of RecordedDigest: those still to come */
} DigestCheck;

typedef struct RecordedDigest {
    bool known;
    uint8_t digest[ENGRAM_DIGEST_BYTES];
    uint64_t below;
} RecordedDigest;

/* The last one opened is the first to be complete. */
static bool check_directory(uint64_t number, const uint8_t *digest, uint64_t below,
                            void *opaque, GError **errp)
{
    DigestCheck *d = opaque;
    const RecordedDigest *recorded =
        &g_array_index(d->open, RecordedDigest, d->open->len - 1);

    if (recorded->known &&
        (!digest || recorded->below != below ||
         memcmp(recorded->digest, digest, ENGRAM_DIGEST_BYTES) != 0)) {
        check_corrupt(d->check, "image '%s': what is below the directory of entry %" PRIu64
                      " does not give the digest that is recorded", d->image->name, number);
    }
    g_array_set_size(d->open, d->open->len - 1);
    return true;
}

/* As TreeDigests takes them. */
static EngramFileEntry file_entry(const EngramFileInfo *info)
{
    return (EngramFileEntry){
        .mtime_sec = le64_make(info->mtime_sec),
        .mtime_nsec = le32_make(info->mtime_nsec),
        .mode = le32_make(info->mode),
        .uid = le32_make(info->uid),
        .gid = le32_make(info->gid),
    };
}

static bool add_to_digests(DigestCheck *d, TreeDigests *digests,
                           const EngramFileInfo *info, GError **errp)
{
    EngramFileEntry file = file_entry(info);
    TreeDigestsEntry entry = { info->number, info->path, &file, info->digest,
                               info->attributes };
    RecordedDigest recorded = { .known = info->digest != NULL, .below = info->below };

    if (!tree_digests_add(digests, &entry, errp)) {
        return false;
    }
    if (S_ISDIR(info->mode)) {
        if (info->digest) {
            memcpy(recorded.digest, info->digest, ENGRAM_DIGEST_BYTES);
        }
        g_array_append_val(d->open, recorded);
    }
    return true;
}

/* All files of the manifest; 0 or -1 and an error. */
static int coroutine_fn co_check_files(Check *check, EngramManifestReader *m,
                                       const EngramImage *image,
                                       GByteArray *directories, GError **errp)
{
    g_autoptr(GArray) open = g_array_new(FALSE, FALSE, sizeof(RecordedDigest));
    DigestCheck d = { check, image, open };
    g_autoptr(TreeDigests) digests = tree_digests_new(check_directory, &d);
    g_auto(EngramFileIter) it;
    EngramFileInfo info;
    uint32_t volume = 0;
    int ret;

    engram_file_iter_init(&it, m, 0, UINT64_MAX);
    while ((ret = engram_file_iter_co_next(&it, &info, errp)) > 0) {
        if ((info.volume != volume && !tree_digests_end_volume(digests, errp)) ||
            !add_to_digests(&d, digests, &info, errp)) {
            return -1;
        }
        if (S_ISDIR(info.mode)) {
            set_directory(directories, info.number);
        }
        volume = info.volume;
    }
    return ret == 0 && tree_digests_end_volume(digests, errp) ? 0 : -1;
}

void coroutine_fn check_co_manifest(Check *check, const EngramImage *image)
{
    GError *error = NULL;

    if (engram_ref_is_none(&image->manifest)) {
        return;
    }
    g_autoptr(EngramManifestReader) m = engram_manifest_co_open(check->file, image, &error);
    if (!m) {
        check_object_problem(check, &image->manifest, error);
        return;
    }
    check_co_padding(check, &image->manifest, ENGRAM_OBJECT_MANIFEST);
    for (uint32_t i = 0; i < m->n_file_pages; i++) {
        check_co_padding(check, &m->file_pages[i].ref, ENGRAM_OBJECT_FILES);
    }
    for (uint32_t i = 0; i < m->n_vector_pages; i++) {
        check_co_padding(check, &m->vector_pages[i].ref, ENGRAM_OBJECT_VECTORS);
    }
    g_autoptr(GByteArray) directories = g_byte_array_new();
    uint64_t sum = 0;
    if (co_check_files(check, m, image, directories, &error) < 0) {
        check_problem(check, error);
    }
    g_autoptr(EngramVectorIndex) index = co_check_index(check, m, image, &sum);
    co_check_vectors(check, m, image, index, directories, sum);
}
