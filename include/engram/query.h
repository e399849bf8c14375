/*
 * EngramQuery: the files in engrams that are most like a given content, or the
 * directories that are most like a given one.
 *
 * Files are compared by the hypervectors in the manifests: their content is not read.
 * Every regular file that has a vector is a candidate: each whose content is more than
 * zero blocks.  Hard links share the vector of their file's first name, which is the
 * one that is found.  Whether a content is the same is told by its digest.
 *
 * An image with an index of its vectors is searched by that, in time that grows with
 * the square root of their number; similarities are exact all the same, but a file that
 * is hardly like the content may be missed.  All vectors are looked at where there is no
 * index, if paths are asked for or more than ENGRAM_QUERY_INDEXED_MAX hits, or if exact
 * is.
 *
 * The order of use: engrams, content, search.  Memory does not grow with the number of
 * files, but for the centroids of an index.  All of it in coroutines of one thread; the
 * work is done in the CPU thread pool.
 */
#ifndef EMBR_ENGRAM_QUERY_H
#define EMBR_ENGRAM_QUERY_H

#include "engram/file.h"
#include "fs/fs.h"

enum {
    ENGRAM_QUERY_HITS_MAX = 10000,
    ENGRAM_QUERY_INDEXED_MAX = 1000,
    ENGRAM_QUERY_PIECE_BYTES = 4 << 20,
};

typedef struct EngramQueryOptions {
    unsigned hits;              /* how many are wanted, 1 to ENGRAM_QUERY_HITS_MAX */
    double min_similarity;      /* 0 to 1; what is not above 0 is never found */
    const char *image;          /* only images of that name; NULL: all */
    const char *path;           /* only paths like that: * stands for any bytes, /
                                   included, ? for one; NULL: all.  Not empty */
    bool exact;                 /* look at all vectors */
    bool all;                   /* a hit for each place of a content, not one for all */
} EngramQueryOptions;

typedef struct EngramQueryHit {
    double similarity;          /* the cosine, at most 1 */
    bool identical;             /* the content is the same */
    uint64_t copies;            /* other places that were found to have this content, in
                                   all engrams: those for which there is no hit */
    uint64_t size;              /* of the file */
    char *engram;               /* as it was opened */
    char *image;
    char *path;                 /* from the root: "/p3/etc/fstab"; bytes */
    unsigned engram_index;      /* in the order they were added */
    uint32_t image_index;
    uint64_t entry;             /* number in the image's manifest */
    bool has_digest;
    uint8_t digest[ENGRAM_DIGEST_BYTES];
} EngramQueryHit;

void engram_query_hit_free(EngramQueryHit *hit);

typedef struct EngramQuery EngramQuery;

/* options is copied. */
EngramQuery *engram_query_new(const EngramQueryOptions *options);
void engram_query_free(EngramQuery *q);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EngramQuery, engram_query_free)

/* Has f searched, too, which must stay.  Before any content is added. */
bool engram_query_add_engram(EngramQuery *q, EngramFile *f, GError **errp);

/* Adds to the content that is looked for: pieces of ENGRAM_QUERY_PIECE_BYTES, of which
 * the last may be shorter. */
void coroutine_fn engram_query_co_add_content(EngramQuery *q, const void *data,
                                              uint32_t bytes);
/* The same with all of a file of size bytes; holes are not read. */
bool coroutine_fn engram_query_co_add_file(EngramQuery *q, Filesystem *fs, FsIno ino,
                                           uint64_t size, GError **errp);

/*
 * Instead of a content, a directory may be looked for, by what is in it; hits are
 * directories then.  This adds an entry: first the directory itself, with the path "",
 * then all below it, each directory's right after it.  Content that is added after a
 * file is that of the file; files that are none, and further names of files, are left
 * out.
 */
bool coroutine_fn engram_query_co_add_entry(EngramQuery *q, const char *path,
                                            bool is_directory, GError **errp);
/* The same with what is known of a directory of an image, of which nothing is read.
 * path: from the root, as hits have it, but "" for the root.  1; 0: it is not known,
 * and nothing was added; -1 and an error. */
int coroutine_fn engram_query_co_add_known(EngramQuery *q, EngramFile *f,
                                           const EngramImage *image, const char *path,
                                           GError **errp);

typedef struct EngramQueryResult {
    GPtrArray *hits;            /* of EngramQueryHit, which it owns: best first */
    unsigned searched;          /* images */
    unsigned skipped;           /* images that could not be searched */
} EngramQueryResult;

void engram_query_result_clear(EngramQueryResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(EngramQueryResult, engram_query_result_clear)

/* error: why an image was skipped; says which.  It is the caller's. */
typedef void EngramQueryReport(const GError *error, void *opaque);

/*
 * The best hits: by falling similarity; of equally similar ones the identical first,
 * then by engram, image and path, in the order of the manifest.
 *
 * An image that cannot be searched is skipped, and reported: one that is damaged, has
 * no manifest, or has vectors of another dimension or encoding, which do not compare
 * (EMBR_ERROR_UNSUPPORTED).
 *
 * False and an error: EMBR_ERROR_INVALID if the content or directory has no vector,
 * since there is nothing in it but zero blocks; EMBR_ERROR_NOT_FOUND if no image has the name asked
 * for.
 */
bool coroutine_fn engram_query_co_search(EngramQuery *q, EngramQueryReport *report,
                                         void *opaque, EngramQueryResult *result,
                                         GError **errp);

#endif
