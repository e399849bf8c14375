/*
 * The text that LVM keeps its metadata in: sections of settings, whose values are
 * numbers, strings or lists of these.
 */
#ifndef EMBR_FS_LVM_TEXT_H
#define EMBR_FS_LVM_TEXT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum LvmKind {
    LVM_NUMBER,
    LVM_STRING,
    LVM_LIST,
    LVM_SECTION,
} LvmKind;

typedef struct LvmValue {
    LvmKind kind;
    const char *name;   /* of a setting or section; NULL in lists */
    const char *string; /* without quotes; NULL if it had none */
    int64_t number;
    GPtrArray *children; /* of LvmValue *; NULL if there are none */
} LvmValue;

/* Parses bytes of text, which a zero byte may end before, and which is changed: what is
 * returned points into it.  Each value is taken from *values_left.  Errors tell the
 * byte of text. */
LvmValue *lvm_text_parse(char *text, size_t bytes, unsigned *values_left,
                         GError **errp);
void lvm_value_free(LvmValue *value);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LvmValue, lvm_value_free)

unsigned lvm_children(const LvmValue *value);
const LvmValue *lvm_child(const LvmValue *value, unsigned i);
/* The first child of that name and kind; NULL if section (which may be NULL) has none.
 */
const LvmValue *lvm_find(const LvmValue *section, const char *name, LvmKind kind);
/* NULL if there is no such string. */
const char *lvm_string(const LvmValue *section, const char *name);
/* False if there is no such number, or it is not from min to max. */
bool lvm_number(const LvmValue *section, const char *name, uint64_t min, uint64_t max,
                uint64_t *number);
/* Whether a list of strings has this one. */
bool lvm_list_has(const LvmValue *section, const char *name, const char *string);

#endif
