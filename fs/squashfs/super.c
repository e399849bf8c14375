/* The superblock: how the filesystem is packed, and where its tables are. */
#include "squashfs.h"

enum { VERSION = 4, VERSION_OFFSET = 28 };

static bool G_GNUC_PRINTF(4, 5)
    refuse(const SquashfsState *s, GError **errp, EmbrError code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    squashfs_error(s, errp, code, 0, "superblock: %s", text);
    return false;
}

static bool check_version(const SquashfsState *s, const SquashfsSuper *raw, GError **errp)
{
    bool is_swapped = le32_get(raw->magic) == SQUASHFS_MAGIC_SWAPPED;
    const uint8_t *version = (const uint8_t *)raw + VERSION_OFFSET;
    unsigned major = is_swapped ? be16_load(version) : le16_load(version);
    unsigned minor = is_swapped ? be16_load(version + 2) : le16_load(version + 2);

    if (le32_get(raw->magic) != SQUASHFS_MAGIC && !is_swapped) {
        return refuse(s, errp, EMBR_ERROR_FORMAT, "magic is 0x%08x, expected 0x%08x",
                      le32_get(raw->magic), SQUASHFS_MAGIC);
    }
    if (is_swapped || major != VERSION || minor) {
        return refuse(s, errp, EMBR_ERROR_UNSUPPORTED,
                      "version is %u.%u (%s-endian); version 4.0 (little-endian) can be "
                      "read",
                      major, minor, is_swapped ? "big" : "little");
    }
    return true;
}

static bool check_compression(const SquashfsState *s, const SquashfsGeometry *geo,
                              GError **errp)
{
    const char *name = squashfs_codec_name(geo->compression);

    if (!name) {
        return refuse(s, errp, EMBR_ERROR_UNSUPPORTED,
                      "compression is %u, which is not known", geo->compression);
    }
    if (!squashfs_codec_is_built_in(geo->compression)) {
        return refuse(s, errp, EMBR_ERROR_UNSUPPORTED,
                      "compression is %s, which this build of embr cannot unpack", name);
    }
    return true;
}

bool squashfs_super_parse(const SquashfsState *s, const SquashfsSuper *raw,
                          SquashfsGeometry *geo, GError **errp)
{
    *geo = (SquashfsGeometry){
        .compression = le16_get(raw->compression),
        .block_bytes = le32_get(raw->block_bytes),
        .block_bits = le16_get(raw->block_bits),
        .fragments = le32_get(raw->fragments),
        .ids = le16_get(raw->ids),
        .shares_content = le16_get(raw->flags) & SQUASHFS_FLAG_DUPLICATES,
        .root = le64_get(raw->root),
        .bytes_used = le64_get(raw->bytes_used),
        .id_table = le64_get(raw->id_table),
        .xattr_table = le64_get(raw->xattr_table),
        .inode_table = le64_get(raw->inode_table),
        .directory_table = le64_get(raw->directory_table),
        .fragment_table = le64_get(raw->fragment_table),
    };
    if (!check_version(s, raw, errp) || !check_compression(s, geo, errp)) {
        return false;
    }
    if (geo->block_bits < SQUASHFS_MIN_BLOCK_BITS ||
        geo->block_bits > SQUASHFS_MAX_BLOCK_BITS ||
        geo->block_bytes != UINT32_C(1) << geo->block_bits) {
        return refuse(s, errp, EMBR_ERROR_CORRUPT,
                      "block size is %u (log2 %u), expected a power of 2 from 4096 to "
                      "1048576",
                      geo->block_bytes, geo->block_bits);
    }
    if (geo->bytes_used > INT64_MAX || geo->inode_table < sizeof(*raw) ||
        geo->inode_table >= geo->directory_table ||
        geo->directory_table >= geo->bytes_used || geo->id_table >= geo->bytes_used) {
        return refuse(s, errp, EMBR_ERROR_CORRUPT,
                      "inodes are at 0x%" PRIx64 ", directories at 0x%" PRIx64
                      ", IDs at 0x%" PRIx64 " of 0x%" PRIx64
                      " bytes, which does not fit",
                      geo->inode_table, geo->directory_table, geo->id_table,
                      geo->bytes_used);
    }
    if (!geo->ids) {
        return refuse(s, errp, EMBR_ERROR_CORRUPT, "there is no user or group ID");
    }
    if (geo->root >> 16 > geo->directory_table - geo->inode_table) {
        return refuse(s, errp, EMBR_ERROR_CORRUPT,
                      "the root's inode is at 0x%" PRIx64
                      " of the inode table, which has 0x%" PRIx64 " bytes",
                      geo->root >> 16, geo->directory_table - geo->inode_table);
    }
    return true;
}

bool coroutine_fn squashfs_device_co_read(const SquashfsState *s, uint64_t offset,
                                          uint64_t bytes, void *buf, const char *what,
                                          GError **errp)
{
    if (!range_fits(offset, bytes, s->geo.end)) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                       "%s (%" PRIu64 " bytes) reaches past the end (0x%" PRIx64 ")", what,
                       bytes, s->geo.end);
        return false;
    }
    return blk_co_read(s->fs->blk, offset, bytes, buf, what, errp);
}

static bool coroutine_fn load_ids(SquashfsState *s, GError **errp)
{
    const uint32_t per_block = SQUASHFS_META_BYTES / sizeof(le32_t);

    s->ids = g_new(uint32_t, s->geo.ids);
    for (uint32_t first = 0; first < s->geo.ids; first += per_block) {
        uint32_t count = MIN(per_block, s->geo.ids - first);
        uint32_t *ids = s->ids + first;
        SquashfsCursor cursor;

        if (!squashfs_table_co_locate(s, s->geo.id_table, first, sizeof(*ids), &cursor,
                                      "table of IDs", errp) ||
            !squashfs_meta_co_read(s, &cursor, ids, count * sizeof(*ids), "table of IDs",
                                   errp)) {
            return false;
        }
        for (uint32_t i = 0; i < count; i++) {
            ids[i] = le32_load(&ids[i]);
        }
    }
    return true;
}

bool coroutine_fn squashfs_super_co_load(SquashfsState *s, GError **errp)
{
    uint64_t volume = blk_length(s->fs->blk);
    SquashfsSuper raw;

    if (!blk_co_read(s->fs->blk, 0, sizeof(raw), &raw, "superblock", errp) ||
        !squashfs_super_parse(s, &raw, &s->geo, errp)) {
        return false;
    }
    s->geo.end = MIN(s->geo.bytes_used, volume);
    if (s->geo.bytes_used > volume) {
        fs_warn(s->fs,
                "%s: squashfs spans 0x%" PRIx64
                " bytes, but the volume ends at 0x%" PRIx64
                "; what lies beyond cannot be read",
                blk_name(s->fs->blk), s->geo.bytes_used, volume);
    }
    return load_ids(s, errp);
}

bool coroutine_fn squashfs_co_probe(BlockBackend *blk, FsIdent *ident)
{
    SquashfsSuper raw;

    if (blk_length(blk) < (int64_t)sizeof(raw) ||
        blk_co_pread(blk, 0, sizeof(raw), &raw) < 0) {
        return false;
    }

    uint32_t magic = le32_get(raw.magic);

    if (magic != SQUASHFS_MAGIC && magic != SQUASHFS_MAGIC_SWAPPED) {
        return false;
    }
    if (magic == SQUASHFS_MAGIC && le16_get(raw.version_major) >= VERSION) {
        ident->type = "squashfs";
        ident->size = le64_get(raw.bytes_used);
    } else {
        ident->type = "squashfs3";
    }
    return true;
}
