#include <stdbool.h>
#include <string.h>
#include "block/filename.h"
#include "util/error.h"

/* The length of the "protocol:" that name starts with, colon included; 0 if none.
 * A colon after a slash is part of a path. */
static size_t protocol_length(const char *name)
{
    size_t n = strcspn(name, ":/");
    return name[n] == ':' ? n + 1 : 0;
}

static const char *skip_file_protocol(const char *name)
{
    return g_str_has_prefix(name, "file:") ? name + strlen("file:") : name;
}

char *filename_to_path(const char *filename, GError **errp)
{
    const char *path = skip_file_protocol(filename);
    size_t protocol = path == filename ? protocol_length(filename) : 0;

    if (protocol) {
        g_autofree char *name = g_strndup(filename, protocol - 1);
        g_autofree char *shown = g_utf8_make_valid(name, -1);
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED, "'%s': Unknown protocol '%s'",
                    filename, shown);
        return NULL;
    }
    if (!*path) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s': The name of the file is missing", filename);
        return NULL;
    }
    return g_strdup(path);
}

char *filename_resolve(const char *base, const char *name)
{
    const char *base_path = skip_file_protocol(base);
    const char *slash = strrchr(base_path, '/');
    const char *path = skip_file_protocol(name);
    bool other_protocol = path == name && protocol_length(name);

    if (path[0] == '/' || other_protocol || !slash) {
        return g_strdup(name);
    }
    g_autofree char *directory = g_strndup(base_path, slash + 1 - base_path);
    return g_strconcat(directory, path, NULL);
}
