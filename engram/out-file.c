/*
 * A file without a name, until it is complete.
 */
#include "engram/out-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/aio.h"
#include "util/error.h"
#include "util/thread-pool.h"
#include "util/unfinished.h"
#include "util/units.h"

enum {
    MAX_SYMLINKS = 40,
    NAME_TRIES = 100,
    WRITEBACK_BYTES = 32 << 20,     /* written back in the background at a time */
    LOCK_BYTE = 4096,               /* of the file: whoever writes in place has it locked */
};

struct OutFile {
    int fd;
    char *path; /* what it will be called, symbolic links resolved */
    char *dir;
    char *open_path;
    char *hidden;                   /* the name it has meanwhile; NULL if none */
    bool in_place;                  /* a block device, or appended to */
    bool is_device;
    bool has_end;
    uint64_t end;                   /* of what stays if it is not published */
    bool published;
    mode_t mode;
    ThreadPool *background;         /* of one thread: writing back may block */
    uint64_t written;               /* bytes so far */
    uint64_t writeback;             /* of these, handed to the kernel to write back */
    bool writing_back;
};

/* path with symbolic links in its last part followed; what they lead to need not be
 * there. */
static char *follow_links(const char *path, GError **errp)
{
    g_autofree char *name = g_strdup(path);

    for (int i = 0; i < MAX_SYMLINKS; i++) {
        g_autofree char *link = g_file_read_link(name, NULL);
        if (!link) {
            return g_steal_pointer(&name);
        }
        g_autofree char *dir = g_path_get_dirname(name);
        g_free(name);
        name = g_path_is_absolute(link) ? g_steal_pointer(&link)
                                        : g_build_filename(dir, link, NULL);
    }
    error_set_errno(errp, ELOOP, "Could not create '%s'", path);
    return NULL;
}

/* A name beside the target that nobody has. */
static char *hidden_name(const OutFile *f)
{
    g_autofree char *base = g_path_get_basename(f->path);
    g_autofree char *name = g_strdup_printf(".%.200s.%08x", base, g_random_int());

    return g_build_filename(f->dir, name, NULL);
}

static bool open_unnamed(OutFile *f)
{
    f->fd = open(f->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, f->mode);
    if (f->fd < 0) {
        return false;
    }
    f->open_path = g_strdup_printf("/proc/self/fd/%d", f->fd);
    if (access(f->open_path, F_OK) == 0) {
        return true;
    }
    /* Without /proc it could not be given a name. */
    close(f->fd);
    f->fd = -1;
    g_clear_pointer(&f->open_path, g_free);
    return false;
}

static bool open_hidden(OutFile *f, GError **errp)
{
    for (int i = 0; i < NAME_TRIES; i++) {
        g_autofree char *name = hidden_name(f);

        f->fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, f->mode);
        if (f->fd >= 0) {
            f->hidden = g_steal_pointer(&name);
            unfinished_set(f->hidden);
            f->open_path = g_strdup(f->hidden);
            return true;
        }
        if (errno != EEXIST) {
            break;
        }
    }
    error_set_errno(errp, errno, "Could not create '%s'", f->path);
    return false;
}

static bool open_device(OutFile *f, GError **errp)
{
    f->fd = open(f->path, O_RDWR | O_CLOEXEC | O_EXCL);
    if (f->fd < 0) {
        error_set_errno(errp, errno, "Could not open '%s'", f->path);
        return false;
    }
    f->in_place = true;
    f->is_device = true;
    f->open_path = g_strdup(f->path);
    return true;
}

static OutFile *out_file_alloc(const char *path, GError **errp)
{
    OutFile *f = g_new0(OutFile, 1);

    f->fd = -1;
    f->mode = 0666;
    f->background = thread_pool_new("embr-write", 1);
    f->path = follow_links(path, errp);
    if (!f->path) {
        out_file_free(f);
        return NULL;
    }
    f->dir = g_path_get_dirname(f->path);
    return f;
}

OutFile *out_file_new(const char *path, GError **errp)
{
    g_autoptr(OutFile) f = out_file_alloc(path, errp);
    struct stat st;

    if (!f) {
        return NULL;
    }
    if (stat(f->path, &st) == 0) {
        if (S_ISBLK(st.st_mode)) {
            return open_device(f, errp) ? g_steal_pointer(&f) : NULL;
        }
        if (!S_ISREG(st.st_mode)) {
            g_set_error(
                errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                "Could not create '%s': it is neither a regular file nor a block "
                "device",
                path);
            return NULL;
        }
        if (access(f->path, W_OK) < 0) {
            error_set_errno(errp, errno, "Could not write to '%s'", path);
            return NULL;
        }
    }
    if (!open_unnamed(f) && !open_hidden(f, errp)) {
        return NULL;
    }
    if (stat(f->path, &st) == 0 && fchmod(f->fd, st.st_mode & 07777) < 0) {
        error_set_errno(errp, errno, "'%s': setting its mode", path);
        return NULL;
    }
    return g_steal_pointer(&f);
}

static bool lock(OutFile *f, GError **errp)
{
    struct flock whole = {
        .l_type = F_WRLCK,
        .l_whence = SEEK_SET,
        .l_start = LOCK_BYTE,
        .l_len = 1,
    };
    struct stat opened, named;

    if (fcntl(f->fd, F_OFD_SETLK, &whole) < 0) {
        if (errno == EAGAIN || errno == EACCES) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_BUSY,
                        "'%s' is being written to by another process", f->path);
        } else {
            error_set_errno(errp, errno, "'%s': cannot lock it", f->path);
        }
        return false;
    }
    if (fstat(f->fd, &opened) < 0 || stat(f->path, &named) < 0 ||
        opened.st_dev != named.st_dev || opened.st_ino != named.st_ino) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_BUSY,
                    "'%s' was replaced by another process", f->path);
        return false;
    }
    return true;
}

OutFile *out_file_open(const char *path, GError **errp)
{
    g_autoptr(OutFile) f = out_file_alloc(path, errp);
    struct stat st;

    if (!f) {
        return NULL;
    }
    f->in_place = true;
    f->fd = open(f->path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (f->fd < 0 || fstat(f->fd, &st) < 0) {
        error_set_errno(errp, errno, "Could not open '%s'", path);
        return NULL;
    }
    if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "Could not open '%s': it is neither a regular file nor a block "
                    "device",
                    path);
        return NULL;
    }
    f->is_device = S_ISBLK(st.st_mode);
    f->open_path = g_strdup(f->path);
    return lock(f, errp) ? g_steal_pointer(&f) : NULL;
}

void out_file_set_end(OutFile *f, uint64_t end)
{
    f->has_end = true;
    f->end = end;
    f->written = f->writeback = end;
}

void out_file_keep(OutFile *f)
{
    f->has_end = false;
}

static void throw_away(OutFile *f)
{
    if (f->hidden) {
        unfinished_set(NULL);
        unlink(f->hidden);
    }
    if (f->has_end && !f->is_device && ftruncate(f->fd, f->end) < 0) {
        g_warning("'%s': bytes from 0x%" PRIx64 " on, which are not part of it, could "
                  "not be removed: %s",
                  f->path, f->end, g_strerror(errno));
    }
}

void out_file_free(OutFile *f)
{
    if (!f) {
        return;
    }
    g_assert(!f->writing_back);
    thread_pool_free(f->background);
    if (!f->published) {
        throw_away(f);
    }
    if (f->fd >= 0) {
        close(f->fd);
    }
    g_free(f->path);
    g_free(f->dir);
    g_free(f->open_path);
    g_free(f->hidden);
    g_free(f);
}

const char *out_file_path(const OutFile *f)
{
    return f->path;
}

const char *out_file_open_path(const OutFile *f)
{
    return f->open_path;
}

const char *out_file_spool_dir(const OutFile *f)
{
    return f->is_device ? NULL : f->dir;
}

/* In the thread pool. */
static int write_back(void *opaque)
{
    OutFile *f = opaque;
    uint64_t start = f->writeback;

    /* A hint: that everything is on disk is only known after a sync. */
    return sync_file_range(f->fd, start, WRITEBACK_BYTES, SYNC_FILE_RANGE_WRITE);
}

static void coroutine_fn co_write_back(OutFile *f)
{
    if (f->writing_back || f->written - f->writeback < WRITEBACK_BYTES) {
        return;
    }
    f->writing_back = true;
    thread_pool_co_run(f->background, write_back, f);
    f->writeback += WRITEBACK_BYTES;
    f->writing_back = false;
}

bool coroutine_fn out_file_co_writev(OutFile *f, struct iovec *iov, int niov,
                                     uint64_t offset, GError **errp)
{
    while (niov > 0) {
        if (iov->iov_len == 0) {
            iov++;
            niov--;
            continue;
        }
        ssize_t n = aio_co_pwritev(f->fd, iov, niov, offset);
        if (n <= 0) {
            error_set_errno(errp, n < 0 ? -n : ENOSPC,
                            "%s: error while writing at offset 0x%" PRIx64, f->path,
                            offset);
            return false;
        }
        offset += n;
        f->written += n;
        while (niov > 0 && (size_t)n >= iov->iov_len) {
            n -= iov->iov_len;
            iov++;
            niov--;
        }
        if (niov > 0) {
            iov->iov_base = (uint8_t *)iov->iov_base + n;
            iov->iov_len -= n;
        }
    }
    co_write_back(f);
    return true;
}

bool coroutine_fn out_file_co_read(OutFile *f, void *buf, size_t bytes, uint64_t offset,
                                   GError **errp)
{
    while (bytes > 0) {
        struct iovec iov = { buf, bytes };
        ssize_t n = aio_co_preadv(f->fd, &iov, 1, offset);

        if (n <= 0) {
            error_set_errno(errp, n < 0 ? -n : EIO,
                            "%s: error while reading at offset 0x%" PRIx64, f->path,
                            offset);
            return false;
        }
        buf = (uint8_t *)buf + n;
        offset += n;
        bytes -= n;
    }
    return true;
}

bool coroutine_fn out_file_co_sync(OutFile *f, GError **errp)
{
    int ret = aio_co_fdatasync(f->fd);

    if (ret < 0) {
        error_set_errno(errp, -ret, "%s: error while flushing", f->path);
        return false;
    }
    return true;
}

bool coroutine_fn out_file_co_order(OutFile *f, GError **errp)
{
    return !f->in_place || out_file_co_sync(f, errp);
}

/* An unnamed file gets a hidden name: it can only be put in another's place by its
 * name. */
static bool give_hidden_name(OutFile *f)
{
    for (int i = 0; i < NAME_TRIES; i++) {
        g_autofree char *name = hidden_name(f);

        if (linkat(AT_FDCWD, f->open_path, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0) {
            f->hidden = g_steal_pointer(&name);
            unfinished_set(f->hidden);
            return true;
        }
        if (errno != EEXIST) {
            break;
        }
    }
    return false;
}

/* The folder's entry, too, is on stable storage.  Filesystems that cannot sync a folder
 * do without. */
static void sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

bool out_file_publish(OutFile *f, GError **errp)
{
    if (!f->in_place) {
        if (!f->hidden && linkat(AT_FDCWD, f->open_path, AT_FDCWD, f->path,
                                 AT_SYMLINK_FOLLOW) == 0) {
            f->published = true;
        } else if ((!f->hidden && !give_hidden_name(f)) ||
                   rename(f->hidden, f->path) < 0) {
            error_set_errno(errp, errno, "Could not create '%s'", f->path);
            return false;
        }
        unfinished_set(NULL);
        sync_dir(f->dir);
    }
    f->published = true;
    return true;
}
