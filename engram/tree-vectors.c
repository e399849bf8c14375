/*
 * Directories as bundles of what is in them.
 */
#include "engram/tree-vectors.h"

#include <inttypes.h>
#include <string.h>

#include "util/error.h"

/* A directory that is still being filled. */
typedef struct Level {
    uint64_t number;
    size_t path_bytes;
    char *name;
    VectorCounts counts;
} Level;

struct TreeVectors {
    TreeVectorsDone *done;
    void *opaque;
    GPtrArray *levels;              /* of Level *: the path to the last entry */
    char *volume;                   /* name of its folder; NULL: a bare filesystem */
    VectorCounts image;
};

typedef uint64_t Vector[HYPERVEC_WORDS(VECTOR_DIMENSION)];

static void level_free(gpointer data)
{
    Level *level = data;

    g_free(level->name);
    g_free(level);
}

TreeVectors *tree_vectors_new(TreeVectorsDone *done, void *opaque)
{
    TreeVectors *t = g_new0(TreeVectors, 1);

    t->done = done;
    t->opaque = opaque;
    t->levels = g_ptr_array_new_with_free_func(level_free);
    return t;
}

void tree_vectors_free(TreeVectors *t)
{
    if (!t) {
        return;
    }
    g_ptr_array_unref(t->levels);
    g_free(t->volume);
    g_free(t);
}

/* What is called name is added to what it is in. */
static void bundle_named(VectorCounts *counts, const Vector vector, const char *name)
{
    const HypervecSpace *space = vector_space();
    Vector key, bound;

    hypervec_item(space, key, name, strlen(name));
    hypervec_bind(space, bound, vector, key);
    hypervec_bundle(space, counts->trits, bound, 1);
}

static Level *top(const TreeVectors *t)
{
    return t->levels->len ? g_ptr_array_index(t->levels, t->levels->len - 1) : NULL;
}

/* The last directory is complete. */
static bool pop(TreeVectors *t, GError **errp)
{
    const HypervecSpace *space = vector_space();
    Level *level = g_ptr_array_steal_index(t->levels, t->levels->len - 1);
    uint8_t packed[VECTOR_PACKED_BYTES_MAX];
    bool ok = true;
    Vector vector;

    hypervec_threshold(space, vector, level->counts.trits,
                       hypervec_active_default(space));
    if (hypervec_active(space, vector)) {
        ok = t->done(level->number, packed, hypervec_pack(space, packed, vector),
                     t->opaque, errp);
        if (top(t)) {
            bundle_named(&top(t)->counts, vector, level->name);
        } else if (t->volume) {
            bundle_named(&t->image, vector, t->volume);
        } else {
            hypervec_bundle(space, t->image.trits, vector, 1);
        }
    }
    level_free(level);
    return ok;
}

static bool pop_all(TreeVectors *t, GError **errp)
{
    while (t->levels->len) {
        if (!pop(t, errp)) {
            return false;
        }
    }
    return true;
}

bool tree_vectors_begin_volume(TreeVectors *t, const char *folder, GError **errp)
{
    if (!pop_all(t, errp)) {
        return false;
    }
    g_free(t->volume);
    t->volume = *folder ? g_strdup(folder) : NULL;
    return true;
}

static bool is_in(const Level *level, const char *path)
{
    return level->path_bytes == 0 || path[level->path_bytes] == '/';
}

static void push(TreeVectors *t, uint64_t number, const char *path, const char *name)
{
    Level *level = g_new0(Level, 1);

    level->number = number;
    level->path_bytes = strlen(path);
    level->name = g_strdup(name);
    g_ptr_array_add(t->levels, level);
}

bool tree_vectors_add(TreeVectors *t, uint64_t number, const char *path,
                      bool is_directory, const uint8_t *packed, size_t bytes,
                      GError **errp)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t parent_bytes = slash ? (size_t)(slash - path) : 0;
    const char *reason;
    Vector vector;

    while (top(t) && (top(t)->path_bytes != parent_bytes || !is_in(top(t), path))) {
        if (!pop(t, errp)) {
            return false;
        }
    }
    if (is_directory) {
        push(t, number, path, name);
        return true;
    }
    if (!bytes || !top(t)) {
        return true;
    }
    if (!hypervec_unpack(vector_space(), vector, packed, bytes, &reason)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT, "hypervector of '%s': %s",
                    path, reason);
        return false;
    }
    bundle_named(&top(t)->counts, vector, name);
    return true;
}

bool tree_vectors_finish(TreeVectors *t, uint8_t *packed, size_t *bytes, GError **errp)
{
    const HypervecSpace *space = vector_space();
    Vector vector;

    if (!pop_all(t, errp)) {
        return false;
    }
    hypervec_threshold(space, vector, t->image.trits, hypervec_active_default(space));
    *bytes = hypervec_active(space, vector) ? hypervec_pack(space, packed, vector) : 0;
    return true;
}
