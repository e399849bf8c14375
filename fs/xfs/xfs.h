/*
 * The XFS driver's own parts and how they fit together.
 *
 * super.c    what kind of filesystem this is, and its geometry (super-copy.c: by a copy)
 * verify.c   what every block of version 5 says of itself; reading through the cache
 * inode.c    inodes, decoded
 * btree.c    B+trees: extents of a file, free space of an allocation group
 * map.c      from a file's blocks to the device's
 * file.c     content: files, symbolic links, extents
 * dir.c      directory entries (lookup.c: by the index of their hashes)
 * attr.c     extended attributes (acl.c)
 * space.c    what is allocated
 * log.c      the log's records (log-items.c: transactions; log-replay.c: what they change)
 * overlay.c  what the log would change, in memory
 */
#ifndef EMBR_FS_XFS_H
#define EMBR_FS_XFS_H

#include "fs/buffer-cache.h"
#include "fs/fs.h"
#include "util/error.h"
#include "util/units.h"
#include "format.h"

/* The superblock, checked and in host order. */
typedef struct XfsGeometry {
    unsigned version;                   /* 4 or 5 */
    uint32_t block_bytes;
    unsigned block_bits;
    uint32_t sector_bytes;
    uint64_t blocks_count;
    uint32_t ag_blocks;
    uint32_t ag_count;
    unsigned ag_bits;                   /* of a block's number within its group */
    uint32_t inode_bytes;
    unsigned inodes_per_block_bits;
    unsigned dir_block_bits;            /* log2 of bytes in a directory block */
    uint64_t log_start;                 /* as on disk; 0: on another device */
    uint32_t log_blocks;
    uint64_t root_ino;
    uint64_t realtime_blocks;
    uint32_t incompat, log_incompat;
    bool has_types;                     /* of files, in directories */
    bool ignores_case;
    uint8_t uuid[XFS_UUID_BYTES];
    uint8_t meta_uuid[XFS_UUID_BYTES];
} XfsGeometry;

typedef struct XfsOverlay XfsOverlay;

typedef struct XfsState {
    Filesystem *fs;
    XfsGeometry geo;
    FsCache *cache;
    XfsOverlay *overlay;                /* what is only in the log; NULL: nothing */
    bool super_is_copy;                 /* the superblock is damaged */
    bool space_known;                   /* what is free is not changed by the log alone */
    bool space_warned;                  /* space.c: of a damaged map */
} XfsState;

/* Errors: "DISK: xfs at offset 0x...: MESSAGE". */
void xfs_error(const XfsState *s, GError **errp, EmbrError code, uint64_t offset,
               const char *format, ...) G_GNUC_PRINTF(5, 6);
void xfs_warn(const XfsState *s, uint64_t offset, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* super.c */
bool coroutine_fn xfs_co_probe(BlockBackend *blk, FsIdent *ident);
/* For volumes that do not begin with a superblock, but have a copy of one. */
bool coroutine_fn xfs_co_probe_copy(BlockBackend *blk, FsIdent *ident);
bool coroutine_fn xfs_super_co_load(XfsState *s, GError **errp);
/* A copy of a superblock; damaged: what is where it should be. */
bool coroutine_fn xfs_super_co_find_copy(XfsState *s, const uint8_t *damaged,
                                         XfsGeometry *geo, XfsSuper *raw);
/* From the bytes of its sector, at least XFS_SUPER_BYTES. */
bool xfs_super_parse(const XfsState *s, const uint8_t *sector, XfsGeometry *geo,
                     GError **errp);

static inline uint32_t xfs_ag_length(const XfsGeometry *geo, uint32_t ag)
{
    uint64_t first = (uint64_t)ag * geo->ag_blocks;

    return MIN(geo->ag_blocks, geo->blocks_count - first);
}

/* A block's number on disk has its group in the high bits.  As a number of the volume's
 * blocks; false if count blocks from there on are not in one group. */
static inline bool xfs_block_locate(const XfsGeometry *geo, uint64_t number,
                                    uint64_t count, uint64_t *block)
{
    uint64_t ag = number >> geo->ag_bits;
    uint64_t within = number & ((UINT64_C(1) << geo->ag_bits) - 1);

    if (ag >= geo->ag_count || !range_fits(within, count, xfs_ag_length(geo, ag))) {
        return false;
    }
    *block = ag * geo->ag_blocks + within;
    return *block;
}

/* overlay.c: numbers are of sectors of 512 bytes */

XfsOverlay *xfs_overlay_new(void);
void xfs_overlay_free(XfsOverlay *o);
uint64_t xfs_overlay_count(const XfsOverlay *o);
/* While it is made: false if it becomes too large. */
bool xfs_overlay_put(XfsOverlay *o, uint64_t number, const uint8_t *data,
                     uint64_t count);
/* While it is made: replaces what it has. */
void xfs_overlay_apply(const XfsOverlay *o, uint64_t number, uint8_t *data,
                       uint64_t count);
void xfs_overlay_complete(XfsOverlay *o);
/* Once it is complete: the sector's bytes; NULL: it has none, *count is as it was or how
 * many sectors there are up to the next that it has. */
const uint8_t *xfs_overlay_find(const XfsOverlay *o, uint64_t number, uint64_t *count);

/* verify.c */

/* Where a kind of block has what. */
typedef struct XfsBlockKind {
    const char *what;
    uint32_t magic_v4, magic_v5;        /* 0: the caller looks at it */
    unsigned crc_at, blkno_at, uuid_at, owner_at;
    unsigned owner_bytes;               /* 4 or 8 */
} XfsBlockKind;

extern const XfsBlockKind xfs_kind_dir, xfs_kind_da, xfs_kind_symlink, xfs_kind_attr;

uint32_t xfs_crc(const uint8_t *data, size_t bytes, size_t crc_at);
/* Magic; in version 5, checksum, place, UUID and owner, too. */
bool xfs_block_check(const XfsState *s, const XfsBlockKind *kind, const uint8_t *data,
                     uint32_t bytes, uint64_t offset, uint64_t owner, GError **errp);

/* What is in the log has the checksum of its record, not yet one of its own. */
bool xfs_is_logged(const XfsState *s, uint64_t offset, uint64_t bytes);
bool coroutine_fn xfs_device_co_read(XfsState *s, uint64_t offset, uint64_t bytes,
                                     void *buf, const char *what, GError **errp);
FsCache *xfs_cache_new(XfsState *s);

typedef enum XfsBufferKind {
    XFS_BUFFER_BLOCK,
    XFS_BUFFER_DIR,
    XFS_BUFFER_INODES,
    XFS_BUFFER_SECTOR,
} XfsBufferKind;

/* Metadata of owner, checked. */
FsBuffer *coroutine_fn xfs_co_block(XfsState *s, const XfsBlockKind *kind,
                                    XfsBufferKind buffer_kind, uint64_t offset,
                                    uint32_t bytes, uint64_t owner, GError **errp);

/* inode.c */

typedef struct XfsFork {
    uint8_t format;                     /* XfsForkFormat */
    bool is_attr;
    uint32_t at, bytes;                 /* in raw */
    uint64_t extents;                   /* how many it says it has */
} XfsFork;

typedef struct XfsInode {
    FsIno ino;
    uint64_t offset;                    /* on the volume */
    FsStat stat;
    uint64_t blocks;                    /* of all forks */
    uint16_t flags;
    uint64_t flags2;
    XfsFork data, attr;                 /* attr.bytes 0: there is none */
    uint32_t raw_bytes;
    uint8_t raw[];
} XfsInode;

/* An inode in use; g_free'd by the caller. */
XfsInode *coroutine_fn xfs_inode_co_get(XfsState *s, FsIno ino, GError **errp);
XfsInode *xfs_inode_parse(const XfsState *s, FsIno ino, uint64_t offset,
                          const uint8_t *raw, GError **errp);
FsTime xfs_time(uint64_t raw, bool is_big);

/* btree.c */

typedef struct XfsBtreeKind {
    XfsBlockKind block;
    bool long_pointers;                 /* numbers of blocks of all groups, else of one */
    unsigned head_v4, head_v5;          /* bytes before the records */
    unsigned record_bytes, key_bytes;
    uint64_t (*key_value)(const uint8_t *key);
    uint64_t (*record_value)(const uint8_t *record);
} XfsBtreeKind;

typedef struct XfsBtreeNode {
    const uint8_t *records;             /* or keys */
    const uint8_t *pointers;            /* NULL in a leaf */
    unsigned level, count;
    uint64_t offset;                    /* on the volume */
    uint64_t end;                       /* values from here on are not below this node */
    FsBuffer *buffer;                   /* what records are in; NULL if its user knows */
} XfsBtreeNode;

typedef struct XfsBtree {
    const XfsBtreeKind *kind;
    uint64_t owner;
    uint32_t ag;                        /* of short pointers */
} XfsBtree;

/* Checks the block at number (as on disk) and makes a node of it. */
bool coroutine_fn xfs_btree_co_node(XfsState *s, const XfsBtree *tree, uint64_t number,
                                    unsigned level, XfsBtreeNode *node, GError **errp);
/* From node (its buffer is replaced) down to the leaf where value would be.  If no leaf
 * can hold it, node->count is 0.  In any case, also on error, what was found out is true
 * up to node->end. */
bool coroutine_fn xfs_btree_co_descend(XfsState *s, const XfsBtree *tree,
                                       uint64_t value, XfsBtreeNode *node,
                                       GError **errp);
/* The last record of a leaf (or key) that is at or before value; -1 if there is none.
 * *next: where the one after it is, or the node's end. */
int xfs_btree_find(const XfsBtreeKind *kind, const XfsBtreeNode *node, uint64_t value,
                   uint64_t *next);

/* map.c */

typedef struct XfsRun {
    uint64_t logical;                   /* the block asked for */
    uint64_t count;                     /* blocks, at least 1 */
    uint64_t physical;                  /* of the volume; 0: a hole */
    bool unwritten;
} XfsRun;

/* What lies at block logical of the fork, and how far. */
bool coroutine_fn xfs_map_co(XfsState *s, const XfsInode *inode, const XfsFork *fork,
                             uint64_t logical, uint64_t max_count, XfsRun *run,
                             GError **errp);

/* file.c */

/* Any part of what a fork's blocks (not its local form) hold, zeroes for holes. */
bool coroutine_fn xfs_fork_co_read(XfsState *s, const XfsInode *inode,
                                   const XfsFork *fork, uint64_t offset, uint64_t bytes,
                                   void *buf, const char *what, GError **errp);
bool coroutine_fn xfs_file_co_read(XfsState *s, const XfsInode *inode, uint64_t offset,
                                   uint64_t bytes, void *buf, GError **errp);
char *coroutine_fn xfs_file_co_readlink(XfsState *s, const XfsInode *inode,
                                        GError **errp);
bool coroutine_fn xfs_file_co_extents(XfsState *s, const XfsInode *inode,
                                      uint64_t file_offset, unsigned max, GArray *list,
                                      GError **errp);

/* dir.c */

typedef struct XfsName {
    FsIno ino;
    uint8_t type;                       /* DT_* */
    const char *name;
    size_t len;
} XfsName;

/* A block of entries. */
typedef struct XfsDirBlock {
    const XfsInode *dir;
    const uint8_t *data;
    uint32_t end;                       /* of the entries */
    uint64_t offset;                    /* on the volume, for messages */
} XfsDirBlock;

static inline uint32_t xfs_dir_block_bytes(const XfsState *s)
{
    return UINT32_C(1) << s->geo.dir_block_bits;
}
static inline uint32_t xfs_dir_head_bytes(const XfsState *s)
{
    return s->geo.version == 5 ? 64 : 16;
}
bool xfs_dir_check(const XfsState *s, const XfsInode *dir, GError **errp);
/* Finds where the entries end. */
bool xfs_dir_block_init(const XfsState *s, XfsDirBlock *block, GError **errp);
/* The entry at *pos, which moves to the next one. name->len 0: no name is here. */
bool xfs_dir_block_entry(const XfsState *s, const XfsDirBlock *block, uint32_t *pos,
                         XfsName *name, GError **errp);
bool coroutine_fn xfs_dir_co_read(XfsState *s, const XfsInode *dir, FsDirBatch *batch,
                                  GError **errp);

/* lookup.c */
uint32_t xfs_name_hash(const char *name, size_t len);
bool coroutine_fn xfs_dir_co_lookup(XfsState *s, const XfsInode *dir, const char *name,
                                    size_t len, FsIno *ino, GError **errp);

/* attr.c */
bool coroutine_fn xfs_attr_co_list(XfsState *s, const XfsInode *inode, GPtrArray *list,
                                   GError **errp);

/* acl.c: the kernel's posix_acl_xattr form of an ACL as XFS stores it; NULL if it is
 * none. */
GBytes *xfs_acl_to_xattr(const uint8_t *data, size_t len);

/* space.c */
FsBlockUse coroutine_fn xfs_space_co_use(XfsState *s, uint64_t offset, uint64_t *pnum);

/* log.c: false, with a warning, if the log holds what is not shown. */
bool coroutine_fn xfs_log_co_load(XfsState *s);

#endif
