#include "util/text.h"

#include <stdint.h>

char *text_escape(const char *bytes, bool utf8)
{
    GString *out = g_string_new(NULL);

    while (*bytes) {
        gunichar c = g_utf8_get_char_validated(bytes, -1);
        bool valid = c != (gunichar)-1 && c != (gunichar)-2;

        if (valid && g_unichar_isprint(c) && (utf8 || c < 0x80)) {
            g_string_append_unichar(out, c);
            bytes = g_utf8_next_char(bytes);
        } else {
            g_string_append_printf(out, "\\x%02x", (uint8_t)*bytes++);
        }
    }
    return g_string_free(out, FALSE);
}
