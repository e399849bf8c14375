/*
 * The block layer: images as a graph of nodes.
 *
 * A node (BlockDriverState) is one layer: a file, a format over a file, an
 * overlay over a backing image.  Users hold a BlockBackend (block-backend.h) on
 * a node and see the disk; how many layers lie under a read is the graph's
 * business.
 *
 * The graph belongs to one thread, that of its AioContext. Offsets and lengths
 * are bytes.  Functions with _co_ must run in a coroutine.
 */
#ifndef EMBR_BLOCK_BLOCK_H
#define EMBR_BLOCK_BLOCK_H

#include "block/dirty-bitmap.h"
#include "qapi/qapi-types.h"
#include "util/aio.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/progress.h"
#include "util/units.h"

typedef struct BlockDriver BlockDriver;
typedef struct BlockDriverState BlockDriverState;

/* Which file of the host a protocol node stands for: two nodes of one identity
 * are one file, whatever they are called.  {0, 0}: not known. */
typedef struct BlockIdentity {
    uint64_t device;
    uint64_t inode;
} BlockIdentity;

/* Open flags */
enum {
    BDRV_O_RDWR       = 1 << 0,
    BDRV_O_NO_BACKING = 1 << 1,   /* do not open the backing chain: only this layer is wanted */
    BDRV_O_CHECK      = 1 << 2,   /* open even if metadata is inconsistent, for check */
    BDRV_O_NOCACHE    = 1 << 3,   /* O_DIRECT */
    BDRV_O_PROTOCOL   = 1 << 4,   /* open the bare file: no format probing */
    BDRV_O_NO_IO      = 1 << 5,   /* only for bdrv_co_image_info(): files that hold guest data
                                     apart from metadata are not opened, reads fail */
    BDRV_O_NO_FLUSH   = 1 << 6,   /* a crash of the host may damage the image: no fdatasync() */
    BDRV_O_UNMAP      = 1 << 7,   /* space that is no longer used is given back to the host */
    BDRV_O_FORCE_SHARE = 1 << 8,  /* others may write to the image; not with BDRV_O_RDWR */
    BDRV_O_AUTO_RDONLY = 1 << 9,  /* with BDRV_O_RDWR: where the host does not let us write,
                                     the node is read-only (bdrv_is_read_only()) */
};

/* An open flag, too: of the backing images the n-th one down, 1 to BDRV_O_DEPTH_MAX, is opened
 * for writing. */
enum { BDRV_O_DEPTH_SHIFT = 16, BDRV_O_DEPTH_MAX = 4095 };
#define BDRV_O_RDWR_BELOW(n) ((n) << BDRV_O_DEPTH_SHIFT)

/* What bdrv_co_check() is to repair. */
enum {
    BDRV_CHECK_FIX_LEAKS  = 1 << 0,
    BDRV_CHECK_FIX_ERRORS = 1 << 1,
};

/* Request flags */
typedef enum BdrvRequestFlags {
    BDRV_REQ_NONE        = 0,
    BDRV_REQ_MAY_UNMAP   = 1 << 0,   /* write_zeroes may deallocate */
    BDRV_REQ_FUA         = 1 << 1,
    BDRV_REQ_NO_FALLBACK = 1 << 2,   /* write_zeroes: -ENOTSUP rather than writing buffers */
    BDRV_REQ_WRITE_COMPRESSED = 1 << 3,
    BDRV_REQ_FIRST_WRITE = 1 << 4,   /* a hint: nothing was ever written there */
} BdrvRequestFlags;

/* Block status, as a set of bits (the meaning is that of QEMU's documentation) */
enum {
    BDRV_BLOCK_DATA         = 1 << 0,   /* has data of its own to be read */
    BDRV_BLOCK_ZERO         = 1 << 1,   /* reads as zeroes */
    BDRV_BLOCK_OFFSET_VALID = 1 << 2,   /* *map is the offset in *file of the data */
    BDRV_BLOCK_RAW          = 1 << 3,   /* driver-internal: ask *file at *map instead */
    BDRV_BLOCK_ALLOCATED    = 1 << 4,   /* decided by this layer, not by its backing file */
    BDRV_BLOCK_EOF          = 1 << 5,   /* the range reaches the end of this node */
    BDRV_BLOCK_COMPRESSED   = 1 << 6,   /* stored compressed */
    BDRV_BLOCK_RECURSE      = 1 << 7,   /* driver-internal: ask *file for zeroes in the data */
};

/*
 * Opens an image with its backing chain.  format NULL: detected from content,
 * never from the name.  The result is a reference (bdrv_unref).
 */
BlockDriverState *coroutine_fn bdrv_co_open_image(const char *filename, const char *format,
                                                  int flags, GError **errp);
/* The same from a node description of the schema. */
BlockDriverState *coroutine_fn bdrv_co_open(const BlockdevOptions *options, int flags,
                                            GError **errp);
/*
 * The same from a description that may be incomplete: without drivers, with names like
 * "file.filename".  filename (NULL: options have it) is that of the image's file, or a
 * description itself ("json:...", "blkdebug:CONFIG:IMAGE"); format and options may be NULL.
 */
BlockDriverState *coroutine_fn bdrv_co_open_described(const char *filename,
                                                      const char *format,
                                                      JsonObject *options, int flags,
                                                      GError **errp);
/* An overlay over bs (a reference of its own is taken), in a temporary file that goes with
 * it. */
BlockDriverState *coroutine_fn bdrv_co_open_temporary(BlockDriverState *bs, int flags,
                                                      GError **errp);
/* A filter that stores in bs (a reference of its own is taken) what is read from its
 * backing image. */
BlockDriverState *coroutine_fn bdrv_co_open_copy_on_read(BlockDriverState *bs, GError **errp);
/* A format over a node that is open already; format NULL: detected.  Takes a
 * reference of its own on file.  A relative backing name counts from the
 * directory in file's name. */
BlockDriverState *coroutine_fn bdrv_co_open_over(BlockDriverState *file, const char *format,
                                                 int flags, GError **errp);
/* A protocol node whose content is bytes (a reference of its own is taken); it
 * cannot be written.  name is for messages. */
BlockDriverState *bdrv_new_memory(GBytes *bytes, const char *name);
/* Makes an empty image of length bytes.  What was at filename is gone.  keyval: the
 * -o options, NULL for none; parsed by the format's schema type.  On failure nothing
 * is left at filename that was not there before. */
bool coroutine_fn bdrv_co_create_image(const char *filename, const char *format,
                                       int64_t length, const char *keyval, GError **errp);
/* How large an image that convert makes of src gets, or, src NULL, an empty one of length
 * bytes; keyval as above.  The caller frees it (block_measure_info_free). */
BlockMeasureInfo *coroutine_fn bdrv_co_measure(const char *format, BlockDriverState *src,
                                               int64_t length, const char *keyval,
                                               GError **errp);
BlockDriverState *bdrv_ref(BlockDriverState *bs);
/*
 * The node has done its work: all that it and those below hold in memory is written, the
 * image marked as closed.  For whoever wants to know whether that went well; else the last
 * bdrv_unref() does it, and what goes wrong is a warning.  No more writes afterwards.
 */
int coroutine_fn bdrv_co_finish(BlockDriverState *bs, GError **errp);
/* Closes the node when the last reference goes; children follow. Not while
 * requests are in flight. NULL is fine.  In or out of a coroutine; in one it may yield if
 * the node was written to and not finished, out of one it polls. */
void bdrv_unref(BlockDriverState *bs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlockDriverState, bdrv_unref)

const char *bdrv_format_name(const BlockDriverState *bs);
/* The name it was opened by, for messages. */
const char *bdrv_filename(const BlockDriverState *bs);
int64_t bdrv_length(const BlockDriverState *bs);
bool bdrv_is_read_only(const BlockDriverState *bs);
/* The layer below that unallocated ranges are read from; NULL if none. */
BlockDriverState *bdrv_backing(const BlockDriverState *bs);
/* The node that holds this one's data and metadata; NULL for protocols. */
BlockDriverState *bdrv_file(const BlockDriverState *bs);

/* The identity of the file at path.  False if there is none that could be a node. */
bool bdrv_path_identity(const char *path, BlockIdentity *identity);
/* That of the file that holds bs; {0, 0} if not known. */
BlockIdentity bdrv_identity(const BlockDriverState *bs);
/* The protocol node that is that file, anywhere below bs or in its backing chain (not a
 * reference); NULL if none is. */
BlockDriverState *bdrv_find_file(BlockDriverState *bs, const BlockIdentity *identity);

/* True if an image just created by bdrv_co_create_image() is known to read as
 * zeroes (a file is, a block device is not). */
bool bdrv_has_zero_init(BlockDriverState *bs);
/* The name of the backing file as this node would open it; NULL if it has none. */
char *bdrv_full_backing_filename(const BlockDriverState *bs);

/*
 * Requests.  0 or -errno.  Any offset and length within the node; alignment the
 * driver needs is seen to here.  Reads of a protocol node (file) past its end
 * yield zeroes and writes there make it grow; requests to any other node past
 * its end are -EINVAL.  Writes to a node not opened with BDRV_O_RDWR: -EROFS.
 */
int coroutine_fn bdrv_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                const IOVector *iov, size_t iov_offset,
                                BdrvRequestFlags flags);
int coroutine_fn bdrv_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                 const IOVector *iov, size_t iov_offset,
                                 BdrvRequestFlags flags);
int coroutine_fn bdrv_co_pread(BlockDriverState *bs, int64_t offset, int64_t bytes,
                               void *buf, BdrvRequestFlags flags);
/*
 * Reading without copying: memory of the node that holds the bytes, and stays as it is
 * until bdrv_unpin().  -ENOTSUP: they have to be read; else as bdrv_co_preadv().
 */
typedef struct BdrvPin {
    BlockDriverState *bs;
    IOVector iov;                   /* not to be written to */
    GPtrArray *held;                /* the driver's */
} BdrvPin;
int coroutine_fn bdrv_co_pin(BlockDriverState *bs, int64_t offset, int64_t bytes,
                             BdrvPin *pin);
void bdrv_unpin(BdrvPin *pin);
int coroutine_fn bdrv_co_pwrite(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                const void *buf, BdrvRequestFlags flags);
int coroutine_fn bdrv_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset,
                                       int64_t bytes, BdrvRequestFlags flags);
/* Drivers may do with the content what they like, as long as it reads as zeroes or as
 * before.  Not a failure where it is not supported. */
int coroutine_fn bdrv_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes);
int coroutine_fn bdrv_co_flush(BlockDriverState *bs);
/* Waits until no other request of bs is under way, and holds back new ones. */
int coroutine_fn bdrv_co_truncate(BlockDriverState *bs, int64_t length,
                                  PreallocMode preallocation, GError **errp);

/*
 * What is at offset: *pnum > 0 bytes of one kind, at most bytes.  This layer and
 * the files under it only, not its backing chain.  map and file may be NULL; a
 * *file is not a reference.  The bits above or -errno.
 */
int coroutine_fn bdrv_co_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      int64_t *pnum, int64_t *map, BlockDriverState **file);
/* The same over the chain from bs down to, not including, base (NULL: all).
 * depth (may be NULL): how many layers down the range was found. */
int coroutine_fn bdrv_co_block_status_above(BlockDriverState *bs, BlockDriverState *base,
                                            int64_t offset, int64_t bytes, int64_t *pnum,
                                            int64_t *map, BlockDriverState **file,
                                            int *depth);

/* Goes through a disk from `offset` to `end` in ranges that are the same all
 * through, as `map` shows them: neighbours that are alike are one entry. */
typedef struct BlockMapIter {
    BlockDriverState *bs;
    int64_t offset;
    int64_t end;
    MapEntry *pending;
} BlockMapIter;

/* end must be within the disk. */
void bdrv_map_iter_init(BlockMapIter *iter, BlockDriverState *bs, int64_t offset,
                        int64_t end);
/* NULL at the end, or with an error.  The caller frees it (map_entry_free). */
MapEntry *coroutine_fn bdrv_map_iter_co_next(BlockMapIter *iter, GError **errp);
void bdrv_map_iter_clear(BlockMapIter *iter);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BlockMapIter, bdrv_map_iter_clear)

/* What `info` says of this node alone (not its backing chain). */
ImageInfo *coroutine_fn bdrv_co_image_info(BlockDriverState *bs, GError **errp);
/* `check`; EMBR_ERROR_UNSUPPORTED if the format has none, or cannot be repaired.  fix:
 * BDRV_CHECK_FIX_* bits, for nodes open for writing.  What is repaired is not among the
 * leaks and corruptions of the result.  The caller frees it (image_check_free). */
ImageCheck *coroutine_fn bdrv_co_check(BlockDriverState *bs, unsigned fix, GError **errp);
/* What the last check of this node found, a line of text each; NULL if nothing.
 * Taken: the caller owns it. */
GPtrArray *bdrv_take_findings(BlockDriverState *bs);
/* Internal snapshots of a node open for writing.  Alone, as bdrv_co_truncate() is.  The
 * name need not be unique; the ID is given by the driver. */
int coroutine_fn bdrv_co_snapshot_create(BlockDriverState *bs, const char *name,
                                         GError **errp);
/* The disk becomes what it was, size included. */
int coroutine_fn bdrv_co_snapshot_goto(BlockDriverState *bs, const char *id_or_name,
                                       GError **errp);
int coroutine_fn bdrv_co_snapshot_delete(BlockDriverState *bs, const char *id_or_name,
                                         GError **errp);
/* Changes options that the image was made with: "compat=0.10,size=2G".  Each of them takes
 * effect at once; if one fails, those before it stay changed. */
int coroutine_fn bdrv_co_amend(BlockDriverState *bs, const char *keyval, Progress *progress,
                               GError **errp);

/*
 * Persistent dirty bitmaps: those that the image keeps.  What is changed is in the file when
 * the node is finished; a crash before leaves them as they were, or marked as in use.
 */
typedef enum BdrvBitmapAction {
    BDRV_BITMAP_ADD,
    BDRV_BITMAP_REMOVE,
    BDRV_BITMAP_CLEAR,
    BDRV_BITMAP_ENABLE,             /* it records writes */
    BDRV_BITMAP_DISABLE,
    BDRV_BITMAP_MERGE,
} BdrvBitmapAction;

typedef struct BdrvBitmapChange {
    BdrvBitmapAction action;
    const char *name;
    uint64_t granularity;           /* ADD: bytes; 0: the default */
    const DirtyBitmap *source;      /* MERGE: of a disk of source_bytes */
    int64_t source_bytes;
} BdrvBitmapChange;

int coroutine_fn bdrv_co_change_bitmap(BlockDriverState *bs, const BdrvBitmapChange *change,
                                       GError **errp);
/* A copy of one, for the caller to free. */
DirtyBitmap *coroutine_fn bdrv_co_get_bitmap(BlockDriverState *bs, const char *name,
                                             GError **errp);
/* Records another backing image in bs, NULL: none; the nodes stay as they are, and so does
 * what is stored: what the two images differ in is the caller's business.  What was written
 * to bs before is stable before.  -EINVAL: the image cannot have that one; -ENOSPC: there is
 * no room for the name. */
int coroutine_fn bdrv_co_change_backing(BlockDriverState *bs, const char *filename,
                                        const char *format, GError **errp);
/* Nothing is stored in bs any more: its backing image shows, or zeroes.  What was written
 * elsewhere and has to be there first (commit) is the caller's to flush before. */
int coroutine_fn bdrv_co_make_empty(BlockDriverState *bs, GError **errp);
/* From now on reads show the internal snapshot with that ID or name. */
int coroutine_fn bdrv_co_load_snapshot(BlockDriverState *bs, const char *id_or_name,
                                       GError **errp);

/* The VM's state that snapshots have, as a disk of its own behind the real one.  -ENOTSUP: the
 * format has none.  What was never written reads as zeroes. */
int coroutine_fn bdrv_co_read_vm_state(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       const IOVector *iov);
int coroutine_fn bdrv_co_write_vm_state(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                        const IOVector *iov);
/* Where it is, counted from the beginning of the disk; 0 if there is none. */
int64_t bdrv_vm_state_offset(BlockDriverState *bs);

/*
 * For tests, where a blkdebug node is below bs (else -ENOTSUP): the next request with that
 * event stops there and is known as tag, until it is resumed. -ENOENT: no such event or tag.
 */
int bdrv_debug_break(BlockDriverState *bs, const char *event, const char *tag);
/* Those that have stopped go on. */
int bdrv_debug_remove_break(BlockDriverState *bs, const char *tag);
int bdrv_debug_resume(BlockDriverState *bs, const char *tag);
int coroutine_fn bdrv_debug_co_wait_for_break(BlockDriverState *bs, const char *tag);

/* Sets a digest of all the guest sees, if the image records one: images of the same
 * format with equal digests are equal.  What is recorded is taken as true; proving
 * it is the work of bdrv_co_check(). */
enum { BDRV_DIGEST_BYTES = 32 };
bool bdrv_content_digest(BlockDriverState *bs, uint8_t digest[BDRV_DIGEST_BYTES]);

/* The text of the error behind the last -errno of a request to bs or below, for
 * the message "vm.qcow2: L2 entry ... ".  NULL if there is none.  Taken: the
 * caller owns it, and the node forgets it. */
GError *bdrv_take_error(BlockDriverState *bs);
/* Drivers: say why a request fails. Keeps the first until taken; takes error. */
void bdrv_note_error(BlockDriverState *bs, GError *error);

#endif
