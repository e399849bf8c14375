/* NTFS: the label is an attribute of the file $Volume. */
#include "fs/fat-boot.h"
#include "fs/known/known.h"

enum {
    VOLUME_RECORD = 3,
    RECORD_MAX_BYTES = 65536,
    ATTRIBUTE_VOLUME_NAME = 0x60,
    ATTRIBUTE_END = 0xffffffff,
};

static char *find_label(const uint8_t *record, uint32_t bytes)
{
    uint32_t at = le16_load(record + 20);

    while (range_fits(at, 24, bytes)) {
        const uint8_t *attribute = record + at;
        const uint32_t type = le32_load(attribute), len = le32_load(attribute + 4);
        const uint32_t value = le16_load(attribute + 20);
        const uint32_t value_len = le32_load(attribute + 16);

        if (type == ATTRIBUTE_END || len < 24 || !range_fits(at, len, bytes)) {
            return NULL;
        }
        if (type == ATTRIBUTE_VOLUME_NAME) {
            return !attribute[8] && range_fits(value, value_len, len)
                       ? known_utf16le(attribute + value, value_len)
                       : NULL;
        }
        at += len;
    }
    return NULL;
}

static char *coroutine_fn co_read_label(KnownVolume *v, const FatBootSector *boot)
{
    const uint64_t sector = le16_get(boot->sector_bytes);
    const uint64_t cluster = boot->cluster_sectors <= 0x80
                                 ? boot->cluster_sectors * sector
                                 : sector << MIN(256 - boot->cluster_sectors, 31);
    const int8_t clusters = boot->ntfs.record_clusters;
    const uint64_t bytes = clusters < 0 ? UINT64_C(1) << MIN(-clusters, 31)
                                        : clusters * cluster;
    const uint64_t mft = le64_get(boot->ntfs.mft_cluster);

    if (!cluster || mft > v->size / cluster || bytes < 48 || bytes > RECORD_MAX_BYTES) {
        return NULL;
    }
    const uint8_t *record =
        known_co_bytes(v, mft * cluster + VOLUME_RECORD * bytes, bytes);
    return record && !memcmp(record, "FILE", 4) ? find_label(record, bytes) : NULL;
}

bool coroutine_fn known_co_ntfs(KnownVolume *v, FsIdent *ident)
{
    const uint8_t *sector = known_co_bytes(v, 0, 512);

    if (!sector || !ntfs_is_boot_sector(sector)) {
        return false;
    }

    const FatBootSector *boot = (const FatBootSector *)sector;
    ident->type = "ntfs";
    ident->uuid = g_strdup_printf("%016" PRIX64, le64_get(boot->ntfs.serial));
    ident->label = co_read_label(v, boot);
    return true;
}
