/*
 * ext2, ext3 and ext4 as they lie on the device.
 *
 * Field names are those of the kernel's Documentation/filesystems/ext4, where
 * their meaning is written down.  All is little-endian but the journal.
 */
#ifndef EMBR_FS_EXT4_FORMAT_H
#define EMBR_FS_EXT4_FORMAT_H

#include "util/endian.h"

enum {
    EXT4_SUPER_OFFSET_BYTES = 1024,
    EXT4_SUPER_BYTES = 1024,
    EXT4_SUPER_MAGIC = 0xef53,
    EXT4_ROOT_INO = 2,
    EXT4_OLD_INODE_BYTES = 128,
    EXT4_MIN_DESC_BYTES = 32,
    EXT4_N_BLOCKS = 15,
    EXT4_DIRECT_BLOCKS = 12,
    EXT4_INLINE_BYTES = EXT4_N_BLOCKS * 4,
    EXT4_NAME_MAX = 255,
    EXT4_MAX_EXTENT_DEPTH = 5,
    EXT4_OS_LINUX = 0,
    EXT4_OS_HURD = 1,
};

#define EXT4_STATE_ERRORS 0x2

#define EXT4_COMPAT_HAS_JOURNAL 0x4
#define EXT4_COMPAT_SPARSE_SUPER2 0x200
#define EXT4_COMPAT_FAST_COMMIT 0x400
#define EXT4_COMPAT_ORPHAN_FILE 0x1000

#define EXT4_INCOMPAT_COMPRESSION 0x1
#define EXT4_INCOMPAT_FILETYPE 0x2
#define EXT4_INCOMPAT_RECOVER 0x4
#define EXT4_INCOMPAT_JOURNAL_DEV 0x8
#define EXT4_INCOMPAT_META_BG 0x10
#define EXT4_INCOMPAT_EXTENTS 0x40
#define EXT4_INCOMPAT_64BIT 0x80
#define EXT4_INCOMPAT_MMP 0x100
#define EXT4_INCOMPAT_FLEX_BG 0x200
#define EXT4_INCOMPAT_EA_INODE 0x400
#define EXT4_INCOMPAT_DIRDATA 0x1000
#define EXT4_INCOMPAT_CSUM_SEED 0x2000
#define EXT4_INCOMPAT_LARGEDIR 0x4000
#define EXT4_INCOMPAT_INLINE_DATA 0x8000
#define EXT4_INCOMPAT_ENCRYPT 0x10000
#define EXT4_INCOMPAT_CASEFOLD 0x20000
#define EXT4_INCOMPAT_KNOWN                                                           \
    (EXT4_INCOMPAT_FILETYPE | EXT4_INCOMPAT_RECOVER | EXT4_INCOMPAT_META_BG |         \
     EXT4_INCOMPAT_EXTENTS | EXT4_INCOMPAT_64BIT | EXT4_INCOMPAT_MMP |                \
     EXT4_INCOMPAT_FLEX_BG | EXT4_INCOMPAT_EA_INODE | EXT4_INCOMPAT_CSUM_SEED |       \
     EXT4_INCOMPAT_LARGEDIR | EXT4_INCOMPAT_INLINE_DATA | EXT4_INCOMPAT_ENCRYPT |     \
     EXT4_INCOMPAT_CASEFOLD)

#define EXT4_RO_SPARSE_SUPER 0x1
#define EXT4_RO_LARGE_FILE 0x2
#define EXT4_RO_BTREE_DIR 0x4
#define EXT4_RO_HUGE_FILE 0x8
#define EXT4_RO_GDT_CSUM 0x10
#define EXT4_RO_BIGALLOC 0x200
#define EXT4_RO_METADATA_CSUM 0x400
#define EXT4_RO_SHARED_BLOCKS 0x4000

typedef struct Ext4Super {
    le32_t inodes_count;
    le32_t blocks_count_lo;
    le32_t r_blocks_count_lo;
    le32_t free_blocks_count_lo;
    le32_t free_inodes_count;
    le32_t first_data_block;
    le32_t log_block_size;
    le32_t log_cluster_size;
    le32_t blocks_per_group;
    le32_t clusters_per_group;
    le32_t inodes_per_group;
    le32_t mtime;
    le32_t wtime;
    le16_t mnt_count;
    le16_t max_mnt_count;
    le16_t magic;
    le16_t state;
    le16_t errors;
    le16_t minor_rev_level;
    le32_t lastcheck;
    le32_t checkinterval;
    le32_t creator_os;
    le32_t rev_level;
    le16_t def_resuid;
    le16_t def_resgid;
    le32_t first_ino;
    le16_t inode_size;
    le16_t block_group_nr;
    le32_t feature_compat;
    le32_t feature_incompat;
    le32_t feature_ro_compat;
    uint8_t uuid[16];
    char volume_name[16];
    char last_mounted[64];
    le32_t algorithm_usage_bitmap;
    uint8_t prealloc_blocks;
    uint8_t prealloc_dir_blocks;
    le16_t reserved_gdt_blocks;
    uint8_t journal_uuid[16];
    le32_t journal_inum;
    le32_t journal_dev;
    le32_t last_orphan;
    le32_t hash_seed[4];
    uint8_t def_hash_version;
    uint8_t jnl_backup_type;
    le16_t desc_size;
    le32_t default_mount_opts;
    le32_t first_meta_bg;
    le32_t mkfs_time;
    le32_t jnl_blocks[17];
    le32_t blocks_count_hi;
    le32_t r_blocks_count_hi;
    le32_t free_blocks_count_hi;
    le16_t min_extra_isize;
    le16_t want_extra_isize;
    le32_t flags;
    le16_t raid_stride;
    le16_t mmp_interval;
    le64_t mmp_block;
    le32_t raid_stripe_width;
    uint8_t log_groups_per_flex;
    uint8_t checksum_type;
    le16_t reserved_pad;
    le64_t kbytes_written;
    uint8_t snapshots_and_errors[0xc0];
    le32_t usr_quota_inum;
    le32_t grp_quota_inum;
    le32_t overhead_blocks;
    le32_t backup_bgs[2];
    uint8_t encrypt_algos[4];
    uint8_t encrypt_pw_salt[16];
    le32_t lpf_ino;
    le32_t prj_quota_inum;
    le32_t checksum_seed;
    uint8_t time_his[6];
    uint8_t pad[2];
    le16_t encoding;
    le16_t encoding_flags;
    le32_t orphan_file_inum;
    uint8_t reserved[0x3fc - 0x284];
    le32_t checksum;
} Ext4Super;
G_STATIC_ASSERT(sizeof(Ext4Super) == EXT4_SUPER_BYTES);
G_STATIC_ASSERT(offsetof(Ext4Super, uuid) == 0x68);
G_STATIC_ASSERT(offsetof(Ext4Super, journal_inum) == 0xe0);
G_STATIC_ASSERT(offsetof(Ext4Super, blocks_count_hi) == 0x150);
G_STATIC_ASSERT(offsetof(Ext4Super, usr_quota_inum) == 0x240);
G_STATIC_ASSERT(offsetof(Ext4Super, checksum_seed) == 0x270);

/* Super.flags: how names were hashed where char's sign matters. */
#define EXT4_FLAGS_SIGNED_HASH 0x1
#define EXT4_FLAGS_UNSIGNED_HASH 0x2

/* The part from block_bitmap_hi on exists if Super.desc_size says so. */
typedef struct Ext4GroupDesc {
    le32_t block_bitmap_lo;
    le32_t inode_bitmap_lo;
    le32_t inode_table_lo;
    le16_t free_blocks_count_lo;
    le16_t free_inodes_count_lo;
    le16_t used_dirs_count_lo;
    le16_t flags;
    le32_t exclude_bitmap_lo;
    le16_t block_bitmap_csum_lo;
    le16_t inode_bitmap_csum_lo;
    le16_t itable_unused_lo;
    le16_t checksum;
    le32_t block_bitmap_hi;
    le32_t inode_bitmap_hi;
    le32_t inode_table_hi;
    le16_t free_blocks_count_hi;
    le16_t free_inodes_count_hi;
    le16_t used_dirs_count_hi;
    le16_t itable_unused_hi;
    le32_t exclude_bitmap_hi;
    le16_t block_bitmap_csum_hi;
    le16_t inode_bitmap_csum_hi;
    le32_t reserved;
} Ext4GroupDesc;
G_STATIC_ASSERT(sizeof(Ext4GroupDesc) == 64);
G_STATIC_ASSERT(offsetof(Ext4GroupDesc, checksum) == 0x1e);

#define EXT4_BG_INODE_UNINIT 0x1
#define EXT4_BG_BLOCK_UNINIT 0x2

typedef struct Ext4InodeDisk {
    le16_t mode;
    le16_t uid;
    le32_t size_lo;
    le32_t atime;
    le32_t ctime;
    le32_t mtime;
    le32_t dtime;
    le16_t gid;
    le16_t links_count;
    le32_t blocks_lo;
    le32_t flags;
    le32_t osd1;
    uint8_t block[EXT4_INLINE_BYTES];
    le32_t generation;
    le32_t file_acl_lo;
    le32_t size_high;
    le32_t obso_faddr;
    le16_t blocks_high;
    le16_t file_acl_high;
    le16_t uid_high;
    le16_t gid_high;
    le16_t checksum_lo;
    le16_t reserved;
    /* From here on: as far as extra_isize reaches. */
    le16_t extra_isize;
    le16_t checksum_hi;
    le32_t ctime_extra;
    le32_t mtime_extra;
    le32_t atime_extra;
    le32_t crtime;
    le32_t crtime_extra;
    le32_t version_hi;
    le32_t projid;
} Ext4InodeDisk;
G_STATIC_ASSERT(sizeof(Ext4InodeDisk) == 160);
G_STATIC_ASSERT(offsetof(Ext4InodeDisk, block) == 0x28);
G_STATIC_ASSERT(offsetof(Ext4InodeDisk, checksum_lo) == 0x7c);
G_STATIC_ASSERT(offsetof(Ext4InodeDisk, extra_isize) == EXT4_OLD_INODE_BYTES);

#define EXT4_IMMUTABLE_FL 0x10
#define EXT4_APPEND_FL 0x20
#define EXT4_ENCRYPT_FL 0x800
#define EXT4_INDEX_FL 0x1000
#define EXT4_HUGE_FILE_FL 0x40000
#define EXT4_EXTENTS_FL 0x80000
#define EXT4_VERITY_FL 0x100000
#define EXT4_EA_INODE_FL 0x200000
#define EXT4_INLINE_DATA_FL 0x10000000
#define EXT4_CASEFOLD_FL 0x40000000

#define EXT4_EXTENT_MAGIC 0xf30a
/* Lengths above this mean an unwritten extent of that many blocks less. */
#define EXT4_EXTENT_MAX_WRITTEN 32768

typedef struct Ext4ExtentHeader {
    le16_t magic;
    le16_t entries;
    le16_t max;
    le16_t depth;
    le32_t generation;
} Ext4ExtentHeader;
G_STATIC_ASSERT(sizeof(Ext4ExtentHeader) == 12);

typedef struct Ext4Extent {
    le32_t block;
    le16_t len;
    le16_t start_hi;
    le32_t start_lo;
} Ext4Extent;
G_STATIC_ASSERT(sizeof(Ext4Extent) == 12);

typedef struct Ext4ExtentIndex {
    le32_t block;
    le32_t leaf_lo;
    le16_t leaf_hi;
    le16_t unused;
} Ext4ExtentIndex;
G_STATIC_ASSERT(sizeof(Ext4ExtentIndex) == 12);

/* Without the feature "filetype", file_type is the high byte of name_len. */
typedef struct Ext4DirEntry {
    le32_t inode;
    le16_t rec_len;
    uint8_t name_len;
    uint8_t file_type;
    char name[];
} Ext4DirEntry;
G_STATIC_ASSERT(sizeof(Ext4DirEntry) == 8);

typedef struct Ext4DirTail {
    le32_t zero1;
    le16_t rec_len;
    uint8_t zero2;
    uint8_t file_type;
    le32_t checksum;
} Ext4DirTail;
G_STATIC_ASSERT(sizeof(Ext4DirTail) == 12);
#define EXT4_DIR_TAIL_TYPE 0xde

typedef struct Ext4DxCountLimit {
    le16_t limit;
    le16_t count;
} Ext4DxCountLimit;

typedef struct Ext4DxEntry {
    le32_t hash;                    /* of the first one: the Ext4DxCountLimit */
    le32_t block;
} Ext4DxEntry;
G_STATIC_ASSERT(sizeof(Ext4DxEntry) == 8);

/* Follows the entries of "." and ".." in block 0 of a hashed directory. */
typedef struct Ext4DxRootInfo {
    le32_t reserved;
    uint8_t hash_version;
    uint8_t info_length;
    uint8_t indirect_levels;
    uint8_t unused_flags;
} Ext4DxRootInfo;
G_STATIC_ASSERT(sizeof(Ext4DxRootInfo) == 8);

enum {
    EXT4_DX_ROOT_INFO_OFFSET = 24,
    EXT4_DX_ROOT_ENTRIES_OFFSET = 32,
    EXT4_DX_NODE_ENTRIES_OFFSET = 8,
    EXT4_DX_TAIL_BYTES = 8,
};

#define EXT4_XATTR_MAGIC 0xea020000u

typedef struct Ext4XattrHeader {
    le32_t magic;
    le32_t refcount;
    le32_t blocks;
    le32_t hash;
    le32_t checksum;
    le32_t reserved[3];
} Ext4XattrHeader;
G_STATIC_ASSERT(sizeof(Ext4XattrHeader) == 32);

typedef struct Ext4XattrEntry {
    uint8_t name_len;
    uint8_t name_index;
    le16_t value_offs;
    le32_t value_inum;
    le32_t value_size;
    le32_t hash;
    char name[];
} Ext4XattrEntry;
G_STATIC_ASSERT(sizeof(Ext4XattrEntry) == 16);

enum {
    EXT4_XATTR_NONE = 0,
    EXT4_XATTR_USER = 1,
    EXT4_XATTR_ACL_ACCESS = 2,
    EXT4_XATTR_ACL_DEFAULT = 3,
    EXT4_XATTR_TRUSTED = 4,
    EXT4_XATTR_LUSTRE = 5,
    EXT4_XATTR_SECURITY = 6,
    EXT4_XATTR_SYSTEM = 7,
    EXT4_XATTR_RICHACL = 8,
    EXT4_XATTR_ENCRYPTION = 9,
    EXT4_XATTR_HURD = 10,
};

/* The journal (jbd2); big-endian. */

#define JBD2_MAGIC 0xc03b3998u

enum {
    JBD2_DESCRIPTOR_BLOCK = 1,
    JBD2_COMMIT_BLOCK = 2,
    JBD2_SUPER_V1 = 3,
    JBD2_SUPER_V2 = 4,
    JBD2_REVOKE_BLOCK = 5,
};

#define JBD2_COMPAT_CHECKSUM 0x1
#define JBD2_INCOMPAT_REVOKE 0x1
#define JBD2_INCOMPAT_64BIT 0x2
#define JBD2_INCOMPAT_ASYNC_COMMIT 0x4
#define JBD2_INCOMPAT_CSUM_V2 0x8
#define JBD2_INCOMPAT_CSUM_V3 0x10
#define JBD2_INCOMPAT_FAST_COMMIT 0x20
#define JBD2_INCOMPAT_KNOWN 0x3f

#define JBD2_TAG_ESCAPED 0x1
#define JBD2_TAG_SAME_UUID 0x2
#define JBD2_TAG_LAST 0x8

#define JBD2_CRC32_TYPE 1
#define JBD2_CRC32C_TYPE 4
#define JBD2_DEFAULT_FAST_COMMIT_BLOCKS 256

typedef struct Jbd2Header {
    be32_t magic;
    be32_t blocktype;
    be32_t sequence;
} Jbd2Header;
G_STATIC_ASSERT(sizeof(Jbd2Header) == 12);

typedef struct Jbd2Super {
    Jbd2Header header;
    be32_t blocksize;
    be32_t maxlen;
    be32_t first;
    be32_t sequence;
    be32_t start;
    be32_t err;
    be32_t feature_compat;
    be32_t feature_incompat;
    be32_t feature_ro_compat;
    uint8_t uuid[16];
    be32_t nr_users;
    be32_t dynsuper;
    be32_t max_transaction;
    be32_t max_trans_data;
    uint8_t checksum_type;
    uint8_t padding2[3];
    be32_t num_fc_blocks;
    be32_t head;
    be32_t padding[40];
    be32_t checksum;
    uint8_t users[16 * 48];
} Jbd2Super;
G_STATIC_ASSERT(sizeof(Jbd2Super) == 1024);
G_STATIC_ASSERT(offsetof(Jbd2Super, checksum) == 0xfc);

typedef struct Jbd2Commit {
    Jbd2Header header;
    uint8_t chksum_type;
    uint8_t chksum_size;
    uint8_t padding[2];
    be32_t chksum[8];
    be64_t commit_sec;
    be32_t commit_nsec;
} Jbd2Commit;
G_STATIC_ASSERT(sizeof(Jbd2Commit) == 60);
G_STATIC_ASSERT(offsetof(Jbd2Commit, chksum) == 0x10);

#endif
