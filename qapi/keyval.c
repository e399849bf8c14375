/* key=value text: "driver=raw,file.filename=a,,b,size=1G" */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "util/error.h"
#include "util/units.h"
#include "qapi/qapi.h"

/* The value up to the next single comma; *text is moved past it. */
static char *take_value(const char **text)
{
    GString *value = g_string_new(NULL);
    const char *p = *text;

    for (; *p; p++) {
        if (*p == ',') {
            if (p[1] != ',') {
                p++;
                break;
            }
            p++;
        }
        g_string_append_c(value, *p);
    }
    *text = p;
    return g_string_free(value, FALSE);
}

static bool key_part_is_valid(const char *part)
{
    if (!*part) {
        return false;
    }
    for (; *part; part++) {
        if (!g_ascii_isalnum(*part) && *part != '-') {
            return false;
        }
    }
    return true;
}

/* The object that a key's last part belongs in, made if it is not there. */
static JsonObject *enter_objects(JsonObject *object, char **parts, const char *key,
                                 GError **errp)
{
    for (; parts[1]; parts++) {
        JsonNode *node = json_object_get_member(object, parts[0]);

        if (!node) {
            JsonObject *child = json_object_new();

            json_object_set_object_member(object, parts[0], child);
            object = child;
        } else if (JSON_NODE_HOLDS_OBJECT(node)) {
            object = json_node_get_object(node);
        } else {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                        "'%s': '%s' was given a value before", key, parts[0]);
            return NULL;
        }
    }
    return object;
}

static bool put(JsonObject *root, const char *key, const char *value, GError **errp)
{
    g_auto(GStrv) parts = g_strsplit(key, ".", -1);
    guint n = g_strv_length(parts);
    JsonObject *object;
    JsonNode *old;

    for (guint i = 0; i < n; i++) {
        g_strdelimit(parts[i], "_", '-');
        if (!key_part_is_valid(parts[i])) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "'%s' is not a valid key",
                        key);
            return false;
        }
    }
    if (n == 0 || n > QAPI_MAX_DEPTH) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    n ? "key '%.64s...' has too many parts" : "'%s' is not a valid key", key);
        return false;
    }
    object = enter_objects(root, parts, key, errp);
    if (!object) {
        return false;
    }
    old = json_object_get_member(object, parts[n - 1]);
    if (old && JSON_NODE_HOLDS_OBJECT(old)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s' is given a value, and members of it before", key);
        return false;
    }
    json_object_set_string_member(object, parts[n - 1], value);
    return true;
}

JsonNode *qapi_keyval_parse(const char *keyval, const char *implied_key, GError **errp)
{
    g_autoptr(JsonObject) root = json_object_new();

    if (!g_utf8_validate(keyval, -1, NULL)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "options are not valid UTF-8");
        return NULL;
    }
    for (const char *p = keyval; *p; implied_key = NULL) {
        gsize key_len = strcspn(p, "=,");
        g_autofree char *key = NULL;
        g_autofree char *value = NULL;

        if (p[key_len] == '=') {
            key = g_strndup(p, key_len);
            p += key_len + 1;
        } else if (implied_key) {
            key = g_strdup(implied_key);
        } else {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                        "expected '=' after '%.*s'", (int)MIN(key_len, 256), p);
            return NULL;
        }
        value = take_value(&p);
        if (!put(root, key, value, errp)) {
            return NULL;
        }
    }
    return json_node_init_object(json_node_alloc(), root);
}

static int suffix_shift(char suffix)
{
    static const char suffixes[] = "bkmgtpe";
    const char *p = suffix ? strchr(suffixes, g_ascii_tolower(suffix)) : suffixes;

    return p ? 10 * (int)(p - suffixes) : -1;
}

bool qapi_parse_size(const char *text, uint64_t *value)
{
    bool is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    double fraction = 0;
    uint64_t whole, rest;
    char *end;
    int shift;

    if (!g_ascii_isdigit(*text) || (is_hex && !g_ascii_isxdigit(text[2]))) {
        return false;
    }
    errno = 0;
    whole = g_ascii_strtoull(text, &end, is_hex ? 16 : 10);
    if (errno == ERANGE) {
        return false;
    }
    if (!is_hex && *end == '.') {
        double scale = 0.1;

        for (end++; g_ascii_isdigit(*end); end++, scale /= 10) {
            fraction += (*end - '0') * scale;
        }
    }
    shift = suffix_shift(*end);
    if (shift < 0 || (*end && end[1]) || (is_hex && *end) || (fraction && !shift)) {
        return false;
    }
    rest = (uint64_t)llround(ldexp(fraction, shift));
    return whole <= UINT64_MAX >> shift &&
           g_uint64_checked_add(value, whole << shift, rest);
}
