/* What these tests use of libcheck, where there is none for the processor. */
#ifndef HYPERVEC_TESTS_PLAIN_CHECK_H
#define HYPERVEC_TESTS_PLAIN_CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct TTest {
    const char *name;
    void (*run)(void);
} TTest;

#define START_TEST(test)                                                               \
    static void test##_run(void);                                                      \
    static const TTest test##_test = {#test, test##_run};                              \
    static const TTest *const test = &test##_test;                                     \
    static void test##_run(void)
#define END_TEST

#define ck_assert_msg(condition, ...)                                                  \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);            \
            fprintf(stderr, __VA_ARGS__);                                              \
            fprintf(stderr, "\n");                                                     \
            exit(1);                                                                   \
        }                                                                              \
    } while (0)
#define ck_assert(condition) ck_assert_msg(condition, "is false")
#define ck_assert_ptr_eq(a, b) ck_assert((a) == (b))
#define ck_assert_str_eq(a, b) ck_assert(strcmp(a, b) == 0)
#define ck_assert_mem_eq(a, b, len) ck_assert(memcmp(a, b, len) == 0)
#define ck_assert_int_eq(a, b) ck_assert((intmax_t)(a) == (intmax_t)(b))
#define ck_assert_int_le(a, b) ck_assert((intmax_t)(a) <= (intmax_t)(b))
#define ck_assert_uint_eq(a, b) ck_assert((uintmax_t)(a) == (uintmax_t)(b))
#define ck_assert_uint_ge(a, b) ck_assert((uintmax_t)(a) >= (uintmax_t)(b))
#define ck_assert_uint_gt(a, b) ck_assert((uintmax_t)(a) > (uintmax_t)(b))
#define ck_assert_uint_le(a, b) ck_assert((uintmax_t)(a) <= (uintmax_t)(b))
#define ck_assert_uint_lt(a, b) ck_assert((uintmax_t)(a) < (uintmax_t)(b))
#define ck_assert_double_eq(a, b) ck_assert((double)(a) == (double)(b))
#define ck_assert_double_gt(a, b) ck_assert((double)(a) > (double)(b))
#define ck_assert_double_lt(a, b) ck_assert((double)(a) < (double)(b))

#endif
