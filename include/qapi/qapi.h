/*
 * The run-time side of the schema: what the generated code stands on.
 *
 * scripts/qapi-gen.py makes a C type, a descriptor and functions for every type
 * of the schema in qapi/ (qapi-types.h, qapi-visit.h).  In C
 *
 *   a struct   is a C struct; the members of its base come first
 *   a union    is a struct of its base's members and a union u, of which the
 *              tag says the valid branch; a tag value without a branch adds nothing
 *   an enum    is a C enum, its last constant X__MAX the number of values
 *   ['X']      is a GPtrArray of X (of char * for 'str'), made by x_list_new() or
 *              qapi_str_list_new() so that it frees its elements; numbers,
 *              booleans and enums are in a GArray of their C type
 *   optional   pointers and lists are NULL when absent; everything else has a
 *              bool has_NAME before it
 *
 * '-' in names becomes '_'; what is a keyword in C or starts with a digit gets q_
 * before it.  A value owns all it points to.  In JSON, integers reach to
 * INT64_MAX; texts are UTF-8.
 */
#ifndef EMBR_QAPI_QAPI_H
#define EMBR_QAPI_QAPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>
#include <json-glib/json-glib.h>

typedef enum QapiKind {
    QAPI_KIND_BOOL,
    QAPI_KIND_INT,              /* signed, of size bytes */
    QAPI_KIND_UINT,
    QAPI_KIND_SIZE,             /* uint64_t; key=value text may have a suffix */
    QAPI_KIND_NUMBER,           /* double */
    QAPI_KIND_STR,              /* char * */
    QAPI_KIND_ANY,              /* JsonNode * */
    QAPI_KIND_ENUM,
    QAPI_KIND_OBJECT,           /* struct or union */
} QapiKind;

typedef struct QapiType QapiType;

typedef struct QapiMember {
    const char *name;
    const QapiType *type;       /* of an element, for lists */
    size_t offset;
    size_t has_offset;          /* if has_flag */
    bool has_flag;
    bool optional;
    bool is_list;
} QapiMember;

struct QapiType {
    const char *name;
    QapiKind kind;
    size_t size;                        /* of the C value; of the struct, for objects */
    const char *const *values;          /* of enums */
    size_t n_values;
    const QapiMember *members;          /* of objects: base's and own */
    size_t n_members;
    const QapiMember *tag;              /* of unions */
    const QapiType *const *branches;    /* by value of the tag; NULL adds nothing */
    size_t branch_offset;
    GDestroyNotify free_element;        /* of what is held by pointer; takes NULL */
};

extern const QapiType qapi_type_bool, qapi_type_int, qapi_type_size, qapi_type_number,
    qapi_type_str, qapi_type_any;
extern const QapiType qapi_type_int8, qapi_type_int16, qapi_type_int32, qapi_type_int64;
extern const QapiType qapi_type_uint8, qapi_type_uint16, qapi_type_uint32, qapi_type_uint64;

enum {
    QAPI_MAX_DEPTH = 64,                /* of objects in objects, when reading */
};

/* NULL is fine. */
void qapi_object_free(const QapiType *type, void *value);
/* A deep copy; of NULL, NULL. */
void *qapi_object_copy(const QapiType *type, const void *value);
GPtrArray *qapi_str_list_new(void);

/* "(invalid)" for what is no value of the enum. */
const char *qapi_enum_str(const QapiType *type, int value);
bool qapi_enum_parse(const QapiType *type, const char *text, int *value, GError **errp);

/* Members are in the order of the schema.  Text that is not UTF-8 gets U+FFFD
 * in place of what is not. */
JsonNode *qapi_object_to_json(const QapiType *type, const void *value);
/* The same as text, without a newline at the end; pretty: in qemu-img's style of
 * four spaces a level.  Exact for integers above INT64_MAX, which a JsonNode cannot
 * hold (there they are doubles). */
char *qapi_object_to_json_text(const QapiType *type, const void *value, bool pretty);
/* Adds it to out, its lines after the first indented by 4 * level spaces. */
void qapi_object_print(const QapiType *type, const void *value, bool pretty,
                       unsigned level, GString *out);
/* '[', one element, ... ']' for elements of type */
char *qapi_list_to_json_text(const QapiType *type, const GPtrArray *list, bool pretty);
void qapi_print_string(const char *text, GString *out);

/* Strict: unknown and missing members, wrong types and numbers out of range are
 * errors that name the member: "'file.driver': ...". */
void *qapi_object_from_json(const QapiType *type, JsonNode *node, GError **errp);
/* The same from text (len -1: up to its NUL) that is exactly one value of JSON as in RFC
 * 8259: no comments, no member twice, at most 2 * QAPI_MAX_DEPTH levels, integers of 64
 * bits with a sign.  Errors of syntax name line and column. */
void *qapi_object_from_json_text(const QapiType *type, const char *text, gssize len,
                                 GError **errp);

/*
 * From "driver=qcow2,file.filename=a,,b.qcow2,l2-cache-size=2M": a dot enters an
 * object, a number is an index of a list, two commas are one in the value; of a
 * key given twice the last counts; '_' in keys means '-'.  on, yes, true and off, no, false are booleans.
 * implied_key (NULL: none) is the key of a first value without "KEY=".
 */
void *qapi_object_from_keyval(const QapiType *type, const char *keyval,
                              const char *implied_key, GError **errp);

/* From a tree in which values are those of JSON, or strings as in key=value text, and lists
 * those of JSON or objects of indexes. */
void *qapi_object_from_options(const QapiType *type, JsonNode *node, GError **errp);

/* The member of that name of a struct, or of a union's base; NULL if there is none. */
const QapiMember *qapi_find_member(const QapiType *type, const char *name);

/* One value of JSON, with the limits of qapi_object_from_json_text(). */
JsonNode *qapi_json_parse(const char *text, gssize len, GError **errp);

/* The tree of strings that the above is read from. */
JsonNode *qapi_keyval_parse(const char *keyval, const char *implied_key, GError **errp);

/* "512", "1.5G", "0x200": digits with a suffix b, k, M, G, T, P or E (powers of
 * 1024, either case).  False if it is anything else or does not fit. */
bool qapi_parse_size(const char *text, uint64_t *value);

#endif
