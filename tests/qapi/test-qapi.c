/*
 * The run-time side of the schema, on the types of schema.json: reading and printing
 * JSON, key=value text, copies.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "qapi/test-qapi-types.h"
#include "qapi/test-qapi-visit.h"
#include "util/error.h"

/* A text, and what it is printed as, or the error. */
typedef struct Case {
    const QapiType *type;
    const char *text;
    const char *printed; /* NULL: as text */
    const char *error;
} Case;

static void check_result(const Case *c, void *value, GError *error)
{
    if (c->error) {
        ck_assert_msg(!value, "%s: was read", c->text);
        ck_assert_msg(error != NULL, "%s: no error", c->text);
        ck_assert_str_eq(error->message, c->error);
        g_error_free(error);
        return;
    }
    ck_assert_msg(value != NULL, "%s: %s", c->text, error ? error->message : "");
    ck_assert_ptr_null(error);

    g_autofree char *printed = qapi_object_to_json_text(c->type, value, false);
    ck_assert_str_eq(printed, c->printed ? c->printed : c->text);

    void *copy = qapi_object_copy(c->type, value);
    qapi_object_free(c->type, value);
    g_autofree char *again = qapi_object_to_json_text(c->type, copy, false);
    ck_assert_str_eq(again, printed);

    g_autoptr(JsonNode) node = qapi_object_to_json(c->type, copy);
    qapi_object_free(c->type, copy);
    void *from_node = qapi_object_from_json(c->type, node, &error);
    ck_assert_msg(from_node != NULL, "%s: %s", printed, error ? error->message : "");
    g_autofree char *third = qapi_object_to_json_text(c->type, from_node, false);
    ck_assert_str_eq(third, printed);
    qapi_object_free(c->type, from_node);
}

#define SCALARS &qapi_type_test_scalars
#define REQUIRED &qapi_type_test_required
#define DERIVED &qapi_type_test_derived
#define LISTS &qapi_type_test_lists
#define SHAPE &qapi_type_test_shape
#define TREE &qapi_type_test_tree

static const Case json_cases[] = {
    {SCALARS, "{}"},
    {SCALARS, " \r\n\t{ } ", "{}"},
    {SCALARS, "{\"b\": true, \"i\": -1, \"s\": \"\"}"},
    {SCALARS, "{\"s\":\"x\",\"b\":false}", "{\"b\": false, \"s\": \"x\"}"},

    /* Ranges */
    {SCALARS, "{\"i\": 9223372036854775807}"},
    {SCALARS, "{\"i\": -9223372036854775808}"},
    {SCALARS, "{\"i8\": -128, \"i16\": 32767, \"i32\": -2147483648}"},
    {SCALARS, "{\"u8\": 255, \"u16\": 65535, \"u32\": 4294967295}"},
    {SCALARS, "{\"u64\": 9223372036854775807, \"size\": 0}"},
    {SCALARS, "{\"i8\": 128}", .error = "'i8': 128 is not between -128 and 127"},
    {SCALARS, "{\"i8\": -129}", .error = "'i8': -129 is not between -128 and 127"},
    {SCALARS, "{\"u8\": 256}", .error = "'u8': 256 is not between 0 and 255"},
    {SCALARS, "{\"u32\": 4294967296}",
     .error = "'u32': 4294967296 is not between 0 and 4294967295"},
    {SCALARS, "{\"u8\": -1}",
     .error = "'u8': expected a number from 0 on that fits 63 bits"},
    {SCALARS, "{\"size\": -1}", .error = "'size': expected a size that fits 63 bits"},
    {SCALARS, "{\"i\": 9223372036854775808}",
     .error = "JSON text, line 1, column 7: 9223372036854775808 does not fit a signed "
              "integer of 64 bits"},
    {SCALARS, "{\"i\": -9223372036854775809}",
     .error = "JSON text, line 1, column 7: -9223372036854775809 does not fit a signed "
              "integer of 64 bits"},
    {SCALARS, "{\"u64\": 18446744073709551616}",
     .error = "JSON text, line 1, column 9: 18446744073709551616 does not fit a signed "
              "integer of 64 bits"},
    {SCALARS, "{\"i\": 1.0}", .error = "'i': expected an integer, found a number"},
    {SCALARS, "{\"i\": 1e3}", .error = "'i': expected an integer, found a number"},

    /* Numbers */
    {SCALARS, "{\"n\": 0.5}"},
    {SCALARS, "{\"n\": -1.5e-3}", "{\"n\": -0.0015}"},
    {SCALARS, "{\"n\": 12}"},
    {SCALARS, "{\"n\": 1E+2}", "{\"n\": 100}"},
    {SCALARS, "{\"n\": 1.7976931348623157e308}", "{\"n\": 1.7976931348623157e+308}"},
    {SCALARS, "{\"n\": 1e400}",
     .error = "JSON text, line 1, column 7: 1e400 is too large a number"},
    {SCALARS, "{\"n\": 01}",
     .error = "JSON text, line 1, column 8: expected ',' or '}', found '1'"},
    {SCALARS, "{\"n\": 0x10}",
     .error = "JSON text, line 1, column 8: expected ',' or '}', found 'x'"},
    {SCALARS, "{\"n\": .5}",
     .error = "JSON text, line 1, column 7: expected a value, found '.'"},
    {SCALARS, "{\"n\": 1.}",
     .error = "JSON text, line 1, column 9: expected a digit, found '}'"},
    {SCALARS, "{\"n\": 1e}",
     .error = "JSON text, line 1, column 9: expected a digit, found '}'"},
    {SCALARS, "{\"n\": -}",
     .error = "JSON text, line 1, column 8: expected a digit, found '}'"},
    {SCALARS, "{\"n\": +1}",
     .error = "JSON text, line 1, column 7: expected a value, found '+'"},
    {SCALARS, "{\"n\": NaN}",
     .error = "JSON text, line 1, column 7: expected a value, found 'N'"},

    /* Strings */
    {SCALARS, "{\"s\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f\"}",
     "{\"s\": \"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f\"}"},
    {SCALARS, "{\"s\": \"\\u00e4\\ud834\\udd1e\"}", "{\"s\": \"ä𝄞\"}"},
    {SCALARS, "{\"s\": \"ä𝄞 /* // # '\"}"},
    {SCALARS, "{\"s\": \"a\\u0000b\"}",
     .error = "JSON text, line 1, column 15: strings with \\u0000 are not supported"},
    {SCALARS, "{\"s\": \"\\ud834\"}",
     .error =
         "JSON text, line 1, column 14: expected the second half of a surrogate pair, "
         "found '\"'"},
    {SCALARS, "{\"s\": \"\\ud834\\u0041\"}",
     .error =
         "JSON text, line 1, column 20: expected the second half of a surrogate pair, "
         "found \\u0041"},
    {SCALARS, "{\"s\": \"\\udd1e\"}",
     .error =
         "JSON text, line 1, column 14: \\udd1e is the second half of a surrogate pair "
         "without a first"},
    {SCALARS, "{\"s\": \"\\u12g4\"}",
     .error =
         "JSON text, line 1, column 12: expected four hexadecimal digits after \\u, "
         "found 'g'"},
    {SCALARS, "{\"s\": \"\\q\"}",
     .error =
         "JSON text, line 1, column 9: expected one of \"\\/bfnrtu after a backslash, "
         "found 'q'"},
    {SCALARS, "{\"s\": \"a\nb\"}",
     .error = "JSON text, line 1, column 9: control character \\x0a in a string"},
    {SCALARS, "{\"s\": \"abc",
     .error =
         "JSON text, line 1, column 11: expected the end of a string, found the end of "
         "the text"},
    {SCALARS, "{\"s\": \"\\",
     .error =
         "JSON text, line 1, column 9: expected one of \"\\/bfnrtu after a backslash, "
         "found the end of the text"},
    {SCALARS, "{\"s\": \"\xff\"}", .error = "JSON text: not valid UTF-8"},
    {SCALARS, "{\"s\": \"\xed\xa0\x80\"}", .error = "JSON text: not valid UTF-8"},

    /* Structure */
    {SCALARS, "",
     .error =
         "JSON text, line 1, column 1: expected a value, found the end of the text"},
    {SCALARS, " \n ",
     .error =
         "JSON text, line 2, column 2: expected a value, found the end of the text"},
    {SCALARS, "{} {}",
     .error = "JSON text, line 1, column 4: expected nothing more, found '{'"},
    {SCALARS, "{}x",
     .error = "JSON text, line 1, column 3: expected nothing more, found 'x'"},
    {SCALARS, "{\n \"ä\": 1 \"b\": 2}",
     .error = "JSON text, line 2, column 9: expected ',' or '}', found '\"'"},
    {SCALARS, "{\"b\": true,}",
     .error =
         "JSON text, line 1, column 12: expected a string as the name of a member, "
         "found '}'"},
    {SCALARS, "{b: true}",
     .error = "JSON text, line 1, column 2: expected a string as the name of a member, "
              "found 'b'"},
    {SCALARS, "{'b': true}",
     .error = "JSON text, line 1, column 2: expected a string as the name of a member, "
              "found '''"},
    {SCALARS, "{\"b\" true}",
     .error = "JSON text, line 1, column 6: expected ':', found 't'"},
    {SCALARS, "{\"b\": truth}",
     .error = "JSON text, line 1, column 7: expected a value, found 't'"},
    {SCALARS, "{\"b\": true",
     .error = "JSON text, line 1, column 11: expected ',' or '}', "
              "found the end of the text"},
    {SCALARS, "{\"any\": [1 2]}",
     .error = "JSON text, line 1, column 12: expected ',' or ']', found '2'"},
    {SCALARS, "{\"any\": [1}",
     .error = "JSON text, line 1, column 11: expected ',' or ']', found '}'"},
    {SCALARS, "{\"any\": [,]}",
     .error = "JSON text, line 1, column 10: expected a value, found ','"},
    {SCALARS, "/* \" */ {}",
     .error = "JSON text, line 1, column 1: expected a value, found '/'"},
    {SCALARS, "{} // x",
     .error = "JSON text, line 1, column 4: expected nothing more, found '/'"},
    {SCALARS, "var a = {}",
     .error = "JSON text, line 1, column 1: expected a value, found 'v'"},
    {SCALARS, "\xef\xbb\xbf{}",
     .error = "JSON text, line 1, column 1: expected a value, found '\xef\xbb\xbf'"},
    {SCALARS, "\x01",
     .error = "JSON text, line 1, column 1: expected a value, found \\x01"},
    {SCALARS, "{\"b\": true, \"\\u0062\": false}",
     .error = "JSON text: the object that begins with member 'b' has a member twice"},
    {SCALARS, "{\"any\": {\"x\": 1, \"x\": 1}}",
     .error = "JSON text: the object that begins with member 'x' has a member twice"},
    {SCALARS, "{\"any\": {\"x\": {\"a\": {}}, \"x\": 1}}",
     .error = "JSON text: the object that begins with member 'x' has a member twice"},
    {SCALARS, "{\"any\": [{\"x\": 1}, {\"x\": 1}]}",
     "{\"any\": [{\"x\":1},{\"x\":1}]}"},

    /* Types */
    {SCALARS, "[]", .error = "expected an object, found a list"},
    {SCALARS, "null", .error = "expected an object, found null"},
    {SCALARS, "\"{}\"", .error = "expected an object, found a string"},
    {SCALARS, "{\"b\": 1}", .error = "'b': expected a boolean, found an integer"},
    {SCALARS, "{\"b\": \"on\"}", .error = "'b': expected a boolean, found a string"},
    {SCALARS, "{\"b\": null}", .error = "'b': expected a boolean, found null"},
    {SCALARS, "{\"i\": \"1\"}", .error = "'i': expected an integer, found a string"},
    {SCALARS, "{\"size\": \"1M\"}", .error = "'size': expected a size, found a string"},
    {SCALARS, "{\"n\": true}", .error = "'n': expected a number, found a boolean"},
    {SCALARS, "{\"s\": 1}", .error = "'s': expected a string, found an integer"},
    {SCALARS, "{\"any\": null}", .printed = "{\"any\": null}"},
    {SCALARS, "{\"color\": \"dark-blue\"}"},
    {SCALARS, "{\"color\": \"blue\"}",
     .error = "'color': 'blue' is none of: red, dark-blue, 1.1, default"},
    {SCALARS, "{\"color\": 1}",
     .error = "'color': expected a string, found an integer"},
    {SCALARS, "{\"bb\": true}", .error = "'bb': unknown member"},
    {SCALARS, "{\"\": true}", .error = "unknown member with an empty name"},

    {REQUIRED, "{\"name\": \"a\", \"default\": 1, \"l2-size\": 2, \"on\": true}"},
    {REQUIRED, "{\"name\": \"a\", \"l2-size\": 2, \"on\": true}",
     .error = "'default': missing"},
    {REQUIRED, "{\"name\": \"a\", \"default\": 1, \"l2_size\": 2, \"on\": true}",
     .error = "'l2-size': missing"},
    {DERIVED, "{\"name\": \"a\", \"default\": 1, \"l2-size\": 2, \"on\": false, "
              "\"inner\": {\"s\": \"x\"}, \"empty\": {}}"},
    {DERIVED,
     "{\"name\": \"a\", \"default\": 1, \"l2-size\": 2, \"on\": false, "
     "\"inner\": {\"s\": 5}, \"empty\": {}}",
     .error = "'inner.s': expected a string, found an integer"},
    {DERIVED,
     "{\"name\": \"a\", \"default\": 1, \"l2-size\": 2, \"on\": false, "
     "\"empty\": {\"x\": 1}}",
     .error = "'empty.x': unknown member"},

    {LISTS, "{\"i8s\": [], \"strs\": []}"},
    {LISTS, "{\"i8s\": [-128, 127], \"sizes\": [0, 9223372036854775807], "
            "\"bools\": [true, false], \"numbers\": [0.5, 2], \"strs\": [\"\", \"ä\"], "
            "\"colors\": [\"1.1\", \"default\"]}"},
    {LISTS, "{\"objects\": [{\"name\": \"a\", \"default\": 1, \"l2-size\": 2, \"on\": "
            "true}]}"},
    {LISTS, "{\"shapes\": [{\"kind\": \"nothing\"}, {\"kind\": \"point\", \"x\": 1}]}"},
    {LISTS, "{\"i8s\": [1, 128]}", .error = "'i8s.1': 128 is not between -128 and 127"},
    {LISTS, "{\"strs\": [\"a\", null]}",
     .error = "'strs.1': expected a string, found null"},
    {LISTS, "{\"strs\": {\"0\": \"a\"}}",
     .error = "'strs': expected a list, found an object"},
    {LISTS, "{\"objects\": [{\"name\": \"a\"}]}",
     .error = "'objects.0.default': missing"},
    {LISTS, "{\"shapes\": [{\"kind\": \"point\"}]}", .error = "'shapes.0.x': missing"},

    {SHAPE, "{\"kind\": \"point\", \"color\": \"red\", \"x\": -1, \"y\": 2}"},
    {SHAPE, "{\"kind\": \"label\", \"text\": \"t\", \"tags\": [\"a\", \"b\"]}"},
    {SHAPE, "{\"kind\": \"nothing\"}"},
    {SHAPE, "{\"x\": 1}", .error = "'kind': missing"},
    {SHAPE, "{\"kind\": \"circle\"}",
     .error = "'kind': 'circle' is none of: point, label, nothing"},
    {SHAPE, "{\"kind\": \"nothing\", \"x\": 1}", .error = "'x': unknown member"},
    {SHAPE, "{\"kind\": \"label\", \"text\": \"t\", \"x\": 1}",
     .error = "'x': unknown member"},
    {SHAPE, "{\"kind\": \"label\", \"text\": \"t\", \"tags\": [\"a\", 1]}",
     .error = "'tags.1': expected a string, found an integer"},
    {TREE, "{\"left\": {\"left\": {}}, \"children\": [{\"name\": \"a\"}, {}]}"},
};

START_TEST(reads_json)
{
    const Case *c = &json_cases[_i];
    g_autofree char *exact = g_memdup2(c->text, MAX(strlen(c->text), 1));
    GError *error = NULL;

    /* Of exactly that length, so that a sanitizer sees a read past its end. */
    void *value = qapi_object_from_json_text(c->type, exact, strlen(c->text), &error);
    check_result(c, value, error);
}
END_TEST

static const Case keyval_cases[] = {
    {SCALARS, "", "{}"},
    {SCALARS, "s=a", "{\"s\": \"a\"}"},
    {SCALARS, "s=", "{\"s\": \"\"}"},
    {SCALARS, "s=a,,b,,,b=on", "{\"b\": true, \"s\": \"a,b,\"}"},
    {SCALARS, "s=a=b", "{\"s\": \"a=b\"}"},
    {SCALARS, "s=a,s=b", "{\"s\": \"b\"}"},
    {SCALARS, "s=a,", "{\"s\": \"a\"}"},
    {SCALARS, "b=off", "{\"b\": false}"},
    {SCALARS, "b=no", "{\"b\": false}"},
    {SCALARS, "b=false", "{\"b\": false}"},
    {SCALARS, "b=yes", "{\"b\": true}"},
    {SCALARS, "b=true", "{\"b\": true}"},
    {SCALARS, "b=On", .error = "'b': expected on or off, found 'On'"},
    {SCALARS, "b=1", .error = "'b': expected on or off, found '1'"},
    {SCALARS, "i=-9223372036854775808", "{\"i\": -9223372036854775808}"},
    {SCALARS, "i=9223372036854775808",
     .error = "'i': 9223372036854775808 is not between -9223372036854775808 and "
              "9223372036854775807"},
    {SCALARS, "i=1k", .error = "'i': expected an integer, found '1k'"},
    {SCALARS, "i= 1", .error = "'i': expected an integer, found ' 1'"},
    {SCALARS, "i=0x10", .error = "'i': expected an integer, found '0x10'"},
    {SCALARS, "i=", .error = "'i': expected an integer, found ''"},
    {SCALARS, "i8=-129", .error = "'i8': -129 is not between -128 and 127"},
    {SCALARS, "u8=255", "{\"u8\": 255}"},
    {SCALARS, "u8=256", .error = "'u8': 256 is not between 0 and 255"},
    {SCALARS, "u8=-1", .error = "'u8': expected a number from 0 on, found '-1'"},
    {SCALARS, "u8=+1", .error = "'u8': expected a number from 0 on, found '+1'"},
    {SCALARS, "size=1.5G", "{\"size\": 1610612736}"},
    {SCALARS, "size=-1", .error = "'size': expected a size, found '-1'"},
    {SCALARS, "n=1.5e3", "{\"n\": 1500}"},
    {SCALARS, "n=inf", .error = "'n': expected a number, found 'inf'"},
    {SCALARS, "n=nan", .error = "'n': expected a number, found 'nan'"},
    {SCALARS, "n=1x", .error = "'n': expected a number, found '1x'"},
    {SCALARS, "color=1.1", "{\"color\": \"1.1\"}"},
    {SCALARS,
     "color=", .error = "'color': '' is none of: red, dark-blue, 1.1, default"},
    {SCALARS, "b", .error = "expected '=' after 'b'"},
    {SCALARS, "s=a,b", .error = "expected '=' after 'b'"},
    {SCALARS, "s=a,=b", .error = "'' is not a valid key"},
    {SCALARS, "s.=b", .error = "'s.' is not a valid key"},
    {SCALARS, ".s=b", .error = "'.s' is not a valid key"},
    {SCALARS, "s t=b", .error = "'s t' is not a valid key"},
    {SCALARS, "bb=on", .error = "'bb': unknown member"},
    {SCALARS, "s=a,s.b=c", .error = "'s.b': 's' was given a value before"},
    {SCALARS, "s.b=c,s=a", .error = "'s' is given a value, and members of it before"},
    {SCALARS, "s.b=c", .error = "'s': expected a string, found an object"},
    {SCALARS, "s=\xff", .error = "options are not valid UTF-8"},
    {DERIVED, "name=n,default=1,l2-size=64k,on=on,inner.s=x,inner.u8=3",
     .error = "'empty': missing"},
    {LISTS, "i8s.0=1,i8s.1=2", "{\"i8s\": [1, 2]}"},
    {LISTS, "i8s.1=2,i8s.0=1", "{\"i8s\": [1, 2]}"},
    {LISTS, "i8s.0=1,i8s.2=2",
     .error = "'i8s': expected a list: its element 1 is missing"},
    {LISTS, "i8s.00=1", .error = "'i8s': expected a list: its element 0 is missing"},
    {LISTS, "i8s=1", .error = "'i8s': expected a list (.0=..., .1=...), found '1'"},
    {LISTS, "i8s.0=300", .error = "'i8s.0': 300 is not between -128 and 127"},
    {LISTS, "shapes.0.kind=label,shapes.0.text=t,shapes.0.tags.0=a",
     "{\"shapes\": [{\"kind\": \"label\", \"text\": \"t\", \"tags\": [\"a\"]}]}"},
    {SHAPE, "kind=point,x=3", "{\"kind\": \"point\", \"x\": 3}"},
    {SHAPE, "kind=point,text=3", .error = "'x': missing"},
};

START_TEST(reads_keyval)
{
    const Case *c = &keyval_cases[_i];
    GError *error = NULL;

    void *value = qapi_object_from_keyval(c->type, c->text, NULL, &error);
    check_result(c, value, error);
}
END_TEST

START_TEST(has_an_implied_key)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(TestScalars) first = test_scalars_from_keyval("a,,b,b=on", "s", &error);
    g_autoptr(TestScalars) named = test_scalars_from_keyval("b=on", "s", NULL);
    g_autoptr(TestScalars) second = test_scalars_from_keyval("b=on,a", "s", &error);

    ck_assert_str_eq(first->s, "a,b");
    ck_assert(first->has_b && first->b);
    ck_assert_ptr_null(named->s);
    ck_assert_ptr_null(second);
    ck_assert_str_eq(error->message, "expected '=' after 'a'");
}
END_TEST

static const struct {
    const char *text;
    bool ok;
    uint64_t value;
} sizes[] = {
    {"0", true, 0},
    {"512", true, 512},
    {"1b", true, 1},
    {"1k", true, 1024},
    {"1K", true, 1024},
    {"3M", true, UINT64_C(3) << 20},
    {"1.5G", true, UINT64_C(3) << 29},
    {"0.5T", true, UINT64_C(1) << 39},
    {"2P", true, UINT64_C(2) << 50},
    {"15E", true, UINT64_C(15) << 60},
    {"16E", false, 0},
    {"15.5E", true, UINT64_C(31) << 59},
    {"0.1k", true, 102},
    {"18446744073709551615", true, UINT64_MAX},
    {"18446744073709551616", false, 0},
    {"18014398509481984k", false, 0},
    {"18014398509481983k", true, UINT64_MAX - 1023},
    {"0x200", true, 512},
    {"0XfFfF", true, 65535},
    {"0xffffffffffffffff", true, UINT64_MAX},
    {"0x10000000000000000", false, 0},
    {"0x", false, 0},
    {"0x1k", false, 0},
    {"0x-1", false, 0},
    {"", false, 0},
    {" 1", false, 0},
    {"1 ", false, 0},
    {"-1", false, 0},
    {"+1", false, 0},
    {"1.5", false, 0},
    {"1.0", true, 1},
    {"1kB", false, 0},
    {"1x", false, 0},
    {"k", false, 0},
    {".5k", false, 0},
    {"1e3", false, 0},
    {"010", true, 10},
};

START_TEST(parses_sizes)
{
    uint64_t value = 4711;
    bool ok = qapi_parse_size(sizes[_i].text, &value);

    ck_assert_msg(ok == sizes[_i].ok, "'%s': %d", sizes[_i].text, ok);
    if (ok) {
        ck_assert_uint_eq(value, sizes[_i].value);
    }
}
END_TEST

/* Nested in objects and lists, with what hides brackets from a careless count. */
static char *nested(const char *before, const char *open, const char *close, unsigned n)
{
    GString *text = g_string_new(before);

    for (unsigned i = 0; i < n; i++) {
        g_string_append(text, open);
    }
    for (unsigned i = 0; i < n && close; i++) {
        g_string_append(text, close);
    }
    return g_string_free(text, FALSE);
}

static void assert_too_deep(const QapiType *type, const char *text,
                            const char *expected)
{
    GError *error = NULL;
    void *value = qapi_object_from_json_text(type, text, -1, &error);

    ck_assert_ptr_null(value);
    ck_assert_msg(strstr(error->message, expected) != NULL, "%s", error->message);
    g_error_free(error);
}

START_TEST(bounds_depth)
{
    g_autofree char *many = nested("", "[", NULL, 1000000);
    g_autofree char *hidden =
        nested("{\"s\": \"\\\"[{\", \"any\": ", "[", NULL, 1000000);
    g_autofree char *comment = nested("/* \" */", "[", NULL, 1000000);
    g_autofree char *objects = nested("", "{\"left\":", "}", 1000000);
    g_autofree char *most = nested("", "{\"left\": ", "", QAPI_MAX_DEPTH - 1);
    g_autofree char *fits = g_strconcat(most, "{}", NULL);
    GString *closed = g_string_new(fits);
    g_autofree char *chain = nested("", "left.", "", QAPI_MAX_DEPTH);
    g_autofree char *keyval = g_strconcat(chain, "name=x", NULL);
    g_autoptr(GError) error = NULL;

    assert_too_deep(SCALARS, many, "more than 128 levels deep");
    assert_too_deep(SCALARS, hidden, "more than 128 levels deep");
    assert_too_deep(SCALARS, comment, "expected a value, found '/'");
    assert_too_deep(TREE, objects, "more than 128 levels deep");

    for (int i = 0; i < QAPI_MAX_DEPTH - 1; i++) {
        g_string_append_c(closed, '}');
    }
    g_autoptr(TestTree) tree = test_tree_from_json_text(closed->str, -1, &error);
    ck_assert_ptr_nonnull(tree);
    g_autofree char *printed = test_tree_to_json_text(tree, false);
    ck_assert_str_eq(printed, closed->str);

    g_string_prepend(closed, "{\"left\": ");
    g_string_append_c(closed, '}');
    assert_too_deep(TREE, closed->str, "more than 64 objects in each other");
    g_string_free(closed, TRUE);

    ck_assert_ptr_null(test_tree_from_keyval(keyval, NULL, &error));
    ck_assert_msg(strstr(error->message, "has too many parts") != NULL, "%s",
                  error->message);
}
END_TEST

/* What the program itself makes need not be well-formed. */
START_TEST(prints_anything)
{
    g_autoptr(TestScalars) value = test_scalars_new0();
    JsonNode *any = json_from_string("{\"a\": [1]}", NULL);

    value->s = g_strdup("a\xff\x1b\"");
    value->has_u64 = true;
    value->u64 = UINT64_MAX;
    value->has_n = true;
    value->n = 1.0 / 0.0;
    value->has_color = true;
    value->color = 77;
    value->any = any;
    g_autofree char *flat = test_scalars_to_json_text(value, false);
    g_autofree char *pretty = test_scalars_to_json_text(value, true);

    ck_assert_str_eq(flat, "{\"u64\": 18446744073709551615, \"n\": null, "
                           "\"s\": \"a\xef\xbf\xbd\\u001b\\\"\", \"any\": {\"a\":[1]}, "
                           "\"color\": \"(invalid)\"}");
    ck_assert_str_eq(pretty, "{\n"
                             "    \"u64\": 18446744073709551615,\n"
                             "    \"n\": null,\n"
                             "    \"s\": \"a\xef\xbf\xbd\\u001b\\\"\",\n"
                             "    \"any\": {\n"
                             "        \"a\" : [\n"
                             "            1\n"
                             "        ]\n"
                             "    },\n"
                             "    \"color\": \"(invalid)\"\n"
                             "}");
}
END_TEST

START_TEST(prints_pretty)
{
    g_autoptr(GPtrArray) list = test_shape_list_new();

    g_ptr_array_add(list,
                    test_shape_from_keyval("kind=label,text=t,tags.0=a", NULL, NULL));
    g_ptr_array_add(list, test_shape_from_keyval("kind=nothing", NULL, NULL));
    g_autofree char *text = qapi_list_to_json_text(SHAPE, list, true);
    ck_assert_str_eq(text, "[\n"
                           "    {\n"
                           "        \"kind\": \"label\",\n"
                           "        \"text\": \"t\",\n"
                           "        \"tags\": [\n"
                           "            \"a\"\n"
                           "        ]\n"
                           "    },\n"
                           "    {\n"
                           "        \"kind\": \"nothing\"\n"
                           "    }\n"
                           "]");
}
END_TEST

/* A part of text that ends before its NUL. */
START_TEST(takes_a_length)
{
    g_autoptr(TestScalars) part = test_scalars_from_json_text("{\"i\": 1}}}", 8, NULL);
    g_autoptr(TestScalars) nul = test_scalars_from_json_text("{}\0{}", 5, NULL);

    ck_assert_int_eq(part->i, 1);
    ck_assert_ptr_null(nul);
}
END_TEST

START_TEST(copies_are_deep)
{
    g_autoptr(TestLists) list = test_lists_from_json_text(
        "{\"i8s\": [1], \"strs\": [\"a\"], \"anys\": [{\"x\": 1}], "
        "\"shapes\": [{\"kind\": \"label\", \"text\": \"t\"}]}",
        -1, NULL);
    g_autoptr(TestLists) copy = test_lists_copy(list);
    TestShape *shape = g_ptr_array_index(copy->shapes, 0);

    ck_assert_ptr_ne(list->i8s, copy->i8s);
    ck_assert_ptr_ne(list->strs->pdata[0], copy->strs->pdata[0]);
    ck_assert_ptr_ne(list->shapes->pdata[0], shape);
    ck_assert_int_eq(shape->kind, TEST_KIND_LABEL);
    ck_assert_str_eq(shape->u.label.text, "t");
    ck_assert_ptr_null(test_lists_copy(NULL));
    test_lists_free(NULL);
}
END_TEST

START_TEST(names_in_c)
{
    TestColor color = TEST_COLOR_RED;
    g_autoptr(GError) error = NULL;
    TestRequired required = {.name = NULL, .q_default = 1, .l2_size = 2, .on = true};

    ck_assert_int_eq(TEST_COLOR__MAX, 4);
    ck_assert_str_eq(test_color_str(TEST_COLOR_1_1), "1.1");
    ck_assert_str_eq(test_color_str(TEST_COLOR__MAX), "(invalid)");
    ck_assert(test_color_parse("default", &color, NULL));
    ck_assert_int_eq(color, TEST_COLOR_DEFAULT);
    ck_assert(!test_color_parse("", &color, &error));
    ck_assert_str_eq(error->message, "'' is none of: red, dark-blue, 1.1, default");
    ck_assert_int_eq(color, TEST_COLOR_DEFAULT);
    ck_assert_int_eq(required.q_default + required.l2_size, 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("qapi");
    TCase *tcase = tcase_create("qapi");

    tcase_add_loop_test(tcase, reads_json, 0, G_N_ELEMENTS(json_cases));
    tcase_add_loop_test(tcase, reads_keyval, 0, G_N_ELEMENTS(keyval_cases));
    tcase_add_loop_test(tcase, parses_sizes, 0, G_N_ELEMENTS(sizes));
    tcase_add_test(tcase, has_an_implied_key);
    tcase_add_test(tcase, bounds_depth);
    tcase_add_test(tcase, prints_anything);
    tcase_add_test(tcase, prints_pretty);
    tcase_add_test(tcase, takes_a_length);
    tcase_add_test(tcase, copies_are_deep);
    tcase_add_test(tcase, names_in_c);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);

    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}
