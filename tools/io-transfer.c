/* read, readv, write, writev, discard */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/block-int.h"
#include "io-transfer.h"

enum { SECTOR_BYTES = 512, BUFFER_ALIGNMENT = 4096, DEFAULT_PATTERN = 0xcd };

void io_transfer_clear(IoTransfer *t)
{
    g_clear_pointer(&t->lengths, g_array_unref);
}

int io_check_range(const Io *io, int64_t offset, int64_t bytes)
{
    return range_fits(offset, bytes, bdrv_length(io->bs)) ? 0 : -EIO;
}

bool io_transfer_option(IoTransfer *t, int c)
{
    t->quiet |= c == 'q';
    t->machine |= c == 'C';
    t->dump |= c == 'v';
    t->vm_state |= c == 'b';
    t->compressed |= c == 'c';
    t->zeroes |= c == 'z';
    t->invalid |= c == 'i';
    t->flags |= c == 'f' ? BDRV_REQ_FUA : 0;
    t->flags |= c == 'n' ? BDRV_REQ_NO_FALLBACK : 0;
    t->flags |= c == 'u' ? BDRV_REQ_MAY_UNMAP : 0;
    if (c == 'P') {
        t->has_pattern = true;
        return io_parse_byte(optarg, &t->pattern);
    }
    return true;
}

bool io_transfer_range(IoTransfer *t, char **words, int n, bool many)
{
    if (n < 2 || (n > 2 && !many) || !io_parse_number(words[0], &t->offset)) {
        return false;
    }
    t->lengths = g_array_new(FALSE, FALSE, sizeof(int64_t));
    for (int i = 1; i < n; i++) {
        int64_t length;
        if (!io_parse_length(words[i], &length)) {
            return false;
        }
        g_array_append_val(t->lengths, length);
        t->bytes += length;
    }
    if (t->bytes > G_MAXINT) {
        printf("The buffers have more than %d bytes\n", G_MAXINT);
        return false;
    }
    return true;
}

static bool check_sectors(const IoTransfer *t)
{
    if (t->offset % SECTOR_BYTES) {
        printf("%" G_GINT64_FORMAT " is not a sector-aligned value for 'offset'\n", t->offset);
        return false;
    }
    if (t->bytes % SECTOR_BYTES) {
        printf("%" G_GINT64_FORMAT " is not a sector-aligned value for 'count'\n", t->bytes);
        return false;
    }
    return true;
}

uint8_t *io_transfer_buffers(const IoTransfer *t, IOVector *iov)
{
    size_t size = round_up_pow2(MAX(t->bytes, 1), BUFFER_ALIGNMENT);
    uint8_t *buf = aligned_alloc(BUFFER_ALIGNMENT, size);
    int64_t at = 0;

    if (!buf) {
        printf("no memory for %" G_GINT64_FORMAT " bytes\n", t->bytes);
        return NULL;
    }
    memset(buf, t->has_pattern ? t->pattern : DEFAULT_PATTERN, t->bytes);
    iovector_init(iov, t->lengths->len);
    for (guint i = 0; i < t->lengths->len; i++) {
        int64_t length = g_array_index(t->lengths, int64_t, i);
        iovector_add(iov, buf + at, length);
        at += length;
    }
    return buf;
}

void io_transfer_print(const IoTransfer *t, const char *what, gint64 started)
{
    IoStatistics st = {.what = what, .offset = t->offset, .asked = t->bytes, .done = t->bytes,
                       .started = started, .machine = t->machine};
    io_print_statistics(&st);
}

/* The part of what was read that -s and -l say is the pattern. False: said. */
static bool take_verified(const IoTransfer *t, int64_t *start, int64_t *bytes)
{
    *start = 0;
    if (t->verify_start && !io_parse_length(t->verify_start, start)) {
        return false;
    }
    *bytes = t->bytes - *start;
    if (t->verify_length && !io_parse_length(t->verify_length, bytes)) {
        return false;
    }
    if (*bytes < 0 || *start + *bytes > t->bytes) {
        printf("pattern verification range exceeds end of read data\n");
        return false;
    }
    return true;
}

static int coroutine_fn co_read(Io *io, const IoTransfer *t, const IOVector *iov)
{
    if (t->vm_state) {
        return bdrv_co_read_vm_state(io->bs, t->offset, t->bytes, iov);
    }
    int ret = io_check_range(io, t->offset, t->bytes);
    return ret < 0 ? ret : bdrv_co_preadv(io->bs, t->offset, t->bytes, iov, 0, 0);
}

static int coroutine_fn co_run_read(Io *io, const IoTransfer *t, const char *failed)
{
    g_auto(IOVector) iov = {0};
    int64_t start = 0, bytes = 0;

    if (!take_verified(t, &start, &bytes)) {
        return -EINVAL;
    }
    uint8_t *buf = io_transfer_buffers(t, &iov);
    if (!buf) {
        return -ENOMEM;
    }
    memset(buf, 0xab, t->bytes);
    gint64 started = g_get_monotonic_time();
    int ret = co_read(io, t, &iov);
    if (ret < 0) {
        printf("%s failed: %s\n", failed, g_strerror(-ret));
    } else {
        bool same = !t->has_pattern ||
                    io_verify(buf + start, bytes, t->pattern, t->offset + start);
        if (!t->quiet && t->dump) {
            io_dump(buf, t->bytes, t->offset);
        }
        if (!t->quiet) {
            io_transfer_print(t, "read", started);
        }
        ret = same ? 0 : -EINVAL;
    }
    free(buf);
    return ret;
}

int coroutine_fn io_co_cmd_read(Io *io, int argc, char **argv)
{
    g_auto(IoTransfer) t = {0};
    int c;

    while ((c = getopt(argc, argv, "bCl:pP:qs:v")) != -1) {
        if (c == '?') {
            return io_misuse(argv[0]);
        }
        t.verify_start = c == 's' ? optarg : t.verify_start;
        t.verify_length = c == 'l' ? optarg : t.verify_length;
        if (!io_transfer_option(&t, c)) {
            return -EINVAL;
        }
    }
    if (argc - optind != 2 || (!t.has_pattern && (t.verify_start || t.verify_length))) {
        return io_misuse(argv[0]);
    }
    if (!io_transfer_range(&t, argv + optind, argc - optind, false) ||
        (t.vm_state && !check_sectors(&t))) {
        return -EINVAL;
    }
    return co_run_read(io, &t, "read");
}

int coroutine_fn io_co_cmd_readv(Io *io, int argc, char **argv)
{
    g_auto(IoTransfer) t = {0};
    int c;

    while ((c = getopt(argc, argv, "CP:qv")) != -1) {
        if (c == '?') {
            return io_misuse(argv[0]);
        }
        if (!io_transfer_option(&t, c)) {
            return -EINVAL;
        }
    }
    if (argc - optind < 2) {
        return io_misuse(argv[0]);
    }
    if (!io_transfer_range(&t, argv + optind, argc - optind, true)) {
        return -EINVAL;
    }
    return co_run_read(io, &t, "readv");
}

/* The file's content, over and over. False: said. */
static bool fill_from(const IoTransfer *t, uint8_t *buf)
{
    g_autofree char *content = NULL;
    g_autoptr(GError) error = NULL;
    gsize length;

    if (!g_file_test(t->source, G_FILE_TEST_EXISTS)) {
        fprintf(stderr, "%s: %s\n", t->source, g_strerror(ENOENT));
        return false;
    }
    if (!g_file_get_contents(t->source, &content, &length, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return false;
    }
    if (length == 0) {
        fprintf(stderr, "%s: file is empty\n", t->source);
        return false;
    }
    for (int64_t i = 0; i < t->bytes; i++) {
        buf[i] = content[i % length];
    }
    return true;
}

int coroutine_fn io_transfer_co_write(Io *io, const IoTransfer *t, const IOVector *iov)
{
    int flags = t->flags | (io->how.cache.writethrough ? BDRV_REQ_FUA : 0);

    if (t->vm_state) {
        return bdrv_co_write_vm_state(io->bs, t->offset, t->bytes, iov);
    }
    int ret = io_check_range(io, t->offset, t->bytes);
    if (ret < 0) {
        return ret;
    }
    if (t->zeroes) {
        return bdrv_co_pwrite_zeroes(io->bs, t->offset, t->bytes, flags);
    }
    flags |= t->compressed ? BDRV_REQ_WRITE_COMPRESSED : 0;
    return bdrv_co_pwritev(io->bs, t->offset, t->bytes, iov, 0, flags);
}

static int coroutine_fn co_run_write(Io *io, const IoTransfer *t, const char *failed)
{
    g_auto(IOVector) iov = {0};
    uint8_t *buf = NULL;

    if (!t->zeroes) {
        buf = io_transfer_buffers(t, &iov);
        if (!buf) {
            return -ENOMEM;
        }
    }
    if (t->source && !fill_from(t, buf)) {
        free(buf);
        return -EINVAL;
    }
    gint64 started = g_get_monotonic_time();
    int ret = io_transfer_co_write(io, t, &iov);
    free(buf);
    if (ret < 0) {
        printf("%s failed: %s\n", failed, g_strerror(-ret));
    } else if (!t->quiet) {
        io_transfer_print(t, "wrote", started);
    }
    return MIN(ret, 0);
}

/* False, and said: options that exclude each other. */
static bool check_write(const IoTransfer *t)
{
    const char *wrong = NULL;

    if (t->vm_state && t->zeroes) {
        wrong = "-b and -z cannot be specified at the same time";
    } else if ((t->flags & BDRV_REQ_FUA) && (t->vm_state || t->compressed)) {
        wrong = "-f and -b or -c cannot be specified at the same time";
    } else if ((t->flags & BDRV_REQ_NO_FALLBACK) && !t->zeroes) {
        wrong = "-n requires -z to be specified";
    } else if ((t->flags & BDRV_REQ_MAY_UNMAP) && !t->zeroes) {
        wrong = "-u requires -z to be specified";
    } else if (t->zeroes + t->has_pattern + (t->source != NULL) > 1) {
        wrong = "Only one of -z, -P, and -s can be specified at the same time";
    } else if (t->compressed && t->zeroes) {
        wrong = "-c and -z cannot be specified at the same time";
    }
    if (wrong) {
        puts(wrong);
    }
    return !wrong;
}

int coroutine_fn io_co_cmd_write(Io *io, int argc, char **argv)
{
    g_auto(IoTransfer) t = {0};
    int c;

    while ((c = getopt(argc, argv, "bcCfnpP:qs:uz")) != -1) {
        if (c == '?') {
            return io_misuse(argv[0]);
        }
        t.source = c == 's' ? optarg : t.source;
        if (!io_transfer_option(&t, c)) {
            return -EINVAL;
        }
    }
    if (argc - optind != 2) {
        return io_misuse(argv[0]);
    }
    if (!check_write(&t) || !io_transfer_range(&t, argv + optind, argc - optind, false) ||
        ((t.vm_state || t.compressed) && !check_sectors(&t))) {
        return -EINVAL;
    }
    return co_run_write(io, &t, "write");
}

int coroutine_fn io_co_cmd_writev(Io *io, int argc, char **argv)
{
    g_auto(IoTransfer) t = {0};
    int c;

    while ((c = getopt(argc, argv, "CfqP:")) != -1) {
        if (c == '?') {
            return io_misuse(argv[0]);
        }
        if (!io_transfer_option(&t, c)) {
            return -EINVAL;
        }
    }
    if (argc - optind < 2) {
        return io_misuse(argv[0]);
    }
    if (!io_transfer_range(&t, argv + optind, argc - optind, true)) {
        return -EINVAL;
    }
    return co_run_write(io, &t, "writev");
}

int coroutine_fn io_co_cmd_discard(Io *io, int argc, char **argv)
{
    g_auto(IoTransfer) t = {0};
    int c;

    while ((c = getopt(argc, argv, "Cq")) != -1) {
        if (c == '?') {
            return io_misuse(argv[0]);
        }
        io_transfer_option(&t, c);
    }
    if (argc - optind != 2) {
        return io_misuse(argv[0]);
    }
    if (!io_transfer_range(&t, argv + optind, argc - optind, false)) {
        return -EINVAL;
    }
    gint64 started = g_get_monotonic_time();
    int ret = io_check_range(io, t.offset, t.bytes);
    if (ret >= 0 && io->how.unmap) {
        ret = bdrv_co_pdiscard(io->bs, t.offset, t.bytes);
    }
    if (ret < 0) {
        printf("discard failed: %s\n", g_strerror(-ret));
    } else if (!t.quiet) {
        io_transfer_print(&t, "discard", started);
    }
    return MIN(ret, 0);
}
