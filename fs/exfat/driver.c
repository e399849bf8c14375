/* The driver for exFAT: what the rest of embr calls. */
#include "exfat.h"

static void close_state(Filesystem *fs)
{
    ExfatState *s = fs->opaque;

    exfat_bitmap_clear(s);
    g_clear_pointer(&s->upcase, g_free);
    fat_state_clear(&s->fat);
}

static bool coroutine_fn co_open(Filesystem *fs, bool from_backup, GError **errp)
{
    ExfatState *s = fs->opaque;

    s->fat.kind = &exfat_kind;
    s->fat.fs = fs;
    if (!exfat_super_co_load(s, from_backup, errp)) {
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

#define EXFAT_CALLBACKS                                                                \
    .instance_size = sizeof(ExfatState), .fs_close = close_state,                      \
    .fs_co_stat = fat_file_co_stat, .fs_co_readdir = fat_file_co_readdir,              \
    .fs_co_read = fat_file_co_read, .fs_co_extents = fat_file_co_extents,              \
    .fs_co_block_use = fat_file_co_block_use

/* Behind those with a magic number of their own, as FAT. */
static const FsDriver fs_exfat = {
    .name = "exfat",
    .priority = -60,
    .fs_co_probe = exfat_co_probe,
    .fs_co_open = driver_co_open,
    EXFAT_CALLBACKS,
};
fs_init(fs_exfat);

/* Asked after everybody else: the boot sector is gone, but a copy of it is left. */
static const FsDriver fs_exfat_backup = {
    .name = "exfat-backup",
    .priority = FS_PRIORITY_BY_COPIES - 200,
    .fs_co_probe = exfat_co_probe_backup,
    .fs_co_open = driver_co_open_backup,
    EXFAT_CALLBACKS,
};
fs_init(fs_exfat_backup);
