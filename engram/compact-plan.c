/*
 * What is used of frames, and what depends on them.
 */
#include "engram/compact-plan.h"

#include "engram/chunk-list.h"
#include "engram/frame-writer.h"
#include "engram/uses.h"
#include "util/error.h"

/* A frame of which so many of 8 parts are used is kept. */
enum { KEEP_EIGHTHS = 6 };

typedef struct PlannedFrame {
    uint64_t offset;
    uint32_t stored, raw;
    uint32_t used;                      /* bytes of chunks that are */
    uint32_t source;                    /* number of the frame it corrects; NONE */
    uint64_t corrections_stored;        /* bytes of its own corrections */
    uint64_t corrections_used;
    bool keep;
} PlannedFrame;

struct CompactPlan {
    EngramFile *file;
    RecordSorter *uses;
    EngramUse use;
    bool has_use;
    GArray *frames;                     /* of PlannedFrame */
};

static bool next_use(CompactPlan *plan, GError **errp)
{
    int ret = record_sorter_next(plan->uses, &plan->use, errp);

    plan->has_use = ret > 0;
    return ret >= 0;
}

static PlannedFrame *frame_at(const CompactPlan *plan, uint64_t number)
{
    return &g_array_index(plan->frames, PlannedFrame, number);
}

/* The number of the frame at offset; FRAME_WRITER_NONE. */
static uint32_t find(const CompactPlan *plan, uint64_t offset)
{
    uint32_t low = 0, high = plan->frames->len;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (frame_at(plan, middle)->offset <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high && frame_at(plan, low)->offset == offset ? low : FRAME_WRITER_NONE;
}

/* Which frame the one at ref is a correction of. */
static bool coroutine_fn co_find_source(CompactPlan *plan, const EngramRef *ref,
                                        uint32_t *source, GError **errp)
{
    const char *filename = bdrv_filename(plan->file->file);
    uint64_t offset = le64_get(ref->offset);
    uint8_t head[sizeof(EngramObjectHeader) + sizeof(EngramCorrection)] = { 0 };
    EngramCorrection correction;
    int ret = bdrv_co_pread(plan->file->file, offset,
                            MIN(sizeof(head), le32_get(ref->stored)), head, 0);

    *source = FRAME_WRITER_NONE;
    if (ret < 0) {
        error_set_errno(errp, -ret, "%s: cannot read the frame at offset 0x%" PRIx64,
                        filename, offset);
        return false;
    }
    if (!engram_object_is_correction(head)) {
        return true;
    }
    memcpy(&correction, head + sizeof(EngramObjectHeader), sizeof(correction));
    *source = find(plan, le64_get(correction.recalled.offset));
    if (*source == FRAME_WRITER_NONE ||
        frame_at(plan, *source)->source != FRAME_WRITER_NONE) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: frame at offset 0x%" PRIx64
                    " is a correction of one at offset 0x%" PRIx64
                    ", which is not in the frame directory or a correction itself",
                    filename, offset, le64_get(correction.recalled.offset));
        return false;
    }
    return true;
}

/* Moves on to the uses behind those of the frame; counts the bytes of its chunks that have
 * any. */
static bool count_used(CompactPlan *plan, const ChunkList *list, PlannedFrame *frame,
                       GError **errp)
{
    uint32_t last = UINT32_MAX;

    while (plan->has_use && plan->use.frame == frame->offset) {
        uint32_t i = chunk_list_find(list, plan->use.position);

        if (i != last) {
            frame->used += list->positions[i + 1] - list->positions[i];
        }
        last = i;
        if (!next_use(plan, errp)) {
            return false;
        }
    }
    return true;
}

static bool coroutine_fn co_add_frame(CompactPlan *plan, const EngramFrameEntry *entry,
                                      GError **errp)
{
    EngramFile *f = plan->file;
    PlannedFrame frame = {
        .offset = le64_get(entry->frame.offset),
        .stored = engram_ref_span(&entry->frame),
        .raw = le32_get(entry->frame.raw),
        .source = FRAME_WRITER_NONE,
    };

    if (f->incompatible & ENGRAM_INCOMPAT_DELTA &&
        !co_find_source(plan, &entry->frame, &frame.source, errp)) {
        return false;
    }
    if (plan->has_use && plan->use.frame == frame.offset) {
        uint8_t *raw =
            engram_file_co_load(f, &entry->chunks, ENGRAM_OBJECT_CHUNKS, NULL, errp);
        g_autoptr(ChunkList) list =
            raw ? chunk_list_parse(raw, &entry->chunks, errp) : NULL;
        if (!list || !count_used(plan, list, &frame, errp)) {
            return false;
        }
    }
    g_array_append_val(plan->frames, frame);
    return true;
}

static bool coroutine_fn co_add_page(CompactPlan *plan, const EngramRef *ref, uint64_t *end,
                                     GError **errp)
{
    g_autofree uint8_t *raw =
        engram_file_co_load(plan->file, ref, ENGRAM_OBJECT_FRAME_DIR, NULL, errp);
    const EngramFrameEntry *entries = (const EngramFrameEntry *)raw;

    if (!raw) {
        return false;
    }
    for (uint32_t i = 0; i < le32_get(ref->raw) / sizeof(*entries); i++) {
        if (!engram_frame_entry_check(plan->file, &entries[i], end, errp) ||
            !co_add_frame(plan, &entries[i], errp)) {
            return false;
        }
    }
    return true;
}

static void decide(CompactPlan *plan)
{
    for (guint i = 0; i < plan->frames->len; i++) {
        const PlannedFrame *frame = frame_at(plan, i);

        if (frame->source != FRAME_WRITER_NONE && frame->used) {
            PlannedFrame *source = frame_at(plan, frame->source);

            source->corrections_stored += frame->stored;
            source->corrections_used += frame->used;
        }
    }
    for (guint i = 0; i < plan->frames->len; i++) {
        PlannedFrame *frame = frame_at(plan, i);
        bool most = frame->used >= (uint64_t)frame->raw * KEEP_EIGHTHS / 8;
        /* What is copied shrinks like the frame did. */
        double copied = (double)(frame->used + frame->corrections_used) * frame->stored /
                        MAX(frame->raw, 1);

        frame->keep = frame->used && most;
        if (frame->source != FRAME_WRITER_NONE) {
            frame->keep = frame->keep && frame_at(plan, frame->source)->keep;
        } else if (frame->corrections_used) {
            frame->keep |= frame->stored + frame->corrections_stored <= copied;
        }
    }
}

static bool coroutine_fn co_fill(CompactPlan *plan, const char *spool_dir, GError **errp)
{
    EngramFile *f = plan->file;
    uint64_t end = ENGRAM_OBJECTS_START;

    plan->uses = engram_co_uses(f, spool_dir, errp);
    if (!plan->uses || !next_use(plan, errp)) {
        return false;
    }
    for (uint32_t i = 0; i < f->n_frame_pages; i++) {
        if (!co_add_page(plan, &f->frame_pages[i], &end, errp)) {
            return false;
        }
    }
    if (plan->frames->len != le64_get(f->commit.frames)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: the frame directory has %u frames, the commit record says %" PRIu64,
                    bdrv_filename(f->file), plan->frames->len, le64_get(f->commit.frames));
        return false;
    }
    decide(plan);
    g_clear_pointer(&plan->uses, record_sorter_free);
    return true;
}

CompactPlan *coroutine_fn compact_plan_co_new(EngramFile *f, const char *spool_dir,
                                              GError **errp)
{
    CompactPlan *plan = g_new0(CompactPlan, 1);

    plan->file = f;
    plan->frames = g_array_new(FALSE, FALSE, sizeof(PlannedFrame));
    if (!co_fill(plan, spool_dir, errp)) {
        g_clear_pointer(&plan, compact_plan_free);
    }
    return plan;
}

void compact_plan_free(CompactPlan *plan)
{
    if (plan) {
        record_sorter_free(plan->uses);
        g_array_unref(plan->frames);
        g_free(plan);
    }
}

bool compact_plan_keeps(const CompactPlan *plan, uint64_t frame)
{
    return frame < plan->frames->len && frame_at(plan, frame)->keep;
}

uint32_t compact_plan_source(const CompactPlan *plan, uint64_t frame)
{
    uint32_t source =
        frame < plan->frames->len ? frame_at(plan, frame)->source : FRAME_WRITER_NONE;

    return compact_plan_keeps(plan, source) ? source : FRAME_WRITER_NONE;
}
