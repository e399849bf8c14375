/*
 * Digests of what a file has beside its content.
 */
#ifndef EMBR_ENGRAM_SINK_METADATA_H
#define EMBR_ENGRAM_SINK_METADATA_H

#include "engram/format.h"
#include "fs/fs.h"

/* That of all extended attributes. */
bool coroutine_fn sink_co_attributes_digest(Filesystem *fs, FsIno ino,
                                            uint8_t digest[ENGRAM_DIGEST_BYTES],
                                            GError **errp);
/* That of a symbolic link's target or of a device's number; other files have none, and
 * *has_digest is false. */
bool coroutine_fn sink_co_special_digest(Filesystem *fs, const FsStat *stat,
                                         bool *has_digest,
                                         uint8_t digest[ENGRAM_DIGEST_BYTES],
                                         GError **errp);

#endif
