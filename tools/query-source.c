/*
 * Where the content of queries comes from.
 */
#include "query-source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "fs/walk.h"
#include "report.h"
#include "tree.h"
#include "util/error.h"

/* Names of files that have several, by which those after the first are told. */
typedef struct FileId {
    uint64_t device, ino;
} FileId;

EngramFile *coroutine_fn query_co_open_engram(const char *name, GError **errp)
{
    g_autoptr(BlockDriverState) file =
        bdrv_co_open_image(name, NULL, BDRV_O_PROTOCOL, errp);

    return file ? engram_file_co_open(file, errp) : NULL;
}

static guint hash_file_id(gconstpointer key)
{
    const FileId *id = key;
    uint64_t mixed = (id->device * 31 + id->ino) * UINT64_C(0x9E3779B97F4A7C15);

    return mixed >> 32;
}

static gboolean equal_file_ids(gconstpointer a, gconstpointer b)
{
    const FileId *x = a, *y = b;

    return x->device == y->device && x->ino == y->ino;
}

static GHashTable *new_seen(void)
{
    return g_hash_table_new_full(hash_file_id, equal_file_ids, g_free, NULL);
}

/* Whether it is the first time. */
static bool see(GHashTable *seen, uint64_t device, uint64_t ino)
{
    FileId *id = g_new(FileId, 1);

    *id = (FileId){device, ino};
    return g_hash_table_add(seen, id);
}

static bool coroutine_fn co_add_fd(EngramQuery *q, int fd, const char *name,
                                   GError **errp)
{
    g_autofree uint8_t *buf = g_malloc(ENGRAM_QUERY_PIECE_BYTES);
    size_t got = ENGRAM_QUERY_PIECE_BYTES;

    while (got == ENGRAM_QUERY_PIECE_BYTES) {
        if (!fd_read_some(fd, buf, ENGRAM_QUERY_PIECE_BYTES, name, &got, errp)) {
            return false;
        }
        engram_query_co_add_content(q, buf, got);
    }
    return true;
}

/* flags: besides O_RDONLY | O_CLOEXEC. */
static bool coroutine_fn co_add_host_file(EngramQuery *q, const char *name, int flags,
                                          GError **errp)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC | flags);

    if (fd < 0) {
        error_set_errno(errp, errno, "cannot open %s", name);
        return false;
    }
    bool ok = co_add_fd(q, fd, name, errp);
    close(fd);
    return ok;
}

/* A directory of the host, on the way through it. */
typedef struct HostWalk {
    EngramQuery *q;
    GHashTable *seen; /* of FileId: with several names */
    const char *start;
    unsigned depth;
} HostWalk;

static bool coroutine_fn co_add_host_directory(HostWalk *w, const char *path,
                                               GError **errp);

/* path: from the start. */
static bool coroutine_fn co_add_host_entry(HostWalk *w, const char *path, GError **errp)
{
    g_autofree char *name = g_build_filename(w->start, path, NULL);
    struct stat st;

    if (lstat(name, &st) < 0) {
        error_set_errno(errp, errno, "cannot look at %s", name);
        return false;
    }
    if (S_ISDIR(st.st_mode)) {
        return co_add_host_directory(w, path, errp);
    }
    if (!S_ISREG(st.st_mode) ||
        (st.st_nlink > 1 && !see(w->seen, st.st_dev, st.st_ino))) {
        return true;
    }
    return engram_query_co_add_entry(w->q, path, false, errp) &&
           co_add_host_file(w->q, name, O_NOFOLLOW | O_NONBLOCK, errp);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In byte order, as a walk through an image has them: of a file with two names the same
 * one counts.  NULL and an error. */
static GPtrArray *read_names(const char *directory, GError **errp)
{
    g_autoptr(GDir) dir = g_dir_open(directory, 0, errp);
    const char *name;

    if (!dir) {
        return NULL;
    }
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    while ((name = g_dir_read_name(dir))) {
        g_ptr_array_add(names, g_strdup(name));
    }
    g_ptr_array_sort(names, compare_names);
    return names;
}

static bool coroutine_fn co_add_host_directory(HostWalk *w, const char *path,
                                               GError **errp)
{
    g_autofree char *name =
        *path ? g_build_filename(w->start, path, NULL) : g_strdup(w->start);
    g_autoptr(GPtrArray) names = read_names(name, errp);

    if (!names || !engram_query_co_add_entry(w->q, path, true, errp)) {
        return false;
    }
    if (++w->depth > FS_WALK_MAX_DEPTH) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s: directories are nested more than %d deep", name,
                    FS_WALK_MAX_DEPTH);
        return false;
    }
    for (guint i = 0; i < names->len; i++) {
        const char *child = g_ptr_array_index(names, i);
        g_autofree char *below =
            *path ? g_build_filename(path, child, NULL) : g_strdup(child);

        if (!co_add_host_entry(w, below, errp)) {
            return false;
        }
    }
    w->depth--;
    return true;
}

static bool coroutine_fn co_add_host(EngramQuery *q, const char *name, GError **errp)
{
    HostWalk w = {.q = q, .start = name};

    if (!g_file_test(name, G_FILE_TEST_IS_DIR)) {
        return co_add_host_file(q, name, 0, errp);
    }
    w.seen = new_seen();
    bool ok = co_add_host_directory(&w, "", errp);
    g_hash_table_unref(w.seen);
    return ok;
}

/* A directory of an image, on the way through it. */
typedef struct ImageWalk {
    EngramQuery *q;
    Filesystem *fs;
    GHashTable *seen; /* of FileId: with several names */
} ImageWalk;

static bool coroutine_fn co_add_image_entry(const FsWalkEntry *entry, void *opaque,
                                            GError **errp)
{
    const ImageWalk *w = opaque;
    const FsStat *st = &entry->stat;

    if (S_ISDIR(st->mode)) {
        return engram_query_co_add_entry(w->q, entry->path, true, errp);
    }
    if (!S_ISREG(st->mode) || (st->nlink > 1 && !see(w->seen, 0, st->ino))) {
        return true;
    }
    if (!engram_query_co_add_entry(w->q, entry->path, false, errp)) {
        return false;
    }
    if (!engram_query_co_add_file(w->q, w->fs, st->ino, st->size, errp)) {
        g_prefix_error(errp, "%s: ", entry->path);
        return false;
    }
    return true;
}

static bool coroutine_fn co_walk_image(EngramQuery *q, const FsNode *node,
                                       GError **errp)
{
    static const FsWalkOps ops = {.entry = co_add_image_entry};
    ImageWalk w = {.q = q, .fs = node->fs, .seen = new_seen()};
    bool ok = fs_co_walk(node->fs, node->ino, FS_WALK_SORTED, &ops, &w, errp);

    g_hash_table_unref(w.seen);
    return ok;
}

/* What the manifest of an engram says of it: 1, 0: nothing, -1 and an error. */
static int coroutine_fn co_add_known(EngramQuery *q, const char *image,
                                     const char *path, GError **errp)
{
    g_autoptr(EngramFile) f = query_co_open_engram(image, NULL);
    g_autoptr(EngramImage) first = f ? engram_file_co_find_image(f, NULL, NULL) : NULL;
    g_autofree char *shown = tree_show_path(path);

    return first ? engram_query_co_add_known(q, f, first, shown, errp) : 0;
}

static bool coroutine_fn co_add_node(EngramQuery *q, FsTree *tree, const char *image,
                                     const char *path, GError **errp)
{
    FsNode node;
    int known;

    if (!fs_tree_co_resolve(tree, path, 0, &node, errp)) {
        return false;
    }
    if (!S_ISDIR(node.stat.mode)) {
        if (!tree_co_resolve_regular(tree, path, &node, errp)) {
            return false;
        }
        if (!engram_query_co_add_file(q, node.fs, node.ino, node.stat.size, errp)) {
            g_prefix_error(errp, "%s: ", path);
            return false;
        }
        return true;
    }
    if (!node.fs) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s is a folder of volumes, not a directory of one", path);
        return false;
    }
    known = co_add_known(q, image, path, errp);
    return known ? known > 0 : co_walk_image(q, &node, errp);
}

static bool coroutine_fn co_add_from_image(EngramQuery *q, const char *image,
                                           const char *path)
{
    const ImageOptions options = {0};
    g_autoptr(FsTree) tree = tree_co_open(image, &options, NULL);
    GError *error = NULL;

    if (!tree) {
        return false;
    }
    bool ok = co_add_node(q, tree, image, path, &error);
    if (!ok) {
        report_gerror(error);
    }
    tree_report_warnings(tree);
    return ok;
}

/* A file of that whole name comes first, whatever is in it. */
bool coroutine_fn query_co_add_source(EngramQuery *q, const char *name)
{
    const char *colon = strstr(name, ":/");
    GError *error = NULL;
    bool ok;

    if (strcmp(name, "-") == 0) {
        ok = co_add_fd(q, STDIN_FILENO, "standard input", &error);
    } else if (!colon || access(name, F_OK) == 0) {
        ok = co_add_host(q, name, &error);
    } else {
        g_autofree char *image = g_strndup(name, colon - name);
        return co_add_from_image(q, image, colon + 1);
    }
    if (!ok) {
        report_gerror(error);
    }
    return ok;
}
