/* Squashfs: superblocks, decompressors. */
#include <check.h>
#include <zlib.h>
#include <zstd.h>
#include "embr-config.h"
#ifdef CONFIG_LZ4
#include <lz4.h>
#endif
#ifdef CONFIG_LZMA
#include <lzma.h>
#endif
#ifdef CONFIG_LZO
#include <lzo/lzo1x.h>
#endif
#include "fs/squashfs/squashfs.h"

enum { TEXT_BYTES = 5000, PACKED_MAX = 10000 };

static uint8_t text[TEXT_BYTES], packed[PACKED_MAX], unpacked[TEXT_BYTES + 1];

static void fill_text(void)
{
    for (unsigned i = 0; i < TEXT_BYTES; i++) {
        text[i] = "squashfs, packed"[i % 16] + i / 1000;
    }
}

/* What packed holds must unpack to the text; if it is damaged, cut or too long for where
 * it goes, that must be seen. */
static void check_codec(SquashfsCompression codec, size_t bytes)
{
    ck_assert(squashfs_codec_is_built_in(codec));
    ck_assert_uint_gt(bytes, 0);
    ck_assert_int_eq(
        squashfs_unpack(codec, packed, bytes, unpacked, sizeof(unpacked)), TEXT_BYTES);
    ck_assert_mem_eq(unpacked, text, TEXT_BYTES);
    ck_assert_int_eq(squashfs_unpack(codec, packed, bytes, unpacked, TEXT_BYTES),
                     TEXT_BYTES);
    ck_assert_int_eq(squashfs_unpack(codec, packed, bytes, unpacked, TEXT_BYTES - 1), -1);
    ck_assert_int_eq(squashfs_unpack(codec, packed, bytes / 2, unpacked, TEXT_BYTES), -1);
    ck_assert_int_eq(squashfs_unpack(codec, text + 3, 50, unpacked, TEXT_BYTES), -1);
}

START_TEST(test_zlib)
{
    uLongf bytes = sizeof(packed);

    ck_assert_int_eq(compress2(packed, &bytes, text, TEXT_BYTES, 9), Z_OK);
    check_codec(SQUASHFS_ZLIB, bytes);
    packed[bytes - 1] ^= 1; /* of the checksum */
    ck_assert_int_eq(
        squashfs_unpack(SQUASHFS_ZLIB, packed, bytes, unpacked, sizeof(unpacked)), -1);
}
END_TEST

START_TEST(test_zstd)
{
    check_codec(SQUASHFS_ZSTD,
                ZSTD_compress(packed, sizeof(packed), text, TEXT_BYTES, 3));
}
END_TEST

#ifdef CONFIG_LZ4
START_TEST(test_lz4)
{
    check_codec(SQUASHFS_LZ4,
                LZ4_compress_default((const char *)text, (char *)packed, TEXT_BYTES,
                                     sizeof(packed)));
}
END_TEST
#endif

#ifdef CONFIG_LZO
START_TEST(test_lzo)
{
    g_autofree void *memory = g_malloc0(LZO1X_1_MEM_COMPRESS);
    lzo_uint bytes = sizeof(packed);

    ck_assert_int_eq(lzo1x_1_compress(text, TEXT_BYTES, packed, &bytes, memory),
                     LZO_E_OK);
    check_codec(SQUASHFS_LZO, bytes);
}
END_TEST
#endif

#ifdef CONFIG_LZMA
static size_t run_encoder(lzma_stream *stream)
{
    stream->next_in = text;
    stream->avail_in = TEXT_BYTES;
    stream->next_out = packed;
    stream->avail_out = sizeof(packed);
    ck_assert_int_eq(lzma_code(stream, LZMA_FINISH), LZMA_STREAM_END);

    size_t bytes = sizeof(packed) - stream->avail_out;
    lzma_end(stream);
    return bytes;
}

START_TEST(test_xz)
{
    lzma_stream stream = LZMA_STREAM_INIT;

    ck_assert_int_eq(lzma_easy_encoder(&stream, 0, LZMA_CHECK_CRC32), LZMA_OK);
    check_codec(SQUASHFS_XZ, run_encoder(&stream));

    /* What asks for a dictionary that no block needs is not given the memory. */
    lzma_options_lzma options;
    lzma_filter filters[] = {{LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, NULL}};

    lzma_lzma_preset(&options, 0);
    options.dict_size = 64 << 20;
    ck_assert_int_eq(lzma_stream_encoder(&stream, filters, LZMA_CHECK_CRC32), LZMA_OK);

    size_t bytes = run_encoder(&stream);

    ck_assert_int_eq(squashfs_unpack(SQUASHFS_XZ, packed, bytes, unpacked, TEXT_BYTES),
                     -1);
}
END_TEST

START_TEST(test_lzma)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_options_lzma options;

    lzma_lzma_preset(&options, 0);
    ck_assert_int_eq(lzma_alone_encoder(&stream, &options), LZMA_OK);
    check_codec(SQUASHFS_LZMA, run_encoder(&stream));
}
END_TEST
#endif

START_TEST(test_names)
{
    ck_assert_str_eq(squashfs_codec_name(SQUASHFS_ZLIB), "gzip");
    ck_assert_str_eq(squashfs_codec_name(SQUASHFS_ZSTD), "zstd");
    ck_assert_ptr_null(squashfs_codec_name(0));
    ck_assert_ptr_null(squashfs_codec_name(7));
    ck_assert(!squashfs_codec_is_built_in(0));
    ck_assert(!squashfs_codec_is_built_in(UINT16_MAX));
}
END_TEST

static SquashfsState *new_state(void)
{
    static Filesystem fs;
    static SquashfsState s;
    g_autoptr(GBytes) bytes = g_bytes_new_static("", 0);
    g_autoptr(BlockDriverState) bs = bdrv_new_memory(bytes, "disk");

    fs.blk = blk_new(bs);
    s = (SquashfsState){.fs = &fs};
    return &s;
}

static SquashfsSuper good_super(void)
{
    return (SquashfsSuper){
        .magic = le32_make(SQUASHFS_MAGIC),
        .block_bytes = le32_make(131072),
        .block_bits = le16_make(17),
        .compression = le16_make(SQUASHFS_ZLIB),
        .ids = le16_make(1),
        .version_major = le16_make(4),
        .root = le64_make(20 << 16 | 7),
        .bytes_used = le64_make(1000),
        .inode_table = le64_make(200),
        .directory_table = le64_make(300),
        .id_table = le64_make(900),
        .xattr_table = le64_make(SQUASHFS_NO_TABLE),
    };
}

static void check_super(const SquashfsSuper *raw, EmbrError code)
{
    SquashfsState *s = new_state();
    SquashfsGeometry geo;
    GError *error = NULL;

    ck_assert(!squashfs_super_parse(s, raw, &geo, &error));
    ck_assert(g_error_matches(error, EMBR_ERROR, code));
    g_error_free(error);
    blk_unref(s->fs->blk);
}

START_TEST(test_super)
{
    SquashfsState *s = new_state();
    SquashfsSuper raw = good_super();
    SquashfsGeometry geo;

    ck_assert(squashfs_super_parse(s, &raw, &geo, NULL));
    ck_assert_uint_eq(geo.block_bytes, 131072);
    ck_assert_uint_eq(geo.bytes_used, 1000);
    ck_assert(!geo.shares_content);
    blk_unref(s->fs->blk);

    raw.magic = le32_make(0);
    check_super(&raw, EMBR_ERROR_FORMAT);
    raw = good_super();
    raw.version_minor = le16_make(1);
    check_super(&raw, EMBR_ERROR_UNSUPPORTED);
    raw = good_super();
    raw.compression = le16_make(99);
    check_super(&raw, EMBR_ERROR_UNSUPPORTED);
    raw = good_super();
    raw.block_bits = le16_make(16);
    check_super(&raw, EMBR_ERROR_CORRUPT);
    raw = good_super();
    raw.ids = le16_make(0);
    check_super(&raw, EMBR_ERROR_CORRUPT);
    raw = good_super();
    raw.directory_table = le64_make(200);
    check_super(&raw, EMBR_ERROR_CORRUPT);
    raw = good_super();
    raw.id_table = le64_make(1000);
    check_super(&raw, EMBR_ERROR_CORRUPT);
    raw = good_super();
    raw.root = le64_make(101 << 16);
    check_super(&raw, EMBR_ERROR_CORRUPT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("squashfs");
    TCase *tc = tcase_create("squashfs");

    fill_text();
    tcase_add_test(tc, test_zlib);
    tcase_add_test(tc, test_zstd);
#ifdef CONFIG_LZ4
    tcase_add_test(tc, test_lz4);
#endif
#ifdef CONFIG_LZO
    tcase_add_test(tc, test_lzo);
#endif
#ifdef CONFIG_LZMA
    tcase_add_test(tc, test_xz);
    tcase_add_test(tc, test_lzma);
#endif
    tcase_add_test(tc, test_names);
    tcase_add_test(tc, test_super);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
