/*
 * An assertion for loops of millions: Check's own ones note where they are each time,
 * which takes longer than most of what is asserted.
 */
#ifndef EMBR_TESTS_LIB_ASSERT_QUICKLY_H
#define EMBR_TESTS_LIB_ASSERT_QUICKLY_H

#include <check.h>

#define ASSERT_QUICKLY(condition)                                                     \
    do {                                                                              \
        if (!(condition)) {                                                           \
            ck_abort_msg("%s", #condition);                                           \
        }                                                                             \
    } while (0)

#endif
