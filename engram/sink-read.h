/*
 * Files that are read through their filesystem: those whose content is not what the device
 * holds in their place, since it is inside metadata, in a journal, or encoded; and, from
 * their start on, those of several units that may be compressed streams.
 */
#ifndef EMBR_ENGRAM_SINK_READ_H
#define EMBR_ENGRAM_SINK_READ_H

#include "engram/chunker.h"
#include "engram/manifest-writer.h"
#include "engram/profile.h"
#include "engram/sink-content.h"
#include "engram/sink-unit.h"
#include "fs/fs.h"

/* What is common to all files that are read so. */
typedef struct SinkReader {
    const ProfileSet *profiles;
    const Chunker *chunker;
    ManifestWriter *manifest;
    uint64_t bytes_left;            /* that may still be read: files can be much larger
                                       than what the disk holds of them */
    uint64_t wrapped_left;          /* the same, of what is read to be unwrapped */
} SinkReader;

typedef struct SinkReadFile {
    FsIno ino;
    uint64_t size;
    uint32_t file;                  /* its entry in the manifest */
    unsigned profile;               /* SINK_PROFILE_BY_MAGIC: its first bytes will tell */
    bool inside_only;               /* the device holds it; but it may be a stream */
} SinkReadFile;

/* How many bytes of compressed files may be read through the filesystems of a disk of so
 * many bytes: many times what it holds, but not without an end. */
uint64_t sink_read_limit(uint64_t disk_bytes);

/* Records digest and vector of the file.  *damage is set if the filesystem could not
 * read it, or it is too much: the file is recorded as damaged then. */
bool coroutine_fn sink_co_read_file(SinkReader *r, Filesystem *fs,
                                    const SinkReadFile *file, GError **damage,
                                    GError **errp);

/* Whether a file of several units may be a compressed stream. */
bool coroutine_fn sink_co_is_wrapped(Filesystem *fs, FsIno ino);

/* Gives contents the vector of what is inside such a file, if it is a stream.  *damage as
 * above: its vector is that of its bytes then. */
void coroutine_fn sink_co_unwrap_file(SinkReader *r, Filesystem *fs,
                                      const SinkReadFile *file, SinkContents *contents,
                                      GError **damage);

/* Moves *pos, 0 or a multiple of SINK_SEGMENT_BYTES in a file of size bytes, to the next
 * such place from where on it has content; to size if there is none. */
bool coroutine_fn sink_co_skip_holes(Filesystem *fs, FsIno ino, uint64_t size,
                                     uint64_t *pos, GError **errp);

#endif
