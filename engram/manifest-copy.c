/*
 * Manifests from one engram to another.
 */
#include "engram/manifest-copy.h"

#include "engram/manifest.h"

enum {
    PAGE_LEVEL = 5,
    ROOT_LEVEL = 3,
};

static bool coroutine_fn co_copy_pages(EngramFile *from, EngramObjectType type,
                                       EngramManifestPage *pages, uint32_t n,
                                       ObjectWriter *out, GError **errp)
{
    for (uint32_t i = 0; i < n; i++) {
        g_autofree uint8_t *raw =
            engram_file_co_load(from, &pages[i].ref, type, NULL, errp);

        if (!raw || !object_writer_co_append(out, type, PAGE_LEVEL, raw,
                                             le32_get(pages[i].ref.raw), &pages[i].ref,
                                             errp)) {
            return false;
        }
    }
    return true;
}

bool coroutine_fn engram_manifest_co_copy(EngramFile *from, const EngramImage *image,
                                          ObjectWriter *out, EngramRef *manifest,
                                          GError **errp)
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

    return co_copy_pages(from, ENGRAM_OBJECT_FILES, files, m->n_file_pages, out, errp) &&
           co_copy_pages(from, ENGRAM_OBJECT_VECTORS, vectors, m->n_vector_pages, out,
                         errp) &&
           object_writer_co_append(out, ENGRAM_OBJECT_MANIFEST, ROOT_LEVEL, raw, size,
                                   manifest, errp);
}
