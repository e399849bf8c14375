/* From a file's blocks to the device's. */
#include "ext4.h"

/* fast-commit.c has replaced the map of this file: runs in order, without overlaps. */
static void map_replaced(const Ext4Inode *inode, uint64_t logical, Ext4Run *run)
{
    guint low = 0, high = inode->fc_extents->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        const Ext4Run *r = &g_array_index(inode->fc_extents, Ext4Run, middle);

        if (r->logical + r->count <= logical) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }

    const Ext4Run *next = low < inode->fc_extents->len
                              ? &g_array_index(inode->fc_extents, Ext4Run, low)
                              : NULL;

    *run = (Ext4Run){.logical = logical, .count = UINT64_MAX - logical};
    if (next && next->logical > logical) {
        run->count = next->logical - logical;
    } else if (next) {
        uint64_t skip = logical - next->logical;

        run->count = next->count - skip;
        run->physical = next->physical + skip;
        run->unwritten = next->unwritten;
    }
}

bool coroutine_fn ext4_map_co(Ext4State *s, Ext4Inode *inode, uint64_t logical,
                              uint64_t max_count, Ext4Run *run, GError **errp)
{
    bool ok = true;

    if (inode->fc_extents) {
        map_replaced(inode, logical, run);
    } else if (inode->flags & EXT4_EXTENTS_FL) {
        ok = ext4_extents_co_map(s, inode, logical, run, errp);
    } else {
        ok = ext4_indirect_co_map(s, inode, logical, max_count, run, errp);
    }
    if (ok) {
        run->count = MIN(run->count, max_count);
    }
    return ok;
}
