/*
 * The ISO 9660 driver's own parts and how they fit together.
 *
 * super.c    volume descriptors; which of the trees is read
 * record.c   directory records, decoded
 * rock.c     Rock Ridge: POSIX attributes in the records' system use areas
 * stat.c     what records and Rock Ridge say of a file
 * xattr.c    AAIP: extended attributes and ACLs
 * name.c     plain names and Joliet's
 * time.c     both forms of time
 * dir.c      directory entries
 * file.c     content: pieces of files; extents
 * zisofs.c   files that are compressed block by block
 *
 * A file is named by where its directory record is on the volume, in bytes; a directory
 * by where its first record is, which is its own.
 */
#ifndef EMBR_FS_ISO9660_H
#define EMBR_FS_ISO9660_H

#include "fs/buffer-cache.h"
#include "fs/fs.h"
#include "util/error.h"
#include "util/units.h"
#include "format.h"

typedef enum IsoTree {
    ISO_TREE_PLAIN,
    ISO_TREE_ENHANCED, /* of ISO 9660:1999 */
    ISO_TREE_JOLIET,
    ISO_TREE_ROCK_RIDGE,
} IsoTree;

typedef struct IsoState {
    Filesystem *fs;
    FsCache *cache;
    FsBuffer *recent; /* the part of the volume used last */
    uint32_t block_bytes;
    uint64_t bytes; /* that the filesystem spans */
    IsoTree tree;
    uint64_t root;           /* of that tree, in bytes */
    unsigned susp_root_skip; /* bytes before the fields of SUSP in its own record */
    unsigned susp_skip;      /* and in all others */
    /* zisofs.c: the blocks unpacked last, which follow each other. */
    FsIno zisofs_ino;
    uint64_t zisofs_start; /* in the file's content */
    GBytes *zisofs_content;
} IsoState;

/* Errors: "DISK: iso9660 at offset 0x...: MESSAGE". */
void iso_error(const IsoState *s, GError **errp, EmbrError code, uint64_t offset,
               const char *format, ...) G_GNUC_PRINTF(5, 6);

/* super.c */
bool coroutine_fn iso_co_probe(BlockBackend *blk, FsIdent *ident);
bool coroutine_fn iso_super_co_load(IsoState *s, GError **errp);

/* Bytes of the volume through the cache. */
FsCache *iso_cache_new(IsoState *s);
bool coroutine_fn iso_meta_co_read(IsoState *s, uint64_t offset, uint32_t bytes,
                                   void *buf, const char *what, GError **errp);
/* Bytes of the volume. */
bool coroutine_fn iso_device_co_read(const IsoState *s, uint64_t offset, uint64_t bytes,
                                     void *buf, const char *what, GError **errp);

/* Sets the error if both forms of a number are not the same. */
bool iso_both_agree(const IsoState *s, const IsoBoth32 *number, uint64_t offset,
                    const char *what, GError **errp);

/* rock.c */
typedef enum IsoZisofs {
    ISO_ZISOFS_NONE,
    ISO_ZISOFS_1,
    ISO_ZISOFS_2,
} IsoZisofs;

typedef struct IsoRock {
    bool has_posix, has_name;
    bool is_relocated; /* listed elsewhere */
    bool is_sparse;
    uint32_t mode, nlink, uid, gid, rdev_major, rdev_minor;
    uint64_t child; /* the directory that this stands for, in bytes; 0: none */
    bool has_time[ROCK_TIMES];
    FsTime times[ROCK_TIMES]; /* creation, modification, access, attributes, ... */
    GString *name;
    GString *target; /* NULL: there is none */
    IsoZisofs zisofs_version;
    RockZisofs zisofs;
    bool has_attributes;
    GPtrArray *attributes; /* NULL: they are not wanted; of GByteArray: names and
                              values in turn */
} IsoRock;

/* record.c */
typedef struct IsoRecord {
    uint64_t offset;
    union {
        IsoRecordHead head;
        uint8_t raw[256];
    };
    uint64_t content; /* where that begins on the volume */
    uint32_t content_bytes;
    const uint8_t *name;
    const uint8_t *susp; /* the system use area */
    uint32_t susp_bytes;
    IsoRock rock;
} IsoRecord;

void iso_record_init(IsoRecord *record);
void iso_record_clear(IsoRecord *record);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(IsoRecord, iso_record_clear)
/* What is at offset; head.bytes is 0 if no record is there before the next sector, or
 * if it cannot be told where it ends.  Other errors are about this record alone. */
bool coroutine_fn iso_record_co_get(IsoState *s, uint64_t offset, IsoRecord *record,
                                    GError **errp);
/* Where the record after it would be. */
static inline uint64_t iso_record_next(const IsoRecord *record)
{
    return record->head.bytes
               ? record->offset + record->head.bytes
               : round_down_pow2(record->offset, ISO_SECTOR_BYTES) + ISO_SECTOR_BYTES;
}
/* "." or "..", as which names of one byte of 0 and 1 stand. */
static inline bool iso_record_is_dot(const IsoRecord *record)
{
    return record->head.name_bytes == 1 && record->name[0] <= 1;
}
static inline bool iso_record_is_directory(const IsoRecord *record)
{
    return record->head.flags & ISO_FLAG_DIRECTORY;
}
static inline FsIno iso_record_ino(const IsoRecord *record)
{
    return record->rock.child
               ?: iso_record_is_directory(record) ? record->content
                                                  : record->offset;
}

/* stat.c */
bool coroutine_fn iso_record_co_stat(IsoState *s, const IsoRecord *record, FsStat *st,
                                     GError **errp);

/* rock.c: the fields of the record's area. */
bool coroutine_fn iso_rock_co_parse(IsoState *s, IsoRecord *record, GError **errp);
/* Looks for SUSP in the root's own record: behind *root_skip bytes, and in other
 * records behind *skip. */
bool iso_susp_detect(const IsoRecord *root, unsigned *root_skip, unsigned *skip);

/* xattr.c */
/* Adds FsXattr* for names and values. */
bool iso_xattr_list(const IsoState *s, const IsoRecord *record, GPtrArray *list,
                    GError **errp);

/* name.c */
void iso_plain_name(const uint8_t *raw, size_t bytes, GString *name);
void iso_enhanced_name(const uint8_t *raw, size_t bytes, GString *name);
void iso_joliet_name(const uint8_t *raw, size_t bytes, GString *name);

/* time.c: what is no time is 0. */
FsTime iso_time_short(const uint8_t time[7]);
FsTime iso_time_long(const uint8_t time[17]);

/* dir.c */
bool coroutine_fn iso_dir_co_read(IsoState *s, FsIno dir, FsDirBatch *batch,
                                  GError **errp);

/* file.c */
typedef struct IsoPiece {
    uint64_t device_offset;
    uint32_t bytes;
} IsoPiece;

/* Of IsoPiece, whether they can be read or not; NULL on error. */
GArray *coroutine_fn iso_file_co_pieces(IsoState *s, const IsoRecord *first,
                                        GError **errp);
bool coroutine_fn iso_pieces_co_read(IsoState *s, const GArray *pieces, uint64_t offset,
                                     uint64_t bytes, void *buf, GError **errp);
bool coroutine_fn iso_file_co_read(IsoState *s, const IsoRecord *record,
                                   uint64_t offset, uint64_t bytes, void *buf,
                                   GError **errp);
bool coroutine_fn iso_file_co_extents(IsoState *s, const IsoRecord *record,
                                      uint64_t file_offset, unsigned max, GArray *list,
                                      GError **errp);

/* zisofs.c */
uint64_t iso_zisofs_content_bytes(const IsoRecord *record);
bool coroutine_fn iso_zisofs_co_read(IsoState *s, const IsoRecord *record,
                                     const GArray *pieces, uint64_t offset,
                                     uint64_t bytes, void *buf, GError **errp);

#endif
