/* What is allocated: what the trees of free space do not have. */
#include "xfs.h"

static uint64_t free_start(const uint8_t *record)
{
    return be32_load(record);
}

static const XfsBtreeKind free_tree = {
    .block =
        {
            .what = "free space block",
            .magic_v4 = XFS_MAGIC('A', 'B', 'T', 'B'),
            .magic_v5 = XFS_MAGIC('A', 'B', '3', 'B'),
            .crc_at = 52,
            .blkno_at = 16,
            .uuid_at = 32,
            .owner_at = 48,
            .owner_bytes = 4,
        },
    .head_v4 = 16,
    .head_v5 = 56,
    .record_bytes = XFS_FREE_BYTES,
    .key_bytes = XFS_FREE_BYTES,
    .key_value = free_start,
    .record_value = free_start,
};

static bool check_agf(const XfsState *s, const FsBuffer *sector, uint32_t ag,
                      GError **errp)
{
    const XfsAgf *agf = (const XfsAgf *)sector->data;
    uint32_t crc = xfs_crc(sector->data, sector->bytes, offsetof(XfsAgf, crc));

    if (be32_get(agf->magicnum) != XFS_AGF_MAGIC || be32_get(agf->seqno) != ag ||
        be32_get(agf->bno_level) - 1 >= XFS_MAX_BTREE_LEVELS) {
        xfs_error(s, errp, EMBR_ERROR_CORRUPT, sector->offset,
                  "magic of group %u's free space is 0x%08x (group %u, %u levels), "
                  "expected 0x%08x",
                  ag, be32_get(agf->magicnum), be32_get(agf->seqno),
                  be32_get(agf->bno_level), XFS_AGF_MAGIC);
        return false;
    }
    bool is_logged = xfs_is_logged(s, sector->offset, sector->bytes);

    if (s->geo.version == 5 && ((le32_get(agf->crc) != crc && !is_logged) ||
                                memcmp(agf->uuid, s->geo.meta_uuid, XFS_UUID_BYTES))) {
        xfs_error(
            s, errp, EMBR_ERROR_CORRUPT, sector->offset,
            "checksum of group %u's free space is 0x%08x, expected 0x%08x; or its "
            "UUID is another filesystem's",
            ag, le32_get(agf->crc), crc);
        return false;
    }
    return true;
}

/* The leaf of group ag's tree where block would be. */
static bool coroutine_fn find_leaf(XfsState *s, uint32_t ag, uint64_t block,
                                   XfsBtreeNode *node, GError **errp)
{
    uint64_t start = (uint64_t)ag * s->geo.ag_blocks << s->geo.block_bits;
    g_autoptr(FsBuffer) sector = fs_cache_co_get(
        s->cache, XFS_BUFFER_SECTOR, start + XFS_AGF_SECTOR * s->geo.sector_bytes,
        s->geo.sector_bytes, "free space of a group", errp);
    XfsBtree tree = {.kind = &free_tree, .owner = ag, .ag = ag};

    if (!sector || !check_agf(s, sector, ag, errp)) {
        return false;
    }

    const XfsAgf *agf = (const XfsAgf *)sector->data;

    return xfs_btree_co_node(s, &tree, be32_get(agf->bno_root),
                             be32_get(agf->bno_level) - 1, node, errp) &&
           xfs_btree_co_descend(s, &tree, block, node, errp);
}

/* What a leaf says of block, and up to which block. */
static FsBlockUse leaf_use(const XfsBtreeNode *leaf, uint64_t block, uint64_t *end)
{
    int i = xfs_btree_find(&free_tree, leaf, block, end);
    const uint8_t *record = leaf->records + MAX(i, 0) * XFS_FREE_BYTES;
    uint64_t free_end = i < 0 ? 0 : free_start(record) + be32_load(record + 4);

    if (free_end > *end || *end <= block) {
        *end = leaf->end; /* not in order */
        return FS_BLOCK_UNKNOWN;
    }
    if (block < free_end) {
        *end = free_end;
        return FS_BLOCK_FREE;
    }
    return FS_BLOCK_USED;
}

FsBlockUse coroutine_fn xfs_space_co_use(XfsState *s, uint64_t offset, uint64_t *pnum)
{
    uint64_t block = offset >> s->geo.block_bits;
    uint64_t volume = blk_length(s->fs->blk);
    FsBlockUse use = FS_BLOCK_UNKNOWN;
    g_autoptr(GError) error = NULL;

    if (block >= s->geo.blocks_count || offset >= volume || !s->space_known) {
        *pnum = offset < volume ? volume - offset : 0;
        return FS_BLOCK_UNKNOWN;
    }

    uint32_t ag = block / s->geo.ag_blocks;
    uint64_t first = (uint64_t)ag * s->geo.ag_blocks;
    uint64_t end = xfs_ag_length(&s->geo, ag);
    XfsBtreeNode node = {.end = end};

    if (find_leaf(s, ag, block - first, &node, &error)) {
        end = node.end;
        use = leaf_use(&node, block - first, &end);
    } else {
        end = node.end;
        if (!s->space_warned) {
            s->space_warned = true;
            fs_warn(s->fs, "%s; what is free there is not known", error->message);
        }
    }
    fs_buffer_release(node.buffer);
    end = MAX(end, block - first + 1);
    *pnum = MIN((first + end) << s->geo.block_bits, volume) - offset;
    return use;
}
