/* Items of trees, in order of their keys. */
#include "btrfs.h"

void btrfs_cursor_init(BtrfsCursor *c, BtrfsState *s, const BtrfsTree *tree)
{
    *c = (BtrfsCursor){.s = s, .tree = tree};
}

void btrfs_cursor_clear(BtrfsCursor *c)
{
    g_clear_pointer(&c->leaf, fs_buffer_release);
    c->valid = false;
}

/* The last item at or before key; -1 if there is none. */
static int find_slot(const uint8_t *node, const BtrfsKey *key)
{
    int low = 0, high = btrfs_node_count(node);

    while (low < high) {
        int middle = (low + high) / 2;
        BtrfsKey at = btrfs_node_key(node, middle);

        if (btrfs_key_compare(&at, key) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low - 1;
}

static void show_item(BtrfsCursor *c)
{
    const uint8_t *node = c->leaf->data;
    const BtrfsItem *item = btrfs_leaf_item(node, c->slot);

    c->valid = true;
    c->key = btrfs_key_load(&item->key);
    c->data = node + sizeof(BtrfsHeader) + le32_get(item->offset);
    c->size = le32_get(item->size);
}

/* To the leaf where key is, or would be. */
static bool coroutine_fn descend(BtrfsCursor *c, const BtrfsKey *key, GError **errp)
{
    BtrfsNodeRef ref = {
        .bytenr = c->tree->bytenr,
        .generation = c->tree->generation,
        .level = c->tree->level,
        .end = BTRFS_KEY_MAX,
    };
    g_autoptr(FsBuffer) buffer = NULL;
    BtrfsKey first;

    btrfs_cursor_clear(c);
    c->damaged_end = BTRFS_KEY_MAX;
    for (;;) {
        FsBuffer *below = btrfs_node_co_get(c->s, &ref, errp);

        fs_buffer_release(buffer);
        buffer = below;
        if (!buffer) {
            c->damaged_end = ref.end;
            return false;
        }
        if (ref.level == 0) {
            break;
        }

        int slot = find_slot(buffer->data, key);
        unsigned i = slot < 0 ? 0 : slot;
        const BtrfsKeyPtr *ptr = btrfs_node_ptr(buffer->data, i);

        first = btrfs_key_load(&ptr->key);
        ref.bytenr = le64_get(ptr->blockptr);
        ref.generation = le64_get(ptr->generation);
        ref.level--;
        ref.first = &first;
        if (i + 1 < btrfs_node_count(buffer->data)) {
            ref.end = btrfs_node_key(buffer->data, i + 1);
        }
    }
    c->leaf = g_steal_pointer(&buffer);
    c->leaf_end = ref.end;
    c->bytenr = ref.bytenr;
    return true;
}

/* The first item behind the leaf. */
static bool coroutine_fn next_leaf(BtrfsCursor *c, GError **errp)
{
    BtrfsKey key = c->leaf_end, max = BTRFS_KEY_MAX;

    c->valid = false;
    if (!btrfs_key_compare(&key, &max)) {
        return true;
    }
    if (!descend(c, &key, errp)) {
        return false;
    }
    /* The leaf begins with the key that was said to be its first. */
    c->slot = 0;
    show_item(c);
    return true;
}

/* Whether what is asked for is in the overlay, which has all of an object or nothing.
 */
static bool is_overlaid(const BtrfsCursor *c, const BtrfsKey *key)
{
    return c->tree->overlay && btrfs_overlay_has(c->tree->overlay, key->objectid);
}

static void show_overlaid(BtrfsCursor *c, const BtrfsOverlayItem *item)
{
    btrfs_cursor_clear(c);
    c->bytenr = 0;
    if (item) {
        c->valid = true;
        c->key = item->key;
        c->data = item->data;
        c->size = item->size;
    }
}

bool coroutine_fn btrfs_cursor_co_seek(BtrfsCursor *c, const BtrfsKey *key,
                                       GError **errp)
{
    if (is_overlaid(c, key)) {
        show_overlaid(c, btrfs_overlay_first(c->tree->overlay, key));
        return true;
    }
    if (!descend(c, key, errp)) {
        return false;
    }

    int i = find_slot(c->leaf->data, key);

    if (i >= 0) {
        BtrfsKey at = btrfs_node_key(c->leaf->data, i);

        i -= btrfs_key_compare(&at, key) == 0;
    }
    c->slot = i + 1;
    if (c->slot < btrfs_node_count(c->leaf->data)) {
        show_item(c);
        return true;
    }
    return next_leaf(c, errp);
}

bool coroutine_fn btrfs_cursor_co_seek_back(BtrfsCursor *c, const BtrfsKey *key,
                                            GError **errp)
{
    if (is_overlaid(c, key)) {
        show_overlaid(c, btrfs_overlay_last(c->tree->overlay, key));
        return true;
    }
    if (!descend(c, key, errp)) {
        return false;
    }

    int i = find_slot(c->leaf->data, key);

    if (i >= 0) {
        c->slot = i;
        show_item(c);
    }
    return true;
}

bool coroutine_fn btrfs_cursor_co_next(BtrfsCursor *c, GError **errp)
{
    if (!c->leaf) {
        show_overlaid(c, btrfs_overlay_next(c->tree->overlay, &c->key));
        return true;
    }
    if (++c->slot < btrfs_node_count(c->leaf->data)) {
        show_item(c);
        return true;
    }
    return next_leaf(c, errp);
}
