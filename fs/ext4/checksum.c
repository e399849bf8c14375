/* The checksums of ext4's structures: which bytes in which order. */
#include <isa-l/crc.h>
#include "ext4.h"

static const uint8_t zeroes[4];

/* crc32c as the kernel computes it: no inversion at either end. */
uint32_t ext4_crc32c(uint32_t crc, const void *data, size_t len)
{
    return crc32_iscsi((unsigned char *)data, len, crc);
}

/* CRC-16/ARC: polynomial 0x8005, bits reflected. */
uint16_t ext4_crc16(uint16_t crc, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len--) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? (crc >> 1) ^ 0xa001 : crc >> 1;
        }
    }
    return crc;
}

/* CRC-32 with the most significant bit first, no inversion (isa-l inverts at both
 * ends). */
uint32_t ext4_crc32_be(uint32_t crc, const void *data, size_t len)
{
    return ~crc32_ieee(~crc, data, len);
}

uint32_t ext4_super_checksum(const Ext4Super *raw)
{
    return ext4_crc32c(UINT32_MAX, raw, offsetof(Ext4Super, checksum));
}

uint32_t ext4_inode_seed(const Ext4Geometry *geo, uint32_t ino, uint32_t generation)
{
    le32_t numbers[2] = {le32_make(ino), le32_make(generation)};

    return ext4_crc32c(geo->checksum_seed, numbers, sizeof(numbers));
}

/* The checksum's own two halves count as zeroes. */
uint32_t ext4_inode_checksum(uint32_t seed, const uint8_t *raw, uint32_t bytes,
                             bool *has_hi)
{
    const size_t lo = offsetof(Ext4InodeDisk, checksum_lo);
    const size_t hi = offsetof(Ext4InodeDisk, checksum_hi);
    uint32_t crc = ext4_crc32c(seed, raw, lo);
    size_t pos = lo + 2;

    crc = ext4_crc32c(crc, zeroes, 2);
    *has_hi =
        bytes > EXT4_OLD_INODE_BYTES && le16_load(raw + EXT4_OLD_INODE_BYTES) >= 4;
    if (*has_hi) {
        crc = ext4_crc32c(crc, raw + pos, hi - pos);
        crc = ext4_crc32c(crc, zeroes, 2);
        pos = hi + 2;
    }
    return ext4_crc32c(crc, raw + pos, bytes - pos);
}

uint16_t ext4_group_checksum(const Ext4State *s, uint64_t number, const uint8_t *desc)
{
    const size_t at = offsetof(Ext4GroupDesc, checksum);
    const size_t after = at + sizeof(le16_t);
    le32_t number_le = le32_make(number);

    if (s->has_checksums) {
        uint32_t crc = ext4_crc32c(s->geo.checksum_seed, &number_le, sizeof(number_le));

        crc = ext4_crc32c(crc, desc, at);
        crc = ext4_crc32c(crc, zeroes, 2);
        return ext4_crc32c(crc, desc + after, s->geo.desc_bytes - after);
    }

    uint16_t crc = ext4_crc16(UINT16_MAX, s->geo.uuid, sizeof(s->geo.uuid));

    crc = ext4_crc16(crc, &number_le, sizeof(number_le));
    crc = ext4_crc16(crc, desc, at);
    return ext4_crc16(crc, desc + after, s->geo.desc_bytes - after);
}

uint32_t ext4_xattr_block_checksum(const Ext4State *s, uint64_t block,
                                   const uint8_t *data)
{
    const size_t at = offsetof(Ext4XattrHeader, checksum);
    le64_t block_le = le64_make(block);
    uint32_t crc = ext4_crc32c(s->geo.checksum_seed, &block_le, sizeof(block_le));

    crc = ext4_crc32c(crc, data, at);
    crc = ext4_crc32c(crc, zeroes, 4);
    return ext4_crc32c(crc, data + at + 4, s->geo.block_bytes - at - 4);
}
