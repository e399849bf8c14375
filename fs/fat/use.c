/* What is allocated, as the FAT says; or what exFAT has for that. */
#include "fat.h"

bool coroutine_fn fat_use_co_is_used(FatState *s, uint32_t cluster, bool *used)
{
    uint32_t value;

    if (!fat_table_co_get(s, cluster, &value, NULL)) {
        return false;
    }
    *used = value != FAT_VALUE_FREE;
    return true;
}

/* What was met in a chain is in use even if the map does not say so. */
static bool is_owned(const FatState *s, uint64_t index)
{
    return s->owners && s->owners[index];
}

/* Of the cluster that offset is in, and up to where it is the same. */
static FsBlockUse coroutine_fn co_data_use(FatState *s, uint64_t offset, uint64_t *end)
{
    uint64_t first = (offset - s->geo.data_offset) / s->geo.cluster_bytes;
    uint64_t index = first;
    FsBlockUse use = FS_BLOCK_UNKNOWN;

    for (; index < s->geo.clusters; index++) {
        FsBlockUse this = FS_BLOCK_UNKNOWN;
        bool used;

        if (s->kind->co_is_used(s, index + FAT_FIRST_CLUSTER, &used)) {
            this = used || is_owned(s, index) ? FS_BLOCK_USED : FS_BLOCK_FREE;
        }
        if (index == first) {
            use = this;
        } else if (this != use) {
            break;
        }
    }
    *end = s->geo.data_offset + index * s->geo.cluster_bytes;
    return use;
}

FsBlockUse coroutine_fn fat_co_block_use(FatState *s, uint64_t offset, uint64_t *pnum)
{
    uint64_t volume = blk_length(s->fs->blk);
    uint64_t data_end = s->geo.data_offset + s->geo.clusters * s->geo.cluster_bytes;
    uint64_t end = volume;
    FsBlockUse use = FS_BLOCK_UNKNOWN;

    if (offset < s->geo.data_offset) {
        use = FS_BLOCK_METADATA;
        end = s->geo.data_offset;
    } else if (offset < data_end) {
        use = co_data_use(s, offset, &end);
    } else if (offset < s->geo.total_bytes) {
        use = FS_BLOCK_USED; /* less than a cluster: nobody says what it is for */
        end = s->geo.total_bytes;
    }
    *pnum = MIN(end, volume) - MIN(offset, volume);
    return use;
}
