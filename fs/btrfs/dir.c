/* Directory entries: listed in order of their indexes, found by the hash of the name.
 */
#include <dirent.h>
#include "btrfs.h"

enum { BATCH_ENTRIES = 1024 };

static uint8_t file_type(uint8_t type)
{
    static const uint8_t types[] = {
        [BTRFS_FT_UNKNOWN] = DT_UNKNOWN,  [BTRFS_FT_REGULAR] = DT_REG,
        [BTRFS_FT_DIRECTORY] = DT_DIR,    [BTRFS_FT_CHAR_DEVICE] = DT_CHR,
        [BTRFS_FT_BLOCK_DEVICE] = DT_BLK, [BTRFS_FT_FIFO] = DT_FIFO,
        [BTRFS_FT_SOCKET] = DT_SOCK,      [BTRFS_FT_SYMLINK] = DT_LNK,
    };

    return type < G_N_ELEMENTS(types) ? types[type] : DT_UNKNOWN;
}

bool btrfs_dir_entry(const uint8_t *item, uint32_t size, uint32_t *pos,
                     BtrfsDirEntry *entry)
{
    const BtrfsDirItem *disk = (const BtrfsDirItem *)(item + *pos);

    if (!range_fits(*pos, sizeof(*disk), size)) {
        return false;
    }

    uint32_t name_len = le16_get(disk->name_len), data_len = le16_get(disk->data_len);

    if (!range_fits(*pos + sizeof(*disk), name_len + data_len, size)) {
        return false;
    }
    *entry = (BtrfsDirEntry){
        .location = btrfs_key_load(&disk->location),
        .type = disk->type,
        .name = (const char *)(disk + 1),
        .name_len = name_len,
        .data = (const uint8_t *)(disk + 1) + name_len,
        .data_len = data_len,
    };
    *pos += sizeof(*disk) + name_len + data_len;
    return true;
}

/* The inode number of an entry. */
static bool coroutine_fn find_ino(BtrfsState *s, const BtrfsInode *dir,
                                  const BtrfsDirEntry *entry, uint64_t bytenr,
                                  FsIno *ino, GError **errp)
{
    const BtrfsKey *location = &entry->location;
    uint64_t number = location->objectid;

    if (number < BTRFS_FIRST_FREE_OBJECT || number > BTRFS_LAST_FREE_OBJECT ||
        (location->type != BTRFS_INODE_ITEM && location->type != BTRFS_ROOT_ITEM)) {
        return btrfs_inode_error(s, dir, bytenr, errp,
                                 "an entry leads to (%" PRIu64 " %u), which is no file",
                                 number, location->type);
    }
    if (location->type == BTRFS_ROOT_ITEM) {
        return btrfs_subvolume_co_link(s, &dir->file, number, entry->name,
                                       entry->name_len, ino, errp);
    }
    *ino = btrfs_ino_make(dir->file.tree->id, number);
    if (!*ino) {
        btrfs_error(s, errp, EMBR_ERROR_LIMIT, bytenr,
                    "inode %" PRIu64 " of subvolume %" PRIu64 ": numbers are too large",
                    number, dir->file.tree->id);
        return false;
    }
    return true;
}

static bool coroutine_fn add_entry(BtrfsState *s, const BtrfsInode *dir,
                                   const BtrfsCursor *c, FsDirBatch *batch,
                                   GError **errp)
{
    BtrfsDirEntry entry;
    uint32_t pos = 0;
    FsIno ino;

    if (!btrfs_dir_entry(c->data, c->size, &pos, &entry) || !entry.name_len ||
        entry.name_len > BTRFS_NAME_MAX) {
        return btrfs_inode_error(s, dir, c->bytenr, errp,
                                 "entry %" PRIu64
                                 " of the directory does not fit its %u bytes",
                                 c->key.offset, c->size);
    }
    if (!find_ino(s, dir, &entry, c->bytenr, &ino, errp)) {
        return false;
    }
    fs_dir_batch_add(batch, ino, file_type(entry.type), entry.name, entry.name_len);
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

/* Goes on behind what could not be read. */
static void skip_damage(const BtrfsCursor *c, const BtrfsKey *key, FsDirBatch *batch)
{
    const BtrfsKey *end = &c->damaged_end;

    if (end->objectid == key->objectid && end->type == key->type &&
        end->offset > batch->cursor) {
        batch->cursor = end->offset;
    } else {
        batch->eof = true;
    }
}

static void coroutine_fn read_entries(BtrfsState *s, const BtrfsInode *dir,
                                      FsDirBatch *batch, GError **damage)
{
    BtrfsKey key = {dir->file.objectid, BTRFS_DIR_INDEX, batch->cursor};
    g_auto(BtrfsCursor) c = {0};
    GError *error = NULL;

    btrfs_cursor_init(&c, s, dir->file.tree);
    bool ok = btrfs_cursor_co_seek(&c, &key, &error);
    for (unsigned i = 0; ok && btrfs_cursor_is(&c, key.objectid, key.type); i++) {
        if (i == BATCH_ENTRIES) {
            batch->cursor = c.key.offset;
            return;
        }
        if (!add_entry(s, dir, &c, batch, &error)) {
            note_damage(damage, g_steal_pointer(&error));
        }
        if (c.key.offset == UINT64_MAX) {
            break;
        }
        batch->cursor = c.key.offset + 1;
        ok = btrfs_cursor_co_next(&c, &error);
    }
    if (ok) {
        batch->eof = true;
        return;
    }
    g_prefix_error(&error, "directory inode %" PRIu64 " of subvolume %" PRIu64 ": ",
                   key.objectid, dir->file.tree->id);
    note_damage(damage, error);
    skip_damage(&c, &key, batch);
}

bool coroutine_fn btrfs_dir_co_read(BtrfsState *s, const BtrfsInode *dir,
                                    FsDirBatch *batch, GError **errp)
{
    GError *damage = NULL;

    read_entries(s, dir, batch, &damage);
    if (damage) {
        g_propagate_error(errp, damage);
        return false;
    }
    return true;
}

/* One by one, where the index of hashes is damaged. */
static bool coroutine_fn search_entries(BtrfsState *s, const BtrfsInode *dir,
                                        const char *name, size_t len, FsIno *ino)
{
    g_auto(FsDirBatch) batch = {0};

    *ino = 0;
    fs_dir_batch_init(&batch);
    while (!batch.eof && !*ino) {
        fs_dir_batch_drop_entries(&batch);
        btrfs_dir_co_read(s, dir, &batch, NULL);
        for (guint i = 0; i < batch.entries->len; i++) {
            const FsDirEntry *entry = &g_array_index(batch.entries, FsDirEntry, i);

            if (entry->name_len == len && !memcmp(entry->name, name, len)) {
                *ino = entry->ino;
            }
        }
    }
    return *ino;
}

bool coroutine_fn btrfs_dir_co_lookup(BtrfsState *s, const BtrfsInode *dir,
                                      const char *name, size_t len, FsIno *ino,
                                      GError **errp)
{
    BtrfsKey key = {dir->file.objectid, BTRFS_DIR_ITEM, btrfs_name_hash(name, len)};
    g_auto(BtrfsCursor) c = {0};
    GError *error = NULL;
    uint32_t pos = 0;

    btrfs_cursor_init(&c, s, dir->file.tree);
    if (!btrfs_cursor_co_seek(&c, &key, &error)) {
        if (search_entries(s, dir, name, len, ino)) {
            g_error_free(error);
            return true;
        }
        g_propagate_prefixed_error(
            errp, error, "directory inode %" PRIu64 " of subvolume %" PRIu64 ": ",
            key.objectid, dir->file.tree->id);
        return false;
    }
    while (btrfs_cursor_is(&c, key.objectid, key.type) && c.key.offset == key.offset &&
           pos < c.size) {
        BtrfsDirEntry entry;

        if (!btrfs_dir_entry(c.data, c.size, &pos, &entry)) {
            return btrfs_inode_error(s, dir, c.bytenr, errp,
                                     "entries with hash 0x%08" PRIx64
                                     " do not fit their %u bytes",
                                     key.offset, c.size);
        }
        if (entry.name_len == len && !memcmp(entry.name, name, len)) {
            return find_ino(s, dir, &entry, c.bytenr, ino, errp);
        }
    }
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND,
                "%s: no '%.*s' in directory inode %" PRIu64, blk_name(s->fs->blk),
                (int)len, name, dir->stat.ino);
    return false;
}
