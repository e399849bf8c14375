/*
 * PathMatcher: the first of many patterns that matches a path.
 *
 * In a pattern, * stands for any bytes, / included, and ? for one.
 */
#ifndef EMBR_ENGRAM_PATH_MATCHER_H
#define EMBR_ENGRAM_PATH_MATCHER_H

#include <glib.h>
#include <stdbool.h>

typedef struct PathMatcher PathMatcher;

PathMatcher *path_matcher_new(void);
void path_matcher_free(PathMatcher *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PathMatcher, path_matcher_free)

/* pattern is copied and not empty; ranks are 0 and more, lower ones win. */
void path_matcher_add(PathMatcher *m, const char *pattern, int rank);

/* The lowest rank of all patterns that match; -1: none does. */
int path_matcher_match(const PathMatcher *m, const char *path);

#endif
