/*
 * New images: a header, and reference counts for what there is; the rest is growing to size.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "qcow2-writer.h"

#include "block/filename.h"
#include "qapi/qapi-visit.h"

enum {
    DEFAULT_CLUSTER_BYTES = 64 << 10,
    DEFAULT_REFCOUNT_BITS = 16,
    SECTOR_BYTES = 512,
    CLUSTERS = 3,                   /* header, refcount table, refcount block */
};

static bool G_GNUC_PRINTF(3, 4) refuse(const Qcow2NewImage *n, GError **errp, const char *format,
                                       ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "%s%s%s", n->filename ? n->filename : "",
                n->filename ? ": " : "", text);
    return false;
}

static bool refuse_old(const Qcow2NewImage *n, const char *what, GError **errp)
{
    return refuse(n, errp, "%s compatibility level 1.1 and above (use compat=1.1 or greater)",
                  what);
}

static bool parse_compat(Qcow2NewImage *n, GError **errp)
{
    const char *compat = n->o->compat ? n->o->compat : "1.1";

    if (g_str_equal(compat, "0.10") || g_str_equal(compat, "v2")) {
        n->version = 2;
    } else if (g_str_equal(compat, "1.1") || g_str_equal(compat, "v3")) {
        n->version = 3;
    } else {
        return refuse(n, errp, "Invalid compatibility level: '%s'", compat);
    }
    return true;
}

static bool parse_sizes(Qcow2NewImage *n, GError **errp)
{
    const BlockdevCreateOptionsQcow2 *o = n->o;
    uint64_t cluster = o->has_cluster_size ? o->cluster_size : DEFAULT_CLUSTER_BYTES;
    uint32_t bits = o->has_refcount_bits ? o->refcount_bits : DEFAULT_REFCOUNT_BITS;

    if (!is_pow2(cluster) || cluster < 1 << QCOW2_MIN_CLUSTER_BITS ||
        cluster > 1 << QCOW2_MAX_CLUSTER_BITS) {
        return refuse(n, errp, "Cluster size must be a power of two between %d and %dk",
                      1 << QCOW2_MIN_CLUSTER_BITS, 1 << (QCOW2_MAX_CLUSTER_BITS - 10));
    }
    if (!is_pow2(bits) || bits > 1 << QCOW2_MAX_REFCOUNT_ORDER) {
        return refuse(n, errp,
                      "Refcount width must be a power of two and may not exceed 64 bits");
    }
    n->cluster_bits = __builtin_ctzll(cluster);
    n->refcount_order = __builtin_ctz(bits);
    if (n->version < 3 && bits != DEFAULT_REFCOUNT_BITS) {
        return refuse_old(n, "Different refcount widths than 16 bits require", errp);
    }
    if (o->has_extended_l2 && o->extended_l2 &&
        n->cluster_bits < QCOW2_MIN_EXTENDED_CLUSTER_BITS) {
        return refuse(n, errp, "Extended L2 entries are only supported with cluster sizes of at "
                      "least %d bytes", 1 << QCOW2_MIN_EXTENDED_CLUSTER_BITS);
    }
    return true;
}

static bool check_version(const Qcow2NewImage *n, GError **errp)
{
    const BlockdevCreateOptionsQcow2 *o = n->o;

    if (n->version >= 3) {
        return true;
    }
    if (o->has_lazy_refcounts && o->lazy_refcounts) {
        return refuse_old(n, "Lazy refcounts only supported with", errp);
    }
    if (o->data_file) {
        return refuse_old(n, "External data files are only supported with", errp);
    }
    if (o->has_extended_l2 && o->extended_l2) {
        return refuse_old(n, "Extended L2 entries are only supported with", errp);
    }
    if (n->compression != QCOW2_COMPRESSION_ZLIB) {
        return refuse_old(n, "Non-zlib compression type is only supported with", errp);
    }
    return true;
}

static bool check_names(const Qcow2NewImage *n, GError **errp)
{
    const BlockdevCreateOptionsQcow2 *o = n->o;
    bool data_file_raw = o->has_data_file_raw && o->data_file_raw;
    bool extended = o->has_extended_l2 && o->extended_l2;

    if (data_file_raw && !o->data_file) {
        return refuse(n, errp, "data-file-raw requires data-file");
    }
    if (data_file_raw && o->backing_file) {
        return refuse(n, errp, "Backing file and data-file-raw cannot be used at the same time");
    }
    if (o->backing_file && n->preallocation != PREALLOC_MODE_OFF && !extended) {
        return refuse(n, errp, "Backing file and preallocation can only be used at the same "
                      "time if extended_l2 is on");
    }
    if (o->backing_file && strlen(o->backing_file) > QCOW2_MAX_BACKING_NAME) {
        return refuse(n, errp, "The name of the backing file is longer than %d bytes",
                      QCOW2_MAX_BACKING_NAME);
    }
    return true;
}

bool qcow2_new_image_parse(Qcow2NewImage *n, int64_t length, GError **errp)
{
    const BlockdevCreateOptionsQcow2 *o = n->o;
    uint64_t size = length >= 0 ? (uint64_t)length : o->has_size ? o->size : 0;

    if (size > INT64_MAX - SECTOR_BYTES) {
        return refuse(n, errp, "Image size must be less than 8 EiB!");
    }
    n->size = round_up_pow2(size, SECTOR_BYTES);
    n->compression = o->has_compression_type &&
                             o->compression_type == QCOW2_COMPRESSION_TYPE_ZSTD
                         ? QCOW2_COMPRESSION_ZSTD
                         : QCOW2_COMPRESSION_ZLIB;
    n->preallocation = o->has_preallocation ? o->preallocation : PREALLOC_MODE_OFF;
    if (o->has_data_file_raw && o->data_file_raw && n->preallocation == PREALLOC_MODE_OFF) {
        n->preallocation = PREALLOC_MODE_METADATA;
    }
    return parse_compat(n, errp) && parse_sizes(n, errp) && check_version(n, errp) &&
           check_names(n, errp);
}

/* --- The header --- */

static uint64_t incompatible_features(const Qcow2NewImage *n)
{
    const BlockdevCreateOptionsQcow2 *o = n->o;

    return (o->data_file ? QCOW2_INCOMPAT_DATA_FILE : 0) |
           (n->compression != QCOW2_COMPRESSION_ZLIB ? QCOW2_INCOMPAT_COMPRESSION : 0) |
           (o->has_extended_l2 && o->extended_l2 ? QCOW2_INCOMPAT_EXTENDED_L2 : 0);
}

/* The first cluster.  NULL: it is too small for it. */
static GByteArray *make_header(const Qcow2NewImage *n, GError **errp)
{
    const BlockdevCreateOptionsQcow2 *o = n->o;
    Qcow2Header h = {
        .version = n->version,
        .cluster_bits = n->cluster_bits,
        .refcount_table_offset = UINT64_C(1) << n->cluster_bits,
        .refcount_table_clusters = 1,
        .incompatible_features = incompatible_features(n),
        .compatible_features =
            o->has_lazy_refcounts && o->lazy_refcounts ? QCOW2_COMPAT_LAZY_REFCOUNTS : 0,
        .autoclear_features =
            o->has_data_file_raw && o->data_file_raw ? QCOW2_AUTOCLEAR_DATA_FILE_RAW : 0,
        .refcount_order = n->refcount_order,
        .compression = n->compression,
        .backing_file = o->backing_file,
        .backing_format = o->backing_file ? o->backing_fmt : NULL,
        .data_file = o->data_file,
    };
    GByteArray *out = qcow2_header_compose(&h);

    if (!out) {
        refuse(n, errp, "The names of backing file and data file do not fit into a cluster of "
               "%" PRIu64 " bytes", UINT64_C(1) << n->cluster_bits);
    }
    return out;
}

/* Header, refcount table and block. */
static bool coroutine_fn co_write_start(const Qcow2NewImage *n, BlockDriverState *file,
                                        GError **errp)
{
    uint64_t cluster = UINT64_C(1) << n->cluster_bits;
    g_autoptr(GByteArray) header = make_header(n, errp);
    g_autofree uint8_t *buf = g_malloc0(CLUSTERS * cluster);

    if (!header) {
        return false;
    }
    memcpy(buf, header->data, header->len);
    be64_store(buf + cluster, 2 * cluster);
    for (unsigned i = 0; i < CLUSTERS; i++) {
        qcow2_refcount_store(buf + 2 * cluster, n->refcount_order, i, 1);
    }
    int ret = bdrv_co_pwrite(file, 0, CLUSTERS * cluster, buf, BDRV_REQ_NONE);
    if (ret < 0) {
        error_set_errno(errp, -ret, "'%s': cannot write the header", n->filename);
    }
    return ret >= 0;
}

static bool coroutine_fn co_fill_file(const Qcow2NewImage *n, GError **errp)
{
    int flags = BDRV_O_RDWR | BDRV_O_NO_FLUSH;
    g_autoptr(BlockDriverState) file =
        bdrv_co_open_image(n->filename, NULL, flags | BDRV_O_PROTOCOL, errp);
    if (!file || !co_write_start(n, file, errp)) {
        return false;
    }
    g_autoptr(BlockDriverState) bs =
        bdrv_co_open_over(file, "qcow2", flags | BDRV_O_NO_BACKING, errp);
    return bs && bdrv_co_truncate(bs, n->size, n->preallocation, errp) >= 0 &&
           bdrv_co_finish(bs, errp) >= 0;
}

/* The file driver's, of no length; *created: it was not there before. */
static bool coroutine_fn co_create_file(const char *filename, uint64_t length, bool *created,
                                        GError **errp)
{
    g_autofree char *path = filename_to_path(filename, errp);

    if (!path) {
        return false;
    }
    *created = access(path, F_OK) < 0 && errno == ENOENT;
    return bdrv_find_driver("file")->bdrv_co_create(filename, length, NULL, errp) >= 0;
}

static void remove_file(const char *filename)
{
    g_autofree char *path = filename_to_path(filename, NULL);

    if (path) {
        unlink(path);
    }
}

static bool coroutine_fn co_create(const Qcow2NewImage *n, GError **errp)
{
    bool created = false, data_created = false;
    g_autofree char *data_file =
        n->o->data_file ? filename_resolve(n->filename, n->o->data_file) : NULL;

    if (data_file && !co_create_file(data_file, 0, &data_created, errp)) {
        return false;
    }
    bool ok = co_create_file(n->filename, 0, &created, errp) && co_fill_file(n, errp);
    if (!ok && created) {
        remove_file(n->filename);
    }
    if (!ok && data_created) {
        remove_file(data_file);
    }
    return ok;
}

int coroutine_fn qcow2_co_create(const char *filename, int64_t length, const char *keyval,
                                 GError **errp)
{
    g_autoptr(BlockdevCreateOptionsQcow2) options =
        blockdev_create_options_qcow2_from_keyval(keyval ? keyval : "", NULL, errp);
    Qcow2NewImage n = { .filename = filename, .o = options };

    if (!options || !qcow2_new_image_parse(&n, length, errp)) {
        return -EINVAL;
    }
    return co_create(&n, errp) ? 0 : -EIO;
}
