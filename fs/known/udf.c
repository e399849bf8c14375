/* UDF (ECMA-167).  An anchor leads to the descriptors that have the volume's names. */
#include "fs/known/known.h"

enum {
    RECOGNITION_OFFSET = 32 * 1024,
    RECOGNITION_DESCRIPTORS = 64,
    DESCRIPTORS_MAX = 64,
    ANCHOR_SECTOR = 256,
    DESCRIPTOR_BYTES = 512,
    TAG_PRIMARY = 1,
    TAG_ANCHOR = 2,
    TAG_LOGICAL = 6,
    TAG_TERMINATOR = 8,
    NAME_BYTES = 128,
    UUID_CHARS = 16,
};

/* A name of fixed length whose last byte says how much of it there is, and whose first one
 * whether characters are of 8 or of 16 bits. */
static char *take_name(const uint8_t name[NAME_BYTES])
{
    const size_t len = MIN(name[NAME_BYTES - 1], NAME_BYTES - 1);

    if (len < 2 || (name[0] != 8 && name[0] != 16)) {
        return NULL;
    }
    if (name[0] == 16) {
        return known_utf16be(name + 1, len - 1);
    }

    g_autofree char *latin1 = g_strndup((const char *)name + 1, len - 1);
    g_autofree char *text = g_convert(latin1, -1, "UTF-8", "ISO-8859-1", NULL, NULL, NULL);
    return text && *g_strchomp(text) ? g_steal_pointer(&text) : NULL;
}

/* The start of the volume set's name is to be unique: 16 digits in hex, or 8, and what is
 * no digit in hex. */
static char *make_uuid(const uint8_t volume_set[NAME_BYTES])
{
    g_autofree char *name = take_name(volume_set);
    GString *uuid;
    size_t digits = 0;

    if (!name || strlen(name) < 8) {
        return NULL;
    }
    while (digits < UUID_CHARS && g_ascii_isxdigit(name[digits])) {
        digits++;
    }
    digits = digits < 8 ? 0 : digits < UUID_CHARS ? 8 : UUID_CHARS;
    uuid = g_string_new_len(name, digits);
    g_string_ascii_down(uuid);
    for (size_t i = digits; uuid->len < UUID_CHARS; i++) {
        const size_t len = strlen(name);

        g_string_append_printf(uuid, "%02x", i < len ? (uint8_t)name[i] : 0);
    }
    return g_string_free(uuid, FALSE);
}

static bool is_descriptor(const uint8_t *d, uint16_t tag, uint32_t sector)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < 16; i++) {
        sum += i == 4 ? 0 : d[i];
    }
    return le16_load(d) == tag && le32_load(d + 12) == sector && sum == d[4];
}

/* Whether the standards that the volume keeps to are named at its start. */
static const char *coroutine_fn co_standard(KnownVolume *v)
{
    static const uint32_t steps[] = {2048, 4096};

    for (unsigned s = 0; s < G_N_ELEMENTS(steps); s++) {
        for (unsigned i = 0; i < RECOGNITION_DESCRIPTORS; i++) {
            const uint64_t at = RECOGNITION_OFFSET + (uint64_t)i * steps[s] + 1;
            const uint8_t *id = known_co_bytes(v, at, 5);

            if (!id || buffer_is_zero(id, 5)) {
                break;
            }
            if (!memcmp(id, "NSR02", 5) || !memcmp(id, "NSR03", 5)) {
                return id[4] == '2' ? "NSR02" : "NSR03";
            }
        }
    }
    return NULL;
}

static void coroutine_fn co_take_names(KnownVolume *v, uint32_t sector_bytes,
                                       uint32_t first, uint32_t bytes, FsIdent *ident)
{
    const uint32_t count = MIN(bytes / sector_bytes, DESCRIPTORS_MAX);

    for (uint32_t i = 0; i < count; i++) {
        const uint64_t sector = (uint64_t)first + i;
        const uint8_t *d = known_co_bytes(v, sector * sector_bytes, DESCRIPTOR_BYTES);

        if (!d || is_descriptor(d, TAG_TERMINATOR, sector)) {
            return;
        }
        if (is_descriptor(d, TAG_PRIMARY, sector) && !ident->uuid) {
            ident->uuid = make_uuid(d + 72);
        } else if (is_descriptor(d, TAG_LOGICAL, sector) && !ident->label) {
            ident->label = take_name(d + 84);
        }
    }
}

static bool coroutine_fn co_read_anchor(KnownVolume *v, uint32_t sector_bytes,
                                        FsIdent *ident)
{
    const uint8_t *anchor = known_co_bytes(v, (uint64_t)ANCHOR_SECTOR * sector_bytes,
                                           DESCRIPTOR_BYTES);

    if (!anchor || !is_descriptor(anchor, TAG_ANCHOR, ANCHOR_SECTOR)) {
        return false;
    }
    co_take_names(v, sector_bytes, le32_load(anchor + 20), le32_load(anchor + 16), ident);
    return true;
}

bool coroutine_fn known_co_udf(KnownVolume *v, FsIdent *ident)
{
    static const uint32_t sector_sizes[] = {2048, 512, 4096, 1024};
    const char *standard = co_standard(v);

    for (unsigned i = 0; standard && i < G_N_ELEMENTS(sector_sizes); i++) {
        if (co_read_anchor(v, sector_sizes[i], ident)) {
            ident->type = "udf";
            ident->details =
                g_strdup_printf("%s, blocks of %u bytes", standard, sector_sizes[i]);
            return true;
        }
    }
    return false;
}
