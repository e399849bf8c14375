/*
 * Rock Ridge: POSIX attributes as fields of SUSP, in the system use areas of directory
 * records and in what continues them elsewhere.
 */
#include "iso9660.h"

enum {
    CONTINUATIONS_MAX = 4096,
    AREA_BYTES_MAX = 4 * 1024 * 1024,
    SHORT_AREA_BYTES =
        64 * 1024, /* how much is searched if attributes are not wanted */
    NAME_MAX_BYTES = 1024,
    TARGET_MAX_BYTES = 65535,
    SHORT_TIME_BYTES = 7,
    LONG_TIME_BYTES = 17,
};

typedef struct RockParser {
    IsoState *s;
    IsoRecord *record;
    bool separate;           /* before the next component comes a slash */
    bool truncated;          /* the area, since not all of it is wanted */
    bool joins;              /* the next component of attributes goes on */
    uint32_t component_left; /* bytes of it that are in the next field */
    bool has_continuation;
    SuspContinuation continuation;
} RockParser;

static bool report_field(const RockParser *p, const SuspField *field, const char *what,
                         GError **errp)
{
    g_autofree char *type = g_strndup(field->type, sizeof(field->type));
    g_autofree char *shown = g_strescape(type, NULL);

    iso_error(p->s, errp, EMBR_ERROR_CORRUPT, p->record->offset,
              "Rock Ridge: field %s of %u bytes: %s", shown, field->bytes, what);
    return false;
}

static bool is_type(const SuspField *field, const char type[3])
{
    return field->type[0] == type[0] && field->type[1] == type[1];
}

static bool both_agree(const RockParser *p, const IsoBoth32 *number, const char *what,
                       GError **errp)
{
    return iso_both_agree(p->s, number, p->record->offset, what, errp);
}

static bool parse_posix(const RockParser *p, const RockPosix *raw, GError **errp)
{
    IsoRock *rock = &p->record->rock;

    rock->has_posix = true;
    rock->mode = le32_get(raw->mode.le);
    rock->nlink = le32_get(raw->nlink.le);
    rock->uid = le32_get(raw->uid.le);
    rock->gid = le32_get(raw->gid.le);
    return both_agree(p, &raw->mode, "Rock Ridge: the mode", errp) &&
           both_agree(p, &raw->nlink, "Rock Ridge: the number of links", errp) &&
           both_agree(p, &raw->uid, "Rock Ridge: the owner", errp) &&
           both_agree(p, &raw->gid, "Rock Ridge: the group", errp);
}

/* Most makers put both numbers into the low half, as the C library packs them. */
static bool parse_device(const RockParser *p, const RockDevice *raw, GError **errp)
{
    IsoRock *rock = &p->record->rock;
    uint32_t high = le32_get(raw->high.le), low = le32_get(raw->low.le);

    if (!high && low > 0xff) {
        high = low >> 8 & 0xfff;
        low = (low & 0xff) | (low >> 12 & 0xfff00);
    }
    rock->rdev_major = high;
    rock->rdev_minor = low;
    return both_agree(p, &raw->high, "Rock Ridge: the device", errp) &&
           both_agree(p, &raw->low, "Rock Ridge: the device", errp);
}

static bool parse_name(const RockParser *p, const SuspField *field, const uint8_t *data,
                       size_t bytes, GError **errp)
{
    IsoRock *rock = &p->record->rock;

    if (data[0] & (ROCK_CURRENT | ROCK_PARENT)) {
        return true;
    }
    g_string_append_len(rock->name, (const char *)data + 1, bytes - 1);
    rock->has_name = true;
    return rock->name->len <= NAME_MAX_BYTES ||
           report_field(p, field, "a name of more than 1024 bytes", errp);
}

static bool parse_target(RockParser *p, const SuspField *field, const uint8_t *data,
                         size_t bytes, GError **errp)
{
    IsoRock *rock = &p->record->rock;
    size_t pos = 1;

    rock->target = rock->target ?: g_string_new(NULL);
    while (pos < bytes) {
        const RockComponent *part = (const RockComponent *)(data + pos);

        if (bytes - pos < sizeof(*part) || part->bytes > bytes - pos - sizeof(*part)) {
            return report_field(p, field, "a component reaches past its end", errp);
        }
        if (p->separate) {
            g_string_append_c(rock->target, '/');
        }
        p->separate = !(part->flags & ROCK_GOES_ON);
        if (part->flags & ROCK_ROOT) {
            /* Elsewhere than at the start it stands for an empty part. */
            if (!rock->target->len) {
                g_string_append_c(rock->target, '/');
                p->separate = false;
            }
        } else if (part->flags & ROCK_CURRENT) {
            g_string_append(rock->target, ".");
        } else if (part->flags & ROCK_PARENT) {
            g_string_append(rock->target, "..");
        } else {
            g_string_append_len(rock->target, (const char *)(part + 1), part->bytes);
        }
        pos += sizeof(*part) + part->bytes;
    }
    return rock->target->len <= TARGET_MAX_BYTES ||
           report_field(p, field, "a target of more than 65535 bytes", errp);
}

static bool parse_times(const RockParser *p, const SuspField *field,
                        const uint8_t *data, size_t bytes, GError **errp)
{
    bool is_long = data[0] & ROCK_TIMES_LONG;
    size_t each = is_long ? LONG_TIME_BYTES : SHORT_TIME_BYTES;
    size_t pos = 1;

    for (unsigned i = 0; i < ROCK_TIMES; i++) {
        if (!(data[0] & 1 << i)) {
            continue;
        }
        if (bytes - pos < each) {
            return report_field(p, field, "a time reaches past its end", errp);
        }
        p->record->rock.has_time[i] = true;
        p->record->rock.times[i] =
            is_long ? iso_time_long(data + pos) : iso_time_short(data + pos);
        pos += each;
    }
    return true;
}

/* Bytes of a component, whose first ones may be in an earlier field. */
static void add_component(RockParser *p, const uint8_t *bytes, uint32_t count)
{
    GPtrArray *list = p->record->rock.attributes;

    g_byte_array_append(g_ptr_array_index(list, list->len - 1), bytes, count);
}

/* AAIP: components as those of targets, but records of them may go on in the next
 * field. */
static bool parse_attributes(RockParser *p, const SuspField *field, const uint8_t *data,
                             size_t bytes, GError **errp)
{
    GPtrArray *list = p->record->rock.attributes;
    size_t pos = 1;

    p->record->rock.has_attributes = true;
    if (!list) {
        return true;
    }
    while (pos < bytes) {
        uint32_t part;

        if (!p->component_left) {
            const RockComponent *head = (const RockComponent *)(data + pos);

            if (bytes - pos < sizeof(*head)) {
                return report_field(p, field, "a component reaches past its end", errp);
            }
            if (!p->joins) {
                g_ptr_array_add(list, g_byte_array_new());
            }
            p->joins = head->flags & ROCK_GOES_ON;
            p->component_left = head->bytes;
            pos += sizeof(*head);
        }
        part = MIN(p->component_left, bytes - pos);
        add_component(p, data + pos, part);
        p->component_left -= part;
        pos += part;
    }
    return true;
}

static bool parse_child(const RockParser *p, const IsoBoth32 *block, GError **errp)
{
    p->record->rock.child = (uint64_t)le32_get(block->le) * p->s->block_bytes;
    return both_agree(p, block, "Rock Ridge: the relocated directory's block", errp);
}

static bool parse_continuation(RockParser *p, const uint8_t *data, GError **errp)
{
    memcpy(&p->continuation, data, sizeof(p->continuation));
    p->has_continuation = true;
    return both_agree(p, &p->continuation.block, "SUSP: the continuation's block",
                      errp) &&
           both_agree(p, &p->continuation.offset, "SUSP: the continuation's offset",
                      errp) &&
           both_agree(p, &p->continuation.bytes, "SUSP: the continuation's size", errp);
}

static bool parse_zisofs(const RockParser *p, const SuspField *field,
                         const uint8_t *data, GError **errp)
{
    IsoRock *rock = &p->record->rock;

    memcpy(&rock->zisofs, data, sizeof(rock->zisofs));
    rock->zisofs_version = field->version > 1 ? ISO_ZISOFS_2 : ISO_ZISOFS_1;
    return rock->zisofs_version == ISO_ZISOFS_2 ||
           both_agree(p, &rock->zisofs.content_bytes, "zisofs: the size", errp);
}

/* The least that a field of each kind has behind its head. */
static size_t least_bytes(const SuspField *field)
{
    static const struct {
        char type[3];
        uint8_t bytes;
    } kinds[] = {
        {"CE", sizeof(SuspContinuation)},
        {"PX", sizeof(RockPosix)},
        {"PN", sizeof(RockDevice)},
        {"NM", 1},
        {"SL", 1},
        {"TF", 1},
        {"CL", sizeof(IsoBoth32)},
        {"ZF", sizeof(RockZisofs)},
        {"Z2", sizeof(RockZisofs)},
        {"AL", 1},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (is_type(field, kinds[i].type)) {
            return kinds[i].bytes;
        }
    }
    return 0;
}

static bool parse_field(RockParser *p, const SuspField *field, GError **errp)
{
    const uint8_t *data = (const uint8_t *)(field + 1);
    size_t bytes = field->bytes - sizeof(*field);
    IsoRock *rock = &p->record->rock;

    if (bytes < least_bytes(field)) {
        return report_field(p, field, "it is too short", errp);
    }
    if (is_type(field, "CE")) {
        return parse_continuation(p, data, errp);
    } else if (is_type(field, "PX")) {
        return parse_posix(p, (const RockPosix *)data, errp);
    } else if (is_type(field, "PN")) {
        return parse_device(p, (const RockDevice *)data, errp);
    } else if (is_type(field, "NM")) {
        return parse_name(p, field, data, bytes, errp);
    } else if (is_type(field, "SL")) {
        return parse_target(p, field, data, bytes, errp);
    } else if (is_type(field, "TF")) {
        return parse_times(p, field, data, bytes, errp);
    } else if (is_type(field, "CL")) {
        return parse_child(p, (const IsoBoth32 *)data, errp);
    } else if (is_type(field, "RE")) {
        rock->is_relocated = true;
    } else if (is_type(field, "SF")) {
        rock->is_sparse = true;
    } else if (is_type(field, "ZF") || is_type(field, "Z2")) {
        return parse_zisofs(p, field, data, errp);
    } else if (is_type(field, "AL")) {
        return parse_attributes(p, field, data, bytes, errp);
    }
    return true;
}

static bool parse_area(RockParser *p, const uint8_t *area, uint32_t bytes,
                       GError **errp)
{
    while (bytes >= sizeof(SuspField)) {
        const SuspField *field = (const SuspField *)area;

        if (!field->type[0] || is_type(field, "ST")) {
            return true;
        }
        if (field->bytes > bytes && p->truncated) {
            return true;
        }
        if (field->bytes < sizeof(*field) || field->bytes > bytes) {
            return report_field(p, field, "it does not fit where it is", errp);
        }
        if (!parse_field(p, field, errp)) {
            return false;
        }
        area += field->bytes;
        bytes -= field->bytes;
    }
    return true;
}

/* How many bytes of what goes on there are looked at. */
static bool limit_area(RockParser *p, uint32_t total, uint64_t offset, uint32_t *bytes,
                       GError **errp)
{
    const IsoRock *rock = &p->record->rock;
    uint32_t limit = rock->attributes ? AREA_BYTES_MAX : SHORT_AREA_BYTES;

    if (*bytes <= limit - total) {
        return true;
    }
    /* Makers put attributes last: what belongs to others has been seen. */
    if (!rock->attributes && (rock->has_attributes || !total)) {
        p->truncated = true;
        *bytes = limit - total;
        return true;
    }
    iso_error(p->s, errp, EMBR_ERROR_LIMIT, p->record->offset,
              "SUSP: fields go on at 0x%" PRIx64 " with %u bytes, expected at most %u",
              offset, *bytes, limit - total);
    return false;
}

bool coroutine_fn iso_rock_co_parse(IsoState *s, IsoRecord *record, GError **errp)
{
    RockParser p = {.s = s, .record = record};
    const uint8_t *area = record->susp;
    uint32_t bytes = record->susp_bytes;
    g_autofree uint8_t *more = NULL;
    uint32_t total = 0;

    for (unsigned i = 0;; i++) {
        if (!parse_area(&p, area, bytes, errp)) {
            return false;
        }
        if (p.truncated && !record->rock.has_attributes) {
            iso_error(s, errp, EMBR_ERROR_LIMIT, record->offset,
                      "SUSP: there are more than %d bytes of fields", SHORT_AREA_BYTES);
            return false;
        }
        if (!p.has_continuation || p.truncated) {
            return true;
        }

        uint64_t offset = (uint64_t)le32_get(p.continuation.block.le) * s->block_bytes +
                          le32_get(p.continuation.offset.le);

        bytes = le32_get(p.continuation.bytes.le);
        if (i >= CONTINUATIONS_MAX) {
            iso_error(s, errp, EMBR_ERROR_LIMIT, record->offset,
                      "SUSP: there are more than %d continuations", CONTINUATIONS_MAX);
            return false;
        }
        if (!limit_area(&p, total, offset, &bytes, errp)) {
            return false;
        }
        total += bytes;
        more = g_realloc(more, MAX(bytes, 1));
        if (!iso_meta_co_read(s, offset, bytes, more, "continuation of SUSP", errp)) {
            return false;
        }
        area = more;
        p.has_continuation = false;
    }
}

bool iso_susp_detect(const IsoRecord *root, unsigned *root_skip, unsigned *skip)
{
    static const unsigned places[] = {0, 14}; /* 14: behind what CD-ROM XA has */

    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        const SuspField *field = (const SuspField *)(root->susp + places[i]);
        const uint8_t *data = (const uint8_t *)(field + 1);

        if (range_fits(places[i], sizeof(*field) + 3, root->susp_bytes) &&
            is_type(field, "SP") && field->bytes >= sizeof(*field) + 3 &&
            data[0] == 0xbe && data[1] == 0xef) {
            *root_skip = places[i];
            *skip = data[2];
            return true;
        }
    }
    return false;
}
