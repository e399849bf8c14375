/* embr-img extract */
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "extract-ahead.h"
#include "extract.h"
#include "file-entry.h"
#include "options.h"
#include "report.h"
#include "tree.h"

typedef struct Extract {
    const char *name;
    const char *path;
    ImageOptions image;
    const char *snapshot;
    const char *tar; /* "-": standard output */
    const char *directory;
    gboolean skip_damaged;
    ExtractTarget *target;
    ExtractAhead *ahead;
    size_t strip;      /* what paths have before the name of the start */
    Filesystem *fs;    /* that links is about */
    GHashTable *links; /* inode (gint64) -> the path it was extracted as */
} Extract;

static const char *extracted_path(const Extract *x, const TreeEntry *entry)
{
    return strlen(entry->path) > x->strip ? entry->path + x->strip : ".";
}

/* A file with several names is extracted once; the path of that. */
static const char *find_link(Extract *x, const TreeEntry *entry, const char *path)
{
    const FsStat *st = &entry->stat;

    if (S_ISDIR(st->mode) || st->nlink < 2) {
        return NULL;
    }
    if (x->fs != entry->fs) {
        g_hash_table_remove_all(x->links);
        x->fs = entry->fs;
    }

    const char *first = g_hash_table_lookup(x->links, &st->ino);
    if (!first) {
        gint64 *key = g_new(gint64, 1);

        *key = st->ino;
        g_hash_table_insert(x->links, key, g_strdup(path));
    }
    return first;
}

static GPtrArray *coroutine_fn co_xattrs(Extract *x, const ExtractFile *file)
{
    g_autoptr(GError) error = NULL;
    GPtrArray *list = fs_co_xattrs(file->fs, file->stat.ino, &error);

    if (!list) {
        extract_problem(x->target, file->path, "extended attributes are left out: %s",
                        error->message);
        list = g_ptr_array_new();
    }
    return list;
}

/* False: reported, and the file is left out. */
static bool coroutine_fn co_complete(Extract *x, ExtractFile *file)
{
    g_autoptr(GError) error = NULL;

    if ((file->stat.flags & FS_FILE_ENCRYPTED) && !S_ISDIR(file->stat.mode)) {
        extract_problem(x->target, file->path, "is encrypted; it is left out");
        return false;
    }
    if (S_ISLNK(file->stat.mode)) {
        file->target = fs_co_readlink(file->fs, file->stat.ino, &error);
    } else if (S_ISREG(file->stat.mode)) {
        file->ranges = extract_co_ranges(file->fs, &file->stat, &error);
        if (file->ranges && x->skip_damaged) {
            extract_co_try_content(file, &error);
        }
    }
    if (error) {
        extract_problem(x->target, file->path, "is left out: %s", error->message);
        return false;
    }
    return true;
}

static void extract_file_clear(ExtractFile *file)
{
    g_free((char *)file->target);
    g_clear_pointer(&file->xattrs, g_ptr_array_unref);
    g_clear_pointer(&file->ranges, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ExtractFile, extract_file_clear)

static bool coroutine_fn extract_entry(const TreeEntry *entry, const uint8_t *content,
                                       void *opaque, GError **errp)
{
    Extract *x = opaque;
    g_auto(ExtractFile) file = {
        .fs = entry->fs,
        .path = extracted_path(x, entry),
        .stat = entry->stat,
        .content = content,
    };

    if (!(entry->stat.mode & S_IFMT)) {
        extract_problem(x->target, file.path, "is of no known type; it is left out");
        return true;
    }
    if (entry->fs) {
        file.link = find_link(x, entry, file.path);
        if (!file.link) {
            file.xattrs = co_xattrs(x, &file);
            if (!co_complete(x, &file)) {
                g_hash_table_remove(x->links, &file.stat.ino);
                return true;
            }
        }
    }
    return x->target->ops->co_add(x->target, &file, errp);
}

static bool coroutine_fn add_entry(const TreeEntry *entry, void *opaque, GError **errp)
{
    Extract *x = opaque;

    return extract_ahead_co_add(x->ahead, entry, errp);
}

static void coroutine_fn extract_damaged(const char *path, const GError *error,
                                         void *opaque)
{
    Extract *x = opaque;

    extract_problem(x->target, *path ? path : "/", "%s", error->message);
}

static ExtractTarget *open_target(const Extract *x, GError **errp)
{
    if (x->directory) {
        return extract_dir_new(x->directory, errp);
    }
    return extract_tar_new(strcmp(x->tar, "-") ? x->tar : NULL, errp);
}

/* Names begin with the last part of the path; what is below "/", "." or ".." has no
 * such part. */
static size_t strip_length(const char *shown)
{
    const char *base = strrchr(shown, '/');

    if (!base || !strcmp(base, "/.") || !strcmp(base, "/..")) {
        return strlen(shown) + 1;
    }
    return base + 1 - shown;
}

static bool coroutine_fn co_extract_from(Extract *x, FsTree *tree, GError **errp)
{
    static const TreeWalkOps ops = {
        .entry = add_entry,
        .problem = extract_damaged,
    };
    g_autofree char *shown = tree_show_path(x->path);
    FsNode node;

    if (!fs_tree_co_resolve(tree, x->path, FS_RESOLVE_NOFOLLOW, &node, errp)) {
        return false;
    }
    x->strip = strip_length(shown);
    x->target = open_target(x, errp);
    x->ahead = extract_ahead_new(extract_entry, x);

    bool ok = x->target && tree_co_walk(tree, &node, shown, &ops, x, errp) &&
              extract_ahead_co_finish(x->ahead, errp) &&
              x->target->ops->co_finish(x->target, errp);

    extract_ahead_co_free(x->ahead);
    return ok;
}

/* False, and reported, if the archive would take the place of a file of the image. */
static bool is_no_source(const char *tar, BlockDriverState *bs)
{
    BlockIdentity identity;
    BlockDriverState *used =
        bdrv_path_identity(tar, &identity) ? bdrv_find_file(bs, &identity) : NULL;

    if (used) {
        report_error(
            "The archive '%s' is a file of the image (%s): it would be overwritten",
            tar, bdrv_filename(used));
    }
    return !used;
}

static int coroutine_fn co_extract(void *opaque)
{
    Extract *x = opaque;
    g_autoptr(FsTree) tree = tree_co_open(x->name, &x->image, x->snapshot);
    GError *error = NULL;

    if (!tree || (x->tar && !is_no_source(x->tar, blk_bs(fs_tree_disk(tree))))) {
        return EXIT_FAILURE;
    }
    x->links = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);

    bool ok = co_extract_from(x, tree, &error);
    bool complete = ok && !x->target->incomplete;
    if (x->target) {
        x->target->ops->co_free(x->target, ok);
    }
    if (!ok) {
        report_gerror(error);
    }
    tree_report_warnings(tree);
    g_hash_table_unref(x->links);
    return complete ? EXIT_SUCCESS : EXIT_FAILURE;
}

int img_extract(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *snapshot = NULL;
    g_autofree char *tar = NULL;
    g_autofree char *directory = NULL;
    Extract x = {0};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        IMAGE_FAT_OPTION_ENTRY(&image),
        SNAPSHOT_OPTION_ENTRY('l', &snapshot),
        {"tar", 'o', 0, G_OPTION_ARG_FILENAME, &tar,
         "Make a pax archive of that name; '-' is standard output", "FILE"},
        {"directory", 'C', 0, G_OPTION_ARG_FILENAME, &directory,
         "Make files below that directory; what is there already is not replaced",
         "DIR"},
        {"skip-damaged", 0, 0, G_OPTION_ARG_NONE, &x.skip_damaged,
         "Leave out files that cannot be read; by default, zeroes are in that place", NULL},
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary =
            "Takes a file or a directory with all below it out of a disk, with owners, "
            "modes, times, links, holes, extended attributes and ACLs.\n"
            "Names begin with the last part of PATH.",
        .parameters = "FILENAME PATH",
        .entries = entries,
        .min_names = 2,
        .max_names = 2,
        .names_expected = "Expecting an image file name and a path",
        .misuse_status = EXIT_FAILURE,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    if (!image_options_check(&image)) {
        return EXIT_FAILURE;
    }
    if (!tar == !directory) {
        options_misuse(argv[0], "Expecting either -o FILE or -C DIR");
        return EXIT_FAILURE;
    }
    x.name = names[0];
    x.path = names[1];
    x.image = image;
    x.snapshot = snapshot;
    x.tar = tar;
    x.directory = directory;
    return image_run(co_extract, &x, EXIT_FAILURE);
}
