/* alloc, map, length, truncate, info, flush */
#include <errno.h>
#include <stdio.h>

#include "block/block-int.h"
#include "io.h"
#include "qapi/qapi-visit.h"
#include "report.h"
#include "specific.h"

enum { SECTOR_BYTES = 512 };

/* Whether the image itself has what is at offset, and for how many bytes; or -errno. */
static int coroutine_fn co_is_stored(Io *io, int64_t offset, int64_t bytes, int64_t *n)
{
    int ret = bdrv_co_block_status(io->bs, offset, bytes, n, NULL, NULL);
    return ret < 0 ? ret : (ret & BDRV_BLOCK_ALLOCATED) != 0;
}

int coroutine_fn io_co_cmd_alloc(Io *io, int argc, char **argv)
{
    int64_t start, bytes = SECTOR_BYTES, stored = 0, done = 0;

    if (!io_parse_number(argv[1], &start) || (argc > 2 && !io_parse_number(argv[2], &bytes))) {
        return -EINVAL;
    }
    while (done < bytes && start <= G_MAXINT64 - bytes) {
        int64_t n = 0;
        int ret = co_is_stored(io, start + done, bytes - done, &n);
        if (ret < 0) {
            printf("is_allocated failed: %s\n", g_strerror(-ret));
            return ret;
        }
        if (n == 0) {
            break;
        }
        stored += ret ? n : 0;
        done += n;
    }
    g_autofree char *where = io_size(start);
    printf("%" G_GINT64_FORMAT "/%" G_GINT64_FORMAT " bytes allocated at offset %s\n", stored,
           done, where);
    return 0;
}

static void print_range(bool stored, int64_t start, int64_t bytes)
{
    g_autofree char *size = io_size(bytes);
    g_autofree char *where = io_size(start);
    printf("%s (0x%" G_GINT64_MODIFIER "x) bytes %s allocated at offset %s (0x%"
           G_GINT64_MODIFIER "x)\n", size, bytes, stored ? "   " : "not", where, start);
}

int coroutine_fn io_co_cmd_map(Io *io, int argc, char **argv)
{
    int64_t length = bdrv_length(io->bs);
    int64_t start = 0, at = 0;
    int kind = -1;

    if (length == 0) {
        printf("Offset %d not found\n", 0);
    }
    while (at < length) {
        int64_t n = 0;
        int ret = co_is_stored(io, at, length - at, &n);
        if (ret < 0 || n == 0) {
            report_error("Failed to get allocation status");
            return ret < 0 ? ret : -EIO;
        }
        if (kind >= 0 && ret != kind) {
            print_range(kind, start, at - start);
            start = at;
        }
        kind = ret;
        at += n;
    }
    if (length) {
        print_range(kind, start, at - start);
    }
    return 0;
}

int coroutine_fn io_co_cmd_length(Io *io, int argc, char **argv)
{
    g_autofree char *size = io_size(bdrv_length(io->bs));
    puts(size);
    return 0;
}

int coroutine_fn io_co_cmd_truncate(Io *io, int argc, char **argv)
{
    int preallocation = PREALLOC_MODE_OFF;
    GError *error = NULL;
    int64_t length;
    int c;

    while ((c = getopt(argc, argv, "m:")) != -1) {
        if (c == '?') {
            return io_misuse(argv[0]);
        }
        if (!qapi_enum_parse(&qapi_type_prealloc_mode, optarg, &preallocation, NULL)) {
            report_error("Invalid preallocation mode '%s'", optarg);
            return -EINVAL;
        }
    }
    if (optind + 1 != argc) {
        return io_misuse(argv[0]);
    }
    if (!io_parse_number(argv[optind], &length)) {
        return -EINVAL;
    }
    int ret = bdrv_co_truncate(io->bs, length, preallocation, &error);
    if (ret < 0) {
        report_gerror(error);
    }
    return MIN(ret, 0);
}

int coroutine_fn io_co_cmd_info(Io *io, int argc, char **argv)
{
    GError *error = NULL;
    g_autoptr(ImageInfo) info = bdrv_co_image_info(io->bs, &error);

    if (!info) {
        report_gerror(error);
        return -EINVAL;
    }
    g_autofree char *cluster = io_size(info->has_cluster_size ? info->cluster_size : 0);
    g_autofree char *vm_state = io_size(bdrv_vm_state_offset(io->bs));
    printf("format name: %s\ncluster size: %s\nvm state offset: %s\n", info->format, cluster,
           vm_state);
    if (info->format_specific) {
        specific_print(info->format_specific);
    }
    return 0;
}

int coroutine_fn io_co_cmd_flush(Io *io, int argc, char **argv)
{
    return MIN(bdrv_co_flush(io->bs), 0);
}
