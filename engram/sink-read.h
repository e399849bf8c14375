/*
 * Files whose content is not what the device holds in their place: it is inside
 * metadata, in a journal, or encoded.  They are read through their filesystem.
 */
#ifndef EMBR_ENGRAM_SINK_READ_H
#define EMBR_ENGRAM_SINK_READ_H

#include "engram/manifest-writer.h"
#include "engram/profile.h"
#include "engram/sink-cut.h"
#include "fs/fs.h"

/* Records digest and vector of the file; number: its entry in the manifest. profile
 * SINK_PROFILE_BY_MAGIC: chosen by its first bytes.  *damage is set if the filesystem
 * could not read it: the file is recorded as damaged then. */
bool coroutine_fn sink_co_read_file(Filesystem *fs, FsIno ino, uint64_t size,
                                    uint32_t number, unsigned profile,
                                    const ProfileSet *profiles, const Chunker *chunker,
                                    ManifestWriter *manifest, GError **damage,
                                    GError **errp);

#endif
