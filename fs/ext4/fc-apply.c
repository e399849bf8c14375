/* What fast commits change: inodes, their maps, and names, each beside what is on the
 * device. */
#include <dirent.h>
#include "fast-commit.h"

/* In bytes moved and searched, so that no log can keep this busy for long. */
#define WORK_MAX_BYTES (UINT64_C(4) << 30)

typedef struct FcInode {
    FsIno ino;
    uint8_t *raw;    /* inode_bytes of it */
    GArray *extents; /* of Ext4Run: its map from now on; NULL: that of raw */
} FcInode;

typedef struct FcDir {
    FsIno ino;
    bool is_new;       /* has no entries on the device */
    GHashTable *names; /* GBytes -> FcName */
    GPtrArray *order;  /* of FcName, as they came */
} FcDir;

typedef struct FcName {
    GBytes *name;
    FsIno ino; /* 0: removed */
    uint8_t type;
} FcName;

struct Ext4FastCommit {
    GHashTable *inodes; /* ino -> FcInode */
    GHashTable *dirs;   /* ino -> FcDir */
    uint64_t work;
};

static void inode_free(gpointer data)
{
    FcInode *inode = data;

    g_free(inode->raw);
    g_clear_pointer(&inode->extents, g_array_unref);
    g_free(inode);
}

static void name_free(gpointer data)
{
    FcName *name = data;

    g_bytes_unref(name->name);
    g_free(name);
}

static void dir_free(gpointer data)
{
    FcDir *dir = data;

    g_hash_table_unref(dir->names);
    g_ptr_array_unref(dir->order);
    g_free(dir);
}

Ext4FastCommit *ext4_fc_new(void)
{
    Ext4FastCommit *fc = g_new0(Ext4FastCommit, 1);

    fc->inodes = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, inode_free);
    fc->dirs = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, dir_free);
    return fc;
}

void ext4_fc_free(Ext4FastCommit *fc)
{
    if (fc) {
        g_hash_table_unref(fc->inodes);
        g_hash_table_unref(fc->dirs);
        g_free(fc);
    }
}

static bool account(Ext4State *s, uint64_t work, GError **errp)
{
    s->fast_commit->work += work;
    if (s->fast_commit->work > WORK_MAX_BYTES) {
        ext4_error(s, errp, EMBR_ERROR_LIMIT, 0, "the fast commits are too much work");
        return false;
    }
    return true;
}

/* What readers see of it is to be made anew. */
static void changed(Ext4State *s, FsIno ino)
{
    ext4_inode_forget(s, ino);
}

/* NULL: there is no such inode. */
static FcInode *coroutine_fn get_inode(Ext4State *s, FsIno ino)
{
    FcInode *inode = g_hash_table_lookup(s->fast_commit->inodes, &ino);
    g_autofree uint8_t *raw = g_malloc(s->geo.inode_bytes);

    if (inode || !ext4_inode_co_read_raw(s, ino, raw, NULL)) {
        return inode;
    }
    inode = g_new0(FcInode, 1);
    inode->ino = ino;
    inode->raw = g_steal_pointer(&raw);
    g_hash_table_insert(s->fast_commit->inodes, &inode->ino, inode);
    return inode;
}

static Ext4InodeDisk *disk_of(FcInode *inode)
{
    return (Ext4InodeDisk *)inode->raw;
}

static void start_extent_tree(Ext4InodeDisk *disk)
{
    Ext4ExtentHeader *header = (Ext4ExtentHeader *)disk->block;

    if (le16_get(header->magic) != EXT4_EXTENT_MAGIC) {
        *header = (Ext4ExtentHeader){
            .magic = le16_make(EXT4_EXTENT_MAGIC),
            .max =
                le16_make((sizeof(disk->block) - sizeof(*header)) / sizeof(Ext4Extent)),
        };
    }
}

/* All but the map: that is told by ranges. */
bool coroutine_fn ext4_fc_co_inode(Ext4State *s, ByteReader *value, GError **errp)
{
    const size_t generation_at = offsetof(Ext4InodeDisk, generation);
    FsIno ino = byte_reader_le32(value);
    size_t len = byte_reader_left(value);
    const uint8_t *raw = byte_reader_take(value, len);
    FcInode *inode;

    if (!raw || len < EXT4_OLD_INODE_BYTES || len > s->geo.inode_bytes) {
        return true;
    }
    inode = get_inode(s, ino);
    if (!inode) {
        return true;
    }

    Ext4InodeDisk *disk = disk_of(inode);

    if (le32_load(raw + generation_at) != le32_get(disk->generation)) {
        /* The number went to another file: nothing tells of the end of the one before.
         */
        memset(inode->raw, 0, s->geo.inode_bytes);
        g_clear_pointer(&inode->extents, g_array_unref);
    }
    memcpy(inode->raw, raw, offsetof(Ext4InodeDisk, block));
    memcpy(inode->raw + generation_at, raw + generation_at, len - generation_at);

    uint32_t flags = le32_get(disk->flags);

    if (flags & EXT4_EXTENTS_FL) {
        start_extent_tree(disk);
    } else if (flags & EXT4_INLINE_DATA_FL) {
        memcpy(disk->block, ((const Ext4InodeDisk *)raw)->block, sizeof(disk->block));
        g_clear_pointer(&inode->extents, g_array_unref);
    }
    changed(s, ino);
    return account(s, len, errp);
}

/* The map as an array that can be changed. */
static bool coroutine_fn load_extents(Ext4State *s, FcInode *inode, GError **errp)
{
    g_autoptr(Ext4Inode) open = NULL;
    g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(Ext4Run));
    uint64_t logical = 0, end = UINT64_C(1) << 32;

    if (inode->extents) {
        return true;
    }
    open = ext4_inode_parse(s, inode->ino, 0, inode->raw, false, NULL);
    if (!open || !(open->flags & EXT4_EXTENTS_FL)) {
        inode->extents = g_steal_pointer(&runs);
        return true;
    }
    while (logical < end) {
        Ext4Run run;

        if (!ext4_map_co(s, open, logical, end - logical, &run, errp) ||
            !account(s, 64, errp)) {
            return false;
        }
        if (run.physical) {
            g_array_append_val(runs, run);
        }
        logical += run.count;
    }
    inode->extents = g_steal_pointer(&runs);
    return true;
}

/* Puts run in place of whatever is there; a run of block 0 only removes. */
static void replace_range(FcInode *inode, const Ext4Run *run)
{
    GArray *old = inode->extents;
    GArray *runs = g_array_sized_new(FALSE, FALSE, sizeof(Ext4Run), old->len + 2);
    uint64_t end = run->logical + run->count;
    bool placed = !run->physical;

    for (guint i = 0; i < old->len; i++) {
        Ext4Run r = g_array_index(old, Ext4Run, i);
        uint64_t r_end = r.logical + r.count;

        if (r.logical < run->logical) {
            Ext4Run before = r;

            before.count = MIN(r_end, run->logical) - r.logical;
            g_array_append_val(runs, before);
        }
        if (!placed && r_end > run->logical) {
            g_array_append_val(runs, *run);
            placed = true;
        }
        if (r_end > end) {
            uint64_t skip = end > r.logical ? end - r.logical : 0;

            r.logical += skip;
            r.physical += skip;
            r.count -= skip;
            g_array_append_val(runs, r);
        }
    }
    if (!placed) {
        g_array_append_val(runs, *run);
    }
    inode->extents = runs;
    g_array_unref(old);
}

static bool coroutine_fn change_range(Ext4State *s, FsIno ino, const Ext4Run *run,
                                      GError **errp)
{
    FcInode *inode = get_inode(s, ino);

    if (!inode) {
        return true;
    }
    if (!load_extents(s, inode, errp) ||
        !account(s, (uint64_t)inode->extents->len * sizeof(Ext4Run), errp)) {
        return false;
    }
    replace_range(inode, run);
    changed(s, ino);
    return true;
}

bool coroutine_fn ext4_fc_co_add_range(Ext4State *s, ByteReader *value, GError **errp)
{
    FsIno ino = byte_reader_le32(value);
    const Ext4Extent *extent = byte_reader_take(value, sizeof(*extent));
    uint32_t len = extent ? le16_get(extent->len) : 0;
    Ext4Run run = {.unwritten = len > EXT4_EXTENT_MAX_WRITTEN};

    if (!len) {
        return true;
    }
    run.count = run.unwritten ? len - EXT4_EXTENT_MAX_WRITTEN : len;
    run.logical = le32_get(extent->block);
    run.physical = le32_get(extent->start_lo) | (uint64_t)le16_get(extent->start_hi)
                                                    << 32;
    if (!ext4_block_valid(&s->geo, run.physical, run.count) ||
        run.logical + run.count > UINT64_C(1) << 32) {
        return true;
    }
    /* What full transactions before these have of the blocks, as metadata then, is
     * history. */
    ext4_journal_forget(s->journal, run.physical, run.count);
    return change_range(s, ino, &run, errp);
}

bool coroutine_fn ext4_fc_co_remove_range(Ext4State *s, ByteReader *value,
                                          GError **errp)
{
    FsIno ino = byte_reader_le32(value);
    Ext4Run run = {0};

    run.logical = byte_reader_le32(value);
    run.count = byte_reader_le32(value);
    if (value->bad || !run.count) {
        return true;
    }
    return change_range(s, ino, &run, errp);
}

static FcDir *get_dir(Ext4State *s, FsIno ino)
{
    FcDir *dir = g_hash_table_lookup(s->fast_commit->dirs, &ino);

    if (!dir) {
        dir = g_new0(FcDir, 1);
        dir->ino = ino;
        dir->names = g_hash_table_new(g_bytes_hash, g_bytes_equal);
        dir->order = g_ptr_array_new_with_free_func(name_free);
        g_hash_table_insert(s->fast_commit->dirs, &dir->ino, dir);
    }
    return dir;
}

static void set_name(FcDir *dir, const char *name, size_t len, FsIno ino, uint8_t type)
{
    g_autoptr(GBytes) key = g_bytes_new(name, len);
    FcName *entry = g_hash_table_lookup(dir->names, key);

    if (!entry) {
        entry = g_new0(FcName, 1);
        entry->name = g_bytes_ref(key);
        g_ptr_array_add(dir->order, entry);
        g_hash_table_insert(dir->names, entry->name, entry);
    }
    entry->ino = ino;
    entry->type = type;
}

typedef struct Change {
    FsIno parent, ino;
    const char *name;
    size_t len;
} Change;

static bool read_change(ByteReader *value, Change *change)
{
    change->parent = byte_reader_le32(value);
    change->ino = byte_reader_le32(value);
    change->len = byte_reader_left(value);
    change->name = byte_reader_take(value, change->len);
    return change->name && change->len && change->len <= EXT4_NAME_MAX &&
           !memchr(change->name, 0, change->len) &&
           !memchr(change->name, '/', change->len);
}

/* What the name stands for now; 0: nothing. False: beyond bounds. */
static bool coroutine_fn find(Ext4State *s, const Change *change, FsIno *found,
                              GError **errp)
{
    g_autoptr(Ext4Inode) dir = ext4_inode_co_get(s, change->parent, NULL);

    *found = 0;
    if (!dir) {
        return true;
    }
    if (!account(s, dir->stat.size, errp)) {
        return false;
    }
    if (!ext4_dir_co_lookup(s, dir, change->name, change->len, found, NULL)) {
        *found = 0;
    }
    return true;
}

static void add_links(FcInode *inode, int links)
{
    Ext4InodeDisk *disk = disk_of(inode);
    int count = le16_get(disk->links_count) + links;

    disk->links_count = le16_make(CLAMP(count, 0, UINT16_MAX));
}

/* The ".." of a directory is a link to its parent. */
static void coroutine_fn count_subdirectory(Ext4State *s, const Change *change,
                                            uint16_t mode, int links)
{
    FcInode *parent = S_ISDIR(mode) ? get_inode(s, change->parent) : NULL;

    if (parent) {
        add_links(parent, links);
        changed(s, change->parent);
    }
}

bool coroutine_fn ext4_fc_co_link(Ext4State *s, ByteReader *value, bool is_new,
                                  GError **errp)
{
    Change change;
    FsIno found;

    if (!read_change(value, &change)) {
        return true;
    }

    FcInode *inode = get_inode(s, change.ino);
    uint16_t mode = inode ? le16_get(disk_of(inode)->mode) : 0;

    if (!mode) {
        return true;
    }
    if (is_new && S_ISDIR(mode)) {
        get_dir(s, change.ino)->is_new = true;
    }
    if (!find(s, &change, &found, errp)) {
        return false;
    }
    if (!found) {
        set_name(get_dir(s, change.parent), change.name, change.len, change.ino,
                 IFTODT(mode));
        add_links(inode, 1);
        count_subdirectory(s, &change, mode, 1);
    }
    if (is_new) {
        disk_of(inode)->links_count = le16_make(S_ISDIR(mode) ? 2 : 1);
    }
    changed(s, change.ino);
    return true;
}

bool coroutine_fn ext4_fc_co_unlink(Ext4State *s, ByteReader *value, GError **errp)
{
    Change change;
    FsIno found;

    if (!read_change(value, &change)) {
        return true;
    }

    FcInode *inode = get_inode(s, change.ino);

    if (!inode || !le16_get(disk_of(inode)->mode)) {
        return true;
    }
    if (!find(s, &change, &found, errp)) {
        return false;
    }
    if (found == change.ino) {
        set_name(get_dir(s, change.parent), change.name, change.len, 0, DT_UNKNOWN);
        count_subdirectory(s, &change, le16_get(disk_of(inode)->mode), -1);
    }
    add_links(inode, -1);
    changed(s, change.ino);
    return true;
}

const uint8_t *ext4_fc_find_inode(const Ext4State *s, FsIno ino, GArray **extents)
{
    const FcInode *inode =
        s->fast_commit ? g_hash_table_lookup(s->fast_commit->inodes, &ino) : NULL;

    if (!inode) {
        return NULL;
    }
    *extents = inode->extents ? g_array_ref(inode->extents) : NULL;
    return inode->raw;
}

static const FcDir *find_dir(const Ext4State *s, FsIno ino)
{
    return s->fast_commit ? g_hash_table_lookup(s->fast_commit->dirs, &ino) : NULL;
}

bool ext4_fc_dir_is_new(const Ext4State *s, FsIno dir)
{
    const FcDir *d = find_dir(s, dir);

    return d && d->is_new;
}

bool ext4_fc_find_name(const Ext4State *s, FsIno dir, const char *name, size_t len,
                       FsIno *ino)
{
    const FcDir *d = find_dir(s, dir);

    if (!d) {
        return false;
    }

    g_autoptr(GBytes) key = g_bytes_new_static(name, len);
    const FcName *entry = g_hash_table_lookup(d->names, key);

    if (entry) {
        *ino = entry->ino;
    }
    return entry;
}

void ext4_fc_add_names(const Ext4State *s, FsIno dir, FsDirBatch *batch)
{
    const FcDir *d = find_dir(s, dir);

    for (guint i = 0; d && i < d->order->len; i++) {
        const FcName *entry = g_ptr_array_index(d->order, i);
        gsize len;
        const char *name = g_bytes_get_data(entry->name, &len);

        if (entry->ino) {
            fs_dir_batch_add(batch, entry->ino, entry->type, name, len);
        }
    }
}

void ext4_fc_foreach_run(const Ext4State *s,
                         void (*func)(const Ext4Run *run, void *opaque), void *opaque)
{
    GHashTableIter iter;
    gpointer value;

    if (!s->fast_commit) {
        return;
    }
    g_hash_table_iter_init(&iter, s->fast_commit->inodes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const GArray *extents = ((const FcInode *)value)->extents;

        for (guint i = 0; extents && i < extents->len; i++) {
            func(&g_array_index(extents, Ext4Run, i), opaque);
        }
    }
}
