/* From a tree of JSON, or of key=value strings, to C values. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "util/error.h"
#include "value.h"

typedef struct Reader {
    GString *path;              /* "file.driver" */
    unsigned depth;
    bool keyval;                /* scalars are strings, lists are objects of indexes */
    bool json;                  /* values are as in JSON; with keyval: either */
    GError *error;              /* the first */
} Reader;

static bool G_GNUC_PRINTF(2, 3) fail(Reader *r, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_clear_error(&r->error);
    g_set_error(&r->error, EMBR_ERROR, EMBR_ERROR_INVALID, "%s%s%s%s",
                r->path->len ? "'" : "", r->path->str, r->path->len ? "': " : "", text);
    return false;
}

/* Appends ".name" and returns the length to go back to. */
static gsize path_push(Reader *r, const char *name)
{
    gsize len = r->path->len;

    g_string_append_printf(r->path, "%s%s", len ? "." : "", name);
    return len;
}

static const char *describe(JsonNode *node)
{
    if (JSON_NODE_HOLDS_OBJECT(node)) {
        return "an object";
    }
    if (JSON_NODE_HOLDS_ARRAY(node)) {
        return "a list";
    }
    if (JSON_NODE_HOLDS_NULL(node)) {
        return "null";
    }
    switch (json_node_get_value_type(node)) {
    case G_TYPE_STRING:
        return "a string";
    case G_TYPE_BOOLEAN:
        return "a boolean";
    case G_TYPE_INT64:
        return "an integer";
    default:
        return "a number";
    }
}

static bool holds(JsonNode *node, GType type)
{
    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

static bool read_node(Reader *r, const QapiType *type, JsonNode *node, void *p);

static bool wants(Reader *r, const char *what, JsonNode *node)
{
    if (r->keyval && holds(node, G_TYPE_STRING)) {
        return fail(r, "expected %s, found '%s'", what, json_node_get_string(node));
    }
    return fail(r, "expected %s, found %s", what, describe(node));
}

static bool read_bool(Reader *r, JsonNode *node, bool *p)
{
    const char *text;

    if (r->json && holds(node, G_TYPE_BOOLEAN)) {
        *p = json_node_get_boolean(node);
        return true;
    }
    if (!r->keyval) {
        return wants(r, "a boolean", node);
    }
    if (!holds(node, G_TYPE_STRING)) {
        return wants(r, "on or off", node);
    }
    text = json_node_get_string(node);
    if (g_str_equal(text, "on") || g_str_equal(text, "yes") || g_str_equal(text, "true")) {
        *p = true;
        return true;
    }
    if (g_str_equal(text, "off") || g_str_equal(text, "no") || g_str_equal(text, "false")) {
        *p = false;
        return true;
    }
    return wants(r, "on or off", node);
}

static bool read_int(Reader *r, const QapiType *type, JsonNode *node, void *p)
{
    int64_t max = INT64_MAX >> (64 - 8 * type->size);
    int64_t value;

    if (r->keyval && holds(node, G_TYPE_STRING)) {
        const char *text = json_node_get_string(node);
        char *end;

        errno = 0;
        value = g_ascii_strtoll(text, &end, 10);
        if (end == text || *end || g_ascii_isspace(*text)) {
            return wants(r, "an integer", node);
        }
        if (errno == ERANGE) {
            return fail(r, "%s is not between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT,
                        text, (gint64)(-max - 1), (gint64)max);
        }
    } else if (r->json && holds(node, G_TYPE_INT64)) {
        value = json_node_get_int(node);
    } else {
        return wants(r, "an integer", node);
    }
    if (value > max || value < -max - 1) {
        return fail(r, "%" G_GINT64_FORMAT " is not between %" G_GINT64_FORMAT
                       " and %" G_GINT64_FORMAT, (gint64)value, (gint64)(-max - 1), (gint64)max);
    }
    qapi_store_int(type, p, value);
    return true;
}

static bool uint_from_text(const char *text, uint64_t *value)
{
    char *end;

    if (!g_ascii_isdigit(*text)) {
        return false;
    }
    errno = 0;
    *value = g_ascii_strtoull(text, &end, 10);
    return !*end && errno != ERANGE;
}

static bool read_uint(Reader *r, const QapiType *type, JsonNode *node, void *p)
{
    uint64_t max = UINT64_MAX >> (64 - 8 * type->size);
    bool is_size = type->kind == QAPI_KIND_SIZE;
    const char *what = is_size ? "a size" : "a number from 0 on";
    uint64_t value;

    if (r->keyval && holds(node, G_TYPE_STRING)) {
        const char *text = json_node_get_string(node);

        if (is_size ? !qapi_parse_size(text, &value) : !uint_from_text(text, &value)) {
            return wants(r, what, node);
        }
    } else if (r->json && holds(node, G_TYPE_INT64)) {
        if (json_node_get_int(node) < 0) {
            return fail(r, "expected %s that fits 63 bits", what);
        }
        value = json_node_get_int(node);
    } else {
        return wants(r, what, node);
    }
    if (value > max) {
        return fail(r, "%" G_GUINT64_FORMAT " is not between 0 and %" G_GUINT64_FORMAT,
                    (guint64)value, (guint64)max);
    }
    qapi_store_int(type, p, value);
    return true;
}

static bool read_number(Reader *r, JsonNode *node, double *p)
{
    if (r->keyval && holds(node, G_TYPE_STRING)) {
        const char *text = json_node_get_string(node);
        char *end;

        *p = g_ascii_strtod(text, &end);
        if (end == text || *end || g_ascii_isspace(*text) || *p - *p != 0) {
            return wants(r, "a number", node);
        }
        return true;
    }
    if (!r->json || !(holds(node, G_TYPE_INT64) || holds(node, G_TYPE_DOUBLE))) {
        return wants(r, "a number", node);
    }
    *p = json_node_get_double(node);
    return true;
}

static bool read_str(Reader *r, JsonNode *node, char **p)
{
    if (!holds(node, G_TYPE_STRING)) {
        return wants(r, "a string", node);
    }
    *p = g_strdup(json_node_get_string(node));
    return true;
}

static bool read_enum(Reader *r, const QapiType *type, JsonNode *node, int *p)
{
    g_autoptr(GError) error = NULL;

    if (!holds(node, G_TYPE_STRING)) {
        return wants(r, "a string", node);
    }
    if (!qapi_enum_parse(type, json_node_get_string(node), p, &error)) {
        return fail(r, "%s", error->message);
    }
    return true;
}

static bool read_element(Reader *r, const QapiType *type, JsonNode *node, guint index,
                         void *list)
{
    g_autofree char *name = g_strdup_printf("%u", index);
    gsize len = path_push(r, name);

    if (qapi_is_pointer(type)) {
        void *pointer = NULL;

        if (!read_node(r, type, node, &pointer)) {
            return false;
        }
        g_ptr_array_add(list, pointer);
    } else {
        GArray *array = list;

        g_array_set_size(array, index + 1);
        if (!read_node(r, type, node, array->data + index * type->size)) {
            return false;
        }
    }
    g_string_truncate(r->path, len);
    return true;
}

static void *list_new(const QapiType *type)
{
    if (qapi_is_pointer(type)) {
        return g_ptr_array_new_with_free_func(type->free_element);
    }
    return g_array_new(FALSE, TRUE, type->size);
}

/* In key=value text a list is an object whose keys are 0 to n - 1. */
static bool read_keyval_list(Reader *r, const QapiType *type, JsonNode *node, void *list)
{
    JsonObject *object;
    guint n;

    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        return wants(r, "a list (.0=..., .1=...)", node);
    }
    object = json_node_get_object(node);
    n = json_object_get_size(object);
    for (guint i = 0; i < n; i++) {
        g_autofree char *key = g_strdup_printf("%u", i);

        if (!json_object_has_member(object, key)) {
            return fail(r, "expected a list: its element %u is missing", i);
        }
        if (!read_element(r, type, json_object_get_member(object, key), i, list)) {
            return false;
        }
    }
    return true;
}

/* *p is set even when this fails, and freed with its owner. */
static bool read_list(Reader *r, const QapiType *type, JsonNode *node, void **p)
{
    JsonArray *array;

    *p = list_new(type);
    if (r->keyval && !(r->json && JSON_NODE_HOLDS_ARRAY(node))) {
        return read_keyval_list(r, type, node, *p);
    }
    if (!JSON_NODE_HOLDS_ARRAY(node)) {
        return wants(r, "a list", node);
    }
    array = json_node_get_array(node);
    for (guint i = 0; i < json_array_get_length(array); i++) {
        if (!read_element(r, type, json_array_get_element(array, i), i, *p)) {
            return false;
        }
    }
    return true;
}

static bool read_members(Reader *r, const QapiType *type, JsonObject *json, char *object)
{
    for (size_t i = 0; i < type->n_members; i++) {
        const QapiMember *member = &type->members[i];
        JsonNode *node = json_object_get_member(json, member->name);
        void *p = object + member->offset;
        gsize len;

        if (!node && member->optional) {
            continue;
        }
        len = path_push(r, member->name);
        if (!node) {
            return fail(r, "missing");
        }
        if (member->is_list ? !read_list(r, member->type, node, p)
                            : !read_node(r, member->type, node, p)) {
            return false;
        }
        if (member->has_flag) {
            *(bool *)(object + member->has_offset) = true;
        }
        g_string_truncate(r->path, len);
    }
    return true;
}

const QapiMember *qapi_find_member(const QapiType *type, const char *name)
{
    for (size_t i = 0; i < type->n_members; i++) {
        if (g_str_equal(type->members[i].name, name)) {
            return &type->members[i];
        }
    }
    return NULL;
}

static bool check_unknown(Reader *r, const QapiType *type, const QapiType *branch,
                          JsonObject *json)
{
    JsonObjectIter iter;
    const char *name;

    json_object_iter_init_ordered(&iter, json);
    while (json_object_iter_next_ordered(&iter, &name, NULL)) {
        if (!qapi_find_member(type, name) && !(branch && qapi_find_member(branch, name))) {
            path_push(r, name);
            return fail(r, *name ? "unknown member" : "unknown member with an empty name");
        }
    }
    return true;
}

/* *p is set even when this fails: to what can be freed. */
static bool read_object(Reader *r, const QapiType *type, JsonNode *node, void **p)
{
    const QapiType *branch;
    JsonObject *json;

    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        return wants(r, "an object", node);
    }
    if (r->depth == QAPI_MAX_DEPTH) {
        return fail(r, "more than %d objects in each other", QAPI_MAX_DEPTH);
    }
    r->depth++;
    json = json_node_get_object(node);
    *p = g_malloc0(type->size);
    if (!read_members(r, type, json, *p)) {
        return false;
    }
    branch = qapi_branch(type, *p);
    if (branch && !read_members(r, branch, json, (char *)*p + type->branch_offset)) {
        return false;
    }
    r->depth--;
    return check_unknown(r, type, branch, json);
}

static bool read_node(Reader *r, const QapiType *type, JsonNode *node, void *p)
{
    switch (type->kind) {
    case QAPI_KIND_BOOL:
        return read_bool(r, node, p);
    case QAPI_KIND_INT:
        return read_int(r, type, node, p);
    case QAPI_KIND_UINT:
    case QAPI_KIND_SIZE:
        return read_uint(r, type, node, p);
    case QAPI_KIND_NUMBER:
        return read_number(r, node, p);
    case QAPI_KIND_STR:
        return read_str(r, node, p);
    case QAPI_KIND_ANY:
        *(JsonNode **)p = json_node_copy(node);
        return true;
    case QAPI_KIND_ENUM:
        return read_enum(r, type, node, p);
    case QAPI_KIND_OBJECT: {
        void *object = NULL;

        if (!read_object(r, type, node, &object)) {
            qapi_object_free(type, object);
            return false;
        }
        *(void **)p = object;
        return true;
    }
    }
    g_assert_not_reached();
}

static void *read_root(const QapiType *type, JsonNode *node, bool keyval, bool json,
                       GError **errp)
{
    g_autoptr(GString) path = g_string_new(NULL);
    Reader r = { .path = path, .keyval = keyval, .json = json };
    void *value = NULL;

    if (!read_node(&r, type, node, &value)) {
        g_propagate_error(errp, r.error);
        return NULL;
    }
    return value;
}

void *qapi_object_from_json(const QapiType *type, JsonNode *node, GError **errp)
{
    return read_root(type, node, false, true, errp);
}

void *qapi_object_from_options(const QapiType *type, JsonNode *node, GError **errp)
{
    return read_root(type, node, true, true, errp);
}

/* How many members each object was given, to compare with how many it has. */
static void count_member(JsonParser *parser, JsonObject *object, const char *name,
                         gpointer opaque)
{
    GHashTable *counts = opaque;
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(counts, object));

    g_hash_table_insert(counts, json_object_ref(object), GUINT_TO_POINTER(n + 1));
}

static bool check_unique_members(GHashTable *counts, GError **errp)
{
    GHashTableIter iter;
    gpointer object, n;

    g_hash_table_iter_init(&iter, counts);
    while (g_hash_table_iter_next(&iter, &object, &n)) {
        if (json_object_get_size(object) != GPOINTER_TO_UINT(n)) {
            g_autoptr(GList) names = json_object_get_members(object);

            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                        "JSON text: the object that begins with member '%s' has a member "
                        "twice", (const char *)names->data);
            return false;
        }
    }
    return true;
}

JsonNode *qapi_json_parse(const char *text, gssize len, GError **errp)
{
    /* The value of a member that is replaced would be freed. */
    g_autoptr(GHashTable) counts =
        g_hash_table_new_full(NULL, NULL, (GDestroyNotify)json_object_unref, NULL);
    g_autoptr(JsonParser) parser = NULL;
    size_t bytes = len < 0 ? strlen(text) : (size_t)len;

    if (!qapi_check_json_syntax(text, bytes, errp)) {
        return NULL;
    }
    parser = json_parser_new();
    g_signal_connect(parser, "object-member", G_CALLBACK(count_member), counts);
    if (!json_parser_load_from_data(parser, text, bytes, errp) ||
        !check_unique_members(counts, errp)) {
        return NULL;
    }
    return json_parser_steal_root(parser);
}

void *qapi_object_from_json_text(const QapiType *type, const char *text, gssize len,
                                 GError **errp)
{
    g_autoptr(JsonNode) root = qapi_json_parse(text, len, errp);
    return root ? qapi_object_from_json(type, root, errp) : NULL;
}

void *qapi_object_from_keyval(const QapiType *type, const char *keyval,
                              const char *implied_key, GError **errp)
{
    g_autoptr(JsonNode) node = qapi_keyval_parse(keyval, implied_key, errp);

    if (!node) {
        return NULL;
    }
    return read_root(type, node, true, false, errp);
}
