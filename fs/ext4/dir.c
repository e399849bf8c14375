/*
 * Directories.  A cursor is the byte offset of a block in the directory.  A call that
 * meets damage fails, with what is good added and the cursor moved on all the same, so
 * that whoever wants the rest may go on.
 */
#include <dirent.h>
#include "ext4.h"

enum {
    READ_BYTES = 128 * 1024,
    INLINE_PARENT_BYTES = 4,
};

static uint32_t record_bytes(const Ext4DirBlock *block, const Ext4DirEntry *entry)
{
    uint32_t len = le16_get(entry->rec_len);

    /* What does not fit 16 bits in blocks of 64 KiB: the block, or the two low bits. */
    if (block->bytes >= 65536) {
        return len == 0 || len == 65535 ? block->bytes
                                        : (len & 65532) | (len & 3) << 16;
    }
    return len;
}

static uint8_t entry_type(const Ext4State *s, const Ext4DirEntry *entry)
{
    static const uint8_t types[] = {
        DT_UNKNOWN, DT_REG, DT_DIR, DT_CHR, DT_BLK, DT_FIFO, DT_SOCK, DT_LNK,
    };

    if (!(s->geo.incompat & EXT4_INCOMPAT_FILETYPE) ||
        entry->file_type >= G_N_ELEMENTS(types)) {
        return DT_UNKNOWN;
    }
    return types[entry->file_type];
}

static bool is_dot_or_dotdot(const Ext4DirEntry *entry)
{
    return (entry->name_len == 1 && entry->name[0] == '.') ||
           (entry->name_len == 2 && entry->name[0] == '.' && entry->name[1] == '.');
}

static const char *entry_damage(const Ext4State *s, const Ext4DirBlock *block,
                                const Ext4DirEntry *entry)
{
    if (le32_get(entry->inode) > s->geo.inodes_count) {
        return "inode number is too large";
    }
    if (!entry->name_len) {
        return "name is empty";
    }
    if (!(block->dir->flags & EXT4_ENCRYPT_FL) &&
        (memchr(entry->name, '/', entry->name_len) ||
         memchr(entry->name, 0, entry->name_len))) {
        return "name has a NUL or a slash";
    }
    return NULL;
}

bool ext4_dir_block_next(const Ext4State *s, const Ext4DirBlock *block, uint32_t *pos,
                         Ext4Name *name, GError **errp)
{
    while (*pos < block->bytes) {
        const Ext4DirEntry *entry = (const Ext4DirEntry *)(block->data + *pos);
        uint64_t offset = block->offset + *pos;
        uint32_t left = block->bytes - *pos;
        uint32_t len = left < sizeof(*entry) ? 0 : record_bytes(block, entry);

        if (left < sizeof(*entry) && block->is_inline) {
            *pos = block->bytes;
            return false;
        }
        if (len < sizeof(*entry) || len % 4 || len > left ||
            sizeof(*entry) + entry->name_len > len) {
            ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                       "directory inode %" PRIu64
                       ": entry of %u bytes with a name of %u, "
                       "expected a multiple of 4 up to %u",
                       block->dir->ino, len,
                       left < sizeof(*entry) ? 0 : entry->name_len, left);
            *pos = block->bytes;
            return false;
        }
        *pos += len;
        if (!le32_get(entry->inode) || is_dot_or_dotdot(entry)) {
            continue;
        }

        const char *damage = entry_damage(s, block, entry);

        if (damage) {
            ext4_error(
                s, errp, EMBR_ERROR_CORRUPT, offset,
                "directory inode %" PRIu64 ": an entry's %s (inode %u, name of %u "
                "bytes)",
                block->dir->ino, damage, le32_get(entry->inode), entry->name_len);
            return false;
        }
        *name = (Ext4Name){
            .ino = le32_get(entry->inode),
            .type = entry_type(s, entry),
            .name = entry->name,
            .len = entry->name_len,
        };
        return true;
    }
    return false;
}

/* Where the index entries of a block of a hashed directory start; 0 if it is a leaf. */
static uint32_t index_entries_at(const Ext4DirBlock *block)
{
    const Ext4DirEntry *first = (const Ext4DirEntry *)block->data;

    if (!(block->dir->flags & EXT4_INDEX_FL)) {
        return 0;
    }
    if (record_bytes(block, first) == block->bytes) {
        return le32_get(first->inode) ? 0 : EXT4_DX_NODE_ENTRIES_OFFSET;
    }
    if (block->number || le16_get(first->rec_len) != 12) {
        return 0;
    }

    const Ext4DirEntry *second = (const Ext4DirEntry *)(block->data + 12);

    return record_bytes(block, second) == block->bytes - 12
               ? EXT4_DX_ROOT_ENTRIES_OFFSET
               : 0;
}

static bool check_index_sum(const Ext4State *s, const Ext4DirBlock *block, uint32_t at,
                            GError **errp)
{
    static const uint8_t zeroes[4];
    const Ext4DxCountLimit *head = (const Ext4DxCountLimit *)(block->data + at);
    uint32_t limit = le16_get(head->limit);
    uint32_t count = le16_get(head->count);
    uint32_t tail = at + limit * sizeof(Ext4DxEntry);

    if (count > limit || tail + EXT4_DX_TAIL_BYTES > block->bytes) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, block->offset,
                   "directory inode %" PRIu64
                   ": index of %u entries with room for %u and "
                   "a checksum, expected at most %zu",
                   block->dir->ino, count, limit,
                   (block->bytes - at - EXT4_DX_TAIL_BYTES) / sizeof(Ext4DxEntry));
        return false;
    }

    uint32_t crc =
        ext4_crc32c(block->dir->seed, block->data, at + count * sizeof(Ext4DxEntry));

    crc = ext4_crc32c(crc, block->data + tail, 4);
    crc = ext4_crc32c(crc, zeroes, sizeof(zeroes));
    if (crc != le32_load(block->data + tail + 4)) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, block->offset,
                   "directory inode %" PRIu64
                   ": index checksum is 0x%08x, expected 0x%08x",
                   block->dir->ino, le32_load(block->data + tail + 4), crc);
        return false;
    }
    return true;
}

bool ext4_dir_block_check(const Ext4State *s, const Ext4DirBlock *block, GError **errp)
{
    if (!s->has_checksums || block->is_inline) {
        return true;
    }

    uint32_t index_at = index_entries_at(block);

    if (index_at) {
        return check_index_sum(s, block, index_at, errp);
    }

    uint32_t at = block->bytes - sizeof(Ext4DirTail);
    const Ext4DirTail *tail = (const Ext4DirTail *)(block->data + at);

    if (le32_get(tail->zero1) || le16_get(tail->rec_len) != sizeof(*tail) ||
        tail->zero2 || tail->file_type != EXT4_DIR_TAIL_TYPE) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, block->offset,
                   "directory inode %" PRIu64 ": its block %" PRIu64 " has no checksum",
                   block->dir->ino, block->number);
        return false;
    }

    uint32_t expected = ext4_crc32c(block->dir->seed, block->data, at);

    if (le32_get(tail->checksum) != expected) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, block->offset,
                   "directory inode %" PRIu64 ": checksum of its block %" PRIu64
                   " is 0x%08x, "
                   "expected 0x%08x",
                   block->dir->ino, block->number, le32_get(tail->checksum), expected);
        return false;
    }
    return true;
}

/* Damage met in one call: the first of it is told. */
typedef struct Damage {
    GError *error;
    unsigned more;
} Damage;

static void note_damage(Damage *damage, GError *error)
{
    if (damage->error) {
        damage->more++;
        g_error_free(error);
    } else {
        damage->error = error;
    }
}

/* False with errp set if there was any. */
static bool report_damage(Damage *damage, GError **errp)
{
    if (!damage->error) {
        return true;
    }
    if (damage->more) {
        g_set_error(errp, damage->error->domain, damage->error->code,
                    "%s (and %u more places nearby)", damage->error->message,
                    damage->more);
        g_error_free(damage->error);
    } else {
        g_propagate_error(errp, damage->error);
    }
    return false;
}

/* Adds what is good of the block's entries. */
static void add_entries(Ext4State *s, const Ext4DirBlock *block, FsDirBatch *batch,
                        Damage *damage)
{
    bool encrypted = block->dir->flags & EXT4_ENCRYPT_FL;
    char shown[EXT4_NOKEY_NAME_MAX];
    GError *error = NULL;
    uint32_t pos = 0;
    FsIno changed_to;
    Ext4Name name;

    if (!ext4_dir_block_check(s, block, &error)) {
        note_damage(damage, error);
        return;
    }
    for (;;) {
        if (!ext4_dir_block_next(s, block, &pos, &name, &error)) {
            if (!error) {
                return;
            }
            note_damage(damage, g_steal_pointer(&error));
            continue;
        }
        if (ext4_fc_find_name(s, block->dir->ino, name.name, name.len, &changed_to)) {
            continue;
        }
        if (encrypted) {
            name.len = ext4_nokey_entry(s, block, &name, shown);
            name.name = shown;
        }
        fs_dir_batch_add(batch, name.ino, name.type, name.name, name.len);
    }
}

/* The two parts of a directory that is in its inode. */
static bool inline_part(const Ext4State *s, const Ext4Inode *dir, unsigned part,
                        Ext4DirBlock *block, GError **errp)
{
    const uint8_t *value;
    uint32_t bytes;

    *block = (Ext4DirBlock){
        .dir = dir,
        .data = ext4_inode_disk(dir)->block + INLINE_PARENT_BYTES,
        .bytes = EXT4_INLINE_BYTES - INLINE_PARENT_BYTES,
        .offset = dir->offset + offsetof(Ext4InodeDisk, block) + INLINE_PARENT_BYTES,
        .is_inline = true,
    };
    if (part == 0) {
        return true;
    }
    if (!ext4_xattr_inline_data(s, dir, &value, &bytes, errp)) {
        return false;
    }
    block->data = value;
    block->bytes = value ? bytes : 0;
    block->offset = dir->offset + (value ? value - dir->raw : 0);
    return true;
}

static bool read_inline(Ext4State *s, Ext4Inode *dir, FsDirBatch *batch, GError **errp)
{
    Damage damage = {0};

    for (unsigned part = 0; part < 2; part++) {
        GError *error = NULL;
        Ext4DirBlock block;

        if (inline_part(s, dir, part, &block, &error)) {
            add_entries(s, &block, batch, &damage);
        } else {
            note_damage(&damage, error);
        }
    }
    batch->cursor = dir->stat.size;
    batch->eof = true;
    return report_damage(&damage, errp);
}

bool ext4_dir_check_size(const Ext4State *s, const Ext4Inode *dir, GError **errp)
{
    uint64_t volume = blk_length(s->fs->blk);
    uint64_t limit = MIN(s->geo.blocks_count << s->geo.block_bits, volume);

    if (!S_ISDIR(dir->stat.mode)) {
        ext4_error(s, errp, EMBR_ERROR_INVALID, dir->offset,
                   "inode %" PRIu64 " is not a directory", dir->ino);
        return false;
    }
    if (dir->stat.size > limit) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, dir->offset,
                   "directory inode %" PRIu64 ": size is %" PRIu64
                   ", expected at most %" PRIu64,
                   dir->ino, dir->stat.size, limit);
        return false;
    }
    return true;
}

/* Past what is no block on the device: true if there is one left to read. */
static bool coroutine_fn find_blocks(Ext4State *s, Ext4Inode *dir, uint64_t *block,
                                     Ext4Run *run, bool *found, GError **errp)
{
    uint64_t end = div_round_up(dir->stat.size, s->geo.block_bytes);

    for (*found = false; *block < end; *block += run->count) {
        if (!ext4_map_co(s, dir, *block, end - *block, run, errp)) {
            return false;
        }
        if (run->physical && !run->unwritten) {
            *found = true;
            return true;
        }
    }
    return true;
}

/* Reads *count blocks into data; or, if they are not all to be had, one: then *count
 * is 1. */
static bool coroutine_fn read_run(Ext4State *s, const Ext4Inode *dir,
                                  const Ext4Run *run, uint64_t *count, uint8_t *data,
                                  GError **errp)
{
    uint64_t offset = ext4_block_offset(s, run->physical);

    if (*count > 1) {
        if (ext4_device_co_read(s, offset, *count * s->geo.block_bytes, data,
                                "directory", NULL)) {
            return true;
        }
        *count = 1;
    }
    if (!ext4_device_co_read(s, offset, s->geo.block_bytes, data, "directory", errp)) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", dir->ino);
        return false;
    }
    return true;
}

static bool coroutine_fn read_blocks(Ext4State *s, Ext4Inode *dir, FsDirBatch *batch,
                                     GError **errp)
{
    uint32_t bytes = s->geo.block_bytes;
    uint64_t number = batch->cursor >> s->geo.block_bits;
    Damage damage = {0};
    Ext4Run run;
    bool found;

    if (!find_blocks(s, dir, &number, &run, &found, errp)) {
        batch->eof = true;
        return false;
    }
    if (!found) {
        batch->cursor = dir->stat.size;
        batch->eof = true;
        return true;
    }

    uint64_t count = CLAMP(READ_BYTES / bytes, 1, run.count);
    uint8_t hash_version =
        dir->flags & EXT4_ENCRYPT_FL ? ext4_dir_co_hash_version(s, dir) : 0;
    g_autofree uint8_t *data = g_malloc(count * bytes);
    bool ok = read_run(s, dir, &run, &count, data, errp);

    for (uint64_t i = 0; ok && i < count; i++) {
        Ext4DirBlock block = {
            .dir = dir,
            .data = data + i * bytes,
            .bytes = bytes,
            .offset = ext4_block_offset(s, run.physical + i),
            .number = number + i,
            .hash_version = hash_version,
        };

        add_entries(s, &block, batch, &damage);
    }
    batch->cursor = (number + count) << s->geo.block_bits;
    batch->eof = batch->cursor >= dir->stat.size;
    return ok && report_damage(&damage, errp);
}

bool coroutine_fn ext4_dir_co_read(Ext4State *s, Ext4Inode *dir, FsDirBatch *batch,
                                   GError **errp)
{
    bool ok = true;

    if (!ext4_dir_check_size(s, dir, errp)) {
        batch->eof = true;
        return false;
    }
    if (ext4_fc_dir_is_new(s, dir->ino)) {
        batch->eof = true;
    } else if (ext4_inode_is_inline(dir)) {
        ok = read_inline(s, dir, batch, errp);
    } else {
        ok = read_blocks(s, dir, batch, errp);
    }
    if (batch->eof) {
        ext4_fc_add_names(s, dir->ino, batch);
    }
    return ok;
}
