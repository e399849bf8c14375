/*
 * What lies between the files.
 */
#include "engram/sink-gaps.h"

#include "engram/sink-status.h"
#include "util/units.h"

enum { SORT_BYTES = 8 << 20 };

typedef struct Range {
    uint64_t offset, length;
} Range;

/* A volume, or an area of one. */
typedef struct GapVolume {
    DiskMapArea area;
    uint64_t end;                   /* on the disk, as far as the disk goes */
    Filesystem *fs;
    uint64_t idle_offset, idle_bytes; /* on the volume: what nobody needs */
    bool is_holder;                 /* what is in it is volumes, which are added, too */
    bool has_dependents;
} GapVolume;

struct SinkGaps {
    const ProfileSet *profiles;
    bool drop_free_space;
    GArray *volumes;                /* of GapVolume, in order of offset once started */
    guint next_volume;              /* the first that begins behind pos */
    GArray *around;                 /* of GapVolume: those that hold pos, the same order */
    RecordSorter *covered;          /* of Range */
    uint64_t pos;
    Range next;                     /* covered, behind pos or around it */
    bool has_next;
    SinkStatus status;
    uint64_t use_end;               /* what [pos, use_end) is for is known */
    unsigned profile;
    bool is_free;
};

static int compare_ranges(const void *a, const void *b)
{
    const Range *ra = a, *rb = b;

    return (ra->offset > rb->offset) - (ra->offset < rb->offset);
}

SinkGaps *sink_gaps_new(BlockBackend *disk, const ProfileSet *profiles,
                        bool drop_free_space, const char *spool_dir)
{
    SinkGaps *g = g_new0(SinkGaps, 1);

    g->status.disk = disk;
    g->profiles = profiles;
    g->drop_free_space = drop_free_space;
    g->volumes = g_array_new(FALSE, FALSE, sizeof(GapVolume));
    g->around = g_array_new(FALSE, FALSE, sizeof(GapVolume));
    g->covered =
        record_sorter_new(sizeof(Range), compare_ranges, SORT_BYTES, spool_dir);
    return g;
}

void sink_gaps_free(SinkGaps *g)
{
    if (!g) {
        return;
    }
    g_array_unref(g->volumes);
    g_array_unref(g->around);
    record_sorter_free(g->covered);
    g_free(g);
}

static gint compare_volumes(gconstpointer a, gconstpointer b)
{
    const GapVolume *va = a, *vb = b;

    if (va->area.disk_offset != vb->area.disk_offset) {
        return va->area.disk_offset > vb->area.disk_offset ? 1 : -1;
    }
    return vb->is_holder - va->is_holder;
}

static void add_area(SinkGaps *g, const GapVolume *volume)
{
    uint64_t disk = blk_length(g->status.disk), offset = volume->area.disk_offset;

    if (offset < disk && volume->area.length) {
        GapVolume added = *volume;

        added.end = offset + MIN(volume->area.length, disk - offset);
        g_array_append_val(g->volumes, added);
    }
}

static DiskMapArea whole_area(uint64_t offset, uint64_t size)
{
    return (DiskMapArea){
        .disk_offset = offset,
        .length = size,
        .stripe = size,
        .distance = size,
    };
}

void sink_gaps_add_volume(SinkGaps *g, const Volume *volume, Filesystem *fs)
{
    GapVolume added = {
        .area = whole_area(volume->info->offset, volume->info->size),
        .fs = fs,
        .idle_offset = volume->idle_offset,
        .idle_bytes = volume->idle_bytes,
        .is_holder = volume->holds_others,
        .has_dependents = volume->has_dependents,
    };

    if (volume->map) {
        for (unsigned i = 0; i < disk_map_areas(volume->map); i++) {
            added.area = disk_map_area(volume->map, i);
            add_area(g, &added);
        }
    } else if (!volume->holds_others || volume->fs_driver) {
        add_area(g, &added);        /* of tables in a partition there is nothing to say */
    }
}

void sink_gaps_add_unknown(SinkGaps *g)
{
    GapVolume added = {.area = whole_area(0, blk_length(g->status.disk))};

    add_area(g, &added);
}

bool sink_gaps_cover(SinkGaps *g, uint64_t offset, uint64_t length, GError **errp)
{
    Range range = { offset, length };

    return record_sorter_add(g->covered, &range, errp);
}

static bool load_next(SinkGaps *g, GError **errp)
{
    int ret = record_sorter_next(g->covered, &g->next, errp);

    g->has_next = ret > 0;
    return ret >= 0;
}

bool sink_gaps_start(SinkGaps *g, GError **errp)
{
    g_array_sort(g->volumes, compare_volumes);
    return record_sorter_finish(g->covered, errp) && load_next(g, errp);
}

/* Where the whole blocks end that are known to be zero at pos; it is at most end, where
 * the last one may be cut.  Not behind pos: there are none. */
static uint64_t zeroes_end(const SinkGaps *g, uint64_t pos, uint64_t end)
{
    if (!g->status.zero) {
        return pos;
    }
    return g->status.end < end ? round_down_pow2(g->status.end, SINK_BLOCK_BYTES) : end;
}

/* Cuts *end to where the blocks behind g->pos end that may not be zero.  Where chunks
 * are cut must not depend on how finely a source knows its zeroes. */
static bool coroutine_fn co_find_data_end(SinkGaps *g, uint64_t *end, GError **errp)
{
    for (uint64_t pos = g->pos; pos < *end; pos = g->status.end) {
        if (!sink_status_co_find(&g->status, pos, errp)) {
            return false;
        }
        uint64_t start = round_up_pow2(pos, SINK_BLOCK_BYTES);
        if (start > g->pos && start < zeroes_end(g, pos, *end)) {
            *end = start;
        }
    }
    return true;
}

/* Makes g->around what it is at g->pos, which only moves forward. */
static void enter_volumes(SinkGaps *g)
{
    for (guint i = g->around->len; i-- > 0;) {
        if (g_array_index(g->around, GapVolume, i).end <= g->pos) {
            g_array_remove_index(g->around, i);
        }
    }
    for (; g->next_volume < g->volumes->len; g->next_volume++) {
        const GapVolume *volume = &g_array_index(g->volumes, GapVolume, g->next_volume);

        if (volume->area.disk_offset > g->pos) {
            break;
        }
        if (volume->end > g->pos) {
            g_array_append_vals(g->around, volume, 1);
        }
    }
}

/* The innermost of the volumes that hold pos; *end is cut to where these change.
 * *shared: there are several. */
static const GapVolume *find_volume(SinkGaps *g, uint64_t *end, bool *shared)
{
    const GapVolume *found = NULL;

    enter_volumes(g);
    *shared = false;
    for (guint i = 0; i < g->around->len; i++) {
        const GapVolume *volume = &g_array_index(g->around, GapVolume, i);

        *shared |= volume->has_dependents || (found && !found->is_holder);
        *end = MIN(*end, volume->end);
        found = volume;
    }
    if (g->next_volume < g->volumes->len) {
        *end = MIN(*end, g_array_index(g->volumes, GapVolume, g->next_volume)
                             .area.disk_offset);
    }
    return found;
}

/* What a volume has at pos, for *left bytes or fewer. */
static FsBlockUse coroutine_fn co_block_use(const GapVolume *volume, uint64_t pos,
                                            uint64_t *left)
{
    const uint64_t idle_end = volume->idle_offset + volume->idle_bytes;
    const uint64_t at =
        disk_map_area_find(&volume->area, pos - volume->area.disk_offset, left);

    if (!volume->fs) {
        const bool is_idle = at >= volume->idle_offset && at < idle_end;

        *left = MIN(*left, at < volume->idle_offset ? volume->idle_offset - at
                           : is_idle                ? idle_end - at
                                                    : UINT64_MAX);
        return is_idle ? FS_BLOCK_FREE : FS_BLOCK_UNKNOWN;
    }

    uint64_t start = at - at % volume->fs->block_size, n = 0;
    FsBlockUse use = fs_co_block_use(volume->fs, start, &n);
    if (n > at - start) {
        *left = MIN(*left, n - (at - start));
    }
    return use;
}

/* Finds out what the disk at g->pos is for. */
static void coroutine_fn co_find_use(SinkGaps *g)
{
    uint64_t end = blk_length(g->status.disk);
    ProfileContent content = PROFILE_CONTENT_FS_METADATA;

    if (g->pos < g->use_end) {
        return;
    }
    bool shared;
    const GapVolume *volume = find_volume(g, &end, &shared);
    if (volume) {
        uint64_t left = 0;

        switch (co_block_use(volume, g->pos, &left)) {
        case FS_BLOCK_FREE:
            content = PROFILE_CONTENT_FREE_SPACE;
            break;
        case FS_BLOCK_USED:
        case FS_BLOCK_METADATA:
            break;
        case FS_BLOCK_UNKNOWN:
            content = PROFILE_CONTENT_UNKNOWN;
            break;
        }
        end = MIN(end, g->pos + left);
    }
    g->use_end = end;
    /* What is free for one volume may be another's all. */
    g->is_free = content == PROFILE_CONTENT_FREE_SPACE && !shared;
    g->profile = profile_for_content(g->profiles, content);
}

/* Goes on to where no file is.  False: failed. */
static bool skip_covered(SinkGaps *g, GError **errp)
{
    while (g->has_next && g->next.offset <= g->pos) {
        g->pos = MAX(g->pos, g->next.offset + g->next.length);
        if (!load_next(g, errp)) {
            return false;
        }
    }
    return true;
}

int coroutine_fn sink_gaps_co_next(SinkGaps *g, SinkUnit *unit, GError **errp)
{
    const uint64_t disk = blk_length(g->status.disk);

    for (;;) {
        if (!skip_covered(g, errp)) {
            return -1;
        }
        if (g->pos >= disk) {
            return 0;
        }
        if (!sink_status_co_find(&g->status, g->pos, errp)) {
            return -1;
        }
        uint64_t end = g->has_next ? MIN(g->next.offset, disk) : disk;
        uint64_t zeroes = zeroes_end(g, g->pos, end);
        if (zeroes > g->pos) {
            g->pos = zeroes;
            continue;
        }
        co_find_use(g);
        end = MIN(end, g->use_end);
        end =
            MIN(end, round_down_pow2(g->pos, SINK_SEGMENT_BYTES) + SINK_SEGMENT_BYTES);
        if (!co_find_data_end(g, &end, errp)) {
            return -1;
        }
        *unit = (SinkUnit){
            .address = g->pos,
            .file = SINK_NO_FILE,
            .size = end - g->pos,
            .profile = g->profile,
            .dropped = g->is_free && g->drop_free_space,
        };
        g->pos = end;
        return 1;
    }
}
