/* The four kinds of checksums, and the hash of names. */
#include <isa-l/crc.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <xxhash.h>
#include "btrfs.h"

bool btrfs_csum_init(GError **errp)
{
    if (sodium_init() < 0) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "libsodium, which has BLAKE2b, cannot be used");
        return false;
    }
    return true;
}

unsigned btrfs_csum_bytes(BtrfsCsumType type)
{
    static const uint8_t bytes[] = {
        [BTRFS_CSUM_CRC32C] = 4,
        [BTRFS_CSUM_XXHASH64] = 8,
        [BTRFS_CSUM_SHA256] = 32,
        [BTRFS_CSUM_BLAKE2B] = 32,
    };

    return bytes[type];
}

const char *btrfs_csum_name(BtrfsCsumType type)
{
    static const char *const names[] = {
        [BTRFS_CSUM_CRC32C] = "crc32c",
        [BTRFS_CSUM_XXHASH64] = "xxhash64",
        [BTRFS_CSUM_SHA256] = "sha256",
        [BTRFS_CSUM_BLAKE2B] = "blake2b",
    };

    return names[type];
}

void btrfs_csum(BtrfsCsumType type, const void *data, size_t bytes, uint8_t *sum)
{
    switch (type) {
    case BTRFS_CSUM_CRC32C:
        le32_store(sum, ~crc32_iscsi((unsigned char *)data, bytes, UINT32_MAX));
        break;
    case BTRFS_CSUM_XXHASH64:
        le64_store(sum, XXH64(data, bytes, 0));
        break;
    case BTRFS_CSUM_SHA256:
        SHA256(data, bytes, sum);
        break;
    case BTRFS_CSUM_BLAKE2B:
        crypto_generichash_blake2b(sum, 32, data, bytes, NULL, 0);
        break;
    }
}

char *btrfs_csum_text(BtrfsCsumType type, const uint8_t *sum)
{
    GString *text = g_string_new("0x");

    for (unsigned i = 0; i < MIN(btrfs_csum_bytes(type), 8); i++) {
        g_string_append_printf(text, "%02x", sum[i]);
    }
    return g_string_free(text, FALSE);
}

uint32_t btrfs_extref_hash(uint64_t dir, const char *name, size_t len)
{
    return crc32_iscsi((unsigned char *)name, len, (uint32_t)dir);
}

uint32_t btrfs_name_hash(const char *name, size_t len)
{
    return crc32_iscsi((unsigned char *)name, len, UINT32_MAX - 1);
}
