/*
 * Descriptions of nodes as people write them, made whole: what may be left out is added, so
 * that the schema can read them.
 *
 *   "file.driver": "raw"           members of members, in one name
 *   "filename": "a.qcow2"          in a format: its file's
 *   "filename": "blkdebug::a.img"  in a file: the node that the name stands for
 *   no "driver"                    in a file: file; else found from the content
 */
#include <string.h>
#include "describe.h"
#include "qapi/qapi-visit.h"

#define JSON_PREFIX "json:"
#define BLKDEBUG_PREFIX "blkdebug:"

enum { MAX_DEPTH = 16 };            /* of nodes in nodes */

typedef struct Completion {
    int flags;
    unsigned depth;
    DescribeProbe *co_probe;
} Completion;

static bool coroutine_fn co_complete(Completion *c, JsonObject *node, bool is_file,
                                     GError **errp);

static const char *string_member(JsonObject *node, const char *name)
{
    JsonNode *value = json_object_get_member(node, name);
    return value && JSON_NODE_HOLDS_VALUE(value) &&
                   json_node_get_value_type(value) == G_TYPE_STRING
               ? json_node_get_string(value)
               : NULL;
}

/* The object that is node's member of that name, made if it is not there. NULL: the member
 * is something else. */
static JsonObject *child_object(JsonObject *node, const char *name)
{
    JsonNode *value = json_object_get_member(node, name);

    if (!value) {
        JsonObject *child = json_object_new();
        json_object_set_object_member(node, name, child);
        return child;
    }
    return JSON_NODE_HOLDS_OBJECT(value) ? json_node_get_object(value) : NULL;
}

/* Moves "a.b" into the object a. */
static bool expand_name(JsonObject *node, const char *name, GError **errp)
{
    const char *dot = strchr(name, '.');
    g_autofree char *first = g_strndup(name, dot - name);
    JsonObject *child = *first && dot[1] ? child_object(node, first) : NULL;

    if (!child) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s' is not a valid key, or was given a value before", name);
        return false;
    }
    if (json_object_has_member(child, dot + 1)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "'%s' is given twice", name);
        return false;
    }
    json_object_set_member(child, dot + 1, json_object_dup_member(node, name));
    json_object_remove_member(node, name);
    return true;
}

static bool expand_names(JsonObject *node, GError **errp)
{
    g_autoptr(GList) names = json_object_get_members(node);
    g_autoptr(GPtrArray) dotted = g_ptr_array_new_with_free_func(g_free);

    for (GList *l = names; l; l = l->next) {
        if (strchr(l->data, '.')) {
            g_ptr_array_add(dotted, g_strdup(l->data));
        }
    }
    for (guint i = 0; i < dotted->len; i++) {
        if (!expand_name(node, g_ptr_array_index(dotted, i), errp)) {
            return false;
        }
    }
    return true;
}

/* A string of JSON in place of one between single quotes, which *text is moved past. */
static void take_single_quoted(const char **text, GString *out)
{
    const char *p = *text + 1;

    g_string_append_c(out, '"');
    for (; *p && *p != '\''; p++) {
        if (*p == '"') {
            g_string_append_c(out, '\\');
        } else if (*p == '\\' && p[1] == '\'') {
            p++;
        } else if (*p == '\\' && p[1]) {
            g_string_append_c(out, *p++);
        }
        g_string_append_c(out, *p);
    }
    g_string_append_c(out, '"');
    *text = *p ? p + 1 : p;
}

/* Strings may be between single quotes, as they may for QEMU. */
static char *single_quotes_to_double(const char *text)
{
    GString *out = g_string_new(NULL);
    bool quoted = false;

    while (*text) {
        if (*text == '\'' && !quoted) {
            take_single_quoted(&text, out);
            continue;
        }
        if (*text == '\\' && text[1]) {
            g_string_append_c(out, *text++);
        } else if (*text == '"') {
            quoted = !quoted;
        }
        g_string_append_c(out, *text++);
    }
    return g_string_free(out, FALSE);
}

JsonObject *describe_from_json(const char *text, GError **errp)
{
    GError *error = NULL;
    g_autofree char *json = single_quotes_to_double(text);
    g_autoptr(JsonNode) root = qapi_json_parse(json, -1, &error);

    if (!root) {
        g_propagate_prefixed_error(errp, error, "Could not parse the JSON options: ");
        return NULL;
    }
    if (!JSON_NODE_HOLDS_OBJECT(root)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "Invalid JSON object given");
        return NULL;
    }
    return json_node_dup_object(root);
}

bool describe_is_special(const char *filename)
{
    return g_str_has_prefix(filename, JSON_PREFIX) ||
           g_str_has_prefix(filename, BLKDEBUG_PREFIX);
}

/* Adds the members of from that node has not. */
static void add_members(JsonObject *node, JsonObject *from)
{
    g_autoptr(GList) names = json_object_get_members(from);

    for (GList *l = names; l; l = l->next) {
        if (!json_object_has_member(node, l->data)) {
            json_object_set_member(node, l->data, json_object_dup_member(from, l->data));
        }
    }
}

/* "blkdebug:CONFIG:IMAGE" */
static bool take_blkdebug_name(JsonObject *node, const char *name, GError **errp)
{
    const char *config = name + strlen(BLKDEBUG_PREFIX);
    const char *colon = strchr(config, ':');

    if (!colon) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s': expected blkdebug:CONFIG:IMAGE", name);
        return false;
    }
    JsonObject *image = child_object(node, "image");
    if (!image) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s': there is an 'image' besides", name);
        return false;
    }
    if (colon > config) {
        g_autofree char *path = g_strndup(config, colon - config);
        json_object_set_string_member(node, "config", path);
    }
    json_object_set_string_member(image, "filename", colon + 1);
    json_object_set_string_member(node, "driver", "blkdebug");
    json_object_remove_member(node, "filename");
    return true;
}

/* What the file name of a node that is a file stands for. */
static bool take_filename(JsonObject *node, GError **errp)
{
    g_autofree char *name = g_strdup(string_member(node, "filename"));
    const char *driver = string_member(node, "driver");

    if (!name) {
        return true;
    }
    if (g_str_has_prefix(name, JSON_PREFIX)) {
        g_autoptr(JsonObject) from = describe_from_json(name + strlen(JSON_PREFIX), errp);
        if (!from) {
            return false;
        }
        json_object_remove_member(node, "filename");
        add_members(node, from);
        return expand_names(node, errp) && take_filename(node, errp);
    }
    bool is_blkdebug = driver && strcmp(driver, "blkdebug") == 0;
    if (g_str_has_prefix(name, BLKDEBUG_PREFIX) && (!driver || is_blkdebug)) {
        return take_blkdebug_name(node, name, errp);
    }
    JsonObject *image = is_blkdebug ? child_object(node, "image") : NULL;
    if (image && !json_object_has_member(image, "filename")) {
        json_object_set_string_member(image, "filename", name);
        json_object_remove_member(node, "filename");
    }
    return true;
}

static bool is_file_driver(const char *driver)
{
    const BlockDriver *drv = driver ? bdrv_find_driver(driver) : NULL;
    return drv && drv->is_protocol;
}

static const struct {
    const char *name;
    bool is_file;
} children[] = {
    {"file", true},
    {"image", true},
    {"data-file", true},
    {"backing", false},
};

static bool coroutine_fn co_complete_children(Completion *c, JsonObject *node, GError **errp)
{
    const char *driver = string_member(node, "driver");
    /* A filter's file is an image of its own. */
    bool filter = driver && strcmp(driver, "copy-on-read") == 0;

    for (size_t i = 0; i < G_N_ELEMENTS(children); i++) {
        JsonNode *value = json_object_get_member(node, children[i].name);
        if (!value || !JSON_NODE_HOLDS_OBJECT(value)) {
            continue;
        }
        if (!co_complete(c, json_node_get_object(value),
                         children[i].is_file && !(filter && i == 0), errp)) {
            return false;
        }
    }
    return true;
}

/* The driver of a format, from the content of its file. */
static bool coroutine_fn co_add_driver(Completion *c, JsonObject *node, GError **errp)
{
    JsonNode *file = json_object_get_member(node, "file");

    if (!file || !JSON_NODE_HOLDS_OBJECT(file)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "A block device must be specified for \"file\"");
        return false;
    }
    const BlockDriver *drv = c->co_probe(file, c->flags, errp);
    if (!drv) {
        return false;
    }
    json_object_set_string_member(node, "driver", drv->format_name);
    return true;
}

static bool coroutine_fn co_complete(Completion *c, JsonObject *node, bool is_file,
                                     GError **errp)
{
    if (c->depth >= MAX_DEPTH) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "A description has more than %d nodes in nodes", MAX_DEPTH);
        return false;
    }
    if (!expand_names(node, errp)) {
        return false;
    }
    const char *driver = string_member(node, "driver");
    bool named = string_member(node, "filename") != NULL;
    is_file = driver ? is_file_driver(driver) : is_file;
    if (named && g_str_has_prefix(string_member(node, "filename"), JSON_PREFIX)) {
        if (!take_filename(node, errp)) {
            return false;
        }
        driver = string_member(node, "driver");
        is_file = driver ? is_file_driver(driver) : is_file;
        named = string_member(node, "filename") != NULL;
    }
    if (named && !is_file) {
        JsonObject *file = child_object(node, "file");
        if (file && !json_object_has_member(file, "filename")) {
            json_object_set_member(file, "filename", json_object_dup_member(node, "filename"));
            json_object_remove_member(node, "filename");
        }
    } else if (!take_filename(node, errp)) {
        return false;
    }
    if (is_file && !string_member(node, "driver")) {
        json_object_set_string_member(node, "driver", "file");
    }
    c->depth++;
    bool ok = co_complete_children(c, node, errp);
    c->depth--;
    return ok && (string_member(node, "driver") || co_add_driver(c, node, errp));
}

/* Says which driver does not know which option, as qemu-img does. */
static bool check_members(const QapiType *type, JsonObject *node, GError **errp)
{
    const char *driver = string_member(node, "driver");
    int value;

    if (!driver || !bdrv_find_driver(driver) ||
        !qapi_enum_parse(&qapi_type_blockdev_driver, driver, &value, NULL)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED, "Unknown driver '%s'",
                    driver ? driver : "");
        return false;
    }
    const QapiType *branch = type->branches[value];
    JsonObjectIter iter;
    const char *name;
    JsonNode *member;
    json_object_iter_init_ordered(&iter, node);
    while (json_object_iter_next_ordered(&iter, &name, &member)) {
        const QapiMember *found = qapi_find_member(type, name);
        found = found || !branch ? found : qapi_find_member(branch, name);
        if (!found) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                        bdrv_find_driver(driver)->is_protocol
                            ? "Block protocol '%s' doesn't support the option '%s'"
                            : "Block format '%s' does not support the option '%s'", driver,
                        name);
            return false;
        }
        if (found->type == type && JSON_NODE_HOLDS_OBJECT(member) &&
            !check_members(type, json_node_get_object(member), errp)) {
            return false;
        }
    }
    return true;
}

/* "backing" without a value: there is to be none, whatever the image says. */
static void take_no_backing(JsonObject *node, int *flags)
{
    JsonNode *backing = json_object_get_member(node, "backing");
    const char *text = string_member(node, "backing");

    if (backing && (JSON_NODE_HOLDS_NULL(backing) || (text && !*text))) {
        *flags |= BDRV_O_NO_BACKING;
        json_object_remove_member(node, "backing");
    }
}

BlockdevOptions *coroutine_fn describe_co_read(JsonObject *node, int *flags,
                                               DescribeProbe *co_probe, GError **errp)
{
    Completion c = { .flags = *flags, .co_probe = co_probe };

    take_no_backing(node, flags);
    if (!co_complete(&c, node, *flags & BDRV_O_PROTOCOL, errp) ||
        !check_members(&qapi_type_blockdev_options, node, errp)) {
        return NULL;
    }
    g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), node);
    return qapi_object_from_options(&qapi_type_blockdev_options, root, errp);
}
