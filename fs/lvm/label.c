/* Physical volumes: the label, the areas of metadata, and the text in these. */
#include <zlib.h>

#include "fs/lvm/lvm.h"
#include "util/endian.h"

enum {
    LABEL_SECTORS = 4, /* one of the first may have the label */
    MDA_HEADER_BYTES = 512,
    MDA_VERSION = 1,
    MDA_IGNORED = 1 << 0,
    TEXT_MAX_BYTES = 32 << 20,
};

typedef struct __attribute__((packed)) LabelHeader {
    uint8_t id[8]; /* "LABELONE" */
    le64_t sector;
    le32_t crc;           /* from the next field to the sector's end */
    le32_t header_offset; /* of PvHeader in the sector */
    uint8_t type[8];      /* "LVM2 001" */
} LabelHeader;
G_STATIC_ASSERT(sizeof(LabelHeader) == 32);

typedef struct __attribute__((packed)) DiskArea {
    le64_t offset, size; /* bytes; offset 0 ends a list */
} DiskArea;
G_STATIC_ASSERT(sizeof(DiskArea) == 16);

typedef struct __attribute__((packed)) PvHeader {
    uint8_t uuid[LVM_UUID_CHARS];
    le64_t device_size;
    /* Lists of DiskArea: of data, then of metadata. */
} PvHeader;
G_STATIC_ASSERT(sizeof(PvHeader) == 40);

typedef struct __attribute__((packed)) RawLocation {
    le64_t offset, size; /* from the area's start; offset 0: none */
    le32_t checksum;
    le32_t flags;
} RawLocation;
G_STATIC_ASSERT(sizeof(RawLocation) == 24);

typedef struct __attribute__((packed)) MdaHeader {
    le32_t crc; /* of the rest of the sector */
    uint8_t magic[16];
    le32_t version;
    le64_t start, size;       /* of the area, this header included */
    RawLocation locations[4]; /* the first is what holds */
} MdaHeader;
G_STATIC_ASSERT(sizeof(MdaHeader) == 136);

uint32_t lvm_crc(uint32_t crc, const void *bytes, size_t n)
{
    return ~crc32(~crc, bytes, n);
}

static void G_GNUC_PRINTF(4, 5) set_corrupt(GError **errp, BlockBackend *pv,
                                            uint64_t offset, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *reason = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT, "%s: offset 0x%" PRIx64 ": %s",
                blk_name(pv), blk_offset(pv) + offset, reason);
}

static bool is_label(const uint8_t *sector)
{
    const LabelHeader *label = (const LabelHeader *)sector;

    return !memcmp(label->id, "LABELONE", 8) && !memcmp(label->type, "LVM2 001", 8);
}

static bool check_label(BlockBackend *pv, const uint8_t *sector, unsigned index,
                        GError **errp)
{
    const LabelHeader *label = (const LabelHeader *)sector;
    const size_t from = offsetof(LabelHeader, header_offset);
    uint32_t crc = lvm_crc(LVM_CRC_INITIAL, sector + from, LVM_SECTOR_BYTES - from);
    uint32_t at = le32_get(label->header_offset);

    if (le64_get(label->sector) != index) {
        set_corrupt(errp, pv, index * LVM_SECTOR_BYTES,
                    "LVM label says it is in sector %" PRIu64 ", expected %u",
                    le64_get(label->sector), index);
        return false;
    }
    if (le32_get(label->crc) != crc) {
        set_corrupt(errp, pv, index * LVM_SECTOR_BYTES,
                    "LVM label: checksum is 0x%08x, computed 0x%08x",
                    le32_get(label->crc), crc);
        return false;
    }
    if (at < sizeof(*label) || !range_fits(at, sizeof(PvHeader), LVM_SECTOR_BYTES)) {
        set_corrupt(errp, pv, index * LVM_SECTOR_BYTES,
                    "LVM label: the header is at byte %u of the sector", at);
        return false;
    }
    return true;
}

/* The next area of a list; NULL at its end, which is moved past. */
static const DiskArea *next_area(const uint8_t *sector, size_t *at)
{
    const DiskArea *area = (const DiskArea *)(sector + *at);

    if (!range_fits(*at, sizeof(*area), LVM_SECTOR_BYTES)) {
        return NULL;
    }
    *at += sizeof(*area);
    return le64_get(area->offset) ? area : NULL;
}

bool coroutine_fn lvm_co_read_label(BlockBackend *pv, LvmLabel *label, GError **errp)
{
    uint8_t sectors[LABEL_SECTORS * LVM_SECTOR_BYTES];
    const uint8_t *sector = NULL;
    GError *error = NULL;

    if (!blk_co_read(pv, 0, sizeof(sectors), sectors, "LVM label", errp)) {
        return false;
    }
    /* LVM goes on to the next sector where a label is damaged. */
    for (unsigned i = 0; i < LABEL_SECTORS && !sector; i++) {
        const uint8_t *candidate = sectors + i * LVM_SECTOR_BYTES;

        if (is_label(candidate) &&
            check_label(pv, candidate, i, error ? NULL : &error)) {
            sector = candidate;
        }
    }
    if (!sector) {
        if (!error) {
            set_corrupt(&error, pv, 0, "no LVM label in the first %d sectors",
                        LABEL_SECTORS);
        }
        g_propagate_error(errp, error);
        return false;
    }
    g_clear_error(&error);

    size_t at = le32_get(((const LabelHeader *)sector)->header_offset);
    const PvHeader *header = (const PvHeader *)(sector + at);
    char uuid[LVM_UUID_CHARS + 1] = "";
    *label = (LvmLabel){0};
    memcpy(uuid, header->uuid, LVM_UUID_CHARS);
    if (!lvm_uuid_from_text(uuid, label->uuid)) {
        set_corrupt(errp, pv, sector - sectors + at, "the physical volume has no UUID");
        return false;
    }
    at += sizeof(*header);
    while (next_area(sector, &at)) {
        continue;
    }
    const DiskArea *area;
    while (label->n_mdas < LVM_MAX_MDAS && (area = next_area(sector, &at))) {
        label->mdas[label->n_mdas++] =
            (LvmMda){le64_get(area->offset), le64_get(area->size)};
    }
    return true;
}

bool coroutine_fn lvm_co_read_location(BlockBackend *pv, const LvmMda *mda,
                                       LvmLocation *location, GError **errp)
{
    static const char magic[] = " LVM2 x[5A%r0N*>";
    uint8_t sector[MDA_HEADER_BYTES];
    const MdaHeader *header = (const MdaHeader *)sector;

    if (mda->offset > INT64_MAX || mda->size <= sizeof(sector) ||
        !range_fits(mda->offset, mda->size, blk_length(pv))) {
        set_corrupt(errp, pv, mda->offset,
                    "LVM metadata of %" PRIu64
                    " bytes, expected more than %d within %" PRIi64,
                    mda->size, MDA_HEADER_BYTES, blk_length(pv));
        return false;
    }
    if (!blk_co_read(pv, mda->offset, sizeof(sector), sector, "header of LVM metadata",
                     errp)) {
        return false;
    }
    uint32_t crc = lvm_crc(LVM_CRC_INITIAL, sector + 4, sizeof(sector) - 4);
    if (memcmp(header->magic, magic, sizeof(header->magic)) ||
        le32_get(header->version) != MDA_VERSION) {
        set_corrupt(errp, pv, mda->offset, "no header of LVM metadata, version %d",
                    MDA_VERSION);
        return false;
    }
    if (le32_get(header->crc) != crc) {
        set_corrupt(errp, pv, mda->offset,
                    "header of LVM metadata: checksum is 0x%08x, computed 0x%08x",
                    le32_get(header->crc), crc);
        return false;
    }
    if (le64_get(header->start) != mda->offset || le64_get(header->size) != mda->size) {
        set_corrupt(errp, pv, mda->offset,
                    "header of LVM metadata says %" PRIu64 " bytes at 0x%" PRIx64
                    ", expected %" PRIu64 " here",
                    le64_get(header->size), le64_get(header->start), mda->size);
        return false;
    }

    const RawLocation *raw = &header->locations[0];
    *location = (LvmLocation){
        .offset = le64_get(raw->offset),
        .size = le64_get(raw->offset) ? le64_get(raw->size) : 0,
        .checksum = le32_get(raw->checksum),
        .ignored = le32_get(raw->flags) & MDA_IGNORED,
    };
    if (location->size &&
        (location->size > MIN(mda->size - MDA_HEADER_BYTES, TEXT_MAX_BYTES) ||
         location->offset < MDA_HEADER_BYTES || location->offset >= mda->size)) {
        set_corrupt(errp, pv, mda->offset,
                    "LVM metadata of %" PRIu64 " bytes at byte 0x%" PRIx64
                    " of its area, which has 0x%" PRIx64,
                    location->size, location->offset, mda->size);
        return false;
    }
    return true;
}

/* The text, which goes on behind the area's header where it reaches the area's end. */
static char *coroutine_fn co_read_text(BlockBackend *pv, const LvmMda *mda,
                                       const LvmLocation *location, GError **errp)
{
    g_autofree char *text = g_malloc(location->size);
    uint64_t first = MIN(location->size, mda->size - location->offset);
    uint64_t at = mda->offset + location->offset;

    if (!blk_co_read(pv, at, first, text, "LVM metadata", errp) ||
        !blk_co_read(pv, mda->offset + MDA_HEADER_BYTES, location->size - first,
                     text + first, "LVM metadata", errp)) {
        return NULL;
    }
    uint32_t crc = lvm_crc(LVM_CRC_INITIAL, text, location->size);
    if (crc != location->checksum) {
        set_corrupt(errp, pv, at, "LVM metadata: checksum is 0x%08x, computed 0x%08x",
                    location->checksum, crc);
        return NULL;
    }
    return g_steal_pointer(&text);
}

/* The group's is the only section there is. */
static bool read_header(LvmGroup *group, GError **errp)
{
    enum { EXTENT_SECTORS_MAX = UINT32_MAX };
    const char *reason = NULL;
    uint64_t sectors = 0;

    for (unsigned i = 0; i < lvm_children(group->top) && !group->section; i++) {
        const LvmValue *value = lvm_child(group->top, i);

        group->section = value->kind == LVM_SECTION ? value : NULL;
    }
    if (!group->section) {
        reason = "no volume group in it";
    } else if (!lvm_is_name(group->section->name)) {
        reason = "the volume group's name is none that LVM would give";
    } else if (!lvm_uuid_from_text(lvm_string(group->section, "id"), group->uuid)) {
        reason = "the volume group has no UUID";
    } else if (!lvm_number(group->section, "seqno", 0, INT64_MAX, &group->seqno)) {
        reason = "it has no sequence number";
    } else if (!lvm_number(group->section, "extent_size", 1, EXTENT_SECTORS_MAX,
                           &sectors)) {
        reason = "extent_size is none from 1 to 4294967295 sectors";
    }
    if (reason) {
        g_set_error_literal(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT, reason);
        return false;
    }
    group->extent_bytes = sectors * LVM_SECTOR_BYTES;
    return true;
}

LvmGroup *coroutine_fn lvm_co_read_group(BlockBackend *pv, const LvmMda *mda,
                                         const LvmLocation *location,
                                         unsigned *values_left, GError **errp)
{
    g_autoptr(LvmGroup) group = g_new0(LvmGroup, 1);

    group->text = co_read_text(pv, mda, location, errp);
    if (!group->text) {
        return NULL;
    }
    group->top = lvm_text_parse(group->text, location->size, values_left, errp);
    if (!group->top || !read_header(group, errp)) {
        g_prefix_error(errp, "%s: LVM metadata at offset 0x%" PRIx64 ": ", blk_name(pv),
                       blk_offset(pv) + mda->offset + location->offset);
        return NULL;
    }
    return g_steal_pointer(&group);
}

void lvm_group_free(LvmGroup *group)
{
    if (group) {
        lvm_value_free(group->top);
        g_free(group->text);
        g_free(group);
    }
}
