/* FAT's names, times, and entries of its table. */
#include <check.h>
#include "fs/fat/fat.h"

static void check_time(uint16_t date, uint16_t time, uint8_t hundredths, int64_t sec,
                       uint32_t nsec)
{
    FsTime t = fat_time(date, time, hundredths);

    ck_assert_int_eq(t.sec, sec);
    ck_assert_uint_eq(t.nsec, nsec);
}

#define DATE(year, month, day) (((year)-1980) << 9 | (month) << 5 | (day))
#define TIME(hour, minute, second) ((hour) << 11 | (minute) << 5 | (second) / 2)

START_TEST(test_times)
{
    check_time(DATE(1980, 1, 1), 0, 0, 315532800, 0);
    check_time(0, 0, 0, 315532800, 0); /* no such day: the first there is */
    check_time(DATE(1980, 15, 0), 0, 0, 315532800, 0);
    check_time(DATE(1980, 2, 29), TIME(23, 59, 58), 0, 320716798, 0);
    check_time(DATE(2000, 3, 1), 0, 0, 951868800, 0);
    check_time(DATE(2038, 1, 19), TIME(3, 14, 8), 0, INT64_C(2147483648), 0);
    check_time(DATE(2100, 2, 28), TIME(23, 59, 58), 0, INT64_C(4107542398), 0);
    check_time(DATE(2100, 3, 1), 0, 0, INT64_C(4107542400), 0);
    check_time(DATE(2101, 1, 1), 0, 0, INT64_C(4133980800), 0);
    check_time(DATE(2107, 12, 31), TIME(23, 59, 58), 0, INT64_C(4354819198), 0);
    check_time(DATE(2020, 1, 1), 0, 199, 1577836801, 990000000);
}
END_TEST

static void check_short(const char *bytes, uint8_t name_case, const char *expected)
{
    g_autoptr(GString) name = g_string_new("before");
    g_auto(FatCodepage) codepage;
    FatDirEntry entry = {.name_case = name_case};

    ck_assert(fat_codepage_init(&codepage, 437));
    memcpy(entry.name, bytes, sizeof(entry.name));
    fat_short_name(&codepage, &entry, name);
    ck_assert_str_eq(name->str, expected);
}

START_TEST(test_short_names)
{
    check_short("NAME    EXT", 0, "NAME.EXT");
    check_short("NAME    EXT", FAT_CASE_LOWER_BASE, "name.EXT");
    check_short("NAME    EXT", FAT_CASE_LOWER_EXT, "NAME.ext");
    check_short("EIGHTCHR   ", 0, "EIGHTCHR");
    check_short("A B     X Y", 0, "A B.X Y");
    check_short("\x99LW\x8e    TXT", 0, "ÖLWÄ.TXT");
    check_short("\x99L      TXT", FAT_CASE_LOWER_BASE, "öl.TXT");
    check_short("\x05X         ", 0, "σX");            /* stands for 0xe5 */
    check_short("X\x05      \x05  ", 0, "X\x05.\x05"); /* only at the start */
}
END_TEST

START_TEST(test_codepages)
{
    static const uint8_t label[] = "\x9b\xd5 LABEL   ";
    g_auto(FatCodepage) codepage;

    ck_assert(fat_codepage_init(&codepage, 850));
    g_autofree char *text = fat_label(&codepage, label);
    ck_assert_str_eq(text, "øı LABEL");
    ck_assert_ptr_null(fat_label(&codepage, (const uint8_t *)"           "));
    ck_assert(!fat_codepage_init(&codepage, 65535));
    ck_assert(!codepage.is_known);
    for (unsigned i = 0; i < G_N_ELEMENTS(codepage.single); i++) {
        ck_assert_uint_eq(codepage.single[i], i < 0x80 ? i : 0xfffd);
    }
    ck_assert(!fat_codepage_init(&codepage, 37)); /* EBCDIC */
    ck_assert_uint_eq(codepage.single['A'], 'A');
}
END_TEST

START_TEST(test_pairs)
{
    /* The last byte is half of a pair. */
    FatDirEntry entry = {.name_case = FAT_CASE_LOWER_BASE};
    g_autoptr(GString) name = g_string_new(NULL);
    g_auto(FatCodepage) codepage;

    ck_assert(fat_codepage_init(&codepage, 932));
    memcpy(entry.name, "A\x93\xfa\x82\x60\xb1.\x93\xfa  ", 11);
    fat_short_name(&codepage, &entry, name);
    ck_assert_str_eq(name->str, "a日Ａｱ.\uFFFD.\uFFFD");
}
END_TEST

/* The piece of a long name that has its number, and its units from 13 * (number - 1).
 */
static FatLongEntry make_piece(const gunichar2 *units, unsigned count, unsigned number,
                               uint8_t checksum)
{
    FatLongEntry piece = {
        .sequence = number | (number * 13 >= count ? FAT_LONG_LAST : 0),
        .attributes = FAT_ATTR_LONG_NAME,
        .checksum = checksum,
    };
    uint8_t *places[] = {piece.units_0, piece.units_5, piece.units_11};
    static const unsigned sizes[] = {5, 6, 2};
    unsigned at = (number - 1) * 13;

    for (unsigned part = 0; part < 3; part++) {
        for (unsigned i = 0; i < sizes[part]; i++, at++) {
            le16_store(places[part] + 2 * i, at < count    ? units[at]
                                             : at == count ? 0
                                                           : 0xffff);
        }
    }
    return piece;
}

static const FatDirEntry owner = {.name = "SHORTN~1TXT"};

static void add_name(FatLongName *longname, const gunichar2 *units, unsigned count,
                     uint8_t checksum)
{
    for (unsigned number = (count + 12) / 13; number; number--) {
        FatLongEntry piece = make_piece(units, count, number, checksum);

        fat_long_name_add(longname, &piece);
    }
}

static void check_long(const char *utf8)
{
    g_autoptr(GString) name = g_string_new("before");
    FatLongName longname = {0};
    glong count;
    g_autofree gunichar2 *units = g_utf8_to_utf16(utf8, -1, NULL, &count, NULL);

    add_name(&longname, units, count, fat_name_checksum(owner.name));
    ck_assert(fat_long_name_take(&longname, &owner, name));
    ck_assert_str_eq(name->str, utf8);
    ck_assert(!fat_long_name_take(&longname, &owner, name));
}

START_TEST(test_long_names)
{
    g_autofree char *longest = g_strnfill(255, 'n');

    check_long("a");
    check_long("exactly 13 ch");
    check_long("one more than 13");
    check_long("größe Ελ 日本語");
    check_long("pair \xf0\x9f\x98\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
    check_long("pair cut: 12\xf0\x9f\x98\x80"); /* across two pieces */
    check_long(longest);
}
END_TEST

START_TEST(test_half_pairs)
{
    static const gunichar2 units[] = {'a',    0xd83d, 'b',    0xde00,
                                      0xd800, 0xd83d, 0xde00, 0xdbff};
    g_autoptr(GString) name = g_string_new(NULL);
    FatLongName longname = {0};

    add_name(&longname, units, G_N_ELEMENTS(units), fat_name_checksum(owner.name));
    ck_assert(fat_long_name_take(&longname, &owner, name));
    ck_assert_str_eq(name->str,
                     "a\xed\xa0\xbd"
                     "b\xed\xb8\x80\xed\xa0\x80\xf0\x9f\x98\x80\xed\xaf\xbf");
}
END_TEST

START_TEST(test_orphans)
{
    g_autoptr(GString) name = g_string_new(NULL);
    static const gunichar2 units[20] = {'l', 'o', 'n', 'g', 'e', 'r', ' ',
                                        't', 'h', 'a', 'n', ' ', '1', '3',
                                        ' ', 'c', 'h', 'a', 'r', 's'};
    const uint8_t checksum = fat_name_checksum(owner.name);
    FatLongEntry last = make_piece(units, 20, 2, checksum);
    FatLongEntry first = make_piece(units, 20, 1, checksum);
    FatLongEntry other = make_piece(units, 20, 1, checksum + 1);
    FatLongName longname = {0};

    /* The name of another entry. */
    add_name(&longname, units, 20, checksum + 1);
    ck_assert(!fat_long_name_take(&longname, &owner, name));
    /* Without the end, without the start, with a piece of another, out of order. */
    fat_long_name_add(&longname, &first);
    ck_assert(!fat_long_name_take(&longname, &owner, name));
    fat_long_name_add(&longname, &last);
    ck_assert(!fat_long_name_take(&longname, &owner, name));
    fat_long_name_add(&longname, &last);
    fat_long_name_add(&longname, &other);
    ck_assert(!fat_long_name_take(&longname, &owner, name));
    fat_long_name_add(&longname, &first);
    fat_long_name_add(&longname, &last);
    ck_assert(!fat_long_name_take(&longname, &owner, name));
    /* A new start is taken, too many pieces and none are not. */
    fat_long_name_add(&longname, &last);
    fat_long_name_add(&longname, &last);
    fat_long_name_add(&longname, &first);
    ck_assert(fat_long_name_take(&longname, &owner, name));
    ck_assert_str_eq(name->str, "longer than 13 chars");
    last.sequence = FAT_LONG_LAST | 21;
    fat_long_name_add(&longname, &last);
    last.sequence = FAT_LONG_LAST;
    fat_long_name_add(&longname, &last);
    ck_assert(!fat_long_name_take(&longname, &owner, name));
}
END_TEST

START_TEST(test_checksum)
{
    uint8_t name[11];

    /* As the rotation says, by hand. */
    memset(name, 0, sizeof(name));
    name[10] = 0x41;
    ck_assert_uint_eq(fat_name_checksum(name), 0x41);
    name[9] = 1;
    ck_assert_uint_eq(fat_name_checksum(name), 0xc1);
    /* What mtools writes for this name. */
    ck_assert_uint_eq(fat_name_checksum((const uint8_t *)"LONGER~1TXT"), 0x91);
}
END_TEST

START_TEST(test_table_values)
{
    static const uint8_t fat12[] = {0xf8, 0xff, 0xff, 0x03, 0x40,
                                    0xff, 0xf7, 0x0f, 0x00};
    static const uint8_t fat16[] = {0xf8, 0xff, 0xff, 0xff, 0x34, 0x12, 0xf7, 0xff};
    static const uint8_t fat32[] = {0,    0,    0,    0,    0,    0,    0,    0,
                                    0x78, 0x56, 0x34, 0xf2, 0xf8, 0xff, 0xff, 0x0f};

    static const FatLayout of12 = {.bits = 12}, of16 = {.bits = 16},
                           of32 = {.bits = 32},
                           of_exfat = {.bits = 32, .is_exfat = true};

    ck_assert_uint_eq(fat_table_value(&of12, fat12, 2), 0x003);
    ck_assert_uint_eq(fat_table_value(&of12, fat12, 3), 0xff4);
    ck_assert_uint_eq(fat_table_value(&of12, fat12, 4), FAT_VALUE_BAD);
    ck_assert_uint_eq(fat_table_value(&of16, fat16, 2), 0x1234);
    ck_assert_uint_eq(fat_table_value(&of16, fat16, 3), FAT_VALUE_BAD);
    ck_assert_uint_eq(fat_table_value(&of16, fat16, 1), 0xffffffff);
    ck_assert_uint_eq(fat_table_value(&of32, fat32, 2), 0x02345678);
    ck_assert_uint_eq(fat_table_value(&of32, fat32, 3), FAT_VALUE_END);
    ck_assert_uint_eq(fat_table_value(&of_exfat, fat32, 2), 0xf2345678);
    ck_assert_uint_eq(fat_table_value(&of_exfat, fat32, 3), 0x0ffffff8);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("fat");
    Suite *suite = suite_create("fat");
    SRunner *runner = srunner_create(suite);

    tcase_add_test(tcase, test_times);
    tcase_add_test(tcase, test_short_names);
    tcase_add_test(tcase, test_codepages);
    tcase_add_test(tcase, test_pairs);
    tcase_add_test(tcase, test_long_names);
    tcase_add_test(tcase, test_half_pairs);
    tcase_add_test(tcase, test_orphans);
    tcase_add_test(tcase, test_checksum);
    tcase_add_test(tcase, test_table_values);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);

    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed ? 1 : 0;
}
