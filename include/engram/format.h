/*
 * The engram file format, version 1: what stands where, byte for byte.
 *
 * docs/interop/engram.md is the specification; the structures here follow it
 * section by section.  All integers are little-endian.
 */
#ifndef EMBR_ENGRAM_FORMAT_H
#define EMBR_ENGRAM_FORMAT_H

#include "util/endian.h"

#define ENGRAM_MAGIC "\x89" "ENGRAM\n"
enum {
    ENGRAM_MAGIC_BYTES      = 8,
    ENGRAM_VERSION          = 1,
    ENGRAM_SLOTS            = 2,
    ENGRAM_SLOT_BYTES       = 4096,
    ENGRAM_OBJECTS_START    = ENGRAM_SLOTS * ENGRAM_SLOT_BYTES,
    ENGRAM_OBJECT_ALIGN     = 8,
    ENGRAM_DIGEST_BYTES     = 32,       /* SHA-256 */
    ENGRAM_UUID_BYTES       = 16,

    ENGRAM_MAX_FRAME_BYTES  = 16 << 20, /* of chunks in a frame */
    ENGRAM_MAX_CHUNK_BYTES  = 1 << 20,
    ENGRAM_MAX_OBJECT_BYTES = 64 << 20, /* of anything else, decoded */
    ENGRAM_MAX_NAME_BYTES   = 1023,
    ENGRAM_MAX_IMAGES       = 65536,
    ENGRAM_MAX_SOURCES      = 1024,
};

/* Section "Feature bits" */
#define ENGRAM_INCOMPAT_ENCRYPTED   (UINT64_C(1) << 0)
#define ENGRAM_INCOMPAT_DELTA       (UINT64_C(1) << 1)
#define ENGRAM_INCOMPAT_SOURCES     (UINT64_C(1) << 2)
#define ENGRAM_COMPAT_PARITY        (UINT64_C(1) << 0)
#define ENGRAM_AUTOCLEAR_RECALL     (UINT64_C(1) << 0)
#define ENGRAM_AUTOCLEAR_VECTOR_INDEX (UINT64_C(1) << 1)

/* Where an object is.  All zero: there is none. */
typedef struct EngramRef {
    le64_t offset;                  /* of its header in the file */
    le32_t stored;                  /* bytes of header and payload, without padding */
    le32_t raw;                     /* bytes of the decoded payload */
} EngramRef;
G_STATIC_ASSERT(sizeof(EngramRef) == 16);

/* Section "Header slots" */
typedef struct EngramSlot {
    uint8_t magic[ENGRAM_MAGIC_BYTES];
    le32_t version;
    le32_t header_bytes;            /* that mean something; the rest is zero */
    le64_t incompatible;
    le64_t compatible;
    le64_t autoclear;
    uint8_t uuid[ENGRAM_UUID_BYTES];
    le64_t sequence;                /* of the commit, from 1 */
    EngramRef commit;
    le64_t end;                     /* where the next append begins; a multiple of 8 */
    uint8_t reserved[ENGRAM_SLOT_BYTES - 88 - 8];
    le64_t checksum;                /* XXH3-64 of all bytes before it */
} EngramSlot;
G_STATIC_ASSERT(sizeof(EngramSlot) == ENGRAM_SLOT_BYTES);

/* Section "Objects" */
typedef enum EngramObjectType {
    ENGRAM_OBJECT_FRAME      = 1,
    ENGRAM_OBJECT_CHUNKS     = 2,
    ENGRAM_OBJECT_FRAME_DIR  = 3,
    ENGRAM_OBJECT_MAP        = 4,
    ENGRAM_OBJECT_SEGMENTS   = 5,
    ENGRAM_OBJECT_MAP_ROOT   = 6,
    ENGRAM_OBJECT_FILES      = 7,
    ENGRAM_OBJECT_VECTORS    = 8,
    ENGRAM_OBJECT_MANIFEST   = 9,
    ENGRAM_OBJECT_IMAGE      = 10,
    ENGRAM_OBJECT_PROFILES   = 11,
    ENGRAM_OBJECT_COMMIT     = 12,
    ENGRAM_OBJECT_PARITY     = 13,  /* reserved */
    ENGRAM_OBJECT_KEYS       = 14,  /* reserved */
    ENGRAM_OBJECT_RECALL     = 15,
    ENGRAM_OBJECT_VECTOR_INDEX = 16,
    ENGRAM_OBJECT_MEMBERS    = 17,
    ENGRAM_OBJECT_FEATURES   = 18,
} EngramObjectType;

typedef enum EngramObjectCodec {
    ENGRAM_OBJECT_CODEC_STORE = 0,
    ENGRAM_OBJECT_CODEC_ZSTD  = 1,
    ENGRAM_OBJECT_CODEC_DELTA = 2,  /* needs ENGRAM_INCOMPAT_DELTA; frames only */
} EngramObjectCodec;

enum {
    ENGRAM_OBJECT_ENCRYPTED = 1 << 0,
    ENGRAM_ENCRYPTION_BYTES = 12 + 16,  /* of nonce and tag in an encrypted payload */
};

typedef struct EngramObjectHeader {
    uint8_t magic[4];               /* "EOBJ" */
    uint8_t type;                   /* EngramObjectType */
    uint8_t codec;                  /* EngramObjectCodec */
    uint8_t flags;
    uint8_t profile;                /* of frames: index in the profile table; else 0 */
    le32_t stored;                  /* bytes of payload in the file */
    le32_t raw;                     /* bytes of it once decoded */
    le64_t payload_checksum;        /* XXH3-64 of the stored payload */
    le64_t header_checksum;         /* XXH3-64 of the 24 bytes before it */
} EngramObjectHeader;
G_STATIC_ASSERT(sizeof(EngramObjectHeader) == 32);

/* Section "Corrections": what the payload of a frame with ENGRAM_OBJECT_CODEC_DELTA begins
 * with; a zstd frame follows, made with what the recalled one decodes to as its prefix. */
typedef struct EngramCorrection {
    EngramRef recalled;             /* a frame before this one that is no correction */
} EngramCorrection;
G_STATIC_ASSERT(sizeof(EngramCorrection) == 16);

/* Section "Recall index" */
enum {
    ENGRAM_FEATURES_PER_CHUNK = 4,
    ENGRAM_FEATURE_RATE       = 512,    /* one place in so many is sampled */
};

typedef struct EngramRecallRoot {
    le32_t pages;
    le16_t features;                    /* of a chunk, at most: ENGRAM_FEATURES_PER_CHUNK */
    le16_t rate;                        /* ENGRAM_FEATURE_RATE */
    /* pages x EngramRef */
} EngramRecallRoot;
G_STATIC_ASSERT(sizeof(EngramRecallRoot) == 8);

/* A page of features is a row of these, each followed by features x le32_t. */
typedef struct EngramFrameFeatures {
    le32_t frame;                       /* its number in the directory */
    le32_t features;
} EngramFrameFeatures;
G_STATIC_ASSERT(sizeof(EngramFrameFeatures) == 8);

/* Section "Frames and chunk lists" */
typedef struct EngramChunkList {
    le32_t count;
    le32_t reserved;
    EngramRef frame;
    /* le32_t lengths[count]; uint8_t digests[count][32]; */
} EngramChunkList;
G_STATIC_ASSERT(sizeof(EngramChunkList) == 24);

/* Section "Frame directory" */
typedef struct EngramFrameEntry {
    EngramRef frame;
    EngramRef chunks;
} EngramFrameEntry;
G_STATIC_ASSERT(sizeof(EngramFrameEntry) == 32);

/* Section "Device map" */
enum {
    ENGRAM_SEGMENT_BITS      = 22,      /* what this version writes: 4 MiB */
    ENGRAM_MIN_SEGMENT_BITS  = 16,
    ENGRAM_MAX_SEGMENT_BITS  = 26,
    ENGRAM_SEGMENTS_PER_PAGE = 1024,
};

typedef enum EngramMapKind {
    ENGRAM_MAP_ZERO    = 0,
    ENGRAM_MAP_CHUNK   = 1,
    ENGRAM_MAP_DELTA   = 2,             /* reserved */
    ENGRAM_MAP_DROPPED = 3,             /* free space that was not kept: reads as zeroes */
} EngramMapKind;

typedef struct EngramMapHeader {
    le32_t entries;
    le32_t frames;
    /* frames x EngramMapFrame, then columns of entries:
     * uint8_t kinds[]; le32_t lengths[]; le16_t frames[]; le32_t positions[]; le32_t skips[] */
} EngramMapHeader;
G_STATIC_ASSERT(sizeof(EngramMapHeader) == 8);

typedef struct EngramMapFrame {
    EngramRef frame;
    le16_t source;                      /* 0: this file; else index + 1 in the commit's sources */
    le16_t reserved[3];
} EngramMapFrame;
G_STATIC_ASSERT(sizeof(EngramMapFrame) == 24);

enum { ENGRAM_MAP_ENTRY_BYTES = 1 + 4 + 2 + 4 + 4 };

typedef struct EngramSegment {
    EngramRef map;                      /* none: the whole segment is zero */
    uint8_t digest[ENGRAM_DIGEST_BYTES];
} EngramSegment;
G_STATIC_ASSERT(sizeof(EngramSegment) == 48);

typedef struct EngramMapRoot {
    le64_t virtual_size;
    le32_t segment_bits;
    le32_t pages;
    /* pages x EngramRef of ENGRAM_OBJECT_SEGMENTS; none: all segments zero */
} EngramMapRoot;
G_STATIC_ASSERT(sizeof(EngramMapRoot) == 16);

/* Section "Manifest" */
typedef struct EngramManifestRoot {
    le64_t entries;
    le64_t vectors;
    le32_t file_pages;
    le32_t vector_pages;
    le32_t hypervector_dimension;       /* trits; 0: no vectors */
    le32_t hypervector_encoding;        /* 2: docs/hypervec.md */
    le32_t volumes;
    le32_t has_names;                   /* 1: names of folders follow the volumes; else 0 */
    /* file_pages x EngramManifestPage, vector_pages x EngramManifestPage,
     * volumes x EngramManifestVolume, with has_names volumes strings with a zero at the
     * end: "p3", "vg/root" */
} EngramManifestRoot;
G_STATIC_ASSERT(sizeof(EngramManifestRoot) == 40);

typedef struct EngramManifestPage {
    EngramRef ref;
    le64_t first;                       /* number of its first entry */
    le32_t entries;
    le32_t reserved;
} EngramManifestPage;
G_STATIC_ASSERT(sizeof(EngramManifestPage) == 32);

typedef struct EngramManifestVolume {
    le64_t first;                       /* entries [first, first + entries) */
    le64_t entries;
    le64_t offset;                      /* on the device; of its first piece */
    le64_t size;
    le32_t number;                      /* pN; 0 on a bare filesystem and where it is named */
    uint8_t fs_type[20];                /* blkid's name, zero-padded */
} EngramManifestVolume;
G_STATIC_ASSERT(sizeof(EngramManifestVolume) == 56);

enum {
    ENGRAM_FILE_HAS_DIGEST = 1 << 0,
    ENGRAM_FILE_HARD_LINK  = 1 << 1,    /* an earlier entry with this inode has the digest */
    ENGRAM_FILE_DAMAGED    = 1 << 2,    /* could not be read as a file; stored as raw ranges */
    ENGRAM_FILE_HAS_ATTRIBUTES = 1 << 3,
};

/* A page of files is a row of these, each followed by its path (relative to the
 * volume, path_length bytes, of which the first shared are those of the entry
 * before), with HAS_DIGEST by a digest, and behind that of a directory by the number of
 * entries below it (8), and with HAS_ATTRIBUTES by a digest of extended attributes. */
typedef struct EngramFileEntry {
    le64_t ino;
    le64_t size;
    le64_t mtime_sec;                   /* two's complement */
    le32_t mtime_nsec;
    le32_t mode;
    le32_t uid;
    le32_t gid;
    le16_t shared;
    le16_t suffix;                      /* bytes of the path that follow */
    uint8_t flags;                      /* ENGRAM_FILE_* */
    uint8_t profile;
    le16_t reserved;
} EngramFileEntry;
G_STATIC_ASSERT(sizeof(EngramFileEntry) == 48);

/* A page of vectors is a row of these, each followed by its bytes. */
typedef struct EngramVectorEntry {
    le64_t entry;                       /* number of the file entry; ENGRAM_VECTOR_OF_IMAGE */
    le32_t bytes;
    le32_t reserved;
} EngramVectorEntry;
G_STATIC_ASSERT(sizeof(EngramVectorEntry) == 16);
#define ENGRAM_VECTOR_OF_IMAGE UINT64_MAX

/* Section "Index of vectors" */
typedef struct EngramVectorIndexRoot {
    le64_t vectors;                     /* that are members of clusters */
    le32_t dimension;                   /* of the centroids: that of the manifest */
    le32_t short_dimension;             /* ENGRAM_SHORT_DIMENSION */
    le32_t clusters;
    le32_t file_clusters;               /* the first ones; the others are of directories */
    le32_t pages;
    le32_t reserved;
    /* pages x EngramManifestPage, that count members; clusters x le32_t, members of each;
     * clusters x centroid: two planes of dimension bits */
} EngramVectorIndexRoot;
G_STATIC_ASSERT(sizeof(EngramVectorIndexRoot) == 32);

enum { ENGRAM_SHORT_DIMENSION = 512 };

/* A page of members is a row of these, each followed by its bytes. */
typedef struct EngramMember {
    le32_t vector;                      /* number of the vector in the manifest */
    uint8_t bytes;                      /* of its short form, packed */
} EngramMember;
G_STATIC_ASSERT(sizeof(EngramMember) == 5);

/* Section "Images" */
typedef struct EngramImageRecord {
    le64_t virtual_size;
    le64_t created_ns;                  /* since 1970-01-01 UTC */
    uint8_t root_digest[ENGRAM_DIGEST_BYTES];
    EngramRef map_root;
    EngramRef manifest;                 /* none: the image was encoded without */
    EngramRef vector_index;             /* none: there is none */
    EngramRef reserved;
    le32_t name_bytes;
    le32_t info_bytes;
    /* name in UTF-8; info: JSON of the schema's EngramImageStats */
} EngramImageRecord;
G_STATIC_ASSERT(sizeof(EngramImageRecord) == 120);

/* Section "Commit record" */
typedef struct EngramCommit {
    le64_t sequence;
    le64_t time_ns;
    EngramRef previous;                 /* commit; none for the first */
    EngramRef profiles;                 /* JSON of the schema's ProfileTable */
    EngramRef keys;                     /* reserved for encryption */
    EngramRef recall;                   /* recall index; none: nothing is recalled */
    EngramRef parity;                   /* reserved */
    le32_t chunk_min;                   /* chunker: docs, section "Chunk boundaries" */
    le32_t chunk_avg;
    le32_t chunk_max;
    le32_t chunker;                     /* 1: gear */
    le64_t frames;                      /* in all pages of the directory */
    le64_t chunks;                      /* in all frames */
    le32_t images;
    le32_t frame_pages;
    le32_t sources;
    le32_t reserved;
    /* images x EngramCommitImage, frame_pages x EngramRef, sources x EngramSource
     * with their names */
} EngramCommit;
G_STATIC_ASSERT(sizeof(EngramCommit) == 144);

/* name_hash lets an image be found by name without reading every record. */
typedef struct EngramCommitImage {
    EngramRef record;
    le64_t name_hash;                   /* XXH3-64 of its name */
    le64_t virtual_size;
} EngramCommitImage;
G_STATIC_ASSERT(sizeof(EngramCommitImage) == 32);

typedef struct EngramSource {
    le32_t kind;                        /* 1: backing engram; 2: object store (reserved) */
    le32_t name_bytes;                  /* follow: file name, relative to this file's folder */
    uint8_t uuid[ENGRAM_UUID_BYTES];
    le64_t sequence;                    /* of the commit that was recalled from */
} EngramSource;
G_STATIC_ASSERT(sizeof(EngramSource) == 32);

#endif
