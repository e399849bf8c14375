/* Visits a tree in order, while inodes and directories ahead are being read. */
#include "fs/ino-set.h"
#include "fs/walk.h"
#include "util/co-lock.h"

enum {
    WALK_SORT_MAX_NAMES = 1000 * 1000,
    WALK_WINDOW = 256,              /* inodes read ahead in a directory */
    WALK_WINDOW_DEEP = 16,          /* the same deep down, where there are many directories */
    WALK_DEEP = 64,
    WALK_STAT_WORKERS = 16,
    WALK_AHEAD_PER_DIR = 8,         /* subdirectories read ahead */
    WALK_AHEAD_MAX = 64,
};

typedef struct Walker {
    Filesystem *fs;
    FsWalkOrder order;
    const FsWalkOps *ops;
    void *opaque;
    GString *path;
    GPtrArray *frames;              /* of Frame *: the directories being visited */
    GHashTable *ahead;              /* inode -> Listing *: directories read ahead */
    InoSet visited;                 /* directories */
    CoQueue changed;                /* something read ahead has arrived */
    unsigned in_flight;
} Walker;

/* The names in a directory, as far as they were read. */
typedef struct Listing {
    Walker *w;
    FsIno ino;
    FsDirBatch batch;
    GError *error;                  /* the first */
    bool stuck;                     /* what follows the damage cannot be reached */
    bool busy;
} Listing;

typedef struct Slot {
    FsStat stat;
    GError *error;
    bool done;
} Slot;

typedef struct Frame {
    Walker *w;
    Listing *list;
    size_t path_len;
    guint at;                       /* entry to be visited next */
    Slot *slots;                    /* of entries window_start and on */
    guint window_start, window_len;
    guint *issue_order;             /* the window's entries in order of inode */
    guint issued;
    unsigned workers;
    guint ahead_next;               /* entry to be looked at for reading ahead */
    unsigned ahead;
} Frame;

static Listing *listing_new(Walker *w, FsIno ino)
{
    Listing *list = g_new0(Listing, 1);

    list->w = w;
    list->ino = ino;
    fs_dir_batch_init(&list->batch);
    return list;
}

static void listing_free(Listing *list)
{
    if (list) {
        fs_dir_batch_clear(&list->batch);
        g_clear_error(&list->error);
        g_free(list);
    }
}

/* More names into the batch. Damage ends the listing only if it cannot be got past. */
static void coroutine_fn listing_read(Listing *list)
{
    uint64_t cursor = list->batch.cursor;
    GError *error = NULL;

    if (fs_co_readdir(list->w->fs, list->ino, &list->batch, &error)) {
        return;
    }
    list->stuck = list->batch.cursor == cursor;
    if (list->error) {
        g_error_free(error);
    } else {
        list->error = error;
    }
}

static void coroutine_fn co_read_ahead(void *opaque)
{
    Listing *list = opaque;
    Walker *w = list->w;

    listing_read(list);
    list->busy = false;
    w->in_flight--;
    co_queue_all(&w->changed);
}

static void coroutine_fn listing_wait(Listing *list)
{
    while (list->busy) {
        co_queue_wait(&list->w->changed);
    }
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    const FsDirEntry *ea = a, *eb = b;
    int order = memcmp(ea->name, eb->name, MIN(ea->name_len, eb->name_len));

    return order ?: (int)ea->name_len - (int)eb->name_len;
}

/* Sorted: reads all the names there are, or as many as are sorted. */
static void coroutine_fn listing_complete(Listing *list)
{
    FsDirBatch *batch = &list->batch;

    while (!batch->eof && !list->stuck && batch->entries->len <= WALK_SORT_MAX_NAMES) {
        listing_read(list);
    }
    if (batch->eof || list->stuck) {
        g_array_sort(batch->entries, compare_names);
    }
}

static const FsDirEntry *frame_entry(const Frame *f, guint i)
{
    return &g_array_index(f->list->batch.entries, FsDirEntry, i);
}

static void frame_clear_window(Frame *f)
{
    for (guint i = 0; i < f->window_len; i++) {
        g_clear_error(&f->slots[i].error);
    }
    g_clear_pointer(&f->slots, g_free);
    g_clear_pointer(&f->issue_order, g_free);
    f->window_len = 0;
}

static void coroutine_fn frame_free(Frame *f)
{
    f->issued = f->window_len;
    while (f->workers) {
        co_queue_wait(&f->w->changed);
    }
    frame_clear_window(f);
    listing_free(f->list);
    g_free(f);
}

static void coroutine_fn co_stat_worker(void *opaque)
{
    Frame *f = opaque;
    Walker *w = f->w;

    while (f->issued < f->window_len) {
        guint i = f->issue_order[f->issued++];
        Slot *slot = &f->slots[i];

        fs_co_stat(w->fs, frame_entry(f, f->window_start + i)->ino, &slot->stat,
                   &slot->error);
        slot->done = true;
        co_queue_all(&w->changed);
    }
    f->workers--;
    w->in_flight--;
    co_queue_all(&w->changed);
}

static gint compare_issue(gconstpointer a, gconstpointer b, gpointer data)
{
    const Frame *f = data;
    FsIno ia = frame_entry(f, f->window_start + *(const guint *)a)->ino;
    FsIno ib = frame_entry(f, f->window_start + *(const guint *)b)->ino;

    return (ia > ib) - (ia < ib);
}

static void coroutine_fn frame_start_window(Frame *f)
{
    guint limit = f->w->frames->len < WALK_DEEP ? WALK_WINDOW : WALK_WINDOW_DEEP;

    while (f->workers) {
        co_queue_wait(&f->w->changed);
    }
    frame_clear_window(f);
    f->window_start = f->at;
    f->window_len = MIN(limit, f->list->batch.entries->len - f->at);
    f->slots = g_new0(Slot, f->window_len);
    f->issue_order = g_new(guint, f->window_len);
    f->issued = 0;
    f->ahead_next = f->at;
    for (guint i = 0; i < f->window_len; i++) {
        f->issue_order[i] = i;
    }
    g_qsort_with_data(f->issue_order, f->window_len, sizeof(guint), compare_issue, f);

    /* A worker that has to wait for nothing does everything before it comes back. */
    while (f->workers < WALK_STAT_WORKERS && f->issued < f->window_len) {
        f->workers++;
        f->w->in_flight++;
        coroutine_enter(coroutine_create(co_stat_worker, f));
    }
}

static void coroutine_fn frame_read_ahead(Frame *f)
{
    Walker *w = f->w;

    if (f->ahead_next < f->at) {
        f->ahead_next = f->at;
    }
    for (; f->ahead_next < f->window_start + f->window_len &&
           f->ahead < WALK_AHEAD_PER_DIR &&
           g_hash_table_size(w->ahead) < WALK_AHEAD_MAX;
         f->ahead_next++) {
        Slot *slot = &f->slots[f->ahead_next - f->window_start];
        FsIno ino = slot->stat.ino;

        if (!slot->done) {
            return;
        }
        if (slot->error || !S_ISDIR(slot->stat.mode) ||
            g_hash_table_contains(w->ahead, &ino)) {
            continue;
        }

        Listing *list = listing_new(w, ino);
        list->busy = true;
        g_hash_table_insert(w->ahead, &list->ino, list);
        f->ahead++;
        w->in_flight++;
        coroutine_enter(coroutine_create(co_read_ahead, list));
    }
}

/* The listing of a directory, read ahead or not. */
static Listing *coroutine_fn take_listing(Walker *w, FsIno ino)
{
    Listing *list = g_hash_table_lookup(w->ahead, &ino);

    if (!list) {
        return NULL;
    }
    g_hash_table_remove(w->ahead, &ino);
    if (w->frames->len) {
        Frame *parent = g_ptr_array_index(w->frames, w->frames->len - 1);

        parent->ahead -= parent->ahead > 0;
    }
    listing_wait(list);
    return list;
}

/* True: go on. Takes error, which is about what path says. */
static bool coroutine_fn report_damage(Walker *w, GError *error, GError **errp)
{
    if (w->ops->damaged && w->ops->damaged(w->path->str, error, w->opaque)) {
        g_error_free(error);
        return true;
    }
    g_propagate_error(errp, error);
    return false;
}

static bool is_being_visited(const Walker *w, FsIno ino)
{
    for (guint i = 0; i < w->frames->len; i++) {
        const Frame *f = g_ptr_array_index(w->frames, i);

        if (f->list->ino == ino) {
            return true;
        }
    }
    return false;
}

static GError *check_directory(Walker *w, FsIno ino)
{
    const char *disk = blk_name(w->fs->blk);

    if (!ino_set_add(&w->visited, ino)) {
        return g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT,
                           "%s: directory '%s' (inode %" PRIu64 ") %s", disk,
                           w->path->str, ino,
                           is_being_visited(w, ino) ? "is inside itself"
                                                    : "has a second parent");
    }
    if (w->frames->len >= FS_WALK_MAX_DEPTH) {
        return g_error_new(EMBR_ERROR, EMBR_ERROR_LIMIT,
                           "%s: directory '%s' is more than %d levels deep", disk,
                           w->path->str, FS_WALK_MAX_DEPTH);
    }
    return NULL;
}

static bool coroutine_fn report_listing_error(Walker *w, Listing *list, GError **errp)
{
    return !list->error || report_damage(w, g_steal_pointer(&list->error), errp);
}

static bool coroutine_fn enter_directory(Walker *w, const FsWalkEntry *dir, GError **errp)
{
    bool descend = true;
    GError *error = check_directory(w, dir->stat.ino);

    if (error) {
        return report_damage(w, error, errp);
    }
    if (w->ops->enter && !w->ops->enter(dir, &descend, w->opaque, errp)) {
        return false;
    }

    Listing *list = take_listing(w, dir->stat.ino);
    if (!descend) {
        listing_free(list);
        return true;
    }
    list = list ?: listing_new(w, dir->stat.ino);
    if (w->order == FS_WALK_SORTED) {
        listing_complete(list);
    }

    Frame *f = g_new0(Frame, 1);
    f->w = w;
    f->list = list;
    f->path_len = w->path->len;
    g_ptr_array_add(w->frames, f);
    return report_listing_error(w, list, errp);
}

static bool coroutine_fn visit(Walker *w, FsIno parent, const char *name,
                               const FsStat *stat, GError **errp)
{
    FsWalkEntry entry = {
        .path = w->path->str,
        .name = name,
        .parent = parent,
        .stat = *stat,
    };

    if (!w->ops->entry(&entry, w->opaque, errp)) {
        return false;
    }
    return !S_ISDIR(stat->mode) || enter_directory(w, &entry, errp);
}

/* More names into a directory's listing.  False: there are no more. */
static bool coroutine_fn frame_refill(Frame *f)
{
    FsDirBatch *batch = &f->list->batch;

    while (!batch->eof && !f->list->stuck) {
        while (f->workers) {
            co_queue_wait(&f->w->changed);
        }
        frame_clear_window(f);
        fs_dir_batch_drop_entries(batch);
        f->at = f->window_start = 0;
        listing_read(f->list);
        if (batch->entries->len) {
            return true;
        }
    }
    return false;
}

static bool coroutine_fn visit_next(Frame *f, GError **errp)
{
    Walker *w = f->w;
    GError *error = NULL;

    if (f->at >= f->window_start + f->window_len) {
        frame_start_window(f);
    }
    frame_read_ahead(f);

    Slot *slot = &f->slots[f->at - f->window_start];
    while (!slot->done) {
        co_queue_wait(&w->changed);
    }

    const FsDirEntry *entry = frame_entry(f, f->at++);
    g_string_truncate(w->path, f->path_len);
    if (f->path_len) {
        g_string_append_c(w->path, '/');
    }
    const size_t name_at = w->path->len;
    g_string_append_len(w->path, entry->name, entry->name_len);
    if (slot->error) {
        error = g_steal_pointer(&slot->error);
        return report_damage(w, error, errp);
    }
    return visit(w, f->list->ino, w->path->str + name_at, &slot->stat, errp);
}

static bool coroutine_fn walk_frames(Walker *w, GError **errp)
{
    while (w->frames->len) {
        Frame *f = g_ptr_array_index(w->frames, w->frames->len - 1);

        if (f->at < f->list->batch.entries->len || frame_refill(f)) {
            if (!visit_next(f, errp)) {
                return false;
            }
            continue;
        }
        g_string_truncate(w->path, f->path_len);
        if (!report_listing_error(w, f->list, errp)) {
            return false;
        }
        g_ptr_array_set_size(w->frames, w->frames->len - 1);
        frame_free(f);
    }
    return true;
}

static void coroutine_fn walker_clear(Walker *w)
{
    GHashTableIter iter;
    gpointer list;

    while (w->frames->len) {
        frame_free(g_ptr_array_steal_index(w->frames, w->frames->len - 1));
    }
    while (w->in_flight) {
        co_queue_wait(&w->changed);
    }
    g_hash_table_iter_init(&iter, w->ahead);
    while (g_hash_table_iter_next(&iter, NULL, &list)) {
        listing_free(list);
    }
    g_hash_table_unref(w->ahead);
    g_ptr_array_unref(w->frames);
    g_string_free(w->path, TRUE);
    ino_set_clear(&w->visited);
}

bool coroutine_fn fs_co_walk(Filesystem *fs, FsIno start, FsWalkOrder order,
                             const FsWalkOps *ops, void *opaque, GError **errp)
{
    FsStat stat;

    if (!fs_co_stat(fs, start, &stat, errp)) {
        return false;
    }

    Walker w = {
        .fs = fs,
        .order = order,
        .ops = ops,
        .opaque = opaque,
        .path = g_string_new(NULL),
        .frames = g_ptr_array_new(),
        .ahead = g_hash_table_new(g_int64_hash, g_int64_equal),
    };
    ino_set_init(&w.visited, fs->max_ino);
    co_queue_init(&w.changed);

    bool ok = visit(&w, start, w.path->str, &stat, errp) && walk_frames(&w, errp);
    walker_clear(&w);
    return ok;
}
