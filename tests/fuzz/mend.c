#include "mend.h"

#include <string.h>
#include <zlib.h>

#include "fs/ext4/ext4.h"
#include "util/endian.h"
#include "util/units.h"

/* Where the fields are in the header of a GUID partition table. */
enum {
    HEADER_SIZE = 12,
    HEADER_CRC = 16,
    MY_LBA = 24,
    ENTRIES_LBA = 72,
    ENTRY_COUNT = 80,
    ENTRY_SIZE = 84,
    ENTRIES_CRC = 88,
    HEADER_BYTES = 92,
};

static void mend_header(uint8_t *data, size_t size, size_t pos)
{
    uint8_t *header = data + pos;
    uint64_t sector = le64_load(header + MY_LBA) * 4096 == pos ? 4096 : 512;
    uint64_t entries = le64_load(header + ENTRIES_LBA);
    uint64_t bytes =
        (uint64_t)le32_load(header + ENTRY_COUNT) * le32_load(header + ENTRY_SIZE);
    uint32_t header_bytes = le32_load(header + HEADER_SIZE);

    if (entries <= size / sector && range_fits(entries * sector, bytes, size)) {
        le32_store(header + ENTRIES_CRC, crc32(0, data + entries * sector, bytes));
    }
    if (range_fits(pos, header_bytes, size)) {
        le32_store(header + HEADER_CRC, 0);
        le32_store(header + HEADER_CRC, crc32(0, header, header_bytes));
    }
}

void mend_gpt(uint8_t *data, size_t size)
{
    for (size_t pos = 512; range_fits(pos, HEADER_BYTES, size); pos += 512) {
        if (!memcmp(data + pos, "EFI PART", 8)) {
            mend_header(data, size, pos);
        }
    }
}

/* The records of fast commits in a block count only with the right checksum behind
 * them. Returns the checksum of what the block leaves open. */
static uint32_t mend_block(uint8_t *block, size_t bytes, uint32_t crc)
{
    enum { TAG_TAIL = 8, HEAD_BYTES = 4 };

    for (size_t pos = 0; range_fits(pos, 2 * HEAD_BYTES + 4, bytes);) {
        uint16_t tag = le16_load(block + pos);
        uint16_t len = le16_load(block + pos + 2);

        if (!range_fits(pos + HEAD_BYTES, len, bytes)) {
            break;
        }
        if (tag == TAG_TAIL) {
            crc = ext4_crc32c(crc, block + pos, HEAD_BYTES + 4);
            le32_store(block + pos + HEAD_BYTES + 4, crc);
            crc = 0;
        } else {
            crc = ext4_crc32c(crc, block + pos, HEAD_BYTES + len);
        }
        pos += HEAD_BYTES + len;
    }
    return crc;
}

void mend_fast_commits(uint8_t *data, size_t size)
{
    enum { BLOCK_BYTES = 1024 };
    static const uint8_t head[] = {9, 0, 8, 0};
    bool inside = false;
    uint32_t crc = 0;

    for (size_t pos = 0; pos + BLOCK_BYTES <= size; pos += BLOCK_BYTES) {
        inside =
            inside ? !buffer_is_zero(data + pos, 64) : !memcmp(data + pos, head, 4);
        if (inside) {
            crc = mend_block(data + pos, BLOCK_BYTES, crc);
        }
    }
}

void mend_ext4_super(uint8_t *data, size_t size, size_t offset)
{
    if (range_fits(offset, EXT4_SUPER_OFFSET_BYTES + EXT4_SUPER_BYTES, size)) {
        Ext4Super *super = (Ext4Super *)(data + offset + EXT4_SUPER_OFFSET_BYTES);

        super->checksum = le32_make(ext4_super_checksum(super));
    }
}
