#include "util/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/error.h"

enum { TAIL_BYTES = 256 << 10 };

struct Spool {
    char *dir;
    int fd;
    uint64_t written;           /* bytes of the file; the tail follows */
    uint8_t *tail;              /* TAIL_BYTES of room, allocated when first needed */
    size_t tail_used;
};

/* Not every filesystem can make files without a name. */
static int open_and_unlink(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "embr-XXXXXX", NULL);
    int fd = mkostemp(path, O_CLOEXEC);

    if (fd >= 0) {
        unlink(path);
    }
    return fd;
}

Spool *spool_new(const char *dir, GError **errp)
{
    int fd;

    dir = dir ? dir : g_get_tmp_dir();
    fd = open(dir, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        fd = open_and_unlink(dir);
    }
    if (fd < 0) {
        error_set_errno(errp, errno, "cannot make a temporary file in %s", dir);
        return NULL;
    }
    Spool *s = g_new0(Spool, 1);
    s->dir = g_strdup(dir);
    s->fd = fd;
    return s;
}

void spool_free(Spool *s)
{
    if (!s) {
        return;
    }
    close(s->fd);
    g_free(s->tail);
    g_free(s->dir);
    g_free(s);
}

uint64_t spool_size(const Spool *s)
{
    return s->written + s->tail_used;
}

static bool write_file(Spool *s, uint64_t offset, const uint8_t *data, size_t len,
                       GError **errp)
{
    while (len > 0) {
        ssize_t n = pwrite(s->fd, data, len, (off_t)offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            error_set_errno(errp, n < 0 ? errno : ENOSPC,
                            "cannot write to a temporary file in %s", s->dir);
            return false;
        }
        data += n;
        offset += n;
        len -= n;
    }
    s->written = MAX(s->written, offset);
    return true;
}

static bool flush(Spool *s, GError **errp)
{
    if (!write_file(s, s->written, s->tail, s->tail_used, errp)) {
        return false;
    }
    s->tail_used = 0;
    return true;
}

static bool check_fits(const Spool *s, uint64_t offset, size_t len, GError **errp)
{
    if (offset > INT64_MAX || len > INT64_MAX - offset) {
        error_set_errno(errp, EFBIG, "cannot write to a temporary file in %s", s->dir);
        return false;
    }
    return true;
}

bool spool_append(Spool *s, const void *data, size_t len, uint64_t *offset,
                  GError **errp)
{
    uint64_t at = spool_size(s);

    if (!check_fits(s, at, len, errp)) {
        return false;
    }
    if (len > TAIL_BYTES - s->tail_used && !flush(s, errp)) {
        return false;
    }
    if (len >= TAIL_BYTES) {
        if (!write_file(s, at, data, len, errp)) {
            return false;
        }
    } else if (len > 0) {
        if (!s->tail) {
            s->tail = g_malloc(TAIL_BYTES);
        }
        memcpy(s->tail + s->tail_used, data, len);
        s->tail_used += len;
    }
    if (offset) {
        *offset = at;
    }
    return true;
}

bool spool_write(Spool *s, uint64_t offset, const void *data, size_t len, GError **errp)
{
    if (len == 0) {
        return true;
    }
    if (!check_fits(s, offset, len, errp)) {
        return false;
    }
    if (offset + len > s->written && !flush(s, errp)) {
        return false;
    }
    return write_file(s, offset, data, len, errp);
}

static bool read_file(Spool *s, uint64_t offset, uint8_t *data, size_t len,
                      GError **errp)
{
    while (len > 0) {
        ssize_t n = pread(s->fd, data, len, (off_t)offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            error_set_errno(errp, n < 0 ? errno : EIO,
                            "cannot read from a temporary file in %s", s->dir);
            return false;
        }
        data += n;
        offset += n;
        len -= n;
    }
    return true;
}

bool spool_read(Spool *s, uint64_t offset, void *data, size_t len, GError **errp)
{
    uint64_t size = spool_size(s);

    if (offset > size || len > size - offset) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "temporary file in %s: %zu bytes at offset %" PRIu64
                    " are past its end (%" PRIu64 ")",
                    s->dir, len, offset, size);
        return false;
    }
    if (offset >= s->written) {
        if (len > 0) {
            memcpy(data, s->tail + (offset - s->written), len);
        }
        return true;
    }
    if (offset + len > s->written && !flush(s, errp)) {
        return false;
    }
    return read_file(s, offset, data, len, errp);
}
