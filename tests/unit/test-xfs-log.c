/* XFS's log: sectors in memory, transactions out of records, items applied. */
#include <check.h>
#include "fs/xfs/log.h"
#include "tests/lib/run-in-coroutine.h"

enum {
    VOLUME_BYTES = 64 * 1024,
    INODE_SECTOR = 16,
    INODE_BYTES = 256, /* of version 4, which kernels of today do not write */
};

static Filesystem fs;
static XfsState state;

/* A volume of zeroes with an inode of version 4. */
static void set_up(void)
{
    uint8_t *bytes = g_malloc0(VOLUME_BYTES);
    XfsInodeDisk *disk = (XfsInodeDisk *)(bytes + INODE_SECTOR * 512 + INODE_BYTES);

    disk->magic = be16_make(XFS_INODE_MAGIC);
    disk->version = 2;
    disk->mode = be16_make(S_IFREG | 0600);
    le64_store(&disk->big_nextents, 0);
    be16_store((uint8_t *)&disk->big_nextents + 6, 5); /* flushed so often */

    g_autoptr(GBytes) volume = g_bytes_new_take(bytes, VOLUME_BYTES);
    g_autoptr(BlockDriverState) bs = bdrv_new_memory(volume, "volume");

    fs = (Filesystem){.blk = blk_new(bs)};
    state = (XfsState){.fs = &fs,
                       .geo = {.version = 4,
                               .block_bytes = 4096,
                               .block_bits = 12,
                               .inode_bytes = INODE_BYTES}};
}

static void tear_down(void)
{
    blk_unref(fs.blk);
}

static void coroutine_fn co_overlay(void)
{
    XfsOverlay *o = xfs_overlay_new();
    uint8_t data[1024], found[1536] = {0};
    uint64_t count = 100;

    memset(data, 'a', 512);
    memset(data + 512, 'b', 512);
    ck_assert(xfs_overlay_put(o, 70, data, 2));
    ck_assert(xfs_overlay_put(o, 10, data, 1));
    ck_assert(xfs_overlay_put(o, 70, data + 512, 1));
    xfs_overlay_apply(o, 69, found, 3);
    ck_assert_int_eq(found[511], 0);
    ck_assert_int_eq(found[512], 'b');
    ck_assert_int_eq(found[1024], 'b');
    xfs_overlay_complete(o);
    ck_assert_uint_eq(xfs_overlay_count(o), 3);
    ck_assert_ptr_null(xfs_overlay_find(o, 0, &count));
    ck_assert_uint_eq(count, 10);
    ck_assert_int_eq(*xfs_overlay_find(o, 10, &count), 'a');
    ck_assert_uint_eq(count, 1);
    count = 7;
    ck_assert_ptr_null(xfs_overlay_find(o, 11, &count));
    ck_assert_uint_eq(count, 7);
    ck_assert_ptr_null(xfs_overlay_find(o, 72, &count));
    ck_assert_uint_eq(count, 7);

    /* Reads see it; what it holds is known to be from the log. */
    set_up();
    state.overlay = o;
    ck_assert(xfs_device_co_read(&state, 9 * 512 + 500, 20, found, "test", NULL));
    ck_assert_int_eq(found[11], 0);
    ck_assert_int_eq(found[12], 'a');
    ck_assert(xfs_is_logged(&state, 9 * 512, 1024));
    ck_assert(!xfs_is_logged(&state, 9 * 512, 512));
    ck_assert(!xfs_is_logged(&state, 11 * 512, 512 * 59));
    ck_assert(xfs_is_logged(&state, 11 * 512, 512 * 60));
    xfs_overlay_free(o);
    tear_down();
}

START_TEST(test_overlay)
{
    run_in_coroutine(co_overlay);
}
END_TEST

static void free_region(gpointer data)
{
    g_byte_array_unref(data);
}

static XfsLogItem *item_new(uint16_t type)
{
    XfsLogItem *item = g_new0(XfsLogItem, 1);

    item->type = type;
    item->regions = g_ptr_array_new_with_free_func(free_region);
    return item;
}

static void add_part(XfsLogItem *item, const void *data, size_t bytes)
{
    g_ptr_array_add(item->regions,
                    g_byte_array_append(g_byte_array_new(), data, bytes));
    item->total++;
}

static void item_free(XfsLogItem *item)
{
    g_ptr_array_unref(item->regions);
    g_free(item);
}

/* A core as a little-endian machine logs it. */
static void fill_core(uint8_t core[96], uint16_t mode, uint16_t flushed)
{
    memset(core, 0, 96);
    le16_store(core, XFS_INODE_MAGIC);
    le16_store(core + 2, mode);
    core[4] = 2;
    core[5] = S_ISREG(mode) ? XFS_FORK_BTREE : XFS_FORK_DEVICE;
    le32_store(core + 8, 1000);
    le16_store(core + 30, flushed);
    le32_store(core + 40, 1234567890); /* mtime */
    le32_store(core + 44, 987654321);
    le64_store(core + 56, UINT64_C(0x123456789a));
    core[82] = 12; /* the attributes' fork, in 8 bytes */
}

static XfsLogItem *inode_item(const uint8_t core[96], uint32_t fields)
{
    XfsLogItem *item = item_new(XFS_LOG_INODE);
    XfsLogInode head = {.fields = le32_make(fields),
                        .ino = le64_make(33),
                        .sector = le64_make(INODE_SECTOR),
                        .sectors = le32_make(8),
                        .offset = le32_make(INODE_BYTES)};

    le32_store(head.device, 0x12340005);
    add_part(item, &head, sizeof(head));
    add_part(item, core, 96);
    return item;
}

/* The inode as it is after the item. */
static bool coroutine_fn apply(XfsLogReplay *replay, XfsLogItem *item,
                               uint8_t raw[INODE_BYTES])
{
    uint8_t data[512];
    bool ok = xfs_log_replay_co_apply(item, 0x100000001, replay, NULL);

    ck_assert_int_ge(blk_co_pread(fs.blk, INODE_SECTOR * 512, 512, data), 0);
    xfs_overlay_apply(replay->overlay, INODE_SECTOR, data, 1);
    memcpy(raw, data + INODE_BYTES, INODE_BYTES);
    item_free(item);
    return ok;
}

static void coroutine_fn co_inode(void)
{
    g_auto(XfsLogReplay) replay = {0};
    uint8_t core[96], raw[INODE_BYTES], root[24 + 3 * 16] = {0};
    const XfsInodeDisk *disk = (const XfsInodeDisk *)raw;

    set_up();
    xfs_log_replay_init(&replay, &state);

    /* The root of a tree, which has room for more in memory than in the inode. */
    be16_store(root + 4, 1);
    be16_store(root + 6, 2);
    be64_store(root + 24, 0);
    be64_store(root + 32, 700);
    be64_store(root + 24 + 24, 41);
    be64_store(root + 24 + 32, 42);
    fill_core(core, S_IFREG | 0640, 6);
    XfsLogItem *item =
        inode_item(core, 1 | XFS_LOG_INODE_ROOT | XFS_LOG_INODE_ATTR_DATA);
    add_part(item, root, sizeof(root));
    add_part(item, "attributes!!", 12);
    ck_assert(apply(&replay, item, raw));
    ck_assert_uint_eq(be16_get(disk->mode), S_IFREG | 0640);
    ck_assert_uint_eq(be32_get(disk->uid), 1000);
    ck_assert_uint_eq(be64_get(disk->size), UINT64_C(0x123456789a));
    ck_assert_uint_eq(be64_get(disk->mtime), UINT64_C(1234567890) << 32 | 987654321);
    ck_assert_uint_eq(be16_load(raw + 100), 1);
    ck_assert_uint_eq(be16_load(raw + 102), 2);
    ck_assert_uint_eq(be64_load(raw + 112), 700);
    /* Five pairs fit into 96 bytes behind four. */
    ck_assert_uint_eq(be64_load(raw + 104 + 5 * 8), 41);
    ck_assert_uint_eq(be64_load(raw + 104 + 6 * 8), 42);
    ck_assert(!memcmp(raw + 100 + 96, "attributes!!", 12));

    /* What was written more often is newer, unless the count has begun anew. */
    fill_core(core, S_IFBLK | 0600, 6);
    ck_assert(apply(&replay, inode_item(core, 1 | XFS_LOG_INODE_DEVICE), raw));
    ck_assert_uint_eq(be16_get(disk->mode), S_IFBLK | 0600);
    ck_assert_uint_eq(be32_load(raw + 100), 0x12340005);

    xfs_log_replay_clear(&replay);
    xfs_log_replay_init(&replay, &state);
    fill_core(core, S_IFBLK | 0600, 4);
    ck_assert(apply(&replay, inode_item(core, 1), raw));
    ck_assert_uint_eq(be16_get(disk->mode), S_IFREG | 0600);

    /* Forks that do not fit, places where no inode is. */
    fill_core(core, S_IFREG | 0640, 6);
    item = inode_item(core, 1 | XFS_LOG_INODE_EXTENTS);
    add_part(item, root, 72);
    g_byte_array_set_size(g_ptr_array_index(item->regions, 2), 100);
    ck_assert(!apply(&replay, item, raw));
    item = inode_item(core, 1 | XFS_LOG_INODE_ROOT);
    be16_store(root + 6, 4);
    add_part(item, root, sizeof(root));
    ck_assert(!apply(&replay, item, raw));
    item = inode_item(core, 1 | XFS_LOG_INODE_ROOT);
    ck_assert(!apply(&replay, item, raw));
    item = inode_item(core, 1);
    le32_store(((GByteArray *)g_ptr_array_index(item->regions, 0))->data + 52, 512);
    ck_assert(!apply(&replay, item, raw));
    item = inode_item(core, 1);
    le64_store(((GByteArray *)g_ptr_array_index(item->regions, 0))->data + 40,
               UINT64_MAX);
    ck_assert(!apply(&replay, item, raw));
    tear_down();
}

START_TEST(test_inode)
{
    run_in_coroutine(co_inode);
}
END_TEST

/* A buffer of two sectors, of which the pieces 1 and 4 to 5 are logged. */
static XfsLogItem *buffer_item(uint16_t flags, char fill)
{
    XfsLogItem *item = item_new(XFS_LOG_BUFFER);
    uint8_t head[24] = {0}, piece[256];

    le16_store(head, XFS_LOG_BUFFER);
    le16_store(head + 4, flags);
    le16_store(head + 6, 2);
    le64_store(head + 8, 100);
    le32_store(head + 16, 1);
    le32_store(head + 20, 0x32);
    memset(piece, fill, sizeof(piece));
    add_part(item, head, sizeof(head));
    if (!(flags & XFS_LOG_BUFFER_CANCEL)) {
        add_part(item, piece, 128);
        add_part(item, piece, 256);
    }
    return item;
}

static void coroutine_fn co_do(XfsLogReplay *replay, XfsLogItemFunc *co_item,
                               XfsLogItem *item, bool expected)
{
    ck_assert_int_eq(co_item(item, 0x100000001, replay, NULL), expected);
    item_free(item);
}

static char byte_at(const XfsLogReplay *replay, unsigned at)
{
    uint8_t data[1024] = {0};

    xfs_overlay_apply(replay->overlay, 100, data, 2);
    return data[at];
}

static void coroutine_fn co_buffer(void)
{
    g_auto(XfsLogReplay) replay = {0};

    set_up();
    xfs_log_replay_init(&replay, &state);
    co_do(&replay, xfs_log_replay_co_apply, buffer_item(0, 'x'), true);
    ck_assert_int_eq(byte_at(&replay, 127), 0);
    ck_assert_int_eq(byte_at(&replay, 128), 'x');
    ck_assert_int_eq(byte_at(&replay, 256), 0);
    ck_assert_int_eq(byte_at(&replay, 512), 'x');
    ck_assert_int_eq(byte_at(&replay, 767), 'x');
    ck_assert_int_eq(byte_at(&replay, 768), 0);

    /* What was freed later is not replayed, until it is used anew. */
    co_do(&replay, xfs_log_replay_co_note, buffer_item(0, 'y'), true);
    co_do(&replay, xfs_log_replay_co_note, buffer_item(XFS_LOG_BUFFER_CANCEL, 0), true);
    co_do(&replay, xfs_log_replay_co_apply, buffer_item(0, 'y'), true);
    ck_assert_int_eq(byte_at(&replay, 128), 'x');
    co_do(&replay, xfs_log_replay_co_apply, buffer_item(XFS_LOG_BUFFER_CANCEL, 0),
          true);
    co_do(&replay, xfs_log_replay_co_apply, buffer_item(0, 'z'), true);
    ck_assert_int_eq(byte_at(&replay, 128), 'z');

    /* More parts than the map has, or too short ones. */
    XfsLogItem *item = buffer_item(0, 'a');
    add_part(item, "x", 1);
    co_do(&replay, xfs_log_replay_co_apply, item, false);
    item = buffer_item(0, 'a');
    g_byte_array_set_size(g_ptr_array_index(item->regions, 1), 100);
    co_do(&replay, xfs_log_replay_co_apply, item, false);
    item = buffer_item(0, 'a');
    le32_store(((GByteArray *)g_ptr_array_index(item->regions, 0))->data + 16, 2);
    co_do(&replay, xfs_log_replay_co_apply, item, false);
    ck_assert_int_eq(byte_at(&replay, 128), 'z');
    tear_down();
}

START_TEST(test_buffer)
{
    run_in_coroutine(co_buffer);
}
END_TEST

static XfsLogItem *intent(uint16_t type, uint64_t id)
{
    XfsLogItem *item = item_new(type);
    XfsLogIntent body = {.id = le64_make(id), .ino = le64_make(99)};

    add_part(item, &body, sizeof(body));
    return item;
}

static void coroutine_fn co_intents(void)
{
    g_auto(XfsLogReplay) replay = {0};

    set_up();
    xfs_log_replay_init(&replay, &state);
    co_do(&replay, xfs_log_replay_co_apply, intent(XFS_LOG_BUI, 1), true);
    co_do(&replay, xfs_log_replay_co_apply, intent(XFS_LOG_ATTRI, 1), true);
    co_do(&replay, xfs_log_replay_co_apply, intent(XFS_LOG_EFI, 1), true);
    ck_assert_uint_eq(g_hash_table_size(replay.unfinished), 2);
    co_do(&replay, xfs_log_replay_co_apply, intent(XFS_LOG_BUD, 1), true);
    co_do(&replay, xfs_log_replay_co_apply, intent(XFS_LOG_ATTRD, 2), true);
    ck_assert_uint_eq(g_hash_table_size(replay.unfinished), 1);
    co_do(&replay, xfs_log_replay_co_apply, intent(0x1234, 1), false);
    tear_down();
}

START_TEST(test_intents)
{
    run_in_coroutine(co_intents);
}
END_TEST

/* Records */

typedef struct Record {
    XfsLogRecord head;
    GByteArray *body;
    unsigned count;
} Record;

static void add_op(Record *record, uint8_t flags, const void *data, uint32_t len)
{
    XfsLogOp op = {be32_make(77), be32_make(len), 0x69, flags, {0}};

    g_byte_array_append(record->body, (const guint8 *)&op, sizeof(op));
    g_byte_array_append(record->body, data, len);
    record->head.num_logops = be32_make(++record->count);
}

static GString *seen;

static bool coroutine_fn co_see(const XfsLogItem *item, uint64_t lsn, void *opaque,
                                GError **errp)
{
    g_assert_null(opaque);
    (void)errp;
    g_string_append_printf(seen, "%x@%" PRIx64, item->type, lsn);
    for (guint i = 0; i < item->regions->len; i++) {
        const GByteArray *part = g_ptr_array_index(item->regions, i);

        g_string_append_printf(seen, ":%u", part->len);
    }
    g_string_append_c(seen, ' ');
    return true;
}

static bool coroutine_fn co_feed(XfsLogItems *items, Record *record, uint64_t lsn)
{
    record->head.lsn = be64_make(lsn);

    bool ok = xfs_log_items_co_record(&record->head, record->body->data,
                                      record->body->len, items, NULL);
    g_byte_array_set_size(record->body, 0);
    record->count = 0;
    return ok;
}

static void coroutine_fn co_transactions(void)
{
    g_auto(XfsLogItems) items = {0};
    Record record = {.body = g_byte_array_new()};
    static const uint8_t header[16] = {'N', 'A', 'R', 'T'}, zeroes[64] = {0};
    uint8_t one[20] = {0}, two[20] = {0};

    set_up();
    seen = g_string_new(NULL);
    le16_store(one, XFS_LOG_INODE);
    le16_store(one + 2, 2);
    le16_store(two, XFS_LOG_ICREATE);
    le16_store(two + 2, 1);
    xfs_log_items_init(&items, &state, co_see, NULL);

    /* Nothing of what began before; a part that goes on in the next record; new inodes
     * come first. */
    add_op(&record, 0, zeroes, 8);
    add_op(&record, XFS_LOG_OP_START, NULL, 0);
    add_op(&record, 0, header, 16);
    add_op(&record, 0, one, 20);
    add_op(&record, XFS_LOG_OP_CONTINUES, zeroes, 12);
    ck_assert(co_feed(&items, &record, 5));
    ck_assert_str_eq(seen->str, "");
    add_op(&record, XFS_LOG_OP_WAS_CONTINUED, zeroes, 30);
    add_op(&record, 0, two, 20);
    add_op(&record, XFS_LOG_OP_COMMIT, NULL, 0);
    ck_assert(co_feed(&items, &record, 9));
    ck_assert_str_eq(seen->str, "123f@5:20 123b@5:20:42 ");

    /* What is not committed is not done. */
    g_string_truncate(seen, 0);
    add_op(&record, XFS_LOG_OP_START, NULL, 0);
    add_op(&record, 0, header, 16);
    add_op(&record, 0, two, 20);
    ck_assert(co_feed(&items, &record, 10));
    ck_assert_str_eq(seen->str, "");

    /* An item without all of its parts; operations that are none. */
    add_op(&record, 0, one, 20);
    add_op(&record, XFS_LOG_OP_COMMIT, NULL, 0);
    ck_assert(!co_feed(&items, &record, 11));
    add_op(&record, XFS_LOG_OP_START, NULL, 0);
    add_op(&record, 0, zeroes, 16);
    ck_assert(!co_feed(&items, &record, 12));
    add_op(&record, XFS_LOG_OP_START, NULL, 0);
    be32_store(record.body->data + 4, 1);
    ck_assert(!co_feed(&items, &record, 13));
    record.head.num_logops = be32_make(1);
    ck_assert(!co_feed(&items, &record, 14));
    g_string_free(seen, TRUE);
    g_byte_array_unref(record.body);
    tear_down();
}

START_TEST(test_transactions)
{
    run_in_coroutine(co_transactions);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("xfs-log");
    TCase *tcase = tcase_create("xfs-log");

    tcase_add_test(tcase, test_overlay);
    tcase_add_test(tcase, test_inode);
    tcase_add_test(tcase, test_buffer);
    tcase_add_test(tcase, test_intents);
    tcase_add_test(tcase, test_transactions);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);

    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}
