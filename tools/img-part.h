/* The commands of embr-img part; argv[0] is "part NAME". */
#ifndef EMBR_TOOLS_IMG_PART_H
#define EMBR_TOOLS_IMG_PART_H

#include "block/block-backend.h"
#include "image.h"

int img_part_add(int argc, char **argv);
int img_part_create(int argc, char **argv);
int img_part_delete(int argc, char **argv);
int img_part_list(int argc, char **argv);
int img_part_verify(int argc, char **argv);

/* The disk in an image, opened with flags added.  NULL: reported. */
BlockBackend *coroutine_fn part_co_open(const char *name, const ImageOptions *options,
                                        int flags);

#endif
