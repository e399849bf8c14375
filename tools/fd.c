#include "fd.h"

#include <errno.h>
#include <unistd.h>

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
