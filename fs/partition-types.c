/* What partition types are called, by the numbers their specifications give them. */
#include <stdlib.h>
#include "fs/partition.h"
#include "fs/table.h"

typedef struct GptType {
    const char *guid;
    const char *name;
} GptType;

/* In order of GUID. */
static const GptType gpt_types[] = {
    { "024dee41-33e7-11d3-9d69-0008c781f39f", "MBR partition scheme" },
    { "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "Linux swap" },
    { "0fc63daf-8483-4772-8e79-3d69d8477de4", "Linux filesystem" },
    { "21686148-6449-6e6f-744e-656564454649", "BIOS boot" },
    { "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5", "Linux root verity (x86-64)" },
    { "2db519ec-b10f-11dc-b99b-0019d1879648", "NetBSD encrypted" },
    { "2e0a753d-9e48-43b0-8337-b15192cb1b5e", "ChromeOS reserved" },
    { "381cfccc-7288-11e0-92ee-000c2911d0b2", "VMware Virtual SAN" },
    { "3b8f8425-20e0-4f3b-907f-1a25a76f98e8", "Linux server data" },
    { "3cb8e202-3b7e-47dd-8a3c-7ff2a13cfcec", "ChromeOS root fs" },
    { "41092b05-9fc8-4523-994f-2def0408b176", "Linux root verity signature (x86-64)" },
    { "426f6f74-0000-11aa-aa11-00306543ecac", "Apple boot" },
    { "44479540-f297-41b2-9af7-d131d5f0458a", "Linux root (x86)" },
    { "45b0969e-9b03-4f30-b4c6-5ec00ceff106", "Ceph Encrypted Journal" },
    { "45b0969e-9b03-4f30-b4c6-b4b80ceff106", "Ceph Journal" },
    { "48465300-0000-11aa-aa11-00306543ecac", "Apple HFS/HFS+" },
    { "49f48d32-b10e-11dc-b99b-0019d1879648", "NetBSD swap" },
    { "49f48d5a-b10e-11dc-b99b-0019d1879648", "NetBSD FFS" },
    { "49f48daa-b10e-11dc-b99b-0019d1879648", "NetBSD RAID" },
    { "4c616265-6c00-11aa-aa11-00306543ecac", "Apple label" },
    { "4d21b016-b534-45c2-a9fb-5c16e091fd2d", "Linux variable data" },
    { "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "Linux root (x86-64)" },
    { "4fbd7e29-9d25-41b8-afd0-062c0ceff05d", "Ceph OSD" },
    { "4fbd7e29-9d25-41b8-afd0-5ec00ceff05d", "Ceph crypt OSD" },
    { "516e7cb4-6ecf-11d6-8ff8-00022d09712b", "FreeBSD data" },
    { "516e7cb5-6ecf-11d6-8ff8-00022d09712b", "FreeBSD swap" },
    { "516e7cb6-6ecf-11d6-8ff8-00022d09712b", "FreeBSD UFS" },
    { "516e7cba-6ecf-11d6-8ff8-00022d09712b", "FreeBSD ZFS" },
    { "52414944-0000-11aa-aa11-00306543ecac", "Apple RAID" },
    { "52637672-7900-11aa-aa11-00306543ecac", "Apple Silicon recovery" },
    { "5265636f-7665-11aa-aa11-00306543ecac", "Apple TV recovery" },
    { "53746f72-6167-11aa-aa11-00306543ecac", "Apple Core storage" },
    { "55465300-0000-11aa-aa11-00306543ecac", "Apple UFS" },
    { "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "Microsoft LDM metadata" },
    { "5996fc05-109c-48de-808b-23fa0830b676", "Linux root verity signature (x86)" },
    { "69646961-6700-11aa-aa11-00306543ecac", "Apple Silicon boot" },
    { "69dad710-2ce4-4e3c-b16c-21a1d49abed3", "Linux root (ARM)" },
    { "6a82cb45-1dd2-11b2-99a6-080020736631", "Solaris boot" },
    { "6a85cf4d-1dd2-11b2-99a6-080020736631", "Solaris root" },
    { "6a87c46f-1dd2-11b2-99a6-080020736631", "Solaris swap" },
    { "6a898cc3-1dd2-11b2-99a6-080020736631", "Solaris /usr & Apple ZFS" },
    { "6a8b642b-1dd2-11b2-99a6-080020736631", "Solaris backup" },
    { "6a8ef2e9-1dd2-11b2-99a6-080020736631", "Solaris /var" },
    { "6a90ba39-1dd2-11b2-99a6-080020736631", "Solaris /home" },
    { "6db69de6-29f4-4758-a7a5-962190f00ce3", "Linux root verity signature (ARM-64)" },
    { "6e11a4e7-fbca-4ded-b9e9-e1a512bb664e", "Linux /usr verity (ARM-64)" },
    { "72ec70a6-cf74-40e6-bd49-4bda08e8f224", "Linux root (RISC-V-64)" },
    { "7386cdf2-203c-47a9-a498-f2ecce45a2d6", "Linux root verity (ARM)" },
    { "7412f7d5-a156-4b13-81dc-867174929325", "ONIE boot" },
    { "75250d76-8cc6-458e-bd66-bd47cc81a812", "Linux /usr (x86)" },
    { "773f91ef-66d4-49b5-bd83-d683bf40ad16", "Linux user's home" },
    { "77ff5f63-e7b6-4633-acf4-1565b864c0e6", "Linux /usr verity (x86-64)" },
    { "7c3457ef-0000-11aa-aa11-00306543ecac", "Apple APFS" },
    { "7d0359a3-02b3-4f0a-865c-654403e70625", "Linux /usr (ARM)" },
    { "7ec6f557-3bc5-4aca-b293-16ef5df639d1", "Linux temporary data" },
    { "824cc7a0-36a8-11e3-890a-952519ad3f61", "OpenBSD data" },
    { "83bd6b9d-7f41-11dc-be0b-001560b84f0f", "FreeBSD boot" },
    { "8484680c-9521-48c6-9c11-b0720656f69e", "Linux /usr (x86-64)" },
    { "89c57f98-2fe5-4dc0-89c1-5ec00ceff2be", "Ceph crypt disk in creation" },
    { "89c57f98-2fe5-4dc0-89c1-f3ad0ceff2be", "Ceph disk in creation" },
    { "8da63339-0007-60c0-c436-083ac8230908", "Linux reserved" },
    { "8f1056be-9b05-47c4-81d6-be53128e5b54", "Linux /usr verity (RISC-V-64)" },
    { "8f461b0d-14ee-4e81-9aa9-049b6fb97abd", "Linux /usr verity (x86)" },
    { "9198effc-31c0-11db-8f78-000c2911d1b8", "VMware Reserved" },
    { "933ac7e1-2eb4-4f13-b844-0e14e2aef915", "Linux home" },
    { "974a71c0-de41-43c3-be5d-5c5ccd1ad2c0", "Linux /usr verity signature (x86)" },
    { "9d275380-40ad-11db-bf97-000c2911d1b8", "VMware Diagnostic" },
    { "9e1a2d38-c612-4316-aa26-8b49521e5a8b", "PowerPC PReP boot" },
    { "a19d880f-05fc-4d3b-a006-743f0f84911e", "Linux RAID" },
    { "aa31e02a-400f-11db-9590-000c2911d1b8", "VMware VMFS" },
    { "af9b60a0-1431-4f62-bc68-3311714a69ad", "Microsoft LDM data" },
    { "b0e01050-ee5f-4390-949a-9101b17104e9", "Linux /usr (ARM-64)" },
    { "b6ed5582-440b-4209-b8da-5ff7c419ea3d", "Linux root verity (RISC-V-64)" },
    { "b921b045-1df0-41c3-af44-4c6f280d3fae", "Linux root (ARM-64)" },
    { "bc13c2ff-59e6-4262-a352-b275fd6f7172", "Linux extended boot" },
    { "beaec34b-8442-439b-a40b-984381ed097d", "Linux /usr (RISC-V-64)" },
    { "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "EFI System" },
    { "c215d751-7bcd-4649-be90-6627490a4c05", "Linux /usr verity (ARM)" },
    { "c23ce4ff-44bd-4b00-b2d4-b41b3419e02a", "Linux /usr verity signature (ARM-64)" },
    { "c91818f9-8025-47af-89d2-f030d7000c2c", "Plan 9 partition" },
    { "d13c5d3b-b5d1-422a-b29f-9454fdc89d76", "Linux root verity (x86)" },
    { "d2f9000a-7a18-453f-b5cd-4d32f77a7b32", "Linux /usr verity signature (RISC-V-64)" },
    { "d4e6e2cd-4469-46f3-b5cb-1bff57afc149", "ONIE config" },
    { "de94bba4-06d1-4d40-a16a-bfd50179d6ac", "Windows recovery environment" },
    { "df3300ce-d69f-4c92-978c-9bfb0f38d820", "Linux root verity (ARM-64)" },
    { "e3c9e316-0b5c-4db8-817d-f92df00215ae", "Microsoft reserved" },
    { "e6d6d379-f507-44c2-a23c-238f2a3df928", "Linux LVM" },
    { "e75caf8f-f680-4cee-afa3-b001e56efc2d", "Microsoft Storage Spaces" },
    { "e7bb33fb-06cf-4e81-8273-e543b413e2e2", "Linux /usr verity signature (x86-64)" },
    { "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "Microsoft basic data" },
    { "efe0f087-ea8d-4469-821a-4c2a96a8386a", "Linux root verity signature (RISC-V-64)" },
    { "fe3a2a5d-4f32-41a7-b725-accc3285a309", "ChromeOS kernel" },
};

static const char *const mbr_types[256] = {
    [0x01] = "FAT12",
    [0x04] = "FAT16 (< 32 MiB)",
    [0x05] = "Extended",
    [0x06] = "FAT16",
    [0x07] = "NTFS, exFAT or HPFS",
    [0x08] = "AIX",
    [0x0b] = "FAT32",
    [0x0c] = "FAT32 (LBA)",
    [0x0e] = "FAT16 (LBA)",
    [0x0f] = "Extended (LBA)",
    [0x11] = "Hidden FAT12",
    [0x12] = "Compaq diagnostics",
    [0x14] = "Hidden FAT16 (< 32 MiB)",
    [0x16] = "Hidden FAT16",
    [0x17] = "Hidden NTFS or HPFS",
    [0x1b] = "Hidden FAT32",
    [0x1c] = "Hidden FAT32 (LBA)",
    [0x1e] = "Hidden FAT16 (LBA)",
    [0x27] = "Hidden NTFS WinRE",
    [0x39] = "Plan 9",
    [0x41] = "PPC PReP Boot",
    [0x42] = "SFS",
    [0x63] = "GNU HURD or SysV",
    [0x80] = "Old Minix",
    [0x81] = "Minix / old Linux",
    [0x82] = "Linux swap / Solaris",
    [0x83] = "Linux",
    [0x84] = "OS/2 hidden or Intel hibernation",
    [0x85] = "Linux extended",
    [0x86] = "NTFS volume set",
    [0x87] = "NTFS volume set",
    [0x88] = "Linux plaintext",
    [0x8e] = "Linux LVM",
    [0x93] = "Amoeba",
    [0x9f] = "BSD/OS",
    [0xa0] = "IBM Thinkpad hibernation",
    [0xa5] = "FreeBSD",
    [0xa6] = "OpenBSD",
    [0xa7] = "NeXTSTEP",
    [0xa8] = "Darwin UFS",
    [0xa9] = "NetBSD",
    [0xab] = "Darwin boot",
    [0xaf] = "HFS / HFS+",
    [0xb7] = "BSDI fs",
    [0xb8] = "BSDI swap",
    [0xbe] = "Solaris boot",
    [0xbf] = "Solaris",
    [0xda] = "Non-FS data",
    [0xde] = "Dell Utility",
    [0xdf] = "BootIt",
    [0xea] = "Linux extended boot",
    [0xeb] = "BeOS fs",
    [0xee] = "GPT protective",
    [0xef] = "EFI System",
    [0xfb] = "VMware VMFS",
    [0xfc] = "VMware VMKCORE",
    [0xfd] = "Linux raid autodetect",
};

static int compare_guid(const void *key, const void *type)
{
    return strcmp(key, ((const GptType *)type)->guid);
}

const char *gpt_type_name(const char *guid)
{
    const GptType *type = bsearch(guid, gpt_types, G_N_ELEMENTS(gpt_types),
                                  sizeof(gpt_types[0]), compare_guid);

    return type ? type->name : NULL;
}

const char *mbr_type_name(uint8_t type)
{
    return mbr_types[type];
}

/* Names for those who make partitions. */
static const struct {
    const char *name, *gpt, *mbr;
} type_names[] = {
    { "bios", "21686148-6449-6e6f-744e-656564454649", NULL },
    { "boot", "bc13c2ff-59e6-4262-a352-b275fd6f7172", "ea" },
    { "data", "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "07" },
    { "efi", "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "ef" },
    { "extended", NULL, "05" },
    { "fat32", "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "0c" },
    { "home", "933ac7e1-2eb4-4f13-b844-0e14e2aef915", "83" },
    { "linux", "0fc63daf-8483-4772-8e79-3d69d8477de4", "83" },
    { "luks", "ca7d7ccb-63ed-4c53-861c-1742536059cc", "e8" },
    { "lvm", "e6d6d379-f507-44c2-a23c-238f2a3df928", "8e" },
    { "msr", "e3c9e316-0b5c-4db8-817d-f92df00215ae", NULL },
    { "prep", "9e1a2d38-c612-4316-aa26-8b49521e5a8b", "41" },
    { "raid", "a19d880f-05fc-4d3b-a006-743f0f84911e", "fd" },
    { "root-arm64", "b921b045-1df0-41c3-af44-4c6f280d3fae", "83" },
    { "root-x86-64", "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "83" },
    { "swap", "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "82" },
};

void part_type_foreach(void (*func)(const char *name, const char *gpt, const char *mbr,
                                    void *opaque), void *opaque)
{
    for (size_t i = 0; i < G_N_ELEMENTS(type_names); i++) {
        func(type_names[i].name, type_names[i].gpt, type_names[i].mbr, opaque);
    }
}

bool part_type_parse_gpt(const char *text, uint8_t guid[16], GError **errp)
{
    for (size_t i = 0; i < G_N_ELEMENTS(type_names); i++) {
        if (type_names[i].gpt && !strcmp(type_names[i].name, text)) {
            return guid_from_string(type_names[i].gpt, guid);
        }
    }
    if (!guid_from_string(text, guid) || buffer_is_zero(guid, 16)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s' is no type of a GPT's partition: neither a GUID nor one of the "
                    "names that part add --help shows", text);
        return false;
    }
    return true;
}

bool part_type_parse_mbr(const char *text, uint8_t *type, GError **errp)
{
    const char *digits = g_str_has_prefix(text, "0x") ? text + 2 : text;
    guint64 value;

    for (size_t i = 0; i < G_N_ELEMENTS(type_names); i++) {
        if (type_names[i].mbr && !strcmp(type_names[i].name, text)) {
            digits = type_names[i].mbr;
        }
    }
    if (!g_ascii_string_to_unsigned(digits, 16, 0, UINT8_MAX, &value, NULL)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s' is no type of an MBR's partition: neither one byte in hex nor "
                    "one of the names that part add --help shows", text);
        return false;
    }
    *type = value;
    return true;
}
