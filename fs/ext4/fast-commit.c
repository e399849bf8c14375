/*
 * Fast commits: small records of what changed since the last full transaction, in an
 * area of their own at the end of the journal.  What they say of inodes, maps and names
 * is kept beside what is on the device, and takes its place.
 *
 * The area is a row of records of tag, length and value that do not cross blocks.  A
 * commit is complete with a tail whose checksum is right; what comes after the last one
 * does not count.
 */
#include "fast-commit.h"

enum {
    TAG_ADD_RANGE = 1,
    TAG_DEL_RANGE = 2,
    TAG_CREAT = 3,
    TAG_LINK = 4,
    TAG_UNLINK = 5,
    TAG_INODE = 6,
    TAG_PAD = 7,
    TAG_TAIL = 8,
    TAG_HEAD = 9,

    RECORD_HEAD_BYTES = 4,
    RECORDS_MAX_BYTES = 64 * 1024 * 1024,
};

/* The records of all complete commits. */
typedef struct Scan {
    Ext4State *s;
    uint32_t tid;
    uint32_t crc;        /* over the current commit */
    GByteArray *records; /* tag, length, value; one after the other */
    guint complete;      /* bytes of them that are of complete commits */
    bool started;
} Scan;

/* One record; false: the log ends here. */
static bool take_record(Scan *scan, uint16_t tag, const uint8_t *record, uint16_t len,
                        GError **errp)
{
    const uint8_t *value = record + RECORD_HEAD_BYTES;

    switch (tag) {
    case TAG_HEAD:
        if (len < 8 || le32_load(value + 4) != scan->tid) {
            return false;
        }
        if (le32_load(value)) {
            ext4_error(scan->s, errp, EMBR_ERROR_UNSUPPORTED, 0,
                       "fast commits of features 0x%x", le32_load(value));
            return false;
        }
        break;
    case TAG_TAIL:
        if (len < 8 || le32_load(value) != scan->tid) {
            return false;
        }
        scan->crc = ext4_crc32c(scan->crc, record, RECORD_HEAD_BYTES + 4);
        if (le32_load(value + 4) != scan->crc) {
            return false;
        }
        scan->crc = 0;
        scan->complete = scan->records->len;
        return true;
    case TAG_ADD_RANGE:
    case TAG_DEL_RANGE:
    case TAG_CREAT:
    case TAG_LINK:
    case TAG_UNLINK:
    case TAG_INODE:
        g_byte_array_append(scan->records, record, RECORD_HEAD_BYTES + len);
        break;
    case TAG_PAD:
        break;
    default:
        return false;
    }
    scan->crc = ext4_crc32c(scan->crc, record, RECORD_HEAD_BYTES + len);
    return true;
}

/* False: the log ends in this block. */
static bool scan_block(Scan *scan, const uint8_t *data, uint32_t bytes, GError **errp)
{
    uint32_t pos = 0;

    while (range_fits(pos, RECORD_HEAD_BYTES, bytes)) {
        uint16_t tag = le16_load(data + pos);
        uint16_t len = le16_load(data + pos + 2);

        if (!scan->started && tag != TAG_HEAD) {
            return false;
        }
        scan->started = true;
        if (!range_fits(pos + RECORD_HEAD_BYTES, len, bytes) ||
            !take_record(scan, tag, data + pos, len, errp)) {
            return false;
        }
        pos += RECORD_HEAD_BYTES + len;
    }
    return scan->records->len < RECORDS_MAX_BYTES;
}

static GByteArray *coroutine_fn read_records(Ext4State *s, const Ext4JournalLog *log,
                                             uint32_t tid, GError **errp)
{
    uint32_t bytes = s->geo.block_bytes;
    g_autofree uint8_t *data = g_malloc(bytes);
    g_autoptr(GByteArray) records = g_byte_array_new();
    Scan scan = {.s = s, .tid = tid, .records = records};
    GError *error = NULL;

    for (uint32_t i = 0; i < log->fast_count && !error; i++) {
        uint64_t count = 1;
        uint64_t at =
            ext4_journal_co_locate(s, log, log->fast_first + i, &count, &error);

        if (!at ||
            !blk_co_read(s->fs->blk, ext4_block_offset(s, at), bytes, data,
                         "fast commits", &error) ||
            !scan_block(&scan, data, bytes, &error)) {
            break;
        }
    }
    if (error) {
        g_propagate_error(errp, error);
        return NULL;
    }
    g_byte_array_set_size(records, scan.complete);
    return g_steal_pointer(&records);
}

/* Applies them in order. A record that makes no sense is passed over, as the kernel
 * does. */
static bool coroutine_fn apply_records(Ext4State *s, const GByteArray *records,
                                       GError **errp)
{
    guint pos = 0;
    bool ok = true;

    while (ok && range_fits(pos, RECORD_HEAD_BYTES, records->len)) {
        uint16_t tag = le16_load(records->data + pos);
        uint16_t len = le16_load(records->data + pos + 2);
        ByteReader value;

        byte_reader_init(&value, records->data + pos + RECORD_HEAD_BYTES, len);
        switch (tag) {
        case TAG_ADD_RANGE:
            ok = ext4_fc_co_add_range(s, &value, errp);
            break;
        case TAG_DEL_RANGE:
            ok = ext4_fc_co_remove_range(s, &value, errp);
            break;
        case TAG_CREAT:
            ok = ext4_fc_co_link(s, &value, true, errp);
            break;
        case TAG_LINK:
            ok = ext4_fc_co_link(s, &value, false, errp);
            break;
        case TAG_UNLINK:
            ok = ext4_fc_co_unlink(s, &value, errp);
            break;
        case TAG_INODE:
            ok = ext4_fc_co_inode(s, &value, errp);
            break;
        default:
            break;
        }
        pos += RECORD_HEAD_BYTES + len;
    }
    return ok;
}

bool coroutine_fn ext4_fast_commit_co_load(Ext4State *s, const Ext4JournalLog *log,
                                           uint32_t tid, GError **errp)
{
    g_autoptr(GByteArray) records = read_records(s, log, tid, errp);

    if (!records) {
        return false;
    }
    if (!records->len) {
        return true;
    }
    s->fast_commit = ext4_fc_new();
    if (!apply_records(s, records, errp)) {
        g_clear_pointer(&s->fast_commit, ext4_fc_free);
        ext4_inodes_drop(s);
        return false;
    }
    return true;
}
