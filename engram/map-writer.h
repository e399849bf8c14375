/*
 * MapWriter: collects which bytes of the disk are which bytes of which chunk, in any
 * order, and makes the device map of it.
 */
#ifndef EMBR_ENGRAM_MAP_WRITER_H
#define EMBR_ENGRAM_MAP_WRITER_H

#include "engram/codebook.h"
#include "engram/frame-writer.h"
#include "util/record-sorter.h"

typedef struct MapWriter MapWriter;

/* spool_dir: where temporary files go that a large map needs.  NULL: a map cannot be as
 * large as that. */
MapWriter *map_writer_new(uint64_t virtual_size, const char *spool_dir, GError **errp);
void map_writer_free(MapWriter *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MapWriter, map_writer_free)

/* Bytes [offset, offset + length) of the disk are those from skip on of the chunk at
 * place.  They lie on the disk. Where ranges overlap, either may be taken: they say the
 * same. */
bool map_writer_add(MapWriter *m, uint64_t offset, uint32_t length, CodebookPlace place,
                    uint32_t skip, const uint8_t digest[ENGRAM_DIGEST_BYTES],
                    GError **errp);

/* Bytes [offset, offset + length) of the disk are not kept. */
bool map_writer_add_dropped(MapWriter *m, uint64_t offset, uint32_t length, GError **errp);

typedef struct MapWriterResult {
    EngramRef root;
    uint8_t root_digest[ENGRAM_DIGEST_BYTES];
    uint64_t data_bytes;            /* of the disk that are in chunks */
    uint64_t dropped_bytes;         /* that are not kept; the rest is zero */
} MapWriterResult;

/* Writes maps, segments and the map root. All frames have been written. */
bool coroutine_fn map_writer_co_finish(MapWriter *m, const FrameWriter *frames,
                                       ObjectWriter *out, MapWriterResult *result,
                                       GError **errp);

#endif
