/*
 * qcow2 images in memory, whose file is a record node.
 */
#ifndef EMBR_TESTS_LIB_MEMORY_IMAGE_H
#define EMBR_TESTS_LIB_MEMORY_IMAGE_H

#include "record-node.h"

/* The file of a new image with these -o options; see record_node_new(). */
BlockDriverState *coroutine_fn memory_image_co_new(const char *options, int64_t bytes,
                                                   size_t max_bytes, bool record);
/* The image in it, for writing; a failure ends the test, which is told by what. */
BlockDriverState *coroutine_fn memory_image_co_open(BlockDriverState *file, const char *what);
/* Errors end the test, and leaks unless they are expected. */
void coroutine_fn memory_image_co_check(BlockDriverState *bs, bool leaks_ok, const char *what);
void coroutine_fn memory_image_co_finish(BlockDriverState *bs, const char *what);

#endif
