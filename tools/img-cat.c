/* embr-img cat */
#include <stdlib.h>
#include <unistd.h>

#include "commands.h"
#include "fd.h"
#include "options.h"
#include "report.h"
#include "tree.h"

enum { CAT_BYTES = 1024 * 1024 };

typedef struct Cat {
    const char *name;
    char **paths;
    ImageOptions image;
    const char *snapshot;
} Cat;

static bool coroutine_fn co_cat_file(FsTree *tree, const char *path, uint8_t *buf,
                                     GError **errp)
{
    FsNode node;

    if (!tree_co_resolve_regular(tree, path, &node, errp)) {
        return false;
    }
    for (uint64_t at = 0; at < node.stat.size; at += CAT_BYTES) {
        size_t len = MIN(CAT_BYTES, node.stat.size - at);

        if (!fs_co_read(node.fs, node.ino, at, len, buf, errp)) {
            g_prefix_error(errp, "%s: ", path);
            return false;
        }
        if (!fd_write_all(STDOUT_FILENO, buf, len, "standard output", errp)) {
            return false;
        }
    }
    return true;
}

static int coroutine_fn co_cat(void *opaque)
{
    Cat *o = opaque;
    g_autoptr(FsTree) tree = tree_co_open(o->name, &o->image, o->snapshot);
    g_autofree uint8_t *buf = g_malloc(CAT_BYTES);
    GError *error = NULL;
    bool ok = tree != NULL;

    fd_enlarge_pipe(STDOUT_FILENO);
    if (!tree) {
        return EXIT_FAILURE;
    }
    for (char **path = o->paths; ok && *path; path++) {
        ok = co_cat_file(tree, *path, buf, &error);
    }
    if (!ok) {
        report_gerror(error);
    }
    tree_report_warnings(tree);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int img_cat(int argc, char **argv)
{
    g_auto(ImageOptions) image = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *snapshot = NULL;
    Cat o = {0};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&image),
        IMAGE_FAT_OPTION_ENTRY(&image),
        SNAPSHOT_OPTION_ENTRY('l', &snapshot),
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary =
            "Writes the content of files of a disk to standard output, one after the "
            "other, up to the first that cannot be read.",
        .parameters = "FILENAME PATH...",
        .entries = entries,
        .min_names = 2,
        .max_names = G_MAXUINT,
        .names_expected = "Expecting an image file name and one or more paths",
        .misuse_status = EXIT_FAILURE,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    if (!image_options_check(&image)) {
        return EXIT_FAILURE;
    }
    o.name = names[0];
    o.paths = names + 1;
    o.image = image;
    o.snapshot = snapshot;
    return image_run(co_cat, &o, EXIT_FAILURE);
}
