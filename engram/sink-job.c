/*
 * Reading, cutting, encoding.
 */
#include "engram/sink-job.h"

#include "engram/unwrap.h"
#include "util/error.h"
#include "util/thread-pool.h"
#include "util/units.h"

enum {
    JOB_BYTES    = SINK_SEGMENT_BYTES,
    BUFFER_ALIGN = 4096,
    UNITS_MAX    = 4096,
};

#define NO_DEVICE UINT64_MAX        /* zeroes that fill up a block */

/* Bytes of the buffer, and where they come from. */
typedef struct Piece {
    uint64_t device_offset;
    uint32_t offset;                /* in the buffer */
    uint32_t length;
} Piece;

typedef struct JobUnit {
    SinkUnit unit;
    guint first_piece, end_piece;
    guint first_stretch, end_stretch;
    guint first_chunk, end_chunk;
    SinkFound found;
} JobUnit;

struct SinkJob {
    SinkEncoder *e;
    uint8_t *buf;
    uint32_t used;
    uint64_t bytes;
    GArray *units;                  /* of JobUnit */
    GArray *pieces;                 /* of Piece, in order of offset */
    GArray *stretches;              /* of SinkStretch */
    GArray *chunks;                 /* of SinkChunk */
    SinkCutter *cutter;
    VectorCounts *counts;
};

SinkJob *sink_job_new(SinkEncoder *e)
{
    SinkJob *job = g_new0(SinkJob, 1);

    job->e = e;
    job->buf = g_aligned_alloc(1, JOB_BYTES, BUFFER_ALIGN);
    job->units = g_array_new(FALSE, FALSE, sizeof(JobUnit));
    job->pieces = g_array_new(FALSE, FALSE, sizeof(Piece));
    job->stretches = g_array_new(FALSE, FALSE, sizeof(SinkStretch));
    job->chunks = g_array_new(FALSE, FALSE, sizeof(SinkChunk));
    job->cutter = sink_cutter_new(e->chunker, e->recall != NULL);
    job->counts = g_new0(VectorCounts, 1);
    return job;
}

void sink_job_clear(SinkJob *job)
{
    for (guint i = 0; i < job->units->len; i++) {
        JobUnit *u = &g_array_index(job->units, JobUnit, i);

        g_free(u->found.counts);
        g_free(u->found.packed);
    }
    g_array_set_size(job->units, 0);
    g_array_set_size(job->pieces, 0);
    g_array_set_size(job->stretches, 0);
    g_array_set_size(job->chunks, 0);
    job->used = 0;
    job->bytes = 0;
}

void sink_job_free(SinkJob *job)
{
    if (!job) {
        return;
    }
    sink_job_clear(job);
    g_aligned_free(job->buf);
    g_array_unref(job->units);
    g_array_unref(job->pieces);
    g_array_unref(job->stretches);
    g_array_unref(job->chunks);
    sink_cutter_free(job->cutter);
    g_free(job->counts);
    g_free(job);
}

/* A unit while it is laid out in the buffer. */
typedef struct Layout {
    SinkJob *job;
    uint32_t used;
    uint32_t pos;                   /* in the unit: up to here it is laid out */
    SinkStretch stretch;            /* that ends at pos */
    uint64_t address;               /* of the unit */
} Layout;

static bool add_piece(Layout *l, uint64_t device_offset, uint32_t length)
{
    Piece piece = { device_offset, l->used, length };

    if (length > JOB_BYTES - l->used) {
        return false;
    }
    if (length) {
        g_array_append_val(l->job->pieces, piece);
        l->used += length;
        l->pos += length;
        l->stretch.size += length;
    }
    return true;
}

static void end_stretch(Layout *l)
{
    if (l->stretch.size) {
        g_array_append_val(l->job->stretches, l->stretch);
    }
}

/* Goes on at offset of the unit.  Of a hole before it, what is in blocks that have
 * content, too, is laid out as zeroes; the rest ends a stretch. */
static bool skip_hole(Layout *l, uint32_t offset)
{
    uint32_t hole_start = round_up_pow2(l->pos, SINK_BLOCK_BYTES);
    uint32_t hole_end = round_down_pow2(offset, SINK_BLOCK_BYTES);

    if (hole_start >= hole_end) {
        return add_piece(l, NO_DEVICE, offset - l->pos);
    }
    if (l->stretch.size && !add_piece(l, NO_DEVICE, hole_start - l->pos)) {
        return false;
    }
    end_stretch(l);
    l->pos = hole_end;
    l->stretch = (SinkStretch){ l->job->buf + l->used, 0, l->address + hole_end };
    return add_piece(l, NO_DEVICE, offset - hole_end);
}

static bool lay_out(Layout *l, const SinkUnit *unit, const GArray *extents)
{
    bool is_file = unit->file != SINK_NO_FILE;

    l->stretch = (SinkStretch){ l->job->buf + l->used, 0, l->address };
    for (guint i = 0; i < extents->len; i++) {
        const SinkExtent *extent = &g_array_index(extents, SinkExtent, i);

        if ((extent->offset > l->pos && !skip_hole(l, extent->offset)) ||
            !add_piece(l, extent->device_offset, extent->length)) {
            return false;
        }
    }
    if (is_file && l->pos < unit->size) {
        uint32_t end = MIN(round_up_pow2(l->pos, SINK_BLOCK_BYTES), unit->size);
        if (!add_piece(l, NO_DEVICE, end - l->pos)) {
            return false;
        }
    }
    end_stretch(l);
    return true;
}

bool sink_job_add(SinkJob *job, const SinkUnit *unit, const GArray *extents)
{
    Layout l = { .job = job, .used = job->used, .address = unit->address };
    JobUnit u = {
        .unit = *unit,
        .first_piece = job->pieces->len,
        .first_stretch = job->stretches->len,
    };

    if (job->units->len == UNITS_MAX || !lay_out(&l, unit, extents)) {
        g_array_set_size(job->pieces, u.first_piece);
        g_array_set_size(job->stretches, u.first_stretch);
        return false;
    }
    u.end_piece = job->pieces->len;
    u.end_stretch = job->stretches->len;
    g_array_append_val(job->units, u);
    job->used = l.used;
    for (guint i = 0; i < extents->len; i++) {
        job->bytes += g_array_index(extents, SinkExtent, i).length;
    }
    return true;
}

bool sink_job_is_empty(const SinkJob *job)
{
    return job->units->len == 0;
}

uint32_t sink_job_file(const SinkJob *job)
{
    for (guint i = 0; i < job->units->len; i++) {
        const JobUnit *u = &g_array_index(job->units, JobUnit, i);

        if (u->unit.file != SINK_NO_FILE) {
            return u->unit.file;
        }
    }
    return SINK_NO_FILE;
}

uint64_t sink_job_bytes(const SinkJob *job)
{
    return job->bytes;
}

static bool coroutine_fn co_read_piece(SinkJob *job, const Piece *piece, GError **errp)
{
    BlockBackend *disk = job->e->disk;

    if (piece->device_offset == NO_DEVICE) {
        memset(job->buf + piece->offset, 0, piece->length);
        return true;
    }
    int ret = blk_co_pread(disk, piece->device_offset, piece->length,
                           job->buf + piece->offset);
    if (ret < 0) {
        GError *error = bdrv_take_error(blk_bs(disk));
        if (error) {
            g_propagate_error(errp, error);
        } else {
            error_set_errno(errp, -ret,
                            "%s: error while reading %" PRIu32
                            " bytes at offset 0x%" PRIx64,
                            blk_name(disk), piece->length, piece->device_offset);
        }
    }
    return ret >= 0;
}

/* Pieces that follow one another on the disk, too, are read as one. */
bool coroutine_fn sink_job_co_read(SinkJob *job, GError **errp)
{
    Piece run = { 0 };

    for (guint i = 0; i < job->pieces->len; i++) {
        const Piece *piece = &g_array_index(job->pieces, Piece, i);

        if (run.length && piece->device_offset != NO_DEVICE &&
            run.device_offset != NO_DEVICE &&
            run.device_offset + run.length == piece->device_offset) {
            run.length += piece->length;
            continue;
        }
        if (run.length && !co_read_piece(job, &run, errp)) {
            return false;
        }
        run = *piece;
    }
    return !run.length || co_read_piece(job, &run, errp);
}

/* The content of a unit in one piece: *copy, unless it lies so in the buffer. */
static const uint8_t *whole_content(const SinkJob *job, const JobUnit *u, uint8_t **copy)
{
    const SinkStretch *first =
        &g_array_index(job->stretches, SinkStretch, u->first_stretch);

    if (first->size == u->unit.size) {
        return first->data;
    }
    *copy = g_malloc0(u->unit.size);
    for (guint i = u->first_stretch; i < u->end_stretch; i++) {
        const SinkStretch *s = &g_array_index(job->stretches, SinkStretch, i);

        memcpy(*copy + s->address, s->data, s->size);
    }
    return *copy;
}

/* Whether a file is a compressed stream: its counts are those of what is inside. */
static bool unwrap_unit(const SinkJob *job, const JobUnit *u, VectorCounts *counts)
{
    g_autofree uint8_t *copy = NULL;

    if (!u->unit.whole || u->first_stretch >= u->end_stretch) {
        return false;
    }
    const SinkStretch *first =
        &g_array_index(job->stretches, SinkStretch, u->first_stretch);
    return first->address == 0 &&
           unwrap_is_worth_a_try(first->data, first->size) &&
           unwrap_content(whole_content(job, u, &copy), u->unit.size, counts);
}

static void cut_unit(SinkJob *job, JobUnit *u)
{
    SinkUnit *unit = &u->unit;
    SinkFound *found = &u->found;
    VectorCounts *counts = NULL;
    bool unwrapped = false;

    u->first_chunk = job->chunks->len;
    if (unit->file != SINK_NO_FILE) {
        found->counts = unit->whole ? NULL : g_new0(VectorCounts, 1);
        counts = unit->whole ? job->counts : found->counts;
        unwrapped = unwrap_unit(job, u, counts);
        if (!unwrapped) {
            memset(counts, 0, sizeof(*counts));
        }
    }
    if (unit->profile == SINK_PROFILE_BY_MAGIC) {
        const SinkStretch *first = &g_array_index(job->stretches, SinkStretch,
                                                  u->first_stretch);
        bool has_head = u->first_stretch < u->end_stretch && first->address == 0;
        unit->profile =
            sink_profile_by_magic(job->e->profiles, has_head ? first->data : NULL,
                                  has_head ? first->size : 0);
    }
    sink_cutter_begin(job->cutter, unwrapped ? NULL : counts);
    for (guint i = u->first_stretch; i < u->end_stretch; i++) {
        sink_cutter_add(job->cutter, &g_array_index(job->stretches, SinkStretch, i),
                        job->chunks);
    }
    u->end_chunk = job->chunks->len;
    found->has_chunks = sink_cutter_end(job->cutter, found->digest);
    if (found->has_chunks && counts == job->counts) {
        uint8_t packed[VECTOR_PACKED_BYTES_MAX];
        found->packed_bytes = vector_counts_pack(counts, packed);
        found->packed = g_memdup2(packed, found->packed_bytes);
    }
}

/* In the thread pool. */
static int cut_job(void *opaque)
{
    SinkJob *job = opaque;

    for (guint i = 0; i < job->units->len; i++) {
        cut_unit(job, &g_array_index(job->units, JobUnit, i));
    }
    return 0;
}

void coroutine_fn sink_job_co_cut(SinkJob *job)
{
    thread_pool_co_run(thread_pool_cpu(), cut_job, job);
}

/* Records where on the disk the chunk is; *piece is the first that may hold some of it.
 */
static bool map_chunk(SinkJob *job, const JobUnit *u, const SinkChunk *chunk,
                      CodebookPlace place, guint *piece, GError **errp)
{
    uint32_t start = chunk->data - job->buf, end = start + chunk->length;

    for (guint i = *piece; i < u->end_piece; i++) {
        const Piece *p = &g_array_index(job->pieces, Piece, i);
        uint32_t from = MAX(start, p->offset);
        uint32_t to = MIN(end, p->offset + p->length);

        if (p->offset >= end) {
            break;
        }
        if (p->offset + p->length <= start) {
            *piece = i + 1;
        } else if (p->device_offset != NO_DEVICE &&
                   !map_writer_add(job->e->map, p->device_offset + (from - p->offset),
                                   to - from, place, from - start, chunk->digest,
                                   errp)) {
            return false;
        }
    }
    return true;
}

/* How many features a frame has to share with a chunk of which it is recalled.  What is
 * recalled from this very image lies near as a rule, and in the frame of its neighbours it
 * would be compressed with these: docs/engram-tuning.md. */
enum { FEATURES_EARLIER = 1, FEATURES_OWN = 2 };

/* The frame that has something like the chunk; FRAME_WRITER_NONE. */
static uint32_t recall_frame(const SinkEncoder *e, const SinkChunk *chunk)
{
    uint32_t frame = FRAME_WRITER_NONE;
    unsigned shared =
        e->recall ? recall_index_find(e->recall, &chunk->sketch, &frame) : 0;

    bool earlier = frame < e->recall_frames || e->recall_most;
    if (!shared || !frame_writer_is_source(e->frames, frame) ||
        shared < (earlier ? FEATURES_EARLIER : FEATURES_OWN)) {
        return FRAME_WRITER_NONE;
    }
    return frame;
}

static bool coroutine_fn co_store_chunk(SinkEncoder *e, unsigned profile,
                                        const SinkChunk *chunk, CodebookPlace *place,
                                        GError **errp)
{
    uint32_t source = recall_frame(e, chunk);
    bool ok = source != FRAME_WRITER_NONE
                  ? frame_writer_co_reserve_correction(e->frames, profile, source,
                                                       chunk->length, place, errp)
                  : frame_writer_co_reserve(e->frames, profile, chunk->length, place, errp);

    if (!ok) {
        return false;
    }
    codebook_find_or_add(e->codebook, chunk->digest, place);
    frame_writer_append(e->frames, profile, chunk->data, chunk->length, chunk->digest);
    if (source == FRAME_WRITER_NONE) {
        frame_writer_add_sketch(e->frames, &chunk->sketch);
    }
    return true;
}

static bool coroutine_fn co_store_chunks(SinkJob *job, const JobUnit *u, GError **errp)
{
    SinkEncoder *e = job->e;
    SinkProfileCounts *counts = &e->counts[u->unit.profile];
    guint piece = u->first_piece;

    counts->bytes += u->unit.size;
    for (guint i = u->first_chunk; i < u->end_chunk; i++) {
        const SinkChunk *chunk = &g_array_index(job->chunks, SinkChunk, i);
        CodebookPlace place;

        counts->chunks += chunk->length;
        if (codebook_find(e->codebook, chunk->digest, &place)) {
            e->same_chunks++;
            e->same_bytes += chunk->length;
            counts->same += chunk->length;
        } else if (!co_store_chunk(e, u->unit.profile, chunk, &place, errp)) {
            return false;
        }
        if (!map_chunk(job, u, chunk, place, &piece, errp)) {
            return false;
        }
    }
    return true;
}

static bool coroutine_fn co_encode_unit(SinkJob *job, JobUnit *u, GError **errp)
{
    SinkEncoder *e = job->e;

    if (e->frames && !co_store_chunks(job, u, errp)) {
        return false;
    }
    return u->unit.file == SINK_NO_FILE ||
           sink_contents_add(e->contents, &u->unit, &u->found, errp);
}

bool coroutine_fn sink_job_co_encode(SinkJob *job, GError **errp)
{
    for (guint i = 0; i < job->units->len; i++) {
        if (!co_encode_unit(job, &g_array_index(job->units, JobUnit, i), errp)) {
            return false;
        }
    }
    return true;
}
