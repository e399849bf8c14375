/*
 * What the sink works in: units, the pieces of content that are chunked together.
 *
 *     sink-plan     walks the volumes: which bytes of the disk are which file's
 *     sink-gaps     what lies between the files
 *     sink-status   where the disk is known to be zero
 *     sink-read     files that are not on the device as they are
 *     sink-job      reads some MiB of units, has them cut, encodes what is new
 *     sink-cut      zero blocks, chunks, identities, hypervectors
 *     sink-content  what the units of a file say of it as a whole
 *     content-sum   the same of a file that is read from start to end
 *     unwrap        hypervectors of what is inside compressed files
 */
#ifndef EMBR_ENGRAM_SINK_UNIT_H
#define EMBR_ENGRAM_SINK_UNIT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    SINK_SEGMENT_BYTES =
        4 << 20,             /* where chunking starts anew in files and on the device */
    SINK_BLOCK_BYTES = 4096, /* of zeroes that are taken out */
    SINK_NO_FILE = UINT32_MAX,
    SINK_PROFILE_BY_MAGIC = 255, /* the first bytes will tell */
};

/* At most SINK_SEGMENT_BYTES of a file or of the device, from a multiple of it on. */
typedef struct SinkUnit {
    uint64_t address;               /* of offset 0, in the file or on the device */
    uint32_t file; /* number of its entry in the manifest; SINK_NO_FILE */
    uint32_t size;                  /* bytes of content, holes included */
    uint8_t profile;
    bool whole;                     /* it is all of the file's content */
    bool dropped;                   /* free space that is not to be stored */
} SinkUnit;

/* A run of a unit's content that lies in one piece on the device. */
typedef struct SinkExtent {
    uint64_t device_offset;
    uint32_t offset;                /* in the unit */
    uint32_t length;
} SinkExtent;

#endif
