/* The driver for FAT12, FAT16 and FAT32: what the rest of embr calls. */
#include "fat.h"

static void close_state(Filesystem *fs)
{
    fat_state_clear(fs->opaque);
}

static bool coroutine_fn co_open(Filesystem *fs, bool from_backup, GError **errp)
{
    FatState *s = fs->opaque;

    s->kind = &fat_kind;
    s->fs = fs;
    if (!fat_super_co_load(s, from_backup, errp)) {
        close_state(fs);
        return false;
    }
    return true;
}

static bool coroutine_fn driver_co_open(Filesystem *fs, GError **errp)
{
    return co_open(fs, false, errp);
}

static bool coroutine_fn driver_co_open_backup(Filesystem *fs, GError **errp)
{
    return co_open(fs, true, errp);
}

#define FAT_CALLBACKS                                                                  \
    .instance_size = sizeof(FatState), .fs_close = close_state,                        \
    .fs_co_stat = fat_file_co_stat, .fs_co_readdir = fat_file_co_readdir,              \
    .fs_co_read = fat_file_co_read, .fs_co_extents = fat_file_co_extents,              \
    .fs_co_block_use = fat_file_co_block_use

/* Behind those with a magic number of their own, which may have left the boot sector of
 * what was there before. */
static const FsDriver fs_fat = {
    .name = "fat",
    .priority = -60,
    .fs_co_probe = fat_co_probe,
    .fs_co_open = driver_co_open,
    FAT_CALLBACKS,
};
fs_init(fs_fat);

/* Asked after everybody else: the boot sector is gone, but a copy of it is left. */
static const FsDriver fs_fat_backup = {
    .name = "fat-backup",
    .priority = FS_PRIORITY_BY_COPIES - 200,
    .fs_co_probe = fat_co_probe_backup,
    .fs_co_open = driver_co_open_backup,
    FAT_CALLBACKS,
};
fs_init(fs_fat_backup);
