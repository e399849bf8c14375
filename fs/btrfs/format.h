/*
 * Btrfs as it lies on the device.
 *
 * Names are those of "On-disk Format" in the documentation of btrfs-progs, where their
 * meaning is written down.  All is little-endian.  Addresses are logical ones, which the
 * chunk tree maps to places on devices, unless they are said to be physical.
 */
#ifndef EMBR_FS_BTRFS_FORMAT_H
#define EMBR_FS_BTRFS_FORMAT_H

#include "util/endian.h"

enum {
    BTRFS_SUPER_BYTES = 4096,
    BTRFS_SUPER_COPIES = 3,
    BTRFS_CSUM_BYTES = 32, /* room for one; checksums may be shorter */
    BTRFS_UUID_BYTES = 16,
    BTRFS_LABEL_BYTES = 256,
    BTRFS_SYSTEM_CHUNK_ARRAY_BYTES = 2048,
    BTRFS_MAX_LEVELS = 8,
    BTRFS_MIN_SECTOR_BYTES = 4096,
    BTRFS_MAX_NODE_BYTES = 65536,
    BTRFS_NAME_MAX = 255,
    BTRFS_EXTENT_MAX_COMPRESSED = 128 * 1024, /* and as much before */
    BTRFS_RESERVED_BYTES = 1024 * 1024,       /* at the device's start: never allocated */
    BTRFS_STRIPE_BYTES = 64 * 1024,
};

/* Physical places of the superblock and its copies. */
#define BTRFS_SUPER_OFFSET_BYTES (UINT64_C(64) << 10)
#define BTRFS_SUPER_COPY_1_BYTES (UINT64_C(64) << 20)
#define BTRFS_SUPER_COPY_2_BYTES (UINT64_C(256) << 30)

#define BTRFS_MAGIC "_BHRfS_M"

/* superblock: incompat_flags */
#define BTRFS_INCOMPAT_MIXED_BACKREF (UINT64_C(1) << 0)
#define BTRFS_INCOMPAT_DEFAULT_SUBVOL (UINT64_C(1) << 1)
#define BTRFS_INCOMPAT_MIXED_GROUPS (UINT64_C(1) << 2)
#define BTRFS_INCOMPAT_COMPRESS_LZO (UINT64_C(1) << 3)
#define BTRFS_INCOMPAT_COMPRESS_ZSTD (UINT64_C(1) << 4)
#define BTRFS_INCOMPAT_BIG_METADATA (UINT64_C(1) << 5)
#define BTRFS_INCOMPAT_EXTENDED_IREF (UINT64_C(1) << 6)
#define BTRFS_INCOMPAT_RAID56 (UINT64_C(1) << 7)
#define BTRFS_INCOMPAT_SKINNY_METADATA (UINT64_C(1) << 8)
#define BTRFS_INCOMPAT_NO_HOLES (UINT64_C(1) << 9)
#define BTRFS_INCOMPAT_METADATA_UUID (UINT64_C(1) << 10)
#define BTRFS_INCOMPAT_RAID1C34 (UINT64_C(1) << 11)
#define BTRFS_INCOMPAT_ZONED (UINT64_C(1) << 12)
#define BTRFS_INCOMPAT_EXTENT_TREE_V2 (UINT64_C(1) << 13)
#define BTRFS_INCOMPAT_RAID_STRIPE_TREE (UINT64_C(1) << 14)
#define BTRFS_INCOMPAT_SIMPLE_QUOTA (UINT64_C(1) << 16)
#define BTRFS_INCOMPAT_KNOWN                                                           \
    (BTRFS_INCOMPAT_MIXED_BACKREF | BTRFS_INCOMPAT_DEFAULT_SUBVOL |                    \
     BTRFS_INCOMPAT_MIXED_GROUPS | BTRFS_INCOMPAT_COMPRESS_LZO |                       \
     BTRFS_INCOMPAT_COMPRESS_ZSTD | BTRFS_INCOMPAT_BIG_METADATA |                      \
     BTRFS_INCOMPAT_EXTENDED_IREF | BTRFS_INCOMPAT_RAID56 |                            \
     BTRFS_INCOMPAT_SKINNY_METADATA | BTRFS_INCOMPAT_NO_HOLES |                        \
     BTRFS_INCOMPAT_METADATA_UUID | BTRFS_INCOMPAT_RAID1C34 |                          \
     BTRFS_INCOMPAT_SIMPLE_QUOTA)

typedef enum BtrfsCsumType {
    BTRFS_CSUM_CRC32C,
    BTRFS_CSUM_XXHASH64,
    BTRFS_CSUM_SHA256,
    BTRFS_CSUM_BLAKE2B, /* of 256 bits */
} BtrfsCsumType;

/* Trees. */
#define BTRFS_ROOT_TREE 1
#define BTRFS_EXTENT_TREE 2
#define BTRFS_CHUNK_TREE 3
#define BTRFS_FS_TREE 5 /* the subvolume that all others are below */
#define BTRFS_CSUM_TREE 7
#define BTRFS_TREE_LOG (UINT64_MAX - 5)

/* Other objects. */
#define BTRFS_EXTENT_CSUM_OBJECT (UINT64_MAX - 9)
#define BTRFS_FIRST_FREE_OBJECT 256 /* of files and subvolumes; a subvolume's root */
#define BTRFS_LAST_FREE_OBJECT (UINT64_MAX - 255)

typedef enum BtrfsKeyType {
    BTRFS_INODE_ITEM = 1,
    BTRFS_INODE_REF = 12,
    BTRFS_INODE_EXTREF = 13,
    BTRFS_XATTR_ITEM = 24,
    BTRFS_ORPHAN_ITEM = 48,
    BTRFS_DIR_LOG_INDEX = 72,
    BTRFS_DIR_ITEM = 84,
    BTRFS_DIR_INDEX = 96,
    BTRFS_EXTENT_DATA = 108,
    BTRFS_EXTENT_CSUM = 128,
    BTRFS_ROOT_ITEM = 132,
    BTRFS_ROOT_REF = 156,
    BTRFS_EXTENT_ITEM = 168,
    BTRFS_METADATA_ITEM = 169,
    BTRFS_CHUNK_ITEM = 228,
} BtrfsKeyType;

typedef struct BtrfsDiskKey {
    le64_t objectid;
    uint8_t type;
    le64_t offset;
} BtrfsDiskKey;
G_STATIC_ASSERT(sizeof(BtrfsDiskKey) == 17);

typedef struct BtrfsDevItem {
    le64_t devid;
    le64_t total_bytes;
    le64_t bytes_used;
    le32_t io_align;
    le32_t io_width;
    le32_t sector_size;
    le64_t type;
    le64_t generation;
    le64_t start_offset;
    le32_t dev_group;
    uint8_t seek_speed;
    uint8_t bandwidth;
    uint8_t uuid[BTRFS_UUID_BYTES];
    uint8_t fsid[BTRFS_UUID_BYTES];
} BtrfsDevItem;
G_STATIC_ASSERT(sizeof(BtrfsDevItem) == 98);

typedef struct BtrfsSuper {
    uint8_t csum[BTRFS_CSUM_BYTES]; /* of what follows */
    uint8_t fsid[BTRFS_UUID_BYTES];
    le64_t bytenr; /* physical */
    le64_t flags;
    char magic[8];
    le64_t generation;
    le64_t root;
    le64_t chunk_root;
    le64_t log_root;
    le64_t log_root_transid;
    le64_t total_bytes;
    le64_t bytes_used;
    le64_t root_dir_objectid;
    le64_t num_devices;
    le32_t sectorsize;
    le32_t nodesize;
    le32_t leafsize;
    le32_t stripesize;
    le32_t sys_chunk_array_size;
    le64_t chunk_root_generation;
    le64_t compat_flags;
    le64_t compat_ro_flags;
    le64_t incompat_flags;
    le16_t csum_type;
    uint8_t root_level;
    uint8_t chunk_root_level;
    uint8_t log_root_level;
    BtrfsDevItem dev_item;
    char label[BTRFS_LABEL_BYTES];
    le64_t cache_generation;
    le64_t uuid_tree_generation;
    uint8_t metadata_uuid[BTRFS_UUID_BYTES];
    le64_t reserved[28];
    uint8_t sys_chunk_array[BTRFS_SYSTEM_CHUNK_ARRAY_BYTES];
    uint8_t super_roots[672];
    uint8_t padding[565];
} BtrfsSuper;
G_STATIC_ASSERT(sizeof(BtrfsSuper) == BTRFS_SUPER_BYTES);

/* The head of a tree block. */
typedef struct BtrfsHeader {
    uint8_t csum[BTRFS_CSUM_BYTES]; /* of what follows, to the block's end */
    uint8_t fsid[BTRFS_UUID_BYTES];
    le64_t bytenr;
    le64_t flags;
    uint8_t chunk_tree_uuid[BTRFS_UUID_BYTES];
    le64_t generation;
    le64_t owner;
    le32_t nritems;
    uint8_t level; /* 0: a leaf */
} BtrfsHeader;
G_STATIC_ASSERT(sizeof(BtrfsHeader) == 101);

/* In a node above the leaves. */
typedef struct BtrfsKeyPtr {
    BtrfsDiskKey key;
    le64_t blockptr;
    le64_t generation;
} BtrfsKeyPtr;
G_STATIC_ASSERT(sizeof(BtrfsKeyPtr) == 33);

/* In a leaf. */
typedef struct BtrfsItem {
    BtrfsDiskKey key;
    le32_t offset; /* of its data, from the end of the header */
    le32_t size;
} BtrfsItem;
G_STATIC_ASSERT(sizeof(BtrfsItem) == 25);

/* chunk: type */
#define BTRFS_GROUP_DATA (UINT64_C(1) << 0)
#define BTRFS_GROUP_SYSTEM (UINT64_C(1) << 1)
#define BTRFS_GROUP_METADATA (UINT64_C(1) << 2)
#define BTRFS_GROUP_RAID0 (UINT64_C(1) << 3)
#define BTRFS_GROUP_RAID1 (UINT64_C(1) << 4)
#define BTRFS_GROUP_DUP (UINT64_C(1) << 5)
#define BTRFS_GROUP_RAID10 (UINT64_C(1) << 6)
#define BTRFS_GROUP_RAID5 (UINT64_C(1) << 7)
#define BTRFS_GROUP_RAID6 (UINT64_C(1) << 8)
#define BTRFS_GROUP_RAID1C3 (UINT64_C(1) << 9)
#define BTRFS_GROUP_RAID1C4 (UINT64_C(1) << 10)
#define BTRFS_GROUP_MIRRORED                                                           \
    (BTRFS_GROUP_RAID1 | BTRFS_GROUP_DUP | BTRFS_GROUP_RAID1C3 | BTRFS_GROUP_RAID1C4)
#define BTRFS_GROUP_PROFILES                                                           \
    (BTRFS_GROUP_MIRRORED | BTRFS_GROUP_RAID0 | BTRFS_GROUP_RAID10 |                   \
     BTRFS_GROUP_RAID5 | BTRFS_GROUP_RAID6)

typedef struct BtrfsStripe {
    le64_t devid;
    le64_t offset; /* physical */
    uint8_t dev_uuid[BTRFS_UUID_BYTES];
} BtrfsStripe;
G_STATIC_ASSERT(sizeof(BtrfsStripe) == 32);

typedef struct BtrfsChunkItem {
    le64_t length;
    le64_t owner;
    le64_t stripe_len;
    le64_t type;
    le32_t io_align;
    le32_t io_width;
    le32_t sector_size;
    le16_t num_stripes;
    le16_t sub_stripes;
    BtrfsStripe stripes[];
} BtrfsChunkItem;
G_STATIC_ASSERT(sizeof(BtrfsChunkItem) == 48);

typedef struct BtrfsDiskTime {
    le64_t sec;
    le32_t nsec;
} BtrfsDiskTime;

/* inode: flags */
#define BTRFS_INODE_NODATASUM (UINT64_C(1) << 0)
#define BTRFS_INODE_IMMUTABLE (UINT64_C(1) << 6)
#define BTRFS_INODE_APPEND (UINT64_C(1) << 7)
#define BTRFS_INODE_RO_VERITY (UINT64_C(1) << 32)

typedef struct BtrfsInodeItem {
    le64_t generation;
    le64_t transid;
    le64_t size;
    le64_t nbytes;
    le64_t block_group;
    le32_t nlink;
    le32_t uid;
    le32_t gid;
    le32_t mode;
    le64_t rdev;
    le64_t flags;
    le64_t sequence;
    le64_t reserved[4];
    BtrfsDiskTime atime;
    BtrfsDiskTime ctime;
    BtrfsDiskTime mtime;
    BtrfsDiskTime otime;
} BtrfsInodeItem;
G_STATIC_ASSERT(sizeof(BtrfsInodeItem) == 160);

/* Its first, older part. */
typedef struct BtrfsRootItem {
    BtrfsInodeItem inode;
    le64_t generation;
    le64_t root_dirid;
    le64_t bytenr;
    le64_t byte_limit;
    le64_t bytes_used;
    le64_t last_snapshot;
    le64_t flags;
    le32_t refs;
    BtrfsDiskKey drop_progress;
    uint8_t drop_level;
    uint8_t level;
} BtrfsRootItem;
G_STATIC_ASSERT(sizeof(BtrfsRootItem) == 239);

/* Where a subvolume is: in a directory of another. A name follows. */
typedef struct BtrfsRootRef {
    le64_t dirid;
    le64_t sequence;
    le16_t name_len;
} BtrfsRootRef;
G_STATIC_ASSERT(sizeof(BtrfsRootRef) == 18);

typedef enum BtrfsFileType {
    BTRFS_FT_UNKNOWN,
    BTRFS_FT_REGULAR,
    BTRFS_FT_DIRECTORY,
    BTRFS_FT_CHAR_DEVICE,
    BTRFS_FT_BLOCK_DEVICE,
    BTRFS_FT_FIFO,
    BTRFS_FT_SOCKET,
    BTRFS_FT_SYMLINK,
    BTRFS_FT_XATTR,
} BtrfsFileType;

/* An entry of a directory, or an attribute. Name and value follow. */
typedef struct BtrfsDirItem {
    BtrfsDiskKey location; /* an INODE_ITEM, or the ROOT_ITEM of a subvolume */
    le64_t transid;
    le16_t data_len;
    le16_t name_len;
    uint8_t type;
} BtrfsDirItem;
G_STATIC_ASSERT(sizeof(BtrfsDirItem) == 30);

/* A name of a file, which follows. */
typedef struct BtrfsInodeRef {
    le64_t index; /* of the DIR_INDEX */
    le16_t name_len;
} BtrfsInodeRef;
G_STATIC_ASSERT(sizeof(BtrfsInodeRef) == 10);

typedef struct BtrfsInodeExtref {
    le64_t parent_objectid;
    le64_t index;
    le16_t name_len;
} BtrfsInodeExtref;
G_STATIC_ASSERT(sizeof(BtrfsInodeExtref) == 18);

typedef enum BtrfsExtentType {
    BTRFS_EXTENT_INLINE, /* the content follows the first 21 bytes */
    BTRFS_EXTENT_REGULAR,
    BTRFS_EXTENT_PREALLOC,
} BtrfsExtentType;

typedef enum BtrfsCompression {
    BTRFS_COMPRESS_NONE,
    BTRFS_COMPRESS_ZLIB,
    BTRFS_COMPRESS_LZO,
    BTRFS_COMPRESS_ZSTD,
} BtrfsCompression;

enum { BTRFS_EXTENT_INLINE_HEAD_BYTES = 21 };

typedef struct BtrfsFileExtentItem {
    le64_t generation;
    le64_t ram_bytes; /* of the whole extent, not compressed */
    uint8_t compression;
    uint8_t encryption;
    le16_t other_encoding;
    uint8_t type;
    le64_t disk_bytenr; /* 0: a hole */
    le64_t disk_num_bytes;
    le64_t offset; /* of this part in the extent, not compressed */
    le64_t num_bytes;
} BtrfsFileExtentItem;
G_STATIC_ASSERT(sizeof(BtrfsFileExtentItem) == 53);

/* extent item: flags */
#define BTRFS_EXTENT_FLAG_DATA (UINT64_C(1) << 0)
#define BTRFS_EXTENT_FLAG_TREE_BLOCK (UINT64_C(1) << 1)

typedef struct BtrfsExtentItem {
    le64_t refs;
    le64_t generation;
    le64_t flags;
} BtrfsExtentItem;
G_STATIC_ASSERT(sizeof(BtrfsExtentItem) == 24);

#endif
