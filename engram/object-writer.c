/*
 * Objects, one after another.
 */
#include "engram/object-writer.h"

enum { WRITE_BYTES = 1 << 20 };

void object_writer_init(ObjectWriter *w, OutFile *file, uint64_t start)
{
    *w = (ObjectWriter){ .file = file, .end = start, .pending = g_byte_array_new() };
}

void object_writer_clear(ObjectWriter *w)
{
    g_clear_pointer(&w->pending, g_byte_array_unref);
}

uint64_t object_writer_claim(ObjectWriter *w, uint64_t len)
{
    uint64_t offset = w->end;

    g_assert(w->pending->len == 0 && len % ENGRAM_OBJECT_ALIGN == 0);
    w->end += len;
    return offset;
}

bool coroutine_fn object_writer_co_append(ObjectWriter *w, EngramObjectType type,
                                          int level, const void *raw, size_t len,
                                          EngramRef *ref, GError **errp)
{
    uint64_t base = w->end - w->pending->len;

    *ref = engram_object_append(w->pending, base, type, 0, level, raw, len);
    w->end = base + w->pending->len;
    return w->pending->len < WRITE_BYTES || object_writer_co_flush(w, errp);
}

bool coroutine_fn object_writer_co_flush(ObjectWriter *w, GError **errp)
{
    struct iovec iov = { w->pending->data, w->pending->len };
    bool ok = out_file_co_writev(w->file, &iov, 1, w->end - w->pending->len, errp);

    g_byte_array_set_size(w->pending, 0);
    return ok;
}
