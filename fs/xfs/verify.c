/* What is read, and what every block of version 5 says of itself. */
#include <isa-l/crc.h>
#include "xfs.h"

/* The heads of directory blocks, hash trees and remote data. */
const XfsBlockKind xfs_kind_dir = {
    "directory block", 0, 0, .crc_at = 4, .blkno_at = 8, .uuid_at = 24, .owner_at = 40,
    .owner_bytes = 8,
};
const XfsBlockKind xfs_kind_da = {
    "hash block",     0, 0, .crc_at = 12, .blkno_at = 16, .uuid_at = 32, .owner_at = 48,
    .owner_bytes = 8,
};
const XfsBlockKind xfs_kind_symlink = {
    "symbolic link",   0,
    XFS_SYMLINK_MAGIC, .crc_at = 12,
    .blkno_at = 40,    .uuid_at = 16,
    .owner_at = 32,    .owner_bytes = 8,
};
const XfsBlockKind xfs_kind_attr = {
    "attribute value",     0,
    XFS_REMOTE_ATTR_MAGIC, .crc_at = 12,
    .blkno_at = 40,        .uuid_at = 16,
    .owner_at = 32,        .owner_bytes = 8,
};

/* CRC-32C with the checksum's own four bytes as zeroes. */
uint32_t xfs_crc(const uint8_t *data, size_t bytes, size_t crc_at)
{
    static uint8_t zeroes[4];
    size_t rest = crc_at + sizeof(zeroes);
    uint32_t crc = crc32_iscsi((unsigned char *)data, crc_at, UINT32_MAX);

    crc = crc32_iscsi(zeroes, sizeof(zeroes), crc);
    return ~crc32_iscsi((unsigned char *)data + rest, bytes - rest, crc);
}

static bool check_head(const XfsState *s, const XfsBlockKind *kind, const uint8_t *data,
                       uint32_t bytes, uint64_t offset, uint64_t owner, GError **errp)
{
    uint32_t found = le32_load(data + kind->crc_at);
    uint32_t expected = xfs_crc(data, bytes, kind->crc_at);
    uint64_t blkno = be64_load(data + kind->blkno_at);
    uint64_t owned_by = kind->owner_bytes == 4 ? be32_load(data + kind->owner_at)
                                               : be64_load(data + kind->owner_at);

    if (found != expected && !xfs_is_logged(s, offset, bytes)) {
        xfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                  "%s: checksum is 0x%08x, expected 0x%08x", kind->what, found,
                  expected);
        return false;
    }
    if (memcmp(data + kind->uuid_at, s->geo.meta_uuid, XFS_UUID_BYTES)) {
        xfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                  "%s: UUID is another filesystem's", kind->what);
        return false;
    }
    if (blkno != offset >> XFS_DADDR_BITS) {
        xfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                  "%s: is meant for sector %" PRIu64 ", expected %" PRIu64, kind->what,
                  blkno, offset >> XFS_DADDR_BITS);
        return false;
    }
    if (owned_by != owner) {
        xfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                  "%s: its owner is %" PRIu64 ", expected %" PRIu64, kind->what,
                  owned_by, owner);
        return false;
    }
    return true;
}

bool xfs_block_check(const XfsState *s, const XfsBlockKind *kind, const uint8_t *data,
                     uint32_t bytes, uint64_t offset, uint64_t owner, GError **errp)
{
    uint32_t magic = s->geo.version == 5 ? kind->magic_v5 : kind->magic_v4;

    if (magic && be32_load(data) != magic) {
        xfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                  "%s: magic is 0x%08x, expected 0x%08x", kind->what, be32_load(data),
                  magic);
        return false;
    }
    return s->geo.version < 5 || check_head(s, kind, data, bytes, offset, owner, errp);
}

bool xfs_is_logged(const XfsState *s, uint64_t offset, uint64_t bytes)
{
    uint64_t first = offset >> XFS_DADDR_BITS;
    uint64_t last = (offset + bytes - 1) >> XFS_DADDR_BITS;
    uint64_t count = last - first + 1;
    uint64_t left = count;

    return s->overlay && (xfs_overlay_find(s->overlay, first, &left) || left < count);
}

/* What is on the volume, and what the log puts there. */
static bool coroutine_fn read_below(XfsState *s, uint64_t offset, uint64_t bytes,
                                    uint8_t *out, const char *what, GError **errp)
{
    while (bytes) {
        uint32_t within = offset % XFS_LOG_BLOCK_BYTES;
        uint64_t count = div_round_up(within + bytes, XFS_LOG_BLOCK_BYTES);
        const uint8_t *sector =
            xfs_overlay_find(s->overlay, offset >> XFS_DADDR_BITS, &count);
        uint64_t part = MIN(bytes, count * XFS_LOG_BLOCK_BYTES - within);

        if (sector) {
            memcpy(out, sector + within, part);
        } else if (!blk_co_read(s->fs->blk, offset, part, out, what, errp)) {
            return false;
        }
        offset += part;
        out += part;
        bytes -= part;
    }
    return true;
}

bool coroutine_fn xfs_device_co_read(XfsState *s, uint64_t offset, uint64_t bytes,
                                     void *buf, const char *what, GError **errp)
{
    uint64_t length = blk_length(s->fs->blk);

    if (!range_fits(offset, bytes, length)) {
        xfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                  "%s (%" PRIu64
                  " bytes) reaches past the end of the volume (0x%" PRIx64 ")",
                  what, bytes, length);
        return false;
    }
    return s->overlay ? read_below(s, offset, bytes, buf, what, errp)
                      : blk_co_read(s->fs->blk, offset, bytes, buf, what, errp);
}

static bool coroutine_fn read_for_cache(void *opaque, uint64_t offset, uint64_t bytes,
                                        void *buf, const char *what, GError **errp)
{
    return xfs_device_co_read(opaque, offset, bytes, buf, what, errp);
}

FsCache *xfs_cache_new(XfsState *s)
{
    return fs_cache_new(read_for_cache, s);
}

FsBuffer *coroutine_fn xfs_co_block(XfsState *s, const XfsBlockKind *kind,
                                    XfsBufferKind buffer_kind, uint64_t offset,
                                    uint32_t bytes, uint64_t owner, GError **errp)
{
    g_autoptr(FsBuffer) buffer =
        fs_cache_co_get(s->cache, buffer_kind, offset, bytes, kind->what, errp);
    /* As what it was checked: a block can be claimed by more than its owner. */
    uint64_t mark = owner ^ (uint64_t)kind->crc_at << 56;

    if (!buffer) {
        return NULL;
    }
    if (buffer->checked != mark) {
        if (!xfs_block_check(s, kind, buffer->data, bytes, offset, owner, errp)) {
            return NULL;
        }
        buffer->checked = mark;
    }
    return g_steal_pointer(&buffer);
}
