/* Names: 8.3 in the bytes of a code page, and long ones in UTF-16. */
#include "fat.h"

uint8_t fat_name_checksum(const uint8_t name[11])
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < 11; i++) {
        sum = (uint8_t)((sum >> 1 | sum << 7) + name[i]);
    }
    return sum;
}

static void append_part(const FatCodepage *codepage, const uint8_t *bytes, unsigned len,
                        bool lower, bool is_start, GString *name)
{
    uint8_t part[11];
    unsigned used;

    while (len && bytes[len - 1] == ' ') {
        len--;
    }
    memcpy(part, bytes, len);
    if (is_start && len && part[0] == FAT_NAME_E5) {
        part[0] = FAT_NAME_FREE;
    }
    for (unsigned i = 0; i < len && part[i]; i += used) {
        gunichar c = fat_codepage_char(codepage, part + i, len - i, &used);

        g_string_append_unichar(name, lower && used == 1 ? g_unichar_tolower(c) : c);
    }
}

void fat_short_name(const FatCodepage *codepage, const FatDirEntry *entry,
                    GString *name)
{
    g_string_truncate(name, 0);
    append_part(codepage, entry->name, 8, entry->name_case & FAT_CASE_LOWER_BASE, true,
                name);

    gsize base = name->len;

    g_string_append_c(name, '.');
    append_part(codepage, entry->name + 8, 3, entry->name_case & FAT_CASE_LOWER_EXT,
                false, name);
    if (name->len == base + 1) {
        g_string_truncate(name, base);
    }
}

char *fat_label(const FatCodepage *codepage, const uint8_t label[11])
{
    GString *text = g_string_new(NULL);

    append_part(codepage, label, 11, false, true, text);
    return g_string_free(text, !text->len);
}

static void take_units(const uint8_t *bytes, unsigned count, gunichar2 **to)
{
    for (unsigned i = 0; i < count; i++) {
        *(*to)++ = le16_load(bytes + 2 * i);
    }
}

void fat_long_name_add(FatLongName *longname, const FatLongEntry *entry)
{
    unsigned number = entry->sequence & (FAT_LONG_LAST - 1);

    if (entry->sequence & FAT_LONG_LAST) {
        longname->checksum = entry->checksum;
        longname->count = longname->expected = number;
    }
    if (!longname->count || number != longname->expected || !number ||
        number > FAT_LONG_PIECES_MAX || entry->checksum != longname->checksum) {
        longname->count = longname->expected = 0;
        return;
    }

    gunichar2 *to = longname->units + (number - 1) * FAT_LONG_UNITS;

    take_units(entry->units_0, 5, &to);
    take_units(entry->units_5, 6, &to);
    take_units(entry->units_11, 2, &to);
    longname->expected--;
}

static void append_half(GString *name, gunichar2 unit)
{
    g_string_append_c(name, (char)(0xe0 | unit >> 12));
    g_string_append_c(name, (char)(0x80 | (unit >> 6 & 0x3f)));
    g_string_append_c(name, (char)(0x80 | (unit & 0x3f)));
}

static bool is_half(gunichar2 unit, unsigned which)
{
    return (unit & 0xfc00) == which;
}

void fat_append_units(const gunichar2 *units, unsigned count, GString *name)
{
    for (unsigned i = 0; i < count && units[i]; i++) {
        gunichar2 unit = units[i];
        gunichar2 next = i + 1 < count ? units[i + 1] : 0;

        if (is_half(unit, 0xd800) && is_half(next, 0xdc00)) {
            g_string_append_unichar(name,
                                    0x10000 + ((unit & 0x3ffu) << 10 | (next & 0x3ff)));
            i++;
        } else if ((unit & 0xf800) == 0xd800) {
            append_half(name, unit);
        } else {
            g_string_append_unichar(name, unit);
        }
    }
}

bool fat_long_name_take(FatLongName *longname, const FatDirEntry *entry, GString *name)
{
    unsigned count = longname->count * FAT_LONG_UNITS;
    bool is_whole = longname->count && !longname->expected &&
                    longname->checksum == fat_name_checksum(entry->name);

    longname->count = longname->expected = 0;
    if (!is_whole || !longname->units[0]) {
        return false;
    }
    g_string_truncate(name, 0);
    fat_append_units(longname->units, count, name);
    return true;
}
