/* For the fuzzers of partition tables. */
#ifndef EMBR_TESTS_FUZZ_TRY_VOLUMES_H
#define EMBR_TESTS_FUZZ_TRY_VOLUMES_H

#include <stddef.h>
#include <stdint.h>

/* Opens the table of the disk whose bytes these are and checks what was made of it. */
void try_volumes(const uint8_t *data, size_t size);

#endif
