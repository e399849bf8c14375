/* Tree blocks: read through the cache, checked, of whichever copy is good. */
#include "btrfs.h"

/* Copies of one block are told apart in the cache by what is added to its address. */
enum { COPY_STEP = 128 };

G_STATIC_ASSERT(BTRFS_MAX_COPIES *COPY_STEP <= BTRFS_MIN_SECTOR_BYTES);

BtrfsKey btrfs_node_key(const uint8_t *node, unsigned i)
{
    return btrfs_key_load(btrfs_node_level(node) ? &btrfs_node_ptr(node, i)->key
                                                 : &btrfs_leaf_item(node, i)->key);
}

static bool G_GNUC_PRINTF(4, 5) node_error(const BtrfsState *s, uint64_t bytenr,
                                           GError **errp, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    btrfs_error(s, errp, EMBR_ERROR_CORRUPT, bytenr, "tree block: %s", text);
    return false;
}

static bool check_head(const BtrfsState *s, const uint8_t *data, uint64_t bytenr,
                       GError **errp)
{
    const BtrfsHeader *head = (const BtrfsHeader *)data;
    uint8_t sum[BTRFS_CSUM_BYTES];

    btrfs_csum(s->geo.csum_type, head->fsid, s->geo.node_bytes - sizeof(head->csum),
               sum);
    if (memcmp(sum, head->csum, btrfs_csum_bytes(s->geo.csum_type))) {
        g_autofree char *found = btrfs_csum_text(s->geo.csum_type, head->csum);
        g_autofree char *expected = btrfs_csum_text(s->geo.csum_type, sum);

        return node_error(s, bytenr, errp, "checksum is %s, expected %s", found,
                          expected);
    }
    if (le64_get(head->bytenr) != bytenr) {
        return node_error(s, bytenr, errp, "is meant for 0x%" PRIx64,
                          le64_get(head->bytenr));
    }
    if (memcmp(head->fsid, s->geo.fsid, BTRFS_UUID_BYTES)) {
        return node_error(s, bytenr, errp, "UUID is another filesystem's");
    }
    if (head->level >= BTRFS_MAX_LEVELS) {
        return node_error(s, bytenr, errp, "level is %u, expected at most %d",
                          head->level, BTRFS_MAX_LEVELS - 1);
    }
    return true;
}

static bool check_items(const BtrfsState *s, const uint8_t *data, uint64_t bytenr,
                        GError **errp)
{
    uint32_t room = s->geo.node_bytes - sizeof(BtrfsHeader);
    unsigned count = btrfs_node_count(data);
    bool is_leaf = btrfs_node_level(data) == 0;
    uint32_t each = is_leaf ? sizeof(BtrfsItem) : sizeof(BtrfsKeyPtr);
    BtrfsKey before = {0};

    if (count > room / each || (!count && !is_leaf)) {
        return node_error(s, bytenr, errp, "%u items, expected at most %u", count,
                          room / each);
    }
    for (unsigned i = 0; i < count; i++) {
        BtrfsKey key = btrfs_node_key(data, i);

        if (i && btrfs_key_compare(&before, &key) >= 0) {
            return node_error(s, bytenr, errp, "item %u is not in order", i);
        }
        before = key;
        if (is_leaf) {
            const BtrfsItem *item = btrfs_leaf_item(data, i);
            uint32_t offset = le32_get(item->offset);

            if (offset < count * each ||
                !range_fits(offset, le32_get(item->size), room)) {
                return node_error(s, bytenr, errp,
                                  "item %u has %u bytes at %u, of a block with %u", i,
                                  le32_get(item->size), offset, room);
            }
        } else if (le64_get(btrfs_node_ptr(data, i)->blockptr) % s->geo.sector_bytes) {
            return node_error(s, bytenr, errp, "block %u is at 0x%" PRIx64, i,
                              le64_get(btrfs_node_ptr(data, i)->blockptr));
        }
    }
    return true;
}

bool btrfs_node_check(const BtrfsState *s, const uint8_t *data, uint64_t bytenr,
                      GError **errp)
{
    return check_head(s, data, bytenr, errp) && check_items(s, data, bytenr, errp);
}

static bool coroutine_fn read_for_cache(void *opaque, uint64_t offset, uint64_t bytes,
                                        void *buf, const char *what, GError **errp)
{
    BtrfsState *s = opaque;
    uint64_t bytenr = round_down_pow2(offset, s->geo.sector_bytes);
    unsigned copy = (offset - bytenr) / COPY_STEP;

    return btrfs_logical_co_read(s, bytenr, bytes, copy, buf, what, errp) &&
           btrfs_node_check(s, buf, bytenr, errp);
}

FsCache *btrfs_nodes_new(BtrfsState *s)
{
    return fs_cache_new(read_for_cache, s);
}

/* That it is the block that was pointed to, not an older one, or one of elsewhere. */
static bool check_ref(const BtrfsState *s, const uint8_t *data, const BtrfsNodeRef *ref,
                      GError **errp)
{
    const BtrfsHeader *head = (const BtrfsHeader *)data;
    unsigned count = btrfs_node_count(data);

    if (head->level != ref->level) {
        return node_error(s, ref->bytenr, errp, "level is %u, expected %u", head->level,
                          ref->level);
    }
    if (ref->generation && le64_get(head->generation) != ref->generation) {
        return node_error(s, ref->bytenr, errp,
                          "generation is %" PRIu64 ", expected %" PRIu64,
                          le64_get(head->generation), ref->generation);
    }
    if (!count) {
        return !ref->first ||
               node_error(s, ref->bytenr, errp, "is empty, which only a tree's top is");
    }

    BtrfsKey first = btrfs_node_key(data, 0), last = btrfs_node_key(data, count - 1);

    if (ref->first && btrfs_key_compare(&first, ref->first)) {
        return node_error(s, ref->bytenr, errp,
                          "first key is (%" PRIu64 " %u %" PRIu64
                          "), expected (%" PRIu64 " %u %" PRIu64 ")",
                          first.objectid, first.type, first.offset,
                          ref->first->objectid, ref->first->type, ref->first->offset);
    }
    if (btrfs_key_compare(&last, &ref->end) >= 0) {
        return node_error(s, ref->bytenr, errp,
                          "last key is (%" PRIu64 " %u %" PRIu64
                          "), expected one before (%" PRIu64 " %u %" PRIu64 ")",
                          last.objectid, last.type, last.offset, ref->end.objectid,
                          ref->end.type, ref->end.offset);
    }
    return true;
}

static FsBuffer *coroutine_fn get_copy(BtrfsState *s, const BtrfsNodeRef *ref,
                                       unsigned copy, GError **errp)
{
    g_autoptr(FsBuffer) buffer =
        fs_cache_co_get(s->nodes, 0, ref->bytenr + copy * COPY_STEP, s->geo.node_bytes,
                        "tree block", errp);

    if (!buffer || !check_ref(s, buffer->data, ref, errp)) {
        return NULL;
    }
    return g_steal_pointer(&buffer);
}

FsBuffer *coroutine_fn btrfs_node_co_get(BtrfsState *s, const BtrfsNodeRef *ref,
                                         GError **errp)
{
    g_autoptr(GError) error = NULL;
    unsigned copies = btrfs_chunk_copies(s, ref->bytenr);

    if (ref->bytenr % s->geo.sector_bytes) {
        node_error(s, ref->bytenr, errp, "address is no multiple of %u",
                   s->geo.sector_bytes);
        return NULL;
    }

    FsBuffer *buffer = get_copy(s, ref, 0, &error);

    for (unsigned copy = 1; !buffer && copy < copies; copy++) {
        buffer = get_copy(s, ref, copy, NULL);
    }
    if (!buffer) {
        g_propagate_error(errp, g_steal_pointer(&error));
    } else if (error && !s->copy_warned) {
        s->copy_warned = true;
        fs_warn(s->fs, "%s; another copy is used (and so for others, if need be)",
                error->message);
    }
    return buffer;
}
