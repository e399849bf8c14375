/* What is allocated: block bitmaps, a group at a time. */
#include "ext4.h"

enum { FLEX_GROUPS_SEEN = 4096 };

typedef struct Range {
    uint64_t first, end; /* blocks */
    FsBlockUse use;
} Range;

static void add_range(GArray *ranges, uint64_t first, uint64_t count, FsBlockUse use)
{
    Range range = {first, first + count, use};

    if (count) {
        g_array_append_val(ranges, range);
    }
}

static void add_fc_run(const Ext4Run *run, void *opaque)
{
    add_range(opaque, run->physical, run->count, FS_BLOCK_USED);
}

static gint compare_ranges(gconstpointer a, gconstpointer b)
{
    const Range *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

/* Superblock and descriptors, or copies of them, at the start of the group. */
static uint64_t leading_blocks(const Ext4State *s, uint64_t number)
{
    const Ext4Geometry *geo = &s->geo;
    uint64_t per_block = geo->block_bytes / geo->desc_bytes;
    uint64_t within = number % per_block;
    bool has_super = ext4_group_has_super(geo, number);
    /* Blocks of 1 KiB with data from block 0 on: the boot block comes first. */
    uint64_t count = number == 0 && geo->block_bytes == 1024 && !geo->first_data_block;

    count += has_super;
    if (number / per_block >= geo->first_meta_bg) {
        return count + (within == 0 || within == 1 || within == per_block - 1);
    }
    if (has_super) {
        uint64_t tables = div_round_up(geo->group_count, per_block);

        count += MIN(tables, geo->first_meta_bg) + geo->reserved_gdt_blocks;
    }
    return count;
}

/* What is known of groups from first to end without their bitmaps, in order. */
static GArray *coroutine_fn read_own_ranges(Ext4State *s, uint64_t first, uint64_t end)
{
    const Ext4Geometry *geo = &s->geo;
    GArray *ranges = g_array_new(FALSE, FALSE, sizeof(Range));
    uint64_t table_blocks = div_round_up(
        (uint64_t)geo->inodes_per_group * geo->inode_bytes, geo->block_bytes);

    for (uint64_t i = first; i < end; i++) {
        Ext4Group group;

        add_range(ranges, ext4_group_first_block(geo, i), leading_blocks(s, i),
                  FS_BLOCK_METADATA);
        if (ext4_group_co_get(s, i, &group, NULL)) {
            add_range(ranges, group.block_bitmap, 1, FS_BLOCK_METADATA);
            add_range(ranges, group.inode_bitmap, 1, FS_BLOCK_METADATA);
            add_range(ranges, group.inode_table, table_blocks, FS_BLOCK_METADATA);
        }
    }
    /* Fast commits do not tell of bitmaps. */
    ext4_fc_foreach_run(s, add_fc_run, ranges);
    g_array_sort(ranges, compare_ranges);
    return ranges;
}

/* The same for a group and those it shares its flex group with, kept for the next one. */
static GArray *coroutine_fn own_ranges(Ext4State *s, uint64_t number)
{
    uint64_t window =
        MIN(UINT64_C(1) << s->geo.log_groups_per_flex, FLEX_GROUPS_SEEN);
    uint64_t first = round_down_pow2(number, window);

    if (!s->own_ranges || s->own_ranges_first != first) {
        GArray *ranges =
            read_own_ranges(s, first, MIN(s->geo.group_count, first + window));

        g_clear_pointer(&s->own_ranges, g_array_unref);
        s->own_ranges = ranges;
        s->own_ranges_first = first;
    }
    return g_array_ref(s->own_ranges);
}

/* The group's bitmap, checked. NULL: it cannot be trusted. */
static FsBuffer *coroutine_fn read_bitmap(Ext4State *s, const Ext4Group *group)
{
    g_autoptr(FsBuffer) buffer =
        ext4_cache_co_block(s, group->block_bitmap, "block bitmap", NULL);

    if (!buffer || group->damaged) {
        return NULL;
    }
    if (s->has_checksums) {
        uint32_t crc = ext4_crc32c(s->geo.checksum_seed, buffer->data,
                                   s->geo.clusters_per_group / 8);

        if (s->geo.desc_bytes < sizeof(Ext4GroupDesc)) {
            crc &= 0xffff;
        }
        if (crc != group->block_bitmap_csum) {
            ext4_warn(s, buffer->offset,
                      "block bitmap of group %" PRIu64 " has checksum "
                      "0x%08x, expected 0x%08x",
                      group->number, crc, group->block_bitmap_csum);
            return NULL;
        }
    }
    return g_steal_pointer(&buffer);
}

/* What the bitmap says of block on, and up to which block (at most limit) it says so.
 */
static FsBlockUse bitmap_use(const Ext4State *s, const uint8_t *bitmap, uint64_t first,
                             uint64_t block, uint64_t *limit)
{
    unsigned bits = s->geo.cluster_bits;
    uint64_t cluster = (block - first) >> bits;
    uint64_t end = ((*limit - 1 - first) >> bits) + 1;
    bool used = bitmap[cluster / 8] >> (cluster % 8) & 1;
    uint8_t alike = used ? 0xff : 0;

    while (cluster < end && (bitmap[cluster / 8] >> (cluster % 8) & 1) == used) {
        cluster += cluster % 8 == 0 && bitmap[cluster / 8] == alike ? 8 : 1;
    }
    *limit = MIN(*limit, first + (cluster << bits));
    return used ? FS_BLOCK_USED : FS_BLOCK_FREE;
}

static void add_run(GArray *runs, uint64_t first, uint64_t end, FsBlockUse use)
{
    Range *last = runs->len ? &g_array_index(runs, Range, runs->len - 1) : NULL;

    if (last && last->use == use && last->end == first) {
        last->end = end;
    } else {
        add_range(runs, first, end - first, use);
    }
}

static GArray *coroutine_fn group_runs(Ext4State *s, uint64_t number)
{
    uint64_t first = ext4_group_first_block(&s->geo, number);
    uint64_t end = MIN(first + s->geo.blocks_per_group, s->geo.blocks_count);
    GArray *runs = g_array_new(FALSE, FALSE, sizeof(Range));
    g_autoptr(GArray) own = own_ranges(s, number);
    g_autoptr(FsBuffer) bitmap = NULL;
    bool uninit = false;
    Ext4Group group;
    guint next = 0;

    if (ext4_group_co_get(s, number, &group, NULL)) {
        uninit = !group.damaged && (group.flags & EXT4_BG_BLOCK_UNINIT);
        bitmap = uninit ? NULL : read_bitmap(s, &group);
    }
    for (uint64_t block = first; block < end;) {
        uint64_t limit = end;
        FsBlockUse use = uninit ? FS_BLOCK_FREE : FS_BLOCK_UNKNOWN;
        const Range *range;

        while (next < own->len && g_array_index(own, Range, next).end <= block) {
            next++;
        }
        range = next < own->len ? &g_array_index(own, Range, next) : NULL;
        if (range && range->first <= block) {
            limit = MIN(end, range->end);
            use = range->use;
        } else {
            limit = range ? MIN(end, range->first) : end;
            if (bitmap) {
                use = bitmap_use(s, bitmap->data, first, block, &limit);
            }
        }
        add_run(runs, block, limit, use);
        block = limit;
    }
    return runs;
}

static const Range *find_run(const GArray *runs, uint64_t block)
{
    guint low = 0, high = runs->len;

    while (low + 1 < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(runs, Range, middle).first <= block) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &g_array_index(runs, Range, low);
}

FsBlockUse coroutine_fn ext4_bitmap_co_use(Ext4State *s, uint64_t offset,
                                           uint64_t *pnum)
{
    uint64_t block = offset >> s->geo.block_bits;
    uint64_t volume = blk_length(s->fs->blk);
    uint64_t end;

    if (block >= s->geo.blocks_count || offset >= volume) {
        *pnum = offset < volume ? volume - offset : 0;
        return FS_BLOCK_UNKNOWN;
    }
    if (block < s->geo.first_data_block) {
        *pnum = ext4_block_offset(s, s->geo.first_data_block) - offset;
        return FS_BLOCK_USED;
    }

    uint64_t number = (block - s->geo.first_data_block) / s->geo.blocks_per_group;
    g_autoptr(GArray) runs = NULL;

    if (s->use_runs && s->use_group == number) {
        runs = g_array_ref(s->use_runs);
    } else {
        runs = group_runs(s, number);
        g_clear_pointer(&s->use_runs, g_array_unref);
        s->use_runs = g_array_ref(runs);
        s->use_group = number;
    }

    const Range *run = find_run(runs, block);

    end = MIN(ext4_block_offset(s, run->end), volume);
    *pnum = end - offset;
    return run->use;
}
