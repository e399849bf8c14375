#include "extract-ahead.h"

#include "util/co-lock.h"

enum {
    ENTRIES_AHEAD = 16,
    CONTENT_MAX_BYTES = 256 * 1024,
};

typedef struct Entry {
    ExtractAhead *ahead;
    TreeEntry entry;
    char *path;
    uint8_t *content;
    bool busy;
} Entry;

struct ExtractAhead {
    ExtractAheadNext *next;
    void *opaque;
    GQueue entries; /* of Entry *: the oldest first */
    CoQueue arrived;
};

ExtractAhead *extract_ahead_new(ExtractAheadNext *next, void *opaque)
{
    ExtractAhead *a = g_new0(ExtractAhead, 1);

    a->next = next;
    a->opaque = opaque;
    g_queue_init(&a->entries);
    co_queue_init(&a->arrived);
    return a;
}

/* The oldest, with its content if that was to be read; freed by entry_free(). */
static Entry *coroutine_fn take_oldest(ExtractAhead *a)
{
    Entry *e = g_queue_pop_head(&a->entries);

    while (e->busy) {
        co_queue_wait(&a->arrived);
    }
    return e;
}

static void entry_free(Entry *e)
{
    g_free(e->path);
    g_free(e->content);
    g_free(e);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Entry, entry_free)

/* Content that is not encoded is read as fast when it is needed. */
static bool coroutine_fn is_encoded(const Entry *e)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(FsExtent));

    return fs_co_extents(e->entry.fs, e->entry.stat.ino, 0, 1, extents, NULL) &&
           extents->len &&
           g_array_index(extents, FsExtent, 0).flags & FS_EXTENT_ENCODED;
}

static void coroutine_fn co_read(void *opaque)
{
    Entry *e = opaque;
    g_autofree uint8_t *content = NULL;

    if (is_encoded(e)) {
        content = g_malloc(e->entry.stat.size);
        /* What cannot be read is told of by whoever reads it then. */
        if (fs_co_read(e->entry.fs, e->entry.stat.ino, 0, e->entry.stat.size, content,
                       NULL)) {
            e->content = g_steal_pointer(&content);
        }
    }
    e->busy = false;
    co_queue_all(&e->ahead->arrived);
}

static bool is_worth_it(const TreeEntry *entry)
{
    const FsStat *st = &entry->stat;

    return entry->fs && S_ISREG(st->mode) && st->nlink == 1 && st->size &&
           st->size <= CONTENT_MAX_BYTES && !(st->flags & FS_FILE_ENCRYPTED);
}

static bool coroutine_fn hand_over_oldest(ExtractAhead *a, GError **errp)
{
    g_autoptr(Entry) e = take_oldest(a);

    return a->next(&e->entry, e->content, a->opaque, errp);
}

bool coroutine_fn extract_ahead_co_add(ExtractAhead *a, const TreeEntry *entry,
                                       GError **errp)
{
    Entry *e = g_new0(Entry, 1);

    e->ahead = a;
    e->path = g_strdup(entry->path);
    e->entry = *entry;
    e->entry.path = e->path;
    g_queue_push_tail(&a->entries, e);
    if (is_worth_it(entry)) {
        e->busy = true;
        coroutine_enter(coroutine_create(co_read, e));
    }
    return a->entries.length <= ENTRIES_AHEAD || hand_over_oldest(a, errp);
}

bool coroutine_fn extract_ahead_co_finish(ExtractAhead *a, GError **errp)
{
    while (a->entries.length) {
        if (!hand_over_oldest(a, errp)) {
            return false;
        }
    }
    return true;
}

void coroutine_fn extract_ahead_co_free(ExtractAhead *a)
{
    while (a && a->entries.length) {
        entry_free(take_oldest(a));
    }
    g_free(a);
}
