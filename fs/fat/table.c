/* The FAT: which cluster comes after which. */
#include "fat.h"

static uint64_t copy_offset(const FatState *s, unsigned copy)
{
    return s->geo.fat_offset + copy * s->geo.fat_bytes;
}

/* Where an entry begins in its FAT. */
static uint64_t entry_position(unsigned bits, uint32_t cluster)
{
    return (uint64_t)cluster * bits / 8;
}

uint64_t fat_table_offset(const FatState *s, uint32_t cluster)
{
    return copy_offset(s, s->fat_first) + entry_position(s->geo.bits, cluster);
}

/* The value of an entry that begins at p. */
static uint32_t decode(const FatLayout *geo, const uint8_t *p, uint32_t cluster)
{
    unsigned significant = geo->bits == 32 && !geo->is_exfat ? 28 : geo->bits;
    uint32_t rest = (uint32_t)(UINT64_MAX << significant);
    uint32_t value = geo->bits == 32 ? le32_load(p) : le16_load(p);

    if (geo->bits == 12 && cluster % 2) {
        value >>= 4;
    }
    value &= ~rest;
    return (value | rest) >= FAT_VALUE_BAD ? value | rest : value;
}

uint32_t fat_table_value(const FatLayout *geo, const uint8_t *fat, uint32_t cluster)
{
    return decode(geo, fat + entry_position(geo->bits, cluster), cluster);
}

/* A piece of the FAT, from the first copy that can be read. */
bool coroutine_fn fat_table_co_load(FatState *s, uint64_t offset, uint32_t bytes,
                                    void *buf, GError **errp)
{
    g_autoptr(GError) first = NULL;

    if (blk_co_read(s->fs->blk, copy_offset(s, s->fat_first) + offset, bytes, buf,
                    "FAT", &first)) {
        return true;
    }
    for (unsigned i = 0; s->fat_mirrored && i < s->geo.fat_count; i++) {
        if (i != s->fat_first && blk_co_read(s->fs->blk, copy_offset(s, i) + offset,
                                             bytes, buf, "copy of the FAT", NULL)) {
            fat_warn(s, copy_offset(s, s->fat_first) + offset,
                     "a copy of the FAT is used: %s", first->message);
            return true;
        }
    }
    g_propagate_error(errp, g_steal_pointer(&first));
    return false;
}

bool coroutine_fn fat_table_co_get(FatState *s, uint32_t cluster, uint32_t *value,
                                   GError **errp)
{
    uint64_t at = entry_position(s->geo.bits, cluster);
    uint32_t count;
    const uint8_t *p = fat_pieces_co_get(s->table, at, &count, errp);

    if (!p) {
        return false;
    }
    /* All of FAT12 is in one piece, and no other entry is cut by one's end. */
    *value = decode(&s->geo, p, cluster);
    return true;
}

bool coroutine_fn fat_table_co_get_other(FatState *s, uint32_t cluster, uint32_t *value)
{
    uint64_t at = entry_position(s->geo.bits, cluster);
    uint32_t bytes = s->geo.bits == 32 ? 4 : 2;

    for (unsigned i = 0; s->fat_mirrored && i < s->geo.fat_count; i++) {
        uint8_t entry[4];

        if (i == s->fat_first ||
            blk_co_pread(s->fs->blk, copy_offset(s, i) + at, bytes, entry) < 0) {
            continue;
        }
        *value = decode(&s->geo, entry, cluster);
        if (fat_is_cluster(s, *value) || *value >= FAT_VALUE_END) {
            return true;
        }
    }
    return false;
}
