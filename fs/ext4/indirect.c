/* Block maps: twelve blocks, then trees of one, two and three levels. */
#include "ext4.h"

enum { MAX_LEVELS = 3 };

/* The way to a block: which slot at each level. */
typedef struct Path {
    unsigned levels; /* of indirect blocks: 0 to 3 */
    uint32_t slot[MAX_LEVELS + 1];
} Path;

/* False: beyond what three levels reach. */
static bool find_path(const Ext4State *s, uint64_t logical, Path *path)
{
    unsigned bits = s->geo.block_bits - 2;
    uint32_t mask = (1u << bits) - 1;

    *path = (Path){.slot = {MIN(logical, EXT4_DIRECT_BLOCKS)}};
    if (logical < EXT4_DIRECT_BLOCKS) {
        return true;
    }
    logical -= EXT4_DIRECT_BLOCKS;
    for (unsigned levels = 1; levels <= MAX_LEVELS; levels++) {
        if (logical < UINT64_C(1) << (levels * bits)) {
            path->levels = levels;
            path->slot[0] = EXT4_DIRECT_BLOCKS + levels - 1;
            for (unsigned i = 1; i <= levels; i++) {
                path->slot[i] = (logical >> ((levels - i) * bits)) & mask;
            }
            return true;
        }
        logical -= UINT64_C(1) << (levels * bits);
    }
    return false;
}

/* How many entries from slot on (at most max) go on as the first does: all holes, or
 * one block after the other. */
static uint64_t count_alike(const uint8_t *map, uint32_t slot, uint32_t slots,
                            uint64_t max)
{
    uint64_t first = le32_load(map + slot * 4);
    uint64_t count = 1;

    while (count < max && slot + count < slots) {
        uint64_t next = le32_load(map + (slot + count) * 4);

        if (next != (first ? first + count : 0)) {
            break;
        }
        count++;
    }
    return count;
}

static bool check_block(const Ext4State *s, const Ext4Inode *inode, uint64_t block,
                        uint64_t count, uint64_t offset, GError **errp)
{
    if (!ext4_block_valid(&s->geo, block, count)) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                   "inode %" PRIu64 ": its map leads to %" PRIu64 " blocks at %" PRIu64
                   " of the filesystem's %" PRIu64,
                   inode->ino, count, block, s->geo.blocks_count);
        return false;
    }
    return true;
}

bool coroutine_fn ext4_indirect_co_map(Ext4State *s, Ext4Inode *inode, uint64_t logical,
                                       uint64_t max_count, Ext4Run *run, GError **errp)
{
    unsigned bits = s->geo.block_bits - 2;
    g_autoptr(FsBuffer) buffer = NULL;
    const uint8_t *map = ext4_inode_disk(inode)->block;
    uint64_t map_offset = inode->offset + offsetof(Ext4InodeDisk, block);
    uint32_t slots = EXT4_DIRECT_BLOCKS;
    Path path;

    if (!find_path(s, logical, &path)) {
        *run = (Ext4Run){.logical = logical, .count = UINT64_MAX - logical};
        return true;
    }
    for (unsigned level = 0; level < path.levels; level++) {
        uint64_t block = le32_load(map + path.slot[level] * 4);
        uint64_t at = map_offset + path.slot[level] * 4;

        if (!block) {
            /* Everything the missing block would map is a hole. */
            uint64_t span = UINT64_C(1) << ((path.levels - level) * bits);
            uint64_t within = 0;

            for (unsigned i = level + 1; i <= path.levels; i++) {
                within = within << bits | path.slot[i];
            }
            *run = (Ext4Run){.logical = logical, .count = span - within};
            return true;
        }
        if (!check_block(s, inode, block, 1, at, errp)) {
            return false;
        }

        FsBuffer *next = ext4_cache_co_block(s, block, "indirect block", errp);

        if (!next) {
            g_prefix_error(errp, "inode %" PRIu64 ": ", inode->ino);
            return false;
        }
        fs_buffer_release(buffer);
        buffer = next;
        map = buffer->data;
        map_offset = buffer->offset;
        slots = 1u << bits;
    }

    uint32_t slot = path.slot[path.levels];

    *run = (Ext4Run){
        .logical = logical,
        .count = count_alike(map, slot, slots, max_count),
        .physical = le32_load(map + slot * 4),
    };
    return !run->physical || check_block(s, inode, run->physical, run->count,
                                         map_offset + slot * 4, errp);
}
