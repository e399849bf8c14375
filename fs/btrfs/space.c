/* What is allocated: what the extent tree has, of the chunks that there are. */
#include "btrfs.h"

enum {
    MAX_BACK_STEPS = 16, /* over items that are no extents */
    MAX_MERGED = 4096,   /* extents told as one */
};

/* A range of logical addresses that is of one use. */
typedef struct Run {
    uint64_t start, end;
    FsBlockUse use;
} Run;

static bool is_extent(const BtrfsCursor *c)
{
    return c->key.type == BTRFS_EXTENT_ITEM || c->key.type == BTRFS_METADATA_ITEM;
}

static Run extent_run(const BtrfsState *s, const BtrfsCursor *c)
{
    const BtrfsExtentItem *item = (const BtrfsExtentItem *)c->data;
    uint64_t bytes =
        c->key.type == BTRFS_METADATA_ITEM ? s->geo.node_bytes : c->key.offset;
    uint64_t start = c->key.objectid;
    bool is_tree = c->key.type == BTRFS_METADATA_ITEM ||
                   (c->size >= sizeof(*item) &&
                    le64_get(item->flags) & BTRFS_EXTENT_FLAG_TREE_BLOCK);

    return (Run){
        .start = start,
        .end = start + MIN(bytes, UINT64_MAX - start),
        .use = is_tree ? FS_BLOCK_METADATA : FS_BLOCK_USED,
    };
}

/* To the extent that begins at or before logical, if there is one from first on: else
 * the cursor is not valid. */
static bool coroutine_fn seek_extent(BtrfsCursor *c, uint64_t first, uint64_t logical,
                                     bool *known)
{
    BtrfsKey key = {logical, BTRFS_METADATA_ITEM, UINT64_MAX};

    *known = true;
    for (int i = 0; i < MAX_BACK_STEPS; i++) {
        if (!btrfs_cursor_co_seek_back(c, &key, NULL)) {
            return false;
        }
        if (!c->valid || c->key.objectid < first) {
            c->valid = false;
            return true;
        }
        if (is_extent(c)) {
            return true;
        }
        key.objectid =
            c->key.type > BTRFS_METADATA_ITEM ? c->key.objectid : c->key.objectid - 1;
        key.type = BTRFS_METADATA_ITEM;
        key.offset = UINT64_MAX;
    }
    *known = false;
    return true;
}

/* To the next extent. */
static bool coroutine_fn next_extent(BtrfsCursor *c)
{
    do {
        if (!btrfs_cursor_co_next(c, NULL)) {
            return false;
        }
    } while (c->valid && !is_extent(c));
    return true;
}

/* From a free place to the next extent. */
static bool coroutine_fn first_extent(BtrfsCursor *c, uint64_t logical)
{
    BtrfsKey key = {logical, 0, 0};

    if (!btrfs_cursor_co_seek(c, &key, NULL)) {
        return false;
    }
    return !c->valid || is_extent(c) || next_extent(c);
}

static Run damaged_run(const BtrfsCursor *c, uint64_t logical)
{
    return (Run){logical, c->damaged_end.objectid, FS_BLOCK_UNKNOWN};
}

/* What is at logical, in a chunk that begins at first and ends at end. */
static Run coroutine_fn find_run(BtrfsState *s, uint64_t first, uint64_t logical,
                                 uint64_t end)
{
    Run run = {logical, end, FS_BLOCK_UNKNOWN};
    g_auto(BtrfsCursor) c = {0};
    bool known;

    btrfs_cursor_init(&c, s, &s->extent_tree);
    if (!s->has_extent_tree) {
        return run;
    }
    if (!seek_extent(&c, first, logical, &known)) {
        return damaged_run(&c, logical);
    }
    if (known && c.valid && extent_run(s, &c).end > logical) {
        run = extent_run(s, &c);
        for (int i = 0; i < MAX_MERGED && run.end < end; i++) {
            if (!next_extent(&c) || !c.valid) {
                break;
            }
            Run next = extent_run(s, &c);
            if (next.start != run.end || next.use != run.use) {
                break;
            }
            run.end = next.end;
        }
        return run;
    }
    if (!first_extent(&c, logical)) {
        return damaged_run(&c, logical);
    }
    if (c.valid) {
        run.end = MIN(end, c.key.objectid);
    }
    run.use = !known || s->geo.log_root ? FS_BLOCK_UNKNOWN : FS_BLOCK_FREE;
    return run;
}

/* In whole sectors, and at least one. */
static uint64_t run_bytes(const BtrfsState *s, uint64_t logical, Run *run)
{
    uint32_t sector = s->geo.sector_bytes;
    uint64_t bytes =
        run->end > logical ? round_down_pow2(run->end - logical, sector) : 0;

    if (!bytes) {
        run->use = run->use == FS_BLOCK_FREE ? FS_BLOCK_UNKNOWN : run->use;
        return sector;
    }
    return bytes;
}

static void warn_of_damage(BtrfsState *s, uint64_t logical)
{
    if (!s->space_warned && !s->geo.log_root && s->has_extent_tree) {
        s->space_warned = true;
        btrfs_warn(s, logical,
                   "the extent tree is damaged; what is free there is not known");
    }
}

/* What is not in the hands of the trees: the first part of the device, and where the
 * superblock's copies are.  *end is cut to where that changes. */
static bool is_reserved(uint64_t offset, uint64_t *end)
{
    static const uint64_t copies[] = {BTRFS_SUPER_COPY_1_BYTES,
                                      BTRFS_SUPER_COPY_2_BYTES};

    if (offset < BTRFS_RESERVED_BYTES) {
        *end = MIN(*end, BTRFS_RESERVED_BYTES);
        return true;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(copies); i++) {
        if (offset < copies[i]) {
            *end = MIN(*end, copies[i]);
            return false;
        }
        if (offset - copies[i] < BTRFS_STRIPE_BYTES) {
            *end = MIN(*end, copies[i] + BTRFS_STRIPE_BYTES);
            return true;
        }
    }
    return false;
}

FsBlockUse coroutine_fn btrfs_space_co_use(BtrfsState *s, uint64_t offset,
                                           uint64_t *pnum)
{
    uint64_t volume = blk_length(s->fs->blk);
    uint64_t end = volume;

    if (offset >= MIN(volume, s->geo.total_bytes)) {
        *pnum = offset < volume ? volume - offset : 0;
        return FS_BLOCK_UNKNOWN;
    }
    end = MIN(end, s->geo.total_bytes);
    if (is_reserved(offset, &end)) {
        *pnum = end - offset;
        return FS_BLOCK_METADATA;
    }

    const BtrfsDeviceRange *range = btrfs_device_range_find(s, offset);

    if (s->chunks_overlap) {
        *pnum = end - offset;
        return FS_BLOCK_UNKNOWN;
    }
    if (!range || range->physical > offset) {
        *pnum = (range ? MIN(end, range->physical) : end) - offset;
        return FS_BLOCK_FREE;
    }

    uint64_t within = offset - range->physical;
    Run run = find_run(s, range->logical, range->logical + within,
                       range->logical + range->length);

    end = MIN(end, range->physical + range->length);
    *pnum = MIN(end - offset, run_bytes(s, range->logical + within, &run));
    if (run.use == FS_BLOCK_UNKNOWN) {
        warn_of_damage(s, range->logical + within);
    }
    return run.use;
}
