#include "util/record-sorter.h"

#include <string.h>

#include "util/record-merge-int.h"

/* A block is what the processor's cache holds while it is sorted. */
enum {
    BLOCK_BYTES = 256 << 10,
    FIRST_RECORDS = 16,         /* room of the first block; it doubles from there */
    SHORT_ROW = 8,              /* sorted by insertion */
    MIN_BUFFER_BYTES = 64 << 10,
    MAX_BUFFER_BYTES = 1 << 20,
};

typedef struct Run {
    uint64_t offset, bytes;     /* in the spool */
} Run;

struct RecordSorter {
    size_t record_bytes;
    RecordCompare *compare;
    size_t max_bytes;
    char *spool_dir;
    uint64_t count;

    GPtrArray *blocks; /* uint8_t *; those before the last used one are sorted */
    size_t block_records;       /* room of a block */
    size_t max_blocks;
    size_t used_blocks;
    size_t last_records;        /* in the last used block */
    size_t last_room;
    uint8_t *scratch;           /* a block; see sort_block() */
    uint32_t *indexes;          /* 2 x block_records */

    Spool *spool;
    GArray *runs;               /* Run, in order of their records' insertion */
    uint8_t *buffers;
    RecordMerge *merge;
};

RecordSorter *record_sorter_new(size_t record_bytes, RecordCompare *compare,
                                size_t max_bytes, const char *spool_dir)
{
    RecordSorter *s = g_new0(RecordSorter, 1);

    g_assert(record_bytes > 0 && max_bytes >= RECORD_SORTER_MIN_BYTES &&
             max_bytes / 64 >= record_bytes);
    s->record_bytes = record_bytes;
    s->compare = compare;
    s->max_bytes = max_bytes;
    s->spool_dir = g_strdup(spool_dir);
    s->blocks = g_ptr_array_new_with_free_func(g_free);
    s->block_records = MAX(BLOCK_BYTES / record_bytes, 1);
    s->max_blocks = MAX(max_bytes / (s->block_records * record_bytes), 1);
    s->runs = g_array_new(FALSE, FALSE, sizeof(Run));
    return s;
}

/* Keeps what was written. */
static void free_blocks(RecordSorter *s)
{
    g_ptr_array_set_size(s->blocks, 0);
    g_clear_pointer(&s->scratch, g_free);
    g_clear_pointer(&s->indexes, g_free);
    s->used_blocks = 0;
}

void record_sorter_free(RecordSorter *s)
{
    if (!s) {
        return;
    }
    record_merge_free(s->merge);
    g_free(s->buffers);
    free_blocks(s);
    g_ptr_array_free(s->blocks, TRUE);
    g_array_free(s->runs, TRUE);
    spool_free(s->spool);
    g_free(s->spool_dir);
    g_free(s);
}

uint64_t record_sorter_count(const RecordSorter *s)
{
    return s->count;
}

static int compare_at(const RecordSorter *s, const uint8_t *block, uint32_t a,
                      uint32_t b)
{
    return s->compare(block + a * s->record_bytes, block + b * s->record_bytes);
}

static void insertion_sort(const RecordSorter *s, const uint8_t *block, uint32_t *index,
                           size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint32_t moving = index[i];
        size_t place = i;

        while (place > 0 && compare_at(s, block, index[place - 1], moving) > 0) {
            index[place] = index[place - 1];
            place--;
        }
        index[place] = moving;
    }
}

/* Merges [0, half) and [half, n) of from into to. */
static void merge_halves(const RecordSorter *s, const uint8_t *block,
                         const uint32_t *from, size_t half, size_t n, uint32_t *to)
{
    size_t left = 0, right = half;

    if (half == n || compare_at(s, block, from[half - 1], from[half]) <= 0) {
        memcpy(to, from, n * sizeof(*to));
        return;
    }
    while (left < half && right < n) {
        bool take_left = compare_at(s, block, from[left], from[right]) <= 0;

        *to++ = take_left ? from[left++] : from[right++];
    }
    memcpy(to, from + left, (half - left) * sizeof(*to));
    memcpy(to + (half - left), from + right, (n - right) * sizeof(*to));
}

/* The order of the block's n records, in s->indexes. */
static const uint32_t *sort_indexes(RecordSorter *s, const uint8_t *block, size_t n)
{
    uint32_t *from = s->indexes, *to = s->indexes + s->block_records;

    for (size_t i = 0; i < n; i++) {
        from[i] = i;
    }
    for (size_t i = 0; i < n; i += SHORT_ROW) {
        insertion_sort(s, block, from + i, MIN(SHORT_ROW, n - i));
    }
    for (size_t width = SHORT_ROW; width < n; width *= 2) {
        for (size_t i = 0; i < n; i += 2 * width) {
            size_t len = MIN(2 * width, n - i);

            merge_halves(s, block, from + i, MIN(width, len), len, to + i);
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

/* Sorts the last block: moves its records into the scratch block, which takes its
 * place. */
static void sort_block(RecordSorter *s)
{
    uint8_t **block = (uint8_t **)&s->blocks->pdata[s->used_blocks - 1];
    size_t n = s->last_records;
    const uint32_t *order;
    uint8_t *to;

    if (!s->scratch) {
        s->scratch = g_malloc(s->block_records * s->record_bytes);
        s->indexes = g_new(uint32_t, 2 * s->block_records);
    }
    order = sort_indexes(s, *block, n);
    to = s->scratch;
    for (size_t i = 0; i < n; i++) {
        memcpy(to, *block + order[i] * s->record_bytes, s->record_bytes);
        to += s->record_bytes;
    }
    to = s->scratch;
    s->scratch = *block;
    *block = to;
}

static bool merge_blocks(RecordSorter *s, GError **errp)
{
    g_autofree RecordRow *rows = g_new0(RecordRow, s->used_blocks);

    for (size_t i = 0; i < s->used_blocks; i++) {
        size_t n = i + 1 < s->used_blocks ? s->block_records : s->last_records;

        rows[i].at = s->blocks->pdata[i];
        rows[i].end = rows[i].at + n * s->record_bytes;
    }
    s->merge = record_merge_new(s->record_bytes, s->compare, NULL, 0, rows,
                                s->used_blocks, errp);
    return s->merge != NULL;
}

/* Merges runs [first, first + n), reading each by buffer_bytes. */
static bool merge_runs(RecordSorter *s, size_t first, size_t n, size_t buffer_bytes,
                       GError **errp)
{
    g_autofree RecordRow *rows = g_new0(RecordRow, n);

    for (size_t i = 0; i < n; i++) {
        const Run *run = &g_array_index(s->runs, Run, first + i);

        rows[i].offset = run->offset;
        rows[i].left = run->bytes;
        rows[i].buffer = s->buffers + i * buffer_bytes;
    }
    s->merge = record_merge_new(s->record_bytes, s->compare, s->spool, buffer_bytes,
                                rows, n, errp);
    return s->merge != NULL;
}

/* Ends the merge: all it has goes to spool, as one run of runs. */
static bool write_run(RecordSorter *s, Spool *spool, GArray *runs, GError **errp)
{
    Run run = { .offset = spool_size(spool) };
    const void *record;

    while ((record = record_merge_peek(s->merge))) {
        if (!spool_append(spool, record, s->record_bytes, NULL, errp) ||
            !record_merge_advance(s->merge, errp)) {
            return false;
        }
    }
    g_clear_pointer(&s->merge, record_merge_free);
    run.bytes = spool_size(spool) - run.offset;
    g_array_append_val(runs, run);
    return true;
}

/* The blocks, all sorted, become a run in the file and are free for more. */
static bool spill(RecordSorter *s, GError **errp)
{
    if (!s->spool) {
        s->spool = spool_new(s->spool_dir, errp);
    }
    if (!s->spool || !merge_blocks(s, errp) || !write_run(s, s->spool, s->runs, errp)) {
        return false;
    }
    s->used_blocks = 0;
    return true;
}

/* Makes room for a record in the last block. */
static bool make_room(RecordSorter *s, GError **errp)
{
    if (s->used_blocks == 1 && s->last_room < s->block_records) {
        s->last_room = MIN(2 * s->last_room, s->block_records);
        s->blocks->pdata[0] =
            g_realloc(s->blocks->pdata[0], s->last_room * s->record_bytes);
        return true;
    }
    if (s->used_blocks > 0) {
        sort_block(s);
    }
    if (s->used_blocks == s->max_blocks && !spill(s, errp)) {
        return false;
    }
    if (s->used_blocks == s->blocks->len) {
        s->last_room = s->used_blocks ? s->block_records
                                      : MIN(FIRST_RECORDS, s->block_records);
        g_ptr_array_add(s->blocks, g_malloc(s->last_room * s->record_bytes));
    }
    s->used_blocks++;
    s->last_records = 0;
    return true;
}

bool record_sorter_add(RecordSorter *s, const void *record, GError **errp)
{
    if ((s->used_blocks == 0 || s->last_records == s->last_room) &&
        !make_room(s, errp)) {
        return false;
    }
    memcpy((uint8_t *)s->blocks->pdata[s->used_blocks - 1] +
               s->last_records * s->record_bytes,
           record, s->record_bytes);
    s->last_records++;
    s->count++;
    return true;
}

/* One level of merging: every fan_in runs become one, in a new file. */
static bool merge_level(RecordSorter *s, size_t fan_in, size_t buffer_bytes,
                        GError **errp)
{
    g_autoptr(Spool) spool = spool_new(s->spool_dir, errp);
    g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(Run));

    if (!spool) {
        return false;
    }
    for (size_t i = 0; i < s->runs->len; i += fan_in) {
        if (!merge_runs(s, i, MIN(fan_in, s->runs->len - i), buffer_bytes, errp) ||
            !write_run(s, spool, runs, errp)) {
            return false;
        }
    }
    spool_free(s->spool);
    s->spool = g_steal_pointer(&spool);
    g_array_free(s->runs, TRUE);
    s->runs = g_steal_pointer(&runs);
    return true;
}

/* Bytes to read at once of each of n runs. */
static size_t buffer_size(const RecordSorter *s, size_t n)
{
    size_t bytes = MIN(s->max_bytes / n, MAX_BUFFER_BYTES);

    return MAX(bytes / s->record_bytes, 1) * s->record_bytes;
}

static bool finish_runs(RecordSorter *s, GError **errp)
{
    size_t fan_in = s->max_bytes / MAX(MIN_BUFFER_BYTES, s->record_bytes);

    if (s->used_blocks > 0 && !spill(s, errp)) {
        return false;
    }
    free_blocks(s);
    s->buffers = g_malloc(fan_in * buffer_size(s, fan_in));
    while (s->runs->len > fan_in) {
        if (!merge_level(s, fan_in, buffer_size(s, fan_in), errp)) {
            return false;
        }
    }
    g_free(s->buffers);
    s->buffers = g_malloc(s->runs->len * buffer_size(s, s->runs->len));
    return merge_runs(s, 0, s->runs->len, buffer_size(s, s->runs->len), errp);
}

bool record_sorter_finish(RecordSorter *s, GError **errp)
{
    g_assert(!s->merge);
    if (s->used_blocks > 0) {
        sort_block(s);
    }
    if (s->runs->len > 0) {
        return finish_runs(s, errp);
    }
    return merge_blocks(s, errp);
}

int record_sorter_next(RecordSorter *s, void *record, GError **errp)
{
    const void *first = record_merge_peek(s->merge);

    if (!first) {
        return 0;
    }
    memcpy(record, first, s->record_bytes);
    return record_merge_advance(s->merge, errp) ? 1 : -1;
}
