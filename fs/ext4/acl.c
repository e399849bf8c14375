/*
 * POSIX access control lists.  ext4 leaves out the id of entries that need none
 * and has a version of its own; getxattr(2) shows fixed entries of version 2.
 */
#include "ext4.h"
#include "util/byte-reader.h"

enum {
    ACL_EXT4_VERSION = 1,
    ACL_XATTR_VERSION = 2,
    ACL_USER_OBJ = 0x01,
    ACL_USER = 0x02,
    ACL_GROUP_OBJ = 0x04,
    ACL_GROUP = 0x08,
    ACL_MASK = 0x10,
    ACL_OTHER = 0x20,
    ACL_XATTR_ENTRY_BYTES = 8,
};

static bool tag_has_id(uint16_t tag)
{
    return tag == ACL_USER || tag == ACL_GROUP;
}

static bool tag_is_known(uint16_t tag)
{
    return tag_has_id(tag) || tag == ACL_USER_OBJ || tag == ACL_GROUP_OBJ ||
           tag == ACL_MASK || tag == ACL_OTHER;
}

GBytes *ext4_acl_to_xattr(const uint8_t *data, size_t len)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    uint8_t entry[ACL_XATTR_ENTRY_BYTES];
    ByteReader r;

    byte_reader_init(&r, data, len);
    if (byte_reader_le32(&r) != ACL_EXT4_VERSION) {
        return NULL;
    }
    le32_store(entry, ACL_XATTR_VERSION);
    g_byte_array_append(out, entry, sizeof(le32_t));
    while (!r.bad && byte_reader_left(&r)) {
        uint16_t tag = byte_reader_le16(&r);
        uint16_t permissions = byte_reader_le16(&r);
        uint32_t id = tag_has_id(tag) ? byte_reader_le32(&r) : UINT32_MAX;

        if (!tag_is_known(tag)) {
            return NULL;
        }
        le16_store(entry, tag);
        le16_store(entry + 2, permissions);
        le32_store(entry + 4, id);
        g_byte_array_append(out, entry, sizeof(entry));
    }
    return r.bad ? NULL : g_byte_array_free_to_bytes(g_steal_pointer(&out));
}
