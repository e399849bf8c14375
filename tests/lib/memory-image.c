#include "memory-image.h"

#include <unistd.h>

static void fail(const char *what, const char *action, const GError *error)
{
    g_error("%s: %s: %s", what, action, error ? error->message : "no reason given");
}

BlockDriverState *coroutine_fn memory_image_co_new(const char *options, int64_t bytes,
                                                   size_t max_bytes, bool record)
{
    g_autofree char *dir = g_dir_make_tmp("embr-qcow2-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "image", NULL);
    g_autofree char *content = NULL;
    GError *error = NULL;
    gsize file_bytes;

    if (!bdrv_co_create_image(path, "qcow2", bytes, options, &error)) {
        fail(options, "create", error);
    }
    g_assert_true(g_file_get_contents(path, &content, &file_bytes, NULL));
    unlink(path);
    rmdir(dir);
    return record_node_new(content, file_bytes, max_bytes, record);
}

BlockDriverState *coroutine_fn memory_image_co_open(BlockDriverState *file, const char *what)
{
    GError *error = NULL;
    BlockDriverState *bs =
        bdrv_co_open_over(file, "qcow2", BDRV_O_RDWR | BDRV_O_NO_BACKING, &error);

    if (!bs) {
        fail(what, "open", error);
    }
    return bs;
}

void coroutine_fn memory_image_co_check(BlockDriverState *bs, bool leaks_ok, const char *what)
{
    GError *error = NULL;
    g_autoptr(ImageCheck) check = bdrv_co_check(bs, 0, &error);
    g_autoptr(GPtrArray) findings = bdrv_take_findings(bs);

    if (!check) {
        fail(what, "check", error);
    }
    if (check->corruptions || check->check_errors || (check->leaks && !leaks_ok)) {
        g_error("%s: check: %s", what, (char *)g_ptr_array_index(findings, 0));
    }
}

void coroutine_fn memory_image_co_finish(BlockDriverState *bs, const char *what)
{
    GError *error = NULL;

    if (bdrv_co_finish(bs, &error) < 0) {
        fail(what, "finish", error);
    }
}
