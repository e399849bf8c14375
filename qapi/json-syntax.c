/*
 * Whether a text is JSON as RFC 8259 has it.
 *
 * json-glib's parser takes more than that (comments, hexadecimal and octal numbers,
 * single quotes, text after the value), wraps integers around, ends strings at
 * \u0000, and needs stack by depth, which a coroutine has little of.  What passes
 * here, it reads as it is meant.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "util/error.h"
#include "value.h"

enum { MAX_LEVELS = 2 * QAPI_MAX_DEPTH };

typedef struct Scanner {
    const char *text;
    size_t len, pos;
    unsigned depth;
    char closing[MAX_LEVELS]; /* what ends each object and list that is open */
    GError **errp;
} Scanner;

static bool G_GNUC_PRINTF(2, 3) fail(Scanner *s, const char *format, ...)
{
    g_autofree char *what = NULL;
    size_t line = 1, start = 0;
    va_list args;

    va_start(args, format);
    what = g_strdup_vprintf(format, args);
    va_end(args);
    for (size_t i = 0; i < s->pos; i++) {
        if (s->text[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    g_set_error(s->errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                "JSON text, line %zu, column %zu: %s", line,
                (size_t)g_utf8_strlen(s->text + start, s->pos - start) + 1, what);
    return false;
}

/* The byte at pos; 0, which is part of nothing, at the end. */
static char peek(const Scanner *s)
{
    return s->pos < s->len ? s->text[s->pos] : 0;
}

static bool expected(Scanner *s, const char *what)
{
    const char *p = s->text + s->pos;

    if (s->pos >= s->len) {
        return fail(s, "expected %s, found the end of the text", what);
    }
    if (g_ascii_iscntrl(*p)) {
        return fail(s, "expected %s, found \\x%02x", what, (uint8_t)*p);
    }
    return fail(s, "expected %s, found '%.*s'", what, (int)(g_utf8_next_char(p) - p),
                p);
}

static void skip_space(Scanner *s)
{
    while (s->pos < s->len && strchr(" \t\r\n", s->text[s->pos])) {
        s->pos++;
    }
}

/* The four digits after \u; -1 if they are not there. */
static int scan_unit(Scanner *s)
{
    int unit = 0;

    for (int i = 0; i < 4; i++) {
        int digit = g_ascii_xdigit_value(peek(s));

        if (digit < 0) {
            expected(s, "four hexadecimal digits after \\u");
            return -1;
        }
        unit = unit << 4 | digit;
        s->pos++;
    }
    return unit;
}

static bool scan_unicode_escape(Scanner *s)
{
    int unit = scan_unit(s);

    if (unit < 0) {
        return false;
    }
    if (unit == 0) {
        return fail(s, "strings with \\u0000 are not supported");
    }
    if (unit >= 0xd800 && unit < 0xdc00) {
        if (s->len - s->pos < 2 || memcmp(s->text + s->pos, "\\u", 2)) {
            return expected(s, "the second half of a surrogate pair");
        }
        s->pos += 2;
        unit = scan_unit(s);
        if (unit >= 0 && (unit < 0xdc00 || unit > 0xdfff)) {
            return fail(
                s, "expected the second half of a surrogate pair, found \\u%04x", unit);
        }
        return unit >= 0;
    }
    if (unit >= 0xdc00 && unit < 0xe000) {
        return fail(s, "\\u%04x is the second half of a surrogate pair without a first",
                    unit);
    }
    return true;
}

static bool scan_string(Scanner *s)
{
    for (s->pos++; s->pos < s->len;) {
        char c = s->text[s->pos];

        if ((uint8_t)c < 0x20) {
            return fail(s, "control character \\x%02x in a string", (uint8_t)c);
        }
        s->pos++;
        if (c == '"') {
            return true;
        }
        if (c != '\\') {
            continue;
        }
        c = peek(s);
        if (!c || !strchr("\"\\/bfnrtu", c)) {
            return expected(s, "one of \"\\/bfnrtu after a backslash");
        }
        s->pos++;
        if (c == 'u' && !scan_unicode_escape(s)) {
            return false;
        }
    }
    return expected(s, "the end of a string");
}

static bool scan_digits(Scanner *s)
{
    if (!g_ascii_isdigit(peek(s))) {
        return expected(s, "a digit");
    }
    while (g_ascii_isdigit(peek(s))) {
        s->pos++;
    }
    return true;
}

static bool check_number(Scanner *s, size_t start, bool is_integer)
{
    g_autofree char *text = g_strndup(s->text + start, s->pos - start);

    s->pos = start;
    errno = 0;
    if (is_integer) {
        g_ascii_strtoll(text, NULL, 10);
        if (errno == ERANGE) {
            return fail(s, "%.40s does not fit a signed integer of 64 bits", text);
        }
    } else if (!isfinite(g_ascii_strtod(text, NULL))) {
        return fail(s, "%.40s is too large a number", text);
    }
    s->pos = start + strlen(text);
    return true;
}

static bool scan_number(Scanner *s)
{
    size_t start = s->pos;
    bool is_integer = true;

    s->pos += peek(s) == '-';
    if (peek(s) == '0') {
        s->pos++;
    } else if (!scan_digits(s)) {
        return false;
    }
    if (peek(s) == '.') {
        is_integer = false;
        s->pos++;
        if (!scan_digits(s)) {
            return false;
        }
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        is_integer = false;
        s->pos++;
        s->pos += peek(s) == '+' || peek(s) == '-';
        if (!scan_digits(s)) {
            return false;
        }
    }
    return check_number(s, start, is_integer);
}

static bool scan_word(Scanner *s)
{
    static const char *const words[] = {"true", "false", "null"};

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        size_t n = strlen(words[i]);

        if (s->len - s->pos >= n && !memcmp(s->text + s->pos, words[i], n)) {
            s->pos += n;
            return true;
        }
    }
    return expected(s, "a value");
}

static bool scan_scalar(Scanner *s)
{
    char c = peek(s);

    if (c == '"') {
        return scan_string(s);
    }
    return c == '-' || g_ascii_isdigit(c) ? scan_number(s) : scan_word(s);
}

static bool scan_key(Scanner *s)
{
    skip_space(s);
    if (peek(s) != '"') {
        return expected(s, "a string as the name of a member");
    }
    if (!scan_string(s)) {
        return false;
    }
    skip_space(s);
    if (peek(s) != ':') {
        return expected(s, "':'");
    }
    s->pos++;
    return true;
}

/* Enters an object or list; *done: it is empty and left again. */
static bool scan_opening(Scanner *s, bool *done)
{
    char closing = s->text[s->pos] == '{' ? '}' : ']';

    if (s->depth == MAX_LEVELS) {
        return fail(s, "more than %d levels deep", MAX_LEVELS);
    }
    s->pos++;
    skip_space(s);
    if (peek(s) == closing) {
        s->pos++;
        *done = true;
        return true;
    }
    s->closing[s->depth++] = closing;
    return closing == ']' || scan_key(s);
}

/* What follows a value: the ends of what holds it, up to the next value's begin. */
static bool scan_after_value(Scanner *s)
{
    while (s->depth) {
        char closing = s->closing[s->depth - 1];

        skip_space(s);
        if (peek(s) == ',') {
            s->pos++;
            return closing == ']' || scan_key(s);
        }
        if (peek(s) != closing) {
            return expected(s, closing == '}' ? "',' or '}'" : "',' or ']'");
        }
        s->pos++;
        s->depth--;
    }
    return true;
}

bool qapi_check_json_syntax(const char *text, size_t len, GError **errp)
{
    Scanner s = {.text = text, .len = len, .errp = errp};

    if (!g_utf8_validate_len(text, len, NULL)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "JSON text: not valid UTF-8");
        return false;
    }
    do {
        bool done = false;

        skip_space(&s);
        if (peek(&s) == '{' || peek(&s) == '[') {
            if (!scan_opening(&s, &done)) {
                return false;
            }
        } else {
            done = true;
            if (!scan_scalar(&s)) {
                return false;
            }
        }
        if (done && !scan_after_value(&s)) {
            return false;
        }
    } while (s.depth);
    skip_space(&s);
    return s.pos == s.len || expected(&s, "nothing more");
}
