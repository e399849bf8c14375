/*
 * The manifest of an image: its files, and what they are like.
 *
 * Pages are read one at a time, in order; memory does not grow with the number of
 * files. Errors name the file and the offset.
 */
#ifndef EMBR_ENGRAM_MANIFEST_H
#define EMBR_ENGRAM_MANIFEST_H

#include "engram/file.h"

typedef struct EngramManifestReader {
    EngramFile *file;
    uint64_t offset;                    /* of the manifest object */
    uint64_t n_entries, n_vectors;
    uint32_t hypervector_dimension;     /* trits; 0: no vectors */
    uint32_t hypervector_encoding;
    uint32_t n_file_pages, n_vector_pages, n_volumes;
    const EngramManifestPage *file_pages;
    const EngramManifestPage *vector_pages;
    const EngramManifestVolume *volumes;
    GPtrArray *folders;                 /* of char *: where each is in paths: "p3", "vg/root"; ""
                                           for a bare filesystem */
    uint8_t *raw;
} EngramManifestReader;

/* f must stay. The image has to have a manifest. */
EngramManifestReader *coroutine_fn engram_manifest_co_open(EngramFile *f,
                                                           const EngramImage *image,
                                                           GError **errp);
void engram_manifest_free(EngramManifestReader *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EngramManifestReader, engram_manifest_free)

/* A file of the manifest. */
typedef struct EngramFileInfo {
    uint64_t number;                    /* of the entry, in all volumes */
    uint32_t volume;                    /* index in volumes */
    const char *path;                   /* relative to the volume, no leading slash; "" for its
                                           root; any bytes but NUL; valid until the next call */
    size_t path_bytes;
    uint64_t ino, size;
    int64_t mtime_sec;
    uint32_t mtime_nsec;
    uint32_t mode, uid, gid;
    uint8_t flags;                      /* ENGRAM_FILE_* */
    uint8_t profile;
    const uint8_t *digest;              /* of content, target, device number, or all that is
                                           below; NULL without ENGRAM_FILE_HAS_DIGEST */
    uint64_t below;                     /* entries below, of a directory with a digest */
    const uint8_t *attributes;          /* digest; NULL without ENGRAM_FILE_HAS_ATTRIBUTES */
} EngramFileInfo;


/* Goes over entries in order. */
typedef struct EngramFileIter {
    EngramManifestReader *m;
    uint64_t next, end;                 /* numbers of entries */
    uint32_t page, volume;
    uint8_t *data;
    size_t size, pos;
    uint64_t page_end;
    GByteArray *path;
} EngramFileIter;

/* From entry first on, count of them; both are clipped to what there is. */
void engram_file_iter_init(EngramFileIter *it, EngramManifestReader *m, uint64_t first,
                           uint64_t count);
void engram_file_iter_clear(EngramFileIter *it);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(EngramFileIter, engram_file_iter_clear)
/* 1 and *info, 0 at the end, -1 and an error. */
int coroutine_fn engram_file_iter_co_next(EngramFileIter *it, EngramFileInfo *info,
                                          GError **errp);
/* Leaves out the next count entries, without loading pages that hold nothing else. */
bool engram_file_iter_skip(EngramFileIter *it, uint64_t count, GError **errp);


/* Goes over all vectors, in the order of the entries they belong to. */
typedef struct EngramVectorIter {
    EngramManifestReader *m;
    uint64_t next;
    uint32_t page;
    uint8_t *data;
    size_t size, pos;
    uint64_t page_end;
} EngramVectorIter;

typedef struct EngramVectorInfo {
    uint64_t entry;                     /* number of the file; ENGRAM_VECTOR_OF_IMAGE */
    const uint8_t *packed;              /* as hypervec packs them; valid until the next call */
    uint32_t bytes;
} EngramVectorInfo;

void engram_vector_iter_init(EngramVectorIter *it, EngramManifestReader *m);
void engram_vector_iter_clear(EngramVectorIter *it);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(EngramVectorIter, engram_vector_iter_clear)
int coroutine_fn engram_vector_iter_co_next(EngramVectorIter *it, EngramVectorInfo *info,
                                            GError **errp);

/* Which page holds a vector of that number, below n_vectors. */
uint32_t engram_manifest_find_vector_page(const EngramManifestReader *m, uint64_t number);
/* The vector at *pos of a page, size bytes as engram_file_co_load() gave them; *pos moves
 * on.  Needs no coroutine.  False and an error. */
bool engram_manifest_take_vector(const EngramManifestReader *m, uint32_t page,
                                 const uint8_t *data, size_t size, size_t *pos,
                                 EngramVectorInfo *info, GError **errp);

#endif
