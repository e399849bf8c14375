/* The map from logical addresses to the device, and back. */
#include "btrfs.h"

enum { MAX_CHUNKS = 1 << 20 };

static gint compare_chunks(gconstpointer a, gconstpointer b)
{
    const BtrfsChunk *ca = a, *cb = b;

    return (ca->logical > cb->logical) - (ca->logical < cb->logical);
}

static gint compare_ranges(gconstpointer a, gconstpointer b)
{
    const BtrfsDeviceRange *ra = a, *rb = b;

    return (ra->physical > rb->physical) - (ra->physical < rb->physical);
}

static const char *profile_name(uint64_t type)
{
    switch (type & BTRFS_GROUP_PROFILES) {
    case 0:
        return "single";
    case BTRFS_GROUP_DUP:
        return "DUP";
    case BTRFS_GROUP_RAID0:
        return "RAID0";
    case BTRFS_GROUP_RAID1:
        return "RAID1";
    case BTRFS_GROUP_RAID1C3:
        return "RAID1C3";
    case BTRFS_GROUP_RAID1C4:
        return "RAID1C4";
    case BTRFS_GROUP_RAID10:
        return "RAID10";
    case BTRFS_GROUP_RAID5:
        return "RAID5";
    case BTRFS_GROUP_RAID6:
        return "RAID6";
    default:
        return "unknown";
    }
}

static bool G_GNUC_PRINTF(5, 6)
    chunk_error(const BtrfsState *s, GError **errp, EmbrError code, uint64_t logical,
                const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    btrfs_error(s, errp, code, logical, "chunk: %s", text);
    return false;
}

/* Of one device, all profiles but parity are runs: of stripes that alternate between
 * devices there is one, the others are copies. */
static bool check_profile(const BtrfsState *s, const BtrfsChunkItem *item,
                          uint64_t logical, GError **errp)
{
    uint64_t type = le64_get(item->type);
    uint64_t profile = type & BTRFS_GROUP_PROFILES;
    unsigned stripes = le16_get(item->num_stripes);
    unsigned most = profile & BTRFS_GROUP_MIRRORED ? BTRFS_MAX_COPIES : 1;

    if (profile & (BTRFS_GROUP_RAID5 | BTRFS_GROUP_RAID6 | BTRFS_GROUP_RAID10) ||
        (profile == BTRFS_GROUP_RAID0 && stripes > 1)) {
        return chunk_error(s, errp, EMBR_ERROR_UNSUPPORTED, logical,
                           "its profile is %s over %u stripes, which is not supported",
                           profile_name(type), stripes);
    }
    if ((profile && !is_pow2(profile)) || !stripes || stripes > most) {
        return chunk_error(s, errp, EMBR_ERROR_CORRUPT, logical,
                           "type 0x%" PRIx64 " (%s) with %u stripes, expected 1 to %u",
                           type, profile_name(type), stripes, most);
    }
    return true;
}

/* False: not a chunk, or not one that is all here. */
static bool parse_chunk(const BtrfsState *s, const BtrfsKey *key, const uint8_t *data,
                        uint32_t size, BtrfsChunk *chunk, GError **errp)
{
    const BtrfsChunkItem *item = (const BtrfsChunkItem *)data;
    uint64_t logical = key->offset;
    uint32_t sector = s->geo.sector_bytes;

    if (size < sizeof(*item) ||
        size < sizeof(*item) + le16_get(item->num_stripes) * sizeof(BtrfsStripe)) {
        return chunk_error(s, errp, EMBR_ERROR_CORRUPT, logical,
                           "its item has %u bytes, which do not hold it", size);
    }
    *chunk = (BtrfsChunk){
        .logical = logical,
        .length = le64_get(item->length),
        .type = le64_get(item->type),
    };
    if (!chunk->length || chunk->length > (uint64_t)INT64_MAX - sector ||
        logical > UINT64_MAX - chunk->length || logical % sector ||
        chunk->length % sector) {
        return chunk_error(s, errp, EMBR_ERROR_CORRUPT, logical,
                           "0x%" PRIx64 " bytes, expected a multiple of %u",
                           chunk->length, sector);
    }
    if (!check_profile(s, item, logical, errp)) {
        return false;
    }
    for (unsigned i = 0; i < le16_get(item->num_stripes); i++) {
        const BtrfsStripe *stripe = &item->stripes[i];
        uint64_t physical = le64_get(stripe->offset);

        if (le64_get(stripe->devid) != s->geo.devid) {
            continue;
        }
        if (physical > (uint64_t)INT64_MAX - chunk->length || physical % sector) {
            return chunk_error(s, errp, EMBR_ERROR_CORRUPT, logical,
                               "0x%" PRIx64 " bytes at 0x%" PRIx64 " of the device",
                               chunk->length, physical);
        }
        chunk->physical[chunk->copies++] = physical;
    }
    if (!chunk->copies) {
        return chunk_error(s, errp, EMBR_ERROR_UNSUPPORTED, logical,
                           "no copy of it is on device %" PRIu64 ", which this is",
                           s->geo.devid);
    }
    return true;
}

/* Chunks do not overlap: what came first counts. */
static void index_chunks(BtrfsState *s)
{
    uint64_t end = 0;
    guint kept = 0;

    g_array_sort(s->chunks, compare_chunks);
    for (guint i = 0; i < s->chunks->len; i++) {
        BtrfsChunk *chunk = &g_array_index(s->chunks, BtrfsChunk, i);

        if (chunk->logical >= end) {
            end = chunk->logical + chunk->length;
            g_array_index(s->chunks, BtrfsChunk, kept++) = *chunk;
        }
    }
    g_array_set_size(s->chunks, kept);
    g_array_set_size(s->stripes, 0);
    for (guint i = 0; i < kept; i++) {
        const BtrfsChunk *chunk = &g_array_index(s->chunks, BtrfsChunk, i);

        for (unsigned k = 0; k < chunk->copies; k++) {
            BtrfsDeviceRange range = {chunk->physical[k], chunk->length, chunk->logical,
                                      chunk->type};

            g_array_append_val(s->stripes, range);
        }
    }
    g_array_sort(s->stripes, compare_ranges);
    s->chunks_overlap = false;
    for (guint i = 1; i < s->stripes->len; i++) {
        const BtrfsDeviceRange *before =
            &g_array_index(s->stripes, BtrfsDeviceRange, i - 1);

        s->chunks_overlap |= before[1].physical - before->physical < before->length;
    }
}

bool btrfs_chunks_from_super(BtrfsState *s, GError **errp)
{
    const uint8_t *data = s->geo.system_chunks;
    uint32_t left = s->geo.system_chunks_bytes;

    while (left) {
        BtrfsKey key;
        BtrfsChunk chunk;

        if (left < sizeof(BtrfsDiskKey) + sizeof(BtrfsChunkItem)) {
            return chunk_error(s, errp, EMBR_ERROR_CORRUPT, s->super_offset,
                               "%u bytes are left of the superblock's", left);
        }
        key = btrfs_key_load((const BtrfsDiskKey *)data);
        data += sizeof(BtrfsDiskKey);
        left -= sizeof(BtrfsDiskKey);
        if (!parse_chunk(s, &key, data, left, &chunk, errp)) {
            return false;
        }
        g_array_append_val(s->chunks, chunk);

        uint32_t used =
            sizeof(BtrfsChunkItem) +
            le16_get(((const BtrfsChunkItem *)data)->num_stripes) * sizeof(BtrfsStripe);

        data += used;
        left -= used;
    }
    index_chunks(s);
    return true;
}

bool coroutine_fn btrfs_chunks_co_load(BtrfsState *s, GError **errp)
{
    BtrfsTree tree = {
        .id = BTRFS_CHUNK_TREE,
        .bytenr = s->geo.chunk_root,
        .generation = s->geo.chunk_root_generation,
        .level = s->geo.chunk_root_level,
    };
    BtrfsKey key = {BTRFS_FIRST_FREE_OBJECT, BTRFS_CHUNK_ITEM, 0};
    g_autoptr(GArray) chunks = g_array_new(FALSE, FALSE, sizeof(BtrfsChunk));
    g_auto(BtrfsCursor) c = {0};

    btrfs_cursor_init(&c, s, &tree);
    if (!btrfs_cursor_co_seek(&c, &key, errp)) {
        g_prefix_error(errp, "chunk tree: ");
        return false;
    }
    while (btrfs_cursor_is(&c, key.objectid, key.type)) {
        BtrfsChunk chunk;

        if (chunks->len >= MAX_CHUNKS) {
            return chunk_error(s, errp, EMBR_ERROR_LIMIT, c.key.offset,
                               "there are more than %d", MAX_CHUNKS);
        }
        if (!parse_chunk(s, &c.key, c.data, c.size, &chunk, errp)) {
            return false;
        }
        g_array_append_val(chunks, chunk);
        if (!btrfs_cursor_co_next(&c, errp)) {
            g_prefix_error(errp, "chunk tree: ");
            return false;
        }
    }
    /* Those of the superblock are among them, and were good enough to read this tree.
     */
    g_array_append_vals(s->chunks, chunks->data, chunks->len);
    index_chunks(s);
    return true;
}

const BtrfsChunk *btrfs_chunk_find(const BtrfsState *s, uint64_t logical)
{
    guint low = 0, high = s->chunks->len;

    while (low < high) {
        guint middle = (low + high) / 2;
        const BtrfsChunk *chunk = &g_array_index(s->chunks, BtrfsChunk, middle);

        if (logical < chunk->logical) {
            high = middle;
        } else if (logical - chunk->logical >= chunk->length) {
            low = middle + 1;
        } else {
            return chunk;
        }
    }
    return NULL;
}

const BtrfsDeviceRange *btrfs_device_range_find(const BtrfsState *s, uint64_t physical)
{
    guint low = 0, high = s->stripes->len;

    while (low < high) {
        guint middle = (low + high) / 2;
        const BtrfsDeviceRange *range =
            &g_array_index(s->stripes, BtrfsDeviceRange, middle);

        if (physical < range->physical + range->length) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low < s->stripes->len ? &g_array_index(s->stripes, BtrfsDeviceRange, low)
                                 : NULL;
}

unsigned btrfs_chunk_copies(const BtrfsState *s, uint64_t logical)
{
    const BtrfsChunk *chunk = btrfs_chunk_find(s, logical);

    return chunk ? chunk->copies : 0;
}

bool btrfs_chunk_map(const BtrfsState *s, uint64_t logical, uint64_t bytes,
                     unsigned copy, uint64_t *physical, GError **errp)
{
    const BtrfsChunk *chunk = btrfs_chunk_find(s, logical);

    if (!chunk || copy >= chunk->copies ||
        !range_fits(logical - chunk->logical, bytes, chunk->length)) {
        btrfs_error(s, errp, EMBR_ERROR_CORRUPT, logical,
                    "%" PRIu64 " bytes (copy %u) are in no chunk", bytes, copy);
        return false;
    }
    *physical = chunk->physical[copy] + (logical - chunk->logical);
    return true;
}

bool coroutine_fn btrfs_logical_co_read(BtrfsState *s, uint64_t logical, uint64_t bytes,
                                        unsigned copy, void *buf, const char *what,
                                        GError **errp)
{
    uint64_t volume = blk_length(s->fs->blk), physical;

    if (!btrfs_chunk_map(s, logical, bytes, copy, &physical, errp)) {
        g_prefix_error(errp, "%s: ", what);
        return false;
    }
    if (!range_fits(physical, bytes, volume)) {
        btrfs_error(s, errp, EMBR_ERROR_CORRUPT, logical,
                    "%s (%" PRIu64 " bytes at 0x%" PRIx64
                    " of the device) reaches past the end of the volume (0x%" PRIx64
                    ")",
                    what, bytes, physical, volume);
        return false;
    }
    return blk_co_read(s->fs->blk, physical, bytes, buf, what, errp);
}
