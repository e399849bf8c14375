/*
 * ManifestWriter: the files of an image, as the walk finds them, and what is learnt of
 * their content later and in another order.
 *
 * Entries and content wait in temporary files, so memory does not grow with their
 * number by more than a few bytes.
 */
#ifndef EMBR_ENGRAM_MANIFEST_WRITER_H
#define EMBR_ENGRAM_MANIFEST_WRITER_H

#include "engram/object-writer.h"
#include "fs/volume.h"
#include "fs/walk.h"

typedef struct ManifestWriter ManifestWriter;

enum { MANIFEST_PATH_BYTES_MAX = 65535 };

ManifestWriter *manifest_writer_new(const char *spool_dir, GError **errp);
void manifest_writer_free(ManifestWriter *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ManifestWriter, manifest_writer_free)

/* Entries added from now on are of that volume. */
void manifest_writer_begin_volume(ManifestWriter *m, const VolumeInfo *info,
                                  const char *fs_type);
/* The next entry, whose path has at most MANIFEST_PATH_BYTES_MAX bytes; *number is what
 * it is called in the following.  flags: ENGRAM_FILE_*. With ENGRAM_FILE_HAS_DIGEST its
 * content is to follow.  attributes: the digest of its extended ones; NULL: not known. */
bool manifest_writer_add(ManifestWriter *m, const FsWalkEntry *entry, uint8_t flags,
                         const uint8_t *attributes, uint64_t *number, GError **errp);
/* What is in a file, which is no directory. digest NULL: it could not be read.  vector: packed, of
 * vector_bytes (0: none), at most VECTOR_PACKED_BYTES_MAX (engram/vector.h). */
bool manifest_writer_set_content(ManifestWriter *m, uint64_t number, uint8_t profile,
                                 const uint8_t digest[ENGRAM_DIGEST_BYTES],
                                 const void *vector, size_t vector_bytes,
                                 GError **errp);
/* "/p3/etc/passwd", for people to see; NULL if it cannot be told. */
char *manifest_writer_path(ManifestWriter *m, uint64_t number);
uint64_t manifest_writer_count(const ManifestWriter *m);

/* Writes all of it, and the index of its vectors, which may be none. */
bool coroutine_fn manifest_writer_co_finish(ManifestWriter *m, ObjectWriter *out,
                                            EngramRef *ref, EngramRef *vector_index,
                                            GError **errp);

#endif
