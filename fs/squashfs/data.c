/* Blocks of data and fragments, unpacked on the CPU threads; some are kept. */
#include "squashfs.h"
#include "util/thread-pool.h"

enum {
    KEEP_BYTES = 16 * 1024 * 1024,
    READ_BYTES = 256 * 1024,            /* of content, in one piece of work */
};

typedef struct Kept {
    uint64_t at;
    GBytes *content;
    GList lru;
} Kept;

static void kept_free(gpointer data)
{
    Kept *kept = data;

    g_bytes_unref(kept->content);
    g_free(kept);
}

void squashfs_data_init(SquashfsState *s)
{
    s->blocks = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, kept_free);
    g_queue_init(&s->blocks_lru);
    s->unpacking = g_hash_table_new(g_int64_hash, g_int64_equal);
    co_queue_init(&s->unpacked);
    s->next_fragment = SQUASHFS_NO_FRAGMENT;
}

void squashfs_data_clear(SquashfsState *s)
{
    g_clear_pointer(&s->blocks, g_hash_table_unref);
    g_clear_pointer(&s->unpacking, g_hash_table_unref);
}

static unsigned keep_max(const SquashfsState *s)
{
    return KEEP_BYTES >> s->geo.block_bits;
}

static void keep(SquashfsState *s, uint64_t at, GBytes *content)
{
    Kept *kept = g_new0(Kept, 1);

    kept->at = at;
    kept->content = g_bytes_ref(content);
    kept->lru.data = kept;
    g_hash_table_insert(s->blocks, &kept->at, kept);
    g_queue_push_tail_link(&s->blocks_lru, &kept->lru);
    while (s->blocks_lru.length > keep_max(s)) {
        Kept *oldest = s->blocks_lru.head->data;

        g_queue_unlink(&s->blocks_lru, &oldest->lru);
        g_hash_table_remove(s->blocks, &oldest->at);
    }
}

static GBytes *find_kept(SquashfsState *s, uint64_t at)
{
    Kept *kept = g_hash_table_lookup(s->blocks, &at);

    if (!kept) {
        return NULL;
    }
    g_queue_unlink(&s->blocks_lru, &kept->lru);
    g_queue_push_tail_link(&s->blocks_lru, &kept->lru);
    return g_bytes_ref(kept->content);
}

/* Blocks that are unpacked by one thread. */
typedef struct Unpack {
    const SquashfsState *s;
    const SquashfsBlock *blocks;
    unsigned count;
    const uint8_t *in;
    uint8_t *out;
    ssize_t got;                        /* of the last one */
} Unpack;

static uint32_t room(const SquashfsState *s, const SquashfsBlock *block)
{
    return block->content ?: s->geo.block_bytes;
}

/* Returns how many blocks are good. */
static int unpack_blocks(void *opaque)
{
    Unpack *u = opaque;
    const uint8_t *in = u->in;
    uint8_t *out = u->out;

    for (unsigned i = 0; i < u->count; i++) {
        const SquashfsBlock *block = &u->blocks[i];
        uint32_t bytes = squashfs_stored_bytes(block->stored);

        if (block->stored & SQUASHFS_DATA_RAW) {
            u->got = MIN(bytes, room(u->s, block));
            memcpy(out, in, u->got);
        } else {
            u->got = squashfs_unpack(u->s->geo.compression, in, bytes, out,
                                     room(u->s, block));
        }
        if (u->got < 0 || (block->content && (uint32_t)u->got != block->content)) {
            return i;
        }
        in += bytes;
        out += u->got;
    }
    return u->count;
}

static uint64_t stored_bytes(const SquashfsBlock *blocks, unsigned count)
{
    uint64_t bytes = 0;

    for (unsigned i = 0; i < count; i++) {
        bytes += squashfs_stored_bytes(blocks[i].stored);
    }
    return bytes;
}

/* Reads and unpacks blocks that follow each other.  *got: what the last one gave. */
static bool coroutine_fn read_blocks(SquashfsState *s, const SquashfsBlock *blocks,
                                     unsigned count, uint8_t *out, ssize_t *got,
                                     GError **errp)
{
    uint64_t bytes = stored_bytes(blocks, count);
    g_autofree uint8_t *in = g_malloc(MAX(bytes, 1));
    Unpack u = {s, blocks, count, in, out};

    if (!squashfs_device_co_read(s, blocks->at, bytes, in, "data", errp)) {
        return false;
    }

    unsigned good = thread_pool_co_run(thread_pool_cpu(), unpack_blocks, &u);

    *got = u.got;
    if (good == count) {
        return true;
    }
    if (u.got < 0) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, blocks[good].at,
                       "block of data (%u bytes) cannot be unpacked (%s)",
                       squashfs_stored_bytes(blocks[good].stored),
                       squashfs_codec_name(s->geo.compression));
    } else {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, blocks[good].at,
                       "block of data unpacks to %zd bytes, expected %u", u.got,
                       blocks[good].content);
    }
    return false;
}

/* What several coroutines share out among them. */
typedef struct Run {
    SquashfsState *s;
    const SquashfsBlock *blocks;
    unsigned count, next;
    uint8_t *out;                       /* of the next block */
    unsigned workers;
    CoQueue done;
    GError *error;                      /* the first */
} Run;

/* The next piece of work: blocks that are all raw (which are then read into place) or
 * all packed. */
static unsigned piece(const Run *r, uint64_t *content)
{
    const SquashfsBlock *first = &r->blocks[r->next];
    bool raw = first->stored & SQUASHFS_DATA_RAW;
    unsigned count = 0;

    *content = 0;
    while (r->next + count < r->count && (!count || *content < READ_BYTES) &&
           !(first[count].stored & SQUASHFS_DATA_RAW) == !raw) {
        if (count && !raw && *content + first[count].content > READ_BYTES) {
            break;
        }
        *content += first[count++].content;
    }
    return count;
}

static bool coroutine_fn read_piece(SquashfsState *s, const SquashfsBlock *blocks,
                                    unsigned count, uint64_t content, uint8_t *out,
                                    GError **errp)
{
    ssize_t got;

    if (!(blocks->stored & SQUASHFS_DATA_RAW)) {
        return read_blocks(s, blocks, count, out, &got, errp);
    }
    for (unsigned i = 0; i < count; i++) {
        if (squashfs_stored_bytes(blocks[i].stored) != blocks[i].content) {
            squashfs_error(s, errp, EMBR_ERROR_CORRUPT, blocks[i].at,
                           "block of data has %u bytes, expected %u",
                           squashfs_stored_bytes(blocks[i].stored), blocks[i].content);
            return false;
        }
    }
    return squashfs_device_co_read(s, blocks->at, content, out, "data", errp);
}

static void coroutine_fn work(Run *r)
{
    while (r->next < r->count && !r->error) {
        const SquashfsBlock *blocks = &r->blocks[r->next];
        uint8_t *out = r->out;
        uint64_t content;
        unsigned count = piece(r, &content);
        GError *error = NULL;

        r->next += count;
        r->out += content;
        if (!read_piece(r->s, blocks, count, content, out, &error)) {
            if (r->error) {
                g_error_free(error);
            } else {
                r->error = error;
            }
        }
    }
}

static void coroutine_fn co_work(void *opaque)
{
    Run *r = opaque;

    work(r);
    r->workers--;
    co_queue_all(&r->done);
}

bool coroutine_fn squashfs_data_co_read_run(SquashfsState *s, const SquashfsBlock *blocks,
                                            unsigned count, uint8_t *out, GError **errp)
{
    unsigned limit = thread_pool_max_threads(thread_pool_cpu());
    Run r = {s, blocks, count, .out = out};

    co_queue_init(&r.done);
    while (r.workers < limit && r.next < r.count) {
        r.workers++;
        coroutine_enter(coroutine_create(co_work, &r));
    }
    work(&r);
    while (r.workers) {
        co_queue_wait(&r.done);
    }
    if (r.error) {
        g_propagate_error(errp, r.error);
        return false;
    }
    return true;
}

static GBytes *coroutine_fn unpack_one(SquashfsState *s, const SquashfsBlock *block,
                                       GError **errp)
{
    g_autofree uint8_t *out = g_malloc(room(s, block));
    ssize_t got;

    return read_blocks(s, block, 1, out, &got, errp)
               ? g_bytes_new_take(g_steal_pointer(&out), got)
               : NULL;
}

GBytes *coroutine_fn squashfs_data_co_get(SquashfsState *s, const SquashfsBlock *block,
                                          GError **errp)
{
    GBytes *content;

    /* Files whose ends are in one fragment are read at once: it is unpacked once. */
    while (!(content = find_kept(s, block->at)) &&
           g_hash_table_contains(s->unpacking, &block->at)) {
        co_queue_wait(&s->unpacked);
    }
    if (content) {
        return content;
    }

    uint64_t at = block->at;
    g_hash_table_add(s->unpacking, &at);
    content = unpack_one(s, block, errp);
    g_hash_table_remove(s->unpacking, &at);
    if (content) {
        keep(s, at, content);
    }
    co_queue_all(&s->unpacked);
    return content;
}

bool coroutine_fn squashfs_fragment_co_find(SquashfsState *s, uint32_t fragment,
                                            SquashfsBlock *block, GError **errp)
{
    SquashfsCursor cursor;
    SquashfsFragment raw;

    if (fragment >= s->geo.fragments) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, s->geo.fragment_table,
                       "fragment %u, of which there are %u", fragment, s->geo.fragments);
        return false;
    }
    if (!squashfs_table_co_locate(s, s->geo.fragment_table, fragment, sizeof(raw), &cursor,
                                  "table of fragments", errp) ||
        !squashfs_meta_co_read(s, &cursor, &raw, sizeof(raw), "table of fragments",
                               errp)) {
        return false;
    }
    *block = (SquashfsBlock){le64_get(raw.start), le32_get(raw.stored), 0};

    uint32_t bytes = squashfs_stored_bytes(block->stored);

    if (!bytes || bytes > s->geo.block_bytes) {
        squashfs_error(s, errp, EMBR_ERROR_CORRUPT, block->at,
                       "fragment %u is 0x%x bytes, expected 1 to %u", fragment, bytes,
                       s->geo.block_bytes);
        return false;
    }
    return true;
}

bool squashfs_data_is_kept(const SquashfsState *s, const SquashfsBlock *block)
{
    return g_hash_table_contains(s->blocks, &block->at);
}

unsigned squashfs_data_ahead(const SquashfsState *s)
{
    return MIN(thread_pool_max_threads(thread_pool_cpu()), keep_max(s) / 2);
}

typedef struct Warm {
    SquashfsState *s;
    const SquashfsBlock *block;
    unsigned *left;
    CoQueue *done;
} Warm;

static void coroutine_fn co_warm(void *opaque)
{
    Warm *w = opaque;
    GBytes *content = squashfs_data_co_get(w->s, w->block, NULL);

    g_clear_pointer(&content, g_bytes_unref);
    --*w->left;
    co_queue_all(w->done);
}

void coroutine_fn squashfs_data_co_warm(SquashfsState *s, const SquashfsBlock *blocks,
                                        unsigned count)
{
    g_autofree Warm *warm = g_new(Warm, count);
    unsigned left = count;
    CoQueue done;

    co_queue_init(&done);
    for (unsigned i = 0; i < count; i++) {
        warm[i] = (Warm){s, &blocks[i], &left, &done};
        coroutine_enter(coroutine_create(co_warm, &warm[i]));
    }
    while (left) {
        co_queue_wait(&done);
    }
}
