/*
 * file: regular files and block devices of the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "block/file-int.h"

enum {
    DIRECT_ALIGNMENT_DEFAULT = 4096,    /* where the kernel does not say */
    MAX_TRANSFER_BYTES = 1 << 30,
    ALLOCATE_BYTES_MIN = 256 << 10,     /* of a first write: see co_allocate_first() */
};

typedef struct FileState {
    int fd;
    bool is_device;
    bool no_zero_range;         /* the filesystem has said so */
    bool no_punch_hole;
    bool no_seek_data;
    bool no_locks;
    bool allocates_first;       /* space for large first writes is asked for beforehand */
    /* What SEEK_DATA and SEEK_HOLE last said: [extent_start, extent_end) is of one
     * kind.  Empty: not known. */
    int64_t extent_start;
    int64_t extent_end;
    bool extent_is_data;
} FileState;

static void forget_extent(FileState *s)
{
    s->extent_start = s->extent_end = 0;
}

static void note_io_error(BlockDriverState *bs, const char *what, int64_t offset,
                          int64_t bytes, int err)
{
    GError *error = NULL;

    error_set_errno(&error, err, "%s: %s %" G_GINT64_FORMAT " bytes at offset 0x%"
                    G_GINT64_MODIFIER "x", bs->filename, what, bytes, offset);
    bdrv_note_error(bs, error);
}

bool file_open_descriptor(const char *path, int open_flags, int *fd, struct stat *st,
                          GError **errp)
{
    /* O_NONBLOCK: the open of a fifo must not wait for its other end. */
    *fd = open(path, open_flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);
    if (*fd < 0 || fstat(*fd, st) < 0) {
        error_set_errno(errp, errno, "'%s'", path);
        return false;
    }
    if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s': 'file' driver requires '%s' to be a regular file", path, path);
        return false;
    }
    return true;
}

bool file_device_length(int fd, const char *path, int64_t *length, GError **errp)
{
    uint64_t bytes = 0;

    if (ioctl(fd, BLKGETSIZE64, &bytes) < 0) {
        error_set_errno(errp, errno, "'%s': cannot tell the size of the device", path);
        return false;
    }
    *length = MIN(bytes, (uint64_t)G_MAXINT64);
    return true;
}

/* What O_DIRECT asks of offsets, lengths and memory. */
static void set_direct_limits(FileState *s, BlockLimits *limits)
{
    int sector = 0;

    limits->request_alignment = DIRECT_ALIGNMENT_DEFAULT;
    limits->buffer_alignment = DIRECT_ALIGNMENT_DEFAULT;
#ifdef STATX_DIOALIGN
    struct statx stx;
    if (statx(s->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
        (stx.stx_mask & STATX_DIOALIGN) && is_pow2(stx.stx_dio_offset_align) &&
        is_pow2(stx.stx_dio_mem_align)) {
        limits->request_alignment = stx.stx_dio_offset_align;
        limits->buffer_alignment = stx.stx_dio_mem_align;
        return;
    }
#endif
    if (s->is_device && ioctl(s->fd, BLKSSZGET, &sector) == 0 && is_pow2(sector)) {
        limits->request_alignment = sector;
    }
}

static bool is_on_ext4(int fd)
{
    struct statfs fs;

    return fstatfs(fd, &fs) == 0 && fs.f_type == EXT4_SUPER_MAGIC;
}

static bool is_write_refused(const GError *error)
{
    return g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_ACCES) ||
           g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_PERM) ||
           g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_ROFS);
}

/* For writing if that is wanted and allowed; for reading only, if that will do. */
static bool open_as_allowed(BlockDriverState *bs, int open_flags, struct stat *st,
                            GError **errp)
{
    FileState *s = bs->opaque;
    g_autoptr(GError) error = NULL;

    if (file_open_descriptor(bs->filename, open_flags, &s->fd, st, &error)) {
        return true;
    }
    if ((bs->open_flags & BDRV_O_RDWR) && (bs->open_flags & BDRV_O_AUTO_RDONLY) &&
        is_write_refused(error)) {
        bs->open_flags &= ~BDRV_O_RDWR;
        return file_open_descriptor(bs->filename, (open_flags & ~O_ACCMODE) | O_RDONLY,
                                    &s->fd, st, errp);
    }
    g_propagate_error(errp, g_steal_pointer(&error));
    return false;
}

static bool is_host_device(const BlockDriverState *bs)
{
    return strcmp(bdrv_format_name(bs), "host_device") == 0;
}

static int coroutine_fn file_co_open(BlockDriverState *bs, const BlockdevOptions *options,
                                     int flags, GError **errp)
{
    FileState *s = bs->opaque;
    struct stat st;
    int open_flags = flags & BDRV_O_RDWR ? O_RDWR : O_RDONLY;

    if (flags & BDRV_O_NOCACHE) {
        open_flags |= O_DIRECT;
    }
    if (!open_as_allowed(bs, open_flags, &st, errp)) {
        return -EINVAL;
    }
    s->is_device = S_ISBLK(st.st_mode);
    s->no_locks = options && options->u.file.has_locking &&
                  options->u.file.locking == ON_OFF_AUTO_OFF;
    if (is_host_device(bs) && !s->is_device) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'host_device' driver requires '%s' to be either a character or block "
                    "device", bs->filename);
        return -EINVAL;
    }
    bs->total_bytes = st.st_size;
    if (s->is_device && !file_device_length(s->fd, bs->filename, &bs->total_bytes, errp)) {
        return -EINVAL;
    }
    s->allocates_first = !s->is_device && !(flags & BDRV_O_NOCACHE) && is_on_ext4(s->fd);
    bdrv_stat_identity(&st, &bs->identity);
    bs->limits.max_transfer = MAX_TRANSFER_BYTES;
    if (flags & BDRV_O_NOCACHE) {
        set_direct_limits(s, &bs->limits);
    }
    return 0;
}

static void file_close(BlockDriverState *bs)
{
    FileState *s = bs->opaque;

    if (s->fd >= 0) {
        close(s->fd);
    }
}

typedef ssize_t coroutine_fn TransferFunc(int fd, const struct iovec *iov, int niov,
                                          int64_t offset);

/* Moves [offset, offset + bytes) with as many calls as it takes.  *done: how far
 * it came; short of bytes without an error at the end of the file only. */
static int coroutine_fn transfer(int fd, TransferFunc *func, int64_t offset, int64_t bytes,
                                 const IOVector *iov, size_t iov_offset, int64_t *done)
{
    int ret = 0;

    *done = 0;
    while (*done < bytes) {
        g_auto(IOVector) part = { 0 };
        const IOVector *v = iov;

        if (iov_offset + *done > 0 || iov->size != (size_t)bytes) {
            iovector_init_slice(&part, iov, iov_offset + *done, bytes - *done);
            v = &part;
        }
        ssize_t n = func(fd, v->iov, MIN(v->niov, IOV_MAX), offset + *done);
        if (n <= 0) {
            ret = n;
            break;
        }
        *done += n;
    }
    return ret;
}

static int coroutine_fn file_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                       const IOVector *iov, size_t iov_offset,
                                       BdrvRequestFlags flags)
{
    FileState *s = bs->opaque;
    int64_t done;
    int ret = transfer(s->fd, aio_co_preadv, offset, bytes, iov, iov_offset, &done);

    if (ret < 0) {
        note_io_error(bs, "cannot read", offset, bytes, -ret);
        return ret;
    }
    if (done < bytes) {
        iovector_memset(iov, iov_offset + done, 0, bytes - done);
    }
    return 0;
}

/* ext4 takes half the time for what it has space for already, since it need not see to
 * every block on its own.  If there is no space the write will say so. */
static void coroutine_fn co_allocate_first(FileState *s, int64_t offset, int64_t bytes)
{
    if (s->allocates_first && bytes >= ALLOCATE_BYTES_MIN &&
        aio_co_fallocate(s->fd, 0, offset, bytes) < 0) {
        s->allocates_first = false;
    }
}

static int coroutine_fn file_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                        const IOVector *iov, size_t iov_offset,
                                        BdrvRequestFlags flags)
{
    FileState *s = bs->opaque;
    int64_t done;

    if (flags & BDRV_REQ_WRITE_COMPRESSED) {
        return -ENOTSUP;
    }
    if (flags & BDRV_REQ_FIRST_WRITE) {
        co_allocate_first(s, offset, bytes);
    }
    int ret = transfer(s->fd, aio_co_pwritev, offset, bytes, iov, iov_offset, &done);
    forget_extent(s);
    if (ret == 0 && done < bytes) {
        ret = -ENOSPC;
    }
    if (ret < 0) {
        note_io_error(bs, "cannot write", offset, bytes, -ret);
    }
    return ret;
}

static bool is_not_supported(int ret)
{
    return ret == -EOPNOTSUPP || ret == -ENOSYS || ret == -EINVAL || ret == -ENODEV ||
           ret == -ENOTTY;
}

/* A hole is as good as zeroes.  It does not make the file longer. */
static int coroutine_fn file_co_punch_hole(BlockDriverState *bs, int64_t offset,
                                           int64_t bytes)
{
    FileState *s = bs->opaque;

    if (s->no_punch_hole) {
        return -ENOTSUP;
    }
    int ret = aio_co_fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                               bytes);
    if (is_not_supported(ret)) {
        s->no_punch_hole = true;
        return -ENOTSUP;
    }
    return ret;
}

static int coroutine_fn file_co_zero_range(BlockDriverState *bs, int64_t offset,
                                           int64_t bytes)
{
    FileState *s = bs->opaque;

    if (s->no_zero_range) {
        return -ENOTSUP;
    }
    int ret = aio_co_fallocate(s->fd, FALLOC_FL_ZERO_RANGE, offset, bytes);
    if (is_not_supported(ret)) {
        s->no_zero_range = true;
        return -ENOTSUP;
    }
    return ret;
}

static int coroutine_fn file_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset,
                                              int64_t bytes, BdrvRequestFlags flags)
{
    FileState *s = bs->opaque;
    bool unmap = flags & BDRV_REQ_MAY_UNMAP;
    int ret = -ENOTSUP;

    if (unmap && range_fits(offset, bytes, bs->total_bytes)) {
        ret = file_co_punch_hole(bs, offset, bytes);
    }
    if (ret == -ENOTSUP) {
        ret = file_co_zero_range(bs, offset, bytes);
    }
    forget_extent(s);
    if (ret < 0 && ret != -ENOTSUP) {
        note_io_error(bs, "cannot zero", offset, bytes, -ret);
    }
    return ret;
}

static int coroutine_fn file_co_flush(BlockDriverState *bs)
{
    FileState *s = bs->opaque;
    int ret = bdrv_wants_flush(bs) ? aio_co_fdatasync(s->fd) : 0;

    if (ret < 0) {
        GError *error = NULL;
        error_set_errno(&error, -ret, "%s: cannot flush", bs->filename);
        bdrv_note_error(bs, error);
    }
    return ret;
}

/* What does not matter any more need not take space. */
static int coroutine_fn file_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    int ret = file_co_punch_hole(bs, offset, bytes);

    forget_extent(bs->opaque);
    return ret;
}

static bool file_set_permissions(BlockDriverState *bs, unsigned used, unsigned unshared,
                                 GError **errp)
{
    FileState *s = bs->opaque;
    return s->no_locks || file_lock(s->fd, bs->filename, used, unshared, errp);
}

static int coroutine_fn file_co_truncate(BlockDriverState *bs, int64_t length,
                                         PreallocMode preallocation, GError **errp)
{
    FileState *s = bs->opaque;
    int64_t old_length = bs->total_bytes;

    forget_extent(s);
    if (s->is_device) {
        if (length <= bs->total_bytes) {
            return 0;
        }
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: a device of %" G_GINT64_FORMAT " bytes cannot grow to %"
                    G_GINT64_FORMAT, bs->filename, bs->total_bytes, length);
        return -ENOTSUP;
    }
    if (ftruncate(s->fd, length) < 0) {
        int err = errno;
        error_set_errno(errp, err, "%s: cannot set the length to %" G_GINT64_FORMAT
                        " bytes", bs->filename, length);
        return -err;
    }
    if (length > old_length &&
        !file_co_preallocate(s->fd, bs->filename, old_length, length - old_length,
                             preallocation, errp)) {
        /* What was there is all that is to be left of the attempt. */
        return ftruncate(s->fd, old_length) < 0 ? -errno : -ENOSPC;
    }
    return 0;
}

/* Finds the extent that offset lies in.  False: the filesystem does not say. */
static bool find_extent(FileState *s, int64_t offset, int64_t file_end)
{
    if (offset >= s->extent_start && offset < s->extent_end) {
        return true;
    }
    if (s->no_seek_data) {
        return false;
    }
    int64_t data = lseek(s->fd, offset, SEEK_DATA);
    if (data < 0 && errno != ENXIO) {
        s->no_seek_data = true;
        return false;
    }
    if (data != offset) {
        s->extent_is_data = false;
        s->extent_start = offset;
        s->extent_end = data > offset ? data : MAX(file_end, offset + 1);
        return true;
    }
    int64_t hole = lseek(s->fd, offset, SEEK_HOLE);
    if (hole <= offset) {
        return false;
    }
    s->extent_is_data = true;
    s->extent_start = offset;
    s->extent_end = hole;
    return true;
}

static int coroutine_fn file_co_block_status(BlockDriverState *bs, int64_t offset,
                                             int64_t bytes, int64_t *pnum, int64_t *map,
                                             BlockDriverState **file)
{
    FileState *s = bs->opaque;

    *map = offset;
    *file = bs;
    *pnum = bytes;
    if (s->is_device || !find_extent(s, offset, bs->total_bytes)) {
        return BDRV_BLOCK_DATA | BDRV_BLOCK_OFFSET_VALID;
    }
    *pnum = MIN(bytes, s->extent_end - offset);
    return (s->extent_is_data ? BDRV_BLOCK_DATA : BDRV_BLOCK_ZERO) |
           BDRV_BLOCK_OFFSET_VALID;
}

static int64_t coroutine_fn file_co_allocated_size(BlockDriverState *bs)
{
    FileState *s = bs->opaque;
    struct stat st;

    return fstat(s->fd, &st) < 0 ? -errno : (int64_t)st.st_blocks * 512;
}

static bool file_has_zero_init(BlockDriverState *bs)
{
    FileState *s = bs->opaque;
    return !s->is_device;
}

#define FILE_CALLBACKS                                                                \
    .instance_size          = sizeof(FileState),                                      \
    .bdrv_co_open           = file_co_open,                                           \
    .bdrv_close             = file_close,                                             \
    .bdrv_co_preadv         = file_co_preadv,                                         \
    .bdrv_co_pwritev        = file_co_pwritev,                                        \
    .bdrv_co_pwrite_zeroes  = file_co_pwrite_zeroes,                                  \
    .bdrv_co_flush          = file_co_flush,                                          \
    .bdrv_co_pdiscard       = file_co_pdiscard,                                       \
    .bdrv_set_permissions   = file_set_permissions,                                   \
    .bdrv_co_truncate       = file_co_truncate,                                       \
    .bdrv_co_block_status   = file_co_block_status,                                   \
    .bdrv_co_allocated_size = file_co_allocated_size,                                 \
    .bdrv_has_zero_init     = file_has_zero_init

static BlockDriver bdrv_file_driver = {
    .format_name            = "file",
    .is_protocol            = true,
    FILE_CALLBACKS,
    .bdrv_co_create         = file_co_create,
};
block_init(bdrv_file_driver)

static BlockDriver bdrv_host_device = {
    .format_name            = "host_device",
    .is_protocol            = true,
    FILE_CALLBACKS,
};
block_init(bdrv_host_device)
