/* Parts of a volume, and what is made of the fields in them. */
#include <isa-l/crc.h>
#include <zlib.h>

#include "fs/known/known.h"

bool coroutine_fn known_co_start(KnownVolume *v, BlockBackend *blk)
{
    *v = (KnownVolume){.blk = blk, .size = MAX(blk_length(blk), 0)};
    v->head_bytes = MIN(v->size, KNOWN_HEAD_BYTES);
    v->head = g_malloc(MAX(v->head_bytes, 1));
    return v->head_bytes && blk_co_pread(blk, 0, v->head_bytes, v->head) >= 0;
}

void known_clear(KnownVolume *v)
{
    g_free(v->head);
    g_free(v->tail);
    g_free(v->part);
    *v = (KnownVolume){0};
}

static void coroutine_fn co_read_tail(KnownVolume *v)
{
    const uint64_t bytes = MIN(v->size, KNOWN_TAIL_BYTES);

    v->tried_tail = true;
    v->tail = g_malloc(bytes);
    if (blk_co_pread(v->blk, v->size - bytes, bytes, v->tail) >= 0) {
        v->tail_bytes = bytes;
    }
}

const uint8_t *coroutine_fn known_co_bytes(KnownVolume *v, uint64_t offset, size_t bytes)
{
    g_assert(bytes <= KNOWN_PART_BYTES);
    if (!range_fits(offset, bytes, v->size)) {
        return NULL;
    }
    if (range_fits(offset, bytes, v->head_bytes)) {
        return v->head + offset;
    }
    if (offset >= v->size - MIN(v->size, KNOWN_TAIL_BYTES)) {
        if (!v->tried_tail) {
            co_read_tail(v);
        }
        return v->tail_bytes ? v->tail + (offset - (v->size - v->tail_bytes)) : NULL;
    }
    if (!v->part) {
        v->part = g_malloc(KNOWN_PART_BYTES);
    }
    return blk_co_pread(v->blk, offset, bytes, v->part) >= 0 ? v->part : NULL;
}

bool coroutine_fn known_co_is(KnownVolume *v, uint64_t offset, const char *magic, size_t len)
{
    const uint8_t *bytes = known_co_bytes(v, offset, len);

    return bytes && !memcmp(bytes, magic, len);
}

char *known_text(const uint8_t *bytes, size_t len)
{
    g_autofree char *text = g_strchomp(g_strndup((const char *)bytes, len));

    return *text ? g_steal_pointer(&text) : NULL;
}

static char *take_utf16(const uint8_t *bytes, size_t len, bool is_be)
{
    gunichar2 units[KNOWN_LABEL_MAX_BYTES / 2];
    size_t n = 0;

    for (; n < MIN(len / 2, G_N_ELEMENTS(units)); n++) {
        units[n] = is_be ? be16_load(bytes + 2 * n) : le16_load(bytes + 2 * n);
        if (!units[n]) {
            break;
        }
    }

    g_autofree char *text = g_utf16_to_utf8(units, n, NULL, NULL, NULL);
    return text && *g_strchomp(text) ? g_steal_pointer(&text) : NULL;
}

char *known_utf16le(const uint8_t *bytes, size_t len)
{
    return take_utf16(bytes, len, false);
}

char *known_utf16be(const uint8_t *bytes, size_t len)
{
    return take_utf16(bytes, len, true);
}

char *known_uuid(const uint8_t bytes[16])
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

uint32_t known_crc32(uint32_t seed, const uint8_t *bytes, size_t n)
{
    return ~crc32(~seed, bytes, n);
}

uint32_t known_crc32_but(uint32_t seed, const uint8_t *bytes, size_t n, size_t field)
{
    static const uint8_t zeroes[4];
    const size_t after = field + sizeof(zeroes);
    uint32_t crc = known_crc32(seed, bytes, field);

    crc = known_crc32(crc, zeroes, sizeof(zeroes));
    return known_crc32(crc, bytes + after, n - after);
}

uint32_t known_crc32c(const uint8_t *bytes, size_t n)
{
    return ~crc32_iscsi((uint8_t *)bytes, n, UINT32_MAX);
}

/* Where the superblock is; false: the volume is too short for it. */
static bool locate(const KnownVolume *v, const Signature *s, uint64_t *offset)
{
    if (!s->at_end) {
        *offset = s->offset;
        return true;
    }
    const uint64_t unit = s->align ?: 512;
    if (s->offset > round_down_pow2(v->size, unit)) {
        return false;
    }
    *offset = round_down_pow2(v->size, unit) - s->offset;
    return true;
}

static size_t superblock_bytes(const Signature *s)
{
    size_t bytes = MAX(s->bytes, s->magic_offset + s->magic_len);

    bytes = MAX(bytes, s->label_offset + s->label_len);
    return MAX(bytes, s->uuid_offset + s->uuid_len);
}

static void take_fields(const Signature *s, const uint8_t *sb, FsIdent *ident)
{
    const uint8_t *label = sb + s->label_offset, *uuid = sb + s->uuid_offset;

    ident->type = s->type;
    ident->details = g_strdup(s->details);
    if (s->label_form == LABEL_BYTES) {
        ident->label = known_text(label, s->label_len);
    } else if (s->label_form == LABEL_UTF16LE) {
        ident->label = known_utf16le(label, s->label_len);
    }
    if (s->uuid_form == UUID_BYTES) {
        ident->uuid = known_uuid(uuid);
    } else if (s->uuid_form == UUID_TEXT) {
        ident->uuid = known_text(uuid, s->uuid_len);
    }
}

static bool coroutine_fn co_matches(KnownVolume *v, const Signature *s, FsIdent *ident)
{
    uint64_t offset;

    if (!locate(v, s, &offset)) {
        return false;
    }
    const uint8_t *sb = known_co_bytes(v, offset, superblock_bytes(s));
    if (!sb || memcmp(sb + s->magic_offset, s->magic, s->magic_len) != 0) {
        return false;
    }
    take_fields(s, sb, ident);
    if (s->co_check && !s->co_check(v, s, offset, sb, ident)) {
        fs_ident_clear(ident);
        return false;
    }
    return true;
}

bool coroutine_fn known_co_match(KnownVolume *v, const Signature *table, size_t n,
                                 FsIdent *ident)
{
    for (size_t i = 0; i < n; i++) {
        if (co_matches(v, &table[i], ident)) {
            return true;
        }
    }
    return false;
}
