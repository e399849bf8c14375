/* The particulars of a format, for people. */
#include "specific.h"

#include <stdio.h>

#include "qapi/qapi-visit.h"

enum { INDENT = 4 };

static void print_value(JsonNode *value, unsigned level);

/* "key: value", "key:" before what takes lines of its own. */
static void print_entry(const char *key, JsonNode *value, unsigned level)
{
    printf("%*s%s:", level * INDENT, "", key);
    if (JSON_NODE_HOLDS_VALUE(value)) {
        putchar(' ');
    } else {
        putchar('\n');
    }
    print_value(value, level + 1);
}

static void print_scalar(JsonNode *value)
{
    switch (json_node_get_value_type(value)) {
    case G_TYPE_BOOLEAN:
        puts(json_node_get_boolean(value) ? "true" : "false");
        break;
    case G_TYPE_STRING:
        puts(json_node_get_string(value));
        break;
    case G_TYPE_DOUBLE:
        printf("%.0f\n", json_node_get_double(value));
        break;
    default:
        printf("%" G_GINT64_FORMAT "\n", json_node_get_int(value));
    }
}

static void print_members(JsonObject *object, unsigned level)
{
    JsonObjectIter iter;
    const char *name;
    JsonNode *value;

    json_object_iter_init_ordered(&iter, object);
    while (json_object_iter_next_ordered(&iter, &name, &value)) {
        g_autofree char *key = g_strdelimit(g_strdup(name), "-", ' ');
        print_entry(key, value, level);
    }
}

static void print_value(JsonNode *value, unsigned level)
{
    if (JSON_NODE_HOLDS_OBJECT(value)) {
        print_members(json_node_get_object(value), level);
    } else if (JSON_NODE_HOLDS_ARRAY(value)) {
        JsonArray *array = json_node_get_array(value);
        for (guint i = 0; i < json_array_get_length(array); i++) {
            g_autofree char *key = g_strdup_printf("[%u]", i);
            print_entry(key, json_array_get_element(array, i), level);
        }
    } else if (JSON_NODE_HOLDS_VALUE(value)) {
        print_scalar(value);
    }
}

void specific_print(const ImageInfoSpecific *specific)
{
    g_autoptr(JsonNode) node = image_info_specific_to_json(specific);

    puts("Format specific information:");
    print_value(json_object_get_member(json_node_get_object(node), "data"), 1);
}
