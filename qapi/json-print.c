/* From C values to JSON: as a tree, and straight to text. */
#include <math.h>

#include "value.h"

static JsonNode *scalar_to_json(const QapiType *type, const void *p);

static JsonNode *uint_to_json(uint64_t value)
{
    JsonNode *node = json_node_alloc();

    if (value > INT64_MAX) {
        return json_node_init_double(node, (double)value);
    }
    return json_node_init_int(node, value);
}

static JsonNode *str_to_json(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);

    return json_node_init_string(json_node_alloc(), valid);
}

static JsonNode *list_to_json(const QapiType *type, const void *list)
{
    g_autoptr(JsonArray) array = json_array_new();
    const GArray *scalars = list;
    const GPtrArray *pointers = list;

    if (list && qapi_is_pointer(type)) {
        for (guint i = 0; i < pointers->len; i++) {
            json_array_add_element(array, scalar_to_json(type, &pointers->pdata[i]));
        }
    } else if (list) {
        for (guint i = 0; i < scalars->len; i++) {
            json_array_add_element(array,
                                   scalar_to_json(type, scalars->data + i * type->size));
        }
    }
    return json_node_init_array(json_node_alloc(), array);
}

static void members_to_json(const QapiType *type, const char *object, JsonObject *json)
{
    const QapiType *branch = qapi_branch(type, object);

    for (size_t i = 0; i < type->n_members; i++) {
        const QapiMember *member = &type->members[i];
        const void *p = object + member->offset;

        if (qapi_member_is_present(member, object)) {
            json_object_set_member(json, member->name,
                                   member->is_list
                                       ? list_to_json(member->type, *(void *const *)p)
                                       : scalar_to_json(member->type, p));
        }
    }
    if (branch) {
        members_to_json(branch, object + type->branch_offset, json);
    }
}

JsonNode *qapi_object_to_json(const QapiType *type, const void *value)
{
    g_autoptr(JsonObject) json = NULL;

    if (!value) {
        return json_node_new(JSON_NODE_NULL);
    }
    json = json_object_new();
    members_to_json(type, value, json);
    return json_node_init_object(json_node_alloc(), json);
}

/* p is the address of the value, or of the pointer to it. */
static JsonNode *scalar_to_json(const QapiType *type, const void *p)
{
    JsonNode *const *any;

    switch (type->kind) {
    case QAPI_KIND_BOOL:
        return json_node_init_boolean(json_node_alloc(), *(const bool *)p);
    case QAPI_KIND_INT:
        return json_node_init_int(json_node_alloc(), qapi_load_int(type, p));
    case QAPI_KIND_UINT:
    case QAPI_KIND_SIZE:
        return uint_to_json(qapi_load_uint(type, p));
    case QAPI_KIND_NUMBER:
        return json_node_init_double(json_node_alloc(), *(const double *)p);
    case QAPI_KIND_STR:
        return str_to_json(*(char *const *)p);
    case QAPI_KIND_ANY:
        any = p;
        return *any ? json_node_copy(*any) : json_node_new(JSON_NODE_NULL);
    case QAPI_KIND_ENUM:
        return str_to_json(qapi_enum_str(type, *(const int *)p));
    case QAPI_KIND_OBJECT:
        return qapi_object_to_json(type, *(void *const *)p);
    }
    g_assert_not_reached();
}

/* What follows the backslash of an escape; 0 for what is \uXXXX; -1 for no escape. */
static int escape_letter(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return c < 0x20 || c == 0x7f ? 0 : -1;
    }
}

static void print_valid_string(const char *text, GString *out)
{
    const char *plain = text;       /* what is not in out yet */

    g_string_append_c(out, '"');
    for (; *text; text++) {
        int letter = escape_letter(*text);

        if (letter < 0) {
            continue;
        }
        g_string_append_len(out, plain, text - plain);
        plain = text + 1;
        if (letter) {
            g_string_append_c(out, '\\');
            g_string_append_c(out, letter);
        } else {
            g_string_append_printf(out, "\\u%04x", (unsigned char)*text);
        }
    }
    g_string_append_len(out, plain, text - plain);
    g_string_append_c(out, '"');
}

void qapi_print_string(const char *text, GString *out)
{
    if (g_utf8_validate(text, -1, NULL)) {
        print_valid_string(text, out);
    } else {
        g_autofree char *valid = g_utf8_make_valid(text, -1);

        print_valid_string(valid, out);
    }
}

static void print_break(bool pretty, unsigned level, GString *out)
{
    if (pretty) {
        g_string_append_c(out, '\n');
        while (level--) {
            g_string_append_len(out, "    ", 4);
        }
    }
}

static void print_uint(guint64 number, GString *out)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = '0' + number % 10;
        number /= 10;
    } while (number);
    g_string_append_len(out, digits + at, sizeof(digits) - at);
}

static void print_int(gint64 number, GString *out)
{
    if (number < 0) {
        g_string_append_c(out, '-');
    }
    print_uint(number < 0 ? -(guint64)number : (guint64)number, out);
}

static void print_number(double number, GString *out)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    if (!isfinite(number)) {
        g_string_append(out, "null");
        return;
    }
    g_string_append(out, g_ascii_dtostr(text, sizeof(text), number));
}

static void print_any(JsonNode *node, bool pretty, unsigned level, GString *out)
{
    g_autoptr(JsonGenerator) generator = NULL;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!node) {
        g_string_append(out, "null");
        return;
    }
    generator = json_generator_new();
    json_generator_set_root(generator, node);
    json_generator_set_pretty(generator, pretty);
    json_generator_set_indent(generator, 4);
    text = json_generator_to_data(generator, NULL);
    lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i]; i++) {
        if (i) {
            print_break(true, level, out);
        }
        g_string_append(out, lines[i]);
    }
}

static void print_value(const QapiType *type, const void *p, bool pretty, unsigned level,
                        GString *out)
{
    switch (type->kind) {
    case QAPI_KIND_BOOL:
        g_string_append(out, *(const bool *)p ? "true" : "false");
        break;
    case QAPI_KIND_INT:
        print_int(qapi_load_int(type, p), out);
        break;
    case QAPI_KIND_UINT:
    case QAPI_KIND_SIZE:
        print_uint(qapi_load_uint(type, p), out);
        break;
    case QAPI_KIND_NUMBER:
        print_number(*(const double *)p, out);
        break;
    case QAPI_KIND_STR:
        qapi_print_string(*(char *const *)p ? *(char *const *)p : "", out);
        break;
    case QAPI_KIND_ANY:
        print_any(*(JsonNode *const *)p, pretty, level, out);
        break;
    case QAPI_KIND_ENUM:
        qapi_print_string(qapi_enum_str(type, *(const int *)p), out);
        break;
    case QAPI_KIND_OBJECT:
        qapi_object_print(type, *(void *const *)p, pretty, level, out);
        break;
    }
}

static void print_list(const QapiType *type, const void *list, bool pretty, unsigned level,
                       GString *out)
{
    const GArray *scalars = list;
    const GPtrArray *pointers = list;
    bool by_pointer = qapi_is_pointer(type);
    guint len = !list ? 0 : by_pointer ? pointers->len : scalars->len;

    g_string_append_c(out, '[');
    for (guint i = 0; i < len; i++) {
        if (i) {
            g_string_append(out, pretty ? "," : ", ");
        }
        print_break(pretty, level + 1, out);
        print_value(type,
                    by_pointer ? (const void *)&pointers->pdata[i]
                               : scalars->data + i * type->size,
                    pretty, level + 1, out);
    }
    print_break(pretty, level, out);
    g_string_append_c(out, ']');
}

static void print_members(const QapiType *type, const char *object, bool pretty,
                          unsigned level, bool *first, GString *out)
{
    const QapiType *branch = qapi_branch(type, object);

    for (size_t i = 0; i < type->n_members; i++) {
        const QapiMember *member = &type->members[i];
        const void *p = object + member->offset;

        if (!qapi_member_is_present(member, object)) {
            continue;
        }
        if (!*first) {
            g_string_append(out, pretty ? "," : ", ");
        }
        *first = false;
        print_break(pretty, level + 1, out);
        g_string_append_c(out, '"');
        g_string_append(out, member->name);
        g_string_append(out, "\": ");
        if (member->is_list) {
            print_list(member->type, *(void *const *)p, pretty, level + 1, out);
        } else {
            print_value(member->type, p, pretty, level + 1, out);
        }
    }
    if (branch) {
        print_members(branch, object + type->branch_offset, pretty, level, first, out);
    }
}

void qapi_object_print(const QapiType *type, const void *value, bool pretty,
                       unsigned level, GString *out)
{
    bool first = true;

    if (!value) {
        g_string_append(out, "null");
        return;
    }
    g_string_append_c(out, '{');
    print_members(type, value, pretty, level, &first, out);
    print_break(pretty, level, out);
    g_string_append_c(out, '}');
}

char *qapi_object_to_json_text(const QapiType *type, const void *value, bool pretty)
{
    GString *out = g_string_new(NULL);

    qapi_object_print(type, value, pretty, 0, out);
    return g_string_free(out, FALSE);
}

char *qapi_list_to_json_text(const QapiType *type, const GPtrArray *list, bool pretty)
{
    GString *out = g_string_new(NULL);

    print_list(type, list, pretty, 0, out);
    return g_string_free(out, FALSE);
}
