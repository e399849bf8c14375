/*
 * Filesystems: what is on a volume, read through the block layer.
 *
 * A filesystem driver never writes and never mounts: it is a set of coroutines
 * over a BlockBackend.  All offsets are bytes; device offsets are relative to
 * the volume.  Everything on the volume is untrusted.  Names and paths are
 * bytes without NUL and '/', in no particular character set.
 */
#ifndef EMBR_FS_FS_H
#define EMBR_FS_FS_H

#include <sys/stat.h>
#include "block/block-backend.h"

typedef struct Filesystem Filesystem;
typedef struct FsDriver FsDriver;
typedef uint64_t FsIno;                 /* names a file within its filesystem; 0 is none */

typedef struct FsTime {
    int64_t sec;                        /* since 1970-01-01 00:00 UTC */
    uint32_t nsec;                      /* 0 to 999,999,999 */
} FsTime;

enum {
    FS_FILE_ENCRYPTED = 1 << 0,         /* names or content are ciphertext; reading it is refused */
    FS_FILE_IMMUTABLE = 1 << 1,
    FS_FILE_APPEND    = 1 << 2,
    FS_FILE_CASEFOLD  = 1 << 3,
    FS_FILE_VERITY    = 1 << 4,
};

typedef struct FsStat {
    FsIno ino;
    uint32_t mode;                      /* type and permissions, as st_mode */
    uint32_t nlink;
    uint32_t uid, gid;
    uint32_t rdev_major, rdev_minor;    /* of devices */
    uint64_t size;                      /* of content; of the target for symlinks */
    uint64_t allocated;                 /* bytes on the device, as 512 * st_blocks */
    FsTime atime, mtime, ctime, crtime; /* crtime.sec 0 and nsec 0: not known */
    uint32_t flags;                     /* FS_FILE_* */
    uint32_t generation;
} FsStat;

typedef struct FsDirEntry {
    FsIno ino;
    uint8_t type;                       /* DT_* of dirent.h; DT_UNKNOWN if the directory does not say */
    uint16_t name_len;
    const char *name;                   /* also NUL-terminated; lives as long as the batch */
} FsDirEntry;

/* Directory entries, a bounded number at a time.  "." and ".." are left out. */
typedef struct FsDirBatch {
    GArray *entries;                    /* of FsDirEntry */
    GStringChunk *names;
    uint64_t cursor;                    /* in/out: 0 to start; the driver's own meaning */
    bool eof;
} FsDirBatch;

void fs_dir_batch_init(FsDirBatch *batch);
void fs_dir_batch_clear(FsDirBatch *batch);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FsDirBatch, fs_dir_batch_clear)
/* Forgets the entries, keeps the cursor: before asking for the next ones, unless
 * all are wanted together. */
void fs_dir_batch_drop_entries(FsDirBatch *batch);
/* Drivers: name need not be NUL-terminated. */
void fs_dir_batch_add(FsDirBatch *batch, FsIno ino, uint8_t type, const char *name, size_t len);

enum {
    FS_EXTENT_UNWRITTEN = 1 << 0,       /* allocated, reads as zeroes; the device may hold anything */
    FS_EXTENT_ENCODED   = 1 << 1,       /* the device's bytes are not the content (compressed, encrypted) */
    FS_EXTENT_SHARED    = 1 << 2,
};

/* A run of a file's blocks that lies in one piece on the device.  If it is encoded, it begins
 * there, and its length is that in the file. */
typedef struct FsExtent {
    uint64_t file_offset;
    uint64_t device_offset;             /* relative to the volume */
    uint64_t length;                    /* whole blocks: the last may reach past the file's end */
    uint32_t flags;
} FsExtent;

typedef struct FsXattr {
    char *name;                         /* with its prefix: "user.mime_type" */
    GBytes *value;
} FsXattr;
void fs_xattr_free(FsXattr *xattr);

typedef enum FsBlockUse {
    FS_BLOCK_FREE,
    FS_BLOCK_USED,                      /* by files or by the filesystem itself */
    FS_BLOCK_METADATA,                  /* known to be the filesystem's own */
    FS_BLOCK_UNKNOWN,                   /* the allocation map is damaged or ends before */
} FsBlockUse;

/* What a probe can say without opening. Strings are UTF-8 and owned. */
typedef struct FsIdent {
    const char *type;                   /* "ext4", "vfat", "swap", "crypto_LUKS": blkid's names */
    char *label;                        /* NULL if none */
    char *uuid;
    uint64_t size;                      /* what the filesystem says it spans; 0 not known */
    char *details;                      /* of what is only recognised: its version, ... */
    uint64_t idle_offset, idle_bytes;   /* of what is only recognised: what nobody needs that
                                           is there while the volume is not in use */
} FsIdent;
void fs_ident_clear(FsIdent *ident);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FsIdent, fs_ident_clear)

/*
 * Drivers.  Functions that return bool set the error when false.  Errors name
 * the disk (blk_name), the byte offset on the volume, what was found and what was
 * expected.
 */
enum {
    FS_PRIORITY_BY_COPIES = -100,       /* and below: go by copies of what is gone, which may
                                           be left of an older filesystem */
};

struct FsDriver {
    const char *name;
    size_t instance_size;
    int priority;                       /* higher is asked first: containers before filesystems;
                                           see FS_PRIORITY_BY_COPIES */
    bool is_container;                  /* what holds other volumes (LVM, RAID, LUKS), or swap */
    bool spans_tables;                  /* leaves a disk's first sectors to a partition table,
                                           and may be there beside it */
    /* True: this is mine; ident is filled. Reads what it wants through blk;
     * a volume that cannot be read is not mine.  A driver without fs_co_open
     * only recognises. */
    bool coroutine_fn (*fs_co_probe)(BlockBackend *blk, FsIdent *ident);
    bool coroutine_fn (*fs_co_open)(Filesystem *fs, GError **errp);   /* sets root, block_size, ... */
    void (*fs_close)(Filesystem *fs);

    bool coroutine_fn (*fs_co_stat)(Filesystem *fs, FsIno ino, FsStat *st, GError **errp);
    /* Adds some entries (at least one unless eof) and moves the cursor.  An error with
     * the cursor moved is about what lies before it: what was added is good, and the
     * rest may be asked for. */
    bool coroutine_fn (*fs_co_readdir)(Filesystem *fs, FsIno dir, FsDirBatch *batch,
                                       GError **errp);
    /* EMBR_ERROR_NOT_FOUND if there is none. NULL: the directory is searched
     * with fs_co_readdir. */
    bool coroutine_fn (*fs_co_lookup)(Filesystem *fs, FsIno dir, const char *name,
                                      size_t name_len, FsIno *ino, GError **errp);
    /* The target, g_free'd by the caller; NULL on error. */
    char *coroutine_fn (*fs_co_readlink)(Filesystem *fs, FsIno ino, GError **errp);
    /* Adds FsXattr* to list. */
    bool coroutine_fn (*fs_co_xattrs)(Filesystem *fs, FsIno ino, GPtrArray *list,
                                      GError **errp);
    /* Content.  offset + bytes <= size. */
    bool coroutine_fn (*fs_co_read)(Filesystem *fs, FsIno ino, uint64_t offset,
                                    uint64_t bytes, void *buf, GError **errp);
    /* Adds up to max FsExtents to list, in file order, from the one that covers
     * or follows file_offset on.  None added: there are no more.  A file whose
     * content is inside metadata (inline) has none.  Works for directories,
     * too: their blocks. */
    bool coroutine_fn (*fs_co_extents)(Filesystem *fs, FsIno ino, uint64_t file_offset,
                                       unsigned max, GArray *list, GError **errp);
    /* What is at device offset (a multiple of block_size): *pnum bytes of one use. */
    FsBlockUse coroutine_fn (*fs_co_block_use)(Filesystem *fs, uint64_t device_offset,
                                               uint64_t *pnum);
};

struct Filesystem {
    const FsDriver *drv;
    void *opaque;
    BlockBackend *blk;
    FsIdent ident;
    FsIno root;
    uint32_t block_size;                /* unit of allocation */
    uint64_t max_ino;                   /* inode numbers are 1 to max_ino; 0: not bounded */
    GPtrArray *warnings;                /* of char *: what is odd but could be read around */
};

void fs_register(const FsDriver *drv);
#define fs_init(driver)                                                               \
    static void __attribute__((constructor)) register_##driver(void)                  \
    {                                                                                 \
        fs_register(&driver);                                                         \
    }

/* Tries every driver. NULL if none knows what is on blk. ident is filled if one does. */
const FsDriver *coroutine_fn fs_co_probe(BlockBackend *blk, FsIdent *ident);
/* Opens what fs_co_probe() found; takes a reference on blk. */
Filesystem *coroutine_fn fs_co_open(const FsDriver *drv, BlockBackend *blk, GError **errp);
void fs_free(Filesystem *fs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Filesystem, fs_free)
void fs_warn(Filesystem *fs, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The code page (437, 850, 932, ...) of FAT's short names and labels, in all of the process;
 * 437 if this is not called.  To be called before the first disk is looked at.  Fails
 * if the C library does not know it, or if ASCII is not a part of it. */
bool fs_set_fat_codepage(unsigned number, GError **errp);

/* The driver's functions, with the obvious done for callbacks that are NULL. */
bool coroutine_fn fs_co_stat(Filesystem *fs, FsIno ino, FsStat *st, GError **errp);
bool coroutine_fn fs_co_readdir(Filesystem *fs, FsIno dir, FsDirBatch *batch, GError **errp);
bool coroutine_fn fs_co_lookup(Filesystem *fs, FsIno dir, const char *name, size_t name_len,
                               FsIno *ino, GError **errp);
char *coroutine_fn fs_co_readlink(Filesystem *fs, FsIno ino, GError **errp);
/* A GPtrArray of FsXattr* in order of name. */
GPtrArray *coroutine_fn fs_co_xattrs(Filesystem *fs, FsIno ino, GError **errp);
bool coroutine_fn fs_co_read(Filesystem *fs, FsIno ino, uint64_t offset, uint64_t bytes,
                             void *buf, GError **errp);
bool coroutine_fn fs_co_extents(Filesystem *fs, FsIno ino, uint64_t file_offset,
                                unsigned max, GArray *list, GError **errp);
FsBlockUse coroutine_fn fs_co_block_use(Filesystem *fs, uint64_t device_offset,
                                        uint64_t *pnum);

#endif
