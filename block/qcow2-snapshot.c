/*
 * Internal snapshots: the snapshot table, and showing one of them.
 */
#include "qcow2.h"

#include <errno.h>

#include "util/byte-reader.h"
#include "util/text.h"

void qcow2_snapshot_free(Qcow2Snapshot *snapshot)
{
    if (snapshot) {
        g_free(snapshot->id);
        g_free(snapshot->name);
        g_clear_pointer(&snapshot->unknown_extra, g_bytes_unref);
        g_free(snapshot);
    }
}

/* A text in the table: length bytes, not terminated. */
static char *take_text(ByteReader *r, size_t len)
{
    const char *text = byte_reader_take(r, len);
    return text ? g_strndup(text, len) : NULL;
}

static void take_extra(ByteReader *r, uint32_t len, Qcow2Snapshot *snapshot)
{
    const uint8_t *extra = byte_reader_take(r, len);
    if (!extra) {
        return;
    }
    if (len >= offsetof(Qcow2DiskSnapshotExtra, disk_size)) {
        snapshot->vm_state_size =
            be64_load(extra + offsetof(Qcow2DiskSnapshotExtra, vm_state_size));
    }
    if (len >= offsetof(Qcow2DiskSnapshotExtra, icount)) {
        snapshot->disk_size = be64_load(extra + offsetof(Qcow2DiskSnapshotExtra, disk_size));
    }
    if (len >= sizeof(Qcow2DiskSnapshotExtra)) {
        snapshot->icount = be64_load(extra + offsetof(Qcow2DiskSnapshotExtra, icount));
        snapshot->has_icount = snapshot->icount != UINT64_MAX;
    }
    if (len > sizeof(Qcow2DiskSnapshotExtra)) {
        snapshot->unknown_extra = g_bytes_new(extra + sizeof(Qcow2DiskSnapshotExtra),
                                              len - sizeof(Qcow2DiskSnapshotExtra));
    }
}

/* The entry at the reader's position; NULL if it is not all there (the reader is
 * then bad) or breaks a limit (error set). */
static Qcow2Snapshot *parse_entry(BlockDriverState *bs, ByteReader *r, unsigned index,
                                  GError **errp)
{
    Qcow2State *s = bs->opaque;
    g_autoptr(Qcow2Snapshot) snapshot = g_new0(Qcow2Snapshot, 1);
    const void *p = byte_reader_take(r, sizeof(Qcow2DiskSnapshot));
    if (!p) {
        return NULL;
    }
    Qcow2DiskSnapshot disk;
    memcpy(&disk, p, sizeof(disk));

    uint32_t extra_bytes = be32_get(disk.extra_data_size);
    if (extra_bytes > QCOW2_MAX_SNAPSHOT_EXTRA) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: snapshot table entry %u has %" PRIu32 " bytes of extra data, expected "
                    "at most %d", bdrv_filename(bs), index, extra_bytes,
                    QCOW2_MAX_SNAPSHOT_EXTRA);
        return NULL;
    }
    snapshot->l1_table_offset = be64_get(disk.l1_table_offset);
    snapshot->l1_size = be32_get(disk.l1_size);
    snapshot->date_sec = be32_get(disk.date_sec);
    snapshot->date_nsec = be32_get(disk.date_nsec);
    snapshot->vm_clock_nsec = be64_get(disk.vm_clock_nsec);
    snapshot->vm_state_size = be32_get(disk.vm_state_size);
    snapshot->disk_size = s->header.size;
    take_extra(r, extra_bytes, snapshot);
    snapshot->id = take_text(r, be16_get(disk.id_size));
    snapshot->name = take_text(r, be16_get(disk.name_size));
    return r->bad ? NULL : g_steal_pointer(&snapshot);
}

GPtrArray *coroutine_fn qcow2_co_read_snapshots(BlockDriverState *bs, uint64_t *end_offset,
                                                GError **errp)
{
    Qcow2State *s = bs->opaque;
    g_autoptr(GPtrArray) snapshots =
        g_ptr_array_new_with_free_func((GDestroyNotify)qcow2_snapshot_free);
    uint64_t begin = s->header.snapshots_offset;
    uint64_t file_bytes = bdrv_length(bs->file);

    if (end_offset) {
        *end_offset = begin;
    }
    if (s->header.nb_snapshots == 0) {
        return g_steal_pointer(&snapshots);
    }
    if (begin >= file_bytes) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: snapshot table at offset 0x%" PRIx64
                    " is past the end of the file (0x%" PRIx64 ")",
                    bdrv_filename(bs), begin, file_bytes);
        return NULL;
    }

    /* The table does not say how long it is: more is read when it is not enough. */
    size_t limit = MIN(file_bytes - begin, QCOW2_MAX_SNAPSHOT_TABLE_BYTES);
    size_t len = MIN(limit, MAX(64 * KiB, s->header.nb_snapshots * 256));
    for (;;) {
        g_autofree uint8_t *buf = g_malloc(len);
        int ret = bdrv_co_pread(bs->file, begin, len, buf, BDRV_REQ_NONE);
        if (ret < 0) {
            error_set_errno(errp, -ret, "%s: cannot read the snapshot table at offset 0x%" PRIx64,
                            bdrv_filename(bs), begin);
            return NULL;
        }
        ByteReader r;
        byte_reader_init(&r, buf, len);
        while (snapshots->len < s->header.nb_snapshots) {
            GError *error = NULL;
            byte_reader_seek(&r, MIN(round_up_pow2(r.pos, 8), len));
            Qcow2Snapshot *snapshot = parse_entry(bs, &r, snapshots->len, &error);
            if (error) {
                g_propagate_error(errp, error);
                return NULL;
            }
            if (!snapshot) {
                break;
            }
            g_ptr_array_add(snapshots, snapshot);
        }
        if (!r.bad) {
            if (end_offset) {
                *end_offset = begin + r.pos;
            }
            return g_steal_pointer(&snapshots);
        }
        if (len == limit) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                        "%s: snapshot table of %" PRIu32 " entries at offset 0x%" PRIx64
                        " does not end within %zu bytes", bdrv_filename(bs),
                        s->header.nb_snapshots, begin, limit);
            return NULL;
        }
        g_ptr_array_set_size(snapshots, 0);
        len = MIN(limit, len * 4);
    }
}

static Qcow2Snapshot *find_snapshot(const GPtrArray *snapshots, const char *id_or_name)
{
    for (unsigned i = 0; i < snapshots->len; i++) {
        Qcow2Snapshot *snapshot = snapshots->pdata[i];
        if (g_str_equal(snapshot->id, id_or_name)) {
            return snapshot;
        }
    }
    for (unsigned i = 0; i < snapshots->len; i++) {
        Qcow2Snapshot *snapshot = snapshots->pdata[i];
        if (g_str_equal(snapshot->name, id_or_name)) {
            return snapshot;
        }
    }
    return NULL;
}

static bool check_snapshot(BlockDriverState *bs, const Qcow2Snapshot *snapshot,
                           GError **errp)
{
    Qcow2State *s = bs->opaque;
    uint64_t needed = div_round_up(snapshot->disk_size,
                                   UINT64_C(1) << (s->l2_bits + s->header.cluster_bits));
    const char *reason = NULL;

    if (snapshot->l1_table_offset & (s->cluster_bytes - 1)) {
        reason = "its L1 table is not aligned to clusters";
    } else if ((uint64_t)snapshot->l1_size * 8 > QCOW2_MAX_L1_BYTES) {
        reason = "its L1 table is larger than 32 MiB";
    } else if (snapshot->disk_size > INT64_MAX) {
        reason = "its disk is larger than 2^63 bytes";
    } else if (snapshot->l1_size < needed) {
        reason = "its L1 table is too small for its disk";
    }
    if (!reason) {
        return true;
    }
    g_autofree char *name = text_printable(snapshot->name, TEXT_ESCAPED);
    g_autofree char *id = text_printable(snapshot->id, TEXT_ESCAPED);
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                "%s: snapshot '%s' (ID '%s'; L1 table of %" PRIu32 " entries at offset 0x%"
                PRIx64 ", disk of %" PRIu64 " bytes): %s", bdrv_filename(bs), name, id,
                snapshot->l1_size, snapshot->l1_table_offset,
                snapshot->disk_size, reason);
    return false;
}

Qcow2Snapshot *qcow2_find_snapshot(BlockDriverState *bs, const GPtrArray *snapshots,
                                   const char *id_or_name, GError **errp)
{
    Qcow2Snapshot *snapshot = find_snapshot(snapshots, id_or_name);

    if (!snapshot) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND,
                    "%s: no snapshot has the ID or name '%s'", bdrv_filename(bs), id_or_name);
        return NULL;
    }
    return check_snapshot(bs, snapshot, errp) ? snapshot : NULL;
}

uint64_t *coroutine_fn qcow2_co_read_snapshot_l1(BlockDriverState *bs,
                                                 const Qcow2Snapshot *snapshot, GError **errp)
{
    return qcow2_co_read_table(bs, snapshot->l1_table_offset, snapshot->l1_size,
                               "L1 table of the snapshot", errp);
}

int coroutine_fn qcow2_co_load_snapshot(BlockDriverState *bs, const char *id_or_name,
                                        GError **errp)
{
    Qcow2State *s = bs->opaque;
    g_autoptr(GPtrArray) snapshots = qcow2_co_read_snapshots(bs, NULL, errp);
    const Qcow2Snapshot *snapshot =
        snapshots ? qcow2_find_snapshot(bs, snapshots, id_or_name, errp) : NULL;

    if (!snapshot) {
        return snapshots && !find_snapshot(snapshots, id_or_name) ? -ENOENT : -EINVAL;
    }
    uint64_t *l1_table = qcow2_co_read_snapshot_l1(bs, snapshot, errp);
    if (!l1_table) {
        return -EINVAL;
    }
    g_free(s->l1_table);
    s->l1_table = l1_table;
    s->l1_size = snapshot->l1_size;
    bs->total_bytes = snapshot->disk_size;
    return 0;
}
