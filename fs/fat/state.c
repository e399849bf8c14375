/* What is set up once the layout is known; messages. */
#include <sys/mman.h>
#include "fat.h"

enum {
    TABLE_PIECE_BYTES = 256 * 1024,
    TABLE_PIECES = 32,
    PIECE_BYTES = 64 * 1024,
    PIECES = 128,
};

void fat_error(const FatState *s, GError **errp, EmbrError code, uint64_t offset,
               const char *format, ...)
{
    va_list args;

    if (!errp) {
        return;
    }
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, EMBR_ERROR, code, "%s: %s filesystem at offset 0x%" PRIx64 ": %s",
                blk_name(s->fs->blk), s->kind->name, offset, text);
}

void fat_warn(FatState *s, uint64_t offset, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    fs_warn(s->fs, "%s: %s filesystem at offset 0x%" PRIx64 ": %s",
            blk_name(s->fs->blk), s->kind->name, offset, text);
}

static void warn_of_size(FatState *s)
{
    uint64_t volume = blk_length(s->fs->blk);

    if (s->geo.total_bytes > volume) {
        fat_warn(s, 0,
                 "the filesystem spans 0x%" PRIx64
                 " bytes, but the volume ends at 0x%" PRIx64
                 "; what lies beyond cannot be read",
                 s->geo.total_bytes, volume);
    }
}

/* The largest unit in which everything begins and ends. */
static uint32_t common_unit(const FatLayout *geo)
{
    uint32_t unit = geo->cluster_bytes;

    while (geo->data_offset % unit) {
        unit /= 2;
    }
    return unit;
}

/* Memory comes as it is touched. */
static uint32_t *map_owners(const FatLayout *geo)
{
    void *owners = mmap(NULL, geo->clusters * sizeof(uint32_t), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return owners == MAP_FAILED ? NULL : owners;
}

static bool coroutine_fn co_load_piece(FatState *s, uint64_t offset, uint32_t bytes,
                                       void *buf, GError **errp)
{
    return blk_co_read(s->fs->blk, offset, bytes, buf, "directory", errp);
}

void fat_state_init(FatState *s)
{
    const FatLayout *geo = &s->geo;
    uint64_t used = (geo->clusters + FAT_FIRST_CLUSTER) * geo->bits / 8 + 1;

    s->nodes = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&s->lru);
    s->table =
        fat_pieces_new(s, MIN(round_up_pow2(used, geo->sector_bytes), geo->fat_bytes),
                       TABLE_PIECE_BYTES, TABLE_PIECES, fat_table_co_load);
    s->pieces =
        fat_pieces_new(s, blk_length(s->fs->blk), PIECE_BYTES, PIECES, co_load_piece);
    s->owners = map_owners(geo);
    s->fs->root = FAT_ROOT_INO;
    s->fs->block_size = common_unit(geo);
    s->fs->max_ino = geo->total_bytes / FAT_ENTRY_BYTES;
    warn_of_size(s);
}

void fat_state_clear(FatState *s)
{
    if (s->nodes) {
        fat_nodes_drop(s);
        g_clear_pointer(&s->nodes, g_hash_table_unref);
    }
    g_clear_pointer(&s->table, fat_pieces_free);
    g_clear_pointer(&s->pieces, fat_pieces_free);
    if (s->owners) {
        munmap(s->owners, s->geo.clusters * sizeof(uint32_t));
        s->owners = NULL;
    }
}
