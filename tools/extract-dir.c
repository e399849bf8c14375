/*
 * Files into a directory.
 *
 * Nothing that an image says may lead out of it.  Every object is made in a directory
 * that is held open, by a name without '/', and without following or replacing what is
 * there already; directories are entered without following symbolic links.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "extract.h"
#include "fs/walk.h"

/* A directory whose children are being made.  What it is like is set at the end, so
 * that making them neither fails nor shows. */
typedef struct OpenDir {
    int fd;
    char *path; /* "" for the target itself */
    FsStat stat;
    GPtrArray *xattrs; /* NULL: left as it is */
} OpenDir;

typedef struct DirTarget {
    ExtractTarget base;
    char *name;
    bool is_root;    /* may give files to others */
    GPtrArray *dirs; /* of OpenDir *, from the target itself down */
} DirTarget;

static void open_dir_free(gpointer data)
{
    OpenDir *dir = data;

    close(dir->fd);
    g_free(dir->path);
    g_clear_pointer(&dir->xattrs, g_ptr_array_unref);
    g_free(dir);
}

static void push_dir(DirTarget *t, int fd, const char *path)
{
    OpenDir *dir = g_new0(OpenDir, 1);

    dir->fd = fd;
    dir->path = g_strdup(path);
    g_ptr_array_add(t->dirs, dir);
}

static OpenDir *top_dir(const DirTarget *t)
{
    return g_ptr_array_index(t->dirs, t->dirs->len - 1);
}

static void problem(DirTarget *t, const char *path, const char *what)
{
    extract_problem(&t->base, path, "cannot %s: %s", what, g_strerror(errno));
}

/* Set-ID bits are kept only for the owner they were meant for. */
static mode_t allowed_mode(DirTarget *t, const char *path, const FsStat *want,
                           const struct stat *got)
{
    mode_t mode = want->mode & 07777;

    if ((mode & S_ISUID) && got->st_uid != want->uid) {
        extract_note(path, "belongs to another user; the set-user-ID bit is left out");
        mode &= ~S_ISUID;
    }
    if ((mode & S_ISGID) && got->st_gid != want->gid) {
        extract_note(path,
                     "belongs to another group; the set-group-ID bit is left out");
        mode &= ~S_ISGID;
    }
    return mode;
}

/* Without privileges the others would be refused for certain. */
static bool may_set_xattr(const DirTarget *t, const char *name)
{
    return t->is_root || g_str_has_prefix(name, "user.") ||
           g_str_has_prefix(name, "system.posix_acl_");
}

/* Of the open file fd, or, if that is -1, of what is called name in the directory dir.
 */
static void set_xattrs(DirTarget *t, const char *path, int fd, int dir,
                       const char *name, const GPtrArray *xattrs)
{
    g_autofree char *there = g_strdup_printf("/proc/self/fd/%d/%s", dir, name);

    for (guint i = 0; xattrs && i < xattrs->len; i++) {
        const FsXattr *xattr = g_ptr_array_index(xattrs, i);
        gsize len;
        const void *value = g_bytes_get_data(xattr->value, &len);

        if (!may_set_xattr(t, xattr->name)) {
            continue;
        }
        if ((fd >= 0 ? fsetxattr(fd, xattr->name, value, len, 0)
                     : lsetxattr(there, xattr->name, value, len, 0)) < 0) {
            g_autofree char *what = g_strdup_printf("set attribute '%s'", xattr->name);
            problem(t, path, what);
        }
    }
}

static void times_of(const FsStat *st, struct timespec times[2])
{
    times[0] = (struct timespec){.tv_sec = st->atime.sec, .tv_nsec = st->atime.nsec};
    times[1] = (struct timespec){.tv_sec = st->mtime.sec, .tv_nsec = st->mtime.nsec};
}

/* Owner, mode, attributes (capabilities do not outlive a change of owner), times. */
static void set_metadata(DirTarget *t, const char *path, int fd, const FsStat *st,
                         const GPtrArray *xattrs)
{
    struct timespec times[2];
    struct stat got;

    if (t->is_root && fchown(fd, st->uid, st->gid) < 0) {
        problem(t, path, "set its owner");
    }
    if (fstat(fd, &got) < 0 || fchmod(fd, allowed_mode(t, path, st, &got)) < 0) {
        problem(t, path, "set its mode");
    }
    set_xattrs(t, path, fd, -1, "", xattrs);
    times_of(st, times);
    if (futimens(fd, times) < 0) {
        problem(t, path, "set its times");
    }
}

/* The same of what cannot be opened: links, devices, pipes, sockets. */
static void set_metadata_at(DirTarget *t, const ExtractFile *file, int dir,
                            const char *name)
{
    const FsStat *st = &file->stat;
    struct timespec times[2];

    if (t->is_root && fchownat(dir, name, st->uid, st->gid, AT_SYMLINK_NOFOLLOW) < 0) {
        problem(t, file->path, "set its owner");
    }
    set_xattrs(t, file->path, -1, dir, name, file->xattrs);
    times_of(st, times);
    if (utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0) {
        problem(t, file->path, "set its times");
    }
}

static void pop_dir(DirTarget *t)
{
    OpenDir *dir = top_dir(t);

    if (dir->xattrs) {
        set_metadata(t, *dir->path ? dir->path : ".", dir->fd, &dir->stat, dir->xattrs);
    }
    g_ptr_array_set_size(t->dirs, t->dirs->len - 1);
}

/* "" of "etc", "etc" of "etc/passwd" */
static char *parent_path(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? g_strndup(path, slash - path) : g_strdup("");
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* The directory of that path, which is open; -1 if it could not be made. */
static int leave_until(DirTarget *t, const char *path)
{
    while (t->dirs->len > 1 && strcmp(top_dir(t)->path, path) != 0) {
        const OpenDir *dir = top_dir(t);
        size_t len = strlen(dir->path);

        if (!strncmp(dir->path, path, len) && path[len] == '/') {
            return -1; /* is inside this one: its own parent is missing */
        }
        pop_dir(t);
    }
    return strcmp(top_dir(t)->path, path) ? -1 : top_dir(t)->fd;
}

/* A directory below the target, entered part by part; -1 with errno. */
static int open_below(const DirTarget *t, const char *path)
{
    const OpenDir *root = g_ptr_array_index(t->dirs, 0);
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    int fd = openat(root->fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    for (char **part = parts; fd >= 0 && *part; part++) {
        int next = openat(fd, *part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int err = errno;

        close(fd);
        errno = err;
        fd = next;
    }
    return fd;
}

static void make_link(DirTarget *t, const ExtractFile *file, int dir)
{
    g_autofree char *parent = parent_path(file->link);
    int from = open_below(t, parent);

    if (from < 0 ||
        linkat(from, base_name(file->link), dir, base_name(file->path), 0) < 0) {
        g_autofree char *what = g_strdup_printf("link it to '%s'", file->link);
        problem(t, file->path, what);
    }
    if (from >= 0) {
        close(from);
    }
}

/* The target itself, if the start has no name. */
static void keep_metadata(OpenDir *dir, const ExtractFile *file)
{
    if (file->fs) {
        dir->stat = file->stat;
        dir->xattrs = g_ptr_array_ref(file->xattrs);
    }
}

static void make_directory(DirTarget *t, const ExtractFile *file, int dir)
{
    const char *base = base_name(file->path);
    int fd = -1;

    if (mkdirat(dir, base, file->fs ? 0700 : 0755) == 0 || errno == EEXIST) {
        fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0) {
        problem(t, file->path, "make the directory");
        return;
    }
    push_dir(t, fd, file->path);
    keep_metadata(top_dir(t), file);
}

typedef struct FileWriter {
    DirTarget *t;
    const ExtractFile *file;
    int fd;
} FileWriter;

static bool is_fatal(int err)
{
    return err == ENOSPC || err == EDQUOT || err == EIO;
}

static bool write_at(uint64_t offset, const uint8_t *data, size_t len, void *opaque,
                     GError **errp)
{
    const FileWriter *w = opaque;

    while (len) {
        ssize_t n = pwrite(w->fd, data, len, offset);

        if (n < 0 && errno != EINTR) {
            error_set_errno(errp, errno, "cannot write to %s/%s", w->t->name,
                            w->file->path);
            return false;
        }
        if (n > 0) {
            data += n;
            len -= n;
            offset += n;
        }
    }
    return true;
}

static bool coroutine_fn co_make_file(DirTarget *t, const ExtractFile *file, int dir,
                                      GError **errp)
{
    FileWriter w = {t, file, -1};

    w.fd = openat(dir, base_name(file->path),
                  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (w.fd < 0) {
        if (is_fatal(errno)) {
            error_set_errno(errp, errno, "cannot create %s/%s", t->name, file->path);
            return false;
        }
        problem(t, file->path, "create the file");
        return true;
    }

    bool ok = true;
    if (ftruncate(w.fd, file->stat.size) < 0) {
        problem(t, file->path, "make it that long");
    } else {
        ok = extract_co_content(&t->base, file, write_at, &w, errp);
    }
    if (ok) {
        set_metadata(t, file->path, w.fd, &file->stat, file->xattrs);
    }
    if (close(w.fd) < 0 && ok) {
        problem(t, file->path, "write it");
    }
    return ok;
}

static void make_symlink(DirTarget *t, const ExtractFile *file, int dir)
{
    if (symlinkat(file->target, dir, base_name(file->path)) < 0) {
        problem(t, file->path, "make the symbolic link");
        return;
    }
    set_metadata_at(t, file, dir, base_name(file->path));
}

static void make_special(DirTarget *t, const ExtractFile *file, int dir)
{
    const FsStat *st = &file->stat;
    const dev_t device = S_ISCHR(st->mode) || S_ISBLK(st->mode)
                             ? makedev(st->rdev_major, st->rdev_minor)
                             : 0;

    if (mknodat(dir, base_name(file->path), st->mode & ~(mode_t)(S_ISUID | S_ISGID),
                device) < 0) {
        problem(t, file->path, "make the device, pipe or socket");
        return;
    }
    set_metadata_at(t, file, dir, base_name(file->path));
}

static bool coroutine_fn dir_co_add(ExtractTarget *target, const ExtractFile *file,
                                    GError **errp)
{
    DirTarget *t = (DirTarget *)target;
    g_autofree char *parent = parent_path(file->path);

    if (!strcmp(file->path, ".")) {
        keep_metadata(top_dir(t), file);
        return true;
    }

    int dir = leave_until(t, parent);
    if (dir < 0) {
        return true; /* what went wrong with its parent has been said */
    }
    if (file->link) {
        make_link(t, file, dir);
    } else if (S_ISDIR(file->stat.mode)) {
        make_directory(t, file, dir);
    } else if (S_ISREG(file->stat.mode)) {
        return co_make_file(t, file, dir, errp);
    } else if (S_ISLNK(file->stat.mode)) {
        make_symlink(t, file, dir);
    } else {
        make_special(t, file, dir);
    }
    return true;
}

static bool coroutine_fn dir_co_finish(ExtractTarget *target, GError **errp)
{
    DirTarget *t = (DirTarget *)target;

    while (t->dirs->len) {
        pop_dir(t);
    }
    return true;
}

/* What was extracted stays, as after tar -x. */
static void coroutine_fn dir_co_free(ExtractTarget *target, bool complete)
{
    DirTarget *t = (DirTarget *)target;

    g_ptr_array_unref(t->dirs);
    g_free(t->name);
    g_free(t);
}

static const ExtractOps dir_ops = {
    .co_add = dir_co_add,
    .co_finish = dir_co_finish,
    .co_free = dir_co_free,
};

/* A file descriptor is kept for each level of the tree. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur < 2 * FS_WALK_MAX_DEPTH) {
        limit.rlim_cur = MIN(limit.rlim_max, 2 * FS_WALK_MAX_DEPTH);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

ExtractTarget *extract_dir_new(const char *name, GError **errp)
{
    int fd = -1;

    if (mkdir(name, 0777) == 0 || errno == EEXIST) {
        fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0) {
        error_set_errno(errp, errno, "cannot use %s as a directory", name);
        return NULL;
    }
    raise_file_limit();
    umask(0);

    DirTarget *t = g_new0(DirTarget, 1);
    t->base.ops = &dir_ops;
    t->name = g_strdup(name);
    t->is_root = geteuid() == 0;
    t->dirs = g_ptr_array_new_with_free_func(open_dir_free);
    push_dir(t, fd, "");
    return &t->base;
}
