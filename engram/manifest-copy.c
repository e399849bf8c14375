/*
 * Manifests from one engram to another.
 */
#include "engram/manifest-copy.h"

#include "engram/vector-index.h"

enum {
    PAGE_LEVEL = 5,
    ROOT_LEVEL = 3,
};

static bool coroutine_fn co_copy_pages(EngramFile *from, EngramObjectType type,
                                       EngramManifestPage *pages, uint32_t n, int level,
                                       ObjectWriter *out, GError **errp)
{
    for (uint32_t i = 0; i < n; i++) {
        g_autofree uint8_t *raw =
            engram_file_co_load(from, &pages[i].ref, type, NULL, errp);

        if (!raw || !object_writer_co_append(out, type, level, raw,
                                             le32_get(pages[i].ref.raw), &pages[i].ref,
                                             errp)) {
            return false;
        }
    }
    return true;
}

/* The index of its vectors, if there is one. */
static bool coroutine_fn co_copy_index(EngramManifestReader *m, const EngramImage *image,
                                       ObjectWriter *out, EngramRef *ref, GError **errp)
{
    *ref = (EngramRef){ 0 };
    if (!engram_vector_index_is_there(m->file, image)) {
        return true;
    }
    g_autoptr(EngramVectorIndex) index = engram_vector_index_co_open(m, image, errp);
    size_t size = le32_get(image->vector_index.raw);

    if (!index) {
        return false;
    }
    g_autofree uint8_t *raw = g_memdup2(index->raw, size);
    EngramManifestPage *pages =
        (EngramManifestPage *)(raw + sizeof(EngramVectorIndexRoot));

    return co_copy_pages(m->file, ENGRAM_OBJECT_MEMBERS, pages, index->n_pages,
                         ENGRAM_LEVEL_STORE, out, errp) &&
           object_writer_co_append(out, ENGRAM_OBJECT_VECTOR_INDEX, ENGRAM_LEVEL_STORE,
                                   raw, size, ref, errp);
}

bool coroutine_fn engram_manifest_co_copy(EngramFile *from, const EngramImage *image,
                                          ObjectWriter *out, EngramRef *manifest,
                                          EngramRef *vector_index, GError **errp)
{
    /* Opened for the check of what is in it. */
    g_autoptr(EngramManifestReader) m = engram_manifest_co_open(from, image, errp);
    size_t size = le32_get(image->manifest.raw);

    if (!m) {
        return false;
    }
    g_autofree uint8_t *raw = g_memdup2(m->raw, size);
    EngramManifestPage *files = (EngramManifestPage *)(raw + sizeof(EngramManifestRoot));
    EngramManifestPage *vectors = files + m->n_file_pages;

    return co_copy_pages(from, ENGRAM_OBJECT_FILES, files, m->n_file_pages, PAGE_LEVEL,
                         out, errp) &&
           co_copy_pages(from, ENGRAM_OBJECT_VECTORS, vectors, m->n_vector_pages,
                         ENGRAM_LEVEL_STORE, out, errp) &&
           co_copy_index(m, image, out, vector_index, errp) &&
           object_writer_co_append(out, ENGRAM_OBJECT_MANIFEST, ROOT_LEVEL, raw, size,
                                   manifest, errp);
}
