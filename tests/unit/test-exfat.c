/* exFAT's times, sets of entries, names' hashes, table of upper case and boot sector.
 */
#include <check.h>
#include "fs/exfat/exfat.h"

#define STAMP(year, month, day, hour, minute, second)                                  \
    ((uint32_t)((year)-1980) << 25 | (month) << 21 | (day) << 16 | (hour) << 11 |      \
     (minute) << 5 | (second) / 2)

static void check_time(uint8_t tens_ms, uint8_t zone, int64_t sec, uint32_t nsec)
{
    FsTime t = exfat_time(STAMP(2020, 1, 1, 12, 30, 8), tens_ms, zone);

    ck_assert_int_eq(t.sec, sec);
    ck_assert_uint_eq(t.nsec, nsec);
}

START_TEST(test_times)
{
    const int64_t utc = 1577881808;

    check_time(0, 0, utc, 0);
    check_time(0, 0x04, utc, 0); /* no zone is stated */
    check_time(0, 0x80, utc, 0);
    check_time(157, 0x84, utc - 3600 + 1, 570000000);
    check_time(0, 0x80 | (-20 & 0x7f), utc + 5 * 3600, 0);
    check_time(0, 0x80 | 56, utc - 14 * 3600, 0);
    check_time(0, 0x80 | 0x40, utc + 16 * 3600, 0);
}
END_TEST

/* A file of that name, with so many entries of a vendor behind. */
static void make_set(ExfatSet *set, const char *name, unsigned vendors)
{
    unsigned units = strlen(name), names = (units + 14) / 15;
    ExfatFileEntry file = {.type = EXFAT_ENTRY_FILE,
                           .secondaries = 1 + names + vendors,
                           .attributes = le16_make(EXFAT_ATTR_READ_ONLY),
                           .modified = le32_make(STAMP(2020, 1, 1, 12, 30, 8)),
                           .modified_offset = 0x84};
    ExfatStreamEntry stream = {.type = EXFAT_ENTRY_STREAM,
                               .flags = EXFAT_STREAM_NO_CHAIN,
                               .name_units = units,
                               .written = le64_make(5),
                               .size = le64_make(1000),
                               .cluster = le32_make(7)};

    exfat_set_start(set, (const uint8_t *)&file, 640);
    ck_assert(exfat_set_add(set, (const uint8_t *)&stream));
    for (unsigned i = 0; i < names; i++) {
        ExfatNameEntry entry = {.type = EXFAT_ENTRY_NAME};

        for (unsigned k = 0; k < 15 && i * 15 + k < units; k++) {
            entry.units[k] = le16_make(name[i * 15 + k]);
        }
        ck_assert(exfat_set_add(set, (const uint8_t *)&entry));
    }
    for (unsigned i = 0; i < vendors; i++) {
        uint8_t entry[EXFAT_ENTRY_BYTES] = {0xe0};

        ck_assert(exfat_set_add(set, entry));
    }
}

static void sign(ExfatSet *set)
{
    le16_store(set->entries[0] + 2, exfat_set_checksum(set));
}

static Filesystem fs = {.max_ino = 1000};
static FatState state = {
    .kind = &exfat_kind,
    .fs = &fs,
    .geo = {.cluster_bytes = 4096, .clusters = 100},
};

START_TEST(test_set)
{
    gunichar2 units[EXFAT_NAME_UNITS_MAX];
    g_autofree ExfatSet *set = g_new0(ExfatSet, 1);
    FatFile file;

    make_set(set, "exactly fifteen+1", 2);
    ck_assert_uint_eq(set->count, set->needed);
    sign(set);
    ck_assert(exfat_set_check(&state, set, NULL));
    ck_assert_uint_eq(exfat_set_name(set, units), 17);
    ck_assert_uint_eq(units[0], 'e');
    ck_assert_uint_eq(units[16], '1');
    exfat_set_file(&state, set, &file);
    ck_assert(file.is_read_only && file.is_contiguous && !file.is_dir);
    ck_assert_uint_eq(file.start, 7);
    ck_assert_uint_eq(file.size, 1000);
    ck_assert_uint_eq(file.written, 5);
    ck_assert_int_eq(file.mtime.sec, 1577881808 - 3600);

    /* No more than it needs, and nothing that is no part of a set. */
    ck_assert(!exfat_set_add(set, set->entries[1]));
    set->count--;
    ck_assert(!exfat_set_add(set, set->entries[0]));
}
END_TEST

typedef void (*Damage)(ExfatSet *set);

static void no_stream(ExfatSet *set)
{
    set->entries[1][0] = EXFAT_ENTRY_NAME;
}
static void no_name(ExfatSet *set)
{
    set->entries[1][3] = 0;
}
static void long_name(ExfatSet *set)
{
    set->entries[1][3] = 16;
}
static void not_a_name(ExfatSet *set)
{
    set->entries[2][0] = 0xe0;
}
static void unknown_entry(ExfatSet *set)
{
    set->entries[3][0] = 0xc2;
}
static void too_large(ExfatSet *set)
{
    le64_store(set->entries[1] + 24, 409601);
}
static void too_much_written(ExfatSet *set)
{
    le64_store(set->entries[1] + 8, 1001);
}
static void one_entry(ExfatSet *set)
{
    set->count = set->needed = 2;
}

START_TEST(test_damaged_sets)
{
    static const Damage damages[] = {no_stream,     no_name,   long_name,
                                     not_a_name,    too_large, too_much_written,
                                     unknown_entry, one_entry};
    g_autofree ExfatSet *set = g_new0(ExfatSet, 1);

    make_set(set, "name", 1);
    sign(set);
    ck_assert(exfat_set_check(&state, set, NULL));
    set->entries[2][5] ^= 1;
    ck_assert(!exfat_set_check(&state, set, NULL));
    for (unsigned i = 0; i < G_N_ELEMENTS(damages); i++) {
        make_set(set, "name", 1);
        damages[i](set);
        sign(set);
        ck_assert(!exfat_set_check(&state, set, NULL));
    }

    /* As the rotation says, by hand: of the last bytes, all others being zero. */
    memset(set, 0, sizeof(*set));
    set->count = 1;
    set->entries[0][2] = 0xff;
    set->entries[0][31] = 0x41;
    ck_assert_uint_eq(exfat_set_checksum(set), 0x41);
    set->entries[0][30] = 1;
    ck_assert_uint_eq(exfat_set_checksum(set), 0x8041);
}
END_TEST

START_TEST(test_upcase)
{
    g_autofree gunichar2 *upcase = g_new(gunichar2, EXFAT_UPCASE_UNITS);
    /* 97 are the same, then a to c; 65436 are the same. */
    static const uint8_t table[] = {0xff, 0xff, 97, 0,    'A',  0,    'B',
                                    0,    'C',  0,  0xff, 0xff, 0x9c, 0xff};
    static const gunichar2 name[] = {'a', 'c'}, upper[] = {'A', 'C'};

    ck_assert(exfat_upcase_expand(table, sizeof(table), upcase));
    ck_assert_uint_eq(upcase['a'], 'A');
    ck_assert_uint_eq(upcase['c'], 'C');
    ck_assert_uint_eq(upcase['d'], 'd');
    ck_assert_uint_eq(upcase[0xffff], 0xffff);
    ck_assert_uint_eq(exfat_name_hash(upcase, name, 2),
                      exfat_name_hash(upcase, upper, 2));
    ck_assert_uint_eq(exfat_name_hash(upcase, upper, 1), 0x8020);

    /* One more than there are. */
    uint8_t large[sizeof(table) + 2] = {0};

    memcpy(large, table, sizeof(table));
    ck_assert(!exfat_upcase_expand(large, sizeof(large), upcase));
    large[12] = 0xff;
    ck_assert(!exfat_upcase_expand(large, sizeof(table), upcase));

    static const uint8_t sum[] = {1, 2};
    ck_assert_uint_eq(exfat_upcase_checksum(sum, 2), 0x80000002);
}
END_TEST

START_TEST(test_boot_sector)
{
    ExfatBootSector boot = {.name = {'E', 'X', 'F', 'A', 'T', ' ', ' ', ' '},
                            .volume_sectors = le64_make(10000),
                            .fat_sector = le32_make(24),
                            .fat_sectors = le32_make(10),
                            .heap_sector = le32_make(40),
                            .clusters = le32_make(1245),
                            .root_cluster = le32_make(5),
                            .revision = le16_make(0x100),
                            .sector_shift = 9,
                            .cluster_shift = 3,
                            .fat_count = 1,
                            .signature = le16_make(0xaa55)};
    const ExfatBootSector good = boot;
    const uint8_t *sector = (const uint8_t *)&boot;
    uint32_t root;
    FatLayout geo;

    ck_assert(exfat_parse_boot_sector(sector, &geo, &root));
    ck_assert(geo.is_exfat);
    ck_assert_uint_eq(root, 5);
    ck_assert_uint_eq(geo.cluster_bytes, 4096);
    ck_assert_uint_eq(geo.data_offset, 40 * 512);
    ck_assert_uint_eq(geo.total_bytes, 5120000);

#define REFUSED(field, value)                                                          \
    boot = good;                                                                       \
    boot.field = (value);                                                              \
    ck_assert(!exfat_parse_boot_sector(sector, &geo, &root))
    REFUSED(clusters, le32_make(1246));
    REFUSED(clusters, le32_make(0));
    REFUSED(volume_sectors, le64_make(UINT64_MAX));
    REFUSED(fat_sector, le32_make(23));
    REFUSED(fat_sectors, le32_make(9));
    REFUSED(fat_sectors, le32_make(17));
    REFUSED(heap_sector, le32_make(33));
    REFUSED(heap_sector, le32_make(10001));
    REFUSED(root_cluster, le32_make(1));
    REFUSED(root_cluster, le32_make(1247));
    REFUSED(revision, le16_make(0x200));
    REFUSED(sector_shift, 13);
    REFUSED(sector_shift, 8);
    REFUSED(cluster_shift, 17);
    REFUSED(fat_count, 0);
    REFUSED(fat_count, 3);
    REFUSED(signature, le16_make(0));

    /* What changes while it is mounted is not summed up. */
    boot = good;
    uint32_t sum = exfat_boot_checksum(0, sector, 512, true);
    boot.volume_flags = le16_make(EXFAT_VOLUME_DIRTY);
    boot.percent_in_use = 50;
    ck_assert_uint_eq(exfat_boot_checksum(0, sector, 512, true), sum);
    ck_assert_uint_ne(exfat_boot_checksum(0, sector, 512, false), sum);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("exfat");
    Suite *suite = suite_create("exfat");
    SRunner *runner = srunner_create(suite);

    tcase_add_test(tcase, test_times);
    tcase_add_test(tcase, test_set);
    tcase_add_test(tcase, test_damaged_sets);
    tcase_add_test(tcase, test_upcase);
    tcase_add_test(tcase, test_boot_sector);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);

    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? 1 : 0;
}
