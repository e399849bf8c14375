/*
 * For those who write block drivers. Users of images want block.h.
 */
#ifndef EMBR_BLOCK_BLOCK_INT_H
#define EMBR_BLOCK_BLOCK_INT_H

#include "block/block.h"
#include "block/salvage.h"
#include "util/co-lock.h"
#include "qapi/qapi-types.h"
#include "util/progress.h"

/* What a format's probe sees of a file. */
enum { BDRV_PROBE_BYTES = 8192, BDRV_PROBE_RAW_SCORE = 1 };

/* What a node does to its file, and what it bears of others: bit n is byte 100 + n or, not
 * shared, 200 + n of the file, locked as QEMU does. */
enum {
    BDRV_PERM_READ   = 1 << 0,      /* reads what must not change */
    BDRV_PERM_WRITE  = 1 << 1,
    BDRV_PERM_RESIZE = 1 << 3,
};

typedef struct BlockLimits {
    uint32_t request_alignment;     /* power of two, at least 1: offsets and lengths the driver takes */
    uint32_t buffer_alignment;      /* of memory; 1 unless O_DIRECT */
    int64_t max_transfer;           /* bytes in one driver call; 0: no limit */
    int64_t zero_alignment;         /* of writes of zeroes, a multiple of request_alignment; 0: that */
    int64_t max_zero;               /* bytes in one of them; 0: no limit */
    int64_t discard_alignment;      /* the same of discards */
    int64_t max_discard;
    int64_t opt_transfer;           /* bytes that are best read at once: cluster, frame; 0: no wish */
} BlockLimits;

struct BlockDriverState {
    const BlockDriver *drv;
    void *opaque;                   /* drv->instance_size bytes, zeroed before open */
    unsigned refcount;
    char *filename;
    int open_flags;
    int64_t total_bytes;            /* set by open: the length of the disk */
    BlockLimits limits;             /* set by open; sane defaults before */
    BlockIdentity identity;         /* set by open of protocols */
    BlockDriverState *file;         /* owned references */
    BlockDriverState *data_file;    /* guest data kept apart from file; set by the driver */
    BlockDriverState *backing;
    char *backing_filename;         /* as recorded in the image; NULL if none */
    char *backing_format;           /* as recorded; NULL if not */
    unsigned in_flight;
    CoRwlock quiet;                 /* held for writing by what must be alone: see
                                       bdrv_co_truncate() */
    bool finished;                  /* bdrv_co_finish() has been */
    CoSemaphore requests;           /* bounds requests in flight */
    CoRwlock unaligned_writes;      /* held for writing while a block is read, changed, written */
    bool new_stack;                 /* deep in a chain: requests go on on a fresh coroutine */
    GError *error;                  /* see bdrv_note_error() */
    GPtrArray *findings;            /* of char *: see bdrv_add_finding() */
};

/*
 * A driver: a struct of callbacks, registered with block_init() at start-up.
 * NULL callbacks mean "has not": the block layer gives the right error or does
 * the obvious (noted below).  All offsets and lengths arriving in callbacks are
 * within the node and aligned to limits.request_alignment.
 */
struct BlockDriver {
    const char *format_name;
    bool is_protocol;               /* opens a name, not a child */
    size_t instance_size;
    bool owns_file;                 /* a format: while it is open nobody else writes to its file */
    bool has_backing;               /* a format: images can have a backing image */

    /* How sure the driver is that buf (the first len bytes of a file, at most
     * BDRV_PROBE_BYTES) is of its format: 0 (not) to 100; raw says
     * BDRV_PROBE_RAW_SCORE. */
    int (*bdrv_probe)(const uint8_t *buf, size_t len);

    /* bs->filename and bs->file (for formats) are set.  Sets total_bytes,
     * limits, backing_filename and backing_format; the block layer opens the
     * backing image after this, unless told not to. */
    int coroutine_fn (*bdrv_co_open)(BlockDriverState *bs, const BlockdevOptions *options,
                                     int flags, GError **errp);
    /* Also after an open that failed.  The block layer lets go of the children. */
    void (*bdrv_close)(BlockDriverState *bs);

    int coroutine_fn (*bdrv_co_preadv)(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       const IOVector *iov, size_t iov_offset,
                                       BdrvRequestFlags flags);
    /* See bdrv_co_pin(): adds to pin->iov, and to pin->held what bdrv_unpin is to let go;
     * after a failure, too. NULL: -ENOTSUP. */
    int coroutine_fn (*bdrv_co_pin)(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                    BdrvPin *pin);
    void (*bdrv_unpin)(BlockDriverState *bs, BdrvPin *pin);
    int coroutine_fn (*bdrv_co_pwritev)(BlockDriverState *bs, int64_t offset,
                                        int64_t bytes, const IOVector *iov,
                                        size_t iov_offset, BdrvRequestFlags flags);
    /* What BDRV_REQ_WRITE_COMPRESSED asks for.  NULL: -ENOTSUP.  Whole clusters
     * (limits.opt_transfer), but for the last one of the disk: else -EINVAL. */
    int coroutine_fn (*bdrv_co_pwritev_compressed)(BlockDriverState *bs, int64_t offset,
                                                   int64_t bytes, const IOVector *iov,
                                                   size_t iov_offset,
                                                   BdrvRequestFlags flags);
    /* NULL or -ENOTSUP: buffers of zeroes are written. */
    int coroutine_fn (*bdrv_co_pwrite_zeroes)(BlockDriverState *bs, int64_t offset,
                                              int64_t bytes, BdrvRequestFlags flags);
    /* The content is no longer needed.  What is read there afterwards is the driver's
     * choice, but only zeroes or what was there before.  NULL: nothing happens. */
    int coroutine_fn (*bdrv_co_pdiscard)(BlockDriverState *bs, int64_t offset,
                                         int64_t bytes);
    /* All that was written and has been answered is to be on stable storage. The block
     * layer flushes data_file and file afterwards.  With BDRV_O_NO_FLUSH it is called,
     * too: what a driver holds in memory goes to its file. */
    int coroutine_fn (*bdrv_co_flush)(BlockDriverState *bs);
    /* The block layer sees to it that no other request is under way. What is added
     * reads as zeroes, in front of a longer backing image, too. */
    int coroutine_fn (*bdrv_co_truncate)(BlockDriverState *bs, int64_t length,
                                         PreallocMode preallocation, GError **errp);
    /* Nodes open for writing, once, before bdrv_close(): writes all that is still in
     * memory.  Without it the image is as after a crash. */
    int coroutine_fn (*bdrv_co_finish)(BlockDriverState *bs, GError **errp);

    /* Protocols: takes locks on the host's file, see BDRV_PERM_*; those taken before are
     * let go.  NULL: there are none. */
    bool (*bdrv_set_permissions)(BlockDriverState *bs, unsigned used, unsigned unshared,
                                 GError **errp);

    /* NULL: all is data.  See bdrv_co_block_status(), which adds ALLOCATED to
     * DATA or ZERO, ZERO where neither this layer nor a backing file has data, and
     * EOF.  Neither DATA nor ZERO: the backing file decides. */
    int coroutine_fn (*bdrv_co_block_status)(BlockDriverState *bs, int64_t offset,
                                             int64_t bytes, int64_t *pnum, int64_t *map,
                                             BlockDriverState **file);

    /* Protocols: bytes taken on the host's disk, or -errno. */
    int64_t coroutine_fn (*bdrv_co_allocated_size)(BlockDriverState *bs);
    /* A newly created image reads as zeroes.  NULL: not sure. */
    bool (*bdrv_has_zero_init)(BlockDriverState *bs);

    /* Adds the format's own part to info (its format-specific member and
     * whatever of the common ones it knows). */
    int coroutine_fn (*bdrv_co_get_info)(BlockDriverState *bs, ImageInfo *info,
                                         GError **errp);
    /* fix: BDRV_CHECK_FIX_* bits, what is to be repaired; result counts what was. */
    int coroutine_fn (*bdrv_co_check)(BlockDriverState *bs, ImageCheck *result, unsigned fix,
                                      GError **errp);
    /* Internal snapshots.  The block layer sees to it that no other request is under way. */
    int coroutine_fn (*bdrv_co_snapshot_create)(BlockDriverState *bs, const char *name,
                                                GError **errp);
    int coroutine_fn (*bdrv_co_snapshot_goto)(BlockDriverState *bs, const char *id_or_name,
                                              GError **errp);
    int coroutine_fn (*bdrv_co_snapshot_delete)(BlockDriverState *bs, const char *id_or_name,
                                                GError **errp);
    /* Records another backing image, NULL: none. */
    int coroutine_fn (*bdrv_co_change_backing)(BlockDriverState *bs, const char *filename,
                                               const char *format, GError **errp);
    /* Other options, keyval of them parsed by the driver's own schema type. */
    int coroutine_fn (*bdrv_co_amend)(BlockDriverState *bs, const char *keyval,
                                      Progress *progress, GError **errp);
    /* Persistent bitmaps; see bdrv_co_change_bitmap(). */
    int coroutine_fn (*bdrv_co_change_bitmap)(BlockDriverState *bs,
                                              const BdrvBitmapChange *change, GError **errp);
    int coroutine_fn (*bdrv_co_get_bitmap)(BlockDriverState *bs, const char *name,
                                           DirtyBitmap **bits, GError **errp);
    /* Everything becomes unallocated; the backing image shows, or zeroes. */
    int coroutine_fn (*bdrv_co_make_empty)(BlockDriverState *bs, GError **errp);
    int coroutine_fn (*bdrv_co_load_snapshot)(BlockDriverState *bs, const char *id_or_name,
                                              GError **errp);
    /* From now on nothing fails for damage: what is lost reads as zeroes and is noted in
     * log, which stays the caller's; NULL: no more of that.  See block/salvage.h. */
    void (*bdrv_set_salvage)(BlockDriverState *bs, SalvageLog *log);
    /* See bdrv_content_digest(). */
    bool (*bdrv_content_digest)(BlockDriverState *bs, uint8_t digest[BDRV_DIGEST_BYTES]);

    /* Where on the disk, behind its end, the VM's state is; NULL: there is none.  Requests
     * for it are ordinary ones there. */
    int64_t (*bdrv_vm_state_offset)(BlockDriverState *bs);
    /* Makes sure that the bytes from that offset of the disk on can be written. */
    int coroutine_fn (*bdrv_co_prepare_vm_state)(BlockDriverState *bs, int64_t offset,
                                                 int64_t bytes);

    /* blkdebug's: see bdrv_co_debug_event(), bdrv_debug_break().  All or none. */
    void coroutine_fn (*bdrv_co_debug_event)(BlockDriverState *bs, BlkdebugEvent event);
    int (*bdrv_debug_break)(BlockDriverState *bs, const char *event, const char *tag);
    int (*bdrv_debug_remove_break)(BlockDriverState *bs, const char *tag);
    int (*bdrv_debug_resume)(BlockDriverState *bs, const char *tag);
    bool (*bdrv_debug_is_stopped)(BlockDriverState *bs, const char *tag);
    void coroutine_fn (*bdrv_debug_co_wait_for_stop)(BlockDriverState *bs);

    /* Makes an empty image of that many bytes at filename.  keyval holds the -o options
     * (may be NULL), parsed by the driver's own schema type.  On failure nothing is left
     * that was not there before. */
    int coroutine_fn (*bdrv_co_create)(const char *filename, int64_t length,
                                       const char *keyval, GError **errp);

    /* How large a new image for a disk of length bytes gets, with the -o options of
     * bdrv_co_create: for the content of src, whose length that is; NULL: an empty one. */
    int coroutine_fn (*bdrv_co_measure)(BlockDriverState *src, int64_t length,
                                        const char *keyval, BlockMeasureInfo *info,
                                        GError **errp);

    /* Sinks: makes the image at filename by pulling from the whole of src,
     * instead of being pushed blocks.  keyval holds the -o options, parsed by
     * the driver's own schema type.  On failure nothing is left at filename
     * that was not there before. */
    int coroutine_fn (*bdrv_co_ingest)(const char *filename, BlockDriverState *src,
                                       const char *keyval, Progress *progress,
                                       GError **errp);
};

void bdrv_register(BlockDriver *drv);
const BlockDriver *bdrv_find_driver(const char *format_name);
/* Calls func for every registered driver, in order of name. */
void bdrv_foreach_driver(void (*func)(const BlockDriver *drv, void *opaque), void *opaque);

/* A node without children, not open yet, with sane limits; takes file (may be
 * NULL).  For drivers and tests that make nodes by other means than a name. */
BlockDriverState *bdrv_new_node(const BlockDriver *drv, const char *filename, int flags,
                                BlockDriverState *file);

/* The identity of the file that st is of.  False if it cannot be a node. */
struct stat;
bool bdrv_stat_identity(const struct stat *st, BlockIdentity *identity);

/* The bare file of that name; a relative one counts from parent's directory. */
BlockDriverState *coroutine_fn bdrv_co_open_child(BlockDriverState *parent, const char *name,
                                                  int flags, GError **errp);

/* Drivers, during a check: what is wrong, as a line of text; names from the image may be
 * any bytes, they are escaped.  Of very many only the first are kept. */
void bdrv_add_finding(BlockDriverState *bs, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Around what a driver is asked to do. */
void coroutine_fn bdrv_co_begin_request(BlockDriverState *bs);
void coroutine_fn bdrv_co_end_request(BlockDriverState *bs);

/* Between these two there is no other request of bs, nor does one begin. */
void coroutine_fn bdrv_co_begin_alone(BlockDriverState *bs);
void coroutine_fn bdrv_co_end_alone(BlockDriverState *bs);

/* False, with an error that says what cannot be done ("cannot be resized"). */
bool bdrv_check_writable(BlockDriverState *bs, const char *what, GError **errp);

/* Drivers say what they are about to do with a file, for a blkdebug node that it may be: it
 * may stop there, and requests that follow may fail.  bs may be NULL. */
void coroutine_fn bdrv_co_debug_event(BlockDriverState *bs, BlkdebugEvent event);

/* Whether flushes of the host's files are wanted; false with BDRV_O_NO_FLUSH. */
bool bdrv_wants_flush(const BlockDriverState *bs);

/* In a driver's file, once: block_init(bdrv_qcow2) */
#define block_init(driver)                                                            \
    static void __attribute__((constructor)) register_##driver(void)                  \
    {                                                                                 \
        bdrv_register(&driver);                                                       \
    }

#endif
