/* What the writers of partition tables share. */
#ifndef EMBR_FS_TABLE_INT_H
#define EMBR_FS_TABLE_INT_H

#include "fs/partition.h"
#include "fs/table.h"

/* What is taken, in sectors. */
typedef struct PartSpan {
    uint64_t start, end;            /* end: the first behind it */
    unsigned number;                /* of the partition; 0: the table's own */
} PartSpan;

/* How a kind of table is written.  sector_size is the table's. */
typedef struct PartWriter {
    const char *type;
    bool coroutine_fn (*create)(BlockBackend *disk, const PartCreate *create, GError **errp);
    bool coroutine_fn (*add)(BlockBackend *disk, uint32_t sector_size, const PartAdd *add,
                             unsigned *number, GError **errp);
    bool coroutine_fn (*del)(BlockBackend *disk, uint32_t sector_size,
                             const unsigned *numbers, unsigned n, GError **errp);
    /* More findings than reading the table has. */
    void coroutine_fn (*verify)(BlockBackend *disk, uint32_t sector_size,
                                GPtrArray *findings);
    bool coroutine_fn (*repair)(BlockBackend *disk, uint32_t sector_size, GError **errp);
} PartWriter;

extern const PartWriter gpt_writer;
extern const PartWriter mbr_writer;

/* Finds room for a partition in the sectors [first, end), where used (of PartSpan; is
 * sorted) is taken.  lead: sectors that have to be free in front of it. */
bool part_place(BlockBackend *disk, uint32_t sector_size, const PartAdd *add, GArray *used,
                uint64_t first, uint64_t end, uint64_t lead, PartSpan *found,
                GError **errp);

/* Whether a partition is one of n numbers. */
bool part_is_listed(unsigned number, const unsigned *numbers, unsigned n);

/* blk_co_pwrite() and blk_co_flush(), with an error that says what was not written. */
bool coroutine_fn part_co_write(BlockBackend *disk, uint64_t offset, const void *data,
                                size_t bytes, const char *what, GError **errp);
bool coroutine_fn part_co_flush(BlockBackend *disk, GError **errp);

/* Zeroes what would be found again beside a new table: the disk's first MiB, but boot code
 * in front of a table, and its end. */
bool coroutine_fn part_co_wipe(BlockBackend *disk, GError **errp);

void G_GNUC_PRINTF(2, 3) part_find(GPtrArray *findings, const char *format, ...);

#endif
