/* HFS and HFS Plus.  The UUID is made of 8 bytes that the Finder keeps; the label of HFS
 * Plus is the name of its root, the first key of the catalog. */
#include "fs/known/known.h"

enum {
    MDB_OFFSET = 1024,
    MDB_BYTES = 512,
    EXTENTS = 8,
    ROOT_PARENT = 1,
    NAME_MAX_UNITS = 255,
};

static char *finder_uuid(const uint8_t id[8])
{
    /* Apple's name space for these. */
    static const uint8_t space[16] = "\xb3\xe2\x0f\x39\xf2\x92\x11\xd6"
                                     "\x97\xa4\x00\x30\x65\x43\xec\xac";
    g_autoptr(GChecksum) md5 = g_checksum_new(G_CHECKSUM_MD5);
    uint8_t uuid[16];
    gsize len = sizeof(uuid);

    if (buffer_is_zero(id, 8)) {
        return NULL;
    }
    g_checksum_update(md5, space, sizeof(space));
    g_checksum_update(md5, id, 8);
    g_checksum_get_digest(md5, uuid, &len);
    uuid[6] = 0x30 | (uuid[6] & 0x0f);
    uuid[8] = 0x80 | (uuid[8] & 0x3f);
    return known_uuid(uuid);
}

/* Where block number n of the catalog is, in blocks; false: not in its first extents. */
static bool find_block(const uint8_t *extents, uint64_t n, uint64_t *block)
{
    for (unsigned i = 0; i < EXTENTS; i++) {
        const uint64_t start = be32_load(extents + 8 * i);
        const uint64_t count = be32_load(extents + 8 * i + 4);

        if (n < count) {
            *block = start + n;
            return true;
        }
        n -= count;
    }
    return false;
}

/* base: where HFS Plus begins on the volume. */
static char *coroutine_fn co_catalog_label(KnownVolume *v, uint64_t base, uint32_t block,
                                           const uint8_t extents[64])
{
    uint64_t at = be32_load(extents);
    const uint8_t *node = known_co_bytes(v, base + at * block, 64);

    if (!node || node[8] != 1) {                /* a header */
        return NULL;
    }
    const uint64_t leaf = be32_load(node + 24), bytes = be16_load(node + 32);
    if (bytes < 512 || !find_block(extents, leaf * bytes / block, &at)) {
        return NULL;
    }

    node = known_co_bytes(v, base + at * block + leaf * bytes % block, bytes);
    if (!node || node[8] != 0xff || !be16_load(node + 10) ||
        be32_load(node + 16) != ROOT_PARENT) {
        return NULL;
    }
    const uint16_t units = be16_load(node + 20);
    return units <= NAME_MAX_UNITS && range_fits(22, 2 * units, bytes)
               ? known_utf16be(node + 22, 2 * units)
               : NULL;
}

static bool coroutine_fn co_match_plus(KnownVolume *v, uint64_t base, FsIdent *ident)
{
    const uint8_t *header = known_co_bytes(v, base + MDB_OFFSET, MDB_BYTES);
    uint8_t extents[64];

    if (!header || (memcmp(header, "H+\0\4", 4) && memcmp(header, "HX\0\5", 4))) {
        return false;
    }

    const uint32_t block = be32_load(header + 40);
    if (!is_pow2(block) || block < 512) {
        return false;
    }
    memcpy(extents, header + 288, sizeof(extents));
    ident->type = "hfsplus";
    ident->uuid = finder_uuid(header + 104);
    ident->details = g_strdup(header[1] == 'X' ? "HFSX" : NULL);
    ident->label = co_catalog_label(v, base, block, extents);
    return true;
}

bool coroutine_fn known_co_hfs(KnownVolume *v, FsIdent *ident)
{
    const uint8_t *mdb = known_co_bytes(v, MDB_OFFSET, MDB_BYTES);

    if (!mdb) {
        return false;
    }
    if (memcmp(mdb, "BD", 2) != 0) {
        return co_match_plus(v, 0, ident);
    }

    const uint32_t block = be32_load(mdb + 20);
    if (!block || block % 512) {
        return false;
    }
    if (!memcmp(mdb + 124, "H+", 2) || !memcmp(mdb + 124, "HX", 2)) {
        /* A wrapper for systems that know no other. */
        return co_match_plus(v,
                             be16_load(mdb + 28) * UINT64_C(512) +
                                 be16_load(mdb + 126) * (uint64_t)block,
                             ident);
    }
    ident->type = "hfs";
    ident->uuid = finder_uuid(mdb + 116);
    ident->label = known_text(mdb + 37, MIN(mdb[36], 27));
    return true;
}
