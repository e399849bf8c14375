#include "util/record-merge-int.h"

#include <string.h>

/*
 * A tournament: tree[1..n-1] holds at each place the row that lost there, tree[0] the
 * one that won all, so that the row that moved on is compared only on its way up.
 */
struct RecordMerge {
    size_t record_bytes;
    RecordCompare *compare;
    Spool *spool;
    size_t buffer_bytes;
    size_t n_rows;
    RecordRow *rows;
    size_t *tree;
};

static bool refill(RecordMerge *m, RecordRow *row, GError **errp)
{
    size_t len = MIN(row->left, m->buffer_bytes);

    if (!spool_read(m->spool, row->offset, row->buffer, len, errp)) {
        return false;
    }
    row->at = row->buffer;
    row->end = row->buffer + len;
    row->offset += len;
    row->left -= len;
    return true;
}

static bool comes_first(const RecordMerge *m, size_t a, size_t b)
{
    const RecordRow *first = &m->rows[a], *second = &m->rows[b];
    int order;

    if (first->at == first->end || second->at == second->end) {
        return second->at == second->end;
    }
    order = m->compare(first->at, second->at);
    return order < 0 || (order == 0 && a < b);
}

/* row plays against all it meets on its way up. */
static void replay(RecordMerge *m, size_t row)
{
    for (size_t place = (row + m->n_rows) / 2; place > 0; place /= 2) {
        size_t other = m->tree[place];

        if (comes_first(m, other, row)) {
            m->tree[place] = row;
            row = other;
        }
    }
    m->tree[0] = row;
}

/* Plays the games below place: the winner. */
static size_t play(RecordMerge *m, size_t place)
{
    size_t left, right;

    if (place >= m->n_rows) {
        return place - m->n_rows;
    }
    left = play(m, 2 * place);
    right = play(m, 2 * place + 1);
    if (comes_first(m, left, right)) {
        m->tree[place] = right;
        return left;
    }
    m->tree[place] = left;
    return right;
}

RecordMerge *record_merge_new(size_t record_bytes, RecordCompare *compare, Spool *spool,
                              size_t buffer_bytes, const RecordRow *rows, size_t n_rows,
                              GError **errp)
{
    g_autoptr(RecordMerge) m = g_new0(RecordMerge, 1);

    m->record_bytes = record_bytes;
    m->compare = compare;
    m->spool = spool;
    m->buffer_bytes = buffer_bytes;
    m->n_rows = n_rows;
    m->rows = g_memdup2(rows, n_rows * sizeof(*rows));
    m->tree = g_new(size_t, MAX(n_rows, 1));
    for (size_t i = 0; i < n_rows; i++) {
        RecordRow *row = &m->rows[i];

        if (row->at == row->end && row->left > 0 && !refill(m, row, errp)) {
            return NULL;
        }
    }
    if (n_rows > 0) {
        m->tree[0] = play(m, 1);
    }
    return g_steal_pointer(&m);
}

void record_merge_free(RecordMerge *m)
{
    if (!m) {
        return;
    }
    g_free(m->rows);
    g_free(m->tree);
    g_free(m);
}

const void *record_merge_peek(const RecordMerge *m)
{
    const RecordRow *row;

    if (m->n_rows == 0) {
        return NULL;
    }
    row = &m->rows[m->tree[0]];
    return row->at == row->end ? NULL : row->at;
}

bool record_merge_advance(RecordMerge *m, GError **errp)
{
    RecordRow *row = &m->rows[m->tree[0]];

    row->at += m->record_bytes;
    if (row->at == row->end && row->left > 0 && !refill(m, row, errp)) {
        return false;
    }
    replay(m, m->tree[0]);
    return true;
}
