/*
 * The check of frames: each is decoded, and each chunk hashed, once.
 */
#include "engram/check-int.h"

#include <openssl/evp.h>

#include "util/error.h"
#include "util/thread-pool.h"
#include "util/units.h"

enum { MAX_BAD_FRAMES = 1 << 16 };

typedef struct FrameWork {
    Check *check;
    EngramFrameEntry entry;
    uint64_t number;                    /* in the directory */
    uint64_t units;
    CachedObject *recalled;             /* NULL: it is no correction */
    uint32_t recalled_bytes;
    /* Filled by the pool. */
    uint8_t *data;                      /* frame and chunk list as they are in the file */
    uint32_t chunks;
    bool bad;                           /* what was decoded is not what it should be */
    GPtrArray *errors;                  /* of GError */
} FrameWork;

static void note(FrameWork *work, GError *error)
{
    g_ptr_array_add(work->errors, error);
}

static void check_padding(FrameWork *work, const EngramRef *ref, const uint8_t *data,
                          EngramObjectType type)
{
    uint32_t stored = le32_get(ref->stored);

    if (!buffer_is_zero(data + stored, engram_ref_span(ref) - stored)) {
        note(work, g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT,
                               "%s at offset 0x%" PRIx64 ": padding is not zero",
                               engram_object_type_name(type), le64_get(ref->offset)));
    }
}

/* Whoever wrote the frame has hashed these very bytes. */
static bool is_what_was_hashed(const FrameWork *work, const uint8_t *raw)
{
    const EngramCheckOptions *options = &work->check->options;

    uint64_t number = work->number - options->known_frames;

    return work->number >= options->known_frames && number < options->n_frame_sums &&
           engram_checksum(raw, le32_get(work->entry.frame.raw)) ==
               options->frame_sums[number];
}

static void check_identities(FrameWork *work, const ChunkList *list, const uint8_t *raw)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint64_t offset = le64_get(work->entry.frame.offset);

    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    for (uint32_t i = 0; i < list->n; i++) {
        uint32_t position = list->positions[i];
        uint8_t digest[EVP_MAX_MD_SIZE];

        EVP_DigestInit_ex(ctx, NULL, NULL);
        EVP_DigestUpdate(ctx, raw + position, list->positions[i + 1] - position);
        EVP_DigestFinal_ex(ctx, digest, NULL);
        if (memcmp(digest, list->digests + (size_t)i * ENGRAM_DIGEST_BYTES,
                   ENGRAM_DIGEST_BYTES) != 0) {
            work->bad = true;
            note(work, g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT,
                                   "frame at offset 0x%" PRIx64 ": chunk %" PRIu32
                                   " at position %" PRIu32
                                   " does not have the SHA-256 of its chunk list",
                                   offset, i, position));
            break;
        }
    }
    EVP_MD_CTX_free(ctx);
}

static bool decode_frame(const FrameWork *work, uint8_t *raw, GError **errp)
{
    const EngramRef *frame = &work->entry.frame;

    if (work->recalled) {
        return engram_object_decode_correction(work->data, frame, work->recalled->value,
                                               work->recalled_bytes, raw, NULL, errp);
    }
    return engram_object_decode(work->data, frame, ENGRAM_OBJECT_FRAME, raw, NULL, errp);
}

/* In the thread pool. */
static int verify_frame(void *opaque)
{
    FrameWork *work = opaque;
    const EngramRef *frame = &work->entry.frame, *chunks = &work->entry.chunks;
    const uint8_t *chunks_data = work->data + engram_ref_span(frame);
    g_autofree uint8_t *raw = g_malloc((size_t)le32_get(frame->raw) + 1);
    uint8_t *list_raw = g_malloc((size_t)le32_get(chunks->raw) + sizeof(EngramChunkList));
    GError *error = NULL;
    bool frame_ok = true;

    if (!decode_frame(work, raw, &error)) {
        note(work, g_steal_pointer(&error));
        frame_ok = false;
        work->bad = true;
    }
    check_padding(work, frame, work->data, ENGRAM_OBJECT_FRAME);
    check_padding(work, chunks, chunks_data, ENGRAM_OBJECT_CHUNKS);
    if (!engram_object_decode(chunks_data, chunks, ENGRAM_OBJECT_CHUNKS, list_raw, NULL,
                              &error)) {
        note(work, g_steal_pointer(&error));
        g_free(list_raw);
        return 0;
    }
    ChunkList *list = chunk_list_parse(list_raw, chunks, &error);
    if (!list) {
        note(work, g_steal_pointer(&error));
        return 0;
    }
    work->chunks = list->n;
    if (!engram_ref_equal(&list->frame, frame)) {
        note(work, g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT,
                               "chunk list at offset 0x%" PRIx64
                               " is of a frame at 0x%" PRIx64 ", expected 0x%" PRIx64,
                               le64_get(chunks->offset), le64_get(list->frame.offset),
                               le64_get(frame->offset)));
    } else if (frame_ok && !is_what_was_hashed(work, raw)) {
        check_identities(work, list, raw);
    }
    chunk_list_free(list);
    return 0;
}

static void add_bad_frame(Check *check, const EngramRef *frame)
{
    gint64 key = le64_get(frame->offset);

    if (g_hash_table_size(check->bad_frames) < MAX_BAD_FRAMES) {
        g_hash_table_add(check->bad_frames, g_memdup2(&key, sizeof(key)));
    }
}

/* What the frame recalls, if it is a correction.  False: it is damaged. */
static bool coroutine_fn co_recall(FrameWork *work, GError **errp)
{
    Check *check = work->check;
    const EngramRef *frame = &work->entry.frame;
    CheckCorrection correction = { .frame = *frame };
    int ret = engram_file_recalled(check->file, work->data, frame, &correction.recalled,
                                   errp);

    if (ret <= 0) {
        return ret == 0;
    }
    g_array_append_val(check->corrections, correction);
    work->recalled_bytes = le32_get(correction.recalled.raw);
    work->recalled = object_cache_co_get(check->recalled, &correction.recalled, errp);
    if (!work->recalled) {
        g_prefix_error(errp, "frame at offset 0x%" PRIx64 " cannot be recalled: ",
                       le64_get(frame->offset));
        return false;
    }
    if (!work->recalled->is_correction) {
        return true;
    }
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                "frame at offset 0x%" PRIx64 " is a correction of one at offset 0x%" PRIx64
                ", which is one itself",
                le64_get(frame->offset), le64_get(correction.recalled.offset));
    return false;
}

static void coroutine_fn co_verify_frame(void *opaque)
{
    FrameWork *work = opaque;
    Check *check = work->check;
    const EngramRef *frame = &work->entry.frame, *chunks = &work->entry.chunks;
    size_t bytes = engram_ref_span(frame) + engram_ref_span(chunks);
    GError *error = NULL;

    work->data = g_malloc(bytes);
    int ret = bdrv_co_pread(check->file->file, le64_get(frame->offset), bytes, work->data, 0);
    if (ret < 0) {
        error_set_errno(&error, -ret, "cannot read the frame at offset 0x%" PRIx64,
                        le64_get(frame->offset));
        check_object_problem(check, frame, error);
        work->bad = true;
    } else if (!co_recall(work, &error)) {
        check_object_problem(check, frame, error);
        work->bad = true;
    } else {
        work->errors = g_ptr_array_new();
        thread_pool_co_run(thread_pool_cpu(), verify_frame, work);
        for (guint i = 0; i < work->errors->len; i++) {
            check_problem(check, g_ptr_array_index(work->errors, i));
        }
        g_ptr_array_unref(work->errors);
    }
    if (work->recalled) {
        object_cache_put(check->recalled, work->recalled);
    }
    if (work->bad) {
        add_bad_frame(check, frame);
    }
    if (work->number >= check->options.known_frames) {
        check->result->frames++;
        check->result->chunks += work->chunks;
    }
    progress_add(check->options.progress, bytes);
    g_free(work->data);
    check_release(check, work->units);
    g_free(work);
    check_work_done(check);
}

/* Whether the entry can be followed. */
static bool entry_ok(Check *check, const EngramFrameEntry *entry, uint64_t *end)
{
    GError *error = NULL;

    if (!engram_frame_entry_check(check->file, entry, end, &error)) {
        check_problem(check, error);
        return false;
    }
    return true;
}

static void coroutine_fn co_start_frame(Check *check, const EngramFrameEntry *entry,
                                        uint64_t number)
{
    FrameWork *work = g_new0(FrameWork, 1);

    work->check = check;
    work->entry = *entry;
    work->number = number;
    work->units = check_co_reserve(check, (uint64_t)le32_get(entry->frame.stored) +
                                              le32_get(entry->frame.raw) +
                                              le32_get(entry->chunks.stored) +
                                              2 * (uint64_t)le32_get(entry->chunks.raw));
    check_co_spawn(check, co_verify_frame, work);
}

/* False if nothing behind it can be made sense of. */
static bool coroutine_fn co_check_page(Check *check, const EngramRef *ref, uint64_t *end,
                                       uint64_t *entries)
{
    g_autofree uint8_t *raw = check_co_load(check, ref, ENGRAM_OBJECT_FRAME_DIR);
    const EngramFrameEntry *page = (const EngramFrameEntry *)raw;
    uint32_t size = le32_get(ref->raw);
    uint64_t start = *end;

    if (raw && (!size || size % sizeof(*page))) {
        check_corrupt(check, "frame directory page at offset 0x%" PRIx64 " has %" PRIu32
                      " bytes, expected a multiple of %zu", le64_get(ref->offset), size,
                      sizeof(*page));
        g_clear_pointer(&raw, g_free);
    }
    g_array_append_val(check->page_numbers, *entries);
    if (!raw) {
        check->directory_damaged = true;
        g_array_append_val(check->page_starts, start);
        return true;
    }
    start = le64_get(page[0].frame.offset);
    g_array_append_val(check->page_starts, start);
    for (uint32_t i = 0; i < size / sizeof(*page); i++) {
        if (!entry_ok(check, &page[i], end)) {
            check->directory_damaged = true;
            return false;
        }
        uint64_t number = (*entries)++;
        if (number >= check->options.known_frames) {
            co_start_frame(check, &page[i], number);
        }
    }
    return true;
}

void coroutine_fn check_co_frames(Check *check)
{
    EngramFile *f = check->file;
    uint64_t end = ENGRAM_OBJECTS_START, entries = 0;

    g_byte_array_set_size(check->referred, check->options.known_frames);
    if (check->referred->len) {
        memset(check->referred->data, 0, check->referred->len);
    }
    for (uint32_t i = 0; i < f->n_frame_pages; i++) {
        if (!co_check_page(check, &f->frame_pages[i], &end, &entries)) {
            break;
        }
    }
    check_co_wait_all(check);
    if (!check->directory_damaged && entries != le64_get(f->commit.frames)) {
        check_corrupt(check, "commit record at offset 0x%" PRIx64 " counts %" PRIu64
                      " frames, its directory has %" PRIu64,
                      le64_get(f->commit_ref.offset), le64_get(f->commit.frames), entries);
    }
    uint64_t chunks = check->options.known_chunks + check->result->chunks;
    if (!check->result->corruptions && !check->result->check_errors &&
        chunks != le64_get(f->commit.chunks)) {
        check_corrupt(check, "commit record at offset 0x%" PRIx64 " counts %" PRIu64
                      " chunks, its frames have %" PRIu64,
                      le64_get(f->commit_ref.offset), le64_get(f->commit.chunks), chunks);
    }
}

/* The directory's entry for the frame at offset, and its number; false if it has none. */
static bool coroutine_fn co_find_entry(Check *check, uint64_t offset,
                                       EngramFrameEntry *entry, uint64_t *number)
{
    uint32_t low = 0, high = check->page_starts->len;

    if (!high) {
        return false;
    }
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (g_array_index(check->page_starts, uint64_t, middle) <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const EngramRef *ref = &check->file->frame_pages[low];
    g_autoptr(GError) error = NULL;
    CachedObject *page = object_cache_co_get(check->pages, ref, &error);
    if (!page) {
        return false;
    }
    const EngramFrameEntry *entries = page->value;
    uint32_t n = le32_get(ref->raw) / sizeof(*entries);
    uint32_t first = 0, last = n;
    while (last - first > 1) {
        uint32_t middle = first + (last - first) / 2;

        if (le64_get(entries[middle].frame.offset) <= offset) {
            first = middle;
        } else {
            last = middle;
        }
    }
    bool found = n && le64_get(entries[first].frame.offset) == offset;
    if (found) {
        *entry = entries[first];
        *number = g_array_index(check->page_numbers, uint64_t, low) + first;
    }
    object_cache_put(check->pages, page);
    return found;
}

/* What is recalled is in the directory, too, and so among what was checked. */
void coroutine_fn check_co_corrections(Check *check)
{
    for (guint i = 0; i < check->corrections->len; i++) {
        const CheckCorrection *c = &g_array_index(check->corrections, CheckCorrection, i);
        EngramFrameEntry entry;
        uint64_t number;

        if (!co_find_entry(check, le64_get(c->recalled.offset), &entry, &number) ||
            !engram_ref_equal(&entry.frame, &c->recalled)) {
            if (!check->directory_damaged) {
                check_corrupt(check, "frame at offset 0x%" PRIx64
                              " is a correction of one at offset 0x%" PRIx64
                              ", which is not as such in the frame directory",
                              le64_get(c->frame.offset), le64_get(c->recalled.offset));
            }
        } else if (number < check->referred->len) {
            check->referred->data[number] = true;
        }
    }
    g_array_set_size(check->corrections, 0);
}

/* All of the file's frames are in the directory: nothing to report that was not before. */
static void coroutine_fn co_check_referred_page(Check *check, uint32_t page)
{
    const EngramRef *ref = &check->file->frame_pages[page];
    uint64_t number = g_array_index(check->page_numbers, uint64_t, page);
    GError *error = NULL;
    CachedObject *object = NULL;

    for (uint32_t i = 0; i < le32_get(ref->raw) / sizeof(EngramFrameEntry); i++) {
        if (number + i >= check->referred->len || !check->referred->data[number + i]) {
            continue;
        }
        object = object ?: object_cache_co_get(check->pages, ref, &error);
        if (!object) {
            check_object_problem(check, ref, error);
            return;
        }
        co_start_frame(check, (const EngramFrameEntry *)object->value + i, number + i);
    }
    if (object) {
        object_cache_put(check->pages, object);
    }
}

void coroutine_fn check_co_referred_frames(Check *check)
{
    for (guint i = 0; i < check->page_numbers->len; i++) {
        co_check_referred_page(check, i);
    }
    check_co_wait_all(check);
}

CachedObject *coroutine_fn check_co_chunk_list(Check *check, const EngramRef *frame)
{
    uint64_t offset = le64_get(frame->offset);
    EngramFrameEntry entry;
    uint64_t number;
    GError *error = NULL;

    if (!co_find_entry(check, offset, &entry, &number) || !engram_ref_equal(&entry.frame, frame)) {
        if (!check->directory_damaged) {
            g_set_error(&error, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                        "frame at offset 0x%" PRIx64
                        " is referred to by a map but not as such in the frame directory",
                        offset);
            check_object_problem(check, frame, error);
        }
        return NULL;
    }
    if (number < check->referred->len) {
        check->referred->data[number] = true;
    }
    CachedObject *list = object_cache_co_get(check->lists, &entry.chunks, &error);
    if (!list) {
        /* Reported when frames were checked. */
        g_error_free(error);
        return NULL;
    }
    if (!engram_ref_equal(&((const ChunkList *)list->value)->frame, frame)) {
        object_cache_put(check->lists, list);
        return NULL;
    }
    return list;
}
