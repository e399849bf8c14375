/* Inodes: found, checked, decoded, and the most recent ones kept. */
#include <sys/sysmacros.h>
#include "ext4.h"

enum {
    INODES_KEPT = 512,
    SECTOR_BYTES = 512,
};

FsTime ext4_time(uint32_t seconds, bool has_extra, uint32_t extra)
{
    enum { NS_PER_SECOND = 1000000000 };
    FsTime time = {.sec = (int32_t)seconds};

    if (has_extra) {
        time.sec += (int64_t)(extra & 3) << 32;
        time.nsec = MIN(extra >> 2, NS_PER_SECOND - 1);
    }
    return time;
}

static void decode_times(const Ext4InodeDisk *disk, uint32_t reach, FsStat *st)
{
#define EXTRA(field)                                                                   \
    reach >= offsetof(Ext4InodeDisk, field) + sizeof(disk->field),                     \
        reach >= offsetof(Ext4InodeDisk, field) + sizeof(disk->field)                  \
            ? le32_get(disk->field)                                                    \
            : 0
    st->atime = ext4_time(le32_get(disk->atime), EXTRA(atime_extra));
    st->mtime = ext4_time(le32_get(disk->mtime), EXTRA(mtime_extra));
    st->ctime = ext4_time(le32_get(disk->ctime), EXTRA(ctime_extra));
    if (reach >= offsetof(Ext4InodeDisk, crtime) + sizeof(disk->crtime)) {
        st->crtime = ext4_time(le32_get(disk->crtime), EXTRA(crtime_extra));
    }
#undef EXTRA
}

static void decode_owner(const Ext4State *s, const Ext4InodeDisk *disk, FsStat *st)
{
    st->uid = le16_get(disk->uid);
    st->gid = le16_get(disk->gid);
    if (s->geo.creator_os == EXT4_OS_LINUX || s->geo.creator_os == EXT4_OS_HURD) {
        st->uid |= (uint32_t)le16_get(disk->uid_high) << 16;
        st->gid |= (uint32_t)le16_get(disk->gid_high) << 16;
    }
}

static void decode_device(const Ext4InodeDisk *disk, FsStat *st)
{
    uint32_t old_form = le32_load(disk->block);
    uint32_t new_form = le32_load(disk->block + 4);

    if (old_form) {
        st->rdev_major = (old_form >> 8) & 0xff;
        st->rdev_minor = old_form & 0xff;
    } else {
        st->rdev_major = (new_form >> 8) & 0xfff;
        st->rdev_minor = (new_form & 0xff) | ((new_form >> 12) & 0xfff00);
    }
}

static uint32_t decode_flags(uint32_t flags)
{
    return (flags & EXT4_ENCRYPT_FL ? FS_FILE_ENCRYPTED : 0) |
           (flags & EXT4_IMMUTABLE_FL ? FS_FILE_IMMUTABLE : 0) |
           (flags & EXT4_APPEND_FL ? FS_FILE_APPEND : 0) |
           (flags & EXT4_CASEFOLD_FL ? FS_FILE_CASEFOLD : 0) |
           (flags & EXT4_VERITY_FL ? FS_FILE_VERITY : 0);
}

static uint64_t decode_sectors(const Ext4State *s, const Ext4InodeDisk *disk)
{
    uint64_t count = le32_get(disk->blocks_lo);

    if (!(s->geo.ro_compat & EXT4_RO_HUGE_FILE)) {
        return count;
    }
    count |= (uint64_t)le16_get(disk->blocks_high) << 32;
    return le32_get(disk->flags) & EXT4_HUGE_FILE_FL ? count << (s->geo.block_bits - 9)
                                                     : count;
}

static bool decode(const Ext4State *s, Ext4Inode *inode, GError **errp)
{
    const Ext4InodeDisk *disk = ext4_inode_disk(inode);
    FsStat *st = &inode->stat;
    uint32_t reach = EXT4_OLD_INODE_BYTES;

    if (inode->raw_bytes > EXT4_OLD_INODE_BYTES) {
        uint16_t extra = le16_get(disk->extra_isize);

        reach += extra;
        if (reach > inode->raw_bytes || extra % 4) {
            ext4_error(s, errp, EMBR_ERROR_CORRUPT, inode->offset,
                       "inode %" PRIu64
                       ": extra size is %u, expected a multiple of 4 up to "
                       "%u",
                       inode->ino, extra, inode->raw_bytes - EXT4_OLD_INODE_BYTES);
            return false;
        }
    }
    /* Without a size of extra fields, what is behind the old ones is not in use. */
    inode->xattrs_at = reach > EXT4_OLD_INODE_BYTES ? reach : inode->raw_bytes;
    inode->flags = le32_get(disk->flags);
    inode->sectors = decode_sectors(s, disk);
    inode->xattr_block = le32_get(disk->file_acl_lo);
    if (s->geo.creator_os != EXT4_OS_HURD) {
        inode->xattr_block |= (uint64_t)le16_get(disk->file_acl_high) << 32;
    }
    st->ino = inode->ino;
    st->mode = le16_get(disk->mode);
    st->nlink = le16_get(disk->links_count);
    st->generation = le32_get(disk->generation);
    st->flags = decode_flags(inode->flags);
    st->size = le32_get(disk->size_lo);
    if (S_ISREG(st->mode) || (s->geo.incompat & EXT4_INCOMPAT_LARGEDIR)) {
        st->size |= (uint64_t)le32_get(disk->size_high) << 32;
    }
    if (st->size > INT64_MAX) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, inode->offset,
                   "inode %" PRIu64 ": size is 0x%" PRIx64
                   ", expected at most 0x%" PRIx64,
                   inode->ino, st->size, INT64_MAX);
        return false;
    }

    uint64_t sectors = inode->sectors;

    /* As the kernel does, lest such a file be taken for one that is all hole. */
    if (S_ISREG(st->mode) && ext4_inode_is_inline(inode)) {
        sectors += div_round_up(st->size, SECTOR_BYTES);
    }
    st->allocated = sectors * SECTOR_BYTES;
    if (S_ISCHR(st->mode) || S_ISBLK(st->mode)) {
        decode_device(disk, st);
    }
    decode_owner(s, disk, st);
    decode_times(disk, reach, st);
    return true;
}

static bool check_sum(const Ext4State *s, const Ext4Inode *inode, GError **errp)
{
    const Ext4InodeDisk *disk = ext4_inode_disk(inode);
    bool has_hi;
    uint32_t expected =
        ext4_inode_checksum(inode->seed, inode->raw, inode->raw_bytes, &has_hi);
    uint32_t found = le16_get(disk->checksum_lo);

    if (has_hi) {
        found |= (uint32_t)le16_get(disk->checksum_hi) << 16;
    } else {
        expected &= 0xffff;
    }
    if (found != expected) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, inode->offset,
                   "inode %" PRIu64 ": checksum is 0x%08x, expected 0x%08x", inode->ino,
                   found, expected);
        return false;
    }
    return true;
}

Ext4Inode *ext4_inode_parse(const Ext4State *s, FsIno ino, uint64_t offset,
                            const uint8_t *raw, bool check, GError **errp)
{
    g_autoptr(Ext4Inode) inode = g_malloc0(sizeof(Ext4Inode) + s->geo.inode_bytes);

    inode->refcount = 1;
    inode->ino = ino;
    inode->offset = offset;
    inode->raw_bytes = s->geo.inode_bytes;
    memcpy(inode->raw, raw, inode->raw_bytes);
    inode->lru.data = inode;
    inode->seed =
        ext4_inode_seed(&s->geo, ino, le32_get(ext4_inode_disk(inode)->generation));
    if (check && s->has_checksums && s->geo.creator_os == EXT4_OS_LINUX &&
        !check_sum(s, inode, errp)) {
        return NULL;
    }
    return decode(s, inode, errp) ? g_steal_pointer(&inode) : NULL;
}

void ext4_inode_unref(Ext4Inode *inode)
{
    if (inode && --inode->refcount == 0) {
        g_clear_pointer(&inode->fc_extents, g_array_unref);
        g_free(inode);
    }
}

static void forget(Ext4State *s, Ext4Inode *inode)
{
    g_hash_table_remove(s->inodes, &inode->ino);
    g_queue_unlink(&s->inode_lru, &inode->lru);
    ext4_inode_unref(inode);
}

void ext4_inodes_drop(Ext4State *s)
{
    while (s->inode_lru.head) {
        forget(s, s->inode_lru.head->data);
    }
}

void ext4_inode_forget(Ext4State *s, FsIno ino)
{
    Ext4Inode *inode = g_hash_table_lookup(s->inodes, &ino);

    if (inode) {
        forget(s, inode);
    }
}

static void remember(Ext4State *s, Ext4Inode *inode)
{
    inode->refcount++;
    g_hash_table_insert(s->inodes, &inode->ino, inode);
    g_queue_push_tail_link(&s->inode_lru, &inode->lru);
    if (s->inode_lru.length > INODES_KEPT) {
        forget(s, s->inode_lru.head->data);
    }
}

/* *in_use false: the group's descriptor says that none of its inodes is. */
static bool coroutine_fn locate(Ext4State *s, FsIno ino, uint64_t *offset,
                                uint64_t *table, bool *in_use, GError **errp)
{
    Ext4Group group;

    if (!ino || ino > s->geo.inodes_count) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: ext4: inode %" PRIu64 ", expected 1 to %u",
                    blk_name(s->fs->blk), ino, s->geo.inodes_count);
        return false;
    }
    if (!ext4_group_co_get(s, (ino - 1) / s->geo.inodes_per_group, &group, errp)) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", ino);
        return false;
    }
    *in_use = group.damaged || !(group.flags & EXT4_BG_INODE_UNINIT);
    *table = ext4_block_offset(s, group.inode_table);
    *offset = *table + (ino - 1) % s->geo.inodes_per_group * s->geo.inode_bytes;
    return true;
}

/* The piece of the table that holds the inode at offset. */
static FsBuffer *coroutine_fn read_table(Ext4State *s, FsIno ino, uint64_t table,
                                           uint64_t offset, GError **errp)
{
    uint64_t table_bytes = (uint64_t)s->geo.inodes_per_group * s->geo.inode_bytes;
    uint64_t at = round_down_pow2(offset - table, EXT4_TABLE_PIECE_BYTES);
    uint64_t volume = blk_length(s->fs->blk);
    uint64_t bytes = MIN(EXT4_TABLE_PIECE_BYTES, table_bytes - at);

    /* A volume that is cut off still yields the inodes before the cut. */
    if (table + at < volume && bytes > volume - (table + at)) {
        bytes = round_down_pow2(volume - (table + at), s->geo.inode_bytes);
    }
    if (!range_fits(offset - (table + at), s->geo.inode_bytes, bytes)) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                   "inode %" PRIu64 " lies past the end of the volume (0x%" PRIx64 ")",
                   ino, volume);
        return NULL;
    }

    FsBuffer *buffer = ext4_cache_co_piece(s, table + at, bytes, "inode table", errp);

    if (!buffer) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", ino);
    }
    return buffer;
}

bool coroutine_fn ext4_inode_co_read_raw(Ext4State *s, FsIno ino, uint8_t *raw,
                                         GError **errp)
{
    uint64_t offset, table;
    bool in_use;
    g_autoptr(FsBuffer) buffer = locate(s, ino, &offset, &table, &in_use, errp)
                                       ? read_table(s, ino, table, offset, errp)
                                       : NULL;

    if (buffer) {
        memcpy(raw, buffer->data + (offset - buffer->offset), s->geo.inode_bytes);
    }
    return buffer;
}

static Ext4Inode *coroutine_fn load(Ext4State *s, FsIno ino, GError **errp)
{
    uint64_t offset, table;
    GArray *extents = NULL;
    const uint8_t *changed = ext4_fc_find_inode(s, ino, &extents);
    bool in_use;

    if (!locate(s, ino, &offset, &table, &in_use, errp)) {
        return NULL;
    }
    if (changed) {
        Ext4Inode *inode = ext4_inode_parse(s, ino, offset, changed, false, errp);

        if (inode) {
            inode->fc_extents = extents;
        } else {
            g_clear_pointer(&extents, g_array_unref);
        }
        return inode;
    }
    if (!in_use) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                   "inode %" PRIu64 " is not in use, as none of its group", ino);
        return NULL;
    }

    g_autoptr(FsBuffer) buffer = read_table(s, ino, table, offset, errp);

    return buffer
               ? ext4_inode_parse(s, ino, offset,
                                  buffer->data + (offset - buffer->offset), true, errp)
               : NULL;
}

Ext4Inode *coroutine_fn ext4_inode_co_get(Ext4State *s, FsIno ino, GError **errp)
{
    Ext4Inode *inode = g_hash_table_lookup(s->inodes, &ino);

    if (!inode) {
        g_autoptr(Ext4Inode) fresh = load(s, ino, errp);

        if (!fresh) {
            return NULL;
        }
        /* Somebody else may have been faster while this one waited. */
        inode = g_hash_table_lookup(s->inodes, &ino);
        if (!inode) {
            remember(s, fresh);
            return g_steal_pointer(&fresh);
        }
    }
    g_queue_unlink(&s->inode_lru, &inode->lru);
    g_queue_push_tail_link(&s->inode_lru, &inode->lru);
    inode->refcount++;
    return inode;
}

bool ext4_inode_is_fast_symlink(const Ext4State *s, const Ext4Inode *inode)
{
    uint64_t xattr_sectors = 0;

    if (!S_ISLNK(inode->stat.mode) || ext4_inode_is_inline(inode) ||
        inode->stat.size >= EXT4_INLINE_BYTES) {
        return false;
    }
    if (inode->xattr_block) {
        xattr_sectors = (uint64_t)s->geo.block_bytes << s->geo.cluster_bits >> 9;
    }
    return !(inode->flags & EXT4_EXTENTS_FL) && inode->sectors <= xattr_sectors;
}
