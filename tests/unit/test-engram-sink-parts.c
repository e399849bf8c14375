/*
 * Parts of the sink by themselves: what bounds its memory and its time.
 */
#include <check.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "block/block-int.h"
#include "engram/sink-job.h"
#include "engram/sink-read.h"
#include "engram/sink.h"
#include "qapi/qapi-visit.h"
#include "tests/lib/run-in-coroutine.h"
#include "util/error.h"

static char *dir;

static void make_dir(void)
{
    dir = g_dir_make_tmp("embr-sink-XXXXXX", NULL);
    ck_assert_ptr_nonnull(dir);
}

static void remove_dir(void)
{
    ck_assert_int_eq(g_rmdir(dir), 0);
    g_clear_pointer(&dir, g_free);
}

static void init_chunker(Chunker *chunker)
{
    ChunkerParams params;

    chunker_params_init(&params);
    ck_assert(chunker_init(chunker, &params, NULL));
}

/* However small its units are, a job does not take any number. */
START_TEST(test_small_units)
{
    g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(SinkExtent));
    SinkUnit unit = { .size = 1, .whole = true, .profile = SINK_PROFILE_BY_MAGIC };
    SinkExtent extent = { .length = 1 };
    unsigned n = 0;
    Chunker chunker;

    init_chunker(&chunker);
    SinkEncoder e = { .chunker = &chunker };
    SinkJob *job = sink_job_new(&e);
    g_array_append_val(extents, extent);
    while (sink_job_add(job, &unit, extents)) {
        unit.file = ++n;
        ck_assert_uint_lt(n, 100000);
    }
    ck_assert_uint_gt(n, 100);
    sink_job_clear(job);
    ck_assert(sink_job_add(job, &unit, extents));
    sink_job_free(job);
}
END_TEST

/* A filesystem with one file, and nothing to read but its magic. */
static const uint64_t file_bytes = UINT64_C(1) << 36;
static const char magic[] = "one file";
enum { ROOT = 1, FILE_INO = 12 };
static unsigned n_reads;
static enum {
    CONTENT_WRITTEN,
    CONTENT_ENCODED,
    CONTENT_ENCODED_LAST,           /* SINK_SEGMENT_BYTES; before: unwritten */
} content;

static bool coroutine_fn one_file_co_probe(BlockBackend *blk, FsIdent *ident)
{
    char head[sizeof(magic)];

    ident->type = "one-file";
    return blk_co_pread(blk, 0, sizeof(head), head) >= 0 &&
           memcmp(head, magic, sizeof(head)) == 0;
}

static bool coroutine_fn one_file_co_open(Filesystem *fs, GError **errp)
{
    fs->root = ROOT;
    fs->block_size = 4096;
    return true;
}

static bool coroutine_fn one_file_co_stat(Filesystem *fs, FsIno ino, FsStat *st,
                                          GError **errp)
{
    *st = (FsStat){ .ino = ino, .nlink = 1, .mode = S_IFDIR };
    if (ino == FILE_INO) {
        st->mode = S_IFREG;
        st->size = file_bytes;
    }
    return true;
}

static bool coroutine_fn one_file_co_readdir(Filesystem *fs, FsIno dir_ino,
                                             FsDirBatch *batch, GError **errp)
{
    fs_dir_batch_add(batch, FILE_INO, 0, "file", 4);
    batch->eof = true;
    return true;
}

static bool coroutine_fn one_file_co_extents(Filesystem *fs, FsIno ino,
                                             uint64_t file_offset, unsigned max,
                                             GArray *list, GError **errp)
{
    const uint64_t half = file_bytes / 2, last = file_bytes - SINK_SEGMENT_BYTES;
    FsExtent extents[] = {
        { 0, 4096, half, 0 },
        { half, half + 4096, last - half, 0 },
        { last, last + 4096, SINK_SEGMENT_BYTES, 0 },
    };
    unsigned n = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(extents) && n < max; i++) {
        if (content == CONTENT_ENCODED_LAST) {
            extents[i].flags = i < 2 ? FS_EXTENT_UNWRITTEN : FS_EXTENT_ENCODED;
        } else if (content == CONTENT_ENCODED) {
            extents[i].flags = FS_EXTENT_ENCODED;
        }
        if (extents[i].file_offset + extents[i].length > file_offset) {
            g_array_append_val(list, extents[i]);
            n++;
        }
    }
    return true;
}

static bool coroutine_fn one_file_co_read(Filesystem *fs, FsIno ino, uint64_t offset,
                                          uint64_t bytes, void *buf, GError **errp)
{
    memset(buf, offset ? 'x' : 0, bytes);
    n_reads++;
    return true;
}

static const FsDriver one_file = {
    .name = "one-file",
    .fs_co_probe = one_file_co_probe,
    .fs_co_open = one_file_co_open,
    .fs_co_stat = one_file_co_stat,
    .fs_co_readdir = one_file_co_readdir,
    .fs_co_extents = one_file_co_extents,
    .fs_co_read = one_file_co_read,
};

static GError *coroutine_fn co_read_it(uint64_t bytes_left)
{
    g_autoptr(ProfileSet) profiles = profile_set_load(NULL, NULL);
    g_autoptr(ManifestWriter) manifest = manifest_writer_new(dir, NULL);
    g_autoptr(GBytes) bytes = g_bytes_new_static("", 0);
    g_autoptr(BlockDriverState) bs = bdrv_new_memory(bytes, "disk");
    g_autoptr(BlockBackend) blk = blk_new(bs);
    Filesystem fs = { .drv = &one_file, .blk = blk };
    SinkReadFile file = { .ino = FILE_INO, .size = file_bytes };
    GError *damage = NULL;
    Chunker chunker;

    init_chunker(&chunker);
    SinkReader reader = { profiles, &chunker, manifest, bytes_left };
    n_reads = 0;
    ck_assert(sink_co_read_file(&reader, &fs, &file, &damage, NULL));
    return damage;
}

/* What reads as zeroes for certain is not read, and no more than can be on a disk. */
static void coroutine_fn co_large_files(void)
{
    content = CONTENT_ENCODED_LAST;
    ck_assert_ptr_null(co_read_it(2 * SINK_SEGMENT_BYTES));
    ck_assert_uint_eq(n_reads, 2);

    content = CONTENT_ENCODED;
    g_autoptr(GError) damage = co_read_it(16 * SINK_SEGMENT_BYTES);
    ck_assert(g_error_matches(damage, EMBR_ERROR, EMBR_ERROR_LIMIT));
    ck_assert_ptr_nonnull(strstr(damage->message, "inode 12"));
    ck_assert_uint_eq(n_reads, 16);
}

START_TEST(test_read_limit)
{
    ck_assert_uint_eq(sink_read_limit(0), 1 << 30);
    ck_assert_uint_eq(sink_read_limit(100 << 20), UINT64_C(6400) << 20);
    ck_assert_uint_eq(sink_read_limit(UINT64_MAX / 2), UINT64_MAX);
}
END_TEST

START_TEST(test_large_files)
{
    run_in_coroutine(co_large_files);
}
END_TEST

static SinkFound make_found(uint32_t file, uint32_t unit)
{
    SinkFound found = { .has_chunks = true, .counts = g_new0(VectorCounts, 1) };

    le32_store(found.digest, file);
    le32_store(found.digest + 4, unit);
    for (size_t i = 0; i < VECTOR_DIMENSION; i++) {
        found.counts->trits[i] = (int)((file * 7 + i * (unit + 3)) % 11) - 5;
    }
    return found;
}

static void add_unit(SinkContents *c, uint32_t file, uint32_t unit)
{
    SinkUnit u = {
        .file = file,
        .address = (uint64_t)unit * SINK_SEGMENT_BYTES,
        .size = SINK_SEGMENT_BYTES,
    };
    SinkFound found = make_found(file, unit);

    ck_assert(sink_contents_add(c, &u, &found, NULL));
    ck_assert_ptr_null(found.counts);
}

enum { FILES = 10000, UNITS = 3 };

static void expect_files(SinkContents *c, ManifestWriter *manifest)
{
    VolumeInfo bare = { .path = (char *)"/", .size = 1 << 20 };

    manifest_writer_begin_volume(manifest, &bare, "ext4");
    for (uint32_t file = 0; file < FILES; file++) {
        g_autofree char *path = g_strdup_printf("%u", file);
        FsWalkEntry entry = { .path = path, .name = path, .stat.mode = S_IFREG };
        uint64_t number;

        ck_assert(manifest_writer_add(manifest, &entry, ENGRAM_FILE_HAS_DIGEST, NULL, &number,
                                      NULL));
        ck_assert_uint_eq(number, file);
        for (uint32_t unit = 0; unit < UNITS; unit++) {
            sink_contents_expect(c, file, UNITS * (uint64_t)SINK_SEGMENT_BYTES);
        }
    }
}

/* The bytes of the manifest, of files whose units come one by one or, scattered, those
 * of all files at a time. */
static GByteArray *coroutine_fn co_make_manifest(bool scattered)
{
    g_autofree char *path = g_build_filename(dir, "out", NULL);
    g_autoptr(OutFile) file = out_file_new(path, NULL);
    g_autoptr(ManifestWriter) manifest = manifest_writer_new(dir, NULL);
    SinkContents *c = sink_contents_new(manifest, dir);
    ObjectWriter out;
    EngramRef ref, index;
    char *bytes;
    gsize size;

    expect_files(c, manifest);
    size_t before = mallinfo2().uordblks;
    for (uint32_t i = 0; i < FILES * UNITS; i++) {
        if (scattered) {
            add_unit(c, i % FILES, i / FILES);
        } else {
            add_unit(c, i / UNITS, i % UNITS);
        }
        ck_assert_uint_lt(mallinfo2().uordblks, before + (40 << 20));
    }
    object_writer_init(&out, file, ENGRAM_OBJECTS_START);
    ck_assert(manifest_writer_co_finish(manifest, &out, &ref, &index, NULL));
    ck_assert(object_writer_co_flush(&out, NULL));
    object_writer_clear(&out);
    sink_contents_free(c);
    ck_assert(g_file_get_contents(out_file_open_path(file), &bytes, &size, NULL));
    return g_byte_array_new_take((guint8 *)bytes, size);
}

/* Any number of files may be unfinished at a time, and nothing is lost of them. */
static void coroutine_fn co_unfinished_files(void)
{
    g_autoptr(GByteArray) a = co_make_manifest(false), b = co_make_manifest(true);

    ck_assert_uint_gt(a->len, FILES * ENGRAM_DIGEST_BYTES);
    ck_assert_uint_eq(a->len, b->len);
    ck_assert_mem_eq(a->data, b->data, a->len);
}

START_TEST(test_unfinished_files)
{
    run_in_coroutine(co_unfinished_files);
}
END_TEST

/* A disk that has a block of data, and zeroes which need not be read. */
enum { DATA_BYTES = 4096 };

static int coroutine_fn huge_co_open(BlockDriverState *bs,
                                     const BlockdevOptions *options, int flags,
                                     GError **errp)
{
    return 0;
}

static int coroutine_fn huge_co_preadv(BlockDriverState *bs, int64_t offset,
                                       int64_t bytes, const IOVector *iov,
                                       size_t iov_offset, BdrvRequestFlags flags)
{
    if (bytes > DATA_BYTES) {
        return -EIO;
    }
    iovector_memset(iov, iov_offset, 0, bytes);
    if (offset == 0 && (size_t)bytes >= sizeof(magic)) {
        iovector_from_buf(iov, iov_offset, magic, sizeof(magic));
    }
    return 0;
}

static int coroutine_fn huge_co_block_status(BlockDriverState *bs, int64_t offset,
                                             int64_t bytes, int64_t *pnum, int64_t *map,
                                             BlockDriverState **file)
{
    *pnum = offset < DATA_BYTES ? MIN(bytes, DATA_BYTES - offset) : bytes;
    return offset < DATA_BYTES ? BDRV_BLOCK_DATA : BDRV_BLOCK_ZERO;
}

static const BlockDriver bdrv_huge = {
    .format_name = "huge",
    .bdrv_co_open = huge_co_open,
    .bdrv_co_preadv = huge_co_preadv,
    .bdrv_co_block_status = huge_co_block_status,
};

static bool coroutine_fn co_encode_huge(int64_t bytes, const char *path, GError **errp)
{
    g_autoptr(BlockDriverState) src = bdrv_new_node(&bdrv_huge, "huge", 0, NULL);
    BlockdevCreateOptionsEngram options = { 0 };

    src->total_bytes = bytes;
    alarm(60);
    bool ok = engram_sink_co_encode(src, path, &options, NULL, errp);
    alarm(0);
    return ok;
}

/* What is zero costs next to nothing.  Larger than an engram can be: said at once. */
static void coroutine_fn co_huge_disk(void)
{
    g_autofree char *path = g_build_filename(dir, "huge.engram", NULL);
    g_autoptr(GError) error = NULL;

    content = CONTENT_WRITTEN;
    ck_assert_msg(co_encode_huge((INT64_C(1) << 53) + 12345, path, &error), "%s",
                  error ? error->message : "");
    ck_assert_int_eq(g_unlink(path), 0);
    ck_assert(!co_encode_huge(INT64_C(1) << 62, path, &error));
    ck_assert(g_error_matches(error, EMBR_ERROR, EMBR_ERROR_LIMIT));
    ck_assert_ptr_nonnull(strstr(error->message, "too large for an engram"));
}

START_TEST(test_huge_disk)
{
    run_in_coroutine(co_huge_disk);
}
END_TEST

/* A file on blocks that are known to be zero: they are not read. */
static void coroutine_fn co_zero_file(void)
{
    g_autofree char *path = g_build_filename(dir, "zero.engram", NULL);
    g_autoptr(GError) error = NULL;

    content = CONTENT_WRITTEN;
    ck_assert_msg(co_encode_huge(file_bytes + (1 << 20), path, &error), "%s",
                  error ? error->message : "");
    g_autoptr(BlockDriverState) bs = bdrv_co_open_image(path, NULL, 0, NULL);
    g_autoptr(ImageInfo) info = bdrv_co_image_info(bs, NULL);
    const ImageInfoSpecificEngram *own = info->format_specific->u.engram.data;
    const EngramImageInfo *image = g_ptr_array_index(own->images, 0);
    ck_assert_uint_eq(image->files, 2);
    ck_assert_uint_eq(own->chunks, 1);
    ck_assert_int_eq(g_unlink(path), 0);
}

START_TEST(test_zero_file)
{
    run_in_coroutine(co_zero_file);
}
END_TEST

/* Chunks as large as the format has them, whatever the frames of the profile: an engram
 * that is added to may have been cut so. */
static void coroutine_fn co_large_chunks(void)
{
    static const uint32_t lengths[] = { 1000, ENGRAM_MAX_CHUNK_BYTES, 1000, 1000,
                                        ENGRAM_MAX_CHUNK_BYTES, ENGRAM_MAX_CHUNK_BYTES };
    static const CodebookPlace expected[] = { { 0, 0 }, { 1, 0 }, { 2, 0 }, { 2, 1000 },
                                              { 3, 0 }, { 4, 0 } };
    g_autofree char *path = g_build_filename(dir, "out", NULL);
    g_autofree uint8_t *chunk = g_malloc0(ENGRAM_MAX_CHUNK_BYTES);
    g_autoptr(ProfileSet) profiles = profile_set_load(NULL, NULL);
    g_autoptr(OutFile) file = out_file_new(path, NULL);
    unsigned profile = profile_for_content(profiles, PROFILE_CONTENT_FS_METADATA);
    uint8_t digest[ENGRAM_DIGEST_BYTES] = { 0 };
    ObjectWriter out;

    object_writer_init(&out, file, ENGRAM_OBJECTS_START);
    FrameWriter *frames = frame_writer_new(&out, profiles);
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        CodebookPlace place;

        ck_assert(frame_writer_co_reserve(frames, profile, lengths[i], &place, NULL));
        frame_writer_append(frames, profile, chunk, lengths[i], digest);
        ck_assert_uint_eq(place.frame, expected[i].frame);
        ck_assert_uint_eq(place.position, expected[i].position);
    }
    ck_assert(frame_writer_co_finish(frames, NULL));
    ck_assert_uint_eq(frame_writer_count(frames), 5);
    ck_assert_uint_eq(le32_get(frame_writer_ref(frames, 1)->raw), ENGRAM_MAX_CHUNK_BYTES);
    frame_writer_free(frames);
    object_writer_clear(&out);
}

START_TEST(test_large_chunks)
{
    run_in_coroutine(co_large_chunks);
}
END_TEST

/* Any number of ranges that begin together are one piece of the disk. */
static void coroutine_fn co_nested_ranges(void)
{
    enum { RANGES = 5000 };
    g_autofree char *path = g_build_filename(dir, "out", NULL);
    g_autoptr(ProfileSet) profiles = profile_set_load(NULL, NULL);
    g_autoptr(OutFile) file = out_file_new(path, NULL);
    g_autoptr(MapWriter) map = map_writer_new(1 << 20, dir, NULL);
    uint8_t digest[ENGRAM_DIGEST_BYTES] = { 0 }, chunk[RANGES] = { 1 };
    MapWriterResult result;
    CodebookPlace place;
    ObjectWriter out;

    object_writer_init(&out, file, ENGRAM_OBJECTS_START);
    FrameWriter *frames = frame_writer_new(&out, profiles);
    ck_assert(frame_writer_co_reserve(frames, 0, RANGES, &place, NULL));
    frame_writer_append(frames, 0, chunk, RANGES, digest);
    ck_assert(frame_writer_co_finish(frames, NULL));
    for (uint32_t i = 1; i <= RANGES; i++) {
        le32_store(digest, i);
        ck_assert(map_writer_add(map, 0, i, place, 0, digest, NULL));
    }
    uint64_t before = out.end;
    ck_assert(map_writer_co_finish(map, frames, &out, &result, NULL));
    ck_assert_uint_eq(result.data_bytes, RANGES);
    ck_assert_uint_lt(out.end - before, 1000);
    frame_writer_free(frames);
    object_writer_clear(&out);
}

START_TEST(test_nested_ranges)
{
    run_in_coroutine(co_nested_ranges);
}
END_TEST

static Suite *parts_suite(void)
{
    Suite *s = suite_create("engram-sink-parts");
    TCase *t = tcase_create("parts");

    tcase_add_checked_fixture(t, make_dir, remove_dir);
    tcase_add_test(t, test_small_units);
    tcase_add_test(t, test_read_limit);
    tcase_add_test(t, test_large_files);
    tcase_add_test(t, test_unfinished_files);
    tcase_add_test(t, test_huge_disk);
    tcase_add_test(t, test_zero_file);
    tcase_add_test(t, test_large_chunks);
    tcase_add_test(t, test_nested_ranges);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    fs_register(&one_file);
    SRunner *runner = srunner_create(parts_suite());

    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
