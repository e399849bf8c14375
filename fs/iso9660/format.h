/*
 * ISO 9660 (ECMA-119) with SUSP, Rock Ridge, AAIP and zisofs as they are on the disk.
 * Most numbers are there in both byte orders.
 */
#ifndef EMBR_FS_ISO9660_FORMAT_H
#define EMBR_FS_ISO9660_FORMAT_H

#include <glib.h>
#include "util/endian.h"

enum {
    ISO_SECTOR_BYTES = 2048,
    ISO_FIRST_DESCRIPTOR = 16 * ISO_SECTOR_BYTES, /* what is before is not ISO 9660's */
    ISO_DESCRIPTORS_MAX = 64,
    ISO_RECORD_HEAD_BYTES = 33,
};

typedef enum IsoDescriptorType {
    ISO_DESCRIPTOR_BOOT = 0,
    ISO_DESCRIPTOR_PRIMARY = 1,
    ISO_DESCRIPTOR_SUPPLEMENTARY = 2,
    ISO_DESCRIPTOR_END = 255,
} IsoDescriptorType;

typedef struct __attribute__((packed)) IsoBoth16 {
    le16_t le;
    be16_t be;
} IsoBoth16;

typedef struct __attribute__((packed)) IsoBoth32 {
    le32_t le;
    be32_t be;
} IsoBoth32;

typedef struct __attribute__((packed)) IsoRecordHead {
    uint8_t bytes;
    uint8_t attribute_blocks; /* before the content */
    IsoBoth32 block;
    IsoBoth32 content_bytes;
    uint8_t time[7];
    uint8_t flags;
    uint8_t unit_blocks, gap_blocks; /* of what is interleaved */
    IsoBoth16 volume;
    uint8_t name_bytes;
} IsoRecordHead;
G_STATIC_ASSERT(sizeof(IsoRecordHead) == ISO_RECORD_HEAD_BYTES);

enum {
    ISO_FLAG_DIRECTORY = 1 << 1,
    ISO_FLAG_ASSOCIATED = 1 << 2,
    ISO_FLAG_GOES_ON = 1 << 7, /* the file's next piece is the next record's */
};

typedef struct __attribute__((packed)) IsoDescriptor {
    uint8_t type;
    char id[5]; /* "CD001" */
    uint8_t version;
    uint8_t flags;
    uint8_t system[32];
    uint8_t label[32];
    uint8_t unused[8];
    IsoBoth32 blocks;
    uint8_t escapes[32]; /* of a supplementary one: its character set */
    IsoBoth16 volumes, volume;
    IsoBoth16 block_bytes;
    uint8_t path_tables[24];
    IsoRecordHead root;
    uint8_t root_name;
    uint8_t names[623];
    char created[17], modified[17], expires[17], effective[17];
    uint8_t structure_version;
    uint8_t rest[1166];
} IsoDescriptor;
G_STATIC_ASSERT(sizeof(IsoDescriptor) == ISO_SECTOR_BYTES);
G_STATIC_ASSERT(offsetof(IsoDescriptor, root) == 156);
G_STATIC_ASSERT(offsetof(IsoDescriptor, created) == 813);

/* SUSP: fields of a system use area. */
typedef struct __attribute__((packed)) SuspField {
    char type[2];
    uint8_t bytes;
    uint8_t version;
} SuspField;
G_STATIC_ASSERT(sizeof(SuspField) == 4);

typedef struct __attribute__((packed)) SuspContinuation {
    IsoBoth32 block, offset, bytes;
} SuspContinuation;

typedef struct __attribute__((packed)) RockPosix {
    IsoBoth32 mode, nlink, uid, gid;
} RockPosix;

typedef struct __attribute__((packed)) RockDevice {
    IsoBoth32 high, low;
} RockDevice;

typedef struct __attribute__((packed)) RockComponent {
    uint8_t flags;
    uint8_t bytes;
} RockComponent;

enum {
    ROCK_GOES_ON = 1 << 0, /* of names and components: the next one is a part of it */
    ROCK_CURRENT = 1 << 1,
    ROCK_PARENT = 1 << 2,
    ROCK_ROOT = 1 << 3,
    ROCK_TIMES = 7,
    ROCK_TIMES_LONG = 1 << 7,
};

typedef struct __attribute__((packed)) RockZisofs {
    char algorithm[2];  /* "pz" in version 1 */
    uint8_t head_words; /* of 4 bytes */
    uint8_t block_bits;
    union {
        IsoBoth32 content_bytes; /* in version 1 */
        le64_t content_bytes_2;
    };
} RockZisofs;
G_STATIC_ASSERT(sizeof(RockZisofs) == 12);

typedef struct __attribute__((packed)) ZisofsHead {
    uint8_t magic[8];
    le32_t content_bytes;
    uint8_t head_words;
    uint8_t block_bits;
    uint8_t reserved[2];
} ZisofsHead;
G_STATIC_ASSERT(sizeof(ZisofsHead) == 16);

typedef struct __attribute__((packed)) ZisofsHead2 {
    uint8_t magic[8];
    uint8_t version;
    uint8_t head_words;
    uint8_t algorithm;
    uint8_t block_bits;
    le64_t content_bytes;
    uint8_t unused[4];
} ZisofsHead2;
G_STATIC_ASSERT(sizeof(ZisofsHead2) == 24);

/* AAIP: the compact form of ACLs.  An entry's byte has permissions below, then whether
 * the number of a user or group follows, then its kind. */
enum {
    AAIP_PERMISSIONS = 7,
    AAIP_HAS_QUALIFIER = 1 << 3,
    AAIP_TRANSLATE = 0,
    AAIP_USER_OBJ = 1,
    AAIP_GROUP_OBJ = 3,
    AAIP_MASK = 5,
    AAIP_OTHER = 6,
    AAIP_DEFAULT = 8, /* what follows is of the default ACL */
    AAIP_USER = 10,
    AAIP_GROUP = 12,
    AAIP_QUALIFIER_GOES_ON = 1 << 7,
};

#endif
