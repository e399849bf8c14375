/*
 * Text that comes from an image, made fit to be shown: one line that a terminal takes as
 * nothing but text.
 */
#ifndef EMBR_UTIL_TEXT_H
#define EMBR_UTIL_TEXT_H

#include <glib.h>
#include <stdint.h>

/* What becomes of characters that are not printable, and of bytes that are not UTF-8. */
typedef enum TextStyle {
    TEXT_ESCAPED,               /* \xHH for each byte */
    TEXT_ESCAPED_ASCII,         /* the same, also of what is not ASCII */
    TEXT_MASKED,                /* one '?' for each, as ls(1) has it */
} TextStyle;

void text_append(GString *out, const char *bytes, TextStyle style);
/* g_free'd by the caller. */
char *text_printable(const char *bytes, TextStyle style);

/* Appends value in decimal, behind as many pad characters as make it width wide: what
 * printf would do, for lists of many numbers. */
void text_append_number(GString *out, uint64_t value, unsigned width, char pad);

#endif
