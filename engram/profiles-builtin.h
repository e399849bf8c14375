/*
 * engram/profiles.json, as the build puts it into the library.
 */
#ifndef EMBR_ENGRAM_PROFILES_BUILTIN_H
#define EMBR_ENGRAM_PROFILES_BUILTIN_H

#include <stddef.h>

extern const char profiles_builtin_json[];
extern const size_t profiles_builtin_json_len;

#endif
