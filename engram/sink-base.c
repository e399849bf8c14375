/*
 * What an engram has already.
 */
#include "engram/sink-base.h"

#include "engram/chunk-list.h"
#include "util/error.h"

enum { CHUNKER_NUMBER = 1 };

static bool check_chunker(EngramFile *f, GError **errp)
{
    uint32_t number = le32_get(f->commit.chunker);
    ChunkerParams params = {
        .min_bytes = le32_get(f->commit.chunk_min),
        .average_bytes = le32_get(f->commit.chunk_avg),
        .max_bytes = le32_get(f->commit.chunk_max),
    };

    if (number != CHUNKER_NUMBER) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: its images were cut by chunker %" PRIu32 ", expected %d",
                    bdrv_filename(f->file), number, CHUNKER_NUMBER);
        return false;
    }
    if (!chunker_params_check(&params, errp)) {
        g_prefix_error(errp, "%s: commit record at offset 0x%" PRIx64 ": ",
                       bdrv_filename(f->file), le64_get(f->commit_ref.offset));
        return false;
    }
    return true;
}

EngramFile *coroutine_fn sink_base_co_open(BlockDriverState *file, GError **errp)
{
    g_autoptr(EngramFile) f = engram_file_co_open(file, errp);

    if (!f || !check_chunker(f, errp)) {
        return NULL;
    }
    if (le32_get(f->commit.sources)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: it has frames in other files, which cannot be added to",
                    bdrv_filename(file));
        return NULL;
    }
    return g_steal_pointer(&f);
}

EngramFile *coroutine_fn sink_base_co_open_locked(OutFile *out, GError **errp)
{
    g_autoptr(BlockDriverState) file =
        bdrv_co_open_image(out_file_open_path(out), NULL, BDRV_O_PROTOCOL, errp);

    return file ? sink_base_co_open(file, errp) : NULL;
}

bool coroutine_fn sink_base_co_check_name(EngramFile *base, const char *name,
                                          GError **errp)
{
    g_autoptr(GError) error = NULL;
    const char *filename = bdrv_filename(base->file);

    if (base->n_images >= ENGRAM_MAX_IMAGES) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: it has %" PRIu32 " images, which is the most", filename,
                    base->n_images);
        return false;
    }
    g_autoptr(EngramImage) image = engram_file_co_find_image(base, name, &error);
    if (image) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: it has an image '%s' already; choose another name with "
                    "-o image=NAME",
                    filename, name);
        return false;
    }
    if (!g_error_matches(error, EMBR_ERROR, EMBR_ERROR_NOT_FOUND)) {
        g_propagate_error(errp, g_steal_pointer(&error));
        return false;
    }
    return true;
}

ProfileSet *coroutine_fn sink_base_co_profiles(EngramFile *base, GError **errp)
{
    const EngramRef *ref = &base->commit.profiles;
    g_autofree uint8_t *json =
        engram_file_co_load(base, ref, ENGRAM_OBJECT_PROFILES, NULL, errp);
    ProfileSet *profiles =
        json ? profile_set_parse((const char *)json, le32_get(ref->raw), errp) : NULL;

    if (json && !profiles) {
        g_prefix_error(errp, "%s: profiles at offset 0x%" PRIx64 ": ",
                       bdrv_filename(base->file), le64_get(ref->offset));
    }
    return profiles;
}

/* A base, while it is gone through. */
typedef struct Recall {
    EngramFile *base;
    Codebook *codebook;
    FrameWriter *frames;
    uint64_t end;                   /* of the frame before, with its chunk list */
} Recall;

static bool coroutine_fn co_recall_frame(Recall *r, const EngramFrameEntry *entry,
                                         GError **errp)
{
    uint32_t number = frame_writer_count(r->frames);
    uint8_t *raw =
        engram_file_co_load(r->base, &entry->chunks, ENGRAM_OBJECT_CHUNKS, NULL, errp);

    if (!raw) {
        return false;
    }
    g_autoptr(ChunkList) list = chunk_list_parse(raw, &entry->chunks, errp);
    if (!list) {
        return false;
    }
    if (!engram_ref_equal(&list->frame, &entry->frame)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "chunk list at offset 0x%" PRIx64 " is of a frame at 0x%" PRIx64
                    ", expected 0x%" PRIx64,
                    le64_get(entry->chunks.offset), le64_get(list->frame.offset),
                    le64_get(entry->frame.offset));
        return false;
    }
    for (uint32_t i = 0; i < list->n; i++) {
        CodebookPlace place = { .frame = number, .position = list->positions[i] };

        codebook_find_or_add(r->codebook,
                             list->digests + (size_t)i * ENGRAM_DIGEST_BYTES, &place);
    }
    return frame_writer_adopt(r->frames, entry, list->n, errp);
}

/* *n: how many frames are in it. */
static bool coroutine_fn co_recall_page(Recall *r, const EngramRef *ref, uint32_t *n,
                                        GError **errp)
{
    g_autofree uint8_t *raw =
        engram_file_co_load(r->base, ref, ENGRAM_OBJECT_FRAME_DIR, NULL, errp);
    const EngramFrameEntry *entries = (const EngramFrameEntry *)raw;

    if (!raw) {
        return false;
    }
    *n = le32_get(ref->raw) / sizeof(*entries);
    if (!*n || le32_get(ref->raw) % sizeof(*entries)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "frame directory page at offset 0x%" PRIx64 " has %" PRIu32
                    " bytes, expected a multiple of %zu",
                    le64_get(ref->offset), le32_get(ref->raw), sizeof(*entries));
        return false;
    }
    for (uint32_t i = 0; i < *n; i++) {
        if (!engram_frame_entry_check(r->base, &entries[i], &r->end, errp) ||
            !co_recall_frame(r, &entries[i], errp)) {
            return false;
        }
    }
    return true;
}

static bool coroutine_fn co_recall(Recall *r, CommitPlan *plan, uint32_t *first,
                                   GError **errp)
{
    EngramFile *base = r->base;
    uint32_t n = FRAME_DIRECTORY_PAGE_ENTRIES;

    for (uint32_t i = 0; i < base->n_frame_pages; i++) {
        if (!co_recall_page(r, &base->frame_pages[i], &n, errp)) {
            return false;
        }
    }
    if (frame_writer_count(r->frames) != le64_get(base->commit.frames) ||
        frame_writer_chunks(r->frames) != le64_get(base->commit.chunks)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "the frame directory has %" PRIu32 " frames of %" PRIu64
                    " chunks, the commit record says %" PRIu64 " and %" PRIu64,
                    frame_writer_count(r->frames), frame_writer_chunks(r->frames),
                    le64_get(base->commit.frames), le64_get(base->commit.chunks));
        return false;
    }
    *first = frame_writer_count(r->frames);
    if (n < FRAME_DIRECTORY_PAGE_ENTRIES) {
        g_array_set_size(plan->frame_pages, plan->frame_pages->len - 1);
        *first -= n;
    }
    return true;
}

bool coroutine_fn sink_base_co_recall(EngramFile *base, Codebook *codebook,
                                      FrameWriter *frames, CommitPlan *plan,
                                      uint32_t *first, GError **errp)
{
    Recall r = {
        .base = base,
        .codebook = codebook,
        .frames = frames,
        .end = ENGRAM_OBJECTS_START,
    };
    const char *filename = bdrv_filename(base->file);
    g_autoptr(GError) error = NULL;

    if (co_recall(&r, plan, first, &error)) {
        return true;
    }
    if (!g_str_has_prefix(error->message, filename)) {
        g_prefix_error(&error, "%s: ", filename);
    }
    g_propagate_prefixed_error(errp, g_steal_pointer(&error),
                               "an image cannot be added to a damaged engram: ");
    return false;
}
