/* From the operations in the log's records to the items of transactions. */
#include "log.h"

enum {
    TRANSACTIONS_BYTES_MAX = 256 * 1024 * 1024, /* of all that are open */
    HEADER_BYTES = 16,
    HEADER_MAGIC = 0x5452414e,
    REGIONS_MAX = 4096, /* of an item */
    CLIENT_TRANSACTION = 0x69,
    CLIENT_LOG = 0xaa,
};

typedef struct Transaction {
    uint64_t lsn;     /* of the record in which it began */
    uint32_t header;  /* bytes of it so far */
    GPtrArray *items; /* of XfsLogItem */
    uint64_t bytes;
} Transaction;

static void free_item(gpointer data)
{
    XfsLogItem *item = data;

    g_ptr_array_unref(item->regions);
    g_free(item);
}

static void free_transaction(gpointer data)
{
    Transaction *t = data;

    g_ptr_array_unref(t->items);
    g_free(t);
}

void xfs_log_items_init(XfsLogItems *items, XfsState *s, XfsLogItemFunc *co_item,
                        void *opaque)
{
    *items = (XfsLogItems){.s = s, .co_item = co_item, .opaque = opaque};
    items->transactions = g_hash_table_new_full(NULL, NULL, NULL, free_transaction);
}

void xfs_log_items_clear(XfsLogItems *items)
{
    g_clear_pointer(&items->transactions, g_hash_table_unref);
}

static bool G_GNUC_PRINTF(3, 4)
    refuse(const XfsLogItems *items, GError **errp, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    xfs_error(items->s, errp, EMBR_ERROR_CORRUPT, 0, "log: %s", text);
    return false;
}

static void unref_bytes(gpointer bytes)
{
    g_byte_array_unref(bytes);
}

static XfsLogItem *last_item(const Transaction *t)
{
    return t->items->len ? g_ptr_array_index(t->items, t->items->len - 1) : NULL;
}

/* More bytes of a transaction's header; false if they are none. */
static bool add_header(XfsLogItems *items, Transaction *t, const uint8_t *data,
                       uint32_t len, GError **errp)
{
    if (len > HEADER_BYTES - t->header ||
        (!t->header && (len < 4 || le32_load(data) != HEADER_MAGIC))) {
        return refuse(items, errp,
                      "a transaction begins with %u bytes that are no "
                      "header",
                      len);
    }
    t->header += len;
    return true;
}

static bool add_region(XfsLogItems *items, Transaction *t, const uint8_t *data,
                       uint32_t len, GError **errp)
{
    XfsLogItem *item = last_item(t);

    if (t->header < HEADER_BYTES) {
        return add_header(items, t, data, len, errp);
    }
    if (!item || item->regions->len == item->total) {
        if (len < 4) {
            return refuse(items, errp, "an item begins with %u bytes", len);
        }
        item = g_new0(XfsLogItem, 1);
        item->type = le16_load(data);
        item->total = le16_load(data + 2);
        item->regions = g_ptr_array_new_with_free_func(unref_bytes);
        g_ptr_array_add(t->items, item);
        if (!item->total || item->total > REGIONS_MAX) {
            return refuse(items, errp,
                          "an item of type 0x%04x has %u parts, expected "
                          "1 to %d",
                          item->type, item->total, REGIONS_MAX);
        }
    }

    GByteArray *region = g_byte_array_new();

    g_byte_array_append(region, data, len);
    g_ptr_array_add(item->regions, region);
    return true;
}

/* What goes on from the record before. */
static bool continue_region(XfsLogItems *items, Transaction *t, const uint8_t *data,
                            uint32_t len, GError **errp)
{
    XfsLogItem *item = last_item(t);

    if (t->header < HEADER_BYTES) {
        return add_header(items, t, data, len, errp);
    }
    if (!item) {
        return refuse(items, errp,
                      "a transaction goes on with an item that it has not "
                      "begun");
    }
    g_byte_array_append(g_ptr_array_index(item->regions, item->regions->len - 1), data,
                        len);
    return true;
}

/* Items are done in an order of their kinds, those of one kind as they come. */
static bool coroutine_fn co_commit(XfsLogItems *items, const Transaction *t,
                                   GError **errp)
{
    for (unsigned rank = 0; rank < XFS_LOG_RANKS; rank++) {
        for (guint i = 0; i < t->items->len; i++) {
            const XfsLogItem *item = g_ptr_array_index(t->items, i);

            if (item->regions->len != item->total) {
                return refuse(items, errp,
                              "an item of type 0x%04x has %u parts, expected %u",
                              item->type, item->regions->len, item->total);
            }
            if (xfs_log_replay_rank(item) == rank &&
                !items->co_item(item, t->lsn, items->opaque, errp)) {
                return false;
            }
        }
    }
    return true;
}

static void forget(XfsLogItems *items, gpointer key, const Transaction *t)
{
    items->bytes -= t->bytes;
    g_hash_table_remove(items->transactions, key);
}

static bool coroutine_fn co_operation(XfsLogItems *items, const XfsLogOp *op,
                                      const uint8_t *data, uint32_t len, uint64_t lsn,
                                      GError **errp)
{
    gpointer key = GUINT_TO_POINTER(be32_get(op->tid));
    Transaction *t = g_hash_table_lookup(items->transactions, key);
    bool ok = true;

    if (op->flags & XFS_LOG_OP_START) {
        if (t) {
            forget(items, key, t);
        }
        t = g_new0(Transaction, 1);
        t->lsn = lsn;
        t->items = g_ptr_array_new_with_free_func(free_item);
        g_hash_table_insert(items->transactions, key, t);
        return true;
    }
    if (!t || (op->flags & XFS_LOG_OP_UNMOUNT)) {
        return true; /* It began before the log's tail. */
    }
    if (op->flags & XFS_LOG_OP_COMMIT) {
        ok = co_commit(items, t, errp);
        forget(items, key, t);
        return ok;
    }
    items->bytes += len;
    t->bytes += len;
    if (items->bytes > TRANSACTIONS_BYTES_MAX) {
        return refuse(items, errp, "open transactions have more than %d bytes",
                      TRANSACTIONS_BYTES_MAX);
    }
    if (!len) {
        return true;
    }
    return op->flags & XFS_LOG_OP_WAS_CONTINUED
               ? continue_region(items, t, data, len, errp)
               : add_region(items, t, data, len, errp);
}

bool coroutine_fn xfs_log_items_co_record(const XfsLogRecord *record,
                                          const uint8_t *body, uint32_t body_bytes,
                                          void *opaque, GError **errp)
{
    XfsLogItems *items = opaque;
    uint32_t count = be32_get(record->num_logops);
    uint32_t at = 0;

    for (uint32_t i = 0; i < count; i++) {
        const XfsLogOp *op = (const XfsLogOp *)(body + at);

        if (!range_fits(at, sizeof(*op), body_bytes) ||
            !range_fits(at + sizeof(*op), be32_get(op->len), body_bytes) ||
            (op->clientid != CLIENT_TRANSACTION && op->clientid != CLIENT_LOG)) {
            return refuse(items, errp,
                          "operation %u of %u in record 0x%" PRIx64
                          " is none, or ends behind the record's %u bytes",
                          i, count, be64_get(record->lsn), body_bytes);
        }
        at += sizeof(*op);
        if (!co_operation(items, op, body + at, be32_get(op->len),
                          be64_get(record->lsn), errp)) {
            return false;
        }
        at += be32_get(op->len);
    }
    return true;
}
