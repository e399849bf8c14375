/*
 * Profiles: which files are encoded how.
 *
 * A ProfileSet is a checked ProfileTable of the schema, made ready for quick lookups.
 * Profiles have the numbers of their order in the table, from 0.  It never changes, so
 * any thread may use it.
 */
#ifndef EMBR_ENGRAM_PROFILE_H
#define EMBR_ENGRAM_PROFILE_H

#include "qapi/qapi-types.h"

enum {
    PROFILE_MAX_PROFILES = 255,
    PROFILE_MIN_FRAME_BYTES = 64 << 10,     /* up to ENGRAM_MAX_FRAME_BYTES */
    PROFILE_MAX_PATTERN_BYTES = 1023,
    PROFILE_MAX_PATTERNS = 16384,           /* of all profiles together */
    PROFILE_HEAD_BYTES = 1024,              /* what match-magic looks at */
    PROFILE_MAX_TABLE_BYTES = 1 << 20,      /* of JSON */
};

typedef struct ProfileSet ProfileSet;

/*
 * Reads a ProfileTable from the JSON file path; NULL: the table that is built in.
 *
 * Errors name the file, and the profile that is wrong: a table has version 1, 1 to
 * PROFILE_MAX_PROFILES profiles of different names, and exactly one of them for each
 * ProfileContent; frame sizes are within the bounds above, levels those of the codec
 * (ZSTD_CLEVEL_DEFAULT is filled in where there is none), and patterns and magic bytes
 * are not empty.
 */
ProfileSet *profile_set_load(const char *path, GError **errp);
/* The same from JSON that is in memory; errors do not name it. */
ProfileSet *profile_set_parse(const char *json, size_t len, GError **errp);
/* Changes levels and frame sizes as the schema says of EngramEffort.  Once, before the set
 * is used. */
void profile_set_scale(ProfileSet *s, EngramEffort effort);
void profile_set_free(ProfileSet *s);           /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ProfileSet, profile_set_free)

const ProfileTable *profile_set_table(const ProfileSet *s);

unsigned profile_for_content(const ProfileSet *s, ProfileContent content);

/* The first profile with a pattern that matches path, which is relative to the root of
 * its volume ("usr/bin/env"); -1: there is none. */
int profile_for_path(const ProfileSet *s, const char *path);

/* The first profile with magic bytes that are in head, the first len bytes of a file;
 * -1: there is none.  More than PROFILE_HEAD_BYTES of them say nothing more. */
int profile_for_magic(const ProfileSet *s, const void *head, size_t len);

#endif
