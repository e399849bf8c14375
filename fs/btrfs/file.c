/* Content: of files, of symbolic links, and where it lies. */
#include "btrfs.h"
#include "util/co-lock.h"
#include "util/thread-pool.h"

enum {
    SYMLINK_MAX_BYTES = 4095,
    MAX_JOBS = 32,
    THREAD_BYTES = 16 * 1024, /* what is worth another thread's time */
};

/* One compressed part to be read. */
typedef struct Job {
    struct Reading *reading;
    BtrfsPart part;
    uint8_t *dest;
    GError *error;
    /* While it is decompressed: */
    uint8_t *packed, *out;
    size_t out_bytes;
} Job;

/* The compressed parts of one request: read and decompressed at the same time. */
typedef struct Reading {
    BtrfsState *s;
    const BtrfsInode *inode;
    Job jobs[MAX_JOBS];
    unsigned count;
    unsigned running;
    CoQueue finished;
} Reading;

static bool damaged_content(const BtrfsState *s, const BtrfsInode *inode,
                            const BtrfsPart *part, GError **errp)
{
    static const char *const names[] = {"", "zlib", "lzo", "zstd"};

    return btrfs_inode_error(
        s, inode, part->logical, errp,
        "content at 0x%" PRIx64 ": %" PRIu64 " bytes that are not what %s makes",
        part->file_offset, part->disk_bytes, names[part->compression]);
}

static bool check_compression(const BtrfsState *s, const BtrfsInode *inode,
                              const BtrfsPart *part, GError **errp)
{
    if (!btrfs_can_decompress(part->compression)) {
        btrfs_error(s, errp, EMBR_ERROR_UNSUPPORTED, part->logical,
                    "inode %" PRIu64 " of subvolume %" PRIu64 ": content at 0x%" PRIx64
                    " is compressed with lzo, which this build does not have",
                    inode->file.objectid, inode->file.tree->id, part->file_offset);
        return false;
    }
    return true;
}

static int decompress_job(void *opaque)
{
    Job *job = opaque;

    return btrfs_decompress(job->part.compression, job->reading->s->geo.sector_bytes,
                            job->packed, job->part.disk_bytes, job->out, job->out_bytes)
               ? 0
               : -1;
}

/* Fills job->out. */
static bool coroutine_fn read_packed(Job *job, GError **errp)
{
    BtrfsState *s = job->reading->s;
    const BtrfsInode *inode = job->reading->inode;

    job->packed = g_malloc(job->part.disk_bytes);
    if (!btrfs_data_co_read(s, job->part.logical, job->part.disk_bytes, inode->has_sums,
                            job->packed, errp)) {
        btrfs_inode_prefix(inode, errp);
        return false;
    }

    int ret = job->out_bytes > THREAD_BYTES
                  ? thread_pool_co_run(thread_pool_cpu(), decompress_job, job)
                  : decompress_job(job);

    return ret == 0 || damaged_content(s, inode, &job->part, errp);
}

static bool coroutine_fn run_job(Job *job, GError **errp)
{
    Reading *r = job->reading;
    const BtrfsPart *part = &job->part;

    if (part->offset == 0 && part->bytes == part->ram_bytes) {
        job->out = job->dest;
        job->out_bytes = part->bytes;
        return read_packed(job, errp);
    }

    g_autoptr(GBytes) bytes =
        btrfs_decoded_get(r->s->decoded, part, r->inode->has_sums);

    if (!bytes) {
        job->out_bytes = part->ram_bytes;
        job->out = g_malloc(job->out_bytes);
        bytes = g_bytes_new_take(job->out, job->out_bytes);
        if (!read_packed(job, errp)) {
            return false;
        }
        btrfs_decoded_put(r->s->decoded, part, r->inode->has_sums, bytes);
    }
    memcpy(job->dest, (const uint8_t *)g_bytes_get_data(bytes, NULL) + part->offset,
           part->bytes);
    return true;
}

static void coroutine_fn co_run_job(void *opaque)
{
    Job *job = opaque;

    run_job(job, &job->error);
    g_clear_pointer(&job->packed, g_free);
    job->reading->running--;
    co_queue_all(&job->reading->finished);
}

/* The first error in order of the file is told. */
static bool coroutine_fn run_jobs(Reading *r, GError **errp)
{
    bool ok = true;

    r->running = r->count;
    for (unsigned i = 1; i < r->count; i++) {
        coroutine_enter(coroutine_create(co_run_job, &r->jobs[i]));
    }
    if (r->count) {
        co_run_job(&r->jobs[0]);
    }
    while (r->running) {
        co_queue_wait(&r->finished);
    }
    for (unsigned i = 0; i < r->count; i++) {
        GError *error = r->jobs[i].error;

        if (error && ok) {
            g_propagate_error(errp, error);
            ok = false;
        } else if (error) {
            g_error_free(error);
        }
    }
    r->count = 0;
    return ok;
}

static bool coroutine_fn add_job(Reading *r, const BtrfsPart *part, uint8_t *dest,
                                 GError **errp)
{
    r->jobs[r->count++] = (Job){.reading = r, .part = *part, .dest = dest};
    return r->count < MAX_JOBS || run_jobs(r, errp);
}

static bool copy_inline(const BtrfsState *s, const BtrfsInode *inode,
                        const BtrfsPart *part, uint8_t *dest, GError **errp)
{
    if (part->compression == BTRFS_COMPRESS_NONE) {
        memcpy(dest, part->inline_data + part->offset, part->bytes);
        return true;
    }

    g_autofree uint8_t *out = g_malloc(MAX(part->ram_bytes, 1));

    if (!btrfs_decompress(part->compression, s->geo.sector_bytes, part->inline_data,
                          part->disk_bytes, out, part->ram_bytes)) {
        return damaged_content(s, inode, part, errp);
    }
    memcpy(dest, out + part->offset, part->bytes);
    return true;
}

/* Parts of the first and the last sector go through a buffer, since it is whole sectors
 * that have checksums. */
static bool coroutine_fn read_plain(BtrfsState *s, const BtrfsInode *inode,
                                    const BtrfsPart *part, uint8_t *dest, GError **errp)
{
    uint32_t sector = s->geo.sector_bytes;
    uint64_t logical = part->logical + part->offset, left = part->bytes;
    g_autofree uint8_t *bounce = NULL;

    while (left) {
        uint32_t within = logical % sector;
        uint64_t n = round_down_pow2(left, sector);
        bool ok;

        if (within || !n) {
            n = MIN(left, sector - within);
            bounce = bounce ?: g_malloc(sector);
            ok = btrfs_data_co_read(s, logical - within, sector, inode->has_sums,
                                    bounce, errp);
            if (ok) {
                memcpy(dest, bounce + within, n);
            }
        } else {
            ok = btrfs_data_co_read(s, logical, n, inode->has_sums, dest, errp);
        }
        if (!ok) {
            btrfs_inode_prefix(inode, errp);
            return false;
        }
        logical += n;
        dest += n;
        left -= n;
    }
    return true;
}

static bool coroutine_fn read_part(Reading *r, const BtrfsPart *part, uint8_t *dest,
                                   GError **errp)
{
    if (!check_compression(r->s, r->inode, part, errp)) {
        return false;
    }
    switch (part->kind) {
    case BTRFS_PART_INLINE:
        return copy_inline(r->s, r->inode, part, dest, errp);
    case BTRFS_PART_DATA:
        return part->compression == BTRFS_COMPRESS_NONE
                   ? read_plain(r->s, r->inode, part, dest, errp)
                   : add_job(r, part, dest, errp);
    case BTRFS_PART_HOLE:
    case BTRFS_PART_PREALLOCATED:
        break;
    }
    memset(dest, 0, part->bytes);
    return true;
}

bool coroutine_fn btrfs_file_co_read(BtrfsState *s, const BtrfsInode *inode,
                                     uint64_t offset, uint64_t bytes, void *buf,
                                     GError **errp)
{
    g_autofree Reading *r = g_new0(Reading, 1);
    g_auto(BtrfsParts) parts = {0};
    bool ok = true;

    r->s = s;
    r->inode = inode;
    co_queue_init(&r->finished);
    btrfs_parts_init(&parts, s, inode, offset, offset + bytes);
    while (ok && parts.pos < parts.end) {
        BtrfsPart part;

        ok = btrfs_parts_co_next(&parts, &part, errp) &&
             read_part(r, &part, (uint8_t *)buf + (part.file_offset - offset), errp);
    }

    bool jobs_ok = run_jobs(r, ok ? errp : NULL);

    return ok && jobs_ok;
}

char *coroutine_fn btrfs_file_co_readlink(BtrfsState *s, const BtrfsInode *inode,
                                          GError **errp)
{
    uint64_t size = inode->stat.size;

    if (!S_ISLNK(inode->stat.mode)) {
        btrfs_error(s, errp, EMBR_ERROR_INVALID, inode->bytenr,
                    "inode %" PRIu64 " of subvolume %" PRIu64 " is not a symbolic link",
                    inode->file.objectid, inode->file.tree->id);
        return NULL;
    }
    if (!size || size > SYMLINK_MAX_BYTES) {
        btrfs_inode_error(s, inode, inode->bytenr, errp,
                          "symbolic link of %" PRIu64 " bytes, expected 1 to %d", size,
                          SYMLINK_MAX_BYTES);
        return NULL;
    }

    g_autofree char *target = g_malloc(size + 1);

    if (!btrfs_file_co_read(s, inode, 0, size, target, errp)) {
        return NULL;
    }
    target[size] = 0;
    return g_steal_pointer(&target);
}

/* What the part is to those who want to know where a file lies; false: nothing. */
static bool coroutine_fn make_extent(BtrfsState *s, const BtrfsInode *inode,
                                     const BtrfsPart *part, FsExtent *extent, bool *any,
                                     GError **errp)
{
    uint32_t sector = s->geo.sector_bytes;
    bool is_packed = part->compression != BTRFS_COMPRESS_NONE;
    uint64_t at = is_packed ? 0 : part->offset;

    *any = false;
    if (part->kind == BTRFS_PART_HOLE ||
        (part->kind == BTRFS_PART_INLINE && inode->stat.size <= sector)) {
        return true;
    }
    *any = true;
    *extent = (FsExtent){
        .file_offset = part->file_offset,
        .length = part->bytes,
        .flags = (part->kind == BTRFS_PART_PREALLOCATED ? FS_EXTENT_UNWRITTEN : 0) |
                 (is_packed ? FS_EXTENT_ENCODED : 0),
    };
    if (part->kind == BTRFS_PART_INLINE) {
        extent->length = round_up_pow2(part->bytes, sector);
        extent->flags = FS_EXTENT_ENCODED;
        return !part->logical || btrfs_chunk_map(s, part->logical, sector, 0,
                                                 &extent->device_offset, errp);
    }
    if (btrfs_part_co_is_shared(s, inode, part)) {
        extent->flags |= FS_EXTENT_SHARED;
    }
    if (!btrfs_chunk_map(s, part->logical, part->disk_bytes, 0, &extent->device_offset,
                         errp)) {
        btrfs_inode_prefix(inode, errp);
        return false;
    }
    extent->device_offset += at;
    return true;
}

static bool continues(const FsExtent *extent, const FsExtent *next)
{
    return extent->flags == next->flags && !(extent->flags & FS_EXTENT_ENCODED) &&
           next->file_offset == extent->file_offset + extent->length &&
           next->device_offset == extent->device_offset + extent->length;
}

bool coroutine_fn btrfs_file_co_extents(BtrfsState *s, const BtrfsInode *inode,
                                        uint64_t file_offset, unsigned max,
                                        GArray *list, GError **errp)
{
    uint64_t first = round_down_pow2(file_offset, s->geo.sector_bytes);
    guint before = list->len;
    g_auto(BtrfsParts) parts = {0};
    BtrfsPart part;

    btrfs_parts_init(&parts, s, inode, first, INT64_MAX);
    while (S_ISREG(inode->stat.mode) && parts.pos < parts.end) {
        FsExtent extent;
        bool any;

        if (!btrfs_parts_co_next(&parts, &part, errp) ||
            !make_extent(s, inode, &part, &extent, &any, errp)) {
            return false;
        }
        if (!any) {
            continue;
        }

        FsExtent *last =
            list->len > before ? &g_array_index(list, FsExtent, list->len - 1) : NULL;

        if (last && continues(last, &extent)) {
            last->length += extent.length;
        } else if (list->len - before < max) {
            g_array_append_val(list, extent);
        } else {
            break;
        }
    }
    return true;
}
