/* Extended attributes. */
#include "squashfs.h"

enum {
    VALUE_MAX_BYTES = 65536,
    ALL_MAX_BYTES = 16 * 1024 * 1024,   /* names and values of one file */
};

static const char *const prefixes[] = {"user.", "trusted.", "security."};

typedef struct XattrReader {
    SquashfsState *s;
    FsIno ino;
    uint64_t start;                     /* of the attributes on the volume */
    SquashfsCursor at;
    uint64_t bytes;                     /* so far */
} XattrReader;

static bool coroutine_fn take(XattrReader *r, SquashfsCursor *at, void *buf,
                              uint32_t bytes, GError **errp)
{
    if (!squashfs_meta_co_read(r->s, at, buf, bytes, "extended attribute", errp)) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", r->ino);
        return false;
    }
    return true;
}

static GBytes *coroutine_fn read_value(XattrReader *r, SquashfsCursor *at, GError **errp)
{
    le32_t raw;

    if (!take(r, at, &raw, sizeof(raw), errp)) {
        return NULL;
    }

    uint32_t bytes = le32_get(raw);

    if (bytes > VALUE_MAX_BYTES) {
        squashfs_error(r->s, errp, EMBR_ERROR_CORRUPT, at->block,
                       "inode %" PRIu64
                       ": value of an extended attribute has %u bytes, expected at most %d",
                       r->ino, bytes, VALUE_MAX_BYTES);
        return NULL;
    }
    r->bytes += bytes;

    g_autofree uint8_t *value = g_malloc(MAX(bytes, 1));

    return take(r, at, value, bytes, errp)
               ? g_bytes_new_take(g_steal_pointer(&value), bytes)
               : NULL;
}

/* The value that follows, or the one that is meant by the reference which follows. */
static GBytes *coroutine_fn find_value(XattrReader *r, bool elsewhere, GError **errp)
{
    le32_t bytes;
    le64_t reference;

    if (!elsewhere) {
        return read_value(r, &r->at, errp);
    }
    if (!take(r, &r->at, &bytes, sizeof(bytes), errp) ||
        !take(r, &r->at, &reference, sizeof(reference), errp)) {
        return NULL;
    }

    SquashfsCursor at = squashfs_locate(r->start, le64_get(reference));

    return read_value(r, &at, errp);
}

static FsXattr *coroutine_fn read_xattr(XattrReader *r, GError **errp)
{
    SquashfsXattrKey key;

    if (!take(r, &r->at, &key, sizeof(key), errp)) {
        return NULL;
    }

    unsigned type = le16_get(key.type), len = le16_get(key.name_bytes);
    unsigned prefix = type & SQUASHFS_XATTR_PREFIX;

    if (prefix >= G_N_ELEMENTS(prefixes) || !len) {
        squashfs_error(r->s, errp, EMBR_ERROR_CORRUPT, r->at.block,
                       "inode %" PRIu64
                       ": extended attribute of kind %u with a name of %u bytes, expected "
                       "kind 0 to 2 and a name",
                       r->ino, type, len);
        return NULL;
    }

    size_t prefix_len = strlen(prefixes[prefix]);
    g_autofree char *name = g_malloc(prefix_len + len + 1);

    memcpy(name, prefixes[prefix], prefix_len);
    name[prefix_len + len] = 0;
    r->bytes += len;
    if (!take(r, &r->at, name + prefix_len, len, errp)) {
        return NULL;
    }

    GBytes *value = find_value(r, type & SQUASHFS_XATTR_ELSEWHERE, errp);

    if (!value) {
        return NULL;
    }

    FsXattr *xattr = g_new(FsXattr, 1);

    *xattr = (FsXattr){g_steal_pointer(&name), value};
    return xattr;
}

static bool coroutine_fn find_list(XattrReader *r, uint32_t index, uint32_t *count,
                                   GError **errp)
{
    SquashfsState *s = r->s;
    SquashfsXattrTable table;
    SquashfsXattrId id;
    SquashfsCursor cursor;

    if (s->geo.xattr_table == SQUASHFS_NO_TABLE) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, 0,
                       "inode %" PRIu64
                       " has extended attributes, of which there is no table",
                       r->ino);
        return false;
    }
    if (!squashfs_device_co_read(s, s->geo.xattr_table, sizeof(table), &table,
                                 "table of extended attributes", errp)) {
        return false;
    }
    if (index >= le32_get(table.count)) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, s->geo.xattr_table,
                       "inode %" PRIu64
                       ": extended attributes number %u, of which there are %u",
                       r->ino, index, le32_get(table.count));
        return false;
    }
    if (!squashfs_table_co_locate(s, s->geo.xattr_table + sizeof(table), index, sizeof(id),
                                  &cursor, "table of extended attributes", errp) ||
        !squashfs_meta_co_read(s, &cursor, &id, sizeof(id),
                               "table of extended attributes", errp)) {
        return false;
    }
    r->start = le64_get(table.start);
    r->at = squashfs_locate(r->start, le64_get(id.reference));
    *count = le32_get(id.count);
    return true;
}

bool coroutine_fn squashfs_xattr_co_list(SquashfsState *s, const SquashfsInode *inode,
                                         GPtrArray *list, GError **errp)
{
    XattrReader r = {s, inode->stat.ino};
    uint32_t count;

    if (inode->xattr == SQUASHFS_NO_XATTR) {
        return true;
    }
    if (!find_list(&r, inode->xattr, &count, errp)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        FsXattr *xattr = read_xattr(&r, errp);

        if (!xattr) {
            return false;
        }
        g_ptr_array_add(list, xattr);
        if (r.bytes > ALL_MAX_BYTES) {
            squashfs_error(s, errp, EMBR_ERROR_LIMIT, r.at.block,
                           "inode %" PRIu64
                           ": more than %d bytes of extended attributes",
                           r.ino, ALL_MAX_BYTES);
            return false;
        }
    }
    return true;
}
