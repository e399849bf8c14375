/* The entries of a file, taken together: the file, its stream, its name, and what
 * others have added. */
#include "exfat.h"

enum {
    QUARTER_HOUR_SECONDS = 15 * 60,
    CHECKSUM_AT = 2, /* two bytes that are not summed up */
};

void exfat_set_start(ExfatSet *set, const uint8_t *entry, uint64_t offset)
{
    const ExfatFileEntry *file = (const ExfatFileEntry *)entry;

    set->count = 1;
    set->needed = 1 + file->secondaries;
    set->offset = offset;
    memcpy(set->entries[0], entry, EXFAT_ENTRY_BYTES);
}

bool exfat_set_add(ExfatSet *set, const uint8_t *entry)
{
    const uint8_t wanted = EXFAT_IN_USE | EXFAT_SECONDARY;

    if (set->count >= set->needed || (entry[0] & wanted) != wanted) {
        return false;
    }
    memcpy(set->entries[set->count++], entry, EXFAT_ENTRY_BYTES);
    return true;
}

uint16_t exfat_set_checksum(const ExfatSet *set)
{
    uint16_t sum = 0;

    for (unsigned i = 0; i < set->count; i++) {
        for (unsigned k = 0; k < EXFAT_ENTRY_BYTES; k++) {
            if (i || (k != CHECKSUM_AT && k != CHECKSUM_AT + 1)) {
                sum = (uint16_t)((sum >> 1 | sum << 15) + set->entries[i][k]);
            }
        }
    }
    return sum;
}

static const ExfatFileEntry *file_of(const ExfatSet *set)
{
    return (const ExfatFileEntry *)set->entries[0];
}

static const ExfatStreamEntry *stream_of(const ExfatSet *set)
{
    return (const ExfatStreamEntry *)set->entries[1];
}

static bool G_GNUC_PRINTF(4, 5) set_error(const FatState *s, const ExfatSet *set,
                                          GError **errp, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    fat_error(s, errp, EMBR_ERROR_CORRUPT, set->offset,
              "entries of inode %" PRIu64 ": %s", set->offset / EXFAT_ENTRY_BYTES,
              text);
    return false;
}

static bool check_types(const FatState *s, const ExfatSet *set, GError **errp)
{
    unsigned names = div_round_up(stream_of(set)->name_units, EXFAT_NAME_UNITS);

    for (unsigned i = 1; i < set->count; i++) {
        uint8_t type = set->entries[i][0];
        uint8_t expected = i == 1 ? EXFAT_ENTRY_STREAM : EXFAT_ENTRY_NAME;

        if (i < 2 + names ? type != expected : !(type & EXFAT_BENIGN)) {
            return set_error(s, set, errp,
                             "entry %u of %u is of type 0x%02x, expected %s0x%02x", i,
                             set->count, type, i < 2 + names ? "" : "one with bit ",
                             i < 2 + names ? expected : EXFAT_BENIGN);
        }
    }
    if (!names || set->count < 2 + names) {
        return set_error(s, set, errp, "%u entries with a name of %u units", set->count,
                         stream_of(set)->name_units);
    }
    return true;
}

bool exfat_set_check(const FatState *s, const ExfatSet *set, GError **errp)
{
    uint16_t found = le16_get(file_of(set)->checksum);
    uint16_t expected = exfat_set_checksum(set);
    uint64_t room = s->geo.clusters * s->geo.cluster_bytes;
    bool is_dir = le16_get(file_of(set)->attributes) & EXFAT_ATTR_DIRECTORY;

    if (found != expected) {
        return set_error(s, set, errp, "checksum is 0x%04x, expected 0x%04x", found,
                         expected);
    }
    if (set->count < 1 + EXFAT_SECONDARIES_MIN) {
        return set_error(s, set, errp, "%u of them, expected at least %u", set->count,
                         1 + EXFAT_SECONDARIES_MIN);
    }
    if (!check_types(s, set, errp)) {
        return false;
    }

    uint64_t size = le64_get(stream_of(set)->size);
    uint64_t written = le64_get(stream_of(set)->written);
    uint64_t limit = is_dir ? MIN(room, EXFAT_DIR_BYTES_MAX) : room;

    if (size > limit || written > size) {
        return set_error(s, set, errp,
                         "%" PRIu64 " of %" PRIu64
                         " bytes are written, expected at most all of %" PRIu64,
                         written, size, limit);
    }
    return true;
}

unsigned exfat_set_name(const ExfatSet *set, gunichar2 units[EXFAT_NAME_UNITS_MAX])
{
    unsigned count = stream_of(set)->name_units;

    for (unsigned i = 0; i < count; i++) {
        const ExfatNameEntry *entry =
            (const ExfatNameEntry *)set->entries[2 + i / EXFAT_NAME_UNITS];

        units[i] = le16_get(entry->units[i % EXFAT_NAME_UNITS]);
    }
    return count;
}

FsTime exfat_time(uint32_t timestamp, uint8_t tens_ms, uint8_t utc_offset)
{
    FsTime time = fat_time(timestamp >> 16, timestamp & 0xffff, tens_ms);

    if (utc_offset & EXFAT_UTC_OFFSET_VALID) {
        int quarters = utc_offset & 0x7f;

        quarters -= quarters & 0x40 ? 0x80 : 0; /* of 7 bits with a sign */
        time.sec -= quarters * QUARTER_HOUR_SECONDS;
    }
    return time;
}

void exfat_set_file(const FatState *s, const ExfatSet *set, FatFile *file)
{
    const ExfatFileEntry *f = file_of(set);
    const ExfatStreamEntry *stream = stream_of(set);
    uint16_t attributes = le16_get(f->attributes);

    *file = (FatFile){
        .is_dir = attributes & EXFAT_ATTR_DIRECTORY,
        .is_read_only = attributes & EXFAT_ATTR_READ_ONLY,
        .is_contiguous = stream->flags & EXFAT_STREAM_NO_CHAIN,
        .size_is_limit = true,
        .start = le32_get(stream->cluster),
        .size = le64_get(stream->size),
        .written = le64_get(stream->written),
        .mtime =
            exfat_time(le32_get(f->modified), f->modified_10ms, f->modified_offset),
        .atime = exfat_time(le32_get(f->accessed), 0, f->accessed_offset),
        .crtime = exfat_time(le32_get(f->created), f->created_10ms, f->created_offset),
    };
}
