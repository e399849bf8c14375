/* embr-img ls */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "file-entry.h"
#include "options.h"
#include "report.h"
#include "util/text.h"
#include "tree.h"

enum { OUT_BYTES = 64 * 1024 };

typedef struct Ls {
    const char *name;
    const char *path;
    ImageOptions image;
    const char *snapshot;
    gboolean long_format;
    gboolean recursive;
    bool json;
    bool terminal; /* what is printed is for a person's eyes */
    bool start_is_dir;
    GString *out;
    uint64_t printed;
    int status;
} Ls;

static bool flush_out(Ls *o, GError **errp)
{
    size_t len = o->out->len;

    if (fwrite(o->out->str, 1, len, stdout) != len) {
        error_set_errno(errp, errno, "cannot write to standard output");
        return false;
    }
    g_string_truncate(o->out, 0);
    return true;
}

static void append_name(Ls *o, const char *name)
{
    if (o->terminal) {
        text_append(o->out, name, TEXT_MASKED);
    } else {
        g_string_append(o->out, name);
    }
}

static void append_line(Ls *o, const TreeEntry *entry, const char *target)
{
    const char *name = o->recursive ? entry->path : strrchr(entry->path, '/') + 1;

    if (o->long_format) {
        file_append_columns(o->out, &entry->stat);
    }
    append_name(o, o->start_is_dir ? name : o->path);
    if (o->long_format && target) {
        g_string_append(o->out, " -> ");
        append_name(o, target);
    }
    g_string_append_c(o->out, '\n');
}

static void append_json(Ls *o, const TreeEntry *entry, const char *target)
{
    g_autoptr(FileEntry) e = file_entry_from_stat(entry->path, &entry->stat, target);

    g_string_append(o->out, o->printed ? ",\n    " : "\n    ");
    qapi_object_print(&qapi_type_file_entry, e, true, 1, o->out);
}

static void coroutine_fn report_problem(const char *path, const GError *error,
                                        void *opaque)
{
    Ls *o = opaque;

    if (g_error_matches(error, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED)) {
        if (o->recursive) {
            report_warning("%s", error->message);
        }
        return;
    }
    report_error("%s: %s", *path ? path : "/", error->message);
    o->status = EXIT_FAILURE;
}

static bool coroutine_fn print_entry(const TreeEntry *entry, void *opaque,
                                     GError **errp)
{
    Ls *o = opaque;
    g_autofree char *target = NULL;

    if (o->start_is_dir && !entry->depth) {
        return true;
    }
    if (S_ISLNK(entry->stat.mode) && (o->long_format || o->json)) {
        g_autoptr(GError) error = NULL;

        target = fs_co_readlink(entry->fs, entry->stat.ino, &error);
        if (!target) {
            report_problem(entry->path, error, o);
        }
    }
    if (o->json) {
        append_json(o, entry, target);
    } else {
        append_line(o, entry, target);
    }
    o->printed++;
    return o->out->len < OUT_BYTES || flush_out(o, errp);
}

/* As ls does: what a link leads to is listed if that is a directory and the link
 * itself is not what was asked about. */
static bool coroutine_fn co_find_start(Ls *o, FsTree *tree, FsNode *node, GError **errp)
{
    FsNode target;

    if (!fs_tree_co_resolve(tree, o->path, FS_RESOLVE_NOFOLLOW, node, errp)) {
        return false;
    }
    if (S_ISLNK(node->stat.mode) && !o->long_format &&
        fs_tree_co_resolve(tree, o->path, 0, &target, NULL) &&
        S_ISDIR(target.stat.mode)) {
        *node = target;
    }
    return true;
}

static bool coroutine_fn co_list(Ls *o, FsTree *tree, GError **errp)
{
    const TreeWalkOps ops = {
        .entry = print_entry,
        .problem = report_problem,
        .stay = !o->recursive,
    };
    g_autofree char *shown = tree_show_path(o->path);
    FsNode node;

    if (!co_find_start(o, tree, &node, errp)) {
        return false;
    }
    o->start_is_dir = S_ISDIR(node.stat.mode);
    g_string_append(o->out, o->json ? "[" : "");
    if (!tree_co_walk(tree, &node, shown, &ops, o, errp)) {
        return false;
    }
    g_string_append(o->out, o->json ? "\n]\n" : "");
    return flush_out(o, errp);
}

static int coroutine_fn co_ls(void *opaque)
{
    Ls *o = opaque;
    g_autoptr(FsTree) tree = tree_co_open(o->name, &o->image, o->snapshot);
    GError *error = NULL;

    if (!tree) {
        return EXIT_FAILURE;
    }
    o->out = g_string_sized_new(2 * OUT_BYTES);
    if (!co_list(o, tree, &error)) {
        report_gerror(error);
        o->status = EXIT_FAILURE;
    }
    tree_report_warnings(tree);
    g_string_free(o->out, TRUE);
    return o->status;
}

int img_ls(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *output = NULL;
    g_autofree char *snapshot = NULL;
    Ls o = {.status = EXIT_SUCCESS};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        IMAGE_FAT_OPTION_ENTRY(&image),
        SNAPSHOT_OPTION_ENTRY(0, &snapshot),
        {"long", 'l', 0, G_OPTION_ARG_NONE, &o.long_format,
         "Mode, links, owner, group, size or device number, time (UTC), name, target",
         NULL},
        {"recursive", 'R', 0, G_OPTION_ARG_NONE, &o.recursive,
         "Everything below, by its full path, a line each", NULL},
        OUTPUT_OPTION_ENTRY(&output),
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary =
            "Lists the files in a directory of a disk, in byte order of their names.\n"
            "Each partition is a folder pN after its number, each logical volume one in "
            "the folder\nof its group; the root of a bare filesystem is /.",
        .parameters = "FILENAME [PATH]",
        .entries = entries,
        .min_names = 1,
        .max_names = 2,
        .names_expected = "Expecting an image file name and, if any, one path",
        .misuse_status = EXIT_FAILURE,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    if (!options_output_format(output, &o.json) || !image_options_check(&image)) {
        return EXIT_FAILURE;
    }
    o.name = names[0];
    o.path = names[1] ?: "/";
    o.image = image;
    o.snapshot = snapshot;
    o.terminal = isatty(STDOUT_FILENO);
    return image_run(co_ls, &o, EXIT_FAILURE);
}
