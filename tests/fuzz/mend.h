/*
 * Gives damaged disks the checksums back that would hide what else is wrong with them.
 */
#ifndef EMBR_TESTS_FUZZ_MEND_H
#define EMBR_TESTS_FUZZ_MEND_H

#include <stddef.h>
#include <stdint.h>

/* Of all headers of GUID partition tables, and of their entries. */
void mend_gpt(uint8_t *data, size_t size);
/* Of all fast commits in journals of 1 KiB blocks. */
void mend_fast_commits(uint8_t *data, size_t size);
/* Of what begins as the superblock of an ext4 filesystem that begins at offset. */
void mend_ext4_super(uint8_t *data, size_t size, size_t offset);

#endif
