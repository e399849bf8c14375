/*
 * Content through the filesystem.
 */
#include "engram/sink-read.h"

#include "engram/content-sum.h"
#include "engram/sink-content.h"
#include "engram/unwrap.h"
#include "util/error.h"
#include "util/thread-pool.h"
#include "util/units.h"

enum {
    EXTENTS_AT_ONCE = 256,
    READ_RATIO = 64,            /* what a disk is compressed by, at most */
    READ_BYTES_LEAST = 1 << 30, /* that may be read of any disk */
};

uint64_t sink_read_limit(uint64_t disk_bytes)
{
    return MAX(disk_bytes <= UINT64_MAX / READ_RATIO ? disk_bytes * READ_RATIO : UINT64_MAX,
               (uint64_t)READ_BYTES_LEAST);
}

bool coroutine_fn sink_co_skip_holes(Filesystem *fs, FsIno ino, uint64_t size,
                                     uint64_t *pos, GError **errp)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(FsExtent));
    uint64_t next = *pos;

    if (*pos == 0) {
        return true;                /* content may be where no extent tells of it */
    }
    do {
        g_array_set_size(extents, 0);
        if (!fs_co_extents(fs, ino, next, EXTENTS_AT_ONCE, extents, errp)) {
            return false;
        }
        for (guint i = 0; i < extents->len; i++) {
            const FsExtent *extent = &g_array_index(extents, FsExtent, i);
            uint64_t start = round_down_pow2(extent->file_offset, SINK_SEGMENT_BYTES);

            if (!(extent->flags & FS_EXTENT_UNWRITTEN)) {
                *pos = MIN(MAX(start, *pos), size);
                return true;
            }
            next = MAX(next + 1, extent->file_offset + extent->length);
        }
    } while (extents->len && next < size);
    *pos = size;
    return true;
}

/* left: of the bytes that may still be read. */
static bool take_bytes(uint64_t *left, const Filesystem *fs, const SinkReadFile *file,
                       uint64_t pos, uint32_t n, GError **errp)
{
    if (n > *left) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: inode %" PRIu64 ": byte 0x%" PRIx64
                    " of the file: there is more to be read than the disk has room for",
                    blk_name(fs->blk), file->ino, pos);
        return false;
    }
    *left -= n;
    return true;
}

static bool coroutine_fn co_read_units(SinkReader *r, Filesystem *fs,
                                       const SinkReadFile *file, unsigned *profile,
                                       ContentSum *sum, GError **errp)
{
    g_autofree uint8_t *buf = g_malloc(MIN(file->size, SINK_SEGMENT_BYTES));

    for (uint64_t pos = 0; pos < file->size;) {
        if (!sink_co_skip_holes(fs, file->ino, file->size, &pos, errp)) {
            return false;
        }
        uint32_t n = MIN(file->size - pos, SINK_SEGMENT_BYTES);
        if (!take_bytes(&r->bytes_left, fs, file, pos, n, errp) ||
            !fs_co_read(fs, file->ino, pos, n, buf, errp)) {
            return false;
        }
        if (pos == 0 && *profile == SINK_PROFILE_BY_MAGIC) {
            *profile = sink_profile_by_magic(r->profiles, buf, n);
        }
        content_sum_co_add(sum, buf, n, pos);
        pos += n;
    }
    return true;
}

bool coroutine_fn sink_co_read_file(SinkReader *r, Filesystem *fs,
                                    const SinkReadFile *file, GError **damage,
                                    GError **errp)
{
    g_autoptr(ContentSum) sum = content_sum_new(r->chunker);
    uint8_t packed[VECTOR_PACKED_BYTES_MAX], digest[ENGRAM_DIGEST_BYTES];
    unsigned profile = file->profile;
    size_t packed_bytes = 0;

    bool ok = co_read_units(r, fs, file, &profile, sum, damage);
    const VectorCounts *counts = ok ? content_sum_co_counts(sum, file->size) : NULL;
    if (counts) {
        packed_bytes = vector_counts_pack(counts, packed);
    }
    content_sum_digest(sum, file->size, digest);
    if (profile == SINK_PROFILE_BY_MAGIC) {
        profile = profile_for_content(r->profiles, PROFILE_CONTENT_UNKNOWN);
    }
    return manifest_writer_set_content(r->manifest, file->file, profile,
                                       ok ? digest : NULL, packed, packed_bytes, errp);
}

bool coroutine_fn sink_co_is_wrapped(Filesystem *fs, FsIno ino)
{
    uint8_t head[UNWRAP_HEAD_BYTES];

    /* What cannot be read is found damaged later. */
    return fs_co_read(fs, ino, 0, sizeof(head), head, NULL) &&
           unwrap_is_worth_a_try(head, sizeof(head));
}

/* Unwrapping in the thread pool. */
typedef struct Unwrapping {
    const uint8_t *data;
    uint64_t size;
    uint8_t packed[VECTOR_PACKED_BYTES_MAX];
    size_t packed_bytes;            /* 0: it is no stream */
} Unwrapping;

static int unwrap(void *opaque)
{
    Unwrapping *u = opaque;
    VectorCounts counts;

    if (unwrap_content(u->data, u->size, &counts)) {
        u->packed_bytes = vector_counts_pack(&counts, u->packed);
    }
    return 0;
}

void coroutine_fn sink_co_unwrap_file(SinkReader *r, Filesystem *fs,
                                      const SinkReadFile *file, SinkContents *contents,
                                      GError **damage)
{
    uint32_t n = MIN(file->size, UNWRAP_INPUT_MAX);
    g_autofree uint8_t *data = g_malloc(n);
    Unwrapping u = { .data = data, .size = file->size };

    if (!take_bytes(&r->wrapped_left, fs, file, 0, n, damage) ||
        !fs_co_read(fs, file->ino, 0, n, data, damage)) {
        return;
    }
    thread_pool_co_run(thread_pool_cpu(), unwrap, &u);
    if (u.packed_bytes) {
        sink_contents_set_vector(contents, file->file, u.packed, u.packed_bytes);
    }
}
