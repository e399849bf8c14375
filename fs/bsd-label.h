/* BSD disklabels: tables in a slice of a master boot record. */
#ifndef EMBR_FS_BSD_LABEL_H
#define EMBR_FS_BSD_LABEL_H

#include "fs/partition.h"

/* Whether slices of that type begin with a label. */
bool bsd_is_slice(uint8_t type);

/* Adds the partitions of the slice's label to entries, by numbers from *next on.  False:
 * there are none. */
bool coroutine_fn bsd_co_read_label(BlockBackend *disk, const PartitionEntry *slice,
                                    uint8_t slice_type, unsigned *next,
                                    VolumeTable *table, GArray *entries);

#endif
