/*
 * The squashfs driver's own parts and how they fit together.
 *
 * super.c    the superblock, and the table of user and group IDs
 * codec.c    the decompressors
 * meta.c     blocks of metadata, and reading on from any place in them
 * inode.c    inodes, decoded
 * dir.c      directory entries, their index
 * blocks.c   the list of a file's blocks; extents
 * data.c     blocks of data and fragments, unpacked on the CPU threads
 * file.c     content
 * xattr.c    extended attributes
 *
 * A file is named by where its inode is: a reference, as directories have it, plus one.
 */
#ifndef EMBR_FS_SQUASHFS_H
#define EMBR_FS_SQUASHFS_H

#include "fs/buffer-cache.h"
#include "fs/fs.h"
#include "util/co-lock.h"
#include "util/error.h"
#include "util/units.h"
#include "format.h"

enum {
    SQUASHFS_TRACKS = 64,               /* places that are remembered */
};

/* The superblock, checked and in host order. */
typedef struct SquashfsGeometry {
    SquashfsCompression compression;
    uint32_t block_bytes;
    unsigned block_bits;
    uint32_t fragments;
    uint32_t ids;
    bool shares_content;
    uint64_t root;
    uint64_t end;                       /* of the filesystem, or of the volume if that is before */
    uint64_t bytes_used;
    uint64_t id_table, xattr_table, inode_table, directory_table, fragment_table;
} SquashfsGeometry;

/* A place in metadata. */
typedef struct SquashfsCursor {
    uint64_t block;                     /* where that is on the volume */
    uint32_t at;                        /* in what it unpacks to */
} SquashfsCursor;

/* Where something long goes on that was looked at up to there. */
typedef struct SquashfsTrack {
    FsIno ino;                          /* 0: unused */
    uint64_t position;                  /* in the directory; of blocks in the file */
    uint64_t device_offset;             /* of that block of a file */
    SquashfsCursor cursor;
} SquashfsTrack;

typedef struct SquashfsState {
    Filesystem *fs;
    SquashfsGeometry geo;
    FsCache *metadata;
    FsBuffer *recent;                   /* the block of metadata used last */
    uint32_t *ids;
    SquashfsTrack tracks[SQUASHFS_TRACKS];
    unsigned next_track;
    GHashTable *blocks;                 /* data.c: offset -> what was unpacked */
    GQueue blocks_lru;                  /* oldest first */
    GHashTable *unpacking;              /* data.c: offsets of what somebody is about to keep */
    CoQueue unpacked;
    uint32_t next_fragment;             /* which comes after the last one used */
    FsIno last_ino;                     /* what was read last, and up to where */
    uint64_t last_end;
} SquashfsState;

/* Errors: "DISK: squashfs at offset 0x...: MESSAGE". */
void squashfs_error(const SquashfsState *s, GError **errp, EmbrError code,
                    uint64_t offset, const char *format, ...) G_GNUC_PRINTF(5, 6);

/* super.c */
bool coroutine_fn squashfs_co_probe(BlockBackend *blk, FsIdent *ident);
/* Fills geo and ids; warns of what is odd. */
bool coroutine_fn squashfs_super_co_load(SquashfsState *s, GError **errp);
bool squashfs_super_parse(const SquashfsState *s, const SquashfsSuper *raw,
                          SquashfsGeometry *geo, GError **errp);
/* Bytes of the filesystem, not beyond its end. */
bool coroutine_fn squashfs_device_co_read(const SquashfsState *s, uint64_t offset,
                                          uint64_t bytes, void *buf, const char *what,
                                          GError **errp);

/* codec.c: no coroutine calls; from any thread. */
const char *squashfs_codec_name(SquashfsCompression compression);  /* NULL: unknown */
bool squashfs_codec_is_built_in(SquashfsCompression compression);
/* Unpacks one block.  Returns how many bytes that gave, at most out_max; -1 if it is
 * damaged, or gives more. */
ssize_t squashfs_unpack(SquashfsCompression compression, const void *in, size_t in_bytes,
                        void *out, size_t out_max);

/* meta.c */
FsCache *squashfs_metadata_new(SquashfsState *s);
/* The next bytes; the cursor moves behind them, only if they could be read.  buf NULL:
 * they are skipped. */
bool coroutine_fn squashfs_meta_co_read(SquashfsState *s, SquashfsCursor *cursor,
                                        void *buf, uint64_t bytes, const char *what,
                                        GError **errp);
/* A place that is given by a reference relative to table. */
static inline SquashfsCursor squashfs_locate(uint64_t table, uint64_t reference)
{
    return (SquashfsCursor){table + (reference >> 16), reference & 0xffff};
}
/* Where entry number index is of a table whose blocks of metadata are listed at list. */
bool coroutine_fn squashfs_table_co_locate(const SquashfsState *s, uint64_t list,
                                           uint64_t index, uint32_t entry_bytes,
                                           SquashfsCursor *cursor, const char *what,
                                           GError **errp);
/* The track that is nearest before position; NULL if there is none. */
const SquashfsTrack *squashfs_track_find(const SquashfsState *s, FsIno ino,
                                         uint64_t position);
void squashfs_track_set(SquashfsState *s, const SquashfsTrack *track);

/* inode.c */
typedef struct SquashfsInode {
    FsStat stat;
    uint32_t number;                    /* by which Linux names it */
    uint32_t xattr;
    SquashfsCursor rest;                /* behind its fixed part */
    /* Directories. */
    SquashfsCursor listing;
    uint32_t listing_bytes;
    uint32_t index_entries;
    /* Files. */
    uint64_t start;
    uint64_t blocks;
    uint32_t fragment, fragment_offset;
} SquashfsInode;

bool coroutine_fn squashfs_inode_co_get(SquashfsState *s, FsIno ino, SquashfsInode *inode,
                                        GError **errp);
char *coroutine_fn squashfs_inode_co_readlink(SquashfsState *s, const SquashfsInode *inode,
                                              GError **errp);

/* dir.c */
bool coroutine_fn squashfs_dir_co_read(SquashfsState *s, const SquashfsInode *dir,
                                       FsDirBatch *batch, GError **errp);
bool coroutine_fn squashfs_dir_co_lookup(SquashfsState *s, const SquashfsInode *dir,
                                         const char *name, size_t len, FsIno *ino,
                                         GError **errp);

/* blocks.c */
/* The stored sizes (0, or with SQUASHFS_DATA_RAW) of count blocks from first on; *at: where
 * the first is on the volume. */
bool coroutine_fn squashfs_blocks_co_get(SquashfsState *s, const SquashfsInode *inode,
                                         uint64_t first, uint32_t count, uint32_t *stored,
                                         uint64_t *at, GError **errp);
bool coroutine_fn squashfs_co_extents(SquashfsState *s, const SquashfsInode *inode,
                                      uint64_t file_offset, unsigned max, GArray *list,
                                      GError **errp);
static inline uint32_t squashfs_stored_bytes(uint32_t stored)
{
    return stored & ~(uint32_t)SQUASHFS_DATA_RAW;
}
/* What block number index of a file has of it. */
static inline uint32_t squashfs_block_content(const SquashfsState *s,
                                              const SquashfsInode *inode, uint64_t index)
{
    uint64_t left = inode->stat.size - (index << s->geo.block_bits);

    return MIN(left, s->geo.block_bytes);
}

/* data.c */
typedef struct SquashfsBlock {
    uint64_t at;                        /* on the volume */
    uint32_t stored;
    uint32_t content;                   /* bytes it unpacks to; 0: up to a whole block */
} SquashfsBlock;

void squashfs_data_init(SquashfsState *s);
void squashfs_data_clear(SquashfsState *s);
/* Whole blocks that follow each other on the volume and in out, none of them a hole. */
bool coroutine_fn squashfs_data_co_read_run(SquashfsState *s, const SquashfsBlock *blocks,
                                            unsigned count, uint8_t *out, GError **errp);
/* A block's content, which is kept for a while. */
GBytes *coroutine_fn squashfs_data_co_get(SquashfsState *s, const SquashfsBlock *block,
                                          GError **errp);
bool squashfs_data_is_kept(const SquashfsState *s, const SquashfsBlock *block);
/* How many blocks are unpacked together for who reads on. */
unsigned squashfs_data_ahead(const SquashfsState *s);
/* Has them unpacked, as far as that is possible, so that squashfs_data_co_get() has them. */
void coroutine_fn squashfs_data_co_warm(SquashfsState *s, const SquashfsBlock *blocks,
                                        unsigned count);
bool coroutine_fn squashfs_fragment_co_find(SquashfsState *s, uint32_t fragment,
                                            SquashfsBlock *block, GError **errp);

/* file.c */
bool coroutine_fn squashfs_file_co_read(SquashfsState *s, const SquashfsInode *inode,
                                        uint64_t offset, uint64_t bytes, void *buf,
                                        GError **errp);

/* xattr.c */
bool coroutine_fn squashfs_xattr_co_list(SquashfsState *s, const SquashfsInode *inode,
                                         GPtrArray *list, GError **errp);

#endif
