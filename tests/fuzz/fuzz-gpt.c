/* Opens disks with a GUID partition table. */
#include <string.h>
#include <zlib.h>
#include "try-volumes.h"
#include "util/endian.h"
#include "util/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Where the fields are in a header. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_volumes(data, size);
    return 0;
}

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

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    for (size_t pos = 512; seed % 8 && range_fits(pos, HEADER_BYTES, size);
         pos += 512) {
        if (!memcmp(data + pos, "EFI PART", 8)) {
            mend_header(data, size, pos);
        }
    }
    return size;
}
