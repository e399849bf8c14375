#include "engram/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "engram/format.h"
#include "engram/path-matcher.h"
#include "engram/profiles-builtin.h"
#include "qapi-visit.h"
#include "util/error.h"

/* What effort=fast and effort=max make of levels and frames; docs/profiles.md has what was
 * measured. */
enum {
    FAST_LEVEL = 1,
    MAX_LEVEL = 17,
    MAX_LEVEL_FROM = 3,         /* lower levels are of what compresses badly, or is little */
    MAX_FRAMES_FROM = 1 << 20,  /* smaller frames are of what is read at random */
    MAX_FRAMES_FACTOR = 4,
};

typedef struct Magic {
    uint32_t offset;
    uint32_t len;
    int profile;
    uint8_t bytes[PROFILE_HEAD_BYTES];
} Magic;

struct ProfileSet {
    ProfileTable *table;
    unsigned for_content[PROFILE_CONTENT__MAX];
    PathMatcher *paths;
    GArray *magics;             /* Magic, in order of profiles */
};

void profile_set_free(ProfileSet *s)
{
    if (!s) {
        return;
    }
    profile_table_free(s->table);
    path_matcher_free(s->paths);
    g_array_free(s->magics, TRUE);
    g_free(s);
}

const ProfileTable *profile_set_table(const ProfileSet *s)
{
    return s->table;
}

unsigned profile_for_content(const ProfileSet *s, ProfileContent content)
{
    g_assert(content < PROFILE_CONTENT__MAX);
    return s->for_content[content];
}

int profile_for_path(const ProfileSet *s, const char *path)
{
    return path_matcher_match(s->paths, path);
}

int profile_for_magic(const ProfileSet *s, const void *head, size_t len)
{
    const uint8_t *bytes = head;

    for (guint i = 0; i < s->magics->len; i++) {
        const Magic *magic = &g_array_index(s->magics, Magic, i);

        if (magic->offset + magic->len <= len &&
            memcmp(bytes + magic->offset, magic->bytes, magic->len) == 0) {
            return magic->profile;
        }
    }
    return -1;
}

static const Profile *profile_at(const ProfileSet *s, unsigned number)
{
    return s->table->profiles->pdata[number];
}

static bool G_GNUC_PRINTF(3, 4)
    fail(GError **errp, const Profile *profile, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "profile '%s': %s", profile->name,
                text);
    return false;
}

static bool check_name(const ProfileSet *s, unsigned number, GError **errp)
{
    const Profile *profile = profile_at(s, number);

    if (!profile->name[0]) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "profile number %u has an empty name", number);
        return false;
    }
    for (unsigned i = 0; i < number; i++) {
        if (strcmp(profile_at(s, i)->name, profile->name) == 0) {
            return fail(errp, profile, "numbers %u and %u have that name", i, number);
        }
    }
    return true;
}

static bool check_codec(Profile *profile, GError **errp)
{
    if (profile->codec == ENGRAM_CODEC_STORE) {
        return !profile->has_level || fail(errp, profile, "codec store has no levels");
    }
    if (!profile->has_level) {
        profile->has_level = true;
        profile->level = ZSTD_CLEVEL_DEFAULT;
    }
    if (profile->level < ZSTD_minCLevel() || profile->level > ZSTD_maxCLevel()) {
        return fail(errp, profile, "level %" PRId64 " is not one of zstd's, %d to %d",
                    profile->level, ZSTD_minCLevel(), ZSTD_maxCLevel());
    }
    return true;
}

static bool check_frame_size(const Profile *profile, GError **errp)
{
    if (profile->frame_size >= PROFILE_MIN_FRAME_BYTES &&
        profile->frame_size <= ENGRAM_MAX_FRAME_BYTES) {
        return true;
    }
    return fail(errp, profile, "frame-size %" PRIu64 " is not in %d to %d",
                profile->frame_size, PROFILE_MIN_FRAME_BYTES, ENGRAM_MAX_FRAME_BYTES);
}

static bool add_content(ProfileSet *s, unsigned number, GError **errp)
{
    const Profile *profile = profile_at(s, number);
    unsigned *place = &s->for_content[profile->content];

    if (!profile->has_content) {
        return true;
    }
    if (*place < PROFILE_MAX_PROFILES) {
        return fail(errp, profile, "content '%s' has profile '%s' already",
                    qapi_enum_str(&qapi_type_profile_content, profile->content),
                    profile_at(s, *place)->name);
    }
    *place = number;
    return true;
}

static bool add_paths(ProfileSet *s, unsigned number, unsigned *patterns, GError **errp)
{
    const Profile *profile = profile_at(s, number);

    for (guint i = 0; profile->match_paths && i < profile->match_paths->len; i++) {
        const char *pattern = profile->match_paths->pdata[i];

        if (!pattern[0]) {
            return fail(errp, profile, "match-paths has an empty pattern");
        }
        if (pattern[0] == '/') {
            return fail(errp, profile,
                        "pattern '%s' begins with a slash, which paths do not",
                        pattern);
        }
        if (strlen(pattern) > PROFILE_MAX_PATTERN_BYTES) {
            return fail(errp, profile,
                        "a pattern of %zu bytes; at most %d are possible",
                        strlen(pattern), PROFILE_MAX_PATTERN_BYTES);
        }
        if (++*patterns > PROFILE_MAX_PATTERNS) {
            return fail(errp, profile, "more than %d patterns in the table",
                        PROFILE_MAX_PATTERNS);
        }
        path_matcher_add(s->paths, pattern, number);
    }
    return true;
}

static bool parse_hex(const char *hex, Magic *magic)
{
    size_t len = strlen(hex);

    if (len == 0 || len % 2 != 0 || len / 2 > sizeof(magic->bytes)) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        int digit = g_ascii_xdigit_value(hex[i]);

        if (digit < 0) {
            return false;
        }
        magic->bytes[i / 2] = magic->bytes[i / 2] << 4 | digit;
    }
    magic->len = len / 2;
    return true;
}

static bool add_magics(ProfileSet *s, unsigned number, GError **errp)
{
    const Profile *profile = profile_at(s, number);

    for (guint i = 0; profile->match_magic && i < profile->match_magic->len; i++) {
        const ProfileMagic *given = profile->match_magic->pdata[i];
        Magic magic = { .offset = given->offset, .profile = number };

        if (!parse_hex(given->bytes, &magic)) {
            return fail(errp, profile,
                        "magic bytes '%.64s' are not 1 to %d bytes in hex",
                        given->bytes, PROFILE_HEAD_BYTES);
        }
        if (magic.offset > PROFILE_HEAD_BYTES - magic.len) {
            return fail(errp, profile,
                        "magic bytes '%.64s' at offset %u are not within the first %d "
                        "bytes",
                        given->bytes, magic.offset, PROFILE_HEAD_BYTES);
        }
        g_array_append_val(s->magics, magic);
    }
    return true;
}

static bool add_profile(ProfileSet *s, unsigned number, unsigned *patterns,
                        GError **errp)
{
    Profile *profile = s->table->profiles->pdata[number];

    return check_name(s, number, errp) && check_codec(profile, errp) &&
           check_frame_size(profile, errp) && add_content(s, number, errp) &&
           add_paths(s, number, patterns, errp) && add_magics(s, number, errp);
}

static bool check_contents(const ProfileSet *s, GError **errp)
{
    for (int i = 0; i < PROFILE_CONTENT__MAX; i++) {
        if (s->for_content[i] == PROFILE_MAX_PROFILES) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                        "no profile has the content '%s'",
                        qapi_enum_str(&qapi_type_profile_content, i));
            return false;
        }
    }
    return true;
}

static bool add_table(ProfileSet *s, GError **errp)
{
    guint n = s->table->profiles->len;
    unsigned patterns = 0;

    if (s->table->version != 1) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "version %" PRId64 " of profile tables; embr knows version 1",
                    s->table->version);
        return false;
    }
    if (n < 1 || n > PROFILE_MAX_PROFILES) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "a table of %u profiles; 1 to %d are possible", n,
                    PROFILE_MAX_PROFILES);
        return false;
    }
    for (guint i = 0; i < n; i++) {
        if (!add_profile(s, i, &patterns, errp)) {
            return false;
        }
    }
    return check_contents(s, errp);
}

ProfileSet *profile_set_parse(const char *json, size_t len, GError **errp)
{
    g_autoptr(ProfileSet) s = g_new0(ProfileSet, 1);

    s->paths = path_matcher_new();
    s->magics = g_array_new(FALSE, FALSE, sizeof(Magic));
    for (int i = 0; i < PROFILE_CONTENT__MAX; i++) {
        s->for_content[i] = PROFILE_MAX_PROFILES;
    }
    s->table = profile_table_from_json_text(json, len, errp);
    if (!s->table || !add_table(s, errp)) {
        return NULL;
    }
    return g_steal_pointer(&s);
}

static void scale(Profile *profile, EngramEffort effort)
{
    if (profile->codec == ENGRAM_CODEC_STORE) {
        return;
    }
    if (effort == ENGRAM_EFFORT_FAST) {
        profile->level = MIN(profile->level, FAST_LEVEL);
    } else if (effort == ENGRAM_EFFORT_MAX && profile->level >= MAX_LEVEL_FROM) {
        profile->level = MAX(profile->level, MAX_LEVEL);
        if (profile->frame_size >= MAX_FRAMES_FROM) {
            profile->frame_size =
                MIN(profile->frame_size * MAX_FRAMES_FACTOR, ENGRAM_MAX_FRAME_BYTES);
        }
    }
}

void profile_set_scale(ProfileSet *s, EngramEffort effort)
{
    for (guint i = 0; i < s->table->profiles->len; i++) {
        scale(s->table->profiles->pdata[i], effort);
    }
}

/* All of a file of at most PROFILE_MAX_TABLE_BYTES. */
static GByteArray *read_all(const char *path, int fd, GError **errp)
{
    g_autoptr(GByteArray) data = g_byte_array_new();

    while (data->len <= PROFILE_MAX_TABLE_BYTES) {
        uint8_t buffer[16384];
        ssize_t n = read(fd, buffer, sizeof(buffer));

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            error_set_errno(errp, errno, "%s", path);
            return NULL;
        }
        if (n == 0) {
            return g_steal_pointer(&data);
        }
        g_byte_array_append(data, buffer, n);
    }
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                "%s: more than %d bytes, the most for a table of profiles", path,
                PROFILE_MAX_TABLE_BYTES);
    return NULL;
}

static GByteArray *read_file(const char *path, GError **errp)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    GByteArray *data;

    if (fd < 0) {
        error_set_errno(errp, errno, "%s", path);
        return NULL;
    }
    data = read_all(path, fd, errp);
    close(fd);
    return data;
}

ProfileSet *profile_set_load(const char *path, GError **errp)
{
    g_autoptr(GByteArray) data = NULL;
    ProfileSet *s;

    if (!path) {
        return profile_set_parse(profiles_builtin_json, profiles_builtin_json_len, errp);
    }
    data = read_file(path, errp);
    if (!data) {
        return NULL;
    }
    s = profile_set_parse(data->len ? (const char *)data->data : "", data->len, errp);
    if (!s) {
        g_prefix_error(errp, "%s: ", path);
    }
    return s;
}
