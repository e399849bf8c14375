#include <check.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>

#include "engram/profile.h"
#include "qapi-visit.h"
#include "util/error.h"

/* What every table needs. */
#define CONTENTS                                                                      \
    "{'name':'u','codec':'zstd','frame-size':65536,'content':'unknown'},"             \
    "{'name':'m','codec':'zstd','frame-size':65536,'content':'fs-metadata'},"         \
    "{'name':'f','codec':'zstd','frame-size':65536,'content':'free-space'}"
#define TABLE(profiles) "{'version':1,'profiles':[" profiles CONTENTS "]}"
#define PROFILE(members) "{'name':'p','codec':'zstd','frame-size':1048576" members "},"

static char *temporary_file(const char *text, size_t len)
{
    char *path = NULL;
    int fd = g_file_open_tmp("embr-test-XXXXXX", &path, NULL);

    ck_assert_int_ge(fd, 0);
    g_close(fd, NULL);
    ck_assert(g_file_set_contents(path, text, len, NULL));
    return path;
}

/* In json, ' is ". *path (may be NULL): the file that it was in. */
static ProfileSet *load(const char *json, char **path, GError **errp)
{
    g_autofree char *text = g_strdelimit(g_strdup(json), "'", '"');
    g_autofree char *file = temporary_file(text, strlen(text));
    ProfileSet *s = profile_set_load(file, errp);

    g_unlink(file);
    if (path) {
        *path = g_steal_pointer(&file);
    }
    return s;
}

static ProfileSet *load_good(const char *json)
{
    g_autoptr(GError) error = NULL;
    ProfileSet *s = load(json, NULL, &error);

    ck_assert_msg(s != NULL, "%s", error ? error->message : "");
    return s;
}

static void assert_refused(const char *json, EmbrError code, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    g_autofree char *expected = NULL;

    ck_assert_ptr_null(load(json, &path, &error));
    expected = g_strconcat(path, ": ", message, NULL);
    ck_assert_str_eq(error->message, expected);
    ck_assert(g_error_matches(error, EMBR_ERROR, code));
}

static void assert_invalid(const char *json, const char *message)
{
    assert_refused(json, EMBR_ERROR_INVALID, message);
}

static const char *name_of(const ProfileSet *s, int number)
{
    const GPtrArray *profiles = profile_set_table(s)->profiles;

    if (number < 0) {
        return "none";
    }
    ck_assert_uint_lt(number, profiles->len);
    return ((const Profile *)profiles->pdata[number])->name;
}

static ProfileSet *builtin(void)
{
    g_autoptr(GError) error = NULL;
    ProfileSet *s = profile_set_load(NULL, &error);

    ck_assert_msg(s != NULL, "%s", error ? error->message : "");
    return s;
}

START_TEST(builtin_by_path)
{
    static const struct {
        const char *path, *profile;
    } cases[] = {
        { "usr/lib/modules/6.1.0-50-amd64/kernel/fs/ext4/ext4.ko", "module" },
        { "lib/modules/6.1.0-50-amd64/modules.dep", "module" },
        { "usr/lib/modules/6.1.0/kernel/fs/ext4/ext4.ko.xz", "packed" },
        { "boot/vmlinuz-6.1.0-50-amd64", "packed" },
        { "boot/initrd.img-6.1.0-50-amd64", "packed" },
        { "boot/System.map-6.1.0-50-amd64", "module" },
        { "usr/lib/x86_64-linux-gnu/libc.so.6", "library" },
        { "usr/lib/x86_64-linux-gnu/perl/5.36/auto/File/Glob/Glob.so", "library" },
        { "usr/lib/x86_64-linux-gnu/libm.a", "library" },
        { "usr/bin/bash", "executable" },
        { "usr/sbin/sshd", "executable" },
        { "bin/busybox", "executable" },
        { "usr/bin/pydoc3.py", "source" },
        { "usr/lib/python3.11/os.py", "source" },
        { "usr/lib/python3.11/__pycache__/os.cpython-311.pyc", "bytecode" },
        { "etc/passwd", "text" },
        { "var/lib/dpkg/status", "text" },
        { "var/lib/dpkg/info/libc6:amd64.symbols", "text" },
        { "usr/share/doc/bash/copyright", "text" },
        { "usr/share/doc/bash/changelog.Debian.gz", "packed" },
        { "usr/share/man/man1/ls.1.gz", "packed" },
        { "var/cache/apt/archives/gcc_12_amd64.deb", "packed" },
        { "srv/photo.jpg", "packed" },
        { "usr/share/locale/de/LC_MESSAGES/bash.mo", "locale" },
        { "usr/lib/locale/locale-archive", "locale" },
        { "var/log/dpkg.log", "log" },
        { "var/log/syslog.1", "log" },
        { "var/log/syslog.2.gz", "packed" },
        { "tmp/x", "temporary" },
        { "run/utmp", "temporary" },
        { "var/lib/mysql/ibdata1", "database" },
        { "home/a/places.sqlite", "database" },
        { "home/a/notes", "none" },
        { "", "none" },
    };
    g_autoptr(ProfileSet) s = builtin();

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const char *name = name_of(s, profile_for_path(s, cases[i].path));

        ck_assert_msg(strcmp(name, cases[i].profile) == 0, "%s: %s, not %s",
                      cases[i].path, name, cases[i].profile);
    }
}
END_TEST

START_TEST(builtin_by_magic)
{
    static const struct {
        const char *head;
        size_t len;
        const char *profile;
    } cases[] = {
        { "\x7f" "ELF\x02\x01", 6, "executable" },
        { "\x1f\x8b\x08\x00", 4, "packed" },
        { "\xfd" "7zXZ\0\0", 7, "packed" },
        { "\x28\xb5\x2f\xfd\x04", 5, "packed" },
        { "\x89PNG\r\n\x1a\n\0", 9, "packed" },
        { "\xff\xd8\xff\xe0", 4, "packed" },
        { "PK\003\004\x14", 5, "packed" },
        { "SQLite format 3\0\x10", 17, "database" },
        { "SQLite format 3", 15, "none" },
        { "RIFF\x10\0\0\0WEBPVP8 ", 16, "packed" },
        { "RIFF\x10\0\0\0WEB", 11, "none" },
        { "\x7f" "EL", 3, "none" },
        { "hello", 5, "none" },
        { "", 0, "none" },
    };
    g_autoptr(ProfileSet) s = builtin();

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        /* A copy of exactly that length, so that a sanitizer sees what is beyond. */
        g_autofree char *head = g_memdup2(cases[i].head, cases[i].len);
        int number = profile_for_magic(s, head, cases[i].len);

        ck_assert_msg(strcmp(name_of(s, number), cases[i].profile) == 0, "%zu: %s", i,
                      name_of(s, number));
    }
}
END_TEST

START_TEST(builtin_by_content)
{
    g_autoptr(ProfileSet) s = builtin();
    const ProfileTable *table = profile_set_table(s);

    ck_assert_uint_le(table->profiles->len, 16);
    for (int i = 0; i < PROFILE_CONTENT__MAX; i++) {
        const Profile *profile = table->profiles->pdata[profile_for_content(s, i)];

        ck_assert(profile->has_content);
        ck_assert_int_eq(profile->content, i);
    }
}
END_TEST

/* What an engram has in it can be loaded again. */
START_TEST(a_table_is_its_own_text)
{
    g_autoptr(ProfileSet) s = builtin();
    g_autofree char *json = profile_table_to_json_text(profile_set_table(s), true);
    g_autofree char *path = temporary_file(json, strlen(json));
    g_autoptr(GError) error = NULL;
    g_autoptr(ProfileSet) again = profile_set_load(path, &error);
    g_autofree char *json_again = NULL;

    g_unlink(path);
    ck_assert_ptr_nonnull(again);
    json_again = profile_table_to_json_text(profile_set_table(again), true);
    ck_assert_str_eq(json, json_again);
}
END_TEST

START_TEST(a_small_table)
{
    g_autoptr(ProfileSet) s = load_good(TABLE(
        "{'name':'a','codec':'store','frame-size':16777216,'match-paths':['*.x']},"
        "{'name':'b','codec':'zstd','level':-5,'frame-size':65536,"
        "'match-paths':['d/*'],'match-magic':[{'bytes':'00Ff'},"
        "{'offset':1023,'bytes':'01'}]},"
        "{'name':'c','codec':'zstd','level':22,'frame-size':65537,"
        "'match-magic':[{'bytes':'00'},{'offset':2,'bytes':'0203'}]},"));
    uint8_t head[2000] = { 0, 0xff, 2, 3 };
    const Profile *unknown = profile_set_table(s)->profiles->pdata[3];

    ck_assert_int_eq(profile_for_path(s, "d/e.x"), 0);
    ck_assert_int_eq(profile_for_path(s, "d/e"), 1);
    ck_assert_int_eq(profile_for_path(s, "e"), -1);
    ck_assert_int_eq(profile_for_magic(s, head, 4), 1);
    ck_assert_int_eq(profile_for_magic(s, head, 1), 2);
    head[0] = 1;
    ck_assert_int_eq(profile_for_magic(s, head, 4), 2);
    ck_assert_int_eq(profile_for_magic(s, head, 3), -1);
    head[1023] = 1;
    ck_assert_int_eq(profile_for_magic(s, head, 2000), 1);
    ck_assert_int_eq(profile_for_magic(s, head, 1023), 2);
    ck_assert_uint_eq(profile_for_content(s, PROFILE_CONTENT_UNKNOWN), 3);
    ck_assert_uint_eq(profile_for_content(s, PROFILE_CONTENT_FS_METADATA), 4);
    ck_assert_uint_eq(profile_for_content(s, PROFILE_CONTENT_FREE_SPACE), 5);
    ck_assert(unknown->has_level && unknown->level == 3);
}
END_TEST

START_TEST(bad_tables)
{
    assert_refused("{'version':2,'profiles':[" CONTENTS "]}", EMBR_ERROR_UNSUPPORTED,
                   "version 2 of profile tables; embr knows version 1");
    assert_invalid("{'version':1,'profiles':[]}",
                   "a table of 0 profiles; 1 to 255 are possible");
    assert_invalid("{'version':1,'profiles':[{'name':'u','codec':'zstd',"
                   "'frame-size':65536,'content':'unknown'}]}",
                   "no profile has the content 'fs-metadata'");
    assert_invalid(TABLE(PROFILE(",'content':'free-space'")),
                   "profile 'f': content 'free-space' has profile 'p' already");
    assert_invalid(TABLE(PROFILE("") PROFILE("")),
                   "profile 'p': numbers 0 and 1 have that name");
    assert_invalid(TABLE("{'name':'','codec':'zstd','frame-size':65536},"),
                   "profile number 0 has an empty name");
}
END_TEST

START_TEST(too_many_profiles)
{
    g_autoptr(GString) json = g_string_new("{'version':1,'profiles':[" CONTENTS);

    for (int i = 3; i < 255; i++) {
        g_string_append_printf(json,
                               ",{'name':'%d','codec':'store','frame-size':65536}", i);
    }
    g_autofree char *most = g_strconcat(json->str, "]}", NULL);
    g_autoptr(ProfileSet) s = load_good(most);
    ck_assert_uint_eq(profile_set_table(s)->profiles->len, 255);
    g_string_append(json, ",{'name':'x','codec':'store','frame-size':65536}]}");
    assert_invalid(json->str, "a table of 256 profiles; 1 to 255 are possible");
}
END_TEST

START_TEST(bad_sizes_and_levels)
{
    assert_invalid(TABLE("{'name':'p','codec':'zstd','frame-size':65535},"),
                   "profile 'p': frame-size 65535 is not in 65536 to 16777216");
    assert_invalid(TABLE("{'name':'p','codec':'zstd','frame-size':16777217},"),
                   "profile 'p': frame-size 16777217 is not in 65536 to 16777216");
    assert_invalid(TABLE(PROFILE(",'level':23")),
                   "profile 'p': level 23 is not one of zstd's, -131072 to 22");
    assert_invalid(TABLE(PROFILE(",'level':-9223372036854775807")),
                   "profile 'p': level -9223372036854775807 is not one of zstd's, "
                   "-131072 to 22");
    assert_invalid(TABLE("{'name':'p','codec':'store','level':1,'frame-size':65536},"),
                   "profile 'p': codec store has no levels");
}
END_TEST

START_TEST(bad_patterns)
{
    g_autofree char *as = g_strnfill(1024, 'a');
    g_autofree char *fits = g_strdup_printf(TABLE(PROFILE(",'match-paths':['%s']")),
                                            as + 1);
    g_autofree char *longer = g_strdup_printf(TABLE(PROFILE(",'match-paths':['%s']")),
                                              as);
    g_autoptr(ProfileSet) s = load_good(fits);
    g_autoptr(GString) many = g_string_new("{'version':1,'profiles':[");

    ck_assert_int_eq(profile_for_path(s, as + 1), 0);
    assert_invalid(longer, "profile 'p': a pattern of 1024 bytes; at most 1023 are "
                           "possible");
    assert_invalid(TABLE(PROFILE(",'match-paths':['a','']")),
                   "profile 'p': match-paths has an empty pattern");
    assert_invalid(TABLE(PROFILE(",'match-paths':['/etc/*']")),
                   "profile 'p': pattern '/etc/*' begins with a slash, which paths do "
                   "not");
    g_string_append(many, "{'name':'p','codec':'store','frame-size':65536,"
                          "'match-paths':['a'");
    for (int i = 0; i < PROFILE_MAX_PATTERNS; i++) {
        g_string_append(many, ",'a'");
    }
    g_string_append(many, "]}," CONTENTS "]}");
    assert_invalid(many->str, "profile 'p': more than 16384 patterns in the table");
}
END_TEST

START_TEST(bad_magic)
{
    static const char *const bad[] = { "", "0", "000", "0g", "0x00", " 00" };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *json = g_strdup_printf(
            TABLE(PROFILE(",'match-magic':[{'bytes':'%s'}]")), bad[i]);
        g_autofree char *message = g_strdup_printf(
            "profile 'p': magic bytes '%s' are not 1 to 1024 bytes in hex", bad[i]);

        assert_invalid(json, message);
    }
    assert_invalid(TABLE(PROFILE(",'match-magic':[{'offset':1023,'bytes':'0000'}]")),
                   "profile 'p': magic bytes '0000' at offset 1023 are not within the "
                   "first 1024 bytes");
    assert_invalid(
        TABLE(PROFILE(",'match-magic':[{'offset':4294967295,"
                      "'bytes':'0000'}]")),
        "profile 'p': magic bytes '0000' at offset 4294967295 are not within "
        "the first 1024 bytes");
}
END_TEST

static void assert_scaled(EngramEffort effort, const int *levels, const uint64_t *sizes)
{
    g_autoptr(ProfileSet) s = load_good(
        TABLE("{'name':'a','codec':'zstd','level':1,'frame-size':1048576},"
              "{'name':'b','codec':'zstd','level':3,'frame-size':262144},"
              "{'name':'c','codec':'zstd','level':5,'frame-size':1048576},"
              "{'name':'d','codec':'zstd','level':19,'frame-size':8388608},"
              "{'name':'e','codec':'store','frame-size':1048576},"));
    const GPtrArray *profiles = profile_set_table(s)->profiles;

    profile_set_scale(s, effort);
    for (int i = 0; i < 5; i++) {
        const Profile *profile = g_ptr_array_index(profiles, i);

        ck_assert_int_eq(profile->level, levels[i]);
        ck_assert_uint_eq(profile->frame_size, sizes[i]);
    }
}

START_TEST(effort)
{
    const uint64_t sizes[] = { 1 << 20, 256 << 10, 1 << 20, 8 << 20, 1 << 20 };
    const uint64_t larger[] = { 1 << 20, 256 << 10, 4 << 20, 16 << 20, 1 << 20 };

    assert_scaled(ENGRAM_EFFORT_FAST, (const int[]){ 1, 1, 1, 1, 0 }, sizes);
    assert_scaled(ENGRAM_EFFORT_BALANCED, (const int[]){ 1, 3, 5, 19, 0 }, sizes);
    assert_scaled(ENGRAM_EFFORT_MAX, (const int[]){ 1, 17, 17, 19, 0 }, larger);
}
END_TEST

START_TEST(not_a_table)
{
    static const char *const texts[] = {
        "", "[]", "{", "{'version':1}", "{'version':1,'profiles':[{}]}",
        TABLE("{'name':'p','codec':'lzma','frame-size':65536},"),
        TABLE("{'name':'p','codec':'zstd','frame-size':-1},"),
        TABLE("{'name':'p','codec':'zstd','frame-size':'1M'},"),
        TABLE(PROFILE(",'match-paths':'x'")), TABLE(PROFILE(",'more':1")),
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = NULL;

        ck_assert_ptr_null(load(texts[i], &path, &error));
        ck_assert(g_str_has_prefix(error->message, path));
    }
}
END_TEST

START_TEST(not_a_file)
{
    g_autoptr(GError) missing = NULL, directory = NULL, endless = NULL;

    ck_assert_ptr_null(profile_set_load("/nonexistent", &missing));
    ck_assert_str_eq(missing->message, "/nonexistent: No such file or directory");
    ck_assert_ptr_null(profile_set_load("/tmp", &directory));
    ck_assert_str_eq(directory->message, "/tmp: Is a directory");
    ck_assert_ptr_null(profile_set_load("/dev/zero", &endless));
    ck_assert_str_eq(endless->message,
                     "/dev/zero: more than 1048576 bytes, the most for "
                     "a table of profiles");
    ck_assert(g_error_matches(endless, EMBR_ERROR, EMBR_ERROR_LIMIT));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("profile");
    TCase *tc = tcase_create("profile");
    SRunner *runner = srunner_create(suite);

    tcase_add_test(tc, builtin_by_path);
    tcase_add_test(tc, builtin_by_magic);
    tcase_add_test(tc, builtin_by_content);
    tcase_add_test(tc, a_table_is_its_own_text);
    tcase_add_test(tc, a_small_table);
    tcase_add_test(tc, bad_tables);
    tcase_add_test(tc, too_many_profiles);
    tcase_add_test(tc, bad_sizes_and_levels);
    tcase_add_test(tc, bad_patterns);
    tcase_add_test(tc, bad_magic);
    tcase_add_test(tc, effort);
    tcase_add_test(tc, not_a_table);
    tcase_add_test(tc, not_a_file);
    suite_add_tcase(suite, tc);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
