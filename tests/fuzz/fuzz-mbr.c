/* Opens disks with the partition table of a master boot record. */
#include "fs/partition.h"
#include "try-volumes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_volumes(data, size);
    return 0;
}

/* Gives disklabels of the BSDs, up to how many partitions they say, their checksum. */
static void mend_labels(uint8_t *data, size_t size)
{
    enum { CHECKSUM = 136, PARTITIONS = 138, TABLE = 148, ENTRY_BYTES = 16 };

    for (size_t at = 0; at + MBR_SECTOR_BYTES <= size; at += MBR_SECTOR_BYTES) {
        uint8_t *label = data + at;
        size_t end = TABLE + le16_load(label + PARTITIONS) * (size_t)ENTRY_BYTES;
        uint16_t sum = 0;

        if (le32_load(label) != UINT32_C(0x82564557) || end > MBR_SECTOR_BYTES) {
            continue;
        }
        le16_store(label + CHECKSUM, 0);
        for (size_t i = 0; i < end; i += 2) {
            sum ^= le16_load(label + i);
        }
        le16_store(label + CHECKSUM, sum);
    }
}

/* Gives the first sector its signature back, and most times makes an entry of it, or
 * of an extended boot record, lead to where there is such a record. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    mend_labels(data, size);

    size_t sectors = size / MBR_SECTOR_BYTES;
    if (sectors < 2 || seed % 8 == 0) {
        return size;
    }
    data[MBR_SECTOR_BYTES - 2] = 0x55;
    data[MBR_SECTOR_BYTES - 1] = 0xaa;
    if (seed % 8 < 3) {
        static const uint8_t types[] = {0x05, 0x0f, 0x85, 0x83};
        size_t from = seed / 8 % 2 ? 0 : seed / 16 % sectors;
        size_t to = seed / 64 % sectors;
        MbrSector *record = (MbrSector *)(data + from * MBR_SECTOR_BYTES);
        MbrEntry *entry = &record->entries[seed / 128 % MBR_ENTRIES];

        entry->type = types[seed / 512 % G_N_ELEMENTS(types)];
        entry->first_lba = le32_make(to);
        entry->sectors = le32_make(sectors - to);
        data[to * MBR_SECTOR_BYTES + MBR_SECTOR_BYTES - 2] = 0x55;
        data[to * MBR_SECTOR_BYTES + MBR_SECTOR_BYTES - 1] = 0xaa;
    }
    return size;
}
