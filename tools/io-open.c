/* open, close, reopen */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "block/block-int.h"
#include "io.h"
#include "qapi/qapi-visit.h"
#include "report.h"

void io_open_clear(IoOpen *open)
{
    g_clear_pointer(&open->name, g_free);
    g_clear_pointer(&open->format, g_free);
    g_clear_pointer(&open->options, g_free);
}

bool io_parse_cache(const char *text, CacheMode *mode)
{
    return image_parse_cache(text, 't', mode);
}

bool io_parse_discard(const char *text, bool *unmap)
{
    *unmap = strcmp(text, "on") == 0 || strcmp(text, "unmap") == 0;
    if (*unmap || strcmp(text, "off") == 0 || strcmp(text, "ignore") == 0) {
        return true;
    }
    report_error("Invalid discard option: %s", text);
    return false;
}

static int open_flags(const IoOpen *how)
{
    return image_cache_flags(&how->cache) |
           (how->read_only || how->snapshot ? 0 : BDRV_O_RDWR) |
           (how->unmap ? BDRV_O_UNMAP : 0) | (how->force_share ? BDRV_O_FORCE_SHARE : 0);
}

/* "can't open device NAME: why": the name is not said twice where only the image's
 * content was to blame. */
static void report_not_opened(const char *name, const GError *error)
{
    const char *message = error->message;
    g_autofree char *again = name ? g_strdup_printf("Could not open '%s': ", name) : NULL;

    if (again && error->domain != G_FILE_ERROR && g_str_has_prefix(message, again)) {
        message += strlen(again);
    }
    g_autoptr(GError) shown = NULL;
    if (name) {
        shown = g_error_new(error->domain, error->code, "can't open device %s: %s", name,
                            message);
    } else {
        shown = g_error_new(error->domain, error->code, "can't open: %s", message);
    }
    report_gerror(g_steal_pointer(&shown));
}

static BlockDriverState *coroutine_fn co_open_layers(const IoOpen *how, GError **errp)
{
    int flags = open_flags(how);
    g_autoptr(JsonNode) options =
        how->options ? qapi_keyval_parse(how->options, NULL, errp) : NULL;

    if (how->options && !options) {
        return NULL;
    }
    g_autoptr(BlockDriverState) bs = bdrv_co_open_described(
        how->name, how->format, options ? json_node_get_object(options) : NULL, flags, errp);
    if (bs && how->snapshot) {
        BlockDriverState *overlay = bdrv_co_open_temporary(bs, flags | BDRV_O_RDWR, errp);
        bdrv_unref(g_steal_pointer(&bs));
        bs = overlay;
    }
    if (bs && how->copy_on_read) {
        BlockDriverState *filter = bdrv_co_open_copy_on_read(bs, errp);
        bdrv_unref(g_steal_pointer(&bs));
        bs = filter;
    }
    return g_steal_pointer(&bs);
}

int coroutine_fn io_co_open(Io *io)
{
    g_autoptr(GError) error = NULL;

    io->bs = co_open_layers(&io->how, &error);
    if (!io->bs) {
        report_not_opened(io->how.name, error);
        return -EINVAL;
    }
    return 0;
}

int coroutine_fn io_co_close(Io *io)
{
    g_autoptr(BlockDriverState) bs = g_steal_pointer(&io->bs);
    GError *error = NULL;

    if (!bs) {
        return 0;
    }
    io_co_wait_for_all(io);
    int ret = bdrv_co_finish(bs, &error);
    if (ret < 0 && error) {
        report_gerror(error);
    }
    return ret;
}

static void set_string(char **where, const char *value)
{
    g_free(*where);
    *where = g_strdup(value);
}

/* -t, -d, -i, -o. False: said. */
static bool take_value(IoOpen *how, int letter, const char *value)
{
    switch (letter) {
    case 't':
        return io_parse_cache(value, &how->cache);
    case 'd':
        return io_parse_discard(value, &how->unmap);
    case 'o':
        set_string(&how->options, value);
        return true;
    default:
        return true;
    }
}

int coroutine_fn io_co_cmd_open(Io *io, int argc, char **argv)
{
    IoOpen how = {.cache = {.flush = true, .writethrough = true}, .unmap = true};
    int c;

    if (io->bs) {
        report_error("file open already, try 'help close'");
        return -EBUSY;
    }
    while ((c = getopt(argc, argv, "snCro:ki:t:d:U")) != -1) {
        how.snapshot |= c == 's';
        how.read_only |= c == 'r';
        how.copy_on_read |= c == 'C';
        how.force_share |= c == 'U';
        if (c == 'n') {
            io_parse_cache("none", &how.cache);
        }
        if (c == '?' || !take_value(&how, c, optarg)) {
            io_open_clear(&how);
            return c == '?' ? io_misuse(argv[0]) : -EINVAL;
        }
    }
    if (optind + 1 < argc || (optind == argc && !how.options)) {
        io_open_clear(&how);
        return io_misuse(argv[0]);
    }
    how.name = g_strdup(argv[optind]);
    io_open_clear(&io->how);
    io->how = how;
    return io_co_open(io);
}

int coroutine_fn io_co_cmd_close(Io *io, int argc, char **argv)
{
    return io_co_close(io);
}

/* The image is closed and opened again; what is wrong with the new way of it leaves it as
 * it was. */
static int coroutine_fn co_reopen(Io *io, const IoOpen *how)
{
    IoOpen old = io->how;
    int ret = io_co_close(io);

    if (ret < 0) {
        return ret;
    }
    io->how = *how;
    ret = io_co_open(io);
    io->how = old;
    if (ret < 0) {
        io_co_open(io);
        return ret;
    }
    io->how.read_only = how->read_only;
    io->how.cache = how->cache;
    set_string(&io->how.options, how->options);
    return 0;
}

/* The options that were given before, with those that are new. */
static char *join_options(const char *old, const char *new)
{
    return old && new ? g_strdup_printf("%s,%s", old, new) : g_strdup(old ? old : new);
}

int coroutine_fn io_co_cmd_reopen(Io *io, int argc, char **argv)
{
    IoOpen how = io->how;
    bool read_only = false, writable = false;
    const char *options = NULL;
    int c;

    while ((c = getopt(argc, argv, "c:o:rw")) != -1) {
        if (c == '?') {
            return io_misuse(argv[0]);
        }
        if (c == 'c' && !io_parse_cache(optarg, &how.cache)) {
            return -EINVAL;
        }
        if (c == 'o') {
            options = optarg;
        }
        if ((c == 'r' && writable) || (c == 'w' && read_only)) {
            report_error("Only one -r/-w option may be given");
            return -EINVAL;
        }
        read_only |= c == 'r';
        writable |= c == 'w';
    }
    if (optind != argc) {
        return io_misuse(argv[0]);
    }
    if (options && (read_only || writable) && strstr(options, "read-only=")) {
        report_error("Cannot set both -r/-w and 'read-only'");
        return -EINVAL;
    }
    how.read_only = read_only || (how.read_only && !writable);
    g_autofree char *joined = join_options(how.options, options);
    how.options = joined;
    return co_reopen(io, &how);
}
