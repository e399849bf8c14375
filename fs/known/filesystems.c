/* Filesystems with a magic number long enough, and the label in the superblock. */
#include "fs/known/known.h"

enum {
    EXT_JOURNAL_DEVICE = 0x8,
    EXFS_BYTES = 512,
    ROMFS_SUM_BYTES = 512,
    NILFS_BYTES = 1024,
    NILFS_CRC_SEED_OFFSET = 12,
    NILFS_CRC_OFFSET = 16,
    UBIFS_NODE_BYTES = 4096,
    UBIFS_SUPERBLOCK = 6,
};

/* An ext4 journal on a device of its own has a superblock of ext4 in front. */
static bool coroutine_fn check_jbd(KnownVolume *v, const Signature *s, uint64_t offset,
                                   const uint8_t *sb, FsIdent *ident)
{
    return le32_load(sb + 96) & EXT_JOURNAL_DEVICE;
}

/* What is in the journal, or behind its start, is a copy. */
static bool coroutine_fn check_reiserfs(KnownVolume *v, const Signature *s,
                                        uint64_t offset, const uint8_t *sb, FsIdent *ident)
{
    const uint32_t block = le16_load(sb + 44), journal = le32_load(sb + 12);

    return block >= 1024 && is_pow2(block) && offset / block < journal;
}

/* A fork of XFS: the same superblock. */
static bool coroutine_fn check_exfs(KnownVolume *v, const Signature *s, uint64_t offset,
                                    const uint8_t *sb, FsIdent *ident)
{
    const uint8_t block_bits = sb[120], sector_bits = sb[121], inode_bits = sb[122];

    return be32_load(sb + 88) && be64_load(sb + 8) && block_bits >= 9 &&
           block_bits <= 16 && sector_bits >= 9 && sector_bits <= 15 && inode_bits >= 8 &&
           inode_bits <= 11 && be32_load(sb + 4) == 1U << block_bits &&
           be16_load(sb + 102) == 1U << sector_bits &&
           be16_load(sb + 104) == 1U << inode_bits && sb[123] == block_bits - inode_bits;
}

static bool coroutine_fn check_f2fs(KnownVolume *v, const Signature *s, uint64_t offset,
                                    const uint8_t *sb, FsIdent *ident)
{
    ident->details =
        g_strdup_printf("version %u.%u", le16_load(sb + 4), le16_load(sb + 6));
    return true;
}

/* The first record of an XFS log is as long as a sector or more. */
static bool coroutine_fn check_xfs_log(KnownVolume *v, const Signature *s, uint64_t offset,
                                       const uint8_t *sb, FsIdent *ident)
{
    const uint32_t version = be32_load(sb + 8), format = be32_load(sb + 300);

    if ((version != 1 && version != 2) || format < 1 || format > 3) {
        return false;
    }
    g_autofree char *uuid = known_uuid(sb + 304);
    ident->details =
        g_strdup_printf("version %u, of the filesystem %s", version, uuid ?: "without a UUID");
    return true;
}

static bool coroutine_fn check_cramfs(KnownVolume *v, const Signature *s, uint64_t offset,
                                      const uint8_t *sb, FsIdent *ident)
{
    ident->details = g_strdup_printf("%s-endian", s->arg ? "big" : "little");
    return !memcmp(sb + 16, "Compressed ROMFS", 16);
}

/* The words of the first 512 bytes, or of fewer if it is shorter, add up to 0. */
static bool coroutine_fn check_romfs(KnownVolume *v, const Signature *s, uint64_t offset,
                                     const uint8_t *sb, FsIdent *ident)
{
    const uint32_t bytes = MIN(be32_load(sb + 8), ROMFS_SUM_BYTES);
    uint32_t sum = 0;

    for (uint32_t i = 0; i + 4 <= bytes; i += 4) {
        sum += be32_load(sb + i);
    }
    return bytes >= 16 && !sum;
}

static bool coroutine_fn check_gfs(KnownVolume *v, const Signature *s, uint64_t offset,
                                   const uint8_t *sb, FsIdent *ident)
{
    const uint32_t format = be32_load(sb + 24);

    if (s->arg ? format != s->arg : format < 1800 || format > 1899) {
        return false;
    }
    ident->details = g_strdup_printf("format %u.%u", format, be32_load(sb + 28));
    return true;
}

static bool coroutine_fn check_ocfs2(KnownVolume *v, const Signature *s, uint64_t offset,
                                     const uint8_t *sb, FsIdent *ident)
{
    ident->details =
        g_strdup_printf("version %u.%u", le16_load(sb + 0xc0), le16_load(sb + 0xc2));
    return true;
}

/* The volume header of OCFS is followed by the disk's label, one sector further. */
static bool coroutine_fn check_ocfs(KnownVolume *v, const Signature *s, uint64_t offset,
                                    const uint8_t *sb, FsIdent *ident)
{
    const uint32_t major = le32_load(sb + 4), minor = le32_load(sb);

    if (major == 1 || major == 9) {
        ident->type = major == 1 ? "ocfs" : "ntocfs";
    }
    ident->details = g_strdup_printf("version %u.%u", major, minor);
    return true;
}

static bool coroutine_fn check_vxfs(KnownVolume *v, const Signature *s, uint64_t offset,
                                    const uint8_t *sb, FsIdent *ident)
{
    ident->details = g_strdup_printf("version %u, %s-endian",
                                     s->arg ? be32_load(sb + 4) : le32_load(sb + 4),
                                     s->arg ? "big" : "little");
    return true;
}

static bool coroutine_fn check_nilfs2(KnownVolume *v, const Signature *s, uint64_t offset,
                                      const uint8_t *sb, FsIdent *ident)
{
    const uint16_t bytes = le16_load(sb + 8);

    if (bytes < 248 || bytes > NILFS_BYTES ||
        known_crc32_but(le32_load(sb + NILFS_CRC_SEED_OFFSET), sb, bytes,
                        NILFS_CRC_OFFSET) != le32_load(sb + NILFS_CRC_OFFSET)) {
        return false;
    }
    ident->details = g_strdup_printf("revision %u.%u%s", le32_load(sb), le16_load(sb + 4),
                                     s->at_end ? ", only its second superblock" : "");
    return true;
}

static bool coroutine_fn check_ubifs(KnownVolume *v, const Signature *s, uint64_t offset,
                                     const uint8_t *sb, FsIdent *ident)
{
    if (sb[20] != UBIFS_SUPERBLOCK || le32_load(sb + 16) != UBIFS_NODE_BYTES ||
        known_crc32(UINT32_MAX, sb + 8, UBIFS_NODE_BYTES - 8) != le32_load(sb + 4)) {
        return false;
    }
    ident->details = g_strdup_printf("version %u", le32_load(sb + 80));
    return true;
}

static bool coroutine_fn check_vmfs(KnownVolume *v, const Signature *s, uint64_t offset,
                                    const uint8_t *sb, FsIdent *ident)
{
    const uint8_t *u = sb + 9;  /* its first parts are little-endian, of other lengths */

    ident->uuid = g_strdup_printf("%02x%02x%02x%02x-%02x%02x%02x%02x-%02x%02x-"
                                  "%02x%02x%02x%02x%02x%02x",
                                  u[3], u[2], u[1], u[0], u[7], u[6], u[5], u[4], u[9],
                                  u[8], u[10], u[11], u[12], u[13], u[14], u[15]);
    ident->details = g_strdup_printf("version %u", sb[8]);
    return true;
}

/* There are three magic numbers, in the byte order of the filesystem. */
static bool coroutine_fn check_befs(KnownVolume *v, const Signature *s, uint64_t offset,
                                    const uint8_t *sb, FsIdent *ident)
{
    ident->details = g_strdup_printf("%s-endian", s->arg ? "big" : "little");
    return s->arg ? be32_load(sb + 68) == 0xdd121031 && be32_load(sb + 112) == 0x15b6830e
                  : le32_load(sb + 68) == 0xdd121031 && le32_load(sb + 112) == 0x15b6830e;
}

static bool coroutine_fn check_apfs(KnownVolume *v, const Signature *s, uint64_t offset,
                                    const uint8_t *sb, FsIdent *ident)
{
    /* The object is a container's superblock; blocks are always 4 KiB. */
    return le16_load(sb + 24) == 1 && le16_load(sb + 28) == 0 && !le16_load(sb + 30) &&
           le32_load(sb + 36) == 4096;
}

static bool coroutine_fn check_zonefs(KnownVolume *v, const Signature *s, uint64_t offset,
                                      const uint8_t *sb, FsIdent *ident)
{
    return known_crc32_but(UINT32_MAX, sb, 4096, 4) == le32_load(sb + 4);
}

static bool coroutine_fn check_mpool(KnownVolume *v, const Signature *s, uint64_t offset,
                                     const uint8_t *sb, FsIdent *ident)
{
    return le32_load(sb + 62) == known_crc32c(sb, 62);
}

#define REISERFS(at, text, edition)                                                    \
    {                                                                                  \
        "reiserfs", AT(at, 204), MAGIC(52, text), UUID(84), LABEL(100, 16),            \
            CHECK(check_reiserfs), .details = edition                                                         \
    }
#define OCFS2(at)                                                                      \
    {                                                                                  \
        "ocfs2", AT(at, 512), MAGIC(0, "OCFSV2"), UUID(0x150), LABEL(0x110, 64),       \
            CHECK(check_ocfs2)                                                         \
    }
#define NILFS2 MAGIC(6, "\x34\x34"), UUID(152), LABEL(168, 80), CHECK(check_nilfs2)

static const Signature filesystems[] = {
    {"jbd", AT(1024, 1024), MAGIC(56, "\x53\xef"), UUID(104), LABEL(120, 16),
     CHECK(check_jbd), .details = "external journal"},
    {"xfs_external_log", AT(0, 512), MAGIC(0, "\xfe\xed\xba\xbe"), CHECK(check_xfs_log)},
    {"exfs", AT(0, EXFS_BYTES), MAGIC(0, "EXFS"), UUID(32), LABEL(108, 12),
     CHECK(check_exfs)},
    {"f2fs", AT(1024, 2172), MAGIC(0, "\x10\x20\xf5\xf2"), UUID(108),
     LABEL_16(124, 1024), CHECK(check_f2fs)},
    {"erofs", AT(1024, 128), MAGIC(0, "\xe2\xe1\xf5\xe0"), UUID(48), LABEL(64, 16)},
    {"jfs", AT(32768, 256), MAGIC(0, "JFS1"), UUID(136), LABEL(152, 16)},
    {"reiserfs", AT(8192, 64), MAGIC(52, "ReIsErFs"), CHECK(check_reiserfs),
     .details = "version 3.5"},
    {"reiserfs", AT(65536, 64), MAGIC(52, "ReIsErFs"), CHECK(check_reiserfs),
     .details = "version 3.5"},
    REISERFS(65536, "ReIsEr2Fs", "version 3.6"),
    REISERFS(65536, "ReIsEr3Fs", "version JR"),
    {"reiser4", AT(65536, 64), MAGIC(0, "ReIsEr4"), UUID(20), LABEL(36, 16)},
    {"gfs2", AT(65536, 512), MAGIC(0, "\x01\x16\x19\x70\0\0\0\1"), UUID(256),
     LABEL(160, 64), CHECK(check_gfs)},
    {"gfs", AT(65536, 512), MAGIC(0, "\x01\x16\x19\x70\0\0\0\1"), UUID(256),
     LABEL(160, 64), CHECK(check_gfs), .arg = 1309},
    OCFS2(1024),
    OCFS2(2048),
    OCFS2(4096),
    OCFS2(8192),
    {"ocfs", AT(8192, 512), MAGIC(8, "OracleCFS"), CHECK(check_ocfs)},
    {"oracleasm", AT(0, 64), MAGIC(32, "ORCLDISK"), LABEL(40, 24)},
    {"vxfs", AT(1024, 64), MAGIC(0, "\xf5\xfc\x01\xa5"), CHECK(check_vxfs)},
    {"vxfs", AT(8192, 64), MAGIC(0, "\xa5\x01\xfc\xf5"), CHECK(check_vxfs), .arg = 1},
    {"ReFS", AT(0, 64), MAGIC(0, "\0\0\0ReFS\0")},
    {"cramfs", AT(0, 76), MAGIC(0, "\x45\x3d\xcd\x28"), LABEL(48, 16),
     CHECK(check_cramfs)},
    {"cramfs", AT(0, 76), MAGIC(0, "\x28\xcd\x3d\x45"), LABEL(48, 16),
     CHECK(check_cramfs), .arg = 1},
    {"romfs", AT(0, ROMFS_SUM_BYTES), MAGIC(0, "-rom1fs-"), LABEL(16, 16),
     CHECK(check_romfs)},
    {"bfs", AT(0, 512), MAGIC(0, "\xce\xfa\xad\x1b")},
    {"befs", AT(0, 128), MAGIC(32, "BFS1"), LABEL(0, 32), CHECK(check_befs), .arg = 1},
    {"befs", AT(0, 128), MAGIC(32, "1SFB"), LABEL(0, 32), CHECK(check_befs)},
    {"befs", AT(512, 128), MAGIC(32, "BFS1"), LABEL(0, 32), CHECK(check_befs), .arg = 1},
    {"befs", AT(512, 128), MAGIC(32, "1SFB"), LABEL(0, 32), CHECK(check_befs)},
    {"nss", AT(4096, 512), MAGIC(0, "SPB5")},
    {"VMFS", AT(0x200000, 512), MAGIC(0, "\x5e\xf1\xab\x2f"), LABEL(29, 128),
     CHECK(check_vmfs)},
    {"ubifs", AT(0, UBIFS_NODE_BYTES), MAGIC(0, "\x31\x18\x10\x06"), UUID(108),
     CHECK(check_ubifs)},
    {"nilfs2", AT(1024, NILFS_BYTES), NILFS2},
    {"nilfs2", AT_END(4096, 4096, NILFS_BYTES), NILFS2},
    {"mpool", AT(0, 128), MAGIC(0, "\x6d\x70\x6f\x6f\x6c\x44\x65\x76"), LABEL(8, 32),
     UUID(40), CHECK(check_mpool)},
    {"apfs", AT(0, 128), MAGIC(32, "NXSB"), UUID(72), CHECK(check_apfs)},
    {"zonefs", AT(0, 4096), MAGIC(0, "SFOZ"), LABEL(8, 32), UUID(40),
     CHECK(check_zonefs)},
};

bool coroutine_fn known_co_filesystem(KnownVolume *v, FsIdent *ident)
{
    return known_co_match(v, filesystems, G_N_ELEMENTS(filesystems), ident);
}
