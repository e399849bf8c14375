/* Paths over all volumes of a disk. */
#include "fs/tree.h"
#include "qapi-types.h"
#include "util/co-lock.h"

enum { TREE_DIRECTORY_MODE = S_IFDIR | 0755 };

struct FsTree {
    BlockBackend *disk;
    VolumeTable *table;
    GHashTable *filesystems; /* Volume * -> Filesystem *: those opened */
    GStringChunk *groups;    /* names of volume groups */
    CoMutex opening;
};

FsTree *coroutine_fn fs_tree_co_open(BlockBackend *disk, GError **errp)
{
    VolumeTable *table = volume_table_co_open(disk, errp);

    if (!table) {
        return NULL;
    }

    FsTree *tree = g_new0(FsTree, 1);
    tree->disk = blk_ref(disk);
    tree->table = table;
    tree->groups = g_string_chunk_new(64);
    tree->filesystems =
        g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)fs_free);
    co_mutex_init(&tree->opening);
    return tree;
}

void fs_tree_free(FsTree *tree)
{
    if (tree) {
        g_hash_table_unref(tree->filesystems);
        volume_table_free(tree->table);
        g_string_chunk_free(tree->groups);
        blk_unref(tree->disk);
        g_free(tree);
    }
}

BlockBackend *fs_tree_disk(const FsTree *tree)
{
    return tree->disk;
}

const VolumeTable *fs_tree_volumes(const FsTree *tree)
{
    return tree->table;
}

bool fs_tree_is_bare(const FsTree *tree)
{
    return !strcmp(tree->table->type, "none") && tree->table->volumes->len == 1;
}

const char *volume_group(const Volume *volume, size_t *len)
{
    const char *name = volume->info->path + 1;
    const char *slash = strchr(name, '/');

    *len = slash ? (size_t)(slash - name) : 0;
    return slash ? name : NULL;
}

void fs_tree_foreach_warning(const FsTree *tree,
                             void (*func)(const char *text, void *opaque), void *opaque)
{
    g_ptr_array_foreach(tree->table->warnings, (GFunc)func, opaque);
    for (guint i = 0; i < tree->table->volumes->len; i++) {
        Filesystem *fs = g_hash_table_lookup(
            tree->filesystems, g_ptr_array_index(tree->table->volumes, i));

        if (fs) {
            g_ptr_array_foreach(fs->warnings, (GFunc)func, opaque);
        }
    }
}

/* "vm.qcow2: /p3"; only the disk if it has one volume and no table. */
static char *volume_place(const FsTree *tree, const Volume *volume)
{
    if (fs_tree_is_bare(tree)) {
        return g_strdup(blk_name(tree->disk));
    }
    return g_strdup_printf("%s: %s", blk_name(tree->disk), volume->info->path);
}

static Filesystem *coroutine_fn co_open_volume(FsTree *tree, Volume *volume,
                                               GError **errp)
{
    g_autofree char *place = volume_place(tree, volume);

    if (volume->info->problem) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED, "%s: it %s", place,
                    volume->info->problem);
        return NULL;
    }
    if (volume->fs_driver && volume->holds_others) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: holds %s, whose volumes are folders of their own", place,
                    volume->info->filesystem);
        return NULL;
    }
    if (!volume->fs_driver) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_FORMAT,
                    "%s: no filesystem was recognised (type of the partition: %s)",
                    place, volume->info->type_name ?: volume->info->type);
        return NULL;
    }
    if (!volume->fs_driver->fs_co_open) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: holds %s, which this version cannot list or read", place,
                    volume->info->filesystem);
        return NULL;
    }

    Filesystem *fs = fs_co_open(volume->fs_driver, volume->blk, errp);
    if (!fs && !volume->map && !fs_tree_is_bare(tree)) {
        g_prefix_error(errp, "%s: ", volume->info->path);
    }
    return fs;
}

Filesystem *coroutine_fn fs_tree_co_filesystem(FsTree *tree, Volume *volume,
                                               GError **errp)
{
    co_mutex_lock(&tree->opening);

    Filesystem *fs = g_hash_table_lookup(tree->filesystems, volume);
    if (!fs) {
        fs = co_open_volume(tree, volume, errp);
        if (fs) {
            g_hash_table_insert(tree->filesystems, volume, fs);
        }
    }
    co_mutex_unlock(&tree->opening);
    return fs;
}

/* A path being followed. */
typedef struct Resolution {
    FsTree *tree;
    const char *path; /* as asked for */
    unsigned flags;
    char *rest;      /* what is still to be followed ... */
    const char *at;  /* ... from here on */
    GArray *parents; /* of FsIno: the directories above node, in its volume */
    FsNode *node;
    unsigned symlinks;
} Resolution;

static void G_GNUC_PRINTF(4, 5) resolve_error(const Resolution *r, GError **errp,
                                              EmbrError code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *reason = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, EMBR_ERROR, code, "%s: %s: %s", blk_name(r->tree->disk), r->path,
                reason);
}

static bool coroutine_fn co_enter(Resolution *r, FsIno ino, GError **errp)
{
    r->node->ino = ino;
    return fs_co_stat(r->node->fs, ino, &r->node->stat, errp);
}

static bool coroutine_fn co_enter_volume(Resolution *r, Volume *volume, GError **errp)
{
    Filesystem *fs = fs_tree_co_filesystem(r->tree, volume, errp);

    if (!fs) {
        return false;
    }
    r->node->volume = volume;
    r->node->fs = fs;
    g_array_set_size(r->parents, 0);
    return co_enter(r, fs->root, errp);
}

static void enter_top(Resolution *r)
{
    *r->node = (FsNode){
        .stat =
            {
                .mode = TREE_DIRECTORY_MODE,
                .nlink = 2 + r->tree->table->volumes->len,
            },
    };
}

/* The volume of that name in the folder of a group (NULL: the top one); NULL if there is
 * none. */
static Volume *find_volume(const FsTree *tree, const char *group, const char *name,
                           size_t len)
{
    g_autofree char *path = g_strdup_printf("%s%s/%.*s", group ? "/" : "",
                                            group ? group : "", (int)len, name);

    return volume_table_find(tree->table, path, strlen(path));
}

/* The tree's name of the group that is called so; NULL if there is none. */
static const char *find_group(FsTree *tree, const char *name, size_t len)
{
    for (guint i = 0; i < tree->table->volumes->len; i++) {
        size_t group_len;
        const char *group =
            volume_group(g_ptr_array_index(tree->table->volumes, i), &group_len);

        if (group && group_len == len && !memcmp(group, name, len)) {
            g_autofree char *copy = g_strndup(group, len);

            return g_string_chunk_insert_const(tree->groups, copy);
        }
    }
    return NULL;
}

static bool coroutine_fn co_step_up(Resolution *r, GError **errp)
{
    if (!r->node->volume) {
        enter_top(r);
        return true;
    }
    if (!r->parents->len) {
        return true;
    }

    FsIno parent = g_array_index(r->parents, FsIno, r->parents->len - 1);
    g_array_set_size(r->parents, r->parents->len - 1);
    return co_enter(r, parent, errp);
}

/* The node is a symbolic link: what it says is what is followed next. */
static bool coroutine_fn co_follow(Resolution *r, GError **errp)
{
    if (++r->symlinks > FS_TREE_MAX_SYMLINKS) {
        resolve_error(r, errp, EMBR_ERROR_LIMIT, "more than %d symbolic links",
                      FS_TREE_MAX_SYMLINKS);
        return false;
    }

    g_autofree char *target = fs_co_readlink(r->node->fs, r->node->ino, errp);
    if (!target) {
        return false;
    }
    if (!*target) {
        resolve_error(r, errp, EMBR_ERROR_NOT_FOUND,
                      "a symbolic link that leads nowhere");
        return false;
    }

    char *rest = g_strconcat(target, r->at, NULL);
    g_free(r->rest);
    r->rest = rest;
    r->at = rest;
    return *target == '/' ? co_enter_volume(r, r->node->volume, errp)
                          : co_step_up(r, errp);
}

/* From the top folder, or that of a group. */
static bool coroutine_fn co_step_to_volume(Resolution *r, const char *name, size_t len,
                                           GError **errp)
{
    Volume *volume = find_volume(r->tree, r->node->group, name, len);

    if (volume) {
        return co_enter_volume(r, volume, errp);
    }

    const char *group = r->node->group ? NULL : find_group(r->tree, name, len);
    if (!group) {
        resolve_error(r, errp, EMBR_ERROR_NOT_FOUND, "no volume '%.*s' %s", (int)len, name,
                      r->node->group ? "in this group" : "on this disk");
        return false;
    }
    r->node->group = group;
    return true;
}

static bool coroutine_fn co_step_down(Resolution *r, const char *name, size_t len,
                                      GError **errp)
{
    GError *error = NULL;
    FsIno ino;

    if (!r->node->volume) {
        return co_step_to_volume(r, name, len, errp);
    }
    if (!fs_co_lookup(r->node->fs, r->node->ino, name, len, &ino, &error)) {
        if (g_error_matches(error, EMBR_ERROR, EMBR_ERROR_NOT_FOUND)) {
            resolve_error(r, errp, EMBR_ERROR_NOT_FOUND, "no such file or directory");
            g_error_free(error);
        } else {
            g_propagate_error(errp, error);
        }
        return false;
    }

    FsIno parent = r->node->ino;
    g_array_append_val(r->parents, parent);
    if (!co_enter(r, ino, errp)) {
        return false;
    }
    bool is_last = !*r->at;
    if (S_ISLNK(r->node->stat.mode) && !(is_last && (r->flags & FS_RESOLVE_NOFOLLOW))) {
        return co_follow(r, errp);
    }
    return true;
}

/* One part of the path, of which there is one. */
static bool coroutine_fn co_step(Resolution *r, GError **errp)
{
    const char *name = r->at;
    size_t len = strcspn(name, "/");

    if (!S_ISDIR(r->node->stat.mode)) {
        resolve_error(r, errp, EMBR_ERROR_NOT_FOUND, "not a directory");
        return false;
    }
    r->at += len;
    if (len == 0 || (len == 1 && name[0] == '.')) {
        r->at += *r->at == '/';
        return true;
    }
    if (len == 2 && name[0] == '.' && name[1] == '.') {
        return co_step_up(r, errp);
    }
    return co_step_down(r, name, len, errp);
}

bool coroutine_fn fs_tree_co_resolve(FsTree *tree, const char *path, unsigned flags,
                                     FsNode *node, GError **errp)
{
    Resolution r = {
        .tree = tree,
        .path = path,
        .flags = flags,
        .rest = g_strdup(path),
        .parents = g_array_new(FALSE, FALSE, sizeof(FsIno)),
        .node = node,
    };
    bool ok = true;

    r.at = r.rest;
    enter_top(&r);
    if (fs_tree_is_bare(tree)) {
        ok = co_enter_volume(&r, g_ptr_array_index(tree->table->volumes, 0), errp);
    }
    while (ok && *r.at) {
        ok = co_step(&r, errp);
    }
    g_array_unref(r.parents);
    g_free(r.rest);
    return ok;
}
