/* Files into a pax archive. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "extract.h"
#include "fd-writer.h"
#include "fd.h"
#include "tar-header.h"
#include "util/units.h"

typedef struct TarTarget {
    ExtractTarget base;
    char *name; /* for messages */
    int fd;
    bool owned; /* a file that this made, or emptied */
    FdWriter *writer;
    uint64_t bytes; /* of the archive so far */
} TarTarget;

static bool coroutine_fn put(TarTarget *t, const void *data, size_t len, GError **errp)
{
    t->bytes += len;
    return fd_writer_co_put(t->writer, data, len, errp);
}

static bool coroutine_fn put_zeroes(TarTarget *t, size_t len, GError **errp)
{
    g_autofree uint8_t *zeroes = g_malloc0(len);

    return put(t, zeroes, len, errp);
}

static bool coroutine_fn put_content(uint64_t offset, const uint8_t *data, size_t len,
                                     void *opaque, GError **errp)
{
    return put(opaque, data, len, errp);
}

static void report_left_out(TarTarget *t, const ExtractFile *file)
{
    for (guint i = 0; file->xattrs && i < file->xattrs->len; i++) {
        const FsXattr *xattr = g_ptr_array_index(file->xattrs, i);

        if (!tar_can_carry_xattr(xattr)) {
            extract_problem(&t->base, file->path,
                            "attribute '%s' cannot be told to tar; it is left out",
                            xattr->name);
        }
    }
}

static bool coroutine_fn tar_co_add(ExtractTarget *target, const ExtractFile *file,
                                    GError **errp)
{
    TarTarget *t = (TarTarget *)target;
    g_autoptr(GString) header = g_string_new(NULL);
    uint64_t payload, written;

    if (S_ISSOCK(file->stat.mode)) {
        extract_note(file->path, "sockets cannot be told to tar; it is left out");
        return true;
    }
    report_left_out(t, file);
    tar_append_header(header, file, &payload, &written);
    if (!put(t, header->str, header->len, errp)) {
        return false;
    }
    if (payload > written && !extract_co_content(target, file, put_content, t, errp)) {
        return false;
    }
    return put_zeroes(t, -payload % TAR_BLOCK_BYTES, errp);
}

/* Two blocks of zeroes, and as many more as make whole records. */
static bool coroutine_fn tar_co_finish(ExtractTarget *target, GError **errp)
{
    TarTarget *t = (TarTarget *)target;
    size_t end = 2 * TAR_BLOCK_BYTES;

    end += TAR_RECORD_BYTES - (t->bytes + end - 1) % TAR_RECORD_BYTES - 1;
    if (!put_zeroes(t, end, errp) || !fd_writer_co_flush(t->writer, errp)) {
        return false;
    }
    if (t->owned) {
        int fd = t->fd;

        t->fd = -1;
        if (close(fd) < 0) {
            error_set_errno(errp, errno, "cannot write to %s", t->name);
            return false;
        }
    }
    return true;
}

static void coroutine_fn tar_co_free(ExtractTarget *target, bool complete)
{
    TarTarget *t = (TarTarget *)target;
    struct stat st;

    fd_writer_co_free(t->writer);
    if (t->owned && t->fd >= 0) {
        close(t->fd);
    }
    if (t->owned && !complete && stat(t->name, &st) == 0 && S_ISREG(st.st_mode)) {
        unlink(t->name);
    }
    g_free(t->name);
    g_free(t);
}

static const ExtractOps tar_ops = {
    .co_add = tar_co_add,
    .co_finish = tar_co_finish,
    .co_free = tar_co_free,
};

ExtractTarget *extract_tar_new(const char *name, GError **errp)
{
    int fd = name ? open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)
                  : STDOUT_FILENO;

    if (fd < 0) {
        error_set_errno(errp, errno, "cannot create %s", name);
        return NULL;
    }
    if (isatty(fd)) {
        g_set_error(
            errp, EMBR_ERROR, EMBR_ERROR_INVALID,
            "an archive is not written to a terminal; -o FILE or a pipe takes it");
        if (name) {
            close(fd);
        }
        return NULL;
    }

    fd_enlarge_pipe(fd);

    TarTarget *t = g_new0(TarTarget, 1);
    t->base.ops = &tar_ops;
    t->name = g_strdup(name ?: "standard output");
    t->fd = fd;
    t->owned = name != NULL;
    t->writer = fd_writer_new(fd, t->name);
    return &t->base;
}
