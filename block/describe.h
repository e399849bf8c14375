/*
 * Descriptions of nodes as people write them: open.c makes nodes of them.
 */
#ifndef EMBR_BLOCK_DESCRIBE_H
#define EMBR_BLOCK_DESCRIBE_H

#include "block/block-int.h"

/* The driver of the image in the file that is described; NULL and an error. */
typedef const BlockDriver *coroutine_fn DescribeProbe(JsonNode *file, int flags,
                                                      GError **errp);

/* The text after "json:". */
JsonObject *describe_from_json(const char *text, GError **errp);
/* Whether a file name is a description: "json:...", "blkdebug:...". */
bool describe_is_special(const char *filename);
/* Adds to node what may be left out, and reads it; co_probe is asked for what is to be found
 * in a file. A format unless *flags has BDRV_O_PROTOCOL. *flags gets BDRV_O_NO_BACKING if
 * there is to be no backing image. */
BlockdevOptions *coroutine_fn describe_co_read(JsonObject *node, int *flags,
                                               DescribeProbe *co_probe, GError **errp);

#endif
