#include <sys/mman.h>
#include "fs/ino-set.h"

static const uint64_t INO_SET_MAX_BITS = UINT64_C(1) << 32;

void ino_set_init(InoSet *set, uint64_t max_ino)
{
    *set = (InoSet){0};
    if (!max_ino || max_ino >= INO_SET_MAX_BITS) {
        return;
    }

    void *bits = mmap(NULL, max_ino / 8 + 1, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (bits != MAP_FAILED) {
        set->bits = bits;
        set->max_ino = max_ino;
    }
}

void ino_set_clear(InoSet *set)
{
    if (set->bits) {
        munmap(set->bits, set->max_ino / 8 + 1);
    }
    g_clear_pointer(&set->hash, g_hash_table_unref);
    *set = (InoSet){0};
}

bool ino_set_add(InoSet *set, FsIno ino)
{
    if (set->bits && ino <= set->max_ino) {
        uint8_t bit = 1 << (ino & 7);
        bool is_new = !(set->bits[ino / 8] & bit);

        set->bits[ino / 8] |= bit;
        return is_new;
    }
    if (!set->hash) {
        set->hash = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    }
    return g_hash_table_add(set->hash, g_memdup2(&ino, sizeof(ino)));
}
