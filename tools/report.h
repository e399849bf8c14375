/*
 * What a program of this folder says to people and to other programs.
 */
#ifndef EMBR_TOOLS_REPORT_H
#define EMBR_TOOLS_REPORT_H

#include "qapi/qapi.h"

/* Messages are led by the last part of argv[0]; those of libembr are, too, from now on.
 * Before anything is reported. */
void report_set_program(const char *argv0);
const char *report_program(void);

/* "PROGRAM: message" on stderr.  Names come from images: what could control a terminal
 * is shown as '?'. */
void report_error(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* The same with the error's text; takes error. */
void report_gerror(GError *error);
/* "PROGRAM: warning: message" */
void report_warning(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* Prints value of that schema type, or '[' value, ... ']', as qemu-img prints JSON,
 * and a newline on stdout. */
void report_json(const QapiType *type, const void *value);
void report_json_list(const QapiType *type, const GPtrArray *list);

/* Bytes for people: "512 B", "1.5 GiB". The caller frees it. */
char *report_size(uint64_t bytes);

/* False, and reported, if what was printed on stdout did not get there. */
bool report_flush(void);

#endif
