/* From a file's blocks to the device's: lists and trees of extents. */
#include "xfs.h"

#define EXTENT_UNWRITTEN (UINT64_C(1) << 63)
#define LOGICAL_END (UINT64_C(1) << 54)

/* An extent is a number of 128 bits: 1 of state, 54 of logical and 52 of physical
 * block, 21 of length. */
static uint64_t extent_logical(const uint8_t *record)
{
    return (be64_load(record) & ~EXTENT_UNWRITTEN) >> 9;
}

static uint64_t extent_number(const uint8_t *record)
{
    return (be64_load(record) & 0x1ff) << 43 | be64_load(record + 8) >> 21;
}

static uint64_t extent_count(const uint8_t *record)
{
    return be64_load(record + 8) & 0x1fffff;
}

static uint64_t key_logical(const uint8_t *key)
{
    return be64_load(key);
}

static const XfsBtreeKind extent_tree = {
    .block =
        {
            .what = "extent block",
            .magic_v4 = XFS_MAGIC('B', 'M', 'A', 'P'),
            .magic_v5 = XFS_MAGIC('B', 'M', 'A', '3'),
            .crc_at = 64,
            .blkno_at = 24,
            .uuid_at = 40,
            .owner_at = 56,
            .owner_bytes = 8,
        },
    .long_pointers = true,
    .head_v4 = 24,
    .head_v5 = 72,
    .record_bytes = XFS_EXTENT_BYTES,
    .key_bytes = XFS_EXTENT_KEY_BYTES,
    .key_value = key_logical,
    .record_value = extent_logical,
};

static bool G_GNUC_PRINTF(5, 6)
    map_error(const XfsState *s, const XfsInode *inode, uint64_t offset, GError **errp,
              const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    xfs_error(s, errp, EMBR_ERROR_CORRUPT, offset, "inode %" PRIu64 ": %s", inode->ino,
              text);
    return false;
}

static bool map_in_leaf(const XfsState *s, const XfsInode *inode,
                        const XfsBtreeNode *leaf, uint64_t logical, XfsRun *run,
                        GError **errp)
{
    uint64_t next, block;
    int i = xfs_btree_find(&extent_tree, leaf, logical, &next);

    if (next <= logical) {
        return map_error(s, inode, leaf->offset, errp,
                         "extents are not in order at block %" PRIu64, logical);
    }
    *run = (XfsRun){.logical = logical, .count = next - logical};
    if (i < 0) {
        return true;
    }

    const uint8_t *record = leaf->records + i * XFS_EXTENT_BYTES;
    uint64_t first = extent_logical(record);
    uint64_t count = extent_count(record);

    if (!count || count > next - first) {
        return map_error(s, inode, leaf->offset, errp,
                         "extent of %" PRIu64 " blocks at block %" PRIu64
                         ", expected 1 to %" PRIu64,
                         count, first, next - first);
    }
    if (!xfs_block_locate(&s->geo, extent_number(record), count, &block)) {
        return map_error(s, inode, leaf->offset, errp,
                         "extent of %" PRIu64 " blocks at block %" PRIu64
                         " lies at 0x%" PRIx64 ", which is in no allocation group",
                         count, first, extent_number(record));
    }
    if (logical < first + count) {
        run->count = first + count - logical;
        run->physical = block + (logical - first);
        run->unwritten = be64_load(record) & EXTENT_UNWRITTEN;
    }
    return true;
}

/* The list of extents in the inode. */
static bool list_node(const XfsState *s, const XfsInode *inode, const XfsFork *fork,
                      XfsBtreeNode *node, GError **errp)
{
    uint32_t room = fork->bytes / XFS_EXTENT_BYTES;

    if (fork->extents > room) {
        return map_error(s, inode, inode->offset, errp,
                         "%" PRIu64 " extents in its %s fork, expected at most %u",
                         fork->extents, fork->is_attr ? "attribute" : "data", room);
    }
    *node = (XfsBtreeNode){
        .records = inode->raw + fork->at,
        .count = fork->extents,
        .offset = inode->offset + fork->at,
        .end = LOGICAL_END,
    };
    return true;
}

/* The root of the tree of extents in the inode. */
static bool root_node(const XfsState *s, const XfsInode *inode, const XfsFork *fork,
                      XfsBtreeNode *node, GError **errp)
{
    const XfsBtreeRoot *root = (const XfsBtreeRoot *)(inode->raw + fork->at);
    uint32_t room = fork->bytes < sizeof(*root)
                        ? 0
                        : (fork->bytes - sizeof(*root)) / (XFS_EXTENT_KEY_BYTES + 8);
    const uint8_t *keys = inode->raw + fork->at + sizeof(*root);

    if (!room || be16_get(root->numrecs) > room || !be16_get(root->numrecs) ||
        !be16_get(root->level) || be16_get(root->level) > XFS_MAX_BTREE_LEVELS) {
        return map_error(
            s, inode, inode->offset + fork->at, errp,
            "root of its extents has %u entries at level %u, expected 1 to "
            "%u at level 1 to %d",
            room ? be16_get(root->numrecs) : 0, room ? be16_get(root->level) : 0, room,
            XFS_MAX_BTREE_LEVELS);
    }
    *node = (XfsBtreeNode){
        .records = keys,
        .pointers = keys + room * XFS_EXTENT_KEY_BYTES,
        .level = be16_get(root->level),
        .count = be16_get(root->numrecs),
        .offset = inode->offset + fork->at,
        .end = LOGICAL_END,
    };
    return true;
}

static bool coroutine_fn map_in_tree(XfsState *s, const XfsInode *inode,
                                     const XfsFork *fork, uint64_t logical, XfsRun *run,
                                     GError **errp)
{
    XfsBtree tree = {.kind = &extent_tree, .owner = inode->ino};
    XfsBtreeNode node;

    if (!root_node(s, inode, fork, &node, errp)) {
        return false;
    }

    bool ok = xfs_btree_co_descend(s, &tree, logical, &node, errp);

    if (!ok) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", inode->ino);
    }
    ok = ok && map_in_leaf(s, inode, &node, logical, run, errp);
    fs_buffer_release(node.buffer);
    return ok;
}

bool coroutine_fn xfs_map_co(XfsState *s, const XfsInode *inode, const XfsFork *fork,
                             uint64_t logical, uint64_t max_count, XfsRun *run,
                             GError **errp)
{
    XfsBtreeNode node;
    bool ok;

    if (logical >= LOGICAL_END) {
        *run = (XfsRun){.logical = logical, .count = max_count};
        return true;
    }
    if (fork->format == XFS_FORK_BTREE) {
        ok = map_in_tree(s, inode, fork, logical, run, errp);
    } else {
        ok = list_node(s, inode, fork, &node, errp) &&
             map_in_leaf(s, inode, &node, logical, run, errp);
    }
    if (ok) {
        run->count = MIN(run->count, max_count);
    }
    return ok;
}
