/*
 * Opening: files, the formats in them, the chains behind them.
 */
#include "block/block-int.h"
#include "block/filename.h"
#include "block/foreign.h"
#include "describe.h"
#include "qapi/qapi-visit.h"

enum {
    LAYERS_PER_STACK = 8,       /* of a chain, before reads go on on a new coroutine */
};

static BlockDriverState *coroutine_fn co_open_node(const BlockdevOptions *options, int flags,
                                                   GError **errp);

/* Of the backing image of what is opened with flags. */
static int backing_flags(int flags)
{
    int depth = flags >> BDRV_O_DEPTH_SHIFT;
    int kept = flags & (BDRV_O_NOCACHE | BDRV_O_FORCE_SHARE | BDRV_O_NO_IO | BDRV_O_NO_FLUSH |
                        BDRV_O_UNMAP);

    return kept | (depth == 1 ? BDRV_O_RDWR : 0) |
           BDRV_O_RDWR_BELOW(depth > 1 ? depth - 1 : 0);
}

/* Lets the driver open bs.  On failure bs is gone. */
static BlockDriverState *coroutine_fn co_open_by_driver(BlockDriverState *bs,
                                                        const BlockdevOptions *options,
                                                        GError **errp)
{
    GError *error = NULL;
    int ret = bs->drv->bdrv_co_open(bs, options, bs->open_flags, &error);

    if (ret >= 0) {
        return bs;
    }
    if (!error) {
        error_set_errno(&error, -ret, "'%s'", bs->filename);
    }
    g_propagate_error(errp, error);
    bdrv_unref(bs);
    return NULL;
}

static BlockDriverState *coroutine_fn co_open_file(const BlockDriver *drv,
                                                   const char *filename,
                                                   const BlockdevOptions *options, int flags,
                                                   GError **errp)
{
    g_autofree char *path = filename_to_path(filename, errp);

    if (!path) {
        return NULL;
    }
    return co_open_by_driver(bdrv_new_node(drv, path, flags, NULL), options, errp);
}

/* Locks the host's file for what drv, on top of it, does to it. */
static bool set_permissions(BlockDriverState *file, const BlockDriver *drv, int flags,
                            GError **errp)
{
    unsigned used = flags & BDRV_O_NO_IO ? 0 : BDRV_PERM_READ;
    unsigned unshared = 0;

    if (!file->drv->bdrv_set_permissions) {
        return true;
    }
    if (!bdrv_is_read_only(file)) {
        used |= BDRV_PERM_WRITE | BDRV_PERM_RESIZE;
    }
    if (drv && drv->owns_file && !(flags & BDRV_O_FORCE_SHARE)) {
        unshared = BDRV_PERM_WRITE | BDRV_PERM_RESIZE;
    }
    if (file->drv->bdrv_set_permissions(file, used, unshared, errp)) {
        return true;
    }
    g_prefix_error(errp, "'%s': ", file->filename);
    return false;
}

BlockDriverState *coroutine_fn bdrv_co_open_child(BlockDriverState *parent, const char *name,
                                                  int flags, GError **errp)
{
    g_autofree char *filename = filename_resolve(parent->filename, name);
    g_autoptr(BlockDriverState) file = co_open_file(bdrv_find_driver("file"), filename, NULL, flags, errp);
    return file && set_permissions(file, NULL, flags, errp) ? g_steal_pointer(&file) : NULL;
}

typedef struct Probe {
    uint8_t buf[BDRV_PROBE_BYTES];
    size_t len;
    const BlockDriver *best;
    int best_score;
} Probe;

static void probe_driver(const BlockDriver *drv, void *opaque)
{
    Probe *probe = opaque;
    int score = drv->bdrv_probe ? drv->bdrv_probe(probe->buf, probe->len) : 0;

    if (score > probe->best_score) {
        probe->best = drv;
        probe->best_score = score;
    }
}

static Probe *coroutine_fn co_read_probe(BlockDriverState *file, GError **errp)
{
    g_autofree Probe *probe = g_new0(Probe, 1);

    probe->len = MIN(bdrv_length(file), BDRV_PROBE_BYTES);
    int ret = bdrv_co_pread(file, 0, probe->len, probe->buf, BDRV_REQ_NONE);
    if (ret < 0) {
        g_clear_error(&file->error);
        error_set_errno(errp, -ret, "'%s': cannot read the image's header", file->filename);
        return NULL;
    }
    return g_steal_pointer(&probe);
}

/* The driver that knows the content best; raw is for what nobody else knows. */
static const BlockDriver *detect_driver(Probe *probe, const char *filename, GError **errp)
{
    bdrv_foreach_driver(probe_driver, probe);
    const char *foreign = probe->best_score <= BDRV_PROBE_RAW_SCORE
                              ? foreign_format(probe->buf, probe->len)
                              : NULL;

    if (foreign) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "'%s': images of format %s cannot be read; format raw has the file's own "
                    "bytes", filename, foreign);
        return NULL;
    }
    return probe->best;
}

/* The driver for the image in file: the one asked for, if the content may be of
 * it, or the one that knows it best. */
static const BlockDriver *coroutine_fn co_choose_driver(BlockDriverState *file,
                                                        const char *format, GError **errp)
{
    const BlockDriver *drv = format ? bdrv_find_driver(format) : NULL;

    if (format && !drv) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED, "'%s': Unknown driver '%s'",
                    file->filename, format);
        return NULL;
    }
    if (format && g_str_equal(format, "raw")) {
        /* Any content is: there is nothing to look at. */
        return drv;
    }
    g_autofree Probe *probe = co_read_probe(file, errp);
    if (!probe) {
        return NULL;
    }
    if (!drv) {
        return detect_driver(probe, file->filename, errp);
    }
    if (drv->bdrv_probe && drv->bdrv_probe(probe->buf, probe->len) == 0) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_FORMAT,
                    "'%s': Image is not in %s format", file->filename, format);
        return NULL;
    }
    return drv;
}

/* A format over file, without its backing chain.  Takes file. */
static BlockDriverState *coroutine_fn co_open_format(BlockDriverState *file,
                                                     const char *format,
                                                     const BlockdevOptions *options,
                                                     int flags, GError **errp)
{
    g_autoptr(BlockDriverState) owned = file;
    const BlockDriver *drv = co_choose_driver(file, format, errp);

    if (!drv) {
        return NULL;
    }
    if (bdrv_is_read_only(file)) {
        flags &= ~BDRV_O_RDWR;
    }
    if (!set_permissions(file, drv, flags, errp)) {
        return NULL;
    }
    if (drv->is_protocol) {
        return g_steal_pointer(&owned);
    }
    if ((flags & BDRV_O_RDWR) && !drv->bdrv_co_pwritev) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "'%s': images of format %s cannot be written to", file->filename,
                    drv->format_name);
        return NULL;
    }
    BlockDriverState *bs = bdrv_new_node(drv, file->filename, flags,
                                         g_steal_pointer(&owned));
    return co_open_by_driver(bs, options, errp);
}

/* The driver of the image in the file that is described. */
static const BlockDriver *coroutine_fn co_probe_described(JsonNode *file, int flags,
                                                          GError **errp)
{
    g_autoptr(BlockdevOptions) options =
        qapi_object_from_options(&qapi_type_blockdev_options, file, errp);
    g_autoptr(BlockDriverState) bs =
        options ? co_open_node(options, flags & ~BDRV_O_RDWR, errp) : NULL;
    g_autofree Probe *probe = bs ? co_read_probe(bs, errp) : NULL;
    return probe ? detect_driver(probe, bs->filename, errp) : NULL;
}

/* What a description is of, that may leave things out, without its backing chain. */
static BlockDriverState *coroutine_fn co_open_incomplete(const char *filename,
                                                         const char *format,
                                                         JsonObject *given, int *flags,
                                                         GError **errp)
{
    g_autoptr(JsonNode) owner = json_node_alloc();
    JsonObject *node = json_object_new();

    json_node_init_object(owner, node);
    json_object_unref(node);
    if (given) {
        g_autoptr(JsonNode) copy = json_node_init_object(json_node_alloc(), given);
        g_autofree char *text = json_to_string(copy, FALSE);
        g_autoptr(JsonNode) own = qapi_json_parse(text, -1, errp);
        if (!own) {
            return NULL;
        }
        node = json_node_get_object(own);
        json_node_set_object(owner, node);
    }
    const char *problem = filename && json_object_has_member(node, "filename") ? "filename"
                          : format && json_object_has_member(node, "driver")   ? "driver"
                                                                               : NULL;
    if (problem) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s' is given twice, as an option of the node, too", problem);
        return NULL;
    }
    if (filename) {
        json_object_set_string_member(node, "filename", filename);
    }
    if (format && !(*flags & BDRV_O_PROTOCOL)) {
        json_object_set_string_member(node, "driver", format);
    }
    g_autoptr(BlockdevOptions) options =
        describe_co_read(node, flags, co_probe_described, errp);
    return options ? co_open_node(options, *flags, errp) : NULL;
}

/* The one image of that name, without its backing chain. */
static BlockDriverState *coroutine_fn co_open_layer(const char *filename, const char *format,
                                                    int flags, GError **errp)
{
    if (describe_is_special(filename)) {
        return co_open_incomplete(filename, format, NULL, &flags, errp);
    }
    BlockDriverState *file = co_open_file(bdrv_find_driver("file"), filename, NULL, flags, errp);
    if (file && (flags & BDRV_O_PROTOCOL) && !set_permissions(file, NULL, flags, errp)) {
        g_clear_pointer(&file, bdrv_unref);
    }
    if (!file || (flags & BDRV_O_PROTOCOL)) {
        return file;
    }
    return co_open_format(file, format, NULL, flags, errp);
}

static BlockdevOptions *options_file(const BlockdevOptions *options)
{
    switch (options->driver) {
    case BLOCKDEV_DRIVER_BLKDEBUG:
        return options->u.blkdebug.image;
    case BLOCKDEV_DRIVER_COPY_ON_READ:
        return options->u.copy_on_read.file;
    case BLOCKDEV_DRIVER_ENGRAM:
        return options->u.engram.file;
    case BLOCKDEV_DRIVER_QCOW2:
        return options->u.qcow2.file;
    case BLOCKDEV_DRIVER_RAW:
        return options->u.raw.file;
    default:
        return NULL;
    }
}

static BlockdevOptions *options_backing(const BlockdevOptions *options)
{
    switch (options->driver) {
    case BLOCKDEV_DRIVER_ENGRAM:
        return options->u.engram.backing;
    case BLOCKDEV_DRIVER_QCOW2:
        return options->u.qcow2.backing;
    default:
        return NULL;
    }
}

static int set_flag(int flags, int flag, bool given, bool value)
{
    return !given ? flags : value ? flags | flag : flags & ~flag;
}

/* The flags that every description can have. */
static int add_flags(const BlockdevOptions *o, int flags)
{
    if (o->has_read_only && o->read_only) {
        flags &= ~BDRV_O_RDWR;
    }
    flags = set_flag(flags, BDRV_O_AUTO_RDONLY, o->has_auto_read_only, o->auto_read_only);
    flags = set_flag(flags, BDRV_O_FORCE_SHARE, o->has_force_share, o->force_share);
    flags = set_flag(flags, BDRV_O_UNMAP, o->has_discard,
                     o->discard == BLOCKDEV_DISCARD_OPTIONS_UNMAP ||
                         o->discard == BLOCKDEV_DISCARD_OPTIONS_ON);
    if (o->cache) {
        flags = set_flag(flags, BDRV_O_NOCACHE, o->cache->has_direct, o->cache->direct);
        flags = set_flag(flags, BDRV_O_NO_FLUSH, o->cache->has_no_flush, o->cache->no_flush);
    }
    return flags;
}

/* Over file, which it takes. */
static BlockDriverState *coroutine_fn co_open_filter(const BlockDriver *drv,
                                                     BlockDriverState *file,
                                                     const BlockdevOptions *options,
                                                     int flags, GError **errp)
{
    flags = bdrv_is_read_only(file) ? flags & ~BDRV_O_RDWR : flags;
    return co_open_by_driver(bdrv_new_node(drv, file->filename, flags, file), options, errp);
}

/* A node with the children that its description names. */
static BlockDriverState *coroutine_fn co_open_node(const BlockdevOptions *options, int flags,
                                                   GError **errp)
{
    flags = add_flags(options, flags);
    if (options->driver == BLOCKDEV_DRIVER_FILE ||
        options->driver == BLOCKDEV_DRIVER_HOST_DEVICE) {
        const char *driver = qapi_enum_str(&qapi_type_blockdev_driver, options->driver);
        return co_open_file(bdrv_find_driver(driver), options->u.file.filename, options, flags,
                            errp);
    }
    const char *format = qapi_enum_str(&qapi_type_blockdev_driver, options->driver);
    const BlockDriver *drv = bdrv_find_driver(format);
    if (options->driver == BLOCKDEV_DRIVER_NULL_CO) {
        return co_open_by_driver(bdrv_new_node(drv, "null-co://", flags, NULL), options, errp);
    }
    BlockDriverState *file =
        options->driver == BLOCKDEV_DRIVER_COPY_ON_READ
            ? bdrv_co_open(options_file(options), flags, errp)
            : co_open_node(options_file(options), flags, errp);
    if (!file) {
        return NULL;
    }
    if (!drv->bdrv_probe) {
        return co_open_filter(drv, file, options, flags, errp);
    }
    g_autoptr(BlockDriverState) bs = co_open_format(file, format, options, flags, errp);
    BlockdevOptions *backing = options_backing(options);
    if (bs && backing && !(flags & BDRV_O_NO_BACKING)) {
        bs->backing = co_open_node(backing, backing_flags(flags), errp);
        if (!bs->backing) {
            return NULL;
        }
    }
    return g_steal_pointer(&bs);
}

static guint identity_hash(gconstpointer key)
{
    const BlockIdentity *identity = key;
    uint64_t inode = identity->inode ^ identity->device * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
    return g_int64_hash(&inode);
}

static gboolean identity_equal(gconstpointer a, gconstpointer b)
{
    const BlockIdentity *x = a, *y = b;
    return x->device == y->device && x->inode == y->inode;
}

/* False if one of the layers above bs is in the same file. */
static bool note_layer(GHashTable *seen, BlockDriverState *bs)
{
    BlockIdentity identity = bdrv_identity(bs);

    return (identity.device == 0 && identity.inode == 0) ||
           g_hash_table_add(seen, g_memdup2(&identity, sizeof(identity)));
}

static BlockDriverState *coroutine_fn co_open_backing(BlockDriverState *bs, int flags,
                                                      GError **errp)
{
    g_autofree char *filename = bdrv_full_backing_filename(bs);
    BlockDriverState *backing = co_open_layer(filename, bs->backing_format, flags, errp);

    if (!backing) {
        g_prefix_error(errp, "Could not open backing file of '%s': ", bs->filename);
    }
    return backing;
}

/* Opens what lies behind top, layer by layer. */
static bool coroutine_fn co_open_chain(BlockDriverState *top, int flags, GError **errp)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(identity_hash, identity_equal,
                                                       g_free, NULL);
    bool with_backing = !(flags & BDRV_O_NO_BACKING);

    note_layer(seen, top);
    for (unsigned depth = 1;; depth++) {
        flags = backing_flags(flags);
        if (!top->backing && top->backing_filename && with_backing) {
            top->backing = co_open_backing(top, flags, errp);
            if (!top->backing) {
                return false;
            }
        }
        if (!top->backing) {
            return true;
        }
        if (!note_layer(seen, top->backing)) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                        "Could not open backing file of '%s': '%s': the backing chain is "
                        "a loop, this file is in it already", top->filename,
                        top->backing->filename);
            return false;
        }
        top = top->backing;
        top->new_stack = depth % LAYERS_PER_STACK == 0;
    }
}

/* Completes what was opened as one layer; takes bs. */
static BlockDriverState *coroutine_fn co_finish_open(BlockDriverState *bs, int flags,
                                                     GError **errp)
{
    g_autoptr(BlockDriverState) top = bs;

    if (!top) {
        if (errp && *errp && (*errp)->message[0] == '\'') {
            g_prefix_error(errp, "Could not open ");
        }
        return NULL;
    }
    if (!co_open_chain(top, flags, errp)) {
        return NULL;
    }
    return g_steal_pointer(&top);
}

BlockDriverState *coroutine_fn bdrv_co_open_image(const char *filename, const char *format,
                                                  int flags, GError **errp)
{
    return co_finish_open(co_open_layer(filename, format, flags, errp), flags, errp);
}

BlockDriverState *coroutine_fn bdrv_co_open_described(const char *filename,
                                                      const char *format,
                                                      JsonObject *options, int flags,
                                                      GError **errp)
{
    if (filename && !options) {
        return bdrv_co_open_image(filename, format, flags, errp);
    }
    BlockDriverState *bs = co_open_incomplete(filename, format, options, &flags, errp);
    return co_finish_open(bs, flags, errp);
}

BlockDriverState *coroutine_fn bdrv_co_open(const BlockdevOptions *options, int flags,
                                            GError **errp)
{
    return co_finish_open(co_open_node(options, flags, errp), flags, errp);
}

BlockDriverState *coroutine_fn bdrv_co_open_over(BlockDriverState *file, const char *format,
                                                 int flags, GError **errp)
{
    BlockDriverState *bs = co_open_format(bdrv_ref(file), format, NULL, flags, errp);
    return co_finish_open(bs, flags, errp);
}

char *bdrv_full_backing_filename(const BlockDriverState *bs)
{
    return bs->backing_filename ? filename_resolve(bs->filename, bs->backing_filename) : NULL;
}

bool coroutine_fn bdrv_co_create_image(const char *filename, const char *format,
                                       int64_t length, const char *keyval, GError **errp)
{
    const BlockDriver *drv = bdrv_find_driver(format);
    GError *error = NULL;

    if (!drv) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED, "Unknown driver '%s'", format);
        return false;
    }
    if (!drv->bdrv_co_create) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "Empty images of format %s cannot be created", format);
        return false;
    }
    if (drv->bdrv_co_create(filename, length, keyval, &error) < 0) {
        g_propagate_prefixed_error(errp, error, "Could not create ");
        return false;
    }
    return true;
}
