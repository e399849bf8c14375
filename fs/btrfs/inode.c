/* Inodes: found, checked, decoded. */
#include "btrfs.h"

enum {
    MINOR_BITS = 20,
    NS_PER_SECOND = 1000000000,
};

bool btrfs_inode_error(const BtrfsState *s, const BtrfsInode *inode, uint64_t offset,
                       GError **errp, const char *format, ...)
{
    va_list args;

    if (!errp) {
        return false;
    }
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    btrfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                "inode %" PRIu64 " of subvolume %" PRIu64 ": %s", inode->file.objectid,
                inode->file.tree->id, text);
    return false;
}

void btrfs_inode_prefix(const BtrfsInode *inode, GError **errp)
{
    g_prefix_error(errp, "inode %" PRIu64 " of subvolume %" PRIu64 ": ",
                   inode->file.objectid, inode->file.tree->id);
}

static FsTime decode_time(const BtrfsDiskTime *time)
{
    return (FsTime){
        .sec = (int64_t)le64_get(time->sec),
        .nsec = MIN(le32_get(time->nsec), NS_PER_SECOND - 1),
    };
}

static bool is_known_type(mode_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISCHR(mode) ||
           S_ISBLK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode);
}

static uint32_t decode_flags(uint64_t flags)
{
    return (flags & BTRFS_INODE_IMMUTABLE ? FS_FILE_IMMUTABLE : 0) |
           (flags & BTRFS_INODE_APPEND ? FS_FILE_APPEND : 0) |
           (flags & BTRFS_INODE_RO_VERITY ? FS_FILE_VERITY : 0);
}

bool btrfs_inode_parse(const BtrfsState *s, const uint8_t *data, uint32_t bytes,
                       BtrfsInode *inode, GError **errp)
{
    const BtrfsInodeItem *item = (const BtrfsInodeItem *)data;
    FsStat *st = &inode->stat;

    if (bytes < sizeof(*item)) {
        return btrfs_inode_error(s, inode, inode->bytenr, errp,
                                 "its item has %u bytes, expected %zu", bytes,
                                 sizeof(*item));
    }

    uint32_t mode = le32_get(item->mode);
    uint64_t size = le64_get(item->size);
    uint64_t used = le64_get(item->nbytes);
    uint64_t device = le64_get(item->rdev);
    uint64_t most = (uint64_t)INT64_MAX - s->geo.sector_bytes;

    if (!is_known_type(mode) || mode > UINT16_MAX) {
        return btrfs_inode_error(s, inode, inode->bytenr, errp,
                                 "mode is 0%o, which is no type of file", mode);
    }
    if (size > INT64_MAX || used > most) {
        return btrfs_inode_error(s, inode, inode->bytenr, errp,
                                 "size is 0x%" PRIx64 ", and 0x%" PRIx64
                                 " bytes are used, expected at most 0x%" PRIx64,
                                 size, used, most);
    }
    *st = (FsStat){
        .ino = inode->file.ino,
        .mode = mode,
        .nlink = le32_get(item->nlink),
        .uid = le32_get(item->uid),
        .gid = le32_get(item->gid),
        .size = size,
        .allocated = round_up_pow2(used, s->geo.sector_bytes),
        .atime = decode_time(&item->atime),
        .mtime = decode_time(&item->mtime),
        .ctime = decode_time(&item->ctime),
        .crtime = decode_time(&item->otime),
        .flags = decode_flags(le64_get(item->flags)),
        .generation = le64_get(item->generation),
    };
    if (S_ISCHR(mode) || S_ISBLK(mode)) {
        st->rdev_major = device >> MINOR_BITS;
        st->rdev_minor = device & ((1 << MINOR_BITS) - 1);
    }
    inode->has_sums = !(le64_get(item->flags) & BTRFS_INODE_NODATASUM);
    return true;
}

bool coroutine_fn btrfs_inode_co_get(BtrfsState *s, FsIno ino, BtrfsInode *inode,
                                     GError **errp)
{
    BtrfsKey key;
    g_auto(BtrfsCursor) c = {0};

    *inode = (BtrfsInode){0};
    if (!btrfs_file_co_get(s, ino, &inode->file, errp)) {
        return false;
    }
    key = (BtrfsKey){inode->file.objectid, BTRFS_INODE_ITEM, 0};
    btrfs_cursor_init(&c, s, inode->file.tree);
    if (!btrfs_cursor_co_seek(&c, &key, errp)) {
        btrfs_inode_prefix(inode, errp);
        return false;
    }
    inode->bytenr = c.bytenr;
    if (!btrfs_cursor_is(&c, key.objectid, key.type) || c.key.offset) {
        return btrfs_inode_error(s, inode, c.bytenr, errp, "there is no such inode");
    }
    return btrfs_inode_parse(s, c.data, c.size, inode, errp);
}
