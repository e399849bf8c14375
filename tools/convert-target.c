#include "convert-target.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/filename.h"
#include "report.h"

static const int ending_signals[] = {SIGHUP, SIGINT, SIGTERM};

/* What is removed if the process ends now; NULL for nothing. */
static char *volatile unfinished;

/* In a signal handler. */
static void remove_and_end(int signal_number)
{
    int saved_errno = errno;

    if (unfinished) {
        unlink(unfinished);
    }
    errno = saved_errno;
    raise(signal_number); /* its default action now, once this returns */
}

static void handle_signals(void)
{
    struct sigaction action = {.sa_handler = remove_and_end, .sa_flags = SA_RESETHAND};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < G_N_ELEMENTS(ending_signals); i++) {
        struct sigaction old;
        /* nohup(1) has some ignored. */
        if (sigaction(ending_signals[i], NULL, &old) == 0 &&
            old.sa_handler != SIG_IGN) {
            sigaction(ending_signals[i], &action, NULL);
        }
    }
}

static void set_unfinished(const char *path)
{
    char *old = unfinished;

    unfinished = g_strdup(path);
    g_free(old);
}

void target_done(bool complete)
{
    if (unfinished && !complete) {
        unlink(unfinished);
    }
    set_unfinished(NULL);
}

/* Once it is created: its own name, not that of a symbolic link to it.  A device stays
 * whatever happens. */
static void guard_created(const char *path)
{
    g_autofree char *real = realpath(path, NULL);
    struct stat st;

    set_unfinished(real && stat(real, &st) == 0 && S_ISREG(st.st_mode) ? real : NULL);
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
    handle_signals();
    if (lstat(path, &st) < 0 && errno == ENOENT) {
        set_unfinished(path);
    }
    if (!bdrv_co_create_image(name, format, length, keyval, &error)) {
        set_unfinished(NULL);
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
                                              BlockDriverState *src)
{
    g_autoptr(BlockDriverState) bs = image_co_open(name, options, BDRV_O_RDWR | flags);
    BlockIdentity identity = bs ? bdrv_identity(bs) : (BlockIdentity){0};

    return bs && check_identity(name, &identity, src) ? g_steal_pointer(&bs) : NULL;
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
