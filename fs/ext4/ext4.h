/*
 * The ext4 driver's own parts and how they fit together.
 *
 * super.c    what kind of filesystem this is, and its geometry
 * device.c   reading the volume as the kernel would see it: through the journal;
 *            metadata stays in memory (fs/buffer-cache.c)
 * group.c    group descriptors
 * inode.c    inodes, decoded and cached
 * map.c      from a file's blocks to the device's (extents.c, indirect.c)
 * file.c     content: files, symbolic links, extents
 * dir.c      directory entries (lookup.c, dirhash.c; nokey.c: encrypted names)
 * xattr.c    extended attributes (acl.c)
 * journal.c  what an interrupted journal would have written (journal-scan.c,
 *            fast-commit.c, fc-apply.c)
 * bitmap.c   what is allocated
 * checksum.c all checksums
 */
#ifndef EMBR_FS_EXT4_H
#define EMBR_FS_EXT4_H

#include "fs/buffer-cache.h"
#include "fs/fs.h"
#include "util/units.h"
#include "format.h"

typedef struct Ext4State Ext4State;
typedef struct Ext4Journal Ext4Journal;
typedef struct Ext4FastCommit Ext4FastCommit;

/* The superblock, checked and in host order. */
typedef struct Ext4Geometry {
    uint32_t compat, incompat, ro_compat;
    uint32_t rev;
    uint32_t creator_os;
    uint32_t state;
    uint32_t block_bytes;
    unsigned block_bits;
    unsigned cluster_bits;              /* log2 of blocks in a cluster */
    uint64_t blocks_count;
    uint32_t first_data_block;
    uint32_t blocks_per_group;
    uint32_t clusters_per_group;
    uint32_t inodes_per_group;
    uint32_t inodes_count;
    uint32_t inode_bytes;
    uint32_t desc_bytes;
    uint64_t group_count;
    uint32_t first_meta_bg;
    uint32_t reserved_gdt_blocks;
    uint32_t backup_groups[2];
    unsigned log_groups_per_flex;
    uint32_t checksum_seed;
    uint32_t journal_ino;
    uint32_t journal_dev;
    uint8_t jnl_backup_type;
    uint32_t jnl_blocks[17];
    uint32_t hash_seed[4];
    uint8_t hash_version;
    bool hash_unsigned;
    uint8_t uuid[16];
    char label[17];
} Ext4Geometry;

typedef struct Ext4Group {
    uint64_t number;
    uint64_t block_bitmap, inode_bitmap, inode_table;   /* blocks */
    uint16_t flags;
    uint32_t block_bitmap_csum;         /* as far as the descriptor holds it */
    bool damaged;                       /* a copy: what it says of bitmaps is old */
} Ext4Group;

enum { EXT4_GROUP_SLOTS = 256 };

struct Ext4State {
    Filesystem *fs;
    Ext4Geometry geo;
    bool has_checksums;                 /* metadata_csum */
    bool has_gdt_checksums;             /* gdt_csum (uninit_bg) */
    uint64_t super_group;               /* whose superblock is used; 0: the primary */
    FsCache *cache;
    GHashTable *inodes;                 /* FsIno -> Ext4Inode*, most recent ones */
    GQueue inode_lru;
    Ext4Journal *journal;               /* what is to be replayed; NULL if nothing */
    Ext4FastCommit *fast_commit;
    Ext4Group group_slots[EXT4_GROUP_SLOTS];
    bool group_slot_used[EXT4_GROUP_SLOTS];
    GArray *use_runs;                   /* bitmap.c: the last group asked for */
    uint64_t use_group;
    GArray *own_ranges;                 /* the same: blocks of the filesystem itself */
    uint64_t own_ranges_first;
};

/* Errors: "DISK: ext4 at offset 0x...: MESSAGE". */
void ext4_error(const Ext4State *s, GError **errp, EmbrError code, uint64_t offset,
                const char *format, ...) G_GNUC_PRINTF(5, 6);
void ext4_warn(Ext4State *s, uint64_t offset, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* super.c */

/* A checked superblock from raw; errors name offset, where raw was read. */
bool ext4_super_parse(const Ext4State *s, const Ext4Super *raw, uint64_t offset,
                      Ext4Geometry *geo, GError **errp);
/* The primary one, or the first good backup (then a warning is given). */
bool coroutine_fn ext4_super_co_load(Ext4State *s, GError **errp);
/* After the journal is known: as it would be once replayed. */
bool coroutine_fn ext4_super_co_reload(Ext4State *s, GError **errp);
bool coroutine_fn ext4_co_probe(BlockBackend *blk, FsIdent *ident);
bool coroutine_fn ext4_co_probe_backup(BlockBackend *blk, FsIdent *ident);
bool ext4_group_has_super(const Ext4Geometry *geo, uint64_t group);

static inline uint64_t ext4_group_first_block(const Ext4Geometry *geo, uint64_t group)
{
    return geo->first_data_block + group * geo->blocks_per_group;
}
static inline bool ext4_block_valid(const Ext4Geometry *geo, uint64_t block,
                                    uint64_t count)
{
    return block > geo->first_data_block && range_fits(block, count, geo->blocks_count);
}
static inline uint64_t ext4_block_offset(const Ext4State *s, uint64_t block)
{
    return block << s->geo.block_bits;
}

/* device.c */

/* The volume with the journal's blocks in their places. */
bool coroutine_fn ext4_device_co_read(Ext4State *s, uint64_t offset, uint64_t bytes,
                                      void *buf, const char *what, GError **errp);
FsCache *ext4_cache_new(Ext4State *s);

/* One block. The result is held until released. NULL on error. */
FsBuffer *coroutine_fn ext4_cache_co_block(Ext4State *s, uint64_t block,
                                             const char *what, GError **errp);
/* A piece of an inode table: EXT4_TABLE_PIECE_BYTES of them, or what there is. */
FsBuffer *coroutine_fn ext4_cache_co_piece(Ext4State *s, uint64_t offset,
                                             uint32_t bytes, const char *what,
                                             GError **errp);
enum { EXT4_TABLE_PIECE_BYTES = 64 * 1024 };

/* group.c */
bool coroutine_fn ext4_group_co_get(Ext4State *s, uint64_t number, Ext4Group *group,
                                    GError **errp);

/* inode.c */

typedef struct Ext4Inode {
    unsigned refcount;
    FsIno ino;
    uint64_t offset;                    /* on the volume */
    FsStat stat;
    uint32_t flags;                     /* EXT4_*_FL */
    uint32_t seed;                      /* of the checksums of what belongs to it */
    uint64_t sectors;                   /* of 512 bytes, as on disk */
    uint64_t xattr_block;
    uint32_t raw_bytes;
    uint32_t xattrs_at;                 /* in raw, after the fixed fields */
    GArray *fc_extents;                 /* the map instead of raw's; NULL */
    uint64_t mapped, mapped_to;         /* file.c: blocks in its map so far */
    GList lru;
    uint8_t raw[];
} Ext4Inode;

Ext4Inode *coroutine_fn ext4_inode_co_get(Ext4State *s, FsIno ino, GError **errp);
/* From its bytes; checks and decodes. */
Ext4Inode *ext4_inode_parse(const Ext4State *s, FsIno ino, uint64_t offset,
                            const uint8_t *raw, bool check, GError **errp);
void ext4_inode_unref(Ext4Inode *inode);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ext4Inode, ext4_inode_unref)
void ext4_inodes_drop(Ext4State *s);
/* What was decoded of it is no longer so. */
void ext4_inode_forget(Ext4State *s, FsIno ino);
/* Its inode_bytes on the device, unchecked. */
bool coroutine_fn ext4_inode_co_read_raw(Ext4State *s, FsIno ino, uint8_t *raw,
                                         GError **errp);
FsTime ext4_time(uint32_t seconds, bool has_extra, uint32_t extra);
static inline const Ext4InodeDisk *ext4_inode_disk(const Ext4Inode *inode)
{
    return (const Ext4InodeDisk *)inode->raw;
}
static inline bool ext4_inode_is_inline(const Ext4Inode *inode)
{
    return inode->flags & EXT4_INLINE_DATA_FL;
}
bool ext4_inode_is_fast_symlink(const Ext4State *s, const Ext4Inode *inode);

/* map.c */

typedef struct Ext4Run {
    uint64_t logical;                   /* the block asked for */
    uint64_t count;                     /* blocks, at least 1 */
    uint64_t physical;                  /* 0: a hole */
    bool unwritten;
} Ext4Run;

/* What lies at block logical of the file, and how far. */
bool coroutine_fn ext4_map_co(Ext4State *s, Ext4Inode *inode, uint64_t logical,
                              uint64_t max_count, Ext4Run *run, GError **errp);
bool coroutine_fn ext4_extents_co_map(Ext4State *s, Ext4Inode *inode, uint64_t logical,
                                      Ext4Run *run, GError **errp);
bool coroutine_fn ext4_indirect_co_map(Ext4State *s, Ext4Inode *inode, uint64_t logical,
                                       uint64_t max_count, Ext4Run *run, GError **errp);

/* file.c */

/* Any part of what an inode's blocks (or its inline data) hold, zeroes for holes;
 * offset and bytes need not be within its size. */
bool coroutine_fn ext4_file_co_read(Ext4State *s, Ext4Inode *inode, uint64_t offset,
                                    uint64_t bytes, void *buf, GError **errp);
char *coroutine_fn ext4_file_co_readlink(Ext4State *s, Ext4Inode *inode, GError **errp);
bool coroutine_fn ext4_file_co_extents(Ext4State *s, Ext4Inode *inode,
                                       uint64_t file_offset, unsigned max, GArray *list,
                                       GError **errp);

/* dir.c */
/* That it is a directory, and not larger than the volume. */
bool ext4_dir_check_size(const Ext4State *s, const Ext4Inode *dir, GError **errp);
bool coroutine_fn ext4_dir_co_read(Ext4State *s, Ext4Inode *dir, FsDirBatch *batch,
                                   GError **errp);

typedef struct Ext4DirBlock {
    const Ext4Inode *dir;
    const uint8_t *data;
    uint32_t bytes;
    uint64_t offset;                    /* on the volume, for messages */
    uint64_t number;                    /* which block of the directory */
    bool is_inline;
    uint8_t hash_version;               /* of encrypted ones: how names are hashed */
} Ext4DirBlock;

typedef struct Ext4Name {
    FsIno ino;
    uint8_t type;                       /* DT_* */
    const char *name;
    size_t len;
} Ext4Name;

bool ext4_dir_block_check(const Ext4State *s, const Ext4DirBlock *block, GError **errp);
/* The next entry in use from *pos on (which moves); false at the end or, with
 * error set, at damage. */
bool ext4_dir_block_next(const Ext4State *s, const Ext4DirBlock *block, uint32_t *pos,
                         Ext4Name *name, GError **errp);

/* lookup.c */
bool coroutine_fn ext4_dir_co_lookup(Ext4State *s, Ext4Inode *dir, const char *name,
                                     size_t name_len, FsIno *ino, GError **errp);

/* dirhash.c */

typedef struct Ext4Hash {
    uint32_t major, minor;
} Ext4Hash;

bool ext4_dirhash(const Ext4Geometry *geo, uint8_t version, const char *name,
                  size_t len, Ext4Hash *hash);
/* As the filesystem's flags make it of the number on disk. */
uint8_t ext4_hash_version(const Ext4Geometry *geo, uint8_t version);
/* How names of this directory are hashed, whether or not it has an index. */
uint8_t coroutine_fn ext4_dir_co_hash_version(Ext4State *s, Ext4Inode *dir);
/* Adds the numbers of the blocks of a hashed directory that may hold name. False: the
 * index cannot be used, whatever the reason. */
bool coroutine_fn ext4_dx_co_find(Ext4State *s, Ext4Inode *dir, const char *name,
                                  size_t len, GArray *leaves);

/* nokey.c: how the kernel shows encrypted names without the key. */
enum { EXT4_NOKEY_NAME_MAX = 256 };
size_t ext4_nokey_name(const Ext4Hash *hash, const uint8_t *cipher, size_t len,
                       char out[EXT4_NOKEY_NAME_MAX]);
size_t ext4_nokey_entry(const Ext4State *s, const Ext4DirBlock *block,
                        const Ext4Name *name, char out[EXT4_NOKEY_NAME_MAX]);

/* xattr.c */
bool coroutine_fn ext4_xattr_co_list(Ext4State *s, Ext4Inode *inode, GPtrArray *list,
                                     GError **errp);
/* The value of system.data in the inode's body; *value is NULL if there is none. */
bool ext4_xattr_inline_data(const Ext4State *s, const Ext4Inode *inode,
                            const uint8_t **value, uint32_t *bytes, GError **errp);

/* acl.c: the kernel's posix_acl_xattr form of an ACL as ext4 stores it; NULL if it is
 * none. */
GBytes *ext4_acl_to_xattr(const uint8_t *data, size_t len);

/* journal.c */

/* Finds what an interrupted journal holds; afterwards device reads go through it.  If it
 * cannot be replayed there is a warning. */
void coroutine_fn ext4_journal_co_load(Ext4State *s);
void ext4_journal_free(Ext4Journal *journal);
/* Whether block is in the journal: *index says which. Else *count (in: how many are
 * asked for) is how many blocks from block on are not. */
bool ext4_journal_find(const Ext4Journal *journal, uint64_t block, uint64_t *count,
                       guint *index);
/* The journal's copies of these blocks do not count any more. journal may be NULL. */
void ext4_journal_forget(Ext4Journal *journal, uint64_t block, uint64_t count);
/* Part of a block of the journal, offset counting from the block's start. */
bool coroutine_fn ext4_journal_co_read(Ext4State *s, guint index, uint32_t offset,
                                       uint32_t bytes, void *buf, GError **errp);

/* fast-commit.c */
struct Ext4JournalLog;
/* What the fast commits after transaction tid - 1 change. */
bool coroutine_fn ext4_fast_commit_co_load(Ext4State *s,
                                           const struct Ext4JournalLog *log,
                                           uint32_t tid, GError **errp);

/* fc-apply.c: what fast commits put in place of what is on the device. */
void ext4_fc_free(Ext4FastCommit *fc);
/* The inode's bytes; NULL if they are those on the device. *extents: a reference on its
 * map; NULL if the bytes have it. */
const uint8_t *ext4_fc_find_inode(const Ext4State *s, FsIno ino, GArray **extents);
bool ext4_fc_dir_is_new(const Ext4State *s, FsIno dir);
/* Whether the name was changed; then *ino is what it stands for, 0 if it was removed.
 */
bool ext4_fc_find_name(const Ext4State *s, FsIno dir, const char *name, size_t len,
                       FsIno *ino);
void ext4_fc_add_names(const Ext4State *s, FsIno dir, FsDirBatch *batch);
void ext4_fc_foreach_run(const Ext4State *s,
                         void (*func)(const Ext4Run *run, void *opaque), void *opaque);

/* bitmap.c */
FsBlockUse coroutine_fn ext4_bitmap_co_use(Ext4State *s, uint64_t offset,
                                           uint64_t *pnum);

/* checksum.c */
uint32_t ext4_crc32c(uint32_t crc, const void *data, size_t len);
uint16_t ext4_crc16(uint16_t crc, const void *data, size_t len);
uint32_t ext4_crc32_be(uint32_t crc, const void *data, size_t len);
uint32_t ext4_super_checksum(const Ext4Super *raw);
uint32_t ext4_inode_seed(const Ext4Geometry *geo, uint32_t ino, uint32_t generation);
uint32_t ext4_inode_checksum(uint32_t seed, const uint8_t *raw, uint32_t bytes,
                             bool *has_hi);
uint16_t ext4_group_checksum(const Ext4State *s, uint64_t number, const uint8_t *desc);
uint32_t ext4_xattr_block_checksum(const Ext4State *s, uint64_t block,
                                   const uint8_t *data);

#endif
