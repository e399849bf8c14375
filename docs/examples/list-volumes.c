/*
 * Lists the volumes of a disk image, with libembr:
 *
 *     cc list-volumes.c $(pkg-config --cflags --libs embr) -o list-volumes
 *     ./list-volumes vm.qcow2
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "block/block-backend.h"
#include "fs/volume.h"
#include "qapi/qapi-types.h"

typedef struct Job {
    const char *filename;
    GError *error;
} Job;

/* What may wait for the disk runs in a coroutine. */
static void coroutine_fn co_list(void *opaque)
{
    Job *job = opaque;
    g_autoptr(BlockDriverState) bs =
        bdrv_co_open_image(job->filename, NULL, 0, &job->error);
    if (!bs) {
        return;
    }

    g_autoptr(BlockBackend) disk = blk_new(bs);
    g_autoptr(VolumeTable) table = volume_table_co_open(disk, &job->error);
    if (!table) {
        return;
    }
    for (guint i = 0; i < table->volumes->len; i++) {
        const Volume *volume = g_ptr_array_index(table->volumes, i);
        const VolumeInfo *info = volume->info;

        printf("%s %" PRIu64 " %" PRIu64 " %s\n", info->path, info->offset,
               info->size, info->filesystem ? info->filesystem : "-");
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    Job job = {.filename = argc == 2 ? argv[1] : NULL};

    if (!job.filename) {
        fprintf(stderr, "usage: %s IMAGE\n", argv[0]);
        return EXIT_FAILURE;
    }
    g_autoptr(AioContext) context = aio_context_new(AIO_BACKEND_AUTO, &error);
    if (context) {
        aio_run(context, co_list, &job);
        error = job.error;
    }
    if (error) {
        fprintf(stderr, "%s: %s\n", argv[0], error->message);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
