/* LVM2: physical volumes, what their metadata says, and the volumes that this makes. */
#ifndef EMBR_FS_LVM_LVM_H
#define EMBR_FS_LVM_LVM_H

#include "block/disk-map.h"
#include "fs/lvm/text.h"
#include "fs/volume.h"

enum {
    LVM_SECTOR_BYTES = 512,
    LVM_UUID_CHARS = 32,
    LVM_NAME_MAX = 127,
    LVM_MAX_MDAS = 16, /* LVM makes two at most */
};

/* An area of a physical volume that holds metadata: a header and a ring of texts. */
typedef struct LvmMda {
    uint64_t offset, size; /* in the physical volume */
} LvmMda;

typedef struct LvmLabel {
    char uuid[LVM_UUID_CHARS + 1];
    LvmMda mdas[LVM_MAX_MDAS];
    unsigned n_mdas;
} LvmLabel;

/* What the header of an area of metadata says of the text that holds now. */
typedef struct LvmLocation {
    uint64_t offset, size; /* from the area's start; may wrap.  size 0: none */
    uint32_t checksum;
    bool ignored; /* LVM does not keep this copy up to date */
} LvmLocation;

/* A group as its metadata describes it. */
typedef struct LvmGroup {
    char *text; /* that values point into */
    LvmValue *top;
    const LvmValue *section; /* whose name is that of the group */
    char uuid[LVM_UUID_CHARS + 1];
    uint64_t seqno;
    uint64_t extent_bytes;
} LvmGroup;

/* Errors name the disk and the offset on it. */
bool coroutine_fn lvm_co_read_label(BlockBackend *pv, LvmLabel *label, GError **errp);
bool coroutine_fn lvm_co_read_location(BlockBackend *pv, const LvmMda *mda,
                                       LvmLocation *location, GError **errp);
/* The group that the text at location is of; see lvm_text_parse(). */
LvmGroup *coroutine_fn lvm_co_read_group(BlockBackend *pv, const LvmMda *mda,
                                         const LvmLocation *location,
                                         unsigned *values_left, GError **errp);
void lvm_group_free(LvmGroup *group);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmGroup, lvm_group_free)

/* LVM's checksum of bytes that go on from others, whose checksum crc is (of none:
 * LVM_CRC_INITIAL). */
#define LVM_CRC_INITIAL UINT32_C(0xf597a6cf)
uint32_t lvm_crc(uint32_t crc, const void *bytes, size_t n);

/* A UUID as metadata has it ("abcdef-0123-..."), to its 32 characters.  False: it is
 * none. */
bool lvm_uuid_from_text(const char *text, char uuid[LVM_UUID_CHARS + 1]);
/* And back, for people; the caller frees it. */
char *lvm_uuid_to_text(const char uuid[LVM_UUID_CHARS + 1]);
/* Whether LVM would give that name to a group or a volume. */
bool lvm_is_name(const char *name);

/*
 * How a logical volume is put together.  find_pv() gives the place on the disk of the
 * first extent of the group's physical volume of that name in the metadata, and how
 * many bytes follow from there (*size); false: it is not there.  NULL: the volume
 * cannot be read.  Errors say why in words that follow "it "; EMBR_ERROR_UNSUPPORTED if
 * nothing is wrong with it.
 */
typedef bool LvmFindPv(const char *name, uint64_t *offset, uint64_t *size, void *opaque,
                       GError **errp);
DiskMap *lvm_map_volume(const LvmGroup *group, const LvmValue *lv, LvmFindPv *find_pv,
                        void *opaque, GError **errp);
/* The type of a volume's segments, by LVM's names: "linear", "thin-pool"; of several,
 * the first that cannot be read, or else "striped" if one is.  The caller frees it. */
char *lvm_volume_type(const LvmValue *lv);
/* The size of a volume in extents: the sum of its segments', as far as it makes sense.
 */
uint64_t lvm_volume_extents(const LvmValue *lv);

/* Adds the logical volumes on the physical ones in the table.  What is odd or cannot be
 * read becomes a warning. */
void coroutine_fn lvm_co_add_volumes(BlockBackend *disk, VolumeTable *table);

#endif
