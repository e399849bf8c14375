/*
 * POSIX access control lists.  XFS keeps a count and entries of 12 big-endian bytes;
 * getxattr(2) shows little-endian ones of 8.
 */
#include "util/byte-reader.h"
#include "xfs.h"

enum {
    ACL_XATTR_VERSION = 2,
    ACL_USER = 0x02,
    ACL_GROUP = 0x08,
    ACL_TAGS = 0x3f,
    ACL_DISK_ENTRY_BYTES = 12,
    ACL_XATTR_ENTRY_BYTES = 8,
};

GBytes *xfs_acl_to_xattr(const uint8_t *data, size_t len)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint8_t entry[ACL_XATTR_ENTRY_BYTES];
    ByteReader r;

    byte_reader_init(&r, data, len);

    uint32_t count = byte_reader_be32(&r);

    if (r.bad || count > byte_reader_left(&r) / ACL_DISK_ENTRY_BYTES) {
        return NULL;
    }
    le32_store(entry, ACL_XATTR_VERSION);
    g_byte_array_append(out, entry, sizeof(le32_t));
    while (count--) {
        uint32_t tag = byte_reader_be32(&r);
        uint32_t id = byte_reader_be32(&r);
        uint16_t permissions = byte_reader_be16(&r);

        byte_reader_take(&r, 2);
        if (!is_pow2(tag) || tag > ACL_TAGS) {
            return NULL;
        }
        le16_store(entry, tag);
        le16_store(entry + 2, permissions);
        le32_store(entry + 4, tag == ACL_USER || tag == ACL_GROUP ? id : UINT32_MAX);
        g_byte_array_append(out, entry, sizeof(entry));
    }
    return g_byte_array_free_to_bytes(g_steal_pointer(&out));
}
