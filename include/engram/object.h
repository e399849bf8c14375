/*
 * Objects: how everything behind the slots of an engram is wrapped.
 *
 * Pure functions over memory, for any thread; each thread keeps its own zstd
 * contexts.  Errors name the object by type and offset; callers prefix the file.
 */
#ifndef EMBR_ENGRAM_OBJECT_H
#define EMBR_ENGRAM_OBJECT_H

#include "engram/format.h"

/* What the header of an object says, in the machine's own integers. */
typedef struct EngramObjectInfo {
    EngramObjectType type;
    EngramObjectCodec codec;
    uint8_t flags;
    uint8_t profile;
    uint32_t stored;                /* bytes of payload */
    uint32_t raw;                   /* of it once decoded */
} EngramObjectInfo;

enum { ENGRAM_LEVEL_STORE = G_MININT };

/* "frame", "chunk list", ...; "object of unknown type" */
const char *engram_object_type_name(EngramObjectType type);
/* Most bytes an object of that type decodes to. */
uint32_t engram_object_max_raw(EngramObjectType type);

/* XXH3-64, seed 0. */
uint64_t engram_checksum(const void *data, size_t len);

EngramRef engram_ref_make(uint64_t offset, uint32_t stored, uint32_t raw);
static inline bool engram_ref_is_none(const EngramRef *ref)
{
    return !le64_get(ref->offset) && !le32_get(ref->stored) && !le32_get(ref->raw);
}
static inline bool engram_ref_equal(const EngramRef *a, const EngramRef *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}
/* Bytes of the file the object takes with its padding. */
uint64_t engram_ref_span(const EngramRef *ref);
/* The object that ref speaks of can exist: it lies between the slots and end, is
 * aligned, and its sizes are possible for type. */
bool engram_ref_check(const EngramRef *ref, EngramObjectType type, uint64_t end,
                      GError **errp);

/*
 * Appends an object to out: header, payload, padding.  It is compressed by zstd
 * at level, or stored as it is if level is ENGRAM_LEVEL_STORE or compression saves
 * less than 1/64.  len is at most engram_object_max_raw(type).  Returns its
 * reference, with the offset it has if out's first byte comes to be at base.
 */
EngramRef engram_object_append(GByteArray *out, uint64_t base, EngramObjectType type,
                               uint8_t profile, int level, const void *raw, size_t len);
/*
 * The same for a frame, as the correction of another one: recalled, which decodes to the
 * prefix.  False, with out as it was: that saves nothing.
 */
bool engram_object_append_correction(GByteArray *out, uint64_t base, uint8_t profile,
                                     int level, const void *raw, size_t len,
                                     const EngramRef *recalled, const void *prefix,
                                     EngramRef *ref);
/* Makes another place that of the frame that is recalled by a correction: object is all of
 * it, and right. */
void engram_object_set_recalled(uint8_t *object, const EngramRef *recalled);

/* Reads the header of the object at offset (for messages). len is what there is
 * of the file from there on; the payload need not be there. */
bool engram_object_parse_header(const void *data, size_t len, uint64_t offset,
                                EngramObjectInfo *info, GError **errp);

/*
 * Verifies and decodes the object that ref speaks of: data is its ref->stored
 * bytes.  raw has room for ref->raw bytes; all of them are written.  info may be
 * NULL.  Encrypted objects are EMBR_ERROR_UNSUPPORTED.
 */
bool engram_object_decode(const void *data, const EngramRef *ref, EngramObjectType type,
                          void *raw, EngramObjectInfo *info, GError **errp);

/* Whether that object, whose header is at data, says that it is a correction. */
static inline bool engram_object_is_correction(const void *data)
{
    return ((const EngramObjectHeader *)data)->codec == ENGRAM_OBJECT_CODEC_DELTA;
}
/*
 * Of such a frame, verified.  1: *recalled is the frame that this one,
 * at offset, corrects: it lies before it.  0: it is none.  -1: it is damaged.
 */
int engram_object_recalled(const void *data, const EngramRef *ref, EngramRef *recalled,
                           GError **errp);
/* Decodes a correction: prefix is what the frame that it recalls decodes to. */
bool engram_object_decode_correction(const void *data, const EngramRef *ref,
                                     const void *prefix, size_t prefix_len, void *raw,
                                     EngramObjectInfo *info, GError **errp);

/* The object that ref speaks of is stored as it is: its payload is what it decodes to. */
static inline bool engram_ref_is_stored(const EngramRef *ref)
{
    return le32_get(ref->stored) == sizeof(EngramObjectHeader) + (uint64_t)le32_get(ref->raw);
}
/* Verifies such an object, header and payload apart; what engram_object_decode() does,
 * but for the copy. */
bool engram_object_verify_stored(const EngramObjectHeader *header, const void *payload,
                                 const EngramRef *ref, EngramObjectType type,
                                 EngramObjectInfo *info, GError **errp);

#endif
