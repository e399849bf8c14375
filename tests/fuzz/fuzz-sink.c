/*
 * Makes an engram of a disk, checks it and reads it back: the disk has to come back
 * whatever its partition tables and filesystems look like, and its digest has to be the
 * same whatever is known of where it is zero. At times once more without its free
 * space, and then from a disk with a byte that cannot be read: nothing may be left of
 * that.
 */
#include <stdlib.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "block/block-int.h"
#include "engram/check.h"
#include "engram/object.h"
#include "engram/sink.h"
#include "mend.h"
#include "qapi/qapi-types.h"
#include "util/units.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

enum {
    MAX_INPUT_BYTES = 16 << 20,
    SECTOR_BYTES = 512,
};

static AioContext *context;
static char *dir, *path;

/* A disk in memory. */
typedef struct Disk {
    const uint8_t *data;
    size_t size;
    size_t status_bytes;            /* zeroes are known in units of this; 0: not at all */
    size_t broken;                  /* a byte that cannot be read; SIZE_MAX: none */
} Disk;

static int coroutine_fn disk_co_open(BlockDriverState *bs,
                                     const BlockdevOptions *options, int flags,
                                     GError **errp)
{
    return 0;
}

static int coroutine_fn disk_co_preadv(BlockDriverState *bs, int64_t offset,
                                       int64_t bytes, const IOVector *iov,
                                       size_t iov_offset, BdrvRequestFlags flags)
{
    const Disk *disk = bs->opaque;

    if (disk->broken - offset < (size_t)bytes) {
        bdrv_note_error(bs, g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT, "broken disk"));
        return -EIO;
    }
    iovector_from_buf(iov, iov_offset, disk->data + offset, bytes);
    return 0;
}

static bool unit_is_zero(const Disk *disk, size_t pos)
{
    return buffer_is_zero(disk->data + pos, MIN(disk->status_bytes, disk->size - pos));
}

static int coroutine_fn disk_co_block_status(BlockDriverState *bs, int64_t offset,
                                             int64_t bytes, int64_t *pnum, int64_t *map,
                                             BlockDriverState **file)
{
    const Disk *disk = bs->opaque;
    size_t unit = disk->status_bytes;

    if (!unit) {
        *pnum = bytes;
        return BDRV_BLOCK_DATA;
    }
    size_t end = offset - offset % unit;
    bool zero = unit_is_zero(disk, end);
    do {
        end += unit;
    } while (end < (size_t)offset + bytes && unit_is_zero(disk, end) == zero);
    *pnum = MIN((int64_t)end - offset, bytes);
    return zero ? BDRV_BLOCK_ZERO : BDRV_BLOCK_DATA;
}

static const BlockDriver bdrv_disk = {
    .format_name = "disk",
    .instance_size = sizeof(Disk),
    .bdrv_co_open = disk_co_open,
    .bdrv_co_preadv = disk_co_preadv,
    .bdrv_co_block_status = disk_co_block_status,
};

static BlockDriverState *disk_node(Disk disk)
{
    BlockDriverState *bs = bdrv_new_node(&bdrv_disk, "disk", 0, NULL);

    *(Disk *)bs->opaque = disk;
    bs->total_bytes = disk.size;
    return bs;
}

static void say(const char *text, void *opaque)
{
    fprintf(stderr, "check: %s\n", text);
}

/* dropped: bytes may be zero instead. */
static void coroutine_fn co_compare(BlockDriverState *bs, const uint8_t *data,
                                    size_t size, bool dropped)
{
    g_autofree uint8_t *back = g_malloc(size + 1);

    g_assert_cmpint(bdrv_length(bs), ==, size);
    g_assert_cmpint(bdrv_co_pread(bs, 0, size, back, 0), ==, 0);
    for (size_t i = 0; dropped && i < size; i++) {
        g_assert_true(back[i] == data[i] || back[i] == 0);
    }
    if (dropped) {
        return;
    }
    g_assert_true(memcmp(back, data, size) == 0);
    for (int64_t pos = 0, n; pos < (int64_t)size; pos += n) {
        int ret = bdrv_co_block_status(bs, pos, size - pos, &n, NULL, NULL);

        g_assert_cmpint(ret, >=, 0);
        g_assert_cmpint(n, >, 0);
        g_assert_true(!(ret & BDRV_BLOCK_ZERO) || buffer_is_zero(data + pos, n));
    }
}

static void coroutine_fn co_encode(Disk disk, FreeSpaceMode free_space,
                                   uint8_t digest[BDRV_DIGEST_BYTES])
{
    g_autoptr(BlockDriverState) src = disk_node(disk);
    BlockdevCreateOptionsEngram options = { .free_space = free_space };
    EngramCheckResult result;
    GError *error = NULL;

    bool ok = engram_sink_co_encode(src, path, &options, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(ok);

    g_autoptr(BlockDriverState) file =
        bdrv_co_open_image(path, NULL, BDRV_O_PROTOCOL, &error);
    g_assert_no_error(error);
    ok = engram_co_check(file, NULL, say, NULL, &result, &error);
    g_assert_no_error(error);
    g_assert_true(ok);
    g_assert_cmpuint(result.corruptions + result.check_errors, ==, 0);

    g_autoptr(BlockDriverState) bs = bdrv_co_open_over(file, "engram", 0, &error);
    g_assert_no_error(error);
    co_compare(bs, disk.data, disk.size, free_space == FREE_SPACE_MODE_DROP);
    g_assert_true(bdrv_content_digest(bs, digest));
    g_assert_cmpint(g_unlink(path), ==, 0);
}

static void coroutine_fn co_fail(Disk disk)
{
    g_autoptr(BlockDriverState) src = disk_node(disk);
    BlockdevCreateOptionsEngram options = { 0 };
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);

    g_assert_false(engram_sink_co_encode(src, path, &options, NULL, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, "broken disk"));
    g_assert_null(g_dir_read_name(d));
}

static void coroutine_fn try_disk(void *opaque)
{
    Disk disk = *(const Disk *)opaque;
    uint64_t choice = engram_checksum(disk.data, disk.size);
    uint8_t digest[BDRV_DIGEST_BYTES], sparse_digest[BDRV_DIGEST_BYTES];

    co_encode(disk, FREE_SPACE_MODE_KEEP, digest);
    disk.status_bytes = SECTOR_BYTES << choice % 8;
    co_encode(disk, FREE_SPACE_MODE_KEEP, sparse_digest);
    g_assert_cmpmem(digest, sizeof(digest), sparse_digest, sizeof(sparse_digest));
    if (choice / 8 % 4 == 0) {
        co_encode(disk, FREE_SPACE_MODE_DROP, digest);
    }
    if (disk.size) {
        disk.status_bytes = 0;
        disk.broken = choice / 32 % disk.size;
        co_fail(disk);
    }
}

static void remove_dir(void)
{
    g_rmdir(dir);
}

static void ignore(const char *domain, GLogLevelFlags level, const char *text,
                   void *opaque)
{
    if (!(level & G_LOG_LEVEL_WARNING)) {
        g_log_default_handler(domain, level, text, opaque);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    /* What waits for a disk would be most of the time. */
    g_autofree char *template = g_build_filename(
        g_access("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir(),
        "embr-fuzz-XXXXXX", NULL);

    dir = g_mkdtemp(g_steal_pointer(&template));
    g_assert_nonnull(dir);
    path = g_build_filename(dir, "disk.engram", NULL);
    atexit(remove_dir);
    g_log_set_default_handler(ignore, NULL);
    context = aio_context_new(AIO_BACKEND_AUTO, NULL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Disk disk = { .data = data, .size = size, .broken = SIZE_MAX };

    if (size <= MAX_INPUT_BYTES) {
        aio_run(context, try_disk, &disk);
    }
    return 0;
}

static bool has_ext4_magic(const uint8_t *data, size_t size, size_t offset)
{
    enum { MAGIC_AT = 1024 + 56 };

    return range_fits(offset, MAGIC_AT + 2, size) && data[offset + MAGIC_AT] == 0x53 &&
           data[offset + MAGIC_AT + 1] == 0xef;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 8) {
        mend_gpt(data, size);
        mend_fast_commits(data, size);
    }
    for (size_t pos = 0; seed % 4 && pos < size; pos += SECTOR_BYTES) {
        if (has_ext4_magic(data, size, pos)) {
            mend_ext4_super(data, size, pos);
        }
    }
    return size;
}
