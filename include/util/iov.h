/*
 * IOVector: a list of buffers seen as one, for scatter/gather requests.
 */
#ifndef EMBR_UTIL_IOV_H
#define EMBR_UTIL_IOV_H

#include <sys/uio.h>
#include <inttypes.h>
#include <stdbool.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct IOVector {
    struct iovec *iov;
    int niov;
    int nalloc;             /* -1: iov belongs to the caller */
    size_t size;            /* sum of all iov_len */
    struct iovec local;     /* what iov points to for one buffer */
} IOVector;

void iovector_init(IOVector *v, int alloc_hint);
/* One buffer; allocates nothing, needs no destroy. */
void iovector_init_buf(IOVector *v, void *buf, size_t len);
/* v becomes the part [offset, offset + len) of src; shares its buffers. */
void iovector_init_slice(IOVector *v, const IOVector *src, size_t offset, size_t len);
void iovector_add(IOVector *v, void *base, size_t len);
void iovector_reset(IOVector *v);
void iovector_destroy(IOVector *v);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(IOVector, iovector_destroy)

/* Copies between the vector from offset on and a flat buffer; offset + len
 * must lie within the vector. */
void iovector_from_buf(const IOVector *v, size_t offset, const void *buf, size_t len);
void iovector_to_buf(const IOVector *v, size_t offset, void *buf, size_t len);
void iovector_memset(const IOVector *v, size_t offset, int c, size_t len);
bool iovector_is_zero(const IOVector *v, size_t offset, size_t len);

/* The address of [offset, offset + len) if it is one piece of memory, else NULL. */
void *iovector_contiguous(const IOVector *v, size_t offset, size_t len);

#endif
