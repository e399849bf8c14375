/* Encryption, volume managers, caches and snapshots: what holds other volumes. */
#include "fs/known/known.h"

enum {
    LUKS2_BYTES = 512,
    LVM_SECTORS = 4,
    LVM_UUID_CHARS = 32,
    VMFS_VOLUME_OFFSET = 0x100000,
    BITLOCKER_BYTES = 512,
    BITLOCKER_FVE_BYTES = 64,
};

/* A LUKS2 header says how long it is; of the two, the second has another magic number and says
 * where it is. */
static bool coroutine_fn check_luks2(KnownVolume *v, const Signature *s, uint64_t offset,
                                     const uint8_t *sb, FsIdent *ident)
{
    uint64_t bytes = be64_load(sb + 8);

    if (be16_load(sb + 6) != 2 || be64_load(sb + 256) != offset ||
        (offset && bytes != offset)) {
        return false;
    }
    ident->details = g_strdup_printf("version 2%s",
                                     offset ? ", only its second header" : "");
    return true;
}

static bool coroutine_fn check_luks1(KnownVolume *v, const Signature *s, uint64_t offset,
                                     const uint8_t *sb, FsIdent *ident)
{
    g_autofree char *cipher = known_text(sb + 8, 32), *mode = known_text(sb + 40, 32);

    ident->details = g_strdup_printf("version 1, %s-%s", cipher ?: "?", mode ?: "?");
    return true;
}

/* What is before the metadata that the boot sector leads to is arbitrary. */
static bool coroutine_fn check_bitlocker(KnownVolume *v, const Signature *s,
                                         uint64_t offset, const uint8_t *sb,
                                         FsIdent *ident)
{
    static const uint8_t to_go_guid[16] = "\x3b\xd6\x67\x49\x29\x2e\xd8\x4a"
                                          "\x83\x99\xf6\xa3\x39\xe3\xd0\x01";
    const uint64_t sector = le16_load(sb + 11), cluster = sb[13] * sector;
    const uint32_t guid_at = s->arg;
    uint64_t at;

    if (!guid_at) {                             /* Windows Vista: at a cluster */
        at = le64_load(sb + 56);
        if (!cluster || at > v->size / cluster) {
            return false;
        }
        at *= cluster;
    } else if (!memcmp(sb + guid_at, to_go_guid, sizeof(to_go_guid))) {
        at = le64_load(sb + guid_at + 16);
    } else {
        return false;
    }

    const uint8_t *fve = known_co_bytes(v, at, BITLOCKER_FVE_BYTES);
    if (!fve || memcmp(fve, "-FVE-FS-", 8) != 0) {
        return false;
    }
    ident->details = g_strdup_printf("version %u", le16_load(fve + 10));
    return true;
}

/* The label of a physical volume is in one of the first sectors, and says where its
 * header is, which begins with the UUID. */
static char *lvm_uuid(const uint8_t *chars)
{
    static const uint8_t groups[] = {6, 4, 4, 4, 4, 4, 6};
    GString *text = g_string_new(NULL);

    for (unsigned g = 0; g < G_N_ELEMENTS(groups); chars += groups[g++]) {
        g_string_append_printf(text, "%s%.*s", g ? "-" : "", groups[g],
                               (const char *)chars);
    }
    return g_string_free(text, FALSE);
}

static bool coroutine_fn co_match_lvm2(KnownVolume *v, FsIdent *ident)
{
    for (unsigned i = 0; i < LVM_SECTORS; i++) {
        const uint32_t at = i * 512;

        if (!known_co_is(v, at, "LABELONE", 8) ||
            !known_co_is(v, at + 24, "LVM2 001", 8)) {
            continue;
        }

        uint64_t uuid_at = (uint64_t)at + le32_load(v->head + at + 20);
        const uint8_t *uuid = known_co_bytes(v, uuid_at, LVM_UUID_CHARS);
        ident->type = "LVM2_member";
        ident->uuid = uuid ? lvm_uuid(uuid) : NULL;
        return true;
    }
    return false;
}

static bool coroutine_fn check_lvm1(KnownVolume *v, const Signature *s, uint64_t offset,
                                    const uint8_t *sb, FsIdent *ident)
{
    ident->uuid = lvm_uuid(sb + 44);
    return true;
}

static bool coroutine_fn check_verity(KnownVolume *v, const Signature *s, uint64_t offset,
                                      const uint8_t *sb, FsIdent *ident)
{
    ident->details = g_strdup("version 1");
    return le32_load(sb + 8) == 1;
}

static bool coroutine_fn check_integrity(KnownVolume *v, const Signature *s,
                                         uint64_t offset, const uint8_t *sb,
                                         FsIdent *ident)
{
    ident->details = g_strdup_printf("version %u", sb[8]);
    return sb[8] != 0;
}

static bool coroutine_fn check_snapshot(KnownVolume *v, const Signature *s,
                                        uint64_t offset, const uint8_t *sb,
                                        FsIdent *ident)
{
    ident->details = g_strdup_printf("version %u", le32_load(sb + 8));
    return true;
}

static bool coroutine_fn check_vmfs_volume(KnownVolume *v, const Signature *s,
                                           uint64_t offset, const uint8_t *sb,
                                           FsIdent *ident)
{
    ident->details = g_strdup_printf("version %u", le32_load(sb + 4));
    return true;
}

static bool coroutine_fn check_ubi(KnownVolume *v, const Signature *s, uint64_t offset,
                                   const uint8_t *sb, FsIdent *ident)
{
    if (be32_load(sb + 60) != known_crc32(UINT32_MAX, sb, 60)) {
        return false;
    }
    ident->uuid = g_strdup_printf("%u", be32_load(sb + 24));
    ident->details = g_strdup_printf("version %u", sb[4]);
    return true;
}

static bool coroutine_fn check_bcache(KnownVolume *v, const Signature *s, uint64_t offset,
                                      const uint8_t *sb, FsIdent *ident)
{
    if (le64_load(sb + 8) != offset / 512) {
        return false;
    }
    ident->details = g_strdup_printf("version %" PRIu64, le64_load(sb + 16));
    return true;
}

static bool coroutine_fn check_bcachefs(KnownVolume *v, const Signature *s,
                                        uint64_t offset, const uint8_t *sb,
                                        FsIdent *ident)
{
    ident->details = g_strdup_printf("version %u", le16_load(sb + 16));
    return le64_load(sb + 104) == offset / 512;
}

static bool coroutine_fn check_stratis(KnownVolume *v, const Signature *s,
                                       uint64_t offset, const uint8_t *sb,
                                       FsIdent *ident)
{
    if (le32_load(sb) != known_crc32c(sb + 4, 508)) {
        return false;
    }

    const char *u = (const char *)sb + 64;
    ident->uuid = g_strdup_printf("%.8s-%.4s-%.4s-%.4s-%.12s", u, u + 8, u + 12, u + 16,
                                  u + 20);
    return true;
}

static bool coroutine_fn check_drbd(KnownVolume *v, const Signature *s, uint64_t offset,
                                    const uint8_t *sb, FsIdent *ident)
{
    ident->uuid = g_strdup_printf("%" PRIx64, be64_load(sb + s->arg));
    return true;
}

static bool coroutine_fn check_drbdmanage(KnownVolume *v, const Signature *s,
                                          uint64_t offset, const uint8_t *sb,
                                          FsIdent *ident)
{
    return sb[43] == '\n' && be32_load(sb + 4096) == 0x1adb98a2;
}

#define LUKS2_SECOND(at)                                                               \
    {                                                                                  \
        "crypto_LUKS", AT(at, LUKS2_BYTES), MAGIC(0, "SKUL\xba\xbe\0\2"),              \
            UUID_STRING(168, 40), LABEL(24, 48), CHECK(check_luks2)                    \
    }

static const Signature containers[] = {
    {"bcache", AT(4096, 256),
     MAGIC(24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
     UUID(40), CHECK(check_bcache)},
    {"bcachefs", AT(4096, 256),
     MAGIC(24, "\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"),
     UUID(56), LABEL(72, 32), CHECK(check_bcachefs)},
    {"ceph_bluestore", AT(0, 64), MAGIC(0, "bluestore block device\n")},
    {"drbd", AT_END(4096, 512, 512), MAGIC(60, "\x83\x74\x02\x6b"), CHECK(check_drbd),
     .arg = 40, .details = "version 8"},
    {"drbd", AT_END(4096, 512, 512), MAGIC(60, "\x83\x74\x02\x6c"), CHECK(check_drbd),
     .arg = 40, .details = "version 8, in use"},
    {"drbd", AT_END(4096, 512, 512), MAGIC(60, "\x83\x74\x02\x6d"), CHECK(check_drbd),
     .arg = 48, .details = "version 9"},
    {"drbdmanage_control_volume", AT(0, 8192), MAGIC(0, "$DRBDmgr=q"),
     UUID_STRING(11, 32), CHECK(check_drbdmanage)},
    {"drbdproxy_datalog", AT(0, 64), MAGIC(0, "DRBDdlh*"), UUID(16)},
    {"LVM1_member", AT(0, 512), MAGIC(0, "HM\1\0"), CHECK(check_lvm1)},
    {"LVM1_member", AT(0, 512), MAGIC(0, "HM\2\0"), CHECK(check_lvm1)},
    {"DM_snapshot_cow", AT(0, 64), MAGIC(0, "SnAp"), CHECK(check_snapshot)},
    {"DM_verity_hash", AT(0, 512), MAGIC(0, "verity\0\0"), UUID(16),
     CHECK(check_verity)},
    {"DM_integrity", AT(0, 512), MAGIC(0, "integrt\0"), CHECK(check_integrity)},
    {"crypto_LUKS", AT(0, 592), MAGIC(0, "LUKS\xba\xbe\0\1"), UUID_STRING(168, 40),
     CHECK(check_luks1)},
    {"crypto_LUKS", AT(0, LUKS2_BYTES), MAGIC(0, "LUKS\xba\xbe\0\2"),
     UUID_STRING(168, 40), LABEL(24, 48), CHECK(check_luks2)},
    LUKS2_SECOND(0x4000),
    LUKS2_SECOND(0x8000),
    LUKS2_SECOND(0x10000),
    LUKS2_SECOND(0x20000),
    LUKS2_SECOND(0x40000),
    LUKS2_SECOND(0x80000),
    LUKS2_SECOND(0x100000),
    LUKS2_SECOND(0x200000),
    LUKS2_SECOND(0x400000),
    {"VMFS_volume_member", AT(VMFS_VOLUME_OFFSET, 512), MAGIC(0, "\x0d\xd0\x01\xc0"),
     CHECK(check_vmfs_volume)},
    {"ubi", AT(0, 64), MAGIC(0, "UBI#"), CHECK(check_ubi)},
    {"vdo", AT(0, 512), MAGIC(0, "dmvdo001"), UUID(40)},
    {"stratis", AT(512, 512), MAGIC(4, "!Stra0tis\x86\xff\x02^\x41rh"),
     CHECK(check_stratis)},
    {"stratis", AT(4608, 512), MAGIC(4, "!Stra0tis\x86\xff\x02^\x41rh"),
     CHECK(check_stratis)},
    {"BitLocker", AT(0, BITLOCKER_BYTES), MAGIC(0, "\xeb\x52\x90-FVE-FS-"),
     CHECK(check_bitlocker)},
    {"BitLocker", AT(0, BITLOCKER_BYTES), MAGIC(0, "\xeb\x58\x90-FVE-FS-"),
     CHECK(check_bitlocker), .arg = 160},
    {"BitLocker", AT(0, BITLOCKER_BYTES), MAGIC(0, "\xeb\x58\x90MSWIN4.1"),
     CHECK(check_bitlocker), .arg = 424},
};

bool coroutine_fn known_co_container(KnownVolume *v, FsIdent *ident)
{
    return known_co_match(v, containers, G_N_ELEMENTS(containers), ident) ||
           co_match_lvm2(v, ident);
}
