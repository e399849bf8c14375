/*
 * From chunks to frames in the file.
 */
#include "engram/frame-writer.h"

#include "util/co-lock.h"
#include "util/error.h"
#include "util/thread-pool.h"

enum {
    FRAMES_AHEAD = 2, /* sealed frames in memory beyond one for each thread */
    DIRECTORY_LEVEL = 3,
    GROUPS_BYTES_MAX = 32 << 20,        /* of chunks that wait for others like them */
    GROUP_BYTES_MIN = 32 << 10,         /* of memory for a group */
    FEATURE_PAGE_BYTES = 256 << 10,
};

/* A frame from its first chunk until it is written. */
typedef struct Frame {
    FrameWriter *w;
    uint32_t number;
    uint32_t order;                 /* among sealed ones */
    unsigned profile;
    uint32_t source;                /* number of the frame to correct; or NONE */
    EngramRef source_ref;
    uint8_t *source_object;         /* while the frame is encoded */
    GList link;                     /* of a correction that is open: in w->groups_lru */
    GArray *features;               /* of le32_t */
    uint8_t *data;
    uint32_t capacity;              /* bytes there is room for in data */
    uint32_t bytes;
    GArray *lengths;                /* of le32_t */
    GByteArray *digests;
    GByteArray *object;             /* the frame encoded, at offset 0 */
    EngramRef ref;
    uint64_t sum;                   /* of data */
    bool copied;                    /* object is there, data is not */
    bool is_correction;             /* so it was encoded */
} Frame;

/* What is known of a frame by its number. */
enum {
    STATE_SEALED = 1 << 0,
    STATE_STORED = 1 << 1,          /* it is in the file, or writing it has failed */
    STATE_CORRECTION = 1 << 2,
};

typedef struct ProfileState {
    Frame *open;                    /* NULL if none */
    uint32_t frame_bytes;           /* of chunks, at most; a larger one has its own frame */
    int level;
    uint64_t chunks, bytes, stored, frames;
    uint64_t delta_chunks, delta_bytes; /* of these, in corrections */
    Frame *spare;                   /* whose buffers are used again */
} ProfileState;

struct FrameWriter {
    ObjectWriter *out;
    const ProfileTable *table;
    ProfileState *profiles;
    GArray *refs;                   /* of EngramRef, by number */
    GArray *entries;                /* of EngramFrameEntry, in order of offset */
    GArray *sums;                   /* of uint64_t, of the same */
    uint64_t chunks;
    uint32_t sealed;                /* how many so far */
    uint32_t written;               /* of these: have their place in the file */
    unsigned in_flight;
    CoSemaphore room;               /* for sealed frames */
    CoQueue turn;                   /* for written or in_flight to change */
    GError *error;                  /* the first */
    GByteArray *states;             /* STATE_*, by number */
    Frame *reserved;                /* gets the next chunk */
    GHashTable *groups;             /* source and profile -> Frame: open corrections */
    GQueue groups_lru;              /* of Frame, the one to be sealed next first */
    uint64_t groups_bytes;          /* of memory for their chunks */
    RecallIndex *index;             /* not owned; NULL: nothing is recalled */
    GByteArray *features;           /* the page that is being filled */
    GArray *feature_pages;          /* of EngramRef */
    uint64_t corrections;
};

static Frame *frame_alloc(FrameWriter *w, unsigned profile)
{
    Frame *f = g_new0(Frame, 1);

    f->w = w;
    f->profile = profile;
    f->source = FRAME_WRITER_NONE;
    f->link.data = f;
    f->features = g_array_new(FALSE, FALSE, sizeof(le32_t));
    f->lengths = g_array_new(FALSE, FALSE, sizeof(le32_t));
    f->digests = g_byte_array_new();
    f->object = g_byte_array_new();
    return f;
}

static uint32_t next_number(FrameWriter *w, uint8_t state)
{
    EngramRef none = { 0 };

    g_array_append_val(w->refs, none);
    g_byte_array_append(w->states, &state, 1);
    return w->refs->len - 1;
}

static Frame *frame_new(FrameWriter *w, unsigned profile)
{
    ProfileState *p = &w->profiles[profile];
    Frame *f = g_steal_pointer(&p->spare);

    f = f ?: frame_alloc(w, profile);
    f->bytes = 0;
    f->source = FRAME_WRITER_NONE;
    f->is_correction = false;
    g_array_set_size(f->features, 0);
    g_array_set_size(f->lengths, 0);
    g_byte_array_set_size(f->digests, 0);
    g_byte_array_set_size(f->object, 0);
    f->number = next_number(w, 0);
    return f;
}

static void frame_free(Frame *f)
{
    if (!f) {
        return;
    }
    g_free(f->data);
    g_free(f->source_object);
    g_array_unref(f->features);
    g_array_unref(f->lengths);
    g_byte_array_unref(f->digests);
    g_byte_array_unref(f->object);
    g_free(f);
}

FrameWriter *frame_writer_new(ObjectWriter *out, const ProfileSet *profiles)
{
    FrameWriter *w = g_new0(FrameWriter, 1);

    w->out = out;
    w->table = profile_set_table(profiles);
    w->profiles = g_new0(ProfileState, w->table->profiles->len);
    for (guint i = 0; i < w->table->profiles->len; i++) {
        const Profile *profile = g_ptr_array_index(w->table->profiles, i);
        ProfileState *p = &w->profiles[i];

        p->frame_bytes =
            MAX(profile->frame_size, (uint64_t)ENGRAM_MAX_CHUNK_BYTES / 16);
        p->level = profile->codec == ENGRAM_CODEC_STORE ? ENGRAM_LEVEL_STORE
                                                        : (int)profile->level;
    }
    w->refs = g_array_new(FALSE, FALSE, sizeof(EngramRef));
    w->sums = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    w->entries = g_array_new(FALSE, FALSE, sizeof(EngramFrameEntry));
    w->states = g_byte_array_new();
    w->groups = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    w->features = g_byte_array_new();
    w->feature_pages = g_array_new(FALSE, FALSE, sizeof(EngramRef));
    co_semaphore_init(&w->room,
                      thread_pool_max_threads(thread_pool_cpu()) + FRAMES_AHEAD);
    co_queue_init(&w->turn);
    return w;
}

void frame_writer_set_index(FrameWriter *w, RecallIndex *index)
{
    w->index = index;
}

void frame_writer_free(FrameWriter *w)
{
    if (!w) {
        return;
    }
    g_assert(w->in_flight == 0);
    for (guint i = 0; i < w->table->profiles->len; i++) {
        frame_free(w->profiles[i].open);
        frame_free(w->profiles[i].spare);
    }
    while (w->groups_lru.head) {
        frame_free(g_queue_pop_head_link(&w->groups_lru)->data);
    }
    g_hash_table_unref(w->groups);
    g_byte_array_unref(w->states);
    g_byte_array_unref(w->features);
    g_array_unref(w->feature_pages);
    g_free(w->profiles);
    g_array_unref(w->refs);
    g_array_unref(w->entries);
    g_array_unref(w->sums);
    g_clear_error(&w->error);
    g_free(w);
}

static bool check_room(const FrameWriter *w, GError **errp)
{
    if (w->refs->len == UINT32_MAX) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT, "more than %" PRIu32 " frames",
                    UINT32_MAX);
        return false;
    }
    return true;
}

bool frame_writer_adopt(FrameWriter *w, const EngramFrameEntry *entry, uint64_t chunks,
                        GError **errp)
{
    g_assert(w->sealed == 0);
    if (!check_room(w, errp)) {
        return false;
    }
    uint32_t number = next_number(w, STATE_SEALED | STATE_STORED);
    g_array_index(w->refs, EngramRef, number) = entry->frame;
    g_array_append_vals(w->entries, entry, 1);
    w->chunks += chunks;
    return true;
}

/* False: what the frame should be a correction of cannot be decoded, or that saves nothing. */
static bool encode_correction(Frame *f)
{
    g_autofree uint8_t *prefix = NULL;

    if (!f->source_object) {
        return false;
    }
    prefix = g_malloc((size_t)le32_get(f->source_ref.raw) + 1);
    return engram_object_decode(f->source_object, &f->source_ref, ENGRAM_OBJECT_FRAME,
                                prefix, NULL, NULL) &&
           engram_object_append_correction(f->object, 0, f->profile,
                                           f->w->profiles[f->profile].level, f->data,
                                           f->bytes, &f->source_ref, prefix, &f->ref);
}

/* In the thread pool. */
static int encode_frame(void *opaque)
{
    Frame *f = opaque;
    int level = f->w->profiles[f->profile].level;

    f->sum = engram_checksum(f->data, f->bytes);
    f->is_correction = encode_correction(f);
    if (f->is_correction && le32_get(f->ref.stored) < f->bytes / 2) {
        return 0;
    }
    /* It may be no worse without. */
    guint before = f->object->len;
    EngramRef plain = engram_object_append(f->object, 0, ENGRAM_OBJECT_FRAME, f->profile,
                                           level, f->data, f->bytes);
    if (f->is_correction && le32_get(plain.stored) >= le32_get(f->ref.stored)) {
        g_byte_array_set_size(f->object, before);
        return 0;
    }
    g_byte_array_remove_range(f->object, 0, before);
    f->is_correction = false;
    f->ref = engram_ref_make(0, le32_get(plain.stored), f->bytes);
    return 0;
}

/* The chunk list of a frame that has its place in the file. */
static GByteArray *make_chunk_list(const Frame *f, uint64_t offset, EngramRef *ref)
{
    EngramChunkList head = { .count = le32_make(f->lengths->len), .frame = f->ref };
    g_autoptr(GByteArray) raw = g_byte_array_new();
    GByteArray *object = g_byte_array_new();

    g_byte_array_append(raw, (const uint8_t *)&head, sizeof(head));
    g_byte_array_append(raw, (const uint8_t *)f->lengths->data,
                        f->lengths->len * sizeof(le32_t));
    g_byte_array_append(raw, f->digests->data, f->digests->len);
    *ref = engram_object_append(object, offset, ENGRAM_OBJECT_CHUNKS, 0,
                                ENGRAM_LEVEL_STORE, raw->data, raw->len);
    return object;
}

/* What does not compress is not recalled either: much memory for no gain. */
static void add_features(FrameWriter *w, const Frame *f)
{
    EngramFrameFeatures head = {
        .frame = le32_make(w->entries->len - 1),
        .features = le32_make(f->features->len),
    };

    if (!w->index || f->source != FRAME_WRITER_NONE || !f->features->len ||
        engram_ref_is_stored(&f->ref)) {
        return;
    }
    g_byte_array_append(w->features, (const uint8_t *)&head, sizeof(head));
    g_byte_array_append(w->features, (const uint8_t *)f->features->data,
                        f->features->len * sizeof(le32_t));
}

/* Appends the page of features. */
static bool coroutine_fn co_write_features(FrameWriter *w, GError **errp)
{
    g_autoptr(GByteArray) object = g_byte_array_new();
    uint64_t offset = w->out->end;
    EngramRef ref = engram_object_append(object, offset, ENGRAM_OBJECT_FEATURES, 0,
                                         ENGRAM_LEVEL_STORE, w->features->data,
                                         w->features->len);
    struct iovec iov = { object->data, object->len };

    object_writer_claim(w->out, object->len);
    g_array_append_val(w->feature_pages, ref);
    g_byte_array_set_size(w->features, 0);
    return out_file_co_writev(w->out->file, &iov, 1, offset, errp);
}

static void record_frame(Frame *f, const EngramFrameEntry *entry)
{
    FrameWriter *w = f->w;
    ProfileState *p = &w->profiles[f->profile];

    g_array_index(w->refs, EngramRef, f->number) = entry->frame;
    g_array_append_vals(w->entries, entry, 1);
    g_array_append_val(w->sums, f->sum);
    add_features(w, f);
    if (f->is_correction) {
        w->corrections++;
        p->delta_chunks += f->lengths->len;
        p->delta_bytes += f->bytes;
    }
    p->chunks += f->lengths->len;
    p->bytes += f->bytes;
    p->stored += engram_ref_span(&entry->frame) + engram_ref_span(&entry->chunks);
    p->frames++;
    w->chunks += f->lengths->len;
}

/* Gives the frame its place and writes it. */
static bool coroutine_fn co_place_frame(Frame *f, GError **errp)
{
    FrameWriter *w = f->w;
    EngramFrameEntry entry;

    uint64_t offset = w->out->end;
    f->ref.offset = le64_make(offset);
    entry.frame = f->ref;
    g_autoptr(GByteArray) list =
        make_chunk_list(f, offset + f->object->len, &entry.chunks);
    object_writer_claim(w->out, f->object->len + list->len);
    record_frame(f, &entry);
    w->written++;
    co_queue_all(&w->turn);

    struct iovec iov[] = {{f->object->data, f->object->len}, {list->data, list->len}};
    return out_file_co_writev(w->out->file, iov, G_N_ELEMENTS(iov), offset, errp) &&
           (w->features->len < FEATURE_PAGE_BYTES || co_write_features(w, errp));
}

/* Waits for the frame that this one is a correction of, and reads it.  What cannot be read
 * is not recalled. */
static void coroutine_fn co_fetch_source(Frame *f)
{
    FrameWriter *w = f->w;

    while (!(w->states->data[f->source] & STATE_STORED)) {
        co_queue_wait(&w->turn);
    }
    f->source_ref = *frame_writer_ref(w, f->source);
    if (w->error || f->copied) {
        return;
    }
    f->source_object = g_malloc(le32_get(f->source_ref.stored));
    if (!out_file_co_read(w->out->file, f->source_object, le32_get(f->source_ref.stored),
                          le64_get(f->source_ref.offset), NULL)) {
        g_clear_pointer(&f->source_object, g_free);
    }
}

static void coroutine_fn co_finish_frame(void *opaque)
{
    Frame *f = opaque;
    FrameWriter *w = f->w;
    ProfileState *p = &w->profiles[f->profile];
    g_autoptr(GError) error = NULL;

    if (f->source != FRAME_WRITER_NONE) {
        co_fetch_source(f);
    }
    if (!f->copied) {
        thread_pool_co_run(thread_pool_cpu(), encode_frame, f);
        g_clear_pointer(&f->source_object, g_free);
    } else if (f->is_correction) {
        engram_object_set_recalled(f->object->data, &f->source_ref);
    }
    while (w->written != f->order) {
        co_queue_wait(&w->turn);
    }
    if (w->error) {
        w->written++;
    } else if (!co_place_frame(f, &error) && !w->error) {
        w->error = g_steal_pointer(&error);
    }
    w->states->data[f->number] |= STATE_STORED;
    if (p->spare || f->copied) {
        frame_free(f);
    } else {
        p->spare = f;
    }
    w->in_flight--;
    co_semaphore_release(&w->room, 1);
    co_queue_all(&w->turn);
}

static bool check_failed(const FrameWriter *w, GError **errp)
{
    if (w->error) {
        g_propagate_error(errp, g_error_copy(w->error));
        return false;
    }
    return true;
}

/* From now on, what is like it can be corrected from it. */
static void seal(FrameWriter *w, Frame *f)
{
    bool plain = f->source == FRAME_WRITER_NONE;

    w->states->data[f->number] |= STATE_SEALED | (plain ? 0 : STATE_CORRECTION);
    for (guint i = 0; w->index && plain && i < f->features->len; i++) {
        recall_index_add(w->index, le32_get(g_array_index(f->features, le32_t, i)),
                         f->number);
    }
    if (w->reserved == f) {
        w->reserved = NULL;
    }
}

static void coroutine_fn co_start(FrameWriter *w, Frame *f)
{
    seal(w, f);
    co_semaphore_acquire(&w->room, 1);
    f->order = w->sealed++;
    w->in_flight++;
    coroutine_enter(coroutine_create(co_finish_frame, f));
}

static void coroutine_fn co_seal(FrameWriter *w, unsigned profile)
{
    co_start(w, g_steal_pointer(&w->profiles[profile].open));
}

static gint64 *group_key(gint64 *key, uint32_t source, unsigned profile)
{
    *key = (gint64)source << 8 | profile;
    return key;
}

/* Closes the group to further chunks. */
static void take_group(FrameWriter *w, Frame *f)
{
    gint64 key;

    g_hash_table_remove(w->groups, group_key(&key, f->source, f->profile));
    g_queue_unlink(&w->groups_lru, &f->link);
    w->groups_bytes -= f->capacity;
}

static void coroutine_fn co_seal_group(FrameWriter *w, Frame *f)
{
    take_group(w, f);
    co_start(w, f);
}

static void grow_group(FrameWriter *w, Frame *f, uint32_t len)
{
    uint64_t needed = MAX((uint64_t)f->bytes + len, GROUP_BYTES_MIN);

    if (needed > f->capacity) {
        w->groups_bytes -= f->capacity;
        f->capacity = MAX(needed, MIN(2 * (uint64_t)f->capacity,
                                      w->profiles[f->profile].frame_bytes));
        f->data = g_realloc(f->data, f->capacity);
        w->groups_bytes += f->capacity;
    }
}

/* An empty group. */
static Frame *group_new(FrameWriter *w, unsigned profile, uint32_t source)
{
    Frame *f = frame_alloc(w, profile);
    gint64 *key = g_new(gint64, 1);

    f->number = next_number(w, 0);
    f->source = source;
    g_hash_table_insert(w->groups, group_key(key, source, profile), f);
    g_queue_push_tail_link(&w->groups_lru, &f->link);
    return f;
}

bool frame_writer_is_source(const FrameWriter *w, uint32_t frame)
{
    return frame < w->states->len &&
           (w->states->data[frame] & (STATE_SEALED | STATE_CORRECTION)) == STATE_SEALED;
}

bool coroutine_fn frame_writer_co_reserve_correction(FrameWriter *w, unsigned profile,
                                                     uint32_t source, uint32_t len,
                                                     CodebookPlace *place, GError **errp)
{
    gint64 key;
    Frame *f = g_hash_table_lookup(w->groups, group_key(&key, source, profile));

    g_assert(frame_writer_is_source(w, source));
    if (f && (uint64_t)f->bytes + len > w->profiles[profile].frame_bytes) {
        co_seal_group(w, g_steal_pointer(&f));
    }
    while (w->groups_bytes > GROUPS_BYTES_MAX && w->groups_lru.head) {
        Frame *oldest = w->groups_lru.head->data;

        f = oldest == f ? NULL : f;
        co_seal_group(w, oldest);
    }
    if (!check_failed(w, errp) || (!f && !check_room(w, errp))) {
        return false;
    }
    f = f ?: group_new(w, profile, source);
    g_queue_unlink(&w->groups_lru, &f->link);
    g_queue_push_tail_link(&w->groups_lru, &f->link);
    grow_group(w, f, len);
    w->reserved = f;
    *place = (CodebookPlace){ .frame = f->number, .position = f->bytes };
    return true;
}

bool coroutine_fn frame_writer_co_copy(FrameWriter *w, const EngramObjectHeader *object,
                                       const ChunkList *chunks, uint32_t source,
                                       const le32_t *features, uint32_t n_features,
                                       uint32_t *number, GError **errp)
{
    if (object->profile >= w->table->profiles->len) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "frame at offset 0x%" PRIx64 " has profile %u of %u",
                    le64_get(chunks->frame.offset), object->profile,
                    w->table->profiles->len);
        return false;
    }
    if (!check_failed(w, errp) || !check_room(w, errp)) {
        return false;
    }
    Frame *f = frame_alloc(w, object->profile);
    f->copied = true;
    f->bytes = chunks->positions[chunks->n];
    f->ref = chunks->frame;
    f->source = source;
    f->is_correction = source != FRAME_WRITER_NONE;
    g_array_append_vals(f->features, features, n_features);
    f->number = *number = next_number(w, 0);
    for (uint32_t i = 0; i < chunks->n; i++) {
        le32_t length = le32_make(chunks->positions[i + 1] - chunks->positions[i]);
        g_array_append_val(f->lengths, length);
    }
    g_byte_array_append(f->digests, chunks->digests,
                        (guint)chunks->n * ENGRAM_DIGEST_BYTES);
    g_byte_array_append(f->object, (const uint8_t *)object,
                        engram_ref_span(&chunks->frame));
    co_start(w, f);
    return true;
}

bool coroutine_fn frame_writer_co_reserve(FrameWriter *w, unsigned profile,
                                          uint32_t len, CodebookPlace *place,
                                          GError **errp)
{
    ProfileState *p = &w->profiles[profile];

    if (p->open && p->open->bytes && (uint64_t)p->open->bytes + len > p->frame_bytes) {
        co_seal(w, profile);
    }
    if (!check_failed(w, errp)) {
        return false;
    }
    if (!p->open && !check_room(w, errp)) {
        return false;
    }
    p->open = p->open ?: frame_new(w, profile);
    if (p->open->capacity < MAX(p->frame_bytes, len)) {
        p->open->capacity = MAX(p->frame_bytes, len);
        p->open->data = g_realloc(p->open->data, p->open->capacity);
    }
    w->reserved = p->open;
    *place = (CodebookPlace){ .frame = p->open->number, .position = p->open->bytes };
    return true;
}

void frame_writer_append(FrameWriter *w, unsigned profile, const void *data,
                         uint32_t len, const uint8_t digest[ENGRAM_DIGEST_BYTES])
{
    Frame *f = w->reserved;
    le32_t length = le32_make(len);

    memcpy(f->data + f->bytes, data, len);
    f->bytes += len;
    g_array_append_val(f->lengths, length);
    g_byte_array_append(f->digests, digest, ENGRAM_DIGEST_BYTES);
}

void frame_writer_add_sketch(FrameWriter *w, const Sketch *sketch)
{
    for (unsigned i = 0; i < sketch->n; i++) {
        le32_t feature = le32_make(sketch->features[i]);

        g_array_append_val(w->reserved->features, feature);
    }
}

void coroutine_fn frame_writer_co_drain(FrameWriter *w)
{
    while (w->in_flight) {
        co_queue_wait(&w->turn);
    }
}

bool coroutine_fn frame_writer_co_finish(FrameWriter *w, GError **errp)
{
    for (guint i = 0; i < w->table->profiles->len; i++) {
        if (w->profiles[i].open && w->profiles[i].open->bytes) {
            co_seal(w, i);
        }
    }
    while (w->groups_lru.head) {
        co_seal_group(w, w->groups_lru.head->data);
    }
    frame_writer_co_drain(w);
    return check_failed(w, errp) && (!w->features->len || co_write_features(w, errp));
}

uint32_t frame_writer_count(const FrameWriter *w)
{
    return w->entries->len;
}

uint64_t frame_writer_chunks(const FrameWriter *w)
{
    return w->chunks;
}

const EngramRef *frame_writer_ref(const FrameWriter *w, uint32_t frame)
{
    return &g_array_index(w->refs, EngramRef, frame);
}

bool coroutine_fn frame_writer_co_write_directory(FrameWriter *w, uint32_t first,
                                                  GArray *pages, GError **errp)
{
    for (; first < w->entries->len; first += FRAME_DIRECTORY_PAGE_ENTRIES) {
        guint n = MIN(w->entries->len - first, FRAME_DIRECTORY_PAGE_ENTRIES);
        EngramRef ref;

        if (!object_writer_co_append(
                w->out, ENGRAM_OBJECT_FRAME_DIR, DIRECTORY_LEVEL,
                &g_array_index(w->entries, EngramFrameEntry, first),
                n * sizeof(EngramFrameEntry), &ref, errp)) {
            return false;
        }
        g_array_append_val(pages, ref);
    }
    return true;
}

const GArray *frame_writer_sums(const FrameWriter *w)
{
    return w->sums;
}

const GArray *frame_writer_feature_pages(const FrameWriter *w)
{
    return w->feature_pages;
}

uint64_t frame_writer_corrections(const FrameWriter *w)
{
    return w->corrections;
}

GPtrArray *frame_writer_stats(const FrameWriter *w)
{
    GPtrArray *list = engram_profile_stats_list_new();

    for (guint i = 0; i < w->table->profiles->len; i++) {
        const Profile *profile = g_ptr_array_index(w->table->profiles, i);
        const ProfileState *p = &w->profiles[i];

        EngramProfileStats *stats = engram_profile_stats_new0();
        stats->profile = g_strdup(profile->name);
        stats->chunks = p->chunks;
        stats->bytes = p->bytes;
        stats->stored = p->stored;
        stats->frames = p->frames;
        stats->has_verbatim = stats->has_delta = stats->has_delta_chunks = true;
        stats->verbatim = p->bytes - p->delta_bytes;
        stats->delta = p->delta_bytes;
        stats->delta_chunks = p->delta_chunks;
        g_ptr_array_add(list, stats);
    }
    return list;
}
