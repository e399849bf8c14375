/*
 * From a disk to an engram.
 */
#include "engram/sink.h"

#include "engram/sink-base.h"
#include "engram/sink-run.h"
#include "qapi/qapi-visit.h"
#include "util/error.h"

enum {
    RECORD_LEVEL    = 3,
};

typedef struct Sink {
    SinkEncoder e;
    Progress *progress;
    ProfileSet *profiles;
    Chunker chunker;
    OutFile *file;
    ObjectWriter out;
    ManifestWriter *manifest;
    SinkPlan *plan;
    EngramFile *base;                   /* NULL: the engram is new */
    CommitPlan commit;
    uint32_t base_frames, first_frame;  /* of base; that get a new page of the directory */
    uint64_t base_chunks;
    GArray *recall_pages;               /* of EngramRef, of earlier commits */
    bool drop_free_space;
    uint64_t dropped_ranges;
} Sink;

static bool coroutine_fn co_encode_content(Sink *s, GError **errp)
{
    SinkRun run = {
        .e = &s->e,
        .plan = s->plan,
        .manifest = s->manifest,
        .progress = s->progress,
    };

    if (!sink_run_co_all(&run, errp)) {
        frame_writer_co_drain(s->e.frames);
        return false;
    }
    s->dropped_ranges = run.dropped_ranges;
    return frame_writer_co_finish(s->e.frames, errp);
}

static EngramChunkStats *chunk_stats(uint64_t chunks, uint64_t bytes)
{
    EngramChunkStats *stats = engram_chunk_stats_new0();

    stats->chunks = chunks;
    stats->bytes = bytes;
    return stats;
}

/* What went in, by profile, and what became of it in all. */
static void add_counts(const Sink *s, EngramImageStats *stats)
{
    uint64_t chunks = 0, bytes = 0, delta_chunks = 0, delta_bytes = 0;

    for (guint i = stats->profiles->len; i-- > 0;) {
        EngramProfileStats *p = g_ptr_array_index(stats->profiles, i);
        const SinkProfileCounts *counts = &s->e.counts[i];

        if (!p->frames && !counts->bytes) {
            g_ptr_array_remove_index(stats->profiles, i);
            continue;
        }
        p->has_in = p->has_same = p->has_zero = true;
        p->in = counts->bytes;
        p->same = counts->same;
        p->zero = counts->bytes - counts->chunks;
        chunks += p->chunks - p->delta_chunks;
        bytes += p->verbatim;
        delta_chunks += p->delta_chunks;
        delta_bytes += p->delta;
    }
    stats->verbatim = chunk_stats(chunks, bytes);
    if (delta_chunks) {
        stats->delta = chunk_stats(delta_chunks, delta_bytes);
    }
}

static char *make_info(const Sink *s, const MapWriterResult *map)
{
    g_autoptr(EngramImageStats) stats = engram_image_stats_new0();
    uint64_t zero = blk_length(s->e.disk) - map->data_bytes - map->dropped_bytes;

    stats->same = chunk_stats(s->e.same_chunks, s->e.same_bytes);
    stats->profiles = frame_writer_stats(s->e.frames);
    add_counts(s, stats);
    stats->zero = chunk_stats(zero / SINK_BLOCK_BYTES, zero);
    if (map->dropped_bytes) {
        stats->dropped = chunk_stats(s->dropped_ranges, map->dropped_bytes);
    }
    return engram_image_stats_to_json_text(stats, false);
}

static uint64_t now_ns(void)
{
    return (uint64_t)g_get_real_time() * 1000;
}

static bool coroutine_fn co_write_image(Sink *s, const char *name,
                                        const EngramRef *manifest,
                                        const EngramRef *vector_index,
                                        EngramCommitImage *image, GError **errp)
{
    g_autoptr(GByteArray) raw = g_byte_array_new();
    uint64_t virtual_size = blk_length(s->e.disk);
    MapWriterResult map;

    if (!map_writer_co_finish(s->e.map, s->e.frames, &s->out, &map, errp)) {
        return false;
    }
    g_autofree char *info = make_info(s, &map);
    EngramImageRecord record = {
        .virtual_size = le64_make(virtual_size),
        .created_ns = le64_make(now_ns()),
        .map_root = map.root,
        .manifest = *manifest,
        .vector_index = *vector_index,
        .name_bytes = le32_make(strlen(name)),
        .info_bytes = le32_make(strlen(info)),
    };
    memcpy(record.root_digest, map.root_digest, sizeof(record.root_digest));
    g_byte_array_append(raw, (const uint8_t *)&record, sizeof(record));
    g_byte_array_append(raw, (const uint8_t *)name, strlen(name));
    g_byte_array_append(raw, (const uint8_t *)info, strlen(info));
    image->name_hash = le64_make(engram_checksum(name, strlen(name)));
    image->virtual_size = le64_make(virtual_size);
    return object_writer_co_append(&s->out, ENGRAM_OBJECT_IMAGE, RECORD_LEVEL,
                                   raw->data, raw->len, &image->record, errp);
}

static bool coroutine_fn co_write_profiles(Sink *s, GError **errp)
{
    g_autofree char *profiles =
        profile_table_to_json_text(profile_set_table(s->e.profiles), false);

    return object_writer_co_append(&s->out, ENGRAM_OBJECT_PROFILES, RECORD_LEVEL,
                                   profiles, strlen(profiles), &s->commit.profiles, errp);
}

static bool coroutine_fn co_write_recall_index(Sink *s, GError **errp)
{
    const GArray *pages = frame_writer_feature_pages(s->e.frames);

    if (!s->e.recall) {
        return true;
    }
    g_array_append_vals(s->recall_pages, pages->data, pages->len);
    return recall_index_co_write_root(&s->out, s->recall_pages, &s->commit.recall, errp);
}

static bool coroutine_fn co_write_commit(Sink *s, const EngramCommitImage *image,
                                         EngramSlot *slot, GError **errp)
{
    CommitPlan *commit = &s->commit;

    commit->frames = frame_writer_count(s->e.frames);
    commit->chunks = frame_writer_chunks(s->e.frames);
    commit->has_corrections |= frame_writer_corrections(s->e.frames) > 0;
    commit->chunker = s->chunker.params;
    g_array_append_vals(commit->images, image, 1);
    return (s->base || co_write_profiles(s, errp)) &&
           frame_writer_co_write_directory(s->e.frames, s->first_frame,
                                           commit->frame_pages, errp) &&
           co_write_recall_index(s, errp) &&
           commit_co_write_record(&s->out, commit, slot, errp);
}

/* Reads back what was written. */
static bool coroutine_fn co_verify(Sink *s, const EngramSlot *slot, GError **errp)
{
    const GArray *sums = frame_writer_sums(s->e.frames);
    EngramCheckOptions options = {
        .progress = s->progress,
        .slot = slot,
        .known_frames = s->base_frames,
        .known_chunks = s->base_chunks,
        .known_images = s->base ? s->base->n_images : 0,
        .frame_sums = (const uint64_t *)sums->data,
        .n_frame_sums = sums->len,
    };

    return commit_co_verify(s->file, &options, errp);
}

static bool coroutine_fn co_write_index(Sink *s, const char *name, EngramSlot *slot,
                                        GError **errp)
{
    EngramCommitImage image = { 0 };
    EngramRef manifest, vector_index;

    return manifest_writer_co_finish(s->manifest, &s->out, &manifest, &vector_index,
                                     errp) &&
           co_write_image(s, name, &manifest, &vector_index, &image, errp) &&
           co_write_commit(s, &image, slot, errp);
}

static bool coroutine_fn co_plan(Sink *s, GError **errp)
{
    const char *dir = out_file_spool_dir(s->file);

    s->manifest = manifest_writer_new(dir, errp);
    if (!s->manifest) {
        return false;
    }
    s->e.contents = sink_contents_new(s->manifest, dir);
    s->e.map = map_writer_new(blk_length(s->e.disk), dir, errp);
    if (!s->e.map) {
        return false;
    }
    progress_phase(s->progress, "reading directories", 0);
    SinkPlanOptions options = {
        .disk = s->e.disk,
        .profiles = s->e.profiles,
        .chunker = s->e.chunker,
        .drop_free_space = s->drop_free_space,
        .manifest = s->manifest,
        .contents = s->e.contents,
        .spool_dir = dir,
        .progress = s->progress,
    };
    s->plan = sink_plan_co_new(&options, errp);
    return s->plan != NULL;
}

/* What is like what.  An index that is damaged is not needed to read anything: one that is
 * without what it said takes its place. */
static void coroutine_fn co_load_recall_index(Sink *s)
{
    g_autoptr(GError) error = NULL;

    if (recall_index_co_load(s->e.recall, s->base, s->recall_pages, &error)) {
        return;
    }
    g_warning("%s: nothing that the engram has is recalled: %s; embr-img compact makes a "
              "new index", out_file_path(s->file), error->message);
    recall_index_free(s->e.recall);
    s->e.recall = recall_index_new();
    frame_writer_set_index(s->e.frames, s->e.recall);
    g_array_set_size(s->recall_pages, 0);
}

/* What is in the engram already. */
static bool coroutine_fn co_recall(Sink *s, GError **errp)
{
    if (!s->base) {
        return commit_co_clear_slots(s->file, errp);
    }
    progress_phase(s->progress, "recalling", 0);
    if (!sink_base_co_recall(s->base, s->e.codebook, s->e.frames, &s->commit,
                             &s->first_frame, errp)) {
        return false;
    }
    s->base_frames = frame_writer_count(s->e.frames);
    s->base_chunks = frame_writer_chunks(s->e.frames);
    s->e.recall_frames = s->base_frames;
    if (s->e.recall) {
        co_load_recall_index(s);
    }
    return true;
}

static bool coroutine_fn co_encode(Sink *s, const char *name, GError **errp)
{
    g_autofree EngramSlot *slot = g_new0(EngramSlot, 1);

    if (!co_plan(s, errp) || !co_recall(s, errp)) {
        return false;
    }
    progress_phase(s->progress, "encoding", sink_plan_bytes(s->plan));
    if (!co_encode_content(s, errp) || !co_write_index(s, name, slot, errp)) {
        return false;
    }
    progress_finish(s->progress);
    if (!co_verify(s, slot, errp)) {
        return false;
    }
    out_file_keep(s->file);
    return commit_co_write_slot(s->file, slot, errp) &&
           out_file_publish(s->file, errp);
}

/* The image's name, unless one is given: that of the source's file. */
static char *image_name(const char *given, BlockDriverState *src, GError **errp)
{
    g_autofree char *base = g_path_get_basename(bdrv_filename(src));
    g_autofree char *name = given ? g_strdup(given) : g_utf8_make_valid(base, -1);

    if (!given && strlen(name) > ENGRAM_MAX_NAME_BYTES) {
        *g_utf8_find_prev_char(name, name + ENGRAM_MAX_NAME_BYTES + 1) = '\0';
    }
    if (!*name || strlen(name) > ENGRAM_MAX_NAME_BYTES ||
        !g_utf8_validate(name, -1, NULL)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "image name of %zu bytes, expected 1 to %d bytes of UTF-8",
                    strlen(name), ENGRAM_MAX_NAME_BYTES);
        return NULL;
    }
    return g_steal_pointer(&name);
}

static void sink_clear(Sink *s)
{
    sink_plan_free(s->plan);
    frame_writer_free(s->e.frames);
    map_writer_free(s->e.map);
    codebook_free(s->e.codebook);
    recall_index_free(s->e.recall);
    g_free(s->e.counts);
    g_clear_pointer(&s->recall_pages, g_array_unref);
    sink_contents_free(s->e.contents);
    manifest_writer_free(s->manifest);
    object_writer_clear(&s->out);
    commit_plan_clear(&s->commit);
    engram_file_free(s->base);
    profile_set_free(s->profiles);
    out_file_free(s->file);
}

/* What is written to, and how it is encoded: by what the engram says, if there is one. */
static bool coroutine_fn co_open_target(Sink *s, const char *path, const char *name,
                                        const BlockdevCreateOptionsEngram *options,
                                        GError **errp)
{
    if (!options->append) {
        s->profiles = profile_set_load(options->profiles, errp);
        if (!s->profiles) {
            return false;
        }
        profile_set_scale(s->profiles, options->has_effort ? options->effort
                                                           : ENGRAM_EFFORT_BALANCED);
        s->file = out_file_new(path, errp);
        return s->file != NULL;
    }
    if (options->profiles || options->has_effort) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s=: an engram that is appended to has its own profiles",
                    options->profiles ? "profiles" : "effort");
        return false;
    }
    s->file = out_file_open(path, errp);
    s->base = s->file ? sink_base_co_open_locked(s->file, errp) : NULL;
    if (!s->base || !sink_base_co_check_name(s->base, name, errp)) {
        return false;
    }
    out_file_set_end(s->file, s->base->end);
    s->profiles = sink_base_co_profiles(s->base, errp);
    return s->profiles != NULL;
}

/* An engram that was made to be made fast has no index, and gets none later. */
static bool recalls(const Sink *s, const BlockdevCreateOptionsEngram *options)
{
    return s->base ? recall_index_is_there(s->base)
                   : !options->has_effort || options->effort != ENGRAM_EFFORT_FAST;
}

static bool coroutine_fn co_sink(Sink *s, const char *path, const char *name,
                                 const BlockdevCreateOptionsEngram *options,
                                 GError **errp)
{
    ChunkerParams params;

    if (!co_open_target(s, path, name, options, errp)) {
        return false;
    }
    commit_plan_init(&s->commit, s->base);
    chunker_params_init(&params);
    if (!chunker_init(&s->chunker, s->base ? &s->commit.chunker : &params, errp)) {
        return false;
    }
    object_writer_init(&s->out, s->file,
                       s->base ? s->base->end : ENGRAM_OBJECTS_START);
    s->e.profiles = s->profiles;
    s->e.chunker = &s->chunker;
    s->e.codebook = codebook_new();
    s->e.frames = frame_writer_new(&s->out, s->profiles);
    s->e.counts =
        g_new0(SinkProfileCounts, profile_set_table(s->profiles)->profiles->len);
    if (recalls(s, options)) {
        s->recall_pages = g_array_new(FALSE, FALSE, sizeof(EngramRef));
        s->e.recall = recall_index_new();
        s->e.recall_most = options->has_effort && options->effort == ENGRAM_EFFORT_MAX;
        frame_writer_set_index(s->e.frames, s->e.recall);
    }
    return co_encode(s, name, errp);
}

bool coroutine_fn engram_sink_co_encode(BlockDriverState *src, const char *path,
                                        const BlockdevCreateOptionsEngram *options,
                                        Progress *progress, GError **errp)
{
    g_autoptr(BlockBackend) disk = blk_new(src);
    g_autofree char *name = image_name(options->image, src, errp);
    Sink s = { .progress = progress };

    if (!name) {
        return false;
    }
    s.drop_free_space = options->free_space == FREE_SPACE_MODE_DROP;
    s.e.disk = disk;

    bool ok = co_sink(&s, path, name, options, errp);
    sink_clear(&s);
    return ok;
}
