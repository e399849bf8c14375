/*
 * Checking manifests: that all of one can be read, and that its directories have the
 * digests of what is below them.
 */
#include "engram/check-int.h"

#include <sys/stat.h>

#include "engram/manifest.h"
#include "engram/tree-digests.h"
#include "util/error.h"

static void coroutine_fn co_check_vectors(Check *check, EngramManifestReader *m,
                                          const EngramImage *image)
{
    g_auto(EngramVectorIter) it;
    EngramVectorInfo info;
    GError *error = NULL;
    uint64_t least = 0;
    int ret;

    engram_vector_iter_init(&it, m);
    while ((ret = engram_vector_iter_co_next(&it, &info, &error)) > 0) {
        if (info.entry < least) {
            check_corrupt(check, "image '%s': vector of file %" PRIu64
                          " after that of file %" PRIu64, image->name, info.entry, least - 1);
            return;
        }
        least = info.entry == UINT64_MAX ? info.entry : info.entry + 1;
    }
    if (ret < 0) {
        check_problem(check, error);
    }
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
                                       const EngramImage *image, GError **errp)
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
    if (co_check_files(check, m, image, &error) < 0) {
        check_problem(check, error);
    }
    co_check_vectors(check, m, image);
}
