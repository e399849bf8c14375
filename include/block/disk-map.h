/*
 * DiskMap: where on a disk the bytes of something lie that is not one piece of it.
 *
 * A map is a row of segments: bytes on the disk, in one piece or spread over several in
 * stripes; zeroes that are nowhere; or nothing that could be read.  A map does not change
 * once it is in use.
 */
#ifndef EMBR_BLOCK_DISK_MAP_H
#define EMBR_BLOCK_DISK_MAP_H

#include "block/block.h"

typedef struct DiskMap DiskMap;

typedef enum DiskMapKind {
    DISK_MAP_DATA,
    DISK_MAP_ZERO,
    DISK_MAP_ERROR,                 /* reads are -EIO */
} DiskMapKind;

/* An area of the disk that holds all of a segment, or every n-th stripe of it. */
typedef struct DiskMapArea {
    uint64_t disk_offset, length;
    uint64_t start;                 /* of its first byte in what is mapped */
    uint64_t stripe;                /* bytes that follow each other in both; length: all do */
    uint64_t distance;              /* from stripe to stripe in what is mapped */
} DiskMapArea;

DiskMap *disk_map_new(void);
DiskMap *disk_map_ref(DiskMap *map);
void disk_map_unref(DiskMap *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DiskMap, disk_map_unref)

/* Adds length bytes behind what is mapped so far.  DISK_MAP_DATA: they are at the n
 * offsets on the disk that areas has, stripe bytes from each in turn; with one area,
 * stripe does not matter.  False: the sum of lengths or an area's end would be more than
 * INT64_MAX, length is 0, or no multiple of n * stripe. */
bool disk_map_add(DiskMap *map, DiskMapKind kind, uint64_t length, uint64_t stripe,
                  const uint64_t *areas, unsigned n);
uint64_t disk_map_length(const DiskMap *map);

/* How many of the bytes [offset, offset + bytes) of what is mapped lie in one piece, and
 * where: *disk_offset is set for DISK_MAP_DATA. offset + bytes <= length, bytes > 0. */
uint64_t disk_map_find(const DiskMap *map, uint64_t offset, uint64_t bytes,
                       DiskMapKind *kind, uint64_t *disk_offset);

/* The areas on the disk, by number; an area belongs to one segment. */
unsigned disk_map_areas(const DiskMap *map);
DiskMapArea disk_map_area(const DiskMap *map, unsigned i);
/* What of the map is at pos bytes into the area, which has more: its place there, and
 * how many bytes on from there follow each other (*left). */
uint64_t disk_map_area_find(const DiskMapArea *area, uint64_t pos, uint64_t *left);

/* A read-only node whose content is put together from that of disk by map, of which it
 * takes references of its own.  Offsets of the map count from disk_offset on; what is not
 * on the disk cannot be read. name is for messages. */
BlockDriverState *bdrv_new_mapped(BlockDriverState *disk, uint64_t disk_offset,
                                  DiskMap *map, const char *name);

#endif
