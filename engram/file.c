/*
 * Slots, commit record and image records of an engram.
 */
#include "engram/file.h"

#include "util/error.h"
#include "util/thread-pool.h"

static const uint64_t known_incompatible = ENGRAM_INCOMPAT_DELTA;

/* What is smaller is decoded sooner than a thread takes it up. */
enum { DECODE_INLINE_BYTES = 16 << 10 };

static const char *incompatible_name(unsigned bit)
{
    static const char *const names[] = {
        "encryption", "corrections (delta)", "frames in other files (sources)",
    };

    return bit < G_N_ELEMENTS(names) ? names[bit] : NULL;
}

bool engram_slot_check(const EngramSlot *slot, uint64_t file_bytes, GError **errp)
{
    uint64_t expected = engram_checksum(slot, G_STRUCT_OFFSET(EngramSlot, checksum));
    uint64_t end = le64_get(slot->end);

    if (memcmp(slot->magic, ENGRAM_MAGIC, ENGRAM_MAGIC_BYTES) != 0) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_FORMAT, "no engram magic");
        return false;
    }
    if (le64_get(slot->checksum) != expected) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "checksum is 0x%016" PRIx64 ", expected 0x%016" PRIx64,
                    le64_get(slot->checksum), expected);
        return false;
    }
    if (le32_get(slot->version) != ENGRAM_VERSION) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "format version %" PRIu32 ", expected %d", le32_get(slot->version),
                    ENGRAM_VERSION);
        return false;
    }
    if (end < ENGRAM_OBJECTS_START || end % ENGRAM_OBJECT_ALIGN) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "end of the commit is 0x%" PRIx64 ", expected a multiple of %d from 0x%x on",
                    end, ENGRAM_OBJECT_ALIGN, ENGRAM_OBJECTS_START);
        return false;
    }
    if (end > file_bytes) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "the commit ends at 0x%" PRIx64 ", past the end of the file (0x%" PRIx64 ")",
                    end, file_bytes);
        return false;
    }
    return engram_ref_check(&slot->commit, ENGRAM_OBJECT_COMMIT, end, errp);
}

/* The index of the slot to use, or -1. */
static int choose_slot(BlockDriverState *file, const EngramSlot slots[ENGRAM_SLOTS],
                       GError **errp)
{
    g_autoptr(GError) worst = NULL;
    int worst_slot = 0, best = -1;

    for (int i = 0; i < ENGRAM_SLOTS; i++) {
        g_autoptr(GError) error = NULL;

        if (engram_slot_check(&slots[i], bdrv_length(file), &error)) {
            if (best < 0 || le64_get(slots[i].sequence) > le64_get(slots[best].sequence)) {
                best = i;
            }
        } else if (!worst || worst->code == EMBR_ERROR_FORMAT) {
            g_clear_error(&worst);
            worst = g_steal_pointer(&error);
            worst_slot = i;
        }
    }
    if (best < 0) {
        g_set_error(errp, EMBR_ERROR, worst->code,
                    "%s: header slot %d at offset 0x%x: %s; no valid slot is left",
                    bdrv_filename(file), worst_slot, worst_slot * ENGRAM_SLOT_BYTES,
                    worst->message);
    }
    return best;
}

static bool check_features(EngramFile *f, GError **errp)
{
    uint64_t unknown = f->incompatible & ~known_incompatible;

    if (!unknown) {
        return true;
    }
    unsigned bit = g_bit_nth_lsf(unknown & UINT32_MAX ? unknown & UINT32_MAX : unknown >> 32, -1);
    bit += unknown & UINT32_MAX ? 0 : 32;
    const char *name = incompatible_name(bit);
    if (name) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: the engram uses %s, which is not supported",
                    bdrv_filename(f->file), name);
    } else {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: the engram has incompatible feature bit %u set, which is not known",
                    bdrv_filename(f->file), bit);
    }
    return false;
}

static bool parse_commit(EngramFile *f, GError **errp)
{
    uint64_t size = le32_get(f->commit_ref.raw);
    uint64_t offset = le64_get(f->commit_ref.offset);

    if (size >= sizeof(f->commit)) {
        memcpy(&f->commit, f->raw, sizeof(f->commit));
    }
    f->n_images = le32_get(f->commit.images);
    f->n_frame_pages = le32_get(f->commit.frame_pages);
    uint64_t images_bytes = (uint64_t)f->n_images * sizeof(EngramCommitImage);
    uint64_t pages_bytes = (uint64_t)f->n_frame_pages * sizeof(EngramRef);

    if (size < sizeof(f->commit) ||
        images_bytes + pages_bytes > size - sizeof(f->commit)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: commit record at offset 0x%" PRIx64 " has %" PRIu64
                    " bytes, too few for %" PRIu32 " images and %" PRIu32
                    " frame directory pages",
                    bdrv_filename(f->file), offset, size, f->n_images, f->n_frame_pages);
        return false;
    }
    if (f->n_images > ENGRAM_MAX_IMAGES) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: commit record at offset 0x%" PRIx64 " has %" PRIu32
                    " images, expected at most %d",
                    bdrv_filename(f->file), offset, f->n_images, ENGRAM_MAX_IMAGES);
        return false;
    }
    if (le64_get(f->commit.sequence) != f->sequence) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: commit record at offset 0x%" PRIx64 " has sequence number %" PRIu64
                    ", its slot says %" PRIu64,
                    bdrv_filename(f->file), offset, le64_get(f->commit.sequence),
                    f->sequence);
        return false;
    }
    f->images = (const EngramCommitImage *)(f->raw + sizeof(f->commit));
    f->frame_pages = (const EngramRef *)(f->raw + sizeof(f->commit) + images_bytes);
    return true;
}

static EngramFile *coroutine_fn co_open_slot(BlockDriverState *file, const EngramSlot *slot,
                                             int number, GError **errp)
{
    g_autoptr(EngramFile) f = g_new0(EngramFile, 1);

    f->file = bdrv_ref(file);
    f->slot = number;
    memcpy(f->uuid, slot->uuid, sizeof(f->uuid));
    f->incompatible = le64_get(slot->incompatible);
    f->compatible = le64_get(slot->compatible);
    f->autoclear = le64_get(slot->autoclear);
    f->sequence = le64_get(slot->sequence);
    f->end = le64_get(slot->end);
    f->commit_ref = slot->commit;
    if (!check_features(f, errp)) {
        return NULL;
    }
    f->raw = engram_file_co_load(f, &f->commit_ref, ENGRAM_OBJECT_COMMIT, NULL, errp);
    if (!f->raw || !parse_commit(f, errp)) {
        return NULL;
    }
    return g_steal_pointer(&f);
}

EngramFile *coroutine_fn engram_file_co_open(BlockDriverState *file, GError **errp)
{
    g_autofree EngramSlot *slots = g_new0(EngramSlot, ENGRAM_SLOTS);
    int64_t n = MIN(bdrv_length(file), (int64_t)(ENGRAM_SLOTS * sizeof(*slots)));
    int ret = bdrv_co_pread(file, 0, n, slots, 0);

    if (ret < 0) {
        error_set_errno(errp, -ret, "%s: cannot read the header slots", bdrv_filename(file));
        return NULL;
    }
    int best = choose_slot(file, slots, errp);
    return best < 0 ? NULL : co_open_slot(file, &slots[best], best, errp);
}

EngramFile *coroutine_fn engram_file_co_open_commit(BlockDriverState *file,
                                                    const EngramSlot *slot, GError **errp)
{
    if (!engram_slot_check(slot, bdrv_length(file), errp)) {
        g_prefix_error(errp, "%s: new header slot: ", bdrv_filename(file));
        return NULL;
    }
    return co_open_slot(file, slot, (le64_get(slot->sequence) - 1) % ENGRAM_SLOTS, errp);
}

void engram_file_free(EngramFile *f)
{
    if (!f) {
        return;
    }
    bdrv_unref(f->file);
    g_free(f->raw);
    g_free(f);
}

typedef struct DecodeJob {
    const uint8_t *data;                /* NULL: it is stored as it is, in raw */
    EngramObjectHeader header;          /* of that */
    const EngramRef *ref;
    EngramObjectType type;
    const uint8_t *prefix;              /* NULL: it is no correction */
    uint32_t prefix_bytes;
    uint8_t *raw;
    EngramObjectInfo *info;
    GError *error;
} DecodeJob;

static int decode_job(void *opaque)
{
    DecodeJob *job = opaque;
    bool ok;

    if (!job->data) {
        ok = engram_object_verify_stored(&job->header, job->raw, job->ref, job->type,
                                         job->info, &job->error);
    } else if (job->prefix) {
        ok = engram_object_decode_correction(job->data, job->ref, job->prefix,
                                             job->prefix_bytes, job->raw, job->info,
                                             &job->error);
    } else {
        ok = engram_object_decode(job->data, job->ref, job->type, job->raw, job->info,
                                  &job->error);
    }
    return ok ? 0 : -EIO;
}

static bool coroutine_fn co_decode(EngramFile *f, DecodeJob *job, GError **errp)
{
    uint32_t bytes = MAX(le32_get(job->ref->stored), le32_get(job->ref->raw));
    int ret = bytes <= DECODE_INLINE_BYTES
                  ? decode_job(job)
                  : thread_pool_co_run(thread_pool_cpu(), decode_job, job);

    if (ret < 0) {
        g_propagate_prefixed_error(errp, job->error, "%s: ", bdrv_filename(f->file));
    }
    return ret >= 0;
}

/* Reads an object's bytes to where they are decoded from. */
static bool coroutine_fn co_read_object(EngramFile *f, DecodeJob *job, uint8_t *data,
                                        GError **errp)
{
    uint64_t offset = le64_get(job->ref->offset);
    g_auto(IOVector) iov = { 0 };
    int ret;

    if (data) {
        ret = bdrv_co_pread(f->file, offset, le32_get(job->ref->stored), data, 0);
    } else {
        iovector_init(&iov, 2);
        iovector_add(&iov, &job->header, sizeof(job->header));
        iovector_add(&iov, job->raw, le32_get(job->ref->raw));
        ret = bdrv_co_preadv(f->file, offset, iov.size, &iov, 0, 0);
    }
    if (ret < 0) {
        error_set_errno(errp, -ret, "%s: cannot read the %s at offset 0x%" PRIx64,
                        bdrv_filename(f->file), engram_object_type_name(job->type), offset);
    }
    return ret >= 0;
}

static const uint8_t *coroutine_fn co_get_recalled(EngramFile *f, const EngramRecall *recall,
                                                   const EngramRef *frame, void **handle,
                                                   GError **errp)
{
    if (recall) {
        return recall->co_get(frame, handle, recall->opaque, errp);
    }
    return *handle = engram_file_co_load_frame(f, frame, NULL, true, NULL, NULL, errp);
}

/* Decodes a frame, which may be a correction. */
static bool coroutine_fn co_decode_frame(EngramFile *f, DecodeJob *job,
                                         const EngramRecall *recall, bool *is_correction,
                                         GError **errp)
{
    EngramRef recalled;
    void *handle = NULL;
    int ret = engram_file_recalled(f, job->data, job->ref, &recalled, errp);

    if (ret <= 0) {
        return ret == 0 && co_decode(f, job, errp);
    }
    job->prefix = co_get_recalled(f, recall, &recalled, &handle, errp);
    if (!job->prefix) {
        g_prefix_error(errp, "frame at offset 0x%" PRIx64 " cannot be recalled: ",
                       le64_get(job->ref->offset));
        return false;
    }
    if (is_correction) {
        *is_correction = true;
    }
    job->prefix_bytes = le32_get(recalled.raw);
    bool ok = co_decode(f, job, errp);
    if (recall) {
        recall->put(handle, recall->opaque);
    } else {
        g_free(handle);
    }
    return ok;
}

static bool coroutine_fn co_decode_any(EngramFile *f, DecodeJob *job,
                                       const EngramRecall *recall, bool plain,
                                       bool *is_correction, GError **errp)
{
    return job->type == ENGRAM_OBJECT_FRAME && job->data && !plain
               ? co_decode_frame(f, job, recall, is_correction, errp)
               : co_decode(f, job, errp);
}

static uint8_t *coroutine_fn co_load(EngramFile *f, const EngramRef *ref,
                                     EngramObjectType type, const EngramRecall *recall,
                                     bool plain, bool *is_correction,
                                     EngramObjectInfo *info, GError **errp)
{
    EngramRef copy = *ref;
    uint32_t raw_bytes = le32_get(copy.raw);

    if (is_correction) {
        *is_correction = false;
    }
    if (!engram_ref_check(&copy, type, f->end, errp)) {
        g_prefix_error(errp, "%s: ", bdrv_filename(f->file));
        return NULL;
    }
    g_autofree uint8_t *data =
        engram_ref_is_stored(&copy) ? NULL : g_malloc(le32_get(copy.stored));
    g_autofree uint8_t *raw = g_malloc((size_t)raw_bytes + 1);
    DecodeJob job = {
        .data = data, .ref = &copy, .type = type, .raw = raw, .info = info,
    };
    if (!co_read_object(f, &job, data, errp) ||
        !co_decode_any(f, &job, recall, plain, is_correction, errp)) {
        return NULL;
    }
    raw[raw_bytes] = '\0';
    return g_steal_pointer(&raw);
}

uint8_t *coroutine_fn engram_file_co_load(EngramFile *f, const EngramRef *ref,
                                          EngramObjectType type, EngramObjectInfo *info,
                                          GError **errp)
{
    return co_load(f, ref, type, NULL, false, NULL, info, errp);
}

uint8_t *coroutine_fn engram_file_co_load_frame(EngramFile *f, const EngramRef *ref,
                                                const EngramRecall *recall, bool plain,
                                                bool *is_correction,
                                                EngramObjectInfo *info, GError **errp)
{
    return co_load(f, ref, ENGRAM_OBJECT_FRAME, recall, plain, is_correction, info, errp);
}

int engram_file_recalled(const EngramFile *f, const void *data, const EngramRef *ref,
                         EngramRef *recalled, GError **errp)
{
    int ret;

    if (!engram_object_is_correction(data)) {
        return 0;
    }
    ret = engram_object_recalled(data, ref, recalled, errp);
    if (ret > 0 && !(f->incompatible & ENGRAM_INCOMPAT_DELTA)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "frame at offset 0x%" PRIx64
                    " is a correction, but the engram has no corrections",
                    le64_get(ref->offset));
        ret = -1;
    }
    if (ret < 0) {
        g_prefix_error(errp, "%s: ", bdrv_filename(f->file));
    }
    return ret;
}

EngramImage *coroutine_fn engram_file_co_image(EngramFile *f, uint32_t index, GError **errp)
{
    const EngramCommitImage *entry = &f->images[index];
    const char *filename = bdrv_filename(f->file);
    uint64_t offset = le64_get(entry->record.offset);
    uint32_t size = le32_get(entry->record.raw);
    g_autofree uint8_t *raw =
        engram_file_co_load(f, &entry->record, ENGRAM_OBJECT_IMAGE, NULL, errp);
    EngramImageRecord record;

    if (!raw) {
        return NULL;
    }
    memset(&record, 0, sizeof(record));
    memcpy(&record, raw, MIN(size, sizeof(record)));
    uint64_t name_bytes = le32_get(record.name_bytes);
    uint64_t info_bytes = le32_get(record.info_bytes);
    const char *name = (const char *)raw + sizeof(record);

    if (size < sizeof(record) || name_bytes + info_bytes > size - sizeof(record)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: image record at offset 0x%" PRIx64 " has %" PRIu32
                    " bytes, too few for a name of %" PRIu64 " and a text of %" PRIu64,
                    filename, offset, size, name_bytes, info_bytes);
        return NULL;
    }
    if (!name_bytes || name_bytes > ENGRAM_MAX_NAME_BYTES ||
        !g_utf8_validate_len(name, name_bytes, NULL)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: image record at offset 0x%" PRIx64 " has a name of %" PRIu64
                    " bytes, expected UTF-8 of 1 to %d",
                    filename, offset, name_bytes, ENGRAM_MAX_NAME_BYTES);
        return NULL;
    }
    uint64_t virtual_size = le64_get(record.virtual_size);
    if (virtual_size > INT64_MAX || virtual_size != le64_get(entry->virtual_size)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: image record at offset 0x%" PRIx64 " has a virtual size of 0x%" PRIx64
                    ", the commit record says 0x%" PRIx64,
                    filename, offset, virtual_size, le64_get(entry->virtual_size));
        return NULL;
    }

    EngramImage *image = g_new0(EngramImage, 1);
    image->virtual_size = virtual_size;
    image->created_ns = le64_get(record.created_ns);
    memcpy(image->root_digest, record.root_digest, sizeof(image->root_digest));
    image->map_root = record.map_root;
    image->manifest = record.manifest;
    image->vector_index = record.vector_index;
    image->name = g_strndup(name, name_bytes);
    image->info = g_strndup(name + name_bytes, info_bytes);
    return image;
}

/* 1: the image has that name. -1 and an error. */
static int coroutine_fn co_has_name(EngramFile *f, uint32_t index, const char *name,
                                    GError **errp)
{
    uint64_t hash = engram_checksum(name, strlen(name));

    if (le64_get(f->images[index].name_hash) != hash) {
        return 0;
    }
    g_autoptr(EngramImage) image = engram_file_co_image(f, index, errp);
    return image ? strcmp(image->name, name) == 0 : -1;
}

int64_t coroutine_fn engram_file_co_find(EngramFile *f, const char *name, GError **errp)
{
    const char *filename = bdrv_filename(f->file);

    for (uint32_t i = 0; i < f->n_images; i++) {
        int has = name ? co_has_name(f, i, name, errp) : 1;
        if (has) {
            return has < 0 ? -1 : (int64_t)i;
        }
    }
    if (!name) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND, "%s: the engram holds no image",
                    filename);
    } else {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND,
                    "%s: the engram holds no image '%s'", filename, name);
    }
    return -1;
}

EngramImage *coroutine_fn engram_file_co_find_image(EngramFile *f, const char *name,
                                                    GError **errp)
{
    int64_t index = engram_file_co_find(f, name, errp);

    return index < 0 ? NULL : engram_file_co_image(f, index, errp);
}

void engram_image_free(EngramImage *image)
{
    if (!image) {
        return;
    }
    g_free(image->name);
    g_free(image->info);
    g_free(image);
}

bool engram_frame_entry_check(const EngramFile *f, const EngramFrameEntry *entry,
                              uint64_t *end, GError **errp)
{
    const char *filename = bdrv_filename(f->file);
    uint64_t offset = le64_get(entry->frame.offset);
    uint64_t chunks = le64_get(entry->chunks.offset);

    if (!engram_ref_check(&entry->frame, ENGRAM_OBJECT_FRAME, f->end, errp) ||
        !engram_ref_check(&entry->chunks, ENGRAM_OBJECT_CHUNKS, f->end, errp)) {
        g_prefix_error(errp, "%s: frame directory: ", filename);
        return false;
    }
    if (offset < *end) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: frame directory: frame at offset 0x%" PRIx64
                    " after the one that ends at 0x%" PRIx64,
                    filename, offset, *end);
        return false;
    }
    if (chunks != offset + engram_ref_span(&entry->frame)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: frame directory: chunk list of the frame at offset 0x%" PRIx64
                    " is at 0x%" PRIx64 ", expected 0x%" PRIx64,
                    filename, offset, chunks, offset + engram_ref_span(&entry->frame));
        return false;
    }
    *end = chunks + engram_ref_span(&entry->chunks);
    return true;
}

bool coroutine_fn engram_file_co_frame_totals(EngramFile *f, EngramFrameTotals *totals,
                                              GError **errp)
{
    memset(totals, 0, sizeof(*totals));
    for (uint32_t i = 0; i < f->n_frame_pages; i++) {
        g_autofree uint8_t *raw =
            engram_file_co_load(f, &f->frame_pages[i], ENGRAM_OBJECT_FRAME_DIR, NULL, errp);
        if (!raw) {
            return false;
        }
        const EngramFrameEntry *entries = (const EngramFrameEntry *)raw;
        size_t n = le32_get(f->frame_pages[i].raw) / sizeof(*entries);

        for (size_t j = 0; j < n; j++) {
            totals->data_bytes += le32_get(entries[j].frame.raw);
            totals->stored_bytes +=
                engram_ref_span(&entries[j].frame) + engram_ref_span(&entries[j].chunks);
        }
        totals->frames += n;
        if (totals->frames > f->end / sizeof(EngramFrameEntry)) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                        "%s: the frame directory has more entries than frames fit into the file",
                        bdrv_filename(f->file));
            return false;
        }
    }
    return true;
}
