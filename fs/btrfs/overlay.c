/*
 * Inodes of a subvolume as the log makes them: all of their items are in memory, and
 * those of the tree do not count any more.
 */
#include "btrfs.h"

enum { ITEM_OVERHEAD_BYTES = 96 };

struct BtrfsOverlay {
    GTree *items;       /* BtrfsKey * (of the item) -> BtrfsOverlayItem * */
    GHashTable *inodes; /* objectid: those that are all here */
    uint64_t bytes;
};

static gint compare_keys(gconstpointer a, gconstpointer b, gpointer data)
{
    return btrfs_key_compare(a, b);
}

BtrfsOverlay *btrfs_overlay_new(void)
{
    BtrfsOverlay *o = g_new0(BtrfsOverlay, 1);

    o->items = g_tree_new_full(compare_keys, NULL, NULL, g_free);
    o->inodes = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    return o;
}

void btrfs_overlay_free(BtrfsOverlay *o)
{
    if (o) {
        g_tree_unref(o->items);
        g_hash_table_unref(o->inodes);
        g_free(o);
    }
}

uint64_t btrfs_overlay_bytes(const BtrfsOverlay *o)
{
    return o->bytes;
}

bool btrfs_overlay_has(const BtrfsOverlay *o, uint64_t objectid)
{
    return g_hash_table_contains(o->inodes, &objectid);
}

void btrfs_overlay_claim(BtrfsOverlay *o, uint64_t objectid)
{
    g_hash_table_add(o->inodes, g_memdup2(&objectid, sizeof(objectid)));
    o->bytes += ITEM_OVERHEAD_BYTES;
}

void btrfs_overlay_foreach(const BtrfsOverlay *o,
                           void (*func)(uint64_t objectid, void *), void *opaque)
{
    GHashTableIter iter;
    gpointer objectid;

    g_hash_table_iter_init(&iter, o->inodes);
    while (g_hash_table_iter_next(&iter, &objectid, NULL)) {
        func(*(uint64_t *)objectid, opaque);
    }
}

BtrfsOverlayItem *btrfs_overlay_set(BtrfsOverlay *o, const BtrfsKey *key,
                                    const void *data, uint32_t size)
{
    BtrfsOverlayItem *item = g_malloc(sizeof(*item) + size);

    item->key = *key;
    item->size = size;
    if (data) {
        memcpy(item->data, data, size);
    }
    /* The key in the tree is the item's own. */
    g_tree_replace(o->items, &item->key, item);
    o->bytes += size + ITEM_OVERHEAD_BYTES;
    return item;
}

BtrfsOverlayItem *btrfs_overlay_get(const BtrfsOverlay *o, uint64_t objectid,
                                    uint8_t type, uint64_t offset)
{
    BtrfsKey key = {objectid, type, offset};

    return g_tree_lookup(o->items, &key);
}

void btrfs_overlay_remove(BtrfsOverlay *o, const BtrfsKey *key)
{
    g_tree_remove(o->items, key);
}

BtrfsOverlayItem *btrfs_overlay_first(const BtrfsOverlay *o, const BtrfsKey *key)
{
    GTreeNode *node = g_tree_lower_bound(o->items, key);

    return node ? g_tree_node_value(node) : NULL;
}

BtrfsOverlayItem *btrfs_overlay_last(const BtrfsOverlay *o, const BtrfsKey *key)
{
    GTreeNode *node = g_tree_upper_bound(o->items, key);

    node = node ? g_tree_node_previous(node) : g_tree_node_last(o->items);
    return node ? g_tree_node_value(node) : NULL;
}

BtrfsOverlayItem *btrfs_overlay_next(const BtrfsOverlay *o, const BtrfsKey *key)
{
    GTreeNode *node = g_tree_upper_bound(o->items, key);

    return node ? g_tree_node_value(node) : NULL;
}

BtrfsOverlayItem *btrfs_overlay_first_of(const BtrfsOverlay *o, uint64_t objectid,
                                         uint8_t type, uint64_t offset)
{
    BtrfsKey key = {objectid, type, offset};
    BtrfsOverlayItem *item = btrfs_overlay_first(o, &key);

    return item && item->key.objectid == objectid && item->key.type == type ? item
                                                                            : NULL;
}

BtrfsOverlayItem *btrfs_overlay_next_of(const BtrfsOverlay *o, const BtrfsKey *key)
{
    BtrfsOverlayItem *item = btrfs_overlay_next(o, key);

    return item && item->key.objectid == key->objectid && item->key.type == key->type
               ? item
               : NULL;
}
