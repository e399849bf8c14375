#include "extract.h"

#include <string.h>

#include "report.h"

enum {
    PIECE_BYTES = 1024 * 1024,
    EXTENTS_AT_ONCE = 256,
    INLINE_MAX_BYTES = 64 * 1024, /* content that is within metadata is shorter */
};

void extract_problem(ExtractTarget *target, const char *path, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    report_error("%s: %s", path, text);
    target->incomplete = true;
}

void extract_note(const char *path, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    report_warning("%s: %s", path, text);
}

static void add_range(GArray *ranges, uint64_t offset, uint64_t length)
{
    if (ranges->len) {
        DataRange *last = &g_array_index(ranges, DataRange, ranges->len - 1);

        if (last->offset + last->length == offset) {
            last->length += length;
            return;
        }
    }
    DataRange range = {offset, length};
    g_array_append_val(ranges, range);
}

GArray *coroutine_fn extract_co_ranges(Filesystem *fs, const FsStat *stat,
                                       GError **errp)
{
    g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(DataRange));
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(FsExtent));
    uint64_t at = 0;
    bool any = false;

    while (at < stat->size) {
        g_array_set_size(extents, 0);
        if (!fs_co_extents(fs, stat->ino, at, EXTENTS_AT_ONCE, extents, errp)) {
            return NULL;
        }
        if (!extents->len) {
            break;
        }
        any = true;
        for (guint i = 0; i < extents->len && at < stat->size; i++) {
            const FsExtent *e = &g_array_index(extents, FsExtent, i);
            uint64_t from = MAX(at, e->file_offset);
            uint64_t to = MIN(e->file_offset + e->length, stat->size);

            if (to > from && !(e->flags & FS_EXTENT_UNWRITTEN)) {
                add_range(ranges, from, to - from);
            }
            at = MAX(from, e->file_offset + e->length);
        }
    }
    if (!any && stat->size && stat->size <= INLINE_MAX_BYTES) {
        add_range(ranges, 0, stat->size);
    }
    return g_steal_pointer(&ranges);
}

bool coroutine_fn extract_co_try_content(const ExtractFile *file, GError **errp)
{
    g_autofree uint8_t *buf = NULL;

    if (file->content) {
        return true;
    }
    buf = g_malloc(MIN(PIECE_BYTES, file->stat.size));
    for (guint i = 0; i < file->ranges->len; i++) {
        const DataRange *range = &g_array_index(file->ranges, DataRange, i);
        size_t len;

        for (uint64_t done = 0; done < range->length; done += len) {
            len = MIN(PIECE_BYTES, range->length - done);
            if (!fs_co_read(file->fs, file->stat.ino, range->offset + done, len, buf,
                            errp)) {
                return false;
            }
        }
    }
    return true;
}

/* Reads a piece; where that fails, block by block.  The first error is reported. */
static void coroutine_fn co_read_piece(ExtractTarget *target, const ExtractFile *file,
                                       uint64_t offset, size_t len, uint8_t *buf,
                                       bool *reported)
{
    g_autoptr(GError) error = NULL;
    size_t step;

    if (fs_co_read(file->fs, file->stat.ino, offset, len, buf, &error)) {
        return;
    }
    for (size_t at = 0; at < len; at += step) {
        step =
            MIN(len - at, file->fs->block_size - (offset + at) % file->fs->block_size);
        g_clear_error(&error);
        if (fs_co_read(file->fs, file->stat.ino, offset + at, step, buf + at, &error)) {
            continue;
        }
        memset(buf + at, 0, step);
        if (!*reported) {
            extract_problem(target, file->path,
                            "what cannot be read becomes zeroes: %s", error->message);
            *reported = true;
        }
    }
}

static bool coroutine_fn write_content(const ExtractFile *file, ExtractWrite *write,
                                       void *opaque, GError **errp)
{
    for (guint i = 0; i < file->ranges->len; i++) {
        const DataRange *range = &g_array_index(file->ranges, DataRange, i);

        if (!write(range->offset, file->content + range->offset, range->length, opaque,
                   errp)) {
            return false;
        }
    }
    return true;
}

bool coroutine_fn extract_co_content(ExtractTarget *target, const ExtractFile *file,
                                     ExtractWrite *write, void *opaque, GError **errp)
{
    g_autofree uint8_t *buf = NULL;
    bool reported = false;

    if (!file->ranges->len) {
        return true;
    }
    if (file->content) {
        return write_content(file, write, opaque, errp);
    }
    buf = g_malloc(MIN(PIECE_BYTES, file->stat.size));
    for (guint i = 0; i < file->ranges->len; i++) {
        const DataRange *range = &g_array_index(file->ranges, DataRange, i);
        size_t len;

        for (uint64_t done = 0; done < range->length; done += len) {
            len = MIN(PIECE_BYTES, range->length - done);
            co_read_piece(target, file, range->offset + done, len, buf, &reported);
            if (!write(range->offset + done, buf, len, opaque, errp)) {
                return false;
            }
        }
    }
    return true;
}
