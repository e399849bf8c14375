/*
 * Names looked up in directories: by the index of their hashes where there is one, else
 * one by one.  Damage in the index only makes it slow.
 */
#include "xfs.h"

enum {
    MAX_LEVELS = 5,
    MAX_SIBLINGS = 64, /* leaves that one hash may be in */
};

uint32_t xfs_name_hash(const char *name, size_t len)
{
    uint32_t hash = 0;

    for (size_t i = 0; i < len; i++) {
        hash = (hash << 7 | hash >> 25) ^ (uint8_t)name[i];
    }
    return hash;
}

/* A directory block, in memory for as long as it is held. */
typedef struct Held {
    const uint8_t *data;
    uint64_t offset;
    FsBuffer *buffer;
    uint8_t *own; /* of a block in several pieces */
} Held;

static void held_clear(Held *held)
{
    g_clear_pointer(&held->buffer, fs_buffer_release);
    g_clear_pointer(&held->own, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Held, held_clear)

/* The directory block that starts at block logical of the filesystem's. */
static bool coroutine_fn hold_block(XfsState *s, const XfsInode *dir,
                                    const XfsBlockKind *kind, uint64_t logical,
                                    Held *held)
{
    uint32_t bytes = xfs_dir_block_bytes(s);
    uint64_t count = bytes >> s->geo.block_bits;
    XfsRun run;

    held_clear(held);
    if (!xfs_map_co(s, dir, &dir->data, logical, count, &run, NULL) || !run.physical ||
        run.unwritten) {
        return false;
    }
    held->offset = run.physical << s->geo.block_bits;
    if (run.count == count) {
        held->buffer =
            xfs_co_block(s, kind, XFS_BUFFER_DIR, held->offset, bytes, dir->ino, NULL);
        held->data = held->buffer ? held->buffer->data : NULL;
        return held->buffer;
    }
    held->own = g_malloc(bytes);
    held->data = held->own;
    return xfs_fork_co_read(s, dir, &dir->data, logical << s->geo.block_bits, bytes,
                            held->own, "directory", NULL) &&
           xfs_block_check(s, kind, held->own, bytes, held->offset, dir->ino, NULL);
}

typedef struct Search {
    XfsState *s;
    const XfsInode *dir;
    const char *name;
    size_t len;
    uint32_t hash;
    FsIno ino; /* what was found; 0: nothing */
    Held data; /* the last block looked into */
    uint64_t data_block;
} Search;

/* Entries of an index block. */
static uint32_t entries_at(const XfsState *s)
{
    return s->geo.version == 5 ? 64 : 16;
}

static unsigned entries_count(const XfsState *s, const uint8_t *data)
{
    unsigned count = be16_load(data + (s->geo.version == 5 ? 56 : 12));

    return MIN(count,
               (xfs_dir_block_bytes(s) - entries_at(s)) / sizeof(XfsDirLeafEntry));
}

/* The first entry whose hash is not less; both kinds start with it. */
static unsigned find_hash(const uint8_t *entries, unsigned count, uint32_t hash)
{
    unsigned low = 0, high = count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (be32_load(entries + middle * sizeof(XfsDirLeafEntry)) < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Looks whether the entry at address is the one. False: it cannot be told. */
static bool coroutine_fn look_at(Search *q, uint32_t address)
{
    XfsState *s = q->s;
    uint64_t at = (uint64_t)address * XFS_DIR_DATA_ALIGN;
    uint32_t bytes = xfs_dir_block_bytes(s);
    uint64_t block = round_down_pow2(at, bytes) >> s->geo.block_bits;
    uint32_t pos = at & (bytes - 1);
    XfsDirBlock data = {.dir = q->dir};
    XfsName name;

    if (block != q->data_block) {
        q->data_block = UINT64_MAX;
        if (!hold_block(s, q->dir, &xfs_kind_dir, block, &q->data)) {
            return false;
        }
        q->data_block = block;
    }
    data.data = q->data.data;
    data.offset = q->data.offset;
    if (!xfs_dir_block_init(s, &data, NULL) || pos < xfs_dir_head_bytes(s) ||
        pos >= data.end || !xfs_dir_block_entry(s, &data, &pos, &name, NULL)) {
        return false;
    }
    if (name.len == q->len && !memcmp(name.name, q->name, q->len)) {
        q->ino = name.ino;
    }
    return true;
}

/* The entries with the hash in a leaf. *more: there may be others in the next one. */
static bool coroutine_fn search_leaf(Search *q, const uint8_t *data, bool *more)
{
    const uint8_t *entries = data + entries_at(q->s);
    unsigned count = entries_count(q->s, data);
    unsigned i = find_hash(entries, count, q->hash);

    for (; i < count && !q->ino; i++) {
        const XfsDirLeafEntry *entry = (const XfsDirLeafEntry *)entries + i;

        if (be32_get(entry->hashval) != q->hash) {
            break;
        }
        if (be32_get(entry->address) && !look_at(q, be32_get(entry->address))) {
            return false;
        }
    }
    *more = i == count && !q->ino;
    return true;
}

static uint16_t da_magic(const uint8_t *data)
{
    return be16_get(((const XfsDaInfo *)data)->magic);
}

static bool is_node(const XfsState *s, uint16_t magic)
{
    return magic == (s->geo.version == 5 ? XFS_DA3_NODE_MAGIC : XFS_DA_NODE_MAGIC);
}

static bool is_leaf(const XfsState *s, uint16_t magic)
{
    return s->geo.version == 5
               ? magic == XFS_DIR3_LEAF1_MAGIC || magic == XFS_DIR3_LEAFN_MAGIC
               : magic == XFS_DIR_LEAF1_MAGIC || magic == XFS_DIR_LEAFN_MAGIC;
}

/* From the top of the index to the leaf for the hash. False: there is none. */
static bool coroutine_fn find_leaf(Search *q, Held *held)
{
    XfsState *s = q->s;
    uint64_t logical = XFS_DIR_LEAF_OFFSET_BYTES >> s->geo.block_bits;

    for (int level = 0; level < MAX_LEVELS; level++) {
        if (!hold_block(s, q->dir, &xfs_kind_da, logical, held)) {
            return false;
        }
        if (!is_node(s, da_magic(held->data))) {
            return is_leaf(s, da_magic(held->data));
        }

        const uint8_t *entries = held->data + entries_at(s);
        unsigned count = entries_count(s, held->data);
        unsigned i = find_hash(entries, count, q->hash);

        if (!count) {
            return false;
        }
        logical =
            be32_get(((const XfsDaNodeEntry *)entries + MIN(i, count - 1))->before);
    }
    return false;
}

/* False: the index cannot be used. */
static bool coroutine_fn search_index(Search *q)
{
    g_auto(Held) held = {0};

    if (!find_leaf(q, &held)) {
        return false;
    }
    for (int i = 0; i < MAX_SIBLINGS; i++) {
        uint32_t next = be32_get(((const XfsDaInfo *)held.data)->forw);
        bool more;

        if (!search_leaf(q, held.data, &more)) {
            return false;
        }
        if (!more || !next) {
            return true;
        }
        if (!hold_block(q->s, q->dir, &xfs_kind_da, next, &held) ||
            !is_leaf(q->s, da_magic(held.data))) {
            return false;
        }
    }
    return false;
}

/* Through all of it.  Damage counts only if the name is nowhere else. */
static bool coroutine_fn search_all(Search *q, GError **errp)
{
    g_auto(FsDirBatch) batch = {0};
    GError *damage = NULL;

    fs_dir_batch_init(&batch);
    while (!batch.eof && !q->ino) {
        fs_dir_batch_drop_entries(&batch);
        xfs_dir_co_read(q->s, q->dir, &batch, damage ? NULL : &damage);
        for (guint i = 0; i < batch.entries->len; i++) {
            const FsDirEntry *entry = &g_array_index(batch.entries, FsDirEntry, i);

            if (entry->name_len == q->len && !memcmp(entry->name, q->name, q->len)) {
                q->ino = entry->ino;
            }
        }
    }
    if (damage && !q->ino) {
        g_propagate_error(errp, damage);
        return false;
    }
    g_clear_error(&damage);
    return true;
}

bool coroutine_fn xfs_dir_co_lookup(XfsState *s, const XfsInode *dir, const char *name,
                                    size_t len, FsIno *ino, GError **errp)
{
    Search q = {
        .s = s,
        .dir = dir,
        .name = name,
        .len = len,
        .hash = xfs_name_hash(name, len),
        .data_block = UINT64_MAX,
    };

    if (!xfs_dir_check(s, dir, errp)) {
        return false;
    }

    /* One block holds its own index; with ASCII-CI, hashes are of other names. */
    bool has_index = dir->data.format != XFS_FORK_LOCAL && !s->geo.ignores_case &&
                     dir->stat.size > xfs_dir_block_bytes(s);
    bool ok = (has_index && search_index(&q)) || search_all(&q, errp);

    held_clear(&q.data);
    if (ok && !q.ino) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND,
                    "%s: no '%.*s' in directory inode %" PRIu64, blk_name(s->fs->blk),
                    (int)len, name, dir->ino);
    }
    if (q.ino) {
        *ino = q.ino;
    }
    return q.ino;
}
