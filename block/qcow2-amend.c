/*
 * Options of an image that is there: each takes effect with one write of the header.
 */
#include "qcow2-writer.h"

#include <errno.h>

#include "qapi/qapi-visit.h"

enum { DEFAULT_REFCOUNT_ORDER = 4 };

typedef struct Amend {
    BlockDriverState *bs;
    const BlockdevAmendOptionsQcow2 *o;
    unsigned version;
    unsigned order;
    Progress *progress;
} Amend;

static int G_GNUC_PRINTF(2, 3) refuse(GError **errp, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(errp, EMBR_ERROR, strchr(text, '\n') ? EMBR_ERROR_ADVICE : EMBR_ERROR_INVALID,
                "%s", text);
    return -EINVAL;
}

static bool has_member(const QapiType *type, const char *name)
{
    for (size_t i = 0; i < type->n_members; i++) {
        if (g_str_equal(type->members[i].name, name)) {
            return true;
        }
    }
    return false;
}

/* Options that are none, and those that are for new images only. */
static int check_names(const char *keyval, GError **errp)
{
    g_autoptr(JsonNode) node = qapi_keyval_parse(keyval, NULL, errp);
    g_autoptr(GList) names = node ? json_object_get_members(json_node_get_object(node)) : NULL;

    for (const GList *l = names; l; l = l->next) {
        if (!has_member(&qapi_type_blockdev_amend_options_qcow2, l->data)) {
            g_autofree char *name = g_strdelimit(g_strdup(l->data), "-", '_');
            return refuse(errp, "Invalid parameter '%s'%s", name,
                          has_member(&qapi_type_blockdev_create_options_qcow2, l->data)
                              ? "\nThis option is only supported for image creation"
                              : "");
        }
    }
    return node ? 0 : -EINVAL;
}

static int parse_compat(Amend *a, GError **errp)
{
    Qcow2State *s = a->bs->opaque;
    const char *compat = a->o->compat;

    a->version = s->header.version;
    if (!compat) {
        return 0;
    }
    if (g_str_equal(compat, "0.10") || g_str_equal(compat, "v2")) {
        a->version = 2;
    } else if (g_str_equal(compat, "1.1") || g_str_equal(compat, "v3")) {
        a->version = 3;
    } else {
        return refuse(errp, "Unknown compatibility level %s", compat);
    }
    return 0;
}

static int parse_width(Amend *a, GError **errp)
{
    Qcow2State *s = a->bs->opaque;
    uint32_t bits = a->o->refcount_bits;

    a->order = s->header.refcount_order;
    if (a->o->has_refcount_bits) {
        if (!is_pow2(bits) || bits > 1 << QCOW2_MAX_REFCOUNT_ORDER) {
            return refuse(errp, "Refcount width must be a power of two and may not exceed 64 "
                          "bits");
        }
        a->order = __builtin_ctz(bits);
    }
    if (a->version >= 3 || a->order == DEFAULT_REFCOUNT_ORDER) {
        return 0;
    }
    return !a->o->has_refcount_bits
               ? refuse(errp, "compat=0.10 requires refcount_bits=16")
               : refuse(errp, "Refcount widths other than 16 bits require compatibility level "
                        "1.1 or above (use compat=1.1 or greater)");
}

static bool differs(const char *wanted, const char *now)
{
    return wanted && g_strcmp0(wanted, now ? now : "") != 0;
}

static int check_files(const Amend *a, GError **errp)
{
    Qcow2State *s = a->bs->opaque;
    const BlockdevAmendOptionsQcow2 *o = a->o;

    if (differs(o->backing_file, s->header.backing_file) ||
        differs(o->backing_fmt, s->header.backing_format)) {
        return refuse(errp, "Cannot amend the backing file\n"
                      "You can use '%s rebase' instead.",
                      g_get_prgname() ? g_get_prgname() : "embr-img");
    }
    if (o->data_file && !qcow2_has_data_file(s)) {
        return refuse(errp, "data-file can only be set for images that use an external data "
                      "file");
    }
    if (o->data_file && strlen(o->data_file) > QCOW2_MAX_BACKING_NAME) {
        return refuse(errp, "the name of the data file is longer than %d bytes",
                      QCOW2_MAX_BACKING_NAME);
    }
    if (o->has_data_file_raw && o->data_file_raw && !qcow2_data_file_is_raw(s)) {
        return refuse(errp, "data-file-raw cannot be set on existing images");
    }
    return 0;
}

/* What version 2 cannot have. */
static int coroutine_fn co_check_downgrade(const Amend *a, GError **errp)
{
    Qcow2State *s = a->bs->opaque;
    uint64_t features = s->header.incompatible_features & ~(uint64_t)QCOW2_INCOMPAT_DIRTY;

    if (qcow2_has_data_file(s)) {
        return refuse(errp, "Cannot downgrade an image with a data file");
    }
    if (features) {
        return refuse(errp, "Cannot downgrade an image with incompatible features 0x%" PRIx64
                      " set", features);
    }
    if (s->header.nb_bitmaps) {
        return refuse(errp, "Cannot downgrade an image with bitmaps");
    }
    g_autoptr(GPtrArray) snapshots = qcow2_co_read_snapshots(a->bs, NULL, errp);
    for (unsigned i = 0; snapshots && i < snapshots->len; i++) {
        const Qcow2Snapshot *snapshot = snapshots->pdata[i];
        if (snapshot->vm_state_size || snapshot->disk_size != s->header.size) {
            return refuse(errp, "Internal snapshots prevent downgrade of image");
        }
    }
    return snapshots ? 0 : -EINVAL;
}

static int coroutine_fn co_check(Amend *a, GError **errp)
{
    Qcow2State *s = a->bs->opaque;
    const BlockdevAmendOptionsQcow2 *o = a->o;

    int ret = parse_compat(a, errp);
    ret = ret < 0 ? ret : parse_width(a, errp);
    ret = ret < 0 ? ret : check_files(a, errp);
    if (ret >= 0 && a->version < 3 && o->has_lazy_refcounts && o->lazy_refcounts &&
        s->header.version < 3) {
        return refuse(errp, "Lazy refcounts only supported with compatibility level 1.1 and "
                      "above (use compat=1.1 or greater)");
    }
    return ret < 0 || a->version >= 3 || s->header.version < 3 ? ret
                                                               : co_check_downgrade(a, errp);
}

/* --- Steps --- */

static int coroutine_fn co_replace(BlockDriverState *bs, Qcow2Header *h, GError **errp)
{
    int ret = qcow2_co_write_all(bs);

    ret = ret < 0 ? ret : qcow2_co_replace_header(bs, h);
    if (ret == -ENOSPC) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: the header does not fit into a cluster", bdrv_filename(bs));
    } else if (ret < 0) {
        qcow2_fail(bs, ret, "cannot write the header", errp);
    }
    return ret;
}

static int coroutine_fn co_upgrade(Amend *a, GError **errp)
{
    Qcow2State *s = a->bs->opaque;
    g_auto(Qcow2Header) header = { 0 };

    if (a->version <= s->header.version) {
        return 0;
    }
    qcow2_header_copy(&header, &s->header);
    header.version = 3;
    return co_replace(a->bs, &header, errp);
}

static int coroutine_fn co_set_fields(Amend *a, GError **errp)
{
    Qcow2State *s = a->bs->opaque;
    const BlockdevAmendOptionsQcow2 *o = a->o;
    g_auto(Qcow2Header) header = { 0 };

    if (!o->data_file && !o->has_data_file_raw && !o->has_lazy_refcounts) {
        return 0;
    }
    qcow2_header_copy(&header, &s->header);
    if (o->data_file) {
        g_free(header.data_file);
        header.data_file = *o->data_file ? g_strdup(o->data_file) : NULL;
    }
    if (o->has_data_file_raw && !o->data_file_raw) {
        header.autoclear_features &= ~(uint64_t)QCOW2_AUTOCLEAR_DATA_FILE_RAW;
    }
    if (o->has_lazy_refcounts && header.version >= 3) {
        header.compatible_features &= ~(uint64_t)QCOW2_COMPAT_LAZY_REFCOUNTS;
        header.compatible_features |= o->lazy_refcounts ? QCOW2_COMPAT_LAZY_REFCOUNTS : 0;
    }
    int ret = co_replace(a->bs, &header, errp);
    s->writer->lazy = s->header.compatible_features & QCOW2_COMPAT_LAZY_REFCOUNTS;
    return ret;
}

static int coroutine_fn co_downgrade(Amend *a, GError **errp)
{
    Qcow2State *s = a->bs->opaque;
    g_auto(Qcow2Header) header = { 0 };

    if (a->version >= s->header.version) {
        return 0;
    }
    int ret = qcow2_co_expand_zeroes(a->bs, a->progress, errp);
    if (ret < 0) {
        return ret;
    }
    ret = qcow2_co_write_all(a->bs);
    ret = ret < 0 ? ret : qcow2_co_set_dirty_bit(a->bs, false);
    if (ret < 0) {
        return qcow2_fail(a->bs, ret, "cannot write what is in memory", errp);
    }
    qcow2_header_copy(&header, &s->header);
    header.version = 2;
    header.compatible_features = header.autoclear_features = 0;
    g_clear_pointer(&header.unknown_fields, g_byte_array_unref);
    ret = co_replace(a->bs, &header, errp);
    s->writer->lazy = s->header.compatible_features & QCOW2_COMPAT_LAZY_REFCOUNTS;
    return ret;
}

static int coroutine_fn co_run(Amend *a, GError **errp)
{
    Qcow2State *s = a->bs->opaque;
    const BlockdevAmendOptionsQcow2 *o = a->o;
    int ret = co_upgrade(a, errp);

    if (ret >= 0 && a->order != s->header.refcount_order) {
        ret = qcow2_co_set_refcount_order(a->bs, a->order, a->progress, errp);
    }
    ret = ret < 0 ? ret : co_set_fields(a, errp);
    if (ret >= 0 && o->has_size) {
        ret = o->size > INT64_MAX ? refuse(errp, "Image size must be less than 8 EiB!")
                                  : qcow2_co_truncate(a->bs, o->size, PREALLOC_MODE_OFF, errp);
    }
    return ret < 0 ? ret : co_downgrade(a, errp);
}

int coroutine_fn qcow2_co_amend(BlockDriverState *bs, const char *keyval, Progress *progress,
                                GError **errp)
{
    int ret = check_names(keyval, errp);
    g_autoptr(BlockdevAmendOptionsQcow2) options =
        ret < 0 ? NULL : blockdev_amend_options_qcow2_from_keyval(keyval, NULL, errp);
    Amend a = { .bs = bs, .o = options, .progress = progress };

    if (!options) {
        return -EINVAL;
    }
    ret = co_check(&a, errp);
    if (ret < 0) {
        return ret;
    }
    ret = qcow2_co_begin_change(bs);
    return ret < 0 ? qcow2_fail(bs, ret, "cannot be changed", errp) : co_run(&a, errp);
}
