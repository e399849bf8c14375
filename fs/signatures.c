/*
 * Volumes that are only recognised: by a magic number, with the label and the UUID
 * where they are simply fields of a superblock.  Types are blkid's.
 */
#include "fs/fat-boot.h"
#include "fs/fs.h"

enum {
    HEAD_BYTES = 72 * 1024, /* the farthest that the tables look */
    LABEL_MAX_BYTES = 1024,
    ISO_DESCRIPTOR = 0x8000,
    LVM_SECTORS = 4,
    LVM_UUID_CHARS = 32,
};

/* The first bytes of a volume: fewer than HEAD_BYTES if it is shorter. */
typedef struct Head {
    BlockBackend *blk;
    const uint8_t *data;
    size_t size;
} Head;

typedef enum LabelForm {
    LABEL_NONE,
    LABEL_BYTES, /* up to a NUL, without blanks at the end */
    LABEL_UTF16LE,
} LabelForm;

typedef enum UuidForm {
    UUID_NONE,
    UUID_BYTES, /* 16, in order */
    UUID_TEXT,
} UuidForm;

typedef struct Signature {
    const char *type;
    uint32_t magic_offset;
    const char *magic;
    uint32_t magic_len;
    uint32_t label_offset, label_len;
    uint32_t uuid_offset, uuid_len;
    LabelForm label_form;
    UuidForm uuid_form;
} Signature;

#define MAGIC(offset, text)                                                            \
    .magic_offset = (offset), .magic = (text), .magic_len = sizeof(text) - 1
#define LABEL(offset, len)                                                             \
    .label_offset = (offset), .label_len = (len), .label_form = LABEL_BYTES
#define LABEL_16(offset, len)                                                          \
    .label_offset = (offset), .label_len = (len), .label_form = LABEL_UTF16LE
#define UUID(offset) .uuid_offset = (offset), .uuid_len = 16, .uuid_form = UUID_BYTES
#define UUID_STRING(offset, len)                                                       \
    .uuid_offset = (offset), .uuid_len = (len), .uuid_form = UUID_TEXT
#define SWAP(page)                                                                     \
    {                                                                                  \
        "swap", MAGIC((page)-10, "SWAPSPACE2"), UUID(1036), LABEL(1052, 16)            \
    }

/* What holds other volumes, or nothing that is a file. */
static const Signature containers[] = {
    {"crypto_LUKS", MAGIC(0, "LUKS\xba\xbe\0\1"), UUID_STRING(168, 40)},
    {"crypto_LUKS", MAGIC(0, "LUKS\xba\xbe\0\2"), UUID_STRING(168, 40), LABEL(24, 48)},
    {"BitLocker", MAGIC(3, "-FVE-FS-")},
    {"linux_raid_member", MAGIC(0, "\xfc\x4e\x2b\xa9\1\0\0\0"), UUID(16),
     LABEL(32, 32)},
    {"linux_raid_member", MAGIC(4096, "\xfc\x4e\x2b\xa9\1\0\0\0"), UUID(4112),
     LABEL(4128, 32)},
    {"bcache",
     MAGIC(4120, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"),
     UUID(4136)},
    SWAP(4096),
    SWAP(8192),
    SWAP(16384),
    SWAP(65536),
};

static const Signature filesystems[] = {
    {"f2fs", MAGIC(1024, "\x10\x20\xf5\xf2"), UUID(1132), LABEL_16(1148, 1024)},
    {"erofs", MAGIC(1024, "\xe2\xe1\xf5\xe0"), UUID(1072), LABEL(1088, 16)},
    {"jfs", MAGIC(32768, "JFS1"), UUID(32904), LABEL(32920, 16)},
    {"reiserfs", MAGIC(65588, "ReIsEr2Fs"), UUID(65620), LABEL(65636, 16)},
    {"reiserfs", MAGIC(65588, "ReIsEr3Fs"), UUID(65620), LABEL(65636, 16)},
};

static bool head_has(const Head *head, uint64_t offset, uint64_t len)
{
    return range_fits(offset, len, head->size);
}

static bool head_is(const Head *head, uint64_t offset, const char *magic, size_t len)
{
    return head_has(head, offset, len) && !memcmp(head->data + offset, magic, len);
}

/* NULL if nothing but blanks is there. */
static char *take_text(const uint8_t *bytes, size_t len)
{
    g_autofree char *text = g_strchomp(g_strndup((const char *)bytes, len));

    return *text ? g_steal_pointer(&text) : NULL;
}

static char *take_utf16(const uint8_t *bytes, size_t len)
{
    gunichar2 units[LABEL_MAX_BYTES / 2];
    size_t n = 0;

    while (n < len / 2 && le16_load(bytes + 2 * n)) {
        units[n] = le16_load(bytes + 2 * n);
        n++;
    }
    return n ? g_utf16_to_utf8(units, n, NULL, NULL, NULL) : NULL;
}

static char *take_uuid(const uint8_t bytes[16])
{
    if (buffer_is_zero(bytes, 16)) {
        return NULL;
    }

    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < 16; i++) {
        g_string_append_printf(text, "%s%02x", i >= 4 && i <= 10 && !(i % 2) ? "-" : "",
                               bytes[i]);
    }
    return g_string_free(text, FALSE);
}

static bool matches(const Head *head, const Signature *s, FsIdent *ident)
{
    if (!head_is(head, s->magic_offset, s->magic, s->magic_len) ||
        !head_has(head, s->label_offset, s->label_len) ||
        !head_has(head, s->uuid_offset, s->uuid_len)) {
        return false;
    }

    const uint8_t *label = head->data + s->label_offset;
    const uint8_t *uuid = head->data + s->uuid_offset;
    ident->type = s->type;
    if (s->label_form == LABEL_BYTES) {
        ident->label = take_text(label, s->label_len);
    } else if (s->label_form == LABEL_UTF16LE) {
        ident->label = take_utf16(label, s->label_len);
    }
    if (s->uuid_form == UUID_BYTES) {
        ident->uuid = take_uuid(uuid);
    } else if (s->uuid_form == UUID_TEXT) {
        ident->uuid = take_text(uuid, s->uuid_len);
    }
    return true;
}

/* The label of a physical volume is in one of the first sectors, and says where its
 * header is, which begins with the UUID. */
static bool match_lvm(const Head *head, FsIdent *ident)
{
    static const uint8_t groups[] = {6, 4, 4, 4, 4, 4, 6};

    for (unsigned i = 0; i < LVM_SECTORS; i++) {
        const uint32_t at = i * 512;

        if (!head_is(head, at, "LABELONE", 8) ||
            !head_is(head, at + 24, "LVM2 001", 8)) {
            continue;
        }

        uint64_t uuid_at = (uint64_t)at + le32_load(head->data + at + 20);
        ident->type = "LVM2_member";
        if (head_has(head, uuid_at, LVM_UUID_CHARS)) {
            GString *text = g_string_new(NULL);
            const char *c = (const char *)head->data + uuid_at;

            for (unsigned g = 0; g < G_N_ELEMENTS(groups); c += groups[g++]) {
                g_string_append_printf(text, "%s%.*s", g ? "-" : "", groups[g], c);
            }
            ident->uuid = g_string_free(text, FALSE);
        }
        return true;
    }
    return false;
}

/* RAID metadata 1.0 lies at the end, so that the rest looks like a filesystem. */
static bool coroutine_fn co_match_raid_at_end(const Head *head, FsIdent *ident)
{
    static const Signature raid = {"linux_raid_member",
                                   MAGIC(0, "\xfc\x4e\x2b\xa9\1\0\0\0"), UUID(16),
                                   LABEL(32, 32)};
    const int64_t sectors = blk_length(head->blk) / 512;
    const int64_t at = ((sectors - 16) & ~INT64_C(7)) * 512;
    uint8_t superblock[512];

    if (sectors < 24 ||
        blk_co_pread(head->blk, at, sizeof(superblock), superblock) < 0) {
        return false;
    }
    Head end = {head->blk, superblock, sizeof(superblock)};
    return le64_load(superblock + 144) == (uint64_t)at / 512 &&
           matches(&end, &raid, ident);
}

static bool match_boot_sector(const Head *head, FsIdent *ident)
{
    if (!head_has(head, 0, 512)) {
        return false;
    }

    const FatBootSector *boot = (const FatBootSector *)head->data;
    if (ntfs_is_boot_sector(head->data)) {
        ident->type = "ntfs";
        ident->uuid = g_strdup_printf("%016" PRIX64, le64_get(boot->ntfs.serial));
        return true;
    }
    return false;
}

/* The UUID of a CD is the time when it was made. */
static bool match_iso9660(const Head *head, FsIdent *ident)
{
    enum { CREATED = ISO_DESCRIPTOR + 813, MODIFIED = ISO_DESCRIPTOR + 830 };

    if (!head_is(head, ISO_DESCRIPTOR, "\1CD001", 6) || !head_has(head, MODIFIED, 17)) {
        return false;
    }

    const char *t = (const char *)head->data + MODIFIED;
    if (!strncmp(t, "0000000000000000", 16) || buffer_is_zero(t, 16)) {
        t = (const char *)head->data + CREATED;
    }
    ident->type = "iso9660";
    ident->label = take_text(head->data + ISO_DESCRIPTOR + 40, 32);
    ident->uuid = g_strdup_printf("%.4s-%.2s-%.2s-%.2s-%.2s-%.2s-%.2s", t, t + 4, t + 6,
                                  t + 8, t + 10, t + 12, t + 14);
    return true;
}

static bool match_table(const Head *head, const Signature *table, size_t n,
                        FsIdent *ident)
{
    for (size_t i = 0; i < n; i++) {
        if (matches(head, &table[i], ident)) {
            return true;
        }
    }
    return false;
}

static uint8_t *coroutine_fn co_read_head(BlockBackend *blk, Head *head)
{
    int64_t bytes = MIN(blk_length(blk), HEAD_BYTES);
    g_autofree uint8_t *data = g_malloc0(MAX(bytes, 1));

    if (bytes <= 0 || blk_co_pread(blk, 0, bytes, data) < 0) {
        return NULL;
    }
    *head = (Head){blk, data, bytes};
    return g_steal_pointer(&data);
}

static bool coroutine_fn container_co_probe(BlockBackend *blk, FsIdent *ident)
{
    Head head;
    g_autofree uint8_t *data = co_read_head(blk, &head);

    return data && (match_table(&head, containers, G_N_ELEMENTS(containers), ident) ||
                    match_lvm(&head, ident) || co_match_raid_at_end(&head, ident));
}

static bool coroutine_fn filesystem_co_probe(BlockBackend *blk, FsIdent *ident)
{
    Head head;
    g_autofree uint8_t *data = co_read_head(blk, &head);

    return data && (match_table(&head, filesystems, G_N_ELEMENTS(filesystems), ident) ||
                    match_iso9660(&head, ident) || match_boot_sector(&head, ident));
}

static const FsDriver fs_known_container = {
    .name = "known-container",
    .priority = 100,
    .is_container = true,
    .fs_co_probe = container_co_probe,
};

/* Behind the drivers that can read what they find, in front of those that go by copies,
 * which may be left of an older filesystem. */
static const FsDriver fs_known_filesystem = {
    .name = "known-filesystem",
    .priority = -50,
    .fs_co_probe = filesystem_co_probe,
};

fs_init(fs_known_container);
fs_init(fs_known_filesystem);
