/* Extents decompressed last, of which a part was asked for: the next part may follow.
 */
#include "btrfs.h"

enum { SLOTS = 16 };

typedef struct Slot {
    uint64_t logical, ram_bytes;
    BtrfsCompression compression;
    bool checked; /* against checksums */
    GBytes *bytes;
} Slot;

struct BtrfsDecoded {
    Slot slots[SLOTS]; /* the one used last is the first */
};

BtrfsDecoded *btrfs_decoded_new(void)
{
    return g_new0(BtrfsDecoded, 1);
}

void btrfs_decoded_free(BtrfsDecoded *decoded)
{
    for (unsigned i = 0; decoded && i < SLOTS; i++) {
        g_clear_pointer(&decoded->slots[i].bytes, g_bytes_unref);
    }
    g_free(decoded);
}

static void move_to_front(BtrfsDecoded *decoded, unsigned i)
{
    Slot slot = decoded->slots[i];

    memmove(&decoded->slots[1], &decoded->slots[0], i * sizeof(slot));
    decoded->slots[0] = slot;
}

GBytes *btrfs_decoded_get(BtrfsDecoded *decoded, const BtrfsPart *part, bool checked)
{
    for (unsigned i = 0; i < SLOTS && decoded->slots[i].bytes; i++) {
        const Slot *slot = &decoded->slots[i];

        if (slot->logical == part->logical && slot->ram_bytes == part->ram_bytes &&
            slot->compression == part->compression && slot->checked == checked) {
            move_to_front(decoded, i);
            return g_bytes_ref(decoded->slots[0].bytes);
        }
    }
    return NULL;
}

void btrfs_decoded_put(BtrfsDecoded *decoded, const BtrfsPart *part, bool checked,
                       GBytes *bytes)
{
    g_clear_pointer(&decoded->slots[SLOTS - 1].bytes, g_bytes_unref);
    decoded->slots[SLOTS - 1] = (Slot){
        .logical = part->logical,
        .ram_bytes = part->ram_bytes,
        .compression = part->compression,
        .checked = checked,
        .bytes = g_bytes_ref(bytes),
    };
    move_to_front(decoded, SLOTS - 1);
}
