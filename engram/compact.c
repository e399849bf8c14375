/*
 * Compacting: frames first, then the maps and manifests of all images.
 */
#include "engram/compact.h"

#include "engram/compact-plan.h"
#include "engram/manifest-copy.h"
#include "engram/map-writer.h"
#include "engram/object-cache.h"
#include "engram/sink-base.h"
#include "engram/uses.h"
#include "util/error.h"
#include "util/thread-pool.h"

enum {
    LISTS_BYTES  = 64 << 20,            /* of chunk lists, to find identities in */
    RECORD_LEVEL = 3,
};

typedef struct Compact {
    EngramFile *from;
    OutFile *file;
    ObjectWriter out;
    ProfileSet *profiles;
    Codebook *codebook;
    FrameWriter *frames;
    RecordSorter *uses;
    EngramUse use;                      /* the next one, if there is one */
    bool has_use;
    CompactPlan *frame_plan;
    uint64_t next_frame;                /* number in the old directory */
    uint32_t *numbers;                  /* new ones of the frames that are kept; NONE */
    RecallIndex *index;                 /* NULL: nothing is recalled */
    GHashTable *features;               /* old number -> GBytes */
    ObjectCache *lists;
    GArray *used;                       /* of EngramFrameEntry, in order of offset */
    CommitPlan plan;
    Progress *progress;
    EngramCompactResult *result;
} Compact;

static bool next_use(Compact *c, GError **errp)
{
    int ret = record_sorter_next(c->uses, &c->use, errp);

    c->has_use = ret > 0;
    return ret >= 0;
}

/* Marks the chunks of the frame that are used. */
static bool mark_chunks(Compact *c, const ChunkList *list, uint8_t *used, GError **errp)
{
    uint64_t frame = le64_get(list->frame.offset);
    uint32_t i = 0;

    while (c->has_use && c->use.frame == frame) {
        while (i < list->n && list->positions[i] < c->use.position) {
            i++;
        }
        if (i == list->n || list->positions[i] != c->use.position) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                        "%s: image %" PRIu32 " refers to position %" PRIu32
                        " of the frame at offset 0x%" PRIx64 ", where no chunk starts",
                        bdrv_filename(c->from->file), c->use.image, c->use.position,
                        frame);
            return false;
        }
        used[i] = true;
        if (!next_use(c, errp)) {
            return false;
        }
    }
    return true;
}

static void learn(Compact *c, const ChunkList *list, uint32_t i, CodebookPlace place)
{
    codebook_find_or_add(c->codebook, list->digests + (size_t)i * ENGRAM_DIGEST_BYTES,
                         &place);
}

/* The number here of the frame that the one of that number there corrects. */
static uint32_t new_source(const Compact *c, uint64_t frame)
{
    uint32_t source = compact_plan_source(c->frame_plan, frame);

    return source == FRAME_WRITER_NONE ? source : c->numbers[source];
}

/* The frame as it is; of a correction, so is what it corrects. */
static bool coroutine_fn co_keep_frame(Compact *c, const ChunkList *list, uint64_t frame,
                                       GError **errp)
{
    uint64_t offset = le64_get(list->frame.offset);
    size_t span = engram_ref_span(&list->frame);
    g_autofree uint8_t *object = g_malloc0(span);
    EngramObjectInfo info;
    GBytes *bytes = g_hash_table_lookup(c->features, GUINT_TO_POINTER((guint)frame));
    size_t features_bytes = 0;
    const le32_t *features = bytes ? g_bytes_get_data(bytes, &features_bytes) : NULL;
    uint32_t number;
    int ret = bdrv_co_pread(c->from->file, offset, span, object, 0);

    if (ret < 0) {
        error_set_errno(errp, -ret, "%s: cannot read the frame at offset 0x%" PRIx64,
                        bdrv_filename(c->from->file), offset);
        return false;
    }
    if (!engram_object_parse_header(object, span, offset, &info, errp) ||
        !frame_writer_co_copy(c->frames, (const EngramObjectHeader *)object, list,
                              new_source(c, frame), features,
                              features_bytes / sizeof(*features), &number, errp)) {
        return false;
    }
    c->numbers[frame] = number;
    for (uint32_t i = 0; i < list->n; i++) {
        learn(c, list, i, (CodebookPlace){ number, list->positions[i] });
    }
    c->result->kept++;
    return true;
}

/* A chunk of a frame that is not kept. */
static bool coroutine_fn co_move_chunk(Compact *c, unsigned profile, uint32_t source,
                                       const uint8_t *data, uint32_t length,
                                       const uint8_t *digest, GError **errp)
{
    CodebookPlace place;
    Sketch sketch;

    if (codebook_find(c->codebook, digest, &place)) {
        return true;
    }
    if (source != FRAME_WRITER_NONE) {
        if (!frame_writer_co_reserve_correction(c->frames, profile, source, length, &place,
                                                errp)) {
            return false;
        }
    } else if (!frame_writer_co_reserve(c->frames, profile, length, &place, errp)) {
        return false;
    }
    codebook_find_or_add(c->codebook, digest, &place);
    frame_writer_append(c->frames, profile, data, length, digest);
    if (c->index && source == FRAME_WRITER_NONE) {
        sketch_chunk(chunker_kernels()[0], data, length, &sketch);
        frame_writer_add_sketch(c->frames, &sketch);
    }
    return true;
}

/* What is used of the frame. */
static bool coroutine_fn co_rewrite_frame(Compact *c, const ChunkList *list, uint64_t frame,
                                          const uint8_t *used, GError **errp)
{
    uint32_t source = new_source(c, frame);
    EngramObjectInfo info;
    g_autofree uint8_t *raw = engram_file_co_load(c->from, &list->frame,
                                                  ENGRAM_OBJECT_FRAME, &info, errp);

    if (!raw) {
        return false;
    }
    if (info.profile >= profile_set_table(c->profiles)->profiles->len) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: frame at offset 0x%" PRIx64 " has profile %u of %u",
                    bdrv_filename(c->from->file), le64_get(list->frame.offset),
                    info.profile, profile_set_table(c->profiles)->profiles->len);
        return false;
    }
    for (uint32_t i = 0; i < list->n; i++) {
        uint32_t length = list->positions[i + 1] - list->positions[i];
        const uint8_t *digest = list->digests + (size_t)i * ENGRAM_DIGEST_BYTES;

        if (used[i] && !co_move_chunk(c, info.profile, source, raw + list->positions[i],
                                      length, digest, errp)) {
            return false;
        }
    }
    c->result->rewritten++;
    return true;
}

static bool coroutine_fn co_compact_frame(Compact *c, const EngramFrameEntry *entry,
                                          GError **errp)
{
    uint64_t offset = le64_get(entry->frame.offset);
    uint64_t frame = c->next_frame++;

    c->result->frames++;
    progress_add(c->progress, engram_ref_span(&entry->frame));
    if ((!c->has_use || c->use.frame != offset) &&
        !compact_plan_keeps(c->frame_plan, frame)) {
        return true;
    }
    uint8_t *raw =
        engram_file_co_load(c->from, &entry->chunks, ENGRAM_OBJECT_CHUNKS, NULL, errp);
    g_autoptr(ChunkList) list = raw ? chunk_list_parse(raw, &entry->chunks, errp) : NULL;
    if (!list) {
        return false;
    }
    if (!engram_ref_equal(&list->frame, &entry->frame)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: chunk list at offset 0x%" PRIx64
                    " is not of the frame at 0x%" PRIx64,
                    bdrv_filename(c->from->file), le64_get(entry->chunks.offset), offset);
        return false;
    }
    g_array_append_vals(c->used, entry, 1);
    g_autofree uint8_t *used = g_malloc0(list->n);
    if (!mark_chunks(c, list, used, errp)) {
        return false;
    }
    return compact_plan_keeps(c->frame_plan, frame)
               ? co_keep_frame(c, list, frame, errp)
               : co_rewrite_frame(c, list, frame, used, errp);
}

static bool coroutine_fn co_compact_frames(Compact *c, GError **errp)
{
    EngramFile *f = c->from;
    uint64_t end = ENGRAM_OBJECTS_START;

    for (uint32_t i = 0; i < f->n_frame_pages; i++) {
        const EngramRef *ref = &f->frame_pages[i];
        g_autofree uint8_t *raw =
            engram_file_co_load(f, ref, ENGRAM_OBJECT_FRAME_DIR, NULL, errp);
        const EngramFrameEntry *entries = (const EngramFrameEntry *)raw;

        if (!raw) {
            return false;
        }
        for (uint32_t j = 0; j < le32_get(ref->raw) / sizeof(*entries); j++) {
            if (!engram_frame_entry_check(f, &entries[j], &end, errp) ||
                !co_compact_frame(c, &entries[j], errp)) {
                return false;
            }
        }
    }
    if (c->has_use) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: image %" PRIu32 " refers to a frame at offset 0x%" PRIx64
                    ", which is not in the frame directory",
                    bdrv_filename(f->file), c->use.image, c->use.frame);
        return false;
    }
    return frame_writer_co_finish(c->frames, errp);
}

/* An image, while its map is made anew. */
typedef struct ImageCopy {
    Compact *c;
    MapWriter *map;
    unsigned segment_bits;
} ImageCopy;

static int compare_entries(const void *a, const void *b)
{
    uint64_t offset_a = le64_get(((const EngramFrameEntry *)a)->frame.offset);
    uint64_t offset_b = le64_get(((const EngramFrameEntry *)b)->frame.offset);

    return (offset_a > offset_b) - (offset_a < offset_b);
}

/* The chunk at that position of a frame: its identity.  That there is one was found when
 * the frame was looked at. */
static bool coroutine_fn co_identify(Compact *c, const EngramRef *frame, uint32_t position,
                                     uint8_t digest[ENGRAM_DIGEST_BYTES], GError **errp)
{
    EngramFrameEntry key = { .frame = *frame };
    guint index = 0;
    bool found = g_array_binary_search(c->used, &key, compare_entries, &index);

    g_assert(found);
    CachedObject *object = object_cache_co_get(
        c->lists, &g_array_index(c->used, EngramFrameEntry, index).chunks, errp);
    if (!object) {
        return false;
    }
    const ChunkList *list = object->value;
    uint32_t chunk = chunk_list_find(list, position);
    memcpy(digest, list->digests + (size_t)chunk * ENGRAM_DIGEST_BYTES,
           ENGRAM_DIGEST_BYTES);
    object_cache_put(c->lists, object);
    return true;
}

static bool coroutine_fn co_copy_map(const EngramMap *map, uint64_t segment, void *opaque,
                                     GError **errp)
{
    ImageCopy *copy = opaque;
    Compact *c = copy->c;

    for (uint32_t i = 0; i < map->n; i++) {
        uint64_t offset = (segment << copy->segment_bits) + map->starts[i];
        uint32_t length = engram_map_length(map, i);
        uint8_t digest[ENGRAM_DIGEST_BYTES];
        CodebookPlace place;

        if (map->kinds[i] == ENGRAM_MAP_DROPPED &&
            !map_writer_add_dropped(copy->map, offset, length, errp)) {
            return false;
        }
        if (engram_map_is_zero(map, i)) {
            continue;
        }
        const EngramRef *frame = &map->frames[le16_get(map->frame_indexes[i])].frame;
        if (!co_identify(c, frame, le32_get(map->positions[i]), digest, errp)) {
            return false;
        }
        bool found = codebook_find(c->codebook, digest, &place);
        g_assert(found);
        if (!map_writer_add(copy->map, offset, length, place, le32_get(map->skips[i]),
                            digest, errp)) {
            return false;
        }
    }
    return true;
}

static bool coroutine_fn co_copy_device_map(Compact *c, const EngramImage *image,
                                            MapWriterResult *result, GError **errp)
{
    const char *dir = out_file_spool_dir(c->file);
    g_autoptr(MapWriter) map = map_writer_new(image->virtual_size, dir, errp);
    ImageCopy copy = { .c = c, .map = map };
    EngramMapTop top;

    if (!map || !engram_map_top_co_load(&top, c->from, image, errp)) {
        return false;
    }
    copy.segment_bits = top.segment_bits;
    bool ok = engram_co_visit_maps(c->from, &top, co_copy_map, &copy, errp);
    engram_map_top_clear(&top);
    if (!ok || !map_writer_co_finish(map, c->frames, &c->out, result, errp)) {
        return false;
    }
    if (memcmp(result->root_digest, image->root_digest, ENGRAM_DIGEST_BYTES) != 0) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: image '%s': its chunks do not give the root digest that is "
                    "recorded",
                    bdrv_filename(c->from->file), image->name);
        return false;
    }
    return true;
}

static bool coroutine_fn co_copy_image(Compact *c, uint32_t index, GError **errp)
{
    g_autoptr(EngramImage) image = engram_file_co_image(c->from, index, errp);
    g_autoptr(GByteArray) raw = g_byte_array_new();
    EngramCommitImage entry = c->from->images[index];
    MapWriterResult map;

    if (!image || !co_copy_device_map(c, image, &map, errp)) {
        return false;
    }
    EngramImageRecord record = {
        .virtual_size = le64_make(image->virtual_size),
        .created_ns = le64_make(image->created_ns),
        .map_root = map.root,
        .name_bytes = le32_make(strlen(image->name)),
        .info_bytes = le32_make(strlen(image->info)),
    };
    memcpy(record.root_digest, image->root_digest, sizeof(record.root_digest));
    if (!engram_ref_is_none(&image->manifest) &&
        !engram_manifest_co_copy(c->from, image, &c->out, &record.manifest,
                                 &record.vector_index, errp)) {
        return false;
    }
    g_byte_array_append(raw, (const uint8_t *)&record, sizeof(record));
    g_byte_array_append(raw, (const uint8_t *)image->name, strlen(image->name));
    g_byte_array_append(raw, (const uint8_t *)image->info, strlen(image->info));
    if (!object_writer_co_append(&c->out, ENGRAM_OBJECT_IMAGE, RECORD_LEVEL, raw->data,
                                 raw->len, &entry.record, errp)) {
        return false;
    }
    g_array_append_val(c->plan.images, entry);
    return true;
}

static bool coroutine_fn co_write_commit(Compact *c, EngramSlot *slot, GError **errp)
{
    CommitPlan *plan = &c->plan;
    g_autofree char *profiles =
        profile_table_to_json_text(profile_set_table(c->profiles), false);

    plan->chunker = (ChunkerParams){
        .min_bytes = le32_get(c->from->commit.chunk_min),
        .average_bytes = le32_get(c->from->commit.chunk_avg),
        .max_bytes = le32_get(c->from->commit.chunk_max),
    };
    plan->frames = frame_writer_count(c->frames);
    plan->chunks = frame_writer_chunks(c->frames);
    plan->has_corrections = frame_writer_corrections(c->frames) > 0;
    return object_writer_co_append(&c->out, ENGRAM_OBJECT_PROFILES, RECORD_LEVEL, profiles,
                                   strlen(profiles), &plan->profiles, errp) &&
           frame_writer_co_write_directory(c->frames, 0, plan->frame_pages, errp) &&
           (!c->index ||
            recall_index_co_write_root(&c->out, frame_writer_feature_pages(c->frames),
                                       &plan->recall, errp)) &&
           commit_co_write_record(&c->out, plan, slot, errp);
}

static bool coroutine_fn co_verify(Compact *c, const EngramSlot *slot, GError **errp)
{
    const GArray *sums = frame_writer_sums(c->frames);
    EngramCheckOptions options = {
        .progress = c->progress,
        .slot = slot,
        .frame_sums = (const uint64_t *)sums->data,
        .n_frame_sums = sums->len,
    };

    return commit_co_verify(c->file, &options, errp);
}

static bool coroutine_fn co_write(Compact *c, GError **errp)
{
    g_autofree EngramSlot *slot = g_new0(EngramSlot, 1);

    progress_phase(c->progress, "copying", c->from->end);
    if (!commit_co_clear_slots(c->file, errp) || !co_compact_frames(c, errp)) {
        frame_writer_co_drain(c->frames);
        return false;
    }
    for (uint32_t i = 0; i < c->from->n_images; i++) {
        if (!co_copy_image(c, i, errp)) {
            return false;
        }
    }
    if (!co_write_commit(c, slot, errp)) {
        return false;
    }
    progress_finish(c->progress);
    return co_verify(c, slot, errp) && commit_co_write_slot(c->file, slot, errp) &&
           out_file_publish(c->file, errp);
}

static void take_features(uint32_t frame, const le32_t *features, uint32_t n, void *opaque)
{
    Compact *c = opaque;

    if (compact_plan_keeps(c->frame_plan, frame)) {
        g_hash_table_insert(c->features, GUINT_TO_POINTER(frame),
                            g_bytes_new(features, n * sizeof(*features)));
    }
}

/* Frames that are kept keep their features. */
static void coroutine_fn co_load_features(Compact *c)
{
    uint64_t frames = le64_get(c->from->commit.frames);
    g_autoptr(GError) error = NULL;

    c->numbers = g_new(uint32_t, frames + 1);
    memset(c->numbers, 0xff, (frames + 1) * sizeof(*c->numbers));
    c->features = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_bytes_unref);
    if (!recall_index_is_there(c->from)) {
        return;
    }
    c->index = recall_index_new();
    frame_writer_set_index(c->frames, c->index);
    if (!recall_index_co_visit(c->from, take_features, c, NULL, &error)) {
        g_warning("%s: frames that are kept are not recalled any more: %s",
                  bdrv_filename(c->from->file), error->message);
    }
}

static bool coroutine_fn co_compact(Compact *c, const char *target, GError **errp)
{
    c->profiles = sink_base_co_profiles(c->from, errp);
    c->file = c->profiles ? out_file_new(target, errp) : NULL;
    if (!c->file) {
        return false;
    }
    progress_phase(c->progress, "looking for what is used", 0);
    c->frame_plan = compact_plan_co_new(c->from, out_file_spool_dir(c->file), errp);
    c->uses = c->frame_plan
                  ? engram_co_uses(c->from, out_file_spool_dir(c->file), errp)
                  : NULL;
    if (!c->uses || !next_use(c, errp)) {
        return false;
    }
    object_writer_init(&c->out, c->file, ENGRAM_OBJECTS_START);
    c->codebook = codebook_new();
    c->frames = frame_writer_new(&c->out, c->profiles);
    co_load_features(c);
    c->used = g_array_new(FALSE, FALSE, sizeof(EngramFrameEntry));
    c->lists = object_cache_new(c->from, ENGRAM_OBJECT_CHUNKS, LISTS_BYTES,
                                chunk_list_parse_cached, (GDestroyNotify)chunk_list_free,
                                NULL);
    commit_plan_init(&c->plan, NULL);
    bool ok = co_write(c, errp);

    c->result->bytes_before = c->from->end;
    c->result->bytes_after = c->out.end;
    object_cache_free(c->lists);
    g_array_unref(c->used);
    return ok;
}

static void compact_clear(Compact *c)
{
    frame_writer_free(c->frames);
    codebook_free(c->codebook);
    recall_index_free(c->index);
    compact_plan_free(c->frame_plan);
    g_clear_pointer(&c->features, g_hash_table_unref);
    g_free(c->numbers);
    record_sorter_free(c->uses);
    object_writer_clear(&c->out);
    commit_plan_clear(&c->plan);
    profile_set_free(c->profiles);
    out_file_free(c->file);
    engram_file_free(c->from);
}

/* Nobody adds to the engram, nor takes from it, while it is replaced. */
static OutFile *lock_engram(const char *path, GError **errp)
{
    g_autoptr(OutFile) lock = out_file_open(path, errp);

    if (lock && !out_file_spool_dir(lock)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s': an engram on a block device cannot be compacted in its place; "
                    "name a target",
                    path);
        return NULL;
    }
    return g_steal_pointer(&lock);
}

bool coroutine_fn engram_co_compact(const char *path, const char *target,
                                    Progress *progress, EngramCompactResult *result,
                                    GError **errp)
{
    g_autoptr(OutFile) lock = target ? NULL : lock_engram(path, errp);
    Compact c = { .progress = progress, .result = result };

    *result = (EngramCompactResult){ 0 };
    if (!target && !lock) {
        return false;
    }
    g_autoptr(BlockDriverState) file =
        bdrv_co_open_image(path, NULL, BDRV_O_PROTOCOL, errp);
    c.from = file ? sink_base_co_open(file, errp) : NULL;
    bool ok = c.from && co_compact(&c, target ? target : path, errp);
    compact_clear(&c);
    return ok;
}
