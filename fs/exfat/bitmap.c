/* What is allocated: a bit for each cluster, in a file. */
#include "exfat.h"

enum {
    PIECE_BYTES = 64 * 1024,
    PIECES = 16,
};

static bool coroutine_fn co_load(FatState *s, uint64_t offset, uint32_t bytes,
                                 void *buf, GError **errp)
{
    return fat_node_co_read(s, exfat_state(s)->bitmap_node, offset, bytes, buf, errp);
}

void exfat_bitmap_set_up(ExfatState *s, const ExfatTableEntry *entry, uint64_t offset)
{
    uint64_t size = le64_get(entry->size);
    uint64_t needed = div_round_up(s->fat.geo.clusters, 8);
    FatFile file = {
        .size_is_limit = true, .start = le32_get(entry->cluster), .size = needed};

    if (size < needed) {
        fat_warn(&s->fat, offset,
                 "the allocation bitmap has %" PRIu64 " bytes, expected %" PRIu64
                 "; what is free is not known",
                 size, needed);
        return;
    }
    s->bitmap_node = fat_node_new(&s->fat, offset / EXFAT_ENTRY_BYTES, &file);
    s->bitmap = fat_pieces_new(&s->fat, needed, PIECE_BYTES, PIECES, co_load);
}

void exfat_bitmap_clear(ExfatState *s)
{
    g_clear_pointer(&s->bitmap, fat_pieces_free);
    g_clear_pointer(&s->bitmap_node, fat_node_unref);
}

bool coroutine_fn exfat_bitmap_co_is_used(FatState *s, uint32_t cluster, bool *used)
{
    ExfatState *exfat = exfat_state(s);
    uint32_t index = cluster - FAT_FIRST_CLUSTER;
    g_autoptr(GError) error = NULL;
    uint32_t count;

    if (!exfat->bitmap || exfat->bitmap_broken) {
        return false;
    }

    const uint8_t *byte = fat_pieces_co_get(exfat->bitmap, index / 8, &count, &error);

    if (!byte) {
        fs_warn(s->fs, "%s; what is free is not known", error->message);
        exfat->bitmap_broken = true;
        return false;
    }
    *used = *byte >> index % 8 & 1;
    return true;
}
