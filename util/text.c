#include "util/text.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes of the character at bytes; false: it is not to be printed. */
static bool is_printable(const char *bytes, TextStyle style, size_t *n)
{
    gunichar c = g_utf8_get_char_validated(bytes, -1);

    if (c == (gunichar)-1 || c == (gunichar)-2) {
        *n = 1;
        return false;
    }
    *n = g_utf8_next_char(bytes) - bytes;
    return g_unichar_isprint(c) && (style != TEXT_ESCAPED_ASCII || c < 0x80);
}

void text_append(GString *out, const char *bytes, TextStyle style)
{
    for (size_t n; *bytes; bytes += n) {
        if (is_printable(bytes, style, &n)) {
            g_string_append_len(out, bytes, n);
        } else if (style == TEXT_MASKED) {
            g_string_append_c(out, '?');
        } else {
            for (size_t i = 0; i < n; i++) {
                g_string_append_printf(out, "\\x%02x", (uint8_t)bytes[i]);
            }
        }
    }
}

void text_append_number(GString *out, uint64_t value, unsigned width, char pad)
{
    char digits[20];
    unsigned n = sizeof(digits);

    do {
        digits[--n] = '0' + value % 10;
        value /= 10;
    } while (value);
    for (unsigned len = sizeof(digits) - n; len < width; len++) {
        g_string_append_c(out, pad);
    }
    g_string_append_len(out, digits + n, sizeof(digits) - n);
}

char *text_printable(const char *bytes, TextStyle style)
{
    GString *out = g_string_new(NULL);

    text_append(out, bytes, style);
    return g_string_free(out, FALSE);
}
