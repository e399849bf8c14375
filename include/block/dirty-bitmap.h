/*
 * DirtyBitmap: which parts of a disk have changed, a bit for each `granularity` bytes.
 *
 * Memory is taken for what is dirty, in pieces of 4 KiB; one bitmap has at most
 * DIRTY_BITMAP_MAX_BITS bits (512 MiB of them).  Offsets and lengths are bytes of the disk;
 * what is beyond its end is left out.
 */
#ifndef EMBR_BLOCK_DIRTY_BITMAP_H
#define EMBR_BLOCK_DIRTY_BITMAP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define DIRTY_BITMAP_MAX_BITS (UINT64_C(1) << 32)

typedef struct DirtyBitmap DirtyBitmap;

/* Of a disk of so many bytes, nothing dirty.  granularity_bits: 9 to 31.  NULL: that would be
 * too many bits. */
DirtyBitmap *dirty_bitmap_new(uint64_t disk_bytes, unsigned granularity_bits);
void dirty_bitmap_free(DirtyBitmap *bitmap);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DirtyBitmap, dirty_bitmap_free)

uint64_t dirty_bitmap_granularity(const DirtyBitmap *bitmap);
uint64_t dirty_bitmap_bits(const DirtyBitmap *bitmap);
/* How many are set. */
uint64_t dirty_bitmap_count(const DirtyBitmap *bitmap);

/* All that the range touches becomes dirty. */
void dirty_bitmap_set(DirtyBitmap *bitmap, uint64_t offset, uint64_t bytes);
/* What lies in the range with all of its granularity becomes clean. */
void dirty_bitmap_reset(DirtyBitmap *bitmap, uint64_t offset, uint64_t bytes);
void dirty_bitmap_clear(DirtyBitmap *bitmap);
/* The first dirty range from *offset on; false if there is none.  It ends with the disk. */
bool dirty_bitmap_next(const DirtyBitmap *bitmap, uint64_t *offset, uint64_t *bytes);
/* What is dirty in other becomes dirty, too; granularities may differ. */
void dirty_bitmap_merge(DirtyBitmap *bitmap, const DirtyBitmap *other);
/* The disk has another size: what is added is clean.  False: too many bits, and nothing is
 * changed. */
bool dirty_bitmap_resize(DirtyBitmap *bitmap, uint64_t disk_bytes);

/*
 * As bytes, for storing it: bit i is bit i % 8, from the lowest on, of byte i / 8.  offset is
 * one of bytes; ranges may reach beyond the end, where there are zeroes, and bits there are
 * ignored.
 */
void dirty_bitmap_get_bytes(const DirtyBitmap *bitmap, uint64_t offset, uint64_t bytes,
                            uint8_t *buf);
/* What was set there stays set. */
void dirty_bitmap_add_bytes(DirtyBitmap *bitmap, uint64_t offset, uint64_t bytes,
                            const uint8_t *buf);

#endif
