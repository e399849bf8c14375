/*
 * Image formats that no driver here reads, by their first bytes.
 */
#ifndef EMBR_BLOCK_FOREIGN_H
#define EMBR_BLOCK_FOREIGN_H

#include <stddef.h>
#include <stdint.h>

/* What format a file that begins with these len bytes is of ("VMDK"); NULL if none that
 * is known here. */
const char *foreign_format(const uint8_t *buf, size_t len);

#endif
