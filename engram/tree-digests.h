/*
 * TreeDigests: one digest for all that is below a directory, from entries that pass in
 * the order of a walk.
 *
 * Directories of equal digest hold the same files, with the same content and metadata.
 * One below which there is something that is not known in full has none: a file whose
 * content could not be read or is that of an earlier entry (a hard link), or extended
 * attributes that could not be read.
 */
#ifndef EMBR_ENGRAM_TREE_DIGESTS_H
#define EMBR_ENGRAM_TREE_DIGESTS_H

#include "engram/format.h"

typedef struct TreeDigests TreeDigests;

/* An entry as the manifest has it. */
typedef struct TreeDigestsEntry {
    uint64_t number;
    const char *path;               /* in the volume */
    const EngramFileEntry *file;
    const uint8_t *digest;          /* NULL: none; that of a directory does not matter */
    const uint8_t *attributes;      /* NULL: not known */
} TreeDigestsEntry;

/* A directory is complete: its entry's number, its digest (NULL: none), and how many
 * entries are below it. */
typedef bool TreeDigestsDone(uint64_t number, const uint8_t *digest, uint64_t below,
                             void *opaque, GError **errp);

TreeDigests *tree_digests_new(TreeDigestsDone *done, void *opaque);
void tree_digests_free(TreeDigests *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TreeDigests, tree_digests_free)

bool tree_digests_add(TreeDigests *t, const TreeDigestsEntry *entry, GError **errp);
/* After the last entry of a volume. */
bool tree_digests_end_volume(TreeDigests *t, GError **errp);

#endif
