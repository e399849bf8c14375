/*
 * Directories named by what is below them.
 */
#include "engram/tree-digests.h"

#include <openssl/evp.h>
#include <sys/stat.h>

/* A directory that is still being filled. */
typedef struct Level {
    uint64_t number;
    uint64_t below;
    size_t path_bytes;
    char *name;
    EngramFileEntry file;
    uint8_t attributes[ENGRAM_DIGEST_BYTES];
    bool has_attributes;
    bool incomplete;                /* something below is not known in full */
    EVP_MD_CTX *sum;
} Level;

struct TreeDigests {
    TreeDigestsDone *done;
    void *opaque;
    GPtrArray *levels;              /* of Level *: the path to the last entry */
};

static void level_free(gpointer data)
{
    Level *level = data;

    EVP_MD_CTX_free(level->sum);
    g_free(level->name);
    g_free(level);
}

TreeDigests *tree_digests_new(TreeDigestsDone *done, void *opaque)
{
    TreeDigests *t = g_new0(TreeDigests, 1);

    t->done = done;
    t->opaque = opaque;
    t->levels = g_ptr_array_new_with_free_func(level_free);
    return t;
}

void tree_digests_free(TreeDigests *t)
{
    if (!t) {
        return;
    }
    g_ptr_array_unref(t->levels);
    g_free(t);
}

static Level *top(const TreeDigests *t)
{
    return t->levels->len ? g_ptr_array_index(t->levels, t->levels->len - 1) : NULL;
}

/* Whether a file of that kind is more than its metadata. */
static bool has_content(uint32_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISCHR(mode) ||
           S_ISBLK(mode);
}

static void add_to_level(Level *level, const char *name, const EngramFileEntry *file,
                         const uint8_t *digest, const uint8_t *attributes)
{
    static const uint8_t none[ENGRAM_DIGEST_BYTES];

    if (!attributes || (!digest && has_content(le32_get(file->mode)))) {
        level->incomplete = true;
        return;
    }
    EVP_DigestUpdate(level->sum, name, strlen(name) + 1);
    EVP_DigestUpdate(level->sum, &file->mode, sizeof(file->mode));
    EVP_DigestUpdate(level->sum, &file->uid, sizeof(file->uid));
    EVP_DigestUpdate(level->sum, &file->gid, sizeof(file->gid));
    EVP_DigestUpdate(level->sum, &file->mtime_sec, sizeof(file->mtime_sec));
    EVP_DigestUpdate(level->sum, &file->mtime_nsec, sizeof(file->mtime_nsec));
    EVP_DigestUpdate(level->sum, digest ? digest : none, ENGRAM_DIGEST_BYTES);
    EVP_DigestUpdate(level->sum, attributes, ENGRAM_DIGEST_BYTES);
}

/* The last directory is complete. */
static bool pop(TreeDigests *t, GError **errp)
{
    Level *level = g_ptr_array_steal_index(t->levels, t->levels->len - 1);
    uint8_t digest[EVP_MAX_MD_SIZE];

    EVP_DigestFinal_ex(level->sum, digest, NULL);
    const uint8_t *known = level->incomplete ? NULL : digest;
    if (top(t)) {
        top(t)->below += level->below;
        add_to_level(top(t), level->name, &level->file, known,
                     level->has_attributes ? level->attributes : NULL);
    }
    bool ok = t->done(level->number, known, level->below, t->opaque, errp);
    level_free(level);
    return ok;
}

bool tree_digests_end_volume(TreeDigests *t, GError **errp)
{
    while (t->levels->len) {
        if (!pop(t, errp)) {
            return false;
        }
    }
    return true;
}

static bool is_in(const Level *level, const char *path, size_t parent_bytes)
{
    return level->path_bytes == parent_bytes &&
           (!parent_bytes || path[parent_bytes] == '/');
}

static void push(TreeDigests *t, const TreeDigestsEntry *entry, const char *name)
{
    Level *level = g_new0(Level, 1);

    level->number = entry->number;
    level->path_bytes = strlen(entry->path);
    level->name = g_strdup(name);
    level->file = *entry->file;
    level->has_attributes = entry->attributes != NULL;
    if (entry->attributes) {
        memcpy(level->attributes, entry->attributes, ENGRAM_DIGEST_BYTES);
    }
    level->sum = EVP_MD_CTX_new();
    EVP_DigestInit_ex(level->sum, EVP_sha256(), NULL);
    g_ptr_array_add(t->levels, level);
}

bool tree_digests_add(TreeDigests *t, const TreeDigestsEntry *entry, GError **errp)
{
    const char *slash = strrchr(entry->path, '/');
    const char *name = slash ? slash + 1 : entry->path;
    size_t parent_bytes = slash ? (size_t)(slash - entry->path) : 0;

    while (top(t) && !is_in(top(t), entry->path, parent_bytes)) {
        if (!pop(t, errp)) {
            return false;
        }
    }
    if (top(t)) {
        top(t)->below++;
    }
    if (S_ISDIR(le32_get(entry->file->mode))) {
        push(t, entry, name);
    } else if (top(t)) {
        add_to_level(top(t), name, entry->file, entry->digest, entry->attributes);
    }
    return true;
}
