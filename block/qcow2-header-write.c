/*
 * The header written anew, so that a crash at any point leaves the old one or the new one.
 *
 * A sector is written whole or not at all.  The first one has the header's fields and then
 * the extensions that matter, so it alone decides what the image is; the name of the backing
 * image is put where nothing was before.  Names of features, which are for people, come last,
 * and are left out for the moment in which what is behind the first sector changes.
 *
 * Only where a data file's name or extensions of others are so long that they do not end in
 * the first sector, or where a cluster has no room for two names, all is written at once.
 */
#include "qcow2-writer.h"

enum {
    SECTOR_BYTES = 512,
    END_BYTES = sizeof(Qcow2DiskExtension),
    SMALL_CLUSTER_BYTES = 4096,     /* up to this size room in the header is for names of files */
};

/* What goes where. */
typedef struct Layout {
    GByteArray *bytes;              /* fields and extensions */
    size_t core_end;                /* of what matters; an end mark may follow */
    size_t name_at;                 /* the name of the backing image */
    size_t end;
} Layout;

void qcow2_add_extension(GByteArray *out, uint32_t type, const void *data, size_t len)
{
    static const uint8_t zeroes[8];
    Qcow2DiskExtension ext = { be32_make(type), be32_make(len) };

    g_byte_array_append(out, (const uint8_t *)&ext, sizeof(ext));
    g_byte_array_append(out, data, len);
    g_byte_array_append(out, zeroes, round_up_pow2(len, 8) - len);
}

static void add_string(GByteArray *out, uint32_t type, const char *text)
{
    if (text) {
        qcow2_add_extension(out, type, text, strlen(text));
    }
}

/* The names of features, for programs that do not know them. */
static void add_feature_names(GByteArray *out)
{
    static const Qcow2DiskFeatureName names[] = {
        { 0, 0, "dirty bit" },          { 0, 1, "corrupt bit" },
        { 0, 2, "external data file" }, { 0, 3, "compression type" },
        { 0, 4, "extended L2 entries" },
        { 1, 0, "lazy refcounts" },
        { 2, 0, "bitmaps" },            { 2, 1, "raw external data" },
    };
    qcow2_add_extension(out, QCOW2_EXTENSION_FEATURE_NAMES, names, sizeof(names));
}

static void add_bitmaps(GByteArray *out, const Qcow2Header *h)
{
    Qcow2DiskBitmapsExtension ext = {
        .nb_bitmaps = be32_make(h->nb_bitmaps),
        .directory_size = be64_make(h->bitmap_directory_bytes),
        .directory_offset = be64_make(h->bitmap_directory_offset),
    };
    if (h->nb_bitmaps) {
        qcow2_add_extension(out, QCOW2_EXTENSION_BITMAPS, &ext, sizeof(ext));
    }
}

static void add_fields(GByteArray *out, const Qcow2Header *h)
{
    bool v3 = h->version >= 3;
    size_t unknown = v3 && h->unknown_fields ? h->unknown_fields->len : 0;
    Qcow2DiskHeader disk = {
        .magic = be32_make(QCOW2_MAGIC),
        .version = be32_make(h->version),
        .cluster_bits = be32_make(h->cluster_bits),
        .size = be64_make(h->size),
        .crypt_method = be32_make(QCOW2_CRYPT_NONE),
        .l1_size = be32_make(h->l1_size),
        .l1_table_offset = be64_make(h->l1_table_offset),
        .refcount_table_offset = be64_make(h->refcount_table_offset),
        .refcount_table_clusters = be32_make(h->refcount_table_clusters),
        .nb_snapshots = be32_make(h->nb_snapshots),
        .snapshots_offset = be64_make(h->snapshots_offset),
        .incompatible_features = be64_make(h->incompatible_features),
        .compatible_features = be64_make(h->compatible_features),
        .autoclear_features = be64_make(h->autoclear_features),
        .refcount_order = be32_make(h->refcount_order),
        .header_length = be32_make(sizeof(disk) + unknown),
        .compression_type = h->compression,
    };
    g_byte_array_append(out, (const uint8_t *)&disk,
                        v3 ? sizeof(disk) : QCOW2_V2_HEADER_BYTES);
    if (unknown) {
        g_byte_array_append(out, h->unknown_fields->data, unknown);
    }
}

static void set_name(Layout *l, const Qcow2Header *h, size_t at)
{
    size_t len = h->backing_file ? strlen(h->backing_file) : 0;
    Qcow2DiskHeader *head = (Qcow2DiskHeader *)l->bytes->data;

    l->name_at = at;
    l->end = len ? at + len : l->bytes->len;
    head->backing_file_offset = be64_make(len ? at : 0);
    head->backing_file_size = be32_make(len);
}

/* The name right behind the extensions. */
static Layout lay_out(const Qcow2Header *h)
{
    Layout l = { .bytes = g_byte_array_new() };

    add_fields(l.bytes, h);
    add_string(l.bytes, QCOW2_EXTENSION_BACKING_FORMAT, h->backing_format);
    add_bitmaps(l.bytes, h);
    add_string(l.bytes, QCOW2_EXTENSION_DATA_FILE, h->data_file);
    if (h->unknown_extensions) {
        g_byte_array_append(l.bytes, h->unknown_extensions->data, h->unknown_extensions->len);
    }
    l.core_end = l.bytes->len;
    if (h->version >= 3 && UINT64_C(1) << h->cluster_bits > SMALL_CLUSTER_BYTES) {
        add_feature_names(l.bytes);
    }
    qcow2_add_extension(l.bytes, QCOW2_EXTENSION_END, "", 0);
    set_name(&l, h, l.bytes->len);
    return l;
}

/* All of it, filled up with zeroes to so many bytes. */
static GByteArray *put_together(const Layout *l, const Qcow2Header *h, size_t bytes)
{
    GByteArray *out = g_byte_array_new();

    g_byte_array_set_size(out, bytes);
    memset(out->data, 0, bytes);
    memcpy(out->data, l->bytes->data, l->bytes->len);
    if (h->backing_file) {
        memcpy(out->data + l->name_at, h->backing_file, strlen(h->backing_file));
    }
    return out;
}

GByteArray *qcow2_header_compose(const Qcow2Header *h)
{
    Layout l = lay_out(h);
    GByteArray *out = l.end <= UINT64_C(1) << h->cluster_bits ? put_together(&l, h, l.end)
                                                              : NULL;
    g_byte_array_unref(l.bytes);
    return out;
}

static size_t name_end(const Qcow2Header *h)
{
    return h->backing_file ? h->backing_file_offset + strlen(h->backing_file) : 0;
}

/* Whether the name may be written there while the old header is in force. */
static bool is_free(const Qcow2Header *old, const Layout *l, size_t at, size_t len)
{
    size_t first = MAX(l->bytes->len, SECTOR_BYTES);

    return at >= MAX(first, old->extensions_end) &&
           (at >= name_end(old) || at + len <= old->backing_file_offset);
}

/* Puts the name where it does no harm; false: there is no such place. */
static bool place_name(const Qcow2Header *old, const Qcow2Header *h, Layout *l)
{
    size_t len = h->backing_file ? strlen(h->backing_file) : 0;
    size_t behind = MAX(MAX(l->bytes->len, SECTOR_BYTES), old->extensions_end);
    size_t places[] = { behind, MAX(behind, name_end(old)) };

    if (l->end <= SECTOR_BYTES || !len) {
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        if (is_free(old, l, places[i], len) &&
            places[i] + len <= UINT64_C(1) << h->cluster_bits) {
            set_name(l, h, places[i]);
            return true;
        }
    }
    return false;
}

static int coroutine_fn co_write(BlockDriverState *bs, size_t offset, size_t end,
                                 const GByteArray *bytes)
{
    end = MIN(end, bytes->len);
    return offset < end ? qcow2_co_write_header(bs, offset, bytes->data + offset, end - offset)
                        : 0;
}

/* The first sector without what is of no consequence, and then all. *switched: the new
 * header is in force. */
static int coroutine_fn co_write_safely(BlockDriverState *bs, const Layout *l,
                                        const GByteArray *bytes, bool *switched)
{
    g_autoptr(GByteArray) first = g_byte_array_new();

    g_byte_array_append(first, bytes->data, MIN(bytes->len, SECTOR_BYTES));
    memset(first->data + l->core_end, 0, MIN(END_BYTES, first->len - l->core_end));
    int ret = l->name_at >= SECTOR_BYTES ? co_write(bs, l->name_at, l->end, bytes) : 0;
    if (ret >= 0) {
        ret = co_write(bs, 0, SECTOR_BYTES, first);
        *switched = ret >= 0;
    }
    ret = ret < 0 ? ret : co_write(bs, SECTOR_BYTES, bytes->len, bytes);
    return ret < 0 || l->bytes->len <= l->core_end + END_BYTES
               ? ret
               : co_write(bs, 0, SECTOR_BYTES, bytes);
}

static void exchange(Qcow2State *s, Qcow2Header *h)
{
    Qcow2Header kept = s->header;

    s->header = *h;
    *h = kept;
}

int coroutine_fn qcow2_co_replace_fields(BlockDriverState *bs, Qcow2Header *h)
{
    Qcow2State *s = bs->opaque;
    g_autoptr(GByteArray) fields = g_byte_array_new();
    size_t first = offsetof(Qcow2DiskHeader, cluster_bits);

    add_fields(fields, h);
    g_byte_array_set_size(fields, h->version < 3
                                      ? QCOW2_V2_HEADER_BYTES
                                      : offsetof(Qcow2DiskHeader, header_length));
    int ret = qcow2_co_write_header(bs, first, fields->data + first, fields->len - first);
    if (ret >= 0) {
        exchange(s, h);
    }
    return ret;
}

int coroutine_fn qcow2_co_replace_header(BlockDriverState *bs, Qcow2Header *h)
{
    Qcow2State *s = bs->opaque;
    const Qcow2Header *old = &s->header;
    Layout l = lay_out(h);
    bool switched = false;
    int ret = -ENOSPC;

    if (l.end <= s->cluster_bytes) {
        bool safe = place_name(old, h, &l) && l.core_end + END_BYTES <= SECTOR_BYTES;
        size_t bytes = MIN(MAX(MAX(l.end, SECTOR_BYTES), MAX(old->extensions_end, name_end(old))),
                           s->cluster_bytes);
        g_autoptr(GByteArray) all = put_together(&l, h, bytes);
        ret = safe ? co_write_safely(bs, &l, all, &switched) : co_write(bs, 0, bytes, all);
        switched = switched || ret >= 0;
    }
    if (switched) {
        h->backing_file_offset = h->backing_file ? l.name_at : 0;
        h->extensions_end = l.bytes->len;
        h->header_length = h->version < 3 ? QCOW2_V2_HEADER_BYTES
                                          : be32_get(((Qcow2DiskHeader *)l.bytes->data)
                                                         ->header_length);
        exchange(s, h);
    }
    g_byte_array_unref(l.bytes);
    return ret;
}

/* NULL, or why the image cannot have that backing image. */
static const char *check_backing(const Qcow2State *s, const char *filename, const char *format)
{
    if (format && !filename) {
        return "a backing format without a backing file";
    }
    if (filename && strlen(filename) > QCOW2_MAX_BACKING_NAME) {
        return "the name of the backing file is longer than 1023 bytes";
    }
    if (format && strlen(format) > QCOW2_MAX_BACKING_NAME) {
        return "the name of the backing format is longer than 1023 bytes";
    }
    if (filename && qcow2_data_file_is_raw(s)) {
        return "images with data-file-raw have no backing file";
    }
    return NULL;
}

static void set_string(char **field, const char *text)
{
    g_free(*field);
    *field = g_strdup(text);
}

int coroutine_fn qcow2_co_change_backing(BlockDriverState *bs, const char *filename,
                                         const char *format, GError **errp)
{
    Qcow2State *s = bs->opaque;
    filename = filename && *filename ? filename : NULL;
    const char *reason = check_backing(s, filename, format);
    g_auto(Qcow2Header) header = { 0 };

    if (reason) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "%s: %s", bdrv_filename(bs), reason);
        return -EINVAL;
    }
    int ret = qcow2_co_begin_change(bs);
    ret = ret < 0 ? ret : qcow2_co_write_all(bs);
    if (ret >= 0) {
        qcow2_header_copy(&header, &s->header);
        set_string(&header.backing_file, filename);
        set_string(&header.backing_format, format);
        ret = qcow2_co_replace_header(bs, &header);
    }
    set_string(&bs->backing_filename, s->header.backing_file);
    set_string(&bs->backing_format, s->header.backing_format);
    if (ret == -ENOSPC) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: the names of the backing image do not fit into the header's cluster of "
                    "%" PRIu32 " bytes", bdrv_filename(bs), s->cluster_bytes);
    } else if (ret < 0) {
        qcow2_fail(bs, ret, "cannot change the backing file", errp);
    }
    return ret;
}
