/* Opens disks with physical volumes of LVM. */
#include "fs/lvm/lvm.h"
#include "try-volumes.h"
#include "util/endian.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Where the fields are. */
enum {
    LABEL_CRC = 16,
    LABEL_SUMMED = 20,
    MDA_MAGIC = 4,
    MDA_AREA_BYTES = 32,
    MDA_TEXT_OFFSET = 40,
    MDA_TEXT_BYTES = 48,
    MDA_TEXT_CRC = 56,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_volumes(data, size);
    return 0;
}

/* The text of an area of metadata, as far as it is in one piece: *text_bytes of it. */
static uint8_t *find_text(uint8_t *area, size_t left, uint64_t *text_bytes)
{
    uint64_t offset = le64_load(area + MDA_TEXT_OFFSET);
    uint64_t bytes = le64_load(area + MDA_TEXT_BYTES);
    uint64_t end = MIN(le64_load(area + MDA_AREA_BYTES), left);

    *text_bytes = offset < end ? MIN(bytes, end - offset) : 0;
    return *text_bytes == bytes && bytes ? area + offset : NULL;
}

static bool is_area(const uint8_t *sector)
{
    return !memcmp(sector + MDA_MAGIC, " LVM2 x[5A%r0N*>", 16);
}

static void mend(uint8_t *data, size_t size)
{
    for (size_t at = 0; at + LVM_SECTOR_BYTES <= size; at += LVM_SECTOR_BYTES) {
        uint8_t *sector = data + at;
        uint64_t bytes;

        if (!memcmp(sector, "LABELONE", 8)) {
            le32_store(sector + LABEL_CRC,
                       lvm_crc(LVM_CRC_INITIAL, sector + LABEL_SUMMED,
                               LVM_SECTOR_BYTES - LABEL_SUMMED));
        } else if (is_area(sector)) {
            uint8_t *text = find_text(sector, size - at, &bytes);

            if (text) {
                le32_store(sector + MDA_TEXT_CRC,
                           lvm_crc(LVM_CRC_INITIAL, text, bytes));
            }
            le32_store(sector, lvm_crc(LVM_CRC_INITIAL, sector + MDA_MAGIC,
                                       LVM_SECTOR_BYTES - MDA_MAGIC));
        }
    }
}

/* Most of such a disk is empty: what is changed is mostly the text. */
static bool mutate_text(uint8_t *data, size_t size, unsigned seed)
{
    bool found = false;

    for (size_t at = 0; at + LVM_SECTOR_BYTES <= size; at += LVM_SECTOR_BYTES) {
        uint64_t bytes = 0;
        uint8_t *text =
            is_area(data + at) ? find_text(data + at, size - at, &bytes) : NULL;

        if (text && seed++ % 2) {
            LLVMFuzzerMutate(text, bytes, bytes);
            found = true;
        }
    }
    return found;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed)
{
    if (seed % 4 == 0 || !mutate_text(data, size, seed / 4)) {
        size = LLVMFuzzerMutate(data, size, max_size);
    }
    if (seed % 16) {
        mend(data, size);
    }
    return size;
}
