/*
 * Writing qcow2 images: what its files share. docs/qcow2.md says how it all fits.
 *
 *   qcow2-writer.c       opening for writing, closing; marks in the header
 *   qcow2-header-write.c the header written anew; another backing file
 *   qcow2-alloc.c        reference counts in memory, clusters taken and given back
 *   qcow2-reftable.c     the refcount table and its growth
 *   qcow2-checkpoint.c   in which order what is in memory gets into the file
 *   qcow2-table.c        L2 tables that are the active disk's own; their entries
 *   qcow2-range.c        writes in flight
 *   qcow2-write.c        writing data, copy on write
 *   qcow2-zero.c         zeroes, discards
 *   qcow2-compress.c     compressed writes
 *   qcow2-deflate.c      the compressors
 *   qcow2-resize.c       other sizes; preallocation
 *   qcow2-create.c       new images
 *   qcow2-measure.c      how large new images get
 *   qcow2-bitmaps.c      persistent bitmaps kept up to date, and changed
 *   qcow2-amend.c        other options
 *   qcow2-rewidth.c      refcounts of another width
 *   qcow2-expand.c       no zero clusters any more
 *   qcow2-repair.c       repairs after a check
 *   qcow2-switch.c       changes of many tables that take effect at once
 *   qcow2-snapshots.c    snapshots made, applied, deleted
 */
#ifndef EMBR_BLOCK_QCOW2_WRITER_H
#define EMBR_BLOCK_QCOW2_WRITER_H

#include "qcow2.h"

/* One reference less to each cluster, as soon as the file no longer has the reference. */
typedef struct Qcow2Free {
    uint64_t offset;
    uint64_t clusters;
} Qcow2Free;

typedef struct Qcow2Range {
    uint64_t start, end;            /* of the guest's disk */
    bool exclusive;
    GList link;
} Qcow2Range;

struct Qcow2Writer {
    /* Reference counts; alloc_lock for all that changes them. */
    CoMutex alloc_lock;
    uint64_t *refcount_table;       /* host order */
    uint64_t refcount_entries;
    bool *refcount_table_dirty;     /* by sector of the table */
    unsigned block_bits;            /* a refcount block has 1 << block_bits counts */
    Qcow2Cache *refcounts;
    uint64_t free_hint;             /* no free cluster before this one, or hardly any */
    uint64_t alloc_end;             /* offset: nothing in use in the file from there on */
    uint64_t compressed_at;         /* offset at which the next compressed data goes; 0: none */
    GHashTable *tables;             /* clusters of L2 tables and refcount blocks */

    /* What waits for a checkpoint. */
    GArray *frees;                  /* of Qcow2Free */
    uint64_t free_clusters;         /* in frees, of all */
    bool *l1_dirty;                 /* by sector of the L1 table */
    CoMutex refcount_write_lock;    /* of refcount blocks and table on their way to the file */
    CoMutex checkpoint_lock;
    uint64_t checkpoints_begun, checkpoints_done;
    CoMutex barrier_lock;
    bool unflushed;                 /* something was written since the last flush began */

    CoMutex table_lock;             /* of changes in the L1 table */
    GQueue ranges;                  /* of Qcow2Range; writes in flight */
    CoQueue range_waiters;

    /* Reads under way, by parity of epoch: what is freed is not used again before those
     * that may look at it have ended. */
    uint64_t epoch;
    unsigned readers[2];
    CoQueue reader_waiters;

    GPtrArray *bitmaps;             /* of Qcow2Bitmap; NULL: they are not looked at */
    GPtrArray *removed_bitmaps;     /* still in the file */
    bool bitmaps_to_mark;           /* some are, in the file, not yet in use */
    bool bitmaps_to_store;

    bool switching;                 /* refcount_table is not yet that of the file */
    bool lazy;                      /* refcounts are written when the image is closed */
    bool dirty;                     /* the header has the dirty bit */
    bool corrupt;                   /* no more writes */
    bool corrupt_marked;            /* and the header says so */
    CoMutex header_lock;
    GByteArray *header_before;      /* what was there before a write that failed; NULL: none did */
    size_t header_before_offset;
};

static inline uint64_t qcow2_clusters(const Qcow2State *s, uint64_t bytes)
{
    return div_round_up(bytes, s->cluster_bytes);
}

/* --- qcow2-writer.c --- */

/* For a node open for writing, when all else is open. */
int coroutine_fn qcow2_co_writer_open(BlockDriverState *bs, GError **errp);
void qcow2_writer_free(Qcow2Writer *w);
/* Which clusters are tables is looked up anew. */
void qcow2_note_tables(Qcow2State *s);
/* Reads the refcount table anew; what is in memory of the counts is forgotten. */
int coroutine_fn qcow2_co_reload_refcounts(BlockDriverState *bs, GError **errp);
int coroutine_fn qcow2_co_finish(BlockDriverState *bs, GError **errp);

/* Before anything is changed: 0, or -EIO for a corrupt image.  Sets the dirty bit where that
 * must be, and makes a checkpoint if much is waiting. */
int coroutine_fn qcow2_co_begin_change(BlockDriverState *bs);

/* Writes those bytes of the header; flushes before and after.  After a failure the header is
 * to be as it was: the next change sees to that first. */
int coroutine_fn qcow2_co_write_header(BlockDriverState *bs, size_t offset, const void *data,
                                       size_t bytes);
int coroutine_fn qcow2_co_settle_header(BlockDriverState *bs);
/* The feature bits in s->header. */
int coroutine_fn qcow2_co_write_features(BlockDriverState *bs);
int coroutine_fn qcow2_co_set_dirty_bit(BlockDriverState *bs, bool dirty);
/* The mark in the header, for images that qcow2_found_corrupt() said it of. */
void coroutine_fn qcow2_co_mark_corrupt(BlockDriverState *bs);
/* The same, with an error noted: metadata would be overwritten, counts are off. -EIO. */
int qcow2_refuse(BlockDriverState *bs, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The reason for ret that a node noted, or the text of ret, as an error of the image with what
 * could not be done.  Returns ret. */
int qcow2_fail(BlockDriverState *bs, int ret, const char *what, GError **errp);

/* What the metadata there is, of the tables that are known; NULL: none. */
const char *qcow2_metadata_at(BlockDriverState *bs, uint64_t offset, uint64_t bytes);

/* --- qcow2-header-write.c --- */

void qcow2_add_extension(GByteArray *out, uint32_t type, const void *data, size_t len);
/* The beginning of a file with this header: what is not recorded in h is as in a new image.
 * NULL: it is larger than a cluster. */
GByteArray *qcow2_header_compose(const Qcow2Header *h);
/* The image's header becomes *h, which gets the old one in exchange; with what the old one
 * referred to and the new one does not, the caller deals.  -ENOSPC: it is larger than a
 * cluster.  After a failure the file has either header; s->header says which. */
int coroutine_fn qcow2_co_replace_header(BlockDriverState *bs, Qcow2Header *h);
/* The same for what has no length and is in the first sector: not the version, the names and
 * the extensions. */
int coroutine_fn qcow2_co_replace_fields(BlockDriverState *bs, Qcow2Header *h);
int coroutine_fn qcow2_co_change_backing(BlockDriverState *bs, const char *filename,
                                         const char *format, GError **errp);

/* --- qcow2-alloc.c --- */

/* Clusters in a row, counted once. The offset or -errno. */
int64_t coroutine_fn qcow2_co_alloc(BlockDriverState *bs, uint64_t clusters);
/* Room for several pieces of compressed data; offsets[i] is where the piece of sizes[i]
 * bytes goes. */
int coroutine_fn qcow2_co_alloc_bytes(BlockDriverState *bs, const uint32_t *sizes,
                                      unsigned n, uint64_t *offsets);
/* One reference less to the clusters that the bytes touch, from the next checkpoint on. */
void qcow2_free_later(BlockDriverState *bs, uint64_t offset, uint64_t bytes);
/* At once.  With alloc_lock. */
int coroutine_fn qcow2_co_apply_free(BlockDriverState *bs, const Qcow2Free *f);
/* The count of a cluster; with alloc_lock, as the next ones. */
int coroutine_fn qcow2_co_get_refcount(BlockDriverState *bs, uint64_t cluster,
                                       uint64_t *refcount);
int coroutine_fn qcow2_co_set_refcount(BlockDriverState *bs, uint64_t cluster,
                                       uint64_t refcount);
/* Adds to the counts of all clusters that the bytes touch. */
int coroutine_fn qcow2_co_add_refcount(BlockDriverState *bs, uint64_t offset, uint64_t bytes,
                                       int64_t change);
/* One less; where that would be 0, only when nothing refers to it for sure, from the next
 * checkpoint on. */
int coroutine_fn qcow2_co_drop_refcount(BlockDriverState *bs, uint64_t offset, uint64_t bytes);
/* The first of n free clusters in a row, from `from` on, none of them in [avoid_start,
 * avoid_end). */
int coroutine_fn qcow2_co_find_free(BlockDriverState *bs, uint64_t n, uint64_t from,
                                    uint64_t avoid_start, uint64_t avoid_end,
                                    uint64_t *cluster);

/* --- qcow2-reftable.c --- */

uint64_t qcow2_refcount_block(const Qcow2Writer *w, uint64_t cluster);
/* The slice that counts the cluster, and where in it; its block exists. */
int coroutine_fn qcow2_co_get_refcount_slice(BlockDriverState *bs, uint64_t cluster,
                                             Qcow2Slice **slice, uint64_t *index);
/* Makes the blocks that count [first, first + n), which are free. */
int coroutine_fn qcow2_co_need_blocks(BlockDriverState *bs, uint64_t first, uint64_t n);
/* A table of at least so many entries; with alloc_lock. */
int coroutine_fn qcow2_co_grow_refcount_table(BlockDriverState *bs, uint64_t entries);
/* Writes refcount blocks, then table; which may be done at any time. */
int coroutine_fn qcow2_co_write_refcounts(BlockDriverState *bs);

/* --- qcow2-checkpoint.c --- */

/* All that was in memory before is written, and stable but for the last step: that takes
 * another flush. */
int coroutine_fn qcow2_co_checkpoint(BlockDriverState *bs);
/* Everything, lazy refcounts too, and again until nothing waits. */
int coroutine_fn qcow2_co_write_all(BlockDriverState *bs);
/* Between steps: what was written is stable. */
int coroutine_fn qcow2_co_barrier(BlockDriverState *bs);
int coroutine_fn qcow2_co_flush(BlockDriverState *bs);

/* --- qcow2-table.c --- */

/* Makes sure that the L2 table of the guest's offset exists and is the active disk's own. */
int coroutine_fn qcow2_co_own_table(BlockDriverState *bs, uint64_t offset);

/* Some entries of an L2 table. */
typedef struct Qcow2Entries {
    Qcow2Slice *slice;              /* pinned */
    uint64_t guest_offset;          /* of the cluster of the first entry */
    unsigned index;                 /* of the first one in the slice */
    unsigned count;                 /* that follow in the slice */
} Qcow2Entries;

/* The entries from that of offset on, in a table that is the disk's own. */
int coroutine_fn qcow2_co_get_entries(BlockDriverState *bs, uint64_t offset,
                                      Qcow2Entries *entries);
void qcow2_put_entries(Qcow2Entries *entries);
uint64_t qcow2_entry(const Qcow2State *s, const Qcow2Entries *entries, unsigned i,
                     uint64_t *bitmap);
void qcow2_set_entry(Qcow2State *s, const Qcow2Entries *entries, unsigned i, uint64_t entry,
                     uint64_t bitmap);
/* What the entry refers to has one reference less. */
void qcow2_free_entry(BlockDriverState *bs, uint64_t entry);

void qcow2_l1_set(Qcow2State *s, uint64_t index, uint64_t entry);

/* --- qcow2-range.c --- */

/* Waits until no range in flight conflicts, and returns false if that took a while: what was
 * known of the disk has to be looked up again.  True: the range is in flight now. */
bool coroutine_fn qcow2_co_range_begin(Qcow2Writer *w, Qcow2Range *range, uint64_t start,
                                       uint64_t end, bool exclusive);
void qcow2_range_end(Qcow2Writer *w, Qcow2Range *range);

/* Reads: begin gives what end takes. */
uint64_t qcow2_read_begin(Qcow2State *s);
void qcow2_read_end(Qcow2State *s, uint64_t epoch);
/* Until all reads have ended that are under way. */
void coroutine_fn qcow2_co_wait_for_readers(Qcow2Writer *w);

/* --- qcow2-write.c, qcow2-zero.c, qcow2-compress.c --- */

int coroutine_fn qcow2_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                  const IOVector *iov, size_t iov_offset,
                                  BdrvRequestFlags flags);
int coroutine_fn qcow2_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                        BdrvRequestFlags flags);
int coroutine_fn qcow2_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes);
/* Whole clusters become unallocated, as if never written. */
int coroutine_fn qcow2_co_forget(BlockDriverState *bs, uint64_t offset, uint64_t bytes);
int coroutine_fn qcow2_co_pwritev_compressed(BlockDriverState *bs, int64_t offset,
                                             int64_t bytes, const IOVector *iov,
                                             size_t iov_offset, BdrvRequestFlags flags);

/* Compresses to at most out_bytes; 0: it does not fit.  Any thread. */
size_t qcow2_deflate(Qcow2Compression compression, const void *in, size_t in_bytes,
                     void *out, size_t out_bytes);

/* --- qcow2-repair.c --- */

/* All copied flags of the active disk become what the stored counts say. */
int coroutine_fn qcow2_co_fix_copied(BlockDriverState *bs);

/* --- qcow2-amend.c, qcow2-rewidth.c, qcow2-expand.c --- */

int coroutine_fn qcow2_co_amend(BlockDriverState *bs, const char *keyval, Progress *progress,
                                GError **errp);
/* Refcounts of 1 << order bits; takes effect with one write of the header. */
int coroutine_fn qcow2_co_set_refcount_order(BlockDriverState *bs, unsigned order,
                                             Progress *progress, GError **errp);
/* What is marked as zeroes becomes unallocated or, over a backing image, is written; of the
 * disk and of all snapshots. */
int coroutine_fn qcow2_co_expand_zeroes(BlockDriverState *bs, Progress *progress,
                                        GError **errp);

/* --- qcow2-bitmaps.c --- */

static inline GPtrArray *qcow2_writer_bitmaps(const Qcow2State *s)
{
    return s->writer->bitmaps;
}

/* Loads those that record writes. */
int coroutine_fn qcow2_co_open_bitmaps(BlockDriverState *bs, GError **errp);
/* Before the first change: what records writes, or all, is no longer true in the file. */
int coroutine_fn qcow2_co_mark_bitmaps(BlockDriverState *bs, bool all);
/* At the end they are written, and are true again. */
int coroutine_fn qcow2_co_store_bitmaps(BlockDriverState *bs, GError **errp);
/* The range is going to change. */
void qcow2_record_dirty(BlockDriverState *bs, uint64_t offset, uint64_t bytes);
/* Before and after the disk gets another size. */
int coroutine_fn qcow2_co_prepare_bitmap_resize(BlockDriverState *bs, uint64_t size,
                                                GError **errp);
void qcow2_resize_bitmaps(BlockDriverState *bs);
int coroutine_fn qcow2_co_change_bitmap(BlockDriverState *bs, const BdrvBitmapChange *change,
                                        GError **errp);

/* --- qcow2-switch.c --- */

typedef struct Qcow2Switch {
    BlockDriverState *bs;
    Qcow2Header header;             /* what it will be */
    uint64_t *l1;                   /* of the active disk then; host order */
    uint32_t l1_size;
    bool keeps_l1;                  /* the old L1 table is somebody else's then */
    uint64_t *old_table;            /* the refcount table */
    uint64_t table_offset;          /* of the new one; 0: none yet */
    GArray *blocks;                 /* of int64_t: offsets, set aside for refcount blocks */
} Qcow2Switch;

/* All that waits is written first.  clusters: how many may be allocated until the commit, at
 * most.  After a failure, of this and the next ones, qcow2_co_switch_abort(). */
int coroutine_fn qcow2_co_switch_begin(Qcow2Switch *sw, BlockDriverState *bs,
                                       uint64_t clusters);
/* Another reference to, or one less, all that an L1 table leads to.  -ERANGE: the count would
 * be more than can be told. */
int coroutine_fn qcow2_co_switch_ref(Qcow2Switch *sw, const uint64_t *l1, uint32_t l1_size);
int coroutine_fn qcow2_co_switch_unref(Qcow2Switch *sw, const uint64_t *l1, uint32_t l1_size);
/* A copy of this becomes the active L1 table. */
void qcow2_switch_set_l1(Qcow2Switch *sw, const uint64_t *l1, uint32_t l1_size);
/* When the counts are what they will be: copied flags of the active disk fit them. */
int coroutine_fn qcow2_co_switch_fix_copied(Qcow2Switch *sw);
int coroutine_fn qcow2_co_switch_commit(Qcow2Switch *sw);
/* The image is as it was; also after a commit, which it leaves alone. */
void coroutine_fn qcow2_co_switch_abort(Qcow2Switch *sw);

/* --- qcow2-snapshots.c --- */

int coroutine_fn qcow2_co_snapshot_create(BlockDriverState *bs, const char *name,
                                          GError **errp);
int coroutine_fn qcow2_co_snapshot_goto(BlockDriverState *bs, const char *id_or_name,
                                        GError **errp);
int coroutine_fn qcow2_co_snapshot_delete(BlockDriverState *bs, const char *id_or_name,
                                          GError **errp);

/* --- qcow2-resize.c, qcow2-create.c --- */

int coroutine_fn qcow2_co_truncate(BlockDriverState *bs, int64_t length,
                                   PreallocMode preallocation, GError **errp);
int coroutine_fn qcow2_co_make_empty(BlockDriverState *bs, GError **errp);
int coroutine_fn qcow2_co_create(const char *filename, int64_t length, const char *keyval,
                                 GError **errp);

/* What is made. */
typedef struct Qcow2NewImage {
    const char *filename;           /* NULL: for errors only, and there they are without it */
    const BlockdevCreateOptionsQcow2 *o;
    /* Set by qcow2_new_image_parse(): */
    uint64_t size;
    uint32_t version;
    uint32_t cluster_bits;
    uint32_t refcount_order;
    Qcow2Compression compression;
    PreallocMode preallocation;
} Qcow2NewImage;

/* Checks the options n->o; length: of the disk, -1: as they say. */
bool qcow2_new_image_parse(Qcow2NewImage *n, int64_t length, GError **errp);

/* --- qcow2-measure.c --- */

int coroutine_fn qcow2_co_measure(BlockDriverState *src, int64_t length, const char *keyval,
                                  BlockMeasureInfo *info, GError **errp);

#endif
