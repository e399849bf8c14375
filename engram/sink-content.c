/*
 * From units to files.
 */
#include "engram/sink-content.h"

#include <openssl/evp.h>

#include "util/spool.h"

enum { COUNTS_MAX = 2048 };         /* of files in memory at a time */

#define NO_SLOT UINT64_MAX

/* A file with several units, some of which are still to come. */
typedef struct FileState {
    uint64_t size;
    uint32_t expected, added;
    bool distrusted;
    GArray *digests;                /* of UnitDigest */
    VectorCounts *counts;           /* NULL: none yet, or in the spool */
    uint64_t slot;                  /* of the spool; NO_SLOT */
    GBytes *packed;                 /* the vector, known from elsewhere; NULL */
} FileState;

typedef struct UnitDigest {
    uint64_t address;
    uint8_t digest[ENGRAM_DIGEST_BYTES];
} UnitDigest;

struct SinkContents {
    ManifestWriter *manifest;
    GHashTable *files;              /* number -> FileState */
    unsigned in_memory;             /* how many of them have their counts there */
    char *spool_dir;
    Spool *spool;                   /* of VectorCounts; NULL before the first */
    GArray *free_slots;             /* of uint64_t */
};

static void state_free(gpointer data)
{
    FileState *state = data;

    g_array_unref(state->digests);
    g_clear_pointer(&state->packed, g_bytes_unref);
    g_free(state->counts);
    g_free(state);
}

SinkContents *sink_contents_new(ManifestWriter *manifest, const char *spool_dir)
{
    SinkContents *c = g_new0(SinkContents, 1);

    c->manifest = manifest;
    c->spool_dir = g_strdup(spool_dir);
    c->free_slots = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    c->files = g_hash_table_new_full(NULL, NULL, NULL, state_free);
    return c;
}

void sink_contents_free(SinkContents *c)
{
    if (c) {
        g_hash_table_unref(c->files);
        g_free(c->spool_dir);
        spool_free(c->spool);
        g_array_unref(c->free_slots);
        g_free(c);
    }
}

static FileState *get_state(SinkContents *c, uint32_t file)
{
    FileState *state = g_hash_table_lookup(c->files, GUINT_TO_POINTER(file));

    if (!state) {
        state = g_new0(FileState, 1);
        state->slot = NO_SLOT;
        state->digests = g_array_new(FALSE, FALSE, sizeof(UnitDigest));
        g_hash_table_insert(c->files, GUINT_TO_POINTER(file), state);
    }
    return state;
}

void sink_contents_expect(SinkContents *c, uint32_t file, uint64_t size)
{
    FileState *state = get_state(c, file);

    state->size = size;
    state->expected++;
}

void sink_contents_distrust(SinkContents *c, uint32_t file)
{
    get_state(c, file)->distrusted = true;
}

void sink_contents_set_vector(SinkContents *c, uint32_t file, const uint8_t *packed,
                              size_t bytes)
{
    get_state(c, file)->packed = g_bytes_new(packed, bytes);
}

void sink_content_digest(const GByteArray *digests, uint64_t size,
                         uint8_t digest[ENGRAM_DIGEST_BYTES])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t text[8], bytes[EVP_MAX_MD_SIZE];

    le64_store(text, size);
    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    EVP_DigestUpdate(ctx, digests->data, digests->len);
    EVP_DigestUpdate(ctx, text, sizeof(text));
    EVP_DigestFinal_ex(ctx, bytes, NULL);
    EVP_MD_CTX_free(ctx);
    memcpy(digest, bytes, ENGRAM_DIGEST_BYTES);
}

static bool record_whole(SinkContents *c, const SinkUnit *unit, const SinkFound *found,
                         GError **errp)
{
    g_autoptr(GByteArray) digests = g_byte_array_new();
    uint8_t digest[ENGRAM_DIGEST_BYTES];

    if (found->has_chunks) {
        g_byte_array_append(digests, found->digest, sizeof(found->digest));
    }
    sink_content_digest(digests, unit->size, digest);
    return manifest_writer_set_content(c->manifest, unit->file, unit->profile, digest,
                                       found->packed, found->packed_bytes, errp);
}

static gint compare_digests(gconstpointer a, gconstpointer b)
{
    const UnitDigest *da = a, *db = b;

    return (da->address > db->address) - (da->address < db->address);
}

static bool open_slot(SinkContents *c, FileState *state, GError **errp)
{
    if (!c->spool) {
        c->spool = spool_new(c->spool_dir, errp);
    }
    if (!c->spool) {
        return false;
    }
    if (c->free_slots->len) {
        state->slot = g_array_index(c->free_slots, uint64_t, c->free_slots->len - 1);
        g_array_set_size(c->free_slots, c->free_slots->len - 1);
    } else {
        state->slot = spool_size(c->spool) / sizeof(VectorCounts);
    }
    return true;
}

/* Adds to the counts that the spool has. */
static bool add_to_slot(SinkContents *c, FileState *state, VectorCounts *more,
                        GError **errp)
{
    if (state->slot == NO_SLOT) {
        if (!open_slot(c, state, errp)) {
            return false;
        }
    } else {
        g_autofree VectorCounts *counts = g_new(VectorCounts, 1);

        if (!spool_read(c->spool, state->slot * sizeof(*counts), counts,
                        sizeof(*counts), errp)) {
            return false;
        }
        hypervec_counts_add(vector_space(), more->trits, counts->trits);
    }
    return spool_write(c->spool, state->slot * sizeof(*more), more, sizeof(*more), errp);
}

/* Most files come in one go: those whose units are scattered over the disk may be any
 * number. */
static bool add_counts(SinkContents *c, FileState *state, SinkFound *found,
                       GError **errp)
{
    if (state->counts) {
        hypervec_counts_add(vector_space(), state->counts->trits, found->counts->trits);
        return true;
    }
    if (state->slot == NO_SLOT && c->in_memory < COUNTS_MAX) {
        state->counts = g_steal_pointer(&found->counts);
        c->in_memory++;
        return true;
    }
    return add_to_slot(c, state, found->counts, errp);
}

/* Makes the counts, if there are any, those in memory. */
static bool load_counts(SinkContents *c, FileState *state, GError **errp)
{
    if (state->counts) {
        c->in_memory--;
    } else if (state->slot != NO_SLOT) {
        state->counts = g_new(VectorCounts, 1);
        g_array_append_val(c->free_slots, state->slot);
        return spool_read(c->spool, state->slot * sizeof(*state->counts),
                          state->counts, sizeof(*state->counts), errp);
    }
    return true;
}

/* All units of the file are there. */
static bool record_file(SinkContents *c, const SinkUnit *last, FileState *state,
                        GError **errp)
{
    g_autoptr(GByteArray) digests = g_byte_array_new();
    uint8_t digest[ENGRAM_DIGEST_BYTES], packed[VECTOR_PACKED_BYTES_MAX];
    const uint8_t *vector = packed;
    size_t packed_bytes = 0;

    g_array_sort(state->digests, compare_digests);
    for (guint i = 0; i < state->digests->len; i++) {
        g_byte_array_append(digests,
                            g_array_index(state->digests, UnitDigest, i).digest,
                            ENGRAM_DIGEST_BYTES);
    }
    sink_content_digest(digests, state->size, digest);
    if (state->packed) {
        vector = g_bytes_get_data(state->packed, &packed_bytes);
    } else if (state->counts) {
        packed_bytes = vector_counts_pack(state->counts, packed);
    }
    return manifest_writer_set_content(c->manifest, last->file, last->profile, digest,
                                       vector, packed_bytes, errp);
}

static bool add_to_file(SinkContents *c, const SinkUnit *unit, FileState *state,
                        SinkFound *found, GError **errp)
{
    bool ok = true;

    state->added++;
    if (!state->distrusted && found->has_chunks) {
        UnitDigest digest = { .address = unit->address };
        memcpy(digest.digest, found->digest, sizeof(digest.digest));
        g_array_append_val(state->digests, digest);
        ok = state->packed || add_counts(c, state, found, errp);
    }
    if (ok && state->added == state->expected) {
        ok = load_counts(c, state, errp) &&
             (state->distrusted || record_file(c, unit, state, errp));
        g_hash_table_remove(c->files, GUINT_TO_POINTER(unit->file));
    }
    return ok;
}

bool sink_contents_add(SinkContents *c, const SinkUnit *unit, SinkFound *found,
                       GError **errp)
{
    FileState *state = g_hash_table_lookup(c->files, GUINT_TO_POINTER(unit->file));
    bool ok = true;

    if (state && !unit->whole) {
        ok = add_to_file(c, unit, state, found, errp);
    } else if (!state) {
        ok = record_whole(c, unit, found, errp);
    }
    g_clear_pointer(&found->counts, g_free);
    g_clear_pointer(&found->packed, g_free);
    return ok;
}

unsigned sink_profile_by_magic(const ProfileSet *profiles, const void *head, size_t len)
{
    int profile = profile_for_magic(profiles, head, len);

    return profile >= 0 ? (unsigned)profile
                        : profile_for_content(profiles, PROFILE_CONTENT_UNKNOWN);
}
