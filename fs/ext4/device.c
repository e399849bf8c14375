/* Reads of the volume as the kernel would see it: the journal's blocks in place. */
#include "ext4.h"

/* One offset may be the start of both. */
typedef enum BufferKind {
    BUFFER_BLOCK,
    BUFFER_PIECE,
} BufferKind;

static bool coroutine_fn read_plain(Ext4State *s, uint64_t offset, uint64_t bytes,
                                    void *buf, const char *what, GError **errp)
{
    uint64_t length = blk_length(s->fs->blk);

    if (!range_fits(offset, bytes, length)) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                   "%s (%" PRIu64
                   " bytes) reaches past the end of the volume (0x%" PRIx64 ")",
                   what, bytes, length);
        return false;
    }
    return blk_co_read(s->fs->blk, offset, bytes, buf, what, errp);
}

bool coroutine_fn ext4_device_co_read(Ext4State *s, uint64_t offset, uint64_t bytes,
                                      void *buf, const char *what, GError **errp)
{
    uint8_t *out = buf;

    if (!s->journal) {
        return read_plain(s, offset, bytes, buf, what, errp);
    }
    while (bytes) {
        uint64_t block = offset >> s->geo.block_bits;
        uint32_t within = offset & (s->geo.block_bytes - 1);
        uint64_t count = (within + bytes + s->geo.block_bytes - 1) >> s->geo.block_bits;
        uint64_t part;
        guint index;
        bool ok;

        if (ext4_journal_find(s->journal, block, &count, &index)) {
            part = MIN(bytes, s->geo.block_bytes - within);
            ok = ext4_journal_co_read(s, index, within, part, out, errp);
        } else {
            part = MIN(bytes, (count << s->geo.block_bits) - within);
            ok = read_plain(s, offset, part, out, what, errp);
        }
        if (!ok) {
            return false;
        }
        offset += part;
        out += part;
        bytes -= part;
    }
    return true;
}

static bool coroutine_fn read_for_cache(void *opaque, uint64_t offset, uint64_t bytes,
                                        void *buf, const char *what, GError **errp)
{
    return ext4_device_co_read(opaque, offset, bytes, buf, what, errp);
}

FsCache *ext4_cache_new(Ext4State *s)
{
    return fs_cache_new(read_for_cache, s);
}

FsBuffer *coroutine_fn ext4_cache_co_block(Ext4State *s, uint64_t block,
                                           const char *what, GError **errp)
{
    return fs_cache_co_get(s->cache, BUFFER_BLOCK, ext4_block_offset(s, block),
                           s->geo.block_bytes, what, errp);
}

FsBuffer *coroutine_fn ext4_cache_co_piece(Ext4State *s, uint64_t offset,
                                           uint32_t bytes, const char *what,
                                           GError **errp)
{
    return fs_cache_co_get(s->cache, BUFFER_PIECE, offset, bytes, what, errp);
}
