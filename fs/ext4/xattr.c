/* Extended attributes: in the inode, in a block, and with values in inodes of their
 * own. */
#include "ext4.h"

enum {
    VALUE_MAX_BYTES =
        16 * 1024 * 1024, /* of one in an inode; Linux has 64 KiB at most */
    TOTAL_MAX_BYTES = 64 * 1024 * 1024,
};

/* Where a list of entries lies. */
typedef struct Region {
    const Ext4Inode *inode;
    const uint8_t *base; /* what value offsets count from */
    uint32_t bytes;      /* from base on */
    uint32_t first;      /* the first entry, from base */
    uint64_t offset;     /* of base, on the volume */
} Region;

typedef struct Entry {
    const char *name;
    uint8_t name_len;
    uint8_t index;
    FsIno value_inode;
    uint32_t value_at, value_bytes;
    uint32_t hash;
    uint64_t offset; /* on the volume */
} Entry;

/* The entry at *pos, which moves on; false at the end or, with error set, at damage. */
static bool next_entry(const Ext4State *s, const Region *region, uint32_t *pos,
                       Entry *entry, GError **errp)
{
    uint32_t left = region->bytes - *pos;
    const Ext4XattrEntry *disk = (const Ext4XattrEntry *)(region->base + *pos);

    if (left < sizeof(le32_t) || !le32_load(disk)) {
        return false;
    }

    uint64_t offset = region->offset + *pos;
    uint32_t size =
        left < sizeof(*disk) ? 0 : sizeof(*disk) + ((disk->name_len + 3u) & ~3u);

    if (!size || size > left) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                   "inode %" PRIu64
                   ": extended attribute's entry of %u bytes, expected at "
                   "most %u",
                   region->inode->ino, size ? size : (unsigned)sizeof(*disk), left);
        return false;
    }
    *entry = (Entry){
        .name = disk->name,
        .name_len = disk->name_len,
        .index = disk->name_index,
        .value_inode = le32_get(disk->value_inum),
        .value_at = le16_get(disk->value_offs),
        .value_bytes = le32_get(disk->value_size),
        .hash = le32_get(disk->hash),
        .offset = offset,
    };
    if (!entry->value_inode && entry->value_bytes &&
        !range_fits(entry->value_at, entry->value_bytes, region->bytes)) {
        ext4_error(
            s, errp, EMBR_ERROR_CORRUPT, offset,
            "inode %" PRIu64 ": extended attribute's value of %u bytes at %u, expected "
            "within %u",
            region->inode->ino, entry->value_bytes, entry->value_at, region->bytes);
        return false;
    }
    *pos += size;
    return true;
}

/* The part of the inode behind its fields; false if it holds no attributes. */
static bool inode_region(const Ext4Inode *inode, Region *region)
{
    uint32_t at = inode->xattrs_at;

    if (inode->raw_bytes - at < 2 * sizeof(le32_t) ||
        le32_load(inode->raw + at) != EXT4_XATTR_MAGIC) {
        return false;
    }
    at += sizeof(le32_t);
    *region = (Region){
        .inode = inode,
        .base = inode->raw + at,
        .bytes = inode->raw_bytes - at,
        .offset = inode->offset + at,
    };
    return true;
}

static bool is_inline_data(const Entry *entry)
{
    return entry->index == EXT4_XATTR_SYSTEM && entry->name_len == 4 &&
           !memcmp(entry->name, "data", 4);
}

bool ext4_xattr_inline_data(const Ext4State *s, const Ext4Inode *inode,
                            const uint8_t **value, uint32_t *bytes, GError **errp)
{
    GError *error = NULL;
    Region region;
    Entry entry;
    uint32_t pos = 0;

    *value = NULL;
    *bytes = 0;
    if (!inode_region(inode, &region)) {
        return true;
    }
    while (next_entry(s, &region, &pos, &entry, &error)) {
        if (is_inline_data(&entry) && !entry.value_inode) {
            *value = region.base + entry.value_at;
            *bytes = entry.value_bytes;
            return true;
        }
    }
    if (error) {
        g_propagate_error(errp, error);
        return false;
    }
    return true;
}

/* NULL: not for users to see. */
static const char *prefix_of(uint8_t index)
{
    switch (index) {
    case EXT4_XATTR_NONE:
        return "";
    case EXT4_XATTR_USER:
        return "user.";
    case EXT4_XATTR_ACL_ACCESS:
        return "system.posix_acl_access";
    case EXT4_XATTR_ACL_DEFAULT:
        return "system.posix_acl_default";
    case EXT4_XATTR_TRUSTED:
        return "trusted.";
    case EXT4_XATTR_LUSTRE:
        return "lustre.";
    case EXT4_XATTR_SECURITY:
        return "security.";
    case EXT4_XATTR_SYSTEM:
        return "system.";
    case EXT4_XATTR_RICHACL:
        return "system.richacl";
    case EXT4_XATTR_HURD:
        return "gnu.";
    default:
        return NULL;
    }
}

static GBytes *coroutine_fn read_value_inode(Ext4State *s, const Region *region,
                                             const Entry *entry, GError **errp)
{
    g_autoptr(Ext4Inode) inode = ext4_inode_co_get(s, entry->value_inode, errp);

    if (!inode) {
        g_prefix_error(errp, "inode %" PRIu64 ": value of an extended attribute: ",
                       region->inode->ino);
        return NULL;
    }
    if (!(inode->flags & EXT4_EA_INODE_FL) || inode->stat.size != entry->value_bytes ||
        entry->value_bytes > VALUE_MAX_BYTES) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, entry->offset,
                   "inode %" PRIu64
                   ": extended attribute's value of %u bytes is in inode %" PRIu64
                   ", which %s and has %" PRIu64 " bytes",
                   region->inode->ino, entry->value_bytes, inode->ino,
                   inode->flags & EXT4_EA_INODE_FL ? "holds one" : "is not for that",
                   inode->stat.size);
        return NULL;
    }

    g_autofree uint8_t *value = g_malloc(MAX(entry->value_bytes, 1));

    if (!ext4_file_co_read(s, inode, 0, entry->value_bytes, value, errp)) {
        return NULL;
    }

    uint32_t found = le32_get(ext4_inode_disk(inode)->atime);
    uint32_t expected = ext4_crc32c(s->geo.checksum_seed, value, entry->value_bytes);
    /* Lustre's inodes for values know their owner instead: in mtime and generation. */
    bool owned = le32_get(ext4_inode_disk(inode)->mtime) == region->inode->ino &&
                 inode->stat.generation == region->inode->stat.generation;

    if (found != expected && !owned) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, inode->offset,
                   "inode %" PRIu64
                   ": checksum of the extended attribute's value in inode %" PRIu64
                   " is 0x%08x, expected 0x%08x",
                   region->inode->ino, inode->ino, found, expected);
        return NULL;
    }
    return g_bytes_new_take(g_steal_pointer(&value), entry->value_bytes);
}

static GBytes *convert_value(const Ext4State *s, const Region *region,
                             const Entry *entry, GBytes *value, GError **errp)
{
    gsize len;
    const uint8_t *data = g_bytes_get_data(value, &len);

    if (entry->index != EXT4_XATTR_ACL_ACCESS &&
        entry->index != EXT4_XATTR_ACL_DEFAULT) {
        return g_bytes_ref(value);
    }

    GBytes *acl = ext4_acl_to_xattr(data, len);

    if (!acl) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, entry->offset,
                   "inode %" PRIu64 ": its access control list (%zu bytes) is damaged",
                   region->inode->ino, (size_t)len);
    }
    return acl;
}

static bool coroutine_fn add_entry(Ext4State *s, const Region *region,
                                   const Entry *entry, GPtrArray *list, GError **errp)
{
    const char *prefix = prefix_of(entry->index);
    g_autoptr(GBytes) value = NULL;

    if (!prefix || is_inline_data(entry)) {
        return true;
    }
    if (memchr(entry->name, 0, entry->name_len) || !(*prefix || entry->name_len)) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, entry->offset,
                   "inode %" PRIu64 ": an extended attribute's name is damaged",
                   region->inode->ino);
        return false;
    }
    if (entry->value_inode) {
        value = read_value_inode(s, region, entry, errp);
    } else {
        value = g_bytes_new(region->base + entry->value_at, entry->value_bytes);
    }
    if (!value) {
        return false;
    }

    GBytes *shown = convert_value(s, region, entry, value, errp);

    if (!shown) {
        return false;
    }

    FsXattr *xattr = g_new(FsXattr, 1);

    *xattr = (FsXattr){
        .name = g_strdup_printf("%s%.*s", prefix, entry->name_len, entry->name),
        .value = shown,
    };
    g_ptr_array_add(list, xattr);
    return true;
}

static bool coroutine_fn list_region(Ext4State *s, const Region *region,
                                     uint64_t *total, GPtrArray *list, GError **errp)
{
    GError *error = NULL;
    uint32_t pos = region->first;
    Entry entry;

    while (next_entry(s, region, &pos, &entry, &error)) {
        *total += entry.value_bytes;
        if (*total > TOTAL_MAX_BYTES) {
            ext4_error(s, errp, EMBR_ERROR_LIMIT, entry.offset,
                       "inode %" PRIu64 ": more than %d bytes of extended attributes",
                       region->inode->ino, TOTAL_MAX_BYTES);
            return false;
        }
        if (!add_entry(s, region, &entry, list, errp)) {
            return false;
        }
    }
    if (error) {
        g_propagate_error(errp, error);
        return false;
    }
    return true;
}

static bool check_block(const Ext4State *s, const Ext4Inode *inode,
                        const FsBuffer *buffer, GError **errp)
{
    const Ext4XattrHeader *header = (const Ext4XattrHeader *)buffer->data;

    if (le32_get(header->magic) != EXT4_XATTR_MAGIC || le32_get(header->blocks) != 1) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, buffer->offset,
                   "inode %" PRIu64
                   ": magic of its extended attributes is 0x%08x in %u "
                   "blocks, expected 0x%08x in 1",
                   inode->ino, le32_get(header->magic), le32_get(header->blocks),
                   EXT4_XATTR_MAGIC);
        return false;
    }
    if (s->has_checksums) {
        uint32_t expected =
            ext4_xattr_block_checksum(s, inode->xattr_block, buffer->data);

        if (le32_get(header->checksum) != expected) {
            ext4_error(s, errp, EMBR_ERROR_CORRUPT, buffer->offset,
                       "inode %" PRIu64
                       ": checksum of its extended attributes is 0x%08x, "
                       "expected 0x%08x",
                       inode->ino, le32_get(header->checksum), expected);
            return false;
        }
    }
    return true;
}

bool coroutine_fn ext4_xattr_co_list(Ext4State *s, Ext4Inode *inode, GPtrArray *list,
                                     GError **errp)
{
    uint64_t total = 0;
    Region region;

    if (inode_region(inode, &region) && !list_region(s, &region, &total, list, errp)) {
        return false;
    }
    if (!inode->xattr_block) {
        return true;
    }
    if (!ext4_block_valid(&s->geo, inode->xattr_block, 1)) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT,
                   inode->offset + offsetof(Ext4InodeDisk, file_acl_lo),
                   "inode %" PRIu64 ": extended attributes at block %" PRIu64
                   " of %" PRIu64,
                   inode->ino, inode->xattr_block, s->geo.blocks_count);
        return false;
    }

    g_autoptr(FsBuffer) buffer =
        ext4_cache_co_block(s, inode->xattr_block, "extended attributes", errp);

    if (!buffer) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", inode->ino);
        return false;
    }
    if (!check_block(s, inode, buffer, errp)) {
        return false;
    }
    region = (Region){
        .inode = inode,
        .base = buffer->data,
        .bytes = buffer->bytes,
        .first = sizeof(Ext4XattrHeader),
        .offset = buffer->offset,
    };
    return list_region(s, &region, &total, list, errp);
}
