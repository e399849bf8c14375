/*
 * file: new files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "block/file-int.h"
#include "block/filename.h"
#include "qapi/qapi-visit.h"

enum {
    ZEROES_BYTES = 1 << 20,         /* written at once */
    BUFFER_ALIGNMENT = 4096,
};

typedef struct NewFile {
    int fd;
    const char *path;
    int64_t length;
    PreallocMode preallocation;
} NewFile;

static int coroutine_fn co_write_zeroes(int fd, int64_t offset, int64_t bytes)
{
    void *zeroes = aligned_alloc(BUFFER_ALIGNMENT, ZEROES_BYTES);
    int ret = zeroes ? 0 : -ENOMEM;

    if (zeroes) {
        memset(zeroes, 0, ZEROES_BYTES);
    }
    for (int64_t done = 0; ret == 0 && done < bytes;) {
        struct iovec iov = { zeroes, MIN(bytes - done, ZEROES_BYTES) };
        ssize_t n = aio_co_pwritev(fd, &iov, 1, offset + done);
        ret = n < 0 ? n : n == 0 ? -ENOSPC : 0;
        done += n;
    }
    free(zeroes);
    return ret;
}

bool coroutine_fn file_co_preallocate(int fd, const char *path, int64_t offset,
                                      int64_t bytes, PreallocMode preallocation,
                                      GError **errp)
{
    int ret = 0;

    if (preallocation == PREALLOC_MODE_METADATA) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s': Unsupported preallocation mode 'metadata'", path);
        return false;
    }
    if (bytes > 0 && preallocation == PREALLOC_MODE_FULL) {
        ret = co_write_zeroes(fd, offset, bytes);
    } else if (bytes > 0 && preallocation == PREALLOC_MODE_FALLOC) {
        ret = aio_co_fallocate(fd, 0, offset, bytes);
    }
    if (ret < 0) {
        error_set_errno(errp, -ret, "'%s': cannot allocate %" G_GINT64_FORMAT " bytes", path,
                        bytes);
    }
    return ret >= 0;
}

static bool coroutine_fn co_prepare_file(const NewFile *f, GError **errp)
{
    if (ftruncate(f->fd, 0) < 0 || ftruncate(f->fd, f->length) < 0) {
        error_set_errno(errp, errno, "'%s': cannot set the length to %" G_GINT64_FORMAT
                        " bytes", f->path, f->length);
        return false;
    }
    return file_co_preallocate(f->fd, f->path, 0, f->length, f->preallocation, errp);
}

static bool prepare_device(const NewFile *f, GError **errp)
{
    int64_t available = 0;

    if (f->preallocation != PREALLOC_MODE_OFF) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s': preallocation=%s is for regular files, this is a block device",
                    f->path, prealloc_mode_str(f->preallocation));
        return false;
    }
    if (!file_device_length(f->fd, f->path, &available, errp)) {
        return false;
    }
    if (available < f->length) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s': the device has %" G_GINT64_FORMAT " bytes, %" G_GINT64_FORMAT
                    " are needed", f->path, available, f->length);
        return false;
    }
    return true;
}

/* Opens the file; *created: it was not there before. */
static bool open_new(NewFile *f, struct stat *st, bool *created, GError **errp)
{
    *created = access(f->path, F_OK) < 0 && errno == ENOENT;
    return file_open_descriptor(f->path, O_RDWR | (*created ? O_CREAT : 0), &f->fd, st, errp);
}

/* path may be a symbolic link to what was created. */
static void remove_created(const char *path)
{
    g_autofree char *real = realpath(path, NULL);

    if (real) {
        unlink(real);
    }
}

int coroutine_fn file_co_create(const char *filename, int64_t length, const char *keyval,
                                GError **errp)
{
    g_autofree char *path = filename_to_path(filename, errp);
    g_autoptr(BlockdevCreateOptionsRaw) options =
        path ? blockdev_create_options_raw_from_keyval(keyval ? keyval : "", NULL, errp)
             : NULL;
    struct stat st;
    bool created;

    if (!options) {
        return -EINVAL;
    }
    NewFile f = {
        .fd = -1,
        .path = path,
        .length = length,
        .preallocation =
            options->has_preallocation ? options->preallocation : PREALLOC_MODE_OFF,
    };
    bool ok = open_new(&f, &st, &created, errp);
    ok = ok && file_lock(f.fd, path, BDRV_PERM_WRITE | BDRV_PERM_RESIZE, BDRV_PERM_RESIZE,
                         errp);
    if (ok) {
        ok = S_ISREG(st.st_mode) ? co_prepare_file(&f, errp) : prepare_device(&f, errp);
    }
    if (!ok && created && f.fd >= 0) {
        remove_created(path);
    }
    if (f.fd >= 0) {
        close(f.fd);
    }
    return ok ? 0 : -EIO;
}
