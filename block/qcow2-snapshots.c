/*
 * Internal snapshots made, applied and deleted: each takes effect with one write of the header.
 */
#include "qcow2-writer.h"

#include <errno.h>
#include <stdlib.h>

enum { MAX_TEXT_BYTES = UINT16_MAX };

#define NSEC_PER_USEC UINT32_C(1000)

static int G_GNUC_PRINTF(4, 5) refuse(BlockDriverState *bs, int ret, GError **errp,
                                      const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(errp, EMBR_ERROR,
                ret == -EFBIG ? EMBR_ERROR_LIMIT
                              : ret == -ENOENT ? EMBR_ERROR_NOT_FOUND : EMBR_ERROR_INVALID,
                "%s: %s", bdrv_filename(bs), text);
    return ret;
}

/* --- The table --- */

static void add_text(GByteArray *out, const char *text)
{
    g_byte_array_append(out, (const uint8_t *)text, strlen(text));
}

static void add_entry(GByteArray *out, const Qcow2Snapshot *snapshot)
{
    static const uint8_t zeroes[8];
    size_t unknown = snapshot->unknown_extra ? g_bytes_get_size(snapshot->unknown_extra) : 0;
    Qcow2DiskSnapshotExtra extra = {
        .vm_state_size = be64_make(snapshot->vm_state_size),
        .disk_size = be64_make(snapshot->disk_size),
        .icount = be64_make(snapshot->has_icount ? snapshot->icount : UINT64_MAX),
    };
    Qcow2DiskSnapshot disk = {
        .l1_table_offset = be64_make(snapshot->l1_table_offset),
        .l1_size = be32_make(snapshot->l1_size),
        .id_size = be16_make(strlen(snapshot->id)),
        .name_size = be16_make(strlen(snapshot->name)),
        .date_sec = be32_make(snapshot->date_sec),
        .date_nsec = be32_make(snapshot->date_nsec),
        .vm_clock_nsec = be64_make(snapshot->vm_clock_nsec),
        /* What does not fit is in the extra data alone. */
        .vm_state_size =
            be32_make(snapshot->vm_state_size <= UINT32_MAX ? snapshot->vm_state_size : 0),
        .extra_data_size = be32_make(sizeof(extra) + unknown),
    };

    g_byte_array_append(out, (const uint8_t *)&disk, sizeof(disk));
    g_byte_array_append(out, (const uint8_t *)&extra, sizeof(extra));
    if (unknown) {
        g_byte_array_append(out, g_bytes_get_data(snapshot->unknown_extra, NULL), unknown);
    }
    add_text(out, snapshot->id);
    add_text(out, snapshot->name);
    g_byte_array_append(out, zeroes, round_up_pow2(out->len, 8) - out->len);
}

static GByteArray *make_table(BlockDriverState *bs, const GPtrArray *snapshots, GError **errp)
{
    g_autoptr(GByteArray) table = g_byte_array_new();

    for (unsigned i = 0; i < snapshots->len; i++) {
        add_entry(table, snapshots->pdata[i]);
        if (table->len > QCOW2_MAX_SNAPSHOT_TABLE_BYTES) {
            refuse(bs, -EFBIG, errp, "the snapshot table cannot be larger than %d bytes",
                   QCOW2_MAX_SNAPSHOT_TABLE_BYTES);
            return NULL;
        }
    }
    return g_steal_pointer(&table);
}

/* --- What the three have in common --- */

typedef struct Work {
    BlockDriverState *bs;
    GPtrArray *snapshots;
    uint64_t table_bytes;           /* of the old snapshot table */
    Qcow2Switch sw;
} Work;

static int coroutine_fn co_load(Work *work, BlockDriverState *bs, GError **errp)
{
    Qcow2State *s = bs->opaque;
    uint64_t end;

    *work = (Work){ .bs = bs };
    if (qcow2_has_data_file(s)) {
        return refuse(bs, -ENOTSUP, errp, "images with an external data file have no internal "
                      "snapshots");
    }
    int ret = qcow2_co_begin_change(bs);
    ret = ret < 0 ? ret : qcow2_co_write_all(bs);
    if (ret < 0) {
        return qcow2_fail(bs, ret, "cannot write what is in memory", errp);
    }
    work->snapshots = qcow2_co_read_snapshots(bs, &end, errp);
    work->table_bytes = end - s->header.snapshots_offset;
    return work->snapshots ? 0 : -EINVAL;
}

/* L2 tables may be copied, and the tables that the others refer to. */
static uint64_t clusters_needed(const Work *work, uint32_t l1_size)
{
    Qcow2State *s = work->bs->opaque;

    return (uint64_t)l1_size + qcow2_clusters(s, (uint64_t)l1_size * 8) +
           qcow2_clusters(s, work->table_bytes) + 2 +
           qcow2_clusters(s, sizeof(Qcow2DiskSnapshot) + sizeof(Qcow2DiskSnapshotExtra) +
                                 2 * MAX_TEXT_BYTES + 16);
}

/* The table anew, what is in the place of the old one is given back after the commit. */
static int coroutine_fn co_write_table(Work *work, const GByteArray *table)
{
    BlockDriverState *bs = work->bs;
    Qcow2State *s = bs->opaque;
    Qcow2Header *h = &work->sw.header;
    int64_t offset = 0;
    int ret = 0;

    if (table->len) {
        offset = qcow2_co_alloc(bs, qcow2_clusters(s, table->len));
        ret = offset < 0 ? offset
                         : bdrv_co_pwrite(bs->file, offset, table->len, table->data, 0);
        s->writer->unflushed = true;
    }
    if (ret >= 0 && h->nb_snapshots) {
        qcow2_free_later(bs, h->snapshots_offset, work->table_bytes);
    }
    h->nb_snapshots = work->snapshots->len;
    h->snapshots_offset = offset;
    return ret;
}

static int coroutine_fn co_end(Work *work, int ret, const char *what, GError **errp)
{
    BlockDriverState *bs = work->bs;

    if (ret >= 0) {
        ret = qcow2_co_switch_commit(&work->sw);
    }
    if (ret < 0) {
        qcow2_co_switch_abort(&work->sw);
        qcow2_co_mark_corrupt(bs);
        if (errp && !*errp) {
            qcow2_fail(bs, ret, what, errp);
        }
        /* Counts that are at their limit: as QEMU says it. */
        ret = ret == -ERANGE ? -EINVAL : ret;
    }
    g_clear_error(&bs->error);
    g_clear_pointer(&work->snapshots, g_ptr_array_unref);
    return ret;
}

/* --- Create --- */

/* One more than the largest number that is one. */
static char *new_id(const GPtrArray *snapshots)
{
    uint64_t id = 0;

    for (unsigned i = 0; i < snapshots->len; i++) {
        const Qcow2Snapshot *snapshot = snapshots->pdata[i];
        uint64_t number = g_ascii_strtoull(snapshot->id, NULL, 10);
        id = MAX(id, number == UINT64_MAX ? 0 : number);
    }
    return g_strdup_printf("%" PRIu64, id + 1);
}

/* Of the disk as it is: its L1 table is the snapshot's from then on. */
static Qcow2Snapshot *new_snapshot(const Work *work, const char *name)
{
    Qcow2State *s = work->bs->opaque;
    Qcow2Snapshot *snapshot = g_new0(Qcow2Snapshot, 1);
    int64_t now = g_get_real_time();

    snapshot->l1_table_offset = s->header.l1_table_offset;
    snapshot->l1_size = s->header.l1_size;
    snapshot->id = new_id(work->snapshots);
    snapshot->name = g_strdup(name);
    snapshot->date_sec = now / G_USEC_PER_SEC;
    snapshot->date_nsec = now % G_USEC_PER_SEC * NSEC_PER_USEC;
    snapshot->disk_size = s->header.size;
    return snapshot;
}

static int coroutine_fn co_create(Work *work, const char *name, GError **errp)
{
    BlockDriverState *bs = work->bs;
    Qcow2State *s = bs->opaque;

    if (work->snapshots->len >= QCOW2_MAX_SNAPSHOTS) {
        return refuse(bs, -EFBIG, errp, "there cannot be more than %d snapshots",
                      QCOW2_MAX_SNAPSHOTS);
    }
    if (strlen(name) > MAX_TEXT_BYTES) {
        return refuse(bs, -EINVAL, errp, "the name of the snapshot is longer than %d bytes",
                      MAX_TEXT_BYTES);
    }
    g_ptr_array_add(work->snapshots, new_snapshot(work, name));
    g_autoptr(GByteArray) table = make_table(bs, work->snapshots, errp);
    if (!table) {
        return -EFBIG;
    }
    int ret = qcow2_co_switch_begin(&work->sw, bs, clusters_needed(work, s->l1_size));
    work->sw.keeps_l1 = true;
    ret = ret < 0 ? ret : qcow2_co_switch_ref(&work->sw, s->l1_table, s->l1_size);
    ret = ret < 0 ? ret : qcow2_co_switch_fix_copied(&work->sw);
    return ret < 0 ? ret : co_write_table(work, table);
}

int coroutine_fn qcow2_co_snapshot_create(BlockDriverState *bs, const char *name,
                                          GError **errp)
{
    Work work;
    int ret = co_load(&work, bs, errp);

    ret = ret < 0 ? ret : co_create(&work, name, errp);
    return co_end(&work, ret, "cannot create the snapshot", errp);
}

/* --- Apply --- */

static int coroutine_fn co_goto(Work *work, const char *id_or_name, GError **errp)
{
    BlockDriverState *bs = work->bs;
    Qcow2State *s = bs->opaque;
    if (s->header.nb_bitmaps) {
        return refuse(bs, -EBUSY, errp, "Device has active dirty bitmaps");
    }
    const Qcow2Snapshot *snapshot =
        qcow2_find_snapshot(bs, work->snapshots, id_or_name, errp);
    g_autofree uint64_t *l1 = snapshot ? qcow2_co_read_snapshot_l1(bs, snapshot, errp) : NULL;

    if (!l1) {
        return snapshot ? -EINVAL : -ENOENT;
    }
    int ret = qcow2_co_switch_begin(&work->sw, bs, clusters_needed(work, snapshot->l1_size));
    ret = ret < 0 ? ret : qcow2_co_switch_unref(&work->sw, s->l1_table, s->l1_size);
    ret = ret < 0 ? ret : qcow2_co_switch_ref(&work->sw, l1, snapshot->l1_size);
    if (ret < 0) {
        return ret;
    }
    qcow2_switch_set_l1(&work->sw, l1, snapshot->l1_size);
    work->sw.header.size = snapshot->disk_size;
    return qcow2_co_switch_fix_copied(&work->sw);
}

int coroutine_fn qcow2_co_snapshot_goto(BlockDriverState *bs, const char *id_or_name,
                                        GError **errp)
{
    Work work;
    int ret = co_load(&work, bs, errp);

    ret = ret < 0 ? ret : co_goto(&work, id_or_name, errp);
    return co_end(&work, ret, "cannot apply the snapshot", errp);
}

/* --- Delete --- */

static int coroutine_fn co_delete(Work *work, const char *id_or_name, GError **errp)
{
    BlockDriverState *bs = work->bs;
    Qcow2State *s = bs->opaque;
    Qcow2Snapshot *snapshot = qcow2_find_snapshot(bs, work->snapshots, id_or_name, errp);
    g_autofree uint64_t *l1 = snapshot ? qcow2_co_read_snapshot_l1(bs, snapshot, errp) : NULL;

    if (!l1) {
        return snapshot ? -EINVAL : -ENOENT;
    }
    uint64_t l1_offset = snapshot->l1_table_offset;
    uint32_t l1_size = snapshot->l1_size;
    g_ptr_array_remove(work->snapshots, snapshot);
    g_autoptr(GByteArray) table = make_table(bs, work->snapshots, errp);
    if (!table) {
        return -EFBIG;
    }
    int ret = qcow2_co_switch_begin(&work->sw, bs, clusters_needed(work, s->l1_size));
    ret = ret < 0 ? ret : qcow2_co_switch_unref(&work->sw, l1, l1_size);
    ret = ret < 0 ? ret : qcow2_co_switch_fix_copied(&work->sw);
    if (ret >= 0 && l1_size) {
        qcow2_free_later(bs, l1_offset, (uint64_t)l1_size * 8);
    }
    return ret < 0 ? ret : co_write_table(work, table);
}

int coroutine_fn qcow2_co_snapshot_delete(BlockDriverState *bs, const char *id_or_name,
                                          GError **errp)
{
    Work work;
    int ret = co_load(&work, bs, errp);

    ret = ret < 0 ? ret : co_delete(&work, id_or_name, errp);
    return co_end(&work, ret, "cannot delete the snapshot", errp);
}
