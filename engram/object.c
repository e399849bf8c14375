/*
 * Objects: header, payload, padding; checksums and zstd.
 */
#include "engram/object.h"

#include <xxhash.h>
#include <zstd.h>

#include "util/error.h"
#include "util/units.h"

static const uint8_t object_magic[4] = { 'E', 'O', 'B', 'J' };

/* Compression has to save this part of an object to be worth undoing. */
enum { WORTHWHILE_PART = 64 };

enum { MIN_PREFIX_WINDOW = 17 };        /* log2 of bytes */

const char *engram_object_type_name(EngramObjectType type)
{
    static const char *const names[] = {
        [ENGRAM_OBJECT_FRAME]     = "frame",
        [ENGRAM_OBJECT_CHUNKS]    = "chunk list",
        [ENGRAM_OBJECT_FRAME_DIR] = "frame directory page",
        [ENGRAM_OBJECT_MAP]       = "map",
        [ENGRAM_OBJECT_SEGMENTS]  = "segments",
        [ENGRAM_OBJECT_MAP_ROOT]  = "map root",
        [ENGRAM_OBJECT_FILES]     = "files page",
        [ENGRAM_OBJECT_VECTORS]   = "vectors page",
        [ENGRAM_OBJECT_MANIFEST]  = "manifest",
        [ENGRAM_OBJECT_IMAGE]     = "image record",
        [ENGRAM_OBJECT_PROFILES]  = "profiles",
        [ENGRAM_OBJECT_COMMIT]    = "commit record",
        [ENGRAM_OBJECT_PARITY]    = "parity",
        [ENGRAM_OBJECT_KEYS]      = "keys",
        [ENGRAM_OBJECT_RECALL]    = "recall index",
        [ENGRAM_OBJECT_VECTOR_INDEX] = "vector index",
        [ENGRAM_OBJECT_MEMBERS]   = "members page",
        [ENGRAM_OBJECT_FEATURES]  = "features page",
    };

    if ((unsigned)type < G_N_ELEMENTS(names) && names[type]) {
        return names[type];
    }
    return "object of unknown type";
}

uint32_t engram_object_max_raw(EngramObjectType type)
{
    return type == ENGRAM_OBJECT_FRAME ? ENGRAM_MAX_FRAME_BYTES : ENGRAM_MAX_OBJECT_BYTES;
}

uint64_t engram_checksum(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

EngramRef engram_ref_make(uint64_t offset, uint32_t stored, uint32_t raw)
{
    return (EngramRef){
        .offset = le64_make(offset),
        .stored = le32_make(stored),
        .raw = le32_make(raw),
    };
}

uint64_t engram_ref_span(const EngramRef *ref)
{
    return round_up_pow2(le32_get(ref->stored), ENGRAM_OBJECT_ALIGN);
}

bool engram_ref_check(const EngramRef *ref, EngramObjectType type, uint64_t end,
                      GError **errp)
{
    uint64_t offset = le64_get(ref->offset);
    uint32_t stored = le32_get(ref->stored);
    uint32_t raw = le32_get(ref->raw);
    const char *name = engram_object_type_name(type);

    if (offset < ENGRAM_OBJECTS_START || offset % ENGRAM_OBJECT_ALIGN) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "reference to a %s at offset 0x%" PRIx64
                    ", expected a multiple of %d from 0x%x on",
                    name, offset, ENGRAM_OBJECT_ALIGN, ENGRAM_OBJECTS_START);
        return false;
    }
    if (!range_fits(offset, engram_ref_span(ref), end)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "reference to a %s of %" PRIu32 " bytes at offset 0x%" PRIx64
                    " goes past the end of the commit (0x%" PRIx64 ")",
                    name, stored, offset, end);
        return false;
    }
    if (raw > engram_object_max_raw(type)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s at offset 0x%" PRIx64 " decodes to %" PRIu32
                    " bytes, expected at most %" PRIu32,
                    name, offset, raw, engram_object_max_raw(type));
        return false;
    }
    if (stored < sizeof(EngramObjectHeader) ||
        stored > sizeof(EngramObjectHeader) + (uint64_t)raw + ENGRAM_ENCRYPTION_BYTES) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "reference to a %s at offset 0x%" PRIx64 " stored in %" PRIu32
                    " bytes for %" PRIu32 " decoded ones",
                    name, offset, stored, raw);
        return false;
    }
    return true;
}

static void free_cctx(void *cctx)
{
    ZSTD_freeCCtx(cctx);
}

static void free_dctx(void *dctx)
{
    ZSTD_freeDCtx(dctx);
}

static ZSTD_CCtx *thread_cctx(void)
{
    static GPrivate key = G_PRIVATE_INIT(free_cctx);
    ZSTD_CCtx *cctx = g_private_get(&key);

    if (!cctx) {
        cctx = ZSTD_createCCtx();
        if (!cctx) {
            g_error("out of memory for a zstd context");
        }
        g_private_set(&key, cctx);
    }
    return cctx;
}

static ZSTD_DCtx *thread_dctx(void)
{
    static GPrivate key = G_PRIVATE_INIT(free_dctx);
    ZSTD_DCtx *dctx = g_private_get(&key);

    if (!dctx) {
        dctx = ZSTD_createDCtx();
        if (!dctx) {
            g_error("out of memory for a zstd context");
        }
        g_private_set(&key, dctx);
    }
    return dctx;
}

/* Bytes written to dst, 0 if they would be more than room. */
static size_t compress(void *dst, size_t room, int level, const void *prefix,
                       size_t prefix_len, const void *raw, size_t len)
{
    ZSTD_CCtx *cctx = thread_cctx();

    ZSTD_CCtx_reset(cctx, ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(cctx, ZSTD_c_compressionLevel, level);
    if (prefix) {
        ZSTD_CCtx_setParameter(cctx, ZSTD_c_windowLog,
                               MAX(g_bit_storage(prefix_len + len), MIN_PREFIX_WINDOW));
        ZSTD_CCtx_refPrefix(cctx, prefix, prefix_len);
    }
    size_t n = ZSTD_compress2(cctx, dst, room, raw, len);
    return ZSTD_isError(n) ? 0 : n;
}

static void add_checksums(EngramObjectHeader *header, const uint8_t *payload)
{
    header->payload_checksum =
        le64_make(engram_checksum(payload, le32_get(header->stored)));
    header->header_checksum = le64_make(
        engram_checksum(header, G_STRUCT_OFFSET(EngramObjectHeader, header_checksum)));
}

/* Completes the object at start of out, whose payload is there. */
static EngramRef finish(GByteArray *out, uint64_t base, guint start,
                        EngramObjectHeader *header)
{
    uint8_t *payload = out->data + start + sizeof(*header);
    uint32_t stored = le32_get(header->stored);

    memcpy(header->magic, object_magic, sizeof(object_magic));
    add_checksums(header, payload);
    memcpy(out->data + start, header, sizeof(*header));

    EngramRef ref =
        engram_ref_make(base + start, sizeof(*header) + stored, le32_get(header->raw));
    memset(payload + stored, 0, engram_ref_span(&ref) - le32_get(ref.stored));
    g_byte_array_set_size(out, start + engram_ref_span(&ref));
    return ref;
}

EngramRef engram_object_append(GByteArray *out, uint64_t base, EngramObjectType type,
                               uint8_t profile, int level, const void *raw, size_t len)
{
    guint start = out->len;
    size_t payload = 0;

    g_assert(len <= engram_object_max_raw(type));
    g_byte_array_set_size(out, start + sizeof(EngramObjectHeader) + len +
                               ENGRAM_OBJECT_ALIGN);
    uint8_t *dst = out->data + start + sizeof(EngramObjectHeader);

    if (level != ENGRAM_LEVEL_STORE && len >= WORTHWHILE_PART) {
        payload = compress(dst, len - len / WORTHWHILE_PART, level, NULL, 0, raw, len);
    }
    EngramObjectCodec codec = payload ? ENGRAM_OBJECT_CODEC_ZSTD : ENGRAM_OBJECT_CODEC_STORE;
    if (codec == ENGRAM_OBJECT_CODEC_STORE && len) {
        memcpy(dst, raw, len);
        payload = len;
    }

    EngramObjectHeader header = {
        .type = type,
        .codec = codec,
        .profile = profile,
        .stored = le32_make(payload),
        .raw = le32_make(len),
    };
    return finish(out, base, start, &header);
}

bool engram_object_append_correction(GByteArray *out, uint64_t base, uint8_t profile,
                                     int level, const void *raw, size_t len,
                                     const EngramRef *recalled, const void *prefix,
                                     EngramRef *ref)
{
    guint start = out->len;
    EngramCorrection correction = { *recalled };
    size_t room = len - len / WORTHWHILE_PART;

    if (level == ENGRAM_LEVEL_STORE || room <= sizeof(correction)) {
        return false;
    }
    g_byte_array_set_size(out, start + sizeof(EngramObjectHeader) + len +
                               ENGRAM_OBJECT_ALIGN);
    uint8_t *dst = out->data + start + sizeof(EngramObjectHeader);
    size_t n = compress(dst + sizeof(correction), room - sizeof(correction), level, prefix,
                        le32_get(recalled->raw), raw, len);
    if (!n) {
        g_byte_array_set_size(out, start);
        return false;
    }
    memcpy(dst, &correction, sizeof(correction));
    EngramObjectHeader header = {
        .type = ENGRAM_OBJECT_FRAME,
        .codec = ENGRAM_OBJECT_CODEC_DELTA,
        .profile = profile,
        .stored = le32_make(sizeof(correction) + n),
        .raw = le32_make(len),
    };
    *ref = finish(out, base, start, &header);
    return true;
}

void engram_object_set_recalled(uint8_t *object, const EngramRef *recalled)
{
    EngramCorrection correction = { *recalled };
    EngramObjectHeader header;

    memcpy(object + sizeof(header), &correction, sizeof(correction));
    memcpy(&header, object, sizeof(header));
    add_checksums(&header, object + sizeof(header));
    memcpy(object, &header, sizeof(header));
}

static bool check_header_values(const EngramObjectInfo *info, uint64_t offset, GError **errp)
{
    const char *name = engram_object_type_name(info->type);
    uint64_t extra = info->flags & ENGRAM_OBJECT_ENCRYPTED ? ENGRAM_ENCRYPTION_BYTES : 0;

    bool known = info->codec <= ENGRAM_OBJECT_CODEC_ZSTD ||
                 (info->codec == ENGRAM_OBJECT_CODEC_DELTA &&
                  info->type == ENGRAM_OBJECT_FRAME);

    if (info->flags & ~ENGRAM_OBJECT_ENCRYPTED || !known) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s at offset 0x%" PRIx64 " has codec %d and flags 0x%x, which are not known",
                    name, offset, info->codec, info->flags);
        return false;
    }
    if (info->raw > engram_object_max_raw(info->type)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%s at offset 0x%" PRIx64 " decodes to %" PRIu32
                    " bytes, expected at most %" PRIu32,
                    name, offset, info->raw, engram_object_max_raw(info->type));
        return false;
    }
    if (info->codec == ENGRAM_OBJECT_CODEC_STORE ? info->stored != info->raw + extra
                                          : info->stored >= info->raw + extra) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s at offset 0x%" PRIx64 " with codec %d is stored in %" PRIu32
                    " bytes for %" PRIu32 " decoded ones",
                    name, offset, info->codec, info->stored, info->raw);
        return false;
    }
    return true;
}

bool engram_object_parse_header(const void *data, size_t len, uint64_t offset,
                                EngramObjectInfo *info, GError **errp)
{
    EngramObjectHeader header;

    if (len < sizeof(header)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "object at offset 0x%" PRIx64 ": %zu bytes of a header, expected %zu",
                    offset, len, sizeof(header));
        return false;
    }
    memcpy(&header, data, sizeof(header));
    if (memcmp(header.magic, object_magic, sizeof(object_magic)) != 0) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "no object at offset 0x%" PRIx64 ": magic %02x %02x %02x %02x, expected EOBJ",
                    offset, header.magic[0], header.magic[1], header.magic[2],
                    header.magic[3]);
        return false;
    }
    uint64_t found = le64_get(header.header_checksum);
    uint64_t expected =
        engram_checksum(&header, G_STRUCT_OFFSET(EngramObjectHeader, header_checksum));
    if (found != expected) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "object at offset 0x%" PRIx64 ": header checksum is 0x%016" PRIx64
                    ", expected 0x%016" PRIx64,
                    offset, found, expected);
        return false;
    }
    *info = (EngramObjectInfo){
        .type = header.type,
        .codec = header.codec,
        .flags = header.flags,
        .profile = header.profile,
        .stored = le32_get(header.stored),
        .raw = le32_get(header.raw),
    };
    return check_header_values(info, offset, errp);
}

static bool check_against_ref(const EngramObjectInfo *info, const EngramRef *ref,
                              EngramObjectType type, GError **errp)
{
    uint64_t offset = le64_get(ref->offset);
    uint64_t stored = sizeof(EngramObjectHeader) + (uint64_t)info->stored;

    if (info->type != type) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "object at offset 0x%" PRIx64 " is of type %d (%s), expected %d (%s)",
                    offset, info->type, engram_object_type_name(info->type), type,
                    engram_object_type_name(type));
        return false;
    }
    if (stored != le32_get(ref->stored) || info->raw != le32_get(ref->raw)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s at offset 0x%" PRIx64 " has %" PRIu64 " bytes stored, %" PRIu32
                    " decoded; its reference expects %" PRIu32 " and %" PRIu32,
                    engram_object_type_name(type), offset, stored, info->raw,
                    le32_get(ref->stored), le32_get(ref->raw));
        return false;
    }
    if (info->flags & ENGRAM_OBJECT_ENCRYPTED) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s at offset 0x%" PRIx64 " is encrypted, which is not supported",
                    engram_object_type_name(type), offset);
        return false;
    }
    return true;
}

/* size bytes of the payload are a zstd frame. */
static bool decompress(const void *payload, size_t size, const EngramObjectInfo *info,
                       uint64_t offset, const void *prefix, size_t prefix_len, void *raw,
                       GError **errp)
{
    unsigned long long content = ZSTD_getFrameContentSize(payload, size);
    size_t frame = ZSTD_findFrameCompressedSize(payload, size);
    ZSTD_DCtx *dctx = thread_dctx();

    if (content != info->raw || frame != size) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s at offset 0x%" PRIx64 ": payload is not one zstd frame of %" PRIu32
                    " bytes that names its content size %" PRIu32,
                    engram_object_type_name(info->type), offset, (uint32_t)size, info->raw);
        return false;
    }
    if (prefix) {
        ZSTD_DCtx_refPrefix(dctx, prefix, prefix_len);
    }
    size_t n = ZSTD_decompressDCtx(dctx, raw, info->raw, payload, size);
    if (prefix) {
        ZSTD_DCtx_reset(dctx, ZSTD_reset_session_and_parameters);
    }
    if (ZSTD_isError(n) || n != info->raw) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s at offset 0x%" PRIx64 ": zstd: %s",
                    engram_object_type_name(info->type), offset,
                    ZSTD_isError(n) ? ZSTD_getErrorName(n) : "too few bytes");
        return false;
    }
    return true;
}

/* Header and checksum of an object. */
static bool verify(const void *header_bytes, size_t len, const void *payload,
                   const EngramRef *ref, EngramObjectType type, EngramObjectInfo *info,
                   GError **errp)
{
    uint64_t offset = le64_get(ref->offset);
    EngramObjectHeader header;

    if (!engram_object_parse_header(header_bytes, len, offset, info, errp) ||
        !check_against_ref(info, ref, type, errp)) {
        return false;
    }
    memcpy(&header, header_bytes, sizeof(header));
    uint64_t found = engram_checksum(payload, info->stored);
    if (found != le64_get(header.payload_checksum)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s at offset 0x%" PRIx64 ": checksum of the payload is 0x%016" PRIx64
                    ", expected 0x%016" PRIx64,
                    engram_object_type_name(type), offset, found,
                    le64_get(header.payload_checksum));
        return false;
    }
    return true;
}

bool engram_object_verify_stored(const EngramObjectHeader *header, const void *payload,
                                 const EngramRef *ref, EngramObjectType type,
                                 EngramObjectInfo *info, GError **errp)
{
    EngramObjectInfo local;

    return verify(header, sizeof(*header), payload, ref, type, info ? info : &local, errp);
}

bool engram_object_decode(const void *data, const EngramRef *ref, EngramObjectType type,
                          void *raw, EngramObjectInfo *info, GError **errp)
{
    const uint8_t *payload = (const uint8_t *)data + sizeof(EngramObjectHeader);
    EngramObjectInfo local;

    info = info ? info : &local;
    if (!verify(data, le32_get(ref->stored), payload, ref, type, info, errp)) {
        return false;
    }
    if (info->codec == ENGRAM_OBJECT_CODEC_ZSTD) {
        return decompress(payload, info->stored, info, le64_get(ref->offset), NULL, 0, raw,
                          errp);
    }
    if (info->codec == ENGRAM_OBJECT_CODEC_DELTA) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "frame at offset 0x%" PRIx64 " is a correction, expected none here",
                    le64_get(ref->offset));
        return false;
    }
    if (info->raw) {
        memcpy(raw, payload, info->raw);
    }
    return true;
}

int engram_object_recalled(const void *data, const EngramRef *ref, EngramRef *recalled,
                           GError **errp)
{
    const uint8_t *payload = (const uint8_t *)data + sizeof(EngramObjectHeader);
    uint64_t offset = le64_get(ref->offset);
    EngramObjectInfo info;
    EngramCorrection correction = { 0 };

    if (!verify(data, le32_get(ref->stored), payload, ref, ENGRAM_OBJECT_FRAME, &info,
                errp)) {
        return -1;
    }
    if (info.codec != ENGRAM_OBJECT_CODEC_DELTA) {
        return 0;
    }
    memcpy(&correction, payload, MIN(sizeof(correction), info.stored));
    *recalled = correction.recalled;
    if (info.stored <= sizeof(correction) || le64_get(recalled->offset) >= offset) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "frame at offset 0x%" PRIx64 " is a correction of %" PRIu32
                    " bytes of one at offset 0x%" PRIx64 ", expected more than %zu, and one"
                    " before it",
                    offset, info.stored, le64_get(recalled->offset), sizeof(correction));
        return -1;
    }
    return engram_ref_check(recalled, ENGRAM_OBJECT_FRAME, offset, errp) ? 1 : -1;
}

bool engram_object_decode_correction(const void *data, const EngramRef *ref,
                                     const void *prefix, size_t prefix_len, void *raw,
                                     EngramObjectInfo *info, GError **errp)
{
    const uint8_t *payload = (const uint8_t *)data + sizeof(EngramObjectHeader);
    EngramObjectInfo local;

    info = info ? info : &local;
    return verify(data, le32_get(ref->stored), payload, ref, ENGRAM_OBJECT_FRAME, info,
                  errp) &&
           decompress(payload + sizeof(EngramCorrection),
                      info->stored - sizeof(EngramCorrection), info,
                      le64_get(ref->offset), prefix, prefix_len, raw, errp);
}
