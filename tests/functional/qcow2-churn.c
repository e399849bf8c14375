/*
 * qcow2-churn IMAGE RAW SEED OPERATIONS [COMPRESS]: random work on the disk in IMAGE, by
 * several coroutines at once; what must be read from it afterwards goes to RAW.
 */
#include <stdio.h>
#include <stdlib.h>

#include "churn.h"

typedef struct Work {
    const char *image;
    const char *raw;
    unsigned seed;
    unsigned operations;
    bool compress;
    bool ok;
} Work;

static void coroutine_fn co_work(void *opaque)
{
    Work *work = opaque;
    GError *error = NULL;
    g_autoptr(GRand) rand = g_rand_new_with_seed(work->seed);
    g_autoptr(BlockDriverState) bs =
        bdrv_co_open_image(work->image, NULL, BDRV_O_RDWR | BDRV_O_UNMAP, &error);

    if (!bs) {
        fprintf(stderr, "%s\n", error->message);
        return;
    }
    g_autoptr(Churn) churn = churn_new(bs, NULL, rand);
    churn_set_compressed(churn, work->compress);
    churn_co_begin(churn);
    churn_co_run(churn, work->operations, false);
    churn_co_verify(churn, bs);
    work->ok = bdrv_co_finish(bs, &error) >= 0 &&
               g_file_set_contents(work->raw, (const char *)churn_data(churn),
                                   bdrv_length(bs), &error);
    if (!work->ok) {
        fprintf(stderr, "%s\n", error->message);
    }
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: %s IMAGE RAW SEED OPERATIONS [COMPRESS]\n", argv[0]);
        return EXIT_FAILURE;
    }
    Work work = { .image = argv[1], .raw = argv[2], .seed = atoi(argv[3]),
                  .operations = atoi(argv[4]), .compress = argc > 5 };
    g_autoptr(AioContext) ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);

    aio_run(ctx, co_work, &work);
    return work.ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
