#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "util/iov.h"

static uint8_t memory[64];

/* 5 + 0 + 1 + 10 bytes, the last two adjacent, in memory. */
static void init_sample(IOVector *v)
{
    for (size_t i = 0; i < sizeof(memory); i++) {
        memory[i] = (uint8_t)(i + 1);
    }
    iovector_init(v, 0);
    iovector_add(v, memory, 5);
    iovector_add(v, memory + 63, 0);
    iovector_add(v, memory + 20, 1);
    iovector_add(v, memory + 21, 10);
}

static const uint8_t sample[16] = { 1,  2,  3,  4,  5,  21, 22, 23,
                                    24, 25, 26, 27, 28, 29, 30, 31 };

START_TEST(adds_up)
{
    g_auto(IOVector) v = { 0 };

    init_sample(&v);
    ck_assert_uint_eq(v.size, 16);
    ck_assert_int_eq(v.niov, 4);
    iovector_reset(&v);
    ck_assert_uint_eq(v.size, 0);
    ck_assert_int_eq(v.niov, 0);
    for (int i = 0; i < 100; i++) {
        iovector_add(&v, memory, 2);
    }
    ck_assert_uint_eq(v.size, 200);
    ck_assert_int_eq(v.niov, 100);
}
END_TEST

START_TEST(copies_every_range)
{
    g_auto(IOVector) v = { 0 };

    init_sample(&v);
    for (size_t offset = 0; offset <= 16; offset++) {
        for (size_t len = 0; len <= 16 - offset; len++) {
            uint8_t out[17], in[16];
            uint8_t before[sizeof(memory)], back[16];

            memset(out, 0xee, sizeof(out));
            iovector_to_buf(&v, offset, out, len);
            ck_assert_mem_eq(out, sample + offset, len);
            ck_assert_uint_eq(out[len], 0xee);

            memcpy(before, memory, sizeof(memory));
            memset(in, 0xaa, sizeof(in));
            iovector_from_buf(&v, offset, in, len);
            iovector_to_buf(&v, 0, back, 16);
            ck_assert_mem_eq(back, sample, offset);
            ck_assert_mem_eq(back + offset, in, len);
            ck_assert_mem_eq(back + offset + len, sample + offset + len, 16 - offset - len);
            memcpy(memory, before, sizeof(memory));

            iovector_memset(&v, offset, 0, len);
            ck_assert(iovector_is_zero(&v, offset, len));
            ck_assert(offset == 0 || !iovector_is_zero(&v, offset - 1, len + 1));
            ck_assert(offset + len == 16 || !iovector_is_zero(&v, offset, len + 1));
            memcpy(memory, before, sizeof(memory));
        }
    }
}
END_TEST

START_TEST(slices_every_range)
{
    g_auto(IOVector) v = { 0 };

    init_sample(&v);
    for (size_t offset = 0; offset <= 16; offset++) {
        for (size_t len = 0; len <= 16 - offset; len++) {
            g_auto(IOVector) slice = { 0 };
            uint8_t out[16];

            iovector_init_slice(&slice, &v, offset, len);
            ck_assert_uint_eq(slice.size, len);
            iovector_to_buf(&slice, 0, out, len);
            ck_assert_mem_eq(out, sample + offset, len);
            iovector_memset(&slice, 0, 0x77, len);
            ck_assert(len == 0 || !iovector_is_zero(&v, offset, len));
            iovector_from_buf(&v, 0, sample, 16);
        }
    }
}
END_TEST

START_TEST(contiguous)
{
    g_auto(IOVector) v = { 0 };
    g_auto(IOVector) flat = { 0 };
    char buf[10] = "123456789";

    init_sample(&v);
    ck_assert_ptr_eq(iovector_contiguous(&v, 1, 4), memory + 1);
    ck_assert_ptr_null(iovector_contiguous(&v, 1, 5));
    ck_assert_ptr_eq(iovector_contiguous(&v, 5, 11), memory + 20);
    ck_assert_ptr_eq(iovector_contiguous(&v, 7, 2), memory + 22);

    iovector_init_buf(&flat, buf, sizeof(buf));
    ck_assert_ptr_eq(flat.iov, &flat.local);
    ck_assert_ptr_eq(iovector_contiguous(&flat, 0, 10), buf);
    ck_assert_ptr_eq(iovector_contiguous(&flat, 9, 1), buf + 9);
    ck_assert(!iovector_is_zero(&flat, 0, 10));
    ck_assert(iovector_is_zero(&flat, 9, 1));
}
END_TEST

START_TEST(out_of_range_aborts)
{
    g_auto(IOVector) v = { 0 };
    uint8_t out[16];

    init_sample(&v);
    iovector_to_buf(&v, 10, out, _i == 0 ? 7 : SIZE_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("iov");
    TCase *tc = tcase_create("iov");
    SRunner *runner;
    int failed;

    tcase_add_test(tc, adds_up);
    tcase_add_test(tc, copies_every_range);
    tcase_add_test(tc, slices_every_range);
    tcase_add_test(tc, contiguous);
    suite_add_tcase(suite, tc);
    runner = srunner_create(suite);
    if (srunner_fork_status(runner) == CK_FORK) {
        tcase_add_loop_test_raise_signal(tc, out_of_range_aborts, SIGABRT, 0, 2);
    }
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
