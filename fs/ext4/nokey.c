/*
 * Encrypted names as the kernel shows them to those without the key: base64url (RFC
 * 4648, without padding) of two words of hash, the first 149 bytes of the ciphertext,
 * and the SHA-256 of what is more.
 */
#include <openssl/sha.h>
#include "ext4.h"

enum {
    NOKEY_BYTES = 149,
    NOKEY_HASH_BYTES = 8,
};

static size_t base64url(const uint8_t *data, size_t len, char *out)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    unsigned count = 0;
    char *p = out;

    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | data[i];
        for (count += 8; count >= 6; count -= 6) {
            *p++ = digits[(bits >> (count - 6)) & 63];
        }
    }
    if (count) {
        *p++ = digits[(bits << (6 - count)) & 63];
    }
    *p = 0;
    return p - out;
}

size_t ext4_nokey_name(const Ext4Hash *hash, const uint8_t *cipher, size_t len,
                       char out[EXT4_NOKEY_NAME_MAX])
{
    uint8_t bytes[NOKEY_HASH_BYTES + NOKEY_BYTES + SHA256_DIGEST_LENGTH];
    size_t part = MIN(len, NOKEY_BYTES);
    size_t total = NOKEY_HASH_BYTES + part;

    G_STATIC_ASSERT(sizeof(bytes) * 4 / 3 + 2 < EXT4_NOKEY_NAME_MAX);
    le32_store(bytes, hash->major);
    le32_store(bytes + 4, hash->minor);
    memcpy(bytes + NOKEY_HASH_BYTES, cipher, part);
    if (len > part) {
        SHA256(cipher + part, len - part, bytes + total);
        total += SHA256_DIGEST_LENGTH;
    }
    return base64url(bytes, total, out);
}

size_t ext4_nokey_entry(const Ext4State *s, const Ext4DirBlock *block,
                        const Ext4Name *name, char out[EXT4_NOKEY_NAME_MAX])
{
    const uint8_t *cipher = (const uint8_t *)name->name;
    Ext4Hash hash = {0};

    if (block->dir->flags & EXT4_CASEFOLD_FL) {
        /* The hash needs the key; it is kept behind the name. */
        size_t at = (cipher - block->data) + ((name->len + 3) & ~(size_t)3);

        if (range_fits(at, 8, block->bytes)) {
            hash = (Ext4Hash){le32_load(block->data + at),
                              le32_load(block->data + at + 4)};
        }
    } else {
        ext4_dirhash(&s->geo, block->hash_version, name->name, name->len, &hash);
    }
    return ext4_nokey_name(&hash, cipher, name->len, out);
}
