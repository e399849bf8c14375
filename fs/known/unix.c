/* Filesystems of Minix, BSD, System V and OS/2.  Their magic numbers are short, or may be
 * in either byte order: other fields have to be plausible, too. */
#include "fs/known/known.h"

enum {
    MINIX_OFFSET = 1024,
    MINIX_BYTES = 64,
    UFS_MAGIC_OFFSET = 1372,
    UFS_BYTES = 1536,
};

/* Numbers in a byte order that is found out. */
static uint32_t load(const uint8_t *p, unsigned bytes, bool is_be)
{
    if (bytes == 2) {
        return is_be ? be16_load(p) : le16_load(p);
    }
    return is_be ? be32_load(p) : le32_load(p);
}

typedef struct MinixGeometry {
    uint64_t inodes, inode_map_blocks, zones, zone_map_blocks, first_zone, zone_shift;
    uint64_t block_bytes;
    uint32_t state;
    unsigned version;
} MinixGeometry;

static unsigned minix_version(const uint8_t *sb, bool is_be)
{
    switch (load(sb + 16, 2, is_be)) {
    case 0x137f:
    case 0x138f:
        return 1;
    case 0x2468:
    case 0x2478:
        return 2;
    default:
        return load(sb + 24, 2, is_be) == 0x4d5a ? 3 : 0;
    }
}

static void take_minix(const uint8_t *sb, unsigned version, bool is_be, MinixGeometry *g)
{
    const unsigned shift = version == 3 ? 2 : 0;    /* its fields are that much further */

    *g = (MinixGeometry){
        .inodes = load(sb, version == 3 ? 4 : 2, is_be),
        .inode_map_blocks = load(sb + 4 + shift, 2, is_be),
        .zone_map_blocks = load(sb + 6 + shift, 2, is_be),
        .first_zone = load(sb + 8 + shift, 2, is_be),
        .zone_shift = load(sb + 10 + shift, 2, is_be),
        .zones = version == 1 ? load(sb + 2, 2, is_be) : load(sb + 20, 4, is_be),
        .block_bytes = version == 3 ? load(sb + 28, 2, is_be) : 1024,
        .state = version == 3 ? 1 : load(sb + 18, 2, is_be),
        .version = version,
    };
}

static bool minix_is_plausible(const MinixGeometry *g)
{
    return !g->zone_shift && g->inodes && g->inodes != UINT32_MAX &&
           !(g->state & ~UINT32_C(3)) &&
           g->inode_map_blocks * g->block_bytes * 8 >= g->inodes + 1 &&
           g->first_zone <= g->zones &&
           g->zone_map_blocks * g->block_bytes * 8 >= g->zones - g->first_zone + 1;
}

static bool coroutine_fn co_match_minix(KnownVolume *v, FsIdent *ident)
{
    const uint8_t *sb = known_co_bytes(v, MINIX_OFFSET, MINIX_BYTES);

    for (unsigned is_be = 0; sb && is_be <= 1; is_be++) {
        const unsigned version = minix_version(sb, is_be);
        MinixGeometry g;

        if (!version || !memcmp(sb + 56, "\x53\xef", 2)) {
            continue;
        }
        take_minix(sb, version, is_be, &g);
        if (minix_is_plausible(&g)) {
            ident->type = "minix";
            ident->details = g_strdup_printf("version %u, %s-endian", version,
                                             is_be ? "big" : "little");
            return true;
        }
    }
    return false;
}

static bool is_ufs(uint32_t magic)
{
    return magic == 0x00011954 || magic == 0x19540119 || magic == 0x00095014 ||
           magic == 0x00195612 || magic == 0x05231994;
}

static bool take_ufs(const uint8_t *sb, bool is_be, FsIdent *ident)
{
    const uint32_t magic = load(sb + UFS_MAGIC_OFFSET, 4, is_be);
    const uint32_t id[2] = {load(sb + 144, 4, is_be), load(sb + 148, 4, is_be)};
    const uint32_t block = load(sb + 48, 4, is_be), fragment = load(sb + 52, 4, is_be);

    if (!is_ufs(magic) || !is_pow2(block) || !is_pow2(fragment) || fragment > block) {
        return false;
    }
    ident->type = "ufs";
    ident->label = magic == 0x19540119 ? known_text(sb + 680, 32) : NULL;
    ident->uuid = id[0] || id[1] ? g_strdup_printf("%08x%08x", id[0], id[1]) : NULL;
    ident->details = g_strdup_printf("version %u, %s-endian",
                                     magic == 0x19540119 ? 2 : 1, is_be ? "big" : "little");
    return true;
}

static bool coroutine_fn co_match_ufs(KnownVolume *v, FsIdent *ident)
{
    static const uint32_t offsets[] = {0, 8 * KiB, 64 * KiB, 256 * KiB};

    for (unsigned i = 0; i < G_N_ELEMENTS(offsets); i++) {
        const uint8_t *sb = known_co_bytes(v, offsets[i], UFS_BYTES);

        if (sb && (take_ufs(sb, false, ident) || take_ufs(sb, true, ident))) {
            return true;
        }
    }
    return false;
}

/* HPFS has two superblocks with a magic number each; the label is in the boot sector. */
static bool coroutine_fn co_match_hpfs(KnownVolume *v, FsIdent *ident)
{
    const uint8_t *boot = v->head;

    if (!known_co_is(v, 16 * 512, "\x49\xe8\x95\xf9", 4) ||
        !known_co_is(v, 17 * 512, "\x49\x18\x91\xf9", 4)) {
        return false;
    }
    ident->type = "hpfs";
    ident->details = g_strdup_printf("version %u", v->head[16 * 512 + 8]);
    if (boot[510] == 0x55 && boot[511] == 0xaa && boot[38] == 0x28) {
        ident->label = known_text(boot + 43, 11);
        ident->uuid = g_strdup_printf("%02X%02X-%02X%02X", boot[42], boot[41], boot[40],
                                      boot[39]);
    }
    return true;
}

static bool coroutine_fn co_match_sysv(KnownVolume *v, FsIdent *ident)
{
    static const uint8_t blocks[] = {0, 9, 15, 18};

    for (unsigned i = 0; i < G_N_ELEMENTS(blocks); i++) {
        const uint8_t *sb = known_co_bytes(v, blocks[i] * KiB + 512, 512);

        if (sb && (le32_load(sb + 504) == 0xfd187e20 || be32_load(sb + 504) == 0xfd187e20)) {
            ident->type = "sysv";
            ident->label = known_text(sb + 440, 6);
            return true;
        }
    }
    return false;
}

static bool coroutine_fn co_match_xenix(KnownVolume *v, FsIdent *ident)
{
    const uint8_t *sb = known_co_bytes(v, 1024, 1024);

    if (!sb || (le32_load(sb + 1016) != 0x002b5544 && be32_load(sb + 1016) != 0x002b5544)) {
        return false;
    }
    ident->type = "xenix";
    ident->label = known_text(sb + 632, 6);
    return true;
}

bool coroutine_fn known_co_unix(KnownVolume *v, FsIdent *ident)
{
    return co_match_ufs(v, ident) || co_match_hpfs(v, ident) || co_match_sysv(v, ident) ||
           co_match_xenix(v, ident) || co_match_minix(v, ident);
}
