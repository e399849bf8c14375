/* Btrfs' checksums, inode numbers, superblocks, chunks, tree blocks, compressed
 * extents.
 */
#include <check.h>
#include <zlib.h>
#include <zstd.h>
#include "embr-config.h"
#include "fs/btrfs/btrfs.h"

#ifdef CONFIG_LZO
#include <lzo/lzo1x.h>
#endif

enum { NODE_BYTES = 16384, SECTOR_BYTES = 4096 };

static void check_sum(BtrfsCsumType type, const char *expected)
{
    uint8_t sum[BTRFS_CSUM_BYTES];
    g_autoptr(GString) hex = g_string_new(NULL);

    btrfs_csum(type, "123456789", 9, sum);
    for (unsigned i = 0; i < btrfs_csum_bytes(type); i++) {
        g_string_append_printf(hex, "%02x", sum[i]);
    }
    ck_assert_str_eq(hex->str, expected);
}

START_TEST(test_checksums)
{
    check_sum(BTRFS_CSUM_CRC32C, "839206e3");
    check_sum(BTRFS_CSUM_XXHASH64, "83aee640db41b88c");
    check_sum(BTRFS_CSUM_SHA256,
              "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225");
    check_sum(BTRFS_CSUM_BLAKE2B,
              "16e0bf1f85594a11e75030981c0b670370b3ad83a43f49ae58a2fd6f6513cde9");
    /* "btrfs inspect-internal dump-tree" says so of the entry that is always there. */
    ck_assert_uint_eq(btrfs_name_hash("default", 7), 2378154706);
}
END_TEST

static void check_ino(uint64_t tree, uint64_t objectid, FsIno expected)
{
    uint64_t same_tree, same_objectid;

    ck_assert_uint_eq(btrfs_ino_make(tree, objectid), expected);
    ck_assert_int_eq(btrfs_ino_split(expected, &same_tree, &same_objectid),
                     BTRFS_INO_FILE);
    ck_assert_uint_eq(same_tree, tree);
    ck_assert_uint_eq(same_objectid, objectid);
}

START_TEST(test_inode_numbers)
{
    uint64_t tree, objectid;

    check_ino(5, 256, 256);
    check_ino(5, (UINT64_C(1) << 61) - 1, (UINT64_C(1) << 61) - 1);
    check_ino(256, 256, UINT64_C(1) << 62 | UINT64_C(256) << 38 | 256);
    check_ino(0xffffff, (UINT64_C(1) << 38) - 1, (UINT64_C(1) << 63) - 1);
    ck_assert_uint_eq(btrfs_ino_make(5, UINT64_C(1) << 61), 0);
    ck_assert_uint_eq(btrfs_ino_make(0x1000000, 256), 0);
    ck_assert_uint_eq(btrfs_ino_make(256, UINT64_C(1) << 38), 0);

    FsIno stub = btrfs_ino_make_stub(258, 257);

    ck_assert_int_eq(btrfs_ino_split(stub, &tree, &objectid), BTRFS_INO_STUB);
    ck_assert_uint_eq(tree, 258);
    ck_assert_uint_eq(objectid, 257);
    ck_assert_uint_ne(stub, btrfs_ino_make_stub(257, 258));
    ck_assert_uint_eq(btrfs_ino_make_stub(0x1000000, 1), 0);
    /* Not two numbers of one file; nor what is beyond the bits. */
    ck_assert_int_eq(
        btrfs_ino_split(UINT64_C(1) << 62 | UINT64_C(5) << 38 | 256, &tree, &objectid),
        BTRFS_INO_NONE);
    ck_assert_int_eq(btrfs_ino_split(UINT64_MAX, &tree, &objectid), BTRFS_INO_NONE);
}
END_TEST

static BtrfsState *new_state(void)
{
    static Filesystem fs;
    static BtrfsState s;
    g_autoptr(GBytes) bytes = g_bytes_new_static("", 0);
    g_autoptr(BlockDriverState) bs = bdrv_new_memory(bytes, "disk");

    fs.blk = blk_new(bs);
    s = (BtrfsState){.fs = &fs};
    s.geo.sector_bytes = SECTOR_BYTES;
    s.geo.node_bytes = NODE_BYTES;
    s.geo.devid = 1;
    s.chunks = g_array_new(FALSE, FALSE, sizeof(BtrfsChunk));
    s.stripes = g_array_new(FALSE, FALSE, sizeof(BtrfsDeviceRange));
    return &s;
}

static void free_state(BtrfsState *s)
{
    blk_unref(s->fs->blk);
    g_array_unref(s->chunks);
    g_array_unref(s->stripes);
}

static void fill_super(BtrfsSuper *raw)
{
    memset(raw, 0, sizeof(*raw));
    memcpy(raw->magic, BTRFS_MAGIC, sizeof(raw->magic));
    raw->bytenr = le64_make(BTRFS_SUPER_OFFSET_BYTES);
    raw->num_devices = le64_make(1);
    raw->sectorsize = le32_make(SECTOR_BYTES);
    raw->nodesize = le32_make(NODE_BYTES);
    raw->incompat_flags = le64_make(BTRFS_INCOMPAT_NO_HOLES);
}

static bool parses(BtrfsState *s, BtrfsSuper *raw, bool seal, EmbrError code)
{
    g_autoptr(GError) error = NULL;
    BtrfsGeometry geo;

    if (seal) {
        btrfs_csum(le16_get(raw->csum_type) & 3, raw->fsid,
                   sizeof(*raw) - sizeof(raw->csum), raw->csum);
    }

    bool ok =
        btrfs_super_parse(s, (uint8_t *)raw, BTRFS_SUPER_OFFSET_BYTES, &geo, &error);

    ck_assert(ok == !error);
    ck_assert(ok || g_error_matches(error, EMBR_ERROR, code));
    return ok;
}

START_TEST(test_super)
{
    BtrfsState *s = new_state();
    g_autofree BtrfsSuper *raw = g_new(BtrfsSuper, 1);

#define REFUSED(code, change)                                                          \
    do {                                                                               \
        fill_super(raw);                                                               \
        change;                                                                        \
        ck_assert_msg(!parses(s, raw, true, EMBR_ERROR_##code), "%s", #change);        \
    } while (0)

    for (unsigned type = 0; type < 4; type++) {
        fill_super(raw);
        raw->csum_type = le16_make(type);
        ck_assert(parses(s, raw, true, 0));
        raw->label[0] ^= 1;
        ck_assert(!parses(s, raw, false, EMBR_ERROR_CORRUPT));
    }
    REFUSED(FORMAT, raw->magic[0] = 'b');
    REFUSED(UNSUPPORTED, raw->csum_type = le16_make(4));
    REFUSED(UNSUPPORTED, raw->num_devices = le64_make(2));
    REFUSED(UNSUPPORTED, raw->num_devices = le64_make(0));
    REFUSED(UNSUPPORTED, raw->incompat_flags = le64_make(BTRFS_INCOMPAT_ZONED));
    REFUSED(UNSUPPORTED, raw->incompat_flags = le64_make(UINT64_C(1) << 63));
    REFUSED(UNSUPPORTED, raw->flags = le64_make(UINT64_C(1) << 35));
    REFUSED(CORRUPT, raw->bytenr = le64_make(BTRFS_SUPER_COPY_1_BYTES));
    REFUSED(CORRUPT, raw->sectorsize = le32_make(0));
    REFUSED(CORRUPT, raw->sectorsize = le32_make(512));
    REFUSED(CORRUPT, raw->sectorsize = le32_make(32768)); /* more than a node */
    REFUSED(CORRUPT, raw->nodesize = le32_make(131072));
    REFUSED(CORRUPT, raw->nodesize = le32_make(12288));
    REFUSED(CORRUPT, raw->root_level = 8);
    REFUSED(CORRUPT, raw->chunk_root_level = 8);
    REFUSED(CORRUPT, raw->sys_chunk_array_size = le32_make(2049));
    free_state(s);
}
END_TEST

/* A chunk of two copies at logical, 1 MiB long. */
static void add_chunk(BtrfsState *s, uint64_t logical, uint64_t type, unsigned stripes,
                      uint64_t devid)
{
    uint8_t *at = s->geo.system_chunks + s->geo.system_chunks_bytes;
    BtrfsDiskKey *key = (BtrfsDiskKey *)at;
    BtrfsChunkItem *item = (BtrfsChunkItem *)(key + 1);

    key->objectid = le64_make(BTRFS_FIRST_FREE_OBJECT);
    key->type = BTRFS_CHUNK_ITEM;
    key->offset = le64_make(logical);
    *item = (BtrfsChunkItem){
        .length = le64_make(1 << 20),
        .type = le64_make(type),
        .num_stripes = le16_make(stripes),
    };
    for (unsigned i = 0; i < stripes; i++) {
        item->stripes[i].devid = le64_make(devid);
        item->stripes[i].offset = le64_make(logical * 4 + (i << 21));
    }
    s->geo.system_chunks_bytes +=
        sizeof(*key) + sizeof(*item) + stripes * sizeof(BtrfsStripe);
}

START_TEST(test_chunks)
{
    BtrfsState *s = new_state();
    uint64_t physical;

    add_chunk(s, 8 << 20, BTRFS_GROUP_SYSTEM | BTRFS_GROUP_DUP, 2, 1);
    add_chunk(s, 4 << 20, BTRFS_GROUP_DATA, 1, 1);
    ck_assert(btrfs_chunks_from_super(s, NULL));
    ck_assert(btrfs_chunk_map(s, (8 << 20) + 5, 10, 1, &physical, NULL));
    ck_assert_uint_eq(physical, (32 << 20) + (2 << 20) + 5);
    ck_assert_uint_eq(btrfs_chunk_copies(s, 8 << 20), 2);
    ck_assert_uint_eq(btrfs_chunk_copies(s, 4 << 20), 1);
    ck_assert_uint_eq(btrfs_chunk_copies(s, (5 << 20) + 1), 0);
    ck_assert(!btrfs_chunk_map(s, 4 << 20, 1, 1, &physical, NULL));
    ck_assert(!btrfs_chunk_map(s, 4 << 20, (1 << 20) + 1, 0, &physical, NULL));
    ck_assert(!btrfs_chunk_map(s, UINT64_MAX, UINT64_MAX, 0, &physical, NULL));
    ck_assert_uint_eq(btrfs_device_range_find(s, 0)->logical, 4 << 20);
    ck_assert_uint_eq(btrfs_device_range_find(s, (16 << 20) + 5)->logical, 4 << 20);
    ck_assert_uint_eq(btrfs_device_range_find(s, (17 << 20))->logical, 8 << 20);
    ck_assert_ptr_null(btrfs_device_range_find(s, UINT64_MAX));

    const struct {
        uint64_t type;
        unsigned stripes;
        uint64_t devid;
        EmbrError code;
    } bad[] = {
        {BTRFS_GROUP_RAID5, 1, 1, EMBR_ERROR_UNSUPPORTED},
        {BTRFS_GROUP_RAID0, 2, 1, EMBR_ERROR_UNSUPPORTED},
        {BTRFS_GROUP_RAID1, 2, 2, EMBR_ERROR_UNSUPPORTED},
        {0, 2, 1, EMBR_ERROR_CORRUPT},
        {BTRFS_GROUP_DUP, 0, 1, EMBR_ERROR_CORRUPT},
        {BTRFS_GROUP_DUP, 5, 1, EMBR_ERROR_CORRUPT},
        {BTRFS_GROUP_DUP | BTRFS_GROUP_RAID1, 2, 1, EMBR_ERROR_CORRUPT},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        s->geo.system_chunks_bytes = 0;
        add_chunk(s, 16 << 20, bad[i].type, bad[i].stripes, bad[i].devid);
        ck_assert(!btrfs_chunks_from_super(s, &error));
        ck_assert(g_error_matches(error, EMBR_ERROR, bad[i].code));
    }
    for (uint32_t cut = 1; cut < s->geo.system_chunks_bytes; cut += 7) {
        s->geo.system_chunks_bytes -= cut;
        ck_assert(!btrfs_chunks_from_super(s, NULL));
        s->geo.system_chunks_bytes += cut;
    }
    free_state(s);
}
END_TEST

static void fill_leaf(uint8_t *node)
{
    BtrfsHeader *head = (BtrfsHeader *)node;
    BtrfsItem *items = (BtrfsItem *)(head + 1);

    memset(node, 0, NODE_BYTES);
    head->bytenr = le64_make(1 << 20);
    head->nritems = le32_make(2);
    for (unsigned i = 0; i < 2; i++) {
        items[i].key.objectid = le64_make(256 + i);
        items[i].offset = le32_make(NODE_BYTES - sizeof(*head) - 10 * (i + 1));
        items[i].size = le32_make(10);
    }
}

START_TEST(test_nodes)
{
    BtrfsState *s = new_state();
    g_autofree uint8_t *node = g_malloc(NODE_BYTES);
    BtrfsHeader *head = (BtrfsHeader *)node;
    BtrfsItem *items = (BtrfsItem *)(head + 1);
    BtrfsKeyPtr *pointers = (BtrfsKeyPtr *)(head + 1);

#define NODE_IS(good, change)                                                          \
    do {                                                                               \
        fill_leaf(node);                                                               \
        change;                                                                        \
        btrfs_csum(BTRFS_CSUM_CRC32C, node + 32, NODE_BYTES - 32, head->csum);         \
        ck_assert_msg(btrfs_node_check(s, node, 1 << 20, NULL) == good, "%s",          \
                      #change);                                                        \
    } while (0)

    NODE_IS(true, (void)0);
    NODE_IS(false, head->bytenr = le64_make(2 << 20));
    NODE_IS(false, head->fsid[0] = 1);
    NODE_IS(false, head->level = 8);
    NODE_IS(false, head->nritems = le32_make(UINT32_MAX));
    NODE_IS(false, items[1].key.objectid = le64_make(256));
    NODE_IS(false, items[0].size = le32_make(11));
    NODE_IS(false, items[0].offset = le32_make(49));
    NODE_IS(false, items[0].offset = le32_make(UINT32_MAX));
    NODE_IS(false, (head->level = 1, head->nritems = le32_make(0)));
    NODE_IS(true, head->nritems = le32_make(0));
    NODE_IS(true, (head->level = 1, head->nritems = le32_make(1),
                   pointers[0].blockptr = le64_make(1 << 20)));
    NODE_IS(false, (head->level = 1, head->nritems = le32_make(1),
                    pointers[0].blockptr = le64_make((1 << 20) + 1)));
    fill_leaf(node);
    ck_assert(!btrfs_node_check(s, node, 1 << 20, NULL)); /* no checksum */
    free_state(s);
}
END_TEST

static size_t pack_lzo(const uint8_t *in, size_t bytes, uint8_t *out)
{
    size_t pos = 4;
#ifdef CONFIG_LZO
    g_autofree uint8_t *work = g_malloc(LZO1X_1_MEM_COMPRESS);

    for (size_t at = 0; at < bytes; at += SECTOR_BYTES) {
        lzo_uint len;
        size_t left = SECTOR_BYTES - pos % SECTOR_BYTES;

        if (left < 4) {
            memset(out + pos, 0, left);
            pos += left;
        }
        lzo1x_1_compress(in + at, MIN(SECTOR_BYTES, bytes - at), out + pos + 4, &len,
                         work);
        le32_store(out + pos, len);
        pos += 4 + len;
    }
#endif
    le32_store(out, pos);
    return pos;
}

/* What the kernel would have on the disk. */
static size_t pack(BtrfsCompression compression, const uint8_t *in, size_t bytes,
                   uint8_t *out, size_t room)
{
    uLongf n = room;

    switch (compression) {
    case BTRFS_COMPRESS_ZLIB:
        ck_assert_int_eq(compress2(out, &n, in, bytes, 3), Z_OK);
        return n;
    case BTRFS_COMPRESS_ZSTD:
        return ZSTD_compress(out, room, in, bytes, 3);
    default:
        return pack_lzo(in, bytes, out);
    }
}

START_TEST(test_decompress)
{
    enum { BYTES = 131072, ROOM = 200000 };
    g_autofree uint8_t *in = g_malloc(BYTES), *out = g_malloc(BYTES);
    g_autofree uint8_t *packed = g_malloc0(ROOM);

    for (unsigned i = 0; i < BYTES; i++) {
        in[i] = (i * i >> 7) % 61 ^ (i >> 9);
    }
    for (unsigned kind = BTRFS_COMPRESS_ZLIB; kind <= BTRFS_COMPRESS_ZSTD; kind++) {
        if (!btrfs_can_decompress(kind)) {
            continue;
        }

        static const unsigned lengths[] = {1, 100, 4095, 4096, 4097, 50000, BYTES};

        for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
            unsigned len = lengths[i];
            size_t n = pack(kind, in, len, packed, ROOM);
            size_t padded = round_up_pow2(n, SECTOR_BYTES);

            /* On the device, whole sectors. */
            memset(packed + n, 0, padded - n);
            ck_assert(btrfs_decompress(kind, SECTOR_BYTES, packed, padded, out, len));
            ck_assert_mem_eq(out, in, len);
            /* Only its first bytes. */
            ck_assert(
                btrfs_decompress(kind, SECTOR_BYTES, packed, n, out, (len + 1) / 2));
            ck_assert_mem_eq(out, in, (len + 1) / 2);
            /* What is missing is zeroes. */
            memset(out, 0xff, BYTES);
            if (len < BYTES) {
                ck_assert(
                    btrfs_decompress(kind, SECTOR_BYTES, packed, padded, out, BYTES));
                ck_assert_mem_eq(out, in, len);
                ck_assert(buffer_is_zero(out + len, BYTES - len));
            }
        }
        size_t n = pack(kind, in, BYTES, packed, ROOM);

        for (size_t cut = 0; cut < n; cut += 997) {
            ck_assert(!btrfs_decompress(kind, SECTOR_BYTES, packed, cut, out, BYTES));
        }
        for (unsigned i = 0; i < 2000; i++) {
            unsigned at = i * 7919 % n;

            packed[at] ^= 1 << i % 8;
            btrfs_decompress(kind, SECTOR_BYTES, packed, n, out, BYTES);
        }
    }
    ck_assert(!btrfs_decompress(BTRFS_COMPRESS_NONE, SECTOR_BYTES, in, 1, out, 1));
}
END_TEST

START_TEST(test_entries)
{
    uint8_t item[2 * (sizeof(BtrfsDirItem) + 5)] = {0};
    BtrfsDirItem *first = (BtrfsDirItem *)item;
    BtrfsDirItem *second = (BtrfsDirItem *)(item + sizeof(item) / 2);
    BtrfsDirEntry entry;
    uint32_t pos = 0;

    first->name_len = le16_make(5);
    memcpy(first + 1, "first", 5);
    second->name_len = le16_make(3);
    second->data_len = le16_make(2);
    memcpy(second + 1, "namev!", 5);
    ck_assert(btrfs_dir_entry(item, sizeof(item), &pos, &entry));
    ck_assert_uint_eq(entry.name_len, 5);
    ck_assert(btrfs_dir_entry(item, sizeof(item), &pos, &entry));
    ck_assert_uint_eq(pos, sizeof(item));
    ck_assert_mem_eq(entry.data, "ev", 2);
    ck_assert(!btrfs_dir_entry(item, sizeof(item), &pos, &entry));
    second->data_len = le16_make(3);
    pos = sizeof(item) / 2;
    ck_assert(!btrfs_dir_entry(item, sizeof(item), &pos, &entry));
    second->data_len = second->name_len = le16_make(UINT16_MAX);
    ck_assert(!btrfs_dir_entry(item, sizeof(item), &pos, &entry));
}
END_TEST

START_TEST(test_overlay)
{
    g_autoptr(BtrfsOverlay) o = btrfs_overlay_new();
    const BtrfsKey keys[] = {{256, 1, 0}, {256, 96, 2}, {256, 96, 5}, {257, 1, 0}};
    BtrfsKey key = {256, 96, 3};

    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        btrfs_overlay_set(o, &keys[i], "text", 4);
        btrfs_overlay_set(o, &keys[i], &i, sizeof(i));
    }
    btrfs_overlay_claim(o, 256);
    ck_assert(btrfs_overlay_has(o, 256));
    ck_assert(!btrfs_overlay_has(o, 257));
    ck_assert_uint_eq(btrfs_overlay_get(o, 256, 96, 5)->data[0], 2);
    ck_assert_ptr_null(btrfs_overlay_get(o, 256, 96, 3));
    ck_assert_uint_eq(btrfs_overlay_first(o, &key)->data[0], 2);
    ck_assert_uint_eq(btrfs_overlay_last(o, &key)->data[0], 1);
    ck_assert_uint_eq(btrfs_overlay_next(o, &keys[2])->data[0], 3);
    ck_assert_ptr_null(btrfs_overlay_next(o, &keys[3]));
    ck_assert_uint_eq(btrfs_overlay_last(o, &BTRFS_KEY_MAX)->data[0], 3);
    ck_assert_ptr_null(btrfs_overlay_next_of(o, &keys[2]));
    ck_assert_ptr_null(btrfs_overlay_first_of(o, 256, 95, 0));
    btrfs_overlay_remove(o, &keys[2]);
    ck_assert_ptr_null(btrfs_overlay_first_of(o, 256, 96, 3));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("btrfs");
    TCase *tcase = tcase_create("btrfs");

    tcase_add_test(tcase, test_checksums);
    tcase_add_test(tcase, test_inode_numbers);
    tcase_add_test(tcase, test_super);
    tcase_add_test(tcase, test_chunks);
    tcase_add_test(tcase, test_nodes);
    tcase_add_test(tcase, test_decompress);
    tcase_add_test(tcase, test_entries);
    tcase_add_test(tcase, test_overlay);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);

    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}
