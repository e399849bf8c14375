/*
 * What a query looks for: content, or a directory, of the host or in an image.
 */
#ifndef EMBR_TOOLS_QUERY_SOURCE_H
#define EMBR_TOOLS_QUERY_SOURCE_H

#include "engram/query.h"

EngramFile *coroutine_fn query_co_open_engram(const char *name, GError **errp);

/* Adds what name stands for: "-" standard input; a file or a directory of the host;
 * IMAGE:/PATH.  False: reported. */
bool coroutine_fn query_co_add_source(EngramQuery *q, const char *name);

#endif
