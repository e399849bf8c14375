/* Names and UUIDs. */
#include <string.h>

#include "fs/lvm/lvm.h"

/* Characters of the groups that a UUID is written in. */
static const uint8_t uuid_groups[] = {6, 4, 4, 4, 4, 4, 6};

static bool is_uuid_char(char c)
{
    return g_ascii_isalnum(c) || c == '!' || c == '#';
}

bool lvm_uuid_from_text(const char *text, char uuid[LVM_UUID_CHARS + 1])
{
    unsigned n = 0;

    for (; text && *text; text++) {
        if (*text == '-') {
            continue;
        }
        if (!is_uuid_char(*text) || n == LVM_UUID_CHARS) {
            return false;
        }
        uuid[n++] = *text;
    }
    uuid[n] = '\0';
    return n == LVM_UUID_CHARS;
}

char *lvm_uuid_to_text(const char uuid[LVM_UUID_CHARS + 1])
{
    GString *text = g_string_new(NULL);

    for (unsigned g = 0; g < G_N_ELEMENTS(uuid_groups); uuid += uuid_groups[g++]) {
        g_string_append_printf(text, "%s%.*s", g ? "-" : "", uuid_groups[g], uuid);
    }
    return g_string_free(text, FALSE);
}

bool lvm_is_name(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    if (!len || len > LVM_NAME_MAX || name[0] == '-' || !strcmp(name, ".") ||
        !strcmp(name, "..")) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!g_ascii_isalnum(name[i]) && !strchr("+_.-", name[i])) {
            return false;
        }
    }
    return true;
}
