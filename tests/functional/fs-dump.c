/*
 * fs-dump [-b] IMAGE [OFFSET [LENGTH]]: everything a filesystem driver says of a
 * filesystem, one line a file, for comparison with what others say (fs-tree.py).  On
 * the way it checks that lookups find what directories list, and that extents lead to
 * the same bytes as reads.
 *
 * With -b, lines "use KIND OFFSET LENGTH" follow: what the blocks are used for.
 *
 * A file's digest is the SHA-256 over all of its aligned pieces of 64 KiB that are not
 * zero, each with its offset (64 bits, little-endian) before it.
 */
#include <dirent.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include "fs/fs.h"

enum { PIECE_BYTES = 64 * 1024 };

typedef struct Dump {
    const char *image;
    int64_t offset, length;
    bool blocks;
    Filesystem *fs;
    GHashTable *visited; /* directories */
    int status;
} Dump;

static void complain(Dump *d, const char *path, GError *error)
{
    fprintf(stderr, "fs-dump: %s: %s\n", path, error->message);
    g_error_free(error);
    d->status = 1;
}

static void put_escaped(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = text[i];

        if (c > ' ' && c < 0x7f && c != '%') {
            putchar(c);
        } else {
            printf("%%%02x", c);
        }
    }
}

static void put_time(const char *name, FsTime time)
{
    printf(" %s=%" PRId64 ".%09u", name, time.sec, time.nsec);
}

/* From offset on: where the next bytes are that need not be zero. */
static bool coroutine_fn next_data(Dump *d, FsIno ino, uint64_t *offset,
                                   bool *has_extents, FsExtent *extent, GError **errp)
{
    g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(FsExtent));
    uint64_t from = *offset;

    *has_extents = false;
    for (;;) {
        g_array_set_size(list, 0);
        if (!fs_co_extents(d->fs, ino, from, 3, list, errp)) {
            return false;
        }
        if (!list->len) {
            return true;
        }
        for (guint i = 0; i < list->len; i++) {
            *extent = g_array_index(list, FsExtent, i);
            from = extent->file_offset + extent->length;
            if (!(extent->flags & FS_EXTENT_UNWRITTEN)) {
                *offset = MAX(*offset, extent->file_offset);
                *has_extents = true;
                return true;
            }
        }
    }
}

static bool coroutine_fn check_extent(Dump *d, const FsExtent *extent, uint64_t at,
                                      const uint8_t *data, uint64_t len)
{
    g_autofree uint8_t *raw = g_malloc(PIECE_BYTES);
    uint64_t from = MAX(at, extent->file_offset);
    uint64_t to = MIN(at + len, extent->file_offset + extent->length);

    if (from >= to || (extent->flags & FS_EXTENT_ENCODED)) {
        return true;
    }
    return blk_co_pread(d->fs->blk,
                        extent->device_offset + (from - extent->file_offset), to - from,
                        raw) >= 0 &&
           !memcmp(raw, data + (from - at), to - from);
}

static bool coroutine_fn digest(Dump *d, const FsStat *st,
                                char hex[2 * SHA256_DIGEST_LENGTH + 1], GError **errp)
{
    g_autofree uint8_t *piece = g_malloc(PIECE_BYTES);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    bool is_inline = false;

    for (uint64_t offset = 0; offset < st->size;) {
        uint64_t data_at = offset;
        bool has_extents = false;
        FsExtent extent;

        if (!is_inline &&
            !next_data(d, st->ino, &data_at, &has_extents, &extent, errp)) {
            return false;
        }
        if (offset == 0 && !has_extents && st->allocated) {
            is_inline = true;
        }
        if (!is_inline) {
            if (!has_extents || data_at >= st->size) {
                break;
            }
            offset = data_at / PIECE_BYTES * PIECE_BYTES;
        }

        uint64_t len = MIN(PIECE_BYTES, st->size - offset);

        if (!fs_co_read(d->fs, st->ino, offset, len, piece, errp)) {
            return false;
        }
        if (!is_inline && !check_extent(d, &extent, offset, piece, len)) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                        "extent at 0x%" PRIx64 " leads to other bytes than a read",
                        extent.file_offset);
            return false;
        }
        if (!buffer_is_zero(piece, len)) {
            uint64_t le = GUINT64_TO_LE(offset);

            g_checksum_update(sum, (const guchar *)&le, sizeof(le));
            g_checksum_update(sum, piece, len);
        }
        offset += PIECE_BYTES;
    }
    g_strlcpy(hex, g_checksum_get_string(sum), 2 * SHA256_DIGEST_LENGTH + 1);
    return true;
}

static void coroutine_fn put_content(Dump *d, const char *path, const FsStat *st)
{
    char hex[2 * SHA256_DIGEST_LENGTH + 1];
    GError *error = NULL;

    if (S_ISLNK(st->mode)) {
        g_autofree char *target = fs_co_readlink(d->fs, st->ino, &error);

        if (target) {
            printf(" target=");
            put_escaped(target, strlen(target));
        }
    } else if (S_ISREG(st->mode) && (st->flags & FS_FILE_ENCRYPTED)) {
        char byte;

        if (st->size && fs_co_read(d->fs, st->ino, 0, 1, &byte, &error)) {
            printf(" sum=readable");
        }
        g_clear_error(&error);
        printf(" sum=encrypted");
    } else if (S_ISREG(st->mode) && digest(d, st, hex, &error)) {
        printf(" sum=%s", hex);
    }
    if (error) {
        printf(" error");
        complain(d, path, error);
    }
}

static void coroutine_fn put_xattrs(Dump *d, const char *path, FsIno ino)
{
    GError *error = NULL;
    g_autoptr(GPtrArray) list = fs_co_xattrs(d->fs, ino, &error);

    if (!list) {
        printf(" error");
        complain(d, path, error);
        return;
    }
    for (guint i = 0; i < list->len; i++) {
        const FsXattr *xattr = g_ptr_array_index(list, i);
        gsize len;
        const uint8_t *value = g_bytes_get_data(xattr->value, &len);

        printf(" xattr:");
        put_escaped(xattr->name, strlen(xattr->name));
        putchar('=');
        for (gsize k = 0; k < len; k++) {
            printf("%02x", value[k]);
        }
    }
}

static const char *type_of(uint8_t type)
{
    switch (type) {
    case DT_REG:
        return "reg";
    case DT_DIR:
        return "dir";
    case DT_LNK:
        return "lnk";
    case DT_CHR:
        return "chr";
    case DT_BLK:
        return "blk";
    case DT_FIFO:
        return "fifo";
    case DT_SOCK:
        return "sock";
    default:
        return "unknown";
    }
}

static bool coroutine_fn put_file(Dump *d, const char *path, FsIno ino, uint8_t type,
                                  FsStat *st)
{
    GError *error = NULL;

    put_escaped(path, strlen(path));
    if (!fs_co_stat(d->fs, ino, st, &error)) {
        printf(" error\n");
        complain(d, path, error);
        return false;
    }
    printf(" ino=%" PRIu64 " mode=%o nlink=%u uid=%u gid=%u rdev=%u:%u size=%" PRIu64
           " allocated=%" PRIu64,
           st->ino, st->mode, st->nlink, st->uid, st->gid, st->rdev_major,
           st->rdev_minor, st->size, st->allocated);
    put_time("atime", st->atime);
    put_time("mtime", st->mtime);
    put_time("ctime", st->ctime);
    put_time("crtime", st->crtime);
    printf(" flags=%x", st->flags);
    if (type != DT_UNKNOWN && (mode_t)DTTOIF(type) != (st->mode & S_IFMT)) {
        printf(" dirent=%s", type_of(type));
    }
    put_content(d, path, st);
    put_xattrs(d, path, ino);
    putchar('\n');
    return true;
}

static void coroutine_fn put_directory(Dump *d, const char *path, FsIno ino)
{
    g_auto(FsDirBatch) batch = {0};
    GError *error = NULL;

    if (!g_hash_table_add(d->visited, GSIZE_TO_POINTER(ino))) {
        fprintf(stderr, "fs-dump: %s: directory inode %" PRIu64 " has two parents\n",
                path, ino);
        d->status = 1;
        return;
    }
    fs_dir_batch_init(&batch);
    while (!batch.eof) {
        uint64_t cursor = batch.cursor;

        if (!fs_co_readdir(d->fs, ino, &batch, &error)) {
            complain(d, path, g_steal_pointer(&error));
            if (batch.cursor == cursor) {
                break;
            }
        }
    }
    for (guint i = 0; i < batch.entries->len; i++) {
        const FsDirEntry *entry = &g_array_index(batch.entries, FsDirEntry, i);
        g_autofree char *child =
            g_strdup_printf("%s/%s", *path == '/' ? "" : path, entry->name);
        FsIno found = 0;
        FsStat st;

        if (!fs_co_lookup(d->fs, ino, entry->name, entry->name_len, &found, &error)) {
            complain(d, child, g_steal_pointer(&error));
        } else if (found != entry->ino) {
            fprintf(stderr,
                    "fs-dump: %s: listed as inode %" PRIu64 ", looked up as %" PRIu64
                    "\n",
                    child, entry->ino, found);
            d->status = 1;
        }
        if (put_file(d, child + (*child == '/'), entry->ino, entry->type, &st) &&
            S_ISDIR(st.mode)) {
            put_directory(d, child + (*child == '/'), entry->ino);
        }
    }
}

static void coroutine_fn put_block_use(Dump *d)
{
    static const char *const names[] = {
        [FS_BLOCK_FREE] = "free",
        [FS_BLOCK_USED] = "used",
        [FS_BLOCK_METADATA] = "metadata",
        [FS_BLOCK_UNKNOWN] = "unknown",
    };
    uint64_t length = blk_length(d->fs->blk);
    uint64_t bytes;

    for (uint64_t offset = 0; offset < length; offset += bytes) {
        FsBlockUse use = fs_co_block_use(d->fs, offset, &bytes);

        if (!bytes || bytes > length - offset) {
            fprintf(stderr, "fs-dump: %" PRIu64 " bytes of use at %" PRIu64 "\n", bytes,
                    offset);
            d->status = 1;
            return;
        }
        printf("use %s %" PRIu64 " %" PRIu64 "\n", names[use], offset, bytes);
    }
}

static void coroutine_fn dump(void *opaque)
{
    Dump *d = opaque;
    GError *error = NULL;
    g_autoptr(BlockDriverState) bs = bdrv_co_open_image(d->image, NULL, 0, &error);

    if (!bs) {
        complain(d, d->image, error);
        return;
    }

    g_autoptr(BlockBackend) disk = blk_new(bs);
    g_autoptr(BlockBackend) blk = blk_new_slice(
        disk, d->offset, d->length ? d->length : blk_length(disk) - d->offset);
    g_auto(FsIdent) ident = {0};
    const FsDriver *drv = fs_co_probe(blk, &ident);
    FsStat st;

    if (!drv) {
        fprintf(stderr, "fs-dump: %s: no filesystem found\n", d->image);
        d->status = 1;
        return;
    }
    fprintf(stderr, "type=%s label=%s uuid=%s size=%" PRIu64 "\n", ident.type,
            ident.label ? ident.label : "", ident.uuid ? ident.uuid : "", ident.size);

    g_autoptr(Filesystem) fs = fs_co_open(drv, blk, &error);

    if (!fs) {
        complain(d, d->image, error);
        return;
    }
    d->fs = fs;
    if (put_file(d, ".", fs->root, DT_DIR, &st)) {
        put_directory(d, "/", fs->root);
    }
    if (d->blocks) {
        put_block_use(d);
    }
    for (guint i = 0; i < fs->warnings->len; i++) {
        fprintf(stderr, "warning: %s\n", (char *)g_ptr_array_index(fs->warnings, i));
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(AioContext) ctx = aio_context_new(AIO_BACKEND_AUTO, &error);
    Dump d = {0};

    if (argc > 1 && !strcmp(argv[1], "-b")) {
        d.blocks = true;
        argv++;
        argc--;
    }
    if (!ctx || argc < 2) {
        fprintf(stderr, "fs-dump: %s\n",
                error ? error->message : "usage: fs-dump [-b] IMAGE [OFFSET [LENGTH]]");
        return 2;
    }
    d.image = argv[1];
    d.offset = argc > 2 ? g_ascii_strtoll(argv[2], NULL, 0) : 0;
    d.length = argc > 3 ? g_ascii_strtoll(argv[3], NULL, 0) : 0;
    d.visited = g_hash_table_new(NULL, NULL);
    aio_run(ctx, dump, &d);
    g_hash_table_unref(d.visited);
    return d.status;
}
