/*
 * Content through the filesystem.
 */
#include "engram/sink-read.h"

#include "engram/sink-content.h"
#include "util/error.h"
#include "util/thread-pool.h"
#include "util/units.h"

enum { EXTENTS_AT_ONCE = 256 };

/* A unit read and cut. */
typedef struct ReadWork {
    SinkCutter *cutter;
    SinkStretch stretch;
    VectorCounts *counts;
    GArray *chunks;                 /* of SinkChunk: of no use but to be counted */
    uint8_t digest[ENGRAM_DIGEST_BYTES];
    bool has_chunks;
} ReadWork;

static int cut_unit(void *opaque)
{
    ReadWork *work = opaque;

    g_array_set_size(work->chunks, 0);
    sink_cutter_begin(work->cutter, work->counts);
    sink_cutter_add(work->cutter, &work->stretch, work->chunks);
    work->has_chunks = sink_cutter_end(work->cutter, work->digest);
    return 0;
}

/* Where content is at or behind *pos, from a multiple of SINK_SEGMENT_BYTES on; size if
 * there is none. */
static bool coroutine_fn co_skip_holes(Filesystem *fs, const SinkReadFile *file,
                                       uint64_t *pos, GError **errp)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(FsExtent));
    uint64_t next = *pos;

    if (*pos == 0) {
        return true;                /* content may be where no extent tells of it */
    }
    do {
        g_array_set_size(extents, 0);
        if (!fs_co_extents(fs, file->ino, next, EXTENTS_AT_ONCE, extents, errp)) {
            return false;
        }
        for (guint i = 0; i < extents->len; i++) {
            const FsExtent *extent = &g_array_index(extents, FsExtent, i);
            uint64_t start = round_down_pow2(extent->file_offset, SINK_SEGMENT_BYTES);

            if (!(extent->flags & FS_EXTENT_UNWRITTEN)) {
                *pos = MIN(MAX(start, *pos), file->size);
                return true;
            }
            next = MAX(next + 1, extent->file_offset + extent->length);
        }
    } while (extents->len && next < file->size);
    *pos = file->size;
    return true;
}

static bool take_bytes(SinkReader *r, const Filesystem *fs, const SinkReadFile *file,
                       uint64_t pos, uint32_t n, GError **errp)
{
    if (n > r->bytes_left) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: inode %" PRIu64 ": byte 0x%" PRIx64
                    " of the file: there is more to be read than the disk has room for",
                    blk_name(fs->blk), file->ino, pos);
        return false;
    }
    r->bytes_left -= n;
    return true;
}

static bool coroutine_fn co_read_units(SinkReader *r, Filesystem *fs,
                                       const SinkReadFile *file, unsigned *profile,
                                       ReadWork *work, GByteArray *digests,
                                       GError **errp)
{
    g_autofree uint8_t *buf = g_malloc(MIN(file->size, SINK_SEGMENT_BYTES));

    for (uint64_t pos = 0; pos < file->size;) {
        if (!co_skip_holes(fs, file, &pos, errp)) {
            return false;
        }
        uint32_t n = MIN(file->size - pos, SINK_SEGMENT_BYTES);
        if (!take_bytes(r, fs, file, pos, n, errp) ||
            !fs_co_read(fs, file->ino, pos, n, buf, errp)) {
            return false;
        }
        if (pos == 0 && *profile == SINK_PROFILE_BY_MAGIC) {
            *profile = sink_profile_by_magic(r->profiles, buf, n);
        }
        work->stretch = (SinkStretch){ buf, n, pos };
        thread_pool_co_run(thread_pool_cpu(), cut_unit, work);
        if (work->has_chunks) {
            g_byte_array_append(digests, work->digest, sizeof(work->digest));
        }
        pos += n;
    }
    return true;
}

bool coroutine_fn sink_co_read_file(SinkReader *r, Filesystem *fs,
                                    const SinkReadFile *file, GError **damage,
                                    GError **errp)
{
    g_autoptr(GByteArray) digests = g_byte_array_new();
    uint8_t packed[VECTOR_PACKED_BYTES_MAX], digest[ENGRAM_DIGEST_BYTES];
    ReadWork work = {
        .cutter = sink_cutter_new(r->chunker),
        .counts = g_new0(VectorCounts, 1),
        .chunks = g_array_new(FALSE, FALSE, sizeof(SinkChunk)),
    };
    unsigned profile = file->profile;
    size_t packed_bytes = 0;

    bool ok = co_read_units(r, fs, file, &profile, &work, digests, damage);
    if (ok && digests->len) {
        packed_bytes = vector_counts_pack(work.counts, packed);
    }
    sink_content_digest(digests, file->size, digest);
    sink_cutter_free(work.cutter);
    g_free(work.counts);
    g_array_unref(work.chunks);
    if (profile == SINK_PROFILE_BY_MAGIC) {
        profile = profile_for_content(r->profiles, PROFILE_CONTENT_UNKNOWN);
    }
    return manifest_writer_set_content(r->manifest, file->file, profile,
                                       ok ? digest : NULL, packed, packed_bytes, errp);
}
