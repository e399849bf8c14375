/* Inodes: found, checked, decoded. */
#include "xfs.h"

enum {
    PIECE_BYTES = 32 * 1024, /* inodes are allocated by 64 */
    NS_PER_SECOND = 1000000000,
    MINOR_BITS = 18,
};

FsTime xfs_time(uint64_t raw, bool is_big)
{
    if (is_big) {
        return (FsTime){
            .sec = (int64_t)(raw / NS_PER_SECOND) + INT32_MIN,
            .nsec = raw % NS_PER_SECOND,
        };
    }
    return (FsTime){
        .sec = (int32_t)(raw >> 32),
        .nsec = MIN((uint32_t)raw, NS_PER_SECOND - 1),
    };
}

static bool G_GNUC_PRINTF(4, 5) inode_error(const XfsState *s, const XfsInode *inode,
                                            GError **errp, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    xfs_error(s, errp, EMBR_ERROR_CORRUPT, inode->offset, "inode %" PRIu64 ": %s",
              inode->ino, text);
    return false;
}

static bool check_version(const XfsState *s, const XfsInode *inode, GError **errp)
{
    const XfsInodeDisk *disk = (const XfsInodeDisk *)inode->raw;
    unsigned expected = s->geo.version == 5 ? 3 : 2;

    if (be16_get(disk->magic) != XFS_INODE_MAGIC) {
        return inode_error(s, inode, errp, "magic is 0x%04x, expected 0x%04x",
                           be16_get(disk->magic), XFS_INODE_MAGIC);
    }
    if (disk->version != expected && !(expected == 2 && disk->version == 1)) {
        return inode_error(s, inode, errp, "version is %u, expected %u", disk->version,
                           expected);
    }
    if (expected < 3) {
        return true;
    }

    uint32_t found = le32_get(disk->crc);
    uint32_t crc = xfs_crc(inode->raw, inode->raw_bytes, offsetof(XfsInodeDisk, crc));

    if (found != crc && !xfs_is_logged(s, inode->offset, inode->raw_bytes)) {
        return inode_error(s, inode, errp, "checksum is 0x%08x, expected 0x%08x", found,
                           crc);
    }
    if (be64_get(disk->ino) != inode->ino) {
        return inode_error(s, inode, errp, "says to be inode %" PRIu64,
                           be64_get(disk->ino));
    }
    if (memcmp(disk->uuid, s->geo.meta_uuid, XFS_UUID_BYTES)) {
        return inode_error(s, inode, errp, "UUID is another filesystem's");
    }
    return true;
}

static bool decode_forks(const XfsState *s, XfsInode *inode, GError **errp)
{
    const XfsInodeDisk *disk = (const XfsInodeDisk *)inode->raw;
    uint32_t core = disk->version == 3 ? XFS_INODE_V3_BYTES : XFS_INODE_V2_BYTES;
    uint32_t literal = inode->raw_bytes - core;
    uint32_t forkoff = disk->forkoff * UINT32_C(8);

    if (forkoff >= literal) {
        return inode_error(s, inode, errp,
                           "attribute fork is at byte %u of the literal area's %u",
                           forkoff, literal);
    }
    inode->data = (XfsFork){
        .format = disk->format,
        .at = core,
        .bytes = forkoff ? forkoff : literal,
        .extents = be32_get(disk->nextents),
    };
    inode->attr = (XfsFork){
        .format = disk->aformat,
        .is_attr = true,
        .at = core + forkoff,
        .bytes = forkoff ? literal - forkoff : 0,
        .extents = be16_get(disk->anextents),
    };
    if (inode->flags2 & XFS_INODE2_NREXT64) {
        inode->data.extents = be64_get(disk->big_nextents);
        inode->attr.extents = be32_get(disk->nextents);
    }
    return true;
}

static void decode_device(XfsInode *inode)
{
    uint32_t device = be32_load(inode->raw + inode->data.at);

    inode->stat.rdev_major = device >> MINOR_BITS;
    inode->stat.rdev_minor = device & ((1 << MINOR_BITS) - 1);
}

/* That its data fork is of a form that its type can have. */
static bool check_format(const XfsState *s, const XfsInode *inode, GError **errp)
{
    mode_t mode = inode->stat.mode;
    uint8_t format = inode->data.format;
    bool ok = false;

    if (S_ISREG(mode)) {
        ok = format == XFS_FORK_EXTENTS || format == XFS_FORK_BTREE;
    } else if (S_ISDIR(mode) || S_ISLNK(mode)) {
        ok = format >= XFS_FORK_LOCAL && format <= XFS_FORK_BTREE;
    } else if (S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode)) {
        ok = format == XFS_FORK_DEVICE;
    }
    if (!ok) {
        return inode_error(s, inode, errp, "mode 0%o with a data fork of form %u", mode,
                           format);
    }
    if (inode->attr.bytes &&
        (inode->attr.format < XFS_FORK_LOCAL || inode->attr.format > XFS_FORK_BTREE)) {
        return inode_error(s, inode, errp,
                           "attribute fork is of form %u, expected 1 to 3",
                           inode->attr.format);
    }
    if (inode->stat.size > INT64_MAX) {
        return inode_error(s, inode, errp,
                           "size is 0x%" PRIx64 ", expected at most 0x%" PRIx64,
                           inode->stat.size, INT64_MAX);
    }
    return true;
}

static void decode_stat(const XfsState *s, XfsInode *inode)
{
    const XfsInodeDisk *disk = (const XfsInodeDisk *)inode->raw;
    FsStat *st = &inode->stat;
    bool is_big = inode->flags2 & XFS_INODE2_BIGTIME;

    st->ino = inode->ino;
    st->mode = be16_get(disk->mode);
    st->nlink = disk->version == 1 ? be16_get(disk->onlink) : be32_get(disk->nlink);
    st->uid = be32_get(disk->uid);
    st->gid = be32_get(disk->gid);
    st->size = be64_get(disk->size);
    st->allocated = inode->blocks << s->geo.block_bits;
    st->generation = be32_get(disk->gen);
    st->flags = (inode->flags & XFS_INODE_IMMUTABLE ? FS_FILE_IMMUTABLE : 0) |
                (inode->flags & XFS_INODE_APPEND ? FS_FILE_APPEND : 0);
    st->atime = xfs_time(be64_get(disk->atime), is_big);
    st->mtime = xfs_time(be64_get(disk->mtime), is_big);
    st->ctime = xfs_time(be64_get(disk->ctime), is_big);
    if (disk->version == 3) {
        st->crtime = xfs_time(be64_get(disk->crtime), is_big);
    }
}

XfsInode *xfs_inode_parse(const XfsState *s, FsIno ino, uint64_t offset,
                          const uint8_t *raw, GError **errp)
{
    g_autofree XfsInode *inode = g_malloc0(sizeof(XfsInode) + s->geo.inode_bytes);
    const XfsInodeDisk *disk = (const XfsInodeDisk *)inode->raw;

    inode->ino = ino;
    inode->offset = offset;
    inode->raw_bytes = s->geo.inode_bytes;
    memcpy(inode->raw, raw, inode->raw_bytes);
    if (!check_version(s, inode, errp)) {
        return NULL;
    }
    if (!be16_get(disk->mode)) {
        inode_error(s, inode, errp, "is not in use");
        return NULL;
    }
    inode->flags = be16_get(disk->flags);
    inode->flags2 = disk->version == 3 ? be64_get(disk->flags2) : 0;
    inode->blocks = be64_get(disk->nblocks);
    if (inode->blocks > s->geo.blocks_count + s->geo.realtime_blocks) {
        inode_error(s, inode, errp, "has %" PRIu64 " blocks, the filesystem %" PRIu64,
                    inode->blocks, s->geo.blocks_count);
        return NULL;
    }
    decode_stat(s, inode);
    if (!decode_forks(s, inode, errp) || !check_format(s, inode, errp)) {
        return NULL;
    }
    if (S_ISCHR(inode->stat.mode) || S_ISBLK(inode->stat.mode)) {
        decode_device(inode);
    }
    return g_steal_pointer(&inode);
}

/* Where the inode is, and the piece of its group that is read with it. */
static bool locate(const XfsState *s, FsIno ino, uint64_t *offset, uint64_t *piece,
                   uint32_t *piece_bytes, GError **errp)
{
    const XfsGeometry *geo = &s->geo;
    uint64_t block, ag_block = 0;
    uint32_t ag_length;
    uint64_t volume = blk_length(s->fs->blk);

    if (!ino || !xfs_block_locate(geo, ino >> geo->inodes_per_block_bits, 1, &block)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: xfs: inode %" PRIu64 " is in no allocation group (of %u)",
                    blk_name(s->fs->blk), ino, geo->ag_count);
        return false;
    }
    ag_block = block / geo->ag_blocks * geo->ag_blocks;
    ag_length = xfs_ag_length(geo, block / geo->ag_blocks);
    *offset =
        (block << geo->block_bits) +
        (ino & ((UINT64_C(1) << geo->inodes_per_block_bits) - 1)) * geo->inode_bytes;

    uint64_t start = ag_block << geo->block_bits;
    uint64_t end = MIN((ag_block + ag_length) << geo->block_bits, volume);
    uint32_t step = MAX(PIECE_BYTES, geo->block_bytes);

    *piece = start + round_down_pow2(*offset - start, step);
    if (*offset >= end || end - *offset < geo->inode_bytes) {
        xfs_error(s, errp, EMBR_ERROR_CORRUPT, *offset,
                  "inode %" PRIu64 " lies past the end of the volume (0x%" PRIx64 ")",
                  ino, volume);
        return false;
    }
    *piece_bytes = MIN(step, end - *piece);
    return true;
}

XfsInode *coroutine_fn xfs_inode_co_get(XfsState *s, FsIno ino, GError **errp)
{
    uint64_t offset, piece;
    uint32_t bytes;

    if (!locate(s, ino, &offset, &piece, &bytes, errp)) {
        return NULL;
    }

    g_autoptr(FsBuffer) buffer =
        fs_cache_co_get(s->cache, XFS_BUFFER_INODES, piece, bytes, "inodes", errp);

    if (!buffer) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", ino);
        return NULL;
    }
    return xfs_inode_parse(s, ino, offset, buffer->data + (offset - piece), errp);
}
