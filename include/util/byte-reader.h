/*
 * ByteReader: walks over untrusted bytes without ever leaving them.
 *
 * A read past the end yields zero and makes the reader bad; it stays bad.  So a
 * parser may read a whole structure and ask once, at the end, whether it was
 * all there.
 */
#ifndef EMBR_UTIL_BYTE_READER_H
#define EMBR_UTIL_BYTE_READER_H

#include "util/endian.h"

typedef struct ByteReader {
    const uint8_t *data;
    size_t size;
    size_t pos;
    bool bad;
} ByteReader;

static inline void byte_reader_init(ByteReader *r, const void *data, size_t size)
{
    *r = (ByteReader){ .data = data, .size = size };
}

static inline size_t byte_reader_left(const ByteReader *r)
{
    return r->bad ? 0 : r->size - r->pos;
}

/* The next len bytes in place, or NULL (and the reader is bad). */
static inline const void *byte_reader_take(ByteReader *r, size_t len)
{
    if (r->bad || len > r->size - r->pos) {
        r->bad = true;
        return NULL;
    }
    const void *p = r->data + r->pos;
    r->pos += len;
    return p;
}

static inline bool byte_reader_seek(ByteReader *r, size_t pos)
{
    if (pos > r->size) {
        r->bad = true;
    }
    if (!r->bad) {
        r->pos = pos;
    }
    return !r->bad;
}

static inline uint8_t byte_reader_u8(ByteReader *r)
{
    const uint8_t *p = byte_reader_take(r, 1);
    return p ? *p : 0;
}

#define EMBR_BYTE_READER_GET(order, bits)                                             \
    static inline uint##bits##_t byte_reader_##order##bits(ByteReader *r)             \
    {                                                                                 \
        const void *p = byte_reader_take(r, (bits) / 8);                              \
        return p ? order##bits##_load(p) : 0;                                         \
    }

EMBR_BYTE_READER_GET(le, 16)
EMBR_BYTE_READER_GET(le, 32)
EMBR_BYTE_READER_GET(le, 64)
EMBR_BYTE_READER_GET(be, 16)
EMBR_BYTE_READER_GET(be, 32)
EMBR_BYTE_READER_GET(be, 64)

#endif
