/* Members of arrays: Linux's MD, and what the firmware of adapters writes at the end. */
#include <zlib.h>

#include "fs/known/known.h"

enum {
    MD_BYTES = 4096,
    MD_1_FIXED_BYTES = 256,
    MD_1_ROLES_MAX = (MD_BYTES - MD_1_FIXED_BYTES) / 2,
    SECTOR = 512,
};

static const char *md_level(int32_t level, char buf[16])
{
    switch (level) {
    case -1:
        return "linear";
    case -4:
        return "multipath";
    case -5:
        return "faulty";
    case -11:
        return "a container";
    default:
        g_snprintf(buf, 16, "RAID%d", level);
        return buf;
    }
}

/* The sum of all words, its own but, with what is carried out of 32 bits added. */
static bool md_1_sum_is_good(const uint8_t *sb, uint32_t roles)
{
    uint64_t sum = 0;
    uint32_t bytes = MD_1_FIXED_BYTES + 2 * roles, i;

    for (i = 0; i + 4 <= bytes; i += 4) {
        sum += i == 216 ? 0 : le32_load(sb + i);
    }
    if (i < bytes) {
        sum += le16_load(sb + i);
    }
    return (uint32_t)((sum & UINT32_MAX) + (sum >> 32)) == le32_load(sb + 216);
}

static bool coroutine_fn check_md_1(KnownVolume *v, const Signature *s, uint64_t offset,
                                    const uint8_t *sb, FsIdent *ident)
{
    const uint32_t roles = le32_load(sb + 220);
    char level[16];

    if (le64_load(sb + 144) != offset / SECTOR || roles > MD_1_ROLES_MAX ||
        !md_1_sum_is_good(sb, roles)) {
        return false;
    }
    ident->details = g_strdup_printf(
        "version 1.%u, %s of %u, data of %" PRIu64 " bytes at offset %" PRIu64, s->arg,
        md_level(le32_load(sb + 72), level), le32_load(sb + 92),
        le64_load(sb + 136) * SECTOR, le64_load(sb + 128) * SECTOR);
    return true;
}

/* Of version 0.90 the byte order is that of the machine. */
static bool coroutine_fn check_md_0(KnownVolume *v, const Signature *s, uint64_t offset,
                                    const uint8_t *sb, FsIdent *ident)
{
    uint32_t words[64];
    uint8_t uuid[16];
    char level[16];

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        words[i] = s->arg ? be32_load(sb + 4 * i) : le32_load(sb + 4 * i);
    }
    if (words[1] != 0 || words[2] < 90 || words[8] > offset / 1024) {
        return false;
    }
    be32_store(uuid, words[5]);
    for (unsigned i = 1; i < 4; i++) {
        be32_store(uuid + 4 * i, words[12 + i]);
    }
    ident->uuid = known_uuid(uuid);
    ident->details = g_strdup_printf("version 0.%u.%u, %s-endian, %s of %u, data of %" PRIu64
                                     " bytes at offset 0",
                                     words[2], words[3], s->arg ? "big" : "little",
                                     md_level(words[7], level), words[10],
                                     (uint64_t)words[8] * 1024);
    return true;
}

/* The header of SNIA's format is in the last sector; or there is a copy of it further in
 * front, which has to lead to one at its place. */
static bool coroutine_fn check_ddf(KnownVolume *v, const Signature *s, uint64_t offset,
                                   const uint8_t *sb, FsIdent *ident)
{
    const uint64_t primary = be64_load(sb + 96);

    ident->uuid = known_text(sb + 8, 24);
    ident->details = known_text(sb + 32, 8);
    return !primary || (primary <= v->size / SECTOR &&
                        known_co_is(v, primary * SECTOR, "\xde\x11\xde\x11", 4));
}

static bool coroutine_fn check_isw(KnownVolume *v, const Signature *s, uint64_t offset,
                                   const uint8_t *sb, FsIdent *ident)
{
    g_autofree char *version = known_text(sb + 24, 6);

    ident->details = version ? g_strdup_printf("version %s", version) : NULL;
    return true;
}

static bool coroutine_fn check_via(KnownVolume *v, const Signature *s, uint64_t offset,
                                   const uint8_t *sb, FsIdent *ident)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < 50; i++) {
        sum += sb[i];
    }
    ident->details = g_strdup_printf("version %u", sb[2]);
    return sb[2] <= 2 && sum == sb[50];
}

static bool coroutine_fn check_silicon(KnownVolume *v, const Signature *s, uint64_t offset,
                                       const uint8_t *sb, FsIdent *ident)
{
    uint16_t sum = 0;

    for (unsigned i = 0; i < 0x13e; i += 2) {
        sum += le16_load(sb + i);
    }
    ident->details =
        g_strdup_printf("version %u.%u", le16_load(sb + 0x10a), le16_load(sb + 0x108));
    return sb[0x116] < 8 && (uint16_t)-sum == le16_load(sb + 0x13e);
}

static bool coroutine_fn check_nvidia(KnownVolume *v, const Signature *s, uint64_t offset,
                                      const uint8_t *sb, FsIdent *ident)
{
    enum { WORDS = 30, SUM_WORD = 3 };
    uint32_t sum = 0;

    for (unsigned i = 0; i < WORDS; i++) {
        sum += i == SUM_WORD ? 0 : le32_load(sb + 4 * i);
    }
    ident->details = g_strdup_printf("version %u", le16_load(sb + 16));
    return le32_load(sb + 8) == WORDS && sum + le32_load(sb + 12) == 0;
}

static bool coroutine_fn check_adaptec(KnownVolume *v, const Signature *s, uint64_t offset,
                                       const uint8_t *sb, FsIdent *ident)
{
    ident->details = g_strdup_printf("version %u", sb[63]);
    return !memcmp(sb, "\x37\xfc\x4d\x1e", 4);
}

static bool coroutine_fn check_jmicron(KnownVolume *v, const Signature *s, uint64_t offset,
                                       const uint8_t *sb, FsIdent *ident)
{
    uint16_t sum = 0;

    for (unsigned i = 0; i < 128; i += 2) {
        sum += le16_load(sb + i);
    }
    ident->details = g_strdup_printf("version %u.%u", sb[3], sb[2]);
    return sum <= 1;
}

/* Seen at all of these distances from the end, in sectors. */
static bool coroutine_fn co_match_promise(KnownVolume *v, FsIdent *ident)
{
    static const uint16_t distances[] = {63,  255, 256, 16,  399, 591, 675,
                                         735, 911, 974, 991, 951, 3087};
    static const char magic[] = "Promise Technology, Inc.";
    const uint64_t sectors = v->size / SECTOR;

    for (unsigned i = 0; i < G_N_ELEMENTS(distances); i++) {
        if (sectors >= distances[i] &&
            known_co_is(v, (sectors - distances[i]) * SECTOR, magic, sizeof(magic) - 1)) {
            ident->type = "promise_fasttrack_raid_member";
            return true;
        }
    }
    return false;
}

#define MD_MAGIC MAGIC(0, "\xfc\x4e\x2b\xa9\1\0\0\0")

static const Signature raids[] = {
    {"linux_raid_member", AT_END(64 * 1024, 64 * 1024, MD_BYTES),
     MAGIC(0, "\xfc\x4e\x2b\xa9\0\0\0\0"), CHECK(check_md_0), .arg = 0},
    {"linux_raid_member", AT_END(64 * 1024, 64 * 1024, MD_BYTES),
     MAGIC(0, "\xa9\x2b\x4e\xfc\0\0\0\0"), CHECK(check_md_0), .arg = 1},
    {"linux_raid_member", AT_END(8192, 4096, MD_BYTES), MD_MAGIC, UUID(16), LABEL(32, 32),
     CHECK(check_md_1), .arg = 0},
    {"linux_raid_member", AT(0, MD_BYTES), MD_MAGIC, UUID(16), LABEL(32, 32),
     CHECK(check_md_1), .arg = 1},
    {"linux_raid_member", AT(4096, MD_BYTES), MD_MAGIC, UUID(16), LABEL(32, 32),
     CHECK(check_md_1), .arg = 2},
    {"ddf_raid_member", AT_END(512, 512, 512), MAGIC(0, "\xde\x11\xde\x11"),
     CHECK(check_ddf)},
    {"ddf_raid_member", AT_END(257 * 512, 512, 512), MAGIC(0, "\xde\x11\xde\x11"),
     CHECK(check_ddf)},
    {"isw_raid_member", AT_END(1024, 512, 512), MAGIC(0, "Intel Raid ISM Cfg Sig. "),
     CHECK(check_isw)},
    {"lsi_mega_raid_member", AT_END(512, 512, 512), MAGIC(0, "$XIDE$")},
    {"via_raid_member", AT_END(512, 512, 512), MAGIC(0, "\x55\xaa"), CHECK(check_via)},
    {"silicon_medley_raid_member", AT_END(512, 512, 512), MAGIC(0x60, "\0\0\0\x2f"),
     CHECK(check_silicon)},
    {"nvidia_raid_member", AT_END(1024, 512, 512), MAGIC(0, "NVIDIA  "),
     CHECK(check_nvidia)},
    {"hpt45x_raid_member", AT_END(11 * 512, 512, 512), MAGIC(0, "\xf3\x16\x78\x5a")},
    {"hpt45x_raid_member", AT_END(11 * 512, 512, 512), MAGIC(0, "\xfd\x16\x78\x5a")},
    {"hpt37x_raid_member", AT(4608, 512), MAGIC(32, "\xf0\x16\x78\x5a")},
    {"hpt37x_raid_member", AT(4608, 512), MAGIC(32, "\xfd\x16\x78\x5a")},
    {"adaptec_raid_member", AT_END(512, 512, 512), MAGIC(256, "DPTM"),
     CHECK(check_adaptec)},
    {"jmicron_raid_member", AT_END(512, 512, 512), MAGIC(0, "JM"), CHECK(check_jmicron)},
};

bool coroutine_fn known_co_raid(KnownVolume *v, FsIdent *ident)
{
    return known_co_match(v, raids, G_N_ELEMENTS(raids), ident) ||
           co_match_promise(v, ident);
}
