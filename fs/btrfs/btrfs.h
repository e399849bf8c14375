/*
 * The Btrfs driver's own parts and how they fit together.
 *
 * super.c     what kind of filesystem this is; the superblock's copies
 * checksum.c  the four kinds of checksums
 * chunk.c     from logical addresses to places on the device, and back
 * node.c      tree blocks: read, checked, of whichever copy is good
 * cursor.c    items of trees, in order of their keys
 * overlay.c   inodes as the log makes them, for cursors to find
 * log.c       the log: read, and put into overlays (log-names.c, log-content.c)
 * root.c      trees, subvolumes, and inode numbers
 * inode.c     inodes, decoded
 * dir.c       directory entries
 * extent.c    from a file's bytes to extents
 * data.c      what extents hold, checked against the tree of checksums
 * decode.c    compressed extents (decoded.c: those that may be wanted again)
 * file.c      content: files, symbolic links, extents
 * xattr.c     extended attributes
 * space.c     what is allocated
 */
#ifndef EMBR_FS_BTRFS_BTRFS_H
#define EMBR_FS_BTRFS_BTRFS_H

#include "fs/buffer-cache.h"
#include "fs/fs.h"
#include "util/error.h"
#include "util/units.h"
#include "format.h"

enum {
    BTRFS_MAX_COPIES = 4,
};

typedef struct BtrfsOverlay BtrfsOverlay;

/* The superblock, checked and in host order. */
typedef struct BtrfsGeometry {
    uint8_t fsid[BTRFS_UUID_BYTES];     /* in heads of tree blocks */
    BtrfsCsumType csum_type;
    uint32_t sector_bytes;
    uint32_t node_bytes;
    uint64_t generation;
    uint64_t total_bytes;
    uint64_t root, chunk_root, log_root;
    uint64_t chunk_root_generation;
    uint8_t root_level, chunk_root_level, log_root_level;
    uint64_t devid;
    uint64_t incompat;
    uint32_t system_chunks_bytes;
    uint8_t system_chunks[BTRFS_SYSTEM_CHUNK_ARRAY_BYTES];
} BtrfsGeometry;

/* A tree, or a subvolume, which is one, too. */
typedef struct BtrfsTree {
    uint64_t id;
    uint64_t bytenr;
    uint64_t generation;                /* of its top; 0: not known */
    unsigned level;
    uint64_t last_snapshot;             /* what is as old may be another's, too */
    BtrfsOverlay *overlay;              /* what the log changes; NULL: nothing */
} BtrfsTree;

typedef struct BtrfsState {
    Filesystem *fs;
    BtrfsGeometry geo;
    uint64_t super_offset;              /* where it was found */
    FsCache *nodes;
    GArray *chunks;                     /* of BtrfsChunk, in order of logical */
    GArray *stripes;                    /* of BtrfsDeviceRange, in order of physical */
    bool chunks_overlap;                /* on the device: no telling what is free */
    BtrfsTree root_tree, extent_tree, csum_tree;
    bool has_extent_tree, has_csum_tree;
    BtrfsOverlay *log_sums;             /* checksums that are only in the log; NULL: none */
    GHashTable *subvolumes;             /* id -> BtrfsTree * */
    GHashTable *stubs;                  /* inode number -> where it was found */
    struct BtrfsDecoded *decoded;       /* extents decompressed last */
    bool copy_warned, space_warned;     /* of bad copies; of a damaged map */
} BtrfsState;

/* Errors: "DISK: btrfs at offset 0x...: MESSAGE". The offset is a logical one where the
 * message is about a tree block or an extent. */
void btrfs_error(const BtrfsState *s, GError **errp, EmbrError code, uint64_t offset,
                 const char *format, ...) G_GNUC_PRINTF(5, 6);
void btrfs_warn(const BtrfsState *s, uint64_t offset, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* super.c */
bool coroutine_fn btrfs_co_probe(BlockBackend *blk, FsIdent *ident);
/* By the superblock's copies alone. */
bool coroutine_fn btrfs_co_probe_copies(BlockBackend *blk, FsIdent *ident);
bool coroutine_fn btrfs_super_co_load(BtrfsState *s, GError **errp);
/* From the BTRFS_SUPER_BYTES that were read at offset. */
bool btrfs_super_parse(const BtrfsState *s, const uint8_t *data, uint64_t offset,
                       BtrfsGeometry *geo, GError **errp);

/* checksum.c */
/* Before the first checksum: chooses what is fastest on this machine. */
bool btrfs_csum_init(GError **errp);
unsigned btrfs_csum_bytes(BtrfsCsumType type);
const char *btrfs_csum_name(BtrfsCsumType type);
/* sum has btrfs_csum_bytes(). */
void btrfs_csum(BtrfsCsumType type, const void *data, size_t bytes, uint8_t *sum);
/* "0x..." of the first bytes, for messages; g_free'd by the caller. */
char *btrfs_csum_text(BtrfsCsumType type, const uint8_t *sum);
uint32_t btrfs_name_hash(const char *name, size_t len);
/* Of an extended reference's key. */
uint32_t btrfs_extref_hash(uint64_t dir, const char *name, size_t len);

/* chunk.c */

typedef struct BtrfsChunk {
    uint64_t logical, length;
    uint64_t type;                      /* BTRFS_GROUP_* */
    unsigned copies;
    uint64_t physical[BTRFS_MAX_COPIES];
} BtrfsChunk;

/* One copy of a chunk. */
typedef struct BtrfsDeviceRange {
    uint64_t physical, length;
    uint64_t logical;
    uint64_t type;
} BtrfsDeviceRange;

/* Those in the superblock. */
bool btrfs_chunks_from_super(BtrfsState *s, GError **errp);
bool coroutine_fn btrfs_chunks_co_load(BtrfsState *s, GError **errp);
/* NULL if nothing is at logical. */
const BtrfsChunk *btrfs_chunk_find(const BtrfsState *s, uint64_t logical);
/* The range that physical is in, or else the next one; NULL if there is none. */
const BtrfsDeviceRange *btrfs_device_range_find(const BtrfsState *s, uint64_t physical);
/* Where a copy of bytes at logical is on the device: they are all in one chunk. */
bool btrfs_chunk_map(const BtrfsState *s, uint64_t logical, uint64_t bytes,
                     unsigned copy, uint64_t *physical, GError **errp);
/* How many copies there are; 0 if nothing is at logical. */
unsigned btrfs_chunk_copies(const BtrfsState *s, uint64_t logical);
bool coroutine_fn btrfs_logical_co_read(BtrfsState *s, uint64_t logical, uint64_t bytes,
                                        unsigned copy, void *buf, const char *what,
                                        GError **errp);

/* node.c */

typedef struct BtrfsKey {
    uint64_t objectid;
    uint8_t type;
    uint64_t offset;
} BtrfsKey;

#define BTRFS_KEY_MAX ((BtrfsKey){UINT64_MAX, UINT8_MAX, UINT64_MAX})

static inline BtrfsKey btrfs_key_load(const BtrfsDiskKey *key)
{
    return (BtrfsKey){le64_get(key->objectid), key->type, le64_get(key->offset)};
}
static inline int btrfs_key_compare(const BtrfsKey *a, const BtrfsKey *b)
{
    if (a->objectid != b->objectid) {
        return a->objectid < b->objectid ? -1 : 1;
    }
    if (a->type != b->type) {
        return a->type < b->type ? -1 : 1;
    }
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* What a pointer to a tree block says of it. */
typedef struct BtrfsNodeRef {
    uint64_t bytenr;
    uint64_t generation;                /* 0: not known */
    unsigned level;
    const BtrfsKey *first;              /* its first key; NULL: not known */
    BtrfsKey end;                       /* its keys are before that */
} BtrfsNodeRef;

FsCache *btrfs_nodes_new(BtrfsState *s);
/* That a block that was read is one, and that all in it is inside. */
bool btrfs_node_check(const BtrfsState *s, const uint8_t *data, uint64_t bytenr,
                      GError **errp);
FsBuffer *coroutine_fn btrfs_node_co_get(BtrfsState *s, const BtrfsNodeRef *ref,
                                         GError **errp);

static inline unsigned btrfs_node_level(const uint8_t *node)
{
    return ((const BtrfsHeader *)node)->level;
}
static inline unsigned btrfs_node_count(const uint8_t *node)
{
    return le32_get(((const BtrfsHeader *)node)->nritems);
}
static inline const BtrfsItem *btrfs_leaf_item(const uint8_t *node, unsigned i)
{
    return (const BtrfsItem *)(node + sizeof(BtrfsHeader)) + i;
}
static inline const BtrfsKeyPtr *btrfs_node_ptr(const uint8_t *node, unsigned i)
{
    return (const BtrfsKeyPtr *)(node + sizeof(BtrfsHeader)) + i;
}
BtrfsKey btrfs_node_key(const uint8_t *node, unsigned i);

/* cursor.c */

/* An item of a tree, held until the cursor moves. */
typedef struct BtrfsCursor {
    BtrfsState *s;
    const BtrfsTree *tree;
    bool valid;                         /* there is an item */
    BtrfsKey key;
    const uint8_t *data;
    uint32_t size;
    uint64_t bytenr;                    /* of its leaf, for messages */
    BtrfsKey damaged_end;               /* after an error: where items may be good again */
    /* private */
    FsBuffer *leaf;                     /* NULL: the item is of the overlay */
    unsigned slot;
    BtrfsKey leaf_end;
} BtrfsCursor;

void btrfs_cursor_init(BtrfsCursor *c, BtrfsState *s, const BtrfsTree *tree);
void btrfs_cursor_clear(BtrfsCursor *c);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BtrfsCursor, btrfs_cursor_clear)
/* To the first item at or after key; not valid if there is none. */
bool coroutine_fn btrfs_cursor_co_seek(BtrfsCursor *c, const BtrfsKey *key,
                                       GError **errp);
/* To the last item at or before key; not valid if there is none. */
bool coroutine_fn btrfs_cursor_co_seek_back(BtrfsCursor *c, const BtrfsKey *key,
                                            GError **errp);
/* From a valid one to the item behind it. */
bool coroutine_fn btrfs_cursor_co_next(BtrfsCursor *c, GError **errp);
/* Is at an item of that object and type. */
static inline bool btrfs_cursor_is(const BtrfsCursor *c, uint64_t objectid, uint8_t type)
{
    return c->valid && c->key.objectid == objectid && c->key.type == type;
}

/* overlay.c */

typedef struct BtrfsOverlayItem {
    BtrfsKey key;
    uint32_t size;
    uint8_t data[];
} BtrfsOverlayItem;

BtrfsOverlay *btrfs_overlay_new(void);
void btrfs_overlay_free(BtrfsOverlay *o);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BtrfsOverlay, btrfs_overlay_free)
/* About what it took so far; what was removed counts, too. */
uint64_t btrfs_overlay_bytes(const BtrfsOverlay *o);
/* Whether all items of objectid are in the overlay, and none of the tree's count. */
bool btrfs_overlay_has(const BtrfsOverlay *o, uint64_t objectid);
void btrfs_overlay_claim(BtrfsOverlay *o, uint64_t objectid);
/* For each that was claimed; func claims none. */
void btrfs_overlay_foreach(const BtrfsOverlay *o, void (*func)(uint64_t objectid, void *),
                           void *opaque);
/* Takes the place of an item with that key.  data NULL: the caller fills it. */
BtrfsOverlayItem *btrfs_overlay_set(BtrfsOverlay *o, const BtrfsKey *key,
                                    const void *data, uint32_t size);
void btrfs_overlay_remove(BtrfsOverlay *o, const BtrfsKey *key);
/* NULL if there is none.  Items live until they are replaced or removed. */
BtrfsOverlayItem *btrfs_overlay_get(const BtrfsOverlay *o, uint64_t objectid,
                                    uint8_t type, uint64_t offset);
/* At or after key; at or before it; after it. */
BtrfsOverlayItem *btrfs_overlay_first(const BtrfsOverlay *o, const BtrfsKey *key);
BtrfsOverlayItem *btrfs_overlay_last(const BtrfsOverlay *o, const BtrfsKey *key);
BtrfsOverlayItem *btrfs_overlay_next(const BtrfsOverlay *o, const BtrfsKey *key);
/* The same, only of that object and type: from offset on, and after key. */
BtrfsOverlayItem *btrfs_overlay_first_of(const BtrfsOverlay *o, uint64_t objectid,
                                         uint8_t type, uint64_t offset);
BtrfsOverlayItem *btrfs_overlay_next_of(const BtrfsOverlay *o, const BtrfsKey *key);

/* log.c: what the log says is put into overlays of the subvolumes, or else a warning says
 * that it is not. */
void coroutine_fn btrfs_log_co_replay(BtrfsState *s);

/* root.c */

/* A file of a subvolume. */
typedef struct BtrfsFile {
    const BtrfsTree *tree;
    uint64_t objectid;
    FsIno ino;
} BtrfsFile;

typedef enum BtrfsInoKind {
    BTRFS_INO_FILE,
    BTRFS_INO_STUB,                     /* stands for a subvolume that is not here */
    BTRFS_INO_NONE,                     /* no such number */
} BtrfsInoKind;

/* 0 if the pair has no number. */
FsIno btrfs_ino_make(uint64_t tree, uint64_t objectid);
FsIno btrfs_ino_make_stub(uint64_t container, uint64_t child);
/* For a stub: the tree that it is in, and the one it stands for. */
BtrfsInoKind btrfs_ino_split(FsIno ino, uint64_t *tree, uint64_t *objectid);

bool coroutine_fn btrfs_trees_co_load(BtrfsState *s, GError **errp);
/* From a ROOT_ITEM; *refs: how many refer to it. */
bool btrfs_tree_parse(const BtrfsState *s, const BtrfsCursor *c, uint64_t id,
                      BtrfsTree *tree, uint32_t *refs, GError **errp);
/* A subvolume; NULL on error.  Belongs to the state. */
const BtrfsTree *coroutine_fn btrfs_subvolume_co_get(BtrfsState *s, uint64_t id,
                                                     GError **errp);
/* The inode number of the subvolume that the entry is about: of its root if it is linked
 * there, else of a stub. */
bool coroutine_fn btrfs_subvolume_co_link(BtrfsState *s, const BtrfsFile *dir,
                                          uint64_t child, const char *name,
                                          size_t name_len, FsIno *ino, GError **errp);
bool coroutine_fn btrfs_file_co_get(BtrfsState *s, FsIno ino, BtrfsFile *file,
                                    GError **errp);
bool coroutine_fn btrfs_stub_co_stat(BtrfsState *s, FsIno ino, FsStat *st,
                                     GError **errp);

/* inode.c */

typedef struct BtrfsInode {
    BtrfsFile file;
    FsStat stat;
    uint64_t bytenr;                    /* of the leaf it is in */
    bool has_sums;                      /* of its content */
} BtrfsInode;

bool coroutine_fn btrfs_inode_co_get(BtrfsState *s, FsIno ino, BtrfsInode *inode,
                                     GError **errp);
bool btrfs_inode_parse(const BtrfsState *s, const uint8_t *data, uint32_t bytes,
                       BtrfsInode *inode, GError **errp);
bool btrfs_inode_error(const BtrfsState *s, const BtrfsInode *inode, uint64_t offset,
                       GError **errp, const char *format, ...) G_GNUC_PRINTF(5, 6);
/* "inode 257 of subvolume 5: " before an error that is set. */
void btrfs_inode_prefix(const BtrfsInode *inode, GError **errp);

/* dir.c */
bool coroutine_fn btrfs_dir_co_read(BtrfsState *s, const BtrfsInode *dir,
                                    FsDirBatch *batch, GError **errp);
bool coroutine_fn btrfs_dir_co_lookup(BtrfsState *s, const BtrfsInode *dir,
                                      const char *name, size_t len, FsIno *ino,
                                      GError **errp);

/* An item of entries or attributes, which may be several with one hash. */
typedef struct BtrfsDirEntry {
    BtrfsKey location;
    uint8_t type;
    const char *name;
    uint16_t name_len;
    const uint8_t *data;
    uint16_t data_len;
} BtrfsDirEntry;

/* The entry at *pos of an item, which moves behind it.  False: it does not fit. */
bool btrfs_dir_entry(const uint8_t *item, uint32_t size, uint32_t *pos,
                     BtrfsDirEntry *entry);

/* extent.c */

typedef enum BtrfsPartKind {
    BTRFS_PART_HOLE,
    BTRFS_PART_INLINE,
    BTRFS_PART_DATA,
    BTRFS_PART_PREALLOCATED,
} BtrfsPartKind;

/* A part of a file. */
typedef struct BtrfsPart {
    BtrfsPartKind kind;
    uint64_t file_offset;
    uint64_t bytes;
    /* Of an extent: */
    BtrfsCompression compression;
    uint64_t logical, disk_bytes;       /* all of it */
    uint64_t ram_bytes;                 /* before compression */
    uint64_t offset;                    /* of this part in it, before compression */
    uint64_t generation;
    const uint8_t *inline_data;         /* of disk_bytes; lives as long as the cursor */
} BtrfsPart;

/* Walks over the parts of a file: those before its end that matters, in order. */
typedef struct BtrfsParts {
    BtrfsState *s;
    const BtrfsInode *inode;
    uint64_t pos, end;
    BtrfsCursor cursor;
    bool started;
} BtrfsParts;

void btrfs_parts_init(BtrfsParts *p, BtrfsState *s, const BtrfsInode *inode,
                      uint64_t offset, uint64_t end);
void btrfs_parts_clear(BtrfsParts *p);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BtrfsParts, btrfs_parts_clear)
/* The part at p->pos up to p->end, which moves; none of 0 bytes. */
bool coroutine_fn btrfs_parts_co_next(BtrfsParts *p, BtrfsPart *part, GError **errp);
bool btrfs_part_parse(const BtrfsState *s, const BtrfsInode *inode,
                      const BtrfsCursor *c, BtrfsPart *part, GError **errp);
/* Whether others than this file may have the extent, too. */
bool coroutine_fn btrfs_part_co_is_shared(BtrfsState *s, const BtrfsInode *inode,
                                          const BtrfsPart *part);

/* data.c */

/* Any bytes of data extents; with_sums: whole sectors, each checked, of whichever copy
 * is good. */
bool coroutine_fn btrfs_data_co_read(BtrfsState *s, uint64_t logical, uint64_t bytes,
                                     bool with_sums, void *buf, GError **errp);

/* decode.c */

/* Whether this build has what it takes. */
bool btrfs_can_decompress(BtrfsCompression compression);
/* False: in is nothing that was compressed so.  What is missing is zeroes. */
bool btrfs_decompress(BtrfsCompression compression, uint32_t sector_bytes,
                      const uint8_t *in, size_t in_bytes, uint8_t *out,
                      size_t out_bytes);

/* decoded.c */
typedef struct BtrfsDecoded BtrfsDecoded;

BtrfsDecoded *btrfs_decoded_new(void);
void btrfs_decoded_free(BtrfsDecoded *decoded);
/* All of the extent that a part is of; NULL if it is not there. */
GBytes *btrfs_decoded_get(BtrfsDecoded *decoded, const BtrfsPart *part, bool checked);
void btrfs_decoded_put(BtrfsDecoded *decoded, const BtrfsPart *part, bool checked,
                       GBytes *bytes);

/* file.c */
bool coroutine_fn btrfs_file_co_read(BtrfsState *s, const BtrfsInode *inode,
                                     uint64_t offset, uint64_t bytes, void *buf,
                                     GError **errp);
char *coroutine_fn btrfs_file_co_readlink(BtrfsState *s, const BtrfsInode *inode,
                                          GError **errp);
bool coroutine_fn btrfs_file_co_extents(BtrfsState *s, const BtrfsInode *inode,
                                        uint64_t file_offset, unsigned max,
                                        GArray *list, GError **errp);

/* xattr.c */
bool coroutine_fn btrfs_xattr_co_list(BtrfsState *s, const BtrfsInode *inode,
                                      GPtrArray *list, GError **errp);

/* space.c */
FsBlockUse coroutine_fn btrfs_space_co_use(BtrfsState *s, uint64_t offset,
                                           uint64_t *pnum);

#endif
