/*
 * FrameWriter: gathers chunks into frames of their profile, compresses the full ones
 * on all cores, and appends them with their chunk lists to the file.
 *
 * Frames come to lie in the file in the order in which they became full, whichever is
 * compressed first: equal input makes an equal file.
 */
#ifndef EMBR_ENGRAM_FRAME_WRITER_H
#define EMBR_ENGRAM_FRAME_WRITER_H

#include "engram/chunk-list.h"
#include "engram/codebook.h"
#include "engram/object-writer.h"
#include "engram/profile.h"
#include "qapi/qapi-visit.h"

enum { FRAME_DIRECTORY_PAGE_ENTRIES = 4096 };   /* in all pages but the last */

typedef struct FrameWriter FrameWriter;

/* out, profiles stay the caller's. */
FrameWriter *frame_writer_new(ObjectWriter *out, const ProfileSet *profiles);
/* All sealed frames must have been written, or have failed. */
void frame_writer_free(FrameWriter *w);

/* Before anything else is put in: a frame that is in the file already gets the next
 * number.  In order of offset. */
bool frame_writer_adopt(FrameWriter *w, const EngramFrameEntry *entry, uint64_t chunks,
                        GError **errp);

/* Where the next chunk of len bytes with that profile comes to lie.  May wait for
 * frames to be compressed. False: writing an earlier frame has failed. */
bool coroutine_fn frame_writer_co_reserve(FrameWriter *w, unsigned profile,
                                          uint32_t len, CodebookPlace *place,
                                          GError **errp);
/* Puts the chunk at the place reserved just before; data is copied. */
void frame_writer_append(FrameWriter *w, unsigned profile, const void *data,
                         uint32_t len, const uint8_t digest[ENGRAM_DIGEST_BYTES]);
/* Appends a frame as it is in another engram: object, its bytes in that file with padding,
 * and its chunks.  *number: what it gets.  May wait for frames to be compressed. */
bool coroutine_fn frame_writer_co_copy(FrameWriter *w, const EngramObjectHeader *object,
                                       const ChunkList *chunks, uint32_t *number,
                                       GError **errp);
/* Seals all frames and waits until they are written. */
bool coroutine_fn frame_writer_co_finish(FrameWriter *w, GError **errp);
/* Waits for frames being compressed or written, after a failure. */
void coroutine_fn frame_writer_co_drain(FrameWriter *w);

/* After frame_writer_co_finish(), with those that were adopted: */
uint32_t frame_writer_count(const FrameWriter *w);
uint64_t frame_writer_chunks(const FrameWriter *w);
const EngramRef *frame_writer_ref(const FrameWriter *w, uint32_t frame);
/* Appends the frame directory from frame number first on; adds a reference for each page
 * to pages. */
bool coroutine_fn frame_writer_co_write_directory(FrameWriter *w, uint32_t first,
                                                  GArray *pages, GError **errp);
/* Without those that were adopted: */
/* The checksum of each frame's decoded bytes, of uint64_t, in order of offset; 0 of those
 * that were copied: it is not known. */
const GArray *frame_writer_sums(const FrameWriter *w);
/* What was stored with each profile that was used. */
GPtrArray *frame_writer_stats(const FrameWriter *w);

#endif
