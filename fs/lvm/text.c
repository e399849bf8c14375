/* The parser of LVM's text. */
#include "fs/lvm/text.h"

#include <string.h>

#include "util/error.h"

enum { MAX_DEPTH = 16 };

typedef struct Parser {
    char *text;
    size_t size, pos;
    unsigned depth;
    unsigned *values_left;
} Parser;

void lvm_value_free(LvmValue *value)
{
    if (value) {
        g_clear_pointer(&value->children, g_ptr_array_unref);
        g_free(value);
    }
}

static bool G_GNUC_PRINTF(3, 4)
    fail(const Parser *p, GError **errp, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *reason = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT, "byte %zu of the text: %s",
                p->pos, reason);
    return false;
}

/* What comes next that is no blank and in no comment; 0 at the end. */
static char peek(Parser *p)
{
    bool comment = false;

    for (; p->pos < p->size && p->text[p->pos]; p->pos++) {
        char c = p->text[p->pos];

        comment = c != '\n' && (comment || c == '#');
        if (!comment && !g_ascii_isspace(c)) {
            return c;
        }
    }
    return 0;
}

static bool accept(Parser *p, char c)
{
    if (peek(p) != c) {
        return false;
    }
    p->pos++;
    return true;
}

static bool expect(Parser *p, char c, GError **errp)
{
    char found = peek(p);

    if (found == c) {
        p->pos++;
        return true;
    }
    return found ? fail(p, errp, "found 0x%02x, expected '%c'", (uint8_t)found, c)
                 : fail(p, errp, "it ends, expected '%c'", c);
}

static bool is_word(char c)
{
    return g_ascii_isalnum(c) || (c && strchr("_.+-/@", c));
}

/* A quoted string, without its quotes and escapes, which become shorter. */
static bool parse_string(Parser *p, const char **string, GError **errp)
{
    char quote = p->text[p->pos++];
    char *out = p->text + p->pos;

    *string = out;
    while (p->pos < p->size && p->text[p->pos] && p->text[p->pos] != quote) {
        if (p->text[p->pos] == '\\' && p->pos + 1 < p->size && p->text[p->pos + 1]) {
            p->pos++;
        }
        *out++ = p->text[p->pos++];
    }
    if (p->pos >= p->size || p->text[p->pos] != quote) {
        return fail(p, errp, "a string does not end");
    }
    p->pos++;
    *out = '\0';
    return true;
}

/* A word; the byte behind it is returned as *end, to become the zero that ends it once
 * it was looked at. */
static bool parse_word(Parser *p, char **word, char **end, GError **errp)
{
    *word = p->text + p->pos;
    while (p->pos < p->size && is_word(p->text[p->pos])) {
        p->pos++;
    }
    *end = p->text + p->pos;
    return *end > *word || fail(p, errp, "found 0x%02x, expected a name",
                                p->pos < p->size ? (uint8_t)p->text[p->pos] : 0);
}

static LvmValue *new_value(Parser *p, LvmKind kind, GError **errp)
{
    if (!*p->values_left) {
        fail(p, errp, "too many values");
        return NULL;
    }
    --*p->values_left;

    LvmValue *value = g_new0(LvmValue, 1);
    value->kind = kind;
    return value;
}

static void add_child(LvmValue *parent, LvmValue *child)
{
    if (!parent->children) {
        parent->children =
            g_ptr_array_new_with_free_func((GDestroyNotify)lvm_value_free);
    }
    g_ptr_array_add(parent->children, child);
}

/* A whole number, or a bare word or fraction, of which nobody wants to know more. */
static bool parse_bare(Parser *p, LvmValue *value, GError **errp)
{
    char *word, *end, *behind;

    if (!parse_word(p, &word, &end, errp)) {
        return false;
    }
    g_autofree char *copy = g_strndup(word, end - word);
    value->number = g_ascii_strtoll(copy, &behind, 10);
    value->kind = *behind || behind == copy ? LVM_STRING : LVM_NUMBER;
    return true;
}

static bool parse_scalar(Parser *p, LvmValue *value, GError **errp)
{
    char c = peek(p);

    if (c == '"' || c == '\'') {
        value->kind = LVM_STRING;
        return parse_string(p, &value->string, errp);
    }
    return parse_bare(p, value, errp);
}

static bool parse_list(Parser *p, LvmValue *list, GError **errp)
{
    list->kind = LVM_LIST;
    if (accept(p, ']')) {
        return true;
    }
    do {
        LvmValue *value = new_value(p, LVM_NUMBER, errp);

        if (!value) {
            return false;
        }
        add_child(list, value);
        if (!parse_scalar(p, value, errp)) {
            return false;
        }
    } while (accept(p, ','));
    return expect(p, ']', errp);
}

static bool parse_section(Parser *p, LvmValue *section, char until, GError **errp);

/* "name = value" or "name { ... }" */
static bool parse_setting(Parser *p, LvmValue *section, GError **errp)
{
    LvmValue *value = new_value(p, LVM_NUMBER, errp);
    char *word, *end = NULL;

    if (!value) {
        return false;
    }
    add_child(section, value);
    if (peek(p) == '"') {
        if (!parse_string(p, &value->name, errp)) {
            return false;
        }
    } else {
        if (!parse_word(p, &word, &end, errp)) {
            return false;
        }
        value->name = word;
    }
    bool is_section = accept(p, '{');
    if (!is_section && !expect(p, '=', errp)) {
        return false;
    }
    if (end) {
        *end = '\0';
    }
    if (is_section) {
        return parse_section(p, value, '}', errp);
    }
    return accept(p, '[') ? parse_list(p, value, errp) : parse_scalar(p, value, errp);
}

/* Settings up to a character, or (0) to the end of the text. */
static bool parse_section(Parser *p, LvmValue *section, char until, GError **errp)
{
    section->kind = LVM_SECTION;
    if (++p->depth > MAX_DEPTH) {
        return fail(p, errp, "sections in more than %d others", MAX_DEPTH);
    }
    while (peek(p) != until) {
        if (!peek(p)) {
            return fail(p, errp, "a section does not end");
        }
        if (!parse_setting(p, section, errp)) {
            return false;
        }
    }
    p->pos += until != 0;
    p->depth--;
    return true;
}

LvmValue *lvm_text_parse(char *text, size_t bytes, unsigned *values_left, GError **errp)
{
    Parser p = {text, bytes, 0, 0, values_left};
    g_autoptr(LvmValue) top = new_value(&p, LVM_SECTION, errp);

    return top && parse_section(&p, top, 0, errp) ? g_steal_pointer(&top) : NULL;
}

unsigned lvm_children(const LvmValue *value)
{
    return value && value->children ? value->children->len : 0;
}

const LvmValue *lvm_child(const LvmValue *value, unsigned i)
{
    return g_ptr_array_index(value->children, i);
}

const LvmValue *lvm_find(const LvmValue *section, const char *name, LvmKind kind)
{
    for (unsigned i = 0; i < lvm_children(section); i++) {
        const LvmValue *value = lvm_child(section, i);

        if (value->name && value->kind == kind && !strcmp(value->name, name)) {
            return value;
        }
    }
    return NULL;
}

const char *lvm_string(const LvmValue *section, const char *name)
{
    const LvmValue *value = lvm_find(section, name, LVM_STRING);

    return value ? value->string : NULL;
}

bool lvm_number(const LvmValue *section, const char *name, uint64_t min, uint64_t max,
                uint64_t *number)
{
    const LvmValue *value = lvm_find(section, name, LVM_NUMBER);

    if (!value || value->number < 0 || (uint64_t)value->number < min ||
        (uint64_t)value->number > max) {
        return false;
    }
    *number = value->number;
    return true;
}

bool lvm_list_has(const LvmValue *section, const char *name, const char *string)
{
    const LvmValue *list = lvm_find(section, name, LVM_LIST);

    for (unsigned i = 0; i < lvm_children(list); i++) {
        if (!g_strcmp0(lvm_child(list, i)->string, string)) {
            return true;
        }
    }
    return false;
}
