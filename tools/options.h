/*
 * Command lines, as qemu-img takes them: options and names in any order, short
 * options together ("-pq") and with their value attached ("-Oraw").
 */
#ifndef EMBR_TOOLS_OPTIONS_H
#define EMBR_TOOLS_OPTIONS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct CommandSyntax {
    const char *summary;            /* what the command does; for --help */
    const char *parameters;         /* the names it takes: "FILENAME" */
    const GOptionEntry *entries;
    void *data;                     /* that G_OPTION_ARG_CALLBACK functions get */
    unsigned min_names;
    unsigned max_names;
    const char *names_expected;     /* the message where there are fewer or more */
    int misuse_status;              /* the exit status then; 1 for most */
    bool is_program;                /* not a command of one */
} CommandSyntax;

/* Sets what entries point to; *names are the arguments that are no options (the
 * caller frees them).  argv[0] is the command's name.  False if the command ends
 * here, with *status: --help is printed, or what is wrong. */
bool options_parse(const CommandSyntax *syntax, int argc, char **argv, char ***names,
                   int *status);

/* For the GOptionEntry array of a command that has char **text. */
#define OUTPUT_OPTION_ENTRY(text)                                                      \
    { "output", 0, 0, G_OPTION_ARG_STRING, (text), "human (default) or json", "FORMAT" }
/* The value of --output, NULL if not given.  False: reported. */
bool options_output_format(const char *text, bool *json);

/* The value of an option that is a size, with or without a suffix; *value stays as it is
 * if text is NULL.  False: reported. */
bool options_size(const char *option, const char *text, uint64_t *value);

/* Reports that what ("rate limit") is no size. */
void options_invalid_size(const char *what);

/* The size of a disk.  False: reported, as qemu-img does. */
bool options_image_size(const char *text, int64_t *size);

/* What keyval (NULL: empty), as of -o, says of key; NULL if nothing.  The caller frees it. */
char *options_keyval_get(const char *keyval, const char *key);
/* Adds to *keyval, which is freed and made anew. */
void options_keyval_add(char **keyval, const char *key, const char *value);

/* Reports what is wrong with the command line, and how to get help. */
void options_misuse(const char *command, const char *format, ...) G_GNUC_PRINTF(2, 3);

#endif
