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
#include "engram/recall-index.h"
#include "qapi/qapi-visit.h"

enum { FRAME_DIRECTORY_PAGE_ENTRIES = 4096 };   /* in all pages but the last */

typedef struct FrameWriter FrameWriter;

#define FRAME_WRITER_NONE UINT32_MAX

/* out, profiles stay the caller's. */
FrameWriter *frame_writer_new(ObjectWriter *out, const ProfileSet *profiles);
/* Features are to be kept in index (the caller's), and stored. */
void frame_writer_set_index(FrameWriter *w, RecallIndex *index);
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
/* The same, for a chunk that is to be corrected from another frame, which has been sealed
 * and is no correction: frame_writer_is_source(). */
bool coroutine_fn frame_writer_co_reserve_correction(FrameWriter *w, unsigned profile,
                                                     uint32_t source, uint32_t len,
                                                     CodebookPlace *place, GError **errp);
/* Whether corrections of a frame can be made: whoever made it must have said what it
 * is, and it is sealed. */
bool frame_writer_is_source(const FrameWriter *w, uint32_t frame);
/* Puts the chunk at the place reserved just before; data is copied. */
void frame_writer_append(FrameWriter *w, unsigned profile, const void *data,
                         uint32_t len, const uint8_t digest[ENGRAM_DIGEST_BYTES]);
/* The features of the chunk appended just before: its frame is found by them once it is
 * sealed, unless it is a correction. */
void frame_writer_add_sketch(FrameWriter *w, const Sketch *sketch);
/* Appends a frame as it is in another engram: object, its bytes in that file with padding,
 * and its chunks.  source: of a correction, the frame it is one of, here; else
 * FRAME_WRITER_NONE.  features: of a frame that is none.  *number: what it gets.  May wait for frames to be compressed. */
bool coroutine_fn frame_writer_co_copy(FrameWriter *w, const EngramObjectHeader *object,
                                       const ChunkList *chunks, uint32_t source,
                                       const le32_t *features, uint32_t n_features,
                                       uint32_t *number, GError **errp);
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
/* References to the pages of features, of EngramRef; empty without an index. */
const GArray *frame_writer_feature_pages(const FrameWriter *w);
/* How many frames are corrections. */
uint64_t frame_writer_corrections(const FrameWriter *w);
/* What was stored with each profile, in their order. */
GPtrArray *frame_writer_stats(const FrameWriter *w);

#endif
