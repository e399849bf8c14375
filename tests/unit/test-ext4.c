/* ext4's checksums, times, access control lists, hashes of names. */
#include <check.h>
#include "fs/ext4/ext4.h"

START_TEST(test_checksums)
{
    static const char digits[] = "123456789";
    const size_t len = sizeof(digits) - 1;

    /* The check values of CRC-32C, CRC-16/ARC and CRC-32/BZIP2. */
    ck_assert_uint_eq(~ext4_crc32c(UINT32_MAX, digits, len), 0xe3069283);
    ck_assert_uint_eq(ext4_crc16(0, digits, len), 0xbb3d);
    ck_assert_uint_eq(~ext4_crc32_be(UINT32_MAX, digits, len), 0xfc891918);
    /* In pieces. */
    ck_assert_uint_eq(
        ~ext4_crc32_be(ext4_crc32_be(UINT32_MAX, digits, 4), digits + 4, len - 4),
        0xfc891918);
    ck_assert_uint_eq(ext4_crc16(ext4_crc16(0, digits, 5), digits + 5, len - 5),
                      0xbb3d);
}
END_TEST

static void check_time(uint32_t seconds, uint32_t extra, int64_t sec, uint32_t nsec)
{
    FsTime time = ext4_time(seconds, true, extra);

    ck_assert_int_eq(time.sec, sec);
    ck_assert_uint_eq(time.nsec, nsec);
}

START_TEST(test_times)
{
    check_time(0, 0, 0, 0);
    check_time(0x7fffffff, 999999999u << 2, INT32_MAX, 999999999);
    check_time(0x80000000, 0, INT32_MIN, 0);
    check_time(0xffffffff, 0, -1, 0);
    check_time(0x80000000, 1, INT64_C(0x80000000), 0);
    check_time(0xffffffff, 1, INT64_C(0xffffffff), 0);
    check_time(0, 1, INT64_C(0x100000000), 0);
    check_time(0x7fffffff, 3, INT64_C(0x37fffffff), 0); /* the last: in 2446 */
    check_time(0, 0xfffffffc, 0, 999999999);            /* no such nanosecond */
    ck_assert_int_eq(ext4_time(0xffffffff, false, 0).sec, -1);
    ck_assert_int_eq(ext4_time(0x80000000, false, 1).sec, INT32_MIN);
}
END_TEST

START_TEST(test_acl)
{
    static const uint8_t disk[] = {
        1,    0, 0, 0,                /* version */
        1,    0, 7, 0,                /* the owner */
        2,    0, 5, 0, 0xe8, 3, 0, 0, /* user 1000 */
        4,    0, 4, 0,                /* the group */
        8,    0, 1, 0, 50,   0, 0, 0, /* group 50 */
        0x10, 0, 5, 0, 0x20, 0, 0, 0, /* mask, others */
    };
    static const uint8_t expected[] = {
        2,    0,    0,    0,    1,    0,    7,  0, 0xff, 0xff, 0xff, 0xff, 2,
        0,    5,    0,    0xe8, 3,    0,    0,  4, 0,    4,    0,    0xff, 0xff,
        0xff, 0xff, 8,    0,    1,    0,    50, 0, 0,    0,    0x10, 0,    5,
        0,    0xff, 0xff, 0xff, 0xff, 0x20, 0,  0, 0,    0xff, 0xff, 0xff, 0xff,
    };
    static const uint8_t other_version[] = {2, 0, 0, 0, 1, 0, 7, 0};
    static const uint8_t unknown_tag[] = {1, 0, 0, 0, 3, 0, 7, 0};
    g_autoptr(GBytes) acl = ext4_acl_to_xattr(disk, sizeof(disk));
    g_autoptr(GBytes) empty = ext4_acl_to_xattr(disk, 4);
    gsize len;
    const uint8_t *data = g_bytes_get_data(acl, &len);

    ck_assert_uint_eq(len, sizeof(expected));
    ck_assert_mem_eq(data, expected, len);
    ck_assert_uint_eq(g_bytes_get_size(empty), 4);
    for (size_t cut = 0; cut < sizeof(disk); cut++) {
        g_autoptr(GBytes) part = ext4_acl_to_xattr(disk, cut);

        /* Only whole entries are a list. */
        ck_assert_int_eq(part != NULL, cut == 4 || cut == 8 || cut == 16 || cut == 20 ||
                                           cut == 28 || cut == 32);
    }
    ck_assert_ptr_null(ext4_acl_to_xattr(other_version, sizeof(other_version)));
    ck_assert_ptr_null(ext4_acl_to_xattr(unknown_tag, sizeof(unknown_tag)));
}
END_TEST

typedef struct HashCase {
    const char *name;
    uint8_t version;
    bool seeded;
    uint32_t major, minor;
} HashCase;

/* As debugfs's dx_hash says; the seed is 12345678-9abc-def0-1234-56789abcdef0. */
static const HashCase hash_cases[] = {
    {"a", 1, true, 0xbd1a2d4e, 0x61fcca57},
    {"a", 1, false, 0xd5fa7d7a, 0xacb48187},
    {"file", 1, true, 0x7a7bef4a, 0xe0bf8667},
    {"hello.txt", 1, true, 0x03997874, 0x769d208c},
    {"a-very-long-name-of-more-than-32-bytes-so-that-it-takes-two-rounds", 1, true,
     0x2079fdb2, 0x1ad80750},
    {"größe", 1, false, 0xa759a98e, 0x352b69b2},
    {"a", 2, true, 0x42e8f46e, 0x0764c42f},
    {"file", 2, false, 0x53fcf74e, 0x15e4b547},
    {"a-very-long-name-of-more-than-32-bytes-so-that-it-takes-two-rounds", 2, true,
     0x626be9ba, 0x54f6f414},
    {"größe", 2, false, 0xcc8fd112, 0x6625f082},
    {"hello.txt", 0, true, 0x65a05776, 0},
    {"größe", 0, false, 0x9d040690, 0},
    /* Unsigned ones are the same where there are only ASCII characters. */
    {"file", 4, true, 0x7a7bef4a, 0xe0bf8667},
    {"a", 5, true, 0x42e8f46e, 0x0764c42f},
    {"hello.txt", 3, false, 0x65a05776, 0},
};

START_TEST(test_hashes)
{
    const HashCase *c = &hash_cases[_i];
    static const uint8_t seed[16] = {0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0,
                                     0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0};
    Ext4Geometry geo = {0};
    Ext4Hash hash;

    for (unsigned i = 0; c->seeded && i < 4; i++) {
        geo.hash_seed[i] = le32_load(seed + i * 4);
    }
    ck_assert(ext4_dirhash(&geo, c->version, c->name, strlen(c->name), &hash));
    ck_assert_uint_eq(hash.major, c->major);
    ck_assert_uint_eq(hash.minor, c->minor);
    ck_assert(!ext4_dirhash(&geo, 6, c->name, 1, &hash));
}
END_TEST

START_TEST(test_hash_versions)
{
    Ext4Geometry geo = {0};

    ck_assert_uint_eq(ext4_hash_version(&geo, 1), 1);
    geo.hash_unsigned = true;
    ck_assert_uint_eq(ext4_hash_version(&geo, 1), 4);
    ck_assert_uint_eq(ext4_hash_version(&geo, 5), 5);
}
END_TEST

START_TEST(test_nokey_names)
{
    const Ext4Hash hash = {0x03020100, 0x07060504};
    uint8_t cipher[255];
    char out[EXT4_NOKEY_NAME_MAX];

    for (size_t i = 0; i < sizeof(cipher); i++) {
        cipher[i] = i + 8;
    }
    ck_assert_uint_eq(ext4_nokey_name(&hash, cipher, 1, out), 12);
    ck_assert_str_eq(out, "AAECAwQFBgcI");
    ck_assert_uint_eq(
        ext4_nokey_name(&hash, (const uint8_t *)"\xff\xff\xff\xff", 4, out), 16);
    ck_assert_str_eq(out, "AAECAwQFBgf_____");
    ck_assert_uint_eq(ext4_nokey_name(&hash, (const uint8_t *)"\xf8\xff", 2, out), 14);
    ck_assert_str_eq(out, "AAECAwQFBgf4_w");
    ck_assert_uint_eq(ext4_nokey_name(&hash, cipher, 149, out), (149 + 8) * 4 / 3 + 1);
    ck_assert_uint_eq(ext4_nokey_name(&hash, cipher, 150, out), 189 * 4 / 3);
    ck_assert_uint_eq(ext4_nokey_name(&hash, cipher, 255, out), 189 * 4 / 3);
}
END_TEST

START_TEST(test_backup_groups)
{
    Ext4Geometry geo = {.ro_compat = EXT4_RO_SPARSE_SUPER};
    static const unsigned with[] = {0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343};
    unsigned next = 0;

    for (unsigned group = 0; group <= 343; group++) {
        bool expected = group == with[next];

        ck_assert_int_eq(ext4_group_has_super(&geo, group), expected);
        next += expected;
    }
    geo.compat = EXT4_COMPAT_SPARSE_SUPER2;
    geo.backup_groups[0] = 1;
    geo.backup_groups[1] = 10;
    ck_assert(ext4_group_has_super(&geo, 0));
    ck_assert(ext4_group_has_super(&geo, 10));
    ck_assert(!ext4_group_has_super(&geo, 3));
    geo = (Ext4Geometry){0};
    ck_assert(ext4_group_has_super(&geo, 2));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ext4");
    TCase *tcase = tcase_create("ext4");

    tcase_add_test(tcase, test_checksums);
    tcase_add_test(tcase, test_times);
    tcase_add_test(tcase, test_acl);
    tcase_add_loop_test(tcase, test_hashes, 0, G_N_ELEMENTS(hash_cases));
    tcase_add_test(tcase, test_hash_versions);
    tcase_add_test(tcase, test_nokey_names);
    tcase_add_test(tcase, test_backup_groups);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);

    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}
