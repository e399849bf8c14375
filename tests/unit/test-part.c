/*
 * Partition tables while they are written: whatever write fails, the table is the old
 * one or the new one.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "fs/table.h"
#include "qapi/qapi-types.h"
#include "tests/lib/run-in-coroutine.h"
#include "tests/lib/scratch-disk.h"
#include "util/endian.h"

enum { DISK_BYTES = 8 << 20, MAX_WRITES = 100 };

typedef bool coroutine_fn Change(BlockBackend *disk, GError **errp);

static bool coroutine_fn co_add(BlockBackend *disk, PartKind kind, uint64_t size,
                                GError **errp)
{
    const PartAdd add = {.kind = kind, .has_size = true, .size = size, .align = 4096};
    unsigned number;

    return part_table_co_add(disk, &add, &number, errp);
}

static bool coroutine_fn co_make(BlockBackend *disk, const char *type, GError **errp)
{
    const PartCreate create = {.type = type, .sector_size = 512};

    return part_table_co_create(disk, &create, errp);
}

static bool coroutine_fn co_make_gpt(BlockBackend *disk, GError **errp)
{
    return co_make(disk, "gpt", errp) && co_add(disk, PART_PRIMARY, 100000, errp) &&
           co_add(disk, PART_PRIMARY, 200000, errp);
}

static bool coroutine_fn co_make_mbr(BlockBackend *disk, GError **errp)
{
    return co_make(disk, "dos", errp) && co_add(disk, PART_PRIMARY, 100000, errp) &&
           co_add(disk, PART_EXTENDED, 5000000, errp);
}

static bool coroutine_fn co_make_chain(BlockBackend *disk, GError **errp)
{
    bool ok = co_make_mbr(disk, errp);

    for (unsigned i = 0; ok && i < 4; i++) {
        ok = co_add(disk, PART_LOGICAL, 100000 * (i + 1), errp);
    }
    return ok;
}

static bool coroutine_fn co_add_primary(BlockBackend *disk, GError **errp)
{
    return co_add(disk, PART_PRIMARY, 300000, errp);
}

static bool coroutine_fn co_add_extended(BlockBackend *disk, GError **errp)
{
    return co_add(disk, PART_EXTENDED, 300000, errp);
}

static bool coroutine_fn co_add_logical(BlockBackend *disk, GError **errp)
{
    return co_add(disk, PART_LOGICAL, 300000, errp);
}

static bool coroutine_fn co_delete_first(BlockBackend *disk, GError **errp)
{
    return part_table_co_delete(disk, &(unsigned){1}, 1, errp);
}

static bool coroutine_fn co_delete_extended(BlockBackend *disk, GError **errp)
{
    return part_table_co_delete(disk, &(unsigned){2}, 1, errp);
}

static bool coroutine_fn co_delete_5(BlockBackend *disk, GError **errp)
{
    return part_table_co_delete(disk, &(unsigned){5}, 1, errp);
}

static bool coroutine_fn co_delete_6(BlockBackend *disk, GError **errp)
{
    return part_table_co_delete(disk, &(unsigned){6}, 1, errp);
}

static bool coroutine_fn co_delete_8(BlockBackend *disk, GError **errp)
{
    return part_table_co_delete(disk, &(unsigned){8}, 1, errp);
}

static bool coroutine_fn co_repair(BlockBackend *disk, GError **errp)
{
    return part_table_co_repair(disk, errp);
}

static bool coroutine_fn co_damage_primary(BlockBackend *disk, GError **errp)
{
    return co_make_gpt(disk, errp) &&
           blk_co_pwrite(disk, 600, 4, "oops", BDRV_REQ_NONE) >= 0;
}

static bool coroutine_fn co_damage_backup(BlockBackend *disk, GError **errp)
{
    return co_make_gpt(disk, errp) &&
           blk_co_pwrite(disk, DISK_BYTES - 500, 4, "oops", BDRV_REQ_NONE) >= 0;
}

static const struct {
    Change *make, *change;
} changes[] = {
    {co_make_gpt, co_add_primary},     {co_make_gpt, co_delete_first},
    {co_damage_primary, co_repair},    {co_damage_backup, co_repair},
    {co_make_mbr, co_add_primary},     {co_make_mbr, co_add_logical},
    {co_make_mbr, co_delete_extended}, {co_make_chain, co_add_logical},
    {co_make_chain, co_delete_5},      {co_make_chain, co_delete_6},
    {co_make_chain, co_delete_8},
};

/* The partitions in a line. */
static char *coroutine_fn co_summary(ScratchDisk *disk)
{
    g_autoptr(BlockBackend) blk = scratch_disk_open(disk);
    g_autoptr(GError) error = NULL;
    g_autoptr(VolumeTable) table = part_table_co_read(blk, &error);
    GString *text = g_string_new(NULL);

    ck_assert_msg(table != NULL, "%s", error ? error->message : "");
    for (guint i = 0; i < table->volumes->len; i++) {
        const VolumeInfo *v = ((Volume *)g_ptr_array_index(table->volumes, i))->info;

        g_string_append_printf(text, "%u %" PRIu64 "+%" PRIu64 " ", v->number,
                               v->offset, v->size);
    }
    return g_string_free(text, FALSE);
}

static int change;

static void coroutine_fn co_test_change(void)
{
    const int i = change;
    g_autofree uint8_t *before = g_malloc0(DISK_BYTES), *data = g_malloc0(DISK_BYTES);
    ScratchDisk disk = {data, DISK_BYTES, G_MAXUINT, 0};
    g_autoptr(BlockBackend) blk = scratch_disk_open(&disk);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) seen = g_ptr_array_new_with_free_func(g_free);
    bool done = false;

    ck_assert_msg(changes[i].make(blk, &error), "%s", error ? error->message : "");
    memcpy(before, data, DISK_BYTES);
    g_autofree char *old = co_summary(&disk);
    for (unsigned n = 0; !done && n < MAX_WRITES; n++) {
        g_autoptr(GError) failure = NULL;

        memcpy(data, before, DISK_BYTES);
        disk.writes_left = n;
        disk.flushes = 0;
        done = changes[i].change(blk, &failure);
        ck_assert(done == !failure);
        g_ptr_array_add(seen, co_summary(&disk));
    }
    ck_assert_msg(done, "more than %d writes", MAX_WRITES);
    ck_assert_uint_gt(seen->len, 1);
    ck_assert_uint_gt(disk.flushes, 0);

    const char *new = g_ptr_array_index(seen, seen->len - 1);
    for (guint k = 0; k < seen->len; k++) {
        const char *found = g_ptr_array_index(seen, k);

        ck_assert_msg(!strcmp(found, old) || !strcmp(found, new),
                      "change %d, write %u: '%s', neither '%s' nor '%s'", i, k, found,
                      old, new);
    }
    ck_assert(changes[i].change == co_repair || strcmp(old, new) != 0);
}

START_TEST(every_write_fails)
{
    change = _i;
    run_in_coroutine(co_test_change);
}
END_TEST

/* The record that an extended partition begins with is there before the partition. */
static void coroutine_fn co_test_extended(void)
{
    g_autofree uint8_t *data = g_malloc0(DISK_BYTES);
    ScratchDisk disk = {data, DISK_BYTES, G_MAXUINT, 0};
    g_autoptr(BlockBackend) blk = scratch_disk_open(&disk);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) findings = g_ptr_array_new_with_free_func(g_free);
    const char *type;

    ck_assert(co_make(blk, "dos", &error));
    memset(data + 4096, 0xee, DISK_BYTES - 4096);
    ck_assert(co_add_extended(blk, &error));
    ck_assert(part_table_co_verify(blk, findings, &type, &error));
    ck_assert_uint_eq(findings->len, 0);
}

START_TEST(extended)
{
    run_in_coroutine(co_test_extended);
}
END_TEST

/* Gives the copies of a GPT on a disk of 8 MiB their checksums back. */
static void mend_headers(uint8_t *data)
{
    const size_t headers[] = {512, DISK_BYTES - 512};

    for (unsigned i = 0; i < 2; i++) {
        uint8_t *header = data + headers[i];
        uint64_t entries = le64_load(header + 72) * 512;

        le32_store(header + 88, crc32(0, data + entries, 128 * 128));
        le32_store(header + 16, 0);
        le32_store(header + 16, crc32(0, header, 92));
    }
}

/* Copies that share their entries: a change to one would be one to both. */
static void coroutine_fn co_test_overlap(void)
{
    g_autofree uint8_t *data = g_malloc0(DISK_BYTES);
    g_autofree uint8_t *before = NULL;
    ScratchDisk disk = {data, DISK_BYTES, G_MAXUINT, 0};
    g_autoptr(BlockBackend) blk = scratch_disk_open(&disk);
    g_autoptr(GError) error = NULL;

    ck_assert(co_make_gpt(blk, &error));
    le64_store(data + DISK_BYTES - 512 + 72, 2);
    mend_headers(data);
    before = g_memdup2(data, DISK_BYTES);
    ck_assert(!co_add_primary(blk, &error));
    ck_assert_str_eq(
        error->message,
        "scratch: the two copies of the GPT overlap: they are not changed");
    ck_assert(!memcmp(data, before, DISK_BYTES));
    g_clear_error(&error);
    ck_assert(co_repair(blk, &error));
    ck_assert(co_add_primary(blk, &error));
}

START_TEST(overlap)
{
    run_in_coroutine(co_test_overlap);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("part");
    TCase *tcase = tcase_create("part");

    tcase_add_loop_test(tcase, every_write_fails, 0, G_N_ELEMENTS(changes));
    tcase_add_test(tcase, extended);
    tcase_add_test(tcase, overlap);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);

    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}
