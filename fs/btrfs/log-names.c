/* The log: names, in directories and of inodes; attributes, which are kept alike. */
#include "log.h"

/* A name in a directory. */
typedef struct Name {
    uint64_t dir;
    uint64_t index;
    const char *text;
    uint16_t len;
} Name;

/* An entry with that name, or any entry if text is NULL. */
static bool find_entry(const BtrfsOverlayItem *item, const char *text, size_t len,
                       BtrfsDirEntry *entry, uint32_t *start, uint32_t *end)
{
    uint32_t pos = 0;

    while (item && pos < item->size) {
        *start = pos;
        if (!btrfs_dir_entry(item->data, item->size, &pos, entry)) {
            return false;
        }
        *end = pos;
        if (!text || (entry->name_len == len && !memcmp(entry->name, text, len))) {
            return true;
        }
    }
    return false;
}

static BtrfsOverlayItem *hashed_item(const BtrfsOverlay *o, const Name *name)
{
    return btrfs_overlay_get(o, name->dir, BTRFS_DIR_ITEM,
                             btrfs_name_hash(name->text, name->len));
}

/* Cuts [start, end) out of an item, which goes if nothing is left. */
static void cut_item(BtrfsOverlay *o, const BtrfsOverlayItem *item, uint32_t start,
                     uint32_t end)
{
    BtrfsKey key = item->key;

    if (end - start == item->size) {
        btrfs_overlay_remove(o, &key);
        return;
    }

    g_autofree uint8_t *rest = g_malloc(item->size);

    memcpy(rest, item->data, start);
    memcpy(rest + start, item->data + end, item->size - end);
    btrfs_overlay_set(o, &key, rest, item->size - (end - start));
}

static void append_item(BtrfsOverlay *o, const BtrfsKey *key, const void *data,
                        uint32_t size)
{
    const BtrfsOverlayItem *item =
        btrfs_overlay_get(o, key->objectid, key->type, key->offset);
    uint32_t before = item ? item->size : 0;
    g_autofree uint8_t *all = g_malloc(before + size);

    if (item) {
        memcpy(all, item->data, before);
    }
    memcpy(all + before, data, size);
    btrfs_overlay_set(o, key, all, before + size);
}

/* One of an inode's names in its items, at *pos, which moves behind it. */
static bool next_ref(const BtrfsOverlayItem *item, uint32_t *pos, Name *name)
{
    bool is_extended = item->key.type == BTRFS_INODE_EXTREF;
    uint32_t head = is_extended ? sizeof(BtrfsInodeExtref) : sizeof(BtrfsInodeRef);
    const uint8_t *at = item->data + *pos;

    if (!range_fits(*pos, head, item->size)) {
        return false;
    }
    if (is_extended) {
        const BtrfsInodeExtref *ref = (const BtrfsInodeExtref *)at;

        *name = (Name){le64_get(ref->parent_objectid), le64_get(ref->index),
                       (const char *)(ref + 1), le16_get(ref->name_len)};
    } else {
        const BtrfsInodeRef *ref = (const BtrfsInodeRef *)at;

        *name = (Name){item->key.offset, le64_get(ref->index), (const char *)(ref + 1),
                       le16_get(ref->name_len)};
    }
    if (!name->len || name->len > BTRFS_NAME_MAX ||
        !range_fits(*pos + head, name->len, item->size)) {
        return false;
    }
    *pos += head + name->len;
    return true;
}

/* The item and the place in it where the inode says to have the name; NULL: it does
 * not. */
static BtrfsOverlayItem *find_ref(const BtrfsOverlay *o, uint64_t inode,
                                  const Name *wanted, uint32_t *start, uint32_t *end,
                                  uint64_t *index)
{
    const BtrfsKey keys[] = {
        {inode, BTRFS_INODE_REF, wanted->dir},
        {inode, BTRFS_INODE_EXTREF,
         btrfs_extref_hash(wanted->dir, wanted->text, wanted->len)},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        BtrfsOverlayItem *item =
            btrfs_overlay_get(o, inode, keys[i].type, keys[i].offset);
        uint32_t pos = 0;
        Name name;

        for (*start = 0; item && next_ref(item, &pos, &name); *start = pos) {
            if (name.dir == wanted->dir && name.len == wanted->len &&
                !memcmp(name.text, wanted->text, name.len)) {
                *end = pos;
                *index = name.index;
                return item;
            }
        }
    }
    return NULL;
}

static bool has_ref(const BtrfsOverlay *o, uint64_t inode, const Name *name)
{
    uint32_t start, end;
    uint64_t index;

    return find_ref(o, inode, name, &start, &end, &index);
}

/* Takes the name away from the directory and from the inode that it is said to be of.
 */
static bool coroutine_fn unlink_name(BtrfsReplay *r, uint64_t inode, const Name *name,
                                     GError **errp)
{
    /* The name may be in what is changed. */
    g_autofree char *text = g_memdup2(name->text, name->len);
    Name copy = {name->dir, name->index, text, name->len};
    uint32_t start, end;
    BtrfsDirEntry entry;
    uint64_t index = name->index;

    if (!btrfs_replay_co_claim(r, name->dir, errp) ||
        !btrfs_replay_co_claim(r, inode, errp)) {
        return false;
    }

    BtrfsOverlayItem *refs = find_ref(r->out, inode, &copy, &start, &end, &index);

    if (refs) {
        cut_item(r->out, refs, start, end);
    }

    BtrfsOverlayItem *hashed = hashed_item(r->out, &copy);

    if (find_entry(hashed, text, copy.len, &entry, &start, &end) &&
        entry.location.objectid == inode) {
        cut_item(r->out, hashed, start, end);
    }

    BtrfsOverlayItem *indexed =
        btrfs_overlay_get(r->out, copy.dir, BTRFS_DIR_INDEX, index);

    if (find_entry(indexed, text, copy.len, &entry, &start, &end) &&
        entry.location.objectid == inode) {
        btrfs_overlay_remove(r->out, &indexed->key);
    }
    btrfs_replay_count_names(r, inode);
    btrfs_replay_resize(r, copy.dir);
    return true;
}

static uint8_t type_of_mode(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return BTRFS_FT_REGULAR;
    case S_IFDIR:
        return BTRFS_FT_DIRECTORY;
    case S_IFCHR:
        return BTRFS_FT_CHAR_DEVICE;
    case S_IFBLK:
        return BTRFS_FT_BLOCK_DEVICE;
    case S_IFIFO:
        return BTRFS_FT_FIFO;
    case S_IFSOCK:
        return BTRFS_FT_SOCKET;
    case S_IFLNK:
        return BTRFS_FT_SYMLINK;
    default:
        return BTRFS_FT_UNKNOWN;
    }
}

/* Puts the name into the directory; both ends are in the overlay. */
static void link_name(BtrfsReplay *r, uint64_t inode, uint32_t mode, const Name *name)
{
    uint32_t size = sizeof(BtrfsDirItem) + name->len;
    g_autofree BtrfsDirItem *entry = g_malloc0(size);
    BtrfsKey hashed = {name->dir, BTRFS_DIR_ITEM,
                       btrfs_name_hash(name->text, name->len)};
    BtrfsKey indexed = {name->dir, BTRFS_DIR_INDEX, name->index};

    entry->location.objectid = le64_make(inode);
    entry->location.type = BTRFS_INODE_ITEM;
    entry->name_len = le16_make(name->len);
    entry->type = type_of_mode(mode);
    memcpy(entry + 1, name->text, name->len);
    append_item(r->out, &hashed, entry, size);
    btrfs_overlay_set(r->out, &indexed, entry, size);
    btrfs_replay_count_names(r, inode);
    btrfs_replay_resize(r, name->dir);
}

static void add_ref(BtrfsReplay *r, uint64_t inode, const Name *name)
{
    uint32_t size = sizeof(BtrfsInodeRef) + name->len;
    g_autofree BtrfsInodeRef *ref = g_malloc0(size);
    BtrfsKey key = {inode, BTRFS_INODE_REF, name->dir};

    ref->index = le64_make(name->index);
    ref->name_len = le16_make(name->len);
    memcpy(ref + 1, name->text, name->len);
    append_item(r->out, &key, ref, size);
}

/* The name of an entry of a directory's index. */
static bool entry_name(const BtrfsOverlayItem *item, BtrfsDirEntry *entry, Name *name)
{
    uint32_t start, end;

    if (!find_entry(item, NULL, 0, entry, &start, &end) || !entry->name_len ||
        entry->name_len > BTRFS_NAME_MAX) {
        return false;
    }
    *name = (Name){item->key.objectid, item->key.offset, entry->name, entry->name_len};
    return true;
}

/* In the ranges of a directory's index that the log has all of, what it does not have
 * is gone. */
static bool coroutine_fn delete_range(BtrfsReplay *r, uint64_t dir, uint64_t first,
                                      uint64_t last, GError **errp)
{
    BtrfsOverlayItem *item =
        btrfs_overlay_first_of(r->out, dir, BTRFS_DIR_INDEX, first);

    while (item && item->key.offset <= last) {
        BtrfsKey key = item->key;
        BtrfsDirEntry entry;
        Name name;

        if (!btrfs_overlay_get(r->log, dir, BTRFS_DIR_INDEX, key.offset) &&
            entry_name(item, &entry, &name) &&
            entry.location.type == BTRFS_INODE_ITEM &&
            !unlink_name(r, entry.location.objectid, &name, errp)) {
            return false;
        }
        item = btrfs_overlay_next_of(r->out, &key);
    }
    return true;
}

bool coroutine_fn btrfs_replay_co_dir_deletes(BtrfsReplay *r, uint64_t dir,
                                              GError **errp)
{
    const BtrfsOverlayItem *range =
        btrfs_overlay_first_of(r->log, dir, BTRFS_DIR_LOG_INDEX, 0);

    for (; range; range = btrfs_overlay_next_of(r->log, &range->key)) {
        if (range->size >= sizeof(le64_t) &&
            !delete_range(r, dir, range->key.offset, le64_load(range->data), errp)) {
            return false;
        }
    }
    return true;
}

/* Whether the directory has the name where and as the log has it; another file of that
 * name makes room, if the one of the log is there. */
static bool coroutine_fn matches_or_goes(BtrfsReplay *r, BtrfsOverlayItem *item,
                                         const Name *name, const BtrfsDirEntry *wanted,
                                         bool exists, bool *matches, GError **errp)
{
    BtrfsDirEntry entry;
    uint32_t start, end;

    *matches = false;
    if (!find_entry(item, name->text, name->len, &entry, &start, &end)) {
        return true;
    }
    *matches = !btrfs_key_compare(&entry.location, &wanted->location) &&
               entry.type == wanted->type;
    return *matches || !exists || entry.location.type != BTRFS_INODE_ITEM ||
           unlink_name(r, entry.location.objectid, name, errp);
}

bool coroutine_fn btrfs_replay_co_dir_index(BtrfsReplay *r,
                                            const BtrfsOverlayItem *item, GError **errp)
{
    bool by_name, by_index;
    BtrfsDirEntry entry;
    Name name;

    if (!entry_name(item, &entry, &name)) {
        btrfs_error(r->s, errp, EMBR_ERROR_CORRUPT, 0,
                    "log: entry %" PRIu64 " of directory %" PRIu64
                    " does not fit its %u bytes",
                    item->key.offset, item->key.objectid, item->size);
        return false;
    }

    GError *error = NULL;
    bool has_dir = btrfs_replay_co_inode(r, name.dir, &error);
    const BtrfsOverlayItem *inode =
        !error && entry.location.type == BTRFS_INODE_ITEM
            ? btrfs_replay_co_inode(r, entry.location.objectid, &error)
            : NULL;

    if (error) {
        g_propagate_error(errp, error);
        return false;
    }
    if (!has_dir) {
        return true;
    }

    uint32_t mode = inode ? le32_get(((const BtrfsInodeItem *)inode->data)->mode) : 0;

    if (!matches_or_goes(r, hashed_item(r->out, &name), &name, &entry, inode, &by_name,
                         errp) ||
        !matches_or_goes(
            r, btrfs_overlay_get(r->out, name.dir, BTRFS_DIR_INDEX, name.index), &name,
            &entry, inode, &by_index, errp)) {
        return false;
    }
    /* What the inode itself tells of its names comes later. */
    if (!inode || (by_name && by_index) ||
        has_ref(r->log, entry.location.objectid, &name) ||
        btrfs_overlay_get(r->out, name.dir, BTRFS_DIR_INDEX, name.index)) {
        return true;
    }
    link_name(r, entry.location.objectid, mode, &name);
    add_ref(r, entry.location.objectid, &name);
    return true;
}

/* Whoever has the name, or its place in the index, in that directory makes room. */
static bool coroutine_fn make_room(BtrfsReplay *r, const Name *name, GError **errp)
{
    uint32_t start, end;
    BtrfsDirEntry entry;
    Name other;
    const BtrfsOverlayItem *indexed =
        btrfs_overlay_get(r->out, name->dir, BTRFS_DIR_INDEX, name->index);

    if (indexed && entry_name(indexed, &entry, &other) &&
        entry.location.type == BTRFS_INODE_ITEM &&
        !unlink_name(r, entry.location.objectid, &other, errp)) {
        return false;
    }
    return !find_entry(hashed_item(r->out, name), name->text, name->len, &entry, &start,
                       &end) ||
           unlink_name(r, entry.location.objectid, name, errp);
}

static bool is_in_directory(const BtrfsReplay *r, uint64_t inode, const Name *name)
{
    uint32_t start, end;
    BtrfsDirEntry entry;

    return find_entry(
               btrfs_overlay_get(r->out, name->dir, BTRFS_DIR_INDEX, name->index),
               name->text, name->len, &entry, &start, &end) &&
           entry.location.objectid == inode &&
           find_entry(hashed_item(r->out, name), name->text, name->len, &entry, &start,
                      &end) &&
           entry.location.objectid == inode;
}

/* Names that an item of the inode had, and that the log's does not have, are gone. */
static bool coroutine_fn unlink_old_refs(BtrfsReplay *r, const BtrfsOverlayItem *item,
                                         GError **errp)
{
    const BtrfsOverlayItem *have;
    uint32_t pos = 0;
    Name name;

    while ((have = btrfs_overlay_get(r->out, item->key.objectid, item->key.type,
                                     item->key.offset)) &&
           next_ref(have, &pos, &name)) {
        if (!has_ref(r->log, item->key.objectid, &name)) {
            if (!unlink_name(r, item->key.objectid, &name, errp)) {
                return false;
            }
            pos = 0; /* the item has changed */
        }
    }
    return true;
}

bool coroutine_fn btrfs_replay_co_refs(BtrfsReplay *r, const BtrfsOverlayItem *item,
                                       GError **errp)
{
    uint64_t objectid = item->key.objectid;
    GError *error = NULL;
    const BtrfsOverlayItem *inode = btrfs_replay_co_inode(r, objectid, &error);
    bool all = true;
    uint32_t pos = 0;
    Name name;

    if (error) {
        g_propagate_error(errp, error);
        return false;
    }
    /* That of a subvolume's root is to itself. */
    if (!inode || item->key.offset == objectid) {
        return true;
    }

    uint32_t mode = le32_get(((const BtrfsInodeItem *)inode->data)->mode);

    if (!unlink_old_refs(r, item, errp)) {
        return false;
    }
    while (next_ref(item, &pos, &name)) {
        const BtrfsOverlayItem *dir = btrfs_replay_co_inode(r, name.dir, &error);

        if (error) {
            g_propagate_error(errp, error);
            return false;
        }
        /* Not all directories need be in the log: those are for the count of names. */
        if (!dir) {
            all = false;
            continue;
        }
        if (is_in_directory(r, objectid, &name)) {
            continue;
        }
        if (!make_room(r, &name, errp)) {
            return false;
        }
        link_name(r, objectid, mode, &name);
    }
    if (all) {
        btrfs_overlay_set(r->out, &item->key, item->data, item->size);
    }
    btrfs_replay_count_names(r, objectid);
    return true;
}

void btrfs_replay_xattr_deletes(BtrfsReplay *r, uint64_t objectid)
{
    BtrfsOverlayItem *item =
        btrfs_overlay_first_of(r->out, objectid, BTRFS_XATTR_ITEM, 0);

    while (item) {
        BtrfsKey key = item->key;
        const BtrfsOverlayItem *logged =
            btrfs_overlay_get(r->log, objectid, BTRFS_XATTR_ITEM, key.offset);
        BtrfsDirEntry entry, other;
        uint32_t start, end, pos = 0, other_start, other_end;

        while ((item = btrfs_overlay_get(r->out, objectid, key.type, key.offset)) &&
               pos < item->size) {
            start = pos;
            if (!btrfs_dir_entry(item->data, item->size, &pos, &entry)) {
                break;
            }
            end = pos;
            if (!find_entry(logged, entry.name, entry.name_len, &other, &other_start,
                            &other_end)) {
                cut_item(r->out, item, start, end);
                pos = start;
            }
        }
        item = btrfs_overlay_next_of(r->out, &key);
    }
}

uint32_t btrfs_replay_names(const BtrfsReplay *r, uint64_t objectid)
{
    static const uint8_t types[] = {BTRFS_INODE_REF, BTRFS_INODE_EXTREF};
    uint32_t count = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        const BtrfsOverlayItem *item =
            btrfs_overlay_first_of(r->out, objectid, types[i], 0);

        for (; item; item = btrfs_overlay_next_of(r->out, &item->key)) {
            uint32_t pos = 0;
            Name name;

            while (next_ref(item, &pos, &name)) {
                count++;
            }
        }
    }
    return count;
}

uint64_t btrfs_replay_dir_size(const BtrfsReplay *r, uint64_t objectid)
{
    const BtrfsOverlayItem *item =
        btrfs_overlay_first_of(r->out, objectid, BTRFS_DIR_INDEX, 0);
    uint64_t size = 0;

    for (; item; item = btrfs_overlay_next_of(r->out, &item->key)) {
        BtrfsDirEntry entry;
        Name name;

        /* Each name is kept twice. */
        size += entry_name(item, &entry, &name) ? 2 * name.len : 0;
    }
    return size;
}
