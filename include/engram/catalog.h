/*
 * EngramCatalog: the files of an image and what they are like, as a manifest.
 *
 * That of an engram is the one it has.  For any other image it is made by reading all
 * files, exactly as an engram of the image would have it, into a temporary file; memory
 * does not grow with the number of files.  So images of all formats compare.
 */
#ifndef EMBR_ENGRAM_CATALOG_H
#define EMBR_ENGRAM_CATALOG_H

#include "block/block-backend.h"
#include "engram/chunker.h"
#include "engram/manifest.h"
#include "util/progress.h"

typedef struct EngramCatalogOptions {
    const char *path;               /* only this file or directory and what is below, as
                                       fs_tree_co_resolve() takes it; NULL: all */
    const ChunkerParams *chunker;   /* digests have to be made with it; NULL: any */
} EngramCatalogOptions;

typedef struct EngramCatalog {
    char *image;                    /* its name, for messages */
    EngramManifestReader *manifest;
    uint64_t first, count;          /* the entries it is about */
    bool is_part;                   /* of a path, which the first entry is */
    char *base;                     /* where the paths of the entries begin, as shown; "" for
                                       paths that begin with their volume */
    size_t base_bytes;              /* how much of each path stands for that */
    uint64_t damages;               /* what could not be read, and was warned of */
    ChunkerParams chunker;
    EngramFile *file;               /* private */
    bool owns_file;
} EngramCatalog;

/* What digests in the image were made with, if it is an engram whose manifest will do
 * as a catalog; false: it has to be read. */
bool coroutine_fn engram_catalog_co_chunker(BlockBackend *disk, ChunkerParams *params,
                                            bool *found, GError **errp);
/* The disk has to stay, at offset 0 of its node. */
EngramCatalog *coroutine_fn engram_catalog_co_open(BlockBackend *disk,
                                                   const EngramCatalogOptions *options,
                                                   Progress *progress, GError **errp);
void engram_catalog_free(EngramCatalog *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EngramCatalog, engram_catalog_free)

/* Why the catalog's hypervectors do not compare with those of this version; NULL: they do.
 * g_free'd by the caller. */
char *engram_catalog_why_unlike(const EngramCatalog *c);
/* That of a volume, without the first '/'; "" for a bare filesystem. */
const char *engram_catalog_folder(const EngramCatalog *c, uint32_t volume);
/* "/p3/etc/passwd": the path of an entry as it is shown, from the image's root. */
void engram_catalog_append_path(const EngramCatalog *c, const EngramFileInfo *info,
                                GString *out);

#endif
