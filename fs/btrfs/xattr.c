/* Extended attributes. */
#include "btrfs.h"

enum {
    TOTAL_MAX_BYTES = 64 * 1024 * 1024,
    NAME_MAX_BYTES = 255,
};

static bool add_xattrs(BtrfsState *s, const BtrfsInode *inode, const BtrfsCursor *c,
                       GPtrArray *list, uint64_t *total, GError **errp)
{
    uint32_t pos = 0;

    while (pos < c->size) {
        BtrfsDirEntry entry;
        FsXattr *xattr;

        if (!btrfs_dir_entry(c->data, c->size, &pos, &entry) || !entry.name_len ||
            entry.name_len > NAME_MAX_BYTES || memchr(entry.name, 0, entry.name_len)) {
            return btrfs_inode_error(s, inode, c->bytenr, errp,
                                     "an attribute at byte %u of %u has no name, or "
                                     "does not fit",
                                     pos, c->size);
        }
        *total += entry.name_len + entry.data_len;
        if (*total > TOTAL_MAX_BYTES) {
            btrfs_error(s, errp, EMBR_ERROR_LIMIT, c->bytenr,
                        "inode %" PRIu64 " of subvolume %" PRIu64
                        ": more than %d bytes of extended attributes",
                        inode->file.objectid, inode->file.tree->id, TOTAL_MAX_BYTES);
            return false;
        }
        xattr = g_new(FsXattr, 1);
        xattr->name = g_strndup(entry.name, entry.name_len);
        xattr->value = g_bytes_new(entry.data, entry.data_len);
        g_ptr_array_add(list, xattr);
    }
    return true;
}

bool coroutine_fn btrfs_xattr_co_list(BtrfsState *s, const BtrfsInode *inode,
                                      GPtrArray *list, GError **errp)
{
    BtrfsKey key = {inode->file.objectid, BTRFS_XATTR_ITEM, 0};
    g_auto(BtrfsCursor) c = {0};
    uint64_t total = 0;

    btrfs_cursor_init(&c, s, inode->file.tree);
    bool ok = btrfs_cursor_co_seek(&c, &key, errp);
    while (ok && btrfs_cursor_is(&c, key.objectid, key.type)) {
        if (!add_xattrs(s, inode, &c, list, &total, errp)) {
            return false;
        }
        ok = btrfs_cursor_co_next(&c, errp);
    }
    if (!ok) {
        btrfs_inode_prefix(inode, errp);
    }
    return ok;
}
