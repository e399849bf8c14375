#include "tar-header.h"

#include <string.h>

#include "util/byte-reader.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

enum {
    SEVEN_DIGITS_MAX = 07777777,
    ACL_VERSION = 2,
    ACL_USER_OBJ = 1,
    ACL_USER = 2,
    ACL_GROUP_OBJ = 4,
    ACL_GROUP = 8,
    ACL_MASK = 16,
    ACL_OTHER = 32,
};

static const uint64_t ELEVEN_DIGITS_MAX = 077777777777;

typedef struct TarHeader {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[6];
    char version[2];
    char user[32];
    char group[32];
    char major[8];
    char minor[8];
    char prefix[155];
    char unused[12];
} TarHeader;
G_STATIC_ASSERT(sizeof(TarHeader) == TAR_BLOCK_BYTES);

/* Octal digits with zeroes before them, and a NUL. */
static void put_octal(char *field, size_t size, uint64_t value)
{
    field[--size] = '\0';
    while (size) {
        field[--size] = '0' + (value & 7);
        value >>= 3;
    }
}

static void append_block(GString *out, TarHeader *h)
{
    const uint8_t *bytes = (const uint8_t *)h;
    unsigned sum = 0;

    memcpy(h->magic, "ustar", 6);
    memcpy(h->version, "00", 2);
    memset(h->checksum, ' ', sizeof(h->checksum));
    for (unsigned i = 0; i < sizeof(*h); i++) {
        sum += bytes[i];
    }
    put_octal(h->checksum, sizeof(h->checksum) - 1, sum);
    g_string_append_len(out, (const char *)h, sizeof(*h));
}

static void pad(GString *out, size_t len)
{
    static const char zeroes[TAR_BLOCK_BYTES];

    g_string_append_len(out, zeroes, -len % TAR_BLOCK_BYTES);
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static void add_record(GString *records, const char *key, const void *value, size_t len)
{
    const size_t fixed = strlen(key) + len + 3;
    size_t total = fixed;

    for (size_t digits = 1, limit = 10;; digits++, limit *= 10) {
        total = fixed + digits;
        if (total < limit) {
            break;
        }
    }
    g_string_append_printf(records, "%zu %s=", total, key);
    g_string_append_len(records, value, len);
    g_string_append_c(records, '\n');
}

static void add_text(GString *records, const char *key, const char *value)
{
    add_record(records, key, value, strlen(value));
}

static void add_number(GString *records, const char *key, uint64_t value)
{
    char text[24];

    g_snprintf(text, sizeof(text), "%" PRIu64, value);
    add_text(records, key, text);
}

/* A negative time counts its fraction from zero on, too. */
static void add_time(GString *records, const char *key, const FsTime *when)
{
    bool negative = when->sec < 0;
    uint64_t sec = negative ? -(uint64_t)when->sec : (uint64_t)when->sec;
    uint32_t nsec = when->nsec;
    char text[40];

    if (negative && nsec) {
        sec--;
        nsec = 1000000000 - nsec;
    }
    g_snprintf(text, sizeof(text), "%s%" PRIu64 ".%09u", negative ? "-" : "", sec,
               nsec);
    add_text(records, key, text);
}

static bool append_acl_entry(GString *text, ByteReader *r)
{
    uint16_t tag = byte_reader_le16(r);
    uint16_t perm = byte_reader_le16(r);
    uint32_t id = byte_reader_le32(r);
    const char *kind = tag == ACL_USER_OBJ || tag == ACL_USER     ? "user"
                       : tag == ACL_GROUP_OBJ || tag == ACL_GROUP ? "group"
                       : tag == ACL_MASK                          ? "mask"
                       : tag == ACL_OTHER                         ? "other"
                                                                  : NULL;

    if (!kind || perm > 7) {
        return false;
    }
    g_string_append_printf(text, "%s%s:", text->len ? "," : "", kind);
    if (tag == ACL_USER || tag == ACL_GROUP) {
        g_string_append_printf(text, "%u", id);
    }
    g_string_append_printf(text, ":%c%c%c", perm & 4 ? 'r' : '-', perm & 2 ? 'w' : '-',
                           perm & 1 ? 'x' : '-');
    return true;
}

char *tar_acl_text(GBytes *value)
{
    g_autoptr(GString) text = g_string_new(NULL);
    gsize size;
    ByteReader r;

    const void *data = g_bytes_get_data(value, &size);
    byte_reader_init(&r, data, size);
    if (byte_reader_le32(&r) != ACL_VERSION) {
        return NULL;
    }
    while (byte_reader_left(&r)) {
        if (!append_acl_entry(text, &r)) {
            return NULL;
        }
    }
    return r.bad || !text->len ? NULL : g_string_free(g_steal_pointer(&text), FALSE);
}

static const char *acl_key(const FsXattr *xattr)
{
    return !strcmp(xattr->name, ACL_ACCESS)    ? "SCHILY.acl.access"
           : !strcmp(xattr->name, ACL_DEFAULT) ? "SCHILY.acl.default"
                                               : NULL;
}

bool tar_can_carry_xattr(const FsXattr *xattr)
{
    if (acl_key(xattr)) {
        g_autofree char *text = tar_acl_text(xattr->value);
        return text != NULL;
    }
    return !strchr(xattr->name, '=');
}

static void add_xattr(GString *records, const FsXattr *xattr)
{
    const char *acl = acl_key(xattr);
    gsize len;
    const void *data = g_bytes_get_data(xattr->value, &len);

    if (!tar_can_carry_xattr(xattr)) {
        return;
    }
    if (acl) {
        g_autofree char *text = tar_acl_text(xattr->value);
        add_text(records, acl, text);
    } else {
        g_autofree char *key = g_strconcat("SCHILY.xattr.", xattr->name, NULL);
        add_record(records, key, data, len);
    }
}

/* Into the field as far as it goes.  True if that is all, in characters that all
 * readers take for the same. */
static bool put_name(char *field, size_t size, const char *name)
{
    size_t len = strlen(name);

    memcpy(field, name, MIN(len, size));
    return len <= size && g_str_is_ascii(name);
}

static void put_owner(char *field, const char *key, uint32_t id, GString *records)
{
    if (id <= SEVEN_DIGITS_MAX) {
        put_octal(field, sizeof(((TarHeader *)NULL)->uid), id);
    } else {
        put_octal(field, sizeof(((TarHeader *)NULL)->uid), 0);
        add_number(records, key, id);
    }
}

static char type_flag(const ExtractFile *file)
{
    switch (file->stat.mode & S_IFMT) {
    case S_IFDIR:
        return '5';
    case S_IFLNK:
        return '2';
    case S_IFCHR:
        return '3';
    case S_IFBLK:
        return '4';
    case S_IFIFO:
        return '6';
    default:
        return '0';
    }
}

static uint64_t data_bytes(const ExtractFile *file)
{
    uint64_t bytes = 0;

    for (guint i = 0; file->ranges && i < file->ranges->len; i++) {
        bytes += g_array_index(file->ranges, DataRange, i).length;
    }
    return bytes;
}

bool tar_is_sparse(const ExtractFile *file)
{
    return S_ISREG(file->stat.mode) && !file->link &&
           data_bytes(file) != file->stat.size;
}

/* How many ranges, then offset and length of each, a line a number.  The last one says
 * where the file ends. */
static void append_sparse_map(GString *out, const ExtractFile *file)
{
    const size_t start = out->len;
    const GArray *ranges = file->ranges;
    const DataRange *last =
        ranges->len ? &g_array_index(ranges, DataRange, ranges->len - 1) : NULL;
    bool ends_in_hole = !last || last->offset + last->length < file->stat.size;

    g_string_append_printf(out, "%u\n", ranges->len + ends_in_hole);
    for (guint i = 0; i < ranges->len; i++) {
        const DataRange *range = &g_array_index(ranges, DataRange, i);
        g_string_append_printf(out, "%" PRIu64 "\n%" PRIu64 "\n", range->offset,
                               range->length);
    }
    if (ends_in_hole) {
        g_string_append_printf(out, "%" PRIu64 "\n0\n", file->stat.size);
    }
    pad(out, out->len - start);
}

static void add_sparse_records(GString *records, const ExtractFile *file)
{
    add_text(records, "GNU.sparse.major", "1");
    add_text(records, "GNU.sparse.minor", "0");
    add_text(records, "GNU.sparse.name", file->path);
    add_number(records, "GNU.sparse.realsize", file->stat.size);
}

/* The name a sparse file has for those who do not know of sparse files. */
static char *sparse_alias(const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *base = g_path_get_basename(path);

    return g_strdup_printf("%s/GNUSparseFile.0/%s", dir, base);
}

static void append_extended(GString *out, const ExtractFile *file,
                            const GString *records)
{
    g_autofree char *base = g_path_get_basename(file->path);
    g_autofree char *name = g_strconcat("PaxHeaders/", base, NULL);
    TarHeader h = {.type = 'x'};

    put_name(h.name, sizeof(h.name), name);
    put_octal(h.mode, sizeof(h.mode), 0644);
    put_octal(h.uid, sizeof(h.uid), 0);
    put_octal(h.gid, sizeof(h.gid), 0);
    put_octal(h.size, sizeof(h.size), records->len);
    put_octal(h.mtime, sizeof(h.mtime), 0);
    append_block(out, &h);
    g_string_append_len(out, records->str, records->len);
    pad(out, records->len);
}

/* Names, in the header and beyond it where they do not fit. */
static void put_names(TarHeader *h, const ExtractFile *file, bool sparse,
                      GString *records)
{
    g_autofree char *name = S_ISDIR(file->stat.mode)
                                ? g_strconcat(file->path, "/", NULL)
                            : sparse ? sparse_alias(file->path)
                                     : g_strdup(file->path);
    const char *link = file->link ?: file->target;

    if (!g_utf8_validate(file->path, -1, NULL) ||
        (link && !g_utf8_validate(link, -1, NULL))) {
        add_text(records, "hdrcharset", "BINARY");
    }
    if (!put_name(h->name, sizeof(h->name), name) && !sparse) {
        add_text(records, "path", name);
    }
    if (link && !put_name(h->link, sizeof(h->link), link)) {
        add_text(records, "linkpath", link);
    }
}

static void put_numbers(TarHeader *h, const ExtractFile *file, uint64_t size,
                        GString *records)
{
    const FsStat *st = &file->stat;

    put_octal(h->mode, sizeof(h->mode), st->mode & 07777);
    put_owner(h->uid, "uid", st->uid, records);
    put_owner(h->gid, "gid", st->gid, records);
    put_octal(h->size, sizeof(h->size), size <= ELEVEN_DIGITS_MAX ? size : 0);
    if (size > ELEVEN_DIGITS_MAX) {
        add_number(records, "size", size);
    }
    put_octal(h->mtime, sizeof(h->mtime),
              CLAMP(st->mtime.sec, 0, (int64_t)ELEVEN_DIGITS_MAX));
    put_octal(h->major, sizeof(h->major), 0);
    put_octal(h->minor, sizeof(h->minor), 0);
    if (h->type == '3' || h->type == '4') {
        put_octal(h->major, sizeof(h->major), st->rdev_major);
        put_octal(h->minor, sizeof(h->minor), st->rdev_minor);
    }
    add_time(records, "mtime", &st->mtime);
    add_time(records, "atime", &st->atime);
    add_time(records, "ctime", &st->ctime);
}

void tar_append_header(GString *out, const ExtractFile *file, uint64_t *payload,
                       uint64_t *written)
{
    g_autoptr(GString) records = g_string_new(NULL);
    g_autoptr(GString) map = g_string_new(NULL);
    const bool sparse = tar_is_sparse(file);
    TarHeader h = {.type = file->link ? '1' : type_flag(file)};

    if (sparse) {
        append_sparse_map(map, file);
    }
    *written = map->len;
    *payload = h.type == '0' ? map->len + data_bytes(file) : 0;
    put_names(&h, file, sparse, records);
    put_numbers(&h, file, *payload, records);
    if (sparse) {
        add_sparse_records(records, file);
    }
    for (guint i = 0; file->xattrs && i < file->xattrs->len; i++) {
        add_xattr(records, g_ptr_array_index(file->xattrs, i));
    }
    append_extended(out, file, records);
    append_block(out, &h);
    g_string_append_len(out, map->str, map->len);
}
