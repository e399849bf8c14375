#include "tree.h"

#include <string.h>

#include "file-entry.h"
#include "fs/walk.h"
#include "qapi/qapi-types.h"
#include "report.h"

FsTree *coroutine_fn tree_co_open(const char *name, const ImageOptions *options,
                                  const char *snapshot)
{
    g_autoptr(BlockBackend) disk = image_co_open_disk(name, options, snapshot);
    GError *error = NULL;

    if (!disk) {
        return NULL;
    }

    FsTree *tree = fs_tree_co_open(disk, &error);
    if (!tree) {
        report_gerror(error);
    }
    return tree;
}

static void report_text(const char *text, void *opaque)
{
    report_warning("%s", text);
}

void tree_report_warnings(const FsTree *tree)
{
    fs_tree_foreach_warning(tree, report_text, NULL);
}

bool coroutine_fn tree_co_resolve_regular(FsTree *tree, const char *path, FsNode *node,
                                          GError **errp)
{
    if (!fs_tree_co_resolve(tree, path, 0, node, errp)) {
        return false;
    }
    if (!S_ISREG(node->stat.mode)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s is %s, not a regular file", path,
                    file_type_name(node->stat.mode));
        return false;
    }
    return true;
}

char *tree_show_path(const char *path)
{
    GString *shown = g_string_new(NULL);

    while (*path) {
        size_t len = strcspn(path, "/");

        if (len) {
            g_string_append_c(shown, '/');
            g_string_append_len(shown, path, len);
        }
        path += len + (path[len] == '/');
    }
    return g_string_free(shown, FALSE);
}

typedef struct TreeWalk {
    const TreeWalkOps *ops;
    void *opaque;
    Filesystem *fs;
    GString *path; /* of what is visited; its first base_len bytes: of the start */
    size_t base_len;
    unsigned base_depth;
} TreeWalk;

static unsigned count_parts(const char *path)
{
    unsigned n = *path != '\0';

    for (; *path; path++) {
        n += *path == '/';
    }
    return n;
}

static void set_path(TreeWalk *w, const char *below)
{
    g_string_truncate(w->path, w->base_len);
    if (*below) {
        g_string_append_c(w->path, '/');
        g_string_append(w->path, below);
    }
}

static bool coroutine_fn walk_entry(const FsWalkEntry *entry, void *opaque,
                                    GError **errp)
{
    TreeWalk *w = opaque;
    TreeEntry shown = {
        .fs = w->fs,
        .depth = w->base_depth + count_parts(entry->path),
        .stat = entry->stat,
    };

    set_path(w, entry->path);
    shown.path = w->path->str;
    return w->ops->entry(&shown, w->opaque, errp);
}

static bool coroutine_fn walk_enter(const FsWalkEntry *dir, bool *descend, void *opaque,
                                    GError **errp)
{
    TreeWalk *w = opaque;

    *descend = !w->ops->stay || (!*dir->path && !w->base_depth);
    return true;
}

static bool coroutine_fn walk_damaged(const char *path, const GError *error,
                                      void *opaque)
{
    TreeWalk *w = opaque;

    set_path(w, path);
    w->ops->problem(w->path->str, error, w->opaque);
    return true;
}

static const FsWalkOps walk_ops = {
    .entry = walk_entry,
    .enter = walk_enter,
    .damaged = walk_damaged,
};

/* A volume that is shown as a folder of its own, whatever is on it. */
static bool coroutine_fn co_walk_volume(TreeWalk *w, FsTree *tree, Volume *volume,
                                        unsigned depth, GError **errp)
{
    GError *error = NULL;
    bool has_files =
        (volume->fs_driver && !volume->holds_others &&
         g_strcmp0(volume->info->filesystem, "swap") != 0) ||
        volume->info->problem;
    TreeEntry folder = {.depth = depth, .stat = {.mode = S_IFDIR | 0755, .nlink = 2}};

    g_string_assign(w->path, volume->info->path);
    w->base_len = w->path->len;
    w->base_depth = depth;
    w->fs = has_files ? fs_tree_co_filesystem(tree, volume, &error) : NULL;
    if (w->fs) {
        return fs_co_walk(w->fs, w->fs->root, FS_WALK_SORTED, &walk_ops, w, errp);
    }
    folder.path = w->path->str;
    if (!w->ops->entry(&folder, w->opaque, errp)) {
        g_clear_error(&error);
        return false;
    }
    if (error) {
        w->ops->problem(w->path->str, error, w->opaque);
        g_error_free(error);
    }
    return true;
}

/* A volume group's folder, if the volume is the first of it. */
static bool coroutine_fn co_visit_group(TreeWalk *w, const Volume *volume, size_t *seen,
                                        const char **last, GError **errp)
{
    TreeEntry folder = {.depth = 1, .stat = {.mode = S_IFDIR | 0755, .nlink = 2}};
    size_t len;
    const char *group = volume_group(volume, &len);

    if (*last && *seen == len && !memcmp(*last, group, len)) {
        return true;
    }
    *last = group;
    *seen = len;
    g_string_printf(w->path, "/%.*s", (int)len, group);
    folder.path = w->path->str;
    return w->ops->entry(&folder, w->opaque, errp);
}

/* The volumes in the top folder and in those of groups, or in one of these. */
static bool coroutine_fn co_walk_volumes(TreeWalk *w, FsTree *tree, const FsNode *node,
                                         const char *path, GError **errp)
{
    const GPtrArray *volumes = fs_tree_volumes(tree)->volumes;
    TreeEntry top = {.path = path, .stat = node->stat};
    bool ok = w->ops->entry(&top, w->opaque, errp);
    const char *last = NULL;
    size_t last_len = 0;

    for (guint i = 0; ok && i < volumes->len; i++) {
        Volume *volume = g_ptr_array_index(volumes, i);
        size_t len;
        const char *group = volume_group(volume, &len);

        if (node->group) {
            if (group && strlen(node->group) == len && !memcmp(node->group, group, len)) {
                ok = co_walk_volume(w, tree, volume, 1, errp);
            }
        } else if (group) {
            ok = co_visit_group(w, volume, &last_len, &last, errp) &&
                 (w->ops->stay || co_walk_volume(w, tree, volume, 2, errp));
        } else if (volume->info->path[1]) {
            ok = co_walk_volume(w, tree, volume, 1, errp);
        }
    }
    return ok;
}

bool coroutine_fn tree_co_walk(FsTree *tree, const FsNode *node, const char *path,
                               const TreeWalkOps *ops, void *opaque, GError **errp)
{
    TreeWalk w = {
        .ops = ops,
        .opaque = opaque,
        .fs = node->fs,
        .path = g_string_new(path),
        .base_len = strlen(path),
    };
    bool ok = node->fs
                  ? fs_co_walk(node->fs, node->ino, FS_WALK_SORTED, &walk_ops, &w, errp)
                  : co_walk_volumes(&w, tree, node, path, errp);

    g_string_free(w.path, TRUE);
    return ok;
}
