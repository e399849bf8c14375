/* Blocks of metadata: a head of 16 bits, and then what unpacks to 8 KiB or less. */
#include "squashfs.h"

enum {
    HEAD_BYTES = sizeof(le16_t),
    /* Buffers are told apart by offsets that are multiples of this. */
    KEY_UNIT = 128,
};

typedef struct MetaBlock {
    uint32_t stored;                    /* with the head: where the next one is */
    uint32_t bytes;
    uint8_t data[SQUASHFS_META_BYTES];
} MetaBlock;

static bool unpack_block(const SquashfsState *s, uint64_t offset, const uint8_t *raw,
                         uint64_t raw_bytes, MetaBlock *block, const char *what,
                         GError **errp)
{
    uint16_t head = le16_load(raw);
    uint32_t bytes = head & ~SQUASHFS_META_RAW;
    ssize_t got = bytes;

    if (!bytes || bytes > MIN(raw_bytes - HEAD_BYTES, SQUASHFS_META_BYTES)) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                       "%s: block of metadata of %u bytes, expected 1 to %" PRIu64, what,
                       bytes, MIN(raw_bytes - HEAD_BYTES, SQUASHFS_META_BYTES));
        return false;
    }
    if (head & SQUASHFS_META_RAW) {
        memcpy(block->data, raw + HEAD_BYTES, bytes);
    } else {
        got = squashfs_unpack(s->geo.compression, raw + HEAD_BYTES, bytes, block->data,
                              sizeof(block->data));
    }
    if (got <= 0) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                       "%s: block of metadata cannot be unpacked (%s)", what,
                       squashfs_codec_name(s->geo.compression));
        return false;
    }
    block->stored = HEAD_BYTES + bytes;
    block->bytes = got;
    return true;
}

static bool coroutine_fn read_for_cache(void *opaque, uint64_t key, uint64_t bytes,
                                        void *buf, const char *what, GError **errp)
{
    const SquashfsState *s = opaque;
    uint8_t raw[HEAD_BYTES + SQUASHFS_META_BYTES];
    uint64_t offset = key / KEY_UNIT;
    uint64_t raw_bytes = offset < s->geo.end ? MIN(sizeof(raw), s->geo.end - offset)
                                             : sizeof(raw);

    return squashfs_device_co_read(s, offset, MAX(raw_bytes, HEAD_BYTES + 1), raw, what,
                                   errp) &&
           unpack_block(s, offset, raw, raw_bytes, buf, what, errp);
}

FsCache *squashfs_metadata_new(SquashfsState *s)
{
    return fs_cache_new(read_for_cache, s);
}

/* Most reads are of the block that the last one was of. */
static const MetaBlock *coroutine_fn co_get_block(SquashfsState *s, uint64_t offset,
                                                  const char *what, GError **errp)
{
    FsBuffer *buffer;

    if (offset >= s->geo.end || offset > UINT64_MAX / KEY_UNIT) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                       "%s: begins past the end (0x%" PRIx64 ")", what, s->geo.end);
        return NULL;
    }
    if (!s->recent || s->recent->offset != offset * KEY_UNIT) {
        buffer = fs_cache_co_get(s->metadata, 0, offset * KEY_UNIT, sizeof(MetaBlock),
                                 what, errp);
        if (!buffer) {
            return NULL;
        }
        fs_buffer_release(s->recent);
        s->recent = buffer;
    }
    return (const MetaBlock *)s->recent->data;
}

bool coroutine_fn squashfs_meta_co_read(SquashfsState *s, SquashfsCursor *cursor,
                                        void *buf, uint64_t bytes, const char *what,
                                        GError **errp)
{
    SquashfsCursor at = *cursor;
    uint8_t *out = buf;

    while (bytes) {
        const MetaBlock *block = co_get_block(s, at.block, what, errp);

        if (!block) {
            return false;
        }
        if (at.at > block->bytes) {
            squashfs_error(s, errp, EMBR_ERROR_CORRUPT, at.block,
                           "%s: is at byte %u of a block of metadata that has %u", what,
                           at.at, block->bytes);
            return false;
        }

        uint32_t part = MIN(bytes, block->bytes - at.at);

        if (out) {
            memcpy(out, block->data + at.at, part);
            out += part;
        }
        bytes -= part;
        at.at += part;
        if (at.at == block->bytes) {
            at.block += block->stored;
            at.at = 0;
        }
    }
    *cursor = at;
    return true;
}

bool coroutine_fn squashfs_table_co_locate(const SquashfsState *s, uint64_t list,
                                           uint64_t index, uint32_t entry_bytes,
                                           SquashfsCursor *cursor, const char *what,
                                           GError **errp)
{
    uint64_t per_block = SQUASHFS_META_BYTES / entry_bytes;
    le64_t block;

    /* No table has so many entries that their list would pass the end of 64 bits. */
    if (!squashfs_device_co_read(s, MIN(list, INT64_MAX) + index / per_block * sizeof(block),
                                 sizeof(block), &block, what, errp)) {
        return false;
    }
    *cursor = (SquashfsCursor){le64_get(block), index % per_block * entry_bytes};
    return true;
}

const SquashfsTrack *squashfs_track_find(const SquashfsState *s, FsIno ino,
                                         uint64_t position)
{
    const SquashfsTrack *best = NULL;

    for (unsigned i = 0; i < SQUASHFS_TRACKS; i++) {
        const SquashfsTrack *track = &s->tracks[i];

        if (track->ino == ino && track->position <= position &&
            (!best || track->position > best->position)) {
            best = track;
        }
    }
    return best;
}

void squashfs_track_set(SquashfsState *s, const SquashfsTrack *track)
{
    s->tracks[s->next_track++ % SQUASHFS_TRACKS] = *track;
}
