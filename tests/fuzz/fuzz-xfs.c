/* Opens an XFS image and looks at everything in it, up to a bound. */
#include <stdlib.h>
#include "fs/xfs/xfs.h"
#include "try-filesystem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_filesystem(data, size, "xfs");
    return 0;
}

/* Which magic at which place has its checksum where. */
static const struct {
    uint32_t magic;
    uint8_t magic_at, magic_bytes, crc_at;
} sums[] = {
    {XFS_MAGIC('X', 'D', 'B', '3'), 0, 4, 4},
    {XFS_MAGIC('X', 'D', 'D', '3'), 0, 4, 4},
    {XFS_MAGIC('A', 'B', '3', 'B'), 0, 4, 52},
    {XFS_MAGIC('B', 'M', 'A', '3'), 0, 4, 64},
    {XFS_MAGIC('X', 'A', 'R', 'M'), 0, 4, 12},
    {XFS_MAGIC('X', 'S', 'L', 'M'), 0, 4, 12},
    {XFS_DA3_NODE_MAGIC, 8, 2, 12},
    {XFS_ATTR3_LEAF_MAGIC, 8, 2, 12},
    {XFS_DIR3_LEAF1_MAGIC, 8, 2, 12},
    {XFS_DIR3_LEAFN_MAGIC, 8, 2, 12},
};

static void mend(uint8_t *data, uint32_t bytes, unsigned crc_at)
{
    le32_store(data + crc_at, xfs_crc(data, bytes, crc_at));
}

static void mend_block(uint8_t *block, uint32_t bytes)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(sums); i++) {
        const uint8_t *at = block + sums[i].magic_at;

        if ((sums[i].magic_bytes == 4 ? be32_load(at) : be16_load(at)) ==
            sums[i].magic) {
            mend(block, bytes, sums[i].crc_at);
        }
    }
}

/* Checksums would hide what is behind them: three times in four they are made right. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed)
{
    const XfsSuper *super = (const XfsSuper *)data;

    size = LLVMFuzzerMutate(data, size, max_size);
    if (size < XFS_SUPER_BYTES || seed % 4 == 0 || super->blocklog < XFS_DADDR_BITS ||
        super->blocklog > 16 || (be16_get(super->versionnum) & XFS_VERSION_MASK) != 5) {
        return size;
    }

    uint32_t block_bytes = UINT32_C(1) << super->blocklog;

    for (size_t pos = 0; range_fits(pos, XFS_MIN_SECTOR_BYTES, size);
         pos += XFS_MIN_SECTOR_BYTES) {
        if (be32_load(data + pos) == XFS_LOG_RECORD_MAGIC) {
            le32_store(data + pos + offsetof(XfsLogRecord, crc), 0); /* not summed up */
        } else if (be32_load(data + pos) == XFS_AGF_MAGIC) {
            mend(data + pos, XFS_MIN_SECTOR_BYTES, offsetof(XfsAgf, crc));
        } else if (be16_load(data + pos) == XFS_INODE_MAGIC) {
            mend(data + pos, XFS_MIN_SECTOR_BYTES, offsetof(XfsInodeDisk, crc));
        } else if (pos % block_bytes == 0 && range_fits(pos, block_bytes, size)) {
            mend_block(data + pos, block_bytes);
        }
    }
    mend(data, XFS_MIN_SECTOR_BYTES, offsetof(XfsSuper, crc));
    return size;
}
