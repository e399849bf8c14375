/* For the fuzzers of filesystems whose inode numbers say where a file's entry is. */
#ifndef EMBR_TESTS_FUZZ_TRY_WALK_H
#define EMBR_TESTS_FUZZ_TRY_WALK_H

#include <stddef.h>
#include <stdint.h>

/* Opens the image whose bytes these are, if a driver whose name begins so knows it, walks
 * through it, and reads of what it finds, up to a bound. */
void try_walk(const uint8_t *data, size_t size, const char *driver);

#endif
