/*
 * The file of rules of blkdebug:
 *
 *   [inject-error]
 *   event = "write_aio"
 *
 * A section is a rule; '#' begins a comment.
 */
#include <string.h>
#include "blkdebug.h"
#include "qapi/qapi-visit.h"

enum { MAX_CONFIG_BYTES = 1 << 20 };

typedef struct Config {
    const char *path;
    unsigned line;
    JsonObject *root;
    JsonObject *section;            /* the root's; NULL before the first */
} Config;

static bool G_GNUC_PRINTF(3, 4) fail(const Config *c, GError **errp, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "'%s': line %u: %s", c->path, c->line,
                text);
    return false;
}

static bool take_section(Config *c, const char *line, GError **errp)
{
    size_t len = strlen(line);
    g_autofree char *name = line[len - 1] == ']' ? g_strndup(line + 1, len - 2) : NULL;

    if (!name || (strcmp(name, "inject-error") != 0 && strcmp(name, "set-state") != 0)) {
        return fail(c, errp, "expected [inject-error] or [set-state]");
    }
    if (!json_object_has_member(c->root, name)) {
        json_object_set_array_member(c->root, name, json_array_new());
    }
    c->section = json_object_new();
    json_array_add_object_element(json_object_get_array_member(c->root, name), c->section);
    return true;
}

static bool take_value(Config *c, char *line, GError **errp)
{
    char *equals = strchr(line, '=');
    size_t len;

    if (!equals || !c->section) {
        return fail(c, errp, equals ? "there is no section before it"
                                    : "expected NAME = \"VALUE\"");
    }
    *equals = 0;
    char *key = g_strdelimit(g_strstrip(line), "_", '-');
    char *value = g_strstrip(equals + 1);
    len = strlen(value);
    if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
        value[len - 1] = 0;
        value++;
    }
    json_object_set_string_member(c->section, key, value);
    return true;
}

static BlkdebugRules *parse(Config *c, char *text, GError **errp)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        char *comment = strchr(*line, '#');
        if (comment) {
            *comment = 0;
        }
        g_strstrip(*line);
        c->line++;
        if (**line && !(**line == '[' ? take_section(c, *line, errp)
                                      : take_value(c, *line, errp))) {
            return NULL;
        }
    }
    g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), c->root);
    BlkdebugRules *rules = qapi_object_from_options(&qapi_type_blkdebug_rules, node, errp);
    if (!rules) {
        g_prefix_error(errp, "'%s': ", c->path);
    }
    return rules;
}

BlkdebugRules *blkdebug_parse_config(const char *text, size_t len, const char *path,
                                     GError **errp)
{
    g_autoptr(JsonObject) root = json_object_new();
    g_autofree char *copy = g_strndup(text, len);
    Config c = { .path = path, .root = root };

    if (!g_utf8_validate(text, len, NULL)) {
        fail(&c, errp, "the file is not text");
        return NULL;
    }
    return parse(&c, copy, errp);
}

BlkdebugRules *blkdebug_read_config(const char *path, GError **errp)
{
    g_autofree char *text = NULL;
    gsize len;

    if (!g_file_get_contents(path, &text, &len, errp)) {
        g_prefix_error(errp, "Could not read blkdebug config file: ");
        return NULL;
    }
    if (len > MAX_CONFIG_BYTES) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT, "'%s': has more than %d bytes", path,
                    MAX_CONFIG_BYTES);
        return NULL;
    }
    return blkdebug_parse_config(text, len, path, errp);
}
