/* Names: of the primary tree, of ISO 9660:1999, and Joliet's, which are big-endian
 * UTF-16. */
#include "iso9660.h"

/* As Linux shows them by default: in lower case, without version 1 and the dot before
 * it. */
void iso_plain_name(const uint8_t *raw, size_t bytes, GString *name)
{
    if (bytes > 2 && raw[bytes - 2] == ';' && raw[bytes - 1] == '1') {
        bytes -= 2;
        if (bytes > 1 && raw[bytes - 1] == '.') {
            bytes--;
        }
    }
    for (size_t i = 0; i < bytes && raw[i]; i++) {
        char c = raw[i];

        g_string_append_c(name, c == ';' || c == '/' ? '.' : g_ascii_tolower(c));
    }
}

/* Version 1 is not shown, if there is one: it need not be. */
void iso_enhanced_name(const uint8_t *raw, size_t bytes, GString *name)
{
    if (bytes > 2 && raw[bytes - 2] == ';' && raw[bytes - 1] == '1') {
        bytes -= 2;
    }
    g_string_append_len(name, (const char *)raw, bytes);
}

/* Half of a pair alone becomes three bytes that are no UTF-8. */
static void append_unit(GString *name, gunichar c)
{
    char text[6];

    g_string_append_len(name, text, g_unichar_to_utf8(c, text));
}

/* Dots at the end are not shown, unless there is nothing else. */
static size_t without_dots(const uint8_t *raw, size_t count)
{
    size_t left = count;

    while (left && be16_load(raw + 2 * left - 2) == '.') {
        left--;
    }
    return left ?: count;
}

void iso_joliet_name(const uint8_t *raw, size_t bytes, GString *name)
{
    size_t count = bytes / 2;

    if (count > 2 && be16_load(raw + 2 * count - 4) == ';' &&
        be16_load(raw + 2 * count - 2) == '1') {
        count -= 2;
    }
    count = without_dots(raw, count);
    for (size_t i = 0; i < count; i++) {
        gunichar c = be16_load(raw + 2 * i);
        gunichar low = i + 1 < count ? be16_load(raw + 2 * i + 2) : 0;

        if (c >= 0xd800 && c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            i++;
        }
        append_unit(name, c);
    }
}
