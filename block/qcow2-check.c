/*
 * Check: every reference to a cluster is counted and compared with what is stored.
 *
 * Snapshots share most L2 tables.  Each table is read once, in the order of the
 * file, and what is in it counts as often as the table is referred to; so the work
 * is bounded by the size of the file, whatever the L1 tables say.
 */
#include "qcow2-check.h"
#include "qcow2-writer.h"

/* How often L1 tables refer to an L2 table. */
typedef struct TableUse {
    uint64_t offset;
    uint64_t refs;                  /* in all */
    uint64_t active_refs;           /* from the active L1 table */
} TableUse;

typedef struct Check {
    BlockDriverState *bs;
    ImageCheck *result;
    Qcow2RefCounts *counts;
    GHashTable *tables;             /* &offset -> TableUse */
    uint64_t table_bytes;           /* still to be read: tables do not overlap */
} Check;

/* Tables that are all in the file without overlapping are no larger than it.  NULL
 * if this one is beyond that, or cannot be read; which has been noted. */
static uint64_t *coroutine_fn co_read_table(Check *check, uint64_t offset, uint64_t entries,
                                            const char *what)
{
    g_autoptr(GError) error = NULL;
    uint64_t *table = NULL;

    if (entries * 8 > check->table_bytes) {
        qcow2_check_corrupt(check->bs, check->result, 1,
                            "%s of %" PRIu64 " entries at offset 0x%" PRIx64
                            ": there are more tables than fit into the file",
                            what, entries, offset);
        return NULL;
    }
    table = qcow2_co_read_table(check->bs, offset, entries, what, &error);
    if (!table) {
        qcow2_check_corrupt(check->bs, check->result, 1, "%s", error->message);
        return NULL;
    }
    check->table_bytes -= entries * 8;
    return table;
}

static void note_table(Check *check, uint64_t offset, bool active)
{
    TableUse *use = g_hash_table_lookup(check->tables, &offset);
    if (!use) {
        use = g_new0(TableUse, 1);
        use->offset = offset;
        g_hash_table_insert(check->tables, &use->offset, use);
    }
    use->refs++;
    use->active_refs += active;
}

static void check_l1_entry(Check *check, const char *what, uint32_t index, uint64_t entry,
                           bool active)
{
    BlockDriverState *bs = check->bs;
    Qcow2State *s = bs->opaque;
    uint64_t offset = entry & QCOW2_OFFSET_MASK;

    if (entry & QCOW2_L1_RESERVED) {
        qcow2_check_corrupt(bs, check->result, 1,
                            "%s, entry %" PRIu32 " (0x%016" PRIx64 "): reserved bits are set",
                            what, index, entry);
    }
    if (offset == 0) {
        return;
    }
    qcow2_ref_counts_add(check->counts, offset, s->cluster_bytes, 1, "L2 table");
    if (offset & (s->cluster_bytes - 1)) {
        qcow2_check_corrupt(bs, check->result, 1,
                            "%s, entry %" PRIu32 " (0x%016" PRIx64
                            "): the L2 table is not aligned to clusters",
                            what, index, entry);
    }
    if (active && qcow2_ref_counts_stored_is_one(check->counts, offset) !=
                      ((entry & QCOW2_COPIED) != 0)) {
        qcow2_check_corrupt(bs, check->result, 1,
                            "%s, entry %" PRIu32 " (0x%016" PRIx64
                            "): the copied flag does not fit the refcount",
                            what, index, entry);
    }
    note_table(check, offset, active);
}

static void coroutine_fn co_check_l1(Check *check, uint64_t offset, uint32_t entries,
                                     const char *what, bool active)
{
    qcow2_ref_counts_add(check->counts, offset, (uint64_t)entries * 8, 1, what);
    g_autofree uint64_t *table = co_read_table(check, offset, entries, what);
    for (uint32_t i = 0; table && i < entries; i++) {
        if (table[i]) {
            check_l1_entry(check, what, i, table[i], active);
        }
    }
}

static void count_cluster(Check *check, const TableUse *use, bool compressed, bool fragmented)
{
    check->result->allocated_clusters += use->active_refs;
    check->result->compressed_clusters += compressed ? use->active_refs : 0;
    check->result->fragmented_clusters += fragmented ? use->active_refs : 0;
}

/* An entry of an L2 table, and where it is. */
typedef struct Entry {
    const TableUse *use;
    uint32_t index;
    uint64_t entry;
    uint64_t bitmap;
} Entry;

static void bad_entry(Check *check, const Entry *e, uint64_t times, const char *reason)
{
    qcow2_check_corrupt(check->bs, check->result, times,
                        "L2 table at offset 0x%" PRIx64 ", entry %" PRIu32
                        " (0x%016" PRIx64 "): %s",
                        e->use->offset, e->index, e->entry, reason);
}

static void check_compressed(Check *check, const Entry *e)
{
    Qcow2State *s = check->bs->opaque;
    unsigned offset_bits = 62 - (s->header.cluster_bits - 8);
    uint64_t offset = e->entry & ((UINT64_C(1) << offset_bits) - 1);
    uint64_t sectors = ((e->entry & (QCOW2_L2_COMPRESSED - 1)) >> offset_bits) + 1;

    if (e->entry & QCOW2_COPIED) {
        bad_entry(check, e, e->use->refs, "the copied flag is set for a compressed cluster");
    }
    if (qcow2_has_data_file(s)) {
        bad_entry(check, e, e->use->refs,
                  "a compressed cluster; images with an external data file have none");
        return;
    }
    if (e->bitmap) {
        bad_entry(check, e, e->use->refs, "subclusters of a compressed cluster");
        return;
    }
    qcow2_ref_counts_add(check->counts, offset, sectors * 512 - (offset & 511), e->use->refs,
                         "compressed cluster");
    count_cluster(check, e->use, true, true);
}

static void check_standard(Check *check, const Entry *e, uint64_t *next_host)
{
    Qcow2State *s = check->bs->opaque;
    bool extended = qcow2_has_extended_l2(s);
    uint64_t refs = e->use->refs;
    uint64_t offset = e->entry & QCOW2_OFFSET_MASK;
    bool has_host = offset != 0 || (qcow2_has_data_file(s) && (e->entry & QCOW2_COPIED));

    if (e->entry & (QCOW2_L2_RESERVED | (extended ? QCOW2_L2_ZERO : 0))) {
        bad_entry(check, e, refs, "reserved bits are set");
    }
    if ((e->entry & QCOW2_L2_ZERO) && s->header.version < 3) {
        bad_entry(check, e, refs, "the zero flag is set, which version 2 has not");
    }
    if (!has_host) {
        if (e->bitmap & UINT32_MAX) {
            bad_entry(check, e, refs,
                      "subclusters are allocated, but there is no host offset");
        }
        return;
    }
    if (e->bitmap & e->bitmap >> 32 & UINT32_MAX) {
        bad_entry(check, e, refs, "subclusters are both allocated and zero");
    }
    count_cluster(check, e->use, false, *next_host && *next_host != offset);
    *next_host = offset + s->cluster_bytes;
    if (!qcow2_has_data_file(s)) {
        qcow2_ref_counts_add(check->counts, offset, s->cluster_bytes, refs, "data cluster");
    }
    if (offset & (s->cluster_bytes - 1)) {
        bad_entry(check, e, refs, "the host offset is not aligned to clusters");
    }
}

/* Of the active disk, the copied flag says whether the stored refcount is 1. */
static void check_copied(Check *check, const Entry *e)
{
    Qcow2State *s = check->bs->opaque;
    uint64_t offset = e->entry & QCOW2_OFFSET_MASK;

    if (e->use->active_refs == 0 || (e->entry & QCOW2_L2_COMPRESSED) || offset == 0) {
        return;
    }
    bool one = qcow2_has_data_file(s) || qcow2_ref_counts_stored_is_one(check->counts, offset);
    if (one != ((e->entry & QCOW2_COPIED) != 0)) {
        bad_entry(check, e, e->use->active_refs, "the copied flag does not fit the refcount");
    }
}

static void coroutine_fn co_check_l2(Check *check, const TableUse *use, uint8_t *buf)
{
    Qcow2State *s = check->bs->opaque;
    uint32_t entries = UINT32_C(1) << s->l2_bits;
    uint64_t next_host = 0;

    if (use->offset >= (uint64_t)bdrv_length(check->bs->file)) {
        return;
    }
    if (bdrv_co_pread(check->bs->file, use->offset, s->cluster_bytes, buf, 0) < 0) {
        bdrv_add_finding(check->bs, "ERROR L2 table at offset 0x%" PRIx64 " cannot be read",
                         use->offset);
        check->result->check_errors++;
        return;
    }
    for (uint32_t i = 0; i < entries; i++) {
        const uint8_t *p = buf + (size_t)i * s->l2_entry_bytes;
        Entry e = {
            .use = use,
            .index = i,
            .entry = be64_load(p),
            .bitmap = qcow2_has_extended_l2(s) ? be64_load(p + 8) : 0,
        };
        if (e.entry & QCOW2_L2_COMPRESSED) {
            check_compressed(check, &e);
        } else {
            check_standard(check, &e, &next_host);
        }
        check_copied(check, &e);
    }
}

static int compare_uses(gconstpointer a, gconstpointer b)
{
    const TableUse *x = *(TableUse *const *)a, *y = *(TableUse *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void coroutine_fn co_check_l2_tables(Check *check)
{
    Qcow2State *s = check->bs->opaque;
    g_autofree uint8_t *buf = g_malloc(s->cluster_bytes);
    guint n;
    g_autofree gpointer *keys = g_hash_table_get_keys_as_array(check->tables, &n);

    /* A key is the first member of its TableUse. */
    qsort(keys, n, sizeof(*keys), compare_uses);
    for (guint i = 0; i < n; i++) {
        co_check_l2(check, keys[i], buf);
    }
}

static void coroutine_fn co_check_snapshots(Check *check)
{
    BlockDriverState *bs = check->bs;
    Qcow2State *s = bs->opaque;
    g_autoptr(GError) error = NULL;
    uint64_t end;
    g_autoptr(GPtrArray) snapshots = qcow2_co_read_snapshots(bs, &end, &error);

    if (!snapshots) {
        qcow2_check_corrupt(bs, check->result, 1, "%s", error->message);
        qcow2_ref_counts_add(check->counts, s->header.snapshots_offset,
                             sizeof(Qcow2DiskSnapshot), 1, "snapshot table");
        return;
    }
    for (unsigned i = 0; i < snapshots->len; i++) {
        const Qcow2Snapshot *snapshot = snapshots->pdata[i];
        g_autofree char *what = g_strdup_printf("L1 table of snapshot %s (%s)", snapshot->id,
                                                snapshot->name);
        if (snapshot->l1_table_offset & (s->cluster_bytes - 1)) {
            qcow2_check_corrupt(bs, check->result, 1,
                                "%s at offset 0x%" PRIx64 " is not aligned to clusters", what,
                                snapshot->l1_table_offset);
        } else if ((uint64_t)snapshot->l1_size * 8 > QCOW2_MAX_L1_BYTES) {
            qcow2_check_corrupt(bs, check->result, 1, "%s has too many entries (%" PRIu32 ")",
                                what, snapshot->l1_size);
        } else {
            co_check_l1(check, snapshot->l1_table_offset, snapshot->l1_size, what, false);
        }
    }
    qcow2_ref_counts_add(check->counts, s->header.snapshots_offset,
                         end - s->header.snapshots_offset, 1, "snapshot table");
}

static void coroutine_fn co_check_bitmap(Check *check, const Qcow2Bitmap *bitmap)
{
    BlockDriverState *bs = check->bs;
    Qcow2State *s = bs->opaque;

    qcow2_ref_counts_add(check->counts, bitmap->table_offset, (uint64_t)bitmap->table_size * 8,
                         1, "bitmap table");
    g_autofree uint64_t *table =
        co_read_table(check, bitmap->table_offset, bitmap->table_size, "bitmap table");
    for (uint32_t i = 0; table && i < bitmap->table_size; i++) {
        uint64_t offset = table[i] & QCOW2_OFFSET_MASK;
        if ((table[i] & QCOW2_BITMAP_TABLE_RESERVED) || (offset && (table[i] & 1)) ||
            (offset & (s->cluster_bytes - 1))) {
            qcow2_check_corrupt(bs, check->result, 1,
                                "bitmap '%s', table entry %" PRIu32 " (0x%016" PRIx64
                                "): reserved bits are set, or it is not aligned to clusters",
                                bitmap->name, i, table[i]);
        } else if (offset) {
            qcow2_ref_counts_add(check->counts, offset, s->cluster_bytes, 1, "bitmap data");
        }
    }
}

static void coroutine_fn co_check_bitmaps(Check *check)
{
    Qcow2State *s = check->bs->opaque;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) bitmaps = qcow2_co_read_bitmaps(check->bs, &error);

    if (!bitmaps) {
        qcow2_check_corrupt(check->bs, check->result, 1, "%s", error->message);
        return;
    }
    if (bitmaps->len) {
        qcow2_ref_counts_add(check->counts, s->header.bitmap_directory_offset,
                             s->header.bitmap_directory_bytes, 1, "bitmap directory");
    }
    for (unsigned i = 0; i < bitmaps->len; i++) {
        co_check_bitmap(check, bitmaps->pdata[i]);
    }
}

/* As qemu-img does: what is zero is not told. */
static void set_presence(ImageCheck *result)
{
    result->has_image_end_offset = result->image_end_offset != 0;
    result->has_corruptions = result->corruptions != 0;
    result->has_leaks = result->leaks != 0;
    result->has_total_clusters = result->total_clusters != 0;
    result->has_allocated_clusters = result->allocated_clusters != 0;
    result->has_fragmented_clusters = result->fragmented_clusters != 0;
    result->has_compressed_clusters = result->compressed_clusters != 0;
}

Qcow2RefCounts *coroutine_fn qcow2_co_check_once(BlockDriverState *bs, ImageCheck *result,
                                                 GError **errp)
{
    Qcow2State *s = bs->opaque;
    const Qcow2Header *h = &s->header;
    g_autoptr(Qcow2RefCounts) counts = qcow2_ref_counts_co_new(bs, result, errp);
    if (!counts) {
        return NULL;
    }
    g_autoptr(GHashTable) tables =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    Check check = { .bs = bs, .result = result, .counts = counts, .tables = tables,
                    .table_bytes = bdrv_length(bs->file) };

    result->total_clusters = div_round_up(h->size, s->cluster_bytes);
    qcow2_ref_counts_add(counts, 0, s->cluster_bytes, 1, "header");
    co_check_l1(&check, h->l1_table_offset, h->l1_size, "L1 table", true);
    co_check_snapshots(&check);
    co_check_l2_tables(&check);
    qcow2_ref_counts_add(counts, h->refcount_table_offset,
                         (uint64_t)h->refcount_table_clusters << h->cluster_bits, 1,
                         "refcount table");
    co_check_bitmaps(&check);
    qcow2_ref_counts_add_blocks(counts);
    qcow2_ref_counts_co_compare(counts);
    return g_steal_pointer(&counts);
}

/* Checks, repairs, and checks what has become of it. */
static bool coroutine_fn co_check_and_repair(BlockDriverState *bs, ImageCheck *result,
                                             unsigned fix, GError **errp)
{
    g_autoptr(Qcow2RefCounts) counts = qcow2_co_check_once(bs, result, errp);

    if (!counts || !fix) {
        return counts != NULL;
    }
    int64_t corruptions = result->corruptions, leaks = result->leaks;
    if (((fix & BDRV_CHECK_FIX_ERRORS) && corruptions) ||
        ((fix & BDRV_CHECK_FIX_LEAKS) && leaks)) {
        g_clear_pointer(&bs->findings, g_ptr_array_unref);
        if (qcow2_co_repair(bs, counts, fix, corruptions > 0, errp) < 0) {
            return false;
        }
        result->corruptions = result->leaks = result->check_errors = 0;
        result->allocated_clusters = result->compressed_clusters = 0;
        result->fragmented_clusters = 0;
        g_autoptr(Qcow2RefCounts) after = qcow2_co_check_once(bs, result, errp);
        if (!after) {
            return false;
        }
        result->corruptions_fixed = MAX(0, corruptions - result->corruptions);
        result->leaks_fixed = MAX(0, leaks - result->leaks);
        result->has_corruptions_fixed = result->corruptions_fixed != 0;
        result->has_leaks_fixed = result->leaks_fixed != 0;
    }
    if (result->corruptions || result->check_errors) {
        return true;
    }
    return qcow2_co_mark_sound(bs, errp) >= 0;
}

int coroutine_fn qcow2_co_check(BlockDriverState *bs, ImageCheck *result, unsigned fix,
                                GError **errp)
{
    Qcow2State *s = bs->opaque;
    int ret = s->writer ? qcow2_co_write_all(bs) : 0;

    if (ret < 0) {
        error_set_errno(errp, -ret, "%s: cannot write what is in memory", bdrv_filename(bs));
        return ret;
    }
    if (!co_check_and_repair(bs, result, fix, errp)) {
        return -EINVAL;
    }
    set_presence(result);
    return 0;
}
