/* Opens a Btrfs image and looks at everything in it, up to a bound. */
#include <stdlib.h>
#include "fs/btrfs/btrfs.h"
#include "try-filesystem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_filesystem(data, size, "btrfs");
    return 0;
}

static void mend(BtrfsCsumType type, uint8_t *block, uint32_t bytes)
{
    btrfs_csum(type, block + BTRFS_CSUM_BYTES, bytes - BTRFS_CSUM_BYTES, block);
}

/* Checksums would hide what is behind them: three times in four they are made right. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed)
{
    BtrfsSuper *super = (BtrfsSuper *)(data + BTRFS_SUPER_OFFSET_BYTES);

    size = LLVMFuzzerMutate(data, size, max_size);
    if (!range_fits(BTRFS_SUPER_OFFSET_BYTES, BTRFS_SUPER_BYTES, size) ||
        seed % 4 == 0 || le16_get(super->csum_type) > BTRFS_CSUM_BLAKE2B) {
        return size;
    }

    BtrfsCsumType type = le16_get(super->csum_type);
    uint32_t node = le32_get(super->nodesize);

    mend(type, (uint8_t *)super, BTRFS_SUPER_BYTES);
    if (node < BTRFS_MIN_SECTOR_BYTES || node > BTRFS_MAX_NODE_BYTES) {
        return size;
    }
    for (size_t pos = 0; range_fits(pos, node, size); pos += BTRFS_MIN_SECTOR_BYTES) {
        const BtrfsHeader *head = (const BtrfsHeader *)(data + pos);

        if (pos != BTRFS_SUPER_OFFSET_BYTES &&
            !memcmp(head->fsid, super->fsid, BTRFS_UUID_BYTES)) {
            mend(type, data + pos, node);
        }
    }
    return size;
}
