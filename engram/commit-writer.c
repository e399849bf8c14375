/*
 * Commit record and slot.
 */
#include "engram/commit-writer.h"

#include <openssl/rand.h>

#include "util/error.h"

enum {
    RECORD_LEVEL   = 3,
    CHUNKER_NUMBER = 1,
};

void commit_plan_init(CommitPlan *plan, const EngramFile *base)
{
    *plan = (CommitPlan){ .base = base };
    plan->images = g_array_new(FALSE, FALSE, sizeof(EngramCommitImage));
    plan->frame_pages = g_array_new(FALSE, FALSE, sizeof(EngramRef));
    if (!base) {
        return;
    }
    plan->profiles = base->commit.profiles;
    if (recall_index_is_there(base)) {
        plan->recall = base->commit.recall;
    }
    plan->has_corrections = base->incompatible & ENGRAM_INCOMPAT_DELTA;
    plan->chunker = (ChunkerParams){
        .min_bytes = le32_get(base->commit.chunk_min),
        .average_bytes = le32_get(base->commit.chunk_avg),
        .max_bytes = le32_get(base->commit.chunk_max),
    };
    plan->frames = le64_get(base->commit.frames);
    plan->chunks = le64_get(base->commit.chunks);
    g_array_append_vals(plan->images, base->images, base->n_images);
    g_array_append_vals(plan->frame_pages, base->frame_pages, base->n_frame_pages);
}

void commit_plan_clear(CommitPlan *plan)
{
    g_clear_pointer(&plan->images, g_array_unref);
    g_clear_pointer(&plan->frame_pages, g_array_unref);
}

static void make_uuid(uint8_t uuid[ENGRAM_UUID_BYTES])
{
    if (RAND_bytes(uuid, ENGRAM_UUID_BYTES) != 1) {
        g_error("no random bytes to be had");
    }
    uuid[6] = (uuid[6] & 0x0f) | 0x40;      /* RFC 4122, section 4.4: version 4 */
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
}

static void make_slot(EngramSlot *slot, const CommitPlan *plan, uint64_t sequence,
                      const EngramRef *commit, uint64_t end)
{
    const EngramFile *base = plan->base;
    uint64_t recall = engram_ref_is_none(&plan->recall) ? 0 : ENGRAM_AUTOCLEAR_RECALL;

    *slot = (EngramSlot){
        .version = le32_make(ENGRAM_VERSION),
        .header_bytes = le32_make(G_STRUCT_OFFSET(EngramSlot, reserved)),
        .sequence = le64_make(sequence),
        .commit = *commit,
        .end = le64_make(end),
        .incompatible = le64_make(plan->has_corrections ? ENGRAM_INCOMPAT_DELTA : 0),
        .autoclear = le64_make(ENGRAM_AUTOCLEAR_VECTOR_INDEX | recall),
    };
    memcpy(slot->magic, ENGRAM_MAGIC, ENGRAM_MAGIC_BYTES);
    if (base) {
        slot->incompatible =
            le64_make(base->incompatible | le64_get(slot->incompatible));
        slot->compatible = le64_make(base->compatible);
        slot->autoclear =
            le64_make((base->autoclear & ENGRAM_AUTOCLEAR_VECTOR_INDEX) | recall);
        memcpy(slot->uuid, base->uuid, sizeof(slot->uuid));
    } else {
        make_uuid(slot->uuid);
    }
    slot->checksum =
        le64_make(engram_checksum(slot, G_STRUCT_OFFSET(EngramSlot, checksum)));
}

bool coroutine_fn commit_co_write_record(ObjectWriter *out, const CommitPlan *plan,
                                         EngramSlot *slot, GError **errp)
{
    g_autoptr(GByteArray) raw = g_byte_array_new();
    const EngramFile *base = plan->base;
    uint64_t sequence = base ? base->sequence + 1 : 1;
    EngramCommit commit = {
        .sequence = le64_make(sequence),
        .time_ns = le64_make((uint64_t)g_get_real_time() * 1000),
        .profiles = plan->profiles,
        .recall = plan->recall,
        .chunk_min = le32_make(plan->chunker.min_bytes),
        .chunk_avg = le32_make(plan->chunker.average_bytes),
        .chunk_max = le32_make(plan->chunker.max_bytes),
        .chunker = le32_make(CHUNKER_NUMBER),
        .frames = le64_make(plan->frames),
        .chunks = le64_make(plan->chunks),
        .images = le32_make(plan->images->len),
        .frame_pages = le32_make(plan->frame_pages->len),
    };
    EngramRef ref;

    if (base) {
        commit.previous = base->commit_ref;
    }
    g_byte_array_append(raw, (const uint8_t *)&commit, sizeof(commit));
    g_byte_array_append(raw, (const uint8_t *)plan->images->data,
                        plan->images->len * sizeof(EngramCommitImage));
    g_byte_array_append(raw, (const uint8_t *)plan->frame_pages->data,
                        plan->frame_pages->len * sizeof(EngramRef));
    if (!object_writer_co_append(out, ENGRAM_OBJECT_COMMIT, RECORD_LEVEL, raw->data,
                                 raw->len, &ref, errp) ||
        !object_writer_co_flush(out, errp)) {
        return false;
    }
    make_slot(slot, plan, sequence, &ref, out->end);
    return true;
}

bool coroutine_fn commit_co_clear_slots(OutFile *file, GError **errp)
{
    EngramSlot slots[ENGRAM_SLOTS] = { 0 };
    struct iovec iov = { slots, sizeof(slots) };

    return out_file_co_writev(file, &iov, 1, 0, errp) && out_file_co_order(file, errp);
}

/* The first finding of a check. */
static void keep_finding(const char *text, void *opaque)
{
    char **finding = opaque;

    if (!*finding) {
        *finding = g_strdup(text);
    }
}

bool coroutine_fn commit_co_verify(OutFile *file, const EngramCheckOptions *options,
                                   GError **errp)
{
    g_autofree char *finding = NULL;
    EngramCheckResult result;

    g_autoptr(BlockDriverState) bs =
        bdrv_co_open_image(out_file_open_path(file), NULL, BDRV_O_PROTOCOL, errp);
    if (!bs || !engram_co_check(bs, options, keep_finding, &finding, &result, errp)) {
        g_prefix_error(errp,
                       "%s: reading back what was written: ", out_file_path(file));
        return false;
    }
    if (result.corruptions || result.check_errors) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: what was written is not what was meant: %s",
                    out_file_path(file), finding);
        return false;
    }
    return true;
}

bool coroutine_fn commit_co_write_slot(OutFile *file, const EngramSlot *slot,
                                       GError **errp)
{
    uint64_t sequence = le64_get(slot->sequence);
    EngramSlot slots[ENGRAM_SLOTS] = { *slot };
    struct iovec iov = { slots, sequence == 1 ? sizeof(slots) : sizeof(*slot) };
    uint64_t offset = (sequence - 1) % ENGRAM_SLOTS * ENGRAM_SLOT_BYTES;

    return out_file_co_order(file, errp) &&
           out_file_co_writev(file, &iov, 1, offset, errp) &&
           out_file_co_sync(file, errp);
}
