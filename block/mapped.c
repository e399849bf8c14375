/*
 * mapped: a filter over a disk that shows pieces of it as one: linear and striped logical
 * volumes.
 */
#include <errno.h>
#include "block/block-int.h"
#include "block/disk-map.h"

typedef struct MappedState {
    DiskMap *map;
    uint64_t disk_offset;       /* that offsets of the map count from */
} MappedState;

static int coroutine_fn mapped_co_open(BlockDriverState *bs, const BlockdevOptions *options,
                                       int flags, GError **errp)
{
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                "'%s': driver mapped cannot be opened by name", bs->filename);
    return -ENOTSUP;
}

static void mapped_close(BlockDriverState *bs)
{
    MappedState *s = bs->opaque;

    g_clear_pointer(&s->map, disk_map_unref);
}

/* The bytes at offset that lie in one piece, and where; -EIO if they are not on the
 * disk. */
static int64_t find(BlockDriverState *bs, int64_t offset, int64_t bytes, DiskMapKind *kind,
                    int64_t *disk_pos)
{
    MappedState *s = bs->opaque;
    uint64_t on_disk = 0;
    uint64_t n = disk_map_find(s->map, offset, bytes, kind, &on_disk);

    if (*kind == DISK_MAP_ERROR ||
        (*kind == DISK_MAP_DATA &&
         (!range_fits(s->disk_offset, on_disk, bdrv_length(bs->file)) ||
          !range_fits(s->disk_offset + on_disk, n, bdrv_length(bs->file))))) {
        bdrv_note_error(bs, g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT,
                                        "%s: offset 0x%" PRIx64 " is not on the disk",
                                        bs->filename, offset));
        return -EIO;
    }
    *disk_pos = s->disk_offset + on_disk;
    return n;
}

static int coroutine_fn mapped_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                         const IOVector *iov, size_t iov_offset,
                                         BdrvRequestFlags flags)
{
    while (bytes > 0) {
        DiskMapKind kind;
        int64_t disk_pos;
        int64_t n = find(bs, offset, bytes, &kind, &disk_pos);
        int ret = MIN(n, 0);

        if (n > 0 && kind == DISK_MAP_ZERO) {
            iovector_memset(iov, iov_offset, 0, n);
        } else if (n > 0) {
            ret = bdrv_co_preadv(bs->file, disk_pos, n, iov, iov_offset, flags);
        }
        if (ret < 0) {
            return ret;
        }
        offset += n;
        iov_offset += n;
        bytes -= n;
    }
    return 0;
}

static int coroutine_fn mapped_co_block_status(BlockDriverState *bs, int64_t offset,
                                               int64_t bytes, int64_t *pnum, int64_t *map,
                                               BlockDriverState **file)
{
    DiskMapKind kind;
    int64_t n = find(bs, offset, bytes, &kind, map);

    if (n < 0) {
        return n;
    }
    *pnum = n;
    if (kind == DISK_MAP_ZERO) {
        return BDRV_BLOCK_ZERO;
    }
    *file = bs->file;
    int ret = bdrv_co_block_status_above(bs->file, NULL, *map, n, pnum, NULL, NULL, NULL);
    return ret < 0 ? ret
                   : (ret & (BDRV_BLOCK_DATA | BDRV_BLOCK_ZERO)) | BDRV_BLOCK_OFFSET_VALID;
}

static BlockDriver bdrv_mapped = {
    .format_name          = "mapped",
    .instance_size        = sizeof(MappedState),
    .bdrv_co_open         = mapped_co_open,
    .bdrv_close           = mapped_close,
    .bdrv_co_preadv       = mapped_co_preadv,
    .bdrv_co_block_status = mapped_co_block_status,
};
block_init(bdrv_mapped)

BlockDriverState *bdrv_new_mapped(BlockDriverState *disk, uint64_t disk_offset,
                                  DiskMap *map, const char *name)
{
    BlockDriverState *bs = bdrv_new_node(&bdrv_mapped, name, 0, bdrv_ref(disk));
    MappedState *s = bs->opaque;

    s->map = disk_map_ref(map);
    s->disk_offset = disk_offset;
    bs->total_bytes = disk_map_length(map);
    bs->limits.opt_transfer = disk->limits.opt_transfer;
    return bs;
}
