/*
 * engram: an image in an engram, as a node.
 */
#include <errno.h>
#include "block/block-int.h"
#include "block/filename.h"
#include "engram/check.h"
#include "engram/manifest.h"
#include "engram/reader.h"
#include "engram/sink.h"
#include "qapi/qapi-visit.h"

enum {
    OPT_TRANSFER_BYTES = 1 << 20,
    CLUSTER_BYTES      = 4096,          /* what check counts in */
};

typedef struct EngramState {
    EngramReader *reader;               /* NULL: damaged, opened to be checked */
} EngramState;

/* Either slot may be the good one. */
static int engram_probe(const uint8_t *buf, size_t len)
{
    for (size_t at = 0; at < ENGRAM_OBJECTS_START; at += ENGRAM_SLOT_BYTES) {
        if (range_fits(at, ENGRAM_MAGIC_BYTES, len) &&
            memcmp(buf + at, ENGRAM_MAGIC, ENGRAM_MAGIC_BYTES) == 0) {
            return 100;
        }
    }
    return 0;
}

static void show_image(BlockDriverState *bs)
{
    EngramState *s = bs->opaque;

    bs->total_bytes = engram_reader_image(s->reader)->virtual_size;
}

static int coroutine_fn engram_co_open(BlockDriverState *bs,
                                       const BlockdevOptions *options, int flags,
                                       GError **errp)
{
    EngramState *s = bs->opaque;
    const BlockdevOptionsEngram *own = options ? &options->u.engram : NULL;
    uint64_t cache_bytes = own && own->has_cache_size ? own->cache_size : 0;
    GError *error = NULL;

    s->reader =
        engram_reader_co_open(bs->file, own ? own->image : NULL, cache_bytes, &error);
    if (!s->reader && (flags & BDRV_O_CHECK) &&
        g_error_matches(error, EMBR_ERROR, EMBR_ERROR_CORRUPT)) {
        /* The check says what is wrong, if it finds a commit to start from. */
        g_autoptr(EngramFile) f = engram_file_co_open(bs->file, NULL);
        if (f) {
            g_error_free(error);
            return 0;
        }
    }
    if (!s->reader) {
        int ret = error_to_errno(error);
        g_propagate_error(errp, error);
        return ret;
    }
    bs->limits.opt_transfer = OPT_TRANSFER_BYTES;
    show_image(bs);
    return 0;
}

static void engram_close(BlockDriverState *bs)
{
    EngramState *s = bs->opaque;

    g_clear_pointer(&s->reader, engram_reader_free);
}

static int note(BlockDriverState *bs, GError *error)
{
    int ret = error_to_errno(error);

    bdrv_note_error(bs, error);
    return ret;
}

static int coroutine_fn engram_co_preadv(BlockDriverState *bs, int64_t offset,
                                         int64_t bytes, const IOVector *iov,
                                         size_t iov_offset, BdrvRequestFlags flags)
{
    EngramState *s = bs->opaque;
    GError *error = NULL;

    if (!engram_reader_co_read(s->reader, offset, bytes, iov, iov_offset, &error)) {
        return note(bs, error);
    }
    return 0;
}

static int coroutine_fn engram_co_pin(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      BdrvPin *pin)
{
    EngramState *s = bs->opaque;
    GError *error = NULL;
    int ret = engram_reader_co_pin(s->reader, offset, bytes, &pin->iov, pin->held, &error);

    return ret < 0 ? note(bs, error) : ret == 0 ? -ENOTSUP : 0;
}

static void engram_unpin(BlockDriverState *bs, BdrvPin *pin)
{
    EngramState *s = bs->opaque;

    engram_reader_unpin(s->reader, pin->held);
}

static int coroutine_fn engram_co_block_status(BlockDriverState *bs, int64_t offset,
                                               int64_t bytes, int64_t *pnum,
                                               int64_t *map, BlockDriverState **file)
{
    EngramState *s = bs->opaque;
    GError *error = NULL;
    EngramContent content;
    uint64_t n;

    if (!engram_reader_co_status(s->reader, offset, bytes, &content, &n, &error)) {
        return note(bs, error);
    }
    *pnum = n;
    switch (content) {
    case ENGRAM_CONTENT_DROPPED:
        return 0;
    case ENGRAM_CONTENT_ZERO:
        return BDRV_BLOCK_ZERO | BDRV_BLOCK_ALLOCATED;
    case ENGRAM_CONTENT_DATA:
        break;
    }
    return BDRV_BLOCK_DATA | BDRV_BLOCK_ALLOCATED | BDRV_BLOCK_COMPRESSED;
}

static char *hex(const uint8_t *bytes, size_t len)
{
    GString *text = g_string_sized_new(2 * len);

    for (size_t i = 0; i < len; i++) {
        g_string_append_printf(text, "%02x", bytes[i]);
    }
    return g_string_free(text, FALSE);
}

static char *uuid_text(const uint8_t *uuid)
{
    g_autofree char *digits = hex(uuid, ENGRAM_UUID_BYTES);

    return g_strdup_printf("%.8s-%.4s-%.4s-%.4s-%.12s", digits, digits + 8, digits + 12,
                           digits + 16, digits + 20);
}

static EngramImageInfo *coroutine_fn co_image_info(EngramFile *f,
                                                   const EngramImage *image,
                                                   GError **errp)
{
    g_autoptr(EngramImageInfo) info = engram_image_info_new0();

    info->name = g_strdup(image->name);
    info->virtual_size = image->virtual_size;
    info->created = timestamp_new0();
    info->created->sec = image->created_ns / 1000000000;
    info->created->nsec = image->created_ns % 1000000000;
    info->root_digest = hex(image->root_digest, sizeof(image->root_digest));
    if (!engram_ref_is_none(&image->manifest)) {
        g_autoptr(EngramManifestReader) manifest =
            engram_manifest_co_open(f, image, errp);
        if (!manifest) {
            return NULL;
        }
        info->has_files = true;
        info->files = manifest->n_entries;
    }
    if (*image->info) {
        info->stats = engram_image_stats_from_json_text(image->info, -1, errp);
        if (!info->stats) {
            g_prefix_error(errp, "%s: info of image '%s': ", bdrv_filename(f->file),
                           image->name);
            return NULL;
        }
    }
    return g_steal_pointer(&info);
}

static ImageInfoSpecificEngram *coroutine_fn co_specific_info(EngramReader *r,
                                                              GError **errp)
{
    g_autoptr(ImageInfoSpecificEngram) info = image_info_specific_engram_new0();
    EngramFile *f = engram_reader_file(r);
    EngramFrameTotals totals;

    if (!engram_file_co_frame_totals(f, &totals, errp)) {
        return NULL;
    }
    info->version = ENGRAM_VERSION;
    info->uuid = uuid_text(f->uuid);
    info->has_sequence = true;
    info->sequence = f->sequence;
    info->chunks = le64_get(f->commit.chunks);
    info->frames = totals.frames;
    info->data_bytes = totals.data_bytes;
    info->stored_bytes = totals.stored_bytes;
    info->image = g_strdup(engram_reader_image(r)->name);
    info->images = engram_image_info_list_new();
    for (uint32_t i = 0; i < f->n_images; i++) {
        g_autoptr(EngramImage) image = engram_file_co_image(f, i, errp);
        EngramImageInfo *entry = image ? co_image_info(f, image, errp) : NULL;

        if (!entry) {
            return NULL;
        }
        g_ptr_array_add(info->images, entry);
    }
    return g_steal_pointer(&info);
}

/* Open for the check only: there is no image to be had. */
static bool check_readable(BlockDriverState *bs, GError **errp)
{
    EngramState *s = bs->opaque;

    if (!s->reader) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: the engram is damaged and was opened for a check only",
                    bs->filename);
    }
    return s->reader != NULL;
}

static int coroutine_fn engram_co_get_info(BlockDriverState *bs, ImageInfo *info,
                                           GError **errp)
{
    EngramState *s = bs->opaque;
    GError *error = NULL;

    if (!check_readable(bs, errp)) {
        return -EIO;
    }
    g_autoptr(ImageInfoSpecificEngram) own = co_specific_info(s->reader, &error);

    if (!own) {
        int ret = error_to_errno(error);
        g_propagate_error(errp, error);
        return ret;
    }
    info->has_compressed = true;
    info->compressed = true;
    info->format_specific = image_info_specific_new0();
    info->format_specific->type = IMAGE_INFO_SPECIFIC_KIND_ENGRAM;
    info->format_specific->u.engram.data = g_steal_pointer(&own);
    return 0;
}

static void add_finding(const char *text, void *opaque)
{
    bdrv_add_finding(opaque, "ERROR %s", text);
}

static int coroutine_fn engram_co_check_image(BlockDriverState *bs, ImageCheck *check,
                                              unsigned fix, GError **errp)
{
    EngramCheckResult result;
    GError *error = NULL;

    if (fix) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "This image format does not support repairs");
        return -ENOTSUP;
    }

    if (!engram_co_check(bs->file, NULL, add_finding, bs, &result, &error)) {
        int ret = error_to_errno(error);
        g_propagate_error(errp, error);
        return ret;
    }
    check->check_errors = result.check_errors;
    check->has_corruptions = result.corruptions > 0;
    check->corruptions = result.corruptions;
    check->has_image_end_offset = true;
    check->image_end_offset = result.end;
    check->total_clusters = div_round_up(result.disk_bytes, CLUSTER_BYTES);
    check->allocated_clusters = div_round_up(result.data_bytes, CLUSTER_BYTES);
    check->fragmented_clusters = div_round_up(result.scattered_bytes, CLUSTER_BYTES);
    check->compressed_clusters = div_round_up(result.compressed_bytes, CLUSTER_BYTES);
    check->has_total_clusters = check->total_clusters != 0;
    check->has_allocated_clusters = check->allocated_clusters != 0;
    check->has_fragmented_clusters = check->fragmented_clusters != 0;
    check->has_compressed_clusters = check->compressed_clusters != 0;
    return 0;
}

/* An engram's images take the place of internal snapshots: -l NAME. */
static int coroutine_fn engram_co_load_snapshot(BlockDriverState *bs,
                                                const char *id_or_name, GError **errp)
{
    EngramState *s = bs->opaque;
    GError *error = NULL;

    if (!check_readable(bs, errp)) {
        return -EIO;
    }
    if (!engram_reader_co_select(s->reader, id_or_name, &error)) {
        int ret = error_to_errno(error);
        g_propagate_error(errp, error);
        return ret;
    }
    show_image(bs);
    return 0;
}

static void engram_set_salvage(BlockDriverState *bs, SalvageLog *log)
{
    EngramState *s = bs->opaque;

    engram_reader_set_salvage(s->reader, log);
}

static bool engram_content_digest(BlockDriverState *bs,
                                  uint8_t digest[BDRV_DIGEST_BYTES])
{
    EngramState *s = bs->opaque;

    if (!s->reader) {
        return false;
    }
    memcpy(digest, engram_reader_image(s->reader)->root_digest, BDRV_DIGEST_BYTES);
    return true;
}

static int coroutine_fn engram_co_ingest(const char *filename, BlockDriverState *src,
                                         const char *keyval, Progress *progress,
                                         GError **errp)
{
    g_autofree char *path = filename_to_path(filename, errp);
    g_autoptr(BlockdevCreateOptionsEngram) options =
        path ? blockdev_create_options_engram_from_keyval(keyval ? keyval : "", NULL,
                                                          errp)
             : NULL;
    GError *error = NULL;

    if (!options) {
        return -EINVAL;
    }
    if (!engram_sink_co_encode(src, path, options, progress, &error)) {
        int ret = error_to_errno(error);
        g_propagate_error(errp, error);
        return ret;
    }
    return 0;
}

static BlockDriver bdrv_engram;

EngramReader *engram_reader_of_node(BlockDriverState *bs)
{
    const EngramState *s = bs->opaque;

    return bs->drv == &bdrv_engram ? s->reader : NULL;
}

static BlockDriver bdrv_engram = {
    .format_name            = "engram",
    .instance_size          = sizeof(EngramState),
    .bdrv_probe             = engram_probe,
    .bdrv_co_open           = engram_co_open,
    .bdrv_close             = engram_close,
    .bdrv_co_preadv         = engram_co_preadv,
    .bdrv_co_pin            = engram_co_pin,
    .bdrv_unpin             = engram_unpin,
    .bdrv_co_block_status   = engram_co_block_status,
    .bdrv_co_get_info       = engram_co_get_info,
    .owns_file              = true,
    .bdrv_co_check          = engram_co_check_image,
    .bdrv_co_load_snapshot  = engram_co_load_snapshot,
    .bdrv_set_salvage       = engram_set_salvage,
    .bdrv_content_digest    = engram_content_digest,
    .bdrv_co_ingest         = engram_co_ingest,
};
block_init(bdrv_engram)
