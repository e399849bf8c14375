/* For the fuzzers of filesystems. */
#ifndef EMBR_TESTS_FUZZ_TRY_FILESYSTEM_H
#define EMBR_TESTS_FUZZ_TRY_FILESYSTEM_H

#include <stddef.h>
#include <stdint.h>

/* Opens the image whose bytes these are, if a driver whose name begins so knows it, and
 * looks at the inodes that follow the root's and at those that directories lead to, up to
 * a bound. */
void try_filesystem(const uint8_t *data, size_t size, const char *driver);

#endif
