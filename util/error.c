#include "util/error.h"

#include <errno.h>

G_DEFINE_QUARK(embr-error-quark, embr_error)

static const struct {
    int code;
    int err;
} file_errors[] = {
    { G_FILE_ERROR_EXIST, EEXIST },   { G_FILE_ERROR_ISDIR, EISDIR },
    { G_FILE_ERROR_ACCES, EACCES },   { G_FILE_ERROR_NAMETOOLONG, ENAMETOOLONG },
    { G_FILE_ERROR_NOENT, ENOENT },   { G_FILE_ERROR_NOTDIR, ENOTDIR },
    { G_FILE_ERROR_NXIO, ENXIO },     { G_FILE_ERROR_NODEV, ENODEV },
    { G_FILE_ERROR_ROFS, EROFS },     { G_FILE_ERROR_TXTBSY, ETXTBSY },
    { G_FILE_ERROR_FAULT, EFAULT },   { G_FILE_ERROR_LOOP, ELOOP },
    { G_FILE_ERROR_NOSPC, ENOSPC },   { G_FILE_ERROR_NOMEM, ENOMEM },
    { G_FILE_ERROR_MFILE, EMFILE },   { G_FILE_ERROR_NFILE, ENFILE },
    { G_FILE_ERROR_BADF, EBADF },     { G_FILE_ERROR_INVAL, EINVAL },
    { G_FILE_ERROR_PIPE, EPIPE },     { G_FILE_ERROR_AGAIN, EAGAIN },
    { G_FILE_ERROR_INTR, EINTR },     { G_FILE_ERROR_IO, EIO },
    { G_FILE_ERROR_PERM, EPERM },     { G_FILE_ERROR_NOSYS, ENOSYS },
};

void error_set_errno(GError **errp, int err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *prefix = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, G_FILE_ERROR, g_file_error_from_errno(err), "%s: %s", prefix,
                g_strerror(err));
}

static int embr_error_to_errno(int code)
{
    switch (code) {
    case EMBR_ERROR_NOT_FOUND:
        return -ENOENT;
    case EMBR_ERROR_CORRUPT:
        return -EIO;
    case EMBR_ERROR_UNSUPPORTED:
        return -ENOTSUP;
    case EMBR_ERROR_LIMIT:
        return -EFBIG;
    case EMBR_ERROR_BUSY:
        return -EBUSY;
    default:
        return -EINVAL;
    }
}

int error_to_errno(const GError *error)
{
    if (error->domain == EMBR_ERROR) {
        return embr_error_to_errno(error->code);
    }
    if (error->domain == G_FILE_ERROR) {
        for (size_t i = 0; i < G_N_ELEMENTS(file_errors); i++) {
            if (file_errors[i].code == error->code) {
                return -file_errors[i].err;
            }
        }
    }
    return -EIO;
}
