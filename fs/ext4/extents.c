/* Extent trees. */
#include "ext4.h"

/* One node on the way down: in the inode or in a block. */
typedef struct Node {
    const uint8_t *data;
    uint32_t bytes;
    uint64_t offset; /* on the volume */
    unsigned depth;
    unsigned entries;
    uint64_t end; /* logical blocks of this node are below */
} Node;

static bool node_error(const Ext4State *s, const Ext4Inode *inode, const Node *node,
                       GError **errp, const char *format, ...) G_GNUC_PRINTF(5, 6);

static bool node_error(const Ext4State *s, const Ext4Inode *inode, const Node *node,
                       GError **errp, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    ext4_error(s, errp, EMBR_ERROR_CORRUPT, node->offset, "inode %" PRIu64 ": %s",
               inode->ino, text);
    return false;
}

static bool check_header(const Ext4State *s, const Ext4Inode *inode, Node *node,
                         unsigned expected_depth, GError **errp)
{
    const Ext4ExtentHeader *header = (const Ext4ExtentHeader *)node->data;
    unsigned room = (node->bytes - sizeof(*header)) / sizeof(Ext4Extent);

    if (le16_get(header->magic) != EXT4_EXTENT_MAGIC) {
        return node_error(s, inode, node, errp,
                          "extent node's magic is 0x%04x, expected "
                          "0x%04x",
                          le16_get(header->magic), EXT4_EXTENT_MAGIC);
    }
    node->depth = le16_get(header->depth);
    node->entries = le16_get(header->entries);
    if (node->depth != expected_depth) {
        return node_error(s, inode, node, errp,
                          "extent node's depth is %u, expected %u", node->depth,
                          expected_depth);
    }
    if (node->entries > le16_get(header->max) || node->entries > room) {
        return node_error(s, inode, node, errp,
                          "extent node has %u entries, expected at "
                          "most %u",
                          node->entries, MIN(le16_get(header->max), room));
    }
    return true;
}

static bool check_sum(const Ext4State *s, const Ext4Inode *inode, const Node *node,
                      GError **errp)
{
    const Ext4ExtentHeader *header = (const Ext4ExtentHeader *)node->data;
    size_t at = sizeof(*header) + (size_t)le16_get(header->max) * sizeof(Ext4Extent);

    if (!s->has_checksums) {
        return true;
    }
    if (at + sizeof(le32_t) > node->bytes) {
        return node_error(s, inode, node, errp,
                          "extent node has room for %u entries, "
                          "expected fewer",
                          le16_get(header->max));
    }

    uint32_t found = le32_load(node->data + at);
    uint32_t expected = ext4_crc32c(inode->seed, node->data, at);

    if (found != expected) {
        return node_error(s, inode, node, errp,
                          "extent node's checksum is 0x%08x, expected "
                          "0x%08x",
                          found, expected);
    }
    return true;
}

/* The logical block of entry i: at the same place in both kinds of entries. */
static uint32_t entry_block(const Node *node, unsigned i)
{
    return le32_load(node->data + sizeof(Ext4ExtentHeader) + i * sizeof(Ext4Extent));
}

/* The last entry that starts at or before logical; -1 if there is none. */
static int find_entry(const Node *node, uint64_t logical)
{
    unsigned low = 0, high = node->entries;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (entry_block(node, middle) <= logical) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return (int)low - 1;
}

static uint64_t start_of_next(const Node *node, int i)
{
    return (unsigned)(i + 1) < node->entries ? MIN(entry_block(node, i + 1), node->end)
                                             : node->end;
}

static bool map_in_leaf(const Ext4State *s, const Ext4Inode *inode, const Node *node,
                        uint64_t logical, Ext4Run *run, GError **errp)
{
    int i = find_entry(node, logical);
    uint64_t next = start_of_next(node, i);

    if (next <= logical) {
        return node_error(s, inode, node, errp,
                          "extents are not in order at block %" PRIu64, logical);
    }
    *run = (Ext4Run){.logical = logical, .count = next - logical};
    if (i < 0) {
        return true;
    }

    const Ext4Extent *extent =
        (const Ext4Extent *)(node->data + sizeof(Ext4ExtentHeader)) + i;
    uint64_t first = le32_get(extent->block);
    uint64_t physical =
        le32_get(extent->start_lo) | (uint64_t)le16_get(extent->start_hi) << 32;
    uint32_t len = le16_get(extent->len);
    bool unwritten = len > EXT4_EXTENT_MAX_WRITTEN;

    len -= unwritten ? EXT4_EXTENT_MAX_WRITTEN : 0;
    if (!len || first + len > next) {
        return node_error(s, inode, node, errp,
                          "extent of %u blocks at block %" PRIu64
                          ", expected 1 to %" PRIu64,
                          len, first, next - first);
    }
    if (!ext4_block_valid(&s->geo, physical, len)) {
        return node_error(s, inode, node, errp,
                          "extent of %u blocks at block %" PRIu64 " lies at %" PRIu64
                          " of the filesystem's %" PRIu64 " blocks",
                          len, first, physical, s->geo.blocks_count);
    }
    if (logical < first + len) {
        run->count = first + len - logical;
        run->physical = physical + (logical - first);
        run->unwritten = unwritten;
    }
    return true;
}

/* From an index node to the child that covers logical. *child NULL and true: a hole,
 * which run describes. */
static bool coroutine_fn descend(Ext4State *s, Ext4Inode *inode, Node *node,
                                 uint64_t logical, Ext4Run *run, FsBuffer **child,
                                 GError **errp)
{
    int i = find_entry(node, logical);
    uint64_t next = start_of_next(node, i);

    *child = NULL;
    if (next <= logical) {
        return node_error(s, inode, node, errp,
                          "index entries are not in order at block %" PRIu64, logical);
    }
    if (i < 0) {
        *run = (Ext4Run){.logical = logical, .count = next - logical};
        return true;
    }

    const Ext4ExtentIndex *index =
        (const Ext4ExtentIndex *)(node->data + sizeof(Ext4ExtentHeader)) + i;
    uint64_t block = le32_get(index->leaf_lo) | (uint64_t)le16_get(index->leaf_hi)
                                                    << 32;

    if (!ext4_block_valid(&s->geo, block, 1)) {
        return node_error(s, inode, node, errp,
                          "extent node at block %" PRIu64 " of the "
                          "filesystem's %" PRIu64,
                          block, s->geo.blocks_count);
    }

    g_autoptr(FsBuffer) buffer = ext4_cache_co_block(s, block, "extent node", errp);
    unsigned depth = node->depth - 1;

    if (!buffer) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", inode->ino);
        return false;
    }
    *node = (Node){
        .data = buffer->data,
        .bytes = buffer->bytes,
        .offset = buffer->offset,
        .end = next,
    };
    if (!check_header(s, inode, node, depth, errp) ||
        !check_sum(s, inode, node, errp)) {
        return false;
    }
    *child = g_steal_pointer(&buffer);
    return true;
}

bool coroutine_fn ext4_extents_co_map(Ext4State *s, Ext4Inode *inode, uint64_t logical,
                                      Ext4Run *run, GError **errp)
{
    const Ext4InodeDisk *disk = ext4_inode_disk(inode);
    g_autoptr(FsBuffer) buffer = NULL;
    Node node = {
        .data = disk->block,
        .bytes = sizeof(disk->block),
        .offset = inode->offset + offsetof(Ext4InodeDisk, block),
        .end = UINT64_C(1) << 32,
    };
    unsigned depth = le16_get(((const Ext4ExtentHeader *)node.data)->depth);

    if (logical >= node.end) {
        *run = (Ext4Run){.logical = logical, .count = UINT64_MAX - logical};
        return true;
    }
    if (!check_header(s, inode, &node, depth, errp)) {
        return false;
    }
    if (depth > EXT4_MAX_EXTENT_DEPTH) {
        return node_error(s, inode, &node, errp,
                          "extent tree is %u levels deep, expected at "
                          "most %d",
                          depth, EXT4_MAX_EXTENT_DEPTH);
    }
    while (node.depth) {
        FsBuffer *child;

        if (!descend(s, inode, &node, logical, run, &child, errp)) {
            return false;
        }
        fs_buffer_release(buffer);
        buffer = child;
        if (!child) {
            return true;
        }
    }
    return map_in_leaf(s, inode, &node, logical, run, errp);
}
