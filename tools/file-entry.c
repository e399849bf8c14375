#include "file-entry.h"

#include <string.h>
#include <time.h>

#include "util/text.h"

static const struct {
    mode_t format;
    char letter;
    FileType type;
    const char *name;
} file_types[] = {
    {S_IFREG, '-', FILE_TYPE_REGULAR, "a regular file"},
    {S_IFDIR, 'd', FILE_TYPE_DIRECTORY, "a directory"},
    {S_IFLNK, 'l', FILE_TYPE_SYMLINK, "a symbolic link"},
    {S_IFCHR, 'c', FILE_TYPE_CHAR_DEVICE, "a character device"},
    {S_IFBLK, 'b', FILE_TYPE_BLOCK_DEVICE, "a block device"},
    {S_IFIFO, 'p', FILE_TYPE_FIFO, "a named pipe"},
    {S_IFSOCK, 's', FILE_TYPE_SOCKET, "a socket"},
    {0, '?', FILE_TYPE_UNKNOWN, "a file of no known type"},
};

static unsigned type_index(uint32_t mode)
{
    unsigned i = 0;

    while (file_types[i].format && (mode & S_IFMT) != file_types[i].format) {
        i++;
    }
    return i;
}

const char *file_type_name(uint32_t mode)
{
    return file_types[type_index(mode)].name;
}

void file_mode_string(uint32_t mode, char text[FILE_MODE_CHARS + 1])
{
    static const char letters[] = "rwxrwxrwx";

    text[0] = file_types[type_index(mode)].letter;
    for (unsigned i = 0; i < 9; i++) {
        text[1 + i] = mode & (0400 >> i) ? letters[i] : '-';
    }
    if (mode & S_ISUID) {
        text[3] = mode & S_IXUSR ? 's' : 'S';
    }
    if (mode & S_ISGID) {
        text[6] = mode & S_IXGRP ? 's' : 'S';
    }
    if (mode & S_ISVTX) {
        text[9] = mode & S_IXOTH ? 't' : 'T';
    }
    text[FILE_MODE_CHARS] = '\0';
}

static bool is_device(uint32_t mode)
{
    return S_ISCHR(mode) || S_ISBLK(mode);
}

static void append_field(GString *out, uint64_t value, unsigned width, char behind)
{
    text_append_number(out, value, width, '0');
    g_string_append_c(out, behind);
}

/* As ls --full-time shows it in UTC; only the seconds of years that have no date. */
static void append_time(GString *out, const FsTime *when)
{
    time_t sec = when->sec;
    struct tm tm;

    if (gmtime_r(&sec, &tm)) {
        const int64_t year = tm.tm_year + INT64_C(1900);

        if (year < 0) {
            g_string_append_c(out, '-');
        }
        append_field(out, ABS(year), year < 0 ? 3 : 4, '-');
        append_field(out, tm.tm_mon + 1, 2, '-');
        append_field(out, tm.tm_mday, 2, ' ');
        append_field(out, tm.tm_hour, 2, ':');
        append_field(out, tm.tm_min, 2, ':');
        append_field(out, tm.tm_sec, 2, '.');
        append_field(out, when->nsec, 9, ' ');
        g_string_append_len(out, "+0000", 5);
    } else {
        g_string_append_printf(out, "%" PRId64 ".%09u", when->sec, when->nsec);
    }
}

static void append_column(GString *out, uint64_t value, unsigned width)
{
    g_string_append_c(out, ' ');
    text_append_number(out, value, width, ' ');
}

void file_append_columns(GString *out, const FsStat *stat)
{
    char mode[FILE_MODE_CHARS + 1];

    file_mode_string(stat->mode, mode);
    g_string_append_len(out, mode, FILE_MODE_CHARS);
    append_column(out, stat->nlink, 3);
    append_column(out, stat->uid, 5);
    append_column(out, stat->gid, 5);
    if (is_device(stat->mode)) {
        append_column(out, stat->rdev_major, 5);
        g_string_append_c(out, ',');
        append_column(out, stat->rdev_minor, 4);
    } else {
        append_column(out, stat->size, 11);
    }
    g_string_append_c(out, ' ');
    append_time(out, &stat->mtime);
    g_string_append_c(out, ' ');
}

static Timestamp *timestamp_new(const FsTime *when)
{
    Timestamp *t = timestamp_new0();

    t->sec = when->sec;
    t->nsec = when->nsec;
    return t;
}

void file_set_text(char **text, char **bytes, const char *value)
{
    if (g_utf8_validate(value, -1, NULL)) {
        *text = g_strdup(value);
    } else {
        *text = g_utf8_make_valid(value, -1);
        *bytes = g_base64_encode((const guchar *)value, strlen(value));
    }
}

static GArray *flag_list(uint32_t flags)
{
    static const struct {
        uint32_t bit;
        FileFlag flag;
    } table[] = {
        {FS_FILE_ENCRYPTED, FILE_FLAG_ENCRYPTED},
        {FS_FILE_IMMUTABLE, FILE_FLAG_IMMUTABLE},
        {FS_FILE_APPEND, FILE_FLAG_APPEND},
        {FS_FILE_CASEFOLD, FILE_FLAG_CASEFOLD},
        {FS_FILE_VERITY, FILE_FLAG_VERITY},
    };

    if (!flags) {
        return NULL;
    }

    GArray *list = g_array_new(FALSE, FALSE, sizeof(FileFlag));
    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        if (flags & table[i].bit) {
            g_array_append_val(list, table[i].flag);
        }
    }
    return list;
}

FileEntry *file_entry_from_stat(const char *path, const FsStat *stat,
                                const char *target)
{
    FileEntry *e = file_entry_new0();

    file_set_text(&e->path, &e->path_bytes, path);
    e->type = file_types[type_index(stat->mode)].type;
    e->mode = stat->mode & 07777;
    e->ino = stat->ino;
    e->nlink = stat->nlink;
    e->uid = stat->uid;
    e->gid = stat->gid;
    e->size = stat->size;
    e->allocated = stat->allocated;
    if (is_device(stat->mode)) {
        e->rdev = device_number_new0();
        e->rdev->major = stat->rdev_major;
        e->rdev->minor = stat->rdev_minor;
    }
    e->atime = timestamp_new(&stat->atime);
    e->mtime = timestamp_new(&stat->mtime);
    e->ctime = timestamp_new(&stat->ctime);
    if (stat->crtime.sec || stat->crtime.nsec) {
        e->crtime = timestamp_new(&stat->crtime);
    }
    if (target) {
        file_set_text(&e->target, &e->target_bytes, target);
    }
    e->flags = flag_list(stat->flags);
    return e;
}
