#include "qcow2-writer.h"

#include "util/byte-reader.h"

/* What is known of the place while a header is parsed. */
typedef struct HeaderParser {
    Qcow2Header *h;
    const uint8_t *buf;
    size_t len;
    uint64_t file_bytes;
    const char *name;
    GString *feature_names;         /* raw feature name table */
} HeaderParser;

static bool G_GNUC_PRINTF(4, 5) refuse(const HeaderParser *p, GError **errp, EmbrError code,
                                       const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(errp, EMBR_ERROR, code, "%s: %s", p->name, text);
    return false;
}

static uint64_t cluster_bytes(const HeaderParser *p)
{
    return UINT64_C(1) << p->h->cluster_bits;
}

size_t qcow2_header_bytes_wanted(const uint8_t *buf, size_t len)
{
    const Qcow2DiskHeader *disk = (const Qcow2DiskHeader *)buf;

    if (len < QCOW2_V2_HEADER_BYTES || be32_get(disk->magic) != QCOW2_MAGIC) {
        return 0;
    }
    uint32_t bits = be32_get(disk->cluster_bits);
    return (size_t)1 << CLAMP(bits, QCOW2_MIN_CLUSTER_BITS, QCOW2_MAX_CLUSTER_BITS);
}

static bool parse_v3_fields(HeaderParser *p, const Qcow2DiskHeader *disk, GError **errp)
{
    Qcow2Header *h = p->h;

    if (p->len < QCOW2_V3_HEADER_BYTES) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "file of %zu bytes is too short for a version 3 header (%d bytes)",
                      p->len, QCOW2_V3_HEADER_BYTES);
    }
    h->incompatible_features = be64_get(disk->incompatible_features);
    h->compatible_features = be64_get(disk->compatible_features);
    h->autoclear_features = be64_get(disk->autoclear_features);
    h->refcount_order = be32_get(disk->refcount_order);
    h->header_length = be32_get(disk->header_length);

    if (h->header_length < QCOW2_V3_HEADER_BYTES || h->header_length > cluster_bytes(p) ||
        h->header_length % 8) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "header length is %" PRIu32 ", expected a multiple of 8 from %d to "
                      "the cluster size (%" PRIu64 ")",
                      h->header_length, QCOW2_V3_HEADER_BYTES, cluster_bytes(p));
    }
    if (h->header_length > p->len) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "header length is %" PRIu32 ", past the end of the file (%zu)",
                      h->header_length, p->len);
    }
    if (h->header_length > sizeof(*disk)) {
        h->unknown_fields = g_byte_array_new();
        g_byte_array_append(h->unknown_fields, p->buf + sizeof(*disk),
                            h->header_length - sizeof(*disk));
    }
    return true;
}

/* Once the extensions are known, as the names of features are in one of them. */
static bool check_features(const HeaderParser *p, GError **errp)
{
    uint64_t unknown = p->h->incompatible_features & ~(uint64_t)QCOW2_INCOMPAT_KNOWN;
    if (!unknown) {
        return true;
    }

    const Qcow2DiskFeatureName *names = (const void *)p->feature_names->str;
    size_t count = p->feature_names->len / sizeof(*names);
    g_autoptr(GString) list = g_string_new(NULL);

    for (unsigned bit = 0; bit < 64; bit++) {
        if (!(unknown >> bit & 1)) {
            continue;
        }
        g_autofree char *name = NULL;
        for (size_t i = 0; i < count && !name; i++) {
            if (names[i].type == QCOW2_FEATURE_INCOMPATIBLE && names[i].bit == bit) {
                g_autofree char *raw = g_strndup(names[i].name, sizeof(names[i].name));
                name = *raw ? g_strescape(raw, NULL) : NULL;
            }
        }
        if (name) {
            g_string_append_printf(list, "%s'%s' (bit %u)", list->len ? ", " : "", name, bit);
        } else {
            g_string_append_printf(list, "%sbit %u", list->len ? ", " : "", bit);
        }
    }
    return refuse(p, errp, EMBR_ERROR_UNSUPPORTED,
                  "qcow2 image uses incompatible features that are not supported: %s",
                  list->str);
}

static bool check_compression(const HeaderParser *p, const Qcow2DiskHeader *disk,
                              GError **errp)
{
    Qcow2Header *h = p->h;
    size_t end = offsetof(Qcow2DiskHeader, compression_type) + 1;
    unsigned type = h->version >= 3 && h->header_length >= end ? disk->compression_type : 0;
    bool flagged = h->incompatible_features & QCOW2_INCOMPAT_COMPRESSION;

    if (flagged != (type != QCOW2_COMPRESSION_ZLIB)) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "compression type is %u, but the incompatible feature bit for it is %s",
                      type, flagged ? "set" : "not set");
    }
    if (type > QCOW2_COMPRESSION_ZSTD) {
        return refuse(p, errp, EMBR_ERROR_UNSUPPORTED,
                      "compression type %u is not supported (0 is zlib, 1 is zstd)", type);
    }
    h->compression = type;
    return true;
}

static bool check_encryption(const HeaderParser *p, uint32_t method, GError **errp)
{
    switch (method) {
    case QCOW2_CRYPT_NONE:
        return true;
    case QCOW2_CRYPT_AES:
        return refuse(p, errp, EMBR_ERROR_UNSUPPORTED,
                      "qcow2 image is encrypted with AES, which is not supported");
    case QCOW2_CRYPT_LUKS:
        return refuse(p, errp, EMBR_ERROR_UNSUPPORTED,
                      "qcow2 image is encrypted with LUKS, which is not supported");
    default:
        return refuse(p, errp, EMBR_ERROR_UNSUPPORTED,
                      "qcow2 image is encrypted with unknown method %" PRIu32, method);
    }
}

static bool check_alignment(const HeaderParser *p, const char *what, uint64_t offset,
                            GError **errp)
{
    if (offset & (cluster_bytes(p) - 1)) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "%s is at offset 0x%" PRIx64 ", which is not aligned to clusters of "
                      "%" PRIu64 " bytes",
                      what, offset, cluster_bytes(p));
    }
    return true;
}

/* A table must be aligned to clusters and lie in the file. */
static bool check_table(const HeaderParser *p, const char *what, uint64_t offset,
                        uint64_t bytes, GError **errp)
{
    if (!check_alignment(p, what, offset, errp)) {
        return false;
    }
    if (!range_fits(offset, bytes, p->file_bytes)) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "%s of %" PRIu64 " bytes at offset 0x%" PRIx64 " reaches past the end "
                      "of the file (0x%" PRIx64 ")",
                      what, bytes, offset, p->file_bytes);
    }
    return true;
}

static bool check_tables(const HeaderParser *p, GError **errp)
{
    Qcow2Header *h = p->h;
    bool extended = h->incompatible_features & QCOW2_INCOMPAT_EXTENDED_L2;
    unsigned l2_coverage_bits = h->cluster_bits + h->cluster_bits - (extended ? 4 : 3);
    uint64_t l1_needed = div_round_up(h->size, UINT64_C(1) << l2_coverage_bits);
    uint64_t l1_bytes = (uint64_t)h->l1_size * 8;
    uint64_t refcount_bytes = (uint64_t)h->refcount_table_clusters << h->cluster_bits;

    if (h->size > INT64_MAX) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "disk size is %" PRIu64 " bytes, beyond 2^63", h->size);
    }
    if (l1_bytes > QCOW2_MAX_L1_BYTES) {
        return refuse(p, errp, EMBR_ERROR_LIMIT,
                      "L1 table has %" PRIu32 " entries, more than the %d supported",
                      h->l1_size, QCOW2_MAX_L1_BYTES / 8);
    }
    if (h->l1_size < l1_needed) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "L1 table has %" PRIu32 " entries, too few for a disk of %" PRIu64
                      " bytes, which needs %" PRIu64,
                      h->l1_size, h->size, l1_needed);
    }
    if (refcount_bytes == 0 || refcount_bytes > QCOW2_MAX_REFCOUNT_TABLE_BYTES) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "refcount table has %" PRIu32 " clusters, expected 1 to %" PRIu64,
                      h->refcount_table_clusters,
                      (uint64_t)QCOW2_MAX_REFCOUNT_TABLE_BYTES >> h->cluster_bits);
    }
    if (h->nb_snapshots > QCOW2_MAX_SNAPSHOTS) {
        return refuse(p, errp, EMBR_ERROR_LIMIT,
                      "image has %" PRIu32 " snapshots, more than the %d supported",
                      h->nb_snapshots, QCOW2_MAX_SNAPSHOTS);
    }
    return check_table(p, "L1 table", h->l1_table_offset, l1_bytes, errp) &&
           check_table(p, "refcount table", h->refcount_table_offset, refcount_bytes, errp) &&
           (h->nb_snapshots == 0 ||
            check_alignment(p, "snapshot table", h->snapshots_offset, errp));
}

static bool check_geometry(const HeaderParser *p, GError **errp)
{
    Qcow2Header *h = p->h;
    bool extended = h->incompatible_features & QCOW2_INCOMPAT_EXTENDED_L2;
    bool data_file = h->incompatible_features & QCOW2_INCOMPAT_DATA_FILE;

    if (h->refcount_order > QCOW2_MAX_REFCOUNT_ORDER) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "refcount order is %" PRIu32 ", expected 0 to %d (1 to 64 bits)",
                      h->refcount_order, QCOW2_MAX_REFCOUNT_ORDER);
    }
    if (extended && h->cluster_bits < QCOW2_MIN_EXTENDED_CLUSTER_BITS) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "cluster bits are %" PRIu32 ", expected at least %d with extended L2 "
                      "entries",
                      h->cluster_bits, QCOW2_MIN_EXTENDED_CLUSTER_BITS);
    }
    if (!data_file && (h->autoclear_features & QCOW2_AUTOCLEAR_DATA_FILE_RAW)) {
        h->autoclear_features &= ~(uint64_t)QCOW2_AUTOCLEAR_DATA_FILE_RAW;
    }
    if (data_file && h->nb_snapshots) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "image with an external data file has %" PRIu32 " internal snapshots, "
                      "expected none",
                      h->nb_snapshots);
    }
    return check_tables(p, errp);
}

static bool parse_bitmaps_extension(HeaderParser *p, const uint8_t *data, size_t len,
                                    GError **errp)
{
    Qcow2Header *h = p->h;

    if (!(h->autoclear_features & QCOW2_AUTOCLEAR_BITMAPS)) {
        return true;
    }
    Qcow2DiskBitmapsExtension ext;
    if (len != sizeof(ext)) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "bitmaps extension has %zu bytes, expected %zu", len, sizeof(ext));
    }
    memcpy(&ext, data, sizeof(ext));
    h->nb_bitmaps = be32_get(ext.nb_bitmaps);
    h->bitmap_directory_offset = be64_get(ext.directory_offset);
    h->bitmap_directory_bytes = be64_get(ext.directory_size);

    if (h->nb_bitmaps == 0 || h->nb_bitmaps > QCOW2_MAX_BITMAPS) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "bitmaps extension has %" PRIu32 " bitmaps, expected 1 to %d",
                      h->nb_bitmaps, QCOW2_MAX_BITMAPS);
    }
    if (h->bitmap_directory_bytes > QCOW2_MAX_BITMAP_DIRECTORY_BYTES ||
        h->bitmap_directory_bytes < (uint64_t)h->nb_bitmaps * sizeof(Qcow2DiskBitmap)) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "bitmap directory of %" PRIu32 " bitmaps has %" PRIu64 " bytes",
                      h->nb_bitmaps, h->bitmap_directory_bytes);
    }
    return check_table(p, "bitmap directory", h->bitmap_directory_offset,
                       h->bitmap_directory_bytes, errp);
}

/* A string extension into *field; appears once, has no NUL inside. */
static bool take_string(const HeaderParser *p, const char *what, const void *data, size_t len,
                        char **field, GError **errp)
{
    if (*field) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT, "header has two extensions for the %s",
                      what);
    }
    if (len > QCOW2_MAX_BACKING_NAME || memchr(data, 0, len)) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "%s in the header is no string of at most %d bytes without NUL", what,
                      QCOW2_MAX_BACKING_NAME);
    }
    *field = g_strndup(data, len);
    return true;
}

/* Kept as it is, for when the header is written anew. */
static bool keep_extension(HeaderParser *p, uint32_t type, const uint8_t *data, size_t len)
{
    if (!p->h->unknown_extensions) {
        p->h->unknown_extensions = g_byte_array_new();
    }
    qcow2_add_extension(p->h->unknown_extensions, type, data, len);
    return true;
}

static bool parse_extension(HeaderParser *p, uint32_t type, const uint8_t *data, size_t len,
                            GError **errp)
{
    switch (type) {
    case QCOW2_EXTENSION_BACKING_FORMAT:
        return take_string(p, "backing format", data, len, &p->h->backing_format, errp);
    case QCOW2_EXTENSION_DATA_FILE:
        return take_string(p, "data file name", data, len, &p->h->data_file, errp);
    case QCOW2_EXTENSION_FEATURE_NAMES:
        g_string_append_len(p->feature_names, (const char *)data, len);
        return true;
    case QCOW2_EXTENSION_BITMAPS:
        return parse_bitmaps_extension(p, data, len, errp);
    default:
        return keep_extension(p, type, data, len);
    }
}

/* The area between the header and the backing file name, or the cluster's end. */
static bool parse_extensions(HeaderParser *p, uint64_t area_end, GError **errp)
{
    uint64_t end = MIN(area_end, p->len);
    uint64_t pos = p->h->header_length;

    p->h->extensions_end = pos;
    while (range_fits(pos, sizeof(Qcow2DiskExtension), end)) {
        uint32_t type = be32_load(p->buf + pos);
        uint32_t len = be32_load(p->buf + pos + 4);
        if (type == QCOW2_EXTENSION_END) {
            p->h->extensions_end = pos + sizeof(Qcow2DiskExtension);
            return true;
        }
        pos += sizeof(Qcow2DiskExtension);
        if (!range_fits(pos, len, end)) {
            return refuse(p, errp, EMBR_ERROR_CORRUPT,
                          "header extension 0x%08" PRIx32 " at offset 0x%" PRIx64
                          " has %" PRIu32 " bytes, past the end of the extension area "
                          "(0x%" PRIx64 ")",
                          type, pos - sizeof(Qcow2DiskExtension), len, end);
        }
        if (!parse_extension(p, type, p->buf + pos, len, errp)) {
            return false;
        }
        pos += round_up_pow2(len, 8);
        p->h->extensions_end = MIN(pos, end);
    }
    return true;
}

static bool parse_backing_file(HeaderParser *p, uint64_t offset, uint32_t len, GError **errp)
{
    if (len > QCOW2_MAX_BACKING_NAME) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "backing file name has %" PRIu32 " bytes, expected at most %d", len,
                      QCOW2_MAX_BACKING_NAME);
    }
    if (offset < p->h->header_length || !range_fits(offset, len, MIN(cluster_bytes(p), p->len))) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT,
                      "backing file name of %" PRIu32 " bytes at offset 0x%" PRIx64
                      " is not within the header's cluster",
                      len, offset);
    }
    if (len == 0) {
        return true;
    }
    if (memchr(p->buf + offset, 0, len)) {
        return refuse(p, errp, EMBR_ERROR_CORRUPT, "backing file name contains NUL");
    }
    p->h->backing_file = g_strndup((const char *)p->buf + offset, len);
    p->h->backing_file_offset = offset;
    return true;
}

static bool parse(HeaderParser *p, GError **errp)
{
    const Qcow2DiskHeader *disk = (const Qcow2DiskHeader *)p->buf;
    Qcow2Header *h = p->h;

    if (p->len < QCOW2_V2_HEADER_BYTES) {
        return refuse(p, errp, EMBR_ERROR_FORMAT,
                      "file of %zu bytes is too short for a qcow2 header (%d bytes)", p->len,
                      QCOW2_V2_HEADER_BYTES);
    }
    if (be32_get(disk->magic) != QCOW2_MAGIC) {
        return refuse(p, errp, EMBR_ERROR_FORMAT,
                      "file is not in qcow2 format: it begins with 0x%08" PRIx32
                      ", expected 0x%08x",
                      be32_get(disk->magic), QCOW2_MAGIC);
    }
    h->version = be32_get(disk->version);
    if (h->version < 2 || h->version > 3) {
        return refuse(p, errp, EMBR_ERROR_UNSUPPORTED,
                      "qcow2 version %" PRIu32 " is not supported, only 2 and 3 are",
                      h->version);
    }
    h->cluster_bits = be32_get(disk->cluster_bits);
    if (h->cluster_bits < QCOW2_MIN_CLUSTER_BITS || h->cluster_bits > QCOW2_MAX_CLUSTER_BITS) {
        return refuse(p, errp, EMBR_ERROR_UNSUPPORTED,
                      "cluster bits are %" PRIu32 ", expected %d to %d (512 bytes to 2 MiB)",
                      h->cluster_bits, QCOW2_MIN_CLUSTER_BITS, QCOW2_MAX_CLUSTER_BITS);
    }
    h->size = be64_get(disk->size);
    h->l1_size = be32_get(disk->l1_size);
    h->l1_table_offset = be64_get(disk->l1_table_offset);
    h->refcount_table_offset = be64_get(disk->refcount_table_offset);
    h->refcount_table_clusters = be32_get(disk->refcount_table_clusters);
    h->nb_snapshots = be32_get(disk->nb_snapshots);
    h->snapshots_offset = be64_get(disk->snapshots_offset);
    h->refcount_order = 4;
    h->header_length = QCOW2_V2_HEADER_BYTES;
    if (h->version >= 3 && !parse_v3_fields(p, disk, errp)) {
        return false;
    }

    uint64_t backing_offset = be64_get(disk->backing_file_offset);
    return (backing_offset == 0 ||
            parse_backing_file(p, backing_offset, be32_get(disk->backing_file_size), errp)) &&
           parse_extensions(p, backing_offset ? backing_offset : cluster_bytes(p), errp) &&
           check_features(p, errp) &&
           check_encryption(p, be32_get(disk->crypt_method), errp) &&
           check_compression(p, disk, errp) && check_geometry(p, errp);
}

bool qcow2_header_parse(Qcow2Header *header, const uint8_t *buf, size_t len,
                        uint64_t file_bytes, const char *name, GError **errp)
{
    *header = (Qcow2Header){ 0 };
    g_autoptr(GString) feature_names = g_string_new(NULL);
    HeaderParser p = {
        .h = header,
        .buf = buf,
        .len = len,
        .file_bytes = file_bytes,
        .name = name,
        .feature_names = feature_names,
    };

    if (!parse(&p, errp)) {
        qcow2_header_clear(header);
        return false;
    }
    return true;
}

void qcow2_header_clear(Qcow2Header *header)
{
    g_clear_pointer(&header->backing_file, g_free);
    g_clear_pointer(&header->backing_format, g_free);
    g_clear_pointer(&header->data_file, g_free);
    g_clear_pointer(&header->unknown_fields, g_byte_array_unref);
    g_clear_pointer(&header->unknown_extensions, g_byte_array_unref);
}

void qcow2_header_copy(Qcow2Header *copy, const Qcow2Header *header)
{
    *copy = *header;
    copy->backing_file = g_strdup(header->backing_file);
    copy->backing_format = g_strdup(header->backing_format);
    copy->data_file = g_strdup(header->data_file);
    if (copy->unknown_fields) {
        g_byte_array_ref(copy->unknown_fields);
    }
    if (copy->unknown_extensions) {
        g_byte_array_ref(copy->unknown_extensions);
    }
}
