/*
 * qcow2 on disk: QEMU's docs/interop/qcow2.txt as structures and masks.
 */
#ifndef EMBR_BLOCK_QCOW2_FORMAT_H
#define EMBR_BLOCK_QCOW2_FORMAT_H

#include "util/endian.h"
#include "util/units.h"

#define QCOW2_MAGIC 0x514649fbu                 /* "QFI\xfb" */

enum {
    QCOW2_V2_HEADER_BYTES = 72,
    QCOW2_V3_HEADER_BYTES = 104,
    QCOW2_MIN_CLUSTER_BITS = 9,
    QCOW2_MAX_CLUSTER_BITS = 21,
    QCOW2_MIN_EXTENDED_CLUSTER_BITS = 14,
    QCOW2_SUBCLUSTERS = 32,
    QCOW2_MAX_REFCOUNT_ORDER = 6,
    QCOW2_MAX_L1_BYTES = 32 << 20,
    QCOW2_MAX_REFCOUNT_TABLE_BYTES = 8 << 20,
    QCOW2_MAX_BACKING_NAME = 1023,
    QCOW2_MAX_SNAPSHOTS = 65536,
    QCOW2_MAX_SNAPSHOT_TABLE_BYTES = 64 << 20,
    QCOW2_MAX_SNAPSHOT_EXTRA = 1024,
    QCOW2_MAX_BITMAPS = 65535,
    QCOW2_MAX_BITMAP_DIRECTORY_BYTES = 64 << 20,
    QCOW2_MAX_BITMAP_NAME = 1023,
};

typedef struct Qcow2DiskHeader {
    be32_t magic;
    be32_t version;
    be64_t backing_file_offset;
    be32_t backing_file_size;
    be32_t cluster_bits;
    be64_t size;
    be32_t crypt_method;
    be32_t l1_size;
    be64_t l1_table_offset;
    be64_t refcount_table_offset;
    be32_t refcount_table_clusters;
    be32_t nb_snapshots;
    be64_t snapshots_offset;
    /* Version 3 and later. */
    be64_t incompatible_features;
    be64_t compatible_features;
    be64_t autoclear_features;
    be32_t refcount_order;
    be32_t header_length;
    uint8_t compression_type;
    uint8_t padding[7];
} Qcow2DiskHeader;
G_STATIC_ASSERT(sizeof(Qcow2DiskHeader) == 112);

enum {
    QCOW2_CRYPT_NONE = 0,
    QCOW2_CRYPT_AES = 1,
    QCOW2_CRYPT_LUKS = 2,
};

typedef enum Qcow2Compression {
    QCOW2_COMPRESSION_ZLIB = 0,
    QCOW2_COMPRESSION_ZSTD = 1,
} Qcow2Compression;

enum {
    QCOW2_INCOMPAT_DIRTY = 1 << 0,
    QCOW2_INCOMPAT_CORRUPT = 1 << 1,
    QCOW2_INCOMPAT_DATA_FILE = 1 << 2,
    QCOW2_INCOMPAT_COMPRESSION = 1 << 3,
    QCOW2_INCOMPAT_EXTENDED_L2 = 1 << 4,
    QCOW2_INCOMPAT_KNOWN = (1 << 5) - 1,

    QCOW2_COMPAT_LAZY_REFCOUNTS = 1 << 0,

    QCOW2_AUTOCLEAR_BITMAPS = 1 << 0,
    QCOW2_AUTOCLEAR_DATA_FILE_RAW = 1 << 1,
};

enum {
    QCOW2_EXTENSION_END = 0,
    QCOW2_EXTENSION_BITMAPS = 0x23852875,
    QCOW2_EXTENSION_ENCRYPTION = 0x0537be77,
    QCOW2_EXTENSION_DATA_FILE = 0x44415441,
    QCOW2_EXTENSION_FEATURE_NAMES = 0x6803f857,
};
#define QCOW2_EXTENSION_BACKING_FORMAT 0xe2792acau

typedef struct Qcow2DiskExtension {
    be32_t type;
    be32_t length;
} Qcow2DiskExtension;
G_STATIC_ASSERT(sizeof(Qcow2DiskExtension) == 8);

enum { QCOW2_FEATURE_INCOMPATIBLE = 0 };

typedef struct Qcow2DiskFeatureName {
    uint8_t type;
    uint8_t bit;
    char name[46];
} Qcow2DiskFeatureName;
G_STATIC_ASSERT(sizeof(Qcow2DiskFeatureName) == 48);

typedef struct Qcow2DiskBitmapsExtension {
    be32_t nb_bitmaps;
    be32_t reserved;
    be64_t directory_size;
    be64_t directory_offset;
} Qcow2DiskBitmapsExtension;
G_STATIC_ASSERT(sizeof(Qcow2DiskBitmapsExtension) == 24);

typedef struct Qcow2DiskBitmap {
    be64_t table_offset;
    be32_t table_size;
    be32_t flags;
    uint8_t type;
    uint8_t granularity_bits;
    be16_t name_size;
    be32_t extra_data_size;
} Qcow2DiskBitmap;
G_STATIC_ASSERT(sizeof(Qcow2DiskBitmap) == 24);

enum {
    QCOW2_BITMAP_IN_USE = 1 << 0,
    QCOW2_BITMAP_AUTO = 1 << 1,
    QCOW2_BITMAP_EXTRA_COMPATIBLE = 1 << 2,
    QCOW2_BITMAP_KNOWN_FLAGS = (1 << 3) - 1,
    QCOW2_BITMAP_TYPE_DIRTY = 1,
    QCOW2_BITMAP_MIN_GRANULARITY_BITS = 9,
    QCOW2_BITMAP_MAX_GRANULARITY_BITS = 31,
};

typedef struct Qcow2DiskSnapshot {
    be64_t l1_table_offset;
    be32_t l1_size;
    be16_t id_size;
    be16_t name_size;
    be32_t date_sec;
    be32_t date_nsec;
    be64_t vm_clock_nsec;
    be32_t vm_state_size;
    be32_t extra_data_size;
} Qcow2DiskSnapshot;
G_STATIC_ASSERT(sizeof(Qcow2DiskSnapshot) == 40);

/* Extra data of a snapshot, each field there only if extra_data_size says so. */
typedef struct Qcow2DiskSnapshotExtra {
    be64_t vm_state_size;
    be64_t disk_size;
    be64_t icount;
} Qcow2DiskSnapshotExtra;
G_STATIC_ASSERT(sizeof(Qcow2DiskSnapshotExtra) == 24);

#define QCOW2_OFFSET_MASK            UINT64_C(0x00fffffffffffe00)   /* bits 9 to 55 */
#define QCOW2_COPIED                 (UINT64_C(1) << 63)
#define QCOW2_L1_RESERVED            UINT64_C(0x7f000000000001ff)
#define QCOW2_L2_COMPRESSED          (UINT64_C(1) << 62)
#define QCOW2_L2_ZERO                UINT64_C(1)
#define QCOW2_L2_RESERVED            UINT64_C(0x3f000000000001fe)
#define QCOW2_MAX_HOST_OFFSET        (UINT64_C(1) << 56)
#define QCOW2_REFCOUNT_TABLE_RESERVED UINT64_C(0x1ff)
#define QCOW2_BITMAP_TABLE_RESERVED  UINT64_C(0xff000000000001fe)

#endif
