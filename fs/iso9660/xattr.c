/* AAIP: extended attributes as lists of names and values; ACLs in a compact form of
 * their own. */
#include "iso9660.h"
#include "util/byte-reader.h"

enum {
    ACL_XATTR_VERSION = 2,
    ACL_XATTR_ENTRY_BYTES = 8,
    ACL_QUALIFIER_BYTES_MAX = 4,
};

/* Attributes, each name once: xorriso stores ACLs in both forms if it is told to. */
typedef struct Gather {
    GPtrArray *list;
    GHashTable *names; /* of those in the list */
} Gather;

static void add_xattr(Gather *g, const char *name, const GByteArray *value)
{
    FsXattr *xattr;

    if (g_hash_table_contains(g->names, name)) {
        return;
    }
    xattr = g_new(FsXattr, 1);
    xattr->name = g_strdup(name);
    xattr->value = g_bytes_new(value->data, value->len);
    g_hash_table_add(g->names, xattr->name);
    g_ptr_array_add(g->list, xattr);
}

/* A number of up to 4 bytes, the most significant first; 0xffffffff if it is a longer
 * one. */
static uint32_t read_qualifier(ByteReader *r)
{
    uint32_t value = 0;
    unsigned length = 0;
    uint8_t head;

    do {
        head = byte_reader_u8(r);
        for (unsigned i = head & ~AAIP_QUALIFIER_GOES_ON; i && !r->bad; i--) {
            value = value << 8 | byte_reader_u8(r);
            length++;
        }
    } while (head & AAIP_QUALIFIER_GOES_ON && !r->bad);
    return length <= ACL_QUALIFIER_BYTES_MAX ? value : UINT32_MAX;
}

static void append_entry(GByteArray *acl, uint16_t tag, uint8_t permissions,
                         uint32_t id)
{
    uint8_t entry[ACL_XATTR_ENTRY_BYTES];

    if (!acl->len) {
        le32_store(entry, ACL_XATTR_VERSION);
        g_byte_array_append(acl, entry, sizeof(le32_t));
    }
    le16_store(entry, tag);
    le16_store(entry + 2, permissions);
    le32_store(entry + 4, id);
    g_byte_array_append(acl, entry, sizeof(entry));
}

/* The kernel's tags; 0: no entry. */
static uint16_t tag_of(unsigned kind)
{
    switch (kind) {
    case AAIP_USER_OBJ:
        return 0x01;
    case AAIP_USER:
        return 0x02;
    case AAIP_GROUP_OBJ:
        return 0x04;
    case AAIP_GROUP:
        return 0x08;
    case AAIP_MASK:
        return 0x10;
    case AAIP_OTHER:
        return 0x20;
    default:
        return 0;
    }
}

/* Entries of the kind that getxattr(2) shows, in its order: by tag, then by number. */
static gint compare_entries(gconstpointer a, gconstpointer b)
{
    uint64_t ka = (uint64_t)le16_load(a) << 32 | le32_load((const uint8_t *)a + 4);
    uint64_t kb = (uint64_t)le16_load(b) << 32 | le32_load((const uint8_t *)b + 4);

    return (ka > kb) - (ka < kb);
}

/* False if there is none. */
static bool finish_acl(GByteArray *acl)
{
    if (!acl->len) {
        return false;
    }
    qsort(acl->data + sizeof(le32_t),
          (acl->len - sizeof(le32_t)) / ACL_XATTR_ENTRY_BYTES, ACL_XATTR_ENTRY_BYTES,
          compare_entries);
    return true;
}

static bool add_acls(const GByteArray *compact, Gather *g)
{
    g_autoptr(GByteArray) access = g_byte_array_new();
    g_autoptr(GByteArray) inherited = g_byte_array_new();
    GByteArray *acl = access;
    ByteReader r;

    byte_reader_init(&r, compact->data, compact->len);
    while (byte_reader_left(&r)) {
        uint8_t head = byte_reader_u8(&r);
        uint16_t tag = tag_of(head >> 4);
        uint32_t id = UINT32_MAX;

        if (head & AAIP_HAS_QUALIFIER || head >> 4 == AAIP_TRANSLATE) {
            id = read_qualifier(&r);
        }
        if (head >> 4 == AAIP_DEFAULT) {
            acl = inherited;
        } else if (tag) {
            append_entry(acl, tag, head & AAIP_PERMISSIONS, id);
        }
    }
    if (r.bad) {
        return false;
    }
    if (finish_acl(access)) {
        add_xattr(g, "system.posix_acl_access", access);
    }
    if (finish_acl(inherited)) {
        add_xattr(g, "system.posix_acl_default", inherited);
    }
    return true;
}

/* NULL: it is not the file's own, but the maker's (isofs.*), or can be none. */
static char *full_name(const GByteArray *name)
{
    static const char *const prefixes[] = {"",       "",         "system.",  "user.",
                                           "isofs.", "trusted.", "security."};
    const char *text = (const char *)name->data;
    size_t len = name->len;
    const char *prefix = "";

    if (*text > 0 && *text < (int)G_N_ELEMENTS(prefixes)) {
        prefix = prefixes[(int)*text];
        text++;
        len--;
    }

    g_autofree char *full = g_strdup_printf("%s%.*s", prefix, (int)len, text);

    return !*full || g_str_has_prefix(full, "isofs.") ? NULL : g_steal_pointer(&full);
}

bool iso_xattr_list(const IsoState *s, const IsoRecord *record, GPtrArray *list,
                    GError **errp)
{
    const GPtrArray *parts = record->rock.attributes;
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    Gather g = {list, names};

    if (parts->len % 2) {
        iso_error(s, errp, EMBR_ERROR_CORRUPT, record->offset,
                  "inode %" PRIu64 ": AAIP: the last attribute has no value",
                  record->offset);
        return false;
    }
    for (guint i = 0; i < parts->len; i += 2) {
        const GByteArray *name = g_ptr_array_index(parts, i);
        const GByteArray *value = g_ptr_array_index(parts, i + 1);
        g_autofree char *full = NULL;

        if (!name->len) {
            if (!add_acls(value, &g)) {
                iso_error(s, errp, EMBR_ERROR_CORRUPT, record->offset,
                          "inode %" PRIu64 ": AAIP: an ACL ends within an entry",
                          record->offset);
                return false;
            }
            continue;
        }
        full = full_name(name);
        if (full) {
            add_xattr(&g, full, value);
        }
    }
    return true;
}
