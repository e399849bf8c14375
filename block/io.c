/*
 * The path of a request through a node: bounds, alignment, bouncing, splitting.
 */
#include <string.h>
#include "block/block-int.h"

enum {
    BOUNCE_BYTES_MAX = 1 << 20,     /* of one bounce buffer */
    ZEROES_BYTES_MAX = 1 << 20,     /* of one write of zeroes the driver cannot do itself */
    BOUNCE_ALIGNMENT = 4096,
};

typedef struct Request {
    BlockDriverState *bs;
    const IOVector *iov;
    BdrvRequestFlags flags;
} Request;

void coroutine_fn bdrv_co_begin_request(BlockDriverState *bs)
{
    bs->in_flight++;
    co_semaphore_acquire(&bs->requests, 1);
    co_rwlock_rdlock(&bs->quiet);
}

void coroutine_fn bdrv_co_end_request(BlockDriverState *bs)
{
    co_rwlock_unlock(&bs->quiet);
    co_semaphore_release(&bs->requests, 1);
    bs->in_flight--;
}

void coroutine_fn bdrv_co_begin_alone(BlockDriverState *bs)
{
    bs->in_flight++;
    co_rwlock_wrlock(&bs->quiet);
}

void coroutine_fn bdrv_co_end_alone(BlockDriverState *bs)
{
    co_rwlock_unlock(&bs->quiet);
    bs->in_flight--;
}

static bool arguments_ok(int64_t offset, int64_t bytes, const IOVector *iov,
                         size_t iov_offset)
{
    return offset >= 0 && bytes >= 0 && bytes <= G_MAXINT64 - offset &&
           (!iov || range_fits(iov_offset, bytes, iov->size));
}

static bool buffers_aligned(const IOVector *iov, size_t offset, size_t bytes,
                            uint32_t alignment)
{
    for (int i = 0; i < iov->niov && bytes; i++) {
        size_t len = iov->iov[i].iov_len;
        if (offset >= len) {
            offset -= len;
            continue;
        }
        size_t n = MIN(len - offset, bytes);
        uintptr_t address = (uintptr_t)iov->iov[i].iov_base + offset;
        if ((address | n) & (alignment - 1)) {
            return false;
        }
        offset = 0;
        bytes -= n;
    }
    return true;
}

/* How many of the bytes at offset the driver can be given as they are; 0: none. */
static int64_t direct_bytes(const Request *r, int64_t offset, int64_t bytes,
                            size_t iov_offset)
{
    const BlockLimits *limits = &r->bs->limits;
    uint32_t align = limits->request_alignment;
    int64_t n = round_down_pow2(bytes, align);

    if (limits->max_transfer) {
        n = MIN(n, (int64_t)round_down_pow2(limits->max_transfer, align));
    }
    if (n == 0 || (offset & (align - 1))) {
        return 0;
    }
    if (limits->buffer_alignment > 1 &&
        !buffers_aligned(r->iov, iov_offset, n, limits->buffer_alignment)) {
        return 0;
    }
    return n;
}

/* A buffer for whole blocks around [offset, offset + bytes), or around its
 * beginning if that is much. */
typedef struct Bounce {
    void *buf;
    IOVector iov;
    int64_t start;          /* of the blocks */
    int64_t len;            /* of the blocks */
    size_t head;            /* bytes of the first block before offset */
    int64_t used;           /* bytes of the request inside */
} Bounce;

static bool bounce_init(Bounce *b, const BlockLimits *limits, int64_t offset,
                        int64_t bytes)
{
    uint32_t align = limits->request_alignment;
    int64_t max = MAX((int64_t)align, BOUNCE_BYTES_MAX);

    if (limits->max_transfer) {
        max = MIN(max, MAX(limits->max_transfer, (int64_t)align));
    }
    b->start = round_down_pow2(offset, align);
    b->head = offset - b->start;
    max = round_down_pow2(max, align);
    b->used = MIN(bytes, max - (int64_t)b->head);
    b->len = round_up_pow2(b->head + b->used, align);
    size_t memory_align = MAX(limits->buffer_alignment, (uint32_t)BOUNCE_ALIGNMENT);
    b->buf = aligned_alloc(memory_align, round_up_pow2(b->len, memory_align));
    if (!b->buf) {
        return false;
    }
    iovector_init_buf(&b->iov, b->buf, b->len);
    return true;
}

/* Returns the bytes read or -errno. */
static int64_t coroutine_fn read_bounced(const Request *r, int64_t offset, int64_t bytes,
                                         size_t iov_offset)
{
    Bounce b;

    if (!bounce_init(&b, &r->bs->limits, offset, bytes)) {
        return -ENOMEM;
    }
    int ret = r->bs->drv->bdrv_co_preadv(r->bs, b.start, b.len, &b.iov, 0, r->flags);
    if (ret >= 0) {
        iovector_from_buf(r->iov, iov_offset, (uint8_t *)b.buf + b.head, b.used);
    }
    free(b.buf);
    return ret < 0 ? ret : b.used;
}

static int coroutine_fn read_aligned(const Request *r, int64_t offset, int64_t bytes,
                                     size_t iov_offset)
{
    while (bytes > 0) {
        int64_t n = direct_bytes(r, offset, bytes, iov_offset);
        int ret = 0;

        if (n > 0) {
            ret = r->bs->drv->bdrv_co_preadv(r->bs, offset, n, r->iov, iov_offset,
                                             r->flags);
        } else {
            n = read_bounced(r, offset, bytes, iov_offset);
            ret = MIN(n, 0);
        }
        if (ret < 0) {
            return ret;
        }
        offset += n;
        iov_offset += n;
        bytes -= n;
    }
    return 0;
}

static int coroutine_fn co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                  const IOVector *iov, size_t iov_offset,
                                  BdrvRequestFlags flags)
{
    Request r = { .bs = bs, .iov = iov, .flags = flags };
    int64_t inside = bytes;

    if (!arguments_ok(offset, bytes, iov, iov_offset)) {
        return -EINVAL;
    }
    if (!range_fits(offset, bytes, bs->total_bytes)) {
        if (!bs->drv->is_protocol) {
            return -EINVAL;
        }
        inside = CLAMP(bs->total_bytes - offset, 0, bytes);
        iovector_memset(iov, iov_offset + inside, 0, bytes - inside);
    }
    if (inside == 0) {
        return 0;
    }
    if (!bs->drv->bdrv_co_preadv) {
        return -ENOTSUP;
    }
    bdrv_co_begin_request(bs);
    int ret = read_aligned(&r, offset, inside, iov_offset);
    bdrv_co_end_request(bs);
    return ret;
}

/*
 * Reads go down a backing chain one call inside the other.  So that no chain is
 * too long for a coroutine's stack, every so many layers go on on a new one.
 */
typedef struct ReadOnNewStack {
    BlockDriverState *bs;
    int64_t offset, bytes;
    const IOVector *iov;
    size_t iov_offset;
    BdrvRequestFlags flags;
    int ret;
    bool done;
    Coroutine *waiter;
} ReadOnNewStack;

static void coroutine_fn co_read_on_new_stack_entry(void *opaque)
{
    ReadOnNewStack *read = opaque;

    read->ret = co_preadv(read->bs, read->offset, read->bytes, read->iov, read->iov_offset,
                          read->flags);
    read->done = true;
    if (read->waiter) {
        aio_co_schedule(aio_context_current(), read->waiter);
    }
}

static int coroutine_fn co_read_on_new_stack(ReadOnNewStack *read)
{
    coroutine_enter(coroutine_create(co_read_on_new_stack_entry, read));
    while (!read->done) {
        read->waiter = coroutine_self();
        coroutine_yield();
    }
    return read->ret;
}

int coroutine_fn bdrv_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                const IOVector *iov, size_t iov_offset,
                                BdrvRequestFlags flags)
{
    if (bs->new_stack) {
        ReadOnNewStack read = { .bs = bs, .offset = offset, .bytes = bytes, .iov = iov,
                                .iov_offset = iov_offset, .flags = flags };
        return co_read_on_new_stack(&read);
    }
    return co_preadv(bs, offset, bytes, iov, iov_offset, flags);
}

/* Fills the parts of the first and last block that a write leaves as they are. */
static int coroutine_fn read_edges(BlockDriverState *bs, const Bounce *b)
{
    uint32_t align = bs->limits.request_alignment;
    int64_t last = b->len - align;
    size_t tail = b->len - b->head - b->used;
    int ret = 0;

    if (b->head || (tail && last == 0)) {
        bdrv_co_debug_event(bs, BLKDEBUG_EVENT_PWRITEV_RMW_HEAD);
        ret = bs->drv->bdrv_co_preadv(bs, b->start, align, &b->iov, 0, 0);
    }
    if (ret >= 0 && tail && last > 0) {
        bdrv_co_debug_event(bs, BLKDEBUG_EVENT_PWRITEV_RMW_TAIL);
        ret = bs->drv->bdrv_co_preadv(bs, b->start + last, align, &b->iov, last, 0);
    }
    return ret;
}

/* Returns the bytes written or -errno. */
static int64_t coroutine_fn write_bounced(const Request *r, int64_t offset, int64_t bytes,
                                          size_t iov_offset)
{
    BlockDriverState *bs = r->bs;
    Bounce b;

    if (!bounce_init(&b, &bs->limits, offset, bytes)) {
        return -ENOMEM;
    }
    int ret = read_edges(bs, &b);
    if (ret >= 0) {
        iovector_to_buf(r->iov, iov_offset, (uint8_t *)b.buf + b.head, b.used);
        ret = bs->drv->bdrv_co_pwritev(bs, b.start, b.len, &b.iov, 0, r->flags);
    }
    int64_t end = MAX(bs->total_bytes, offset + b.used);
    if (ret >= 0 && b.start + b.len > end && bs->drv->bdrv_co_truncate) {
        ret = bs->drv->bdrv_co_truncate(bs, end, PREALLOC_MODE_OFF, NULL);
    }
    free(b.buf);
    return ret < 0 ? ret : b.used;
}

static int coroutine_fn write_aligned(const Request *r, int64_t offset, int64_t bytes,
                                      size_t iov_offset)
{
    while (bytes > 0) {
        int64_t n = direct_bytes(r, offset, bytes, iov_offset);
        int ret = 0;

        if (n > 0) {
            ret = r->bs->drv->bdrv_co_pwritev(r->bs, offset, n, r->iov, iov_offset,
                                              r->flags);
        } else {
            n = write_bounced(r, offset, bytes, iov_offset);
            ret = MIN(n, 0);
        }
        if (ret < 0) {
            return ret;
        }
        offset += n;
        iov_offset += n;
        bytes -= n;
        r->bs->total_bytes = MAX(r->bs->total_bytes, offset);
    }
    return 0;
}

/* 0, or why bs cannot be written there. */
static int check_write(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    if (bdrv_is_read_only(bs)) {
        return -EROFS;
    }
    if (!bs->drv->is_protocol && !range_fits(offset, bytes, bs->total_bytes)) {
        return -EINVAL;
    }
    if (bs->finished) {
        return -ESHUTDOWN;
    }
    return bs->drv->bdrv_co_pwritev ? 0 : -ENOTSUP;
}

/* Compressed data is the driver's business as it is: nothing is bounced or split. */
static int coroutine_fn write_compressed(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                         const IOVector *iov, size_t iov_offset,
                                         BdrvRequestFlags flags)
{
    int64_t cluster = bs->limits.opt_transfer;

    if (!bs->drv->bdrv_co_pwritev_compressed) {
        return -ENOTSUP;
    }
    if (offset % cluster || (bytes % cluster && offset + bytes != bs->total_bytes)) {
        return -EINVAL;
    }
    bdrv_co_begin_request(bs);
    int ret = bs->drv->bdrv_co_pwritev_compressed(
        bs, offset, bytes, iov, iov_offset,
        flags & ~(BDRV_REQ_FUA | BDRV_REQ_WRITE_COMPRESSED));
    bdrv_co_end_request(bs);
    return ret < 0 || !(flags & BDRV_REQ_FUA) ? ret : bdrv_co_flush(bs);
}

/* Writes that change parts of blocks have the node to themselves. */
static void coroutine_fn begin_write(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    uint32_t align = bs->limits.request_alignment;

    bdrv_co_begin_request(bs);
    if (align == 1) {
        return;
    }
    if ((offset | bytes) & (align - 1)) {
        co_rwlock_wrlock(&bs->unaligned_writes);
    } else {
        co_rwlock_rdlock(&bs->unaligned_writes);
    }
}

static int coroutine_fn end_write(BlockDriverState *bs, int ret, BdrvRequestFlags flags)
{
    if (bs->limits.request_alignment > 1) {
        co_rwlock_unlock(&bs->unaligned_writes);
    }
    bdrv_co_end_request(bs);
    return ret < 0 || !(flags & BDRV_REQ_FUA) ? ret : bdrv_co_flush(bs);
}

int coroutine_fn bdrv_co_pwritev(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                 const IOVector *iov, size_t iov_offset,
                                 BdrvRequestFlags flags)
{
    Request r = { .bs = bs, .iov = iov, .flags = flags & ~BDRV_REQ_FUA };

    if (!arguments_ok(offset, bytes, iov, iov_offset)) {
        return -EINVAL;
    }
    int ret = check_write(bs, offset, bytes);
    if (ret < 0 || bytes == 0) {
        return ret;
    }
    if (flags & BDRV_REQ_WRITE_COMPRESSED) {
        return write_compressed(bs, offset, bytes, iov, iov_offset, flags);
    }
    begin_write(bs, offset, bytes);
    bdrv_co_debug_event(bs, BLKDEBUG_EVENT_PWRITEV);
    ret = write_aligned(&r, offset, bytes, iov_offset);
    bdrv_co_debug_event(bs, BLKDEBUG_EVENT_PWRITEV_DONE);
    return end_write(bs, ret, flags);
}

/* Zeroes the driver cannot do at once are written from a buffer. */
static int coroutine_fn write_zero_buffers(BlockDriverState *bs, int64_t offset,
                                           int64_t bytes, BdrvRequestFlags flags)
{
    size_t size = MIN(bytes, ZEROES_BYTES_MAX);
    size_t align = MAX(bs->limits.buffer_alignment, (uint32_t)BOUNCE_ALIGNMENT);
    void *zeroes = aligned_alloc(align, round_up_pow2(size, align));
    int ret = zeroes ? 0 : -ENOMEM;
    IOVector iov;

    if (zeroes) {
        memset(zeroes, 0, size);
        iovector_init_buf(&iov, zeroes, size);
    }
    Request r = { .bs = bs, .iov = &iov, .flags = flags & ~BDRV_REQ_MAY_UNMAP };
    while (ret >= 0 && bytes > 0) {
        int64_t n = MIN(bytes, (int64_t)size);
        ret = write_aligned(&r, offset, n, 0);
        offset += n;
        bytes -= n;
    }
    free(zeroes);
    return ret;
}

static int coroutine_fn driver_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                      BdrvRequestFlags flags)
{
    int64_t max = bs->limits.max_zero ? bs->limits.max_zero : bytes;
    int ret = 0;

    for (int64_t done = 0; ret >= 0 && done < bytes; done += max) {
        ret = bs->drv->bdrv_co_pwrite_zeroes(bs, offset + done, MIN(max, bytes - done), flags);
    }
    return ret;
}

static int coroutine_fn write_zeroes(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                     BdrvRequestFlags flags)
{
    int64_t align = bs->limits.zero_alignment ? bs->limits.zero_alignment
                                              : bs->limits.request_alignment;
    int64_t end = offset + bytes;
    int64_t first = offset / align * align + (offset % align ? align : 0);
    int64_t last = MAX(end / align * align, first);
    int ret = -ENOTSUP;

    if (last <= end && last > first && bs->drv->bdrv_co_pwrite_zeroes) {
        ret = driver_zeroes(bs, first, last - first, flags & ~BDRV_REQ_NO_FALLBACK);
    }
    if (ret == -ENOTSUP) {
        return flags & BDRV_REQ_NO_FALLBACK ? ret
                                            : write_zero_buffers(bs, offset, bytes, flags);
    }
    if (ret >= 0) {
        bs->total_bytes = MAX(bs->total_bytes, last);
    }
    if (ret >= 0 && first > offset) {
        ret = write_zero_buffers(bs, offset, first - offset, flags);
    }
    if (ret >= 0 && end > last) {
        ret = write_zero_buffers(bs, last, end - last, flags);
    }
    return ret;
}

int coroutine_fn bdrv_co_pwrite_zeroes(BlockDriverState *bs, int64_t offset,
                                       int64_t bytes, BdrvRequestFlags flags)
{
    if (!arguments_ok(offset, bytes, NULL, 0)) {
        return -EINVAL;
    }
    int ret = check_write(bs, offset, bytes);
    if (ret < 0 || bytes == 0) {
        return ret;
    }
    begin_write(bs, offset, bytes);
    bdrv_co_debug_event(bs, BLKDEBUG_EVENT_PWRITEV_ZERO);
    ret = write_zeroes(bs, offset, bytes, flags & ~BDRV_REQ_FUA);
    bdrv_co_debug_event(bs, BLKDEBUG_EVENT_PWRITEV_DONE);
    return end_write(bs, ret, flags);
}

int coroutine_fn bdrv_co_pdiscard(BlockDriverState *bs, int64_t offset, int64_t bytes)
{
    int64_t align = bs->limits.discard_alignment ? bs->limits.discard_alignment
                                                 : bs->limits.request_alignment;

    if (!arguments_ok(offset, bytes, NULL, 0)) {
        return -EINVAL;
    }
    int ret = check_write(bs, offset, bytes);
    int64_t end = MIN(offset + bytes, bs->total_bytes);
    int64_t start = MIN(offset, end);
    int64_t first = start / align * align + (start % align ? align : 0);
    if (end % align && end < bs->total_bytes) {
        end -= end % align;
    }
    if (ret < 0 || first >= end || !bs->drv->bdrv_co_pdiscard) {
        return ret;
    }
    int64_t max = bs->limits.max_discard ? bs->limits.max_discard : end - first;
    bdrv_co_begin_request(bs);
    for (; ret >= 0 && first < end; first += MIN(max, end - first)) {
        ret = bs->drv->bdrv_co_pdiscard(bs, first, MIN(max, end - first));
    }
    bdrv_co_end_request(bs);
    return ret == -ENOTSUP ? 0 : ret;
}

int coroutine_fn bdrv_co_pin(BlockDriverState *bs, int64_t offset, int64_t bytes,
                             BdrvPin *pin)
{
    if (!bs->drv->bdrv_co_pin) {
        return -ENOTSUP;
    }
    if (offset < 0 || bytes < 0 || !range_fits(offset, bytes, bs->total_bytes)) {
        return -EINVAL;
    }
    *pin = (BdrvPin){ .bs = bs, .held = g_ptr_array_new() };
    iovector_init(&pin->iov, 0);
    bdrv_co_begin_request(bs);
    int ret = bs->drv->bdrv_co_pin(bs, offset, bytes, pin);
    bdrv_co_end_request(bs);
    if (ret < 0) {
        bdrv_unpin(pin);
    }
    return ret;
}

void bdrv_unpin(BdrvPin *pin)
{
    pin->bs->drv->bdrv_unpin(pin->bs, pin);
    iovector_destroy(&pin->iov);
    g_ptr_array_unref(pin->held);
}

int coroutine_fn bdrv_co_pread(BlockDriverState *bs, int64_t offset, int64_t bytes,
                               void *buf, BdrvRequestFlags flags)
{
    IOVector iov;

    iovector_init_buf(&iov, buf, MAX(bytes, 0));
    return bdrv_co_preadv(bs, offset, bytes, &iov, 0, flags);
}

int coroutine_fn bdrv_co_pwrite(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                const void *buf, BdrvRequestFlags flags)
{
    IOVector iov;

    iovector_init_buf(&iov, (void *)buf, MAX(bytes, 0));
    return bdrv_co_pwritev(bs, offset, bytes, &iov, 0, flags);
}

int coroutine_fn bdrv_co_flush(BlockDriverState *bs)
{
    int ret = 0;

    if (bdrv_is_read_only(bs) || bs->finished) {
        return 0;
    }
    bdrv_co_begin_request(bs);
    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_FLUSH_TO_OS);
    if (bs->drv->bdrv_co_flush) {
        ret = bs->drv->bdrv_co_flush(bs);
    }
    bdrv_co_end_request(bs);
    if (ret >= 0 && bs->data_file) {
        ret = bdrv_co_flush(bs->data_file);
    }
    if (ret < 0 || !bs->file) {
        return ret;
    }
    bdrv_co_debug_event(bs->file, BLKDEBUG_EVENT_FLUSH_TO_DISK);
    return bdrv_co_flush(bs->file);
}

bool bdrv_wants_flush(const BlockDriverState *bs)
{
    return !(bs->open_flags & BDRV_O_NO_FLUSH);
}

bool bdrv_check_writable(BlockDriverState *bs, const char *what, GError **errp)
{
    if (!bdrv_is_read_only(bs) && !bs->finished) {
        return true;
    }
    error_set_errno(errp, EROFS, "%s: %s", bs->filename, what);
    return false;
}

int coroutine_fn bdrv_co_truncate(BlockDriverState *bs, int64_t length,
                                  PreallocMode preallocation, GError **errp)
{
    if (!bdrv_check_writable(bs, "cannot be resized", errp)) {
        return -EROFS;
    }
    if (!bs->drv->bdrv_co_truncate) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: images of format %s cannot be resized", bs->filename,
                    bs->drv->format_name);
        return -ENOTSUP;
    }
    if (length < 0) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: %" G_GINT64_FORMAT " is no length", bs->filename, length);
        return -EINVAL;
    }
    bdrv_co_begin_alone(bs);
    int ret = bs->drv->bdrv_co_truncate(bs, length, preallocation, errp);
    if (ret >= 0) {
        bs->total_bytes = length;
    }
    bdrv_co_end_alone(bs);
    return ret;
}
