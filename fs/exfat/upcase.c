/* The table of upper case: of each UTF-16 unit, which one it is to writers who look for
 * a name in any case. */
#include "exfat.h"

enum {
    BYTES_MAX = EXFAT_UPCASE_UNITS * 2,
    SAME_FOLLOW = 0xffff, /* in the table: so many units are their own upper case */
};

bool exfat_upcase_expand(const uint8_t *bytes, size_t size,
                         gunichar2 upcase[EXFAT_UPCASE_UNITS])
{
    size_t count = size / 2;
    uint32_t unit = 0;

    for (uint32_t i = 0; i < EXFAT_UPCASE_UNITS; i++) {
        upcase[i] = i;
    }
    for (size_t i = 0; i < count; i++) {
        gunichar2 value = le16_load(bytes + 2 * i);

        if (value == SAME_FOLLOW && i + 1 < count) {
            unit += le16_load(bytes + 2 * ++i);
        } else if (unit < EXFAT_UPCASE_UNITS) {
            upcase[unit++] = value;
        } else {
            return false;
        }
        if (unit > EXFAT_UPCASE_UNITS) {
            return false;
        }
    }
    return true;
}

uint32_t exfat_upcase_checksum(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < size; i++) {
        sum = (sum >> 1 | sum << 31) + bytes[i];
    }
    return sum;
}

uint16_t exfat_name_hash(const gunichar2 *upcase, const gunichar2 *units,
                         unsigned count)
{
    uint16_t hash = 0;

    for (unsigned i = 0; i < count; i++) {
        gunichar2 unit = upcase[units[i]];

        hash = (uint16_t)((hash >> 1 | hash << 15) + (unit & 0xff));
        hash = (uint16_t)((hash >> 1 | hash << 15) + (unit >> 8));
    }
    return hash;
}

static bool coroutine_fn co_read(ExfatState *s, const ExfatTableEntry *entry,
                                 uint64_t offset, gunichar2 *upcase, GError **errp)
{
    uint64_t size = le64_get(entry->size);
    FatFile file = {
        .size_is_limit = true, .start = le32_get(entry->cluster), .size = size};

    if (!size || size > BYTES_MAX || size % 2) {
        fat_error(&s->fat, errp, EMBR_ERROR_CORRUPT, offset,
                  "the up-case table has %" PRIu64 " bytes, expected 2 to %d", size,
                  BYTES_MAX);
        return false;
    }

    g_autoptr(FatNode) node = fat_node_new(&s->fat, offset / EXFAT_ENTRY_BYTES, &file);
    g_autofree uint8_t *bytes = g_malloc(size);

    if (!fat_node_co_read(&s->fat, node, 0, size, bytes, errp)) {
        return false;
    }

    uint32_t sum = exfat_upcase_checksum(bytes, size);

    if (sum != le32_get(entry->checksum)) {
        fat_error(&s->fat, errp, EMBR_ERROR_CORRUPT, offset,
                  "the up-case table's checksum is 0x%08x, expected 0x%08x",
                  le32_get(entry->checksum), sum);
        return false;
    }
    if (!exfat_upcase_expand(bytes, size, upcase)) {
        fat_error(&s->fat, errp, EMBR_ERROR_CORRUPT, offset,
                  "the up-case table is of more than %d units", EXFAT_UPCASE_UNITS);
        return false;
    }
    return true;
}

void coroutine_fn exfat_upcase_co_load(ExfatState *s, const ExfatTableEntry *entry,
                                       uint64_t offset)
{
    g_autofree gunichar2 *upcase = g_new(gunichar2, EXFAT_UPCASE_UNITS);
    g_autoptr(GError) error = NULL;

    if (co_read(s, entry, offset, upcase, &error)) {
        s->upcase = g_steal_pointer(&upcase);
    } else {
        fs_warn(s->fat.fs, "%s; hashes of names are not verified", error->message);
    }
}
