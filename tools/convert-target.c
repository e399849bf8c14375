#include "convert-target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/filename.h"
#include "report.h"
#include "util/unfinished.h"

void target_done(bool complete)
{
    if (complete) {
        unfinished_set(NULL);
    } else {
        unfinished_remove();
    }
}

/* Once it is created: its own name, not that of a symbolic link to it.  A device stays
 * whatever happens. */
static void guard_created(const char *path)
{
    g_autofree char *real = realpath(path, NULL);
    struct stat st;

    unfinished_set(real && stat(real, &st) == 0 && S_ISREG(st.st_mode) ? real : NULL);
}

BlockDriverState *coroutine_fn target_co_create(const char *name, const char *format,
                                                int64_t length, const char *keyval,
                                                int flags)
{
    GError *error = NULL;
    g_autofree char *path = filename_to_path(name, &error);
    struct stat st;
    BlockDriverState *bs = NULL;

    if (!path) {
        report_gerror(error);
        return NULL;
    }
    unfinished_handle_signals();
    if (lstat(path, &st) < 0 && errno == ENOENT) {
        unfinished_set(path);
    }
    if (!bdrv_co_create_image(name, format, length, keyval, &error)) {
        unfinished_set(NULL);
        report_gerror(error);
        return NULL;
    }
    guard_created(path);
    bs = bdrv_co_open_image(name, format, BDRV_O_RDWR | flags, &error);
    if (!bs) {
        target_done(false);
        report_gerror(error);
    }
    return bs;
}

/* False, and reported, if that file is one that src reads. */
static bool check_identity(const char *name, const BlockIdentity *identity,
                           BlockDriverState *src)
{
    BlockDriverState *used = bdrv_find_file(src, identity);

    if (used) {
        report_error(
            "The target '%s' is a file of the source (%s): it would be overwritten",
            name, bdrv_filename(used));
    }
    return !used;
}

BlockDriverState *coroutine_fn target_co_open(const char *name,
                                              const ImageOptions *options, int flags,
                                              const GPtrArray *sources)
{
    /* Before it is opened: then it would be in our own way. */
    for (guint i = 0; !options->image_opts && i < sources->len; i++) {
        if (!target_is_no_source(name, g_ptr_array_index(sources, i))) {
            return NULL;
        }
    }
    g_autoptr(BlockDriverState) bs = image_co_open(name, options, BDRV_O_RDWR | flags);
    BlockIdentity identity = bs ? bdrv_identity(bs) : (BlockIdentity){0};
    for (guint i = 0; bs && i < sources->len; i++) {
        if (!check_identity(name, &identity, g_ptr_array_index(sources, i))) {
            return NULL;
        }
    }
    return g_steal_pointer(&bs);
}

bool target_is_no_source(const char *name, BlockDriverState *src)
{
    GError *error = NULL;
    g_autofree char *path = filename_to_path(name, &error);
    BlockIdentity identity;

    if (!path) {
        report_gerror(error);
        return false;
    }
    return !bdrv_path_identity(path, &identity) || check_identity(name, &identity, src);
}
