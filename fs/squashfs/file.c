/* Content of files. */
#include "squashfs.h"

enum {
    BLOCKS_AT_ONCE = 256,
    AHEAD_MAX = 64,
};

static bool report_short(const SquashfsState *s, const SquashfsInode *inode, uint64_t at,
                         uint64_t found, uint64_t expected, GError **errp)
{
    squashfs_error(s, errp, EMBR_ERROR_CORRUPT, at,
                   "inode %" PRIu64 ": a block or fragment unpacks to %" PRIu64
                   " bytes, expected %" PRIu64,
                   inode->stat.ino, found, expected);
    return false;
}

/* A part of one block. */
static bool coroutine_fn read_part(SquashfsState *s, const SquashfsInode *inode,
                                   const SquashfsBlock *block, uint32_t skip,
                                   uint32_t bytes, void *out, GError **errp)
{
    gsize size;

    if (block->stored & SQUASHFS_DATA_RAW) {
        uint32_t stored = squashfs_stored_bytes(block->stored);

        if ((block->content && stored != block->content) ||
            !range_fits(skip, bytes, stored)) {
            return report_short(s, inode, block->at, stored,
                                block->content ?: skip + (uint64_t)bytes, errp);
        }
        return squashfs_device_co_read(s, block->at + skip, bytes, out, "data", errp);
    }

    g_autoptr(GBytes) content = squashfs_data_co_get(s, block, errp);

    if (!content) {
        return false;
    }

    const uint8_t *data = g_bytes_get_data(content, &size);

    if ((block->content && size != block->content) || !range_fits(skip, bytes, size)) {
        return report_short(s, inode, block->at, size,
                            block->content ?: skip + (uint64_t)bytes, errp);
    }
    memcpy(out, data + skip, bytes);
    return true;
}

/* Has the fragment unpacked, and those that will be wanted next if fragments are used in
 * their order. */
static bool coroutine_fn find_fragment(SquashfsState *s, uint32_t fragment,
                                       SquashfsBlock *block, GError **errp)
{
    SquashfsBlock ahead[AHEAD_MAX];
    unsigned limit = MIN(squashfs_data_ahead(s), AHEAD_MAX), count = 0;
    bool in_order = fragment == s->next_fragment;

    if (!squashfs_fragment_co_find(s, fragment, block, errp)) {
        return false;
    }
    s->next_fragment = fragment + 1;
    if (!in_order || (block->stored & SQUASHFS_DATA_RAW) ||
        squashfs_data_is_kept(s, block)) {
        return true;
    }
    ahead[count++] = *block;
    while (count < limit && fragment + count < s->geo.fragments &&
           squashfs_fragment_co_find(s, fragment + count, &ahead[count], NULL)) {
        count++;
    }
    squashfs_data_co_warm(s, ahead, count);
    return true;
}

static bool coroutine_fn read_tail(SquashfsState *s, const SquashfsInode *inode,
                                   uint64_t offset, uint64_t bytes, uint8_t *out,
                                   GError **errp)
{
    uint64_t start = inode->blocks << s->geo.block_bits;
    uint64_t skip = inode->fragment_offset + (offset - start);
    SquashfsBlock block;

    if (!find_fragment(s, inode->fragment, &block, errp)) {
        return false;
    }
    if (skip > s->geo.block_bytes) {
        return report_short(s, inode, block.at, s->geo.block_bytes, skip + bytes, errp);
    }
    return read_part(s, inode, &block, skip, bytes, out, errp);
}

/* Blocks of a file from one on, and where they are. */
typedef struct Span {
    uint64_t first;
    unsigned count;
    SquashfsBlock blocks[BLOCKS_AT_ONCE];
} Span;

static bool coroutine_fn find_blocks(SquashfsState *s, const SquashfsInode *inode,
                                     uint64_t first, unsigned count, Span *span,
                                     GError **errp)
{
    uint32_t stored[BLOCKS_AT_ONCE];
    uint64_t at;

    if (!squashfs_blocks_co_get(s, inode, first, count, stored, &at, errp)) {
        return false;
    }
    span->first = first;
    span->count = count;
    for (unsigned i = 0; i < count; i++) {
        span->blocks[i] = (SquashfsBlock){
            at, stored[i], squashfs_block_content(s, inode, first + i)};
        at += squashfs_stored_bytes(stored[i]);
    }
    return true;
}

/* Blocks from number i of the span on that lie in the range as a whole, and are no holes,
 * so that they can be read into place. */
static unsigned count_whole(const SquashfsState *s, const Span *span, unsigned i,
                            uint32_t skip, uint64_t bytes)
{
    unsigned count = 0;

    while (!skip && i + count < span->count && bytes >= span->blocks[i + count].content &&
           squashfs_stored_bytes(span->blocks[i + count].stored)) {
        bytes -= span->blocks[i + count++].content;
    }
    return count;
}

/* Who reads on where the last read ended will go on: with fewer blocks than there are
 * processors, the next ones are unpacked, too. */
static void coroutine_fn read_ahead(SquashfsState *s, const SquashfsInode *inode,
                                    uint64_t first, unsigned wanted)
{
    unsigned count = MIN(MIN(squashfs_data_ahead(s), AHEAD_MAX), inode->blocks - first);
    SquashfsBlock packed[AHEAD_MAX];
    unsigned packed_count = 0;
    g_autofree Span *span = NULL;

    if (wanted >= count) {
        return;
    }
    span = g_new(Span, 1);
    if (!find_blocks(s, inode, first, count, span, NULL)) {
        return;                         /* who wants it will be told */
    }
    if (squashfs_data_is_kept(s, &span->blocks[0])) {
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        if (squashfs_stored_bytes(span->blocks[i].stored) &&
            !(span->blocks[i].stored & SQUASHFS_DATA_RAW)) {
            packed[packed_count++] = span->blocks[i];
        }
    }
    squashfs_data_co_warm(s, packed, packed_count);
}

static bool coroutine_fn read_span(SquashfsState *s, const SquashfsInode *inode,
                                   const Span *span, uint64_t offset, uint64_t bytes,
                                   uint8_t *out, GError **errp)
{
    for (unsigned i = 0; i < span->count && bytes;) {
        const SquashfsBlock *block = &span->blocks[i];
        uint32_t skip = offset & (s->geo.block_bytes - 1);
        uint64_t part = MIN(bytes, block->content - skip);
        unsigned whole = count_whole(s, span, i, skip, bytes);
        bool ok = true;

        if (whole > 1 || (whole && !squashfs_data_is_kept(s, block))) {
            part = MIN(bytes, (uint64_t)whole << s->geo.block_bits);
            ok = squashfs_data_co_read_run(s, block, whole, out, errp);
            i += whole;
        } else if (squashfs_stored_bytes(block->stored)) {
            ok = read_part(s, inode, block, skip, part, out, errp);
            i++;
        } else {
            memset(out, 0, part);
            i++;
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

bool coroutine_fn squashfs_file_co_read(SquashfsState *s, const SquashfsInode *inode,
                                        uint64_t offset, uint64_t bytes, void *buf,
                                        GError **errp)
{
    uint64_t in_blocks = inode->blocks << s->geo.block_bits;
    bool goes_on = s->last_ino == inode->stat.ino && s->last_end == offset;
    g_autofree Span *span = NULL;
    uint8_t *out = buf;

    s->last_ino = inode->stat.ino;
    s->last_end = offset + bytes;
    while (bytes && offset < in_blocks) {
        uint64_t first = offset >> s->geo.block_bits;
        uint64_t last = (MIN(offset + bytes, in_blocks) - 1) >> s->geo.block_bits;
        unsigned count = MIN(BLOCKS_AT_ONCE, last - first + 1);
        uint64_t part = MIN(bytes, ((first + count) << s->geo.block_bits) - offset);

        if (goes_on) {
            read_ahead(s, inode, first, count);
        }
        span = span ?: g_new(Span, 1);
        if (!find_blocks(s, inode, first, count, span, errp) ||
            !read_span(s, inode, span, offset, part, out, errp)) {
            g_prefix_error(errp, "inode %" PRIu64 ": ", inode->stat.ino);
            return false;
        }
        offset += part;
        out += part;
        bytes -= part;
    }
    return !bytes || read_tail(s, inode, offset, bytes, out, errp);
}
