/*
 * What damage costs: ranges of an image's disk, and the files they are of.
 */
#include "engram/check-int.h"
#include "fs/tree.h"
#include "fs/walk.h"
#include "qapi/qapi-types.h"
#include "util/error.h"

enum {
    MAX_LOST        = 1 << 16,          /* ranges that are kept */
    EXTENTS_AT_ONCE = 256,
};

typedef struct LostRange {
    uint64_t offset, end;
} LostRange;

GArray *check_lost_new(void)
{
    return g_array_new(FALSE, FALSE, sizeof(LostRange));
}

void check_lose(Check *check, uint64_t offset, uint64_t bytes)
{
    LostRange range = { offset, offset + bytes };

    if (check->lost->len < MAX_LOST) {
        g_array_append_val(check->lost, range);
    }
}

static int compare_ranges(const void *a, const void *b)
{
    const LostRange *ra = a, *rb = b;

    return (ra->offset > rb->offset) - (ra->offset < rb->offset);
}

static void merge(GArray *lost)
{
    guint n = 0;

    g_array_sort(lost, compare_ranges);
    for (guint i = 0; i < lost->len; i++) {
        LostRange next = g_array_index(lost, LostRange, i);
        LostRange *last = n ? &g_array_index(lost, LostRange, n - 1) : NULL;

        if (last && next.offset <= last->end) {
            last->end = MAX(last->end, next.end);
        } else {
            g_array_index(lost, LostRange, n++) = next;
        }
    }
    g_array_set_size(lost, n);
}

/* How many of the bytes [offset, offset + bytes) of the disk are lost. */
static uint64_t overlap(const GArray *lost, uint64_t offset, uint64_t bytes)
{
    uint64_t end = offset + bytes, sum = 0;
    guint low = 0, high = lost->len;

    while (low < high) {                /* the first one that ends behind offset */
        guint middle = low + (high - low) / 2;

        if (g_array_index(lost, LostRange, middle).end <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < lost->len && g_array_index(lost, LostRange, low).offset < end; low++) {
        const LostRange *range = &g_array_index(lost, LostRange, low);

        sum += MIN(end, range->end) - MAX(offset, range->offset);
    }
    return sum;
}

/* The files of a volume of a damaged image. */
typedef struct LostFiles {
    Check *check;
    const char *image;
    const Volume *volume;
    Filesystem *fs;
} LostFiles;

/* How a path of the volume is shown: from the root. */
static char *show(const LostFiles *files, const char *path)
{
    const char *volume = files->volume->info->path;

    return g_strconcat(strcmp(volume, "/") ? volume : "", "/", path, NULL);
}

static void G_GNUC_PRINTF(2, 3) say(const LostFiles *files, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_autofree char *line = g_strdup_printf("image '%s': %s", files->image, text);
    files->check->report(line, files->check->opaque);
}

/* Of a run of the volume. */
static uint64_t lost_on_volume(const LostFiles *files, uint64_t offset, uint64_t bytes)
{
    uint64_t sum = 0, at, n;

    for (; bytes > 0; offset += n, bytes -= n) {
        n = volume_find(files->volume, offset, bytes, &at);
        if (!n) {
            return sum;
        }
        sum += overlap(files->check->lost, at, n);
    }
    return sum;
}

static uint64_t coroutine_fn co_lost_of_file(const LostFiles *files, const FsStat *st,
                                             GError **errp)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(FsExtent));
    uint64_t at = 0, sum = 0;

    while (at < st->size) {
        g_array_set_size(extents, 0);
        if (!fs_co_extents(files->fs, st->ino, at, EXTENTS_AT_ONCE, extents, errp) ||
            !extents->len) {
            return sum;
        }
        for (guint i = 0; i < extents->len; i++) {
            const FsExtent *e = &g_array_index(extents, FsExtent, i);

            if (!(e->flags & FS_EXTENT_UNWRITTEN)) {
                sum += lost_on_volume(files, e->device_offset, e->length);
            }
            at = MAX(at + 1, e->file_offset + e->length);
        }
    }
    return sum;
}

static bool coroutine_fn co_visit(const FsWalkEntry *entry, void *opaque, GError **errp)
{
    const LostFiles *files = opaque;
    g_autofree char *path = show(files, entry->path);
    g_autoptr(GError) error = NULL;

    if (!S_ISREG(entry->stat.mode)) {
        return true;
    }
    uint64_t lost = co_lost_of_file(files, &entry->stat, &error);
    if (lost) {
        say(files, "%s: %" PRIu64 " of %" PRIu64 " bytes are lost", path,
            MIN(lost, entry->stat.size), entry->stat.size);
    }
    if (error) {
        say(files, "%s: %s", path, error->message);
    }
    return true;
}

static bool coroutine_fn co_damaged(const char *path, const GError *error, void *opaque)
{
    const LostFiles *files = opaque;
    g_autofree char *shown = show(files, path);

    say(files, "%s: %s", shown, error->message);
    return true;
}

static void coroutine_fn co_volume_files(LostFiles *files, FsTree *tree, Volume *volume)
{
    static const FsWalkOps ops = { .entry = co_visit, .damaged = co_damaged };
    g_autoptr(GError) error = NULL;

    files->volume = volume;
    if (!volume->fs_driver || !volume->fs_driver->fs_co_open) {
        return;
    }
    files->fs = fs_tree_co_filesystem(tree, volume, &error);
    if (!files->fs || !fs_co_walk(files->fs, files->fs->root, FS_WALK_STORED, &ops, files,
                                  &error)) {
        say(files, "which other files are damaged cannot be told: %s", error->message);
    }
}

/* The image as a disk, as good as it is. */
static FsTree *coroutine_fn co_open_tree(Check *check, const char *image, GError **errp)
{
    g_autoptr(BlockDriverState) bs =
        bdrv_co_open_over(check->file->file, "engram", 0, errp);

    if (!bs || bdrv_co_load_snapshot(bs, image, errp) < 0) {
        return NULL;
    }
    g_autoptr(BlockBackend) disk = blk_new(bs);
    return fs_tree_co_open(disk, errp);
}

void coroutine_fn check_co_report_lost(Check *check, const EngramImage *image)
{
    LostFiles files = { .check = check, .image = image->name };
    g_autoptr(GError) error = NULL;

    if (!check->lost->len) {
        return;
    }
    merge(check->lost);
    for (guint i = 0; i < check->lost->len; i++) {
        const LostRange *range = &g_array_index(check->lost, LostRange, i);

        say(&files, "%" PRIu64 " bytes of the disk at offset 0x%" PRIx64 " are lost",
            range->end - range->offset, range->offset);
    }
    g_autoptr(FsTree) tree = co_open_tree(check, image->name, &error);
    if (!tree) {
        say(&files, "which files are damaged cannot be told: %s", error->message);
        return;
    }
    const VolumeTable *table = fs_tree_volumes(tree);
    for (guint i = 0; i < table->volumes->len; i++) {
        co_volume_files(&files, tree, g_ptr_array_index(table->volumes, i));
    }
}
