/* Extended attributes: in the inode, or in leaves, which may be below nodes. */
#include "util/byte-reader.h"
#include "xfs.h"

enum {
    TOTAL_MAX_BYTES = 64 * 1024 * 1024,
    VALUE_MAX_BYTES = 64 * 1024,
    MAX_LEVELS = 5,
    MAX_LEAVES = 64 * 1024,
};

typedef struct Listing {
    XfsState *s;
    const XfsInode *inode;
    GPtrArray *list;
    uint64_t total;
} Listing;

/* One attribute as it was found. */
typedef struct Attr {
    const char *name;
    uint8_t name_len;
    uint8_t flags;
    uint32_t value_bytes;
    const uint8_t *value; /* NULL: remote, from value_block on */
    uint32_t value_block;
    uint64_t offset; /* on the volume */
} Attr;

static bool G_GNUC_PRINTF(4, 5) attr_error(const Listing *l, uint64_t offset,
                                           GError **errp, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    xfs_error(l->s, errp, EMBR_ERROR_CORRUPT, offset, "inode %" PRIu64 ": %s",
              l->inode->ino, text);
    return false;
}

static void add(Listing *l, char *name, GBytes *value)
{
    FsXattr *xattr = g_new(FsXattr, 1);

    *xattr = (FsXattr){.name = name, .value = value};
    g_ptr_array_add(l->list, xattr);
}

/* Lists of these names are shown in the kernel's form, besides. */
static void add_acl(Listing *l, const char *name, GBytes *value)
{
    gsize len;
    const uint8_t *data = g_bytes_get_data(value, &len);
    const char *shown = !strcmp(name, "SGI_ACL_FILE")      ? "system.posix_acl_access"
                        : !strcmp(name, "SGI_ACL_DEFAULT") ? "system.posix_acl_default"
                                                           : NULL;
    GBytes *acl = shown ? xfs_acl_to_xattr(data, len) : NULL;

    if (acl) {
        add(l, g_strdup(shown), acl);
    }
}

/* The blocks of a remote value: in version 5, each has a head. */
static bool coroutine_fn read_remote(Listing *l, const Attr *attr, uint8_t *value,
                                     GError **errp)
{
    XfsState *s = l->s;
    uint32_t block_bytes = s->geo.block_bytes;
    uint32_t head_bytes = s->geo.version == 5 ? sizeof(XfsRemoteHead) : 0;
    g_autofree uint8_t *data = g_malloc(block_bytes);
    uint64_t logical = attr->value_block;

    for (uint32_t at = 0; at < attr->value_bytes; logical++) {
        const XfsRemoteHead *head = (const XfsRemoteHead *)data;
        uint32_t part = MIN(attr->value_bytes - at, block_bytes - head_bytes);
        XfsRun run;

        if (!xfs_map_co(s, l->inode, &l->inode->attr, logical, 1, &run, errp)) {
            return false;
        }
        if (!run.physical || run.unwritten) {
            return attr_error(l, attr->offset, errp,
                              "value of an attribute ends at byte %u of %u", at,
                              attr->value_bytes);
        }

        uint64_t offset = run.physical << s->geo.block_bits;

        if (!xfs_device_co_read(s, offset, block_bytes, data, "attribute value",
                                errp) ||
            (head_bytes && !xfs_block_check(s, &xfs_kind_attr, data, block_bytes,
                                            offset, l->inode->ino, errp))) {
            g_prefix_error(errp, "inode %" PRIu64 ": ", l->inode->ino);
            return false;
        }
        if (head_bytes &&
            (be32_get(head->offset) != at || be32_get(head->bytes) != part)) {
            return attr_error(l, offset, errp,
                              "%u bytes of an attribute's value from byte %u on, "
                              "expected %u from byte %u on",
                              be32_get(head->bytes), be32_get(head->offset), part, at);
        }
        memcpy(value + at, data + head_bytes, part);
        at += part;
    }
    return true;
}

static bool coroutine_fn add_attr(Listing *l, const Attr *attr, GError **errp)
{
    const char *prefix = attr->flags & XFS_ATTR_ROOT     ? "trusted"
                         : attr->flags & XFS_ATTR_SECURE ? "security"
                                                         : "user";

    /* Half-written ones, and what the kernel keeps for itself. */
    if (attr->flags & (XFS_ATTR_INCOMPLETE | XFS_ATTR_PARENT)) {
        return true;
    }
    if (!attr->name_len || memchr(attr->name, 0, attr->name_len)) {
        return attr_error(l, attr->offset, errp,
                          "an attribute's name of %u bytes is empty or has a NUL",
                          attr->name_len);
    }
    if (attr->value_bytes > VALUE_MAX_BYTES) {
        return attr_error(l, attr->offset, errp,
                          "an attribute's value of %u bytes, expected at most %d",
                          attr->value_bytes, VALUE_MAX_BYTES);
    }
    l->total += attr->name_len + attr->value_bytes;
    if (l->total > TOTAL_MAX_BYTES) {
        xfs_error(l->s, errp, EMBR_ERROR_LIMIT, attr->offset,
                  "inode %" PRIu64 ": more than %d bytes of extended attributes",
                  l->inode->ino, TOTAL_MAX_BYTES);
        return false;
    }

    g_autofree uint8_t *copy = g_malloc(MAX(attr->value_bytes, 1));
    g_autofree char *name = g_strndup(attr->name, attr->name_len);

    if (attr->value) {
        memcpy(copy, attr->value, attr->value_bytes);
    } else if (!read_remote(l, attr, copy, errp)) {
        return false;
    }

    GBytes *value = g_bytes_new_take(g_steal_pointer(&copy), attr->value_bytes);

    if (attr->flags & XFS_ATTR_ROOT) {
        add_acl(l, name, value);
    }
    add(l, g_strdup_printf("%s.%s", prefix, name), value);
    return true;
}

/* In the inode: bytes in all, a count, and of each the lengths, flags, name, value. */
static bool coroutine_fn list_short(Listing *l, GError **errp)
{
    const XfsFork *fork = &l->inode->attr;
    uint64_t offset = l->inode->offset + fork->at;
    const uint8_t *data = l->inode->raw + fork->at;
    ByteReader r;

    byte_reader_init(&r, data, fork->bytes);

    uint32_t bytes = byte_reader_be16(&r);
    unsigned count = byte_reader_u8(&r);

    byte_reader_take(&r, 1);
    r.size = MIN(r.size, bytes);
    r.bad = bytes > fork->bytes || r.pos > r.size;
    for (unsigned i = 0; i < count && !r.bad; i++) {
        Attr attr = {.offset = offset + r.pos};

        attr.name_len = byte_reader_u8(&r);
        attr.value_bytes = byte_reader_u8(&r);
        attr.flags = byte_reader_u8(&r);
        attr.name = byte_reader_take(&r, attr.name_len);
        attr.value = byte_reader_take(&r, attr.value_bytes);
        if (!r.bad && !add_attr(l, &attr, errp)) {
            return false;
        }
    }
    return !r.bad || attr_error(l, offset, errp,
                                "%u attributes of %u bytes do not fit the fork of %u",
                                count, bytes, fork->bytes);
}

static FsBuffer *coroutine_fn get_block(Listing *l, uint64_t logical, GError **errp)
{
    XfsState *s = l->s;
    XfsRun run;

    if (!xfs_map_co(s, l->inode, &l->inode->attr, logical, 1, &run, errp)) {
        return NULL;
    }
    if (!run.physical || run.unwritten) {
        attr_error(l, l->inode->offset + l->inode->attr.at, errp,
                   "no block %" PRIu64 " of extended attributes", logical);
        return NULL;
    }

    FsBuffer *buffer = xfs_co_block(s, &xfs_kind_da, XFS_BUFFER_BLOCK,
                                    run.physical << s->geo.block_bits,
                                    s->geo.block_bytes, l->inode->ino, errp);

    if (!buffer) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", l->inode->ino);
    }
    return buffer;
}

static bool has_magic(const Listing *l, const FsBuffer *buffer, uint16_t v4,
                      uint16_t v5)
{
    return be16_get(((const XfsDaInfo *)buffer->data)->magic) ==
           (l->s->geo.version == 5 ? v5 : v4);
}

/* From the top down to the first leaf. */
static FsBuffer *coroutine_fn first_leaf(Listing *l, GError **errp)
{
    bool v5 = l->s->geo.version == 5;
    uint32_t count_at = v5 ? 56 : 12, entries_at = v5 ? 64 : 16;
    g_autoptr(FsBuffer) buffer = get_block(l, 0, errp);

    for (int level = 0; buffer && level < MAX_LEVELS; level++) {
        if (!has_magic(l, buffer, XFS_DA_NODE_MAGIC, XFS_DA3_NODE_MAGIC)) {
            return g_steal_pointer(&buffer);
        }
        if (!be16_load(buffer->data + count_at)) {
            break;
        }

        const XfsDaNodeEntry *first =
            (const XfsDaNodeEntry *)(buffer->data + entries_at);
        FsBuffer *below = get_block(l, be32_get(first->before), errp);

        fs_buffer_release(buffer);
        buffer = below;
    }
    if (buffer) {
        attr_error(l, buffer->offset, errp,
                   "nodes of extended attributes are empty or more than %d levels",
                   MAX_LEVELS);
    }
    return NULL;
}

/* A name, and its value or where that is. */
static bool parse_entry(const Listing *l, const FsBuffer *leaf,
                        const XfsAttrLeafEntry *entry, Attr *attr, GError **errp)
{
    ByteReader r;

    *attr = (Attr){
        .flags = entry->flags,
        .offset = leaf->offset + be16_get(entry->nameidx),
    };
    byte_reader_init(&r, leaf->data, leaf->bytes);
    byte_reader_seek(&r, be16_get(entry->nameidx));
    if (entry->flags & XFS_ATTR_LOCAL) {
        attr->value_bytes = byte_reader_be16(&r);
        attr->name_len = byte_reader_u8(&r);
        attr->name = byte_reader_take(&r, attr->name_len);
        attr->value = byte_reader_take(&r, attr->value_bytes);
    } else {
        attr->value_block = byte_reader_be32(&r);
        attr->value_bytes = byte_reader_be32(&r);
        attr->name_len = byte_reader_u8(&r);
        attr->name = byte_reader_take(&r, attr->name_len);
    }
    return !r.bad ||
           attr_error(l, leaf->offset, errp,
                      "an attribute at byte %u of its block of %u does not fit",
                      be16_get(entry->nameidx), leaf->bytes);
}

static bool coroutine_fn list_leaf(Listing *l, const FsBuffer *leaf, GError **errp)
{
    bool v5 = l->s->geo.version == 5;
    uint32_t at = v5 ? 80 : 32;
    unsigned room = (leaf->bytes - at) / sizeof(XfsAttrLeafEntry);
    unsigned count = be16_load(leaf->data + (v5 ? 56 : 12));
    const XfsAttrLeafEntry *entries = (const XfsAttrLeafEntry *)(leaf->data + at);

    if (!has_magic(l, leaf, XFS_ATTR_LEAF_MAGIC, XFS_ATTR3_LEAF_MAGIC)) {
        return attr_error(l, leaf->offset, errp,
                          "magic of its extended attributes is 0x%04x, expected 0x%04x",
                          be16_get(((const XfsDaInfo *)leaf->data)->magic),
                          v5 ? XFS_ATTR3_LEAF_MAGIC : XFS_ATTR_LEAF_MAGIC);
    }
    if (count > room) {
        return attr_error(l, leaf->offset, errp,
                          "%u attributes in a block, expected at most %u", count, room);
    }
    for (unsigned i = 0; i < count; i++) {
        Attr attr;

        if (!parse_entry(l, leaf, &entries[i], &attr, errp) ||
            !add_attr(l, &attr, errp)) {
            return false;
        }
    }
    return true;
}

static bool coroutine_fn list_leaves(Listing *l, GError **errp)
{
    g_autoptr(FsBuffer) leaf = first_leaf(l, errp);

    for (unsigned i = 0; leaf && i < MAX_LEAVES; i++) {
        uint32_t next = be32_get(((const XfsDaInfo *)leaf->data)->forw);

        if (!list_leaf(l, leaf, errp)) {
            return false;
        }
        if (!next) {
            return true;
        }

        FsBuffer *following = get_block(l, next, errp);

        fs_buffer_release(leaf);
        leaf = following;
    }
    if (leaf) {
        xfs_error(l->s, errp, EMBR_ERROR_LIMIT, leaf->offset,
                  "inode %" PRIu64 ": more than %d blocks of extended attributes",
                  l->inode->ino, MAX_LEAVES);
    }
    return false;
}

bool coroutine_fn xfs_attr_co_list(XfsState *s, const XfsInode *inode, GPtrArray *list,
                                   GError **errp)
{
    Listing l = {.s = s, .inode = inode, .list = list};
    const XfsFork *fork = &inode->attr;

    if (!fork->bytes) {
        return true;
    }
    if (fork->format == XFS_FORK_LOCAL) {
        return list_short(&l, errp);
    }
    if (fork->format == XFS_FORK_EXTENTS && !fork->extents) {
        return true;
    }
    return list_leaves(&l, errp);
}
