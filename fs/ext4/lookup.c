/* Names looked up in directories: by the index where there is one, else one by one. */
#include "ext4.h"

static void not_found(const Ext4State *s, const Ext4Inode *dir, const char *name,
                      size_t name_len, GError **errp)
{
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND,
                "%s: no '%.*s' in directory inode %" PRIu64, blk_name(s->fs->blk),
                (int)name_len, name, dir->ino);
}

/* Looks through one block. False with *ino 0: not there, or error set. */
static bool coroutine_fn search_block(Ext4State *s, Ext4Inode *dir, uint64_t number,
                                      const char *name, size_t name_len, FsIno *ino,
                                      GError **errp)
{
    Ext4Run run;
    Ext4Name entry;
    uint32_t pos = 0;

    if (!ext4_map_co(s, dir, number, 1, &run, errp) || !run.physical || run.unwritten) {
        return false;
    }

    g_autoptr(FsBuffer) buffer =
        ext4_cache_co_block(s, run.physical, "directory", errp);

    if (!buffer) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", dir->ino);
        return false;
    }

    Ext4DirBlock block = {
        .dir = dir,
        .data = buffer->data,
        .bytes = buffer->bytes,
        .offset = buffer->offset,
        .number = number,
    };

    if (!ext4_dir_block_check(s, &block, errp)) {
        return false;
    }
    while (ext4_dir_block_next(s, &block, &pos, &entry, errp)) {
        if (entry.len == name_len && !memcmp(entry.name, name, name_len)) {
            *ino = entry.ino;
            return true;
        }
    }
    return false;
}

/* By the index, if there is one that can be used. *usable says whether. */
static bool coroutine_fn search_hashed(Ext4State *s, Ext4Inode *dir, const char *name,
                                       size_t name_len, FsIno *ino, bool *usable)
{
    g_autoptr(GArray) leaves = g_array_new(FALSE, FALSE, sizeof(uint32_t));

    *usable = (dir->flags & EXT4_INDEX_FL) && !(dir->flags & EXT4_CASEFOLD_FL) &&
              ext4_dx_co_find(s, dir, name, name_len, leaves);
    for (guint i = 0; *usable && i < leaves->len; i++) {
        g_autoptr(GError) error = NULL;
        uint32_t leaf = g_array_index(leaves, uint32_t, i);

        if (search_block(s, dir, leaf, name, name_len, ino, &error)) {
            return true;
        }
        *usable = !error;
    }
    return false;
}

/* Through all of it.  Damage counts only if the name is nowhere else. */
static bool coroutine_fn search_all(Ext4State *s, Ext4Inode *dir, const char *name,
                                    size_t name_len, FsIno *ino, GError **errp)
{
    g_autoptr(GError) damage = NULL;
    g_auto(FsDirBatch) batch = {0};

    fs_dir_batch_init(&batch);
    while (!batch.eof) {
        GError *error = NULL;

        fs_dir_batch_drop_entries(&batch);
        if (!ext4_dir_co_read(s, dir, &batch, &error)) {
            if (damage) {
                g_error_free(error);
            } else {
                damage = error;
            }
        }
        for (guint i = 0; i < batch.entries->len; i++) {
            const FsDirEntry *entry = &g_array_index(batch.entries, FsDirEntry, i);

            if (entry->name_len == name_len && !memcmp(entry->name, name, name_len)) {
                *ino = entry->ino;
                return true;
            }
        }
    }
    if (damage) {
        g_propagate_error(errp, g_steal_pointer(&damage));
        return false;
    }
    not_found(s, dir, name, name_len, errp);
    return false;
}

bool coroutine_fn ext4_dir_co_lookup(Ext4State *s, Ext4Inode *dir, const char *name,
                                     size_t name_len, FsIno *ino, GError **errp)
{
    bool usable = false;

    if (!ext4_dir_check_size(s, dir, errp)) {
        return false;
    }
    if (ext4_fc_find_name(s, dir->ino, name, name_len, ino)) {
        if (!*ino) {
            not_found(s, dir, name, name_len, errp);
        }
        return *ino;
    }
    if (!ext4_inode_is_inline(dir) && !(dir->flags & EXT4_ENCRYPT_FL) &&
        search_hashed(s, dir, name, name_len, ino, &usable)) {
        return true;
    }
    if (usable) {
        not_found(s, dir, name, name_len, errp);
        return false;
    }
    return search_all(s, dir, name, name_len, ino, errp);
}
