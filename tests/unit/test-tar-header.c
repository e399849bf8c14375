/* Headers of pax archives. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "tools/tar-header.h"
#include "util/endian.h"

typedef struct Header {
    GString *out;
    GHashTable *records; /* of the extended header: key -> value */
    const char *main;    /* the header block of the file itself */
    uint64_t payload, written;
} Header;

static uint64_t octal(const char *field)
{
    return g_ascii_strtoull(field, NULL, 8);
}

static void check_sum(const char *block)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < TAR_BLOCK_BYTES; i++) {
        sum += i >= 148 && i < 156 ? ' ' : (uint8_t)block[i];
    }
    ck_assert_uint_eq(octal(block + 148), sum);
    ck_assert_mem_eq(block + 257, "ustar\00000", 8);
}

/* Each record must be as long as it says. */
static void parse_records(Header *h, const char *text, size_t len)
{
    while (len) {
        char *key;
        guint64 size = g_ascii_strtoull(text, &key, 10);

        ck_assert_uint_le(size, len);
        ck_assert_int_eq(*key++, ' ');
        ck_assert_int_eq(text[size - 1], '\n');
        const char *value = strchr(key, '=');
        ck_assert_ptr_nonnull(value);
        g_hash_table_insert(h->records, g_strndup(key, value - key),
                            g_strndup(value + 1, text + size - 2 - value));
        text += size;
        len -= size;
    }
}

static void make(Header *h, const ExtractFile *file)
{
    h->out = g_string_new(NULL);
    h->records = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    tar_append_header(h->out, file, &h->payload, &h->written);

    const char *extended = h->out->str;
    size_t len = octal(extended + 124);
    ck_assert_int_eq(extended[156], 'x');
    check_sum(extended);
    parse_records(h, extended + TAR_BLOCK_BYTES, len);
    h->main = extended + TAR_BLOCK_BYTES +
              (len + TAR_BLOCK_BYTES - 1) / TAR_BLOCK_BYTES * TAR_BLOCK_BYTES;
    check_sum(h->main);
    ck_assert_uint_eq(h->out->len, h->main + TAR_BLOCK_BYTES + h->written - extended);
}

static void header_clear(Header *h)
{
    g_string_free(h->out, TRUE);
    g_hash_table_unref(h->records);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Header, header_clear)

static const char *record(const Header *h, const char *key)
{
    return g_hash_table_lookup(h->records, key);
}

START_TEST(test_names)
{
    for (size_t len = 1; len < 1100; len++) {
        g_autofree char *path = g_strnfill(len, 'n');
        ExtractFile file = {.path = path, .stat = {.mode = S_IFIFO | 0600}};
        g_auto(Header) h = {0};

        make(&h, &file);
        ck_assert_int_eq(h.main[156], '6');
        if (len <= 100) {
            ck_assert_ptr_null(record(&h, "path"));
            ck_assert_mem_eq(h.main, path, len);
        } else {
            ck_assert_str_eq(record(&h, "path"), path);
        }
    }
}
END_TEST

START_TEST(test_character_sets)
{
    const ExtractFile utf8 = {.path = "gr\xc3\xb6\xc3\x9f", .stat = {.mode = S_IFDIR}};
    const ExtractFile bytes = {
        .path = "a", .target = "\xff", .stat = {.mode = S_IFLNK | 0777}};
    g_auto(Header) h = {0};
    g_auto(Header) b = {0};

    make(&h, &utf8);
    ck_assert_str_eq(record(&h, "path"), "gr\xc3\xb6\xc3\x9f/");
    ck_assert_ptr_null(record(&h, "hdrcharset"));
    make(&b, &bytes);
    ck_assert_str_eq(record(&b, "hdrcharset"), "BINARY");
    ck_assert_str_eq(record(&b, "linkpath"), "\xff");
    ck_assert_ptr_null(record(&b, "path"));
}
END_TEST

static const struct {
    FsTime when;
    const char *text;
} times[] = {
    {{0, 0}, "0.000000000"},
    {{1, 5}, "1.000000005"},
    {{-1, 0}, "-1.000000000"},
    {{-1, 999999999}, "-0.000000001"},
    {{-2, 250000000}, "-1.750000000"},
    {{INT64_MIN, 0}, "-9223372036854775808.000000000"},
    {{INT64_MAX, 999999999}, "9223372036854775807.999999999"},
};

START_TEST(test_times)
{
    const ExtractFile file = {.path = "t",
                              .stat = {.mode = S_IFREG, .mtime = times[_i].when}};
    g_auto(Header) h = {0};

    make(&h, &file);
    ck_assert_str_eq(record(&h, "mtime"), times[_i].text);
}
END_TEST

START_TEST(test_numbers)
{
    GArray *ranges = g_array_new(FALSE, FALSE, sizeof(DataRange));
    const DataRange range = {0, UINT64_C(1) << 33};
    const ExtractFile file = {
        .path = "n",
        .ranges = g_array_append_val(ranges, range),
        .stat = {.mode = S_IFREG | 06755,
                 .size = UINT64_C(1) << 33,
                 .uid = 2097151,
                 .gid = 2097152},
    };
    const ExtractFile device = {
        .path = "d",
        .stat = {.mode = S_IFBLK | 0600, .rdev_major = 4095, .rdev_minor = 1048575}};
    g_auto(Header) h = {0};
    g_auto(Header) d = {0};

    make(&h, &file);
    ck_assert_uint_eq(h.payload, UINT64_C(1) << 33);
    ck_assert_str_eq(record(&h, "size"), "8589934592");
    ck_assert_uint_eq(octal(h.main + 124), 0);
    ck_assert_uint_eq(octal(h.main + 100), 06755);
    ck_assert_uint_eq(octal(h.main + 108), 2097151);
    ck_assert_ptr_null(record(&h, "uid"));
    ck_assert_str_eq(record(&h, "gid"), "2097152");
    make(&d, &device);
    ck_assert_uint_eq(octal(d.main + 329), 4095);
    ck_assert_uint_eq(octal(d.main + 337), 1048575);
    ck_assert_uint_eq(d.payload, 0);
    g_array_unref(ranges);
}
END_TEST

START_TEST(test_sparse)
{
    g_autoptr(GArray) ranges = g_array_new(FALSE, FALSE, sizeof(DataRange));
    const DataRange range = {4096, 1000};
    ExtractFile file = {
        .path = "dir/s", .ranges = ranges, .stat = {.mode = S_IFREG, .size = 10000}};
    g_auto(Header) hole = {0};
    g_auto(Header) some = {0};
    g_auto(Header) last = {0};

    ck_assert(tar_is_sparse(&file));
    make(&hole, &file);
    ck_assert_str_eq(hole.main + TAR_BLOCK_BYTES, "1\n10000\n0\n");
    ck_assert_uint_eq(hole.payload, TAR_BLOCK_BYTES);

    g_array_append_val(ranges, range);
    make(&some, &file);
    ck_assert_str_eq(some.main + TAR_BLOCK_BYTES, "2\n4096\n1000\n10000\n0\n");
    ck_assert_uint_eq(some.payload, TAR_BLOCK_BYTES + 1000);
    ck_assert_str_eq(record(&some, "GNU.sparse.name"), "dir/s");
    ck_assert_str_eq(record(&some, "GNU.sparse.realsize"), "10000");
    ck_assert_str_eq(some.main, "dir/GNUSparseFile.0/s");

    file.stat.size = 5096;
    make(&last, &file);
    ck_assert_str_eq(last.main + TAR_BLOCK_BYTES, "1\n4096\n1000\n");
}
END_TEST

typedef struct __attribute__((packed)) AclEntry {
    le16_t tag, perm;
    le32_t id;
} AclEntry;

static char *acl_text(uint32_t version, uint16_t tag, uint16_t perm, uint32_t id,
                      size_t cut)
{
    struct __attribute__((packed)) {
        le32_t version;
        AclEntry entry;
    } acl = {le32_make(version), {le16_make(tag), le16_make(perm), le32_make(id)}};
    g_autoptr(GBytes) bytes = g_bytes_new(&acl, sizeof(acl) - cut);

    return tar_acl_text(bytes);
}

START_TEST(test_acls)
{
    g_autofree char *user = acl_text(2, 2, 5, 4000000000, 0);
    g_autofree char *group = acl_text(2, 8, 7, 0, 0);
    g_autofree char *mask = acl_text(2, 16, 0, 0xffffffff, 0);

    ck_assert_str_eq(user, "user:4000000000:r-x");
    ck_assert_str_eq(group, "group:0:rwx");
    ck_assert_str_eq(mask, "mask::---");
    ck_assert_ptr_null(acl_text(1, 2, 5, 1, 0));
    ck_assert_ptr_null(acl_text(2, 3, 5, 1, 0));
    ck_assert_ptr_null(acl_text(2, 2, 8, 1, 0));
    for (size_t cut = 1; cut <= 12; cut++) {
        ck_assert_ptr_null(acl_text(2, 2, 5, 1, cut));
    }
}
END_TEST

START_TEST(test_attributes)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    g_autoptr(GBytes) value = g_bytes_new("a=b\n", 4);
    FsXattr good = {(char *)"user.name", value};
    FsXattr odd = {(char *)"user.a=b", value};
    FsXattr acl = {(char *)"system.posix_acl_access", value};
    const ExtractFile file = {.path = "x", .xattrs = list, .stat = {.mode = S_IFREG}};
    g_auto(Header) h = {0};

    g_ptr_array_add(list, &good);
    g_ptr_array_add(list, &odd);
    g_ptr_array_add(list, &acl);
    ck_assert(tar_can_carry_xattr(&good));
    ck_assert(!tar_can_carry_xattr(&odd));
    ck_assert(!tar_can_carry_xattr(&acl));
    make(&h, &file);
    ck_assert_str_eq(record(&h, "SCHILY.xattr.user.name"), "a=b\n");
    ck_assert_ptr_null(record(&h, "SCHILY.xattr.user.a"));
    ck_assert_ptr_null(record(&h, "SCHILY.acl.access"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tar-header");
    TCase *tcase = tcase_create("tar-header");
    SRunner *runner = srunner_create(suite);

    tcase_add_test(tcase, test_names);
    tcase_add_test(tcase, test_character_sets);
    tcase_add_loop_test(tcase, test_times, 0, G_N_ELEMENTS(times));
    tcase_add_test(tcase, test_numbers);
    tcase_add_test(tcase, test_sparse);
    tcase_add_test(tcase, test_acls);
    tcase_add_test(tcase, test_attributes);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
