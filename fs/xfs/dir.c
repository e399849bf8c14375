/*
 * Directories.  A cursor is the byte offset of a block in the directory.  A call that
 * meets damage fails, with what is good added and the cursor moved on all the same, so
 * that whoever wants the rest may go on.
 */
#include <dirent.h>
#include "util/byte-reader.h"
#include "xfs.h"

enum { READ_BYTES = 128 * 1024 };

static uint8_t file_type(uint8_t type)
{
    static const uint8_t types[] = {
        DT_UNKNOWN, DT_REG, DT_DIR, DT_CHR, DT_BLK, DT_FIFO, DT_SOCK, DT_LNK,
    };

    return type < G_N_ELEMENTS(types) ? types[type] : DT_UNKNOWN;
}

static bool is_dot_or_dotdot(const XfsName *name)
{
    return (name->len == 1 && name->name[0] == '.') ||
           (name->len == 2 && name->name[0] == '.' && name->name[1] == '.');
}

static bool G_GNUC_PRINTF(5, 6)
    dir_error(const XfsState *s, const XfsInode *dir, uint64_t offset, GError **errp,
              const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    xfs_error(s, errp, EMBR_ERROR_CORRUPT, offset, "directory inode %" PRIu64 ": %s",
              dir->ino, text);
    return false;
}

static bool check_name(const XfsState *s, const XfsInode *dir, const XfsName *name,
                       uint64_t offset, GError **errp)
{
    if (!name->len || memchr(name->name, '/', name->len) ||
        memchr(name->name, 0, name->len)) {
        return dir_error(
            s, dir, offset, errp,
            "an entry's name of %zu bytes is empty or has a NUL or a slash "
            "(inode %" PRIu64 ")",
            name->len, name->ino);
    }
    return true;
}

bool xfs_dir_check(const XfsState *s, const XfsInode *dir, GError **errp)
{
    uint64_t limit =
        MIN(s->geo.blocks_count << s->geo.block_bits, XFS_DIR_LEAF_OFFSET_BYTES);

    if (!S_ISDIR(dir->stat.mode)) {
        xfs_error(s, errp, EMBR_ERROR_INVALID, dir->offset,
                  "inode %" PRIu64 " is not a directory", dir->ino);
        return false;
    }
    if (dir->data.format == XFS_FORK_LOCAL) {
        limit = dir->data.bytes;
    }
    if (dir->stat.size > limit) {
        return dir_error(s, dir, dir->offset, errp,
                         "size is %" PRIu64 ", expected at most %" PRIu64,
                         dir->stat.size, limit);
    }
    return true;
}

bool xfs_dir_block_init(const XfsState *s, XfsDirBlock *block, GError **errp)
{
    uint32_t magic = be32_load(block->data);
    bool v5 = s->geo.version == 5;
    uint32_t bytes = xfs_dir_block_bytes(s);
    uint32_t room = bytes - xfs_dir_head_bytes(s) - sizeof(XfsDirBlockTail);

    block->end = bytes;
    if (magic == (v5 ? XFS_DIR3_DATA_MAGIC : XFS_DIR_DATA_MAGIC)) {
        return true;
    }
    if (magic != (v5 ? XFS_DIR3_BLOCK_MAGIC : XFS_DIR_BLOCK_MAGIC)) {
        return dir_error(s, block->dir, block->offset, errp,
                         "magic of its block is 0x%08x, expected 0x%08x or 0x%08x",
                         magic, v5 ? XFS_DIR3_DATA_MAGIC : XFS_DIR_DATA_MAGIC,
                         v5 ? XFS_DIR3_BLOCK_MAGIC : XFS_DIR_BLOCK_MAGIC);
    }

    const XfsDirBlockTail *tail =
        (const XfsDirBlockTail *)(block->data + bytes - sizeof(*tail));
    uint32_t count = be32_get(tail->count);

    if (count > room / sizeof(XfsDirLeafEntry)) {
        return dir_error(s, block->dir, block->offset, errp,
                         "index of %u entries, expected at most %zu", count,
                         room / sizeof(XfsDirLeafEntry));
    }
    block->end = bytes - sizeof(*tail) - count * sizeof(XfsDirLeafEntry);
    return true;
}

/* A length that cannot be is the end of the block: there is no telling what follows. */
static bool entry_lost(const XfsState *s, const XfsDirBlock *block, uint32_t *pos,
                       uint32_t bytes, GError **errp)
{
    uint32_t at = *pos;

    *pos = block->end;
    return dir_error(s, block->dir, block->offset + at, errp,
                     "entry of %u bytes that does not say where it is, with %u left in "
                     "its block",
                     bytes, block->end - at);
}

bool xfs_dir_block_entry(const XfsState *s, const XfsDirBlock *block, uint32_t *pos,
                         XfsName *name, GError **errp)
{
    const uint8_t *entry = block->data + *pos;
    uint32_t left = block->end - *pos, at = *pos;

    *name = (XfsName){0};
    if (left < XFS_DIR_DATA_ALIGN) {
        return entry_lost(s, block, pos, left, errp);
    }
    if (be16_load(entry) == XFS_DIR_FREE_TAG) {
        uint32_t free = be16_load(entry + 2);

        if (!free || free % XFS_DIR_DATA_ALIGN || free > left ||
            be16_load(entry + free - 2) != at) {
            return entry_lost(s, block, pos, free, errp);
        }
        *pos += free;
        return true;
    }

    /* Inode, length of the name, name, perhaps type; at the very end, its place. */
    uint32_t used = 8 + 1 + (left > 8 ? entry[8] : 0) + s->geo.has_types + 2;
    uint32_t bytes = round_up_pow2(used, XFS_DIR_DATA_ALIGN);

    if (bytes > left || be16_load(entry + bytes - 2) != at) {
        return entry_lost(s, block, pos, bytes, errp);
    }
    *pos += bytes;
    *name = (XfsName){
        .ino = be64_load(entry),
        .type = s->geo.has_types ? file_type(entry[9 + entry[8]]) : DT_UNKNOWN,
        .name = (const char *)entry + 9,
        .len = entry[8],
    };
    if (!check_name(s, block->dir, name, block->offset + at, errp)) {
        *name = (XfsName){0};
        return false;
    }
    if (is_dot_or_dotdot(name)) {
        *name = (XfsName){0};
    }
    return true;
}

/* Damage met in one call: the first of it is told. */
static void note_damage(GError **first, GError *error)
{
    if (*first) {
        g_error_free(error);
    } else {
        *first = error;
    }
}

static void add_entries(XfsState *s, XfsDirBlock *block, FsDirBatch *batch,
                        GError **damage)
{
    uint32_t pos = xfs_dir_head_bytes(s);
    GError *error = NULL;
    XfsName name;

    if (!xfs_block_check(s, &xfs_kind_dir, block->data, xfs_dir_block_bytes(s),
                         block->offset, block->dir->ino, &error)) {
        g_prefix_error(&error, "directory inode %" PRIu64 ": ", block->dir->ino);
        note_damage(damage, error);
        return;
    }
    if (!xfs_dir_block_init(s, block, &error)) {
        note_damage(damage, error);
        return;
    }
    while (pos < block->end) {
        if (!xfs_dir_block_entry(s, block, &pos, &name, &error)) {
            note_damage(damage, g_steal_pointer(&error));
        } else if (name.len) {
            fs_dir_batch_add(batch, name.ino, name.type, name.name, name.len);
        }
    }
}

/* All in the inode: a count, how many numbers have 8 bytes (then all have), the parent,
 * and of each entry the name's length, a place, the name, perhaps the type, the inode.
 */
static bool read_short(const XfsState *s, const XfsInode *dir, FsDirBatch *batch,
                       GError **errp)
{
    GError *damage = NULL;
    ByteReader r;

    byte_reader_init(&r, dir->raw + dir->data.at, dir->stat.size);

    unsigned count = byte_reader_u8(&r);
    bool wide = byte_reader_u8(&r);

    count = count ? count : wide ? UINT8_MAX : 0;
    byte_reader_take(&r, wide ? 8 : 4);
    batch->cursor = dir->stat.size;
    batch->eof = true;
    for (unsigned i = 0; i < count && !r.bad; i++) {
        uint64_t offset = dir->offset + dir->data.at + r.pos;
        XfsName name = {.len = byte_reader_u8(&r)};
        GError *error = NULL;

        byte_reader_take(&r, 2);
        name.name = byte_reader_take(&r, name.len);
        name.type = s->geo.has_types ? file_type(byte_reader_u8(&r)) : DT_UNKNOWN;
        name.ino = wide ? byte_reader_be64(&r) : byte_reader_be32(&r);
        if (r.bad) {
            break;
        }
        if (check_name(s, dir, &name, offset, &error)) {
            fs_dir_batch_add(batch, name.ino, name.type, name.name, name.len);
        } else {
            note_damage(&damage, error);
        }
    }
    if (r.bad && !damage) {
        return dir_error(s, dir, dir->offset + dir->data.at, errp,
                         "%u entries do not fit its %" PRIu64 " bytes", count,
                         dir->stat.size);
    }
    if (damage) {
        g_propagate_error(errp, damage);
        return false;
    }
    return true;
}

/* The first block from *block (in blocks of the filesystem) on that is on the device.
 */
static bool coroutine_fn find_block(XfsState *s, const XfsInode *dir, uint64_t *block,
                                    uint64_t end, XfsRun *run, GError **errp)
{
    uint64_t step = xfs_dir_block_bytes(s) >> s->geo.block_bits;

    while (*block < end) {
        if (!xfs_map_co(s, dir, &dir->data, *block, end - *block, run, errp)) {
            return false;
        }
        if (run->physical && !run->unwritten) {
            return true;
        }
        *block = MIN(end, round_up_pow2(*block + run->count, step));
    }
    return true;
}

static bool coroutine_fn read_blocks(XfsState *s, const XfsInode *dir,
                                     FsDirBatch *batch, GError **errp)
{
    unsigned bits = s->geo.block_bits;
    uint32_t bytes = xfs_dir_block_bytes(s);
    uint64_t block = round_down_pow2(batch->cursor, bytes) >> bits;
    uint64_t end = round_up_pow2(dir->stat.size, bytes) >> bits;
    GError *damage = NULL;
    XfsRun run;

    if (!find_block(s, dir, &block, end, &run, errp)) {
        batch->eof = true;
        return false;
    }
    if (block >= end) {
        batch->cursor = end << bits;
        batch->eof = true;
        return true;
    }

    /* A run may end within a directory block: that one is read on its own. */
    uint64_t count = MIN(MAX(READ_BYTES / bytes, 1), (run.count << bits) / bytes);
    g_autofree uint8_t *data = g_malloc(MAX(count, 1) * bytes);

    if (count > 1 && !xfs_device_co_read(s, run.physical << bits, count * bytes, data,
                                         "directory", NULL)) {
        count = 1;
    }
    if (count <= 1) {
        count = 1;
        if (!xfs_fork_co_read(s, dir, &dir->data, block << bits, bytes, data,
                              "directory", &damage)) {
            count = 0;
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        XfsDirBlock part = {
            .dir = dir,
            .data = data + i * bytes,
            .offset = (run.physical << bits) + i * bytes,
        };

        add_entries(s, &part, batch, &damage);
    }
    batch->cursor = (block << bits) + MAX(count, 1) * bytes;
    batch->eof = batch->cursor >> bits >= end;
    if (damage) {
        g_propagate_error(errp, damage);
        return false;
    }
    return true;
}

bool coroutine_fn xfs_dir_co_read(XfsState *s, const XfsInode *dir, FsDirBatch *batch,
                                  GError **errp)
{
    if (!xfs_dir_check(s, dir, errp)) {
        batch->eof = true;
        return false;
    }
    return dir->data.format == XFS_FORK_LOCAL ? read_short(s, dir, batch, errp)
                                              : read_blocks(s, dir, batch, errp);
}
