/*
 * What image file names mean: protocol prefixes, and names relative to another.
 */
#ifndef EMBR_BLOCK_FILENAME_H
#define EMBR_BLOCK_FILENAME_H

#include <glib.h>

/* The path on the host that filename names: "file:" is taken off.  Names with
 * another protocol ("nbd:...", "json:...") are refused.  NULL and an error then. */
char *filename_to_path(const char *filename, GError **errp);

/* What name means when it is found in the image called base: a relative name
 * counts from base's directory.  Both may have a prefix. */
char *filename_resolve(const char *base, const char *name);

#endif
