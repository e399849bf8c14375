/* The superblock: which kind of filesystem this is, and its geometry. */
#include "xfs.h"

enum {
    MAX_BLOCK_BITS = 16,
    MAX_SECTOR_BYTES = 32 * 1024,
    MIN_INODE_BYTES = 256,
    MAX_INODE_BYTES = 2048,
    MAX_INODE_BITS = 56,
};

static const char *feature_name(uint32_t bit)
{
    switch (bit) {
    case XFS_INCOMPAT_METADIR:
        return "metadir";
    case XFS_INCOMPAT_ZONED:
        return "zoned";
    default:
        return "unknown";
    }
}

static bool G_GNUC_PRINTF(4, 5)
    refuse(const XfsState *s, GError **errp, EmbrError code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    xfs_error(s, errp, code, 0, "superblock: %s", text);
    return false;
}

static bool parse_features(const XfsState *s, const XfsSuper *raw, XfsGeometry *geo,
                           GError **errp)
{
    uint16_t versionnum = be16_get(raw->versionnum);

    geo->version = versionnum & XFS_VERSION_MASK;
    geo->ignores_case = versionnum & XFS_VERSION_ASCII_CI;
    memcpy(geo->uuid, raw->uuid, XFS_UUID_BYTES);
    if (geo->version != 4 && geo->version != 5) {
        return refuse(s, errp, EMBR_ERROR_UNSUPPORTED,
                      "version is %u; versions 4 and 5 can be read", geo->version);
    }
    if (geo->version == 4) {
        if (!(versionnum & XFS_VERSION_DIRV2)) {
            return refuse(s, errp, EMBR_ERROR_UNSUPPORTED,
                          "directories of version 1 are not supported");
        }
        geo->has_types = (versionnum & XFS_VERSION_MOREBITS) &&
                         (be32_get(raw->features2) & XFS_FEATURES2_FTYPE);
        memcpy(geo->meta_uuid, raw->uuid, XFS_UUID_BYTES);
        return true;
    }
    geo->incompat = be32_get(raw->features_incompat);
    geo->log_incompat = be32_get(raw->features_log_incompat);

    uint32_t unknown = geo->incompat & ~(uint32_t)XFS_INCOMPAT_KNOWN;

    if (unknown) {
        uint32_t bit = unknown & -unknown;

        return refuse(s, errp, EMBR_ERROR_UNSUPPORTED,
                      "incompatible feature 0x%x (%s) is not supported", bit,
                      feature_name(bit));
    }
    geo->has_types = geo->incompat & XFS_INCOMPAT_FTYPE;
    memcpy(geo->meta_uuid,
           geo->incompat & XFS_INCOMPAT_META_UUID ? raw->meta_uuid : raw->uuid,
           XFS_UUID_BYTES);
    return true;
}

static bool parse_blocks(const XfsState *s, const XfsSuper *raw, XfsGeometry *geo,
                         GError **errp)
{
    unsigned dir_bits = raw->dirblklog;

    geo->block_bytes = be32_get(raw->blocksize);
    geo->block_bits = raw->blocklog;
    geo->sector_bytes = be16_get(raw->sectsize);
    if (geo->block_bits < XFS_DADDR_BITS || geo->block_bits > MAX_BLOCK_BITS ||
        geo->block_bytes != UINT32_C(1) << geo->block_bits) {
        return refuse(s, errp, EMBR_ERROR_CORRUPT,
                      "block size is %u (log2 %u), expected a power of 2 from 512 to "
                      "65536",
                      geo->block_bytes, geo->block_bits);
    }
    if (!is_pow2(geo->sector_bytes) || geo->sector_bytes < XFS_MIN_SECTOR_BYTES ||
        geo->sector_bytes > MIN(geo->block_bytes, MAX_SECTOR_BYTES)) {
        return refuse(s, errp, EMBR_ERROR_CORRUPT,
                      "sector size is %u, expected a power of 2 from 512 to %u",
                      geo->sector_bytes, MIN(geo->block_bytes, MAX_SECTOR_BYTES));
    }
    if (dir_bits > MAX_BLOCK_BITS - geo->block_bits) {
        return refuse(s, errp, EMBR_ERROR_CORRUPT,
                      "directory blocks are of 2^%u blocks, expected at most 64 KiB",
                      dir_bits);
    }
    geo->dir_block_bits = geo->block_bits + dir_bits;
    return true;
}

static bool parse_inodes(const XfsState *s, const XfsSuper *raw, XfsGeometry *geo,
                         GError **errp)
{
    uint32_t least = geo->version == 5 ? 2 * MIN_INODE_BYTES : MIN_INODE_BYTES;

    geo->inode_bytes = be16_get(raw->inodesize);
    geo->inodes_per_block_bits = raw->inopblog;
    if (!is_pow2(geo->inode_bytes) || geo->inode_bytes < least ||
        geo->inode_bytes > MIN(geo->block_bytes, MAX_INODE_BYTES) ||
        geo->inodes_per_block_bits > MAX_BLOCK_BITS ||
        geo->inode_bytes << geo->inodes_per_block_bits != geo->block_bytes) {
        return refuse(s, errp, EMBR_ERROR_CORRUPT,
                      "2^%u inodes of %u bytes in a block of %u, expected a power of 2 "
                      "from %u to 2048",
                      geo->inodes_per_block_bits, geo->inode_bytes, geo->block_bytes,
                      least);
    }
    geo->root_ino = be64_get(raw->rootino);
    return true;
}

static bool parse_groups(const XfsState *s, const XfsSuper *raw, XfsGeometry *geo,
                         GError **errp)
{
    geo->blocks_count = be64_get(raw->dblocks);
    geo->ag_blocks = be32_get(raw->agblocks);
    geo->ag_count = be32_get(raw->agcount);
    geo->ag_bits = raw->agblklog;
    geo->realtime_blocks = be64_get(raw->rblocks);
    geo->log_start = be64_get(raw->logstart);
    geo->log_blocks = be32_get(raw->logblocks);

    uint64_t all = (uint64_t)geo->ag_blocks * geo->ag_count;

    if (!geo->ag_blocks || !geo->ag_count ||
        geo->ag_bits != g_bit_storage(geo->ag_blocks - 1) || geo->ag_bits > 31 ||
        geo->blocks_count > all || geo->blocks_count <= all - geo->ag_blocks ||
        geo->blocks_count > (uint64_t)INT64_MAX >> geo->block_bits) {
        return refuse(s, errp, EMBR_ERROR_CORRUPT,
                      "%" PRIu64
                      " blocks in %u groups of %u (log2 %u), which do not fit",
                      geo->blocks_count, geo->ag_count, geo->ag_blocks, geo->ag_bits);
    }

    unsigned bits = geo->ag_bits + geo->inodes_per_block_bits;

    if ((uint64_t)geo->ag_count > UINT64_C(1) << (MAX_INODE_BITS - bits)) {
        return refuse(s, errp, EMBR_ERROR_CORRUPT,
                      "%u groups with inode numbers of %u bits each, expected at most "
                      "%d bits in all",
                      geo->ag_count, bits, MAX_INODE_BITS);
    }
    return true;
}

bool xfs_super_parse(const XfsState *s, const uint8_t *sector, XfsGeometry *geo,
                     GError **errp)
{
    const XfsSuper *raw = (const XfsSuper *)sector;

    *geo = (XfsGeometry){0};
    if (be32_get(raw->magicnum) != XFS_SUPER_MAGIC) {
        return refuse(s, errp, EMBR_ERROR_FORMAT, "magic is 0x%08x, expected 0x%08x",
                      be32_get(raw->magicnum), XFS_SUPER_MAGIC);
    }
    if (raw->inprogress) {
        return refuse(s, errp, EMBR_ERROR_CORRUPT,
                      "the filesystem was not made to the end");
    }
    return parse_features(s, raw, geo, errp) && parse_blocks(s, raw, geo, errp) &&
           parse_inodes(s, raw, geo, errp) && parse_groups(s, raw, geo, errp);
}

static bool coroutine_fn co_load_first(XfsState *s, const uint8_t *head, GError **errp)
{
    if (!xfs_super_parse(s, head, &s->geo, errp)) {
        return false;
    }
    if (s->geo.version < 5) {
        return true;
    }

    g_autofree uint8_t *sector = g_malloc(s->geo.sector_bytes);
    uint32_t found = le32_get(((const XfsSuper *)head)->crc);

    if (!xfs_device_co_read(s, 0, s->geo.sector_bytes, sector, "superblock", errp)) {
        return false;
    }

    uint32_t expected = xfs_crc(sector, s->geo.sector_bytes, offsetof(XfsSuper, crc));

    if (found != expected && !xfs_is_logged(s, 0, s->geo.sector_bytes)) {
        return refuse(s, errp, EMBR_ERROR_CORRUPT,
                      "checksum is 0x%08x, expected 0x%08x", found, expected);
    }
    return true;
}

bool coroutine_fn xfs_super_co_load(XfsState *s, GError **errp)
{
    uint8_t head[XFS_SUPER_BYTES] = {0};
    GError *error = NULL;
    XfsSuper raw;

    if (xfs_device_co_read(s, 0, sizeof(head), head, "superblock", &error) &&
        co_load_first(s, head, &error)) {
        return true;
    }
    if (g_error_matches(error, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED) ||
        !xfs_super_co_find_copy(s, head, &s->geo, &raw)) {
        g_propagate_error(errp, error);
        return false;
    }
    fs_warn(s->fs, "%s; a copy of it is used", error->message);
    g_error_free(error);
    s->super_is_copy = true;
    return true;
}

static void identify(const XfsSuper *raw, FsIdent *ident)
{
    g_autofree char *label = g_strndup(raw->fname, sizeof(raw->fname));
    uint64_t blocks = be64_get(raw->dblocks);
    const uint8_t *u = raw->uuid;

    ident->type = "xfs";
    ident->label = *label ? g_steal_pointer(&label) : NULL;
    ident->uuid = g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
                                  "%02x%02x%02x%02x%02x%02x",
                                  u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8],
                                  u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    if (raw->blocklog <= MAX_BLOCK_BITS &&
        blocks <= (uint64_t)INT64_MAX >> raw->blocklog) {
        ident->size = blocks << raw->blocklog;
    }
}

bool coroutine_fn xfs_co_probe(BlockBackend *blk, FsIdent *ident)
{
    XfsSuper raw;

    if (blk_length(blk) < XFS_SUPER_BYTES ||
        blk_co_pread(blk, 0, sizeof(raw), &raw) < 0 ||
        be32_get(raw.magicnum) != XFS_SUPER_MAGIC) {
        return false;
    }
    identify(&raw, ident);
    return true;
}

bool coroutine_fn xfs_co_probe_copy(BlockBackend *blk, FsIdent *ident)
{
    uint8_t head[XFS_SUPER_BYTES] = {0};
    Filesystem fs = {.blk = blk};
    XfsState s = {.fs = &fs};
    XfsGeometry geo;
    XfsSuper raw;

    if (blk_length(blk) < XFS_SUPER_BYTES) {
        return false;
    }
    if (blk_co_pread(blk, 0, sizeof(head), head) < 0) {
        memset(head, 0, sizeof(head));
    }
    if (!xfs_super_co_find_copy(&s, head, &geo, &raw)) {
        return false;
    }
    identify(&raw, ident);
    return true;
}
