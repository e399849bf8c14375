/*
 * Copies of the superblock: one at the start of each allocation group.  Where groups
 * begin is said by the damaged one, if it is not all lost, or follows from how mkfs.xfs
 * divides a volume.
 */
#include "xfs.h"

enum {
    GROUPS_TRIED = 32, /* into so many the volume may have been divided */
    ROOTS_TRIED = 64,  /* copies that are looked at for the root's inode */
    COMMON_BLOCK_BITS = 12,
};

#define GROUP_BYTES_MAX (UINT64_C(1) << 40)

/* A copy at offset; it must say that it is at the start of a group. */
static bool coroutine_fn co_read(XfsState *s, uint64_t offset, XfsGeometry *geo,
                                 XfsSuper *raw)
{
    uint8_t head[XFS_SUPER_BYTES];
    XfsSuper *super = (XfsSuper *)head;

    if (!offset || offset % XFS_SUPER_BYTES ||
        !xfs_device_co_read(s, offset, sizeof(head), head, "superblock", NULL)) {
        return false;
    }
    *raw = *super;
    super->inprogress = 0; /* mkfs.xfs leaves it in copies */
    if (!xfs_super_parse(s, head, geo, NULL) ||
        offset % ((uint64_t)geo->ag_blocks << geo->block_bits) ||
        offset >> geo->block_bits >= geo->blocks_count) {
        return false;
    }
    if (geo->version < 5) {
        return true;
    }

    g_autofree uint8_t *sector = g_malloc(geo->sector_bytes);

    return xfs_device_co_read(s, offset, geo->sector_bytes, sector, "superblock",
                              NULL) &&
           xfs_crc(sector, geo->sector_bytes, offsetof(XfsSuper, crc)) ==
               le32_get(raw->crc);
}

/* mkfs.xfs tells only a few of the copies where the root is. */
static void coroutine_fn co_find_root(XfsState *s, XfsGeometry *geo)
{
    uint64_t group_bytes = (uint64_t)geo->ag_blocks << geo->block_bits;
    uint32_t tried[ROOTS_TRIED] = {geo->ag_count - 1, (geo->ag_count - 1) / 2};

    for (unsigned i = 2; i < ROOTS_TRIED; i++) {
        tried[i] = i - 1;
    }
    for (unsigned i = 0; i < ROOTS_TRIED && geo->root_ino == UINT64_MAX; i++) {
        XfsGeometry other;
        XfsSuper raw;

        if (tried[i] && tried[i] < geo->ag_count &&
            co_read(s, tried[i] * group_bytes, &other, &raw) &&
            !memcmp(other.uuid, geo->uuid, XFS_UUID_BYTES)) {
            geo->root_ino = other.root_ino;
        }
    }
}

static bool coroutine_fn co_try(XfsState *s, uint64_t offset, XfsGeometry *geo,
                                XfsSuper *raw)
{
    if (!co_read(s, offset, geo, raw)) {
        return false;
    }
    co_find_root(s, geo);
    return true;
}

static bool coroutine_fn co_try_sizes(XfsState *s, unsigned block_bits,
                                      XfsGeometry *geo, XfsSuper *raw)
{
    uint64_t blocks = (uint64_t)blk_length(s->fs->blk) >> block_bits;

    if (co_try(s, GROUP_BYTES_MAX - (UINT64_C(1) << block_bits), geo, raw) ||
        co_try(s, GROUP_BYTES_MAX, geo, raw)) {
        return true;
    }
    for (unsigned n = 2; n <= GROUPS_TRIED; n++) {
        if (co_try(s, div_round_up(blocks, n) << block_bits, geo, raw) ||
            co_try(s, blocks / n << block_bits, geo, raw)) {
            return true;
        }
    }
    return false;
}

bool coroutine_fn xfs_super_co_find_copy(XfsState *s, const uint8_t *damaged,
                                         XfsGeometry *geo, XfsSuper *raw)
{
    const XfsSuper *super = (const XfsSuper *)damaged;

    if (super->blocklog >= XFS_DADDR_BITS && super->blocklog <= 16 &&
        co_try(s, (uint64_t)be32_get(super->agblocks) << super->blocklog, geo, raw)) {
        return true;
    }
    if (co_try_sizes(s, COMMON_BLOCK_BITS, geo, raw)) {
        return true;
    }
    for (unsigned bits = XFS_DADDR_BITS; bits <= 16; bits++) {
        uint64_t blocks = (uint64_t)blk_length(s->fs->blk) >> bits;

        if (bits != COMMON_BLOCK_BITS &&
            co_try(s, div_round_up(blocks, 4) << bits, geo, raw)) {
            return true;
        }
    }
    return false;
}
