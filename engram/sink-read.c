/*
 * Content through the filesystem.
 */
#include "engram/sink-read.h"

#include "engram/sink-content.h"
#include "util/error.h"
#include "util/thread-pool.h"

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

/* Where content is at or behind pos, from a multiple of SINK_SEGMENT_BYTES on; size if
 * there is none. */
static bool coroutine_fn co_skip_holes(Filesystem *fs, FsIno ino, uint64_t size,
                                       uint64_t *pos, GError **errp)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(FsExtent));

    if (*pos == 0) {
        return true;                /* content may be where no extent tells of it */
    }
    if (!fs_co_extents(fs, ino, *pos, 1, extents, errp)) {
        return false;
    }
    if (!extents->len) {
        *pos = size;
        return true;
    }
    uint64_t start = g_array_index(extents, FsExtent, 0).file_offset;
    if (start > *pos) {
        *pos = MIN(start - start % SINK_SEGMENT_BYTES, size);
    }
    return true;
}

static bool coroutine_fn co_read_units(Filesystem *fs, FsIno ino, uint64_t size,
                                       uint8_t *buf, unsigned *profile,
                                       const ProfileSet *profiles, ReadWork *work,
                                       GByteArray *digests, GError **errp)
{
    for (uint64_t pos = 0; pos < size;) {
        if (!co_skip_holes(fs, ino, size, &pos, errp)) {
            return false;
        }
        uint32_t n = MIN(size - pos, SINK_SEGMENT_BYTES);
        if (!fs_co_read(fs, ino, pos, n, buf, errp)) {
            return false;
        }
        if (pos == 0 && *profile == SINK_PROFILE_BY_MAGIC) {
            *profile = sink_profile_by_magic(profiles, buf, n);
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

bool coroutine_fn sink_co_read_file(Filesystem *fs, FsIno ino, uint64_t size,
                                    uint32_t number, unsigned profile,
                                    const ProfileSet *profiles, const Chunker *chunker,
                                    ManifestWriter *manifest, GError **damage,
                                    GError **errp)
{
    g_autofree uint8_t *buf = g_malloc(MIN(size, SINK_SEGMENT_BYTES));
    g_autoptr(GByteArray) digests = g_byte_array_new();
    uint8_t packed[VECTOR_PACKED_BYTES_MAX], digest[ENGRAM_DIGEST_BYTES];
    ReadWork work = {
        .cutter = sink_cutter_new(chunker),
        .counts = g_new0(VectorCounts, 1),
        .chunks = g_array_new(FALSE, FALSE, sizeof(SinkChunk)),
    };
    size_t packed_bytes = 0;

    bool ok =
        co_read_units(fs, ino, size, buf, &profile, profiles, &work, digests, damage);
    if (ok && digests->len) {
        packed_bytes = vector_counts_pack(work.counts, packed);
    }
    sink_content_digest(digests, size, digest);
    sink_cutter_free(work.cutter);
    g_free(work.counts);
    g_array_unref(work.chunks);
    if (profile == SINK_PROFILE_BY_MAGIC) {
        profile = profile_for_content(profiles, PROFILE_CONTENT_UNKNOWN);
    }
    return manifest_writer_set_content(manifest, number, profile, ok ? digest : NULL,
                                       packed, packed_bytes, errp);
}
