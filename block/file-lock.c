/*
 * file: locks on the host's file, of which QEMU has the same meaning.
 *
 * Who does something to a file holds a shared lock on byte 100 + n, who does not want others
 * to do it one on byte 200 + n.  Nobody ever holds an exclusive lock; whether there is a
 * conflict is asked for after one's own locks are taken, so of two that begin at once at
 * least one sees the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "block/file-int.h"

enum {
    USED_BYTE = 100,
    UNSHARED_BYTE = 200,
    PERMISSIONS = 4,
};

static const char *permission_name(unsigned n)
{
    static const char *const names[PERMISSIONS] = { "consistent read", "write",
                                                    "write unchanged", "resize" };
    return names[n];
}

static int set_lock(int fd, off_t byte, short type)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
    return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* Whether another holds a lock on the byte. */
static bool is_taken(int fd, off_t byte)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte,
                          .l_len = 1 };
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static bool is_unsupported(int ret)
{
    return ret == -EINVAL || ret == -ENOSYS || ret == -ENOLCK || ret == -EOPNOTSUPP;
}

static int take_locks(int fd, off_t first, unsigned bits)
{
    int ret = 0;

    for (unsigned n = 0; n < PERMISSIONS && ret == 0; n++) {
        ret = set_lock(fd, first + n, bits >> n & 1 ? F_RDLCK : F_UNLCK);
    }
    return ret;
}

static bool refuse(const char *path, const char *shared, unsigned n, GError **errp)
{
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LOCKED,
                "Failed to get %s\"%s\" lock\nIs another process using the image [%s]?",
                shared, permission_name(n), path);
    return false;
}

static bool check_conflicts(int fd, const char *path, unsigned used, unsigned unshared,
                            GError **errp)
{
    for (unsigned n = 0; n < PERMISSIONS; n++) {
        if ((used >> n & 1) && is_taken(fd, UNSHARED_BYTE + n)) {
            return refuse(path, "", n, errp);
        }
    }
    for (unsigned n = 0; n < PERMISSIONS; n++) {
        if ((unshared >> n & 1) && is_taken(fd, USED_BYTE + n)) {
            return refuse(path, "shared ", n, errp);
        }
    }
    return true;
}

bool file_lock(int fd, const char *path, unsigned used, unsigned unshared, GError **errp)
{
    int ret = take_locks(fd, USED_BYTE, used);

    if (ret == 0) {
        ret = take_locks(fd, UNSHARED_BYTE, unshared);
    }
    if (is_unsupported(ret)) {
        return true;
    }
    if (ret < 0) {
        error_set_errno(errp, -ret, "'%s': cannot lock the file", path);
        return false;
    }
    if (check_conflicts(fd, path, used, unshared, errp)) {
        return true;
    }
    take_locks(fd, USED_BYTE, 0);
    take_locks(fd, UNSHARED_BYTE, 0);
    return false;
}
