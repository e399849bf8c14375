#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { PIPE_BYTES = 1024 * 1024 };

bool fd_write_all(int fd, const void *data, size_t len, const char *name, GError **errp)
{
    const uint8_t *p = data;

    while (len) {
        ssize_t n = write(fd, p, len);

        if (n < 0 && errno != EINTR) {
            error_set_errno(errp, errno, "cannot write to %s", name);
            return false;
        }
        if (n > 0) {
            p += n;
            len -= n;
        }
    }
    return true;
}

bool fd_read_some(int fd, void *data, size_t len, const char *name, size_t *got,
                  GError **errp)
{
    uint8_t *p = data;
    ssize_t n = 1;

    *got = 0;
    while (*got < len && n != 0) {
        n = read(fd, p + *got, len - *got);
        if (n < 0 && errno != EINTR) {
            error_set_errno(errp, errno, "cannot read %s", name);
            return false;
        }
        *got += MAX(n, 0);
    }
    return true;
}

/* What is no pipe, and what is too much for this user, is refused, and stays as it is. */
void fd_enlarge_pipe(int fd)
{
    int bytes = fcntl(fd, F_GETPIPE_SZ);

    if (bytes >= 0 && bytes < PIPE_BYTES) {
        fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
    }
}
