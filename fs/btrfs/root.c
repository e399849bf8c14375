/*
 * Trees, subvolumes, and inode numbers that are unique among them.
 *
 * Every subvolume numbers its files from 256 on.  The top-level one's keep their
 * numbers; those of others have the subvolume's ID above them: bit 62 set, 24 bits of
 * ID, 38 bits of number.  An entry for a subvolume that is not linked there (in a
 * snapshot of what holds it) is an empty directory: bit 61 set, 24 bits for the ID of
 * the subvolume it is in, 24 for that of the one it is about.
 */
#include "btrfs.h"

enum {
    FILE_BITS = 38,
    TREE_BITS = 24,
    MAX_STUBS = 1 << 20, /* whose directory is remembered */
};

#define INO_SUBVOLUME (UINT64_C(1) << 62)
#define INO_STUB (UINT64_C(1) << 61)

static bool fits(uint64_t value, unsigned bits)
{
    return value >> bits == 0;
}

FsIno btrfs_ino_make(uint64_t tree, uint64_t objectid)
{
    if (tree == BTRFS_FS_TREE) {
        return objectid < INO_STUB ? objectid : 0;
    }
    if (!fits(tree, TREE_BITS) || !fits(objectid, FILE_BITS)) {
        return 0;
    }
    return INO_SUBVOLUME | tree << FILE_BITS | objectid;
}

FsIno btrfs_ino_make_stub(uint64_t container, uint64_t child)
{
    if (!fits(container, TREE_BITS) || !fits(child, TREE_BITS)) {
        return 0;
    }
    return INO_STUB | container << TREE_BITS | child;
}

BtrfsInoKind btrfs_ino_split(FsIno ino, uint64_t *tree, uint64_t *objectid)
{
    if (ino & INO_SUBVOLUME) {
        *tree = (ino & ~INO_SUBVOLUME) >> FILE_BITS;
        *objectid = ino & ((UINT64_C(1) << FILE_BITS) - 1);
        return fits(*tree, TREE_BITS) && *tree != BTRFS_FS_TREE ? BTRFS_INO_FILE
                                                                : BTRFS_INO_NONE;
    }
    if (ino & INO_STUB) {
        *tree = (ino & ~INO_STUB) >> TREE_BITS;
        *objectid = ino & ((UINT64_C(1) << TREE_BITS) - 1);
        return fits(*tree, TREE_BITS) ? BTRFS_INO_STUB : BTRFS_INO_NONE;
    }
    *tree = BTRFS_FS_TREE;
    *objectid = ino;
    return ino < INO_STUB ? BTRFS_INO_FILE : BTRFS_INO_NONE;
}

bool btrfs_tree_parse(const BtrfsState *s, const BtrfsCursor *c, uint64_t id,
                      BtrfsTree *tree, uint32_t *refs, GError **errp)
{
    const BtrfsRootItem *item = (const BtrfsRootItem *)c->data;

    if (c->size < sizeof(*item) || item->level >= BTRFS_MAX_LEVELS) {
        btrfs_error(s, errp, EMBR_ERROR_CORRUPT, c->bytenr,
                    "root of tree %" PRIu64
                    ": %u bytes, level %u, expected %zu bytes or more and level %d at "
                    "most",
                    id, c->size, c->size < sizeof(*item) ? 0 : item->level,
                    sizeof(*item), BTRFS_MAX_LEVELS - 1);
        return false;
    }
    *refs = le32_get(item->refs);
    *tree = (BtrfsTree){
        .id = id,
        .bytenr = le64_get(item->bytenr),
        .generation = le64_get(item->generation),
        .level = item->level,
        .last_snapshot = le64_get(item->last_snapshot),
    };
    return true;
}

/* Not found, or not in use any more: *found is false. */
static bool coroutine_fn find_tree(BtrfsState *s, uint64_t id, BtrfsTree *tree,
                                   bool *found, GError **errp)
{
    BtrfsKey key = {id, BTRFS_ROOT_ITEM, 0};
    g_auto(BtrfsCursor) c = {0};
    uint32_t refs;

    *found = false;
    btrfs_cursor_init(&c, s, &s->root_tree);
    if (!btrfs_cursor_co_seek(&c, &key, errp)) {
        g_prefix_error(errp, "root of tree %" PRIu64 ": ", id);
        return false;
    }
    if (!btrfs_cursor_is(&c, id, BTRFS_ROOT_ITEM)) {
        return true;
    }
    if (!btrfs_tree_parse(s, &c, id, tree, &refs, errp)) {
        return false;
    }
    *found = refs;
    return true;
}

static bool coroutine_fn load_tree(BtrfsState *s, uint64_t id, BtrfsTree *tree,
                                   const char *what)
{
    g_autoptr(GError) error = NULL;
    bool found;

    if (!find_tree(s, id, tree, &found, &error)) {
        fs_warn(s->fs, "%s; %s", error->message, what);
        return false;
    }
    if (!found) {
        btrfs_warn(s, s->root_tree.bytenr, "there is no tree %" PRIu64 "; %s", id,
                   what);
    }
    return found;
}

bool coroutine_fn btrfs_trees_co_load(BtrfsState *s, GError **errp)
{
    s->root_tree = (BtrfsTree){
        .id = BTRFS_ROOT_TREE,
        .bytenr = s->geo.root,
        .generation = s->geo.generation,
        .level = s->geo.root_level,
    };
    s->has_extent_tree =
        load_tree(s, BTRFS_EXTENT_TREE, &s->extent_tree, "what is free is not known");
    s->has_csum_tree = load_tree(s, BTRFS_CSUM_TREE, &s->csum_tree,
                                 "content that has checksums cannot be read");
    return btrfs_subvolume_co_get(s, BTRFS_FS_TREE, errp);
}

const BtrfsTree *coroutine_fn btrfs_subvolume_co_get(BtrfsState *s, uint64_t id,
                                                     GError **errp)
{
    BtrfsTree *tree = g_hash_table_lookup(s->subvolumes, &id);
    BtrfsTree loaded;
    bool found;

    if (tree) {
        return tree;
    }
    if (!find_tree(s, id, &loaded, &found, errp)) {
        return NULL;
    }
    if (!found) {
        btrfs_error(s, errp, EMBR_ERROR_NOT_FOUND, s->root_tree.bytenr,
                    "there is no subvolume %" PRIu64, id);
        return NULL;
    }
    /* It may have come while this one was looked for. */
    tree = g_hash_table_lookup(s->subvolumes, &id);
    if (!tree) {
        tree = g_memdup2(&loaded, sizeof(loaded));
        g_hash_table_insert(s->subvolumes, &tree->id, tree);
    }
    return tree;
}

/* Whether the root tree, too, has the subvolume at that place. */
static bool coroutine_fn is_linked(BtrfsState *s, const BtrfsFile *dir, uint64_t child,
                                   const char *name, size_t name_len, bool *linked,
                                   GError **errp)
{
    BtrfsKey key = {dir->tree->id, BTRFS_ROOT_REF, child};
    g_auto(BtrfsCursor) c = {0};

    *linked = false;
    btrfs_cursor_init(&c, s, &s->root_tree);
    if (!btrfs_cursor_co_seek(&c, &key, errp)) {
        g_prefix_error(errp, "subvolume %" PRIu64 ": ", child);
        return false;
    }
    if (!btrfs_cursor_is(&c, key.objectid, key.type) || c.key.offset != child) {
        return true;
    }

    const BtrfsRootRef *ref = (const BtrfsRootRef *)c.data;

    *linked = c.size >= sizeof(*ref) && le64_get(ref->dirid) == dir->objectid &&
              le16_get(ref->name_len) == name_len &&
              c.size - sizeof(*ref) >= name_len &&
              !memcmp(c.data + sizeof(*ref), name, name_len);
    return true;
}

static void remember_stub(BtrfsState *s, FsIno ino, const BtrfsFile *dir)
{
    if (!g_hash_table_contains(s->stubs, &ino) &&
        g_hash_table_size(s->stubs) < MAX_STUBS) {
        g_hash_table_insert(s->stubs, g_memdup2(&ino, sizeof(ino)),
                            g_memdup2(&dir->ino, sizeof(dir->ino)));
    }
}

bool coroutine_fn btrfs_subvolume_co_link(BtrfsState *s, const BtrfsFile *dir,
                                          uint64_t child, const char *name,
                                          size_t name_len, FsIno *ino, GError **errp)
{
    GError *error = NULL;
    bool linked;

    if (!is_linked(s, dir, child, name, name_len, &linked, errp)) {
        return false;
    }
    if (linked && !btrfs_subvolume_co_get(s, child, &error)) {
        if (!g_error_matches(error, EMBR_ERROR, EMBR_ERROR_NOT_FOUND)) {
            g_propagate_error(errp, error);
            return false;
        }
        g_error_free(error);
        linked = false;
    }
    *ino = linked ? btrfs_ino_make(child, BTRFS_FIRST_FREE_OBJECT)
                  : btrfs_ino_make_stub(dir->tree->id, child);
    if (!*ino) {
        btrfs_error(s, errp, EMBR_ERROR_LIMIT, dir->tree->bytenr,
                    "subvolume %" PRIu64 ": IDs can be %d at most", child,
                    (1 << TREE_BITS) - 1);
        return false;
    }
    if (!linked) {
        remember_stub(s, *ino, dir);
    }
    return true;
}

bool coroutine_fn btrfs_file_co_get(BtrfsState *s, FsIno ino, BtrfsFile *file,
                                    GError **errp)
{
    uint64_t tree, objectid;

    if (btrfs_ino_split(ino, &tree, &objectid) != BTRFS_INO_FILE ||
        objectid < BTRFS_FIRST_FREE_OBJECT || objectid > BTRFS_LAST_FREE_OBJECT) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: btrfs: inode %" PRIu64 " cannot be a file's",
                    blk_name(s->fs->blk), ino);
        return false;
    }
    *file = (BtrfsFile){
        .tree = btrfs_subvolume_co_get(s, tree, errp),
        .objectid = objectid,
        .ino = ino,
    };
    return file->tree;
}

bool coroutine_fn btrfs_stub_co_stat(BtrfsState *s, FsIno ino, FsStat *st,
                                     GError **errp)
{
    const FsIno *dir = g_hash_table_lookup(s->stubs, &ino);
    BtrfsInode inode = {0};

    if (dir && !btrfs_inode_co_get(s, *dir, &inode, errp)) {
        return false;
    }
    *st = (FsStat){
        .ino = ino,
        .mode = S_IFDIR | 0755,
        .nlink = 1,
        .uid = inode.stat.uid,
        .gid = inode.stat.gid,
        .atime = inode.stat.atime,
        .mtime = inode.stat.mtime,
        .ctime = inode.stat.ctime,
    };
    return true;
}
