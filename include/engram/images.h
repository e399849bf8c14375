/*
 * The images of an engram: what they have in common, and taking one out.
 */
#ifndef EMBR_ENGRAM_IMAGES_H
#define EMBR_ENGRAM_IMAGES_H

#include "engram/file.h"

typedef struct EngramImageUsage EngramImageUsage;   /* qapi/engram.json */

/* Of each image, in order: a GPtrArray of EngramImageUsage that owns them.  Goes over all device maps; memory is
 * bounded: what does not fit is sorted in a temporary file in spool_dir (NULL:
 * g_get_tmp_dir()). */
GPtrArray *coroutine_fn engram_co_image_usage(EngramFile *f, const char *spool_dir,
                                              GError **errp);

/*
 * Takes the image of that name out of the engram at path: a commit without it.  Its
 * chunks stay where they are until the engram is compacted, and are recalled for images
 * that are added.  EMBR_ERROR_NOT_FOUND if there is none of that name, EMBR_ERROR_INVALID
 * if there is no other, EMBR_ERROR_BUSY if somebody else is changing the engram; on any
 * error it stays as it was.
 */
bool coroutine_fn engram_co_delete_image(const char *path, const char *name, GError **errp);

#endif
