#include "text.h"

#include <stdbool.h>

void text_append_printable(GString *out, const char *text)
{
    while (*text) {
        gunichar c = g_utf8_get_char_validated(text, -1);
        bool valid = c != (gunichar)-1 && c != (gunichar)-2;
        const char *next = valid ? g_utf8_next_char(text) : text + 1;

        if (valid && g_unichar_isprint(c) && g_unichar_type(c) != G_UNICODE_FORMAT) {
            g_string_append_len(out, text, next - text);
        } else {
            g_string_append_c(out, '?');
        }
        text = next;
    }
}

char *text_printable(const char *text)
{
    GString *out = g_string_new(NULL);

    text_append_printable(out, text);
    return g_string_free(out, FALSE);
}
