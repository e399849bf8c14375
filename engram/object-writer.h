/*
 * ObjectWriter: appends objects to the file of an engram.
 *
 * Small ones are gathered and written together.
 */
#ifndef EMBR_ENGRAM_OBJECT_WRITER_H
#define EMBR_ENGRAM_OBJECT_WRITER_H

#include "engram/object.h"
#include "engram/out-file.h"

typedef struct ObjectWriter {
    OutFile *file;                  /* not owned */
    uint64_t end;                   /* where the next object comes to lie */
    GByteArray *pending;            /* of objects that end at end */
} ObjectWriter;

/* The first object will be at start. */
void object_writer_init(ObjectWriter *w, OutFile *file, uint64_t start);
void object_writer_clear(ObjectWriter *w);

/* Takes the next len bytes of the file for the caller to write. */
uint64_t object_writer_claim(ObjectWriter *w, uint64_t len);
/* Wraps len bytes as an object, compressed if level says so, and appends it.  Not from
 * several coroutines at a time. */
bool coroutine_fn object_writer_co_append(ObjectWriter *w, EngramObjectType type,
                                          int level, const void *raw, size_t len,
                                          EngramRef *ref, GError **errp);
bool coroutine_fn object_writer_co_flush(ObjectWriter *w, GError **errp);

#endif
