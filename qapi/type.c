/* Built-in types, and what every value can do: be freed, be copied. */
#include "qapi/qapi.h"
#include "value.h"
#include "util/error.h"

#define SCALAR_TYPE(ident, kind_, ctype)                                              \
    const QapiType qapi_type_##ident = {                                              \
        .name = #ident, .kind = kind_, .size = sizeof(ctype)                          \
    }

SCALAR_TYPE(bool, QAPI_KIND_BOOL, bool);
SCALAR_TYPE(int, QAPI_KIND_INT, int64_t);
SCALAR_TYPE(int8, QAPI_KIND_INT, int8_t);
SCALAR_TYPE(int16, QAPI_KIND_INT, int16_t);
SCALAR_TYPE(int32, QAPI_KIND_INT, int32_t);
SCALAR_TYPE(int64, QAPI_KIND_INT, int64_t);
SCALAR_TYPE(uint8, QAPI_KIND_UINT, uint8_t);
SCALAR_TYPE(uint16, QAPI_KIND_UINT, uint16_t);
SCALAR_TYPE(uint32, QAPI_KIND_UINT, uint32_t);
SCALAR_TYPE(uint64, QAPI_KIND_UINT, uint64_t);
SCALAR_TYPE(size, QAPI_KIND_SIZE, uint64_t);
SCALAR_TYPE(number, QAPI_KIND_NUMBER, double);

static void str_free_element(void *p)
{
    g_free(p);
}

static void any_free_element(void *p)
{
    if (p) {
        json_node_unref(p);
    }
}

const QapiType qapi_type_str = {
    .name = "str",
    .kind = QAPI_KIND_STR,
    .size = sizeof(char *),
    .free_element = str_free_element,
};

const QapiType qapi_type_any = {
    .name = "any",
    .kind = QAPI_KIND_ANY,
    .size = sizeof(JsonNode *),
    .free_element = any_free_element,
};

int64_t qapi_load_int(const QapiType *type, const void *p)
{
    switch (type->size) {
    case 1:
        return *(const int8_t *)p;
    case 2:
        return *(const int16_t *)p;
    case 4:
        return *(const int32_t *)p;
    default:
        return *(const int64_t *)p;
    }
}

uint64_t qapi_load_uint(const QapiType *type, const void *p)
{
    switch (type->size) {
    case 1:
        return *(const uint8_t *)p;
    case 2:
        return *(const uint16_t *)p;
    case 4:
        return *(const uint32_t *)p;
    default:
        return *(const uint64_t *)p;
    }
}

void qapi_store_int(const QapiType *type, void *p, uint64_t value)
{
    switch (type->size) {
    case 1:
        *(uint8_t *)p = value;
        break;
    case 2:
        *(uint16_t *)p = value;
        break;
    case 4:
        *(uint32_t *)p = value;
        break;
    default:
        *(uint64_t *)p = value;
        break;
    }
}

bool qapi_is_pointer(const QapiType *type)
{
    return type->kind == QAPI_KIND_STR || type->kind == QAPI_KIND_ANY ||
           type->kind == QAPI_KIND_OBJECT;
}

bool qapi_member_is_present(const QapiMember *member, const void *object)
{
    const char *base = object;

    if (member->has_flag) {
        return *(const bool *)(base + member->has_offset);
    }
    if (member->optional) {
        return *(void *const *)(base + member->offset) != NULL;
    }
    return true;
}

const QapiType *qapi_branch(const QapiType *type, const void *object)
{
    int value;

    if (!type->tag) {
        return NULL;
    }
    value = *(const int *)((const char *)object + type->tag->offset);
    if (value < 0 || (size_t)value >= type->tag->type->n_values) {
        return NULL;
    }
    return type->branches[value];
}

GPtrArray *qapi_str_list_new(void)
{
    return g_ptr_array_new_with_free_func(str_free_element);
}

static void *pointer_copy(const QapiType *type, const void *p)
{
    if (!p) {
        return NULL;
    }
    switch (type->kind) {
    case QAPI_KIND_STR:
        return g_strdup(p);
    case QAPI_KIND_ANY:
        return json_node_copy((JsonNode *)p);
    default:
        return qapi_object_copy(type, p);
    }
}

static void *list_copy(const QapiType *type, const void *list)
{
    GPtrArray *copy;
    const GPtrArray *pointers = list;

    if (!list) {
        return NULL;
    }
    if (!qapi_is_pointer(type)) {
        return g_array_copy((GArray *)list);
    }
    copy = g_ptr_array_new_full(pointers->len, type->free_element);
    for (guint i = 0; i < pointers->len; i++) {
        g_ptr_array_add(copy, pointer_copy(type, pointers->pdata[i]));
    }
    return copy;
}

static void members_clear(const QapiType *type, char *object)
{
    const QapiType *branch = qapi_branch(type, object);

    for (size_t i = 0; i < type->n_members; i++) {
        const QapiMember *member = &type->members[i];
        void **p = (void **)(object + member->offset);

        if (member->is_list && *p && qapi_is_pointer(member->type)) {
            g_ptr_array_unref(*p);
        } else if (member->is_list && *p) {
            g_array_unref(*p);
        } else if (!member->is_list && qapi_is_pointer(member->type)) {
            member->type->free_element(*p);
        }
    }
    if (branch) {
        members_clear(branch, object + type->branch_offset);
    }
}

void qapi_object_free(const QapiType *type, void *value)
{
    if (!value) {
        return;
    }
    members_clear(type, value);
    g_free(value);
}

static void members_copy(const QapiType *type, char *to, const char *from)
{
    const QapiType *branch = qapi_branch(type, from);

    for (size_t i = 0; i < type->n_members; i++) {
        const QapiMember *member = &type->members[i];
        void **p = (void **)(to + member->offset);
        void *const *source = (void *const *)(from + member->offset);

        if (member->is_list) {
            *p = list_copy(member->type, *source);
        } else if (qapi_is_pointer(member->type)) {
            *p = pointer_copy(member->type, *source);
        }
    }
    if (branch) {
        members_copy(branch, to + type->branch_offset, from + type->branch_offset);
    }
}

void *qapi_object_copy(const QapiType *type, const void *value)
{
    void *copy;

    if (!value) {
        return NULL;
    }
    copy = g_memdup2(value, type->size);
    members_copy(type, copy, value);
    return copy;
}

const char *qapi_enum_str(const QapiType *type, int value)
{
    if (value < 0 || (size_t)value >= type->n_values) {
        return "(invalid)";
    }
    return type->values[value];
}

bool qapi_enum_parse(const QapiType *type, const char *text, int *value, GError **errp)
{
    g_autoptr(GString) known = NULL;

    for (size_t i = 0; i < type->n_values; i++) {
        if (g_str_equal(type->values[i], text)) {
            *value = i;
            return true;
        }
    }
    known = g_string_new(NULL);
    for (size_t i = 0; i < type->n_values; i++) {
        g_string_append_printf(known, "%s%s", i ? ", " : "", type->values[i]);
    }
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "'%s' is none of: %s", text,
                known->str);
    return false;
}
