/*
 * The file driver on files with holes, in both ways of asynchronous I/O; chains of
 * files; copying and comparing.
 */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "block/block-int.h"
#include "block/convert.h"

enum {
    BLOCK_BYTES = 64 * 1024,
    BLOCKS = 64,
    FILE_BYTES = BLOCKS * BLOCK_BYTES,
};

static const AioBackend backends[] = { AIO_BACKEND_IO_URING, AIO_BACKEND_THREADS };
static char *dir;

static bool block_is_hole(unsigned block)
{
    return block % 5 == 1 || block % 5 == 2 || block == BLOCKS - 1;
}

static void fill_block(uint8_t *buf, unsigned block)
{
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        buf[i] = block * 31 + i * 7 + (i >> 9) + 1;
    }
}

static char *file_path(const char *name)
{
    return g_build_filename(dir, name, NULL);
}

/* A file of data and holes; false where holes are not kept. */
static char *make_file(const char *name)
{
    char *path = file_path(name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    g_autofree uint8_t *buf = g_malloc(BLOCK_BYTES);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ftruncate(fd, FILE_BYTES), 0);
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (!block_is_hole(i)) {
            fill_block(buf, i);
            ck_assert_int_eq(pwrite(fd, buf, BLOCK_BYTES, (off_t)i * BLOCK_BYTES),
                             BLOCK_BYTES);
        }
    }
    close(fd);
    return path;
}

static BlockDriverState *coroutine_fn co_open(const char *path, int flags)
{
    g_autoptr(GError) error = NULL;
    BlockDriverState *bs = bdrv_co_open_image(path, NULL, flags, &error);

    ck_assert_msg(bs != NULL, "%s", error ? error->message : "");
    return bs;
}

static void coroutine_fn co_check_content(BlockDriverState *bs)
{
    g_autofree uint8_t *buf = g_malloc(BLOCK_BYTES);
    g_autofree uint8_t *expected = g_malloc(BLOCK_BYTES);

    for (unsigned i = 0; i < BLOCKS; i++) {
        memset(expected, 0, BLOCK_BYTES);
        if (!block_is_hole(i)) {
            fill_block(expected, i);
        }
        ck_assert_int_eq(bdrv_co_pread(bs, (int64_t)i * BLOCK_BYTES, BLOCK_BYTES, buf, 0), 0);
        ck_assert(memcmp(buf, expected, BLOCK_BYTES) == 0);
    }
}

static void coroutine_fn co_check_holes(BlockDriverState *bs)
{
    for (int64_t offset = 0; offset < FILE_BYTES;) {
        int64_t n, map;
        BlockDriverState *file;
        int ret = bdrv_co_block_status(bs, offset, FILE_BYTES - offset, &n, &map, &file);
        unsigned block = offset / BLOCK_BYTES, end = block;
        while (end < BLOCKS && block_is_hole(end) == block_is_hole(block)) {
            end++;
        }
        ck_assert_int_eq(n, end * (int64_t)BLOCK_BYTES - offset);
        ck_assert_int_eq(map, offset);
        ck_assert_ptr_eq(file, bdrv_file(bs));
        ck_assert_int_eq(ret & BDRV_BLOCK_ZERO, block_is_hole(block) ? BDRV_BLOCK_ZERO : 0);
        ck_assert_int_eq(ret & BDRV_BLOCK_DATA, block_is_hole(block) ? 0 : BDRV_BLOCK_DATA);
        ck_assert(ret & BDRV_BLOCK_ALLOCATED);
        offset += n;
    }
}

static bool keeps_holes(const char *path)
{
    int fd = open(path, O_RDONLY);
    off_t hole = lseek(fd, 0, SEEK_HOLE);

    close(fd);
    if (hole != BLOCK_BYTES) {
        printf("not tested: the filesystem of %s keeps no holes\n", dir);
    }
    return hole == BLOCK_BYTES;
}

static void coroutine_fn co_test_read(void *opaque)
{
    g_autofree char *path = make_file("read.img");
    g_autoptr(BlockDriverState) bs = co_open(path, 0);
    uint8_t buf[100];

    ck_assert_int_eq(bdrv_length(bs), FILE_BYTES);
    ck_assert(bdrv_is_read_only(bs));
    co_check_content(bs);
    if (keeps_holes(path)) {
        co_check_holes(bs);
    }
    ck_assert_int_eq(bdrv_co_pread(bs, FILE_BYTES - 50, 100, buf, 0), -EINVAL);
    memset(buf, 1, sizeof(buf));
    ck_assert_int_eq(bdrv_co_pread(bdrv_file(bs), FILE_BYTES - 50, 100, buf, 0), 0);
    ck_assert(buffer_is_zero(buf, 100));
}

static void coroutine_fn co_test_shrunk_file(void *opaque)
{
    g_autofree char *path = make_file("shrunk.img");
    g_autoptr(BlockDriverState) bs = co_open(path, 0);
    g_autofree uint8_t *buf = g_malloc(2 * BLOCK_BYTES);
    g_autofree uint8_t *expected = g_malloc(BLOCK_BYTES);

    ck_assert_int_eq(truncate(path, 1000), 0);
    fill_block(expected, 0);
    ck_assert_int_eq(bdrv_co_pread(bs, 0, 2 * BLOCK_BYTES, buf, 0), 0);
    ck_assert(memcmp(buf, expected, 1000) == 0);
    ck_assert(buffer_is_zero(buf + 1000, 2 * BLOCK_BYTES - 1000));
}

static void coroutine_fn co_test_direct(void *opaque)
{
    g_autofree char *path = make_file("direct.img");
    g_autoptr(GError) error = NULL;
    g_autoptr(BlockDriverState) bs = bdrv_co_open_image(path, NULL,
                                                        BDRV_O_RDWR | BDRV_O_NOCACHE, &error);
    uint8_t buf[3000], byte = 9;

    if (!bs) {
        printf("not tested: %s\n", error->message);
        return;
    }
    ck_assert_uint_ge(bdrv_file(bs)->limits.request_alignment, 512);
    co_check_content(bs);
    ck_assert_int_eq(bdrv_co_pwrite(bs, 12345, 1, &byte, 0), 0);
    ck_assert_int_eq(bdrv_co_pread(bs, 12340, 10, buf, 0), 0);
    ck_assert_uint_eq(buf[5], 9);

    /* Neither an odd length of a file nor a write behind its end changes its tail. */
    ck_assert_int_eq(bdrv_co_truncate(bdrv_file(bs), 5000, PREALLOC_MODE_OFF, &error), 0);
    memset(buf, 7, sizeof(buf));
    ck_assert_int_eq(bdrv_co_pwrite(bdrv_file(bs), 4900, 300, buf, 0), 0);
    ck_assert_int_eq(bdrv_length(bdrv_file(bs)), 5200);
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 5200);
    memset(buf, 1, sizeof(buf));
    ck_assert_int_eq(bdrv_co_pread(bdrv_file(bs), 4900, 3000, buf, 0), 0);
    ck_assert(buf[0] == 7 && buf[299] == 7 && buffer_is_zero(buf + 300, 2700));
}

static void coroutine_fn co_test_write(void *opaque)
{
    g_autofree char *path = file_path("write.img");
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *buf = g_malloc(BLOCK_BYTES);

    ck_assert(bdrv_co_create_image(path, "raw", FILE_BYTES, NULL, &error));
    g_autoptr(BlockDriverState) bs = co_open(path, BDRV_O_RDWR);
    ck_assert(bdrv_has_zero_init(bs));
    for (unsigned i = 0; i < BLOCKS; i++) {
        fill_block(buf, i);
        ck_assert_int_eq(bdrv_co_pwrite(bs, (int64_t)i * BLOCK_BYTES, BLOCK_BYTES, buf, 0), 0);
        int64_t n;
        ck_assert(bdrv_co_block_status(bs, (int64_t)i * BLOCK_BYTES, 1, &n, NULL, NULL) &
                  BDRV_BLOCK_DATA);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (block_is_hole(i)) {
            ck_assert_int_eq(bdrv_co_pwrite_zeroes(bs, (int64_t)i * BLOCK_BYTES, BLOCK_BYTES,
                                                   BDRV_REQ_MAY_UNMAP), 0);
        }
    }
    co_check_content(bs);
    if (keeps_holes(path)) {
        co_check_holes(bs);
    }
    ck_assert_int_eq(bdrv_co_flush(bs), 0);
    ck_assert_int_eq(bdrv_co_pwrite(bs, FILE_BYTES, 1, buf, 0), -EINVAL);
    ck_assert_int_eq(bdrv_co_pwrite_zeroes(bdrv_file(bs), FILE_BYTES, 1000, 0), 0);
    ck_assert_int_eq(bdrv_length(bdrv_file(bs)), FILE_BYTES + 1000);

    g_clear_pointer(&bs, bdrv_unref);
    ck_assert(bdrv_co_create_image(path, "raw", 512, NULL, &error));
    g_autoptr(BlockDriverState) again = co_open(path, 0);
    ck_assert_int_eq(bdrv_length(again), 512);
}

/* First writes, small and large, leave what is between them a hole. */
static void coroutine_fn co_test_first_write(void *opaque)
{
    static const struct {
        int64_t offset, bytes;
    } writes[] = { { 1 << 20, 1 << 20 }, { 5 << 20, 300000 }, { 4096, 512 },
                   { (8 << 20) - 262145, 262145 } };
    g_autofree char *path = file_path("first.img");
    g_autofree uint8_t *data = g_malloc(8 << 20), *want = g_malloc0(8 << 20);
    g_autoptr(GError) error = NULL;
    struct stat st;

    ck_assert(bdrv_co_create_image(path, "raw", 8 << 20, NULL, &error));
    g_autoptr(BlockDriverState) bs = co_open(path, BDRV_O_RDWR);
    for (size_t i = 0; i < G_N_ELEMENTS(writes); i++) {
        memset(want + writes[i].offset, 'a' + i, writes[i].bytes);
        ck_assert_int_eq(bdrv_co_pwrite(bs, writes[i].offset, writes[i].bytes,
                                        want + writes[i].offset, BDRV_REQ_FIRST_WRITE), 0);
    }
    ck_assert_int_eq(bdrv_co_pread(bs, 0, 8 << 20, data, 0), 0);
    ck_assert(memcmp(data, want, 8 << 20) == 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, 8 << 20);
    ck_assert_int_lt(st.st_blocks * 512, 3 << 20);
}

static void coroutine_fn co_test_create(void *opaque)
{
    g_autofree char *path = file_path("created.img");
    g_autofree char *link = file_path("created.link");
    g_autoptr(GError) error = NULL;
    struct stat st;

    for (int i = 0; i < 3; i++) {
        static const char *const options[] = { "preallocation=off", "preallocation=falloc",
                                               "preallocation=full" };
        ck_assert(bdrv_co_create_image(path, "raw", FILE_BYTES + 1, options[i], &error));
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_size, FILE_BYTES + 1);
        ck_assert_int_eq(st.st_blocks * 512 >= FILE_BYTES, i > 0);
    }

    /* What fails leaves what was there, and nothing else. */
    ck_assert(!bdrv_co_create_image(path, "raw", 512, "preallocation=some", &error));
    g_clear_error(&error);
    ck_assert(!bdrv_co_create_image(path, "raw", 512, "frob=1", &error));
    ck_assert_ptr_nonnull(strstr(error->message, "frob"));
    g_clear_error(&error);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size, FILE_BYTES + 1);
    unlink(path);
    unlink(link);
    ck_assert_int_eq(symlink("created.img", link), 0);
    ck_assert(!bdrv_co_create_image(link, "raw", G_MAXINT64, NULL, &error));
    ck_assert_int_eq(lstat(path, &st), -1);
    ck_assert_int_eq(lstat(link, &st), 0);
}

static void coroutine_fn co_test_identity(void *opaque)
{
    g_autofree char *path = make_file("identity.img");
    g_autofree char *link = file_path("identity.link");
    g_autofree char *other = file_path("identity.other");
    g_autofree char *overlay = file_path("identity.overlay");
    g_autoptr(BlockDriverState) bs = co_open(path, 0);
    BlockIdentity identity, own = bdrv_identity(bs);

    unlink(link);
    unlink(other);
    ck_assert_int_eq(symlink(path, link), 0);
    ck_assert(bdrv_path_identity(link, &identity));
    ck_assert(identity.device == own.device && identity.inode == own.inode);
    ck_assert_ptr_eq(bdrv_find_file(bs, &identity), bdrv_file(bs));
    ck_assert(!bdrv_path_identity(other, &identity));
    ck_assert(!bdrv_path_identity(dir, &identity));
    ck_assert(g_file_set_contents(other, "other", -1, NULL));
    ck_assert(bdrv_path_identity(other, &identity));
    ck_assert_ptr_null(bdrv_find_file(bs, &identity));
    identity = (BlockIdentity){ 0 };
    ck_assert_ptr_null(bdrv_find_file(bs, &identity));

    /* In a chain, too. */
    ck_assert(g_file_set_contents(overlay, "linked identity.link\n", -1, NULL));
    g_autoptr(BlockDriverState) top = co_open(overlay, 0);
    ck_assert(bdrv_path_identity(path, &identity));
    ck_assert_ptr_eq(bdrv_find_file(top, &identity), bdrv_file(bdrv_backing(top)));
    ck_assert(bdrv_path_identity(overlay, &identity));
    ck_assert_ptr_eq(bdrv_find_file(top, &identity), bdrv_file(top));
}

static void coroutine_fn co_test_refused(void *opaque)
{
    g_autofree char *fifo = file_path("fifo");
    g_autoptr(GError) error = NULL;

    mkfifo(fifo, 0600);
    ck_assert_ptr_null(bdrv_co_open_image(fifo, NULL, 0, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "to be a regular file"));
    g_clear_error(&error);
    ck_assert_ptr_null(bdrv_co_open_image(dir, NULL, 0, &error));
    g_clear_error(&error);
    ck_assert_ptr_null(bdrv_co_open_image("/dev/null", NULL, 0, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "to be a regular file"));
    g_clear_error(&error);
    ck_assert_ptr_null(bdrv_co_open_image("", NULL, 0, &error));
    g_clear_error(&error);
    ck_assert(!bdrv_co_create_image(dir, "raw", 512, NULL, &error));
    g_clear_error(&error);
    ck_assert(!bdrv_co_create_image(fifo, "no-such-format", 512, NULL, &error));
}

static void coroutine_fn co_test_json(void *opaque)
{
    g_autofree char *path = make_file("json.img");
    g_autofree char *name = g_strdup_printf(
        "json:{\"driver\":\"raw\",\"offset\":%d,\"file\":{\"driver\":\"file\","
        "\"filename\":\"%s\"}}", BLOCK_BYTES * 3, path);
    g_autoptr(BlockDriverState) bs = co_open(name, 0);
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *buf = g_malloc(BLOCK_BYTES);
    g_autofree uint8_t *expected = g_malloc(BLOCK_BYTES);

    fill_block(expected, 3);
    ck_assert_int_eq(bdrv_length(bs), FILE_BYTES - 3 * BLOCK_BYTES);
    ck_assert_int_eq(bdrv_co_pread(bs, 0, BLOCK_BYTES, buf, 0), 0);
    ck_assert(memcmp(buf, expected, BLOCK_BYTES) == 0);
    ck_assert_ptr_null(bdrv_co_open_image("json:{", NULL, 0, &error));
    ck_assert_ptr_nonnull(error);
}

/* linked: an image whose first line is its backing file's name. */
static int linked_probe(const uint8_t *buf, size_t len)
{
    return len > 7 && memcmp(buf, "linked ", 7) == 0 ? 100 : 0;
}

static int coroutine_fn linked_co_open(BlockDriverState *bs, const BlockdevOptions *options,
                                       int flags, GError **errp)
{
    char line[100] = { 0 };
    int ret = bdrv_co_pread(bs->file, 7, sizeof(line) - 1, line, 0);

    line[strcspn(line, "\n")] = 0;
    bs->backing_filename = line[0] ? g_strdup(line) : NULL;
    bs->total_bytes = 512;
    return ret;
}

static int coroutine_fn linked_co_preadv(BlockDriverState *bs, int64_t offset, int64_t bytes,
                                         const IOVector *iov, size_t iov_offset,
                                         BdrvRequestFlags flags)
{
    return bdrv_co_preadv(bs->backing, offset, bytes, iov, iov_offset, flags);
}

static BlockDriver bdrv_linked = {
    .format_name    = "linked",
    .bdrv_probe     = linked_probe,
    .bdrv_co_open   = linked_co_open,
    .bdrv_co_preadv = linked_co_preadv,
};
block_init(bdrv_linked)

static void write_text(const char *name, const char *text)
{
    g_autofree char *path = file_path(name);
    ck_assert(g_file_set_contents(path, text, -1, NULL));
}

static void coroutine_fn co_test_chain(void *opaque)
{
    g_autofree char *sub = file_path("sub");
    g_autofree char *top = file_path("sub/top");
    g_autofree char *loop = file_path("sub/loop");
    g_autofree char *lost = file_path("sub/lost");
    g_autofree char *expected = g_strdup_printf("%s/sub/../gone", dir);
    g_autoptr(GError) error = NULL;
    char buf[512] = { 0 };

    mkdir(sub, 0755);
    write_text("sub/top", "linked file:../middle\n");
    write_text("middle", "linked base\n");
    write_text("base", "the bottom");
    write_text("sub/loop", "linked ../loop2\n");
    write_text("loop2", "linked sub/../sub/loop3\n");
    g_autofree char *loop3 = file_path("sub/loop3");
    (void)!symlink("loop", loop3);
    write_text("sub/lost", "linked ../gone\n");

    g_autoptr(BlockDriverState) bs = co_open(top, 0);
    ck_assert_int_eq(bdrv_co_pread(bs, 0, 512, buf, 0), 0);
    ck_assert_str_eq(buf, "the bottom");
    g_autofree char *full = bdrv_full_backing_filename(bdrv_backing(bs));
    g_autofree char *base = file_path("sub/../base");
    ck_assert_ptr_null(bdrv_backing(bdrv_backing(bdrv_backing(bs))));
    ck_assert_str_eq(bdrv_format_name(bdrv_backing(bdrv_backing(bs))), "raw");
    ck_assert_str_eq(full, base);

    ck_assert_ptr_null(bdrv_co_open_image(loop, NULL, 0, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "loop3'"));
    ck_assert_ptr_nonnull(strstr(error->message, "is a loop"));
    g_clear_error(&error);

    ck_assert_ptr_null(bdrv_co_open_image(lost, NULL, 0, &error));
    g_autofree char *message = g_strdup_printf("Could not open backing file of '%s': '%s': No "
                                               "such file or directory", lost, expected);
    ck_assert_str_eq(error->message, message);
    g_clear_error(&error);
    g_autoptr(BlockDriverState) alone = bdrv_co_open_image(lost, NULL, BDRV_O_NO_BACKING,
                                                           &error);
    ck_assert_ptr_nonnull(alone);

    ck_assert_ptr_null(bdrv_co_open_image(top, NULL, BDRV_O_RDWR, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "cannot be written to"));
    g_clear_error(&error);
    g_autofree char *base_path = file_path("base");
    ck_assert_ptr_null(bdrv_co_open_image(base_path, "linked", 0, &error));
    ck_assert_ptr_nonnull(strstr(error->message, "Image is not in linked format"));
}

static void coroutine_fn co_test_long_chain(void *opaque)
{
    enum { LAYERS = 300 };
    char buf[512] = { 0 };

    for (int i = 0; i < LAYERS; i++) {
        g_autofree char *name = g_strdup_printf("layer%d", i);
        g_autofree char *text = g_strdup_printf("linked layer%d\n", i - 1);
        write_text(name, i ? text : "far below");
    }
    g_autofree char *top = g_strdup_printf("%s/layer%d", dir, LAYERS - 1);
    g_autoptr(BlockDriverState) bs = co_open(top, 0);
    ck_assert_int_eq(bdrv_co_pread(bs, 0, 512, buf, 0), 0);
    ck_assert_str_eq(buf, "far below");
}

static BlockBackend *coroutine_fn co_open_blk(const char *path, int flags)
{
    g_autoptr(BlockDriverState) bs = co_open(path, flags);
    return blk_new(bs);
}

static void coroutine_fn co_check_equal(const char *a, const char *b, bool strict,
                                        const CompareResult *expected)
{
    g_autoptr(BlockBackend) x = co_open_blk(a, 0);
    g_autoptr(BlockBackend) y = co_open_blk(b, 0);
    CompareResult result;

    ck_assert(compare_co_images(x, y, strict, NULL, &result, NULL));
    ck_assert_int_eq(result.identical, expected->identical);
    ck_assert_int_eq(result.size_differs, expected->size_differs);
    ck_assert_int_eq(result.mismatch_offset, expected->mismatch_offset);
    ck_assert_int_eq(result.mismatch_in_tail, expected->mismatch_in_tail);
    ck_assert_int_eq(result.status_differs, expected->status_differs);
}

static int64_t allocated_bytes(const char *path)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    return st.st_blocks * 512;
}

static void coroutine_fn co_test_convert(void *opaque)
{
    g_autofree char *src = make_file("src.img");
    g_autofree char *dst = file_path("dst.img");
    const CompareResult same = { .identical = true, .mismatch_offset = -1 };
    const CompareResult longer = { .identical = true, .size_differs = true,
                                   .mismatch_offset = -1 };
    /* What is beyond the source's end stays as it is. */
    const CompareResult junk_follows = { .size_differs = true, .mismatch_in_tail = true,
                                         .mismatch_offset = FILE_BYTES };
    static const ConvertOptions options[] = {
        { 8, true, 4096 }, { 1, true, 4096 }, { 16, false, 4096 },
        { 3, true, 512 },  { 3, true, 1 << 20 }, { 4, true, 0 }, { 2, false, 0 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        for (int64_t more = 0; more <= 512 * 1000; more += 512 * 1000) {
            g_autoptr(GError) error = NULL;
            ck_assert(bdrv_co_create_image(dst, "raw", FILE_BYTES + more, NULL, &error));
            if (!options[i].target_is_zero) {
                g_autofree uint8_t *junk = g_malloc(FILE_BYTES + more);
                memset(junk, 0x55, FILE_BYTES + more);
                ck_assert(g_file_set_contents(dst, (char *)junk, FILE_BYTES + more, NULL));
            }
            g_autoptr(BlockBackend) from = co_open_blk(src, 0);
            g_autoptr(BlockBackend) to = co_open_blk(dst, BDRV_O_RDWR);
            ck_assert(convert_co_copy(from, to, &options[i], NULL, &error));
            co_check_equal(src, dst, false,
                           !more ? &same : options[i].target_is_zero ? &longer : &junk_follows);
            if (options[i].sparse_bytes == 0) {
                ck_assert_int_ge(allocated_bytes(dst), FILE_BYTES);
            } else if (options[i].sparse_bytes <= BLOCK_BYTES && keeps_holes(src) &&
                       (!more || options[i].target_is_zero)) {
                /* The filesystem's own blocks may count, too. */
                ck_assert_int_lt(llabs(allocated_bytes(dst) - allocated_bytes(src)),
                                 BLOCK_BYTES);
            }
        }
    }

    g_autoptr(GError) error = NULL;
    ck_assert(bdrv_co_create_image(dst, "raw", 512, NULL, &error));
    g_autoptr(BlockBackend) from = co_open_blk(src, 0);
    g_autoptr(BlockBackend) to = co_open_blk(dst, BDRV_O_RDWR);
    ck_assert(!convert_co_copy(from, to, &options[0], NULL, &error));
    g_autoptr(BlockBackend) read_only = co_open_blk(src, 0);
    g_clear_error(&error);
    ck_assert(!convert_co_copy(from, read_only, &options[0], NULL, &error));
    ck_assert_ptr_nonnull(error);
}

static void poke(const char *path, int64_t offset, uint8_t value)
{
    int fd = open(path, O_RDWR);
    ck_assert_int_eq(pwrite(fd, &value, 1, offset), 1);
    close(fd);
}

static void coroutine_fn co_test_compare(void *opaque)
{
    g_autofree char *a = make_file("a.img");
    g_autofree char *b = make_file("b.img");
    CompareResult expected = { .identical = true, .mismatch_offset = -1 };

    co_check_equal(a, b, true, &expected);

    /* The first of several differences counts, be it in data or in a hole. */
    expected.identical = false;
    poke(b, FILE_BYTES - 2 * BLOCK_BYTES + 513, 0xaa);
    poke(b, 40 * BLOCK_BYTES + 5000, 0xaa);
    expected.mismatch_offset = 40 * BLOCK_BYTES + 4608;
    co_check_equal(a, b, false, &expected);
    poke(b, BLOCK_BYTES + 70000 % BLOCK_BYTES, 1);
    expected.mismatch_offset = BLOCK_BYTES + 70000 % BLOCK_BYTES / 512 * 512;
    co_check_equal(a, b, false, &expected);
    co_check_equal(b, a, false, &expected);

    /* A longer image is equal if the rest is zero, but not strictly. */
    g_autofree char *c = make_file("c.img");
    ck_assert_int_eq(truncate(c, FILE_BYTES + 5 * BLOCK_BYTES), 0);
    expected = (CompareResult){ .identical = true, .size_differs = true,
                                .mismatch_offset = -1 };
    co_check_equal(a, c, false, &expected);
    expected.identical = false;
    co_check_equal(a, c, true, &expected);
    poke(c, FILE_BYTES + 3 * BLOCK_BYTES, 1);
    expected.mismatch_offset = FILE_BYTES + 3 * BLOCK_BYTES;
    expected.mismatch_in_tail = true;
    co_check_equal(c, a, false, &expected);

    /* Zeroes and a hole read the same. */
    g_autofree char *d = make_file("d.img");
    if (keeps_holes(d)) {
        poke(d, BLOCK_BYTES, 0);
        expected = (CompareResult){ .identical = true, .mismatch_offset = -1 };
        co_check_equal(a, d, false, &expected);
        expected.identical = false;
        expected.mismatch_offset = BLOCK_BYTES;
        expected.status_differs = true;
        co_check_equal(a, d, true, &expected);
    }
}

typedef struct Case {
    const char *name;
    CoroutineEntry *entry;
} Case;

static const Case cases[] = {
    { "read", co_test_read },
    { "shrunk file", co_test_shrunk_file },
    { "direct", co_test_direct },
    { "write", co_test_write },
    { "first write", co_test_first_write },
    { "create", co_test_create },
    { "identity", co_test_identity },
    { "refused", co_test_refused },
    { "json", co_test_json },
    { "chain", co_test_chain },
    { "long chain", co_test_long_chain },
    { "convert", co_test_convert },
    { "compare", co_test_compare },
};

START_TEST(test_case)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(AioContext) ctx = aio_context_new(backends[_i % 2], &error);

    if (!ctx) {
        ck_assert(backends[_i % 2] == AIO_BACKEND_IO_URING);
        printf("not tested: %s\n", error->message);
        return;
    }
    aio_run(ctx, cases[_i / 2].entry, NULL);
}
END_TEST

static void remove_tree(const char *path)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", path);
    if (system(command) != 0) {
        printf("%s was not removed\n", path);
    }
}

int main(void)
{
    Suite *suite = suite_create("file");
    TCase *tcase = tcase_create("file");

    dir = g_dir_make_tmp("embr-test-file-XXXXXX", NULL);
    tcase_add_loop_test(tcase, test_case, 0, G_N_ELEMENTS(cases) * 2);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    remove_tree(dir);
    g_free(dir);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
