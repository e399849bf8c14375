#include "options.h"

#include <stdio.h>
#include <string.h>

#include "qapi/qapi.h"
#include "report.h"

static const GOptionEntry *find_short(const GOptionEntry *entries, char letter)
{
    for (const GOptionEntry *e = entries; e->long_name; e++) {
        if (e->short_name == letter) {
            return e;
        }
    }
    return NULL;
}

static bool takes_value(const GOptionEntry *e)
{
    return e->arg != G_OPTION_ARG_NONE && !(e->flags & G_OPTION_FLAG_NO_ARG);
}

/* Adds "-pOraw" as "-p", "-O", "raw": GLib wants values on their own. */
static void add_short_options(GPtrArray *out, const GOptionEntry *entries,
                              const char *arg)
{
    for (const char *p = arg + 1; *p; p++) {
        const GOptionEntry *e = find_short(entries, *p);
        if (!e) {
            g_ptr_array_add(out, g_strdup_printf("-%s", p));
            return;
        }
        g_ptr_array_add(out, g_strdup_printf("-%c", *p));
        if (takes_value(e)) {
            if (p[1]) {
                g_ptr_array_add(out, g_strdup(p + 1));
            }
            return;
        }
    }
}

/* Whether the next argument is the value of this one, whatever it looks like. */
static bool takes_next(const GOptionEntry *entries, const char *arg)
{
    if (arg[0] != '-' || !arg[1]) {
        return false;
    }
    if (arg[1] != '-') {
        for (const char *p = arg + 1; *p; p++) {
            const GOptionEntry *e = find_short(entries, *p);
            if (!e || takes_value(e)) {
                return e && !p[1];
            }
        }
        return false;
    }
    for (const GOptionEntry *e = entries; e->long_name; e++) {
        if (strcmp(e->long_name, arg + 2) == 0) {
            return takes_value(e);
        }
    }
    return false;
}

static char **split_short_options(const GOptionEntry *entries, int argc, char **argv)
{
    g_autoptr(GPtrArray) out = g_ptr_array_new();
    bool is_value = true; /* argv[0], too, is taken as it is */
    bool only_names = false;

    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i];
        only_names = only_names || (!is_value && strcmp(arg, "--") == 0);
        if (is_value || only_names || arg[0] != '-' || arg[1] == '-' || !arg[1]) {
            g_ptr_array_add(out, g_strdup(arg));
        } else {
            add_short_options(out, entries, arg);
        }
        is_value = !is_value && !only_names && takes_next(entries, arg);
    }
    g_ptr_array_add(out, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&out), FALSE);
}

void options_misuse(const char *command, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    report_error("%s", text);
    fprintf(stderr, "Try '%s%s%s --help' for more information\n", report_program(),
            command ? " " : "", command ? command : "");
}

static void print_help(GOptionContext *context, const char *command)
{
    g_autofree char *name = g_strdup_printf("%s%s%s", report_program(), command ? " " : "",
                                            command ? command : "");

    g_set_prgname(name);
    g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);
    fputs(help, stdout);
}

bool options_parse(const CommandSyntax *syntax, int argc, char **argv, char ***names,
                   int *status)
{
    gboolean help = FALSE;
    GOptionEntry help_entries[] = {
        {"help", 'h', 0, G_OPTION_ARG_NONE, &help, "Show this help and exit", NULL},
        {NULL},
    };
    g_autoptr(GOptionContext) context = g_option_context_new(syntax->parameters);
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) args = split_short_options(syntax->entries, argc, argv);

    g_option_context_set_help_enabled(context, FALSE);
    g_option_context_set_summary(context, syntax->summary);
    GOptionGroup *group = g_option_group_new(NULL, NULL, NULL, syntax->data, NULL);
    g_option_group_add_entries(group, syntax->entries);
    g_option_group_add_entries(group, help_entries);
    g_option_context_set_main_group(context, group);
    *status = syntax->misuse_status;
    const char *command = syntax->is_program ? NULL : argv[0];
    if (!g_option_context_parse_strv(context, &args, &error)) {
        options_misuse(command, "%s", error->message);
        return false;
    }
    if (help) {
        print_help(context, command);
        *status = 0;
        return false;
    }
    const char *const *rest = (const char *const *)args + 1;
    if (rest[0] && strcmp(rest[0], "--") == 0) {
        rest++;
    }
    unsigned n = g_strv_length((char **)rest);
    if (n < syntax->min_names || n > syntax->max_names) {
        options_misuse(command, "%s", syntax->names_expected);
        return false;
    }
    *names = g_strdupv((char **)rest);
    return true;
}

bool options_output_format(const char *text, bool *json)
{
    *json = text && strcmp(text, "json") == 0;
    if (!text || *json || strcmp(text, "human") == 0) {
        return true;
    }
    report_error("--output: '%s' is neither human nor json", text);
    return false;
}

bool options_size(const char *option, const char *text, uint64_t *value)
{
    if (text && !qapi_parse_size(text, value)) {
        report_error(
            "%s: '%s' is no size. Sizes are bytes, or have one of the suffixes k, M, "
            "G, T, P, E",
            option, text);
        return false;
    }
    return true;
}

void options_invalid_size(const char *what)
{
    report_error("Invalid %s specified. You may use k, M, G, T, P or E suffixes for", what);
    report_error("kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.");
}

bool options_image_size(const char *text, int64_t *size)
{
    uint64_t value;

    if (!qapi_parse_size(text, &value)) {
        options_invalid_size("image size");
        return false;
    }
    if (value > G_MAXINT64) {
        report_error("Invalid image size specified. Must be between 0 and %" G_GINT64_FORMAT ".",
                     G_MAXINT64);
        return false;
    }
    *size = value;
    return true;
}

char *options_keyval_get(const char *keyval, const char *key)
{
    g_autoptr(JsonNode) node = keyval ? qapi_keyval_parse(keyval, NULL, NULL) : NULL;
    JsonObject *object = node ? json_node_get_object(node) : NULL;
    JsonNode *value = object ? json_object_get_member(object, key) : NULL;

    return value && JSON_NODE_HOLDS_VALUE(value) ? g_strdup(json_node_get_string(value)) : NULL;
}

void options_keyval_add(char **keyval, const char *key, const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, ",", -1);
    g_autofree char *escaped = g_strjoinv(",,", parts);
    char *all = g_strdup_printf("%s%s%s=%s", *keyval ? *keyval : "", *keyval ? "," : "", key,
                                escaped);
    g_free(*keyval);
    *keyval = all;
}
