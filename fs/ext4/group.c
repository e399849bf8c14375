/*
 * Group descriptors, read when first asked for.  A damaged one is replaced by its
 * copy in another group, whose places of tables are the same; bitmaps' checksums are
 * not.
 */
#include "ext4.h"

/* The copy-th group after group 0 that holds copies of superblock and descriptors. */
static uint64_t backup_group(const Ext4Geometry *geo, unsigned copy)
{
    uint64_t group = 0;

    if (geo->compat & EXT4_COMPAT_SPARSE_SUPER2) {
        return copy <= 2 ? geo->backup_groups[copy - 1] : 0;
    }
    while (copy) {
        copy -= ext4_group_has_super(geo, ++group);
    }
    return group;
}

/* The block that holds descriptor block index: the one in use (copy 0) or a copy
 * elsewhere. 0: there is no such copy. */
static uint64_t descriptor_block(const Ext4State *s, uint64_t index, unsigned copy)
{
    const Ext4Geometry *geo = &s->geo;
    uint64_t per_block = geo->block_bytes / geo->desc_bytes;
    const uint64_t meta_members[] = {0, 1, per_block - 1};
    bool in_meta_group = index >= geo->first_meta_bg;

    if (!in_meta_group && copy == 0) {
        /* The superblock is in block 1 if blocks are 1 KiB, whatever first_data_block
         * is. */
        return EXT4_SUPER_OFFSET_BYTES / geo->block_bytes + 1 + index;
    }
    if (in_meta_group && copy >= G_N_ELEMENTS(meta_members)) {
        return 0;
    }

    uint64_t group = in_meta_group ? index * per_block + meta_members[copy]
                                   : backup_group(geo, copy);

    if (group >= geo->group_count || (copy && !group)) {
        return 0;
    }

    uint64_t block =
        ext4_group_first_block(geo, group) + ext4_group_has_super(geo, group);

    if (!in_meta_group) {
        return block + index;
    }
    /* Group 0 of 1 KiB blocks whose first data block is 0: the boot block comes first.
     */
    return block + (group == 0 && geo->block_bytes == 1024 && !geo->first_data_block);
}

static void decode(const Ext4State *s, const uint8_t *raw, Ext4Group *group)
{
    const Ext4GroupDesc *desc = (const Ext4GroupDesc *)raw;

    group->block_bitmap = le32_get(desc->block_bitmap_lo);
    group->inode_bitmap = le32_get(desc->inode_bitmap_lo);
    group->inode_table = le32_get(desc->inode_table_lo);
    group->flags = s->has_checksums || s->has_gdt_checksums ? le16_get(desc->flags) : 0;
    group->block_bitmap_csum = le16_get(desc->block_bitmap_csum_lo);
    if (s->geo.desc_bytes >= sizeof(*desc)) {
        group->block_bitmap |= (uint64_t)le32_get(desc->block_bitmap_hi) << 32;
        group->inode_bitmap |= (uint64_t)le32_get(desc->inode_bitmap_hi) << 32;
        group->inode_table |= (uint64_t)le32_get(desc->inode_table_hi) << 32;
        group->block_bitmap_csum |= (uint32_t)le16_get(desc->block_bitmap_csum_hi)
                                    << 16;
    }
}

static bool check(const Ext4State *s, uint64_t number, const uint8_t *raw,
                  uint64_t offset, Ext4Group *group, GError **errp)
{
    const Ext4GroupDesc *desc = (const Ext4GroupDesc *)raw;
    uint64_t table_blocks = div_round_up(
        (uint64_t)s->geo.inodes_per_group * s->geo.inode_bytes, s->geo.block_bytes);

    if (s->has_checksums || s->has_gdt_checksums) {
        uint16_t expected = ext4_group_checksum(s, number, raw);

        if (le16_get(desc->checksum) != expected) {
            ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                       "descriptor of group %" PRIu64 ": checksum is 0x%04x, expected "
                       "0x%04x",
                       number, le16_get(desc->checksum), expected);
            return false;
        }
    }
    decode(s, raw, group);
    if (!ext4_block_valid(&s->geo, group->inode_table, table_blocks) ||
        !ext4_block_valid(&s->geo, group->block_bitmap, 1) ||
        !ext4_block_valid(&s->geo, group->inode_bitmap, 1)) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                   "descriptor of group %" PRIu64 ": bitmaps at blocks %" PRIu64
                   " and %" PRIu64 ", inode table at %" PRIu64
                   ", expected blocks below %" PRIu64,
                   number, group->block_bitmap, group->inode_bitmap, group->inode_table,
                   s->geo.blocks_count);
        return false;
    }
    return true;
}

static bool coroutine_fn read_copy(Ext4State *s, uint64_t number, unsigned copy,
                                   Ext4Group *group, GError **errp)
{
    uint64_t per_block = s->geo.block_bytes / s->geo.desc_bytes;
    uint64_t block = descriptor_block(s, number / per_block, copy);
    uint32_t at = number % per_block * s->geo.desc_bytes;

    if (!block || block >= s->geo.blocks_count) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, ext4_block_offset(s, block),
                   "group %" PRIu64 " has no descriptor", number);
        return false;
    }

    g_autoptr(FsBuffer) buffer =
        ext4_cache_co_block(s, block, "group descriptors", errp);

    return buffer &&
           check(s, number, buffer->data + at, buffer->offset + at, group, errp);
}

bool coroutine_fn ext4_group_co_get(Ext4State *s, uint64_t number, Ext4Group *group,
                                    GError **errp)
{
    enum { COPIES = 4 };
    unsigned slot = number % EXT4_GROUP_SLOTS;
    g_autoptr(GError) error = NULL;

    if (s->group_slot_used[slot] && s->group_slots[slot].number == number) {
        *group = s->group_slots[slot];
        return true;
    }
    *group = (Ext4Group){.number = number};
    if (!read_copy(s, number, 0, group, &error)) {
        unsigned copy = 1;

        while (copy < COPIES && !read_copy(s, number, copy, group, NULL)) {
            copy++;
        }
        if (copy == COPIES) {
            g_propagate_error(errp, g_steal_pointer(&error));
            return false;
        }
        group->damaged = true;
        fs_warn(s->fs, "%s; a copy of it is used", error->message);
    }
    s->group_slots[slot] = *group;
    s->group_slot_used[slot] = true;
    return true;
}
