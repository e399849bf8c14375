/* Files that mkzftree or xorriso compressed: a head, a list of where blocks are, zlib
 * blocks. */
#include "fs/zlib-block.h"
#include "iso9660.h"
#include "util/thread-pool.h"

enum {
    MIN_BLOCK_BITS = 15,
    MAX_BLOCK_BITS = 20,
    KEEP_BYTES_MAX = 4 * 1024 * 1024, /* unpacked together, for who reads on */
    READ_AHEAD_BYTES = 1024 * 1024,
    ZISOFS_2_ZLIB = 1,
};

static const uint8_t magic_1[8] = {0x37, 0xe4, 0x53, 0x96, 0xc9, 0xdb, 0xd6, 0x07};
static const uint8_t magic_2[8] = {0xef, 0x22, 0x55, 0xa1, 0xbc, 0x1b, 0x95, 0xa0};

typedef struct Zisofs {
    IsoState *s;
    const IsoRecord *record;
    const GArray *pieces;
    uint64_t size;   /* unpacked */
    uint64_t stored; /* bytes of all pieces */
    unsigned block_bits;
    uint32_t head_bytes;
    uint32_t pointer_bytes;
} Zisofs;

uint64_t iso_zisofs_content_bytes(const IsoRecord *record)
{
    const RockZisofs *field = &record->rock.zisofs;

    return record->rock.zisofs_version == ISO_ZISOFS_2
               ? le64_get(field->content_bytes_2)
               : le32_get(field->content_bytes.le);
}

static bool check_field(Zisofs *z, GError **errp)
{
    const RockZisofs *field = &z->record->rock.zisofs;
    bool is_2 = z->record->rock.zisofs_version == ISO_ZISOFS_2;
    size_t least = is_2 ? sizeof(ZisofsHead2) : sizeof(ZisofsHead);

    if (memcmp(field->algorithm, is_2 ? "PZ" : "pz", 2)) {
        g_autofree char *name = g_strndup(field->algorithm, 2);
        g_autofree char *shown = g_strescape(name, NULL);

        iso_error(z->s, errp, EMBR_ERROR_UNSUPPORTED, z->record->offset,
                  "zisofs: compression is '%s'; '%s' can be read", shown,
                  is_2 ? "PZ" : "pz");
        return false;
    }
    z->size = iso_zisofs_content_bytes(z->record);
    z->block_bits = field->block_bits;
    z->head_bytes = field->head_words * 4;
    z->pointer_bytes = is_2 ? sizeof(le64_t) : sizeof(le32_t);
    for (guint i = 0; i < z->pieces->len; i++) {
        z->stored += g_array_index(z->pieces, IsoPiece, i).bytes;
    }
    if (z->block_bits < MIN_BLOCK_BITS || z->block_bits > MAX_BLOCK_BITS ||
        z->head_bytes < least) {
        iso_error(
            z->s, errp, EMBR_ERROR_CORRUPT, z->record->offset,
            "zisofs: blocks of 2^%u bytes behind a head of %u, expected 2^%d to 2^%d "
            "and at least %zu",
            z->block_bits, z->head_bytes, MIN_BLOCK_BITS, MAX_BLOCK_BITS, least);
        return false;
    }
    return true;
}

static bool is_head_1(const Zisofs *z, const ZisofsHead *head)
{
    return !memcmp(head->magic, magic_1, sizeof(magic_1)) &&
           le32_get(head->content_bytes) == z->size &&
           head->block_bits == z->block_bits && head->head_words * 4u == z->head_bytes;
}

static bool is_head_2(const Zisofs *z, const ZisofsHead2 *head)
{
    return !memcmp(head->magic, magic_2, sizeof(magic_2)) && !head->version &&
           head->algorithm == ZISOFS_2_ZLIB &&
           le64_get(head->content_bytes) == z->size &&
           head->block_bits == z->block_bits && head->head_words * 4u == z->head_bytes;
}

static bool coroutine_fn read_head(Zisofs *z, GError **errp)
{
    bool is_2 = z->record->rock.zisofs_version == ISO_ZISOFS_2;
    union {
        ZisofsHead head_1;
        ZisofsHead2 head_2;
    } u;

    if (!check_field(z, errp) ||
        !iso_pieces_co_read(z->s, z->pieces, 0,
                            is_2 ? sizeof(u.head_2) : sizeof(u.head_1), &u, errp)) {
        return false;
    }
    if (!(is_2 ? is_head_2(z, &u.head_2) : is_head_1(z, &u.head_1))) {
        iso_error(z->s, errp, EMBR_ERROR_CORRUPT, z->record->content,
                  "zisofs: the file's head is another than its directory record says");
        return false;
    }
    return true;
}

/* Blocks that follow each other, being unpacked by as many threads as there are. */
typedef struct Run {
    const Zisofs *z;
    uint64_t first;
    unsigned count, next;
    uint64_t *at; /* where each begins in the stored bytes, and the end */
    const uint8_t *stored;
    uint8_t *out;
    unsigned workers;
    CoQueue done;
    GError *error;
} Run;

typedef struct Unpack {
    const uint8_t *in;
    uint32_t in_bytes;
    uint8_t *out;
    uint32_t out_bytes;
} Unpack;

static int unpack(void *opaque)
{
    const Unpack *u = opaque;

    return zlib_block_unpack(u->in, u->in_bytes, u->out, u->out_bytes) ==
           (ssize_t)u->out_bytes;
}

static uint32_t content_of(const Zisofs *z, uint64_t index)
{
    return MIN(z->size - (index << z->block_bits), UINT64_C(1) << z->block_bits);
}

/* Blocks of no bytes are all zeroes. */
static void coroutine_fn co_unpack(void *opaque)
{
    Run *r = opaque;
    const Zisofs *z = r->z;

    while (r->next < r->count && !r->error) {
        unsigned i = r->next++;
        Unpack u = {r->stored + (r->at[i] - r->at[0]), r->at[i + 1] - r->at[i],
                    r->out + ((uint64_t)i << z->block_bits),
                    content_of(z, r->first + i)};

        if (!u.in_bytes) {
            memset(u.out, 0, u.out_bytes);
        } else if (!thread_pool_co_run(thread_pool_cpu(), unpack, &u) && !r->error) {
            iso_error(z->s, &r->error, EMBR_ERROR_CORRUPT, z->record->content,
                      "zisofs: block %" PRIu64 " (byte 0x%" PRIx64
                      " of what is stored) cannot be unpacked to %u bytes",
                      r->first + i, r->at[i], u.out_bytes);
        }
    }
    r->workers--;
    co_queue_all(&r->done);
}

/* Where the run's blocks begin in the stored bytes. */
static uint64_t *coroutine_fn read_pointers(const Zisofs *z, uint64_t first,
                                            unsigned count, GError **errp)
{
    uint64_t bytes = (count + UINT64_C(1)) * z->pointer_bytes;
    uint64_t limit = UINT64_C(2) << z->block_bits;
    g_autofree uint8_t *raw = g_malloc(bytes);
    g_autofree uint64_t *at = g_new(uint64_t, count + 1);

    if (!iso_pieces_co_read(z->s, z->pieces, z->head_bytes + first * z->pointer_bytes,
                            bytes, raw, errp)) {
        return NULL;
    }
    for (unsigned i = 0; i <= count; i++) {
        at[i] = z->pointer_bytes == sizeof(le64_t)
                    ? le64_load(raw + i * sizeof(le64_t))
                    : le32_load(raw + i * sizeof(le32_t));
        if (at[i] > z->stored ||
            (i && (at[i] < at[i - 1] || at[i] - at[i - 1] > limit))) {
            iso_error(
                z->s, errp, EMBR_ERROR_CORRUPT, z->record->content,
                "zisofs: block %" PRIu64 " is from byte 0x%" PRIx64 " to 0x%" PRIx64
                " of 0x%" PRIx64 ", expected at most 0x%" PRIx64 " bytes",
                first + MAX(i, 1) - 1, at[MAX(i, 1) - 1], at[i], z->stored, limit);
            return NULL;
        }
    }
    return g_steal_pointer(&at);
}

static bool coroutine_fn read_run(const Zisofs *z, uint64_t first, unsigned count,
                                  uint8_t *out, GError **errp)
{
    unsigned threads = thread_pool_max_threads(thread_pool_cpu());
    g_autofree uint64_t *at = read_pointers(z, first, count, errp);
    g_autofree uint8_t *stored = NULL;
    Run r = {.z = z, .first = first, .count = count, .at = at, .out = out};

    if (!at) {
        return false;
    }
    stored = g_malloc(MAX(at[count] - at[0], 1));
    if (!iso_pieces_co_read(z->s, z->pieces, at[0], at[count] - at[0], stored, errp)) {
        return false;
    }
    r.stored = stored;
    co_queue_init(&r.done);
    while (r.workers < threads && r.next < count) {
        r.workers++;
        coroutine_enter(coroutine_create(co_unpack, &r));
    }
    while (r.workers) {
        co_queue_wait(&r.done);
    }
    if (r.error) {
        g_propagate_error(errp, r.error);
        return false;
    }
    return true;
}

static bool is_kept(const IsoState *s, FsIno ino, uint64_t offset)
{
    return s->zisofs_content && s->zisofs_ino == ino && offset >= s->zisofs_start &&
           offset - s->zisofs_start < g_bytes_get_size(s->zisofs_content);
}

/* Who reads much, or reads on, gets several blocks at a time. */
static unsigned count_blocks(const Zisofs *z, uint64_t offset, uint64_t bytes)
{
    const IsoState *s = z->s;
    uint64_t first = offset >> z->block_bits;
    uint64_t last = (z->size - 1) >> z->block_bits;
    uint64_t end = (offset + bytes - 1) >> z->block_bits;
    bool goes_on = s->zisofs_content && s->zisofs_ino == z->record->offset &&
                   s->zisofs_start + g_bytes_get_size(s->zisofs_content) == offset;

    if (goes_on) {
        end = MAX(end, first + (READ_AHEAD_BYTES >> z->block_bits));
    }
    end = MIN(MIN(end, last), first + (KEEP_BYTES_MAX >> z->block_bits) - 1);
    return end - first + 1;
}

/* What was unpacked together with the block that offset is in; *start: where that
 * begins. */
static GBytes *coroutine_fn get_content(const Zisofs *z, uint64_t offset,
                                        uint64_t bytes, uint64_t *start, GError **errp)
{
    IsoState *s = z->s;
    uint64_t first = offset >> z->block_bits;
    g_autofree uint8_t *out = NULL;

    if (is_kept(s, z->record->offset, offset)) {
        *start = s->zisofs_start;
        return g_bytes_ref(s->zisofs_content);
    }

    unsigned count = count_blocks(z, offset, bytes);
    uint64_t length =
        ((uint64_t)(count - 1) << z->block_bits) + content_of(z, first + count - 1);

    out = g_malloc(length);
    if (!read_run(z, first, count, out, errp)) {
        return NULL;
    }
    g_clear_pointer(&s->zisofs_content, g_bytes_unref);
    s->zisofs_content = g_bytes_new_take(g_steal_pointer(&out), length);
    s->zisofs_ino = z->record->offset;
    s->zisofs_start = *start = first << z->block_bits;
    return g_bytes_ref(s->zisofs_content);
}

bool coroutine_fn iso_zisofs_co_read(IsoState *s, const IsoRecord *record,
                                     const GArray *pieces, uint64_t offset,
                                     uint64_t bytes, void *buf, GError **errp)
{
    Zisofs z = {.s = s, .record = record, .pieces = pieces};
    uint8_t *out = buf;

    if (!read_head(&z, errp)) {
        return false;
    }
    while (bytes) {
        uint64_t start;
        g_autoptr(GBytes) content = get_content(&z, offset, bytes, &start, errp);

        if (!content) {
            return false;
        }

        uint64_t part = MIN(bytes, start + g_bytes_get_size(content) - offset);

        memcpy(out, (const uint8_t *)g_bytes_get_data(content, NULL) + (offset - start),
               part);
        offset += part;
        out += part;
        bytes -= part;
    }
    return true;
}
