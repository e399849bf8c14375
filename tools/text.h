/* Text of unknown origin, for people to look at. */
#ifndef EMBR_TOOLS_TEXT_H
#define EMBR_TOOLS_TEXT_H

#include <glib.h>

/* Adds text with '?' for every character that a terminal would not print as such, and
 * for every byte that is not UTF-8. */
void text_append_printable(GString *out, const char *text);
char *text_printable(const char *text);

#endif
