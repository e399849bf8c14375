#include "util/iov.h"

#include <string.h>
#include "util/units.h"

/* Calls func for each piece of [offset, offset + len) until it says false. */
typedef bool IovPieceFunc(uint8_t *piece, size_t len, size_t done, void *opaque);

static bool iovector_foreach(const IOVector *v, size_t offset, size_t len,
                             IovPieceFunc *func, void *opaque)
{
    size_t done = 0;

    g_assert(range_fits(offset, len, v->size));
    for (int i = 0; done < len; i++) {
        const struct iovec *iov = &v->iov[i];

        if (offset >= iov->iov_len) {
            offset -= iov->iov_len;
            continue;
        }
        size_t n = MIN(iov->iov_len - offset, len - done);
        if (!func((uint8_t *)iov->iov_base + offset, n, done, opaque)) {
            return false;
        }
        done += n;
        offset = 0;
    }
    return true;
}

void iovector_init(IOVector *v, int alloc_hint)
{
    *v = (IOVector){ .nalloc = MAX(alloc_hint, 0) };
    if (v->nalloc > 0) {
        v->iov = g_new(struct iovec, v->nalloc);
    }
}

void iovector_init_buf(IOVector *v, void *buf, size_t len)
{
    v->local = (struct iovec){ .iov_base = buf, .iov_len = len };
    v->iov = &v->local;
    v->niov = 1;
    v->nalloc = -1;
    v->size = len;
}

static bool add_piece(uint8_t *piece, size_t len, size_t done, void *opaque)
{
    (void)done;
    iovector_add(opaque, piece, len);
    return true;
}

void iovector_init_slice(IOVector *v, const IOVector *src, size_t offset, size_t len)
{
    void *flat = iovector_contiguous(src, offset, len);

    if (flat || len == 0) {
        iovector_init_buf(v, flat, len);
        return;
    }
    iovector_init(v, src->niov);
    iovector_foreach(src, offset, len, add_piece, v);
}

void iovector_add(IOVector *v, void *base, size_t len)
{
    g_assert(v->nalloc >= 0);
    if (v->niov == v->nalloc) {
        v->nalloc = MAX(v->nalloc * 2, 4);
        v->iov = g_renew(struct iovec, v->iov, v->nalloc);
    }
    v->iov[v->niov++] = (struct iovec){ .iov_base = base, .iov_len = len };
    v->size += len;
}

void iovector_reset(IOVector *v)
{
    g_assert(v->nalloc >= 0);
    v->niov = 0;
    v->size = 0;
}

void iovector_destroy(IOVector *v)
{
    if (v->nalloc >= 0) {
        g_free(v->iov);
    }
    *v = (IOVector){ 0 };
}

static bool copy_in(uint8_t *piece, size_t len, size_t done, void *opaque)
{
    memcpy(piece, (const uint8_t *)opaque + done, len);
    return true;
}

void iovector_from_buf(const IOVector *v, size_t offset, const void *buf, size_t len)
{
    iovector_foreach(v, offset, len, copy_in, (void *)buf);
}

static bool copy_out(uint8_t *piece, size_t len, size_t done, void *opaque)
{
    memcpy((uint8_t *)opaque + done, piece, len);
    return true;
}

void iovector_to_buf(const IOVector *v, size_t offset, void *buf, size_t len)
{
    iovector_foreach(v, offset, len, copy_out, buf);
}

static bool fill(uint8_t *piece, size_t len, size_t done, void *opaque)
{
    (void)done;
    memset(piece, GPOINTER_TO_INT(opaque), len);
    return true;
}

void iovector_memset(const IOVector *v, size_t offset, int c, size_t len)
{
    iovector_foreach(v, offset, len, fill, GINT_TO_POINTER(c));
}

static bool piece_is_zero(uint8_t *piece, size_t len, size_t done, void *opaque)
{
    (void)done;
    (void)opaque;
    return buffer_is_zero(piece, len);
}

bool iovector_is_zero(const IOVector *v, size_t offset, size_t len)
{
    return iovector_foreach(v, offset, len, piece_is_zero, NULL);
}

typedef struct Contiguous {
    uint8_t *start;
} Contiguous;

static bool piece_follows(uint8_t *piece, size_t len, size_t done, void *opaque)
{
    Contiguous *c = opaque;

    (void)len;
    if (done == 0) {
        c->start = piece;
    }
    return piece == c->start + done;
}

void *iovector_contiguous(const IOVector *v, size_t offset, size_t len)
{
    Contiguous c = { NULL };

    return iovector_foreach(v, offset, len, piece_follows, &c) ? c.start : NULL;
}
