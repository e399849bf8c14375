/*
 * Text that comes from an image, made fit to be shown.
 */
#ifndef EMBR_UTIL_TEXT_H
#define EMBR_UTIL_TEXT_H

#include <glib.h>
#include <stdbool.h>

/* What of bytes is printable UTF-8 (ASCII, without utf8), all else as \xHH: one line
 * that a terminal takes as nothing but text.  g_free'd by the caller. */
char *text_escape(const char *bytes, bool utf8);

#endif
