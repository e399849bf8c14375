/*
 * The disklabel of FreeBSD, NetBSD, OpenBSD and DragonFly on PCs: in the second sector
 * of a slice, the table of the partitions a, b, ... within it.
 */
#include "fs/bsd-label.h"

enum {
    BSD_LABEL_OFFSET = 512,
    BSD_SECTOR_BYTES = 512,
    BSD_MAX_PARTITIONS = 16,
    BSD_RAW_PARTITION = 2, /* c: all of the slice, or of the disk */
    BSD_TYPE_FREEBSD = 0xa5,
    BSD_TYPE_OPENBSD = 0xa6,
    BSD_TYPE_NETBSD = 0xa9,
};

#define BSD_MAGIC UINT32_C(0x82564557)

typedef struct __attribute__((packed)) BsdPartition {
    le32_t sectors, first;
    le16_t first_high, sectors_high; /* OpenBSD, version 1; else: the fragment's size */
    uint8_t type;                    /* 0: unused */
    uint8_t fragment;
    le16_t group;
} BsdPartition;
G_STATIC_ASSERT(sizeof(BsdPartition) == 16);

typedef struct __attribute__((packed)) BsdLabel {
    le32_t magic;
    le16_t type, subtype;
    uint8_t type_name[16], pack_name[16];
    le32_t sector_bytes;
    uint8_t geometry[70];
    le16_t version; /* of OpenBSD */
    uint8_t spare[16];
    le32_t magic2;
    le16_t checksum; /* all 16-bit words together are zero, xored */
    le16_t partitions;
    le32_t boot_bytes, super_bytes;
    BsdPartition parts[BSD_MAX_PARTITIONS];
} BsdLabel;
G_STATIC_ASSERT(offsetof(BsdLabel, version) == 114);
G_STATIC_ASSERT(offsetof(BsdLabel, magic2) == 132);
G_STATIC_ASSERT(offsetof(BsdLabel, parts) == 148);
G_STATIC_ASSERT(sizeof(BsdLabel) <= BSD_SECTOR_BYTES);

static const char *const type_names[] = {
    [1] = "BSD swap",  [7] = "BSD FFS",       [8] = "BSD MS-DOS", [9] = "BSD LFS",
    [11] = "BSD HPFS", [12] = "BSD ISO 9660", [13] = "BSD boot",  [14] = "BSD Vinum",
    [15] = "BSD RAID", [17] = "BSD ext2",     [18] = "BSD NTFS",  [19] = "BSD RAID",
    [20] = "BSD ccd",  [27] = "BSD ZFS",
};

bool bsd_is_slice(uint8_t type)
{
    return type == BSD_TYPE_FREEBSD || type == BSD_TYPE_OPENBSD ||
           type == BSD_TYPE_NETBSD;
}

static bool is_label(const BsdLabel *label)
{
    return le32_get(label->magic) == BSD_MAGIC && le32_get(label->magic2) == BSD_MAGIC;
}

static bool has_checksum(const BsdLabel *label, unsigned n)
{
    const uint8_t *at = (const uint8_t *)label;
    const uint8_t *end = (const uint8_t *)&label->parts[n];
    uint16_t sum = 0;

    for (; at < end; at += 2) {
        sum ^= le16_load(at);
    }
    return sum == 0;
}

/* A partition of the label, where it is on the disk; false: it is none. */
static bool place(const BsdLabel *label, unsigned i, uint8_t slice_type,
                  const PartitionEntry *slice, PartitionEntry *part)
{
    const BsdPartition *p = &label->parts[i];
    uint64_t first = le32_get(p->first), sectors = le32_get(p->sectors);

    if (slice_type == BSD_TYPE_OPENBSD && le16_get(label->version) == 1) {
        first |= (uint64_t)le16_get(p->first_high) << 32;
        sectors |= (uint64_t)le16_get(p->sectors_high) << 32;
    }
    *part = (PartitionEntry){
        .offset = first * BSD_SECTOR_BYTES,
        .size = sectors * BSD_SECTOR_BYTES,
    };
    /* FreeBSD counts from the slice if its raw partition does. */
    if (slice_type == BSD_TYPE_FREEBSD &&
        !le32_get(label->parts[BSD_RAW_PARTITION].first)) {
        part->offset += slice->offset;
    }
    return p->type != 0 && sectors;
}

bool coroutine_fn bsd_co_read_label(BlockBackend *disk, const PartitionEntry *slice,
                                    uint8_t slice_type, unsigned *next,
                                    VolumeTable *table, GArray *entries)
{
    uint64_t at = slice->offset + BSD_LABEL_OFFSET;
    union {
        BsdLabel label;
        uint8_t bytes[BSD_SECTOR_BYTES];
    } sector;
    const BsdLabel *label = &sector.label;

    if (slice->size < BSD_LABEL_OFFSET + sizeof(sector) ||
        !range_fits(at, sizeof(sector), blk_length(disk)) ||
        blk_co_pread(disk, at, sizeof(sector), &sector) < 0 || !is_label(label)) {
        return false;
    }

    unsigned n = le16_get(label->partitions);
    if (n > BSD_MAX_PARTITIONS || !has_checksum(label, n)) {
        volume_table_warn(
            table,
            "%s: partition %u: the BSD disklabel at offset 0x%" PRIx64
            " has a wrong checksum, or more than %d partitions (%u); it is "
            "left aside",
            blk_name(disk), slice->number, at, BSD_MAX_PARTITIONS, n);
        return false;
    }
    guint before = entries->len;
    for (unsigned i = 0; i < n; i++) {
        PartitionEntry part;

        if (!place(label, i, slice_type, slice, &part) ||
            (part.offset == slice->offset && part.size == slice->size)) {
            continue; /* the slice itself is there */
        }
        if (part.offset < slice->offset ||
            !range_fits(part.offset - slice->offset, part.size, slice->size)) {
            if (part.offset) { /* else: what it calls the whole disk */
                volume_table_warn(
                    table,
                    "%s: partition %u: BSD partition %c (offset 0x%" PRIx64 ", %" PRIu64
                    " bytes) is not within it and left out",
                    blk_name(disk), slice->number, 'a' + i, part.offset, part.size);
            }
            continue;
        }
        uint8_t type = label->parts[i].type;
        part.number = (*next)++;
        part.type = g_strdup_printf("bsd:0x%02x", type);
        part.type_name =
            g_strdup(type < G_N_ELEMENTS(type_names) ? type_names[type] : NULL);
        part.name = g_strdup_printf("%c", 'a' + i);
        g_array_append_val(entries, part);
    }
    return entries->len > before;
}
