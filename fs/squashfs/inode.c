/* Inodes. */
#include "squashfs.h"

enum {
    TARGET_MAX_BYTES = 65535,
    PERMISSIONS = 07777,
};

static mode_t type_to_mode(unsigned basic_type)
{
    switch (basic_type) {
    case SQUASHFS_DIR:
        return S_IFDIR;
    case SQUASHFS_FILE:
        return S_IFREG;
    case SQUASHFS_SYMLINK:
        return S_IFLNK;
    case SQUASHFS_BLOCK_DEVICE:
        return S_IFBLK;
    case SQUASHFS_CHAR_DEVICE:
        return S_IFCHR;
    case SQUASHFS_FIFO:
        return S_IFIFO;
    case SQUASHFS_SOCKET:
        return S_IFSOCK;
    default:
        return 0;
    }
}

static bool coroutine_fn read_rest(SquashfsState *s, SquashfsInode *inode, void *buf,
                                   uint32_t bytes, GError **errp)
{
    return squashfs_meta_co_read(s, &inode->rest, buf, bytes, "inode", errp);
}

static void set_listing(const SquashfsState *s, SquashfsInode *inode, uint32_t block,
                        uint32_t offset)
{
    inode->listing =
        (SquashfsCursor){s->geo.directory_table + block, offset};
    inode->listing_bytes = inode->stat.size > SQUASHFS_DIR_EMPTY_BYTES
                               ? inode->stat.size - SQUASHFS_DIR_EMPTY_BYTES
                               : 0;
}

static bool coroutine_fn read_directory(SquashfsState *s, SquashfsInode *inode,
                                        bool is_extended, GError **errp)
{
    if (is_extended) {
        SquashfsDirExtended raw;

        if (!read_rest(s, inode, &raw, sizeof(raw), errp)) {
            return false;
        }
        inode->stat.nlink = le32_get(raw.nlink);
        inode->stat.size = le32_get(raw.bytes);
        inode->index_entries = le16_get(raw.index_entries);
        inode->xattr = le32_get(raw.xattr);
        set_listing(s, inode, le32_get(raw.block), le16_get(raw.offset));
        return true;
    }

    SquashfsDirBasic raw;

    if (!read_rest(s, inode, &raw, sizeof(raw), errp)) {
        return false;
    }
    inode->stat.nlink = le32_get(raw.nlink);
    inode->stat.size = le16_get(raw.bytes);
    set_listing(s, inode, le32_get(raw.block), le16_get(raw.offset));
    return true;
}

static bool coroutine_fn read_file(SquashfsState *s, SquashfsInode *inode,
                                   bool is_extended, GError **errp)
{
    FsStat *st = &inode->stat;
    uint64_t sparse = 0;

    if (is_extended) {
        SquashfsFileExtended raw;

        if (!read_rest(s, inode, &raw, sizeof(raw), errp)) {
            return false;
        }
        inode->start = le64_get(raw.start);
        st->size = le64_get(raw.bytes);
        st->nlink = le32_get(raw.nlink);
        sparse = MIN(le64_get(raw.sparse_bytes), st->size);
        inode->fragment = le32_get(raw.fragment);
        inode->fragment_offset = le32_get(raw.fragment_offset);
        inode->xattr = le32_get(raw.xattr);
    } else {
        SquashfsFileBasic raw;

        if (!read_rest(s, inode, &raw, sizeof(raw), errp)) {
            return false;
        }
        inode->start = le32_get(raw.start);
        st->size = le32_get(raw.bytes);
        st->nlink = 1;
        inode->fragment = le32_get(raw.fragment);
        inode->fragment_offset = le32_get(raw.fragment_offset);
    }
    if (st->size > INT64_MAX) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, inode->rest.block,
                       "inode %" PRIu64 ": size is 0x%" PRIx64
                       ", expected at most 0x7fffffffffffffff",
                       st->ino, st->size);
        return false;
    }
    st->allocated = round_up_pow2(st->size - sparse, 512);
    inode->blocks = inode->fragment == SQUASHFS_NO_FRAGMENT
                        ? div_round_up(st->size, s->geo.block_bytes)
                        : st->size >> s->geo.block_bits;
    return true;
}

static bool coroutine_fn read_symlink(SquashfsState *s, SquashfsInode *inode,
                                      bool is_extended, GError **errp)
{
    SquashfsSymlink raw;
    le32_t xattr;

    if (!read_rest(s, inode, &raw, sizeof(raw), errp)) {
        return false;
    }
    inode->stat.nlink = le32_get(raw.nlink);
    inode->stat.size = le32_get(raw.bytes);
    if (!inode->stat.size || inode->stat.size > TARGET_MAX_BYTES) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, inode->rest.block,
                       "inode %" PRIu64 ": symbolic link of %" PRIu64
                       " bytes, expected 1 to %d",
                       inode->stat.ino, inode->stat.size, TARGET_MAX_BYTES);
        return false;
    }
    if (is_extended) {
        SquashfsCursor behind = inode->rest;

        if (!squashfs_meta_co_read(s, &behind, NULL, inode->stat.size, "inode", errp) ||
            !squashfs_meta_co_read(s, &behind, &xattr, sizeof(xattr), "inode", errp)) {
            return false;
        }
        inode->xattr = le32_get(xattr);
    }
    return true;
}

static bool coroutine_fn read_special(SquashfsState *s, SquashfsInode *inode,
                                      bool is_extended, GError **errp)
{
    bool is_device = S_ISBLK(inode->stat.mode) || S_ISCHR(inode->stat.mode);
    SquashfsSpecial raw;

    if (!read_rest(s, inode, &raw.nlink, sizeof(raw.nlink), errp) ||
        (is_device && !read_rest(s, inode, &raw.device, sizeof(raw.device), errp)) ||
        (is_extended && !read_rest(s, inode, &raw.xattr, sizeof(raw.xattr), errp))) {
        return false;
    }
    inode->stat.nlink = le32_get(raw.nlink);
    if (is_device) {
        uint32_t device = le32_get(raw.device);

        inode->stat.rdev_major = device >> 8 & 0xfff;
        inode->stat.rdev_minor = (device & 0xff) | (device >> 12 & 0xfff00);
    }
    if (is_extended) {
        inode->xattr = le32_get(raw.xattr);
    }
    return true;
}

static bool read_head(const SquashfsState *s, SquashfsInode *inode,
                      const SquashfsInodeHead *raw, unsigned basic_type, uint64_t offset,
                      GError **errp)
{
    FsStat *st = &inode->stat;
    unsigned uid = le16_get(raw->uid), gid = le16_get(raw->gid);

    st->mode = type_to_mode(basic_type) | (le16_get(raw->permissions) & PERMISSIONS);
    if (!(st->mode & S_IFMT)) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                       "inode %" PRIu64 ": type is %u, expected 1 to 14", st->ino,
                       le16_get(raw->type));
        return false;
    }
    if (MAX(uid, gid) >= s->geo.ids) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                       "inode %" PRIu64
                       ": user and group are IDs number %u and %u, expected less than %u",
                       st->ino, uid, gid, s->geo.ids);
        return false;
    }
    st->uid = s->ids[uid];
    st->gid = s->ids[gid];
    st->mtime.sec = le32_get(raw->mtime);
    st->atime = st->ctime = st->mtime;
    inode->number = le32_get(raw->number);
    inode->xattr = SQUASHFS_NO_XATTR;
    return true;
}

bool coroutine_fn squashfs_inode_co_get(SquashfsState *s, FsIno ino, SquashfsInode *inode,
                                        GError **errp)
{
    SquashfsInodeHead raw;

    *inode = (SquashfsInode){
        .stat.ino = ino,
        .rest = squashfs_locate(s->geo.inode_table, ino - 1),
    };

    uint64_t offset = inode->rest.block;

    if (!ino || offset >= s->geo.directory_table || offset < s->geo.inode_table) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                       "inode %" PRIu64
                       " is not in the inode table (0x%" PRIx64 " to 0x%" PRIx64 ")",
                       ino, s->geo.inode_table, s->geo.directory_table);
        return false;
    }
    if (!read_rest(s, inode, &raw, sizeof(raw), errp)) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", ino);
        return false;
    }

    unsigned type = le16_get(raw.type);
    bool is_extended = type > SQUASHFS_EXTENDED;
    unsigned basic_type = is_extended ? type - SQUASHFS_EXTENDED : type;

    if (!read_head(s, inode, &raw, basic_type, offset, errp)) {
        return false;
    }
    switch (basic_type) {
    case SQUASHFS_DIR:
        return read_directory(s, inode, is_extended, errp);
    case SQUASHFS_FILE:
        return read_file(s, inode, is_extended, errp);
    case SQUASHFS_SYMLINK:
        return read_symlink(s, inode, is_extended, errp);
    default:
        return read_special(s, inode, is_extended, errp);
    }
}

char *coroutine_fn squashfs_inode_co_readlink(SquashfsState *s, const SquashfsInode *inode,
                                              GError **errp)
{
    SquashfsCursor cursor = inode->rest;
    uint64_t bytes = inode->stat.size;

    if (!S_ISLNK(inode->stat.mode)) {
        squashfs_error(s, errp, EMBR_ERROR_INVALID, inode->rest.block,
                       "inode %" PRIu64 " is not a symbolic link", inode->stat.ino);
        return NULL;
    }

    g_autofree char *target = g_malloc(bytes + 1);

    if (!squashfs_meta_co_read(s, &cursor, target, bytes, "symbolic link", errp)) {
        return NULL;
    }
    target[bytes] = 0;
    return g_steal_pointer(&target);
}
