/* Paths over the volumes of a disk with a small filesystem of the test's own on them.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "fs/partition.h"
#include "fs/tree.h"
#include "qapi/qapi-types.h"

enum {
    DISK_BYTES = 64 * 1024,
    FIRST_BYTES = 8 * 1024, /* where the first volume begins; the second: twice that */
};

#define TOY_MAGIC "toyfs"
#define TOY_BROKEN_MAGIC "brokenfs"

/* A file is a line of this table; its inode is its index + 1. */
static const struct {
    FsIno parent;
    const char *name;
    const char *target; /* of symlinks */
    bool is_file;
} toy_files[] = {
    {0, ""},    /* 1: the root */
    {1, "etc"}, /* 2 */
    {2, "passwd", .is_file = true},
    {1, "lib", "usr/lib"},
    {1, "usr"}, /* 5 */
    {5, "lib"}, /* 6 */
    {6, "libc", .is_file = true},
    {6, "absolute", "/etc/passwd"},
    {6, "up", "../../../../etc"},
    {1, "loop", "loop"},
    {1, "empty", ""},
    {1, "dangling", "etc/nothing"},
    {2, "through", "../lib/libc/"},
    {1, "slashes", "//usr///lib//"},
};

static unsigned opened;

static bool coroutine_fn toy_co_probe(BlockBackend *blk, FsIdent *ident)
{
    char magic[sizeof(TOY_MAGIC)] = "";

    ident->type = "toy";
    return blk_co_pread(blk, 0, sizeof(magic) - 1, magic) >= 0 &&
           !strcmp(magic, TOY_MAGIC);
}

static bool coroutine_fn toy_co_open(Filesystem *fs, GError **errp)
{
    opened++;
    fs->root = 1;
    fs_warn(fs, "a toy");
    aio_co_reschedule_self();
    return true;
}

static bool coroutine_fn toy_co_stat(Filesystem *fs, FsIno ino, FsStat *st,
                                     GError **errp)
{
    ck_assert_uint_le(ino, G_N_ELEMENTS(toy_files));
    st->mode = toy_files[ino - 1].target    ? S_IFLNK | 0777
               : toy_files[ino - 1].is_file ? S_IFREG | 0644
                                            : S_IFDIR | 0755;
    return true;
}

static bool coroutine_fn toy_co_readdir(Filesystem *fs, FsIno dir, FsDirBatch *batch,
                                        GError **errp)
{
    for (FsIno i = 0; i < G_N_ELEMENTS(toy_files); i++) {
        if (toy_files[i].parent == dir) {
            fs_dir_batch_add(batch, i + 1, DT_UNKNOWN, toy_files[i].name,
                             strlen(toy_files[i].name));
        }
    }
    batch->eof = true;
    return true;
}

static char *coroutine_fn toy_co_readlink(Filesystem *fs, FsIno ino, GError **errp)
{
    return g_strdup(toy_files[ino - 1].target);
}

static const FsDriver fs_toy = {
    .name = "toy",
    .fs_co_probe = toy_co_probe,
    .fs_co_open = toy_co_open,
    .fs_co_stat = toy_co_stat,
    .fs_co_readdir = toy_co_readdir,
    .fs_co_readlink = toy_co_readlink,
};
fs_init(fs_toy);

static bool coroutine_fn broken_co_probe(BlockBackend *blk, FsIdent *ident)
{
    char magic[sizeof(TOY_BROKEN_MAGIC)] = "";

    ident->type = "brokenfs";
    return blk_co_pread(blk, 0, sizeof(magic) - 1, magic) >= 0 &&
           !strcmp(magic, TOY_BROKEN_MAGIC);
}

static const FsDriver fs_broken = {
    .name = "broken",
    .fs_co_probe = broken_co_probe,
};
fs_init(fs_broken);

static void put_partition(MbrSector *mbr, unsigned i, uint32_t at, uint32_t bytes)
{
    mbr->entries[i].type = 0x83;
    mbr->entries[i].first_lba = le32_make(at / 512);
    mbr->entries[i].sectors = le32_make(bytes / 512);
}

static BlockBackend *open_bytes(const uint8_t *data)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, DISK_BYTES);
    g_autoptr(BlockDriverState) bs = bdrv_new_memory(bytes, "disk");

    return blk_new(bs);
}

/* Three partitions: a toy, what is not known, and what is known but cannot be read. */
static BlockBackend *open_disk(void)
{
    g_autofree uint8_t *data = g_malloc0(DISK_BYTES);
    MbrSector *mbr = (MbrSector *)data;

    for (unsigned i = 0; i < 3; i++) {
        put_partition(mbr, i, FIRST_BYTES * (i + 1), FIRST_BYTES);
    }
    mbr->signature[0] = 0x55;
    mbr->signature[1] = 0xaa;
    memcpy(data + FIRST_BYTES, TOY_MAGIC, strlen(TOY_MAGIC));
    memcpy(data + 3 * FIRST_BYTES, TOY_BROKEN_MAGIC, strlen(TOY_BROKEN_MAGIC));
    return open_bytes(data);
}

static BlockBackend *open_bare(void)
{
    g_autofree uint8_t *data = g_malloc0(DISK_BYTES);

    memcpy(data, TOY_MAGIC, strlen(TOY_MAGIC));
    return open_bytes(data);
}

static void coroutine_fn expect_ino(FsTree *tree, const char *path, unsigned flags,
                                    FsIno ino)
{
    g_autoptr(GError) error = NULL;
    FsNode node;

    ck_assert_msg(fs_tree_co_resolve(tree, path, flags, &node, &error), "%s: %s", path,
                  error ? error->message : "");
    ck_assert_msg(node.ino == ino, "%s is inode %" PRIu64, path, node.ino);
    ck_assert(!node.fs == !ino);
}

static void coroutine_fn expect_error(FsTree *tree, const char *path, EmbrError code,
                                      const char *message)
{
    g_autoptr(GError) error = NULL;
    FsNode node;

    ck_assert_msg(!fs_tree_co_resolve(tree, path, 0, &node, &error), "%s is found",
                  path);
    ck_assert_msg(g_error_matches(error, EMBR_ERROR, code) &&
                      strstr(error->message, message),
                  "%s: %s", path, error->message);
}

static void coroutine_fn co_test_paths(void *opaque)
{
    g_autoptr(BlockBackend) disk = open_disk();
    g_autoptr(GError) error = NULL;
    g_autoptr(FsTree) tree = fs_tree_co_open(disk, &error);

    ck_assert_ptr_nonnull(tree);
    ck_assert(!fs_tree_is_bare(tree));
    ck_assert_uint_eq(fs_tree_volumes(tree)->volumes->len, 3);
    for (const char *const *top =
             (const char *const[]){"/", "", "//", "/.", "/..", "..", NULL};
         *top; top++) {
        expect_ino(tree, *top, 0, 0);
    }
    for (const char *const *root =
             (const char *const[]){"/p1", "p1", "p1/", "//p1//.", "/p1/..",
                                   "/p1/etc/../..", NULL};
         *root; root++) {
        expect_ino(tree, *root, 0, 1);
    }
    expect_ino(tree, "/p1/etc/passwd", 0, 3);
    expect_ino(tree, "/p1/lib/libc", 0, 7);
    expect_ino(tree, "/p1/lib", 0, 6);
    expect_ino(tree, "/p1/lib", FS_RESOLVE_NOFOLLOW, 4);
    expect_ino(tree, "/p1/lib/", FS_RESOLVE_NOFOLLOW, 6);
    expect_ino(tree, "/p1/lib/absolute", 0, 3);
    expect_ino(tree, "/p1/lib/up/passwd", 0, 3);
    expect_ino(tree, "/p1/slashes/../lib/./libc", 0, 7);
    expect_ino(tree, "/p1/lib/..", 0, 5);
    ck_assert_uint_eq(opened, 1);
    opened = 0;
}

static void coroutine_fn co_test_errors(void *opaque)
{
    g_autoptr(BlockBackend) disk = open_disk();
    g_autoptr(FsTree) tree = fs_tree_co_open(disk, NULL);

    expect_error(tree, "/p1/nothing", EMBR_ERROR_NOT_FOUND,
                 "disk: /p1/nothing: no such file or directory");
    expect_error(tree, "/p1/dangling", EMBR_ERROR_NOT_FOUND,
                 "no such file or directory");
    expect_error(tree, "/p1/empty", EMBR_ERROR_NOT_FOUND, "leads nowhere");
    expect_error(tree, "/p1/loop", EMBR_ERROR_LIMIT, "more than 40 symbolic links");
    expect_error(tree, "/p1/etc/passwd/", EMBR_ERROR_NOT_FOUND, "not a directory");
    expect_error(tree, "/p1/etc/passwd/..", EMBR_ERROR_NOT_FOUND, "not a directory");
    expect_error(tree, "/p1/etc/through", EMBR_ERROR_NOT_FOUND, "not a directory");
    expect_error(tree, "/p4", EMBR_ERROR_NOT_FOUND, "no volume 'p4' on this disk");
    expect_error(tree, "/p01", EMBR_ERROR_NOT_FOUND, "no volume 'p01'");
    expect_error(tree, "/p+1", EMBR_ERROR_NOT_FOUND, "no volume");
    expect_error(tree, "/p", EMBR_ERROR_NOT_FOUND, "no volume");
    expect_error(tree, "/p4294967297", EMBR_ERROR_NOT_FOUND, "no volume");
    expect_error(tree, "/etc", EMBR_ERROR_NOT_FOUND, "no volume 'etc'");
    expect_error(tree, "/p2/x", EMBR_ERROR_FORMAT,
                 "disk: /p2: no filesystem was recognised");
    expect_error(tree, "/p3", EMBR_ERROR_UNSUPPORTED,
                 "disk: /p3: holds brokenfs, which this version cannot list or read");
}

static void count_warning(const char *text, void *opaque)
{
    ck_assert_str_eq(text, "a toy");
    ++*(unsigned *)opaque;
}

static void coroutine_fn co_test_bare(void *opaque)
{
    g_autoptr(BlockBackend) disk = open_bare();
    g_autoptr(FsTree) tree = fs_tree_co_open(disk, NULL);
    unsigned warnings = 0;

    ck_assert(fs_tree_is_bare(tree));
    fs_tree_foreach_warning(tree, count_warning, &warnings);
    ck_assert_uint_eq(warnings, 0);
    expect_ino(tree, "/", 0, 1);
    expect_ino(tree, "/..", 0, 1);
    expect_ino(tree, "/lib/absolute", 0, 3);
    expect_error(tree, "/p1", EMBR_ERROR_NOT_FOUND,
                 "disk: /p1: no such file or directory");
    fs_tree_foreach_warning(tree, count_warning, &warnings);
    ck_assert_uint_eq(warnings, 1);
}

static void coroutine_fn co_test_unrecognised(void *opaque)
{
    g_autofree uint8_t *data = g_malloc0(DISK_BYTES);
    g_autoptr(BlockBackend) disk = open_bytes(data);
    g_autoptr(FsTree) tree = fs_tree_co_open(disk, NULL);

    ck_assert(fs_tree_is_bare(tree));
    expect_error(tree, "/", EMBR_ERROR_FORMAT, "disk: no filesystem was recognised");
}

typedef struct Opener {
    FsTree *tree;
    unsigned *left;
} Opener;

static void coroutine_fn co_open_at_once(void *opaque)
{
    Opener *o = opaque;
    Volume *volume = g_ptr_array_index(fs_tree_volumes(o->tree)->volumes, 0);

    ck_assert_ptr_nonnull(fs_tree_co_filesystem(o->tree, volume, NULL));
    --*o->left;
}

/* Two who want the same volume get the same filesystem. */
static void coroutine_fn co_test_concurrent(void *opaque)
{
    g_autoptr(BlockBackend) disk = open_disk();
    g_autoptr(FsTree) tree = fs_tree_co_open(disk, NULL);
    unsigned left = 2;
    Opener o = {tree, &left};

    opened = 0;
    coroutine_enter(coroutine_create(co_open_at_once, &o));
    coroutine_enter(coroutine_create(co_open_at_once, &o));
    while (left) {
        aio_co_reschedule_self();
    }
    ck_assert_uint_eq(opened, 1);
}

static CoroutineEntry *const tests[] = {
    co_test_paths,        co_test_errors,     co_test_bare,
    co_test_unrecognised, co_test_concurrent,
};

START_TEST(test_tree)
{
    g_autoptr(AioContext) ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);

    ck_assert_ptr_nonnull(ctx);
    aio_run(ctx, tests[_i], NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tree");
    TCase *tcase = tcase_create("tree");
    SRunner *runner = srunner_create(suite);

    tcase_add_loop_test(tcase, test_tree, 0, G_N_ELEMENTS(tests));
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
