/* The superblock: which kind of filesystem this is, and its copies. */
#include "btrfs.h"

#define FLAG_METADUMP (UINT64_C(3) << 33)
#define FLAG_CHANGING (UINT64_C(0x3f) << 35)

static const uint64_t copies[BTRFS_SUPER_COPIES] = {
    BTRFS_SUPER_OFFSET_BYTES,
    BTRFS_SUPER_COPY_1_BYTES,
    BTRFS_SUPER_COPY_2_BYTES,
};

static const char *feature_name(uint64_t bit)
{
    switch (bit) {
    case BTRFS_INCOMPAT_ZONED:
        return "zoned";
    case BTRFS_INCOMPAT_EXTENT_TREE_V2:
        return "extent-tree-v2";
    case BTRFS_INCOMPAT_RAID_STRIPE_TREE:
        return "raid-stripe-tree";
    default:
        return "unknown";
    }
}

static bool G_GNUC_PRINTF(5, 6)
    refuse(const BtrfsState *s, uint64_t offset, GError **errp, EmbrError code,
           const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    btrfs_error(s, errp, code, offset, "superblock: %s", text);
    return false;
}

static bool check_sum(const BtrfsState *s, const BtrfsSuper *raw, uint64_t offset,
                      GError **errp)
{
    uint8_t sum[BTRFS_CSUM_BYTES];
    BtrfsCsumType type = le16_get(raw->csum_type);

    if (type > BTRFS_CSUM_BLAKE2B) {
        return refuse(s, offset, errp, EMBR_ERROR_UNSUPPORTED,
                      "checksums are of kind %u; kinds 0 to %u can be read", type,
                      BTRFS_CSUM_BLAKE2B);
    }
    btrfs_csum(type, raw->fsid, sizeof(*raw) - sizeof(raw->csum), sum);
    if (memcmp(sum, raw->csum, btrfs_csum_bytes(type))) {
        g_autofree char *found = btrfs_csum_text(type, raw->csum);
        g_autofree char *expected = btrfs_csum_text(type, sum);

        return refuse(s, offset, errp, EMBR_ERROR_CORRUPT,
                      "checksum is %s, expected %s", found, expected);
    }
    return true;
}

static bool check_features(const BtrfsState *s, const BtrfsSuper *raw, uint64_t offset,
                           GError **errp)
{
    uint64_t unknown = le64_get(raw->incompat_flags) & ~BTRFS_INCOMPAT_KNOWN;
    uint64_t devices = le64_get(raw->num_devices);

    if (unknown) {
        uint64_t bit = unknown & -unknown;

        return refuse(s, offset, errp, EMBR_ERROR_UNSUPPORTED,
                      "incompatible feature 0x%" PRIx64 " (%s) is not supported", bit,
                      feature_name(bit));
    }
    if (devices != 1) {
        return refuse(s, offset, errp, EMBR_ERROR_UNSUPPORTED,
                      "the filesystem is on %" PRIu64
                      " devices (this is device %" PRIu64
                      "); those on one device can be read",
                      devices, le64_get(raw->dev_item.devid));
    }
    if (le64_get(raw->flags) & FLAG_CHANGING) {
        return refuse(s, offset, errp, EMBR_ERROR_UNSUPPORTED,
                      "a conversion of the filesystem by btrfstune (flags 0x%" PRIx64
                      ") did not end",
                      le64_get(raw->flags));
    }
    return true;
}

static bool check_sizes(const BtrfsState *s, const BtrfsGeometry *geo, uint64_t offset,
                        GError **errp)
{
    if (!is_pow2(geo->sector_bytes) || geo->sector_bytes < BTRFS_MIN_SECTOR_BYTES ||
        geo->sector_bytes > BTRFS_MAX_NODE_BYTES) {
        return refuse(s, offset, errp, EMBR_ERROR_CORRUPT,
                      "sector size is %u, expected a power of 2 from 4096 to 65536",
                      geo->sector_bytes);
    }
    if (!is_pow2(geo->node_bytes) || geo->node_bytes < geo->sector_bytes ||
        geo->node_bytes > BTRFS_MAX_NODE_BYTES) {
        return refuse(s, offset, errp, EMBR_ERROR_CORRUPT,
                      "node size is %u, expected a power of 2 from %u to 65536",
                      geo->node_bytes, geo->sector_bytes);
    }
    if (geo->root_level >= BTRFS_MAX_LEVELS ||
        geo->chunk_root_level >= BTRFS_MAX_LEVELS ||
        geo->log_root_level >= BTRFS_MAX_LEVELS) {
        return refuse(s, offset, errp, EMBR_ERROR_CORRUPT,
                      "levels of trees are %u, %u and %u, expected at most %d",
                      geo->root_level, geo->chunk_root_level, geo->log_root_level,
                      BTRFS_MAX_LEVELS - 1);
    }
    if (geo->system_chunks_bytes > BTRFS_SYSTEM_CHUNK_ARRAY_BYTES) {
        return refuse(s, offset, errp, EMBR_ERROR_CORRUPT,
                      "%u bytes of system chunks, expected at most %d",
                      geo->system_chunks_bytes, BTRFS_SYSTEM_CHUNK_ARRAY_BYTES);
    }
    return true;
}

bool btrfs_super_parse(const BtrfsState *s, const uint8_t *data, uint64_t offset,
                       BtrfsGeometry *geo, GError **errp)
{
    const BtrfsSuper *raw = (const BtrfsSuper *)data;

    if (memcmp(raw->magic, BTRFS_MAGIC, sizeof(raw->magic))) {
        return refuse(s, offset, errp, EMBR_ERROR_FORMAT,
                      "magic is 0x%016" PRIx64 ", expected \"%s\"",
                      le64_load(raw->magic), BTRFS_MAGIC);
    }
    if (!check_sum(s, raw, offset, errp)) {
        return false;
    }
    if (le64_get(raw->bytenr) != offset) {
        return refuse(s, offset, errp, EMBR_ERROR_CORRUPT,
                      "is meant for offset 0x%" PRIx64, le64_get(raw->bytenr));
    }
    *geo = (BtrfsGeometry){
        .csum_type = le16_get(raw->csum_type),
        .sector_bytes = le32_get(raw->sectorsize),
        .node_bytes = le32_get(raw->nodesize),
        .generation = le64_get(raw->generation),
        .total_bytes = le64_get(raw->total_bytes),
        .root = le64_get(raw->root),
        .chunk_root = le64_get(raw->chunk_root),
        .log_root = le64_get(raw->log_root),
        .chunk_root_generation = le64_get(raw->chunk_root_generation),
        .root_level = raw->root_level,
        .chunk_root_level = raw->chunk_root_level,
        .log_root_level = raw->log_root_level,
        .devid = le64_get(raw->dev_item.devid),
        .incompat = le64_get(raw->incompat_flags),
        .system_chunks_bytes = le32_get(raw->sys_chunk_array_size),
    };
    memcpy(geo->fsid,
           geo->incompat & BTRFS_INCOMPAT_METADATA_UUID ? raw->metadata_uuid
                                                        : raw->fsid,
           BTRFS_UUID_BYTES);
    memcpy(geo->system_chunks, raw->sys_chunk_array, BTRFS_SYSTEM_CHUNK_ARRAY_BYTES);
    return check_features(s, raw, offset, errp) && check_sizes(s, geo, offset, errp);
}

static bool coroutine_fn co_read_copy(BtrfsState *s, uint64_t offset, uint8_t *data,
                                      BtrfsGeometry *geo, GError **errp)
{
    if (!range_fits(offset, BTRFS_SUPER_BYTES, blk_length(s->fs->blk))) {
        return refuse(s, offset, errp, EMBR_ERROR_CORRUPT,
                      "the volume ends before it (0x%" PRIx64 ")",
                      blk_length(s->fs->blk));
    }
    return blk_co_read(s->fs->blk, offset, BTRFS_SUPER_BYTES, data, "superblock",
                       errp) &&
           btrfs_super_parse(s, data, offset, geo, errp);
}

static void warn_of_flags(const BtrfsState *s, const uint8_t *data)
{
    if (le64_get(((const BtrfsSuper *)data)->flags) & FLAG_METADUMP) {
        btrfs_warn(s, s->super_offset,
                   "this is a dump of metadata (btrfs-image); files have no content");
    }
}

/* Damage makes the newest of the copies count; what cannot be supported is not damage.
 */
bool coroutine_fn btrfs_super_co_load(BtrfsState *s, GError **errp)
{
    g_autofree uint8_t *data = g_malloc(BTRFS_SUPER_BYTES);
    GError *error = NULL;
    bool found = false;

    if (co_read_copy(s, copies[0], data, &s->geo, &error)) {
        s->super_offset = copies[0];
        warn_of_flags(s, data);
        return true;
    }
    if (g_error_matches(error, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED)) {
        g_propagate_error(errp, error);
        return false;
    }
    for (unsigned i = 1; i < BTRFS_SUPER_COPIES; i++) {
        BtrfsGeometry geo;

        if (co_read_copy(s, copies[i], data, &geo, NULL) &&
            (!found || geo.generation > s->geo.generation)) {
            s->geo = geo;
            s->super_offset = copies[i];
            warn_of_flags(s, data);
            found = true;
        }
    }
    if (!found) {
        g_propagate_error(errp, error);
        return false;
    }
    fs_warn(s->fs, "%s; the copy at offset 0x%" PRIx64 " is used", error->message,
            s->super_offset);
    g_error_free(error);
    return true;
}

static bool coroutine_fn co_probe_at(BlockBackend *blk, uint64_t offset, FsIdent *ident)
{
    g_autofree BtrfsSuper *raw = g_new(BtrfsSuper, 1);
    uint8_t sum[BTRFS_CSUM_BYTES];

    if (!range_fits(offset, sizeof(*raw), blk_length(blk)) ||
        blk_co_pread(blk, offset, sizeof(*raw), raw) < 0 ||
        memcmp(raw->magic, BTRFS_MAGIC, sizeof(raw->magic))) {
        return false;
    }

    BtrfsCsumType type = le16_get(raw->csum_type);

    /* A copy alone has to be a good one. */
    if (offset != copies[0]) {
        if (type > BTRFS_CSUM_BLAKE2B || le64_get(raw->bytenr) != offset) {
            return false;
        }
        btrfs_csum(type, raw->fsid, sizeof(*raw) - sizeof(raw->csum), sum);
        if (memcmp(sum, raw->csum, btrfs_csum_bytes(type))) {
            return false;
        }
    }

    g_autofree char *label = g_strndup(raw->label, sizeof(raw->label));
    const uint8_t *u = raw->fsid;

    ident->type = "btrfs";
    ident->label = *label ? g_steal_pointer(&label) : NULL;
    ident->uuid = g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
                                  "%02x%02x%02x%02x%02x%02x",
                                  u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8],
                                  u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    ident->size = MIN(le64_get(raw->dev_item.total_bytes), (uint64_t)INT64_MAX);
    return true;
}

bool coroutine_fn btrfs_co_probe(BlockBackend *blk, FsIdent *ident)
{
    return co_probe_at(blk, copies[0], ident);
}

bool coroutine_fn btrfs_co_probe_copies(BlockBackend *blk, FsIdent *ident)
{
    return co_probe_at(blk, copies[1], ident) || co_probe_at(blk, copies[2], ident);
}
