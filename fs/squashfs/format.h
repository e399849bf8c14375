/* Squashfs 4.0 as it is on the disk: everything is little-endian and packed. */
#ifndef EMBR_FS_SQUASHFS_FORMAT_H
#define EMBR_FS_SQUASHFS_FORMAT_H

#include <glib.h>
#include "util/endian.h"

#define SQUASHFS_MAGIC UINT32_C(0x73717368)             /* "hsqs" */
#define SQUASHFS_MAGIC_SWAPPED UINT32_C(0x68737173)     /* "sqsh": big-endian */
#define SQUASHFS_NO_TABLE UINT64_MAX
#define SQUASHFS_NO_FRAGMENT UINT32_MAX
#define SQUASHFS_NO_XATTR UINT32_MAX

enum {
    SQUASHFS_META_BYTES = 8192,         /* of a block of metadata, unpacked */
    SQUASHFS_META_RAW = 1 << 15,        /* in its head: it is not packed */
    SQUASHFS_DATA_RAW = 1 << 24,        /* in the size of a data block */
    SQUASHFS_MIN_BLOCK_BITS = 12,
    SQUASHFS_MAX_BLOCK_BITS = 20,
    SQUASHFS_DIR_EMPTY_BYTES = 3,       /* what a directory's size counts for . and .. */
    SQUASHFS_DIR_RUN_MAX = 256,
    SQUASHFS_FLAG_DUPLICATES = 0x40,    /* files with the same content share it */
    SQUASHFS_FLAG_OPTIONS = 0x400,      /* options of the compressor follow the superblock */
};

typedef enum SquashfsCompression {
    SQUASHFS_ZLIB = 1,
    SQUASHFS_LZMA,
    SQUASHFS_LZO,
    SQUASHFS_XZ,
    SQUASHFS_LZ4,
    SQUASHFS_ZSTD,
} SquashfsCompression;

typedef struct __attribute__((packed)) SquashfsSuper {
    le32_t magic;
    le32_t inodes;
    le32_t made_at;
    le32_t block_bytes;
    le32_t fragments;
    le16_t compression;
    le16_t block_bits;
    le16_t flags;
    le16_t ids;
    le16_t version_major;
    le16_t version_minor;
    le64_t root;                        /* reference of an inode */
    le64_t bytes_used;
    le64_t id_table;                    /* from here on: bytes on the volume */
    le64_t xattr_table;
    le64_t inode_table;
    le64_t directory_table;
    le64_t fragment_table;
    le64_t export_table;
} SquashfsSuper;
G_STATIC_ASSERT(sizeof(SquashfsSuper) == 96);

/* Basic types, which directory entries have, too.  Extended ones are 7 more. */
typedef enum SquashfsType {
    SQUASHFS_DIR = 1,
    SQUASHFS_FILE,
    SQUASHFS_SYMLINK,
    SQUASHFS_BLOCK_DEVICE,
    SQUASHFS_CHAR_DEVICE,
    SQUASHFS_FIFO,
    SQUASHFS_SOCKET,
    SQUASHFS_EXTENDED = 7,
} SquashfsType;

typedef struct __attribute__((packed)) SquashfsInodeHead {
    le16_t type;
    le16_t permissions;
    le16_t uid, gid;                    /* indexes of the table of IDs */
    le32_t mtime;
    le32_t number;
} SquashfsInodeHead;
G_STATIC_ASSERT(sizeof(SquashfsInodeHead) == 16);

/* What follows the head, by type. */
typedef struct __attribute__((packed)) SquashfsDirBasic {
    le32_t block;                       /* of metadata, from the directory table on */
    le32_t nlink;
    le16_t bytes;
    le16_t offset;                      /* in the block */
    le32_t parent;
} SquashfsDirBasic;
G_STATIC_ASSERT(sizeof(SquashfsDirBasic) == 16);

typedef struct __attribute__((packed)) SquashfsDirExtended {
    le32_t nlink;
    le32_t bytes;
    le32_t block;
    le32_t parent;
    le16_t index_entries;
    le16_t offset;
    le32_t xattr;
} SquashfsDirExtended;
G_STATIC_ASSERT(sizeof(SquashfsDirExtended) == 24);

typedef struct __attribute__((packed)) SquashfsFileBasic {
    le32_t start;
    le32_t fragment;
    le32_t fragment_offset;
    le32_t bytes;
} SquashfsFileBasic;
G_STATIC_ASSERT(sizeof(SquashfsFileBasic) == 16);

typedef struct __attribute__((packed)) SquashfsFileExtended {
    le64_t start;
    le64_t bytes;
    le64_t sparse_bytes;
    le32_t nlink;
    le32_t fragment;
    le32_t fragment_offset;
    le32_t xattr;
} SquashfsFileExtended;
G_STATIC_ASSERT(sizeof(SquashfsFileExtended) == 40);

typedef struct __attribute__((packed)) SquashfsSymlink {
    le32_t nlink;
    le32_t bytes;                       /* of the target, behind which may be le32 xattr */
} SquashfsSymlink;
G_STATIC_ASSERT(sizeof(SquashfsSymlink) == 8);

typedef struct __attribute__((packed)) SquashfsSpecial {
    le32_t nlink;
    le32_t device;                      /* of devices only, as Linux packs it */
    le32_t xattr;                       /* of extended types only */
} SquashfsSpecial;

/* What a directory's index consists of; the name follows. */
typedef struct __attribute__((packed)) SquashfsDirIndex {
    le32_t position;                    /* in the listing */
    le32_t block;
    le32_t name_bytes;                  /* less 1 */
} SquashfsDirIndex;
G_STATIC_ASSERT(sizeof(SquashfsDirIndex) == 12);

/* A listing is runs of entries whose inodes are in one block. */
typedef struct __attribute__((packed)) SquashfsDirHead {
    le32_t entries;                     /* less 1 */
    le32_t block;                       /* of the inode table */
    le32_t number;
} SquashfsDirHead;
G_STATIC_ASSERT(sizeof(SquashfsDirHead) == 12);

typedef struct __attribute__((packed)) SquashfsDirEntry {
    le16_t offset;
    le16_t number;                      /* less the run's, signed */
    le16_t type;
    le16_t name_bytes;                  /* less 1 */
} SquashfsDirEntry;
G_STATIC_ASSERT(sizeof(SquashfsDirEntry) == 8);

typedef struct __attribute__((packed)) SquashfsFragment {
    le64_t start;
    le32_t stored;                      /* as the size of a data block */
    le32_t unused;
} SquashfsFragment;
G_STATIC_ASSERT(sizeof(SquashfsFragment) == 16);

typedef struct __attribute__((packed)) SquashfsXattrTable {
    le64_t start;                       /* what references are relative to */
    le32_t count;
    le32_t unused;
} SquashfsXattrTable;
G_STATIC_ASSERT(sizeof(SquashfsXattrTable) == 16);

typedef struct __attribute__((packed)) SquashfsXattrId {
    le64_t reference;
    le32_t count;
    le32_t bytes;
} SquashfsXattrId;
G_STATIC_ASSERT(sizeof(SquashfsXattrId) == 16);

typedef struct __attribute__((packed)) SquashfsXattrKey {
    le16_t type;
    le16_t name_bytes;
} SquashfsXattrKey;

enum {
    SQUASHFS_XATTR_PREFIX = 0xff,
    SQUASHFS_XATTR_ELSEWHERE = 0x100,   /* the value is the reference of a value */
};

#endif
