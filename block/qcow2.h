/*
 * qcow2: what its files share.
 *
 *   qcow2.c              the driver: open, close
 *   qcow2-header.c       header, header extensions: parsed
 *   qcow2-cache.c        L2 tables in memory
 *   qcow2-cluster.c      guest offset -> extent
 *   qcow2-read.c         reading, several extents at once
 *   qcow2-compressed.c   compressed clusters
 *   qcow2-inflate.c      the decompressors
 *   qcow2-status.c       block status
 *   qcow2-snapshot.c     the snapshot table
 *   qcow2-bitmap.c       persistent bitmaps: the directory, reading them
 *   qcow2-info.c         what `info` says
 *   qcow2-refcount.c     reference counts as stored
 *   qcow2-check.c        recount and compare
 */
#ifndef EMBR_BLOCK_QCOW2_H
#define EMBR_BLOCK_QCOW2_H

#include "block/block-int.h"
#include "block/dirty-bitmap.h"
#include "qcow2-format.h"

/* The header and its extensions, checked and in host order. */
typedef struct Qcow2Header {
    uint32_t version;
    uint32_t cluster_bits;
    uint64_t size;
    uint64_t l1_table_offset;
    uint32_t l1_size;
    uint64_t refcount_table_offset;
    uint32_t refcount_table_clusters;
    uint32_t nb_snapshots;
    uint64_t snapshots_offset;
    uint64_t incompatible_features;
    uint64_t compatible_features;
    uint64_t autoclear_features;
    uint32_t refcount_order;
    uint32_t header_length;
    Qcow2Compression compression;
    char *backing_file;             /* NULL: none */
    char *backing_format;           /* NULL: not recorded */
    char *data_file;                /* NULL: not recorded */
    uint32_t nb_bitmaps;            /* 0: no bitmaps, or they cannot be trusted */
    uint64_t bitmap_directory_offset;
    uint64_t bitmap_directory_bytes;
    GByteArray *unknown_fields;     /* of the header, behind those above; NULL: none */
    GByteArray *unknown_extensions; /* as they are in the file, one after the other; NULL: none */
    uint64_t extensions_end;        /* where the list of extensions ends */
    uint64_t backing_file_offset;   /* of the name; 0: none */
} Qcow2Header;

/* buf holds the first len bytes of the file, enough if len is the smaller of
 * the file's size and the cluster size.  name is the file's, for messages. */
bool qcow2_header_parse(Qcow2Header *header, const uint8_t *buf, size_t len,
                        uint64_t file_bytes, const char *name, GError **errp);
/* How many bytes qcow2_header_parse() wants, from the first
 * QCOW2_V2_HEADER_BYTES; 0 if they are no qcow2 header. */
size_t qcow2_header_bytes_wanted(const uint8_t *buf, size_t len);
void qcow2_header_clear(Qcow2Header *header);
void qcow2_header_copy(Qcow2Header *copy, const Qcow2Header *header);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2Header, qcow2_header_clear)

typedef struct Qcow2Cache Qcow2Cache;
typedef struct Qcow2CompressedCache Qcow2CompressedCache;
typedef struct Qcow2Writer Qcow2Writer;

typedef struct Qcow2Snapshot {
    uint64_t l1_table_offset;
    uint32_t l1_size;
    char *id;
    char *name;
    uint32_t date_sec;
    uint32_t date_nsec;
    uint64_t vm_clock_nsec;
    uint64_t vm_state_size;
    uint64_t disk_size;
    bool has_icount;
    uint64_t icount;
    GBytes *unknown_extra;          /* extra data behind what is known; NULL: none */
} Qcow2Snapshot;

typedef enum Qcow2Preallocated {
    QCOW2_PREALLOCATED_UNKNOWN,
    QCOW2_PREALLOCATED_NO,
    QCOW2_PREALLOCATED_YES,
} Qcow2Preallocated;

typedef struct Qcow2State {
    Qcow2Header header;
    uint32_t cluster_bytes;
    unsigned l2_entry_bytes;        /* 8, or 16 if extended */
    unsigned l2_bits;               /* an L2 table has 1 << l2_bits entries */
    unsigned subcluster_bits;       /* as cluster_bits if not extended */
    unsigned subclusters;           /* of a cluster: 1 or 32 */
    uint64_t *l1_table;             /* of the disk, or the snapshot, that is shown; host order */
    uint32_t l1_size;
    Qcow2Cache *l2_cache;
    Qcow2CompressedCache *compressed;
    Qcow2Preallocated preallocated;
    Qcow2Writer *writer;            /* NULL: open for reading only */
} Qcow2State;

static inline bool qcow2_has_extended_l2(const Qcow2State *s)
{
    return s->header.incompatible_features & QCOW2_INCOMPAT_EXTENDED_L2;
}

static inline bool qcow2_data_file_is_raw(const Qcow2State *s)
{
    return s->header.autoclear_features & QCOW2_AUTOCLEAR_DATA_FILE_RAW;
}

static inline bool qcow2_has_data_file(const Qcow2State *s)
{
    return s->header.incompatible_features & QCOW2_INCOMPAT_DATA_FILE;
}

/* Where the file ends, or will once all that is in memory is written. */
uint64_t qcow2_file_end(BlockDriverState *bs);

/* The node that holds guest data. */
static inline BlockDriverState *qcow2_data_node(BlockDriverState *bs)
{
    return bs->data_file ? bs->data_file : bs->file;
}

/* Reads a table of entries of 64 bits into host order; checks that all of it
 * lies in the file.  what is for messages: "L1 table". */
uint64_t *coroutine_fn qcow2_co_read_table(BlockDriverState *bs, uint64_t offset,
                                           uint64_t entries, const char *what,
                                           GError **errp);

/* --- qcow2-cache.c --- */

/* A slice of an L2 table or refcount block.  Raw bytes, big-endian. */
typedef struct Qcow2Slice {
    uint64_t offset;
    unsigned pins;
    bool loading;
    bool dirty;                     /* changed since it was written, or is being */
    bool dropped;                   /* no longer in the cache */
    int ret;
    CoQueue waiters;
    GList link;
    uint8_t data[];
} Qcow2Slice;

/* A slice as it was when it was to be written. */
typedef struct Qcow2SliceCopy {
    Qcow2Slice *slice;              /* pinned */
    uint8_t data[];
} Qcow2SliceCopy;

/* max_bytes: of all slices together; load, update: what reads and writes of them are for
 * blkdebug. */
Qcow2Cache *qcow2_cache_new(size_t slice_bytes, uint64_t max_bytes, BlkdebugEvent load,
                            BlkdebugEvent update);
void qcow2_cache_free(Qcow2Cache *cache);
/* Forgets all, dirty ones too. */
void qcow2_cache_clear(Qcow2Cache *cache);
size_t qcow2_cache_slice_bytes(const Qcow2Cache *cache);
/* The slice at that offset of file, which the caller has checked; pinned until
 * qcow2_cache_put().  Loads it once for all who ask. 0 or -errno. */
int coroutine_fn qcow2_cache_co_get(Qcow2Cache *cache, BlockDriverState *file,
                                    uint64_t offset, Qcow2Slice **slice);
void qcow2_cache_put(Qcow2Slice *slice);
/* A slice of zeroes at a place that was just allocated; dirty, and pinned. */
Qcow2Slice *qcow2_cache_new_slice(Qcow2Cache *cache, uint64_t offset);
void qcow2_cache_set_dirty(Qcow2Cache *cache, Qcow2Slice *slice);
/* Forgets what is in that range of the file, which begins with a slice. */
void qcow2_cache_drop(Qcow2Cache *cache, uint64_t offset, uint64_t bytes);
bool qcow2_cache_is_clean(const Qcow2Cache *cache);
/* So much is dirty that it should be written. */
bool qcow2_cache_is_crowded(const Qcow2Cache *cache);
/* Copies of all dirty slices, of Qcow2SliceCopy, in the order of the file; the slices count
 * as clean. */
GPtrArray *qcow2_cache_take_dirty(Qcow2Cache *cache);
int coroutine_fn qcow2_cache_co_write_copies(const Qcow2Cache *cache, BlockDriverState *file,
                                             const GPtrArray *copies);
/* Not written: the slices are dirty again. */
void qcow2_cache_free_copies(Qcow2Cache *cache, GPtrArray *copies, bool written);

/* Something that a sound image has not was found in it: from now on it is not written to. */
void qcow2_found_corrupt(BlockDriverState *bs);

/* --- qcow2-cluster.c --- */

typedef enum Qcow2ExtentType {
    QCOW2_EXTENT_UNALLOCATED,       /* the backing image's, or zeroes */
    QCOW2_EXTENT_ZERO,
    QCOW2_EXTENT_DATA,
    QCOW2_EXTENT_COMPRESSED,
    QCOW2_EXTENT_INVALID,
} Qcow2ExtentType;

/* A run of the guest's disk that is of one kind. */
typedef struct Qcow2Extent {
    Qcow2ExtentType type;
    bool has_host;                  /* space is set aside for it at host_offset */
    bool copied;                    /* and is this disk's alone */
    uint64_t host_offset;           /* of the first byte; compressed: of the compressed data */
    uint64_t bytes;
    uint32_t compressed_bytes;      /* at most; compressed data ends where it ends */
} Qcow2Extent;

/* What an L2 entry says of the cluster at guest_offset, from subcluster sc on.
 * Sets all but bytes, and count to how many subclusters alike follow (at least
 * 1).  Returns NULL or, for QCOW2_EXTENT_INVALID, what was found and what was
 * expected. */
const char *qcow2_decode_entry(BlockDriverState *bs, uint64_t guest_offset, uint64_t entry,
                               uint64_t bitmap, unsigned sc, Qcow2Extent *extent,
                               unsigned *count);

/* 0, or -EIO and a noted error if an L1 entry that is not 0 is no place of an L2 table. */
int qcow2_check_l1_entry(BlockDriverState *bs, uint64_t l1_index, uint64_t entry,
                         uint64_t guest_offset);

/* The extent at offset, which lies in the disk; at most bytes of it. Compressed
 * extents end with their cluster. 0 or -errno, with a noted error. */
int coroutine_fn qcow2_co_get_extent(BlockDriverState *bs, uint64_t offset, uint64_t bytes,
                                     Qcow2Extent *extent);

/* --- qcow2-compressed.c and qcow2-inflate.c --- */

enum { QCOW2_COMPRESSED_RUN_MAX = 64 };

/* Whole compressed clusters that follow each other in the guest's disk. */
typedef struct Qcow2CompressedRun {
    unsigned count;
    uint64_t guest_offset;          /* of the first */
    struct {
        uint64_t host_offset;
        uint32_t bytes;
    } clusters[QCOW2_COMPRESSED_RUN_MAX];
} Qcow2CompressedRun;

Qcow2CompressedCache *qcow2_compressed_cache_new(uint32_t cluster_bytes);
void qcow2_compressed_cache_free(Qcow2CompressedCache *cache);
/* Forgets what was stored in that range of the file. */
void qcow2_compressed_cache_drop(Qcow2CompressedCache *cache, uint64_t offset,
                                 uint64_t bytes);

/* True if the cluster may join the run, which then has it. */
bool qcow2_compressed_run_add(Qcow2CompressedRun *run, uint32_t cluster_bytes,
                              uint64_t guest_offset, const Qcow2Extent *extent);
int coroutine_fn qcow2_co_read_compressed_run(BlockDriverState *bs,
                                              const Qcow2CompressedRun *run,
                                              const IOVector *iov, size_t iov_offset);
/* Part of one compressed cluster, through the cache. */
int coroutine_fn qcow2_co_read_compressed_part(BlockDriverState *bs, uint64_t guest_offset,
                                               const Qcow2Extent *extent,
                                               const IOVector *iov, size_t iov_offset);

/* Decompresses exactly out_bytes; what follows the compressed data in `in` is
 * ignored.  False if it yields fewer or is damaged. Any thread. */
bool qcow2_inflate(Qcow2Compression compression, const void *in, size_t in_bytes, void *out,
                   size_t out_bytes);

/* --- qcow2-read.c, qcow2-status.c --- */

int coroutine_fn qcow2_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                 const IOVector *iov, size_t iov_offset,
                                 BdrvRequestFlags flags);
int coroutine_fn qcow2_co_block_status(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       int64_t *pnum, int64_t *map,
                                       BlockDriverState **file);

/* --- qcow2-snapshot.c --- */

void qcow2_snapshot_free(Qcow2Snapshot *snapshot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Qcow2Snapshot, qcow2_snapshot_free)
/* The snapshot table, of Qcow2Snapshot; end_offset (may be NULL): where it ends
 * in the file. */
GPtrArray *coroutine_fn qcow2_co_read_snapshots(BlockDriverState *bs, uint64_t *end_offset,
                                                GError **errp);
/* By ID first, then by name.  NULL, and an error: there is none, or it breaks limits. */
Qcow2Snapshot *qcow2_find_snapshot(BlockDriverState *bs, const GPtrArray *snapshots,
                                   const char *id_or_name, GError **errp);
/* Its L1 table, in host order. */
uint64_t *coroutine_fn qcow2_co_read_snapshot_l1(BlockDriverState *bs,
                                                 const Qcow2Snapshot *snapshot,
                                                 GError **errp);
int coroutine_fn qcow2_co_load_snapshot(BlockDriverState *bs, const char *id_or_name,
                                        GError **errp);

/* --- qcow2-bitmap.c --- */

typedef struct Qcow2Bitmap {
    char *name;
    uint64_t table_offset;
    uint32_t table_size;            /* entries */
    uint32_t flags;
    unsigned granularity_bits;
    GBytes *extra;                  /* what nobody knows yet; NULL: none */
    uint64_t flags_offset;          /* in the file; 0: it is not there yet */
    DirtyBitmap *bits;              /* NULL: not loaded */
    bool changed;                   /* bits are not those in the file */
    bool marked;                    /* as being in use, by us */
} Qcow2Bitmap;

void qcow2_bitmap_free(Qcow2Bitmap *bitmap);
/* The bitmap directory, of Qcow2Bitmap; empty if there is none. */
GPtrArray *coroutine_fn qcow2_co_read_bitmaps(BlockDriverState *bs, GError **errp);
Qcow2Bitmap *qcow2_find_bitmap(const GPtrArray *bitmaps, const char *name);
/* NULL, and an error in QEMU's words: there is none, or it cannot be used. */
Qcow2Bitmap *qcow2_require_bitmap(const GPtrArray *bitmaps, const char *name, GError **errp);
/* How many entries the table of a bitmap has. */
uint64_t qcow2_bitmap_table_size(const Qcow2State *s, const DirtyBitmap *bits);
/* Whether what is in it may be taken as true. */
bool qcow2_bitmap_is_usable(const Qcow2Bitmap *bitmap);
/* Loads the bits, unless they are: of a bitmap that is usable. */
bool coroutine_fn qcow2_co_load_bits(BlockDriverState *bs, Qcow2Bitmap *bitmap, GError **errp);
int coroutine_fn qcow2_co_get_bitmap(BlockDriverState *bs, const char *name,
                                     DirtyBitmap **bits, GError **errp);

/* --- qcow2-info.c, qcow2-check.c --- */

int coroutine_fn qcow2_co_get_info(BlockDriverState *bs, ImageInfo *info, GError **errp);
int coroutine_fn qcow2_co_check(BlockDriverState *bs, ImageCheck *result, unsigned fix,
                                GError **errp);

/* --- qcow2-refcount.c --- */

/* Walks over the stored reference counts, in order of cluster. */
typedef struct Qcow2RefcountReader {
    BlockDriverState *bs;
    uint64_t *table;                /* the refcount table, host order */
    uint64_t table_entries;
    unsigned block_bits;            /* a refcount block has 1 << block_bits counts */
    uint64_t loaded;                /* index of the block in memory; UINT64_MAX: none */
    uint8_t *block;
} Qcow2RefcountReader;

bool coroutine_fn qcow2_refcount_reader_co_init(Qcow2RefcountReader *reader,
                                                BlockDriverState *bs, GError **errp);
void qcow2_refcount_reader_clear(Qcow2RefcountReader *reader);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Qcow2RefcountReader, qcow2_refcount_reader_clear)
/* True if the block that counts this cluster exists, is aligned and within the file. */
bool qcow2_refcount_block_usable(const Qcow2RefcountReader *reader, uint64_t index);
/* Makes the block current: its counts can then be had. 0 or -errno. */
int coroutine_fn qcow2_refcount_co_load(Qcow2RefcountReader *reader, uint64_t index);
uint64_t qcow2_refcount_get(const Qcow2RefcountReader *reader, uint64_t index_in_block);

/* Count i of a block; each has 1 << order bits. */
uint64_t qcow2_refcount_load(const uint8_t *block, unsigned order, uint64_t i);
void qcow2_refcount_store(uint8_t *block, unsigned order, uint64_t i, uint64_t value);
uint64_t qcow2_refcount_max(unsigned order);

#endif
