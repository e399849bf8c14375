/* XFS's checksums, times, access control lists, hashes of names; superblocks, inodes.
 */
#include <check.h>
#include "fs/xfs/xfs.h"

enum { INODE_BYTES = 512 };

START_TEST(test_checksum)
{
    static const uint8_t data[] = "12345\xff\xff\xff\xff"
                                  "6789";
    static const uint8_t zeroed[] = "12345\0\0\0\0"
                                    "6789\xc7\x37\x29\x42";

    /* What the field holds does not matter. */
    ck_assert_uint_eq(xfs_crc(data, 13, 5), xfs_crc(zeroed, 13, 5));
    /* The check value of CRC-32C of 32 bytes of zeroes. */
    ck_assert_uint_eq(xfs_crc((const uint8_t[32]){0}, 32, 8), 0x8a9136aa);
}
END_TEST

static void check_time(uint64_t raw, bool is_big, int64_t sec, uint32_t nsec)
{
    FsTime time = xfs_time(raw, is_big);

    ck_assert_int_eq(time.sec, sec);
    ck_assert_uint_eq(time.nsec, nsec);
}

START_TEST(test_times)
{
    check_time(0, false, 0, 0);
    check_time(UINT64_C(0x7fffffff) << 32 | 999999999, false, INT32_MAX, 999999999);
    check_time(UINT64_C(0x80000000) << 32 | 1, false, INT32_MIN, 1);
    check_time(UINT64_C(5) << 32 | UINT32_MAX, false, 5, 999999999); /* no such one */
    check_time(0, true, INT32_MIN, 0);
    check_time(UINT64_C(2147483648) * 1000000000, true, 0, 0);
    check_time(UINT64_C(2147483648) * 1000000000 - 1, true, -1, 999999999);
    check_time(UINT64_MAX, true, INT64_C(16299260425), 709551615); /* in 2486 */
}
END_TEST

START_TEST(test_acl)
{
    static const uint8_t disk[] = {
        0,    0,    0, 3, /* entries */
        0,    0,    0, 1,  0xff, 0xff,
        0xff, 0xff, 0, 7,  0,    0, /* the owner */
        0,    0,    0, 2,  0,    0,
        3,    0xe8, 0, 5,  0,    0, /* user 1000 */
        0,    0,    0, 32, 0,    0,
        0,    9,    0, 4,  0,    0, /* others: the number says nothing */
    };
    static const uint8_t expected[] = {
        2, 0, 0,    0, 1, 0, 7,  0, 0xff, 0xff, 0xff, 0xff, 2,    0,
        5, 0, 0xe8, 3, 0, 0, 32, 0, 4,    0,    0xff, 0xff, 0xff, 0xff,
    };
    g_autoptr(GBytes) xattr = xfs_acl_to_xattr(disk, sizeof(disk));

    ck_assert_ptr_nonnull(xattr);
    ck_assert_uint_eq(g_bytes_get_size(xattr), sizeof(expected));
    ck_assert_mem_eq(g_bytes_get_data(xattr, NULL), expected, sizeof(expected));
    for (size_t len = 0; len < sizeof(disk); len++) {
        ck_assert_ptr_null(xfs_acl_to_xattr(disk, len));
    }

    uint8_t odd[sizeof(disk)];

    memcpy(odd, disk, sizeof(disk));
    odd[7] = 3; /* no such tag */
    ck_assert_ptr_null(xfs_acl_to_xattr(odd, sizeof(odd)));
}
END_TEST

START_TEST(test_hashes)
{
    /* xfs_db's "hash" says so. */
    ck_assert_uint_eq(xfs_name_hash("", 0), 0);
    ck_assert_uint_eq(xfs_name_hash(".", 1), 0x2e);
    ck_assert_uint_eq(xfs_name_hash("..", 2), 0x172e);
    ck_assert_uint_eq(xfs_name_hash("attribute_267", 13), 0x3437d1a8);
    ck_assert_uint_eq(xfs_name_hash("\xff\x80", 2), 0x7f00);
}
END_TEST

/* A filesystem of two groups, as far as a superblock says. */
static void fill_super(uint8_t sector[XFS_SUPER_BYTES])
{
    XfsSuper *raw = (XfsSuper *)sector;

    memset(sector, 0, XFS_SUPER_BYTES);
    raw->magicnum = be32_make(XFS_SUPER_MAGIC);
    raw->versionnum = be16_make(0xb4a5);
    raw->blocksize = be32_make(4096);
    raw->blocklog = 12;
    raw->sectsize = be16_make(512);
    raw->inodesize = be16_make(INODE_BYTES);
    raw->inopblog = 3;
    raw->agblocks = be32_make(5000);
    raw->agblklog = 13;
    raw->agcount = be32_make(2);
    raw->dblocks = be64_make(9000);
    raw->rootino = be64_make(128);
    raw->features_incompat = be32_make(XFS_INCOMPAT_FTYPE);
    memset(raw->uuid, 7, XFS_UUID_BYTES);
}

static XfsState *new_state(void)
{
    static Filesystem fs;
    static XfsState s;
    g_autoptr(GBytes) bytes = g_bytes_new_static("", 0);
    g_autoptr(BlockDriverState) bs = bdrv_new_memory(bytes, "disk");

    fs.blk = blk_new(bs);
    s = (XfsState){.fs = &fs};
    return &s;
}

static bool parses(XfsState *s, const uint8_t *sector, EmbrError code)
{
    g_autoptr(GError) error = NULL;
    XfsGeometry geo;
    bool ok = xfs_super_parse(s, sector, &geo, &error);

    ck_assert(ok == !error);
    ck_assert(ok || g_error_matches(error, EMBR_ERROR, code));
    return ok;
}

START_TEST(test_super)
{
    XfsState *s = new_state();
    uint8_t sector[XFS_SUPER_BYTES];
    XfsSuper *raw = (XfsSuper *)sector;

#define REFUSED(code, change)                                                          \
    do {                                                                               \
        fill_super(sector);                                                            \
        change;                                                                        \
        ck_assert_msg(!parses(s, sector, EMBR_ERROR_##code), "%s", #change);           \
    } while (0)

    fill_super(sector);
    ck_assert(parses(s, sector, 0));
    REFUSED(FORMAT, raw->magicnum = be32_make(1));
    REFUSED(UNSUPPORTED, raw->versionnum = be16_make(0xb4a3));
    REFUSED(UNSUPPORTED, raw->versionnum = be16_make(0x94a4)); /* old directories */
    REFUSED(UNSUPPORTED, raw->features_incompat = be32_make(XFS_INCOMPAT_METADIR));
    REFUSED(UNSUPPORTED, raw->features_incompat = be32_make(UINT32_C(1) << 31));
    REFUSED(CORRUPT, raw->inprogress = 1);
    REFUSED(CORRUPT, raw->blocksize = be32_make(4097));
    REFUSED(CORRUPT, raw->blocklog = 200);
    REFUSED(CORRUPT, raw->sectsize = be16_make(8192));
    REFUSED(CORRUPT, raw->sectsize = be16_make(0));
    REFUSED(CORRUPT, raw->inodesize = be16_make(0));
    REFUSED(CORRUPT, raw->inodesize = be16_make(256));
    REFUSED(CORRUPT, raw->inopblog = 255);
    REFUSED(CORRUPT, raw->dirblklog = 5);
    REFUSED(CORRUPT, raw->agblocks = be32_make(0));
    REFUSED(CORRUPT, raw->agcount = be32_make(0));
    REFUSED(CORRUPT, raw->agblklog = 12);
    REFUSED(CORRUPT, raw->agblklog = 14);
    REFUSED(CORRUPT, raw->agblklog = 70);
    REFUSED(CORRUPT, raw->dblocks = be64_make(10001));
    REFUSED(CORRUPT, raw->dblocks = be64_make(5000));
    REFUSED(CORRUPT, raw->dblocks = be64_make(UINT64_MAX));
    blk_unref(s->fs->blk);
}
END_TEST

START_TEST(test_blocks)
{
    XfsGeometry geo = {
        .ag_bits = 13, .ag_blocks = 5000, .ag_count = 2, .blocks_count = 9000};
    uint64_t block;

    ck_assert(xfs_block_locate(&geo, 8192 + 3999, 1, &block));
    ck_assert_uint_eq(block, 8999);
    ck_assert(xfs_block_locate(&geo, 1, 4999, &block));
    ck_assert_uint_eq(block, 1);
    ck_assert(!xfs_block_locate(&geo, 1, 5000, &block));
    ck_assert(!xfs_block_locate(&geo, 5000, 1, &block));
    ck_assert(!xfs_block_locate(&geo, 8192 + 4000, 1, &block));
    ck_assert(!xfs_block_locate(&geo, 2 * 8192, 1, &block));
    ck_assert(!xfs_block_locate(&geo, UINT64_MAX, 1, &block));
    ck_assert(!xfs_block_locate(&geo, 8192, UINT64_MAX, &block));
    ck_assert(!xfs_block_locate(&geo, 0, 1, &block)); /* the superblock's */
}
END_TEST

static void seal(uint8_t *raw)
{
    XfsInodeDisk *disk = (XfsInodeDisk *)raw;

    disk->crc = le32_make(xfs_crc(raw, INODE_BYTES, offsetof(XfsInodeDisk, crc)));
}

static void fill_inode(uint8_t raw[INODE_BYTES])
{
    XfsInodeDisk *disk = (XfsInodeDisk *)raw;

    memset(raw, 0, INODE_BYTES);
    disk->magic = be16_make(XFS_INODE_MAGIC);
    disk->version = 3;
    disk->mode = be16_make(S_IFREG | 0640);
    disk->format = XFS_FORK_EXTENTS;
    disk->aformat = XFS_FORK_EXTENTS;
    disk->nlink = be32_make(1);
    disk->ino = be64_make(131);
    disk->size = be64_make(12345);
    disk->nblocks = be64_make(4);
    memset(disk->uuid, 7, XFS_UUID_BYTES);
    seal(raw);
}

START_TEST(test_inode)
{
    XfsState *s = new_state();
    uint8_t sector[XFS_SUPER_BYTES], raw[INODE_BYTES];
    XfsInodeDisk *disk = (XfsInodeDisk *)raw;

    fill_super(sector);
    ck_assert(xfs_super_parse(s, sector, &s->geo, NULL));

#define INODE(change)                                                                  \
    (fill_inode(raw), change, seal(raw), xfs_inode_parse(s, 131, 0x10000, raw, NULL))
#define INODE_REFUSED(change)                                                          \
    do {                                                                               \
        g_autofree XfsInode *bad = INODE(change);                                      \
        ck_assert_msg(!bad, "%s", #change);                                            \
    } while (0)

    g_autofree XfsInode *plain = INODE((void)0);

    ck_assert_ptr_nonnull(plain);
    ck_assert_uint_eq(plain->stat.mode, S_IFREG | 0640);
    ck_assert_uint_eq(plain->stat.size, 12345);
    ck_assert_uint_eq(plain->stat.allocated, 4 * 4096);
    ck_assert_uint_eq(plain->data.bytes, INODE_BYTES - XFS_INODE_V3_BYTES);
    ck_assert_uint_eq(plain->attr.bytes, 0);

    g_autofree XfsInode *wide =
        INODE((disk->flags2 = be64_make(XFS_INODE2_NREXT64),
               disk->big_nextents = be64_make(UINT64_C(5) << 32),
               disk->nextents = be32_make(70000), disk->forkoff = 20));

    ck_assert_uint_eq(wide->data.extents, UINT64_C(5) << 32);
    ck_assert_uint_eq(wide->attr.extents, 70000);
    ck_assert_uint_eq(wide->data.bytes, 160);
    ck_assert_uint_eq(wide->attr.at, XFS_INODE_V3_BYTES + 160);

    g_autofree XfsInode *device =
        INODE((disk->mode = be16_make(S_IFBLK), disk->format = XFS_FORK_DEVICE,
               raw[176] = 0x10, raw[179] = 9));

    ck_assert_uint_eq(device->stat.rdev_major, 0x400);
    ck_assert_uint_eq(device->stat.rdev_minor, 9);

    INODE_REFUSED(disk->magic = be16_make(0));
    INODE_REFUSED(disk->version = 2);
    INODE_REFUSED(disk->ino = be64_make(132));
    INODE_REFUSED(disk->uuid[15] = 0);
    INODE_REFUSED(disk->mode = be16_make(0));
    INODE_REFUSED(disk->mode = be16_make(S_IFIFO));
    INODE_REFUSED(disk->mode = be16_make(0xf000));
    INODE_REFUSED(disk->format = XFS_FORK_LOCAL);
    INODE_REFUSED(disk->format = 7);
    INODE_REFUSED(disk->forkoff = 42);
    INODE_REFUSED((disk->forkoff = 20, disk->aformat = 0));
    INODE_REFUSED(disk->size = be64_make(UINT64_C(1) << 63));
    INODE_REFUSED(disk->nblocks = be64_make(9001));
    fill_inode(raw);
    raw[300] ^= 1;
    ck_assert_ptr_null(xfs_inode_parse(s, 131, 0x10000, raw, NULL));
    blk_unref(s->fs->blk);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("xfs");
    TCase *tcase = tcase_create("xfs");

    tcase_add_test(tcase, test_checksum);
    tcase_add_test(tcase, test_times);
    tcase_add_test(tcase, test_acl);
    tcase_add_test(tcase, test_hashes);
    tcase_add_test(tcase, test_super);
    tcase_add_test(tcase, test_blocks);
    tcase_add_test(tcase, test_inode);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);

    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}
