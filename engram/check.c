/*
 * The check: slots, commit record, and keeping count.
 */
#include "engram/check-int.h"
#include "engram/recall-index.h"

#include "qapi/qapi-visit.h"
#include "util/error.h"
#include "util/thread-pool.h"

enum {
    WORK_BYTES       = 192 << 20,       /* of frames being verified */
    PAGES_BYTES      = 16 << 20,
    LISTS_BYTES      = 64 << 20,
    RECALLED_BYTES   = 32 << 20,
    MAX_DAMAGED      = 1 << 16,
    MAX_PREVIOUS     = 1 << 20,
};

void check_problem(Check *check, GError *error)
{
    g_autofree char *prefix = g_strdup_printf("%s: ", bdrv_filename(check->file->file));
    const char *text = error->message;

    if (error->domain == EMBR_ERROR) {
        check->result->corruptions++;
    } else {
        check->result->check_errors++;
    }
    if (g_str_has_prefix(text, prefix)) {
        text += strlen(prefix);
    }
    check->report(text, check->opaque);
    g_error_free(error);
}

void check_corrupt(Check *check, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    GError *error = g_error_new_valist(EMBR_ERROR, EMBR_ERROR_CORRUPT, format, ap);
    va_end(ap);
    check_problem(check, error);
}

bool check_object_problem(Check *check, const EngramRef *ref, GError *error)
{
    gint64 key = le64_get(ref->offset);

    if (g_hash_table_contains(check->damaged, &key)) {
        g_error_free(error);
        return false;
    }
    if (g_hash_table_size(check->damaged) < MAX_DAMAGED) {
        g_hash_table_add(check->damaged, g_memdup2(&key, sizeof(key)));
    }
    check_problem(check, error);
    return true;
}

void coroutine_fn check_co_padding(Check *check, const EngramRef *ref,
                                   EngramObjectType type)
{
    uint8_t padding[ENGRAM_OBJECT_ALIGN] = { 0 };
    uint64_t at = le64_get(ref->offset) + le32_get(ref->stored);
    size_t n = engram_ref_span(ref) - le32_get(ref->stored);

    if (bdrv_co_pread(check->file->file, at, n, padding, 0) >= 0 && !buffer_is_zero(padding, n)) {
        check_corrupt(check, "%s at offset 0x%" PRIx64 ": padding is not zero",
                      engram_object_type_name(type), le64_get(ref->offset));
    }
}

uint8_t *coroutine_fn check_co_load(Check *check, const EngramRef *ref, EngramObjectType type)
{
    GError *error = NULL;
    uint8_t *raw = engram_file_co_load(check->file, ref, type, NULL, &error);

    if (!raw) {
        check_object_problem(check, ref, error);
        return NULL;
    }
    check_co_padding(check, ref, type);
    return raw;
}

void coroutine_fn check_co_spawn(Check *check, CoroutineEntry *entry, void *arg)
{
    while (check->running >= check->max_running) {
        co_queue_wait(&check->changed);
    }
    check->running++;
    coroutine_enter(coroutine_create(entry, arg));
}

void check_work_done(Check *check)
{
    check->running--;
    co_queue_all(&check->changed);
}

void coroutine_fn check_co_wait_all(Check *check)
{
    while (check->running) {
        co_queue_wait(&check->changed);
    }
}

uint64_t coroutine_fn check_co_reserve(Check *check, uint64_t bytes)
{
    uint64_t units = MIN(bytes, WORK_BYTES);

    co_semaphore_acquire(&check->memory, units);
    return units;
}

void check_release(Check *check, uint64_t units)
{
    co_semaphore_release(&check->memory, units);
}

/* The slot that is not in use holds the commit before, or nothing yet. */
static void coroutine_fn co_check_other_slot(Check *check)
{
    EngramFile *f = check->file;
    g_autofree EngramSlot *slot = g_new0(EngramSlot, 1);
    g_autoptr(GError) error = NULL;
    int index = 1 - f->slot;
    uint64_t at = (uint64_t)index * ENGRAM_SLOT_BYTES;
    int ret = bdrv_co_pread(f->file, at, sizeof(*slot), slot, 0);

    if (ret < 0) {
        error_set_errno(&error, -ret, "cannot read header slot %d", index);
        check_problem(check, g_steal_pointer(&error));
        return;
    }
    if (buffer_is_zero(slot, sizeof(*slot))) {
        if (f->sequence > 1) {
            check_corrupt(check, "header slot %d at offset 0x%" PRIx64
                          " is empty, expected the commit before %" PRIu64,
                          index, at, f->sequence);
        }
        return;
    }
    if (!engram_slot_check(slot, bdrv_length(f->file), &error)) {
        check_corrupt(check, "header slot %d at offset 0x%" PRIx64 ": %s", index, at,
                      error->message);
        return;
    }
    if (le64_get(slot->sequence) + 1 != f->sequence ||
        memcmp(slot->uuid, f->uuid, sizeof(f->uuid)) != 0) {
        check_corrupt(check, "header slot %d at offset 0x%" PRIx64 " is of commit %" PRIu64
                      " or another engram, expected commit %" PRIu64 " of this one",
                      index, at, le64_get(slot->sequence), f->sequence - 1);
        return;
    }
    g_free(check_co_load(check, &slot->commit, ENGRAM_OBJECT_COMMIT));
}

static void check_slot_place(Check *check)
{
    EngramFile *f = check->file;

    if (!f->sequence || (f->sequence - 1) % ENGRAM_SLOTS != (unsigned)f->slot) {
        check_corrupt(check, "header slot %d at offset 0x%x is of commit %" PRIu64
                      ", which belongs into the other one",
                      f->slot, f->slot * ENGRAM_SLOT_BYTES, f->sequence);
    }
}

/* The records of all commits before this one. */
static void coroutine_fn co_check_previous(Check *check)
{
    EngramRef ref = check->file->commit.previous;
    uint64_t sequence = check->file->sequence;
    uint64_t before = le64_get(check->file->commit_ref.offset);

    for (int i = 0; i < MAX_PREVIOUS && !engram_ref_is_none(&ref); i++) {
        uint64_t offset = le64_get(ref.offset);
        g_autofree uint8_t *raw = NULL;

        if (offset >= before) {
            check_corrupt(check, "commit record at offset 0x%" PRIx64
                          " has its predecessor behind it, at 0x%" PRIx64, before, offset);
            return;
        }
        raw = check_co_load(check, &ref, ENGRAM_OBJECT_COMMIT);
        if (!raw) {
            return;
        }
        if (le32_get(ref.raw) < sizeof(EngramCommit) || le64_load(raw) != sequence - 1) {
            check_corrupt(check, "commit record at offset 0x%" PRIx64
                          " is not that of commit %" PRIu64, offset, sequence - 1);
            return;
        }
        ref = ((const EngramCommit *)raw)->previous;
        before = offset;
        sequence--;
    }
}

static void coroutine_fn co_check_profiles(Check *check)
{
    const EngramRef *ref = &check->file->commit.profiles;
    g_autoptr(GError) error = NULL;

    if (engram_ref_is_none(ref)) {
        check_corrupt(check, "commit record at offset 0x%" PRIx64 " names no profiles",
                      le64_get(check->file->commit_ref.offset));
        return;
    }
    g_autofree uint8_t *raw = check_co_load(check, ref, ENGRAM_OBJECT_PROFILES);
    if (!raw) {
        return;
    }
    g_autoptr(ProfileTable) table =
        profile_table_from_json_text((const char *)raw, le32_get(ref->raw), &error);
    if (!table) {
        check_corrupt(check, "profiles at offset 0x%" PRIx64 ": %s", le64_get(ref->offset),
                      error->message);
    }
}

static void ignore_features(uint32_t frame, const le32_t *features, uint32_t n,
                            void *opaque)
{
}

/* It is complete: what its features are is the encoder's choice. */
static void coroutine_fn co_check_recall_index(Check *check)
{
    g_autoptr(GArray) pages = g_array_new(FALSE, FALSE, sizeof(EngramRef));
    GError *error = NULL;

    if (!recall_index_is_there(check->file)) {
        return;
    }
    if (!recall_index_co_visit(check->file, ignore_features, NULL, pages, &error)) {
        check_problem(check, error);
        return;
    }
    check_co_padding(check, &check->file->commit.recall, ENGRAM_OBJECT_RECALL);
    for (guint i = 0; i < pages->len; i++) {
        check_co_padding(check, &g_array_index(pages, EngramRef, i),
                         ENGRAM_OBJECT_FEATURES);
    }
}

bool coroutine_fn engram_co_check(BlockDriverState *file, const EngramCheckOptions *options,
                                  EngramCheckReport *report, void *opaque,
                                  EngramCheckResult *result, GError **errp)
{
    g_autoptr(EngramFile) f = options && options->slot
                                  ? engram_file_co_open_commit(file, options->slot, errp)
                                  : engram_file_co_open(file, errp);
    Check check = {
        .file = f,
        .options = options ? *options : (EngramCheckOptions){ 0 },
        .report = report,
        .opaque = opaque,
        .result = result,
        .max_running = thread_pool_max_threads(thread_pool_cpu()) * 2,
    };

    if (!f) {
        return false;
    }
    memset(result, 0, sizeof(*result));
    result->end = f->end;
    check.damaged = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    check.bad_frames = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    check.lost = check_lost_new();
    check.page_starts = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    check.page_numbers = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    check.referred = g_byte_array_new();
    check.pages = object_cache_new(f, ENGRAM_OBJECT_FRAME_DIR, PAGES_BYTES, NULL, g_free, NULL);
    check.lists = object_cache_new(f, ENGRAM_OBJECT_CHUNKS, LISTS_BYTES,
                                   chunk_list_parse_cached,
                                   (GDestroyNotify)chunk_list_free, NULL);
    check.recalled = object_cache_new(f, ENGRAM_OBJECT_FRAME, RECALLED_BYTES, NULL, g_free,
                                      NULL);
    check.corrections = g_array_new(FALSE, FALSE, sizeof(CheckCorrection));
    co_queue_init(&check.changed);
    co_semaphore_init(&check.memory, WORK_BYTES);

    progress_phase(check.options.progress, "checking", f->end);
    check_co_padding(&check, &f->commit_ref, ENGRAM_OBJECT_COMMIT);
    if (!check.options.slot) {
        check_slot_place(&check);
        co_check_other_slot(&check);
        co_check_previous(&check);
    }
    co_check_profiles(&check);
    co_check_recall_index(&check);
    check_co_frames(&check);
    check_co_images(&check);
    check_co_corrections(&check);
    check_co_referred_frames(&check);
    progress_finish(check.options.progress);

    object_cache_free(check.lists);
    object_cache_free(check.recalled);
    g_array_unref(check.corrections);
    object_cache_free(check.pages);
    g_hash_table_destroy(check.bad_frames);
    g_array_unref(check.lost);
    g_array_unref(check.page_starts);
    g_array_unref(check.page_numbers);
    g_byte_array_unref(check.referred);
    g_hash_table_destroy(check.damaged);
    return true;
}
