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
};

/* A frame from its first chunk until it is written. */
typedef struct Frame {
    FrameWriter *w;
    uint32_t number;
    uint32_t order;                 /* among sealed ones */
    unsigned profile;
    uint8_t *data;
    uint32_t capacity;              /* bytes there is room for in data */
    uint32_t bytes;
    GArray *lengths;                /* of le32_t */
    GByteArray *digests;
    GByteArray *object;             /* the frame encoded, at offset 0 */
    EngramRef ref;
    uint64_t sum;                   /* of data */
    bool copied;                    /* object is there, data is not */
} Frame;

typedef struct ProfileState {
    Frame *open;                    /* NULL if none */
    uint32_t frame_bytes;           /* of chunks, at most; a larger one has its own frame */
    int level;
    uint64_t chunks, bytes, stored, frames;
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
};

static Frame *frame_alloc(FrameWriter *w, unsigned profile)
{
    Frame *f = g_new0(Frame, 1);

    f->w = w;
    f->profile = profile;
    f->lengths = g_array_new(FALSE, FALSE, sizeof(le32_t));
    f->digests = g_byte_array_new();
    f->object = g_byte_array_new();
    return f;
}

static Frame *frame_new(FrameWriter *w, unsigned profile)
{
    ProfileState *p = &w->profiles[profile];
    Frame *f = g_steal_pointer(&p->spare);
    EngramRef none = { 0 };

    f = f ?: frame_alloc(w, profile);
    f->bytes = 0;
    g_array_set_size(f->lengths, 0);
    g_byte_array_set_size(f->digests, 0);
    g_byte_array_set_size(f->object, 0);
    f->number = w->refs->len;
    g_array_append_val(w->refs, none);
    return f;
}

static void frame_free(Frame *f)
{
    if (!f) {
        return;
    }
    g_free(f->data);
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
    co_semaphore_init(&w->room,
                      thread_pool_max_threads(thread_pool_cpu()) + FRAMES_AHEAD);
    co_queue_init(&w->turn);
    return w;
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
    g_array_append_val(w->refs, entry->frame);
    g_array_append_vals(w->entries, entry, 1);
    w->chunks += chunks;
    return true;
}

/* In the thread pool. */
static int encode_frame(void *opaque)
{
    Frame *f = opaque;

    f->sum = engram_checksum(f->data, f->bytes);
    f->ref = engram_object_append(f->object, 0, ENGRAM_OBJECT_FRAME, f->profile,
                                  f->w->profiles[f->profile].level, f->data, f->bytes);
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

static void record_frame(Frame *f, const EngramFrameEntry *entry)
{
    FrameWriter *w = f->w;
    ProfileState *p = &w->profiles[f->profile];

    g_array_index(w->refs, EngramRef, f->number) = entry->frame;
    g_array_append_vals(w->entries, entry, 1);
    g_array_append_val(w->sums, f->sum);
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
    return out_file_co_writev(w->out->file, iov, G_N_ELEMENTS(iov), offset, errp);
}

static void coroutine_fn co_finish_frame(void *opaque)
{
    Frame *f = opaque;
    FrameWriter *w = f->w;
    ProfileState *p = &w->profiles[f->profile];
    g_autoptr(GError) error = NULL;

    if (!f->copied) {
        thread_pool_co_run(thread_pool_cpu(), encode_frame, f);
    }
    while (w->written != f->order) {
        co_queue_wait(&w->turn);
    }
    if (w->error) {
        w->written++;
    } else if (!co_place_frame(f, &error) && !w->error) {
        w->error = g_steal_pointer(&error);
    }
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

static void coroutine_fn co_start(FrameWriter *w, Frame *f)
{
    co_semaphore_acquire(&w->room, 1);
    f->order = w->sealed++;
    w->in_flight++;
    coroutine_enter(coroutine_create(co_finish_frame, f));
}

static void coroutine_fn co_seal(FrameWriter *w, unsigned profile)
{
    co_start(w, g_steal_pointer(&w->profiles[profile].open));
}

bool coroutine_fn frame_writer_co_copy(FrameWriter *w, const EngramObjectHeader *object,
                                       const ChunkList *chunks, uint32_t *number,
                                       GError **errp)
{
    EngramRef none = { 0 };

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
    f->number = *number = w->refs->len;
    g_array_append_val(w->refs, none);
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
    *place = (CodebookPlace){ .frame = p->open->number, .position = p->open->bytes };
    return true;
}

void frame_writer_append(FrameWriter *w, unsigned profile, const void *data,
                         uint32_t len, const uint8_t digest[ENGRAM_DIGEST_BYTES])
{
    Frame *f = w->profiles[profile].open;
    le32_t length = le32_make(len);

    memcpy(f->data + f->bytes, data, len);
    f->bytes += len;
    g_array_append_val(f->lengths, length);
    g_byte_array_append(f->digests, digest, ENGRAM_DIGEST_BYTES);
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
    frame_writer_co_drain(w);
    return check_failed(w, errp);
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

GPtrArray *frame_writer_stats(const FrameWriter *w)
{
    GPtrArray *list = engram_profile_stats_list_new();

    for (guint i = 0; i < w->table->profiles->len; i++) {
        const Profile *profile = g_ptr_array_index(w->table->profiles, i);
        const ProfileState *p = &w->profiles[i];

        if (!p->frames) {
            continue;
        }
        EngramProfileStats *stats = engram_profile_stats_new0();
        stats->profile = g_strdup(profile->name);
        stats->chunks = p->chunks;
        stats->bytes = p->bytes;
        stats->stored = p->stored;
        stats->frames = p->frames;
        g_ptr_array_add(list, stats);
    }
    return list;
}
