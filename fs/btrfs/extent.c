/* From a file's bytes to extents. */
#include "btrfs.h"

static bool check_encoding(const BtrfsState *s, const BtrfsInode *inode,
                           const BtrfsCursor *c, GError **errp)
{
    const BtrfsFileExtentItem *item = (const BtrfsFileExtentItem *)c->data;

    if (item->compression > BTRFS_COMPRESS_ZSTD || item->encryption ||
        le16_get(item->other_encoding) || item->type > BTRFS_EXTENT_PREALLOC) {
        btrfs_error(s, errp, EMBR_ERROR_UNSUPPORTED, c->bytenr,
                    "inode %" PRIu64 " of subvolume %" PRIu64 ": extent at 0x%" PRIx64
                    " with type %u, compression %u, encryption %u and encoding %u, "
                    "which are not known",
                    inode->file.objectid, inode->file.tree->id, c->key.offset,
                    item->type, item->compression, item->encryption,
                    le16_get(item->other_encoding));
        return false;
    }
    return true;
}

static bool parse_inline(const BtrfsState *s, const BtrfsInode *inode,
                         const BtrfsCursor *c, BtrfsPart *part, GError **errp)
{
    uint32_t bytes = c->size - BTRFS_EXTENT_INLINE_HEAD_BYTES;

    part->kind = BTRFS_PART_INLINE;
    part->inline_data = c->data + BTRFS_EXTENT_INLINE_HEAD_BYTES;
    part->disk_bytes = bytes;
    part->logical = c->bytenr;
    if (part->compression == BTRFS_COMPRESS_NONE) {
        part->ram_bytes = bytes;
    }
    part->bytes = part->ram_bytes;
    if (part->file_offset || part->bytes > BTRFS_EXTENT_MAX_COMPRESSED) {
        return btrfs_inode_error(
            s, inode, c->bytenr, errp,
            "%" PRIu64 " bytes inline at 0x%" PRIx64 ", expected at most %d at 0",
            part->bytes, part->file_offset, BTRFS_EXTENT_MAX_COMPRESSED);
    }
    return true;
}

/* That the part is within its extent, and everything is in whole sectors. */
static bool check_extent(const BtrfsState *s, const BtrfsInode *inode,
                         const BtrfsCursor *c, const BtrfsPart *part, GError **errp)
{
    uint32_t sector = s->geo.sector_bytes;
    bool is_packed = part->compression != BTRFS_COMPRESS_NONE;
    uint64_t unpacked = is_packed ? part->ram_bytes : part->disk_bytes;
    uint64_t bits = part->file_offset | part->bytes;

    if (part->kind != BTRFS_PART_HOLE) {
        bits |= part->logical | part->disk_bytes | part->offset;
    }
    if (bits % sector || !part->bytes ||
        !range_fits(part->file_offset, part->bytes, INT64_MAX)) {
        return btrfs_inode_error(s, inode, c->bytenr, errp,
                                 "extent at 0x%" PRIx64 ": 0x%" PRIx64
                                 " bytes from 0x%" PRIx64 " on of 0x%" PRIx64
                                 " at 0x%" PRIx64 ", expected multiples of %u",
                                 part->file_offset, part->bytes, part->offset,
                                 part->disk_bytes, part->logical, sector);
    }
    if (part->kind == BTRFS_PART_HOLE) {
        return true;
    }
    if (!range_fits(part->offset, part->bytes, unpacked) ||
        (is_packed && (part->ram_bytes > BTRFS_EXTENT_MAX_COMPRESSED ||
                       part->disk_bytes > BTRFS_EXTENT_MAX_COMPRESSED))) {
        return btrfs_inode_error(
            s, inode, c->bytenr, errp,
            "extent at 0x%" PRIx64 ": 0x%" PRIx64 " bytes from 0x%" PRIx64
            " on are not in an extent of 0x%" PRIx64 " (0x%" PRIx64 " on the device)",
            part->file_offset, part->bytes, part->offset, part->ram_bytes,
            part->disk_bytes);
    }
    return true;
}

bool btrfs_part_parse(const BtrfsState *s, const BtrfsInode *inode,
                      const BtrfsCursor *c, BtrfsPart *part, GError **errp)
{
    const BtrfsFileExtentItem *item = (const BtrfsFileExtentItem *)c->data;

    if (c->size < BTRFS_EXTENT_INLINE_HEAD_BYTES ||
        (item->type != BTRFS_EXTENT_INLINE && c->size < sizeof(*item))) {
        return btrfs_inode_error(s, inode, c->bytenr, errp,
                                 "extent at 0x%" PRIx64 " has an item of %u bytes",
                                 c->key.offset, c->size);
    }
    if (!check_encoding(s, inode, c, errp)) {
        return false;
    }
    *part = (BtrfsPart){
        .file_offset = c->key.offset,
        .compression = item->compression,
        .ram_bytes = le64_get(item->ram_bytes),
        .generation = le64_get(item->generation),
    };
    if (item->type == BTRFS_EXTENT_INLINE) {
        return parse_inline(s, inode, c, part, errp);
    }
    part->bytes = le64_get(item->num_bytes);
    part->logical = le64_get(item->disk_bytenr);
    part->disk_bytes = le64_get(item->disk_num_bytes);
    part->offset = le64_get(item->offset);
    part->kind = !part->logical                        ? BTRFS_PART_HOLE
                 : item->type == BTRFS_EXTENT_PREALLOC ? BTRFS_PART_PREALLOCATED
                                                       : BTRFS_PART_DATA;
    if (part->kind != BTRFS_PART_DATA) {
        part->compression = BTRFS_COMPRESS_NONE;
    }
    return check_extent(s, inode, c, part, errp);
}

void btrfs_parts_init(BtrfsParts *p, BtrfsState *s, const BtrfsInode *inode,
                      uint64_t offset, uint64_t end)
{
    *p = (BtrfsParts){.s = s, .inode = inode, .pos = offset, .end = end};
    btrfs_cursor_init(&p->cursor, s, inode->file.tree);
}

void btrfs_parts_clear(BtrfsParts *p)
{
    btrfs_cursor_clear(&p->cursor);
}

/* To the last extent that begins at or before the place, or else the next one. */
static bool coroutine_fn start(BtrfsParts *p, GError **errp)
{
    BtrfsKey key = {p->inode->file.objectid, BTRFS_EXTENT_DATA, p->pos};
    BtrfsCursor *c = &p->cursor;

    p->started = true;
    if (!btrfs_cursor_co_seek_back(c, &key, errp)) {
        return false;
    }
    if (btrfs_cursor_is(c, key.objectid, key.type)) {
        return true;
    }
    return c->valid ? btrfs_cursor_co_next(c, errp)
                    : btrfs_cursor_co_seek(c, &key, errp);
}

static bool coroutine_fn find_part(BtrfsParts *p, BtrfsPart *part, GError **errp)
{
    BtrfsCursor *c = &p->cursor;

    if (!p->started && !start(p, errp)) {
        return false;
    }
    while (btrfs_cursor_is(c, p->inode->file.objectid, BTRFS_EXTENT_DATA) &&
           c->key.offset < p->end) {
        if (!btrfs_part_parse(p->s, p->inode, c, part, errp)) {
            return false;
        }
        if (part->file_offset + part->bytes > p->pos) {
            return true;
        }
        if (!btrfs_cursor_co_next(c, errp)) {
            return false;
        }
    }
    *part = (BtrfsPart){.kind = BTRFS_PART_HOLE, .file_offset = p->end};
    return true;
}

bool coroutine_fn btrfs_parts_co_next(BtrfsParts *p, BtrfsPart *part, GError **errp)
{
    if (!find_part(p, part, errp)) {
        btrfs_inode_prefix(p->inode, errp);
        return false;
    }
    if (part->file_offset > p->pos) {
        *part = (BtrfsPart){
            .kind = BTRFS_PART_HOLE,
            .file_offset = p->pos,
            .bytes = MIN(part->file_offset, p->end) - p->pos,
        };
    } else {
        uint64_t skip = p->pos - part->file_offset;

        part->file_offset = p->pos;
        part->offset += skip;
        part->bytes = MIN(part->bytes - MIN(skip, part->bytes), p->end - p->pos);
    }
    p->pos += part->bytes;
    return true;
}

bool coroutine_fn btrfs_part_co_is_shared(BtrfsState *s, const BtrfsInode *inode,
                                          const BtrfsPart *part)
{
    BtrfsKey key = {part->logical, BTRFS_EXTENT_ITEM, part->disk_bytes};
    g_auto(BtrfsCursor) c = {0};

    if (part->generation <= inode->file.tree->last_snapshot) {
        return true;
    }
    if (!s->has_extent_tree) {
        return false;
    }
    btrfs_cursor_init(&c, s, &s->extent_tree);
    return btrfs_cursor_co_seek(&c, &key, NULL) &&
           btrfs_cursor_is(&c, key.objectid, key.type) && c.key.offset == key.offset &&
           c.size >= sizeof(BtrfsExtentItem) &&
           le64_get(((const BtrfsExtentItem *)c.data)->refs) > 1;
}
