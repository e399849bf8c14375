/*
 * Volumes that are only recognised: by a magic number and what must be true of the
 * superblock around it, with the label and the UUID that it has.  Types are blkid's, and so
 * is the form of labels and UUIDs.
 *
 * driver.c       the two drivers: what holds other volumes, and filesystems
 * volume.c       parts of the volume, read when a signature wants them; texts
 * containers.c   tables: encryption, volume managers, caches, snapshots
 * raid.c         tables: members of arrays, of Linux and of vendors' firmware
 * swap.c         swap areas and what hibernation writes over them
 * filesystems.c  tables: filesystems
 * unix.c         filesystems of old Unix systems, which have short magic numbers
 * hfs.c, ntfs.c, udf.c, zfs.c   filesystems whose label is not in the superblock
 */
#ifndef EMBR_FS_KNOWN_H
#define EMBR_FS_KNOWN_H

#include "fs/fs.h"
#include "util/endian.h"
#include "util/units.h"

enum {
    KNOWN_HEAD_BYTES = 72 * 1024,
    KNOWN_TAIL_BYTES = 136 * 1024,
    KNOWN_PART_BYTES = 64 * 1024,       /* the most that is asked for at once elsewhere */
    KNOWN_LABEL_MAX_BYTES = 1024,
};

/* A volume: its start and its end, and what was read last in between. */
typedef struct KnownVolume {
    BlockBackend *blk;
    uint64_t size;
    uint8_t *head, *tail, *part;
    uint64_t head_bytes, tail_bytes;    /* 0: not read yet */
    bool tried_tail;
} KnownVolume;

/* False: nothing can be read of it. */
bool coroutine_fn known_co_start(KnownVolume *v, BlockBackend *blk);
void known_clear(KnownVolume *v);
/* Bytes of the volume, at most KNOWN_PART_BYTES; NULL: it has not so many, or they cannot
 * be read.  They stay until the next call. */
const uint8_t *coroutine_fn known_co_bytes(KnownVolume *v, uint64_t offset, size_t bytes);
bool coroutine_fn known_co_is(KnownVolume *v, uint64_t offset, const char *magic, size_t len);

typedef enum LabelForm {
    LABEL_NONE,
    LABEL_BYTES, /* up to a NUL, without blanks at the end */
    LABEL_UTF16LE,
} LabelForm;

typedef enum UuidForm {
    UUID_NONE,
    UUID_BYTES, /* 16, in order */
    UUID_TEXT,
} UuidForm;

typedef struct Signature Signature;

/* What has to be true of a superblock besides its magic number: true, and ident has what the
 * table does not say.  sb has Signature.bytes. */
typedef bool coroutine_fn SignatureCheck(KnownVolume *v, const Signature *s,
                                         uint64_t offset, const uint8_t *sb,
                                         FsIdent *ident);

/* Offsets but the first are from the superblock's start. */
struct Signature {
    const char *type;
    uint64_t offset;            /* of the superblock; of its end from the volume's, if at_end */
    uint32_t align;             /* at_end: the offset is a multiple of this; 0: of 512 */
    bool at_end;
    uint32_t bytes;             /* of the superblock, that the check wants */
    uint32_t magic_offset;
    const char *magic;
    uint32_t magic_len;
    uint32_t label_offset, label_len;
    uint32_t uuid_offset, uuid_len;
    LabelForm label_form;
    UuidForm uuid_form;
    SignatureCheck *co_check;   /* NULL: the magic number is enough */
    uint32_t arg;               /* for the check */
    const char *details;
};

#define AT(at, n) .offset = (at), .bytes = (n)
/* at: where it begins, from the volume's end, rounded down to a multiple of unit */
#define AT_END(at, unit, n) .offset = (at), .at_end = true, .align = (unit), .bytes = (n)
#define MAGIC(at, text)                                                                \
    .magic_offset = (at), .magic = (text), .magic_len = sizeof(text) - 1
#define LABEL(at, len)                                                                 \
    .label_offset = (at), .label_len = (len), .label_form = LABEL_BYTES
#define LABEL_16(at, len)                                                              \
    .label_offset = (at), .label_len = (len), .label_form = LABEL_UTF16LE
#define UUID(at) .uuid_offset = (at), .uuid_len = 16, .uuid_form = UUID_BYTES
#define UUID_STRING(at, len)                                                           \
    .uuid_offset = (at), .uuid_len = (len), .uuid_form = UUID_TEXT
#define CHECK(function) .co_check = (function)

bool coroutine_fn known_co_match(KnownVolume *v, const Signature *table, size_t n,
                                 FsIdent *ident);

/* Texts as blkid has them; NULL where there is none. */
char *known_text(const uint8_t *bytes, size_t len);
char *known_utf16le(const uint8_t *bytes, size_t len);
char *known_utf16be(const uint8_t *bytes, size_t len);
char *known_uuid(const uint8_t bytes[16]);

/* Checksums: CRC-32 without inversion at either end; of n bytes with the 4 at field taken
 * for zeroes; and CRC-32C with inversion at both. */
uint32_t known_crc32(uint32_t seed, const uint8_t *bytes, size_t n);
uint32_t known_crc32_but(uint32_t seed, const uint8_t *bytes, size_t n, size_t field);
uint32_t known_crc32c(const uint8_t *bytes, size_t n);

/* What each file knows. */
bool coroutine_fn known_co_raid(KnownVolume *v, FsIdent *ident);
bool coroutine_fn known_co_container(KnownVolume *v, FsIdent *ident);
bool coroutine_fn known_co_swap(KnownVolume *v, FsIdent *ident);
bool coroutine_fn known_co_filesystem(KnownVolume *v, FsIdent *ident);
bool coroutine_fn known_co_unix(KnownVolume *v, FsIdent *ident);
bool coroutine_fn known_co_hfs(KnownVolume *v, FsIdent *ident);
bool coroutine_fn known_co_ntfs(KnownVolume *v, FsIdent *ident);
bool coroutine_fn known_co_udf(KnownVolume *v, FsIdent *ident);
bool coroutine_fn known_co_zfs(KnownVolume *v, FsIdent *ident);

#endif
