/*
 * Pieces of equal size of something, the least recently used of which go first. Whoever
 * asks for what is being read waits for that read.
 */
#include "fat.h"

typedef struct Piece {
    uint64_t index;
    uint32_t bytes;
    bool loading;
    GList lru;
    uint8_t data[];
} Piece;

struct FatPieces {
    FatState *s;
    FatLoadFunc *load;
    uint64_t end;
    uint32_t piece_bytes;
    unsigned count_max;
    GHashTable *table; /* &index -> Piece */
    GQueue lru;        /* oldest first */
    Piece *last;       /* the one asked for last, if it is there */
    CoQueue arrived;
};

FatPieces *fat_pieces_new(FatState *s, uint64_t end, uint32_t piece_bytes,
                          unsigned count_max, FatLoadFunc *load)
{
    FatPieces *p = g_new0(FatPieces, 1);

    p->s = s;
    p->load = load;
    p->end = end;
    p->piece_bytes = piece_bytes;
    p->count_max = count_max;
    p->table = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&p->lru);
    co_queue_init(&p->arrived);
    return p;
}

static void forget(FatPieces *p, Piece *piece)
{
    if (p->last == piece) {
        p->last = NULL;
    }
    g_hash_table_remove(p->table, &piece->index);
    g_queue_unlink(&p->lru, &piece->lru);
    g_free(piece);
}

void fat_pieces_free(FatPieces *p)
{
    if (!p) {
        return;
    }
    while (p->lru.head) {
        forget(p, p->lru.head->data);
    }
    g_hash_table_unref(p->table);
    g_free(p);
}

static void make_room(FatPieces *p)
{
    GList *link = p->lru.head;

    while (link && p->lru.length >= p->count_max) {
        Piece *piece = link->data;

        link = link->next;
        if (!piece->loading) {
            forget(p, piece);
        }
    }
}

static Piece *coroutine_fn co_load(FatPieces *p, uint64_t index, GError **errp)
{
    uint64_t offset = index * p->piece_bytes;
    uint32_t bytes = MIN(p->piece_bytes, p->end - offset);

    make_room(p);

    Piece *piece = g_malloc0(sizeof(Piece) + bytes);

    piece->index = index;
    piece->bytes = bytes;
    piece->loading = true;
    piece->lru.data = piece;
    g_hash_table_insert(p->table, &piece->index, piece);
    g_queue_push_tail_link(&p->lru, &piece->lru);

    bool ok = p->load(p->s, offset, bytes, piece->data, errp);

    piece->loading = false;
    co_queue_all(&p->arrived);
    if (!ok) {
        forget(p, piece);
        return NULL;
    }
    return piece;
}

static Piece *coroutine_fn co_find(FatPieces *p, uint64_t index, GError **errp)
{
    for (;;) {
        Piece *piece = g_hash_table_lookup(p->table, &index);

        if (!piece) {
            return co_load(p, index, errp);
        }
        if (!piece->loading) {
            g_queue_unlink(&p->lru, &piece->lru);
            g_queue_push_tail_link(&p->lru, &piece->lru);
            return piece;
        }
        co_queue_wait(&p->arrived);
    }
}

const uint8_t *coroutine_fn fat_pieces_co_get(FatPieces *p, uint64_t offset,
                                              uint32_t *count, GError **errp)
{
    uint64_t index = offset / p->piece_bytes;
    uint32_t within = offset % p->piece_bytes;

    if (!p->last || p->last->index != index) {
        Piece *piece = co_find(p, index, errp);

        if (!piece) {
            return NULL;
        }
        p->last = piece;
    }
    *count = p->last->bytes - within;
    return p->last->data + within;
}
