/* Members of ZFS's pools: four labels, two at each end, each with a list of names and
 * values in XDR and a ring of uberblocks. */
#include "fs/known/known.h"

enum {
    LABEL_SIZE = 256 * 1024,
    LIST_OFFSET = 16 * 1024,
    LIST_BYTES = 64 * 1024,             /* of 112 KiB: names come first */
    RING_OFFSET = 128 * 1024,
    RING_BYTES = 128 * 1024,
    UBERBLOCK_BYTES = 1024,             /* or a multiple */
    TYPE_UINT64 = 8,
    TYPE_STRING = 9,
};

static const uint64_t UBERBLOCK_MAGIC = 0x00bab10c;

static uint64_t coroutine_fn co_count_uberblocks(KnownVolume *v, uint64_t label)
{
    uint64_t count = 0;

    for (uint32_t at = 0; at < RING_BYTES; at += KNOWN_PART_BYTES) {
        const uint8_t *ring = known_co_bytes(v, label + RING_OFFSET + at, KNOWN_PART_BYTES);

        for (uint32_t i = 0; ring && i < KNOWN_PART_BYTES; i += UBERBLOCK_BYTES) {
            count += le64_load(ring + i) == UBERBLOCK_MAGIC ||
                     be64_load(ring + i) == UBERBLOCK_MAGIC;
        }
    }
    return count;
}

/* A pair of the list is: its length, its length in memory, the name's length, the name, the
 * type, the number of values, and the values; all in words of 32 bits. */
static void take_pair(const uint8_t *pair, uint32_t bytes, FsIdent *ident)
{
    const uint32_t name_len = be32_load(pair + 8);

    if (!range_fits(12, name_len, bytes)) {
        return;
    }
    const uint64_t value = 12 + round_up_pow2(name_len, 4) + 8;
    const uint8_t *name = pair + 12;
    if (!range_fits(value, 8, bytes)) {
        return;
    }
    const uint32_t type = be32_load(pair + value - 8);
    if (type == TYPE_UINT64 && name_len == 9 && !memcmp(name, "pool_guid", 9)) {
        g_free(ident->uuid);
        ident->uuid = g_strdup_printf("%" PRIu64, be64_load(pair + value));
    } else if (type == TYPE_UINT64 && name_len == 7 && !memcmp(name, "version", 7)) {
        g_free(ident->details);
        ident->details = g_strdup_printf("version %" PRIu64, be64_load(pair + value));
    } else if (type == TYPE_STRING && name_len == 4 && !memcmp(name, "name", 4)) {
        const uint32_t len = be32_load(pair + value);

        if (range_fits(value + 4, len, bytes)) {
            g_free(ident->label);
            ident->label = known_text(pair + value + 4, len);
        }
    }
}

static bool coroutine_fn co_take_label(KnownVolume *v, uint64_t label, FsIdent *ident)
{
    const uint8_t *list = known_co_bytes(v, label + LIST_OFFSET, LIST_BYTES);

    /* XDR, made on a machine of either byte order, version 0 of the list */
    if (!list || list[0] != 1 || list[1] > 1 || be16_load(list + 2) || be32_load(list + 4)) {
        return false;
    }
    for (uint32_t at = 12; at + 12 <= LIST_BYTES;) {
        const uint32_t bytes = be32_load(list + at);

        if (bytes < 20 || !range_fits(at, bytes, LIST_BYTES)) {
            break;
        }
        take_pair(list + at, bytes, ident);
        at += bytes;
    }
    return ident->uuid && co_count_uberblocks(v, label);
}

bool coroutine_fn known_co_zfs(KnownVolume *v, FsIdent *ident)
{
    const uint64_t size = round_down_pow2(v->size, LABEL_SIZE);

    if (size < 4 * LABEL_SIZE) {
        return false;
    }

    const uint64_t labels[] = {0, LABEL_SIZE, size - 2 * LABEL_SIZE, size - LABEL_SIZE};
    for (unsigned i = 0; i < G_N_ELEMENTS(labels); i++) {
        if (co_take_label(v, labels[i], ident)) {
            ident->type = "zfs_member";
            return true;
        }
        fs_ident_clear(ident);
    }
    return false;
}
