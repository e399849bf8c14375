/*
 * EngramFile: a commit of an engram, opened for reading: header slot, commit
 * record, images, and whatever objects these lead to.
 *
 * Opening reads the slots and the commit record, nothing else. Errors name the
 * file and the offset.  The file must not change underneath; appends are fine.
 */
#ifndef EMBR_ENGRAM_FILE_H
#define EMBR_ENGRAM_FILE_H

#include "block/block.h"
#include "engram/object.h"

typedef struct EngramFile {
    BlockDriverState *file;             /* a reference */
    int slot;                           /* the one that holds this commit */
    /* From the slot. */
    uint8_t uuid[ENGRAM_UUID_BYTES];
    uint64_t incompatible, compatible, autoclear;
    uint64_t sequence;
    uint64_t end;
    EngramRef commit_ref;
    /* From the commit record. */
    EngramCommit commit;
    uint32_t n_images, n_frame_pages;
    const EngramCommitImage *images;    /* inside raw */
    const EngramRef *frame_pages;       /* inside raw */
    uint8_t *raw;
} EngramFile;

/* An image record. */
typedef struct EngramImage {
    uint64_t virtual_size;
    uint64_t created_ns;
    uint8_t root_digest[ENGRAM_DIGEST_BYTES];
    EngramRef map_root;
    EngramRef manifest;                 /* may be none */
    EngramRef vector_index;             /* may be none; may be out of date: see
                                           engram_vector_index_is_there() */
    char *name;
    char *info;                         /* JSON, as recorded: not checked */
} EngramImage;

/* A slot read from its ENGRAM_SLOT_BYTES: magic, version, checksum, end within
 * file_bytes, commit reference.  Says nothing of feature bits. */
bool engram_slot_check(const EngramSlot *slot, uint64_t file_bytes, GError **errp);

/* Takes a reference on file. Feature bits that are not known are
 * EMBR_ERROR_UNSUPPORTED, a file without a valid slot EMBR_ERROR_FORMAT or, with
 * the magic in a slot, EMBR_ERROR_CORRUPT. */
EngramFile *coroutine_fn engram_file_co_open(BlockDriverState *file, GError **errp);
/* The commit that slot, which the file may not have yet, leads to. */
EngramFile *coroutine_fn engram_file_co_open_commit(BlockDriverState *file,
                                                    const EngramSlot *slot, GError **errp);
void engram_file_free(EngramFile *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EngramFile, engram_file_free)

/* The object that ref speaks of: verified and decoded, le32_get(ref->raw) bytes and
 * a NUL. Large ones are decoded in the CPU thread pool. */
uint8_t *coroutine_fn engram_file_co_load(EngramFile *f, const EngramRef *ref,
                                          EngramObjectType type, EngramObjectInfo *info,
                                          GError **errp);

/*
 * Where frames that corrections recall come from.  get: what the frame decodes to, until
 * put; it is no correction itself.
 */
typedef struct EngramRecall {
    const uint8_t *coroutine_fn (*co_get)(const EngramRef *frame, void **handle,
                                          void *opaque, GError **errp);
    void (*put)(void *handle, void *opaque);
    void *opaque;
} EngramRecall;
/* A frame, which may be a correction: *is_correction (may be NULL) says so.  What it
 * recalls comes from recall; NULL: from the file.  plain: it must be none. */
uint8_t *coroutine_fn engram_file_co_load_frame(EngramFile *f, const EngramRef *ref,
                                                const EngramRecall *recall, bool plain,
                                                bool *is_correction,
                                                EngramObjectInfo *info, GError **errp);
/* The frame that such a frame, whose bytes are at data, recalls.  1; 0: it is no
 * correction; -1. */
int engram_file_recalled(const EngramFile *f, const void *data, const EngramRef *ref,
                         EngramRef *recalled, GError **errp);

/* By index, 0 to n_images - 1. */
EngramImage *coroutine_fn engram_file_co_image(EngramFile *f, uint32_t index, GError **errp);
/* The index of the image of that name; name NULL: the first.  -1 and an error,
 * EMBR_ERROR_NOT_FOUND if there is none. */
int64_t coroutine_fn engram_file_co_find(EngramFile *f, const char *name, GError **errp);
/* That image. */
EngramImage *coroutine_fn engram_file_co_find_image(EngramFile *f, const char *name,
                                                    GError **errp);
void engram_image_free(EngramImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EngramImage, engram_image_free)

/* Whether an entry of the frame directory can be followed: it lies within the commit, from
 * *end on, and its chunk list right behind it.  *end is moved to where that ends. */
bool engram_frame_entry_check(const EngramFile *f, const EngramFrameEntry *entry,
                              uint64_t *end, GError **errp);

/* Sums over the frame directory: one pass over its pages. */
typedef struct EngramFrameTotals {
    uint64_t frames;
    uint64_t data_bytes;                /* decoded */
    uint64_t stored_bytes;              /* with chunk lists and padding */
} EngramFrameTotals;
bool coroutine_fn engram_file_co_frame_totals(EngramFile *f, EngramFrameTotals *totals,
                                              GError **errp);

#endif
