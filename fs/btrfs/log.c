/*
 * The log: what was synchronised since the last transaction.
 *
 * For each subvolume there is a tree of items of those inodes; they are merged into the
 * inodes that the subvolume has, all of whose items come into an overlay for that.
 */
#include "log.h"

enum { LOG_MAX_BYTES = 64 * 1024 * 1024 };

/* One log of how many: what becomes of it is used only if all of them are good. */
typedef struct Replayed {
    uint64_t id; /* of the subvolume */
    BtrfsOverlay *out;
} Replayed;

static void replayed_clear(gpointer data)
{
    btrfs_overlay_free(((Replayed *)data)->out);
}

static bool G_GNUC_PRINTF(4, 5) log_error(const BtrfsReplay *r, EmbrError code,
                                          GError **errp, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    btrfs_error(r->s, errp, code, r->s->geo.log_root,
                "log of subvolume %" PRIu64 ": %s", r->tree->id, text);
    return false;
}

static bool check_size(const BtrfsReplay *r, GError **errp)
{
    if (btrfs_overlay_bytes(r->log) + btrfs_overlay_bytes(r->out) > LOG_MAX_BYTES) {
        return log_error(r, EMBR_ERROR_LIMIT, errp,
                         "it and the inodes that it is about are more than %d bytes",
                         LOG_MAX_BYTES);
    }
    return true;
}

static void add_objectid(GHashTable *set, uint64_t objectid)
{
    if (!g_hash_table_contains(set, &objectid)) {
        g_hash_table_add(set, g_memdup2(&objectid, sizeof(objectid)));
    }
}

void btrfs_replay_count_names(BtrfsReplay *r, uint64_t objectid)
{
    add_objectid(r->counted, objectid);
}

void btrfs_replay_resize(BtrfsReplay *r, uint64_t dir)
{
    add_objectid(r->resized, dir);
}

bool coroutine_fn btrfs_replay_co_claim(BtrfsReplay *r, uint64_t objectid,
                                        GError **errp)
{
    BtrfsKey key = {objectid, 0, 0};
    g_auto(BtrfsCursor) c = {0};

    if (btrfs_overlay_has(r->out, objectid)) {
        return true;
    }
    btrfs_overlay_claim(r->out, objectid);
    btrfs_cursor_init(&c, r->s, r->tree);

    bool ok = btrfs_cursor_co_seek(&c, &key, errp);

    while (ok && c.valid && c.key.objectid == objectid) {
        btrfs_overlay_set(r->out, &c.key, c.data, c.size);
        ok = check_size(r, errp) && btrfs_cursor_co_next(&c, errp);
    }
    return ok && check_size(r, errp);
}

BtrfsOverlayItem *coroutine_fn btrfs_replay_co_inode(BtrfsReplay *r, uint64_t objectid,
                                                     GError **errp)
{
    if (!btrfs_replay_co_claim(r, objectid, errp)) {
        return NULL;
    }

    BtrfsOverlayItem *item = btrfs_overlay_get(r->out, objectid, BTRFS_INODE_ITEM, 0);

    return item && item->size >= sizeof(BtrfsInodeItem) ? item : NULL;
}

static BtrfsInodeItem *inode_of(BtrfsOverlayItem *item)
{
    return (BtrfsInodeItem *)item->data;
}

/* The log's inode takes the place of what there is; where it was logged only to be
 * there (its generation is 0), at most its size counts.  What follows from names and
 * extents is added up later. */
static bool coroutine_fn replay_inode(BtrfsReplay *r, const BtrfsOverlayItem *item,
                                      GError **errp)
{
    const BtrfsInodeItem *logged = (const BtrfsInodeItem *)item->data;
    BtrfsKey key = item->key;
    GError *error = NULL;
    BtrfsOverlayItem *have = btrfs_replay_co_inode(r, key.objectid, &error);

    if (error) {
        g_propagate_error(errp, error);
        return false;
    }

    bool is_file = S_ISREG(le32_get(logged->mode));

    if (have && !le64_get(logged->generation)) {
        if (is_file && S_ISREG(le32_get(inode_of(have)->mode)) &&
            le64_get(logged->size)) {
            inode_of(have)->size = logged->size;
        }
    } else {
        le64_t size = have ? inode_of(have)->size : le64_make(0);
        le64_t used = have ? inode_of(have)->nbytes : le64_make(0);

        have = btrfs_overlay_set(r->out, &key, item->data, item->size);
        inode_of(have)->nbytes = used;
        if (S_ISDIR(le32_get(logged->mode))) {
            inode_of(have)->size = size;
        }
        if (!le64_get(logged->generation)) {
            inode_of(have)->generation = le64_make(r->s->geo.generation + 1);
        }
    }
    if (is_file) {
        uint64_t end = MIN(le64_get(inode_of(have)->size), (uint64_t)INT64_MAX);

        btrfs_replay_drop(r, key.objectid, round_up_pow2(end, r->s->geo.sector_bytes),
                          UINT64_MAX);
    }
    btrfs_replay_count_names(r, key.objectid);
    return true;
}

static bool coroutine_fn replay_inode_item(BtrfsReplay *r, const BtrfsOverlayItem *item,
                                           GError **errp)
{
    const BtrfsInodeItem *logged = (const BtrfsInodeItem *)item->data;

    if (!btrfs_replay_co_claim(r, item->key.objectid, errp)) {
        return false;
    }
    btrfs_replay_xattr_deletes(r, item->key.objectid);
    if (S_ISDIR(le32_get(logged->mode)) &&
        !btrfs_replay_co_dir_deletes(r, item->key.objectid, errp)) {
        return false;
    }
    return replay_inode(r, item, errp);
}

/* Files that had no name when they were logged are gone. */
static bool is_ignored(const BtrfsReplay *r, const BtrfsOverlayItem *item)
{
    const BtrfsOverlayItem *inode =
        btrfs_overlay_get(r->log, item->key.objectid, BTRFS_INODE_ITEM, 0);

    return inode && !le32_get(((const BtrfsInodeItem *)inode->data)->nlink);
}

typedef enum Stage {
    STAGE_INODES,
    STAGE_ENTRIES,
    STAGE_REST,
} Stage;

static bool coroutine_fn replay_item(BtrfsReplay *r, const BtrfsOverlayItem *item,
                                     Stage stage, GError **errp)
{
    uint8_t type = item->key.type;

    if (stage == STAGE_INODES) {
        return type != BTRFS_INODE_ITEM || replay_inode_item(r, item, errp);
    }
    if (stage == STAGE_ENTRIES) {
        return type != BTRFS_DIR_INDEX || btrfs_replay_co_dir_index(r, item, errp);
    }
    switch (type) {
    case BTRFS_XATTR_ITEM:
        btrfs_overlay_set(r->out, &item->key, item->data, item->size);
        return true;
    case BTRFS_INODE_REF:
    case BTRFS_INODE_EXTREF:
        return btrfs_replay_co_refs(r, item, errp);
    case BTRFS_EXTENT_DATA:
        return btrfs_replay_extent(r, item, errp);
    default:
        return true;
    }
}

static bool coroutine_fn replay_stage(BtrfsReplay *r, Stage stage, GError **errp)
{
    const BtrfsKey start = {0};
    const BtrfsOverlayItem *item = btrfs_overlay_first(r->log, &start);

    for (; item; item = btrfs_overlay_next(r->log, &item->key)) {
        if (is_ignored(r, item)) {
            continue;
        }
        if (!btrfs_replay_co_claim(r, item->key.objectid, errp) ||
            !replay_item(r, item, stage, errp) || !check_size(r, errp)) {
            return false;
        }
    }
    return true;
}

/* What follows from all the names and extents. */
static void settle_inode(uint64_t objectid, void *opaque)
{
    BtrfsReplay *r = opaque;
    BtrfsOverlayItem *item = btrfs_overlay_get(r->out, objectid, BTRFS_INODE_ITEM, 0);

    if (!item || item->size < sizeof(BtrfsInodeItem)) {
        return;
    }

    BtrfsInodeItem *inode = inode_of(item);

    if (g_hash_table_contains(r->counted, &objectid)) {
        inode->nlink = le32_make(btrfs_replay_names(r, objectid));
    }
    if (g_hash_table_contains(r->resized, &objectid)) {
        inode->size = le64_make(btrfs_replay_dir_size(r, objectid));
    }
    if (btrfs_overlay_get(r->log, objectid, BTRFS_INODE_ITEM, 0) &&
        !S_ISDIR(le32_get(inode->mode))) {
        inode->nbytes = le64_make(btrfs_replay_used_bytes(r, objectid));
    }
}

/* All items of the log of a subvolume; checksums go to those of all logs. */
static bool coroutine_fn load_log(BtrfsReplay *r, const BtrfsTree *tree, GError **errp)
{
    const BtrfsKey start = {0};
    g_auto(BtrfsCursor) c = {0};

    btrfs_cursor_init(&c, r->s, tree);

    bool ok = btrfs_cursor_co_seek(&c, &start, errp);

    while (ok && c.valid) {
        bool is_sum = c.key.objectid == BTRFS_EXTENT_CSUM_OBJECT;
        bool is_inode = c.key.type == BTRFS_INODE_ITEM;

        if (is_inode && c.size < sizeof(BtrfsInodeItem)) {
            return log_error(r, EMBR_ERROR_CORRUPT, errp,
                             "inode %" PRIu64 " has an item of %u bytes",
                             c.key.objectid, c.size);
        }
        btrfs_overlay_set(is_sum ? r->s->log_sums : r->log, &c.key, c.data, c.size);
        if (btrfs_overlay_bytes(r->s->log_sums) > LOG_MAX_BYTES) {
            return log_error(r, EMBR_ERROR_LIMIT, errp,
                             "its checksums are more than %d bytes", LOG_MAX_BYTES);
        }
        ok = check_size(r, errp) && btrfs_cursor_co_next(&c, errp);
    }
    return ok;
}

static bool coroutine_fn replay_log(BtrfsState *s, const BtrfsTree *log,
                                    GArray *replayed, GError **errp)
{
    GError *error = NULL;
    const BtrfsTree *tree = btrfs_subvolume_co_get(s, log->id, &error);

    if (!tree) {
        /* A subvolume that was deleted since. */
        if (g_error_matches(error, EMBR_ERROR, EMBR_ERROR_NOT_FOUND)) {
            g_error_free(error);
            return true;
        }
        g_propagate_error(errp, error);
        return false;
    }

    Replayed result = {log->id, btrfs_overlay_new()};
    BtrfsReplay r = {
        .s = s,
        .tree = tree,
        .log = btrfs_overlay_new(),
        .out = result.out,
        .counted = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL),
        .resized = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL),
    };

    g_array_append_val(replayed, result);

    bool ok = load_log(&r, log, errp);

    for (Stage stage = STAGE_INODES; ok && stage <= STAGE_REST; stage++) {
        ok = replay_stage(&r, stage, errp);
    }
    if (ok) {
        btrfs_overlay_foreach(r.out, settle_inode, &r);
    }
    btrfs_overlay_free(r.log);
    g_hash_table_unref(r.counted);
    g_hash_table_unref(r.resized);
    return ok;
}

static bool coroutine_fn replay_logs(BtrfsState *s, GArray *replayed, GError **errp)
{
    BtrfsTree logs = {
        .id = BTRFS_TREE_LOG,
        .bytenr = s->geo.log_root,
        .generation = s->geo.generation + 1,
        .level = s->geo.log_root_level,
    };
    BtrfsKey key = {BTRFS_TREE_LOG, BTRFS_ROOT_ITEM, 0};
    g_auto(BtrfsCursor) c = {0};

    btrfs_cursor_init(&c, s, &logs);

    bool ok = btrfs_cursor_co_seek(&c, &key, errp);

    while (ok && btrfs_cursor_is(&c, key.objectid, key.type)) {
        BtrfsTree log;
        uint32_t refs;

        ok = btrfs_tree_parse(s, &c, c.key.offset, &log, &refs, errp) &&
             replay_log(s, &log, replayed, errp) && btrfs_cursor_co_next(&c, errp);
    }
    return ok;
}

void coroutine_fn btrfs_log_co_replay(BtrfsState *s)
{
    g_autoptr(GArray) replayed = g_array_new(FALSE, FALSE, sizeof(Replayed));
    g_autoptr(GError) error = NULL;

    if (!s->geo.log_root) {
        return;
    }
    g_array_set_clear_func(replayed, replayed_clear);
    s->log_sums = btrfs_overlay_new();
    if (!replay_logs(s, replayed, &error)) {
        g_clear_pointer(&s->log_sums, btrfs_overlay_free);
        fs_warn(s->fs,
                "%s; the log is not replayed: files are as they were before the last "
                "seconds",
                error->message);
        return;
    }
    for (guint i = 0; i < replayed->len; i++) {
        Replayed *result = &g_array_index(replayed, Replayed, i);
        BtrfsTree *tree = g_hash_table_lookup(s->subvolumes, &result->id);

        tree->overlay = g_steal_pointer(&result->out);
    }
}
