/* Opens an exFAT image, walks through it, and reads of what it finds, up to a bound. */
#include "fs/exfat/exfat.h"
#include "try-walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_walk(data, size, "exfat");
    return 0;
}

static void mend_boot(uint8_t *data, size_t size)
{
    const ExfatBootSector *boot = (const ExfatBootSector *)data;
    uint32_t bytes = UINT32_C(1) << MIN(boot->sector_shift, EXFAT_SECTOR_SHIFT_MAX);
    uint32_t summed = (EXFAT_BOOT_SECTORS - 1) * bytes;

    if (!range_fits(summed, bytes, size)) {
        return;
    }

    uint32_t sum = exfat_boot_checksum(0, data, bytes, true);

    sum = exfat_boot_checksum(sum, data + bytes, summed - bytes, false);
    for (uint32_t i = 0; i < bytes; i += 4) {
        le32_store(data + summed + i, sum);
    }
}

static void mend_set(uint8_t *data, size_t size, size_t at)
{
    ExfatSet set;

    exfat_set_start(&set, data + at, at);
    for (size_t pos = at + EXFAT_ENTRY_BYTES;
         set.count < set.needed && range_fits(pos, EXFAT_ENTRY_BYTES, size);
         pos += EXFAT_ENTRY_BYTES) {
        if (!exfat_set_add(&set, data + pos)) {
            return;
        }
    }
    le16_store(data + at + offsetof(ExfatFileEntry, checksum),
               exfat_set_checksum(&set));
}

/* Checksums would hide what is behind them: three times in four they are made right. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size < EXFAT_BOOT_BYTES || seed % 4 == 0) {
        return size;
    }
    for (size_t at = 0; range_fits(at, 2 * EXFAT_ENTRY_BYTES, size);
         at += EXFAT_ENTRY_BYTES) {
        if (data[at] == EXFAT_ENTRY_FILE &&
            data[at + EXFAT_ENTRY_BYTES] == EXFAT_ENTRY_STREAM) {
            mend_set(data, size, at);
        }
    }
    mend_boot(data, size);
    return size;
}
