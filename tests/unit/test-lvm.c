/*
 * LVM's text, names and checksums, and maps of volumes that are not one piece.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/lvm/lvm.h"
#include "tests/lib/run-in-coroutine.h"
#include "util/error.h"

enum { VALUES = 1000 };

static LvmValue *parse(char *text, GError **errp)
{
    unsigned left = VALUES;

    return lvm_text_parse(text, strlen(text), &left, errp);
}

START_TEST(text)
{
    char text[] = "# a comment { \n"
                  "contents = \"Text \\\"Format\\\" \\\\ group\"\t# and this\n"
                  "version=1 negative = -5 big = 9223372036854775807 fraction = 1.5\n"
                  "vg-0.a+b {\n"
                  "  empty {}\n"
                  "  list = [ \"one\" , 2,\n 'three' ] none = []\n"
                  "  \"quoted name\" = 3\n"
                  "}\n";
    g_autoptr(GError) error = NULL;
    g_autoptr(LvmValue) top = parse(text, &error);
    uint64_t n;

    ck_assert_msg(top != NULL, "%s", error ? error->message : "");
    ck_assert_str_eq(lvm_string(top, "contents"), "Text \"Format\" \\ group");
    ck_assert(lvm_number(top, "version", 0, 1, &n) && n == 1);
    ck_assert(!lvm_number(top, "version", 2, 5, &n));
    ck_assert(!lvm_number(top, "negative", 0, 5, &n));
    ck_assert(lvm_number(top, "big", 0, INT64_MAX, &n) && n == INT64_MAX);
    ck_assert(!lvm_number(top, "fraction", 0, 5, &n));
    ck_assert(!lvm_number(top, "contents", 0, 5, &n));
    ck_assert_ptr_null(lvm_string(top, "version"));

    const LvmValue *group = lvm_find(top, "vg-0.a+b", LVM_SECTION);
    const LvmValue *list = lvm_find(group, "list", LVM_LIST);
    ck_assert_ptr_nonnull(group);
    ck_assert_uint_eq(lvm_children(lvm_find(group, "empty", LVM_SECTION)), 0);
    ck_assert_uint_eq(lvm_children(list), 3);
    ck_assert_int_eq(lvm_child(list, 1)->number, 2);
    ck_assert(lvm_list_has(group, "list", "three"));
    ck_assert(!lvm_list_has(group, "list", "four"));
    ck_assert(!lvm_list_has(group, "none", "one"));
    ck_assert(lvm_number(group, "quoted name", 0, 5, &n) && n == 3);
    ck_assert_ptr_null(lvm_find(NULL, "list", LVM_LIST));
}
END_TEST

static const struct {
    const char *text, *error;
} bad_texts[] = {
    {"a", "byte 1 of the text: it ends, expected '='"},
    {"a =", "byte 3 of the text: found 0x00, expected a name"},
    {"a = \"b", "byte 6 of the text: a string does not end"},
    {"a = \"b\\", "a string does not end"},
    {"a = [ 1, 2", "it ends, expected ']'"},
    {"a = [ 1 2 ]", "byte 8 of the text: found 0x32, expected ']'"},
    {"a = [ [ 1 ] ]", "found 0x5b, expected a name"},
    {"a { b = 1", "a section does not end"},
    {"a = 1 }", "found 0x7d, expected a name"},
    {"a { { } }", "found 0x7b, expected a name"},
    {"a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{", "sections in more than 16 others"},
};

START_TEST(text_errors)
{
    g_autofree char *text = g_strdup(bad_texts[_i].text);
    g_autoptr(GError) error = NULL;

    ck_assert_ptr_null(parse(text, &error));
    ck_assert_msg(strstr(error->message, bad_texts[_i].error), "%s", error->message);
}
END_TEST

START_TEST(too_many_values)
{
    g_autoptr(GString) text = g_string_new("a = [ 1");
    g_autoptr(GError) error = NULL;

    for (unsigned i = 0; i < VALUES; i++) {
        g_string_append(text, ",1");
    }
    g_string_append_c(text, ']');
    ck_assert_ptr_null(parse(text->str, &error));
    ck_assert_msg(strstr(error->message, "too many values"), "%s", error->message);
}
END_TEST

START_TEST(names)
{
    static const char *const good[] = {"a", "A-b", "..a", "_", "1.2+3", "p3"};
    static const char *const bad[] = {"",    ".",   "..", "-a",      "a/b",
                                      "a b", "a\n", "@",  "\xc3\xa4"};
    g_autofree char *longest = g_strnfill(127, 'x'), *longer = g_strnfill(128, 'x');
    char uuid[LVM_UUID_CHARS + 1];

    for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
        ck_assert_msg(lvm_is_name(good[i]), "%s", good[i]);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        ck_assert_msg(!lvm_is_name(bad[i]), "%s", bad[i]);
    }
    ck_assert(lvm_is_name(longest) && !lvm_is_name(longer) && !lvm_is_name(NULL));

    const char *text = "2Dqr5v-BjEn-9LVe-SNe7-7iyy-ItCX-JnMMKx";
    ck_assert(lvm_uuid_from_text(text, uuid));
    g_autofree char *again = lvm_uuid_to_text(uuid);
    ck_assert_str_eq(again, text);
    ck_assert(!lvm_uuid_from_text(NULL, uuid));
    ck_assert(!lvm_uuid_from_text("2Dqr5v-BjEn-9LVe-SNe7-7iyy-ItCX-JnMMK", uuid));
    ck_assert(!lvm_uuid_from_text("2Dqr5v-BjEn-9LVe-SNe7-7iyy-ItCX-JnMMKxx", uuid));
    ck_assert(!lvm_uuid_from_text("2Dqr5v-BjEn-9LVe-SNe7-7iyy-ItCX-JnMM/x", uuid));
}
END_TEST

/* Every byte of a map, found forwards, is what its area finds backwards. */
START_TEST(map_and_back)
{
    static const uint64_t one[] = {5000}, three[] = {100, 9000, 2000},
                          two[] = {20000, 30000};
    g_autoptr(DiskMap) map = disk_map_new();
    uint8_t mapped[400] = {0};
    unsigned zeroes = 0, errors = 0;

    ck_assert(disk_map_add(map, DISK_MAP_DATA, 50, 7, one, 1));
    ck_assert(disk_map_add(map, DISK_MAP_DATA, 120, 10, three, 3));
    ck_assert(disk_map_add(map, DISK_MAP_ZERO, 13, 0, NULL, 0));
    ck_assert(disk_map_add(map, DISK_MAP_ERROR, 17, 0, NULL, 0));
    ck_assert(disk_map_add(map, DISK_MAP_DATA, 200, 100, two, 2));
    ck_assert(!disk_map_add(map, DISK_MAP_DATA, 121, 10, three, 3));
    ck_assert(!disk_map_add(map, DISK_MAP_DATA, 126, 10, three, 3));
    ck_assert(!disk_map_add(map, DISK_MAP_DATA, 0, 10, three, 3));
    ck_assert(!disk_map_add(map, DISK_MAP_ZERO, INT64_MAX, 0, NULL, 0));
    ck_assert_uint_eq(disk_map_length(map), 400);
    ck_assert_uint_eq(disk_map_areas(map), 6);
    for (unsigned i = 0; i < 6; i++) {
        DiskMapArea area = disk_map_area(map, i);

        for (uint64_t pos = 0; pos < area.length;) {
            uint64_t left, disk_offset, at = disk_map_area_find(&area, pos, &left);
            DiskMapKind kind;

            ck_assert_uint_eq(disk_map_find(map, at, 1, &kind, &disk_offset), 1);
            ck_assert_int_eq(kind, DISK_MAP_DATA);
            ck_assert_uint_eq(disk_offset, area.disk_offset + pos);
            ck_assert_uint_eq(disk_map_find(map, at, 400 - at, &kind, &disk_offset),
                              left);
            for (uint64_t k = 0; k < left; k++) {
                mapped[at + k]++;
            }
            pos += left;
        }
    }
    for (unsigned i = 0; i < 400; i++) {
        uint64_t disk_offset;
        DiskMapKind kind;

        disk_map_find(map, i, 1, &kind, &disk_offset);
        zeroes += kind == DISK_MAP_ZERO;
        errors += kind == DISK_MAP_ERROR;
        ck_assert_uint_eq(mapped[i], kind == DISK_MAP_DATA);
    }
    ck_assert_uint_eq(zeroes, 13);
    ck_assert_uint_eq(errors, 17);
}
END_TEST

enum { DISK_BYTES = 1000, MAPPED_BYTES = 400 };

/* What is mapped is read as the map says, in any pieces; what is not on the disk is
 * not. */
static void coroutine_fn co_test_node(void)
{
    static const uint64_t three[] = {100, 700, 300}, past[] = {DISK_BYTES - 10};
    uint8_t disk_bytes[DISK_BYTES], expected[MAPPED_BYTES], found[MAPPED_BYTES];
    g_autoptr(DiskMap) map = disk_map_new();
    int64_t n, place;
    BlockDriverState *file;

    for (unsigned i = 0; i < DISK_BYTES; i++) {
        disk_bytes[i] = i ^ i >> 8;
    }
    g_autoptr(GBytes) bytes = g_bytes_new(disk_bytes, DISK_BYTES);
    g_autoptr(BlockDriverState) disk = bdrv_new_memory(bytes, "disk");
    ck_assert(disk_map_add(map, DISK_MAP_DATA, 300, 20, three, 3));
    ck_assert(disk_map_add(map, DISK_MAP_ZERO, 50, 0, NULL, 0));
    ck_assert(disk_map_add(map, DISK_MAP_ERROR, 30, 0, NULL, 0));
    ck_assert(disk_map_add(map, DISK_MAP_DATA, 20, 0, past, 1));
    g_autoptr(BlockDriverState) bs = bdrv_new_mapped(disk, 5, map, "pieces");
    ck_assert_int_eq(bdrv_length(bs), MAPPED_BYTES);
    ck_assert(bdrv_is_read_only(bs));
    memset(expected, 0, sizeof(expected));
    for (unsigned i = 0; i < 300; i++) {
        expected[i] = disk_bytes[5 + three[i / 20 % 3] + i / 60 * 20 + i % 20];
    }
    for (unsigned start = 0; start < 350; start += 7) {
        for (unsigned length = 1; start + length <= 350; length += 13) {
            ck_assert_int_eq(bdrv_co_pread(bs, start, length, found, BDRV_REQ_NONE), 0);
            ck_assert(!memcmp(found, expected + start, length));
        }
    }
    ck_assert_int_eq(bdrv_co_pread(bs, 340, 20, found, BDRV_REQ_NONE), -EIO);
    g_autoptr(GError) error = bdrv_take_error(bs);
    ck_assert_str_eq(error->message, "pieces: offset 0x15e is not on the disk");
    ck_assert_int_eq(bdrv_co_pread(bs, 385, 10, found, BDRV_REQ_NONE), -EIO);

    int status = bdrv_co_block_status(bs, 25, 100, &n, &place, &file);
    ck_assert((status & BDRV_BLOCK_DATA) && (status & BDRV_BLOCK_OFFSET_VALID));
    ck_assert_int_eq(n, 15);
    ck_assert_int_eq(place, 5 + 700 + 5);
    ck_assert_ptr_eq(file, disk);
    status = bdrv_co_block_status(bs, 310, 100, &n, &place, &file);
    ck_assert(status & BDRV_BLOCK_ZERO);
    ck_assert_int_eq(n, 40);
}

START_TEST(node)
{
    run_in_coroutine(co_test_node);
}
END_TEST

/* That of a text in two pieces goes on from the first one's. */
START_TEST(checksum)
{
    ck_assert_uint_eq(lvm_crc(LVM_CRC_INITIAL, "", 0), LVM_CRC_INITIAL);
    ck_assert_uint_eq(lvm_crc(lvm_crc(LVM_CRC_INITIAL, "LABEL", 5), "ONE", 3),
                      lvm_crc(LVM_CRC_INITIAL, "LABELONE", 8));
}
END_TEST

/* A volume group of two physical volumes of which one is there. */
static char group_text[] =
    "logical_volumes {\n"
    "linear { segment1 { start_extent = 0 extent_count = 2 type = \"striped\"\n"
    "    stripe_count = 1 stripes = [ \"pv0\", 1 ] }\n"
    "  segment2 { start_extent = 2 extent_count = 1 type = \"striped\"\n"
    "    stripe_count = 1 stripes = [ \"pv0\", 9 ] } }\n"
    "unsorted { segment2 { start_extent = 1 extent_count = 1 type = \"zero\" }\n"
    "  segment1 { start_extent = 0 extent_count = 1 type = \"error\" } }\n"
    "mixed { segment1 { start_extent = 0 extent_count = 2 type = \"striped\"\n"
    "    stripe_count = 2 stripe_size = 1 stripes = [ \"pv0\", 1, \"pv0\", 5 ] }\n"
    "  segment2 { start_extent = 2 extent_count = 1 type = \"zero\" } }\n"
    "gap { segment1 { start_extent = 1 extent_count = 1 type = \"zero\" } }\n"
    "none { id = \"x\" }\n"
    "gone { segment1 { start_extent = 0 extent_count = 1 type = \"striped\"\n"
    "    stripe_count = 1 stripes = [ \"pv1\", 0 ] } }\n"
    "past { segment1 { start_extent = 0 extent_count = 2 type = \"striped\"\n"
    "    stripe_count = 1 stripes = [ \"pv0\", 9 ] } }\n"
    "minus { segment1 { start_extent = 0 extent_count = 2 type = \"striped\"\n"
    "    stripe_count = 1 stripes = [ \"pv0\", -1 ] } }\n"
    "odd { segment1 { start_extent = 0 extent_count = 2 type = \"striped\"\n"
    "    stripe_count = 2 stripe_size = 3 stripes = [ \"pv0\", 1, \"pv0\", 5 ] } }\n"
    "few { segment1 { start_extent = 0 extent_count = 2 type = \"striped\"\n"
    "    stripe_count = 2 stripe_size = 1 stripes = [ \"pv0\", 1 ] } }\n"
    "sizeless { segment1 { start_extent = 0 extent_count = 2 type = \"striped\"\n"
    "    stripe_count = 2 stripes = [ \"pv0\", 1, \"pv0\", 5 ] } }\n"
    "thin { segment1 { start_extent = 0 extent_count = 2 type = \"thin\" } }\n"
    "flagged { segment1 { start_extent = 0 extent_count = 2 type = \"striped+NEW\"\n"
    "    stripe_count = 1 stripes = [ \"pv0\", 1 ] } }\n"
    "}\n";

static bool find_pv(const char *name, uint64_t *offset, uint64_t *size, void *opaque,
                    GError **errp)
{
    if (strcmp(name, "pv0") != 0) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT, "is on %s", name);
        return false;
    }
    *offset = 1 << 20;
    *size = 10 * 1024;
    return true;
}

static const struct {
    const char *name, *type;
    const char
        *result; /* offset:length of pieces, '-': zeroes, '!': errors; or why not */
} volumes[] = {
    {"linear", "linear", "1049600:2048 1057792:1024 "},
    {"unsorted", "error", "!:1024 -:1024 "},
    {"mixed", "striped", "1049600:512 1053696:512 1050112:512 1054208:512 -:1024 "},
    {"gap", "zero", "has segments that do not follow each other"},
    {"none", "unknown", "has no segments"},
    {"gone", "linear", "is on pv1"},
    {"past", "linear",
     "has extents from 9 on, 2048 bytes, past the end of physical volume 'pv0'"},
    {"minus", "linear",
     "has extents from -1 on, 2048 bytes, past the end of physical volume 'pv0'"},
    {"odd", "striped",
     "has a segment of 2048 bytes in 2 stripes of 3 sectors, which does not come out "
     "even"},
    {"few", "striped", "has a segment whose stripes are not complete"},
    {"sizeless", "striped", "has a segment of 2 stripes that have no size"},
    {"thin", "thin", "has segments of type 'thin', which this version cannot read"},
    {"flagged", "striped+NEW",
     "has segments of type 'striped+NEW', which this version cannot read"},
};

START_TEST(mapping)
{
    g_autofree char *text = g_strdup(group_text);
    g_autoptr(GError) error = NULL;
    g_autoptr(LvmValue) top = parse(text, &error);
    LvmGroup group = {.section = top, .extent_bytes = 1024};

    ck_assert_msg(top != NULL, "%s", error ? error->message : "");
    const LvmValue *lv = lvm_find(lvm_find(top, "logical_volumes", LVM_SECTION),
                                  volumes[_i].name, LVM_SECTION);
    g_autofree char *type = lvm_volume_type(lv);
    g_autoptr(DiskMap) map = lvm_map_volume(&group, lv, find_pv, NULL, &error);
    g_autoptr(GString) found = g_string_new(error ? error->message : "");

    for (uint64_t at = 0; map && at < disk_map_length(map);) {
        uint64_t disk_offset;
        DiskMapKind kind;
        uint64_t n =
            disk_map_find(map, at, disk_map_length(map) - at, &kind, &disk_offset);

        if (kind == DISK_MAP_DATA) {
            g_string_append_printf(found, "%" PRIu64, disk_offset);
        } else {
            g_string_append_c(found, kind == DISK_MAP_ZERO ? '-' : '!');
        }
        g_string_append_printf(found, ":%" PRIu64 " ", n);
        at += n;
    }
    ck_assert_str_eq(type, volumes[_i].type);
    ck_assert_str_eq(found->str, volumes[_i].result);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lvm");
    TCase *tcase = tcase_create("lvm");

    tcase_add_test(tcase, text);
    tcase_add_loop_test(tcase, text_errors, 0, G_N_ELEMENTS(bad_texts));
    tcase_add_test(tcase, too_many_values);
    tcase_add_test(tcase, names);
    tcase_add_test(tcase, map_and_back);
    tcase_add_test(tcase, node);
    tcase_add_test(tcase, checksum);
    tcase_add_loop_test(tcase, mapping, 0, G_N_ELEMENTS(volumes));
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);

    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}
