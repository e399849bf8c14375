/* Blocks that are whole zlib streams: in squashfs, in files of zisofs. */
#ifndef EMBR_FS_ZLIB_BLOCK_H
#define EMBR_FS_ZLIB_BLOCK_H

#include <glib.h>

/* Unpacks a stream, whose checksum must be right. Returns how many bytes that gave, at
 * most out_max; -1 if it is damaged, or gives more.  From any thread. */
gssize zlib_block_unpack(const void *in, size_t in_bytes, void *out, size_t out_max);

#endif
