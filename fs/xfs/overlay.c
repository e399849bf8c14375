/* What replaces bytes of the volume: sectors of 512 bytes, as the log would leave them.
 */
#include "xfs.h"

enum { BYTES_MAX = 256 * 1024 * 1024 };

typedef struct Sector {
    uint64_t number;
    uint8_t data[XFS_LOG_BLOCK_BYTES];
} Sector;

struct XfsOverlay {
    GHashTable *sectors; /* &number -> Sector */
    GPtrArray *sorted;   /* of Sector *, once it is complete */
};

XfsOverlay *xfs_overlay_new(void)
{
    XfsOverlay *o = g_new0(XfsOverlay, 1);

    o->sectors = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    return o;
}

void xfs_overlay_free(XfsOverlay *o)
{
    if (o) {
        g_clear_pointer(&o->sorted, g_ptr_array_unref);
        g_hash_table_unref(o->sectors);
        g_free(o);
    }
}

uint64_t xfs_overlay_count(const XfsOverlay *o)
{
    return g_hash_table_size(o->sectors);
}

bool xfs_overlay_put(XfsOverlay *o, uint64_t number, const uint8_t *data,
                     uint64_t count)
{
    for (uint64_t i = 0; i < count; i++, number++) {
        Sector *sector = g_hash_table_lookup(o->sectors, &number);

        if (!sector) {
            if ((xfs_overlay_count(o) + 1) * sizeof(Sector) > BYTES_MAX) {
                return false;
            }
            sector = g_new(Sector, 1);
            sector->number = number;
            g_hash_table_insert(o->sectors, &sector->number, sector);
        }
        memcpy(sector->data, data + i * XFS_LOG_BLOCK_BYTES, XFS_LOG_BLOCK_BYTES);
    }
    return true;
}

void xfs_overlay_apply(const XfsOverlay *o, uint64_t number, uint8_t *data,
                       uint64_t count)
{
    for (uint64_t i = 0; i < count; i++, number++) {
        const Sector *sector = g_hash_table_lookup(o->sectors, &number);

        if (sector) {
            memcpy(data + i * XFS_LOG_BLOCK_BYTES, sector->data, XFS_LOG_BLOCK_BYTES);
        }
    }
}

static gint compare_sectors(gconstpointer a, gconstpointer b)
{
    const Sector *sa = *(const Sector *const *)a, *sb = *(const Sector *const *)b;

    return (sa->number > sb->number) - (sa->number < sb->number);
}

void xfs_overlay_complete(XfsOverlay *o)
{
    GHashTableIter iter;
    gpointer sector;

    o->sorted = g_ptr_array_sized_new(xfs_overlay_count(o));
    g_hash_table_iter_init(&iter, o->sectors);
    while (g_hash_table_iter_next(&iter, NULL, &sector)) {
        g_ptr_array_add(o->sorted, sector);
    }
    g_ptr_array_sort(o->sorted, compare_sectors);
}

const uint8_t *xfs_overlay_find(const XfsOverlay *o, uint64_t number, uint64_t *count)
{
    guint low = 0, high = o->sorted->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        const Sector *sector = g_ptr_array_index(o->sorted, middle);

        if (sector->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == o->sorted->len) {
        return NULL;
    }

    const Sector *next = g_ptr_array_index(o->sorted, low);

    if (next->number == number) {
        *count = 1;
        return next->data;
    }
    *count = MIN(*count, next->number - number);
    return NULL;
}
