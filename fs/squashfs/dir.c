/* Directories: runs of entries, in order of name, and an index of them if they are long. */
#include <dirent.h>
#include "squashfs.h"

enum {
    NAME_MAX_BYTES = 256,
    BATCH_BYTES = 32 * 1024,            /* of a listing, at once */
};

/* A listing being read. */
typedef struct Listing {
    SquashfsState *s;
    const SquashfsInode *dir;
    uint64_t position;
    SquashfsCursor cursor;
} Listing;

typedef struct Entry {
    FsIno ino;
    uint8_t type;                       /* DT_* */
    uint16_t name_len;
    char name[NAME_MAX_BYTES];
} Entry;

typedef bool EntryFunc(const Entry *entry, void *opaque);      /* false: that is enough */

static uint8_t type_to_dirent(unsigned type)
{
    static const uint8_t types[] = {
        [SQUASHFS_DIR] = DT_DIR,     [SQUASHFS_FILE] = DT_REG,
        [SQUASHFS_SYMLINK] = DT_LNK, [SQUASHFS_BLOCK_DEVICE] = DT_BLK,
        [SQUASHFS_FIFO] = DT_FIFO,   [SQUASHFS_CHAR_DEVICE] = DT_CHR,
        [SQUASHFS_SOCKET] = DT_SOCK,
    };

    return type < G_N_ELEMENTS(types) ? types[type] : DT_UNKNOWN;
}

static bool coroutine_fn take(Listing *l, void *buf, uint32_t bytes, GError **errp)
{
    if (!range_fits(l->position, bytes, l->dir->listing_bytes)) {
        squashfs_error(l->s, errp, EMBR_ERROR_CORRUPT, l->cursor.block,
                       "directory inode %" PRIu64
                       ": an entry reaches past the end of the listing (%u bytes)",
                       l->dir->stat.ino, l->dir->listing_bytes);
        return false;
    }
    if (!squashfs_meta_co_read(l->s, &l->cursor, buf, bytes, "directory", errp)) {
        g_prefix_error(errp, "directory inode %" PRIu64 ": ", l->dir->stat.ino);
        return false;
    }
    l->position += bytes;
    return true;
}

/* The entries up to the next head.  *enough: func said so. */
static bool coroutine_fn read_run(Listing *l, EntryFunc *func, void *opaque, bool *enough,
                                  GError **errp)
{
    SquashfsDirHead head;
    Entry entry;

    if (!take(l, &head, sizeof(head), errp)) {
        return false;
    }

    uint32_t count = le32_get(head.entries);

    if (count >= SQUASHFS_DIR_RUN_MAX) {
        squashfs_error(l->s, errp, EMBR_ERROR_CORRUPT, l->cursor.block,
                       "directory inode %" PRIu64 ": a run of %" PRIu64
                       " entries, expected 1 to %d",
                       l->dir->stat.ino, (uint64_t)count + 1, SQUASHFS_DIR_RUN_MAX);
        return false;
    }
    for (uint32_t i = 0; i <= count; i++) {
        SquashfsDirEntry raw;

        if (!take(l, &raw, sizeof(raw), errp)) {
            return false;
        }
        entry.name_len = le16_get(raw.name_bytes) + 1;
        if (!entry.name_len || entry.name_len > NAME_MAX_BYTES) {
            squashfs_error(l->s, errp, EMBR_ERROR_CORRUPT, l->cursor.block,
                           "directory inode %" PRIu64
                           ": a name of %u bytes, expected 1 to %d",
                           l->dir->stat.ino, le16_get(raw.name_bytes) + 1, NAME_MAX_BYTES);
            return false;
        }
        if (!take(l, entry.name, entry.name_len, errp)) {
            return false;
        }
        entry.ino = ((uint64_t)le32_get(head.block) << 16 | le16_get(raw.offset)) + 1;
        entry.type = type_to_dirent(le16_get(raw.type));
        if (!func(&entry, opaque)) {
            *enough = true;
            return true;
        }
    }
    return true;
}

/* An entry of the index, of which *at is the next. */
static bool coroutine_fn read_index(SquashfsState *s, const SquashfsInode *dir,
                                    SquashfsCursor *at, Listing *place, char *name,
                                    uint32_t *name_len, GError **errp)
{
    SquashfsDirIndex raw;

    if (!squashfs_meta_co_read(s, at, &raw, sizeof(raw), "index of a directory", errp)) {
        return false;
    }
    *name_len = le32_get(raw.name_bytes) + 1;
    if (!*name_len || *name_len > NAME_MAX_BYTES) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, at->block,
                       "directory inode %" PRIu64
                       ": a name of %u bytes in the index, expected 1 to %d",
                       dir->stat.ino, *name_len, NAME_MAX_BYTES);
        return false;
    }
    *place = (Listing){
        .s = s,
        .dir = dir,
        .position = le32_get(raw.position),
        .cursor = {s->geo.directory_table + le32_get(raw.block),
                   (dir->listing.at + le32_get(raw.position)) % SQUASHFS_META_BYTES},
    };
    return squashfs_meta_co_read(s, at, name, *name_len, "index of a directory", errp);
}

/* Behind damage, where the index knows of a place to go on; else nothing changes. */
static void coroutine_fn skip_damage(Listing *l)
{
    SquashfsCursor at = l->dir->rest;
    char name[NAME_MAX_BYTES];
    uint32_t name_len;
    Listing place;

    for (uint32_t i = 0; i < l->dir->index_entries; i++) {
        if (!read_index(l->s, l->dir, &at, &place, name, &name_len, NULL)) {
            return;
        }
        if (place.position > l->position && place.cursor.block > l->cursor.block &&
            place.position < l->dir->listing_bytes) {
            *l = place;
            return;
        }
    }
}

static bool add_to_batch(const Entry *entry, void *opaque)
{
    fs_dir_batch_add(opaque, entry->ino, entry->type, entry->name, entry->name_len);
    return true;
}

/* To where the batch's cursor says, from the last place before it that is known. */
static bool coroutine_fn seek(Listing *l, uint64_t position, GError **errp)
{
    const SquashfsTrack *track =
        squashfs_track_find(l->s, l->dir->stat.ino, position);

    if (track) {
        l->position = track->position;
        l->cursor = track->cursor;
    }
    return take(l, NULL, position - l->position, errp);
}

static void remember(const Listing *l)
{
    SquashfsTrack track = {
        .ino = l->dir->stat.ino,
        .position = l->position,
        .cursor = l->cursor,
    };

    squashfs_track_set(l->s, &track);
}

static bool check_directory(const SquashfsState *s, const SquashfsInode *dir, GError **errp)
{
    if (!S_ISDIR(dir->stat.mode)) {
        squashfs_error(s, errp, EMBR_ERROR_INVALID, dir->rest.block,
                       "inode %" PRIu64 " is not a directory", dir->stat.ino);
        return false;
    }
    return true;
}

bool coroutine_fn squashfs_dir_co_read(SquashfsState *s, const SquashfsInode *dir,
                                       FsDirBatch *batch, GError **errp)
{
    Listing l = {s, dir, 0, dir->listing};
    uint64_t end = MIN(batch->cursor + BATCH_BYTES, dir->listing_bytes);
    bool enough = false;

    if (!check_directory(s, dir, errp) || !seek(&l, batch->cursor, errp)) {
        return false;
    }
    while (l.position < end) {
        Listing before = l;

        if (!read_run(&l, add_to_batch, batch, &enough, errp)) {
            skip_damage(&l);
            if (l.position > before.position && l.cursor.block > before.cursor.block) {
                batch->cursor = l.position;
                remember(&l);
            }
            return false;
        }
    }
    batch->cursor = l.position;
    batch->eof = l.position >= dir->listing_bytes;
    if (!batch->eof) {
        remember(&l);
    }
    return true;
}

typedef struct Search {
    const char *name;
    size_t len;
    FsIno ino;
} Search;

static int compare(const Search *search, const char *name, size_t len)
{
    int order = memcmp(search->name, name, MIN(search->len, len));

    return order ?: (search->len > len) - (search->len < len);
}

static bool is_before(const Entry *entry, void *opaque)
{
    Search *search = opaque;
    int order = compare(search, entry->name, entry->name_len);

    if (order == 0) {
        search->ino = entry->ino;
    }
    return order > 0;
}

/* To the last place in the index that does not begin behind the name.  An index that is
 * damaged is done without. */
static void coroutine_fn seek_name(Listing *l, const Search *search)
{
    SquashfsCursor at = l->dir->rest;
    char name[NAME_MAX_BYTES];
    uint32_t name_len;
    Listing place;

    for (uint32_t i = 0; i < l->dir->index_entries; i++) {
        if (!read_index(l->s, l->dir, &at, &place, name, &name_len, NULL) ||
            compare(search, name, name_len) < 0) {
            return;
        }
        if (place.position < l->dir->listing_bytes && place.position > l->position) {
            *l = place;
        }
    }
}

bool coroutine_fn squashfs_dir_co_lookup(SquashfsState *s, const SquashfsInode *dir,
                                         const char *name, size_t len, FsIno *ino,
                                         GError **errp)
{
    Listing l = {s, dir, 0, dir->listing};
    Search search = {name, len, 0};
    bool enough = false;

    if (!check_directory(s, dir, errp)) {
        return false;
    }
    seek_name(&l, &search);
    while (!enough && l.position < dir->listing_bytes) {
        if (!read_run(&l, is_before, &search, &enough, errp)) {
            return false;
        }
    }
    if (!search.ino) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND,
                    "%s: no '%.*s' in directory inode %" PRIu64, blk_name(s->fs->blk),
                    (int)len, name, dir->stat.ino);
        return false;
    }
    *ino = search.ino;
    return true;
}
