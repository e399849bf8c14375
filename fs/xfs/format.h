/*
 * XFS as it lies on the device.
 *
 * Field names are those of "XFS Algorithms & Data Structures", where their meaning is
 * written down.  All is big-endian but checksums.  What version 5 adds to a block's
 * head is told by XfsBlockKind (verify.c).
 */
#ifndef EMBR_FS_XFS_FORMAT_H
#define EMBR_FS_XFS_FORMAT_H

#include "util/endian.h"

#define XFS_MAGIC(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

enum {
    XFS_MIN_SECTOR_BYTES = 512,
    XFS_SUPER_BYTES = 512, /* of which the fields used are the first half */
    XFS_UUID_BYTES = 16,
    XFS_DADDR_BITS = 9, /* block headers hold their place in units of 512 bytes */
};

#define XFS_SUPER_MAGIC XFS_MAGIC('X', 'F', 'S', 'B')

/* versionnum: the version in its low bits, features in the rest */
#define XFS_VERSION_MASK 0xf
#define XFS_VERSION_DIRV2 0x2000
#define XFS_VERSION_ASCII_CI 0x4000
#define XFS_VERSION_MOREBITS 0x8000
#define XFS_FEATURES2_FTYPE 0x200

#define XFS_INCOMPAT_FTYPE 0x1
#define XFS_INCOMPAT_SPARSE_INODES 0x2
#define XFS_INCOMPAT_META_UUID 0x4
#define XFS_INCOMPAT_BIGTIME 0x8
#define XFS_INCOMPAT_NEEDS_REPAIR 0x10
#define XFS_INCOMPAT_NREXT64 0x20
#define XFS_INCOMPAT_EXCHANGE 0x40
#define XFS_INCOMPAT_PARENT 0x80
#define XFS_INCOMPAT_METADIR 0x100
#define XFS_INCOMPAT_ZONED 0x200
#define XFS_INCOMPAT_KNOWN                                                             \
    (XFS_INCOMPAT_FTYPE | XFS_INCOMPAT_SPARSE_INODES | XFS_INCOMPAT_META_UUID |        \
     XFS_INCOMPAT_BIGTIME | XFS_INCOMPAT_NEEDS_REPAIR | XFS_INCOMPAT_NREXT64 |         \
     XFS_INCOMPAT_EXCHANGE | XFS_INCOMPAT_PARENT)

#define XFS_LOG_INCOMPAT_KNOWN 0x1 /* attributes may be logged as such */

typedef struct XfsSuper {
    be32_t magicnum;
    be32_t blocksize;
    be64_t dblocks;
    be64_t rblocks;
    be64_t rextents;
    uint8_t uuid[XFS_UUID_BYTES];
    be64_t logstart;
    be64_t rootino;
    be64_t rbmino;
    be64_t rsumino;
    be32_t rextsize;
    be32_t agblocks;
    be32_t agcount;
    be32_t rbmblocks;
    be32_t logblocks;
    be16_t versionnum;
    be16_t sectsize;
    be16_t inodesize;
    be16_t inopblock;
    char fname[12];
    uint8_t blocklog;
    uint8_t sectlog;
    uint8_t inodelog;
    uint8_t inopblog;
    uint8_t agblklog;
    uint8_t rextslog;
    uint8_t inprogress;
    uint8_t imax_pct;
    be64_t icount;
    be64_t ifree;
    be64_t fdblocks;
    be64_t frextents;
    be64_t uquotino;
    be64_t gquotino;
    be16_t qflags;
    uint8_t flags;
    uint8_t shared_vn;
    be32_t inoalignmt;
    be32_t unit;
    be32_t width;
    uint8_t dirblklog;
    uint8_t logsectlog;
    be16_t logsectsize;
    be32_t logsunit;
    be32_t features2;
    be32_t bad_features2;
    be32_t features_compat;
    be32_t features_ro_compat;
    be32_t features_incompat;
    be32_t features_log_incompat;
    le32_t crc;
    be32_t spino_align;
    be64_t pquotino;
    be64_t lsn;
    uint8_t meta_uuid[XFS_UUID_BYTES];
} XfsSuper;
G_STATIC_ASSERT(sizeof(XfsSuper) == 264);

#define XFS_AGF_MAGIC XFS_MAGIC('X', 'A', 'G', 'F')
enum { XFS_AGF_SECTOR = 1 };

typedef struct XfsAgf {
    be32_t magicnum;
    be32_t versionnum;
    be32_t seqno;
    be32_t length;
    be32_t bno_root;
    be32_t cnt_root;
    be32_t rmap_root;
    be32_t bno_level;
    be32_t cnt_level;
    be32_t rmap_level;
    be32_t flfirst;
    be32_t fllast;
    be32_t flcount;
    be32_t freeblks;
    be32_t longest;
    be32_t btreeblks;
    uint8_t uuid[XFS_UUID_BYTES];
    uint8_t other[128];
    be64_t lsn;
    le32_t crc;
} XfsAgf;
G_STATIC_ASSERT(offsetof(XfsAgf, crc) == 216);

/* Inodes */

enum {
    XFS_INODE_MAGIC = 0x494e,
    XFS_INODE_V2_BYTES = 100,
    XFS_INODE_V3_BYTES = 176,
};

typedef enum XfsForkFormat {
    XFS_FORK_DEVICE = 0,
    XFS_FORK_LOCAL = 1,
    XFS_FORK_EXTENTS = 2,
    XFS_FORK_BTREE = 3,
} XfsForkFormat;

#define XFS_INODE_REALTIME 0x1
#define XFS_INODE_IMMUTABLE 0x8
#define XFS_INODE_APPEND 0x10
#define XFS_INODE2_REFLINK 0x2
#define XFS_INODE2_BIGTIME 0x8
#define XFS_INODE2_NREXT64 0x10

typedef struct XfsInodeDisk {
    be16_t magic;
    be16_t mode;
    uint8_t version;
    uint8_t format;
    be16_t onlink; /* all there is in version 1 */
    be32_t uid;
    be32_t gid;
    be32_t nlink;
    be16_t projid_lo;
    be16_t projid_hi;
    be64_t big_nextents; /* with NREXT64 */
    be64_t atime, mtime, ctime;
    be64_t size;
    be64_t nblocks;
    be32_t extsize;
    be32_t nextents; /* with NREXT64: of the attribute fork */
    be16_t anextents;
    uint8_t forkoff; /* of the attribute fork, in 8 bytes from the data fork on */
    uint8_t aformat;
    be32_t dmevmask;
    be16_t dmstate;
    be16_t flags;
    be32_t gen;
    be32_t next_unlinked;
    /* from version 3 on */
    le32_t crc;
    be64_t changecount;
    be64_t lsn;
    be64_t flags2;
    be32_t cowextsize;
    uint8_t pad[12];
    be64_t crtime;
    be64_t ino;
    uint8_t uuid[XFS_UUID_BYTES];
} XfsInodeDisk;
G_STATIC_ASSERT(offsetof(XfsInodeDisk, crc) == XFS_INODE_V2_BYTES);
G_STATIC_ASSERT(sizeof(XfsInodeDisk) == XFS_INODE_V3_BYTES);

/* B+trees: a head, then records; or keys and, after room for all of these, pointers. */

enum {
    XFS_EXTENT_BYTES = 16,
    XFS_EXTENT_KEY_BYTES = 8,
    XFS_FREE_BYTES = 8,
    XFS_MAX_BTREE_LEVELS = 10,
};

typedef struct XfsBtreeHead {
    be32_t magic;
    be16_t level;
    be16_t numrecs;
} XfsBtreeHead;

typedef struct XfsBtreeRoot { /* in an inode */
    be16_t level;
    be16_t numrecs;
} XfsBtreeRoot;

/* Directories and attributes */

enum {
    XFS_DIR_DATA_ALIGN = 8,
    XFS_DIR_FREE_TAG = 0xffff,
    XFS_DIR_LEAF1_MAGIC = 0xd2f1,
    XFS_DIR3_LEAF1_MAGIC = 0x3df1,
    XFS_DIR_LEAFN_MAGIC = 0xd2ff,
    XFS_DIR3_LEAFN_MAGIC = 0x3dff,
    XFS_DA_NODE_MAGIC = 0xfebe,
    XFS_DA3_NODE_MAGIC = 0x3ebe,
    XFS_ATTR_LEAF_MAGIC = 0xfbee,
    XFS_ATTR3_LEAF_MAGIC = 0x3bee,
};

#define XFS_DIR_BLOCK_MAGIC XFS_MAGIC('X', 'D', '2', 'B')
#define XFS_DIR3_BLOCK_MAGIC XFS_MAGIC('X', 'D', 'B', '3')
#define XFS_DIR_DATA_MAGIC XFS_MAGIC('X', 'D', '2', 'D')
#define XFS_DIR3_DATA_MAGIC XFS_MAGIC('X', 'D', 'D', '3')
#define XFS_REMOTE_ATTR_MAGIC XFS_MAGIC('X', 'A', 'R', 'M')
#define XFS_SYMLINK_MAGIC XFS_MAGIC('X', 'S', 'L', 'M')

/* Where in a directory its index starts. */
#define XFS_DIR_LEAF_OFFSET_BYTES (UINT64_C(32) << 30)

typedef struct XfsDaInfo {
    be32_t forw;
    be32_t back;
    be16_t magic;
    be16_t pad;
} XfsDaInfo;

typedef struct XfsDirLeafEntry {
    be32_t hashval;
    be32_t address; /* of the entry, in units of 8 bytes; 0: none any more */
} XfsDirLeafEntry;

typedef struct XfsDirBlockTail {
    be32_t count;
    be32_t stale;
} XfsDirBlockTail;

typedef struct XfsDaNodeEntry {
    be32_t hashval; /* the largest below */
    be32_t before;
} XfsDaNodeEntry;

typedef struct XfsAttrLeafEntry {
    be32_t hashval;
    be16_t nameidx;
    uint8_t flags;
    uint8_t pad;
} XfsAttrLeafEntry;

#define XFS_ATTR_LOCAL 0x1
#define XFS_ATTR_ROOT 0x2
#define XFS_ATTR_SECURE 0x4
#define XFS_ATTR_PARENT 0x8
#define XFS_ATTR_INCOMPLETE 0x80

/* The head of remote symbolic links and of each block of remote attributes in v5. */
typedef struct XfsRemoteHead {
    be32_t magic;
    be32_t offset;
    be32_t bytes;
    le32_t crc;
    uint8_t uuid[XFS_UUID_BYTES];
    be64_t owner;
    be64_t blkno;
    be64_t lsn;
} XfsRemoteHead;
G_STATIC_ASSERT(sizeof(XfsRemoteHead) == 56);

/* The log */

#define XFS_LOG_RECORD_MAGIC 0xfeedbabe

enum {
    XFS_LOG_BLOCK_BYTES = 512,
    XFS_LOG_RECORD_MAX_BLOCKS = (256 + 32) * 1024 / XFS_LOG_BLOCK_BYTES,
    XFS_LOG_CYCLES = 64,          /* first words of blocks, in each head of a record */
    XFS_LOG_SIZE_PER_HEAD = 32 * 1024,
    XFS_LOG_FORMAT_LITTLE = 1,    /* of the machine that wrote the operations' contents */
    XFS_LOG_OP_START = 0x01,
    XFS_LOG_OP_COMMIT = 0x02,
    XFS_LOG_OP_CONTINUES = 0x04,
    XFS_LOG_OP_WAS_CONTINUED = 0x08,
    XFS_LOG_OP_UNMOUNT = 0x20,
};

typedef struct XfsLogRecord {
    be32_t magicno;
    be32_t cycle;
    be32_t version;
    be32_t len;
    be64_t lsn;
    be64_t tail_lsn;
    le32_t crc;
    be32_t prev_block;
    be32_t num_logops;
    be32_t cycle_data[XFS_LOG_CYCLES];
    be32_t fmt;
    uint8_t fs_uuid[XFS_UUID_BYTES];
    be32_t size;
} XfsLogRecord;
G_STATIC_ASSERT(sizeof(XfsLogRecord) == 324);

/* The second head and on of a record whose size needs more. */
typedef struct XfsLogMore {
    be32_t cycle;
    be32_t cycle_data[XFS_LOG_CYCLES];
} XfsLogMore;

typedef struct XfsLogOp {
    be32_t tid;
    be32_t len;
    uint8_t clientid;
    uint8_t flags;
    uint8_t pad[2];
} XfsLogOp;

/* Types of items, in the byte order of the machine that wrote them, as all in them that
 * is no copy of what is on the disk. */
enum {
    XFS_LOG_EFI = 0x1236,
    XFS_LOG_EFD = 0x1237,
    XFS_LOG_INODE = 0x123b,
    XFS_LOG_BUFFER = 0x123c,
    XFS_LOG_DQUOT = 0x123d,
    XFS_LOG_QUOTAOFF = 0x123e,
    XFS_LOG_ICREATE = 0x123f,
    XFS_LOG_RUI = 0x1240,
    XFS_LOG_RUD = 0x1241,
    XFS_LOG_CUI = 0x1242,
    XFS_LOG_CUD = 0x1243,
    XFS_LOG_BUI = 0x1244,
    XFS_LOG_BUD = 0x1245,
    XFS_LOG_ATTRI = 0x1246,
    XFS_LOG_ATTRD = 0x1247,
    XFS_LOG_XMI = 0x1248,
    XFS_LOG_XMD = 0x1249,
    XFS_LOG_EFI_RT = 0x124a,
    XFS_LOG_CUD_RT = 0x124f, /* the last of those of the realtime device */
};

typedef struct XfsLogBuffer {
    le16_t type;
    le16_t total;
    le16_t flags;
    le16_t sectors;
    le64_t sector;
    le32_t map_words;
    /* then a bit for each 128 bytes; those that follow each other are a region */
} XfsLogBuffer;
G_STATIC_ASSERT(sizeof(XfsLogBuffer) == 20);

enum {
    XFS_LOG_BUFFER_INODES = 0x1, /* only the links of inodes without a name */
    XFS_LOG_BUFFER_CANCEL = 0x2,
    XFS_LOG_BUFFER_QUOTA = 0x1c,
    XFS_LOG_BUFFER_PIECE = 128,
    XFS_LOG_BUFFER_WORDS_MAX = 17,
};

typedef struct XfsLogInode {
    le16_t type;
    le16_t total;
    le32_t fields;
    le16_t attr_bytes;
    le16_t data_bytes;
    le32_t pad;
    le64_t ino;
    uint8_t device[16];
    le64_t sector; /* of the buffer it is in ... */
    le32_t sectors;
    le32_t offset; /* ... and where in that */
} XfsLogInode;
G_STATIC_ASSERT(sizeof(XfsLogInode) == 56);

/* The same without the padding, by machines of 32 bits. */
typedef struct XfsLogInode32 {
    le16_t type;
    le16_t total;
    le32_t fields;
    le16_t attr_bytes;
    le16_t data_bytes;
    le64_t ino;
    uint8_t device[16];
    le64_t sector;
    le32_t sectors;
    le32_t offset;
} XfsLogInode32;
G_STATIC_ASSERT(sizeof(XfsLogInode32) == 52);

/* Which parts of an inode there are, in fields. */
enum {
    XFS_LOG_INODE_DATA = 0x002,
    XFS_LOG_INODE_EXTENTS = 0x004,
    XFS_LOG_INODE_ROOT = 0x008,
    XFS_LOG_INODE_DEVICE = 0x010,
    XFS_LOG_INODE_ATTR_DATA = 0x040,
    XFS_LOG_INODE_ATTR_EXTENTS = 0x080,
    XFS_LOG_INODE_ATTR_ROOT = 0x100,
    XFS_LOG_INODE_OWNERS = 0x600, /* blocks of its trees are given to it */
};

typedef struct XfsLogIcreate {
    le16_t type;
    le16_t total;
    be32_t ag;
    be32_t block; /* in its group */
    be32_t count;
    be32_t inode_bytes;
    be32_t length; /* in blocks */
    be32_t gen;
} XfsLogIcreate;
G_STATIC_ASSERT(sizeof(XfsLogIcreate) == 28);

/* What is to be done, and later was. */
typedef struct XfsLogIntent {
    le16_t type;
    le16_t total;
    le32_t count;
    le64_t id;
    le64_t ino; /* of BUI, ATTRI and XMI, the first */
} XfsLogIntent;
G_STATIC_ASSERT(sizeof(XfsLogIntent) == 24);

#endif
