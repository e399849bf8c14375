#include <check.h>
#include <stdlib.h>

#include "util/byte-reader.h"

static const uint8_t bytes[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09,
                                 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11 };

START_TEST(endian_types)
{
    le32_t le = { { 1, 2, 3, 4 } };
    be32_t be = { { 1, 2, 3, 4 } };
    uint8_t out[9] = { 0 };

    ck_assert_uint_eq(le32_get(le), 0x04030201);
    ck_assert_uint_eq(be32_get(be), 0x01020304);
    ck_assert_uint_eq(le32_get(le32_make(0xfedcba98)), 0xfedcba98);
    ck_assert_uint_eq(be64_get(be64_make(UINT64_MAX - 1)), UINT64_MAX - 1);
    ck_assert_uint_eq(be16_make(0x1234).bytes[0], 0x12);
    ck_assert_uint_eq(le16_make(0x1234).bytes[0], 0x34);
    ck_assert_uint_eq(le64_load(bytes + 1), UINT64_C(0x0908070605040302));
    ck_assert_uint_eq(be64_load(bytes + 1), UINT64_C(0x0203040506070809));
    ck_assert_uint_eq(le16_load(bytes + 3), 0x0504);
    ck_assert_uint_eq(be16_load(bytes + 3), 0x0405);
    be64_store(out + 1, UINT64_C(0x0203040506070809));
    ck_assert_mem_eq(out + 1, bytes + 1, 8);
    le32_store(out + 1, 0x05040302);
    ck_assert_mem_eq(out + 1, bytes + 1, 4);
    ck_assert_uint_eq(_Alignof(le64_t), 1);
}
END_TEST

START_TEST(reads_everything)
{
    ByteReader r;

    byte_reader_init(&r, bytes, sizeof(bytes));
    ck_assert_uint_eq(byte_reader_u8(&r), 0x01);
    ck_assert_uint_eq(byte_reader_le16(&r), 0x0302);
    ck_assert_uint_eq(byte_reader_be16(&r), 0x0405);
    ck_assert_uint_eq(byte_reader_le32(&r), 0x09080706);
    ck_assert_uint_eq(byte_reader_left(&r), 8);
    ck_assert_uint_eq(byte_reader_be64(&r), UINT64_C(0x0a0b0c0d0e0f1011));
    ck_assert_uint_eq(byte_reader_left(&r), 0);
    ck_assert(!r.bad);
    /* The end may be asked for nothing. */
    ck_assert_ptr_nonnull(byte_reader_take(&r, 0));
    ck_assert(!r.bad);

    ck_assert(byte_reader_seek(&r, 9));
    ck_assert_uint_eq(byte_reader_le64(&r), UINT64_C(0x11100f0e0d0c0b0a));
    ck_assert(byte_reader_seek(&r, 4));
    ck_assert_uint_eq(byte_reader_be32(&r), 0x05060708);
}
END_TEST

START_TEST(stays_bad)
{
    ByteReader r;

    byte_reader_init(&r, bytes, 7);
    ck_assert_uint_eq(byte_reader_le32(&r), 0x04030201);
    ck_assert_uint_eq(byte_reader_be32(&r), 0);
    ck_assert(r.bad);
    ck_assert_uint_eq(byte_reader_left(&r), 0);
    /* There would be room for one. */
    ck_assert_uint_eq(byte_reader_u8(&r), 0);
    ck_assert_ptr_null(byte_reader_take(&r, 0));
    ck_assert(!byte_reader_seek(&r, 0));
    ck_assert(r.bad);
}
END_TEST

START_TEST(huge_lengths)
{
    ByteReader r;

    byte_reader_init(&r, bytes, sizeof(bytes));
    byte_reader_take(&r, 3);
    ck_assert_ptr_null(byte_reader_take(&r, SIZE_MAX));
    byte_reader_init(&r, bytes, sizeof(bytes));
    byte_reader_take(&r, 3);
    ck_assert_ptr_null(byte_reader_take(&r, SIZE_MAX - 2));
    byte_reader_init(&r, bytes, sizeof(bytes));
    ck_assert(!byte_reader_seek(&r, sizeof(bytes) + 1));
    ck_assert(r.bad);
    byte_reader_init(&r, bytes, sizeof(bytes));
    ck_assert(byte_reader_seek(&r, sizeof(bytes)));
    ck_assert_uint_eq(byte_reader_le16(&r), 0);
    ck_assert(r.bad);
}
END_TEST

START_TEST(nothing_to_read)
{
    ByteReader r;

    byte_reader_init(&r, NULL, 0);
    ck_assert_uint_eq(byte_reader_left(&r), 0);
    ck_assert(!r.bad);
    ck_assert_uint_eq(byte_reader_be64(&r), 0);
    ck_assert(r.bad);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("byte-reader");
    TCase *tc = tcase_create("byte-reader");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, endian_types);
    tcase_add_test(tc, reads_everything);
    tcase_add_test(tc, stays_bad);
    tcase_add_test(tc, huge_lengths);
    tcase_add_test(tc, nothing_to_read);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
