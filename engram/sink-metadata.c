/*
 * Extended attributes, targets and device numbers as digests.
 */
#include "engram/sink-metadata.h"

#include <openssl/evp.h>

bool coroutine_fn sink_co_attributes_digest(Filesystem *fs, FsIno ino,
                                            uint8_t digest[ENGRAM_DIGEST_BYTES],
                                            GError **errp)
{
    g_autoptr(GPtrArray) list = fs_co_xattrs(fs, ino, errp);
    uint8_t bytes[EVP_MAX_MD_SIZE], text[8];

    if (!list) {
        return false;
    }
    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    EVP_DigestInit_ex(sum, EVP_sha256(), NULL);
    for (guint i = 0; i < list->len; i++) {
        const FsXattr *xattr = g_ptr_array_index(list, i);
        gsize size;
        const void *value = g_bytes_get_data(xattr->value, &size);

        le64_store(text, size);
        EVP_DigestUpdate(sum, xattr->name, strlen(xattr->name) + 1);
        EVP_DigestUpdate(sum, text, sizeof(text));
        EVP_DigestUpdate(sum, value, size);
    }
    EVP_DigestFinal_ex(sum, bytes, NULL);
    EVP_MD_CTX_free(sum);
    memcpy(digest, bytes, ENGRAM_DIGEST_BYTES);
    return true;
}

static bool coroutine_fn co_target_digest(Filesystem *fs, FsIno ino, uint8_t *digest,
                                          GError **errp)
{
    g_autofree char *target = fs_co_readlink(fs, ino, errp);

    if (!target) {
        return false;
    }
    EVP_Digest(target, strlen(target), digest, NULL, EVP_sha256(), NULL);
    return true;
}

bool coroutine_fn sink_co_special_digest(Filesystem *fs, const FsStat *stat,
                                         bool *has_digest,
                                         uint8_t digest[ENGRAM_DIGEST_BYTES],
                                         GError **errp)
{
    uint8_t text[8];

    *has_digest = S_ISLNK(stat->mode) || S_ISCHR(stat->mode) || S_ISBLK(stat->mode);
    if (S_ISLNK(stat->mode)) {
        return co_target_digest(fs, stat->ino, digest, errp);
    }
    if (*has_digest) {
        le32_store(text, stat->rdev_major);
        le32_store(text + 4, stat->rdev_minor);
        EVP_Digest(text, sizeof(text), digest, NULL, EVP_sha256(), NULL);
    }
    return true;
}
